/* SPDX-License-Identifier: MIT
 *
 * phys.c - segments of simulated RAM, each the pool of a buddy system for pages
 *
 * A segment lies in host memory congruent to its address modulo the largest alignment, so that what
 * the buddy system aligns is aligned for the emulated machine too.
 */
#include "phys.h"
#include "../alloc/buddy_runs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGN_MAX = 16 << 20, LARGE_TRIES = 8 };

struct segment {
    paddr_t base;        /* of the first managed frame */
    uint32_t pages;      /* managed */
    uint32_t first;      /* number of its first frame */
    struct frame *frame; /* the descriptor of that */
    uint8_t *host;       /* where the first frame lies */
    struct alloc *buddy; /* its pool: host, and the metadata behind it */
    void *mapping;
    size_t mapping_bytes;
};

struct phys {
    struct segment segment[PHYS_SEGMENTS_MAX]; /* by address */
    uint32_t segments;
    const struct segment *last; /* of the last look-up by address */
    uint32_t total, used;
    struct frame *frames;
};

/* ---- setting up ---- */

static int range_order(const void *x, const void *y) {
    paddr_t a = ((const struct phys_range *)x)->base;
    paddr_t b = ((const struct phys_range *)y)->base;
    return a < b ? -1 : a > b;
}

/* Ranges in order. */
static bool ranges_valid(const struct phys_range *range, size_t count) {
    uint64_t end = 0;
    for (size_t i = 0; i < count; i++) {
        if (range[i].bytes == 0 || !vm_page_aligned(range[i].base | range[i].bytes) ||
            (i > 0 && range[i].base < end)) {
            return false;
        }
        end = (uint64_t)range[i].base + range[i].bytes;
        if (end > (uint64_t)1 << 32 || range[i].bytes > ALLOC_POOL_MAX) {
            return false;
        }
    }
    return true;
}

static bool free_piece_note(void *ctx, const struct alloc_piece *piece) {
    struct segment *s = ctx;
    if (piece->kind == ALLOC_PIECE_FREE) {
        s->host = s->host == NULL ? (uint8_t *)(uintptr_t)piece->start : s->host;
        s->pages += (uint32_t)(piece->bytes >> VM_PAGE_LOG);
    }
    return true;
}

static enum vm_status segment_new(struct segment *s, const struct phys_range *range) {
    s->mapping_bytes = (size_t)range->bytes + ALIGN_MAX;
    s->mapping = mmap(NULL, s->mapping_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s->mapping == MAP_FAILED) {
        s->mapping = NULL;
        return VM_NO_MEMORY;
    }
    uintptr_t shift = (range->base - (uintptr_t)s->mapping) & (ALIGN_MAX - 1);
    uint8_t *pool = (uint8_t *)s->mapping + shift;
    const struct alloc_cfg cfg = {.zeroed = true};
    s->buddy = buddy_aligned_ops.init(pool, range->bytes, &cfg);
    if (s->buddy == NULL) {
        return VM_INVALID_ARGS;
    }
    buddy_aligned_ops.walk(s->buddy, free_piece_note, s);
    s->base = range->base + (paddr_t)(s->host - pool);
    return VM_OK;
}

enum vm_status phys_new(const struct phys_range *ranges, size_t count, struct phys **out) {
    struct phys_range sorted[PHYS_SEGMENTS_MAX];
    if (count == 0 || count > PHYS_SEGMENTS_MAX) {
        return VM_INVALID_ARGS;
    }
    memcpy(sorted, ranges, count * sizeof(sorted[0]));
    qsort(sorted, count, sizeof(sorted[0]), range_order);
    if (!ranges_valid(sorted, count)) {
        return VM_INVALID_ARGS;
    }
    struct phys *phys = calloc(1, sizeof(*phys));
    enum vm_status status = phys != NULL ? VM_OK : VM_NO_MEMORY;
    for (size_t i = 0; i < count && status == VM_OK; i++) {
        struct segment *s = &phys->segment[phys->segments++];
        status = segment_new(s, &sorted[i]);
        s->first = phys->total;
        phys->total += s->pages;
    }
    if (status == VM_OK) {
        phys->frames = calloc(phys->total, sizeof(phys->frames[0]));
        status = phys->frames != NULL ? VM_OK : VM_NO_MEMORY;
    }
    if (status != VM_OK) {
        phys_delete(phys);
        return status;
    }
    for (uint32_t i = 0; i < phys->segments; i++) {
        phys->segment[i].frame = phys->frames + phys->segment[i].first;
    }
    phys->last = &phys->segment[0];
    *out = phys;
    return VM_OK;
}

void phys_delete(struct phys *phys) {
    for (uint32_t i = 0; phys != NULL && i < phys->segments; i++) {
        if (phys->segment[i].mapping != NULL) {
            (void)munmap(phys->segment[i].mapping, phys->segment[i].mapping_bytes);
        }
    }
    if (phys != NULL) {
        free(phys->frames);
    }
    free(phys);
}

/* ---- addresses ---- */

static inline bool segment_has(const struct segment *s, paddr_t pa) {
    return (pa - s->base) >> VM_PAGE_LOG < s->pages;
}

/* The segment that manages pa, or NULL. */
static __attribute__((noinline)) const struct segment *segment_search(const struct phys *phys,
                                                                      paddr_t pa) {
    uint32_t low = 0;
    uint32_t high = phys->segments;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (phys->segment[middle].base <= pa) {
            low = middle;
        } else {
            high = middle;
        }
    }
    if (!segment_has(&phys->segment[low], pa)) {
        return NULL;
    }
    ((struct phys *)(uintptr_t)phys)->last = &phys->segment[low]; /* a cache */
    return &phys->segment[low];
}

static inline const struct segment *segment_of(const struct phys *phys, paddr_t pa) {
    const struct segment *s = phys->last;
    return segment_has(s, pa) ? s : segment_search(phys, pa);
}

static inline struct frame *frame_in(const struct segment *s, paddr_t pa) {
    return s->frame + ((pa - s->base) >> VM_PAGE_LOG);
}

struct frame *phys_frame(const struct phys *phys, paddr_t pa) {
    const struct segment *s = segment_of(phys, pa);
    return s != NULL ? frame_in(s, pa) : NULL;
}

struct frame *phys_frame_at(const struct phys *phys, uint32_t number) {
    assert(number < phys->total);
    return &phys->frames[number];
}

uint32_t phys_frame_number(const struct phys *phys, const struct frame *frame) {
    assert(frame >= phys->frames && frame < phys->frames + phys->total);
    return (uint32_t)(frame - phys->frames);
}

paddr_t phys_address(const struct phys *phys, const struct frame *frame) {
    uint32_t number = phys_frame_number(phys, frame);
    uint32_t i = phys->segments - 1;
    while (phys->segment[i].first > number) {
        i--;
    }
    return phys->segment[i].base + ((number - phys->segment[i].first) << VM_PAGE_LOG);
}

void *phys_host(const struct phys *phys, paddr_t pa) {
    const struct segment *s = segment_of(phys, pa);
    return s != NULL ? s->host + (pa - s->base) : NULL;
}

paddr_t phys_of_host(const struct phys *phys, const void *p) {
    for (uint32_t i = 0; i < phys->segments; i++) {
        const struct segment *s = &phys->segment[i];
        uintptr_t distance = (uintptr_t)p - (uintptr_t)s->host;
        if (distance >> VM_PAGE_LOG < s->pages) {
            return s->base + (paddr_t)distance;
        }
    }
    return PADDR_NONE;
}

bool phys_segment(const struct phys *phys, uint32_t number, paddr_t *first, paddr_t *last) {
    if (number >= phys->segments) {
        return false;
    }
    const struct segment *s = &phys->segment[number];
    *first = s->base;
    *last = s->base + ((s->pages << VM_PAGE_LOG) - 1);
    return true;
}

/* ---- runs ---- */

static inline paddr_t page_address(const struct segment *s, uint32_t page) {
    return s->base + (page << VM_PAGE_LOG);
}

/* The page of the segment that starts at pa, or something not below s->pages. */
static inline uint32_t segment_page(const struct segment *s, paddr_t pa) {
    paddr_t distance = pa - s->base;
    return distance >> VM_PAGE_LOG | distance << (32 - VM_PAGE_LOG);
}

/* A run of so many pages is used now: p, as the host sees it. */
static paddr_t run_note(struct phys *phys, const struct segment *s, const void *p, uint32_t pages) {
    phys->used += pages;
    return s->base + (paddr_t)((const uint8_t *)p - s->host);
}

/* No piece is large enough, but free pieces that touch may be: the largest are taken one after the
 * other and the buddy system asked to grow them where they lie. */
static void *touching_grow(struct alloc *buddy, size_t bytes) {
    void *tried[LARGE_TRIES];
    void *found = NULL;
    uint32_t count = 0;
    while (found == NULL && count < LARGE_TRIES) {
        size_t largest = buddy_aligned_ops.largest(buddy);
        void *piece = buddy_aligned_ops.alloc(buddy, largest < bytes ? largest : 0);
        if (piece == NULL) {
            break;
        }
        found = buddy_aligned_ops.realloc(buddy, piece, bytes);
        if (found == NULL) {
            tried[count++] = piece;
        }
    }
    while (count > 0) {
        (void)buddy_aligned_ops.free(buddy, tried[--count]);
    }
    return found;
}

static __attribute__((noinline)) paddr_t touching_alloc(struct phys *phys, uint32_t pages) {
    size_t bytes = (size_t)pages << VM_PAGE_LOG;
    for (uint32_t i = 0; i < phys->segments && pages > 1; i++) {
        const struct segment *s = &phys->segment[i];
        void *p = pages <= s->pages ? touching_grow(s->buddy, bytes) : NULL;
        if (p != NULL) {
            return run_note(phys, s, p, pages);
        }
    }
    return PADDR_NONE;
}

/* All but a page that the first segment has at hand. */
static __attribute__((noinline)) paddr_t segments_alloc(struct phys *phys, uint32_t pages) {
    if (pages - 1 >= phys->total) {
        return PADDR_NONE;
    }
    for (uint32_t i = 0; i < phys->segments; i++) {
        const struct segment *s = &phys->segment[i];
        uint32_t page = buddy_run_take(s->buddy, pages);
        if (page != BUDDY_PAGE_NONE) {
            phys->used += pages;
            return page_address(s, page);
        }
    }
    return touching_alloc(phys, pages);
}

paddr_t phys_alloc(struct phys *phys, uint32_t pages) {
    const struct segment *s = &phys->segment[0];
    if (pages != 1 || !buddy_has_page(s->buddy)) {
        return segments_alloc(phys, pages);
    }
    phys->used++;
    return page_address(s, buddy_page_take(s->buddy));
}

paddr_t phys_alloc_aligned(struct phys *phys, uint32_t pages, uint32_t align_bytes) {
    bool valid = align_bytes >= VM_PAGE && align_bytes <= ALIGN_MAX &&
                 (align_bytes & (align_bytes - 1)) == 0;
    if (!valid || pages - 1 >= phys->total) {
        return PADDR_NONE;
    }
    for (uint32_t i = 0; i < phys->segments; i++) {
        const struct segment *s = &phys->segment[i];
        size_t bytes = (size_t)pages << VM_PAGE_LOG;
        void *p = buddy_aligned_ops.alloc_aligned(s->buddy, bytes, align_bytes);
        if (p != NULL) {
            return run_note(phys, s, p, pages);
        }
    }
    return PADDR_NONE;
}

/* All but a page without references in the segment of the last look-up. */
static __attribute__((noinline)) enum vm_status checked_free(struct phys *phys, paddr_t pa) {
    const struct segment *s = segment_of(phys, pa);
    if (s == NULL || !vm_page_aligned(pa)) {
        return VM_NOT_VALID;
    }
    uint32_t page = segment_page(s, pa);
    if (!buddy_run_is_live(s->buddy, page)) {
        return VM_NOT_VALID;
    }
    if (s->frame[page].refs != 0) {
        return VM_BUSY;
    }
    phys->used -= buddy_run_give(s->buddy, page);
    return VM_OK;
}

enum vm_status phys_free(struct phys *phys, paddr_t pa) {
    const struct segment *s = phys->last;
    uint32_t page = segment_page(s, pa);
    if (page >= s->pages || !buddy_page_is_live(s->buddy, page) || s->frame[page].refs != 0) {
        return checked_free(phys, pa);
    }
    phys->used--;
    buddy_page_give(s->buddy, page);
    return VM_OK;
}

enum vm_status phys_shrink(struct phys *phys, paddr_t pa, uint32_t pages) {
    uint32_t run_pages = phys_run_pages(phys, pa);
    if (run_pages == 0) {
        return VM_NOT_VALID;
    }
    if (pages - 1 >= run_pages) {
        return VM_INVALID_ARGS;
    }
    const struct segment *s = segment_of(phys, pa);
    void *p = s->host + (pa - s->base);
    void *shrunk = buddy_aligned_ops.realloc(s->buddy, p, (size_t)pages << VM_PAGE_LOG);
    assert(shrunk == p);
    (void)shrunk;
    phys->used -= run_pages - pages;
    return VM_OK;
}

uint32_t phys_run_pages(const struct phys *phys, paddr_t pa) {
    const struct segment *s = vm_page_aligned(pa) ? segment_of(phys, pa) : NULL;
    uint32_t page = s != NULL ? segment_page(s, pa) : 0;
    return s != NULL && buddy_run_is_live(s->buddy, page) ? buddy_run_pages(s->buddy, page) : 0;
}

/* ---- lists and references ---- */

uint32_t phys_list_alloc(struct phys *phys, uint32_t pages, struct page_list *list) {
    uint32_t found = 0;
    for (; found < pages; found++) {
        paddr_t pa = phys_alloc(phys, 1);
        if (pa == PADDR_NONE) {
            break;
        }
        struct frame *frame = phys_frame(phys, pa);
        frame->next = list->first;
        list->first = phys_frame_number(phys, frame);
        list->count++;
    }
    return found;
}

bool frame_unref(struct phys *phys, struct frame *frame) {
    frame->refs -= frame->refs > 0;
    return frame->refs == 0 && phys_free(phys, phys_address(phys, frame)) == VM_OK;
}

uint32_t phys_list_free(struct phys *phys, struct page_list *list) {
    uint32_t freed = 0;
    while (list->count > 0) {
        struct frame *frame = phys_frame_at(phys, list->first);
        list->first = frame->next;
        list->count--;
        frame->next = 0;
        freed += frame_unref(phys, frame);
    }
    list->first = FRAME_NONE;
    return freed;
}

/* ---- reports ---- */

static bool piece_count(void *ctx, const struct alloc_piece *piece) {
    struct phys_usage *usage = ctx;
    uint32_t pages = (uint32_t)(piece->bytes >> VM_PAGE_LOG);
    if (piece->kind == ALLOC_PIECE_FREE) {
        uint32_t order = 31u - (uint32_t)__builtin_clz(pages);
        uint32_t top = PHYS_ORDERS - 1;
        usage->pieces[order < top ? order : top] += order < top ? 1 : pages >> top;
    }
    return true;
}

void phys_usage(const struct phys *phys, struct phys_usage *out) {
    *out = (struct phys_usage){.total = phys->total, .used = phys->used};
    out->free = phys->total - phys->used;
    for (uint32_t i = 0; i < phys->segments; i++) {
        struct alloc *buddy = phys->segment[i].buddy;
        uint32_t largest = (uint32_t)(buddy_aligned_ops.largest(buddy) >> VM_PAGE_LOG);
        out->largest = largest > out->largest ? largest : out->largest;
        buddy_aligned_ops.walk(buddy, piece_count, out);
    }
}

uint32_t phys_free_pages(const struct phys *phys) {
    return phys->total - phys->used;
}

struct agreement {
    const struct segment *segment;
    uint32_t used;
    const char *broken;
};

static bool piece_agrees(void *ctx, const struct alloc_piece *piece) {
    struct agreement *seen = ctx;
    size_t distance = (size_t)((const uint8_t *)piece->start - seen->segment->host);
    if (piece->kind == ALLOC_PIECE_META) {
        return true;
    }
    bool live = piece->kind == ALLOC_PIECE_LIVE;
    uint32_t pages = (uint32_t)(piece->bytes >> VM_PAGE_LOG);
    const struct frame *frame = &seen->segment->frame[distance >> VM_PAGE_LOG];
    for (uint32_t i = 0; i < pages && !live; i++) {
        if (frame[i].refs != 0 || frame[i].flags != 0) {
            seen->broken = "phys: a free frame has users or flags";
        }
    }
    seen->used += live ? pages : 0;
    return seen->broken == NULL;
}

const char *phys_check(const struct phys *phys) {
    struct agreement seen = {0};
    for (uint32_t i = 0; i < phys->segments && seen.broken == NULL; i++) {
        seen.segment = &phys->segment[i];
        seen.broken = buddy_aligned_ops.check(seen.segment->buddy);
        if (seen.broken == NULL) {
            buddy_aligned_ops.walk(seen.segment->buddy, piece_agrees, &seen);
        }
    }
    if (seen.broken == NULL && seen.used != phys->used) {
        return "phys: the count of used frames is wrong";
    }
    return seen.broken;
}
