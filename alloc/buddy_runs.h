/* SPDX-License-Identifier: MIT
 *
 * buddy_runs.h - runs of pages by number, for who keeps no pointers to them (vm/phys.c)
 *
 * The pool is one of buddy_aligned_ops, without regions; pages count from its first. What is done
 * here and through that table may be mixed.
 */
#ifndef HEAPRIG_BUDDY_RUNS_H
#define HEAPRIG_BUDDY_RUNS_H

#include "buddy_hot.h"

extern const struct alloc_ops buddy_aligned_ops;

/* No page has this number. */
#define BUDDY_PAGE_NONE UINT32_MAX

/* The first of so many pages, at most 2^20, that follow one another and are free, as alloc() finds
 * them; BUDDY_PAGE_NONE if no free piece holds them or pages is 0. O(orders). */
uint32_t buddy_run_take(struct alloc *a, uint32_t pages);

/* Ends the live run that starts at `page`: the pages it had. O(orders). */
uint32_t buddy_run_give(struct alloc *a, uint32_t page);

/* Whether a live run starts at `page`, any page of the pool. O(1). */
BUDDY_HOT bool buddy_run_is_live(const struct alloc *a, uint32_t page) {
    return state_is_live(states_of(a)[page]);
}

/* The pages of that run. O(1). */
BUDDY_HOT uint32_t buddy_run_pages(const struct alloc *a, uint32_t page) {
    return run_units(states_of(a), page);
}

/* The two most frequent cases, to be inlined.
 *
 * Whether there is a free piece of one page, and takes it: what buddy_run_take(a, 1) finds then. */
BUDDY_HOT bool buddy_has_page(const struct alloc *a) {
    return order_is_free(a, 0);
}

BUDDY_HOT uint32_t buddy_page_take(struct alloc *a) {
    intptr_t ref;
    return (uint32_t)piece_take(view_for(a, PAGE_LOG), 0, &ref);
}

/* Whether a live run of one page starts at `page`, and ends it. */
BUDDY_HOT bool buddy_page_is_live(const struct alloc *a, uint32_t page) {
    return states_of(a)[page] == piece_state(HEAD, 0);
}

void buddy_page_join(struct alloc *a, uint32_t page); /* its buddy being free */

BUDDY_HOT void buddy_page_give(struct alloc *a, uint32_t page) {
    if (!piece_free(view_for(a, PAGE_LOG), page, list_of(0), 1)) {
        buddy_page_join(a, page);
    }
}

#endif
