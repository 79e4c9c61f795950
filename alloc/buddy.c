/* SPDX-License-Identifier: MIT
 *
 * buddy.c - the buddy system, for bytes and for pages
 *
 *   area  | trim | unit 0 | unit 1 | ... | unit n-1 | struct alloc | head[] | links | state[] |
 * trim | ^ base                             ^ handle
 *
 * The area is an array of n units of cfg.block_bytes. A piece of order k is 2^k units that start at
 * a multiple of 2^k, counted from the base, so the same requests give the same offsets wherever the
 * pool lies; since metadata stands behind the units, a well aligned pool has well aligned pieces.
 *
 * 1. state[] holds a byte for each unit, outside the units: what piece starts there, if any. So
 *    free() accepts exactly the starts of live runs, whatever is written into payloads.
 * 2. Free pieces of one order form a doubly linked list; a mask of the orders whose list is not
 *    empty lets one bit scan find the smallest piece that is large enough (Knuth, TAOCP vol. 1,
 *    2.5, Algorithm R). Two free buddies never coexist: a freed piece joins its buddy at
 *    unit ^ 2^k as long as that is free and whole (Algorithm S).
 * 3. A live block is a run: a head piece and any number of continuation pieces behind it. So a run
 *    may have any number of units and start at any of them, and ends where no continuation follows.
 *    Plain byte blocks are runs of one piece, 2^k units. Pages (block_bytes 4096) come in runs of
 *    exactly the pages asked for: of the 2^k popped, [n, 2^k) goes back as aligned pieces at once.
 * 4. alloc_aligned() cuts an exact run from the middle of a piece, at an aligned address. Its head
 *    is a piece of one unit whose state holds log2 of the alignment instead of an order, which is
 *    how realloc() knows what to keep.
 * 5. List links are two unit numbers. They lie inside free pieces, but for pages in an array of
 *    their own, so that pages are never touched. Metadata a unit: 1 byte, 9 for pages.
 *
 * Each region is a buddy system of its own. All functions are O(orders) plus O(regions), realloc()
 * O(orders^2) plus one copy; init(), add_region(), walk(), stats() and check() are O(units).
 */
#include "buddy.h"

enum { CANDIDATES_MAX = 8 }; /* places tried for an alignment that exceeds all free pieces */

extern const struct alloc_ops buddy_ops;

/* ---- free pieces ---- */

/* Addresses that fields of the control structure lead to. A function that works on several pieces
 * looks them up once; it could not otherwise keep them over a write to a link. */
struct view {
    struct alloc *a;
    uint8_t *states;
    uintptr_t links;
    uintptr_t link_bytes;
};

static inline struct view view_of(struct alloc *a) {
    return (struct view){a, states_of(a), (uintptr_t)link_of(a, 0), (uintptr_t)1 << a->link_log};
}

static inline struct link *view_link(struct view v, uint32_t unit) {
    return (struct link *)(v.links + unit * v.link_bytes);
}

static inline void piece_insert(struct view v, uint32_t unit, uint32_t order) {
    ALLOC_ASSERT((unit & ((1u << order) - 1)) == 0 && unit + (1u << order) <= v.a->units);
    uint32_t next = v.a->head[order];
    *view_link(v, unit) = (struct link){next, NO_UNIT};
    if (next != NO_UNIT) {
        view_link(v, next)->prev = unit;
    }
    v.a->head[order] = unit;
    v.a->order_mask |= 1u << order;
    v.states[unit] = (uint8_t)(FREE | order);
}

/* Leaves the piece's state to the caller, who will overwrite it. */
static inline void piece_remove(struct view v, uint32_t unit, uint32_t order) {
    ALLOC_ASSERT(v.states[unit] == (FREE | order));
    struct link link = *view_link(v, unit);
    if (link.next != NO_UNIT) {
        view_link(v, link.next)->prev = link.prev;
    }
    if (link.prev != NO_UNIT) {
        view_link(v, link.prev)->next = link.next;
        return;
    }
    v.a->head[order] = link.next;
    if (link.next == NO_UNIT) {
        v.a->order_mask &= ~(1u << order);
    }
}

/* Takes the first piece of a list that is not empty. */
static inline uint32_t piece_pop(struct view v, uint32_t order) {
    uint32_t unit = v.a->head[order];
    ALLOC_ASSERT(v.states[unit] == (FREE | order));
    uint32_t next = view_link(v, unit)->next;
    v.a->head[order] = next;
    if (next != NO_UNIT) {
        view_link(v, next)->prev = NO_UNIT;
    } else {
        v.a->order_mask ^= 1u << order;
    }
    return unit;
}

/* Gives back a piece whose state is INTERIOR already, joined with its buddies:
 *   |  piece  |  buddy  |   or   |  buddy  |  piece  |   ->   |       piece       |   and again */
static inline void piece_free(struct view v, uint32_t unit, uint32_t order) {
    uint32_t units = v.a->units;
    uint32_t buddy = unit ^ 1u << order;
    while (buddy < units && v.states[buddy] == (FREE | order)) {
        piece_remove(v, buddy, order);
        v.states[buddy] = INTERIOR;
        unit &= buddy;
        order++;
        buddy = unit ^ 1u << order;
    }
    piece_insert(v, unit, order);
}

/* Puts [unit, end) into the lists when no piece of it can have a free buddy outside. */
static inline void range_insert(struct view v, uint32_t unit, uint32_t end) {
    while (unit < end) {
        uint32_t order = piece_order(unit, end);
        piece_insert(v, unit, order);
        unit += 1u << order;
    }
}

/* Puts the upper halves that are left when a piece of `order` is split down to `wanted` into the
 * lists, all of which are empty: there would have been no need to split otherwise.
 *   |wanted| wanted |  wanted + 1  |           wanted + 2 = order - 1           | */
static inline void halves_insert(struct view v, uint32_t unit, uint32_t wanted, uint32_t order) {
    v.a->order_mask |= (1u << order) - (1u << wanted);
    for (; wanted < order; wanted++) {
        uint32_t half = unit + (1u << wanted);
        ALLOC_ASSERT(v.a->head[wanted] == NO_UNIT);
        v.a->head[wanted] = half;
        *view_link(v, half) = (struct link){NO_UNIT, NO_UNIT};
        v.states[half] = (uint8_t)(FREE | wanted);
    }
}

/* Gives back [unit, end), whose states are INTERIOR. */
static void range_free(struct view v, uint32_t unit, uint32_t end) {
    while (unit < end) {
        uint32_t order = piece_order(unit, end);
        piece_free(v, unit, order);
        unit += 1u << order;
    }
}

/* ---- runs ---- */

static inline void pieces_mark(uint8_t *states, uint32_t unit, uint32_t end, uint32_t kind) {
    for (; unit < end; kind = CONT) {
        uint32_t order = piece_order(unit, end);
        states[unit] = (uint8_t)(kind | order);
        unit += 1u << order;
    }
}

/* Makes [unit, end) a live run; align_log is 0 for what alloc() hands out. */
static void run_mark(uint8_t *states, uint32_t unit, uint32_t end, uint32_t align_log) {
    if (align_log == 0) {
        pieces_mark(states, unit, end, HEAD);
    } else {
        states[unit] = (uint8_t)(ALIGNED | align_log);
        pieces_mark(states, unit + 1, end, CONT);
    }
}

static uint32_t run_align_log(const struct alloc *a, uint32_t unit) {
    uint8_t state = states_of(a)[unit];
    return state >= ALIGNED ? state & (uint32_t)ORDER_MASK : 0;
}

static inline void run_free(struct alloc *a, uint32_t unit) {
    struct view v = view_of(a);
    uint8_t state = v.states[unit];
    do {
        uint32_t order = state_order(state);
        uint32_t next = unit + (1u << order);
        v.states[unit] = INTERIOR;
        state = v.states[next];
        piece_free(v, unit, order);
        unit = next;
    } while ((state & ~ORDER_MASK) == CONT);
}

/* ---- setting up ---- */

/* Fills in all but the area, and frees all units. */
static void units_format(struct alloc *a, uint32_t units, bool is_zeroed) {
    geometry_fill(a, units);
    a->order_mask = 0;
    for (uint32_t order = 0; order <= floor_log2(units); order++) {
        a->head[order] = NO_UNIT;
    }
    if (!is_zeroed) {
        __builtin_memset(states_of(a), INTERIOR, (size_t)units + 1);
    }
    range_insert(view_of(a), 0, units);
}

static struct alloc *buddy_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    uint32_t unit_bytes = cfg != NULL && cfg->block_bytes != 0 ? cfg->block_bytes : UNIT_MIN;
    if (pool == NULL || pool_bytes > ALLOC_POOL_MAX || unit_bytes < UNIT_MIN ||
        unit_bytes > PAGE_BYTES || (unit_bytes & (unit_bytes - 1)) != 0) {
        return NULL;
    }
    uint32_t units = units_max((uintptr_t)pool, pool_bytes, unit_bytes);
    if (units == 0) {
        return NULL;
    }
    uint32_t lead = trim_bytes((uintptr_t)pool, unit_bytes) + units * unit_bytes;
    struct alloc *a = (struct alloc *)((uintptr_t)pool + lead);
    area_found(&a->area, pool_bytes, lead, unit_bytes);
    units_format(a, units, cfg != NULL && cfg->zeroed);
    return a;
}

static bool buddy_add_region(struct alloc *a, void *mem, size_t bytes) {
    uint32_t unit_bytes = a->area.unit_bytes;
    if (!area_admits(&a->area, mem, bytes)) {
        return false;
    }
    uint32_t units = units_max((uintptr_t)mem, bytes, unit_bytes);
    if (units == 0) {
        return false;
    }
    uint32_t lead = trim_bytes((uintptr_t)mem, unit_bytes) + units * unit_bytes;
    struct alloc *region = (struct alloc *)((uintptr_t)mem + lead);
    area_insert(&a->area, &region->area, bytes, lead);
    units_format(region, units, false);
    return true;
}

/* ---- allocating ---- */

/* Units for a request that is known not to exceed the span. */
static uint32_t units_for(const struct alloc *a, size_t bytes) {
    return (uint32_t)((bytes - 1) >> a->unit_log) + 1;
}

/* The smallest order from `order` on that has a free piece, or NO_UNIT. */
static uint32_t order_find(const struct alloc *a, uint32_t order) {
    uint32_t orders = a->order_mask >> order << order;
    return orders != 0 ? (uint32_t)__builtin_ctz(orders) : NO_UNIT;
}

/* Leaves a run of `units` of a live piece and gives back the rest. */
static __attribute__((noinline)) void piece_trim(struct alloc *a, uint32_t unit, uint32_t units,
                                                 uint32_t order) {
    struct view v = view_of(a);
    pieces_mark(v.states, unit, unit + units, HEAD);
    range_insert(v, unit + units, unit + (1u << order));
}

/* A run from this area alone, or NULL. */
static inline void *area_alloc(struct alloc *a, size_t bytes) {
    if (bytes - 1 >= a->span) {
        return NULL;
    }
    uint32_t units = units_for(a, bytes);
    uint32_t wanted = ceil_log2(units);
    uint32_t order = order_find(a, wanted);
    if (order == NO_UNIT) {
        return NULL;
    }
    struct view v = view_of(a);
    uint32_t unit = piece_pop(v, order);
    halves_insert(v, unit, wanted, order);
    v.states[unit] = (uint8_t)(HEAD | wanted);
    if (manages_pages(a) && units != 1u << wanted) {
        piece_trim(a, unit, units, wanted);
    }
    return unit_at(a, unit);
}

static __attribute__((noinline)) void *regions_alloc(struct alloc *a, size_t bytes) {
    void *p = NULL;
    for (struct alloc *area = region_next(a); p == NULL && area != NULL;) {
        p = area_alloc(area, bytes);
        area = region_next(area);
    }
    return p;
}

static void *buddy_alloc(struct alloc *a, size_t bytes) {
    void *p = area_alloc(a, bytes);
    return p != NULL || a->area.next == 0 ? p : regions_alloc(a, bytes);
}

/* Cuts the run [unit, end) from a free piece that contains it. */
static void *piece_cut(struct alloc *a, uint32_t piece, uint32_t unit, uint32_t end,
                       uint32_t align_log) {
    struct view v = view_of(a);
    uint32_t order = state_order(v.states[piece]);
    uint32_t piece_end = piece + (1u << order);
    ALLOC_ASSERT(piece <= unit && unit < end && end <= piece_end);
    piece_remove(v, piece, order);
    range_insert(v, piece, unit);
    run_mark(v.states, unit, end, align_log);
    range_insert(v, end, piece_end);
    return unit_at(a, unit);
}

/* The free piece that contains [unit, end), or NO_UNIT. */
static uint32_t piece_around(const struct alloc *a, uint32_t unit, uint32_t end) {
    const uint8_t *states = states_of(a);
    for (uint32_t order = 0; order <= floor_log2(a->units); order++) {
        uint32_t piece = unit >> order << order;
        if (states[piece] == (FREE | order)) {
            return end - piece <= 1u << order ? piece : NO_UNIT;
        }
    }
    return NO_UNIT;
}

/* The units at aligned addresses are first, first + step, first + 2 step, ... A piece of step units
 * or more has one of them at its start plus `first`, wherever it lies. */
static void *area_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    uintptr_t first = ((0 - base_of(a)) & (align - 1)) >> a->unit_log;
    uintptr_t step = align >> a->unit_log;
    if (bytes - 1 >= a->span || first >= a->units || units_for(a, bytes) > a->units - first) {
        return NULL;
    }
    uint32_t units = units_for(a, bytes);
    uint32_t align_log = (uint32_t)__builtin_ctzl(align);
    uint32_t needed = (uint32_t)first + units;
    if (step <= a->units) {
        uint32_t order = order_find(a, ceil_log2(needed > step ? needed : (uint32_t)step));
        if (order != NO_UNIT) {
            uint32_t piece = a->head[order];
            return piece_cut(a, piece, piece + (uint32_t)first, piece + needed, align_log);
        }
    }
    uintptr_t unit = first;
    for (int i = 0; i < CANDIDATES_MAX && unit + units <= a->units; i++, unit += step) {
        uint32_t end = (uint32_t)unit + units;
        uint32_t piece = piece_around(a, (uint32_t)unit, end);
        if (piece != NO_UNIT) {
            return piece_cut(a, piece, (uint32_t)unit, end, align_log);
        }
    }
    return NULL;
}

static void *buddy_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    if (bytes == 0 || align == 0 || (align & (align - 1)) != 0) {
        return NULL;
    }
    if (align <= a->area.unit_bytes) {
        return buddy_alloc(a, bytes);
    }
    void *p = NULL;
    for (struct alloc *area = a; p == NULL && area != NULL; area = region_next(area)) {
        p = area_alloc_aligned(area, bytes, align);
    }
    return p;
}

/* ---- giving back ---- */

/* The area and first unit of the live run that starts at p; else why there is none. */
static enum alloc_status run_find(const struct alloc *a, const void *p, struct alloc **area,
                                  uint32_t *unit) {
    *area = (struct alloc *)area_find((struct area *)(uintptr_t)&a->area, p);
    if (*area == NULL || (uintptr_t)p >= (uintptr_t)*area || (uintptr_t)p < base_of(*area)) {
        return ALLOC_FOREIGN;
    }
    uintptr_t number = unit_number(*area, p);
    if (number >= (*area)->units) {
        return ALLOC_MISALIGNED;
    }
    *unit = (uint32_t)number;
    return states_of(*area)[number] >= HEAD ? ALLOC_OK : ALLOC_NOT_LIVE;
}

/* p is not a live run of the pool itself: NULL, a run of a region, or misuse. */
static __attribute__((noinline)) enum alloc_status region_free(struct alloc *a, void *p) {
    struct alloc *area;
    uint32_t unit;
    if (p == NULL) {
        return ALLOC_OK;
    }
    enum alloc_status status = run_find(a, p, &area, &unit);
    if (status == ALLOC_OK) {
        run_free(area, unit);
    }
    return status;
}

static enum alloc_status buddy_free(struct alloc *a, void *p) {
    uintptr_t number = unit_number(a, p);
    if (number >= a->units || states_of(a)[number] < HEAD) {
        return region_free(a, p);
    }
    run_free(a, (uint32_t)number);
    return ALLOC_OK;
}

static size_t buddy_usable(const struct alloc *a, const void *p) {
    struct alloc *area;
    uint32_t unit;
    bool live = run_find(a, p, &area, &unit) == ALLOC_OK;
    return live ? (size_t)(run_end(area, unit) - unit) << area->unit_log : 0;
}

static size_t buddy_largest(const struct alloc *a) {
    size_t largest = 0;
    for (const struct alloc *area = a; area != NULL; area = region_next(area)) {
        if (area->order_mask != 0) {
            size_t bytes = (size_t)area->area.unit_bytes << floor_log2(area->order_mask);
            largest = bytes > largest ? bytes : largest;
        }
    }
    return largest;
}

/* ---- resizing ---- */

/* Where a run is and what it may become. All in units of one area. */
struct resize {
    uint32_t from, from_end; /* the run as it is */
    uint32_t low, high;      /* around it: free pieces, whole, and nothing else */
    uint32_t to, to_end;     /* the run as it shall be, inside [low, high) */
    uint32_t align_log;
};

/* The end of the free pieces that follow one another from `unit` on, as far as `limit` or beyond.
 */
static uint32_t free_end(const struct alloc *a, uint32_t unit, uint32_t limit) {
    const uint8_t *states = states_of(a);
    while (unit < limit && state_is_free(states[unit])) {
        unit += 1u << state_order(states[unit]);
    }
    return unit;
}

/* The start of the free pieces that end at `unit`, as far as `limit` or below. */
static uint32_t free_start(const struct alloc *a, uint32_t unit, uint32_t limit) {
    const uint8_t *states = states_of(a);
    uint32_t order = 0;
    while (unit > limit && (unit >> order << order) == unit) {
        if (states[unit - (1u << order)] == (FREE | order)) {
            unit -= 1u << order;
            order = 0;
        } else {
            order++;
        }
    }
    return unit;
}

/* Plain byte blocks: the one aligned place of 2^k units around the run. */
static bool resize_plan_block(const struct alloc *a, struct resize *r, uint32_t units) {
    r->to = r->low = r->from & ~(units - 1);
    r->to_end = r->high = r->to + units;
    return r->high <= a->units && free_end(a, r->low, r->from) == r->from &&
           free_end(a, r->from_end, r->high) == r->high;
}

/* Exact runs: forwards if there is room, else as little backwards as will do. */
static bool resize_plan_run(const struct alloc *a, struct resize *r, uint32_t units) {
    r->low = r->to = r->from;
    r->to_end = r->from + units;
    r->high = free_end(a, r->from_end, r->to_end);
    if (r->high >= r->to_end) {
        return true;
    }
    if (r->high < units) {
        return false;
    }
    uintptr_t base = base_of(a) >> a->unit_log;
    uint32_t beyond = (uint32_t)(base + r->high - units);
    uint32_t step = r->align_log > a->unit_log ? 1u << (r->align_log - a->unit_log) : 1;
    uint32_t back = beyond & (step - 1);
    if (r->high - units < back) {
        return false;
    }
    r->to = r->high - units - back;
    r->to_end = r->to + units;
    r->low = free_start(a, r->from, r->to);
    return r->low <= r->to;
}

/* Takes [low, high) out of the lists, moves the payload, and gives back what the run leaves. */
static void *resize_do(struct alloc *a, const struct resize *r) {
    struct view v = view_of(a);
    ALLOC_ASSERT(r->low <= r->to && r->to_end <= r->high);
    for (uint32_t unit = r->low; unit < r->high;) {
        uint32_t order = state_order(v.states[unit]);
        if (state_is_free(v.states[unit])) {
            piece_remove(v, unit, order);
        }
        v.states[unit] = INTERIOR;
        unit += 1u << order;
    }
    void *to = unit_at(a, r->to);
    if (r->to != r->from) {
        size_t kept_units = r->from_end - r->from;
        __builtin_memmove(to, unit_at(a, r->from), kept_units << a->unit_log);
    }
    run_mark(v.states, r->to, r->to_end, r->align_log);
    range_free(v, r->low, r->to);
    range_free(v, r->to_end, r->high);
    return to;
}

/* Within the area; NULL if the run has to move elsewhere. */
static void *run_resize(struct alloc *a, uint32_t unit, size_t bytes) {
    struct resize r = {.from = unit, .from_end = run_end(a, unit)};
    r.align_log = run_align_log(a, unit);
    if (bytes > a->span) {
        return NULL;
    }
    uint32_t units = units_for(a, bytes);
    bool exact = manages_pages(a) || r.align_log != 0;
    units = exact ? units : 1u << ceil_log2(units);
    if (units <= r.from_end - r.from) {
        r.low = r.to = r.from;
        r.high = r.from_end;
        r.to_end = r.from + units;
        return units == r.from_end - r.from ? unit_at(a, unit) : resize_do(a, &r);
    }
    bool planned = exact ? resize_plan_run(a, &r, units) : resize_plan_block(a, &r, units);
    return planned ? resize_do(a, &r) : NULL;
}

static void *buddy_realloc(struct alloc *a, void *p, size_t bytes) {
    struct alloc *area;
    uint32_t unit;
    if (p == NULL) {
        return buddy_alloc(a, bytes);
    }
    if (run_find(a, p, &area, &unit) != ALLOC_OK) {
        return NULL;
    }
    if (bytes == 0) {
        run_free(area, unit);
        return NULL;
    }
    void *resized = run_resize(area, unit, bytes);
    if (resized != NULL) {
        return resized;
    }
    size_t kept_bytes = (size_t)(run_end(area, unit) - unit) << area->unit_log;
    void *moved = buddy_alloc_aligned(a, bytes, (size_t)1 << run_align_log(area, unit));
    if (moved != NULL) {
        __builtin_memcpy(moved, p, kept_bytes);
        run_free(area, unit);
    }
    return moved;
}

static void buddy_stats(const struct alloc *a, struct alloc_stats *out) {
    alloc_stats_by_walk(&buddy_ops, a, out);
}

const struct alloc_ops buddy_ops = {
    .abi = ALLOC_ABI,
    .caps = ALLOC_CAP_FREES | ALLOC_CAP_COALESCES | ALLOC_CAP_PAGES | ALLOC_CAP_DETECTS_MISUSE |
            ALLOC_CAP_EXACT_MISUSE,
    .name = "buddy",
    .summary = "binary buddies: power-of-two blocks, or exact runs of pages",
    .pool_max = ALLOC_POOL_MAX,
    .init = buddy_init,
    .alloc = buddy_alloc,
    .alloc_aligned = buddy_alloc_aligned,
    .realloc = buddy_realloc,
    .free = buddy_free,
    .usable = buddy_usable,
    .largest = buddy_largest,
    .add_region = buddy_add_region,
    .walk = buddy_walk,
    .stats = buddy_stats,
    .check = buddy_check,
};
