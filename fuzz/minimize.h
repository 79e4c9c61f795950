/* SPDX-License-Identifier: MIT
 *
 * minimize.h - the smallest script that still breaks the same rule
 *
 * Delta debugging (Zeller and Hildebrandt 2002) over the steps and, once they are few, over pairs
 * of them; then allocs whose only use is the room that they take: what lies behind moves down, or
 * the alloc before takes that room as well. Then smaller sizes, alignments, pool and setup, again
 * and again until nothing more goes. A candidate from which an alloc was taken is mended to a valid
 * trace before it runs. Each candidate runs in a process of its own
 * (judge.h).
 */
#ifndef HEAPRIG_MINIMIZE_H
#define HEAPRIG_MINIMIZE_H

#include "judge.h"

/* Called after each candidate with the runs made and the ops left. */
typedef void minimize_progress_fn(void *ctx, uint64_t runs, uint32_t ops);

struct minimize {
    struct judge *judge;
    struct judge_outcome target;    /* what must stay; its words follow the smallest script */
    minimize_progress_fn *progress; /* may be NULL */
    void *ctx;
    uint64_t runs_max; /* candidates to run at most; 0: as many as it takes */
    uint64_t runs;     /* candidates run */
};

/* Shrinks *script in place; it must come to `target`. Slots are named anew, and if the order of the
 * frees at a run's end matters, these are written out, as far as the script has room for them.
 * False and *problem when no process could be made or memory is out; *script is then as small as it
 * was. */
bool minimize_script(struct minimize *how, struct script *script, struct problem *problem);

#endif
