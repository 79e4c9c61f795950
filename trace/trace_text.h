/* SPDX-License-Identifier: MIT
 *
 * trace_text.h - traces as text, for people to write and for diff to compare
 *
 *     # boot, shortened                     a comment: the whole line, or the rest of one
 *     origin: written by hand               first, if at all: origin, command, arch, pointer_bits
 *     a 1 100                               block 1 = malloc(100)
 *     c 2 64 @1                             block 2 = calloc of 64 bytes in all, by thread 1
 *     m 3 4096 100                          block 3 = aligned_alloc(4096, 100)
 *     r 1 200                               block 1 = realloc(block 1, 200); at least 1 byte
 *     f 1                                   free(block 1)
 *     a 10-71 8                             the same for blocks 10, 11, ... 71: malloc(8) each
 *     f 71-11/4                             free(blocks 71, 67, ... 11)
 *
 * One op per line, or of a run of blocks one for each, up to 4096. A block is named by any number
 * of 64 bits; the name may be used again once the block is free. Numbers are decimal or 0x hex.
 * Without @ it is thread 0 (0 to 65535; threads are renumbered in order of appearance). Lines may
 * end in CRLF. \x and two hex digits in a header line stand for that byte.
 */
#ifndef HEAPRIG_TRACE_TEXT_H
#define HEAPRIG_TRACE_TEXT_H

#include "file_bytes.h"
#include "op_run.h"
#include "trace.h"

/* Reads a text trace of at least one op into *out (empty on entry), its digest too. False and
 * `path:line: what, expected what` otherwise. O(bytes). */
bool trace_text_decode(const char *path, const char *text, size_t count, struct trace *out,
                       struct problem *problem);

/* Appends the trace as text, an op per line, each block named by its slot. What trace_text_decode()
 * reads from it equals the trace, if its slots follow the rule of trace_builder. False when memory
 * is out or the trace has no op. */
bool trace_text_encode(const struct trace *trace, struct file_bytes *file, struct problem *problem);

/* Appends the run of ops that begins at `op` as one line. False when memory is out. */
bool trace_text_encode_run(const struct op *op, struct op_run run, struct file_bytes *file);

#endif
