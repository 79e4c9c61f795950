/* SPDX-License-Identifier: MIT
 *
 * record_reader.h - recorded streams (record_stream.h) become traces
 */
#ifndef HEAPRIG_RECORD_READER_H
#define HEAPRIG_RECORD_READER_H

#include "trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One process image that was recorded: a program started by exec, or the child of a fork. */
struct record_image {
    char path[4096]; /* of its stream */
    uint64_t started_ns;
    uint32_t pid;
    uint32_t image;         /* 0 for the first of this pid; exec starts the next */
    uint32_t records;       /* calls written down */
    uint32_t lost_children; /* forked children that could not make a stream */
    uint32_t pointer_bits;
    bool forked; /* begun by fork, with its parent's blocks */
    bool full;   /* the stream ended before the program: no room for more records */
    char arch[32];
    char name[64]; /* the program's name without its directory */
    char command[TRACE_TEXT_MAX];
};

/* What a stream had that a trace has not. */
struct record_notes {
    uint64_t unknown_frees; /* frees and reallocs of blocks from before the recording */
    uint64_t failed;        /* requests that returned NULL; not kept */
    uint64_t inversions;    /* reallocs moved before the allocation of the address they vacated */
    uint64_t missed_frees; /* blocks whose free was not seen; freed when their address came again */
    uint64_t unfilled;     /* records of threads that were killed while they wrote */
    uint64_t left_out;     /* records behind the last op kept */
};

/* Lists the streams in a folder, in order of their start. Files that are not whole streams are an
 * error that names the file; a stream whose process was killed before it had made its header is
 * passed over. False with *problem when the folder cannot be read. The caller frees *images. */
bool record_reader_list(const char *folder, struct record_image **images, size_t *count,
                        struct problem *problem);

/* Reads a stream into *out (which must be empty), at most max_ops operations, and says in *notes
 * what was mended or left out. Fills all of *out but its name and sha256. O(records). */
bool record_reader_load(const struct record_image *image, size_t max_ops, struct trace *out,
                        struct record_notes *notes, struct problem *problem);

#endif
