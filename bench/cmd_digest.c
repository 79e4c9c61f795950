/* SPDX-License-Identifier: MIT
 * cmd_digest.c - `heaprig digest`: where an allocator put every block of a trace, in 64 bits. */
#include "cli.h"
#include "digest.h"
#include "selection.h"
#include "stage.h"

#include <inttypes.h>
#include <stdio.h>

int cmd_digest(int argc, char **argv);

static const char doc[] =
    "Prints allocator, trace and digest of all offsets, a line each, tab-separated.\v"
    "Equal lines mean equal placement: an allocator whose state is made of 32-bit offsets prints "
    "the same on every machine. Pairs that do not fit print '-'.";

/* False and *problem when there is no memory for the pool. */
static bool pair_digest(const struct alloc_ops *ops, const struct trace *trace,
                        struct problem *problem) {
    struct stage_memory memory;
    struct stage stage = {.ops = ops, .trace = trace, .memory = &memory};
    struct replay replay;
    struct replay_result result;
    struct digest digest;
    char why_not[STAGE_WHY_BYTES];
    if (stage_poolless(ops) || !stage_plan_make(ops, trace, &stage.plan, why_not)) {
        printf("%s\t%s\t-\n", ops->name, trace->name);
        return true;
    }
    if (!stage_memory_open(&memory, stage.plan.pool_bytes, trace->counts.slots, problem)) {
        return false;
    }
    if (stage_ready(&stage, &replay)) {
        struct replay_observer observer = digest_observer(&digest);
        digest_begin(&digest, memory.pool);
        replay.observers = &observer;
        replay.observer_count = 1;
        replay_run(&replay, &result);
        printf("%s\t%s\t%016" PRIx64 "\n", ops->name, trace->name, digest.value);
    } else {
        printf("%s\t%s\t-\n", ops->name, trace->name);
    }
    stage_memory_close(&memory);
    return true;
}

static bool digest_run(const struct selection *selection, struct problem *problem) {
    bool fine = true;
    for (size_t t = 0; fine && t < selection->trace_count; t++) {
        struct trace trace = {0};
        fine = selection_load(selection, t, &trace, problem);
        for (size_t a = 0; fine && a < selection->allocator_count; a++) {
            fine = pair_digest(selection->ops[a], &trace, problem);
        }
        trace_release(&trace);
    }
    return fine;
}

int cmd_digest(int argc, char **argv) {
    struct selection_choice choice = {.which = SELECTION_OWN};
    const struct argp argp = {.doc = doc, .children = selection_child};
    struct selection selection;
    struct problem problem;
    cli_parse(&argp, argc, argv, &choice);
    if (!selection_make(&choice, &selection, &problem)) {
        return cli_problem(&problem);
    }
    bool fine = digest_run(&selection, &problem);
    selection_release(&selection);
    return fine ? CLI_FINE : cli_problem(&problem);
}
