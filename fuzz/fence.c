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

enum { LIVE_MAX = 4096, PARTS_MAX = 9 };

static struct {
    const struct alloc_ops *inner;
    struct alloc_ops ops;
    struct range live[LIVE_MAX]; /* any further block is not fenced */
    size_t live_count;
    struct range parts[PARTS_MAX]; /* the pool and its regions */
    size_t part_count;
} fence;

static void range_close(const struct range *range) {
    ASAN_POISON_MEMORY_REGION(range->start, range->bytes);
}

static void range_open(const struct range *range) {
    ASAN_UNPOISON_MEMORY_REGION(range->start, range->bytes);
}

/* Around a call; `but` is the payload that it may touch. */
static void enter(const void *but) {
    for (size_t i = 0; METADATA && i < fence.part_count; i++) {
        fence_around(fence.parts[i].start, fence.parts[i].bytes, true);
    }
    for (size_t i = 0; METADATA && i < fence.live_count; i++) {
        if (fence.live[i].start != but) {
            range_close(&fence.live[i]);
        }
    }
}

static void leave(void) {
    for (size_t i = 0; METADATA && i < fence.part_count; i++) {
        fence_around(fence.parts[i].start, fence.parts[i].bytes, false);
    }
}

/* Only what lies where it may: of a wild pointer the oracle tells. */
static void live_add(const void *payload, size_t bytes) {
    const struct range block = {payload, bytes};
    for (size_t i = 0; payload != NULL && i < fence.part_count; i++) {
        uintptr_t at = (uintptr_t)payload - (uintptr_t)fence.parts[i].start;
        if (at < fence.parts[i].bytes && bytes <= fence.parts[i].bytes - at &&
            fence.live_count < LIVE_MAX) {
            fence.live[fence.live_count++] = block;
            range_open(&block);
        }
    }
}

/* False when there is no such block. */
static bool live_remove(const void *payload) {
    for (size_t i = 0; i < fence.live_count; i++) {
        if (fence.live[i].start == payload) {
            if (!METADATA) {
                range_close(&fence.live[i]);
            }
            fence.live[i] = fence.live[--fence.live_count];
            return true;
        }
    }
    return false;
}

static void part_add(const void *start, size_t bytes) {
    if (fence.part_count < PARTS_MAX) {
        fence.parts[fence.part_count++] = (struct range){start, bytes};
        if (!METADATA) {
            range_close(&fence.parts[fence.part_count - 1]);
        }
    }
}

void fence_reset(void) {
    for (size_t i = 0; i < fence.part_count; i++) {
        range_open(&fence.parts[i]);
    }
    fence.part_count = 0;
    fence.live_count = 0;
}

void fence_around(const void *pool, size_t bytes, bool closed) {
    const char *start = pool;
    if (closed) {
        ASAN_POISON_MEMORY_REGION(start - ARENA_GUARD, ARENA_GUARD);
        ASAN_POISON_MEMORY_REGION(start + bytes, ARENA_GUARD);
        ASAN_UNPOISON_MEMORY_REGION(start, bytes); /* poison may reach back to 8 bytes */
    } else {
        ASAN_UNPOISON_MEMORY_REGION(start - ARENA_GUARD, bytes + 2 * ARENA_GUARD);
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
    enter(NULL);
    void *payload = fence.inner->alloc(a, bytes);
    size_t usable = granted(a, payload, bytes);
    leave();
    live_add(payload, usable);
    return payload;
}

static void *fence_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    enter(NULL);
    void *payload = fence.inner->alloc_aligned(a, bytes, align);
    size_t usable = granted(a, payload, bytes);
    leave();
    live_add(payload, usable);
    return payload;
}

static void *fence_realloc(struct alloc *a, void *p, size_t bytes) {
    enter(p);
    void *payload = fence.inner->realloc(a, p, bytes);
    size_t usable = granted(a, payload, bytes);
    leave();
    if (payload != NULL || bytes == 0) {
        (void)live_remove(p);
        live_add(payload, usable);
    }
    return payload;
}

static enum alloc_status fence_free(struct alloc *a, void *p) {
    enter(p);
    enum alloc_status status = fence.inner->free(a, p);
    leave();
    if (status == ALLOC_OK) {
        (void)live_remove(p);
    }
    return status;
}

static size_t fence_usable(const struct alloc *a, const void *p) {
    enter(NULL);
    size_t usable = fence.inner->usable(a, p);
    leave();
    return usable;
}

static size_t fence_largest(const struct alloc *a) {
    enter(NULL);
    size_t largest = fence.inner->largest(a);
    leave();
    return largest;
}

static bool fence_add_region(struct alloc *a, void *mem, size_t bytes) {
    enter(NULL);
    bool added = fence.inner->add_region(a, mem, bytes);
    leave();
    if (added) {
        part_add(mem, bytes);
    }
    return added;
}

/* `visit` is the harness's and may look at payloads, so nothing is closed. */
static void fence_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    fence.inner->walk(a, visit, ctx);
}

static void fence_stats(const struct alloc *a, struct alloc_stats *out) {
    enter(NULL);
    fence.inner->stats(a, out);
    leave();
}

static const char *fence_check(const struct alloc *a) {
    enter(NULL);
    const char *broken = fence.inner->check(a);
    leave();
    return broken;
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
    fence.ops.largest = inner->largest != NULL ? fence_largest : NULL;
    fence.ops.add_region = inner->add_region != NULL ? fence_add_region : NULL;
    fence.ops.walk = inner->walk != NULL ? fence_walk : NULL;
    fence.ops.stats = inner->stats != NULL ? fence_stats : NULL;
    fence.ops.check = inner->check != NULL ? fence_check : NULL;
    return &fence.ops;
}

/* An allocator that is not instrumented still copies by the sanitizer's memcpy: that must not be
 * judged by what the harness may. The harness frees what it is done with: nothing to keep. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) {
    return METADATA ? "quarantine_size_mb=1" : "quarantine_size_mb=1:replace_intrin=0";
}

#endif
