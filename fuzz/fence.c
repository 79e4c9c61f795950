/* SPDX-License-Identifier: MIT
 * fence.c - closes and opens memory around the calls of one allocator. */
#include "fence.h"

#if !defined(FENCE_METADATA) && !defined(FENCE_CLIENT)

const struct alloc_ops *fence_ops(const struct alloc_ops *inner) {
    return inner;
}

void fence_reset(void) {
}

void fence_around(const void *pool, size_t bytes, bool closed) {
    (void)pool, (void)bytes, (void)closed;
}

#else

#include "arena.h"

#include <sanitizer/asan_interface.h>

#ifdef FENCE_METADATA
enum { METADATA = 1 };
#else
enum { METADATA = 0 };
#endif

struct range {
    const char *start;
    size_t bytes;
};

enum { LIVE_MAX = 4096, PARTS_MAX = 9, PLACE_BYTES = 8, PLACES = 1 << 16 };

static struct {
    const struct alloc_ops *inner;
    struct alloc_ops ops;
    struct range live[LIVE_MAX]; /* any further block is not fenced */
    size_t live_count;
    /* Where in `live` the block that starts in such 8 bytes of the pool may stand. Nothing clears
     * it: what stands there has to agree. (Briggs and Torczon 1993, sparse sets.) */
    uint16_t places[PLACES];
    struct range parts[PARTS_MAX]; /* the pool and its regions */
    size_t part_count;
    struct range lent[2]; /* see lend() */
    size_t lent_next;
} fence;

/* Not by the macros, which do nothing where this file itself is not instrumented. */
static void range_close(const struct range *range) {
    __asan_poison_memory_region(range->start, range->bytes);
}

static void range_open(const struct range *range) {
    __asan_unpoison_memory_region(range->start, range->bytes);
}

static void payload_fence(const struct range *block, bool is_live) {
    if (is_live == METADATA) {
        range_close(block);
    } else {
        range_open(block);
    }
}

/* ---- live blocks ---- */

static uint16_t *place_of(const void *payload) {
    uintptr_t at = (uintptr_t)payload - (uintptr_t)fence.parts[0].start;
    return &fence.places[at / PLACE_BYTES % PLACES];
}

/* Only what lies where it may: of a wild pointer the oracle tells. */
static void live_add(const void *payload, size_t bytes) {
    const struct range block = {payload, bytes};
    for (size_t i = 0; payload != NULL && i < fence.part_count; i++) {
        uintptr_t at = (uintptr_t)payload - (uintptr_t)fence.parts[i].start;
        if (at < fence.parts[i].bytes && bytes <= fence.parts[i].bytes - at &&
            fence.live_count < LIVE_MAX) {
            *place_of(payload) = (uint16_t)fence.live_count;
            fence.live[fence.live_count++] = block;
            payload_fence(&block, true);
        }
    }
}

/* The live block that starts there, or NULL. */
static struct range *live_find(const void *payload) {
    if (payload == NULL || fence.live_count == 0) {
        return NULL;
    }
    size_t i = *place_of(payload);
    if (i < fence.live_count && fence.live[i].start == payload) {
        return &fence.live[i];
    }
    for (i = 0; i < fence.live_count && fence.live[i].start != payload; i++) {
    }
    return i < fence.live_count ? &fence.live[i] : NULL;
}

static void live_remove(struct range *block) {
    payload_fence(block, false);
    *block = fence.live[--fence.live_count];
    *place_of(block->start) = (uint16_t)(block - fence.live);
}

/* The caller of an allocator without realloc() copies from block to block itself: what it was just
 * given, and what it asked the size of, stay open until the next alloc or free. */
static void lend(const void *payload) {
    const struct range *block = live_find(payload);
    if (METADATA && fence.inner->realloc == NULL && block != NULL) {
        struct range *lent = &fence.lent[fence.lent_next++ % 2];
        if (lent->bytes > 0) {
            range_close(lent);
        }
        *lent = *block;
        range_open(lent);
    }
}

static void lent_return(void) {
    for (size_t i = 0; METADATA && i < 2; i++) {
        if (fence.lent[i].bytes > 0) {
            range_close(&fence.lent[i]);
            fence.lent[i].bytes = 0;
        }
    }
}

/* ---- pools ---- */

static void part_add(const void *start, size_t bytes) {
    if (fence.part_count < PARTS_MAX) {
        struct range *part = &fence.parts[fence.part_count++];
        *part = (struct range){start, bytes};
        if (METADATA) {
            fence_around(start, bytes, true);
        } else {
            range_close(part);
        }
    }
}

void fence_reset(void) {
    while (METADATA && fence.live_count > 0) {
        live_remove(&fence.live[fence.live_count - 1]);
    }
    for (size_t i = 0; i < fence.part_count; i++) {
        if (METADATA) {
            fence_around(fence.parts[i].start, fence.parts[i].bytes, false);
        } else {
            range_open(&fence.parts[i]);
        }
    }
    fence.part_count = 0;
    fence.live_count = 0;
    fence.lent[0].bytes = 0;
    fence.lent[1].bytes = 0;
}

void fence_around(const void *pool, size_t bytes, bool closed) {
    const struct range guards[] = {{(const char *)pool - ARENA_GUARD, ARENA_GUARD},
                                   {(const char *)pool + bytes, ARENA_GUARD}};
    for (size_t i = 0; i < 2; i++) {
        if (closed) {
            range_close(&guards[i]);
        } else {
            range_open(&guards[i]);
        }
    }
}

/* ---- the table ---- */

static size_t granted(struct alloc *a, const void *payload, size_t bytes) {
    if (payload == NULL || fence.inner->usable == NULL) {
        return bytes;
    }
    size_t usable = fence.inner->usable(a, payload);
    return usable > bytes ? usable : bytes;
}

static struct alloc *fence_init(void *pool, size_t bytes, const struct alloc_cfg *cfg) {
    fence_reset();
    struct alloc *a = fence.inner->init(pool, bytes, cfg);
    if (a != NULL) {
        part_add(pool, bytes);
    }
    return a;
}

static void *fence_alloc(struct alloc *a, size_t bytes) {
    lent_return();
    void *payload = fence.inner->alloc(a, bytes);
    live_add(payload, granted(a, payload, bytes));
    lend(payload);
    return payload;
}

static void *fence_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    lent_return();
    void *payload = fence.inner->alloc_aligned(a, bytes, align);
    live_add(payload, granted(a, payload, bytes));
    lend(payload);
    return payload;
}

/* realloc() may copy from the block, and free() put links there. */
static struct range *block_lend(const void *p) {
    struct range *block = live_find(p);
    if (METADATA && block != NULL) {
        range_open(block);
    }
    return block;
}

static void block_settle(struct range *block, bool ended) {
    if (block != NULL && ended) {
        live_remove(block);
    } else if (METADATA && block != NULL) {
        range_close(block);
    }
}

static void *fence_realloc(struct alloc *a, void *p, size_t bytes) {
    struct range *block = block_lend(p);
    void *payload = fence.inner->realloc(a, p, bytes);
    block_settle(block, payload != NULL || bytes == 0);
    live_add(payload, granted(a, payload, bytes));
    return payload;
}

static enum alloc_status fence_free(struct alloc *a, void *p) {
    lent_return();
    struct range *block = block_lend(p);
    enum alloc_status status = fence.inner->free(a, p);
    block_settle(block, status == ALLOC_OK);
    return status;
}

static size_t fence_usable(const struct alloc *a, const void *p) {
    size_t usable = fence.inner->usable(a, p);
    lend(p);
    return usable;
}

static bool fence_add_region(struct alloc *a, void *mem, size_t bytes) {
    bool added = fence.inner->add_region(a, mem, bytes);
    if (added) {
        part_add(mem, bytes);
    }
    return added;
}

const struct alloc_ops *fence_ops(const struct alloc_ops *inner) {
    fence.inner = inner;
    fence.ops = *inner;
    fence.ops.init = fence_init;
    fence.ops.alloc = fence_alloc;
    fence.ops.alloc_aligned = inner->alloc_aligned != NULL ? fence_alloc_aligned : NULL;
    fence.ops.realloc = inner->realloc != NULL ? fence_realloc : NULL;
    fence.ops.free = fence_free;
    fence.ops.usable = inner->usable != NULL ? fence_usable : NULL;
    fence.ops.add_region = inner->add_region != NULL ? fence_add_region : NULL;
    return &fence.ops;
}

/* An allocator that is not instrumented still copies by the sanitizer's memcpy: that must not be
 * judged by what the harness may. The harness frees what it is done with: nothing to keep. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return METADATA ? "quarantine_size_mb=1" : "quarantine_size_mb=1:replace_intrin=0";
}

#endif
