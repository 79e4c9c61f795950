/* SPDX-License-Identifier: MIT
 *
 * quick.h - blocks that are free and yet not given back to the heap: a few parked ones, and the
 * spare run
 *
 * A block that is freed is parked for the next request of its size: nothing is joined now and split
 * again then. There are RUNS_PARKED places, a power of two; a block's is its size / 8 modulo their
 * number, so there is at most one candidate for a request, and parking a block sends away the one
 * before. Parked bytes stay below a 32nd of the wilderness.
 *
 *   parked   | b | 0 | b | ...      the heap takes parked blocks and the spare for live blocks:
 *
 *   | live | free | parked | spare | free | live |
 *          |<------- one extent -------->|
 *
 * Both are free memory all the same. walk() shows, and largest() counts, what there would be were
 * they given back: extents, held blocks and free ones that touch. A request that finds nothing else
 * has one extent given back. When nothing is live, all are: a drained pool is as at the start.
 */
#ifndef HEAPRIG_QUICK_H
#define HEAPRIG_QUICK_H

#include "runs.h"

enum {
    QUICK_BYTES_MAX = 2048,    /* of a parked block */
    QUICK_WILDERNESS = 32,     /* parked bytes are at most this part of it */
    HELD_MAX = RUNS_PARKED + 1 /* parked blocks and the spare */
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

/* The block in the i-th of HELD_MAX places, or 0. */
static inline uint32_t held_at(const struct runs *r, uint32_t i) {
    if (i < RUNS_PARKED) {
        return r->parked[i];
    }
    uint32_t run = runs_spare(r);
    return run != 0 ? run_block(run) : 0;
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

struct extent {
    uint32_t start;
    uint32_t end;
};

/* From the held block b, or the free one before it, to the next block that is neither. */
static inline struct extent held_extent(const struct heap *h, uint32_t b) {
    uint32_t header = heap_get(h, b);
    uint32_t before = (header & HEAP_PREV_FREE) != 0 ? heap_get_at(h, b, -4) : 0;
    struct extent extent = {b - before, b + block_size(header)};
    while (extent.end != h->top) {
        header = heap_get(h, extent.end);
        if ((header & HEAP_FREE) == 0 && !block_is_held(h, extent.end)) {
            return extent;
        }
        extent.end += block_size(header);
    }
    extent.end = h->end;
    return extent;
}

/* Bytes of the largest extent. */
static inline uint32_t held_largest(const struct heap *h) {
    uint32_t largest = 0;
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        uint32_t b = held_at(runs_of(h), i);
        if (b != 0) {
            struct extent extent = held_extent(h, b);
            uint32_t bytes = extent.end - extent.start;
            largest = bytes > largest ? bytes : largest;
        }
    }
    return largest;
}

/* ---- giving back ---- */

/* Empties the i-th place. */
HEAP_COLD void held_release(struct runs *r, uint32_t i) {
    uint32_t b = held_at(r, i);
    if (i == RUNS_PARKED) {
        run_release(r, r->spare);
        r->spare = 0;
        return;
    }
    r->parked_bytes -= block_size(heap_get(runs_heap(r), b));
    r->parked[i] = 0;
    block_release(runs_heap(r), b);
}

static inline void extent_release(struct runs *r, struct extent extent) {
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        uint32_t b = held_at(r, i);
        if (b != 0 && b >= extent.start && b < extent.end) {
            held_release(r, i);
        }
    }
}

/* Gives an extent of at least `need` bytes back: true; false if there is none. What was joined last
 * is first in its list, so the heap finds it. */
static inline bool held_yield(struct runs *r, size_t need) {
    const struct heap *h = runs_heap(r);
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        uint32_t b = held_at(r, i);
        if (b == 0) {
            continue;
        }
        struct extent extent = held_extent(h, b);
        if (extent.end - extent.start >= need) {
            extent_release(r, extent);
            return true;
        }
    }
    return false;
}

/* If nothing is live, nothing is held. */
HEAP_COLD void held_drain(struct runs *r) {
    if (r->blocks == (runs_spare(r) != 0)) {
        extent_release(r, (struct extent){0, UINT32_MAX});
    }
}

/* ---- parking ---- */

/* Parks the block b if it may be. Returns the block to give back to the heap instead: b, the one
 * that was parked in its place, or 0. */
HEAP_HOT uint32_t block_park(struct heap *h, uint32_t b) {
    struct runs *r = runs_of(h);
    uint32_t header = heap_get(h, b);
    uint32_t bytes = block_size(header);
    if (RUNS_PARKED == 0 || bytes > QUICK_BYTES_MAX || (header & HEAP_ALIGNED) != 0) {
        return b;
    }
    uint32_t *place = parked_place(r, bytes);
    uint32_t old = *place;
    uint32_t old_bytes = old != 0 ? block_size(heap_get(h, old)) : 0;
    uint32_t parked_bytes = r->parked_bytes - old_bytes + bytes;
    if (old_bytes == bytes || parked_bytes > (h->end - h->top) / QUICK_WILDERNESS) {
        return b;
    }
    *place = b;
    r->parked_bytes = parked_bytes;
    return old;
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
HEAP_COLD void run_retire(struct runs *r, uint32_t run) {
    uint32_t spare = runs_spare(r);
    if (spare != 0 && spare != run) {
        run_release(r, spare);
    }
    r->spare = run;
    held_drain(r);
}

#endif
