/* SPDX-License-Identifier: MIT
 *
 * op_run.h - ops in a row that differ in nothing but their slots, and these go by even steps
 *
 * Filling a heap with 62 blocks of 8 bytes is one thing to say, though it takes 62 ops: one line of
 * a script (trace_text.h), one loop of a C program, one step to read for who looks for the fault.
 */
#ifndef HEAPRIG_OP_RUN_H
#define HEAPRIG_OP_RUN_H

#include "op.h"

struct op_run {
    size_t count; /* ops in the run; 1: none but the first */
    int64_t step; /* from each slot to the next; never 0 */
};

enum {
    OP_RUN_LEAST = 3,   /* two ops are as short to say as a run */
    OP_RUN_MOST = 4096, /* so that a line asks for no more memory than this */
};

/* The longest run that begins at ops[0], of OP_RUN_LEAST to OP_RUN_MOST ops, or of one. `count`,
 * the ops there are, must not be 0. O(run). */
static inline struct op_run op_run(const struct op *ops, size_t count) {
    struct op_run run = {1, count > 1 ? (int64_t)ops[1].slot - (int64_t)ops[0].slot : 1};
    const struct op *a = &ops[0];
    count = count < OP_RUN_MOST ? count : OP_RUN_MOST;
    for (; run.count < count && run.step != 0; run.count++) {
        const struct op *b = &ops[run.count];
        if (b->kind != a->kind || b->bytes != a->bytes || b->align_log2 != a->align_log2 ||
            b->thread != a->thread ||
            (int64_t)b->slot != (int64_t)a->slot + run.step * (int64_t)run.count) {
            break;
        }
    }
    return run.count >= OP_RUN_LEAST ? run : (struct op_run){1, 1};
}

#endif
