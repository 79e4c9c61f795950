/* SPDX-License-Identifier: MIT
 *
 * micro.h - small benchmarks of single situations
 *
 * Each brings a fresh heap into a situation and repeats a few calls in it:
 *
 *   init  prepare  [reset] batch  [reset] batch  [reset] batch ...
 *                          timed          timed          timed
 *
 * To add one: define `const struct micro micro_NAME` in a micro_*.c file and add a line X(NAME) to
 * micro_list.h.
 */
#ifndef HEAPRIG_MICRO_H
#define HEAPRIG_MICRO_H

#include "../alloc/alloc.h"

enum { MICRO_BLOCKS = 8192, MICRO_ARGS = 6 };

struct micro_heap {
    const struct alloc_ops *ops;
    struct alloc *heap;
    size_t arg; /* the case: one of micro.args */
    size_t live;
    void *block[MICRO_BLOCKS]; /* outside batch() exactly block[0 .. live) are live */
};

/* What an allocator must be able to do. */
enum micro_needs {
    MICRO_NEEDS_ALIGNED = 1u << 0,
    MICRO_NEEDS_REALLOC = 1u << 1,
    MICRO_NEEDS_SIZES = 1u << 2, /* blocks of more than one size */
};

struct micro {
    const char *summary;                   /* what one operation is; ARG stands for the argument */
    size_t args[MICRO_ARGS];               /* ends with 0 */
    unsigned needs;                        /* enum micro_needs, or-ed */
    unsigned batch_ops;                    /* operations in a batch */
    size_t (*block_bytes)(size_t arg);     /* largest request, for allocators of one size; NULL when
                                              MICRO_NEEDS_SIZES */
    bool (*prepare)(struct micro_heap *h); /* may be NULL */
    bool (*reset)(struct micro_heap *h);   /* not timed; may be NULL */
    bool (*batch)(struct micro_heap *h);   /* all three: false when a request failed */
};

#define X(name) extern const struct micro micro_##name;
#include "micro_list.h"
#undef X

/* Allocates `count` blocks of `bytes` bytes behind the live ones. False when one failed; those
 * before it are live then. */
bool micro_grow(struct micro_heap *h, size_t count, size_t bytes);

/* Frees the live blocks from index `live` on. */
void micro_shrink(struct micro_heap *h, size_t live);

#endif
