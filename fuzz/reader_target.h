/* SPDX-License-Identifier: MIT
 *
 * reader_target.h - a fuzz target of something that reads a trace from memory
 *
 * READER_TARGET(call): `call` reads `bytes`, of `size` and with a 0 behind them, or the file
 * reader_path(bytes, size), into *trace, or leaves a line in *problem. What was read must be a
 * valid trace, what was refused must say why.
 */
#ifndef HEAPRIG_READER_TARGET_H
#define HEAPRIG_READER_TARGET_H

#include "../trace/trace.h"
#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The bytes as a file, for readers that take a path. */
static inline const char *reader_path(const unsigned char *bytes, size_t size) {
    static char path[64];
    static int file = -1;
    if (file < 0) {
        file = memfd_create("input", 0);
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    if (ftruncate(file, 0) != 0 || pwrite(file, bytes, size, 0) != (ssize_t)size) {
        fputs("heaprig: no memory for a file\n", stderr);
        exit(2);
    }
    return path;
}

static inline void reader_judge(bool fine, struct trace *trace, struct problem *problem) {
    struct problem doubt;
    if (fine && trace->op_count > 0 && !trace_finish(trace, "again", &doubt)) {
        fprintf(stderr, "heaprig: read what is no valid trace: %s\n", doubt.text);
        abort();
    }
    if (!fine && (problem->text[0] == '\0' || strchr(problem->text, '\n') != NULL)) {
        fprintf(stderr, "heaprig: refused without one line: '%s'\n", problem->text);
        abort();
    }
    trace_release(trace);
}

#define READER_TARGET(call)                                                                        \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {                                 \
        struct trace read = {0}, *trace = &read;                                                   \
        struct problem line = {""}, *problem = &line;                                              \
        unsigned char *bytes = malloc(size + 1);                                                   \
        if (bytes == NULL || size == 0) {                                                          \
            free(bytes);                                                                           \
            return 0;                                                                              \
        }                                                                                          \
        tally_run(data, size);                                                                     \
        memcpy(bytes, data, size);                                                                 \
        bytes[size] = '\0';                                                                        \
        bool fine = (call);                                                                        \
        reader_judge(fine, trace, problem);                                                        \
        free(bytes);                                                                               \
        return 0;                                                                                  \
    }

#endif
