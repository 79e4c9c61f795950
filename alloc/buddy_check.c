/* SPDX-License-Identifier: MIT
 *
 * buddy_check.c - looks at a buddy system without changing it: walk() and check()
 *
 * check() goes from what can be believed to what depends on it: the seal of an area, the geometry
 * that follows from its size, the states of its units, the lists. So nothing outside the areas is
 * read, and no loop is longer than there are units. It cannot see damage that leaves a sound state,
 * such as a run that lost its last piece to its neighbour.
 */
#include "buddy.h"

static bool area_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    uintptr_t begin = area_begin(&a->area);
    struct alloc_piece trim = {ALLOC_PIECE_META, (void *)begin, base_of(a) - begin, NULL, 0};
    if (trim.bytes > 0 && !visit(ctx, &trim)) {
        return false;
    }
    uint32_t end;
    for (uint32_t unit = 0; unit < a->units; unit = end) {
        uint8_t state = states_of(a)[unit];
        bool live = state >= HEAD;
        end = live ? run_end(a, unit) : unit + (1u << state_order(state));
        size_t bytes = (size_t)(end - unit) << a->unit_log;
        void *start = unit_at(a, unit);
        struct alloc_piece piece = {live ? ALLOC_PIECE_LIVE : ALLOC_PIECE_FREE, start, bytes,
                                    live ? start : NULL, bytes};
        if (!visit(ctx, &piece)) {
            return false;
        }
    }
    struct alloc_piece control = {ALLOC_PIECE_META, a, a->area.bytes - a->area.lead, NULL, 0};
    return visit(ctx, &control);
}

void buddy_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    const struct alloc *area = a;
    while (area != NULL && area_walk(area, visit, ctx)) {
        area = region_next(area);
    }
}

/* ---- check ---- */

static const char *geometry_check(const struct alloc *a) {
    uint32_t unit_bytes = a->area.unit_bytes;
    uintptr_t begin = area_begin(&a->area);
    uint32_t units = units_max(begin, a->area.bytes, unit_bytes);
    struct alloc sound = {.area = a->area};
    if (units == 0 || a->area.lead != trim_bytes(begin, unit_bytes) + units * unit_bytes) {
        return "control structure: it does not lie behind the units";
    }
    geometry_fill(&sound, units);
    bool same = a->unit_log == sound.unit_log && a->units == sound.units && a->span == sound.span &&
                a->state_at == sound.state_at && a->link_at == sound.link_at &&
                a->link_log == sound.link_log;
    return same ? NULL : "control structure: geometry is not that of the area";
}

/* The piece that starts at `unit`, where `live_before` tells of the piece before it. */
static const char *piece_check(const struct alloc *a, uint32_t unit, bool live_before) {
    const uint8_t *states = states_of(a);
    uint8_t state = states[unit];
    uint32_t size = 1u << state_order(state);
    uint32_t buddy = unit ^ size;
    if (state < FREE || state >= ALIGNED + FREE) {
        return "state: no piece starts where one ends";
    }
    if ((unit & (size - 1)) != 0 || size > a->units - unit) {
        return "state: piece is not aligned or exceeds the area";
    }
    if ((state & ~ORDER_MASK) == CONT && !live_before) {
        return "state: continuation without a head";
    }
    if (state_is_free(state) && buddy < a->units && states[buddy] == state) {
        return "state: two free buddies were not joined";
    }
    if (state >= ALIGNED && (state & (uint32_t)ORDER_MASK) <= a->unit_log) {
        return "state: alignment that every unit has";
    }
    for (uint32_t i = 1; i < size; i++) {
        if (states[unit + i] != INTERIOR) {
            return "state: piece starts inside another";
        }
    }
    return NULL;
}

/* Counts the free pieces of each order. */
static const char *states_check(const struct alloc *a, uint32_t *free_counts) {
    const uint8_t *states = states_of(a);
    bool live_before = false;
    for (uint32_t unit = 0; unit < a->units;) {
        const char *broken = piece_check(a, unit, live_before);
        if (broken != NULL) {
            return broken;
        }
        uint32_t order = state_order(states[unit]);
        live_before = !state_is_free(states[unit]);
        free_counts[order] += !live_before;
        unit += 1u << order;
    }
    return states[a->units] == INTERIOR ? NULL : "state: the byte behind the last is set";
}

/* A list that visits `count` free pieces and then ends visits none twice, so it holds them all. */
static const char *list_check(const struct alloc *a, uint32_t order, uint32_t count) {
    uint32_t prev = NO_UNIT;
    uint32_t unit = a->head[order];
    for (uint32_t i = 0; i < count; i++) {
        if (unit >= a->units || states_of(a)[unit] != (FREE | order)) {
            return "free list: leads to what is no free piece of its order";
        }
        if (link_of(a, unit)->prev != prev) {
            return "free list: neighbours disagree";
        }
        prev = unit;
        unit = link_of(a, unit)->next;
    }
    if (unit != NO_UNIT) {
        return "free list: longer than there are free pieces of its order";
    }
    bool marked = (a->order_mask >> order & 1) != 0;
    return marked == (count > 0) ? NULL : "order mask: disagrees with the free lists";
}

static const char *area_sound(const struct alloc *a) {
    uint32_t free_counts[ORDER_MASK + 1] = {0};
    const char *broken = area_check(&a->area);
    broken = broken != NULL ? broken : geometry_check(a);
    broken = broken != NULL ? broken : states_check(a, free_counts);
    if (broken != NULL) {
        return broken;
    }
    uint32_t top = floor_log2(a->units);
    for (uint32_t order = 0; order <= top && broken == NULL; order++) {
        broken = list_check(a, order, free_counts[order]);
    }
    bool beyond = a->order_mask >> top > 1;
    return broken == NULL && beyond ? "order mask: names an order that does not exist" : broken;
}

const char *buddy_check(const struct alloc *a) {
    const char *broken = NULL;
    for (const struct alloc *area = a; area != NULL && broken == NULL;) {
        broken = area_sound(area);
        area = broken == NULL ? region_next(area) : NULL;
    }
    return broken;
}
