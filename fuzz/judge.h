/* SPDX-License-Identifier: MIT
 *
 * judge.h - runs a program or script in a process of its own and says what came of it
 *
 * An allocator under suspicion may crash, hang, exit or damage the process it runs in. The judge
 * hands runs to a child, waits no longer than its time limit, learns from shared memory how far a
 * run came, and makes a new child after each one that was not sound.
 */
#ifndef HEAPRIG_JUDGE_H
#define HEAPRIG_JUDGE_H

#include "../trace/problem.h"
#include "runner.h"

#include <stdbool.h>

enum judge_how { JUDGE_SOUND, JUDGE_BROKEN, JUDGE_SIGNAL, JUDGE_EXITED, JUDGE_TIMEOUT };

struct judge_outcome {
    enum judge_how how;
    int which;       /* BROKEN: enum oracle_rule; SIGNAL: its number; EXITED: the status */
    char words[512]; /* one sentence; empty when sound */
};

struct judge_config {
    const struct alloc_ops *ops;
    uint32_t audit_every;
    uint32_t slot_count, pool_max; /* of scripts, see runner.h */
    uint32_t op_room, extra_room;  /* largest script; programs fit always */
    unsigned seconds;              /* after which a run is ended; 0: 5 */
};

struct judge;

/* NULL and *problem when memory is out. The caller frees it. */
struct judge *judge_new(const struct judge_config *config, struct problem *problem);
void judge_free(struct judge *judge);

/* Runs a script. False and *problem only when no process could be made. */
bool judge_script(struct judge *judge, const struct script *script, struct judge_outcome *outcome,
                  struct problem *problem);

/* Runs a program; judge_last() then is what it was resolved to, up to the op that crashed. */
bool judge_program(struct judge *judge, const uint8_t *data, size_t size,
                   struct judge_outcome *outcome, struct problem *problem);
const struct script *judge_last(const struct judge *judge);

/* A script out of a numbered set; made anew at each call, and the same for the same number. */
typedef const struct script *judge_draw_fn(void *ctx, uint64_t number);

/* Runs the scripts first, first + 1, ... below `end` in one child, which takes far less time than
 * orders of one script each, until one fails as `target` does. Its number, or `end` when none does,
 * or too many failed in other ways, which takes a child each. False and *problem only when no
 * process could be made. */
bool judge_search(struct judge *judge, judge_draw_fn *draw, void *ctx, uint64_t first, uint64_t end,
                  const struct judge_outcome *target, uint64_t *number, struct problem *problem);

/* Whether both runs failed for the same reason: the same rule, signal or exit status. */
bool judge_same(const struct judge_outcome *a, const struct judge_outcome *b);

#endif
