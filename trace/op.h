/* SPDX-License-Identifier: MIT
 *
 * op.h - one event of a heap's life
 *
 * Everything that drives an allocator is an array of struct op: a recorded trace, a generator with
 * a seed, an imported file, fuzz bytes, a regression file, a unit test.
 *
 * A slot is a place where a client keeps a pointer. Slots are numbered from 0, are used again after
 * their block was freed, and number as many as blocks are ever live at once; so a replay needs one
 * small table and no hashing.
 */
#ifndef HEAPRIG_OP_H
#define HEAPRIG_OP_H

#include <stddef.h>
#include <stdint.h>

enum op_kind {
    OP_ALLOC,   /* slot = malloc(bytes); the slot must be empty */
    OP_CALLOC,  /* as OP_ALLOC, zeroed by the C library */
    OP_ALIGNED, /* slot = aligned_alloc(1 << align_log2, bytes); the slot must be empty */
    OP_REALLOC, /* slot = realloc(slot, bytes); the slot must be full, bytes > 0 */
    OP_FREE,    /* free(slot); the slot must be full; bytes is 0 */
    OP_KIND_COUNT
};

struct op {
    uint64_t bytes;  /* request; 64 bits on every machine, the replay refuses what does not fit */
    uint32_t slot;   /* index below the trace's slot_count */
    uint16_t thread; /* recorded thread, numbered from 0 in order of appearance */
    uint8_t kind;    /* enum op_kind */
    uint8_t align_log2; /* OP_ALIGNED: log2 of the alignment, at most 63; else 0 */
};

_Static_assert(sizeof(struct op) == 16, "an op fills a quarter of a cache line");

#endif
