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
 *   | live | free | parked | free | spare | live |
 *                 |<-- for a --->|
 *                 |   request    |
 *
 * Both are free memory all the same, and walk() shows what there would be were they given back. A
 * request that finds nothing else takes one of them, and the free or parked block behind it where
 * it is too short; largest() counts the same. Nothing is given back for a request: what is free
 * before and behind would join, and largest() grow at an alloc().
 *
 * So that no operation has many to give back, they go one by one: whenever parked bytes exceed a
 * 32nd of the wilderness, a free of the heap gives one back; and there are always fewer than
 * live blocks, so that a drained pool is as at the start.
 */
#ifndef HEAPRIG_QUICK_H
#define HEAPRIG_QUICK_H

#include "runs_heap.h"

enum {
    QUICK_BYTES_MAX = 32768, /* of a parked block */
    QUICK_WILDERNESS = 32    /* parked bytes are at most this part of it */
};

_Static_assert(RUNS_PARKED < 64, "parked_count() finds their number");
_Static_assert((RUNS_PARKED & (RUNS_PARKED - 1)) == 0, "places are found with a mask");

/* The place where a block of this size is parked. */
HEAP_HOT uint32_t *parked_place(struct runs *r, uint32_t bytes) {
    return &r->parked[bytes / 8 % RUNS_PARKED_MAX];
}

/* What a parked block adds to the sum: a number of blocks, and their bytes above it. */
HEAP_HOT uint32_t parked_weight(uint32_t bytes) {
    return 8 * bytes + 1;
}

HEAP_HOT uint32_t parked_count(const struct runs *r) {
    return r->parked_sum % 64;
}

/* The empty run, or 0. Once it is used again, `spare` is no more than a hint. */
static inline uint32_t runs_spare(const struct runs *r) {
    uint32_t run = r->spare;
    uint32_t class = *runs_entry(r, run / RUNS_GRANULE);
    return run == 0 || run_bits(r, run) != run_empty(class) ? 0 : run;
}

HEAP_HOT bool block_is_parked(const struct heap *h, uint32_t b) {
    uint32_t place = block_size(heap_get(h, b)) / 8 % RUNS_PARKED_MAX;
    return RUNS_PARKED > 0 && runs_of(h)->parked[place] == b;
}

static inline bool block_is_held(const struct heap *h, uint32_t b) {
    const struct runs *r = runs_of(h);
    return block_is_parked(h, b) || (b == run_block(r->spare) && runs_spare(r) != 0);
}

/* Bytes of the held block b and of the free or parked one behind it. */
static inline uint32_t held_bytes(const struct heap *h, uint32_t b) {
    uint32_t bytes = block_size(heap_get(h, b));
    uint32_t behind = b + bytes;
    if (behind == h->top) {
        return h->end - b;
    }
    uint32_t header = heap_get(h, behind);
    bool is_room = (header & HEAP_FREE) != 0 || block_is_parked(h, behind);
    return bytes + (is_room ? block_size(header) : 0);
}

/* The spare or the first parked block of at least `need` such bytes; 0 if there is none. */
static inline uint32_t held_find(const struct heap *h, size_t need) {
    const struct runs *r = runs_of(h);
    uint32_t spare = runs_spare(r);
    if (spare != 0 && held_bytes(h, run_block(spare)) >= need) {
        return run_block(spare);
    }
    uint32_t places = r->parked_sum != 0 ? RUNS_PARKED : 0;
    for (uint32_t i = 0; i < places; i++) {
        if (r->parked[i] != 0 && held_bytes(h, r->parked[i]) >= need) {
            return r->parked[i];
        }
    }
    return 0;
}

/* The most such bytes of a held block. */
static inline uint32_t held_largest(const struct heap *h) {
    const struct runs *r = runs_of(h);
    uint32_t spare = runs_spare(r);
    uint32_t largest = spare != 0 ? held_bytes(h, run_block(spare)) : 0;
    for (uint32_t i = 0; i < RUNS_PARKED; i++) {
        uint32_t bytes = r->parked[i] != 0 ? held_bytes(h, r->parked[i]) : 0;
        largest = bytes > largest ? bytes : largest;
    }
    return largest;
}

/* ---- giving back ---- */

/* Makes the block of a place that is not empty a live one again. */
static inline uint32_t parked_forget(struct runs *r, uint32_t *place) {
    uint32_t b = *place;
    *place = 0;
    r->parked_sum -= parked_weight(block_size(heap_get(runs_heap(r), b)));
    return b;
}

/* Makes the held block b one that is live and no run. */
static inline void held_forget(struct runs *r, uint32_t b) {
    if (b == run_block(r->spare)) {
        run_unlink(r, *runs_entry(r, r->spare / RUNS_GRANULE), r->spare);
        run_forget(r, r->spare);
        r->spare = 0;
    } else {
        (void)parked_forget(r, parked_place(r, block_size(heap_get(runs_heap(r), b))));
    }
}

/* Makes the held block b, with what it needs of held_bytes(), a live one of `need` bytes. What is
 * left, joined with what is free behind, is less than held_bytes() of one of the two was. */
RUNS_RARE void held_take(struct heap *h, uint32_t b, uint32_t need) {
    held_forget(runs_of(h), b);
    uint32_t header = heap_get(h, b);
    uint32_t bytes = block_size(header);
    uint32_t behind = b + bytes;
    if (bytes < need && behind != h->top && block_is_parked(h, behind)) {
        held_forget(runs_of(h), behind);
        uint32_t header_behind = heap_get(h, behind);
        heap_set(h, behind, header_behind | HEAP_FREE);
        heap_set(h, b, header + block_size(header_behind));
    } else if (bytes < need) {
        block_absorb_behind(&RUNS_INDEX, h, b, bytes, block_room_behind(h, b, bytes));
    }
    block_trim(&RUNS_INDEX, h, b, need);
}

/* Gives the held block b back to the heap. */
RUNS_RARE void held_release(struct runs *r, uint32_t b) {
    held_forget(r, b);
    block_release(runs_heap(r), b);
}

/* Gives back the first parked block; there is one. */
static inline void parked_release_one(struct runs *r) {
    uint32_t *place = r->parked;
    while (*place == 0) {
        place++;
    }
    block_release(runs_heap(r), parked_forget(r, place));
}

static inline void run_forget_lone(struct runs *r, uint32_t run) {
    if (run != 0) {
        r->head[*runs_entry(r, run / RUNS_GRANULE)] = RUN_NONE;
        run_forget(r, run);
    }
}

/* All blocks but two runs, each 0 if there is none, are free or parked: gives all back, without
 * joining one by one what is all free. */
RUNS_RARE void runs_drain(struct runs *r, uint32_t run, uint32_t other) {
    struct heap *h = runs_heap(r);
    run_forget_lone(r, run);
    run_forget_lone(r, other);
    for (uint32_t b = h->first; b != h->top;) {
        uint32_t header = heap_get(h, b);
        uint32_t bytes = block_size(header);
        if ((header & HEAP_FREE) != 0) {
            RUNS_INDEX.remove(h, b, bytes);
        } else {
            heap_set(h, b, header | HEAP_FREE);
            *parked_place(r, bytes) = 0;
        }
        b += bytes;
    }
    heap_set(h, h->first, HEAP_FREE);
    h->top = h->first;
    r->parked_sum = 0;
    r->spare = 0;
}

/* After a live block of the pool's heap went: parked blocks become fewer than live ones, and if
 * none is live, the spare goes too. */
RUNS_RARE void held_settle(struct runs *r) {
    uint32_t spare = runs_spare(r);
    uint32_t live = r->blocks - (spare != 0);
    if (live == 0) {
        runs_drain(r, spare, 0);
    } else if (parked_count(r) >= live) {
        parked_release_one(r);
    }
}

/* Whether held_settle() may have anything to do, or has once a block more is parked. */
HEAP_HOT bool live_are_few(const struct runs *r) {
    return r->blocks <= parked_count(r) + 2;
}

/* Whether more is parked than the wilderness allows. */
HEAP_HOT bool parked_are_many(const struct heap *h, uint32_t parked_sum) {
    return parked_sum > (h->end - h->top) / (QUICK_WILDERNESS / 8);
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
    } else if (RUNS_PARKED > 0 && parked_are_many(h, r->parked_sum)) {
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
    uint32_t parked_sum = r->parked_sum + parked_weight(bytes);
    parked_sum -= old != 0 ? parked_weight(old_bytes) : 0;
    if (old_bytes == bytes || parked_are_many(h, parked_sum)) {
        block_return(h, b);
        return;
    }
    *place = b;
    r->parked_sum = parked_sum;
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
    r->parked_sum -= parked_weight(bytes);
    return b;
}

/* ---- runs that empty ---- */

/* The run has become empty: it is the spare from now on, and the one before goes. */
RUNS_RARE void run_retire(struct runs *r, uint32_t run) {
    uint32_t spare = runs_spare(r);
    uint32_t other = spare == run ? 0 : spare;
    r->spare = run;
    if (r->blocks == 1u + (other != 0)) {
        runs_drain(r, run, other);
        return;
    }
    if (other != 0) {
        run_release(r, other);
    }
    if (live_are_few(r)) {
        held_settle(r);
    }
}

#endif
