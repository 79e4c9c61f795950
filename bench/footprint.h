/* SPDX-License-Identifier: MIT
 *
 * footprint.h - how much memory an allocator needs for what the program asked for
 *
 * An observer of one replay. After each op it knows
 *
 *   live        L(t), the bytes requested by live blocks (failed requests are not live)
 *   high water  the largest end of a payload so far, from the pool's start; or, when that is less,
 *               the distance of the lowest payload from the pool's end: some allocators begin there
 *
 * and at about 200 points it walks the heap and splits what is not the larger of the two free
 * ends, the wilderness:
 *
 *   pool start |meta| live | hole | live | hole | live |      wilderness     |meta| pool end
 *   footprint = all metadata + live blocks + holes
 *             = live + meta (headers and control structure) + internal (usable - requested)
 *                    + external (holes)
 *
 * An allocator without walk() has no split. One without a pool has as high water the most bytes
 * that stats() said it held at those points.
 *
 * Johnstone and Wilson (ISMM 1998), with A(t) the high water after op t, t* the first op with the
 * most live bytes and s* the first with the final high water:
 *
 *   measure 1   mean over all ops with live bytes of A(t) / L(t), minus 1: phases with little in
 *               use weigh most
 *   measure 2   A(t*) / L(t*) - 1: blind to what comes after the peak
 *   measure 3   A(s*) / L(s*) - 1: overstates when the footprint peaks late
 *   measure 4   A(s*) / L(t*) - 1: the memory to provide; `heaprig fit` is its exact form
 *
 * An allocator without a pool enters measure 1 by its samples only.
 *
 * `unusable` is the share of the holes' bytes that the next requests of the trace cannot use, one
 * request at a time, each hole cut into as many pieces as fit: Gorman's unusable index averaged
 * over the coming demand.
 */
#ifndef HEAPRIG_FOOTPRINT_H
#define HEAPRIG_FOOTPRINT_H

#include "rows.h"
#include "stage.h"

enum { FOOTPRINT_SAMPLES = 200 };

struct footprint_sample {
    uint64_t op; /* index of the op after which it was taken */
    uint64_t live;
    uint64_t high_water;
    uint64_t meta, internal, external; /* all 0 when there is no split */
    double unusable;                   /* NaN without holes or split */
};

/* Holes of one size. */
struct footprint_hole {
    uint64_t usable, count;
};

struct footprint {
    const struct stage *stage;
    const struct replay *replay;
    uint64_t *requested;          /* by slot: bytes of its live block */
    struct footprint_hole *holes; /* of the walk under way */
    size_t hole_count, hole_room;
    uint64_t live, peak_live;
    uint64_t highest_end, lowest_start; /* of payloads, from the pool's start */
    uint64_t high_water, live_at_high_water;
    uint64_t high_water_at_peak; /* when peak_live was first reached */
    double ratio_sum;            /* of high_water / live, over ratio_count ops */
    uint64_t ratio_count;
    uint64_t failures, refusals;
    bool out_of_memory;
    size_t sample_every;
    size_t sample_count;
    struct footprint_sample sample[FOOTPRINT_SAMPLES + 2];
};

/* Prepares for one run of `replay`, which stage_ready() has set up. False when memory is out. */
bool footprint_begin(struct footprint *footprint, const struct stage *stage,
                     const struct replay *replay);
struct replay_observer footprint_observer(struct footprint *footprint);
void footprint_end(struct footprint *footprint);

/* What the sample holds in all: live + meta + internal + external. */
uint64_t footprint_total(const struct footprint_sample *sample);

/* Fills the memory columns of a row. */
void footprint_fill(const struct footprint *footprint, struct bench_row *row);

/* Writes the samples: columns `op live footprint high_water meta internal external`, bytes,
 * tab-separated, first line: column names; without a split footprint is the high water and the
 * parts are NaN. */
bool footprint_write(const struct footprint *footprint, const char *path, struct problem *problem);

#endif
