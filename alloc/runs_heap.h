/* SPDX-License-Identifier: MIT
 *
 * runs_heap.h - slab runs (runs.h) as blocks of their heap: where they lie, their start and end
 *
 * RUNS_AHEAD, in bytes, is for heaps of many megabytes: a class that has filled a run leaves so
 * much free before its next one, and begins further runs there, downwards, as slots are taken:
 *
 *   ... |free, RUNS_AHEAD bytes     |run| ...    then    ... |free           |run|run|run| ...
 *
 * What is born together then lies in a few long rows, which the caches of large machines fetch
 * ahead; rows of single runs are too short for that. The memory is free for anyone meanwhile. Only
 * pools of which RUNS_AHEAD_ROOMY 16ths are wilderness start rows.
 */
#ifndef HEAPRIG_RUNS_HEAP_H
#define HEAPRIG_RUNS_HEAP_H

#include "runs.h"

/* ---- where runs lie ---- */

/* Bytes to skip at block b so that a run may start; 0, or enough for a free block. */
static inline uint32_t run_gap(uint32_t b) {
    uint32_t gap = (0 - block_run(b)) & (RUNS_GRANULE - 1);
    return gap == 8 ? gap + RUNS_GRANULE : gap;
}

/* Whether so many 16ths of the pool are wilderness. */
static inline bool pool_is_roomy(const struct heap *h, uint32_t sixteenths) {
    return h->end - h->top >= h->end / 16 * sixteenths;
}

/* Makes [b + gap, b + gap + need) a live block; b has `bytes` and is in no index. */
static inline void run_cut(struct heap *h, uint32_t b, uint32_t bytes, uint32_t need) {
    uint32_t gap = run_gap(b);
    bool is_wild = b == h->top;
    if (gap != 0) {
        block_mark_free(h, b, gap);
        RUNS_INDEX.insert(h, b, gap);
    }
    uint32_t flags = gap != 0 ? HEAP_PREV_FREE : 0;
    if (is_wild) {
        block_carve(h, b + gap, need, flags);
    } else {
        block_split(&RUNS_INDEX, h, b + gap, bytes - gap, need, flags);
    }
}

/* A block of `need` bytes where a run may start; 0 if none is found. Holes that runs left behind
 * fit exactly, so they are looked for first. */
static inline uint32_t run_place_any(struct heap *h, uint32_t need) {
    struct heap_found found = RUNS_INDEX.take(h, need);
    if (found.bytes != 0 && run_gap(found.b) + need > found.bytes) {
        RUNS_INDEX.insert(h, found.b, found.bytes);
        found = RUNS_INDEX.take(h, need + RUNS_GAP_MAX);
    }
    uint32_t b = found.bytes != 0 ? found.b : h->top;
    uint32_t bytes = found.bytes != 0 ? found.bytes : h->end - h->top;
    if (run_gap(b) + need > bytes) {
        return 0;
    }
    run_cut(h, b, bytes, need);
    return b + run_gap(b);
}

/* Makes [b + ahead, b + ahead + need) a live block, whose start is the result; b is in no index.
 * run_cut() with the gap as a parameter would do, but for up to 6 instructions more on ARMv7 where
 * a run starts, also without rows. */
static inline uint32_t row_cut(struct heap *h, struct heap_found found, uint32_t need,
                               uint32_t ahead) {
    uint32_t b = found.b;
    if (ahead != 0) {
        block_mark_free(h, b, ahead);
        RUNS_INDEX.insert(h, b, ahead);
    }
    uint32_t flags = ahead != 0 ? HEAP_PREV_FREE : 0;
    if (b == h->top) {
        block_carve(h, b + ahead, need, flags);
    } else {
        block_split(&RUNS_INDEX, h, b + ahead, found.bytes - ahead, need, flags);
    }
    return b + ahead;
}

/* What is free right before the block `behind`, taken if it holds a run of `need` bytes. */
static inline struct heap_found row_take(struct heap *h, uint32_t behind, uint32_t need) {
    uint32_t bytes = block_size(heap_get_at(h, behind, -4));
    if ((heap_get(h, behind) & HEAP_PREV_FREE) == 0 || bytes < need || bytes - need == 8) {
        return HEAP_FOUND_NONE;
    }
    RUNS_INDEX.remove(h, behind - bytes, bytes);
    return (struct heap_found){.b = behind - bytes, .bytes = bytes};
}

/* As run_place_any(), for a class that has filled the run `last`: right before that, or where a row
 * may start. Holes are taken only if the run fills them, others may be rows that go on. */
static __attribute__((noinline, unused)) uint32_t row_place(struct heap *h, uint32_t need,
                                                            uint32_t last) {
    struct heap_found found = row_take(h, run_block(last), need);
    if (found.bytes != 0) {
        return row_cut(h, found, need, found.bytes - need);
    }
    if (!pool_is_roomy(h, RUNS_AHEAD_ROOMY)) {
        return run_place_any(h, need);
    }
    uint32_t ahead = RUNS_AHEAD - RUNS_AHEAD % need;
    found = RUNS_INDEX.take(h, need);
    if (found.bytes != 0 && found.bytes < 2 * need && run_gap(found.b) + need <= found.bytes) {
        return row_cut(h, found, need, run_gap(found.b));
    }
    if (found.bytes != 0) {
        RUNS_INDEX.insert(h, found.b, found.bytes);
        found = RUNS_INDEX.take(h, need + RUNS_GAP_MAX + 2 * ahead);
    }
    if (found.bytes == 0) {
        found = (struct heap_found){.b = h->top, .bytes = h->end - h->top};
    }
    ahead += run_gap(found.b);
    if (ahead + need > found.bytes) { /* a wilderness, but of a small pool */
        return run_place_any(h, need);
    }
    return row_cut(h, found, need, ahead);
}

static inline uint32_t run_place(struct heap *h, uint32_t need, uint32_t last) {
    return RUNS_AHEAD != 0 && last != RUN_NONE ? row_place(h, need, last) : run_place_any(h, need);
}

/* ---- the start and the end of a run ---- */

/* Four entries, the one of the highest granule lowest. */
struct runs_entries {
    uint64_t value;
} __attribute__((may_alias, packed, aligned(2)));

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define RUNS_ENTRIES_COUNT UINT64_C(0x0000000100020003)
#else
#define RUNS_ENTRIES_COUNT UINT64_C(0x0003000200010000)
#endif

/* Makes the entries of the run's granules `first` and, for each further granule, `step` more; four
 * at once. */
static inline void run_map(struct runs *r, uint32_t run, uint32_t granules, uint32_t first,
                           uint32_t step) {
    uint16_t *entry = runs_entry(r, run / RUNS_GRANULE);
    const uint64_t each = UINT64_C(0x0001000100010001);
    uint64_t four = first * each + step * RUNS_ENTRIES_COUNT;
    if (granules < 4) {
        for (; granules > 0; granules--, entry--, first += step) {
            *entry = (uint16_t)first;
        }
        return;
    }
    uint16_t *last = entry - (granules - 1); /* of the last four, which may be written twice */
    ((struct runs_entries *)last)->value = four + (granules - 4) * step * each;
    for (; entry - 3 > last; entry -= 4, four += 4 * step * each) {
        ((struct runs_entries *)(entry - 3))->value = four;
    }
}

/* Where the run's block is 8 bytes longer, a payload could begin in its last 4 bytes: the word
 * before them is no slot's and must not read as a header. Elsewhere that word is the last slot's.
 */
static inline void run_end_mark(struct runs *r, uint32_t run) {
    struct heap *h = runs_heap(r);
    uint32_t b = run_block(run);
    heap_set(h, b + block_size(heap_get(h, b)) - 8, HEAP_FREE);
}

/* Starts a run at the head of its class, which has no run with a free slot; RUN_NONE when the heap
 * has no place for it. `last` is the run that the class filled before, or RUN_NONE. */
static inline uint32_t run_start(struct runs *r, uint32_t class, uint32_t last) {
    uint32_t b = run_place(runs_heap(r), class_granules(class) * RUNS_GRANULE, last);
    if (b == 0) {
        return RUN_NONE;
    }
    uint32_t run = block_run(b);
    run_word(r, run)->value = run_empty(class);
    run_map(r, run, class_granules(class), class, RUNS_GRANULE);
    run_link_first(r, class, run, 0);
    run_end_mark(r, run);
    r->open++;
    return run;
}

/* Gives the live block b back to the heap. */
HEAP_HOT void block_release(struct heap *h, uint32_t b) {
    uint32_t header = heap_get(h, b);
    uint32_t bytes = block_size(header);
    if ((header & HEAP_PREV_FREE) != 0) {
        uint32_t before = block_size(heap_get_at(h, b, -4));
        heap_set(h, b, header | HEAP_FREE);
        b -= before;
        bytes += before;
        RUNS_INDEX.remove(h, b, before);
    }
    block_give(&RUNS_INDEX, h, b, bytes);
}

enum { RUNS_SCRUBBED = 8 }; /* words at a time: a free may give back two runs */

static inline void words_scrub(unsigned char *word, size_t step) {
#pragma GCC unroll 8
    for (size_t i = 0; i < RUNS_SCRUBBED; i++) {
        ((struct heap_word *)(word + i * step))->value = HEAP_FREE;
    }
}

/* Slots have no headers. What lies where one would have its own, at the end of the slot before or
 * among the links, must not read as that of a live block, should the slot be freed once more. */
RUNS_RARE void run_scrub(struct runs *r, uint32_t run, uint32_t class) {
    size_t step = class_bytes(class);
    unsigned char *slots = (unsigned char *)r + run - RUNS_SHIFT - 4;
    unsigned char *word = slots + (bits_highest(run_header_bits(class)) + 1) * step;
    unsigned char *last = slots + (class_slots(class) + 1 - RUNS_SCRUBBED) * step;
    run_link_set(r, run, RUN_PREV, HEAP_FREE);
    words_scrub(last, step);
    for (; word < last; word += RUNS_SCRUBBED * step) {
        words_scrub(word, step);
    }
}

/* Makes an empty run, which is in no list, a block like any other. */
static inline void run_forget(struct runs *r, uint32_t run) {
    uint32_t class = *runs_entry(r, run / RUNS_GRANULE);
    ALLOC_ASSERT(run_bits(r, run) == run_empty(class));
    run_scrub(r, run, class);
    run_map(r, run, class_granules(class), 0, 0);
    r->open--;
}

/* Gives an empty run back to the heap. */
RUNS_RARE void run_release(struct runs *r, uint32_t run) {
    run_unlink(r, *runs_entry(r, run / RUNS_GRANULE), run);
    run_forget(r, run);
    block_release(runs_heap(r), run_block(run));
}

#endif
