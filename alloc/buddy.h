/* SPDX-License-Identifier: MIT
 *
 * buddy.h - how the buddy system lies in memory
 *
 *   area  | trim | unit 0 | ... | unit n-1 | head n..0 | struct alloc | links of pages | state[] |
 * trim | ^ base                                        ^ handle
 *
 * The area is an array of n units of cfg.block_bytes. A piece of order k is 2^k units that start at
 * a multiple of 2^k, counted from the base, so the same requests give the same offsets wherever the
 * pool lies; since metadata stands behind the units, a well aligned pool has well aligned pieces.
 *
 * 1. state[] holds a byte for each unit, outside the units: what starts there, if anything. So
 *    free() accepts exactly the starts of live blocks, whatever is written into payloads.
 * 2. Free pieces of one order form a doubly linked list; a mask of the orders whose list is not
 *    empty lets one bit scan find the smallest piece that is large enough (Knuth, TAOCP vol. 1,
 *    2.5, Algorithm R). Two free buddies never coexist: a freed piece joins its buddy at
 *    unit ^ 2^k as long as that is free and whole (Algorithm S).
 * 3. Requests up to a page are rounded up to one piece, larger ones to whole pages: what is more
 *    than that of the piece taken goes back at once. A live block that is no piece is a run: it may
 *    start at any unit and have any number of them.
 * 4. A list link is a `ref`, the distance from the handle in steps of 8 bytes. The head of order
 *    k is the link at ref ~k, so one number is ref of the head and state of the pieces in the list.
 *    The links of a free piece lie in its first unit, but for pages in an array behind the handle,
 *    so that pages are never touched. Metadata a unit: 1 byte, 9 for pages.
 *
 * Each region is a buddy system of its own.
 */
#ifndef HEAPRIG_BUDDY_H
#define HEAPRIG_BUDDY_H

#include "area.h"

enum { UNIT_LOG_MIN = 4, PAGE_LOG = 12, LINK_LOG = 3 };

#define PAGE_BYTES (1u << PAGE_LOG)

/* state[]: the kind in the upper three bits, below them
 *   FREE, HEAD   31 - the order of the free or live piece that starts here
 *   RUN          log2 of the alignment asked for the run that starts here, 0 for none
 *   DIGIT        five bits of the units of the run before it, less one; the lowest come first */
enum { INTERIOR = 0, DIGIT = 2 << 5, HEAD = 4 << 5, RUN = 5 << 5, FREE = 7 << 5 };
enum { KIND_MASK = 7 << 5, DIGIT_BITS = 5, DIGIT_MASK = 31, DIGITS_MAX = 6 };

/* `prev` of a head means nothing: the list ends in a link to the head of order 0, which takes
 * whatever is written to it. */
struct link {
    int32_t prev;
    int32_t next;
};

#define LIST_END (-1)

/* The pool, or one of its regions. */
struct alloc {
    struct area area;    /* unit_bytes is cfg.block_bytes */
    uint32_t unit_log;   /* log2 of it */
    uint32_t units;      /* n */
    uint32_t span;       /* from base to this structure */
    uint32_t state_at;   /* from this structure to state[], which has n + 1 bytes, the last 0 */
    int32_t first;       /* ref of the link of unit 0 */
    uint32_t order_mask; /* bit k set: list k is not empty; so the sum of one piece of each */
};

_Static_assert(sizeof(struct alloc) == 48, "the same layout on every machine");
_Static_assert(sizeof(struct link) == 1 << LINK_LOG && LINK_LOG < UNIT_LOG_MIN,
               "links fit into the smallest free piece");

/* What the tables of buddy.c and buddy_aligned.c have in common, but for caps that differ. */
void *buddy_alloc_aligned(struct alloc *a, size_t bytes, size_t align);
void *buddy_realloc(struct alloc *a, void *p, size_t bytes);
size_t buddy_usable(const struct alloc *a, const void *p);
size_t buddy_largest(const struct alloc *a);
bool buddy_add_region(struct alloc *a, void *mem, size_t bytes);
void buddy_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx);
void buddy_stats(const struct alloc *a, struct alloc_stats *out);
const char *buddy_check(const struct alloc *a);

#define BUDDY_SHARED_OPS                                                                           \
    .abi = ALLOC_ABI, .pool_max = ALLOC_POOL_MAX, .alloc_aligned = buddy_alloc_aligned,            \
    .realloc = buddy_realloc, .usable = buddy_usable, .largest = buddy_largest,                    \
    .add_region = buddy_add_region, .walk = buddy_walk, .stats = buddy_stats, .check = buddy_check

enum {
    BUDDY_CAPS =
        ALLOC_CAP_FREES | ALLOC_CAP_COALESCES | ALLOC_CAP_DETECTS_MISUSE | ALLOC_CAP_EXACT_MISUSE
};

/* init() for one unit size. */
struct alloc *buddy_format(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg,
                           uint32_t unit_bytes);

/* From the regions alone. */
void *buddy_regions_alloc(struct alloc *a, size_t bytes);

/* free() of any block, in pool or region, of any unit size; or what is wrong with p. */
enum alloc_status buddy_any_free(struct alloc *a, void *p);

/* alloc() of any unit size, quick for small units. */
void *buddy_alloc(struct alloc *a, size_t bytes);

/* free(), the quick one of small units. */
enum alloc_status buddy_free(struct alloc *a, void *p);

/* ---- arithmetic ---- */

/* 1 -> 0, 2 -> 1, 3 -> 1, 4 -> 2, 255 -> 7, 256 -> 8 */
static inline uint32_t floor_log2(uint32_t value) {
    ALLOC_ASSERT(value > 0);
    return 31u - (uint32_t)__builtin_clz(value);
}

/* 1 -> 0, 2 -> 1, 3 -> 2, 4 -> 2, 255 -> 8, 256 -> 8, 257 -> 9 */
static inline uint32_t ceil_log2(uint32_t value) {
    ALLOC_ASSERT(value > 0 && value <= 1u << 31);
    return floor_log2(2 * value - 1);
}

/* The order of the smallest piece that holds `bytes`; for 0 and for what no area holds, an order
 * beyond all there are, but less than the bits of size_t. */
static inline uint32_t order_for(size_t bytes, uint32_t unit_log) {
    size_t last = (bytes - 1) | (((size_t)1 << unit_log) - 1);
    uint32_t top = (uint32_t)__builtin_clzl(last) ^ ((uint32_t)sizeof(long) * 8 - 1);
    return top - (unit_log - 1);
}

/* Units that hold `bytes`, which is known not to exceed the area. */
static inline uint32_t units_exact(size_t bytes, uint32_t unit_log) {
    return (uint32_t)((bytes - 1) >> unit_log) + 1;
}

/* Units of the block for such a request, if no alignment is asked for: rule 3. */
static inline uint32_t units_for(size_t bytes, uint32_t unit_log) {
    if (unit_log < PAGE_LOG && bytes <= PAGE_BYTES) {
        return 1u << order_for(bytes, unit_log);
    }
    return units_exact(bytes, PAGE_LOG) << (PAGE_LOG - unit_log);
}

/* ---- units ---- */

static inline uintptr_t base_of(const struct alloc *a) {
    return (uintptr_t)a - a->span;
}

static inline void *unit_at(const struct alloc *a, uint32_t unit) {
    return (void *)(base_of(a) + ((uintptr_t)unit << a->unit_log));
}

/* The unit that starts at p, or something not below a->units: the rotation moves the bits below a
 * unit's size to the top. */
static inline uintptr_t unit_number(const struct alloc *a, const void *p, uint32_t unit_log) {
    uintptr_t distance = (uintptr_t)p - (uintptr_t)a + a->span;
    return distance >> unit_log | distance << (sizeof(distance) * 8 - unit_log);
}

static inline uint8_t *states_of(const struct alloc *a) {
    return (uint8_t *)(uintptr_t)a + a->state_at;
}

static inline uint8_t piece_state(uint32_t kind, uint32_t order) {
    return (uint8_t)(kind + DIGIT_MASK - order);
}

static inline uint32_t state_order(uint8_t state) {
    return ~(uint32_t)state & DIGIT_MASK;
}

static inline bool state_is_free(uint8_t state) {
    return state >= FREE;
}

static inline bool state_is_live(uint8_t state) {
    return (state & (uint32_t)KIND_MASK) == HEAD || (state & (uint32_t)KIND_MASK) == RUN;
}

/* Units of the live block that starts at `unit`. */
static inline uint32_t run_units(const uint8_t *states, uint32_t unit) {
    uint8_t state = states[unit];
    ALLOC_ASSERT(state_is_live(state));
    if (state < RUN) {
        return 1u << state_order(state);
    }
    uint32_t units = 1;
    for (uint32_t i = 0; i < DIGITS_MAX; i++) {
        state = states[++unit];
        if ((state & (uint32_t)KIND_MASK) != DIGIT) {
            break;
        }
        units += (uint32_t)(state & DIGIT_MASK) << DIGIT_BITS * i;
    }
    return units;
}

/* ---- links ---- */

/* The ref of the head of a list. */
static inline intptr_t list_of(uint32_t order) {
    return ~(intptr_t)order;
}

static inline struct link *link_at(const struct alloc *a, intptr_t ref) {
    return (struct link *)(uintptr_t)a + ref;
}

/* Steps of 8 bytes between the links of two units. */
static inline uint32_t ref_log(uint32_t unit_log) {
    return unit_log == PAGE_LOG ? 0 : unit_log - LINK_LOG;
}

static inline intptr_t unit_ref(const struct alloc *a, uint32_t unit, uint32_t unit_log) {
    intptr_t first = unit_log == PAGE_LOG ? (intptr_t)(sizeof(*a) >> LINK_LOG) : a->first;
    return first + (intptr_t)((uintptr_t)unit << ref_log(unit_log));
}

/* What is not below a->units, if there is no such unit. */
static inline uintptr_t ref_unit(const struct alloc *a, intptr_t ref, uint32_t unit_log) {
    return (uintptr_t)(ref - unit_ref(a, 0, unit_log)) >> ref_log(unit_log);
}

static inline struct alloc *region_next(const struct alloc *a) {
    return (struct alloc *)area_next(&a->area);
}

/* ---- geometry ---- */

static inline uint32_t heads_bytes(uint32_t units) {
    return (floor_log2(units) + 1) * (uint32_t)sizeof(struct link);
}

/* Bytes of metadata behind `units` units. */
static inline uint64_t control_bytes(uint32_t units, uint32_t unit_bytes) {
    uint64_t links_bytes = unit_bytes == PAGE_BYTES ? (uint64_t)units * sizeof(struct link) : 0;
    return heads_bytes(units) + sizeof(struct alloc) + links_bytes + units + 1;
}

/* Bytes before the first unit, which is aligned to its size. */
static inline uint32_t trim_bytes(uintptr_t begin, uint32_t unit_bytes) {
    return (uint32_t)(0 - begin) & (unit_bytes - 1);
}

/* As many units as fit with their metadata: the bytes needed grow with the units. */
static inline uint32_t units_max(uintptr_t begin, size_t bytes, uint32_t unit_bytes) {
    uint32_t trim = trim_bytes(begin, unit_bytes);
    uint32_t units = 0;
    for (uint32_t step = 1u << 28; step > 0; step >>= 1) {
        uint32_t more = units + step;
        if (trim + (uint64_t)more * unit_bytes + control_bytes(more, unit_bytes) <= bytes) {
            units = more;
        }
    }
    return units;
}

/* Bytes from where an area begins to the control structure. */
static inline uint32_t lead_bytes(uintptr_t begin, uint32_t units, uint32_t unit_bytes) {
    return trim_bytes(begin, unit_bytes) + units * unit_bytes + heads_bytes(units);
}

/* All that is derived from the area's size; the lists stay as they are. */
static inline void geometry_fill(struct alloc *a, uint32_t units) {
    bool pages = a->area.unit_bytes == PAGE_BYTES;
    uint32_t links_bytes = pages ? units * (uint32_t)sizeof(struct link) : 0;
    a->unit_log = floor_log2(a->area.unit_bytes);
    a->units = units;
    a->span = units * a->area.unit_bytes + heads_bytes(units);
    a->state_at = (uint32_t)sizeof(struct alloc) + links_bytes;
    a->first =
        pages ? (int32_t)(sizeof(struct alloc) >> LINK_LOG) : -(int32_t)(a->span >> LINK_LOG);
}

#endif
