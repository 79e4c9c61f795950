/* SPDX-License-Identifier: MIT
 *
 * buddy_pages.c - runs of pages: setting up, allocating, giving back, resizing
 *
 * buddy_pages.h has the picture and the rules, buddy_pages_check.c looks at it.
 */
#include "buddy_pages.h"

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);

extern const struct alloc_ops buddy_pages_ops;

/* ---- setting up ---- */

/* Fills in all but the area, and frees all pages. */
static void pages_format(struct alloc *a, uint32_t pages, bool zeroed) {
    a->pages = pages;
    a->state_at = state_offset(pages);
    a->class_mask = 0;
    for (uint32_t class = 0; class < CLASSES; class ++) {
        a->links[class].prev = a->links[class].next = class;
    }
    if (!zeroed) {
        __builtin_memset(states_of(a) - 1, INSIDE, (size_t)pages + 2);
    }
    run_insert(a, 0, pages);
}

static struct alloc *pages_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    if (pool == NULL || pool_bytes > ALLOC_POOL_MAX) {
        return NULL;
    }
    uint32_t pages = pages_max((uintptr_t)pool, pool_bytes);
    if (pages == 0) {
        return NULL;
    }
    uint32_t lead = lead_bytes((uintptr_t)pool, pages);
    struct alloc *a = (struct alloc *)((uintptr_t)pool + lead);
    area_found(&a->area, pool_bytes, lead, (uint32_t)PAGE_BYTES);
    pages_format(a, pages, cfg != NULL && cfg->zeroed);
    return a;
}

static bool pages_add_region(struct alloc *a, void *mem, size_t bytes) {
    if (!area_admits(&a->area, mem, bytes)) {
        return false;
    }
    uint32_t pages = pages_max((uintptr_t)mem, bytes);
    if (pages == 0) {
        return false;
    }
    uint32_t lead = lead_bytes((uintptr_t)mem, pages);
    struct alloc *region = (struct alloc *)((uintptr_t)mem + lead);
    area_insert(&a->area, &region->area, bytes, lead);
    pages_format(region, pages, false);
    return true;
}

/* ---- allocating ---- */

/* The list to take a run of at least so many pages from: the first that is not empty, or CLASSES.
 */
static inline uint32_t list_for(const struct alloc *a, uint32_t pages) {
    uint32_t class = class_for(pages);
    uint64_t classes = a->class_mask >> class;
    return classes != 0 ? class + lowest_bit(classes) : CLASSES;
}

/* The first pages of the first run of a list in which all are long enough. */
static inline void *list_cut(struct alloc *a, uint32_t class, uint32_t pages) {
    ALLOC_ASSERT(class != 0 && class_pages(class) >= pages);
    uint32_t page = list_pop(a, class) - CLASSES;
    uint32_t rest = link_of(a, page + 1)->pages - pages;
    if (rest != 0) {
        run_insert(a, page + pages, rest);
    } else {
        states_of(a)[page + pages - 1] = INSIDE;
    }
    return run_mark(a, page, pages, 0);
}

/* A free run of one page, of which there is one. */
static inline void *page_take(struct alloc *a) {
    return run_mark(a, list_pop(a, 0) - CLASSES, 1, 0);
}

/* A page of the smallest run, if there is one; none has one page. */
static inline void *page_cut(struct alloc *a) {
    return list_cut(a, lowest_bit(a->class_mask), 1);
}

/* Two pages or more from this area, or NULL. */
static inline void *run_alloc(struct alloc *a, size_t bytes) {
    size_t last = (bytes - 1) >> PAGE_LOG;
    uint32_t class = last < a->pages ? list_for(a, (uint32_t)last + 1) : CLASSES;
    return class != CLASSES ? list_cut(a, class, (uint32_t)last + 1) : NULL;
}

static __attribute__((noinline)) void *regions_alloc(struct alloc *a, size_t bytes) {
    void *p = NULL;
    while (p == NULL && (a = region_next(a)) != NULL) {
        bool one = bytes - 1 < PAGE_BYTES && a->class_mask != 0;
        p = !one ? run_alloc(a, bytes) : (a->class_mask & 1) != 0 ? page_take(a) : page_cut(a);
    }
    return p;
}

static __attribute__((noinline)) void *page_split(struct alloc *a) {
    return a->class_mask != 0 ? page_cut(a) : regions_alloc(a, 1);
}

static __attribute__((noinline)) void *run_split(struct alloc *a, size_t bytes) {
    void *p = run_alloc(a, bytes);
    return p != NULL ? p : regions_alloc(a, bytes);
}

static void *pages_alloc(struct alloc *a, size_t bytes) {
    if (bytes - 1 >= PAGE_BYTES) {
        return run_split(a, bytes);
    }
    return (a->class_mask & 1) != 0 ? page_take(a) : page_split(a);
}

/* Cuts [first, first + pages) from the free run at `page`. */
static void *run_cut(struct alloc *a, uint32_t page, uint32_t first, uint32_t pages,
                     uint32_t align_log) {
    uint32_t end = page + run_pages(a, page);
    ALLOC_ASSERT(page <= first && first + pages <= end);
    run_remove(a, page, end - page);
    if (page != first) {
        run_insert(a, page, first - page);
    }
    if (first + pages != end) {
        run_insert(a, first + pages, end - (first + pages));
    }
    return run_mark(a, first, pages, align_log);
}

/* From a run so long that it holds the pages wherever it lies. */
static void *area_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    size_t last = (bytes - 1) >> PAGE_LOG;
    size_t slack = (align >> PAGE_LOG) - 1;
    if (last >= a->pages || slack >= a->pages - last) {
        return NULL;
    }
    uint32_t class = list_for(a, (uint32_t)(last + 1 + slack));
    if (class == CLASSES) {
        return NULL;
    }
    uint32_t page = a->links[class].next - CLASSES;
    uint32_t gap = (uint32_t)((0 - (uintptr_t)page_at(a, page)) >> PAGE_LOG & slack);
    return run_cut(a, page, page + gap, (uint32_t)last + 1, (uint32_t)__builtin_ctzl(align));
}

static void *pages_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    if (align == 0 || (align & (align - 1)) != 0) {
        return NULL;
    }
    if (align <= PAGE_BYTES) {
        return pages_alloc(a, bytes);
    }
    void *p = NULL;
    for (; p == NULL && a != NULL; a = region_next(a)) {
        p = area_alloc_aligned(a, bytes, align);
    }
    return p;
}

/* ---- giving back ---- */

/* The area and first page of the live run that starts at p; else why there is none. */
static enum alloc_status run_find(const struct alloc *a, const void *p, struct alloc **area,
                                  uint32_t *page) {
    *area = (struct alloc *)area_find((struct area *)(uintptr_t)&a->area, p);
    if (*area == NULL || (uintptr_t)p < base_of(*area) || (uintptr_t)p >= (uintptr_t)*area) {
        return ALLOC_FOREIGN;
    }
    uintptr_t number = page_number(*area, p);
    if (number >= (*area)->pages) {
        return ALLOC_MISALIGNED;
    }
    *page = (uint32_t)number;
    return states_of(*area)[number] == LIVE ? ALLOC_OK : ALLOC_NOT_LIVE;
}

static inline void run_free(struct alloc *a, uint32_t page) {
    states_of(a)[page] = INSIDE;
    run_give(a, page, link_of(a, page)->pages);
}

/* p is no live run of the first area: NULL, a run of a region, or misuse. */
static __attribute__((noinline)) enum alloc_status region_free(struct alloc *a, void *p) {
    struct alloc *area;
    uint32_t page;
    if (p == NULL) {
        return ALLOC_OK;
    }
    enum alloc_status status = run_find(a, p, &area, &page);
    if (status == ALLOC_OK) {
        run_free(area, page);
    }
    return status;
}

static enum alloc_status pages_free(struct alloc *a, void *p) {
    uintptr_t number = page_number(a, p);
    if (number >= a->pages || states_of(a)[number] != LIVE) {
        return region_free(a, p);
    }
    run_free(a, (uint32_t)number);
    return ALLOC_OK;
}

/* ---- resizing ---- */

/* Within its pages and the free ones around it: forwards, then as little backwards as will do. */
static void *run_resize(struct alloc *a, uint32_t page, uint32_t pages) {
    uint32_t old = link_of(a, page)->pages;
    uint32_t align_log = link_of(a, page)->align_log;
    uint32_t end = page + old;
    uint32_t behind = pages > old ? free_behind(a, end) : 0;
    uint32_t to = page;
    uint32_t before = 0;
    if (pages > old + behind) {
        before = free_before(a, page);
        uint32_t step = align_log != 0 ? 1u << (align_log - PAGE_LOG) : 1;
        uint32_t high = end + behind;
        if (pages > before + old + behind) {
            return NULL;
        }
        uint32_t back = (uint32_t)((uintptr_t)page_at(a, high - pages) >> PAGE_LOG) & (step - 1);
        if (high - pages < page - before + back) {
            return NULL;
        }
        to = high - pages - back;
    }
    uint32_t low = page - before;
    uint32_t high = end + behind;
    if (before != 0) {
        run_remove(a, low, before);
    }
    if (behind != 0) {
        run_remove(a, end, behind);
    }
    states_of(a)[page] = INSIDE;
    if (to != page) {
        memmove(page_at(a, to), page_at(a, page), (size_t)old << PAGE_LOG);
    }
    void *p = run_mark(a, to, pages, align_log);
    if (low != to) {
        run_give(a, low, to - low);
    }
    if (to + pages != high) {
        run_give(a, to + pages, high - (to + pages));
    }
    return p;
}

static void *pages_realloc(struct alloc *a, void *p, size_t bytes) {
    struct alloc *area;
    uint32_t page;
    if (p == NULL) {
        return pages_alloc(a, bytes);
    }
    if (run_find(a, p, &area, &page) != ALLOC_OK) {
        return NULL;
    }
    if (bytes == 0) {
        run_free(area, page);
        return NULL;
    }
    uint32_t old = link_of(area, page)->pages;
    uint32_t align_log = link_of(area, page)->align_log;
    size_t last = (bytes - 1) >> PAGE_LOG;
    void *resized = last < area->pages ? run_resize(area, page, (uint32_t)last + 1) : NULL;
    if (resized != NULL) {
        return resized;
    }
    void *moved = pages_alloc_aligned(a, bytes, (size_t)1 << align_log);
    if (moved != NULL) {
        memcpy(moved, p, (size_t)old << PAGE_LOG);
        run_free(area, page);
    }
    return moved;
}

/* ---- asking ---- */

static size_t pages_usable(const struct alloc *a, const void *p) {
    struct alloc *area;
    uint32_t page;
    bool live = run_find(a, p, &area, &page) == ALLOC_OK;
    return live ? (size_t)link_of(area, page)->pages << PAGE_LOG : 0;
}

static size_t pages_largest(const struct alloc *a) {
    uint32_t largest = 0;
    for (const struct alloc *area = a; area != NULL; area = region_next(area)) {
        if (area->class_mask != 0) {
            uint32_t class = highest_bit(area->class_mask);
            uint32_t pages = class_pages(class);
            largest = pages > largest ? pages : largest;
        }
    }
    return (size_t)largest << PAGE_LOG;
}

static void pages_stats(const struct alloc *a, struct alloc_stats *out) {
    alloc_stats_by_walk(&buddy_pages_ops, a, out);
}

const struct alloc_ops buddy_pages_ops = {
    .abi = ALLOC_ABI,
    .caps = ALLOC_CAP_FREES | ALLOC_CAP_COALESCES | ALLOC_CAP_DETECTS_MISUSE |
            ALLOC_CAP_EXACT_MISUSE | ALLOC_CAP_PAGES,
    .name = "buddy_pages",
    .summary = "runs of as many pages as asked for, with nothing inside them",
    .pool_max = ALLOC_POOL_MAX,
    .init = pages_init,
    .alloc = pages_alloc,
    .alloc_aligned = pages_alloc_aligned,
    .realloc = pages_realloc,
    .free = pages_free,
    .usable = pages_usable,
    .largest = pages_largest,
    .add_region = pages_add_region,
    .walk = buddy_pages_walk,
    .stats = pages_stats,
    .check = buddy_pages_check,
};
