/* SPDX-License-Identifier: MIT
 *
 * baseline_jemalloc_pool.c - jemalloc confined to a pool
 *
 * A copy of jemalloc of its own (tools/renamed_jemalloc.sh, prefix jep_), linked in where the
 * system has it. Each heap is an arena whose extent hooks cut the pool from its start:
 *
 *   pool  | extents handed to jemalloc ............ | not yet asked for | edge |
 *         begin                                     next                end      whole 4 KiB pages
 *
 * Extents never come back through the hooks; jemalloc keeps, splits and merges them itself. What an
 * arena needs first, 2 MiB of bookkeeping, is served from outside the pool, or pools below 2 MiB
 * would hold nothing; further bookkeeping comes out of the pool.
 *
 * The arena is bound to the calling thread, so that calls take jemalloc's fast path through the
 * thread cache; a call on another heap than the last flushes the cache and binds anew.
 *
 * jep_malloc_conf: one automatic arena, which no heap uses. Freed pages wait for a request of their
 * kind, however long (decay -1), as they do for 10 s with jemalloc's defaults; a request that finds
 * no memory has the cache flushed and all free pages joined, and is tried once more. Extents of
 * separate hook calls may be joined (retain off), which small pools live on. Blocks of 16 KiB and
 * more get a page more than they need and start at a random line of it: where they lie differs
 * from run to run, how many fit does not.
 */
#include "baseline.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { PAGE = 4096, MALLCTL_NAME_BYTES = 64 };

struct extent_hooks {
    void *(*alloc)(struct extent_hooks *hooks, void *wanted, size_t bytes, size_t align, bool *zero,
                   bool *commit, unsigned arena);
    bool (*dalloc)(struct extent_hooks *hooks, void *start, size_t bytes, bool committed,
                   unsigned arena);
    void (*destroy)(struct extent_hooks *hooks, void *start, size_t bytes, bool committed,
                    unsigned arena);
    bool (*commit)(struct extent_hooks *, void *, size_t, size_t, size_t, unsigned);
    bool (*decommit)(struct extent_hooks *, void *, size_t, size_t, size_t, unsigned);
    bool (*purge_lazy)(struct extent_hooks *, void *, size_t, size_t, size_t, unsigned);
    bool (*purge_forced)(struct extent_hooks *, void *, size_t, size_t, size_t, unsigned);
    bool (*split)(struct extent_hooks *, void *, size_t, size_t, size_t, bool, unsigned);
    bool (*merge)(struct extent_hooks *, void *, size_t, void *, size_t, bool, unsigned);
};

/* Weak: NULL where jemalloc is not linked in. */
#define WEAK __attribute__((weak))
WEAK int jep_mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);
WEAK void *jep_malloc(size_t bytes);
WEAK void *jep_memalign(size_t align, size_t bytes);
WEAK void *jep_realloc(void *p, size_t bytes);
WEAK void jep_free(void *p);
WEAK size_t jep_malloc_usable_size(const void *p);

/* jemalloc reads its options here when the program starts. */
extern const char *jep_malloc_conf;
const char *jep_malloc_conf = "narenas:1,retain:false,dirty_decay_ms:-1,muzzy_decay_ms:0";

struct alloc {
    struct extent_hooks hooks; /* first: a hook gets its address */
    struct alloc *next_heap;
    char *pool;
    size_t pool_bytes;
    uintptr_t begin, next, end;
    void *outside; /* mapping of the bookkeeping */
    size_t outside_bytes;
    unsigned arena;
    bool creating;
};

/* Heaps that were not yet replaced by an init() of the same memory. */
static struct alloc *heaps;

/* The heap whose arena this thread allocates from. */
static _Thread_local struct alloc *bound;

static uintptr_t round_up(uintptr_t value, size_t unit) {
    return (value + unit - 1) & ~((uintptr_t)unit - 1);
}

/* ---- hooks ---- */

static void *outside_map(struct alloc *a, size_t bytes, size_t align) {
    size_t mapping_bytes = bytes + align;
    void *mapping = mmap(NULL, mapping_bytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) {
        return NULL;
    }
    assert(a->outside == NULL && "an arena asks for bookkeeping once while it is created");
    a->outside = mapping;
    a->outside_bytes = mapping_bytes;
    return (char *)mapping + (round_up((uintptr_t)mapping, align) - (uintptr_t)mapping);
}

static void *hook_alloc(struct extent_hooks *hooks, void *wanted, size_t bytes, size_t align,
                        bool *zero, bool *commit, unsigned arena) {
    (void)arena;
    struct alloc *a = (struct alloc *)hooks;
    *commit = true;
    if (a->creating) {
        *zero = true;
        return outside_map(a, bytes, align);
    }
    uintptr_t start = round_up(a->next, align);
    if (wanted != NULL || start < a->next || start > a->end || bytes > a->end - start) {
        return NULL;
    }
    a->next = start + bytes;
    char *extent = a->pool + (start - (uintptr_t)a->pool);
    if (*zero) {
        memset(extent, 0, bytes);
    }
    return extent;
}

/* True: the extent stays with the arena. */
static bool hook_dalloc(struct extent_hooks *hooks, void *start, size_t bytes, bool committed,
                        unsigned arena) {
    (void)bytes;
    (void)committed;
    (void)arena;
    struct alloc *a = (struct alloc *)hooks;
    uintptr_t outside = (uintptr_t)a->outside;
    if ((uintptr_t)start - outside >= a->outside_bytes) {
        return true;
    }
    (void)munmap(a->outside, a->outside_bytes);
    a->outside = NULL;
    return false;
}

static void hook_destroy(struct extent_hooks *hooks, void *start, size_t bytes, bool committed,
                         unsigned arena) {
    (void)hook_dalloc(hooks, start, bytes, committed, arena);
}

static bool hook_split(struct extent_hooks *hooks, void *start, size_t bytes, size_t first_bytes,
                       size_t second_bytes, bool committed, unsigned arena) {
    (void)hooks;
    (void)start;
    (void)bytes;
    (void)first_bytes;
    (void)second_bytes;
    (void)committed;
    (void)arena;
    return false;
}

static bool hook_merge(struct extent_hooks *hooks, void *first, size_t first_bytes, void *second,
                       size_t second_bytes, bool committed, unsigned arena) {
    (void)hooks;
    (void)first;
    (void)first_bytes;
    (void)second;
    (void)second_bytes;
    (void)committed;
    (void)arena;
    return false;
}

static const struct extent_hooks pool_hooks = {
    .alloc = hook_alloc,
    .dalloc = hook_dalloc,
    .destroy = hook_destroy,
    .split = hook_split,
    .merge = hook_merge,
};

/* ---- arenas ---- */

static bool cache_flush(void) {
    return jep_mallctl("thread.tcache.flush", NULL, NULL, NULL, 0) == 0;
}

static bool thread_bind(unsigned arena) {
    return cache_flush() && jep_mallctl("thread.arena", NULL, NULL, &arena, sizeof arena) == 0;
}

/* Makes this thread allocate from the heap; false when jemalloc refuses, nothing may then be asked
 * of it. */
__attribute__((noinline)) static bool heap_bind(struct alloc *a) {
    bound = thread_bind(a->arena) ? a : NULL;
    return bound == a;
}

static inline bool heap_bound(struct alloc *a) {
    return __builtin_expect(bound == a, 1) || heap_bind(a);
}

/* "arena.ARENA.VERB" */
static bool arena_do(unsigned arena, const char *verb) {
    char name[MALLCTL_NAME_BYTES];
    (void)snprintf(name, sizeof name, "arena.%u.%s", arena, verb);
    return jep_mallctl(name, NULL, NULL, NULL, 0) == 0;
}

/* Joins all free pages of the bound heap: true when a request that failed is worth another try. */
__attribute__((noinline)) static bool heap_gather(const struct alloc *a) {
    return cache_flush() && arena_do(a->arena, "purge");
}

/* Destroys the heap and leaves its memory alone. False when another thread still uses it. */
static bool heap_end(struct alloc *a) {
    if (bound == a) {
        bound = NULL;
        if (!thread_bind(0)) {
            return false;
        }
    }
    if (!arena_do(a->arena, "destroy")) {
        return false;
    }
    if (a->outside != NULL) {
        (void)munmap(a->outside, a->outside_bytes);
    }
    free(a);
    return true;
}

/* Ends every heap that lies in the memory of a new one. */
static bool heaps_replace(uintptr_t pool, size_t pool_bytes) {
    for (struct alloc **at = &heaps; *at != NULL;) {
        struct alloc *a = *at;
        struct alloc *next_heap = a->next_heap;
        uintptr_t old = (uintptr_t)a->pool;
        if (old - pool < pool_bytes || pool - old < a->pool_bytes) {
            if (!heap_end(a)) {
                return false;
            }
            *at = next_heap;
        } else {
            at = &a->next_heap;
        }
    }
    return true;
}

static bool arena_create(struct alloc *a) {
    struct extent_hooks *hooks = &a->hooks;
    size_t bytes = sizeof a->arena;
    a->creating = true;
    int error = jep_mallctl("arenas.create", &a->arena, &bytes, (void *)&hooks, sizeof hooks);
    a->creating = false;
    return error == 0;
}

static struct alloc *pool_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    (void)cfg;
    uintptr_t start = (uintptr_t)pool;
    uintptr_t begin = round_up(start, PAGE);
    uintptr_t end = (start + pool_bytes) & ~(uintptr_t)(PAGE - 1);
    if (pool == NULL || begin < start || end < start || end <= begin ||
        !heaps_replace(start, pool_bytes)) {
        return NULL;
    }
    struct alloc *a = malloc(sizeof *a);
    if (a == NULL) {
        return NULL;
    }
    *a = (struct alloc){.hooks = pool_hooks,
                        .pool = pool,
                        .pool_bytes = pool_bytes,
                        .begin = begin,
                        .next = begin,
                        .end = end};
    if (!arena_create(a)) {
        if (a->outside != NULL) {
            (void)munmap(a->outside, a->outside_bytes);
        }
        free(a);
        return NULL;
    }
    a->next_heap = heaps;
    heaps = a;
    return heap_bind(a) ? a : NULL;
}

/* ---- calls ---- */

static void *pool_alloc(struct alloc *a, size_t bytes) {
    if (!heap_bound(a) || bytes == 0) {
        return NULL;
    }
    void *p = jep_malloc(bytes);
    if (__builtin_expect(p == NULL, 0) && heap_gather(a)) {
        p = jep_malloc(bytes);
    }
    return p;
}

static void *pool_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    if (align <= ALLOC_ALIGN && align != 0 && (align & (align - 1)) == 0) {
        return pool_alloc(a, bytes);
    }
    if (!heap_bound(a) || bytes == 0 || align == 0 || (align & (align - 1)) != 0) {
        return NULL;
    }
    void *p = jep_memalign(align, bytes);
    if (p == NULL && heap_gather(a)) {
        p = jep_memalign(align, bytes);
    }
    return p;
}

static void *pool_realloc(struct alloc *a, void *p, size_t bytes) {
    if (!heap_bound(a)) {
        return NULL;
    }
    if (bytes == 0) {
        jep_free(p);
        return NULL;
    }
    void *moved = jep_realloc(p, bytes);
    if (__builtin_expect(moved == NULL, 0) && heap_gather(a)) {
        moved = jep_realloc(p, bytes);
    }
    return moved;
}

static enum alloc_status pool_free(struct alloc *a, void *p) {
    if (!heap_bound(a)) {
        return ALLOC_FOREIGN;
    }
    jep_free(p);
    return ALLOC_OK;
}

static size_t pool_usable(const struct alloc *a, const void *p) {
    (void)a;
    return jep_malloc_usable_size(p);
}

static size_t arena_figure(const struct alloc *a, const char *figure) {
    char name[MALLCTL_NAME_BYTES];
    size_t value = 0;
    size_t bytes = sizeof value;
    (void)snprintf(name, sizeof name, "stats.arenas.%u.%s", a->arena, figure);
    return jep_mallctl(name, &value, &bytes, NULL, 0) == 0 ? value : 0;
}

static void pool_stats(const struct alloc *a, struct alloc_stats *out) {
    uint64_t epoch = 1;
    (void)jep_mallctl("epoch", NULL, NULL, &epoch, sizeof epoch);
    size_t edges = a->pool_bytes - (a->end - a->begin);
    size_t live = arena_figure(a, "small.allocated") + arena_figure(a, "large.allocated");
    *out = (struct alloc_stats){.pool_bytes = a->pool_bytes,
                                .live_bytes = live,
                                .meta_bytes = edges,
                                .free_bytes = a->pool_bytes - edges - live};
}

size_t baseline_jemalloc_pool_outside(const struct alloc *a) {
    return a->outside != NULL ? a->outside_bytes / 2 : 0; /* half of it is for the alignment */
}

const struct alloc_ops *baseline_jemalloc_pool(void) {
    static const struct alloc_ops ops = {
        .abi = ALLOC_ABI,
        .caps = ALLOC_CAP_FREES,
        .name = "jemalloc_pool",
        .summary = "jemalloc confined to the pool, but for 2 MiB of bookkeeping outside",
        .init = pool_init,
        .alloc = pool_alloc,
        .alloc_aligned = pool_alloc_aligned,
        .realloc = pool_realloc,
        .free = pool_free,
        .usable = pool_usable,
        .stats = pool_stats,
    };
    return jep_mallctl != NULL ? &ops : NULL;
}
