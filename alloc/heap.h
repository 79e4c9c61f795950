/* SPDX-License-Identifier: MIT
 *
 * heap.h - the boundary-tag heap as a whole: its layout (heap_layout.h), what changes it
 * (heap_ops.h), what looks at it (heap_check.h), and here: how it comes into being.
 *
 * An allocator of this kind is an index over this heap:
 *
 *   static const struct heap_index_ops NAME_index_ops = { ... };
 *   HEAP_DEFINE(NAME, WAY, CAPS, "summary")
 *
 * Regions. Each added region is a heap of its own, with control structure and wilderness, chained
 * to the pool in address order. A request is served by the first that can.
 */
#ifndef HEAPRIG_HEAP_H
#define HEAPRIG_HEAP_H

#include "heap_check.h"
#include "heap_layout.h"
#include "heap_ops.h"

/* Makes [memory, memory + bytes) a heap and returns it; NULL, with nothing written, if it is NULL
 * or too small for control structure, one smallest block and the closing word. */
static inline struct heap *heap_format(const struct heap_index_ops *ix, void *memory,
                                       size_t bytes) {
    uintptr_t start = ((uintptr_t)memory + 7) & ~(uintptr_t)7;
    size_t before = start - (uintptr_t)memory;
    if (memory == NULL || bytes < before + sizeof(struct heap) + HEAP_BLOCK_MIN + 4) {
        return NULL;
    }
    size_t span = (bytes - before) & ~(size_t)7;
    uint32_t end = (uint32_t)(span - 4);
    uint32_t first = heap_first_after(ix->control_bytes(end));
    if (first > end || end - first < HEAP_BLOCK_MIN) {
        return NULL;
    }
    struct heap *h = (struct heap *)start;
    *h = (struct heap){.top = first, .end = end, .first = first, .next = 0, .seal = 0};
    uint32_t behind = (uint32_t)(bytes - before - span);
    h->seal = heap_seal(h, (uint32_t)before | behind << 3);
    ix->format(h);
    heap_set(h, first, HEAP_FREE);
    return h;
}

static inline struct heap *heap_init(const struct heap_index_ops *ix, void *pool, size_t bytes) {
    return bytes > ix->ops->pool_max ? NULL : heap_format(ix, pool, bytes);
}

/* First address of what the heap was given, and the first behind it. */
static inline uintptr_t heap_begin(const struct heap *h) {
    return (uintptr_t)h - heap_trim_before(h);
}

static inline uintptr_t heap_end(const struct heap *h) {
    return (uintptr_t)h + h->end + 4 + heap_trim_behind(h);
}

static inline bool heap_add_region(const struct heap_index_ops *ix, struct heap *h, void *memory,
                                   size_t bytes) {
    uintptr_t begin = (uintptr_t)memory;
    uintptr_t last = begin + bytes - 1;
    uintptr_t pool = heap_begin(h);
    if (bytes == 0 || last < begin || begin < pool || (uint64_t)(last - pool) > UINT32_MAX) {
        return false;
    }
    struct heap *lower = h;
    while (heap_next(lower) != NULL && heap_begin(heap_next(lower)) < begin) {
        lower = heap_next(lower);
    }
    const struct heap *upper = heap_next(lower);
    if (begin < heap_end(lower) || (upper != NULL && last >= heap_begin(upper))) {
        return false;
    }
    struct heap *region = heap_format(ix, memory, bytes);
    if (region == NULL) {
        return false;
    }
    region->next = upper == NULL ? 0 : (uint32_t)((uintptr_t)upper - (uintptr_t)region);
    region->seal = heap_seal(region, region->seal & 63);
    lower->next = (uint32_t)((uintptr_t)region - (uintptr_t)lower);
    lower->seal = heap_seal(lower, lower->seal & 63);
    return true;
}

/* The table NAME_ops of an allocator over NAME_index_ops. WAY: HEAP_OWN if taking a block of just
 * the size asked for saves no register, else HEAP_HOT. CAPS: enum alloc_cap that the index adds to
 * those of the heap, or 0. */
#define HEAP_DEFINE(NAME, WAY, CAPS, SUMMARY)                                                      \
    static struct alloc *NAME##_init(void *pool, size_t bytes, const struct alloc_cfg *cfg) {      \
        (void)cfg;                                                                                 \
        return (struct alloc *)heap_init(&NAME##_index_ops, pool, bytes);                          \
    }                                                                                              \
    WAY void *NAME##_alloc_small(struct heap *h, size_t granules) {                                \
        return heap_alloc_small(&NAME##_index_ops, h, granules);                                   \
    }                                                                                              \
    WAY void *NAME##_alloc_large(struct heap *h, size_t bytes) {                                   \
        return heap_alloc_large(&NAME##_index_ops, h, bytes);                                      \
    }                                                                                              \
    static void *NAME##_alloc(struct alloc *a, size_t bytes) {                                     \
        return heap_alloc(&NAME##_index_ops, (struct heap *)a, bytes, NAME##_alloc_small,          \
                          NAME##_alloc_large);                                                     \
    }                                                                                              \
    static void *NAME##_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {               \
        return heap_alloc_aligned(&NAME##_index_ops, (struct heap *)a, bytes, align);              \
    }                                                                                              \
    static void *NAME##_realloc(struct alloc *a, void *p, size_t bytes) {                          \
        return heap_realloc(&NAME##_index_ops, (struct heap *)a, p, bytes);                        \
    }                                                                                              \
    static enum alloc_status NAME##_free(struct alloc *a, void *p) {                               \
        return heap_free(&NAME##_index_ops, (struct heap *)a, p);                                  \
    }                                                                                              \
    static size_t NAME##_usable(const struct alloc *a, const void *p) {                            \
        return heap_usable((const struct heap *)a, p);                                             \
    }                                                                                              \
    static size_t NAME##_largest(const struct alloc *a) {                                          \
        return heap_largest(&NAME##_index_ops, (const struct heap *)a);                            \
    }                                                                                              \
    static bool NAME##_add_region(struct alloc *a, void *mem, size_t bytes) {                      \
        return heap_add_region(&NAME##_index_ops, (struct heap *)a, mem, bytes);                   \
    }                                                                                              \
    static void NAME##_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {              \
        heap_walk((const struct heap *)a, visit, ctx);                                             \
    }                                                                                              \
    static void NAME##_stats(const struct alloc *a, struct alloc_stats *out) {                     \
        alloc_stats_by_walk(&NAME##_ops, a, out);                                                  \
    }                                                                                              \
    static const char *NAME##_check(const struct alloc *a) {                                       \
        return heap_check(&NAME##_index_ops, (const struct heap *)a);                              \
    }                                                                                              \
    const struct alloc_ops NAME##_ops = {                                                          \
        .abi = ALLOC_ABI,                                                                          \
        .caps = ALLOC_CAP_FREES | ALLOC_CAP_COALESCES | ALLOC_CAP_DETECTS_MISUSE | (CAPS),         \
        .name = #NAME,                                                                             \
        .summary = SUMMARY,                                                                        \
        .pool_max = ALLOC_POOL_MAX,                                                                \
        .init = NAME##_init,                                                                       \
        .alloc = NAME##_alloc,                                                                     \
        .alloc_aligned = NAME##_alloc_aligned,                                                     \
        .realloc = NAME##_realloc,                                                                 \
        .free = NAME##_free,                                                                       \
        .usable = NAME##_usable,                                                                   \
        .largest = NAME##_largest,                                                                 \
        .add_region = NAME##_add_region,                                                           \
        .walk = NAME##_walk,                                                                       \
        .stats = NAME##_stats,                                                                     \
        .check = NAME##_check,                                                                     \
    };

#endif
