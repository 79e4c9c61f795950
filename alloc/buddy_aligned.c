/* SPDX-License-Identifier: MIT
 *
 * buddy_aligned.c - the buddy system for whole pages, which it never touches
 *
 * buddy.c with cfg.block_bytes 4096 does the same; here alloc() and free() are compiled for pages.
 * A run of up to 2^k pages starts at a multiple of 2^k, counted from the area's first page. Who has
 * no use for that is better served by buddy_pages.c.
 */
#include "buddy_hot.h"

extern const struct alloc_ops buddy_aligned_ops;

static struct alloc *pages_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    return buddy_format(pool, pool_bytes, cfg, PAGE_BYTES);
}

static __attribute__((noinline)) void *pages_run_alloc(struct alloc *a, size_t bytes) {
    return any_alloc(a, bytes, PAGE_LOG);
}

static __attribute__((noinline)) void *page_split(struct alloc *a) {
    return split_alloc(a, 0, PAGE_LOG);
}

static void *pages_alloc(struct alloc *a, size_t bytes) {
    if (bytes - 1 >= PAGE_BYTES) {
        return pages_run_alloc(a, bytes);
    }
    return order_is_free(a, 0) ? quick_alloc(a, 0, PAGE_LOG) : page_split(a);
}

static __attribute__((noinline)) enum alloc_status pages_join(struct alloc *a, uintptr_t unit,
                                                              intptr_t list, uintptr_t size) {
    piece_join(view_for(a, PAGE_LOG), unit, list, size);
    return ALLOC_OK;
}

static enum alloc_status pages_free(struct alloc *a, void *p) {
    return free_for(a, p, PAGE_LOG, pages_join);
}

const struct alloc_ops buddy_aligned_ops = {
    BUDDY_SHARED_OPS,
    .caps = BUDDY_CAPS | ALLOC_CAP_PAGES,
    .name = "buddy_aligned",
    .summary = "binary buddies of pages: 2^k of them start at a multiple of 2^k",
    .init = pages_init,
    .alloc = pages_alloc,
    .free = pages_free,
};
