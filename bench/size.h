/* SPDX-License-Identifier: MIT
 *
 * size.h - what an allocator takes before a byte is asked for: flash, control structure, headers
 *
 * Code and constants come from tools/code_size.sh, which compiles and links for the target. The
 * rest is asked of a heap: layouts are the same on every machine.
 */
#ifndef HEAPRIG_SIZE_H
#define HEAPRIG_SIZE_H

#include "rows.h"

/* Fills in allocator, control structures and blocks; code is unknown. False when memory is out. */
bool size_measure(const struct alloc_ops *ops, struct size_row *row);

/* Fills in the code of the rows from what tools/code_size.sh wrote. Lines about other allocators
 * are skipped. False and *problem when the file cannot be read or has another form. */
bool size_code_read(const char *path, struct size_row *rows, size_t row_count,
                    struct problem *problem);

#endif
