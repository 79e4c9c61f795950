/* SPDX-License-Identifier: MIT
 *
 * file_bytes.h - a whole file in memory: read, written at once, digested
 */
#ifndef HEAPRIG_FILE_BYTES_H
#define HEAPRIG_FILE_BYTES_H

#include "problem.h"

#include <stddef.h>

/* Bytes that grow. All zero is empty and owns nothing. */
struct file_bytes {
    unsigned char
        *bytes; /* after file_bytes_read() never NULL, and a 0 byte stands after the last */
    size_t count;
    size_t room;
};

/* Reads all of `path` ("-": standard input). Memory grows with what was really read. False when it
 * cannot be opened or read, is a directory, is empty or exceeds 4 GiB (1 GiB on 32-bit machines);
 * *out is then empty. */
bool file_bytes_read(const char *path, struct file_bytes *out, struct problem *problem);

/* Writes a file beside `path` and renames it over `path` once all bytes are on the disk. False on
 * any failure, a full disk included; then the file that stood at `path` is whole and nothing is
 * left beside it. A path that names a device or pipe is written directly. */
bool file_bytes_write(const char *path, const struct file_bytes *file, struct problem *problem);

/* Tries whether file_bytes_write() could begin, for who would hear of it only after hours of work.
 * False when not; nothing is left beside. */
bool file_bytes_may_write(const char *path, struct problem *problem);

/* Appends; false when memory is out. Amortised O(count). */
bool file_bytes_append(struct file_bytes *file, const void *bytes, size_t count);

void file_bytes_release(struct file_bytes *file);

/* The path's last part without its ending, cut at `room`. */
void file_bytes_name(const char *path, char *name, size_t room);

/* The SHA-256 of `count` bytes as 64 hex digits and a 0. */
void file_bytes_sha256(const void *bytes, size_t count, char text[65]);

#endif
