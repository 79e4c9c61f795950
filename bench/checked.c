/* SPDX-License-Identifier: MIT
 * checked.c - see checked.h. */
#include "checked.h"

#include "pairs.h"

#include "../fuzz/oracle.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    GUARD_BYTES = 64,
    AUDITS = 50,
    PROBE_EVERY = 997, /* ops; a prime, so that probes do not fall in step with a trace */
    CONTENT_CAP_BYTES = 512,
};

struct verdict {
    struct pair_outcome pair;
    char broken[512]; /* empty: sound */
    struct oracle_counts counts;
};

static void stage_judge(const struct stage *stage, uint64_t seed, struct verdict *verdict) {
    struct replay replay;
    struct replay_result result;
    if (!stage_ready(stage, &replay)) {
        (void)snprintf(verdict->pair.why, sizeof verdict->pair.why,
                       "init() refuses a pool of %zu bytes", stage->plan.pool_bytes);
        return;
    }
    const struct oracle_config config = {
        .ops = stage->ops,
        .heap = replay.heap,
        .cfg = &stage->plan.cfg,
        .pool = stage->memory->pool,
        .pool_bytes = stage->plan.pool_bytes,
        .guard_bytes = stage_poolless(stage->ops) ? 0 : GUARD_BYTES,
        .slot_count = stage->trace->counts.slots,
        .audit_every = (uint32_t)(stage->trace->op_count / AUDITS + 1),
        .probe_every = PROBE_EVERY,
        .probe_seed = seed,
        .content_cap_bytes = CONTENT_CAP_BYTES};
    struct oracle *oracle = oracle_new(&config);
    if (oracle == NULL) {
        (void)problem_set(&verdict->pair.problem, "out of memory");
        return;
    }
    struct replay_observer observer = oracle_observer(oracle);
    replay.observers = &observer;
    replay.observer_count = 1;
    replay_run(&replay, &result);
    const char *broken = oracle_audit(oracle);
    (void)snprintf(verdict->broken, sizeof verdict->broken, "%s", broken != NULL ? broken : "");
    verdict->pair.measured = true;
    verdict->counts = oracle_counts(oracle);
    oracle_free(oracle);
    if (stage_poolless(stage->ops) && broken == NULL) {
        replay_free_rest(&replay, stage->memory->slot_count);
    }
}

static void pair_judge(void *ctx, const struct pair *pair, void *result) {
    const uint64_t *seed = ctx;
    struct verdict *verdict = result;
    struct stage_memory memory;
    struct stage stage = {
        .ops = pair->ops, .trace = pair->trace, .memory = &memory, .touch = REPLAY_TOUCH_NONE};
    if (stage_plan_make(stage.ops, stage.trace, &stage.plan, verdict->pair.why) &&
        stage_memory_open(&memory, stage.plan.pool_bytes + GUARD_BYTES, stage.trace->counts.slots,
                          &verdict->pair.problem)) {
        stage_judge(&stage, *seed, verdict);
        stage_memory_close(&memory);
    }
}

/* Writes a pair's line; true when a rule was broken. */
static bool verdict_print(const struct pairs_done *done, size_t pair, FILE *out) {
    const struct verdict *verdict = pairs_result(done, pair);
    struct row_skip skip;
    bool skipped = pairs_skipped(done, pair, &skip);
    bool crashed = pairs_crash(done, pair) != NULL;
    fprintf(out, "%s on %s: ", skip.allocator, skip.trace);
    if (skipped) {
        fprintf(out, "%s: %s\n", crashed ? "BROKEN" : "not checked", skip.why);
    } else if (verdict->broken[0] != '\0') {
        fprintf(out, "BROKEN: %s\n", verdict->broken);
    } else {
        fprintf(out, "sound, %" PRIu64 " ops, %" PRIu64 " audits, %" PRIu64 " misuse probes\n",
                verdict->counts.ops, verdict->counts.audits, verdict->counts.probes);
    }
    return crashed || verdict->broken[0] != '\0';
}

bool checked_run(const struct selection *selection, unsigned jobs, uint64_t seed, FILE *out,
                 size_t *broken, struct problem *problem) {
    const struct pairs pairs = {.selection = selection,
                                .jobs = jobs,
                                .result_bytes = sizeof(struct verdict),
                                .run = pair_judge,
                                .ctx = &seed};
    struct pairs_done done;
    *broken = 0;
    if (!pairs_run(&pairs, &done, problem)) {
        return false;
    }
    for (size_t i = 0; i < done.count; i++) {
        *broken += verdict_print(&done, i, out);
    }
    pairs_release(&done);
    return true;
}
