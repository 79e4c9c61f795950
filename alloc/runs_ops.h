/* SPDX-License-Identifier: MIT
 *
 * runs_ops.h - the functions of an allocator with slab runs (runs.h) before a heap
 *
 *   alloc    a slot of the class's first run; else, for a class with many blocks, of a new run;
 * else a block of the heap; else a parked block or a spare run; else a slot of a larger class
 *   free     the map says whether it is a slot: then a bit, rarely a list; else the heap's business
 *
 * The handle is the heap's control structure.
 */
#ifndef HEAPRIG_RUNS_OPS_H
#define HEAPRIG_RUNS_OPS_H

#include "quick.h"

/* ---- init ---- */

/* Differs for any two sizes of the map: every step can be undone. */
static inline uint32_t runs_seal(const struct runs *r) {
    uint32_t sum = (r->map_bytes * 0x9E3779B1u + r->lead) * 0x9E3779B1u;
    return (sum ^ sum >> 15) * 0x85EBCA77u + 1;
}

static inline struct alloc *runs_init(void *pool, size_t bytes, bool is_zeroed) {
    uintptr_t start = ((uintptr_t)pool + 7) & ~(uintptr_t)7;
    size_t lead = start - (uintptr_t)pool;
    size_t map_bytes = (bytes / RUNS_GRANULE + 4) / 4 * 8;
    size_t front_bytes = lead + map_bytes + sizeof(struct runs);
    if (pool == NULL || bytes > ALLOC_POOL_MAX || bytes < front_bytes) {
        return NULL;
    }
    void *heap_start = (unsigned char *)pool + front_bytes;
    struct heap *h = heap_format(&RUNS_INDEX, heap_start, bytes - front_bytes);
    if (h == NULL) {
        return NULL;
    }
    struct runs *r = runs_of(h);
    *r = (struct runs){.lead = (uint32_t)lead, .map_bytes = (uint32_t)map_bytes};
    r->seal = runs_seal(r);
    r->reach = (uint32_t)sizeof *r + h->end + 4;
    for (uint32_t class = 0; class < RUNS_CLASS_END; class ++) {
        r->head[class] = RUN_NONE;
    }
    for (uint32_t granule = 0; !is_zeroed && granule < map_bytes / 2; granule++) {
        *runs_entry(r, granule) = 0;
    }
    return (struct alloc *)h;
}

static inline uintptr_t runs_pool(const struct runs *r) {
    return (uintptr_t)r - r->map_bytes - r->lead;
}

/* Regions hold no runs. */
static inline bool runs_add_region(struct heap *h, void *memory, size_t bytes) {
    uint64_t last = (uint64_t)((uintptr_t)memory - runs_pool(runs_of(h))) + (bytes - 1);
    return last <= UINT32_MAX && heap_add_region(&RUNS_INDEX, h, memory, bytes);
}

/* ---- counting the blocks of the pool's heap ---- */

HEAP_HOT void block_count(struct heap *h, uint32_t block_bytes, uint32_t change) {
    struct runs *r = runs_of(h);
    r->blocks += change;
    if (size_is_counted(block_bytes)) {
        *runs_live(r->live, block_bytes) += change;
    }
}

/* Counts the block of the payload p, which may be NULL or lie in a region. */
HEAP_HOT void *payload_count(struct heap *h, void *p) {
    if (heap_reaches(h, p)) {
        block_count(h, block_size(heap_get(h, payload_block(h, p))), 1);
    }
    return p;
}

/* ---- alloc ---- */

/* What the heap is asked for instead of a request: with RUNS_SHIFT, whole 16s become what fills a
 * block of them, so that those who ask for 16s get blocks that agree, and slots without waste. */
HEAP_HOT size_t request_agreeing(size_t request) {
    return RUNS_SHIFT != 0 && request != 0 && request % 16 == 0 ? request + 16 - HEAP_HEADER_BYTES
                                                                : request;
}

/* A slot of a class above the request's, for want of anything else. */
static inline void *slot_borrow(struct runs *r, size_t request) {
    if (request - 1 >= RUNS_BYTES_MAX) {
        return NULL;
    }
    for (uint32_t class = (uint32_t)class_of_request(request); class <= RUNS_CLASS_MAX; class ++) {
        if (class_has_slot(r, class)) {
            uint32_t run = class_run(r, class);
            return slot_take(r, run, class_bytes(class), run_bits(r, run));
        }
    }
    return NULL;
}

/* The heap has nothing as it is. */
RUNS_RARE void *runs_rescue(struct heap *h, size_t request, size_t align) {
    if (request_is_hopeless(h, request)) {
        return NULL;
    }
    bool is_plain = align <= ALLOC_ALIGN;
    uint32_t need = request_block_bytes((uint32_t)request + (is_plain ? 0 : HEAP_ALIGNED));
    size_t room = need + (is_plain ? 0 : align + 8);
    uint32_t b = held_find(h, room);
    if (b == 0) {
        return is_plain ? slot_borrow(runs_of(h), request) : NULL;
    }
    if (is_plain) {
        held_take(h, b, need);
        return payload_count(h, block_payload(h, b));
    }
    /* What is joined last is first in its list, so the heap finds it. */
    uint32_t bytes = block_size(heap_get(h, b));
    if (bytes < room && b + bytes != h->top && block_is_parked(h, b + bytes)) {
        held_release(runs_of(h), b + bytes);
    }
    held_release(runs_of(h), b);
    return payload_count(h, heap_place(&RUNS_INDEX, h, request, align));
}

/* A block of the heap, or what the heap holds back. */
static __attribute__((noinline)) void *block_alloc_any(struct heap *h, size_t request) {
    if (RUNS_PARKED > 0 && request - 1 < QUICK_BYTES_MAX) {
        uint32_t b = block_unpark(h, request_block_bytes((uint32_t)request));
        if (b != 0) {
            return payload_count(h, block_payload(h, b));
        }
    }
    void *p = heap_alloc_aligned(&RUNS_INDEX, h, request, ALLOC_ALIGN);
    return p != NULL ? payload_count(h, p) : runs_rescue(h, request, ALLOC_ALIGN);
}

/* The same, if it can be one that agrees. */
HEAP_HOT void *block_alloc(struct heap *h, size_t request) {
    size_t agreeing = request_agreeing(request);
    void *p = agreeing != request ? block_alloc_any(h, agreeing) : NULL;
    return p != NULL ? p : block_alloc_any(h, request);
}

/* Wide slots are handed out only while the wilderness could serve the request as well: so they are
 * never the last memory there is, and largest() need not know them. */
HEAP_HOT bool wide_may_serve(const struct heap *h) {
    return h->end - h->top >= RUNS_WIDE_MAX + 8;
}

/* Whether a run of the class may begin. */
static inline bool class_is_wanted(const struct heap *h, uint32_t class, size_t request) {
    if (class_granules(class) * RUNS_GRANULE > h->end / RUNS_POOL_SHARE) {
        return false;
    }
    if (class_is_wide(class)) {
        return pool_is_roomy(h, RUNS_WIDE_ROOMY);
    }
    uint32_t bytes = request_block_bytes((uint32_t)request_agreeing(request));
    uint32_t live = *runs_live(runs_of(h)->live, bytes);
    if (class > RUNS_SMALL_MAX) {
        return live >= RUNS_LIVE_LARGE && pool_is_roomy(h, RUNS_LARGE_ROOMY);
    }
    return live >= (pool_is_roomy(h, RUNS_ROOMY) ? RUNS_LIVE_ROOMY : RUNS_LIVE_TIGHT);
}

/* A request that the head of its class cannot serve. */
static __attribute__((noinline)) void *class_alloc(struct heap *h, size_t request, uint32_t class) {
    struct runs *r = runs_of(h);
    uint32_t last = r->head[class];
    uint32_t run = class_run(r, class);
    if (run == RUN_NONE && class_is_wanted(h, class, request)) {
        run = run_start(r, class, last);
    }
    return run != RUN_NONE ? slot_take(r, run, class_bytes(class), run_bits(r, run))
                           : block_alloc(h, request);
}

/* A request of more than RUNS_BYTES_MAX. */
static __attribute__((noinline, unused)) void *wide_alloc(struct heap *h, size_t request) {
    if (request - 1 >= RUNS_WIDE_MAX || !wide_may_serve(h)) {
        return block_alloc(h, request);
    }
    struct runs *r = runs_of(h);
    size_t class = class_of_wide(request);
    uint32_t run = r->head[class];
    uint64_t bits = run_bits(r, run);
    return bits > RUNS_HEADER_BITS ? slot_take(r, run, class_bytes((uint32_t) class), bits)
                                   : class_alloc(h, request, (uint32_t) class);
}

HEAP_HOT void *runs_alloc(struct heap *h, size_t request) {
    if (request - 1 >= RUNS_BYTES_MAX) {
        return RUNS_HAS_WIDE ? wide_alloc(h, request) : block_alloc(h, request);
    }
    struct runs *r = runs_of(h);
    size_t class = class_of_request(request);
    uint32_t run = r->head[class];
    uint64_t bits = run_bits(r, run);
    return bits > RUNS_HEADER_BITS ? slot_take(r, run, 8 * class, bits)
                                   : class_alloc(h, request, (uint32_t) class);
}

static inline void *runs_alloc_aligned(struct heap *h, size_t request, size_t align) {
    if (align == 0 || (align & (align - 1)) != 0 || align > HEAP_ALIGN_MAX) {
        return NULL;
    }
    if (align <= ALLOC_ALIGN) {
        return runs_alloc(h, request);
    }
    void *p = heap_alloc_aligned(&RUNS_INDEX, h, request, align);
    return p != NULL ? payload_count(h, p) : runs_rescue(h, request, align);
}

/* ---- free ---- */

HEAP_COLD enum alloc_status slot_refusal(const void *p) {
    return (uintptr_t)p % ALLOC_ALIGN != 0 ? ALLOC_MISALIGNED : ALLOC_NOT_LIVE;
}

/* The heap's live block at p, of pool or region, and where it is; NULL if p is misuse. */
HEAP_HOT struct heap *block_find(const struct heap *a, const void *p) {
    struct heap *h = is_behind_slots(a, p) ? NULL : heap_of_live(a, p);
    return h == a && block_is_parked(h, payload_block(h, p)) ? NULL : h;
}

/* Frees what is no slot and no live block of the pool itself: NULL, a block of a region, or misuse.
 */
HEAP_COLD enum alloc_status block_free_beyond(const struct heap *a, const void *p) {
    if (p == NULL) {
        return ALLOC_OK;
    }
    if ((uintptr_t)p % ALLOC_ALIGN != 0) {
        return ALLOC_MISALIGNED;
    }
    struct heap *h = heap_of(a, p);
    if (h == NULL) {
        return ALLOC_FOREIGN;
    }
    if (h == a || !block_is_live(h, payload_block(h, p))) {
        return ALLOC_NOT_LIVE;
    }
    block_release(h, payload_block(h, p));
    return ALLOC_OK;
}

static __attribute__((noinline)) enum alloc_status block_free(struct heap *h, void *p) {
    uint32_t b = payload_block(h, p);
    bool is_live = heap_reaches(h, p) && !is_behind_slots(h, p) && block_is_live(h, b);
    if (__builtin_expect(!is_live || block_is_parked(h, b), 0)) {
        return block_free_beyond(h, p);
    }
    uint32_t header = heap_get(h, b);
    block_count(h, block_size(header), UINT32_MAX);
    block_park(h, b, header);
    return ALLOC_OK;
}

HEAP_HOT enum alloc_status runs_free(struct heap *h, void *p) {
    struct slot slot;
    if (!slot_find(h, p, &slot)) {
        return block_free(h, p);
    }
    if (!slot.is_live) {
        return slot_refusal(p);
    }
    uint64_t bits = slot.bits | UINT64_C(1) << slot.index;
    slot.word->value = bits;
    if (slot.bits <= RUNS_HEADER_BITS) {
        run_refree(runs_of(h), slot_run(runs_of(h), &slot));
    } else if (bits == run_empty(slot.class)) {
        run_retire(runs_of(h), slot_run(runs_of(h), &slot));
    }
    return ALLOC_OK;
}

/* ---- realloc, usable ---- */

static inline void *slot_realloc(struct heap *h, const struct slot *slot, void *p, size_t request) {
    if (!slot->is_live) {
        return NULL;
    }
    uint32_t bytes = class_bytes(slot->class);
    bool fits = request <= bytes;
    if (fits && !(class_is_wide(slot->class) && request <= bytes / 2)) {
        return p;
    }
    void *to = runs_alloc(h, request);
    if (to == NULL) {
        return fits ? p : NULL;
    }
    memcpy(to, p, fits ? request : bytes);
    runs_free(h, p);
    return to;
}

static inline void *block_realloc(struct heap *a, void *p, size_t request) {
    struct heap *h = block_find(a, p);
    if (h == NULL) {
        return NULL;
    }
    uint32_t b = payload_block(h, p);
    uint32_t old_bytes = block_size(heap_get(h, b));
    size_t agreeing = request_agreeing(request);
    void *here = block_resize(&RUNS_INDEX, h, b, agreeing);
    if (here == NULL && agreeing != request) {
        here = block_resize(&RUNS_INDEX, h, b, request);
    }
    if (here == NULL) {
        return block_move(&RUNS_INDEX, a, h, b, request);
    }
    if (h == a) {
        block_count(h, old_bytes, UINT32_MAX);
        payload_count(h, here);
    }
    return here;
}

static inline void *runs_realloc(struct heap *h, void *p, size_t request) {
    if (p == NULL) {
        return runs_alloc(h, request);
    }
    if (request == 0) {
        runs_free(h, p);
        return NULL;
    }
    struct slot slot;
    return slot_find(h, p, &slot) ? slot_realloc(h, &slot, p, request)
                                  : block_realloc(h, p, request);
}

static inline size_t runs_usable(const struct heap *h, const void *p) {
    struct slot slot;
    if (slot_find(h, p, &slot)) {
        return slot.is_live ? class_bytes(slot.class) : 0;
    }
    return block_find(h, p) != NULL ? heap_usable(h, p) : 0;
}

/* ---- largest ---- */

static inline size_t runs_largest(const struct heap *h) {
    const struct runs *r = runs_of(h);
    size_t largest = heap_largest(&RUNS_INDEX, h);
    uint32_t held = held_largest(h);
    largest = held > largest + HEAP_HEADER_BYTES ? held - HEAP_HEADER_BYTES : largest;
    uint32_t class = RUNS_CLASS_MAX;
    while (8 * class > largest && !class_has_slot(r, class)) {
        class --;
    }
    return 8 * class > largest ? 8 * class : largest;
}

#endif
