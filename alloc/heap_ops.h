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

/* Turns [b, behind), which no index knows and whose neighbour before is live, into free memory,
 * joined with what is free behind: the block with that header, or the wilderness, whose header says
 * free and of size 0. */
HEAP_HOT void block_join(const struct heap_index_ops *ix, struct heap *h, size_t b, size_t behind,
                         uint32_t header) {
    if ((header & HEAP_FREE) != 0) {
        if (header == HEAP_FREE) {
            heap_set(h, b, HEAP_FREE);
            h->top = (uint32_t)b;
            return;
        }
        ix->remove(h, behind, block_size(header));
        behind += block_size(header);
    } else {
        heap_set(h, behind, header | HEAP_PREV_FREE);
    }
    block_mark_free(h, b, behind - b);
    ix->insert(h, b, (uint32_t)(behind - b));
}

/* The same for [b, b + bytes). */
static inline void block_give(const struct heap_index_ops *ix, struct heap *h, size_t b,
                              uint32_t bytes) {
    block_join(ix, h, b, b + bytes, heap_get(h, b + bytes));
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
static inline void block_trim(const struct heap_index_ops *ix, struct heap *h, size_t b,
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
static inline void block_note_align(struct heap *h, size_t b, uint32_t align) {
    uint32_t header = heap_get(h, b);
    if ((header & HEAP_ALIGNED) != 0) {
        heap_set(h, b + block_size(header) - 4, align);
    }
}

/* A payload in a block of `need` bytes from this heap alone, or NULL. Where align is the constant
 * ALLOC_ALIGN, nothing but a plain alloc is left of it. */
HEAP_HOT void *heap_place_block(const struct heap_index_ops *ix, struct heap *h, uint32_t need,
                                size_t align) {
    uint32_t flags = align > ALLOC_ALIGN ? HEAP_ALIGNED : 0;
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

/* The payload for a request from this heap alone, or NULL. */
HEAP_HOT void *heap_place(const struct heap_index_ops *ix, struct heap *h, size_t request,
                          size_t align) {
    if (request_is_hopeless(h, request)) {
        return NULL;
    }
    uint32_t flags = align > ALLOC_ALIGN ? HEAP_ALIGNED : 0;
    return heap_place_block(ix, h, request_block_bytes((uint32_t)request + flags), align);
}

/* Makes the whole unindexed free block b live. What is around it is live. */
HEAP_HOT void *block_fill(struct heap *h, size_t b, uint32_t bytes) {
    size_t behind = b + bytes;
    heap_set(h, b, bytes);
    heap_set(h, behind, heap_get(h, behind) & ~(uint32_t)HEAP_PREV_FREE);
    return (unsigned char *)h + b + HEAP_HEADER_BYTES;
}

/* The ways of alloc() that save registers, each a function of its own: for a small request, given
 * by its granules, and for others. The pool first, then its regions in address order. */
typedef void *heap_alloc_way(struct heap *h, size_t granules_or_request);

HEAP_HOT void *heap_alloc_small(const struct heap_index_ops *ix, struct heap *h, size_t granules) {
    if (granules == 0 || granules > REQUEST_GRANULES_MAX) {
        __builtin_unreachable();
    }
    void *payload;
    do {
        payload = heap_place_block(ix, h, granules_block_bytes(granules), ALLOC_ALIGN);
    } while (__builtin_expect(payload == NULL, 0) && (h = heap_next(h)) != NULL);
    return payload;
}

HEAP_HOT void *heap_alloc_large(const struct heap_index_ops *ix, struct heap *h, size_t request) {
    if (request_is_small(request)) {
        __builtin_unreachable();
    }
    void *payload;
    do {
        payload = heap_place(ix, h, request, ALLOC_ALIGN);
    } while (__builtin_expect(payload == NULL, 0) && (h = heap_next(h)) != NULL);
    return payload;
}

/* A small request is mostly served by a block of just its size: that way asks nothing further. */
HEAP_HOT void *heap_alloc(const struct heap_index_ops *ix, struct heap *h, size_t request,
                          heap_alloc_way *small, heap_alloc_way *large) {
    if (!request_is_small(request)) {
        return large(h, request);
    }
    size_t granules = request_granules(request);
    if (!ix->has_equal(h, granules)) {
        return small(h, granules);
    }
    uint32_t b = ix->take_equal(h, granules);
    return block_fill(h, b, granules_block_bytes(granules));
}

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

/* Of any pointer. */
HEAP_HOT size_t payload_distance(const struct heap *h, const void *p) {
    return (uintptr_t)p - (uintptr_t)h;
}

HEAP_HOT uint32_t payload_block(const struct heap *h, const void *p) {
    return (uint32_t)payload_distance(h, p) - HEAP_HEADER_BYTES;
}

/* Whether p could be the payload of a block: 8-aligned, at or behind the first payload and before
 * the wilderness. */
HEAP_HOT bool heap_reaches(const struct heap *h, const void *p) {
    size_t offset = payload_distance(h, p);
    return offset > h->first && offset - HEAP_HEADER_BYTES < h->top &&
           (uintptr_t)p % ALLOC_ALIGN == 0;
}

/* A live block's header, and where it joins what is free around it. */
struct block_around {
    uint32_t header;
    uint32_t header_behind; /* of the block behind, or HEAP_FREE at the wilderness */
    uint32_t before;        /* bytes of the free block before; 0: none */
    size_t behind;
};

/* Whether the block b, `room` bytes before the wilderness, is live, and its neighbours confirm it.
 * A header is compared with sizes as it is: its flags add less than the 8 bytes that sizes differ
 * by. Two cases need no question: of a block that ends at top the word there, HEAP_FREE, passes for
 * a header behind; and a footer of 0 leads back to b, which is not free. */
HEAP_HOT bool block_is_confirmed(const struct heap *h, size_t b, size_t room,
                                 struct block_around *around) {
    uint32_t header = heap_get(h, b);
    size_t bytes = block_size(header);
    room -= HEAP_BLOCK_MIN - 8;
    if ((header & HEAP_FREE) != 0 || header - HEAP_BLOCK_MIN >= room) {
        return false;
    }
    uint32_t header_behind = heap_get(h, b + bytes);
    if ((header_behind & HEAP_PREV_FREE) != 0 || header_behind - HEAP_BLOCK_MIN >= room - bytes) {
        return false;
    }
    *around = (struct block_around){header, header_behind, 0, b + bytes};
    if ((header & HEAP_PREV_FREE) == 0) {
        return true;
    }
    size_t before = block_size(heap_get_at(h, b, -4));
    around->before = (uint32_t)before;
    /* Read again: kept from the first question on it takes a register, which is then saved. */
    uint32_t first = ((const volatile struct heap *)h)->first;
    return before <= b - first && heap_get(h, b - before) == ((uint32_t)before | HEAP_FREE);
}

/* The same of a block that the heap reaches. */
HEAP_HOT bool block_is_live(const struct heap *h, size_t b) {
    struct block_around around;
    return block_is_confirmed(h, b, h->top - b, &around);
}

/* Whether b, which may be anything but is 4 modulo 8, is a live block of this heap. The word at top
 * may be read, and is no live header. */
HEAP_HOT bool offset_is_live(const struct heap *h, size_t b, struct block_around *around) {
    size_t room;
    return b >= h->first && !__builtin_sub_overflow(h->top, b, &room) &&
           block_is_confirmed(h, b, room, around);
}

/* Whether p, which may be any pointer, is the payload of a live block of this heap. */
HEAP_HOT bool payload_is_live(const struct heap *h, const void *p) {
    struct block_around around;
    return (uintptr_t)p % ALLOC_ALIGN == 0 &&
           offset_is_live(h, payload_distance(h, p) - HEAP_HEADER_BYTES, &around);
}

/* The heap, of pool and regions, that p points into, or NULL. */
static inline struct heap *heap_of(const struct heap *h, const void *p) {
    while (h != NULL && !heap_reaches(h, p)) {
        h = heap_next(h);
    }
    return (struct heap *)(uintptr_t)h;
}

/* The region's heap whose live block p is, or NULL. */
HEAP_COLD struct heap *heap_of_live_beyond(const struct heap *h, const void *p) {
    do {
        h = heap_next(h);
    } while (h != NULL && !payload_is_live(h, p));
    return (struct heap *)(uintptr_t)h;
}

/* The heap whose live block p is, or NULL. */
HEAP_HOT struct heap *heap_of_live(const struct heap *a, const void *p) {
    if (__builtin_expect(!payload_is_live(a, p), 0)) {
        return heap_of_live_beyond(a, p);
    }
    return (struct heap *)(uintptr_t)a;
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
    struct block_around around;
    if (__builtin_expect((uintptr_t)p % ALLOC_ALIGN != 0, 0)) {
        return heap_free_beyond(ix, h, p);
    }
    size_t b = payload_distance(h, p) - HEAP_HEADER_BYTES;
    HEAP_FORGET(b); /* so p is no longer needed */
    if (__builtin_expect(!offset_is_live(h, b, &around), 0)) {
        return heap_free_beyond(ix, h, (void *)((uintptr_t)h + HEAP_HEADER_BYTES + b));
    }
    /* Nor are the addresses that were read. */
    HEAP_FORGET(b);
    HEAP_FORGET(around.behind);
    if ((around.header & HEAP_PREV_FREE) != 0) {
        heap_set(h, b, around.header | HEAP_FREE);
        b -= around.before;
        ix->remove(h, b, around.before);
    }
    block_join(ix, h, b, around.behind, around.header_behind);
    return ALLOC_OK;
}

/* ---- realloc ---- */

/* Free bytes behind the live block b of `bytes`. */
static inline uint32_t block_room_behind(const struct heap *h, size_t b, uint32_t bytes) {
    size_t behind = b + bytes;
    if (behind == h->top) {
        return h->end - h->top;
    }
    uint32_t header = heap_get(h, behind);
    return (header & HEAP_FREE) != 0 ? block_size(header) : 0;
}

/* Adds the `room` free bytes behind to the live block b: it then ends where they ended. */
static inline void block_absorb_behind(const struct heap_index_ops *ix, struct heap *h, size_t b,
                                       uint32_t bytes, uint32_t room) {
    size_t behind = b + bytes;
    size_t end = behind + room;
    if (behind == h->top) {
        h->top = (uint32_t)end;
        heap_set(h, end, HEAP_FREE);
    } else if (room != 0) {
        ix->remove(h, behind, room);
        heap_set(h, end, heap_get(h, end) & ~(uint32_t)HEAP_PREV_FREE);
    }
    heap_set(h, b, heap_get(h, b) + room);
}

/* Slides the live block b into the free block before it: the payload moves down. Aligned blocks
 * stay, their new address would rarely keep the alignment. Returns the new start. */
static inline size_t block_absorb_before(const struct heap_index_ops *ix, struct heap *h,
                                         size_t b) {
    uint32_t header = heap_get(h, b);
    uint32_t before = heap_get_at(h, b, -4);
    size_t to = b - before;
    ix->remove(h, to, before);
    heap_set(h, b, header | HEAP_FREE);
    memmove(block_payload(h, to), block_payload(h, b), block_size(header) - HEAP_HEADER_BYTES);
    heap_set(h, to, block_size(header) + before);
    return to;
}

/* The payload resized without a new block: in place, or moved down into the free block before. NULL
 * when there is no room. */
static inline void *block_resize(const struct heap_index_ops *ix, struct heap *h, size_t b,
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
                               size_t b, size_t request) {
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
    size_t b = payload_distance(h, p) - HEAP_HEADER_BYTES;
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
