/* SPDX-License-Identifier: MIT
 * checked.c - see checked.h. */
#include "checked.h"

#include "progress.h"
#include "stage.h"
#include "workers.h"

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

struct checked_pass {
    const struct selection *selection;
    uint64_t seed;
    struct held_trace held;
    struct progress progress;
};

struct verdict {
    bool judged;
    char why[STAGE_WHY_BYTES]; /* when not */
    char broken[512];          /* empty: sound */
    struct oracle_counts counts;
    struct problem problem;
};

static void stage_judge(const struct stage *stage, uint64_t seed, struct verdict *verdict) {
    struct replay replay;
    struct replay_result result;
    if (!stage_ready(stage, &replay)) {
        (void)snprintf(verdict->why, sizeof verdict->why, "init() refuses a pool of %zu bytes",
                       stage->plan.pool_bytes);
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
        (void)problem_set(&verdict->problem, "out of memory");
        return;
    }
    struct replay_observer observer = oracle_observer(oracle);
    replay.observers = &observer;
    replay.observer_count = 1;
    replay_run(&replay, &result);
    const char *broken = oracle_audit(oracle);
    (void)snprintf(verdict->broken, sizeof verdict->broken, "%s", broken != NULL ? broken : "");
    verdict->judged = true;
    verdict->counts = oracle_counts(oracle);
    oracle_free(oracle);
    if (stage_poolless(stage->ops) && broken == NULL) {
        replay_free_rest(&replay, stage->memory->slot_count);
    }
}

static void checked_job(void *ctx, size_t job, void *result) {
    struct checked_pass *pass = ctx;
    struct verdict *verdict = result;
    const struct selection *selection = pass->selection;
    if (!selection_hold(selection, job / selection->allocator_count, &pass->held,
                        &verdict->problem)) {
        return;
    }
    struct stage_memory memory;
    struct stage stage = {.ops = selection->ops[job % selection->allocator_count],
                          .trace = &pass->held.trace,
                          .memory = &memory,
                          .touch = REPLAY_TOUCH_NONE};
    if (stage_plan_make(stage.ops, stage.trace, &stage.plan, verdict->why) &&
        stage_memory_open(&memory, stage.plan.pool_bytes + GUARD_BYTES, stage.trace->counts.slots,
                          &verdict->problem)) {
        stage_judge(&stage, pass->seed, verdict);
        stage_memory_close(&memory);
    }
}

static void checked_progress(void *ctx, size_t done, size_t job) {
    struct checked_pass *pass = ctx;
    char name[64];
    selection_name(pass->selection, job / pass->selection->allocator_count, name, sizeof name);
    progress_show(&pass->progress, done,
                  pass->selection->ops[job % pass->selection->allocator_count]->name, name);
}

/* Writes a job's line; true when a rule was broken. */
static bool verdict_print(const struct selection *selection, size_t job,
                          const struct workers_job *account, const struct verdict *verdict,
                          FILE *out) {
    char trace[64];
    selection_name(selection, job / selection->allocator_count, trace, sizeof trace);
    fprintf(out, "%s on %s: ", selection->ops[job % selection->allocator_count]->name, trace);
    if (!account->done) {
        fprintf(out, "BROKEN: it crashed with signal %d (%s)\n", account->signal,
                account->signal > 0 ? strsignal(account->signal) : "exit");
    } else if (!verdict->judged) {
        fprintf(out, "not checked: %s\n", verdict->why);
    } else if (verdict->broken[0] != '\0') {
        fprintf(out, "BROKEN: %s\n", verdict->broken);
    } else {
        fprintf(out, "sound, %" PRIu64 " ops, %" PRIu64 " audits, %" PRIu64 " misuse probes\n",
                verdict->counts.ops, verdict->counts.audits, verdict->counts.probes);
    }
    return !account->done || verdict->broken[0] != '\0';
}

bool checked_run(const struct selection *selection, unsigned jobs, uint64_t seed, FILE *out,
                 size_t *broken, struct problem *problem) {
    struct checked_pass pass = {.selection = selection, .seed = seed};
    struct workers workers = {.count = jobs,
                              .job_count = selection->trace_count * selection->allocator_count,
                              .result_bytes = sizeof(struct verdict),
                              .run = checked_job,
                              .progress = checked_progress,
                              .ctx = &pass};
    void *results = NULL;
    struct workers_job *accounts = NULL;
    progress_begin(&pass.progress, workers.job_count);
    bool ran = workers_run(&workers, &results, &accounts, problem);
    progress_end(&pass.progress);
    *broken = 0;
    const struct verdict *verdicts = results;
    for (size_t i = 0; ran && i < workers.job_count; i++) {
        if (accounts[i].done && verdicts[i].problem.text[0] != '\0') {
            *problem = verdicts[i].problem;
            ran = false;
        } else {
            *broken += verdict_print(selection, i, &accounts[i], &verdicts[i], out);
        }
    }
    workers_release(&workers, results, accounts);
    return ran;
}
