/* SPDX-License-Identifier: MIT
 *
 * quick.h - blocks that are free and yet not given back to the heap: a few parked ones, and the
 * spare run
 *
 * A block that is freed is parked for the next request of its size: nothing is joined now and split
 * again then. There are RUNS_PARKED places, a power of two; a block's is its size / 8 modulo their
 * number, so there is at most one candidate for a request, and parking a block sends away the one
 * before.
 *
 *   parked   | b | 0 | b | ...      the heap takes parked blocks and the spare for live blocks:
 *
 *   | live | free | parked | spare | free | live |
 *          |<------- one extent -------->|
 *
 * Both are free memory all the same. walk() shows what there would be were they given back:
 * extents, held blocks and free ones that touch. A request that finds nothing else has one extent
 * given back, of those that the spare and the largest parked block make; largest() counts the same.
 *
 * So that no operation has many to give back, they go one by one: whenever parked bytes exceed a
 * 32nd of the wilderness, an operation of the heap gives one back; and there are never more than
 * live blocks, so that a drained pool is as at the start.
 */
#ifndef HEAPRIG_QUICK_H
#define HEAPRIG_QUICK_H

#include "runs.h"

enum {
    QUICK_BYTES_MAX = 2048, /* of a parked block */
    QUICK_WILDERNESS = 32,  /* parked bytes are at most this part of it */
    HELD_TRIED = 2          /* the spare and a parked block: what a request may have given back */
};

_Static_assert((RUNS_PARKED & (RUNS_PARKED - 1)) == 0, "places are found with a mask");

/* The place where a block of this size is parked. */
HEAP_HOT uint32_t *parked_place(struct runs *r, uint32_t bytes) {
    return &r->parked[bytes / 8 % RUNS_PARKED_MAX];
}

/* The empty run, or 0. Once it is used again, `spare` is no more than a hint. */
static inline uint32_t runs_spare(const struct runs *r) {
    uint32_t run = r->spare;
    return run == 0 || run_bits(r, run) != RUN_EMPTY ? 0 : run;
}

HEAP_HOT bool block_is_parked(const struct heap *h, uint32_t b) {
    uint32_t place = block_size(heap_get(h, b)) / 8 % RUNS_PARKED_MAX;
    return RUNS_PARKED > 0 && runs_of(h)->parked[place] == b;
}

static inline bool block_is_held(const struct heap *h, uint32_t b) {
    const struct runs *r = runs_of(h);
    return block_is_parked(h, b) || (b == run_block(r->spare) && runs_spare(r) != 0);
}

/* ---- extents ---- */

/* The spare and the largest parked block: no other parked one serves a request that they do not. */
struct held {
    uint32_t block[HELD_TRIED];
    uint32_t count;
};

static inline struct held held_tried(const struct runs *r) {
    struct held held = {.count = 0};
    uint32_t run = runs_spare(r);
    uint32_t largest = 0;
    if (run != 0) {
        held.block[held.count++] = run_block(run);
    }
    for (uint32_t i = 0; i < RUNS_PARKED; i++) {
        uint32_t b = r->parked[i];
        uint32_t bytes = b != 0 ? block_size(heap_get(runs_heap(r), b)) : 0;
        if (bytes > largest) {
            largest = bytes;
            held.block[held.count] = b;
        }
    }
    held.count += largest != 0;
    return held;
}

static inline bool held_has(const struct held *held, uint32_t b) {
    for (uint32_t i = 0; i < held->count; i++) {
        if (held->block[i] == b) {
            return true;
        }
    }
    return false;
}

struct extent {
    uint32_t start;
    uint32_t end;
};

/* From the i-th of *held, or the free block before it, to the next block that is neither. */
static inline struct extent held_extent(const struct heap *h, const struct held *held, uint32_t i) {
    uint32_t b = held->block[i];
    uint32_t header = heap_get(h, b);
    uint32_t before = (header & HEAP_PREV_FREE) != 0 ? heap_get_at(h, b, -4) : 0;
    struct extent extent = {b - before, b + block_size(header)};
    while (extent.end != h->top) {
        header = heap_get(h, extent.end);
        if ((header & HEAP_FREE) == 0 && !held_has(held, extent.end)) {
            return extent;
        }
        extent.end += block_size(header);
    }
    extent.end = h->end;
    return extent;
}

/* Bytes of the largest extent that can be given back. */
static inline uint32_t held_largest(const struct heap *h) {
    struct held held = held_tried(runs_of(h));
    uint32_t largest = 0;
    for (uint32_t i = 0; i < held.count; i++) {
        struct extent extent = held_extent(h, &held, i);
        uint32_t bytes = extent.end - extent.start;
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

/* ---- giving back ---- */

/* Empties a place that is not empty. */
static inline void parked_release(struct runs *r, uint32_t *place) {
    uint32_t b = *place;
    *place = 0;
    r->parked_bytes -= block_size(heap_get(runs_heap(r), b));
    block_release(runs_heap(r), b);
}

/* Gives back the first parked block, if there is one. */
RUNS_RARE void parked_release_one(struct runs *r) {
    for (uint32_t i = 0; i < RUNS_PARKED; i++) {
        if (r->parked[i] != 0) {
            parked_release(r, &r->parked[i]);
            return;
        }
    }
}

/* Takes the block b of an extent, free or held, out of where it is; returns its size. */
static inline uint32_t extent_take(struct runs *r, uint32_t b) {
    struct heap *h = runs_heap(r);
    uint32_t header = heap_get(h, b);
    uint32_t bytes = block_size(header);
    if ((header & HEAP_FREE) != 0) {
        RUNS_INDEX.remove(h, b, bytes);
        return bytes;
    }
    heap_set(h, b, header | HEAP_FREE);
    if (b == run_block(r->spare)) {
        run_forget(r, r->spare);
        r->spare = 0;
    } else {
        *parked_place(r, bytes) = 0;
        r->parked_bytes -= bytes;
    }
    return bytes;
}

/* Gives the extent back as one block, or to the wilderness. */
RUNS_RARE void extent_release(struct runs *r, struct extent extent) {
    struct heap *h = runs_heap(r);
    uint32_t b = extent.start;
    while (b != extent.end && b != h->top) {
        b += extent_take(r, b);
    }
    block_give(&RUNS_INDEX, h, extent.start, b - extent.start);
}

/* Gives an extent of at least `need` bytes back: true; false if there is none. What was joined last
 * is first in its list, so the heap finds it. */
static inline bool held_yield(struct runs *r, size_t need) {
    struct held held = held_tried(r);
    for (uint32_t i = 0; i < held.count; i++) {
        struct extent extent = held_extent(runs_heap(r), &held, i);
        if (extent.end - extent.start >= need) {
            extent_release(r, extent);
            return true;
        }
    }
    return false;
}

/* After a live block of the pool's heap went: parked blocks become no more than live ones, and if
 * none is live, the spare goes too. */
RUNS_RARE void held_settle(struct runs *r) {
    uint32_t spare = runs_spare(r);
    uint32_t live = r->blocks - (spare != 0);
    uint32_t parked = 0;
    for (uint32_t i = 0; i < RUNS_PARKED; i++) {
        parked += r->parked[i] != 0;
    }
    if (live == 0) {
        extent_release(r, (struct extent){runs_heap(r)->first, runs_heap(r)->end});
    } else if (parked > live) {
        parked_release_one(r);
    }
}

/* Whether held_settle() may have anything to do. */
HEAP_HOT bool live_are_few(const struct runs *r) {
    return r->blocks <= RUNS_PARKED + 1;
}

/* Whether more is parked than the wilderness allows. */
HEAP_HOT bool parked_are_many(const struct heap *h, uint32_t parked_bytes) {
    return parked_bytes > (h->end - h->top) / QUICK_WILDERNESS;
}

/* ---- parking ---- */

/* The block b, which may not be parked, goes back to the heap, and with it one that may not stay
 * so.
 */
RUNS_RARE void block_return(struct heap *h, uint32_t b) {
    struct runs *r = runs_of(h);
    block_release(h, b);
    if (live_are_few(r)) {
        held_settle(r);
    } else if (RUNS_PARKED > 0 && parked_are_many(h, r->parked_bytes)) {
        parked_release_one(r);
    }
}

/* Parks the block b, which is live, or gives it back. It no longer counts as live. */
HEAP_HOT void block_park(struct heap *h, uint32_t b, uint32_t header) {
    struct runs *r = runs_of(h);
    uint32_t bytes = block_size(header);
    if (RUNS_PARKED == 0 || bytes > QUICK_BYTES_MAX || (header & HEAP_ALIGNED) != 0 ||
        live_are_few(r)) {
        block_return(h, b);
        return;
    }
    uint32_t *place = parked_place(r, bytes);
    uint32_t old = *place;
    uint32_t old_bytes = old != 0 ? block_size(heap_get(h, old)) : 0;
    uint32_t parked_bytes = r->parked_bytes - old_bytes + bytes;
    if (old_bytes == bytes || parked_are_many(h, parked_bytes)) {
        block_return(h, b);
        return;
    }
    *place = b;
    r->parked_bytes = parked_bytes;
    if (old != 0) {
        block_return(h, old);
    }
}

/* The parked block of exactly this size made live, or 0. */
HEAP_HOT uint32_t block_unpark(struct heap *h, uint32_t bytes) {
    struct runs *r = runs_of(h);
    uint32_t *place = parked_place(r, bytes);
    uint32_t b = *place;
    if (RUNS_PARKED == 0 || b == 0 || block_size(heap_get(h, b)) != bytes) {
        return 0;
    }
    *place = 0;
    r->parked_bytes -= bytes;
    return b;
}

/* ---- runs that empty ---- */

/* The run has become empty: it is the spare from now on, and the one before goes. */
RUNS_RARE void run_retire(struct runs *r, uint32_t run) {
    uint32_t spare = runs_spare(r);
    if (spare != 0 && spare != run) {
        run_release(r, spare);
    }
    r->spare = run;
    if (live_are_few(r)) {
        held_settle(r);
    }
}

#endif
