/* SPDX-License-Identifier: MIT
 *
 * workers.h - independent jobs on several processes
 *
 * For exact figures only: what is timed runs alone. Processes rather than threads, because a
 * plug-in may hold globals and may crash; a crash then costs its job, not the run.
 */
#ifndef HEAPRIG_WORKERS_H
#define HEAPRIG_WORKERS_H

#include "../trace/problem.h"

#include <stdbool.h>
#include <stddef.h>

enum { WORKERS_MAX = 16 };

struct workers {
    unsigned count; /* processes; 0: one for each core */
    size_t job_count;
    size_t result_bytes;
    /* Runs in a worker, which got a copy of all memory when it began: what it changes in ctx only
     * its later jobs see. `result` is zero before. */
    void (*run)(void *ctx, size_t job, void *result);
    /* Runs in the caller about ten times a second; may be NULL. */
    void (*progress)(void *ctx, size_t jobs_done, size_t job);
    void *ctx;
};

/* What became of a job. */
struct workers_job {
    bool done;
    int signal; /* that killed the worker on this job; 0: none; -1: it exited there */
};

/* Hands out the jobs in order, each once, and waits for all. *results receives job_count results,
 * *jobs as many accounts; release both with workers_release(). False and *problem when the system
 * has no memory or processes. */
bool workers_run(const struct workers *workers, void **results, struct workers_job **jobs,
                 struct problem *problem);
void workers_release(const struct workers *workers, void *results, struct workers_job *jobs);

#endif
