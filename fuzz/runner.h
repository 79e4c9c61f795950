/* SPDX-License-Identifier: MIT
 *
 * runner.h - runs programs and scripts on an allocator, under the oracle
 *
 * One runner, one allocator, many runs: engines call it some hundred thousand times a second, so
 * memory is taken once and a run touches no more of it than its pool.
 *
 *   program --resolve--> script --replay--> allocator --> oracle --> verdict
 *
 * Every run ends with all blocks freed in order of slots and an audit, so memory that got lost
 * shows.
 */
#ifndef HEAPRIG_RUNNER_H
#define HEAPRIG_RUNNER_H

#include "../alloc/alloc.h"
#include "oracle.h"
#include "program.h"
#include "script.h"

struct runner;

struct runner_config {
    const struct alloc_ops *ops;
    uint32_t audit_every; /* ops between audits of the whole heap; 1: after each op; 0: only at the
                             end and around misuse */
    uint32_t
        content_cap_bytes; /* of longer blocks only the edges are filled and verified; 0: all */
    uint32_t slot_count;   /* of scripts to be run; at least PROGRAM_SLOTS is always there */
    uint32_t pool_max;     /* largest pool; at least PROGRAM_POOL_MAX is always there */
    struct script *script; /* where programs are resolved to, PROGRAM_OPS_MAX ops and
                              PROGRAM_RECORDS_MAX extras; NULL: one of the runner's own. In memory
                              that is shared it survives a crash. */
};

/* NULL when memory is out. The caller frees it. */
struct runner *runner_new(const struct runner_config *config);
void runner_free(struct runner *runner);

/* Runs a program; returns the verdict: NULL when sound, else the sentence (valid until the next
 * run). O(size). */
const char *runner_program(struct runner *runner, const uint8_t *data, size_t size);

/* What runner_build() made; the runner's until its next run. */
struct runner_heap {
    struct alloc *heap;
    unsigned char *pool;
    size_t pool_bytes;
    uint32_t extras; /* regions added and misuses sent */
};

/* Runs a program and leaves the heap as it then is. False when init() refused the pool or a rule
 * was broken. */
bool runner_build(struct runner *runner, const uint8_t *data, size_t size,
                  struct runner_heap *heap);

/* Runs a script whose pool and slots fit the runner. */
const char *runner_script(struct runner *runner, const struct script *script);

/* The rule that the last run broke, and what the last program was resolved to so far. */
enum oracle_rule runner_rule(const struct runner *runner);
const struct script *runner_last_script(const struct runner *runner);

/* FNV-1a over the offsets of all payloads of the last run: equal runs at congruent addresses have
 * equal ones. */
uint64_t runner_digest(const struct runner *runner);

/* What the last run's heap looked like, as small numbers: for engines that take more than code
 * coverage. `counts` gets RUNNER_FEATURES bytes that are 0 or 1. */
enum { RUNNER_FEATURES = 1024 };
void runner_features(const struct runner *runner, uint8_t counts[RUNNER_FEATURES]);

/* Ops that reached the allocator since runner_new(). */
uint64_t runner_ops(const struct runner *runner);

#endif
