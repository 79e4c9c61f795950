/* SPDX-License-Identifier: MIT
 *
 * heap_check.h - looking at a boundary-tag heap without changing it: walk, largest, check
 *
 * check() believes nothing: the seal confirms the sizes before anything behind them is read, each
 * block is confirmed to end inside the heap before the next is read, and an index is confirmed to
 * hold the same set of blocks as the chain of blocks does: as many, with the same hash. What it
 * cannot find is damage that keeps all of this consistent, payloads above all.
 */
#ifndef HEAPRIG_HEAP_CHECK_H
#define HEAPRIG_HEAP_CHECK_H

#include "heap_layout.h"

/* ---- walk ---- */

static inline struct alloc_piece piece_of(enum alloc_piece_kind kind, const void *start,
                                          size_t bytes, size_t overhead) {
    size_t usable = kind != ALLOC_PIECE_META && bytes >= HEAP_BLOCK_MIN ? bytes - overhead : 0;
    return (struct alloc_piece){
        .kind = kind,
        .start = start,
        .bytes = bytes,
        .payload = kind == ALLOC_PIECE_LIVE ? (const char *)start + HEAP_HEADER_BYTES : NULL,
        .usable = usable,
    };
}

/* One piece serves for all: sanitizers open and close each local whose address is taken. */
static inline bool heap_walk_one(const struct heap *h, alloc_walk_fn *visit, void *ctx) {
    const unsigned char *base = (const unsigned char *)h;
    uint32_t before = heap_trim_before(h);
    struct alloc_piece piece = piece_of(ALLOC_PIECE_META, base - before, before + h->first, 0);
    bool goes_on = visit(ctx, &piece);
    uint32_t bytes;
    for (uint32_t b = h->first; goes_on && b != h->top; b += bytes) {
        uint32_t header = heap_get(h, b);
        bytes = block_size(header);
        enum alloc_piece_kind kind = (header & HEAP_FREE) ? ALLOC_PIECE_FREE : ALLOC_PIECE_LIVE;
        uint32_t overhead = kind == ALLOC_PIECE_LIVE ? block_overhead(header) : HEAP_HEADER_BYTES;
        piece = piece_of(kind, base + b, bytes, overhead);
        goes_on = visit(ctx, &piece);
    }
    if (goes_on && h->top != h->end) {
        piece = piece_of(ALLOC_PIECE_FREE, base + h->top, h->end - h->top, HEAP_HEADER_BYTES);
        goes_on = visit(ctx, &piece);
    }
    piece = piece_of(ALLOC_PIECE_META, base + h->end, 4 + heap_trim_behind(h), 0);
    return goes_on && visit(ctx, &piece);
}

static inline void heap_walk(const struct heap *h, alloc_walk_fn *visit, void *ctx) {
    while (h != NULL && heap_walk_one(h, visit, ctx)) {
        h = heap_next(h);
    }
}

/* ---- largest ---- */

static inline size_t heap_largest(const struct heap_index_ops *ix, const struct heap *h) {
    uint32_t largest = 0;
    for (; h != NULL; h = heap_next(h)) {
        uint32_t here = ix->largest(h);
        uint32_t wilderness = h->end - h->top;
        if (wilderness >= HEAP_BLOCK_MIN && wilderness > here) {
            here = wilderness;
        }
        largest = here > largest ? here : largest;
    }
    return largest == 0 ? 0 : largest - HEAP_HEADER_BYTES;
}

/* ---- check ---- */

static inline void tally_add(struct heap_tally *tally, uint32_t b) {
    uint32_t hash = b * 0x9E3779B1u;
    tally->blocks++;
    tally->hash += (hash ^ hash >> 15) * 0x85EBCA77u;
}

static inline bool tally_equal(const struct heap_tally *a, const struct heap_tally *b) {
    return a->blocks == b->blocks && a->hash == b->hash;
}

/* Whether b can be a block of the chain, and a free one: all that may be asked before an index
 * follows its links. */
static inline bool block_seems_free(const struct heap *h, uint32_t b) {
    if (b % 8 != 4 || b < h->first || b >= h->top) {
        return false;
    }
    uint32_t header = heap_get(h, b);
    return (header & HEAP_FLAGS) == HEAP_FREE && block_size(header) >= HEAP_BLOCK_MIN &&
           block_size(header) < h->top - b;
}

static inline const char *chain_check(const struct heap *h, struct heap_tally *all) {
    bool before_free = false;
    uint32_t bytes;
    for (uint32_t b = h->first; b != h->top; b += bytes) {
        uint32_t header = heap_get(h, b);
        bytes = block_size(header);
        if (bytes < HEAP_BLOCK_MIN || bytes > h->top - b) {
            return "a block ends inside the wilderness or is too small";
        }
        if (before_free != ((header & HEAP_PREV_FREE) != 0)) {
            return "a header is wrong about the block before it";
        }
        before_free = (header & HEAP_FREE) != 0;
        if (!before_free) {
            uintptr_t payload = (uintptr_t)h + b + HEAP_HEADER_BYTES;
            uint32_t align = block_align(h, b);
            if (align < ALLOC_ALIGN || (align & (align - 1)) != 0 || (payload & (align - 1)) != 0) {
                return "a block is not aligned as it says";
            }
            continue;
        }
        if ((header & HEAP_FLAGS) != HEAP_FREE) {
            return "two free blocks touch, or a free block keeps an alignment";
        }
        if (heap_get_at(h, b + bytes, -4) != bytes) {
            return "a free block's footer is not its size";
        }
        tally_add(all, b);
    }
    return before_free ? "a free block touches the wilderness" : NULL;
}

static inline const char *heap_check_one(const struct heap_index_ops *ix, const struct heap *h) {
    if (h->seal != heap_seal(h, h->seal & 63)) {
        return "the control structure is damaged";
    }
    if (h->top % 8 != 4 || h->top < h->first || h->top > h->end) {
        return "the wilderness begins outside the heap";
    }
    if (heap_get(h, h->top) != HEAP_FREE) {
        return "the header of the wilderness is damaged";
    }
    struct heap_tally all = {0};
    const char *broken = chain_check(h, &all);
    return broken != NULL ? broken : ix->check(h, &all);
}

static inline const char *heap_check(const struct heap_index_ops *ix, const struct heap *h) {
    const char *broken = NULL;
    while (h != NULL && broken == NULL) {
        broken = heap_check_one(ix, h);
        h = broken == NULL ? heap_next(h) : NULL;
    }
    return broken;
}

#endif
