/* SPDX-License-Identifier: MIT
 *
 * buddy.h - how the buddy system lies in memory: what buddy.c and buddy_check.c share
 *
 * The picture and the rules are at the head of buddy.c.
 */
#ifndef HEAPRIG_BUDDY_H
#define HEAPRIG_BUDDY_H

#include "area.h"

enum { UNIT_MIN = 16, PAGE_BYTES = 4096, LINK_LOG = 3 };

#define NO_UNIT UINT32_MAX

/* state[]: what starts at a unit, in the upper three bits, with its order below (ALIGNED: log2 of
 * the alignment; its order is 0). Heads compare above all else. */
enum { INTERIOR = 0, FREE = 1 << 5, CONT = 2 << 5, HEAD = 3 << 5, ALIGNED = 4 << 5 };
enum { ORDER_MASK = 31 };

/* The pool, or one of its regions. */
struct alloc {
    struct area area;    /* unit_bytes is cfg.block_bytes */
    uint32_t unit_log;   /* log2 of it */
    uint32_t units;      /* n */
    uint32_t span;       /* their bytes: the distance from base to this structure */
    uint32_t state_at;   /* from base to state[], which has n + 1 bytes, the last INTERIOR */
    uint32_t link_at;    /* from base to the links of unit 0: rule 5 */
    uint32_t link_log;   /* log2 of the distance between links: LINK_LOG for pages */
    uint32_t order_mask; /* bit k set: head[k] is not empty */
    uint32_t head[];     /* one for each order up to log2 n */
};

struct link {
    uint32_t next;
    uint32_t prev;
};

_Static_assert(offsetof(struct alloc, head) == 52, "the same layout on every machine");
_Static_assert(sizeof(struct link) == 1 << LINK_LOG && sizeof(struct link) <= UNIT_MIN,
               "links fit into the smallest free piece");

/* Of buddy_ops, in buddy_check.c. */
void buddy_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx);
const char *buddy_check(const struct alloc *a);

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

/* The order of the first of the largest aligned pieces that make up [unit, end):
 * [0, 7) -> 2, [4, 7) -> 1, [6, 7) -> 0, [6, 8) -> 1, [3, 8) -> 0, [8, 16) -> 3 */
static inline uint32_t piece_order(uint32_t unit, uint32_t end) {
    ALLOC_ASSERT(unit < end);
    uint32_t aligned = (uint32_t)__builtin_ctz(unit | 1u << 31);
    uint32_t fits = floor_log2(end - unit);
    return aligned < fits ? aligned : fits;
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
static inline uintptr_t unit_number(const struct alloc *a, const void *p) {
    uintptr_t distance = (uintptr_t)p - base_of(a);
    return distance >> a->unit_log | distance << (sizeof(distance) * 8 - a->unit_log);
}

static inline uint8_t *states_of(const struct alloc *a) {
    return (uint8_t *)(base_of(a) + a->state_at);
}

static inline struct link *link_of(const struct alloc *a, uint32_t unit) {
    return (struct link *)(base_of(a) + a->link_at + ((uintptr_t)unit << a->link_log));
}

static inline bool manages_pages(const struct alloc *a) {
    return a->link_log == LINK_LOG;
}

static inline bool state_is_free(uint8_t state) {
    return (state & ~ORDER_MASK) == FREE;
}

static inline uint32_t state_order(uint8_t state) {
    return state < ALIGNED ? state & (uint32_t)ORDER_MASK : 0;
}

/* Where the run that starts at `unit` ends. */
static inline uint32_t run_end(const struct alloc *a, uint32_t unit) {
    const uint8_t *states = states_of(a);
    ALLOC_ASSERT(states[unit] >= HEAD);
    do {
        unit += 1u << state_order(states[unit]);
    } while ((states[unit] & ~ORDER_MASK) == CONT);
    return unit;
}

static inline struct alloc *region_next(const struct alloc *a) {
    return (struct alloc *)area_next(&a->area);
}

/* ---- geometry ---- */

/* Bytes of metadata behind `units` units. */
static inline uint64_t control_bytes(uint32_t units, uint32_t unit_bytes) {
    uint64_t links_bytes = unit_bytes == PAGE_BYTES ? (uint64_t)units * sizeof(struct link) : 0;
    uint32_t head_count = floor_log2(units) + 1;
    return offsetof(struct alloc, head) + sizeof(uint32_t) * head_count + links_bytes + units + 1;
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

/* All that is derived from the area's size; the lists stay as they are. */
static inline void geometry_fill(struct alloc *a, uint32_t units) {
    uint32_t unit_bytes = a->area.unit_bytes;
    a->unit_log = floor_log2(unit_bytes);
    a->units = units;
    a->span = units << a->unit_log;
    a->state_at = a->span + (uint32_t)control_bytes(units, unit_bytes) - (units + 1);
    bool pages = unit_bytes == PAGE_BYTES;
    uint32_t links_bytes = units * (uint32_t)sizeof(struct link);
    a->link_at = pages ? a->state_at - links_bytes : 0;
    a->link_log = pages ? LINK_LOG : a->unit_log;
}

#endif
