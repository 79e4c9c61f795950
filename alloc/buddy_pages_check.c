/* SPDX-License-Identifier: MIT
 *
 * buddy_pages_check.c - looks at runs of pages without changing them: walk() and check()
 *
 * check() goes from what can be believed to what depends on it: the seal of an area, the geometry
 * that follows from its size, the states of its pages, the lists. So nothing outside the areas is
 * read, and no loop is longer than there are pages.
 */
#include "buddy_pages.h"

/* ---- looking at it ---- */

static bool area_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    uintptr_t begin = area_begin(&a->area);
    struct alloc_piece trim = {ALLOC_PIECE_META, (void *)begin, base_of(a) - begin, NULL, 0};
    if (trim.bytes > 0 && !visit(ctx, &trim)) {
        return false;
    }
    uint32_t pages;
    for (uint32_t page = 0; page < a->pages; page += pages) {
        bool live = states_of(a)[page] == LIVE;
        pages = live ? a->links[CLASSES + page].pages : run_pages(a, page);
        void *start = page_at(a, page);
        size_t usable = (size_t)(live ? pages : class_pages(class_of(pages))) << PAGE_LOG;
        struct alloc_piece piece = {live ? ALLOC_PIECE_LIVE : ALLOC_PIECE_FREE, start,
                                    (size_t)pages << PAGE_LOG, live ? start : NULL, usable};
        if (!visit(ctx, &piece)) {
            return false;
        }
    }
    struct alloc_piece control = {ALLOC_PIECE_META, a, a->area.bytes - a->area.lead, NULL, 0};
    return visit(ctx, &control);
}

void buddy_pages_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    const struct alloc *area = a;
    while (area != NULL && area_walk(area, visit, ctx)) {
        area = region_next(area);
    }
}

/* ---- checking it ---- */

static const char *geometry_check(const struct alloc *a) {
    uintptr_t begin = area_begin(&a->area);
    uint32_t pages = pages_max(begin, a->area.bytes);
    bool same = pages != 0 && a->area.lead == lead_bytes(begin, pages) && a->pages == pages &&
                a->state_at == state_offset(pages) && a->area.unit_bytes == PAGE_BYTES;
    return same ? NULL : "control structure: geometry is not that of the area";
}

/* The run that starts at `page`; *pages is valid if it is sound. */
static const char *run_check(const struct alloc *a, uint32_t page, uint32_t *pages) {
    const uint8_t *states = states_of(a);
    const union link *link = &a->links[CLASSES + page];
    uint8_t state = states[page];
    bool live = state == LIVE;
    if (!live && state != FREE_ONE && state != FREE_FIRST) {
        return "state: no run starts where one ends";
    }
    *pages = live ? link->pages : state == FREE_ONE ? 1 : 2;
    if (state == FREE_FIRST && page + 1 < a->pages) {
        *pages = link[1].pages;
    }
    if (*pages == 0 || *pages > a->pages - page || (state == FREE_FIRST && *pages < 2)) {
        return "link: impossible length of a run";
    }
    uint32_t last = page + *pages - 1;
    for (uint32_t inside = page + 1; inside <= last; inside++) {
        bool is_end = state == FREE_FIRST && inside == last;
        if (states[inside] != (is_end ? FREE_LAST : INSIDE)) {
            return "state: what lies inside a run is no part of it";
        }
    }
    if (!live) {
        bool joined = states[last + 1] != FREE_ONE && states[last + 1] != FREE_FIRST;
        bool tagged = *pages == 1 || a->links[CLASSES + last].pages == *pages;
        return !joined  ? "state: two free runs were not joined"
               : tagged ? NULL
                        : "link: length at the end of a free run is not its length";
    }
    uint32_t align_log = link->align_log;
    bool kept =
        align_log == 0 || (align_log > PAGE_LOG && align_log < 32 &&
                           (uintptr_t)page_at(a, page) << (sizeof(uintptr_t) * 8 - align_log) == 0);
    return kept ? NULL : "link: run does not lie as it was asked to";
}

/* Counts the free runs of each class. */
static const char *states_check(const struct alloc *a, uint32_t *free_counts) {
    const uint8_t *states = states_of(a);
    if (states[-1] != INSIDE || states[a->pages] != INSIDE) {
        return "state: a byte before the first or behind the last is set";
    }
    uint32_t pages = 0;
    for (uint32_t page = 0; page < a->pages; page += pages) {
        const char *broken = run_check(a, page, &pages);
        if (broken != NULL) {
            return broken;
        }
        if (states[page] != LIVE) {
            free_counts[class_of(pages)]++;
        }
    }
    return NULL;
}

/* A list that visits `count` free runs and then ends visits none twice, so it holds them all. */
static const char *list_check(const struct alloc *a, uint32_t class, uint32_t count) {
    uint32_t prev = class;
    uint32_t ref = a->links[class].next;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t page = ref - CLASSES;
        if (page >= a->pages ||
            (states_of(a)[page] != FREE_ONE && states_of(a)[page] != FREE_FIRST) ||
            class_of(run_pages(a, page)) != class) {
            return "free list: leads to what is no free run of its class";
        }
        if (a->links[ref].prev != prev) {
            return "free list: neighbours disagree";
        }
        prev = ref;
        ref = a->links[ref].next;
    }
    if (ref != class || a->links[class].prev != prev) {
        return "free list: longer than there are free runs of its class";
    }
    bool marked = (a->class_mask >> class & 1) != 0;
    return marked == (count > 0) ? NULL : "class mask: disagrees with the free lists";
}

static const char *area_sound(const struct alloc *a) {
    uint32_t free_counts[CLASSES] = {0};
    const char *broken = area_check(&a->area);
    broken = broken != NULL ? broken : geometry_check(a);
    broken = broken != NULL ? broken : states_check(a, free_counts);
    for (uint32_t class = 0; class < CLASSES && broken == NULL; class ++) {
        broken = list_check(a, class, free_counts[class]);
    }
    bool beyond = broken == NULL && a->class_mask >> CLASSES != 0;
    return beyond ? "class mask: names a class that does not exist" : broken;
}

const char *buddy_pages_check(const struct alloc *a) {
    const char *broken = NULL;
    for (const struct alloc *area = a; area != NULL && broken == NULL;) {
        broken = area_sound(area);
        area = broken == NULL ? region_next(area) : NULL;
    }
    return broken;
}
