/* SPDX-License-Identifier: MIT
 *
 * buddy_pages.h - how runs of pages lie in memory, and what happens to free ones
 *
 *   area  | trim | page 0 | ... | page n-1 | struct alloc | links | state[] | trim |
 *                ^ base                     ^ handle
 *
 * The lists of a buddy system, but a free run joins with any free run that touches it, not with its
 * buddy alone. So a run of any length takes one split and a freed one at most two joins, where
 * buddies need one of each for every binary digit of the length.
 *
 * 1. Free runs of one class form a doubly linked list. There are two classes an octave: 1, 2, 3, 4
 *    to 5, 6 to 7, 8 to 11, ... pages. A mask of those not empty lets one bit scan find the
 *    smallest of which every run is long enough (as TLSF does: Masmano and others, ECRTS 2004).
 * 2. state[] holds a byte for each page: whether a run starts or ends there. So free() accepts
 *    exactly the starts of live runs, whatever is written into pages.
 * 3. The link of the first page of a free run holds its neighbours in the list; those of its second
 *    and of its last page its length (Knuth's boundary tags, TAOCP vol. 1, 2.5, Algorithm C). The
 *    link of the first page of a live run holds its length and the alignment asked for.
 *
 * Metadata: 9 bytes a page, outside the pages. Links are numbers of links, so the same requests
 * give the same offsets on every machine. Each region is a pool of its own; all functions are O(1)
 * plus O(regions), realloc() plus one copy; init(), add_region(), walk(), stats() and check() are
 * O(pages).
 */

#ifndef HEAPRIG_BUDDY_PAGES_H
#define HEAPRIG_BUDDY_PAGES_H

#include "area.h"

enum { PAGE_LOG = 12, CLASSES = 40 }; /* up to 2^20 pages */

#define PAGE_BYTES ((size_t)1 << PAGE_LOG)

enum state {
    INSIDE,     /* of a run, live or free */
    FREE_ONE,   /* a free run of one page */
    FREE_FIRST, /* first page of a longer one */
    FREE_LAST,  /* and its last */
    LIVE        /* first page of a live run */
};

/* Of a list: the head of a class is link 0 to CLASSES - 1, the link of page p is CLASSES + p. */
union link {
    struct {
        uint32_t prev, next;
    };
    struct {
        uint32_t pages, align_log;
    };
};

/* The pool, or one of its regions. */
struct alloc {
    struct area area;  /* unit_bytes is the page size */
    uint32_t pages;    /* n */
    uint32_t state_at; /* from this structure to state[], which has n + 2 bytes: one before page 0,
                          one behind the last, both INSIDE */
    uint64_t class_mask; /* bit c set: list c is not empty */
    union link links[];
};

_Static_assert(offsetof(struct alloc, links) == 40, "the same layout on every machine");

/* In buddy_pages_check.c. */
void buddy_pages_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx);
const char *buddy_pages_check(const struct alloc *a);

/* ---- classes ---- */

static inline uint32_t floor_log2(uint32_t value) {
    ALLOC_ASSERT(value > 0);
    return 31u - (uint32_t)__builtin_clz(value);
}

/* Of a mask that is not 0; in two halves where a machine has no 64-bit scan. */
static inline uint32_t lowest_bit(uint64_t mask) {
    uint32_t low = (uint32_t)mask;
    if (sizeof(long) == sizeof(mask)) {
        return (uint32_t)__builtin_ctzl((unsigned long)mask);
    }
    return low != 0 ? (uint32_t)__builtin_ctz(low)
                    : 32 + (uint32_t)__builtin_ctz((uint32_t)(mask >> 32));
}

static inline uint32_t highest_bit(uint64_t mask) {
    uint32_t high = (uint32_t)(mask >> 32);
    return high != 0 ? 32 + floor_log2(high) : floor_log2((uint32_t)mask);
}

/* 1 -> 0, 2 -> 2, 3 -> 3, 4 -> 4, 5 -> 4, 6 -> 5, 7 -> 5, 8 -> 6 */
static inline uint32_t class_of(uint32_t pages) {
    uint32_t log = floor_log2(pages);
    return log + (2 * pages >> log) - 2 + log;
}

/* The first class whose runs all have that many pages: 1 -> 0, 2 -> 2, 3 -> 3, 5 -> 5, 7 -> 6 */
static inline uint32_t class_for(uint32_t pages) {
    uint32_t log = floor_log2(pages);
    return class_of(pages + ((1u << log) - 1) / 2);
}

/* The least run of a class. */
static inline uint32_t class_pages(uint32_t class) {
    return class < 2 ? 1 : (2 + class % 2) << (class / 2 - 1);
}

/* ---- pages ---- */

static inline uintptr_t base_of(const struct alloc *a) {
    return (uintptr_t)a - ((uintptr_t)a->pages << PAGE_LOG);
}

static inline void *page_at(const struct alloc *a, uint32_t page) {
    return (void *)((uintptr_t)a - ((uintptr_t)(a->pages - page) << PAGE_LOG));
}

static inline uint8_t *states_of(const struct alloc *a) {
    return (uint8_t *)(uintptr_t)a + a->state_at;
}

static inline union link *link_of(struct alloc *a, uint32_t page) {
    return &a->links[CLASSES + page];
}

/* The page that starts at p, or what is not below a->pages. */
static inline uintptr_t page_number(const struct alloc *a, const void *p) {
    uintptr_t distance = (uintptr_t)p - base_of(a);
    return distance >> PAGE_LOG | distance << (sizeof(distance) * 8 - PAGE_LOG);
}

static inline struct alloc *region_next(const struct alloc *a) {
    return (struct alloc *)area_next(&a->area);
}

/* ---- free runs ---- */

/* Writes down the length of a free run of two pages or more, at both ends. */
static inline void run_tag(struct alloc *a, uint32_t page, uint32_t pages) {
    states_of(a)[page + pages - 1] = FREE_LAST;
    link_of(a, page + 1)->pages = pages;
    link_of(a, page + pages - 1)->pages = pages;
}

/* Makes [page, page + pages), which touches no free page, a free run. */
static inline void run_insert(struct alloc *a, uint32_t page, uint32_t pages) {
    uint8_t *states = states_of(a);
    uint32_t class = class_of(pages);
    uint32_t ref = CLASSES + page;
    uint32_t next = a->links[class].next;
    a->links[ref].prev = class;
    a->links[ref].next = next;
    a->links[next].prev = ref;
    a->links[class].next = ref;
    a->class_mask |= (uint64_t)1 << class;
    if (pages == 1) {
        states[page] = FREE_ONE;
        return;
    }
    states[page] = FREE_FIRST;
    run_tag(a, page, pages);
}

/* Takes the first run, whose ref is returned, of a list that is not empty; leaves its states. */
static inline uint32_t list_pop(struct alloc *a, uint32_t class) {
    uint32_t ref = a->links[class].next;
    uint32_t next = a->links[ref].next;
    a->links[class].next = next;
    a->links[next].prev = class;
    if (next == class) {
        a->class_mask ^= (uint64_t)1 << class;
    }
    return ref;
}

/* The pages of the free run that starts at `page`. */
static inline uint32_t run_pages(const struct alloc *a, uint32_t page) {
    return states_of(a)[page] == FREE_ONE ? 1 : a->links[CLASSES + page + 1].pages;
}

/* Takes a free run out of its list; its states are INSIDE then. */
static inline void run_remove(struct alloc *a, uint32_t page, uint32_t pages) {
    union link *link = link_of(a, page);
    uint32_t prev = link->prev;
    uint32_t next = link->next;
    a->links[prev].next = next;
    a->links[next].prev = prev;
    if (prev == next) { /* the head: it was the only one */
        a->class_mask ^= (uint64_t)1 << prev;
    }
    states_of(a)[page] = INSIDE;
    states_of(a)[page + pages - 1] = INSIDE;
}

/* Free pages that end before `page`, and that start there. */
static inline uint32_t free_before(const struct alloc *a, uint32_t page) {
    uint8_t state = states_of(a)[(intptr_t)page - 1];
    return state == FREE_ONE ? 1 : state == FREE_LAST ? a->links[CLASSES + page - 1].pages : 0;
}

static inline uint32_t free_behind(const struct alloc *a, uint32_t page) {
    uint8_t state = states_of(a)[page];
    return state == FREE_ONE || state == FREE_FIRST ? run_pages(a, page) : 0;
}

/* Gives back [page, page + pages), whose states are INSIDE, joined with what is free around it. */
static inline void run_give(struct alloc *a, uint32_t page, uint32_t pages) {
    uint32_t behind = free_behind(a, page + pages);
    if (behind != 0) {
        run_remove(a, page + pages, behind);
        pages += behind;
    }
    uint32_t before = free_before(a, page);
    if (before != 0) {
        run_remove(a, page - before, before);
        page -= before;
        pages += before;
    }
    run_insert(a, page, pages);
}

/* Makes [page, page + pages), whose states are INSIDE, a live run. */
static inline void *run_mark(struct alloc *a, uint32_t page, uint32_t pages, uint32_t align_log) {
    states_of(a)[page] = LIVE;
    *link_of(a, page) = (union link){.pages = pages, .align_log = align_log};
    return page_at(a, page);
}

/* ---- geometry ---- */

/* Bytes of metadata behind so many pages. */
static inline uint64_t control_bytes(uint32_t pages) {
    return offsetof(struct alloc, links) + ((uint64_t)CLASSES + pages) * sizeof(union link) +
           pages + 2;
}

static inline uint32_t trim_bytes(uintptr_t begin) {
    return (uint32_t)(0 - begin) & (uint32_t)(PAGE_BYTES - 1);
}

/* As many pages as fit with their metadata; the division overestimates by a few. */
static inline uint32_t pages_max(uintptr_t begin, size_t bytes) {
    uint32_t trim = trim_bytes(begin);
    uint32_t pages = 0;
    for (uint32_t step = 1u << 19; step > 0; step >>= 1) {
        uint32_t more = pages + step;
        if (trim + ((uint64_t)more << PAGE_LOG) + control_bytes(more) <= bytes) {
            pages = more;
        }
    }
    return pages;
}

static inline uint32_t lead_bytes(uintptr_t begin, uint32_t pages) {
    return trim_bytes(begin) + (pages << PAGE_LOG);
}

static inline uint32_t state_offset(uint32_t pages) {
    return (uint32_t)(control_bytes(pages) - pages) - 1;
}

#endif
