/* SPDX-License-Identifier: MIT
 *
 * runs.h - slab runs: a front that serves small sizes from arrays of 64 equal slots, before a heap
 *
 * A run is a live block of the heap whose payload is cut into slots of 8k bytes, k its class. Runs
 * start at a multiple of a granule (512 bytes, counted from struct runs), so one of class k fills k
 * granules; a map tells for each granule which run covers it. Slots have no headers.
 *
 *   | map | struct runs | struct heap ... | block | run of class 4                | block ...
 *                                                 |hd|slot 1|slot 2| ... |slot 63|
 *   map     0     0     ... one entry a granule ..|  4     |  4+256 | 4+512 | 4+768|  0
 *
 *   run + 4   header of the heap's block          in place of slot 0, or 0 and 1 where k is small
 *   run + 8   a bit for each slot: free
 *   run + 16  next and previous run of the class, offsets, 0: none
 *
 * The block may be 8 bytes longer, where they would be too few for a block of their own.
 *
 * RUNS_SHIFT 8 moves all slots of a run down by 8 bytes. The payload of the run's block, at run +
 * 8, and the slots of even classes then agree modulo 16. So a C library's malloc, whose blocks are
 * all 16-aligned, gets that from plain requests (bench/malloc_pool.h), for one more slot where k
 * is 3.
 *
 * Runs that have a free slot are in a list by class. Only the head of a list may be full: a run
 * that fills up stays until the next request finds it so, and a block that comes and goes costs no
 * list work. A run that is not in its list, for being full, enters it at the first free.
 *
 * A class gets a run only while its blocks are many (RUNS_LIVE_*) and the run is a small part of
 * the pool (RUNS_POOL_SHARE); until then, and in regions, blocks come from the heap. One empty run,
 * the spare, is kept (quick.h).
 *
 * Every free of a slot is exact: the map says whether an address is in a run, a division by a
 * multiplication whether it is a slot's, a bit whether the slot is live.
 *
 * Before this file is included: RUNS_CLASS_MAX, RUNS_POOL_SHARE, RUNS_LIVE_ROOMY, RUNS_LIVE_TIGHT,
 * RUNS_PARKED, and RUNS_INDEX (the index of the heap, a struct heap_index_ops).
 */
#ifndef HEAPRIG_RUNS_H
#define HEAPRIG_RUNS_H

#include "heap.h"

#ifndef RUNS_SHIFT
#define RUNS_SHIFT 0u
#endif

enum {
    RUNS_SLOTS = 64,
    RUNS_GRANULE_LOG2 = 9,
    RUNS_GRANULE = 1 << RUNS_GRANULE_LOG2, /* 64 slots of 8 bytes */
    RUNS_CLASS_MIN = 2,
    RUNS_BYTES_MAX = 8 * RUNS_CLASS_MAX, /* largest request served from a slot */
    RUNS_HEADER = 24 + RUNS_SHIFT,       /* from where slot 0 would be to the first possible one */
    RUN_BITS = 8,
    RUN_NEXT = 16,
    RUN_PREV = 20,
    RUNS_COUNTED = RUNS_CLASS_MAX + 2, /* block sizes that are counted, in units of 8 */
    RUNS_PARKED_MAX = RUNS_PARKED > 0 ? RUNS_PARKED : 1,
    RUNS_GAP_MAX = RUNS_GRANULE + 8, /* before a granule, see run_gap() */
};

_Static_assert(RUNS_CLASS_MAX <= 32, "a distance in granules fits the map's upper byte");

/* Lies right below the heap's control structure; the map lies right below it and counts downwards:
 * entry g is the g-th uint16_t before it. */
struct runs {
    uint32_t lead;      /* bytes the pool lost at its start to alignment */
    uint32_t map_bytes; /* below this structure */
    uint32_t seal;
    uint32_t spare;  /* the run that may be empty; 0: none is */
    uint32_t blocks; /* live blocks of the pool's heap, runs included and parked ones not */
    uint32_t parked_bytes;
    uint32_t parked[RUNS_PARKED_MAX];  /* see quick.h */
    uint32_t head[RUNS_CLASS_MAX + 1]; /* first run of each class, RUN_NONE: there is none */
    uint32_t live[RUNS_COUNTED];       /* live blocks of the pool's heap by size / 8 */
    uint64_t none __attribute__((aligned(8))); /* the bits of RUN_NONE: no slot is free */
};

#define RUN_NONE ((uint32_t)offsetof(struct runs, none) - RUN_BITS)

_Static_assert(sizeof(struct runs) % 8 == 0, "payloads stay aligned");

/* 2^21 / (8 * class), rounded up: a distance below 64 slots times this, shifted back, is the slot.
 */
#define RUNS_INVERSE_1(k) ((1u << 21) + 8 * (k)-1) / (8 * (k))
#define RUNS_INVERSE_4(k)                                                                          \
    RUNS_INVERSE_1(k), RUNS_INVERSE_1((k) + 1), RUNS_INVERSE_1((k) + 2), RUNS_INVERSE_1((k) + 3)
#define RUNS_INVERSE_16(k)                                                                         \
    RUNS_INVERSE_4(k), RUNS_INVERSE_4((k) + 4), RUNS_INVERSE_4((k) + 8), RUNS_INVERSE_4((k) + 12)
static const uint32_t runs_inverse[33] = {0, RUNS_INVERSE_16(1u), RUNS_INVERSE_16(17u)};

/* A word of 64 bits anywhere in the pool. */
struct runs_bits {
    uint64_t value;
} __attribute__((may_alias));

HEAP_HOT struct runs *runs_of(const struct heap *h) {
    return (struct runs *)((uintptr_t)h - sizeof(struct runs));
}

HEAP_HOT struct heap *runs_heap(const struct runs *r) {
    return (struct heap *)((uintptr_t)r + sizeof(struct runs));
}

HEAP_HOT uint16_t *runs_entry(const struct runs *r, uint32_t granule) {
    return (uint16_t *)(uintptr_t)r - 1 - granule;
}

HEAP_HOT struct runs_bits *run_word(const struct runs *r, uint32_t run) {
    return (struct runs_bits *)((uintptr_t)r + run + RUN_BITS);
}

HEAP_HOT uint64_t run_bits(const struct runs *r, uint32_t run) {
    return run_word(r, run)->value;
}

HEAP_HOT uint32_t run_link(const struct runs *r, uint32_t run, uint32_t which) {
    return ((struct heap_word *)((uintptr_t)r + run + which))->value;
}

HEAP_HOT void run_link_set(struct runs *r, uint32_t run, uint32_t which, uint32_t to) {
    ((struct heap_word *)((uintptr_t)r + run + which))->value = to;
}

/* The block of the heap that a run is, and back; 8-byte steps are kept. */
HEAP_HOT uint32_t run_block(uint32_t run) {
    return run + 4 - (uint32_t)sizeof(struct runs);
}

HEAP_HOT uint32_t block_run(uint32_t b) {
    return b - run_block(0);
}

/* The bits of an empty run. */
HEAP_HOT uint64_t run_bits_all(uint32_t class) {
    return class < RUNS_HEADER / 8 ? ~UINT64_C(3) : ~UINT64_C(1);
}

HEAP_HOT uint32_t bits_lowest(uint64_t bits) {
#if UINTPTR_MAX > UINT32_MAX
    return (uint32_t)__builtin_ctzll(bits);
#else
    uint32_t low = (uint32_t)bits;
    return low != 0 ? (uint32_t)__builtin_ctz(low)
                    : 32 + (uint32_t)__builtin_ctz((uint32_t)(bits >> 32));
#endif
}

HEAP_HOT uint32_t class_of_request(size_t request) {
    uint32_t class = ((uint32_t)request + 7) / 8;
    return class < RUNS_CLASS_MIN ? RUNS_CLASS_MIN : class;
}

/* Takes a slot of a run whose bits are not 0. */
HEAP_HOT void *slot_take(struct runs *r, uint32_t run, uint32_t class, uint64_t bits) {
    ALLOC_ASSERT(bits != 0);
    run_word(r, run)->value = bits & (bits - 1);
    return (unsigned char *)r + run - RUNS_SHIFT + (size_t)(8 * class * bits_lowest(bits));
}

/* Where an address lies that the map says is in a run. */
struct slot {
    uint32_t run;
    uint32_t class;
    bool is_live;  /* it is the start of a live slot */
    uint64_t bit;  /* of the slot in the run's bits */
    uint64_t bits; /* the run's */
};

/* Whether p lies in a run; if so, *slot says where. */
HEAP_HOT bool slot_find(const struct heap *h, const void *p, struct slot *slot) {
    const struct runs *r = runs_of(h);
    if ((uintptr_t)p - (uintptr_t)h >= h->top) {
        return false;
    }
    uint32_t offset = (uint32_t)((uintptr_t)p - (uintptr_t)h) + (uint32_t)sizeof(struct runs);
    uint32_t granule = offset / RUNS_GRANULE;
    uint32_t entry = *runs_entry(r, granule);
    if (entry == 0) {
        return false;
    }
    slot->class = entry & 0xFF;
    slot->run = (granule - (entry >> 8)) * RUNS_GRANULE;
    uint32_t distance = offset - slot->run + RUNS_SHIFT;
    uint32_t index = distance * runs_inverse[slot->class] >> 21;
    index = RUNS_SHIFT != 0 ? index & 63 : index; /* 64: behind the last */
    slot->bit = UINT64_C(1) << (index & 63);
    slot->bits = run_bits(r, slot->run);
    slot->is_live = index * 8 * slot->class == distance && distance >= RUNS_HEADER &&
                    (slot->bits & slot->bit) == 0;
    return true;
}

/* ---- lists of runs ---- */

static inline void run_link_first(struct runs *r, uint32_t class, uint32_t run, uint32_t next) {
    run_link_set(r, run, RUN_NEXT, next);
    run_link_set(r, run, RUN_PREV, 0);
    if (next != 0) {
        run_link_set(r, next, RUN_PREV, run);
    }
    r->head[class] = run;
}

static inline void run_unlink(struct runs *r, uint32_t class, uint32_t run) {
    uint32_t next = run_link(r, run, RUN_NEXT);
    uint32_t prev = run_link(r, run, RUN_PREV);
    if (next != 0) {
        run_link_set(r, next, RUN_PREV, prev);
    }
    if (prev != 0) {
        run_link_set(r, prev, RUN_NEXT, next);
    } else {
        r->head[class] = next != 0 ? next : RUN_NONE;
    }
}

/* The first run of the class that has a free slot, full heads dropped; RUN_NONE if there is none.
 */
static inline uint32_t class_run(struct runs *r, uint32_t class) {
    uint32_t run = r->head[class];
    if (run != RUN_NONE && run_bits(r, run) == 0) {
        run_unlink(r, class, run);
        run = r->head[class];
    }
    return run;
}

/* Whether class_run() would find a run. */
static inline bool class_has_slot(const struct runs *r, uint32_t class) {
    uint32_t run = r->head[class];
    return run != RUN_NONE && (run_bits(r, run) != 0 || run_link(r, run, RUN_NEXT) != 0);
}

/* A run that was full has a free slot again. A head that is not full stays head. */
HEAP_COLD void run_reopen(struct runs *r, uint32_t class, uint32_t run) {
    uint32_t head = r->head[class];
    if (head == run) {
        return;
    }
    if (head == RUN_NONE || run_bits(r, head) == 0) {
        uint32_t next = head == RUN_NONE ? 0 : run_link(r, head, RUN_NEXT);
        run_link_first(r, class, run, next);
        return;
    }
    uint32_t next = run_link(r, head, RUN_NEXT);
    run_link_set(r, run, RUN_NEXT, next);
    run_link_set(r, run, RUN_PREV, head);
    run_link_set(r, head, RUN_NEXT, run);
    if (next != 0) {
        run_link_set(r, next, RUN_PREV, run);
    }
}

/* ---- runs and the heap ---- */

/* Bytes to skip at block b so that a run may start; 0, or enough for a free block. */
static inline uint32_t run_gap(uint32_t b) {
    uint32_t gap = (0 - block_run(b)) & (RUNS_GRANULE - 1);
    return gap == 8 ? gap + RUNS_GRANULE : gap;
}

/* Makes [b + gap, b + gap + need) a live block; b has `bytes` and is in no index. */
static inline void run_cut(struct heap *h, uint32_t b, uint32_t bytes, uint32_t need) {
    uint32_t gap = run_gap(b);
    bool is_wild = b == h->top;
    if (gap != 0) {
        block_mark_free(h, b, gap);
        RUNS_INDEX.insert(h, b, gap);
    }
    uint32_t flags = gap != 0 ? HEAP_PREV_FREE : 0;
    if (is_wild) {
        block_carve(h, b + gap, need, flags);
    } else {
        block_split(&RUNS_INDEX, h, b + gap, bytes - gap, need, flags);
    }
}

/* A block of `need` bytes where a run may start; 0 if none is found. Holes that runs left behind
 * fit exactly, so they are looked for first. */
static inline uint32_t run_place(struct heap *h, uint32_t need) {
    struct heap_found found = RUNS_INDEX.take(h, need);
    if (found.bytes != 0 && run_gap(found.b) + need > found.bytes) {
        RUNS_INDEX.insert(h, found.b, found.bytes);
        found = RUNS_INDEX.take(h, need + RUNS_GAP_MAX);
    }
    uint32_t b = found.bytes != 0 ? found.b : h->top;
    uint32_t bytes = found.bytes != 0 ? found.bytes : h->end - h->top;
    if (run_gap(b) + need > bytes) {
        return 0;
    }
    run_cut(h, b, bytes, need);
    return b + run_gap(b);
}

/* Enters the class in the map for the granules of the run, or 0. */
static inline void run_map(struct runs *r, uint32_t run, uint32_t class, bool is_run) {
    for (uint32_t i = 0; i < class; i++) {
        *runs_entry(r, run / RUNS_GRANULE + i) = (uint16_t)(is_run ? class | i << 8 : 0);
    }
}

/* Starts a run at the head of its class, which has no run with a free slot; RUN_NONE when the heap
 * has no place for it. */
static inline uint32_t run_start(struct runs *r, uint32_t class) {
    uint32_t b = run_place(runs_heap(r), class * RUNS_GRANULE);
    if (b == 0) {
        return RUN_NONE;
    }
    uint32_t run = block_run(b);
    run_word(r, run)->value = run_bits_all(class);
    run_map(r, run, class, true);
    run_link_first(r, class, run, 0);
    r->blocks++;
    return run;
}

/* Gives the live block b back to the heap. */
HEAP_HOT void block_release(struct heap *h, uint32_t b) {
    uint32_t header = heap_get(h, b);
    uint32_t bytes = block_size(header);
    if ((header & HEAP_PREV_FREE) != 0) {
        uint32_t before = block_size(heap_get_at(h, b, -4));
        heap_set(h, b, header | HEAP_FREE);
        b -= before;
        bytes += before;
        RUNS_INDEX.remove(h, b, before);
    }
    block_give(&RUNS_INDEX, h, b, bytes);
}

/* Gives an empty run back to the heap. */
HEAP_COLD void run_release(struct runs *r, uint32_t run) {
    uint32_t class = *runs_entry(r, run / RUNS_GRANULE);
    ALLOC_ASSERT(run_bits(r, run) == run_bits_all(class));
    run_unlink(r, class, run);
    run_map(r, run, class, false);
    r->blocks--;
    block_release(runs_heap(r), run_block(run));
}

#endif
