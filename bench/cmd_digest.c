/* SPDX-License-Identifier: MIT
 * cmd_digest.c - `heaprig digest`: where an allocator put every block of a trace, in 64 bits. */
#include "cli.h"
#include "digest.h"
#include "pairs.h"

#include <inttypes.h>
#include <stdio.h>

int cmd_digest(int argc, char **argv);

static const char doc[] =
    "Prints allocator, trace and digest of all offsets, a line each, tab-separated.\v"
    "Equal lines mean equal placement: an allocator whose state is made of 32-bit offsets prints "
    "the same on every machine. Pairs that do not fit print '-'.\n"
    "Exit status: 0 fine, 1 an allocator crashed, 2 bad usage or input.";

struct digested {
    struct pair_outcome pair;
    uint64_t value;
};

static void pair_digest(void *ctx, const struct pair *pair, void *result) {
    struct digested *digested = result;
    struct stage_memory memory;
    struct stage stage = {.ops = pair->ops, .trace = pair->trace, .memory = &memory};
    struct replay replay;
    struct replay_result counts;
    struct digest digest;
    (void)ctx;
    if (stage_poolless(pair->ops) ||
        !stage_plan_make(pair->ops, pair->trace, &stage.plan, digested->pair.why) ||
        !stage_memory_open(&memory, stage.plan.pool_bytes, pair->trace->counts.slots,
                           &digested->pair.problem)) {
        return;
    }
    if (stage_ready(&stage, &replay)) {
        struct replay_observer observer = digest_observer(&digest);
        digest_begin(&digest, memory.pool);
        replay.observers = &observer;
        replay.observer_count = 1;
        replay_run(&replay, &counts);
        digested->value = digest.value;
        digested->pair.measured = true;
    }
    stage_memory_close(&memory);
}

/* False when it crashed. */
static bool digest_print(const struct pairs_done *done, size_t pair) {
    const struct digested *digested = pairs_result(done, pair);
    const char *crash = pairs_crash(done, pair);
    struct row_skip skip;
    if (!pairs_skipped(done, pair, &skip)) {
        printf("%s\t%s\t%016" PRIx64 "\n", skip.allocator, skip.trace, digested->value);
    } else {
        printf("%s\t%s\t-\n", skip.allocator, skip.trace);
    }
    if (crash != NULL) {
        fprintf(stderr, "heaprig: %s on %s: %s\n", skip.allocator, skip.trace, crash);
    }
    return crash == NULL;
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
    const struct pairs pairs = {
        .selection = &selection, .result_bytes = sizeof(struct digested), .run = pair_digest};
    struct pairs_done done;
    int status = CLI_FINE;
    if (pairs_run(&pairs, &done, &problem)) {
        for (size_t i = 0; i < done.count; i++) {
            status = digest_print(&done, i) ? status : CLI_FAILED;
        }
        pairs_release(&done);
    } else {
        status = cli_problem(&problem);
    }
    selection_release(&selection);
    return status;
}
