/* SPDX-License-Identifier: MIT
 *
 * trace_columns.h - a block of ops as columns of bytes, made to be compressed
 *
 * Values of one sort stand together, since they resemble each other. A number of several bytes is
 * cut into 7-bit digits, low one first, each but the last with the top bit set; each digit has a
 * column of its own, since only digits of one weight resemble each other:
 *
 *   kinds     one byte per op: enum op_kind, plus 8 when its thread is not that of the op before
 *   aligns    one byte per aligned op: log2 of the alignment
 *   sizes     10 columns: bytes of each op but frees
 *   ages      5 columns: how many ops ago the block of a realloc or free was last named
 *   threads   3 columns: the new thread, where kinds has the 8
 *
 * Slots are not stored. An allocation takes the slot that was freed last, or the next new one; an
 * age leads to the op that has the slot. So slots come back numbered by that rule, whatever they
 * were before.
 *
 *   a block in bytes: length of each column (4 bytes, little-endian), then the columns
 *
 * Measured with zstd at level 19 on 317 k ops of a compiler run: kinds 19 KB, sizes 37 KB, ages
 * 49 KB. Slots instead of ages took 110 KB; ages without a column per digit 58 KB; counting ages in
 * live blocks instead of ops 34 KB, but needs a search tree to read. A table of sizes gained
 * nothing.
 */
#ifndef HEAPRIG_TRACE_COLUMNS_H
#define HEAPRIG_TRACE_COLUMNS_H

#include "file_bytes.h"
#include "op.h"

#include <stdbool.h>
#include <stdint.h>

/* Most ops of a block, and the most bytes that columns of so many take. */
#define TRACE_COLUMNS_OPS_MAX   ((size_t)1 << 18)
#define TRACE_COLUMNS_BYTES_MAX (TRACE_COLUMNS_OPS_MAX * 20 + 128)

/* Appends ops [first, first + count) of `ops` to `block`. count is from 1 to TRACE_COLUMNS_OPS_MAX.
 * last_op: the op that named each slot last; kept up to date for the next block. The ops are
 * valid, see trace_finish(). False when memory is out. */
bool trace_columns_encode(const struct op *ops, size_t first, size_t count, uint32_t *last_op,
                          struct file_bytes *block);

/* What a reader carries from block to block. */
struct trace_columns_slots {
    uint32_t *freed; /* stack, room for as many entries as there are ops so far */
    size_t freed_count;
    uint32_t slot_count; /* slots given out */
};

/* Reads a block of `count` ops into ops[first] and following. Returns NULL, or in words what is
 * wrong with the block. Whatever the bytes hold, it stays within the block and the arrays; but only
 * trace_finish() tells whether the ops are valid. */
const char *trace_columns_decode(const unsigned char *block, size_t bytes, struct op *ops,
                                 size_t first, size_t count, struct trace_columns_slots *slots);

#endif
