/* SPDX-License-Identifier: MIT
 *
 * threads.h - traces of several threads on heaps that several threads may share (parallel.h):
 * throughput, and how long the lock is held
 *
 *   rounds    plain runs: the time from the common start to the end of the last thread
 *   replays   runs that time each call, waiting for the lock included; and runs that read the clock
 *             when a `lock:` is taken and when it is released. What an op holds the lock is the
 *             least of these, so that what interrupts the machine is not blamed on the allocator.
 *
 * Or, checked: one run of each pair under the shared oracle (fuzz/shared_oracle.h).
 */
#ifndef HEAPRIG_THREADS_H
#define HEAPRIG_THREADS_H

#include "pairs.h"

#include <stdbool.h>

struct threads_plan {
    const struct selection *selection; /* as threads_selection_check() wants it */
    bool checked;                      /* judge instead of measure */
    unsigned rounds;                   /* at least 1 */
    unsigned replays;                  /* at least 1 */
};

/* What became of one pair. */
struct threads_outcome {
    struct pair_outcome pair;
    char broken[512];       /* what the allocator did wrong; empty: nothing, unless it crashed */
    struct threads_row row; /* when measured, or judged: ops and threads only */
};

/* False and *problem when an allocator is for one caller at a time or a trace has one thread. Loads
 * the traces. */
bool threads_selection_check(const struct selection *selection, struct problem *problem);

/* Leaves a struct threads_outcome for each pair; the caller calls pairs_release(). Each pair runs
 * alone, in a process of its own, so that a crash or a lock that is never released costs that pair.
 * False and *problem when a run could not be made. */
bool threads_run(const struct threads_plan *plan, struct pairs_done *done, struct problem *problem);

/* What the pair's allocator did wrong, a crash included; NULL: nothing. Valid until the next call.
 */
const char *threads_broken(const struct pairs_done *done, size_t pair);

#endif
