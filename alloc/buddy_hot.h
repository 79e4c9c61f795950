/* SPDX-License-Identifier: MIT
 *
 * buddy_hot.h - alloc() and free() of the buddy system, to be compiled for a constant unit size
 *
 * A request whose order has a free piece goes a short way, quick_alloc(). All else is in functions
 * that its caller makes of split_for(), so that the short way need not save registers for it.
 */
#ifndef HEAPRIG_BUDDY_HOT_H
#define HEAPRIG_BUDDY_HOT_H

#include "buddy_pieces.h"

/* ---- allocating ---- */

/* Bit i: there is a free piece of order + i. */
BUDDY_HOT size_t orders_from(const struct alloc *a, uint32_t order) {
    return (size_t)a->order_mask >> order;
}

/* Leaves a run of whole pages of the live piece of `order` at `unit` and gives back the rest. */
BUDDY_HOT void piece_trim(struct view v, uintptr_t unit, size_t bytes, uint32_t order) {
    uint32_t units = units_for(bytes, v.unit_log);
    if (units != 1u << order) {
        run_mark(v.states, (uint32_t)unit, units, 0);
        tail_insert(v, unit, units, order);
    }
}

static __attribute__((noinline)) void bytes_trim(struct alloc *a, uintptr_t unit, size_t bytes,
                                                 uint32_t order) {
    piece_trim(view_for(a, UNIT_LOG_MIN), unit, bytes, order);
}

/* From this area, which has a piece of `wanted` or more. */
BUDDY_HOT void *piece_alloc(struct alloc *a, size_t bytes, uint32_t wanted, uint32_t unit_log) {
    struct view v = view_for(a, unit_log);
    uint32_t order = wanted + (uint32_t)__builtin_ctzl(orders_from(a, wanted));
    intptr_t ref;
    uint32_t mask = a->order_mask - (1u << wanted); /* a borrow from the list popped */
    a->order_mask = piece_pop(v, order, &ref) ? mask : mask | 1u << order;
    uintptr_t unit = ref_unit(a, ref, unit_log);
    v.states[unit] = piece_state(HEAD, wanted);
    halves_link(v, unit, wanted, order);
    if (wanted > PAGE_LOG - unit_log) {
        if (unit_log == UNIT_LOG_MIN) {
            bytes_trim(a, unit, bytes, wanted);
        } else {
            piece_trim(v, unit, bytes, wanted);
        }
    }
    return unit_log == PAGE_LOG ? (void *)(base_of(a) + ((uintptr_t)unit << unit_log))
                                : (void *)link_at(a, ref);
}

BUDDY_HOT void *split_for(struct alloc *a, size_t bytes, uint32_t wanted, uint32_t unit_log) {
    bool found = orders_from(a, wanted) != 0;
    return found ? piece_alloc(a, bytes, wanted, unit_log) : buddy_regions_alloc(a, bytes);
}

/* A block of one piece that need not be split. */
BUDDY_HOT void *quick_alloc(struct alloc *a, uint32_t wanted, uint32_t unit_log) {
    struct view v = view_for(a, unit_log);
    intptr_t ref;
    if (piece_pop(v, wanted, &ref)) {
        a->order_mask ^= 1u << wanted;
    }
    uintptr_t unit = ref_unit(a, ref, unit_log);
    v.states[unit] = piece_state(HEAD, wanted);
    return unit_log == PAGE_LOG ? (void *)(base_of(a) + ((uintptr_t)unit << unit_log))
                                : (void *)link_at(a, ref);
}

BUDDY_HOT bool is_quick(const struct alloc *a, uint32_t wanted, uint32_t unit_log) {
    size_t mask = a->order_mask & ((2u << (PAGE_LOG - unit_log)) - 1);
    return (mask >> wanted & 1) != 0;
}

/* ---- giving back ---- */

BUDDY_HOT void run_free(struct alloc *a, uintptr_t unit, uint32_t unit_log) {
    struct view v = view_for(a, unit_log);
    uint32_t units = run_unmark(v.states, (uint32_t)unit);
    range_free(v, unit, unit + units);
}

BUDDY_HOT enum alloc_status free_for(struct alloc *a, void *p, uint32_t unit_log) {
    struct view v = view_for(a, unit_log);
    uintptr_t number = unit_number(a, p, unit_log);
    if (number >= a->units || (uint8_t)(v.states[number] - HEAD) > DIGIT_MASK) {
        return buddy_any_free(a, p);
    }
    uint32_t order = state_order(v.states[number]);
    v.states[number] = INTERIOR;
    piece_free(v, number, order);
    return ALLOC_OK;
}

#endif
