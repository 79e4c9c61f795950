/* SPDX-License-Identifier: MIT
 *
 * buddy_runs.c - runs of pages by number: what buddy_runs.h does not inline
 */
#include "buddy_runs.h"

uint32_t buddy_run_take(struct alloc *a, uint32_t pages) {
    uint32_t wanted = pages != 0 ? ceil_log2(pages) : DIGIT_MASK;
    if (orders_from(a, wanted) == 0) {
        return BUDDY_PAGE_NONE;
    }
    struct view v = view_for(a, PAGE_LOG);
    intptr_t ref;
    bool whole = order_is_free(a, wanted);
    uintptr_t page = whole ? piece_take(v, wanted, &ref) : piece_split(v, wanted, &ref);
    piece_trim(v, page, pages, wanted);
    return (uint32_t)page;
}

uint32_t buddy_run_give(struct alloc *a, uint32_t page) {
    return run_free(a, page, PAGE_LOG);
}

void buddy_page_join(struct alloc *a, uint32_t page) {
    piece_join(view_for(a, PAGE_LOG), page, list_of(0), 1);
}
