/* SPDX-License-Identifier: MIT
 *
 * quick.h - blocks that are free and yet not given back to the heap: a few parked ones, and
 * spare runs
 *
 * A block that is freed is parked for the next request of its size: nothing is joined now and split
 * again then. There are RUNS_PARKED places; a block's is a hash of its size (Knuth 6.4, by
 * multiplication: sizes a power of two apart differ), so there is at most one candidate for a
 * request, and parking a block sends away the one before.
 *
 *   parked   | b | 0 | b | ...      the heap takes parked blocks and spares for live blocks:
 *
 *   | live | free | parked | free | spare | live |
 *                 |<-- for a --->|
 *                 |   request    |
 *
 * A run that empties is kept as a spare, for its class may soon want one again. There are
 * RUNS_SPARES places; a run's is its class modulo their number, and it sends away the spare before
 * it there, in a pool that is not roomy any other too. A place keeps its run when that is used
 * again: the run's bits tell whether it is a spare.
 *
 * Both are free memory all the same, and walk() shows what there would be were they given back. A
 * request that finds nothing else takes one of them, and the free or parked block behind it where
 * it is too short; largest() counts the same. Nothing is given back for a request: what is free
 * before and behind would join, and largest() grow at an alloc().
 *
 * So that no operation has many to give back, they go one by one: whenever parked bytes exceed a
 * 128th of the wilderness, a free of the heap gives one back. And what is held, parked blocks and
 * places that have a run, is one or at most as many as there are `blocks`: live ones of the heap,
 * and runs that are full and in no list. A free makes those one less or what is held one more, not
 * both, for a run that empties was not full just before. So one goes back at most; and with the
 * last live block no more than one is left to go, so that a drained pool is as at the start.
 */
#ifndef HEAPRIG_QUICK_H
#define HEAPRIG_QUICK_H

#include "runs_heap.h"

enum {
    QUICK_BYTES_MAX = 32768, /* of a parked block */
    QUICK_WILDERNESS = 128   /* parked bytes are at most this part of it */
};

_Static_assert(RUNS_PARKED < 64, "parked_count() finds their number");

/* The place where a block of this size is parked. */
HEAP_HOT uint32_t parked_index(uint32_t bytes) {
    return (uint32_t)((uint64_t)(bytes * 0x9E3779B1u) * RUNS_PARKED_MAX >> 32);
}

HEAP_HOT uint32_t *parked_place(struct runs *r, uint32_t bytes) {
    return &r->parked[parked_index(bytes)];
}

/* What a parked block adds to the sum: a number of blocks, and their bytes above it. */
HEAP_HOT uint32_t parked_weight(uint32_t bytes) {
    return 8 * bytes + 1;
}

HEAP_HOT uint32_t parked_count(const struct runs *r) {
    return r->parked_sum % 64;
}

/* The place of a run of this class. */
HEAP_HOT uint32_t spare_place(uint32_t class) {
    return class % RUNS_SPARES;
}

/* The run of a place if it is empty, else 0. */
HEAP_HOT uint32_t runs_spare(const struct runs *r, uint32_t place) {
    uint32_t run = r->spare[place];
    if (run == 0) {
        return 0;
    }
    uint32_t class = *runs_entry(r, run / RUNS_GRANULE);
    return run_bits(r, run) == run_empty(class) ? run : 0;
}

/* Places that have a run. */
static inline uint32_t spares_noted(const struct runs *r) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < RUNS_SPARES; i++) {
        count += r->spare[i] != 0;
    }
    return count;
}

/* Empties the first place that has a run other than `kept`: that run, if it is empty, else 0. */
static inline uint32_t spare_out(struct runs *r, uint32_t kept) {
    uint32_t first = RUNS_SPARES - 1;
    for (uint32_t place = RUNS_SPARES - 1; place-- > 0;) {
        first = r->spare[place] != 0 && r->spare[place] != kept ? place : first;
    }
    if (r->spare[first] == kept) {
        return 0;
    }
    uint32_t run = runs_spare(r, first);
    r->spare[first] = 0;
    return run;
}

/* The run whose header is the block's, or 0. */
static inline uint32_t run_of_block(const struct heap *h, uint32_t b) {
    uint32_t run = block_run(b);
    uint32_t entry = *runs_entry(runs_of(h), run / RUNS_GRANULE);
    return run % RUNS_GRANULE == 0 && entry != 0 ? run : 0;
}

HEAP_HOT bool block_is_parked(const struct heap *h, uint32_t b) {
    uint32_t place = parked_index(block_size(heap_get(h, b)));
    return RUNS_PARKED > 0 && runs_of(h)->parked[place] == b;
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

/* The first spare or parked block of at least `need` such bytes; 0 if there is none. */
static inline uint32_t held_find(const struct heap *h, size_t need) {
    const struct runs *r = runs_of(h);
    for (uint32_t i = 0; i < RUNS_SPARES; i++) {
        uint32_t spare = runs_spare(r, i);
        if (spare != 0 && held_bytes(h, run_block(spare)) >= need) {
            return run_block(spare);
        }
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
    uint32_t largest = 0;
    for (uint32_t i = 0; i < RUNS_SPARES; i++) {
        uint32_t spare = runs_spare(r, i);
        uint32_t bytes = spare != 0 ? held_bytes(h, run_block(spare)) : 0;
        largest = bytes > largest ? bytes : largest;
    }
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
    uint32_t run = run_of_block(runs_heap(r), b);
    if (run != 0) {
        uint32_t class = *runs_entry(r, run / RUNS_GRANULE);
        r->spare[spare_place(class)] = 0;
        run_unlink(r, class, run);
        run_forget(r, run);
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
    for (uint32_t i = 0; i < RUNS_SPARES; i++) {
        r->spare[i] = 0;
    }
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
}

/* After one of `blocks` less, or a spare more, the run `kept`: something held goes if it has become
 * more than they are, and all goes if nothing is live. */
RUNS_RARE void held_settle(struct runs *r, uint32_t kept) {
    uint32_t parked = parked_count(r);
    uint32_t held = parked + spares_noted(r);
    if (r->blocks == 0 && r->open <= 1) {
        uint32_t run = spare_out(r, 0);
        if (r->open == (run != 0)) {
            runs_drain(r, run, 0);
        }
    } else if (held > 1 && held > r->blocks) {
        if (parked != 0) {
            parked_release_one(r);
            return;
        }
        uint32_t run = spare_out(r, kept);
        if (run != 0) {
            run_release(r, run);
        }
    }
}

/* Whether held_settle() may have anything to do, or has once a block more is parked. */
HEAP_HOT bool live_are_few(const struct runs *r) {
    return r->blocks <= parked_count(r) + RUNS_SPARES;
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
        held_settle(r, 0);
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

/* The run has become empty: it is a spare from now on, and the one in its place goes. Unless the
 * pool is roomy and has blocks, any other goes. */
RUNS_RARE void run_retire(struct runs *r, uint32_t run) {
    uint32_t place = spare_place(*runs_entry(r, run / RUNS_GRANULE));
    uint32_t other = r->spare[place] != run ? runs_spare(r, place) : 0;
    r->spare[place] = run;
    if (other == 0 && (r->blocks == 0 || !pool_is_roomy(runs_heap(r), RUNS_ROOMY))) {
        other = spare_out(r, run);
    }
    if (other != 0 && r->blocks == 0 && r->open == 2) {
        runs_drain(r, run, other);
    } else if (other != 0) {
        run_release(r, other);
    } else if (live_are_few(r)) {
        held_settle(r, run);
    }
}

/* A slot of the run was freed, which had none free: one block less may be counted as live. */
HEAP_COLD void run_refree(struct runs *r, uint32_t run) {
    run_reopen(r, run);
    if (live_are_few(r)) {
        held_settle(r, 0);
    }
}

#endif
