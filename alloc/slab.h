/* SPDX-License-Identifier: MIT
 *
 * slab.h - slots of a few fixed sizes in front of any allocator
 *
 * Small requests get a slot of a bucket. A bucket is a block of the heap behind, cut into equal
 * slots of one class; it is taken when no bucket of the class has a free slot and given back when
 * all its slots are free. Slots have no headers. All else is the heap's business.
 *
 *   pool    | trim | struct slab | map | the heap's pool ... | bucket | ...
 *   bucket  | bit for each free slot | next | prev | slot 0 | slot 1 | ... | rest |
 *
 * 1. The map has an entry for each granule of the heap's pool. A granule is as long as a bucket, so
 *    at most one bucket starts in it; the entry tells where, and of which class. An address is in a
 *    bucket iff one starts at or before it in its own granule, or in the granule before and reaches
 *    it: two entries, and no byte of a payload, decide whom it belongs to. A bucket needs no
 *    alignment, so any heap can supply it, and offsets do not depend on the pool's address.
 * 2. Buckets with a free slot are in a list by class; alloc takes the lowest free slot of the
 *    first. Every free of a slot is exact: a division by a multiplication tells whether the
 *    address is a slot's start, the bit whether the slot is live.
 * 3. One empty bucket, the spare, is kept as long as another one is in use, so that a block that
 *    comes and goes does not take and give back a bucket each time. It serves any class.
 * 4. When the heap has no room for a bucket, small requests are served by the heap itself, with
 *    blocks longer than a slot (slab_heap_bytes()), then by slots of larger classes. In
 *    regions, which must be at least as long as a bucket, and in pools of less than
 *    SLAB_GRANULES_MIN buckets, the heap serves all.
 *
 * In firmware, over any allocator whose table is at hand:
 *
 *   #include "slab.h"
 *   extern const struct alloc_ops tlsf_ops;
 *   SLAB_DEFINE(heap, tlsf_ops)
 *
 *   struct alloc *h = heap_init(memory, sizeof memory, NULL);
 *   void *p = heap_alloc(h, 24);
 *   heap_free(h, p);
 *
 * Costs: alloc() and free() are O(1) beside at most two calls of the heap's own. Memory: an entry
 * of 2 bytes for each KiB, and 16 bytes for each bucket (and what the heap adds to a block).
 *
 * May be defined before this file is included: SLAB_BUCKET_LOG2, SLAB_SIZES, SLAB_GRANULES_MIN.
 */
#ifndef HEAPRIG_SLAB_H
#define HEAPRIG_SLAB_H

#include "alloc.h"

#ifndef SLAB_BUCKET_LOG2
#define SLAB_BUCKET_LOG2 10
#endif

/* Slots of each class, ascending multiples of 8 up to ALLOC_SLOT_MAX: S(bytes, x). Those that
 * divide a bucket less its header leave no rest; a bucket has 64 slots at most. */
#ifndef SLAB_SIZES
#define SLAB_SIZES(S, x) S(16, x) S(24, x) S(32, x) S(48, x) S(64, x) S(80, x) S(112, x)
#endif

#ifndef SLAB_GRANULES_MIN
#define SLAB_GRANULES_MIN 16
#endif

enum {
    SLAB_BUCKET = 1 << SLAB_BUCKET_LOG2, /* bytes of a bucket, and of a granule */
    SLAB_HEADER = 16,
    SLAB_ENTRY_CLASS = 256, /* an entry is class * this + bucket's start in its granule / 8 */
#define S(bytes, x) +1
    SLAB_CLASS_MAX = 0 SLAB_SIZES(S, ), /* classes count from 1 */
#undef S
};

#define S(bytes, x) bytes,
static const uint16_t slab_size[] = {0, SLAB_SIZES(S, )};
#undef S

/* The free slots of an empty bucket. */
#define S(bytes, x) ~UINT64_C(0) >> (64 - (SLAB_BUCKET - SLAB_HEADER) / (bytes)),
static const uint64_t slab_all[] = {0, SLAB_SIZES(S, )};
#undef S

/* 2^16 / bytes, rounded up: a slot's distance from the first times this, shifted back, is the slot;
 * other distances give some number that is not theirs. */
#define S(bytes, x) (65536u + (bytes)-1) / (bytes),
static const uint32_t slab_inverse[] = {0, SLAB_SIZES(S, )};
#undef S

/* By (bytes + 7) / 8: the smallest class whose slots suffice. */
#define SLAB_BELOW(bytes, units) +((bytes) < 8 * (units))
#define SLAB_FIT_1(units)        1 SLAB_SIZES(SLAB_BELOW, units)
#define SLAB_FIT_4(units)                                                                          \
    SLAB_FIT_1(units), SLAB_FIT_1((units) + 1), SLAB_FIT_1((units) + 2), SLAB_FIT_1((units) + 3)
#define SLAB_FIT_16(units)                                                                         \
    SLAB_FIT_4(units), SLAB_FIT_4((units) + 4), SLAB_FIT_4((units) + 8), SLAB_FIT_4((units) + 12)
static const uint8_t slab_fit[] = {0, SLAB_FIT_16(1), SLAB_FIT_16(17)};

#define S(bytes, x)                                                                                \
    _Static_assert((bytes) % 8 == 0 && (bytes) <= ALLOC_SLOT_MAX &&                                \
                       (SLAB_BUCKET - SLAB_HEADER) / (bytes) >= 1 &&                               \
                       (SLAB_BUCKET - SLAB_HEADER) / (bytes) <= 64,                                \
                   "slots of a bucket");
SLAB_SIZES(S, )
#undef S
_Static_assert(SLAB_BUCKET_LOG2 >= 6 && SLAB_BUCKET_LOG2 <= 10, "an entry holds start / 8");

/* A bucket; slots follow. Links are offsets from struct slab; 0: none. */
struct slab_bucket {
    uint64_t free; /* a bit for each slot */
    uint32_t next;
    uint32_t prev;
};

_Static_assert(sizeof(struct slab_bucket) == SLAB_HEADER, "the same layout on every machine");

struct slab {
    uint32_t lead;                     /* bytes the pool lost at its start to alignment */
    uint32_t base;                     /* offset of the heap's pool from here */
    uint32_t handle;                   /* offset of the heap's handle from here */
    uint32_t granules;                 /* of the heap's pool; 0: too small for buckets */
    uint32_t seal;                     /* over the four above */
    uint32_t spare;                    /* offset of the empty bucket that is kept; 0: none */
    uint32_t buckets;                  /* buckets with a live slot */
    uint32_t head[1 + SLAB_CLASS_MAX]; /* first bucket of the class that has a free slot; 0: none */
    uint16_t map[]; /* entry g + 1 is of granule g; 0: no bucket starts there. Entry 0 is 0. */
};

#define SLAB_HOT  static inline __attribute__((unused))
#define SLAB_COLD static __attribute__((unused, noinline))

/* ---- places ---- */

SLAB_HOT struct alloc *slab_heap(const struct slab *s) {
    return (struct alloc *)((uintptr_t)s + s->handle);
}

SLAB_HOT struct slab_bucket *slab_bucket_at(const struct slab *s, uint32_t offset) {
    return (struct slab_bucket *)((uintptr_t)s + offset);
}

SLAB_HOT void *slab_slot_at(const struct slab *s, uint32_t bucket, uint32_t class, uint32_t slot) {
    return (void *)((uintptr_t)s + bucket + SLAB_HEADER + slot * slab_size[class]);
}

SLAB_HOT uint32_t slab_lowest(uint64_t bits) {
#if UINTPTR_MAX > UINT32_MAX
    return (uint32_t)__builtin_ctzll(bits);
#else
    uint32_t low = (uint32_t)bits;
    return low != 0 ? (uint32_t)__builtin_ctz(low)
                    : 32 + (uint32_t)__builtin_ctz((uint32_t)(bits >> 32));
#endif
}

/* The smallest class whose slots hold that many bytes, 1 to those of the largest. */
SLAB_HOT uint32_t slab_class(size_t bytes) {
    return slab_fit[(bytes + 7) / 8];
}

SLAB_HOT uint32_t slab_largest_slot(void) {
    return slab_size[SLAB_CLASS_MAX];
}

/* An address that lies in a bucket. */
struct slab_place {
    uint32_t bucket; /* its offset */
    uint32_t class;
    uint32_t distance; /* of the address from the bucket's start */
};

/* Whether p lies in a bucket (rule 1); if so, *place says where. */
SLAB_HOT bool slab_find(const struct slab *s, const void *p, struct slab_place *place) {
    uintptr_t offset = (uintptr_t)p - (uintptr_t)s - s->base;
    uintptr_t granule = offset / SLAB_BUCKET;
    if (granule >= s->granules) {
        return false;
    }
    uint32_t within = (uint32_t)offset % SLAB_BUCKET;
    uint32_t entry = s->map[granule + 1];
    uint32_t distance = within - entry % SLAB_ENTRY_CLASS * 8;
    if (entry == 0 || distance >= SLAB_BUCKET) {
        entry = s->map[granule];
        distance = within + SLAB_BUCKET - entry % SLAB_ENTRY_CLASS * 8;
        if (entry == 0 || distance >= SLAB_BUCKET) {
            return false;
        }
    }
    place->bucket = (uint32_t)offset - distance + s->base;
    place->class = entry / SLAB_ENTRY_CLASS;
    place->distance = distance;
    return true;
}

/* The bit of the live slot that starts at the place; 0 if there is none. In the header the distance
 * from the slots wraps, and in the rest there are no bits. */
SLAB_HOT uint64_t slab_live_bit(const struct slab *s, const struct slab_place *place) {
    uint32_t distance = place->distance - SLAB_HEADER;
    uint32_t slot = distance * slab_inverse[place->class] >> 16;
    if (slot * slab_size[place->class] != distance) {
        return 0;
    }
    uint64_t used = slab_all[place->class] & ~slab_bucket_at(s, place->bucket)->free;
    return used & UINT64_C(1) << slot % 64;
}

/* ---- buckets ---- */

SLAB_HOT void slab_link(struct slab *s, uint32_t class, uint32_t at) {
    struct slab_bucket *bucket = slab_bucket_at(s, at);
    bucket->prev = 0;
    bucket->next = s->head[class];
    if (bucket->next != 0) {
        slab_bucket_at(s, bucket->next)->prev = at;
    }
    s->head[class] = at;
}

SLAB_HOT void slab_unlink(struct slab *s, uint32_t class, uint32_t at) {
    const struct slab_bucket *bucket = slab_bucket_at(s, at);
    if (bucket->prev != 0) {
        slab_bucket_at(s, bucket->prev)->next = bucket->next;
    } else {
        s->head[class] = bucket->next;
    }
    if (bucket->next != 0) {
        slab_bucket_at(s, bucket->next)->prev = bucket->prev;
    }
}

/* The map's entry of the bucket. */
SLAB_HOT uint16_t *slab_entry(struct slab *s, uint32_t at) {
    return &s->map[(at - s->base) / SLAB_BUCKET + 1];
}

/* A block of the heap that can be a bucket, or 0. */
static inline uint32_t slab_bucket_take(const struct alloc_ops *inner, struct slab *s) {
    void *p = s->granules != 0 ? inner->alloc(slab_heap(s), SLAB_BUCKET) : NULL;
    if (p == NULL) {
        return 0;
    }
    uintptr_t offset = (uintptr_t)p - (uintptr_t)s - s->base;
    if ((offset + SLAB_BUCKET - 1) / SLAB_BUCKET >= s->granules) {
        (void)inner->free(slab_heap(s), p); /* of a region */
        return 0;
    }
    return (uint32_t)offset + s->base;
}

/* Puts an empty bucket, the spare or a new one, at the head of the class. */
static inline bool slab_bucket_open(const struct alloc_ops *inner, struct slab *s, uint32_t class) {
    uint32_t at = s->spare != 0 ? s->spare : slab_bucket_take(inner, s);
    if (at == 0) {
        return false;
    }
    s->spare = 0;
    s->buckets++;
    uint32_t start = (at - s->base) % SLAB_BUCKET;
    *slab_entry(s, at) = (uint16_t)(class * SLAB_ENTRY_CLASS + start / 8);
    slab_bucket_at(s, at)->free = slab_all[class];
    slab_link(s, class, at);
    return true;
}

/* Slots have no headers. What lies where the heap would have one must not be taken for it, should a
 * slot be freed once more: as a size it is impossible. */
static inline void slab_bucket_release(const struct alloc_ops *inner, struct slab *s, uint32_t at) {
    *slab_entry(s, at) = 0;
    __builtin_memset(slab_bucket_at(s, at), 0xFF, SLAB_BUCKET);
    enum alloc_status status = inner->free(slab_heap(s), slab_bucket_at(s, at));
    ALLOC_ASSERT(status == ALLOC_OK);
    (void)status;
}

/* The last slot of the bucket is free. In the map it stays, so that its slots cannot be freed. */
SLAB_COLD void slab_bucket_retire(const struct alloc_ops *inner, struct slab *s, uint32_t class,
                                  uint32_t at) {
    slab_unlink(s, class, at);
    s->buckets--;
    uint32_t spare = s->spare;
    s->spare = s->buckets != 0 ? at : 0;
    if (s->spare == 0) {
        slab_bucket_release(inner, s, at);
    }
    if (spare != 0) {
        slab_bucket_release(inner, s, spare);
    }
}

/* ---- init ---- */

static inline size_t slab_pool_max(const struct alloc_ops *inner) {
    return inner->pool_max != 0 ? inner->pool_max : ALLOC_POOL_MAX;
}

static inline uint32_t slab_mix(uint32_t word) {
    return (word ^ (word >> 15) ^ 0x51ABu) * 0x9E3779B1u;
}

static inline uint32_t slab_seal(const struct slab *s) {
    uint32_t seal = slab_mix(slab_mix(s->lead) ^ s->base);
    return slab_mix(slab_mix(seal ^ s->handle) ^ s->granules);
}

static inline struct alloc *slab_init(const struct alloc_ops *inner, void *pool, size_t bytes,
                                      const struct alloc_cfg *cfg) {
    uintptr_t start = ((uintptr_t)pool + 7) & ~(uintptr_t)7;
    size_t lead = start - (uintptr_t)pool;
    size_t granules = bytes / SLAB_BUCKET + 1;
    granules = granules > SLAB_GRANULES_MIN ? granules : 0;
    size_t base = (sizeof(struct slab) + (granules + 1) * sizeof(uint16_t) + 7) & ~(size_t)7;
    if (pool == NULL || bytes > slab_pool_max(inner) || bytes < lead + base) {
        return NULL;
    }
    struct alloc_cfg inner_cfg = {.zeroed = cfg != NULL && cfg->zeroed};
    const struct alloc *heap = inner->init((void *)(start + base), bytes - lead - base, &inner_cfg);
    if (heap == NULL) {
        return NULL;
    }
    struct slab *s = (struct slab *)start;
    *s = (struct slab){.lead = (uint32_t)lead,
                       .base = (uint32_t)base,
                       .handle = (uint32_t)((uintptr_t)heap - start),
                       .granules = (uint32_t)granules};
    s->seal = slab_seal(s);
    if (!inner_cfg.zeroed) {
        __builtin_memset(s->map, 0, base - sizeof(struct slab));
    }
    return (struct alloc *)s;
}

static inline bool slab_add_region(const struct alloc_ops *inner, struct alloc *a, void *mem,
                                   size_t bytes) {
    struct slab *s = (struct slab *)a;
    uintptr_t pool = (uintptr_t)s - s->lead;
    uint64_t last = (uint64_t)((uintptr_t)mem - pool) + (bytes - 1);
    bool is_long = s->granules == 0 || bytes >= SLAB_BUCKET;
    return mem != NULL && is_long && last <= UINT32_MAX &&
           inner->add_region(slab_heap(s), mem, bytes);
}

/* ---- alloc ---- */

SLAB_HOT void *slab_slot_take(struct slab *s, uint32_t class) {
    uint32_t at = s->head[class];
    struct slab_bucket *bucket = slab_bucket_at(s, at);
    uint64_t bits = bucket->free;
    ALLOC_ASSERT(bits != 0);
    bucket->free = bits & (bits - 1);
    if (bucket->free == 0) {
        slab_unlink(s, class, at);
    }
    return slab_slot_at(s, at, class, slab_lowest(bits));
}

/* What the heap is asked for instead of a request. Where there are slots, its blocks are longer
 * than those: growing to what a slot might have served is then always done in place, and no block
 * of the heap has to move to a slot, which could not have its alignment. */
SLAB_HOT size_t slab_heap_bytes(const struct slab *s, size_t bytes) {
    size_t least = slab_largest_slot() + 1u;
    return s->granules != 0 && bytes < least ? least : bytes;
}

/* No bucket of the class has a free slot. */
SLAB_COLD void *slab_small_alloc(const struct alloc_ops *inner, struct slab *s, size_t bytes) {
    uint32_t class = slab_class(bytes);
    if (slab_bucket_open(inner, s, class)) {
        return slab_slot_take(s, class);
    }
    void *p = inner->alloc(slab_heap(s), slab_heap_bytes(s, bytes));
    while (p == NULL && ++class <= SLAB_CLASS_MAX) {
        p = s->head[class] != 0 ? slab_slot_take(s, class) : NULL;
    }
    return p;
}

SLAB_HOT void *slab_alloc(const struct alloc_ops *inner, struct alloc *a, size_t bytes) {
    struct slab *s = (struct slab *)a;
    if (bytes - 1 >= slab_largest_slot()) {
        return inner->alloc(slab_heap(s), bytes);
    }
    uint32_t class = slab_class(bytes);
    return s->head[class] != 0 ? slab_slot_take(s, class) : slab_small_alloc(inner, s, bytes);
}

SLAB_HOT void *slab_alloc_aligned(const struct alloc_ops *inner, struct alloc *a, size_t bytes,
                                  size_t align) {
    bool is_plain = align != 0 && align <= ALLOC_ALIGN && (align & (align - 1)) == 0;
    return is_plain ? slab_alloc(inner, a, bytes)
                    : inner->alloc_aligned(slab_heap((struct slab *)a), bytes, align);
}

/* ---- free, realloc, usable ---- */

SLAB_HOT enum alloc_status slab_free(const struct alloc_ops *inner, struct alloc *a, void *p) {
    struct slab *s = (struct slab *)a;
    struct slab_place place;
    if (!slab_find(s, p, &place)) {
        return inner->free(slab_heap(s), p);
    }
    uint64_t bit = slab_live_bit(s, &place);
    if (bit == 0) {
        return (uintptr_t)p % ALLOC_ALIGN != 0 ? ALLOC_MISALIGNED : ALLOC_NOT_LIVE;
    }
    struct slab_bucket *bucket = slab_bucket_at(s, place.bucket);
    uint64_t before = bucket->free;
    bucket->free = before | bit;
    if (before == 0) {
        slab_link(s, place.class, place.bucket);
    }
    if ((before | bit) == slab_all[place.class]) {
        slab_bucket_retire(inner, s, place.class, place.bucket);
    }
    return ALLOC_OK;
}

SLAB_HOT size_t slab_usable(const struct alloc_ops *inner, const struct alloc *a, const void *p) {
    const struct slab *s = (const struct slab *)a;
    struct slab_place place;
    if (!slab_find(s, p, &place)) {
        return inner->usable(slab_heap(s), p);
    }
    return slab_live_bit(s, &place) != 0 ? slab_size[place.class] : 0;
}

static inline void *slab_realloc(const struct alloc_ops *inner, struct alloc *a, void *p,
                                 size_t bytes) {
    struct slab *s = (struct slab *)a;
    struct slab_place place;
    if (p == NULL) {
        return slab_alloc(inner, a, bytes);
    }
    if (!slab_find(s, p, &place)) {
        bool is_long = bytes != 0 && inner->usable(slab_heap(s), p) > slab_largest_slot();
        return inner->realloc(slab_heap(s), p, is_long ? slab_heap_bytes(s, bytes) : bytes);
    }
    if (bytes == 0 || slab_live_bit(s, &place) == 0) {
        (void)slab_free(inner, a, p);
        return NULL;
    }
    if (bytes <= slab_size[place.class]) {
        return p;
    }
    void *to = slab_alloc(inner, a, bytes);
    if (to != NULL) {
        __builtin_memcpy(to, p, slab_size[place.class]);
        (void)slab_free(inner, a, p);
    }
    return to;
}

static inline size_t slab_largest(const struct alloc_ops *inner, const struct alloc *a) {
    const struct slab *s = (const struct slab *)a;
    uint32_t slot = s->spare != 0 ? slab_largest_slot() : 0;
    for (uint32_t class = 1; class <= SLAB_CLASS_MAX; class ++) {
        slot = s->head[class] != 0 && slab_size[class] > slot ? slab_size[class] : slot;
    }
    size_t largest = inner->largest(slab_heap(s));
    return largest >= slab_heap_bytes(s, 1) ? largest : slot;
}

#include "slab_check.h"

/* ---- the table ---- */

/* Defines NAME_init(), NAME_alloc() and so on, each as alloc.h has it, over the heap whose
 * struct alloc_ops INNER names (an lvalue: tlsf_ops, *table). INNER needs FREES, must not be
 * FIXED_SIZE, PAGES with whole pages, or POOLLESS, and its payloads must be aligned to ALLOC_ALIGN.
 * A function INNER has as NULL must not be called. cfg.block_bytes is ignored.
 *
 * init() refuses what INNER refuses for the pool less map and control structure. Misuse of a slot
 * is always refused; for blocks of INNER its own guarantees hold.
 *
 * NAME_table() returns them as a table of INNER's name and capabilities and ALLOC_CAP_SLOTS; what
 * is NULL in INNER is NULL there. */
#define SLAB_DEFINE(NAME, INNER)                                                                   \
    SLAB_HOT struct alloc *NAME##_init(void *pool, size_t bytes, const struct alloc_cfg *cfg) {    \
        return slab_init(&(INNER), pool, bytes, cfg);                                              \
    }                                                                                              \
    SLAB_HOT void *NAME##_alloc(struct alloc *a, size_t bytes) {                                   \
        return slab_alloc(&(INNER), a, bytes);                                                     \
    }                                                                                              \
    SLAB_HOT void *NAME##_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {             \
        return slab_alloc_aligned(&(INNER), a, bytes, align);                                      \
    }                                                                                              \
    SLAB_HOT void *NAME##_realloc(struct alloc *a, void *p, size_t bytes) {                        \
        return slab_realloc(&(INNER), a, p, bytes);                                                \
    }                                                                                              \
    SLAB_HOT enum alloc_status NAME##_free(struct alloc *a, void *p) {                             \
        return slab_free(&(INNER), a, p);                                                          \
    }                                                                                              \
    SLAB_HOT size_t NAME##_usable(const struct alloc *a, const void *p) {                          \
        return slab_usable(&(INNER), a, p);                                                        \
    }                                                                                              \
    SLAB_HOT size_t NAME##_largest(const struct alloc *a) {                                        \
        return slab_largest(&(INNER), a);                                                          \
    }                                                                                              \
    SLAB_HOT bool NAME##_add_region(struct alloc *a, void *mem, size_t bytes) {                    \
        return slab_add_region(&(INNER), a, mem, bytes);                                           \
    }                                                                                              \
    SLAB_HOT void NAME##_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {            \
        slab_walk(&(INNER), a, visit, ctx);                                                        \
    }                                                                                              \
    SLAB_HOT void NAME##_stats(const struct alloc *a, struct alloc_stats *out) {                   \
        const struct alloc_ops walk_only = {.walk = NAME##_walk};                                  \
        alloc_stats_by_walk(&walk_only, a, out);                                                   \
    }                                                                                              \
    SLAB_HOT const char *NAME##_check(const struct alloc *a) {                                     \
        return slab_check(&(INNER), a);                                                            \
    }                                                                                              \
    SLAB_HOT struct alloc_ops NAME##_table(void) {                                                 \
        struct alloc_ops table = INNER;                                                            \
        uint32_t lost = ALLOC_CAP_PAGES | ALLOC_CAP_THREADS;                                       \
        table.caps = (table.caps & ~lost) | ALLOC_CAP_SLOTS;                                       \
        table.pool_max = slab_pool_max(&(INNER));                                                  \
        table.init = NAME##_init;                                                                  \
        table.alloc = NAME##_alloc;                                                                \
        table.alloc_aligned = table.alloc_aligned != NULL ? NAME##_alloc_aligned : NULL;           \
        table.realloc = table.realloc != NULL ? NAME##_realloc : NULL;                             \
        table.free = NAME##_free;                                                                  \
        table.usable = NAME##_usable;                                                              \
        table.largest = table.largest != NULL ? NAME##_largest : NULL;                             \
        table.add_region = table.add_region != NULL ? NAME##_add_region : NULL;                    \
        table.stats = table.walk != NULL ? NAME##_stats : NULL;                                    \
        table.check = table.check != NULL ? NAME##_check : NULL;                                   \
        table.walk = table.walk != NULL ? NAME##_walk : NULL;                                      \
        return table;                                                                              \
    }

#endif
