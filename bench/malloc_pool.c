/* SPDX-License-Identifier: MIT
 * malloc_pool.c - see malloc_pool.h. */
#include "malloc_pool.h"

#include <string.h>
#include <sys/mman.h>

enum {
    WEDGES_IN_A_ROW = 4, /* odd places met by one request before it takes alloc_aligned() */
    WEDGES_OF_A_START = 1,
    WEDGES_OF_A_TRIAL = 4, /* more, and blocks do not agree */
    TRIAL_ROUNDS = 6,
    PAGE = 4096
};

#define ZERO_BY_PAGES ((size_t)1 << 20)
#define UNFIT_BELOW   ((size_t)16 << 20)

const char *malloc_pool_unfit(const struct alloc_ops *ops) {
    if ((ops->caps & ALLOC_CAP_FIXED_SIZE) != 0) {
        return "all its blocks have one size, expected an allocator for any size";
    }
    if ((ops->caps & ALLOC_CAP_POOLLESS) != 0) {
        return "it takes memory from the system's malloc, expected an allocator that works in a "
               "pool";
    }
    if (ops->pool_max != 0 && ops->pool_max < UNFIT_BELOW) {
        return "its pools are too small, expected an allocator for at least 16 MiB";
    }
    return NULL;
}

/* ---- memory ---- */

/* New pages, all zero, at `start` or, if that is NULL, anywhere. */
static void *pages_map(void *start, size_t bytes) {
    int fixed = start != NULL ? MAP_FIXED : 0;
    void *pages = mmap(start, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
    return pages != MAP_FAILED ? pages : NULL;
}

static bool pool_reserve(struct malloc_pool *pool, size_t bytes) {
    void *pages = NULL;
    size_t most = bytes;
    while (bytes >= MALLOC_POOL_MIN && (pages = pages_map(NULL, bytes)) == NULL) {
        bytes = bytes / 2 & ~(size_t)(PAGE - 1);
    }
    if (pages != NULL && bytes < most && bytes / 2 >= MALLOC_POOL_MIN) {
        /* The program's stacks, files and libraries need addresses too. */
        size_t kept = bytes / 2 & ~(size_t)(PAGE - 1);
        munmap((char *)pages + kept, bytes - kept);
        bytes = kept;
    }
    pool->start = (uintptr_t)pages;
    pool->bytes = bytes;
    return pages != NULL;
}

void malloc_pool_zero(void *p, size_t bytes) {
    uintptr_t begin = ((uintptr_t)p + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
    uintptr_t end = ((uintptr_t)p + bytes) & ~(uintptr_t)(PAGE - 1);
    if (bytes < ZERO_BY_PAGES || pages_map((void *)begin, end - begin) == NULL) {
        memset(p, 0, bytes);
        return;
    }
    memset(p, 0, begin - (uintptr_t)p);
    memset((void *)end, 0, (uintptr_t)p + bytes - end);
}

/* ---- requests ---- */

static size_t aligned_request(const struct malloc_pool *pool, size_t bytes) {
    size_t align = MALLOC_ALIGN;
    return ((bytes + align - 1 - pool->aligned_tail) & ~(align - 1)) + pool->aligned_tail;
}

void *malloc_pool_alloc_aligned(struct malloc_pool *pool, size_t bytes, size_t align) {
    if (align <= MALLOC_ALIGN && !pool->odd) {
        return malloc_pool_alloc(pool, bytes);
    }
    bytes = bytes != 0 ? bytes : 1;
    align = align > MALLOC_ALIGN ? align : MALLOC_ALIGN;
    size_t request = aligned_request(pool, bytes);
    return pool->ops->alloc_aligned != NULL && request >= bytes
               ? pool->ops->alloc_aligned(pool->a, request, align)
               : NULL;
}

void malloc_pool_wedge(struct malloc_pool *pool, void *p) {
    const struct alloc_ops *ops = pool->ops;
    void *wedge = ops->realloc != NULL ? ops->realloc(pool->a, p, pool->wedge) : NULL;
    pool->wedges++;
    if (wedge != p) { /* there was no room for one */
        ops->free(pool->a, wedge != NULL ? wedge : p);
    }
}

void *malloc_pool_alloc(struct malloc_pool *pool, size_t bytes) {
    bytes = bytes != 0 ? bytes : 1;
    size_t request = malloc_pool_request(pool, bytes);
    for (int i = 0; !pool->odd && request >= bytes && i < WEDGES_IN_A_ROW; i++) {
        void *p = pool->ops->alloc(pool->a, request);
        if (!malloc_pool_is_odd(p)) {
            return p;
        }
        malloc_pool_wedge(pool, p);
    }
    size_t aligned = aligned_request(pool, bytes);
    return pool->ops->alloc_aligned != NULL && aligned >= bytes
               ? pool->ops->alloc_aligned(pool->a, aligned, MALLOC_ALIGN)
               : NULL;
}

static void *realloc_by_copy(struct malloc_pool *pool, void *p, size_t bytes) {
    size_t usable = pool->ops->usable(pool->a, p);
    void *moved = malloc_pool_alloc(pool, bytes);
    if (moved != NULL) {
        memcpy(moved, p, usable < bytes ? usable : bytes);
        pool->ops->free(pool->a, p);
    }
    return moved;
}

void *malloc_pool_realloc(struct malloc_pool *pool, void *p, size_t bytes) {
    size_t request = malloc_pool_request(pool, bytes);
    if (pool->ops->realloc == NULL || pool->odd) {
        return realloc_by_copy(pool, p, bytes);
    }
    void *here = request >= bytes ? pool->ops->realloc(pool->a, p, request) : NULL;
    if (!malloc_pool_is_odd(here)) {
        return here;
    }
    void *moved = realloc_by_copy(pool, here, bytes);
    return moved != NULL ? moved : here;
}

/* ---- the start ---- */

/* How many requests of a usual mix met an odd place; some is left behind by each. */
static size_t pool_try(struct malloc_pool *pool) {
    static const uint16_t sizes[] = {20, 20, 100, 250, 20, 600, 3000};
    enum { SIZES = sizeof sizes / sizeof sizes[0], BLOCKS = SIZES * TRIAL_ROUNDS };
    void *block[BLOCKS];
    pool->wedges = 0;
    for (size_t i = 0; i < BLOCKS; i++) {
        block[i] = malloc_pool_alloc(pool, sizes[i % SIZES]);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        if (block[i] != NULL) {
            pool->ops->free(pool->a, block[i]);
        }
    }
    return pool->wedges;
}

/* How far a plain block lies, modulo MALLOC_ALIGN, behind a block of `request` bytes that is
 * aligned to `align`, or plain for 0. Both are given back; it is larger than any gap before the
 * first. */
static size_t phase_behind(const struct malloc_pool *pool, size_t request, size_t align) {
    const struct alloc_ops *ops = pool->ops;
    void *p =
        align != 0 ? ops->alloc_aligned(pool->a, request, align) : ops->alloc(pool->a, request);
    void *behind = ops->alloc(pool->a, 8 * MALLOC_ALIGN + pool->tail);
    size_t phase = ((uintptr_t)behind - (uintptr_t)p) % MALLOC_ALIGN;
    ops->free(pool->a, behind);
    ops->free(pool->a, p);
    return phase;
}

/* The largest request, from `most` down to `least`, behind whose block a plain one lies `phase`
 * further modulo MALLOC_ALIGN; `least` if there is none. */
static uint32_t request_learn(const struct malloc_pool *pool, uint32_t most, uint32_t least,
                              size_t align, size_t phase) {
    while (most > least && phase_behind(pool, most, align) != phase) {
        most--;
    }
    return most;
}

/* The most bytes modulo MALLOC_ALIGN, from MALLOC_ALIGN down, whose blocks keep the next aligned.
 */
static uint32_t tail_learn(const struct malloc_pool *pool, size_t align) {
    uint32_t none = MALLOC_ALIGN;
    return request_learn(pool, 2 * none, none + 1, align, 0) - none;
}

/* Formats the pool `offset` bytes behind its start; its pages read as zeros. */
static bool pool_format(struct malloc_pool *pool, size_t offset) {
    const struct alloc_cfg cfg = {.zeroed = true};
    pool->tail = pool->aligned_tail = MALLOC_ALIGN;
    pool->wedge = 1;
    pool->a = pool->ops->init((void *)(pool->start + offset), pool->bytes - offset, &cfg);
    if (pool->a != NULL && MALLOC_ALIGN > ALLOC_ALIGN) {
        pool->tail = tail_learn(pool, 0);
        pool->wedge = request_learn(pool, 2 * MALLOC_ALIGN, 1, 0, ALLOC_ALIGN);
        pool->aligned_tail =
            pool->ops->alloc_aligned != NULL ? tail_learn(pool, 2 * MALLOC_ALIGN) : MALLOC_ALIGN;
    }
    return pool->a != NULL;
}

/* Formats the pool at the better one of two places. */
static bool pool_begin(struct malloc_pool *pool) {
    pool->odd = false;
    if (!pool_format(pool, 0) || MALLOC_ALIGN <= ALLOC_ALIGN) {
        return pool->a != NULL;
    }
    size_t wedges = pool_try(pool);
    if (wedges <= WEDGES_OF_A_START) {
        return true;
    }
    if (pages_map((void *)pool->start, pool->bytes) == NULL || !pool_format(pool, ALLOC_ALIGN)) {
        return false;
    }
    size_t wedges_there = pool_try(pool);
    if (wedges_there > wedges) {
        if (pages_map((void *)pool->start, pool->bytes) == NULL || !pool_format(pool, 0)) {
            return false;
        }
        wedges_there = pool_try(pool);
    }
    pool->odd = wedges_there > WEDGES_OF_A_TRIAL;
    return true;
}

bool malloc_pool_open(struct malloc_pool *pool, const struct alloc_ops *ops, size_t bytes,
                      struct problem *problem) {
    size_t most = ops->pool_max != 0 && ops->pool_max < ALLOC_POOL_MAX ? ops->pool_max
                                                                       : (size_t)ALLOC_POOL_MAX;
    *pool = (struct malloc_pool){.ops = ops};
    if (!pool_reserve(pool, (bytes < most ? bytes : most) & ~(size_t)(PAGE - 1))) {
        return problem_set(problem, "no addresses for a pool, expected at least %zu bytes",
                           MALLOC_POOL_MIN);
    }
    if (!pool_begin(pool)) {
        malloc_pool_close(pool);
        return problem_set(problem, "%s: refuses a pool of %zu bytes", ops->name, pool->bytes);
    }
    if (pool->odd && ops->alloc_aligned == NULL) {
        malloc_pool_close(pool);
        return problem_set(problem,
                           "%s: its blocks are not aligned to %zu bytes, expected that or "
                           "alloc_aligned()",
                           ops->name, MALLOC_ALIGN);
    }
    return true;
}

void malloc_pool_close(struct malloc_pool *pool) {
    munmap((void *)pool->start, pool->bytes);
    pool->a = NULL;
}
