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

#include "rows.h"
#include "selection.h"

#include <stdbool.h>

struct threads_plan {
    const struct selection *selection; /* as threads_selection_check() wants it */
    bool checked;                      /* judge instead of measure */
    unsigned rounds;                   /* at least 1 */
    unsigned replays;                  /* at least 1 */
};

/* What became of one pair. */
struct threads_outcome {
    bool done;
    char why[128];          /* when it does not apply */
    char broken[512];       /* what the allocator did wrong; empty: nothing */
    struct threads_row row; /* when done and measured */
    struct problem problem; /* why the run could not be made */
};

/* False and *problem when an allocator is for one caller at a time or a trace has one thread. Loads
 * the traces. */
bool threads_selection_check(const struct selection *selection, struct problem *problem);

/* One outcome for each pair, trace by trace, allocators in the selection's order; the caller
 * frees them. Each pair runs alone, in a process of its own, so that a
 * crash or a lock that is never released costs that pair. False and *problem when a run could not
 * be made. */
bool threads_run(const struct threads_plan *plan, struct threads_outcome **outcomes,
                 struct problem *problem);

#endif
