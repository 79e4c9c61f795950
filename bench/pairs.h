/* SPDX-License-Identifier: MIT
 *
 * pairs.h - something done to every allocator of a selection on every trace of it
 *
 * On several processes (workers.h), each of which keeps the trace it works on, with a progress bar
 * on a terminal's stderr. A pair's number is trace * allocators + allocator.
 */
#ifndef HEAPRIG_PAIRS_H
#define HEAPRIG_PAIRS_H

#include "rows.h"
#include "selection.h"
#include "stage.h"
#include "workers.h"

struct pair {
    const struct alloc_ops *ops;
    const struct trace *trace;
    size_t trace_index; /* in the selection */
};

/* What the result of every pair begins with. */
struct pair_outcome {
    bool measured;             /* there is a result */
    char why[STAGE_WHY_BYTES]; /* when not: why the pair does not apply */
    struct problem problem;    /* not empty: ends the whole run */
};

struct pairs {
    const struct selection *selection;
    unsigned jobs;       /* processes; 0: one for each core */
    size_t result_bytes; /* of a struct whose first member is a struct pair_outcome */
    /* Runs in a worker, on a copy of ctx that only its later pairs see; `result` is zero before. */
    void (*run)(void *ctx, const struct pair *pair, void *result);
    void *ctx;
};

struct pairs_done {
    const struct selection *selection;
    size_t count;
    void *results;
    struct workers_job *jobs;
    size_t result_bytes;
};

/* Does all pairs. False and *problem when a trace cannot be loaded, the system has no memory or
 * processes, or a pair met a problem (the first in order is told); *done is then empty. */
bool pairs_run(const struct pairs *pairs, struct pairs_done *done, struct problem *problem);
void pairs_release(struct pairs_done *done);

/* What the pair's run left: whole unless the pair crashed. */
const void *pairs_result(const struct pairs_done *done, size_t pair);

/* How the pair's process ended before its time, in words; NULL: it did not. Valid until the next
 * call. */
const char *pairs_crash(const struct pairs_done *done, size_t pair);

/* True when the pair has no result: it crashed or does not apply. Names of the pair and reason. */
bool pairs_skipped(const struct pairs_done *done, size_t pair, struct row_skip *skip);

#endif
