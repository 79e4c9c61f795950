/* SPDX-License-Identifier: MIT
 *
 * malloc_pool.h - one allocator as the heap of a whole process: its memory, and blocks aligned as
 * a C library's are
 *
 * Memory. The pool is one range of addresses, as large as the allocator can manage, reserved but
 * not committed: a page costs memory once it is touched, and is never given back. So no region is
 * ever added, and no free() has to look for one.
 *
 * Alignment. An allocator's payloads are multiples of ALLOC_ALIGN, a malloc's of MALLOC_ALIGN,
 * which is twice that on 64-bit machines. Blocks with headers agree modulo MALLOC_ALIGN as long as
 * all their sizes are multiples of it, so requests are rounded up to what fills such a block; how
 * much that is, a few blocks tell at the start:
 *
 *   | hd | usable = 12 | hd | usable = 12 + 16 | hd ...         request 1..12 -> 12, 13..28 -> 28
 *        ^ 16-aligned       ^ and so is this
 *
 * Slots have no headers and would be wasteful for that: allocators with runs.h take multiples of 16
 * in this library, and round up themselves what becomes a block.
 *
 * Whether the pool then begins right is tried out at the start, at two places. A payload that
 * nevertheless is odd becomes a wedge: cut down to a block of half an alignment more, it is left
 * there for ever, and what comes behind it is right. Whoever has no such blocks pays with
 * alloc_aligned() for every request.
 *
 * One caller at a time.
 */
#ifndef HEAPRIG_MALLOC_POOL_H
#define HEAPRIG_MALLOC_POOL_H

#include "../alloc/alloc.h"
#include "../trace/problem.h"

/* What a program preloaded with libheaprig_malloc.so is told by its environment. */
#define MALLOC_NAME_VARIABLE  "HEAPRIG_MALLOC"       /* name, or absolute path of a plug-in */
#define MALLOC_POOL_VARIABLE  "HEAPRIG_MALLOC_POOL"  /* bytes, decimal */
#define MALLOC_STATS_VARIABLE "HEAPRIG_MALLOC_STATS" /* set: figures at exit */

#define MALLOC_ALIGN _Alignof(max_align_t)

/* A process needs that much to start and do something. */
#define MALLOC_POOL_MIN ((size_t)1 << 20)

struct malloc_pool {
    const struct alloc_ops *ops;
    struct alloc *a;
    uintptr_t start; /* of the addresses reserved */
    size_t bytes;
    uint32_t tail;         /* plain requests are rounded up to this modulo MALLOC_ALIGN, */
    uint32_t aligned_tail; /* and those of alloc_aligned() to this; both 1 to MALLOC_ALIGN */
    uint32_t wedge;        /* a request whose block is half an alignment too long, or 1 */
    bool odd;              /* blocks do not agree: every request takes alloc_aligned() */
    size_t wedges;
};

/* Why the allocator cannot be a process's malloc, as "what, expected what"; NULL if it can. */
const char *malloc_pool_unfit(const struct alloc_ops *ops);

/* Reserves `bytes`, or what ALLOC_POOL_MAX and the allocator's pool_max leave of them, or, where
 * the process may not have so many addresses, half of what it may. Never below MALLOC_POOL_MIN.
 * False and *problem when there are none or the allocator refuses the pool. */
bool malloc_pool_open(struct malloc_pool *pool, const struct alloc_ops *ops, size_t bytes,
                      struct problem *problem);
void malloc_pool_close(struct malloc_pool *pool);

/* The least request of at least `bytes` that leaves all later blocks aligned. Below `bytes` when
 * there is no such number. */
static inline size_t malloc_pool_request(const struct malloc_pool *pool, size_t bytes) {
    if (MALLOC_ALIGN <= ALLOC_ALIGN) {
        return bytes;
    }
    return ((bytes + MALLOC_ALIGN - 1 - pool->tail) & ~(MALLOC_ALIGN - 1)) + pool->tail;
}

static inline bool malloc_pool_is_odd(const void *p) {
    return ((uintptr_t)p & (MALLOC_ALIGN - 1)) != 0;
}

/* As the functions of alloc.h, but payloads are multiples of MALLOC_ALIGN, 0 bytes count as 1, and
 * what an allocator lacks is done with what it has: realloc() by a copy, while an alignment beyond
 * MALLOC_ALIGN gives NULL. */
void *malloc_pool_alloc(struct malloc_pool *pool, size_t bytes);
void *malloc_pool_alloc_aligned(struct malloc_pool *pool, size_t bytes, size_t align);

/* Makes the odd block `p` a wedge; its contents are lost. */
void malloc_pool_wedge(struct malloc_pool *pool, void *p);

/* `p` is live, `bytes` not 0. If a block that had to move can only be had at an odd place, it is
 * left there. */
void *malloc_pool_realloc(struct malloc_pool *pool, void *p, size_t bytes);

/* Fills live memory of the pool with zeros; of much memory, pages are rather replaced by new ones.
 */
void malloc_pool_zero(void *p, size_t bytes);

#endif
