/* SPDX-License-Identifier: MIT
 *
 * runs_check.h - looking at an allocator with slab runs without changing it: walk, check
 *
 * walk() shows slots as pieces, a run's header and what is behind its slots as META, and spare
 * runs as free, in one piece with their free neighbours.
 *
 * check() lets the heap check itself first. Then the blocks are known, those that the map calls
 * runs can be confirmed one by one, and the map must have no entries but theirs. Lists may then be
 * followed from run to run: what begins a run in the map is one.
 */
#ifndef HEAPRIG_RUNS_CHECK_H
#define HEAPRIG_RUNS_CHECK_H

#include "runs_ops.h"

/* ---- walk ---- */

/* Free pieces wait here until it is known what is behind them. */
struct runs_walk {
    const struct heap *h;
    alloc_walk_fn *visit;
    void *ctx;
    const unsigned char *free_start;
    size_t free_bytes;
};

static inline bool runs_visit(const struct runs_walk *walk, enum alloc_piece_kind kind,
                              const void *start, size_t bytes) {
    struct alloc_piece piece = {
        .kind = kind,
        .start = start,
        .bytes = bytes,
        .payload = kind == ALLOC_PIECE_LIVE ? start : NULL,
        .usable = kind == ALLOC_PIECE_META ? 0 : bytes,
    };
    return walk->visit(walk->ctx, &piece);
}

static inline bool free_flush(struct runs_walk *walk) {
    if (walk->free_bytes == 0) {
        return true;
    }
    struct alloc_piece piece =
        piece_of(ALLOC_PIECE_FREE, walk->free_start, walk->free_bytes, HEAP_HEADER_BYTES);
    walk->free_bytes = 0;
    return walk->visit(walk->ctx, &piece);
}

static inline bool run_is_empty(const struct runs *r, uint32_t run) {
    return run_bits(r, run) == run_empty(*runs_entry(r, run / RUNS_GRANULE));
}

static inline bool run_visit(const struct runs_walk *walk, uint32_t run) {
    const struct runs *r = runs_of(walk->h);
    const unsigned char *slots = (const unsigned char *)r + run - RUNS_SHIFT;
    const unsigned char *header = (const unsigned char *)r + run + 4;
    uint32_t class = *runs_entry(r, run / RUNS_GRANULE);
    uint32_t slot_bytes = class_bytes(class);
    uint32_t first = bits_highest(run_header_bits(class)) + 1;
    bool goes_on = runs_visit(walk, ALLOC_PIECE_META, header, first * slot_bytes - 4 - RUNS_SHIFT);
    for (uint32_t i = first; goes_on && i < class_slots(class); i++) {
        bool is_free = (run_bits(r, run) >> i & 1) != 0;
        goes_on = runs_visit(walk, is_free ? ALLOC_PIECE_FREE : ALLOC_PIECE_LIVE,
                             slots + i * slot_bytes, slot_bytes);
    }
    const unsigned char *rest = slots + class_slots(class) * slot_bytes;
    const unsigned char *end = header + block_size(heap_get(walk->h, run_block(run)));
    return goes_on && runs_visit(walk, ALLOC_PIECE_META, rest, (size_t)(end - rest));
}

/* Turns what the heap shows into what there is. */
static inline bool runs_piece(void *ctx, const struct alloc_piece *piece) {
    struct runs_walk *walk = ctx;
    const struct runs *r = runs_of(walk->h);
    uint32_t run = 0;
    bool is_held = false;
    if (piece->kind == ALLOC_PIECE_LIVE && heap_reaches(walk->h, piece->payload)) {
        uint32_t b = payload_block(walk->h, piece->payload);
        run = run_of_block(walk->h, b);
        is_held = run != 0 ? run_is_empty(r, run) : block_is_parked(walk->h, b);
    }
    if (piece->kind == ALLOC_PIECE_FREE || is_held) {
        walk->free_start = walk->free_bytes == 0 ? piece->start : walk->free_start;
        walk->free_bytes += piece->bytes;
        return true;
    }
    if (!free_flush(walk)) {
        return false;
    }
    if (run != 0) {
        return run_visit(walk, run);
    }
    struct alloc_piece shown = *piece;
    if (piece->start == walk->h) {
        shown.start = (const void *)runs_pool(r);
        shown.bytes += (uintptr_t)piece->start - runs_pool(r);
    }
    return walk->visit(walk->ctx, &shown);
}

static inline void runs_walk(const struct heap *h, alloc_walk_fn *visit, void *ctx) {
    struct runs_walk walk = {.h = h, .visit = visit, .ctx = ctx};
    heap_walk(h, runs_piece, &walk);
}

/* ---- check ---- */

/* What the blocks of the heap add up to. */
struct runs_sums {
    uint32_t granules; /* covered by runs */
    uint32_t blocks;   /* see struct runs, as open_runs */
    uint32_t open_runs;
    uint32_t spares;
    uint32_t parked;
    uint32_t parked_sum;
    uint32_t open[RUNS_CLASS_END]; /* runs with a free slot */
    uint32_t live[RUNS_COUNTED];
};

static inline const char *run_check(const struct heap *h, uint32_t run, struct runs_sums *sums) {
    const struct runs *r = runs_of(h);
    uint32_t class = *runs_entry(r, run / RUNS_GRANULE);
    uint32_t granules = class_granules(class);
    if (class < RUNS_CLASS_MIN || class >= RUNS_CLASS_END ||
        block_size(heap_get(h, run_block(run))) - granules * RUNS_GRANULE > 8) {
        return "a run is not of the size of its class";
    }
    for (uint32_t i = 0; i < granules; i++) {
        if (*runs_entry(r, run / RUNS_GRANULE + i) != class + i * RUNS_GRANULE) {
            return "the map is wrong about a run";
        }
    }
    uint64_t bits = run_bits(r, run);
    if ((~bits & run_header_bits(class)) != 0) {
        return "the header of a run counts as a live slot";
    }
    if ((bits & ~run_empty(class)) != 0) {
        return "a run has a slot too many";
    }
    if (bits == run_empty(class) && r->spare[spare_place(class)] != run) {
        return "a run is empty and no spare";
    }
    sums->granules += granules;
    sums->spares += bits == run_empty(class);
    sums->open[class] += run_slots(r, run, class) != 0;
    if (run_slots(r, run, class) != 0 || r->head[class] == run) {
        sums->open_runs++;
    } else {
        sums->blocks++;
    }
    return NULL;
}

static inline const char *runs_check_blocks(const struct heap *h, struct runs_sums *sums) {
    const char *broken = NULL;
    uint32_t bytes;
    for (uint32_t b = h->first; b != h->top && broken == NULL; b += bytes) {
        uint32_t header = heap_get(h, b);
        bytes = block_size(header);
        if ((header & HEAP_FREE) != 0) {
            continue;
        }
        uint32_t run = run_of_block(h, b);
        if (run == 0 && block_is_parked(h, b)) {
            sums->parked++;
            sums->parked_sum += parked_weight(bytes);
            continue;
        }
        if (run != 0) {
            broken = run_check(h, run, sums);
            continue;
        }
        sums->blocks++;
        if (size_is_counted(bytes)) {
            ++*runs_live(sums->live, bytes);
        }
    }
    return broken;
}

/* Whether the map, known to have only the runs of the heap, has one that begins here. */
static inline bool is_run_of(const struct heap *h, uint32_t run, uint32_t class) {
    return class >= RUNS_CLASS_MIN && run % RUNS_GRANULE == 0 && run < h->top &&
           *runs_entry(runs_of(h), run / RUNS_GRANULE) == class;
}

/* Whether the list of a class, which is not empty, has its `open` runs with a free slot. */
static inline const char *runs_check_list(const struct heap *h, uint32_t class, uint32_t open) {
    const struct runs *r = runs_of(h);
    uint32_t run = r->head[class];
    uint32_t prev = 0;
    uint32_t listed = 0;
    while (run != 0) {
        if (!is_run_of(h, run, class) || run_link(r, run, RUN_PREV) != prev) {
            return "a list of runs is broken";
        }
        if (run_slots(r, run, class) == 0 && prev != 0) {
            return "a full run is in a list, and not at its head";
        }
        listed += run_slots(r, run, class) != 0;
        if (listed > open) {
            return "a list of runs has too many";
        }
        prev = run;
        run = run_link(r, run, RUN_NEXT);
    }
    return listed == open ? NULL : "a run with a free slot is in no list";
}

static inline const char *runs_check_lists(const struct heap *h, const struct runs_sums *sums) {
    const struct runs *r = runs_of(h);
    const char *broken = NULL;
    for (uint32_t class = 0; class < RUNS_CLASS_END && broken == NULL; class ++) {
        if (r->head[class] != RUN_NONE) {
            broken = runs_check_list(h, class, sums->open[class]);
        } else if (sums->open[class] != 0) {
            broken = "a run with a free slot is in no list";
        }
    }
    return broken;
}

/* Whether a place for spares has no run, or one of a class that belongs there. */
static inline bool is_place_sound(const struct heap *h, uint32_t place) {
    uint32_t run = runs_of(h)->spare[place];
    uint32_t class = run < h->top ? *runs_entry(runs_of(h), run / RUNS_GRANULE) : 0;
    return run == 0 || (is_run_of(h, run, class) && spare_place(class) == place);
}

/* Entries of the map that are not 0. Nearly all are, so four are looked at together. */
static inline uint32_t runs_map_entries(const struct runs *r) {
    uint32_t entries = 0;
    for (uint32_t word = 1; word <= r->map_bytes / 8; word++) {
        uint64_t four = ((const struct runs_bits *)(const void *)r - word)->value;
        for (; four != 0; four >>= 16) {
            entries += (four & UINT16_MAX) != 0;
        }
    }
    return entries;
}

static inline const char *runs_check(const struct heap *h) {
    const struct runs *r = runs_of(h);
    const char *broken = heap_check(&RUNS_INDEX, h);
    if (broken != NULL) {
        return broken;
    }
    if (r->seal != runs_seal(r) || r->none != 0 || r->reach != sizeof *r + h->end + 4) {
        return "the control structure of the runs is damaged";
    }
    struct runs_sums sums = {0};
    broken = runs_check_blocks(h, &sums);
    if (broken == NULL && runs_map_entries(r) != sums.granules) {
        broken = "the map has runs that are none";
    }
    broken = broken == NULL ? runs_check_lists(h, &sums) : broken;
    for (uint32_t i = 0; i < RUNS_COUNTED && broken == NULL; i++) {
        broken = sums.live[i] == r->live[i] ? NULL : "blocks of a small size are miscounted";
    }
    uint32_t parked = sums.parked;
    for (uint32_t i = 0; i < RUNS_PARKED; i++) {
        sums.parked -= r->parked[i] != 0;
    }
    if (broken == NULL && (sums.parked != 0 || sums.parked_sum != r->parked_sum)) {
        broken = "a parked block is none";
    }
    if (broken == NULL && (sums.blocks != r->blocks || sums.open_runs != r->open)) {
        broken = "blocks are miscounted";
    }
    for (uint32_t i = 0; i < RUNS_SPARES && broken == NULL; i++) {
        broken = is_place_sound(h, i) ? NULL : "a spare is no run";
    }
    uint32_t held = parked + spares_noted(r);
    if (broken == NULL && held > 1 && held > sums.blocks) {
        broken = "more is held back than is live";
    }
    if (broken == NULL && parked + sums.spares != 0 && sums.blocks == 0 &&
        sums.open_runs == sums.spares) {
        broken = "nothing is live and something held back";
    }
    return broken;
}

/* The table of an allocator with runs; CAPS as for HEAP_DEFINE. */
#define RUNS_DEFINE(NAME, CAPS, SUMMARY)                                                           \
    static struct alloc *NAME##_init(void *pool, size_t bytes, const struct alloc_cfg *cfg) {      \
        return runs_init(pool, bytes, cfg != NULL && cfg->zeroed);                                 \
    }                                                                                              \
    static void *NAME##_alloc(struct alloc *a, size_t bytes) {                                     \
        return runs_alloc((struct heap *)a, bytes);                                                \
    }                                                                                              \
    static void *NAME##_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {               \
        return runs_alloc_aligned((struct heap *)a, bytes, align);                                 \
    }                                                                                              \
    static void *NAME##_realloc(struct alloc *a, void *p, size_t bytes) {                          \
        return runs_realloc((struct heap *)a, p, bytes);                                           \
    }                                                                                              \
    static enum alloc_status NAME##_free(struct alloc *a, void *p) {                               \
        return runs_free((struct heap *)a, p);                                                     \
    }                                                                                              \
    static size_t NAME##_usable(const struct alloc *a, const void *p) {                            \
        return runs_usable((const struct heap *)a, p);                                             \
    }                                                                                              \
    static size_t NAME##_largest(const struct alloc *a) {                                          \
        return runs_largest((const struct heap *)a);                                               \
    }                                                                                              \
    static bool NAME##_add_region(struct alloc *a, void *mem, size_t bytes) {                      \
        return runs_add_region((struct heap *)a, mem, bytes);                                      \
    }                                                                                              \
    static void NAME##_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {              \
        runs_walk((const struct heap *)a, visit, ctx);                                             \
    }                                                                                              \
    static void NAME##_stats(const struct alloc *a, struct alloc_stats *out) {                     \
        alloc_stats_by_walk(&NAME##_ops, a, out);                                                  \
    }                                                                                              \
    static const char *NAME##_check(const struct alloc *a) {                                       \
        return runs_check((const struct heap *)a);                                                 \
    }                                                                                              \
    const struct alloc_ops NAME##_ops = {                                                          \
        .abi = ALLOC_ABI,                                                                          \
        .caps = ALLOC_CAP_FREES | ALLOC_CAP_COALESCES | ALLOC_CAP_DETECTS_MISUSE |                 \
                ALLOC_CAP_SLOTS | (CAPS),                                                          \
        .name = #NAME,                                                                             \
        .summary = SUMMARY,                                                                        \
        .pool_max = ALLOC_POOL_MAX,                                                                \
        .init = NAME##_init,                                                                       \
        .alloc = NAME##_alloc,                                                                     \
        .alloc_aligned = NAME##_alloc_aligned,                                                     \
        .realloc = NAME##_realloc,                                                                 \
        .free = NAME##_free,                                                                       \
        .usable = NAME##_usable,                                                                   \
        .largest = NAME##_largest,                                                                 \
        .add_region = NAME##_add_region,                                                           \
        .walk = NAME##_walk,                                                                       \
        .stats = NAME##_stats,                                                                     \
        .check = NAME##_check,                                                                     \
    };

#endif
