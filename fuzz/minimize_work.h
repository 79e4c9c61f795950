/* SPDX-License-Identifier: MIT
 * minimize_work.h - what the parts of the minimizer share: minimize.c takes away, step by step,
 * minimize_search.c looks for shorter scripts at random. Nothing else includes this. */
#ifndef HEAPRIG_MINIMIZE_WORK_H
#define HEAPRIG_MINIMIZE_WORK_H

#include "minimize.h"

/* The work under way: `best` is the smallest script so far, `next` the candidate. */
struct work {
    struct minimize *how;
    struct script *best;
    struct script next;
    uint8_t *slot_full;   /* for mending; slot_count entries */
    uint32_t *slot_names; /* likewise: new names, from 1 on */
    uint32_t slot_count;
    uint32_t roomy_bytes; /* of pool and regions before they were shrunk */
    struct problem *problem;
    bool failed; /* no process or memory */
};

/* Makes `next` a valid trace: a free of an empty slot goes, a realloc of one is an alloc, an alloc
 * into a full one a realloc. Extras keep their place. Then numbers its slots in order of their
 * first op, as reading the written script will: the frees at a run's end go by these numbers. */
void work_mend(struct work *work);
void work_name(struct work *work);

/* Runs `next`, mended and named; takes it as best when it fails as the target does. */
bool work_try(struct work *work);

/* False once as many candidates ran as the caller allows. */
bool work_may_run(const struct work *work);

/* Steps of a script: extras and ops. */
uint32_t work_steps(const struct script *script);

/* `next` becomes best without the steps for which `left_out` is true. */
typedef bool work_left_out_fn(const void *ctx, uint32_t step);
void work_without(struct work *work, work_left_out_fn *left_out, const void *ctx);

/* Gives the script another pool; regions keep their distance from its end. */
void work_pool_set(struct script *script, uint32_t bytes);

/* Looks for a script with fewer steps at random, in many candidates; true when one was found. */
bool work_search(struct work *work);

#endif
