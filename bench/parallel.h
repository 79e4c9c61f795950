/* SPDX-License-Identifier: MIT
 *
 * parallel.h - a trace replayed by as many threads as it was recorded from, on one shared heap
 *
 * Each recorded thread's ops run in their order on a thread of their own. Between threads only that
 * order is kept without which the trace makes no sense: a block is freed or resized after it was
 * allocated, whoever does it. And one that keeps the heap as full as it was: no more blocks live at
 * once than in the trace. For that blocks are dealt anew over as many slots, each used again only
 * after all other empty ones, and the ops of a slot follow each other; so a thread waits for
 * another when it would otherwise run far ahead of it. All else runs as the scheduler has it: two
 * runs differ in how a heap is laid out, and in their times.
 *
 *   thread 0   alloc s1 ........ alloc s1 ..........      done[s1]: 0 -> 1 -> 2 -> 3 -> 4
 *   thread 1            \--> free s1        \--> free s1   an op waits until done[slot] is its turn
 *
 * It cannot run into a deadlock: of the ops not done the first in the trace never waits. So when no
 * op ends for a while, an allocator's call does not return, and the run is stuck.
 */
#ifndef HEAPRIG_PARALLEL_H
#define HEAPRIG_PARALLEL_H

#include "replay.h"

#include "../trace/trace.h"

/* Which thread does what, and when; of one trace, for any number of runs. */
struct parallel_order {
    struct op *op;   /* the trace's, blocks dealt anew over the slots */
    uint32_t *turn;  /* of each op: how many ops of its slot come before it */
    uint32_t *own;   /* indices of ops, thread after thread */
    uint32_t *begin; /* where each thread's part of `own` begins; one more entry ends the last */
    uint32_t thread_count;
    uint32_t slot_count;
};

/* O(ops). False and *problem iff memory is out; *order is then empty. */
bool parallel_order_make(const struct trace *trace, struct parallel_order *order,
                         struct problem *problem);
void parallel_order_release(struct parallel_order *order);

struct parallel {
    const struct replay *replay; /* ready to run the order's trace, whose slots are as the order
                                    dealt them; its observers are called by all threads at once */
    const struct parallel_order *order;
    uint32_t *call_ticks; /* NULL, or what each op's call took, as replay_run_timed(); then no
                             observer looks on */
    uint32_t *held_ticks; /* NULL, or the longest a `lock:` was held in each op (decorator_lock.h),
                             0: never */
    unsigned stuck_ms;    /* a run is stuck when no op ends for so long; 0: never */
};

struct parallel_result {
    struct replay_result sum; /* over all threads */
    uint64_t wall_ns;         /* from the common start to the end of the last thread */
    bool stuck;
    size_t stuck_op; /* the earliest op whose call does not return */
};

/* Runs all ops, or until an observer stops the run. False and *problem iff the system has no memory
 * or no threads; then nothing ran. When stuck, the threads still run and use everything they were
 * given: the caller may only tell and end its process (_exit). */
bool parallel_run(const struct parallel *parallel, struct parallel_result *result,
                  struct problem *problem);

#endif
