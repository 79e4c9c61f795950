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
 *   run + 4   header of the heap's block          in place of slot 0; 1 and 2 too where k is small
 *   run + 8   a bit for each slot: free, or not a slot but header
 *   run + 16  next and previous run of the class, offsets, 0: none
 *
 * The block may be 8 bytes longer, where they would be too few for a block of their own. The
 * highest free slot is taken first. So one compare tells that a run has a slot, but for slots 1 and
 * 2, which only the slow way finds; and a free of the header is refused as a double free is.
 *
 * RUNS_SHIFT 8 moves all slots of a run down by 8 bytes. The payload of the run's block, at run +
 * 8, and the slots of even classes then agree modulo 16, and requests of 16n bytes that the heap
 * serves get blocks that do, too. So a C library's malloc, whose blocks are all 16-aligned, gets
 * that from plain requests (bench/malloc_pool.h), for one more slot where k is 3.
 *
 * Wide runs, of classes 33 to 44, have 16 slots of 320 to 1024 bytes in steps of 64 and are as long
 * as runs of the classes 10 to 32. Slots are coarse there, and a 16th is header.
 *
 * Runs that have a free slot are in a list by class. Only the head of a list may be full: a run
 * that fills up stays until the next request finds it so, and a block that comes and goes costs no
 * list work. A run that is not in its list, for being full, enters it at the first free.
 *
 * A class gets a run only while its blocks are many (RUNS_LIVE_*) and the run is a small part of
 * the pool (RUNS_POOL_SHARE); until then, and in regions, blocks come from the heap. Some empty
 * runs, the spares, are kept (quick.h).
 *
 * Every free of a slot is exact: the map says whether an address is in a run, a division by a
 * multiplication whether it is a slot's, a bit whether the slot is live. (Lemire, Kaser, Kurz:
 * Faster remainder by direct computation, 2019.)
 *
 * Before this file is included, a pool is roomy while its wilderness has as many 16ths of it:
 *   RUNS_CLASS_MAX   largest class that is not wide
 *   RUNS_POOL_SHARE  a run is at most this part of the pool
 *   RUNS_WIDE_ROOMY  16ths from which wide runs may begin; 16: there are none
 *   RUNS_LARGE_ROOMY 16ths from which runs of classes between RUNS_SMALL_MAX and wide ones may
 *                    begin, once RUNS_LIVE_LARGE blocks of the size are live
 *   RUNS_ROOMY       16ths from which others may begin, once RUNS_LIVE_ROOMY blocks of the size are
 *                    live; with fewer 16ths, once RUNS_LIVE_TIGHT are
 *   RUNS_PARKED      see quick.h
 *   RUNS_SPARES      see quick.h
 *   RUNS_INDEX       the index of the heap, a struct heap_index_ops
 */
#ifndef HEAPRIG_RUNS_H
#define HEAPRIG_RUNS_H

#include "heap.h"

#ifndef RUNS_SHIFT
#define RUNS_SHIFT 0u
#endif

#ifndef RUNS_AHEAD
#define RUNS_AHEAD 0u
#endif
#ifndef RUNS_AHEAD_ROOMY
#define RUNS_AHEAD_ROOMY 15u
#endif

/* Out of the way of hot paths, but compiled for speed: the longest operations are made of it. */
#define RUNS_RARE static __attribute__((noinline, unused))

enum {
    RUNS_SLOTS = 64,
    RUNS_SLOTS_WIDE = 16,
    RUNS_GRANULE_LOG2 = 9,
    RUNS_GRANULE = 1 << RUNS_GRANULE_LOG2, /* 64 slots of 8 bytes */
    RUNS_CLASS_MIN = 1,
    RUNS_HAS_WIDE = RUNS_WIDE_ROOMY < 16,
    RUNS_CLASS_END = RUNS_HAS_WIDE ? 45 : RUNS_CLASS_MAX + 1,
    RUNS_BYTES_MAX = 8 * RUNS_CLASS_MAX, /* largest request served from a slot that is not wide */
    RUNS_WIDE_MAX = 1024,                /* and from a wide one */
    RUNS_HEADER = 24 + RUNS_SHIFT,       /* from where slot 0 would be to the first possible one */
    RUN_BITS = 8,
    RUN_NEXT = 16,
    RUN_PREV = 20,
    /* Block sizes that are counted, from HEAP_BLOCK_MIN in steps of 8; the last may be rounded up,
     * see request_agreeing(). */
    RUNS_COUNTED = RUNS_CLASS_MAX + 2 + (RUNS_SHIFT != 0) - HEAP_BLOCK_MIN / 8,
    RUNS_PARKED_MAX = RUNS_PARKED > 0 ? RUNS_PARKED : 1,
    RUNS_GAP_MAX = RUNS_GRANULE + 8,              /* before a granule, see run_gap() */
    RUNS_HEADER_BITS = (1 << RUNS_HEADER / 8) - 1 /* of class 1, no other has more */
};

_Static_assert(RUNS_CLASS_MAX <= 32, "a distance in the map fits above the class");
_Static_assert(!RUNS_HAS_WIDE || RUNS_CLASS_MAX == 32, "wide classes begin at 33");

/* Lies right below the heap's control structure; the map lies right below it and counts downwards:
 * entry g is the g-th uint16_t before it: the class of the run that covers the granule + the
 * distance from the run's start to the granule's, in bytes; 0 when no run does. */
struct runs {
    uint32_t lead;      /* bytes the pool lost at its start to alignment */
    uint32_t map_bytes; /* below this structure */
    uint32_t seal;
    uint32_t reach;  /* bytes from here to the end of the heap */
    uint32_t blocks; /* live blocks of the pool's heap: of runs those in no list, parked ones not */
    uint32_t open;   /* runs in their lists */
    uint32_t parked_sum;              /* see quick.h */
    uint32_t parked[RUNS_PARKED_MAX]; /* see quick.h */
    uint32_t spare[RUNS_SPARES];      /* see quick.h */
    uint32_t head[RUNS_CLASS_END];    /* first run of each class, RUN_NONE: there is none */
    uint32_t live[RUNS_COUNTED];      /* live blocks of the pool's heap, see runs_live() */
    uint64_t none __attribute__((aligned(8))); /* the bits of RUN_NONE: 0 */
};

#define RUN_NONE ((uint32_t)offsetof(struct runs, none) - RUN_BITS)

_Static_assert(sizeof(struct runs) % 8 == 0, "payloads stay aligned");

/* Inverse: 2^32 / bytes of a slot, rounded up. A distance below 64 slots times this has the slot in
 * its upper word; the lower word is below this just when nothing remains. Empty: the bits of an
 * empty run. */
#define RUNS_INVERSE_1(k) ((1u << 29) + (k)-1) / (k)
#define RUNS_INVERSE_4(k, step)                                                                    \
    RUNS_INVERSE_1(k), RUNS_INVERSE_1((k) + (step)), RUNS_INVERSE_1((k) + 2 * (step)),             \
        RUNS_INVERSE_1((k) + 3 * (step))
#define RUNS_INVERSE_16(k)                                                                         \
    RUNS_INVERSE_4(k, 1), RUNS_INVERSE_4((k) + 4, 1), RUNS_INVERSE_4((k) + 8, 1),                  \
        RUNS_INVERSE_4((k) + 12, 1)
#define RUN_EMPTY      UINT64_MAX
#define RUN_EMPTY_WIDE (UINT64_MAX >> (64 - RUNS_SLOTS_WIDE))
#define RUNS_4(x)      x, x, x, x
#define RUNS_16(x)     RUNS_4(x), RUNS_4(x), RUNS_4(x), RUNS_4(x)
static const struct {
#if RUNS_WIDE_ROOMY < 16
    uint64_t empty[45];
    uint32_t inverse[45];
} run_classes = {{0, RUNS_16(RUN_EMPTY), RUNS_16(RUN_EMPTY), RUNS_4(RUN_EMPTY_WIDE),
                  RUNS_4(RUN_EMPTY_WIDE), RUNS_4(RUN_EMPTY_WIDE)},
                 {0, RUNS_INVERSE_16(1u), RUNS_INVERSE_16(17u), RUNS_INVERSE_4(40u, 8),
                  RUNS_INVERSE_4(72u, 8), RUNS_INVERSE_4(104u, 8)}};
#else
    uint32_t inverse[33];
} run_classes = {{0, RUNS_INVERSE_16(1u), RUNS_INVERSE_16(17u)}};
#endif

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

HEAP_HOT uint16_t *runs_entry(const struct runs *r, uintptr_t granule) {
    return (uint16_t *)(uintptr_t)r + ~(ptrdiff_t)granule;
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

/* The number of live blocks of this size, if it is counted. */
HEAP_HOT uint32_t *runs_live(uint32_t live[RUNS_COUNTED], uint32_t block_bytes) {
    return &live[block_bytes / 8 - HEAP_BLOCK_MIN / 8];
}

/* Whether blocks of this size are counted. */
HEAP_HOT bool size_is_counted(uint32_t block_bytes) {
    return block_bytes / 8 < RUNS_COUNTED + HEAP_BLOCK_MIN / 8;
}

/* The bits that stand for the header, rounded up to slots: all there are when a run is full. */
HEAP_HOT uint32_t run_header_bits(uint32_t class) {
    if (class >= RUNS_HEADER / 8) {
        return 1;
    }
    return class == 1 ? RUNS_HEADER_BITS : 3;
}

HEAP_HOT bool class_is_wide(uint32_t class) {
    return RUNS_HAS_WIDE && class > RUNS_CLASS_MAX;
}

/* Bytes of a slot. */
HEAP_HOT uint32_t class_bytes(uint32_t class) {
    return class_is_wide(class) ? 64 * (class - 28) : 8 * class;
}

HEAP_HOT uint32_t class_slots(uint32_t class) {
    return class_is_wide(class) ? RUNS_SLOTS_WIDE : RUNS_SLOTS;
}

/* Of a run. */
HEAP_HOT uint32_t class_granules(uint32_t class) {
    return class_is_wide(class) ? 2 * (class - 28) : class;
}

/* The bits of an empty run. */
HEAP_HOT uint64_t run_empty(uint32_t class) {
#if RUNS_WIDE_ROOMY < 16
    return run_classes.empty[class];
#else
    (void)class;
    return RUN_EMPTY;
#endif
}

/* The bits of the free slots. */
HEAP_HOT uint64_t run_slots(const struct runs *r, uint32_t run, uint32_t class) {
    return run_bits(r, run) & ~(uint64_t)run_header_bits(class);
}

HEAP_HOT uint32_t bits_highest(uint64_t bits) {
#if UINTPTR_MAX > UINT32_MAX
    return 63u ^ (uint32_t)__builtin_clzll(bits);
#else
    uint32_t high = (uint32_t)(bits >> 32);
    return high != 0 ? 63u ^ (uint32_t)__builtin_clz(high)
                     : 31u ^ (uint32_t)__builtin_clz((uint32_t)bits);
#endif
}

/* The class of a request of 1 to RUNS_BYTES_MAX. */
HEAP_HOT size_t class_of_request(size_t request) {
    return (request - 1) / 8 + 1;
}

/* The class of a request of RUNS_BYTES_MAX + 1 to RUNS_WIDE_MAX. */
HEAP_HOT size_t class_of_wide(size_t request) {
    return (request - 1) / 64 + 29;
}

/* Takes a slot of a run that has one; `bits` are the run's, `slot_bytes` its class's. */
HEAP_HOT void *slot_take(struct runs *r, uint32_t run, size_t slot_bytes, uint64_t bits) {
    size_t index = bits_highest(bits);
    run_word(r, run)->value = bits & ~(UINT64_C(1) << index);
    return (unsigned char *)r + run - RUNS_SHIFT + slot_bytes * index;
}

/* Where an address lies that the map says is in a run. */
struct slot {
    struct runs_bits *word; /* the bits of the run */
    uint64_t bits;
    size_t index; /* of the slot in the run */
    uint32_t class;
    bool is_live; /* it is the start of a live slot */
};

HEAP_HOT uint32_t slot_run(const struct runs *r, const struct slot *slot) {
    return (uint32_t)((uintptr_t)slot->word - (uintptr_t)r) - RUN_BITS;
}

/* Whether p lies in a run; if so, *slot says where. */
HEAP_HOT bool slot_find(const struct heap *h, const void *p, struct slot *slot) {
    const struct runs *r = runs_of(h);
    uintptr_t offset = (uintptr_t)p - (uintptr_t)r;
    if (offset >= r->reach) {
        return false;
    }
    uint32_t entry = *runs_entry(r, offset / RUNS_GRANULE);
    if (entry == 0) {
        return false;
    }
    slot->class = entry % RUNS_GRANULE;
    uint32_t distance = (uint32_t)offset % RUNS_GRANULE | (entry & ~(RUNS_GRANULE - 1u));
    uint32_t inverse = run_classes.inverse[slot->class];
    uint64_t quotient = (uint64_t)(distance + RUNS_SHIFT) * inverse;
    slot->index = (size_t)(quotient >> 32);
    if (RUNS_SHIFT != 0) { /* behind the last is the header again, never live */
        slot->index &= class_slots(slot->class) - 1;
    }
    slot->word = (struct runs_bits *)((uintptr_t)p - distance + RUN_BITS);
    slot->bits = slot->word->value;
    slot->is_live = (uint32_t)quotient < inverse && (slot->bits >> slot->index & 1) == 0;
    return true;
}

/* Whether p is right behind the slots of a run: the word before it, where a block has its header,
 * is then the last slot's and no block's. */
HEAP_HOT bool is_behind_slots(const struct heap *h, const void *p) {
    const struct runs *r = runs_of(h);
    uintptr_t offset = (uintptr_t)p - (uintptr_t)r;
    return offset % RUNS_GRANULE == 0 && offset - 1 < r->reach &&
           *runs_entry(r, offset / RUNS_GRANULE - 1) != 0;
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
    if (run != RUN_NONE && run_slots(r, run, class) == 0) {
        run_unlink(r, class, run);
        r->open--;
        r->blocks++;
        run = r->head[class];
    }
    return run;
}

/* Whether class_run() would find a run. */
static inline bool class_has_slot(const struct runs *r, uint32_t class) {
    uint32_t run = r->head[class];
    return run != RUN_NONE && (run_slots(r, run, class) != 0 || run_link(r, run, RUN_NEXT) != 0);
}

/* A slot of the run was freed. If the run was full, it enters its list; a head that is not full
 * stays head, a full one leaves. */
static inline void run_reopen(struct runs *r, uint32_t run) {
    uint32_t class = *runs_entry(r, run / RUNS_GRANULE);
    uint64_t slots = run_slots(r, run, class);
    uint32_t head = r->head[class];
    if ((slots & (slots - 1)) != 0 || head == run) {
        return;
    }
    if (head != RUN_NONE && run_slots(r, head, class) == 0) {
        run_link_first(r, class, run, run_link(r, head, RUN_NEXT));
        return;
    }
    r->open++;
    r->blocks--;
    if (head == RUN_NONE) {
        run_link_first(r, class, run, 0);
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

#endif
