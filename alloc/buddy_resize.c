/* SPDX-License-Identifier: MIT
 *
 * buddy_resize.c - realloc() of the buddy system
 *
 * In place means: in the units the block has, and the free ones that touch it.
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
static uint32_t free_end(const struct alloc *a, uint32_t unit, uint32_t limit) {
    const uint8_t *states = states_of(a);
    while (unit < limit && state_is_free(states[unit])) {
        unit += 1u << state_order(states[unit]);
    }
    return unit;
}

static bool free_before(const uint8_t *states, uint32_t unit, uint32_t order) {
    return states[unit - (1u << order)] == piece_state(FREE, order);
}

/* The start of the free pieces that end at `unit`, as far as `limit` or below. Downwards their
 * orders first rise and then fall, since buddies are joined. */
static uint32_t free_start(const struct alloc *a, uint32_t unit, uint32_t limit) {
    const uint8_t *states = states_of(a);
    uint32_t order = 0;
    while (unit > limit && (unit >> order << order) == unit) {
        if (free_before(states, unit, order)) {
            unit -= 1u << order;
        } else {
            order++;
        }
    }
    while (unit > limit && order > 0) {
        order--;
        if ((unit >> order << order) == unit && free_before(states, unit, order)) {
            unit -= 1u << order;
        }
    }
    return unit;
}

/* A piece: the one aligned place of 2^k units around the block. */
static bool resize_plan_piece(const struct alloc *a, struct resize *r) {
    r->to = r->low = r->from & ~(r->units - 1);
    r->high = r->to + r->units;
    return r->high <= a->units && free_end(a, r->low, r->from) == r->from &&
           free_end(a, r->from_end, r->high) == r->high;
}

/* A run: forwards if there is room, else as little backwards as will do. */
static bool resize_plan_run(const struct alloc *a, struct resize *r) {
    r->low = r->to = r->from;
    r->high = free_end(a, r->from_end, r->from + r->units);
    if (r->high - r->from >= r->units) {
        return true;
    }
    if (r->high < r->units) {
        return false;
    }
    uintptr_t base = base_of(a) >> a->unit_log;
    uint32_t beyond = (uint32_t)(base + r->high - r->units);
    uint32_t step = r->align_log > a->unit_log ? 1u << (r->align_log - a->unit_log) : 1;
    uint32_t back = beyond & (step - 1);
    if (r->high - r->units < back) {
        return false;
    }
    r->to = r->high - r->units - back;
    r->low = free_start(a, r->from, r->to);
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
static void *resize_do(struct alloc *a, const struct resize *r) {
    struct view v = view_of(a);
    uint32_t to_end = r->to + r->units;
    ALLOC_ASSERT(r->low <= r->to && to_end <= r->high);
    pieces_take(v, r->low, r->from);
    pieces_take(v, r->from_end, r->high);
    (void)run_unmark(v.states, r->from);
    void *to = unit_at(a, r->to);
    if (r->to != r->from) {
        size_t kept_units = r->from_end - r->from;
        __builtin_memmove(to, unit_at(a, r->from), kept_units << a->unit_log);
    }
    run_mark(v.states, r->to, r->units, r->align_log);
    range_free(v, r->low, r->to);
    range_free(v, to_end, r->high);
    return to;
}

/* Within the area; NULL if the block has to move elsewhere. */
static void *run_resize(struct alloc *a, uint32_t unit, size_t bytes) {
    uint32_t units = run_units(states_of(a), unit);
    struct resize r = {.from = unit, .from_end = unit + units, .low = unit, .to = unit};
    r.align_log = run_align_log(states_of(a)[unit]);
    if (bytes > a->span) {
        return NULL;
    }
    r.units = r.align_log == 0 ? units_for(bytes, a->unit_log) : units_exact(bytes, a->unit_log);
    r.high = r.from_end;
    if (r.units == units) {
        return unit_at(a, unit);
    }
    bool piece = r.align_log == 0 && (size_t)r.units << a->unit_log <= PAGE_BYTES;
    bool planned = r.units < units || (piece && resize_plan_piece(a, &r)) || resize_plan_run(a, &r);
    return planned ? resize_do(a, &r) : NULL;
}

void *buddy_realloc(struct alloc *a, void *p, size_t bytes) {
    struct alloc *area;
    uint32_t unit;
    if (p == NULL) {
        return buddy_alloc_aligned(a, bytes, 1);
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
    size_t kept_bytes = (size_t)run_units(states_of(area), unit) << area->unit_log;
    uint32_t align_log = run_align_log(states_of(area)[unit]);
    void *moved = buddy_alloc_aligned(a, bytes, (size_t)1 << align_log);
    if (moved != NULL) {
        __builtin_memcpy(moved, p, kept_bytes);
        (void)buddy_free(a, p);
    }
    return moved;
}
