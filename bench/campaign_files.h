/* SPDX-License-Identifier: MIT
 * campaign_files.h - folders of inputs: listed, moved, named by their SHA-1 */
#ifndef HEAPRIG_CAMPAIGN_FILES_H
#define HEAPRIG_CAMPAIGN_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILES_PATH = 1024 };

/* Formats a path into `path`, cut where there is no more room: such a file is not there. */
void files_path(char path[FILES_PATH], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The names of a folder's files but for hidden ones, sorted; empty when there is no folder. */
struct files {
    char **names;
    size_t count, room;
};
struct files files_list(const char *folder);
void files_release(struct files *files);

/* The sum of their sizes. */
uint64_t files_bytes(const char *folder, const struct files *files);

/* Removes a file, or a folder with all that is in it. */
void files_remove(const char *path);

/* Writes beside and renames, once all is on the disk. False on any failure; nothing is left then.
 */
bool files_write(const char *path, const void *bytes, size_t count);

/* "FIRST SECOND\n" */
bool files_write_text(const char *path, const char *first, const char *second);

/* 40 hex digits and a 0. */
void files_sha1(const void *bytes, size_t count, char text[41]);

/* False when the file cannot be read or is empty. */
bool files_sha1_of(const char *path, char text[41]);

/* Whether two files can be read and hold the same bytes. */
bool files_equal(const char *a, const char *b);

bool files_is_link(const char *path);

/* -1: not there. */
int64_t files_size(const char *path);

/* Locks a file or folder; closing the descriptor unlocks it. -1: another process holds it, or it
 * cannot be opened. */
int files_lock(const char *path);

/* All of the file system that the folder is on is on the disk afterwards. */
void files_sync(const char *folder);

/* Bytes that can still be written where the folder is. */
uint64_t files_room(const char *folder);

/* Where this program lies, and its own path. */
const char *files_program_folder(void);
const char *files_program(void);

#endif
