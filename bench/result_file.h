/* SPDX-License-Identifier: MIT
 * result_file.h - a file that is whole or not there: written beside, then renamed */
#ifndef HEAPRIG_RESULT_FILE_H
#define HEAPRIG_RESULT_FILE_H

#include "../trace/problem.h"

#include <stdio.h>

struct result_file {
    FILE *stream; /* write here */
    char path[512];
    char beside[544];
};

/* Makes the folder and its parents. False and *problem when it is not there afterwards or not
 * writable. */
bool result_folder_make(const char *folder, struct problem *problem);

/* Opens a new file that is to become PATH. False and *problem when that fails. */
bool result_file_open(struct result_file *file, const char *path, struct problem *problem);

/* Flushes and closes; the file still stands beside. False and *problem when any byte could not be
 * written; then nothing is left beside. */
bool result_file_close(struct result_file *file, struct problem *problem);

/* Renames a closed file to its path. False and *problem when that fails; then what stood there
 * before is whole and nothing is left beside. */
bool result_file_publish(struct result_file *file, struct problem *problem);

/* Removes a closed file that shall not be published. */
void result_file_drop(struct result_file *file);

/* result_file_close() and result_file_publish(). */
bool result_file_commit(struct result_file *file, struct problem *problem);

#endif
