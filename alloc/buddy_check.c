/* SPDX-License-Identifier: MIT
 *
 * buddy_check.c - looks at a buddy system without changing it: walk() and check()
 *
 * check() goes from what can be believed to what depends on it: the seal of an area, the geometry
 * that follows from its size, the states of its units, the lists. So nothing outside the areas is
 * read, and no loop is longer than there are units. It cannot see damage that leaves a sound state,
 * such as a run that lost its last piece to its neighbour.
 */
#include "buddy_pieces.h"

static bool area_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    uintptr_t begin = area_begin(&a->area);
    struct alloc_piece trim = {ALLOC_PIECE_META, (void *)begin, base_of(a) - begin, NULL, 0};
    if (trim.bytes > 0 && !visit(ctx, &trim)) {
        return false;
    }
    uint32_t end;
    for (uint32_t unit = 0; unit < a->units; unit = end) {
        uint8_t state = states_of(a)[unit];
        bool live = state_is_live(state);
        end = unit + (live ? run_units(states_of(a), unit) : 1u << state_order(state));
        size_t bytes = (size_t)(end - unit) << a->unit_log;
        void *start = unit_at(a, unit);
        struct alloc_piece piece = {live ? ALLOC_PIECE_LIVE : ALLOC_PIECE_FREE, start, bytes,
                                    live ? start : NULL, bytes};
        if (!visit(ctx, &piece)) {
            return false;
        }
    }
    uintptr_t units_end = (uintptr_t)a - heads_bytes(a->units);
    size_t control_bytes = begin + a->area.bytes - units_end;
    struct alloc_piece control = {ALLOC_PIECE_META, (void *)units_end, control_bytes, NULL, 0};
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
    if (units == 0 || a->area.lead != lead_bytes(begin, units, unit_bytes)) {
        return "control structure: it does not lie behind the units";
    }
    geometry_fill(&sound, units);
    bool same = a->unit_log == sound.unit_log && a->units == sound.units && a->span == sound.span &&
                a->state_at == sound.state_at && a->first == sound.first;
    return same ? NULL : "control structure: geometry is not that of the area";
}

/* The piece, free or live, that starts at `unit`. */
static const char *piece_check(const struct alloc *a, uint32_t unit) {
    const uint8_t *states = states_of(a);
    uint32_t size = 1u << state_order(states[unit]);
    uint32_t buddy = unit ^ size;
    if ((unit & (size - 1)) != 0 || size > a->units - unit) {
        return "state: piece is not aligned or exceeds the area";
    }
    bool unjoined = state_is_free(states[unit]) && states[buddy] == states[unit];
    return unjoined ? "state: two free buddies were not joined" : NULL;
}

/* The run that starts at `unit`: its units, if not exceeding the area, come from its digits. */
static const char *run_check(const struct alloc *a, uint32_t unit, uint32_t units) {
    uint32_t align_log = run_align_log(states_of(a)[unit]);
    if (units > a->units - unit) {
        return "state: run exceeds the area";
    }
    if (align_log != 0 && align_log <= a->unit_log) {
        return "state: alignment that every unit has";
    }
    bool piece = align_log == 0 && ((units | unit) & (units - 1)) == 0;
    return piece ? "state: run that is a piece" : NULL;
}

/* Behind `unit` only the digits of a run of so many units, if it is one. */
static const char *inside_check(const struct alloc *a, uint32_t unit, uint32_t units, bool run) {
    const uint8_t *states = states_of(a);
    uint32_t rest = run ? units - 1 : 0;
    for (uint32_t i = 1; i < units; i++) {
        uint32_t state = rest != 0 ? DIGIT | (rest & DIGIT_MASK) : INTERIOR;
        if (states[unit + i] != state) {
            return "state: what lies inside a block is no part of it";
        }
        rest >>= DIGIT_BITS;
    }
    return NULL;
}

/* Counts the free pieces of each order. */
static const char *states_check(const struct alloc *a, uint32_t *free_counts) {
    const uint8_t *states = states_of(a);
    if (states[a->units] != INTERIOR) {
        return "state: the byte behind the last is set";
    }
    for (uint32_t unit = 0; unit < a->units;) {
        bool live = state_is_live(states[unit]);
        if (!live && !state_is_free(states[unit])) {
            return "state: no block starts where one ends";
        }
        bool run = live && states[unit] >= RUN;
        uint32_t order = state_order(states[unit]);
        uint32_t units = run ? run_units(states, unit) : 1u << order;
        const char *broken = run ? run_check(a, unit, units) : piece_check(a, unit);
        broken = broken != NULL ? broken : inside_check(a, unit, units, run);
        if (broken != NULL) {
            return broken;
        }
        free_counts[order] += !live;
        unit += units;
    }
    return NULL;
}

/* A list that visits `count` free pieces and then ends visits none twice, so it holds them all. */
static const char *list_check(const struct alloc *a, uint32_t order, uint32_t count) {
    intptr_t prev = list_of(order);
    intptr_t ref = link_at(a, prev)->next;
    for (uint32_t i = 0; i < count; i++) {
        uintptr_t unit = ref_unit(a, ref, a->unit_log);
        if (unit >= a->units || unit_ref(a, (uint32_t)unit, a->unit_log) != ref ||
            states_of(a)[unit] != piece_state(FREE, order)) {
            return "free list: leads to what is no free piece of its order";
        }
        if (link_at(a, ref)->prev != prev) {
            return "free list: neighbours disagree";
        }
        prev = ref;
        ref = link_at(a, ref)->next;
    }
    if (ref != LIST_END) {
        return "free list: longer than there are free pieces of its order";
    }
    if (order > 0 && link_at(a, list_of(order))->prev != 0) {
        return "free list: something was written before its head";
    }
    bool marked = (a->order_mask >> order & 1) != 0;
    return marked == (count > 0) ? NULL : "order mask: disagrees with the free lists";
}

static const char *area_sound(const struct alloc *a) {
    uint32_t free_counts[DIGIT_MASK + 1] = {0};
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
