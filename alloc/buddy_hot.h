/* SPDX-License-Identifier: MIT
 *
 * buddy_hot.h - alloc() and free() of the buddy system, to be compiled for a constant unit size
 *
 * A request whose order has a free piece goes a short way, quick_alloc(), and so does a block that
 * joins with none. All else is in functions that their callers make of any_alloc(), split_alloc()
 * and piece_join(), so that the short ways need not save registers for it.
 */
#ifndef HEAPRIG_BUDDY_HOT_H
#define HEAPRIG_BUDDY_HOT_H

#include "buddy_pieces.h"

/* ---- allocating ---- */

/* Bit i: there is a free piece of order + i. */
BUDDY_HOT size_t orders_from(const struct alloc *a, uint32_t order) {
    return (size_t)a->order_mask >> order;
}

/* Leaves a run of `units` of the live piece of `order` at `unit` and gives back the rest. */
BUDDY_HOT void piece_trim(struct view v, uintptr_t unit, uint32_t units, uint32_t order) {
    if (units != 1u << order) {
        run_mark(v.states, (uint32_t)unit, units, 0);
        tail_insert(v, unit, units, order);
    }
}

/* A live piece of `wanted`, an order that has no free piece, split off the smallest larger one, of
 * which there is one: its unit, and its ref. */
BUDDY_HOT uintptr_t piece_split(struct view v, uint32_t wanted, intptr_t *ref) {
    uint32_t order = wanted + (uint32_t)__builtin_ctzl(orders_from(v.a, wanted));
    uint32_t mask = v.a->order_mask - (1u << wanted); /* a borrow from the list popped */
    v.a->order_mask = piece_pop(v, order, ref) ? mask : mask | 1u << order;
    uintptr_t unit = ref_unit(v.a, *ref, v.unit_log);
    v.states[unit] = piece_state(HEAD, wanted);
    halves_link(v, unit, wanted, order);
    return unit;
}

/* The same of an order that has a free piece. */
BUDDY_HOT uintptr_t piece_take(struct view v, uint32_t wanted, intptr_t *ref) {
    if (piece_pop(v, wanted, ref)) {
        v.a->order_mask ^= 1u << wanted;
    }
    uintptr_t unit = ref_unit(v.a, *ref, v.unit_log);
    v.states[unit] = (uint8_t)(list_of(wanted) + (HEAD - FREE));
    return unit;
}

/* Where that is. */
BUDDY_HOT void *piece_start(const struct view v, uintptr_t unit, intptr_t ref) {
    return v.unit_log == PAGE_LOG ? (void *)(base_of(v.a) + (unit << v.unit_log))
                                  : (void *)link_at(v.a, ref);
}

/* Whether there is a free piece of an order of this area's. */
BUDDY_HOT bool order_is_free(const struct alloc *a, uint32_t order) {
    return (a->order_mask >> order & 1) != 0;
}

/* From this area, which has a piece of `wanted` or more. */
BUDDY_HOT void *piece_alloc(struct alloc *a, size_t bytes, uint32_t wanted, uint32_t unit_log) {
    struct view v = view_for(a, unit_log);
    intptr_t ref;
    bool whole = order_is_free(a, wanted);
    uintptr_t unit = whole ? piece_take(v, wanted, &ref) : piece_split(v, wanted, &ref);
    if (wanted > PAGE_LOG - unit_log) {
        piece_trim(v, unit, units_for(bytes, unit_log), wanted);
    }
    return piece_start(v, unit, ref);
}

BUDDY_HOT void *any_alloc(struct alloc *a, size_t bytes, uint32_t unit_log) {
    uint32_t wanted = order_for(bytes, unit_log);
    bool found = orders_from(a, wanted) != 0;
    return found ? piece_alloc(a, bytes, wanted, unit_log) : buddy_regions_alloc(a, bytes);
}

/* A block of one piece that need not be split. */
BUDDY_HOT void *quick_alloc(struct alloc *a, uint32_t wanted, uint32_t unit_log) {
    struct view v = view_for(a, unit_log);
    intptr_t ref;
    uintptr_t unit = piece_take(v, wanted, &ref);
    return piece_start(v, unit, ref);
}

/* A block of one piece, at most a page, that must be split off. */
BUDDY_HOT void *split_alloc(struct alloc *a, uint32_t wanted, uint32_t unit_log) {
    struct view v = view_for(a, unit_log);
    if (orders_from(a, wanted) == 0) {
        return buddy_regions_alloc(a, (size_t)1 << (wanted + unit_log));
    }
    intptr_t ref;
    uintptr_t unit = piece_split(v, wanted, &ref);
    return piece_start(v, unit, ref);
}

/* ---- giving back ---- */

/* The units it had. */
BUDDY_HOT uint32_t run_free(struct alloc *a, uintptr_t unit, uint32_t unit_log) {
    struct view v = view_for(a, unit_log);
    uint32_t units = run_unmark(v.states, (uint32_t)unit);
    range_free(v, unit, unit + units);
    return units;
}

/* Gives back a live piece by piece_join(), in a function of its own. */
typedef enum alloc_status piece_join_fn(struct alloc *a, uintptr_t unit, intptr_t list,
                                        uintptr_t size);

BUDDY_HOT enum alloc_status free_for(struct alloc *a, void *p, uint32_t unit_log,
                                     piece_join_fn *join) {
    struct view v = view_for(a, unit_log);
    uintptr_t unit = unit_number(a, p, unit_log);
    uint32_t digit = DIGIT_MASK + 1;
    if (unit >= a->units || (digit = v.states[unit] - (uint32_t)HEAD) > DIGIT_MASK) {
        return buddy_any_free(a, p);
    }
    intptr_t list = (intptr_t)digit - (DIGIT_MASK + 1);
    uintptr_t size = (1u << DIGIT_MASK) >> digit;
    return piece_free(v, unit, list, size) ? ALLOC_OK : join(a, unit, list, size);
}

#endif
