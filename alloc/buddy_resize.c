/* SPDX-License-Identifier: MIT
 *
 * buddy_resize.c - realloc() of the buddy system
 *
 * In place means: in the units the block has, and the free ones that touch it. Most blocks are
 * pieces of 16-byte units that stay pieces: these go a way of their own, compiled for that size,
 * where growing is joining with free buddies.
 */
#include "buddy_pieces.h"

/* Where a block is and what it may become. All in units of one area. */
struct resize {
    uint32_t from, from_end; /* the block as it is */
    uint32_t low, high;      /* around it: free pieces, whole, and nothing else */
    uint32_t to, units;      /* the block as it shall be, inside [low, high) */
    uint32_t align_log;
};

/* The end of the free pieces that follow one another from `unit` on, as far as `limit` or beyond.
 */
static inline uint32_t free_end(const uint8_t *states, uint32_t unit, uint32_t limit) {
    while (unit < limit && state_is_free(states[unit])) {
        unit += 1u << state_order(states[unit]);
    }
    return unit;
}

/* The start of the free pieces that end at `end`, if that is `limit` or below; else something above
 * `limit`. Downwards their orders first rise and then fall, since buddies are joined; so the one
 * that ends at `end` is as large as what is asked for, or as the alignment of `end`, or larger.
 * Inside a free piece all states are INTERIOR: another state says that no piece of this order or a
 * higher one ends there. */
static inline uint32_t free_start(const uint8_t *states, uint32_t end, uint32_t limit) {
    ALLOC_ASSERT(limit < end);
    uint32_t wanted = end - limit, aligned = end & -end;
    uint32_t order = floor_log2(wanted < aligned ? wanted : aligned);
    uint32_t unit = end;
    while (unit > limit && (unit >> order << order) == unit) {
        uint8_t state = states[unit - (1u << order)];
        if (state == piece_state(FREE, order)) {
            unit -= 1u << order;
        } else if (state == INTERIOR) {
            order++;
        } else {
            break;
        }
    }
    while (unit > limit && unit != end && order > 0) {
        order--;
        if ((unit >> order << order) == unit &&
            states[unit - (1u << order)] == piece_state(FREE, order)) {
            unit -= 1u << order;
        }
    }
    return unit;
}

/* A piece: the one aligned place of 2^k units around the block. */
static bool resize_plan_piece(struct view v, struct resize *r) {
    r->to = r->low = r->from & ~(r->units - 1);
    r->high = r->to + r->units;
    return r->high <= v.a->units && free_end(v.states, r->low, r->from) == r->from &&
           free_end(v.states, r->from_end, r->high) == r->high;
}

/* A run: forwards if there is room, else as little backwards as will do. */
BUDDY_HOT bool resize_plan_run(struct view v, struct resize *r) {
    r->low = r->to = r->from;
    r->high = free_end(v.states, r->from_end, r->from + r->units);
    if (r->high - r->from >= r->units) {
        return true;
    }
    if (r->high < r->units) {
        return false;
    }
    uintptr_t base = base_of(v.a) >> v.unit_log;
    uint32_t beyond = (uint32_t)(base + r->high - r->units);
    uint32_t step = r->align_log > v.unit_log ? 1u << (r->align_log - v.unit_log) : 1;
    uint32_t back = beyond & (step - 1);
    if (r->high - r->units < back) {
        return false;
    }
    r->to = r->high - r->units - back;
    r->low = free_start(v.states, r->from, r->to);
    return r->low <= r->to;
}

static void pieces_take(struct view v, uint32_t unit, uint32_t end) {
    while (unit < end) {
        uint32_t order = state_order(v.states[unit]);
        piece_remove(v, unit, order);
        unit += 1u << order;
    }
}

/* Takes [low, high) out of the lists, moves the payload, and gives back what the block leaves. */
static __attribute__((noinline)) void *resize_do(struct alloc *a, struct resize r) {
    struct view v = view_of(a);
    uint32_t to_end = r.to + r.units;
    ALLOC_ASSERT(r.low <= r.to && to_end <= r.high);
    pieces_take(v, r.low, r.from);
    pieces_take(v, r.from_end, r.high);
    (void)run_unmark(v.states, r.from);
    void *to = unit_at(a, r.to);
    if (r.to != r.from) {
        size_t kept_units = r.from_end - r.from;
        __builtin_memmove(to, unit_at(a, r.from), kept_units << a->unit_log);
    }
    run_mark(v.states, r.to, r.units, r.align_log);
    range_free(v, r.low, r.to);
    range_free(v, to_end, r.high);
    return to;
}

/* Within the area; NULL if the block has to move elsewhere. */
static void *run_resize(struct alloc *a, uint32_t unit, size_t bytes) {
    struct view v = view_of(a);
    uint32_t units = run_units(v.states, unit);
    struct resize r = {.from = unit, .from_end = unit + units, .low = unit, .to = unit};
    r.align_log = run_align_log(v.states[unit]);
    if (bytes > a->span) {
        return NULL;
    }
    r.units = r.align_log == 0 ? units_for(bytes, v.unit_log) : units_exact(bytes, v.unit_log);
    r.high = r.from_end;
    if (r.units == units) {
        return unit_at(a, unit);
    }
    bool piece = r.align_log == 0 && (size_t)r.units << v.unit_log <= PAGE_BYTES;
    bool planned = r.units < units || (piece && resize_plan_piece(v, &r)) || resize_plan_run(v, &r);
    return planned ? resize_do(a, r) : NULL;
}

/* A new block with the contents of the live block p of `kept_bytes`, which is freed; NULL leaves
 * all as it was. */
static inline void *block_move(struct alloc *a, void *p, size_t kept_bytes, size_t bytes,
                               uint32_t align_log) {
    void *moved = align_log == 0 ? buddy_alloc(a, bytes)
                                 : buddy_alloc_aligned(a, bytes, (size_t)1 << align_log);
    if (moved != NULL) {
        __builtin_memcpy(moved, p, kept_bytes);
        (void)buddy_free(a, p);
    }
    return moved;
}

static __attribute__((noinline)) void *any_realloc(struct alloc *a, void *p, size_t bytes) {
    struct alloc *area;
    uint32_t unit;
    if (p == NULL) {
        return buddy_alloc(a, bytes);
    }
    if (run_find(a, p, &area, &unit) != ALLOC_OK) {
        return NULL;
    }
    if (bytes == 0) {
        (void)buddy_free(a, p);
        return NULL;
    }
    void *resized = run_resize(area, unit, bytes);
    if (resized != NULL) {
        return resized;
    }
    const uint8_t *states = states_of(area);
    size_t kept_bytes = (size_t)run_units(states, unit) << area->unit_log;
    return block_move(a, p, kept_bytes, bytes, run_align_log(states[unit]));
}

/* ---- pieces that stay pieces ---- */

/* Whether a live piece of `order` at `unit` would become one of `wanted`, which is more, if it were
 * given back. */
BUDDY_HOT bool buddies_are_free(struct view v, uintptr_t unit, uint32_t order, uint32_t wanted) {
    uintptr_t size = (uintptr_t)1 << order;
    for (intptr_t list = list_of(order); list != list_of(wanted); list--, size += size) {
        if (v.states[unit ^ size] != (uint8_t)list) {
            return false;
        }
        unit &= ~size;
    }
    return true;
}

/* Then makes it that. The payload p moves to the lowest of the buddies. */
BUDDY_HOT void *piece_grow(struct view v, void *p, uintptr_t unit, uint32_t order,
                           uint32_t wanted) {
    uint32_t mask = v.a->order_mask;
    uintptr_t size = (uintptr_t)1 << order, to = unit;
    v.states[unit] = INTERIOR;
    for (intptr_t list = list_of(order); list != list_of(wanted); list--, size += size) {
        mask ^= piece_unlink(v, to ^ size, list) ? (uint32_t)size : 0;
        to &= ~size;
    }
    v.a->order_mask = mask;
    v.states[to] = piece_state(HEAD, wanted);
    if (to == unit) {
        return p;
    }
    return __builtin_memcpy(unit_at(v.a, (uint32_t)to), p, (size_t)1 << (order + v.unit_log));
}

/* In place, as a piece or, what needs no alignment, as a run; NULL if it has to move elsewhere. */
BUDDY_HOT void *piece_resize(struct view v, void *p, uintptr_t unit, uint32_t order,
                             uint32_t wanted) {
    if (wanted < order) {
        v.states[unit] = piece_state(HEAD, wanted);
        tail_insert(v, unit, 1u << wanted, order);
        return p;
    }
    if (buddies_are_free(v, unit, order, wanted)) {
        return piece_grow(v, p, unit, order, wanted);
    }
    struct resize r = {.from = (uint32_t)unit, .from_end = (uint32_t)unit + (1u << order)};
    r.units = 1u << wanted;
    return resize_plan_run(v, &r) ? resize_do(v.a, r) : NULL;
}

static __attribute__((noinline)) void *piece_realloc(struct alloc *a, void *p, uintptr_t unit,
                                                     uint32_t order, uint32_t wanted) {
    void *resized = piece_resize(view_for(a, UNIT_LOG_MIN), p, unit, order, wanted);
    if (resized != NULL) {
        return resized;
    }
    size_t unit_bytes = (size_t)1 << UNIT_LOG_MIN;
    return block_move(a, p, unit_bytes << order, unit_bytes << wanted, 0);
}

void *buddy_realloc(struct alloc *a, void *p, size_t bytes) {
    struct view v = view_for(a, UNIT_LOG_MIN);
    uintptr_t unit = unit_number(a, p, UNIT_LOG_MIN);
    uint32_t digit;
    if (BUDDY_SHORT_WAYS == 0 || a->unit_log != UNIT_LOG_MIN || bytes - 1 >= PAGE_BYTES ||
        unit >= a->units || (digit = v.states[unit] - (uint32_t)HEAD) > DIGIT_MASK) {
        return any_realloc(a, p, bytes);
    }
    uint32_t order = DIGIT_MASK - digit;
    uint32_t wanted = order_for(bytes, UNIT_LOG_MIN);
    return order == wanted ? p : piece_realloc(a, p, unit, order, wanted);
}
