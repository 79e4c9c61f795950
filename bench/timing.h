/* SPDX-License-Identifier: MIT
 *
 * timing.h - nanoseconds per op, allocators interleaved
 *
 * In each round every allocator replays the trace once, in an order drawn anew from the seed, and
 * so does the null allocator, whose time is what the replay itself costs in that round:
 *
 *   round 1    null  tlsf  bestfit        net = run - null of the same round, per op
 *   round 2    bestfit  null  tlsf        reported: median of net over the rounds and its
 *   ...                                   order-statistic interval of 95 % (stats.h)
 *
 * A run is one replay, of short traces as many as make TIMING_OPS_LEAST ops. Its time is what this
 * thread ran: other programs slow it down by the caches they spoil, not by the time they take.
 *
 * A round before the first is thrown away: it touches the pool's pages and fills the caches. What
 * an allocator without a pool still holds at the end is freed outside the clock.
 */
#ifndef HEAPRIG_TIMING_H
#define HEAPRIG_TIMING_H

#include "rows.h"
#include "stage.h"

enum { TIMING_ROUNDS_MAX = 99, TIMING_ROUNDS_LEAST = 3, TIMING_OPS_LEAST = 50000 };

struct timing {
    unsigned rounds;    /* at most TIMING_ROUNDS_MAX */
    uint64_t budget_ns; /* no further round is begun after it, TIMING_ROUNDS_LEAST done; 0: none */
    uint64_t seed;
};

/* Times the stages, all of one trace and memory and with `rows` to fill (rounds, ns_per_op, ns_ci,
 * null_ns_per_op). False and *problem when memory is out or an init() refuses. */
bool timing_measure(const struct timing *timing, const struct stage *stages,
                    struct bench_row *const *rows, size_t count, struct problem *problem);

#endif
