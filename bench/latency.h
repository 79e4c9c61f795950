/* SPDX-License-Identifier: MIT
 *
 * latency.h - how long single calls take
 *
 * The same replay runs several times; the least time of each call over the runs is the call's own,
 * free of interrupts and of cold misses that another run does not repeat. The clock's own cost is
 * subtracted. What remains is a histogram per kind of call.
 */
#ifndef HEAPRIG_LATENCY_H
#define HEAPRIG_LATENCY_H

#include "histogram.h"
#include "rows.h"
#include "stage.h"

enum latency_kind {
    LATENCY_ALLOC, /* alloc, calloc, aligned */
    LATENCY_REALLOC,
    LATENCY_FREE,
    LATENCY_KINDS
};

struct latency {
    struct histogram ticks[LATENCY_KINDS];
    unsigned replays; /* whose least it is */
    double tick_ns;
};

enum { LATENCY_REPLAYS_LEAST = 3 };

struct latency_plan {
    unsigned replays; /* at least 1 */
    uint64_t
        budget_ns; /* no further replay is begun after it, LATENCY_REPLAYS_LEAST done; 0: none */
    uint64_t overhead; /* tick_overhead() */
    double tick_ns;    /* tick_ns() */
};

/* Replays and files each call's least ticks less the overhead. False and *problem iff memory is out
 * or init() refuses. Skipped frees are not filed. */
bool latency_measure(const struct stage *stage, const struct latency_plan *plan,
                     struct latency *latency, struct problem *problem);

/* The quantiles of a histogram of ticks in ns; all NaN when it is empty. */
struct row_latency latency_row_of(const struct histogram *h, double tick_ns);

/* The quantiles of one kind in ns; all NaN when it has no call. */
struct row_latency latency_row(const struct latency *latency, enum latency_kind kind);

/* The quantiles of all kinds together. */
struct row_latency latency_row_all(const struct latency *latency);

/* Writes the distribution: a line per bucket that holds anything, columns `ns alloc realloc free
 * all`, each the share of such calls that take longer; tab-separated, first line: column names. */
bool latency_write(const struct latency *latency, const char *path, struct problem *problem);

#endif
