/* SPDX-License-Identifier: MIT
 *
 * buddy_pieces.h - the free pieces of a buddy system: lists, splitting, joining
 *
 * What is hot exists once and is compiled for a constant unit size where it counts: `unit_log` is
 * an argument of inline functions, carried along in a struct view.
 */
#ifndef HEAPRIG_BUDDY_PIECES_H
#define HEAPRIG_BUDDY_PIECES_H

#include "buddy.h"

/* Compiled for size there is one copy of each function, for any unit size, and no way of its own
 * for what another one does as well. */
#ifdef __OPTIMIZE_SIZE__
#define BUDDY_HOT static inline
enum { BUDDY_SHORT_WAYS = 0 };
#else
#define BUDDY_HOT static inline __attribute__((always_inline))
enum { BUDDY_SHORT_WAYS = 1 };
#endif

/* An area with what a function on several pieces looks up once. */
struct view {
    struct alloc *a;
    uint8_t *states;
    intptr_t first; /* ref of the link of unit 0 */
    uint32_t unit_log;
};

BUDDY_HOT struct view view_for(struct alloc *a, uint32_t unit_log) {
    uint32_t state_at = unit_log == PAGE_LOG ? a->state_at : (uint32_t)sizeof(struct alloc);
    return (struct view){a, (uint8_t *)a + state_at, unit_ref(a, 0, unit_log), unit_log};
}

static inline struct view view_of(struct alloc *a) {
    return (struct view){a, states_of(a), a->first, a->unit_log};
}

/* Sets prev < 0 and LIST_END, in one store where the machine can. */
BUDDY_HOT void link_set_only(struct link *link, intptr_t prev) {
    int64_t both = prev;
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "prev is the lower half");
    __builtin_memcpy(link, &both, sizeof(both));
}

/* Puts a piece into its list; leaves the mask to the caller. */
BUDDY_HOT void piece_link(struct view v, uintptr_t unit, intptr_t list) {
    intptr_t ref = v.first + (intptr_t)(unit << ref_log(v.unit_log));
    intptr_t next = link_at(v.a, list)->next;
    link_at(v.a, ref)->next = (int32_t)next;
    link_at(v.a, next)->prev = (int32_t)ref; /* in between: else compilers pair both by vectors */
    link_at(v.a, ref)->prev = (int32_t)list;
    link_at(v.a, list)->next = (int32_t)ref;
    v.states[unit] = (uint8_t)list;
}

/* Takes a free piece out of its list; true if it was the only one. Leaves the mask to the caller.
 */
BUDDY_HOT bool piece_unlink(struct view v, uintptr_t unit, intptr_t list) {
    ALLOC_ASSERT(v.states[unit] == (uint8_t)list);
    intptr_t ref = v.first + (intptr_t)(unit << ref_log(v.unit_log));
    intptr_t prev = link_at(v.a, ref)->prev;
    intptr_t next = link_at(v.a, ref)->next;
    v.states[unit] = INTERIOR;
    link_at(v.a, prev)->next = (int32_t)next;
    link_at(v.a, next)->prev = (int32_t)prev;
    return link_at(v.a, list)->next == LIST_END;
}

static inline void piece_insert(struct view v, uint32_t unit, uint32_t order) {
    ALLOC_ASSERT((unit & ((1u << order) - 1)) == 0 && unit + (1u << order) <= v.a->units);
    piece_link(v, unit, list_of(order));
    v.a->order_mask |= 1u << order;
}

static inline void piece_remove(struct view v, uint32_t unit, uint32_t order) {
    if (piece_unlink(v, unit, list_of(order))) {
        v.a->order_mask ^= 1u << order;
    }
}

/* Takes the first piece, given by its ref, of a list that is not empty; whether it is empty now.
 * Leaves mask and state to the caller. */
BUDDY_HOT bool piece_pop(struct view v, uint32_t order, intptr_t *ref) {
    intptr_t list = list_of(order);
    *ref = link_at(v.a, list)->next;
    intptr_t next = link_at(v.a, *ref)->next;
    link_at(v.a, list)->next = (int32_t)next;
    link_at(v.a, next)->prev = (int32_t)list;
    return next == LIST_END;
}

/* Puts the upper halves that are left when a piece of `order` is split down to `wanted`, which is
 * less, into the lists, all of which are empty: there would have been no need to split otherwise.
 * Leaves the mask to the caller. |wanted| wanted |  wanted + 1  |           wanted + 2 = order - 1
 * | */
BUDDY_HOT void halves_link(struct view v, uintptr_t unit, uint32_t wanted, uint32_t order) {
    uintptr_t size = (uintptr_t)1 << wanted;
    intptr_t list = list_of(wanted);
    do {
        uintptr_t half = unit + size;
        intptr_t ref = v.first + (intptr_t)(half << ref_log(v.unit_log));
        ALLOC_ASSERT(link_at(v.a, list)->next == LIST_END);
        link_set_only(link_at(v.a, ref), list);
        link_at(v.a, list)->next = (int32_t)ref;
        v.states[half] = (uint8_t)list;
        size += size;
    } while (--list != list_of(order));
}

/* Puts [unit + units, unit + 2^order) into the lists, where no piece has a free buddy. */
BUDDY_HOT void tail_insert(struct view v, uintptr_t unit, uint32_t units, uint32_t order) {
    uint32_t end = 1u << order;
    v.a->order_mask |= end - units;
    for (; units != end; units += units & -units) {
        piece_link(v, unit + units, list_of((uint32_t)__builtin_ctz(units)));
    }
}

/* Gives back a live piece of a list and of its `size` in units that has a free buddy, joined with
 * it: |  piece  |  buddy  |   or   |  buddy  |  piece  |   ->   |       piece       |   and again
 * A buddy above begins at most at the end of the area, where a state lies that is never FREE. */
BUDDY_HOT void piece_join(struct view v, uintptr_t unit, intptr_t list, uintptr_t size) {
    uint32_t mask = v.a->order_mask;
    uintptr_t buddy = unit ^ size;
    v.states[unit] = INTERIOR;
    do {
        if (piece_unlink(v, buddy, list)) {
            mask ^= (uint32_t)size;
        }
        unit &= buddy;
        size += size;
        list--;
        buddy = unit ^ size;
    } while (v.states[buddy] == (uint8_t)list);
    v.a->order_mask = mask | (uint32_t)size;
    piece_link(v, unit, list);
}

/* Gives back a live piece that has none; else false. */
BUDDY_HOT bool piece_free(struct view v, uintptr_t unit, intptr_t list, uintptr_t size) {
    if (v.states[unit ^ size] == (uint8_t)list) {
        return false;
    }
    v.a->order_mask |= (uint32_t)size;
    piece_link(v, unit, list);
    return true;
}

/* Gives back [low, high), whose states are INTERIOR. Order for order, what sticks out at an end
 * joins its free buddy outside or becomes a piece, until nothing is left:
 *
 *   . . . .|. . x x|x x x x|x . . .     order 0: nothing sticks out below, one unit above
 *   . . . .|. . x x|x x x x|. . . .     order 1: two units below, none above
 *   . . . .|. . . .|x x x x|. . . .     order 2: four below; then low and high meet */
BUDDY_HOT void range_free(struct view v, uintptr_t low, uintptr_t high) {
    uint32_t mask = v.a->order_mask;
    while (low != high) {
        uint32_t order = (uint32_t)__builtin_ctzl(low | high);
        uintptr_t size = (uintptr_t)1 << order;
        intptr_t list = list_of(order);
        if ((low & size) != 0) {
            if (v.states[low - size] == (uint8_t)list) {
                low -= size;
                mask ^= piece_unlink(v, low, list) ? (uint32_t)size : 0;
            } else {
                piece_link(v, low, list);
                mask |= (uint32_t)size;
                low += size;
            }
        }
        if ((high & size) != 0 && low != high) {
            if (v.states[high] == (uint8_t)list) {
                mask ^= piece_unlink(v, high, list) ? (uint32_t)size : 0;
                high += size;
            } else {
                high -= size;
                piece_link(v, high, list);
                mask |= (uint32_t)size;
            }
        }
    }
    v.a->order_mask = mask;
}

/* ---- live blocks ---- */

/* Makes [unit, unit + units), whose states are INTERIOR, a live block; align_log is 0 for what
 * alloc() hands out. */
static inline void run_mark(uint8_t *states, uint32_t unit, uint32_t units, uint32_t align_log) {
    if (align_log == 0 && ((units | unit) & (units - 1)) == 0) {
        states[unit] = piece_state(HEAD, floor_log2(units));
        return;
    }
    states[unit] = (uint8_t)(RUN | align_log);
    for (uint32_t rest = units - 1; rest != 0; rest >>= DIGIT_BITS) {
        states[++unit] = (uint8_t)(DIGIT | (rest & DIGIT_MASK));
    }
}

/* Takes the marks away; the number of units that were live. */
static inline uint32_t run_unmark(uint8_t *states, uint32_t unit) {
    uint32_t units = run_units(states, unit);
    do {
        states[unit++] = INTERIOR;
    } while ((states[unit] & (uint32_t)KIND_MASK) == DIGIT);
    return units;
}

static inline uint32_t run_align_log(uint8_t state) {
    return state >= RUN ? state & (uint32_t)DIGIT_MASK : 0;
}

/* The area and first unit of the live block that starts at p; else why there is none. */
static inline enum alloc_status run_find(const struct alloc *a, const void *p, struct alloc **area,
                                         uint32_t *unit) {
    *area = (struct alloc *)area_find((struct area *)(uintptr_t)&a->area, p);
    if (*area == NULL || (uintptr_t)p < base_of(*area) ||
        ((uintptr_t)p - base_of(*area)) >> (*area)->unit_log >= (*area)->units) {
        return ALLOC_FOREIGN;
    }
    uintptr_t number = unit_number(*area, p, (*area)->unit_log);
    if (number >= (*area)->units) {
        return ALLOC_MISALIGNED;
    }
    *unit = (uint32_t)number;
    return state_is_live(states_of(*area)[number]) ? ALLOC_OK : ALLOC_NOT_LIVE;
}

#endif
