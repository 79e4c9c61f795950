/* SPDX-License-Identifier: MIT
 *
 * heap_ops.h - alloc, free and realloc of the boundary-tag heaps, over any index
 *
 * Every function takes the table of the index first. It is a constant of the including file, so the
 * compiler calls the index directly and inlines it.
 *
 *   split     | free                    |  ->  | live       | free       |
 *   give      | dead | free or wild ... |  ->  | free or wild .......... |
 *   realloc   grows into the block behind, then also into the one before, and only then moves
 */
#ifndef HEAPRIG_HEAP_OPS_H
#define HEAPRIG_HEAP_OPS_H

#include "heap_layout.h"

/* ---- verbs on blocks ---- */

/* Turns [b, b + bytes), which no index knows and whose neighbour before is live, into free memory,
 * joined with what is free behind. */
static inline void block_give(const struct heap_index_ops *ix, struct heap *h, uint32_t b,
                              uint32_t bytes) {
    uint32_t behind = b + bytes;
    if (behind == h->top) {
        heap_set(h, b, HEAP_FREE);
        h->top = b;
        return;
    }
    uint32_t header = heap_get(h, behind);
    if ((header & HEAP_FREE) != 0) {
        ix->remove(h, behind, block_size(header));
        bytes += block_size(header);
    } else {
        heap_set(h, behind, header | HEAP_PREV_FREE);
    }
    block_mark_free(h, b, bytes);
    ix->insert(h, b, bytes);
}

/* Makes the first `need` bytes of the unindexed free block b live, with the given flags, and gives
 * the rest back where it can be a block of its own. What is behind b is live. */
HEAP_HOT void block_split(const struct heap_index_ops *ix, struct heap *h, uint32_t b,
                          uint32_t bytes, uint32_t need, uint32_t flags) {
    ALLOC_ASSERT(bytes >= need && b + bytes < h->top);
    uint32_t rest = bytes - need;
    if (rest >= HEAP_BLOCK_MIN) {
        heap_set(h, b, need | flags);
        block_mark_free(h, b + need, rest);
        ix->insert(h, b + need, rest);
        return;
    }
    heap_set(h, b, bytes | flags);
    heap_set(h, b + bytes, heap_get(h, b + bytes) & ~(uint32_t)HEAP_PREV_FREE);
}

/* Makes the first `need` bytes of the wilderness a live block. */
HEAP_HOT void block_carve(struct heap *h, uint32_t b, uint32_t need, uint32_t flags) {
    ALLOC_ASSERT(b + need <= h->end);
    heap_set(h, b, need | flags);
    heap_set(h, b + need, HEAP_FREE);
    h->top = b + need;
}

/* Cuts the live block b down to `need`, if the tail can be given back. */
static inline void block_trim(const struct heap_index_ops *ix, struct heap *h, uint32_t b,
                              uint32_t need) {
    uint32_t header = heap_get(h, b);
    uint32_t bytes = block_size(header);
    uint32_t tail = bytes - need;
    /* A tail of 8 bytes is too short for a block, but can join what is free behind it; the word at
     * top counts as free. */
    if (tail >= HEAP_BLOCK_MIN || (tail != 0 && (heap_get(h, b + bytes) & HEAP_FREE) != 0)) {
        heap_set(h, b, header - tail);
        block_give(ix, h, b + need, tail);
    }
}

/* ---- alloc ---- */

/* Bytes to skip at b so that the payload is aligned and the gap is 0 or can be a free block. */
HEAP_HOT uint32_t block_gap(const struct heap *h, uint32_t b, uint32_t align) {
    uint32_t payload = (uint32_t)(uintptr_t)h + b + HEAP_HEADER_BYTES;
    uint32_t gap = (0 - payload) & (align - 1);
    return gap == 8 ? gap + align : gap;
}

/* Writes down the alignment of the live block b, if it is more than every block's. */
static inline void block_note_align(struct heap *h, uint32_t b, uint32_t align) {
    uint32_t header = heap_get(h, b);
    if ((header & HEAP_ALIGNED) != 0) {
        heap_set(h, b + block_size(header) - 4, align);
    }
}

/* The payload from this heap alone, or NULL. Where align is the constant ALLOC_ALIGN, nothing but a
 * plain alloc is left of it. */
HEAP_HOT void *heap_place(const struct heap_index_ops *ix, struct heap *h, size_t request,
                          size_t align) {
    if (request_is_hopeless(h, request)) {
        return NULL;
    }
    uint32_t flags = align > ALLOC_ALIGN ? HEAP_ALIGNED : 0;
    uint32_t need = request_block_bytes((uint32_t)request + flags);
    /* The longest gap there can be: a block of that much more holds the payload wherever it lies.
     */
    uint32_t slack = align > ALLOC_ALIGN ? (uint32_t)align + 8 : 0;
    /* An index knows no sizes beyond the heap's. */
    bool is_known = slack == 0 || (uint64_t)need + slack <= h->end - h->first;
    struct heap_found found = is_known ? ix->take(h, need + slack) : HEAP_FOUND_NONE;
    bool is_wild = found.bytes == 0;
    uint32_t b = is_wild ? h->top : found.b;
    uint32_t bytes = is_wild ? h->end - b : found.bytes;
    uint32_t gap = align > ALLOC_ALIGN ? block_gap(h, b, (uint32_t)align) : 0;
    if (is_wild && (bytes < gap || bytes - gap < need)) {
        return NULL;
    }
    if (gap != 0) {
        block_mark_free(h, b, gap);
        ix->insert(h, b, gap);
        flags |= HEAP_PREV_FREE;
        b += gap;
    }
    if (is_wild) {
        block_carve(h, b, need, flags);
    } else {
        block_split(ix, h, b, bytes - gap, need, flags);
    }
    if (align > ALLOC_ALIGN) {
        block_note_align(h, b, (uint32_t)align);
    }
    return block_payload(h, b);
}

/* The pool first, then its regions in address order. */
HEAP_HOT void *heap_alloc_aligned(const struct heap_index_ops *ix, struct heap *h, size_t request,
                                  size_t align) {
    if (align == 0 || (align & (align - 1)) != 0 || align > HEAP_ALIGN_MAX) {
        return NULL;
    }
    void *payload;
    do {
        payload = heap_place(ix, h, request, align);
    } while (__builtin_expect(payload == NULL, 0) && (h = heap_next(h)) != NULL);
    return payload;
}

/* ---- free ---- */

HEAP_HOT uint32_t payload_block(const struct heap *h, const void *p) {
    return (uint32_t)((uintptr_t)p - (uintptr_t)h) - HEAP_HEADER_BYTES;
}

/* Whether p could be the payload of a block: 8-aligned, at or behind the first payload and before
 * the wilderness. */
HEAP_HOT bool heap_reaches(const struct heap *h, const void *p) {
    uintptr_t offset = (uintptr_t)p - (uintptr_t)h;
    return offset > h->first && offset - HEAP_HEADER_BYTES < h->top &&
           (uintptr_t)p % ALLOC_ALIGN == 0;
}

/* Whether the block b, which the heap reaches, is live, and its neighbours confirm it. A header is
 * compared with sizes as it is: its flags add less than the 8 bytes that sizes differ by. */
HEAP_HOT bool block_is_live(const struct heap *h, uint32_t b) {
    uint32_t room = h->top - b;
    uint32_t header = heap_get(h, b);
    uint32_t bytes = block_size(header);
    if ((header & HEAP_FREE) != 0 || header - HEAP_BLOCK_MIN >= room - (HEAP_BLOCK_MIN - 8)) {
        return false;
    }
    if (bytes != room) {
        uint32_t header_behind = heap_get(h, b + bytes);
        if ((header_behind & HEAP_PREV_FREE) != 0 ||
            header_behind - HEAP_BLOCK_MIN >= room - bytes - (HEAP_BLOCK_MIN - 8)) {
            return false;
        }
    }
    if ((header & HEAP_PREV_FREE) == 0) {
        return true;
    }
    uint32_t before = block_size(heap_get_at(h, b, -4));
    return before != 0 && before <= b - h->first && heap_get(h, b - before) == (before | HEAP_FREE);
}

/* The heap, of pool and regions, that p points into, or NULL. */
static inline struct heap *heap_of(const struct heap *h, const void *p) {
    while (h != NULL && !heap_reaches(h, p)) {
        h = heap_next(h);
    }
    return (struct heap *)(uintptr_t)h;
}

/* The heap whose live block p is, or NULL. */
static inline struct heap *heap_of_live(const struct heap *a, const void *p) {
    struct heap *h = heap_of(a, p);
    return h != NULL && block_is_live(h, payload_block(h, p)) ? h : NULL;
}

/* Frees what is no live block of the pool itself: NULL, a block of a region, or misuse. */
HEAP_COLD enum alloc_status heap_free_beyond(const struct heap_index_ops *ix, const struct heap *a,
                                             void *p) {
    if (p == NULL) {
        return ALLOC_OK;
    }
    if ((uintptr_t)p % ALLOC_ALIGN != 0) {
        return ALLOC_MISALIGNED;
    }
    struct heap *h = heap_of(a, p);
    if (h == a) {
        return ALLOC_NOT_LIVE;
    }
    return h == NULL ? ALLOC_FOREIGN : ix->ops->free((struct alloc *)h, p);
}

HEAP_HOT enum alloc_status heap_free(const struct heap_index_ops *ix, struct heap *h, void *p) {
    uint32_t b = payload_block(h, p);
    if (__builtin_expect(!heap_reaches(h, p) || !block_is_live(h, b), 0)) {
        return heap_free_beyond(ix, h, p);
    }
    uint32_t header = heap_get(h, b);
    uint32_t bytes = block_size(header);
    if ((header & HEAP_PREV_FREE) != 0) {
        uint32_t before = block_size(heap_get_at(h, b, -4));
        heap_set(h, b, header | HEAP_FREE);
        b -= before;
        bytes += before;
        ix->remove(h, b, before);
    }
    block_give(ix, h, b, bytes);
    return ALLOC_OK;
}

/* ---- realloc ---- */

/* Free bytes behind the live block b of `bytes`. */
static inline uint32_t block_room_behind(const struct heap *h, uint32_t b, uint32_t bytes) {
    uint32_t behind = b + bytes;
    if (behind == h->top) {
        return h->end - h->top;
    }
    uint32_t header = heap_get(h, behind);
    return (header & HEAP_FREE) != 0 ? block_size(header) : 0;
}

/* Adds the `room` free bytes behind to the live block b: it then ends where they ended. */
static inline void block_absorb_behind(const struct heap_index_ops *ix, struct heap *h, uint32_t b,
                                       uint32_t bytes, uint32_t room) {
    uint32_t behind = b + bytes;
    uint32_t end = behind + room;
    if (behind == h->top) {
        h->top = end;
        heap_set(h, end, HEAP_FREE);
    } else if (room != 0) {
        ix->remove(h, behind, room);
        heap_set(h, end, heap_get(h, end) & ~(uint32_t)HEAP_PREV_FREE);
    }
    heap_set(h, b, heap_get(h, b) + room);
}

/* Slides the live block b into the free block before it: the payload moves down. Aligned blocks
 * stay, their new address would rarely keep the alignment. Returns the new start. */
static inline uint32_t block_absorb_before(const struct heap_index_ops *ix, struct heap *h,
                                           uint32_t b) {
    uint32_t header = heap_get(h, b);
    uint32_t before = heap_get_at(h, b, -4);
    uint32_t to = b - before;
    ix->remove(h, to, before);
    heap_set(h, b, header | HEAP_FREE);
    memmove(block_payload(h, to), block_payload(h, b), block_size(header) - HEAP_HEADER_BYTES);
    heap_set(h, to, block_size(header) + before);
    return to;
}

/* The payload resized without a new block: in place, or moved down into the free block before. NULL
 * when there is no room. */
static inline void *block_resize(const struct heap_index_ops *ix, struct heap *h, uint32_t b,
                                 size_t request) {
    if (request_is_hopeless(h, request)) {
        return NULL;
    }
    uint32_t header = heap_get(h, b);
    uint32_t bytes = block_size(header);
    uint32_t need = request_block_bytes((uint32_t)request + (header & HEAP_ALIGNED));
    uint32_t align = block_align(h, b);
    if (need > bytes) {
        uint32_t room = block_room_behind(h, b, bytes);
        uint32_t before = 0;
        if (need > bytes + room && (header & (HEAP_PREV_FREE | HEAP_ALIGNED)) == HEAP_PREV_FREE) {
            before = heap_get_at(h, b, -4);
        }
        if (need > bytes + room + before) {
            return NULL;
        }
        block_absorb_behind(ix, h, b, bytes, room);
        b = before != 0 ? block_absorb_before(ix, h, b) : b;
    }
    block_trim(ix, h, b, need);
    block_note_align(h, b, align);
    return block_payload(h, b);
}

/* A new block with the contents of the live block b, which is freed; NULL leaves all as it was. */
static inline void *block_move(const struct heap_index_ops *ix, struct heap *a, struct heap *h,
                               uint32_t b, size_t request) {
    struct alloc *pool = (struct alloc *)a;
    uint32_t header = heap_get(h, b);
    void *from = block_payload(h, b);
    void *to = (header & HEAP_ALIGNED) != 0
                   ? ix->ops->alloc_aligned(pool, request, block_align(h, b))
                   : ix->ops->alloc(pool, request);
    if (to != NULL) {
        /* It is larger, or it would not have moved. */
        memcpy(to, from, block_size(header) - block_overhead(header));
        ix->ops->free(pool, from);
    }
    return to;
}

static inline void *heap_realloc(const struct heap_index_ops *ix, struct heap *a, void *p,
                                 size_t request) {
    if (p == NULL) {
        return ix->ops->alloc((struct alloc *)a, request);
    }
    if (request == 0) {
        ix->ops->free((struct alloc *)a, p);
        return NULL;
    }
    struct heap *h = heap_of_live(a, p);
    if (h == NULL) {
        return NULL;
    }
    uint32_t b = payload_block(h, p);
    void *here = block_resize(ix, h, b, request);
    return here != NULL ? here : block_move(ix, a, h, b, request);
}

static inline size_t heap_usable(const struct heap *a, const void *p) {
    const struct heap *h = heap_of_live(a, p);
    if (h == NULL) {
        return 0;
    }
    uint32_t header = heap_get(h, payload_block(h, p));
    return block_size(header) - block_overhead(header);
}

#endif
