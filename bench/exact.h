/* SPDX-License-Identifier: MIT
 * exact.h - the figures of one allocator on one trace that do not depend on the machine */
#ifndef HEAPRIG_EXACT_H
#define HEAPRIG_EXACT_H

#include "pairs.h"

#include <stdbool.h>

struct exact {
    struct pair_outcome pair; /* its problem: the figures could not be taken or written */
    char broken[256];         /* not empty: the rule the allocator broke, in words */
    struct stage_plan plan;   /* probed; for further runs */
    struct bench_row row;     /* timed figures NaN */
};

/* Replays the trace once under the footprint sampler and the digest, then check()s the heap. Writes
 * the time series below `series_folder` unless that is NULL. About 50 ns per op. */
void exact_measure(const struct alloc_ops *ops, const struct trace *trace, enum replay_touch touch,
                   const char *series_folder, struct exact *exact);

#endif
