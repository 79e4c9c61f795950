/* SPDX-License-Identifier: MIT
 *
 * trace_file.h - the heaprig trace file, .hrt
 *
 *     heaprig trace 1                       a header to be read with `head -14`: text, fixed order;
 *     origin recorded by heaprig            control bytes, backslashes and blanks at either end are
 *     command ./app --port 80               written as \x and two hex digits
 *     arch x86_64
 *     pointer_bits 64                       32, 64 or 0 for unknown
 *     ops 184302
 *     alloc 90000                           and so on for calloc, aligned, realloc, free
 *     peak_live_bytes 731904
 *     peak_live_blocks 5120
 *     threads 2
 *     (an empty line)
 *     block, block, ...                     ops, bytes of the columns, bytes compressed (4 bytes
 *                                           each, little-endian); one zstd frame with checksum,
 *                                           which holds columns (trace_columns.h)
 *     end                                   a block header of zeros, then the SHA-256 (32 bytes) of
 *                                           all that stands before it; nothing follows
 *
 * A cut file lacks its end, a changed one fails a check: lengths and numbers by their limits,
 * frames by their checksums, counts by recounting, and all of it by the SHA-256. Another version
 * number is another format.
 */
#ifndef HEAPRIG_TRACE_FILE_H
#define HEAPRIG_TRACE_FILE_H

#include "file_bytes.h"
#include "trace.h"

/* Whether the bytes start like a heaprig trace file of any version. */
bool trace_file_is(const unsigned char *bytes, size_t count);

/* Reads a whole file in memory into *out (empty on entry), its digest too. False and `path: what,
 * expected what` on any damage. Memory grows with the ops really found, never with what the header
 * says. The caller releases *out in either case. About 20 ns per op. */
bool trace_file_decode(const char *path, const unsigned char *bytes, size_t count,
                       struct trace *out, struct problem *problem);

/* Appends the trace, which was finished. Slots are not kept but follow from the order of ops, see
 * trace_columns.h. False when memory is out. Compresses hard, since traces are committed: about
 * 1 us per op. */
bool trace_file_encode(const struct trace *trace, struct file_bytes *file, struct problem *problem);

#endif
