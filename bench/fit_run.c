/* SPDX-License-Identifier: MIT
 * fit_run.c - see fit_run.h. */
#include "fit_run.h"

#include "fit.h"
#include "progress.h"
#include "workers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What a worker keeps between jobs. */
struct fit_pass {
    const struct selection *selection;
    struct held_trace held;
    uint64_t floor_bytes;
    struct progress progress;
};

struct fit_outcome {
    bool measured;
    char why[STAGE_WHY_BYTES]; /* when not */
    struct problem problem;
    struct fit_row row;
};

static bool fit_hold(struct fit_pass *pass, size_t index, struct problem *problem) {
    size_t before = pass->held.held;
    if (!selection_hold(pass->selection, index, &pass->held, problem)) {
        return false;
    }
    return pass->held.held == before || fit_floor(&pass->held.trace, &pass->floor_bytes) ||
           problem_set(problem, "out of memory");
}

static double peak_ratio(const struct trace *trace, uint64_t bytes) {
    uint64_t peak = trace->counts.peak_live_bytes;
    return peak == 0 ? NAN : (double)bytes / (double)peak;
}

static void row_fill(const struct fit_pass *pass, const struct stage *stage, const struct fit *fit,
                     struct fit_row *row) {
    const struct trace *trace = &pass->held.trace;
    *row = (struct fit_row){.ops = trace->op_count,
                            .block_bytes = stage->plan.cfg.block_bytes,
                            .peak_live = trace->counts.peak_live_bytes,
                            .fit_bytes = fit->fit_bytes,
                            .lowest_bytes = fit->lowest_bytes,
                            .refusals = fit->refusals,
                            .fit_ratio = peak_ratio(trace, fit->fit_bytes),
                            .lowest_ratio = peak_ratio(trace, fit->lowest_bytes),
                            .floor_bytes = pass->floor_bytes,
                            .floor_ratio = peak_ratio(trace, pass->floor_bytes)};
    (void)snprintf(row->allocator, sizeof row->allocator, "%s", stage->ops->name);
    (void)snprintf(row->trace, sizeof row->trace, "%s", trace->name);
    (void)snprintf(row->trace_sha256, sizeof row->trace_sha256, "%s", trace->sha256);
    (void)snprintf(row->arch, sizeof row->arch, "%s", trace->arch);
}

static void pair_fit(const struct fit_pass *pass, const struct alloc_ops *ops,
                     struct fit_outcome *outcome) {
    struct stage_memory memory;
    struct stage stage = {.ops = ops, .trace = &pass->held.trace, .touch = REPLAY_TOUCH_NONE};
    struct fit fit;
    stage.memory = &memory;
    if (stage_poolless(ops) || (ops->caps & ALLOC_CAP_FREES) == 0) {
        (void)snprintf(outcome->why, sizeof outcome->why,
                       stage_poolless(ops) ? "it has no pool" : "it never frees");
        return;
    }
    if (!stage_plan_make(ops, &pass->held.trace, &stage.plan, outcome->why) ||
        !stage_memory_open(&memory, fit_pool_most(ops, &pass->held.trace),
                           pass->held.trace.counts.slots, &outcome->problem)) {
        return;
    }
    outcome->measured = stage_probe(&stage) && fit_search(&stage, &fit);
    if (outcome->measured) {
        row_fill(pass, &stage, &fit, &outcome->row);
    } else {
        (void)snprintf(outcome->why, sizeof outcome->why, "no pool up to %zu bytes completes it",
                       fit_pool_most(ops, &pass->held.trace));
    }
    stage_memory_close(&memory);
}

static void fit_job(void *ctx, size_t job, void *result) {
    struct fit_pass *pass = ctx;
    struct fit_outcome *outcome = result;
    size_t allocators = pass->selection->allocator_count;
    if (fit_hold(pass, job / allocators, &outcome->problem)) {
        pair_fit(pass, pass->selection->ops[job % allocators], outcome);
    }
}

static void fit_progress(void *ctx, size_t done, size_t job) {
    struct fit_pass *pass = ctx;
    char name[64];
    selection_name(pass->selection, job / pass->selection->allocator_count, name, sizeof name);
    progress_show(&pass->progress, done,
                  pass->selection->ops[job % pass->selection->allocator_count]->name, name);
}

static bool outcomes_file(const struct selection *selection, const struct fit_outcome *outcomes,
                          const struct workers_job *jobs, struct fit_result *result,
                          struct problem *problem) {
    for (size_t i = 0; i < selection->trace_count * selection->allocator_count; i++) {
        struct row_skip skip = {"", "", ""};
        selection_name(selection, i / selection->allocator_count, skip.trace, sizeof skip.trace);
        (void)snprintf(skip.allocator, sizeof skip.allocator, "%s",
                       selection->ops[i % selection->allocator_count]->name);
        (void)snprintf(skip.why, sizeof skip.why, "%s", outcomes[i].why);
        if (!jobs[i].done) {
            (void)snprintf(skip.why, sizeof skip.why, "it crashed with signal %d", jobs[i].signal);
            result->crashed = true;
        } else if (outcomes[i].problem.text[0] != '\0') {
            *problem = outcomes[i].problem;
            return false;
        }
        if (jobs[i].done && outcomes[i].measured) {
            result->rows[result->row_count++] = outcomes[i].row;
        } else {
            result->skips[result->skip_count++] = skip;
        }
    }
    return true;
}

bool fit_run(const struct selection *selection, unsigned jobs_at_once, struct fit_result *result,
             struct problem *problem) {
    struct fit_pass pass = {.selection = selection};
    struct workers workers = {.count = jobs_at_once,
                              .job_count = selection->trace_count * selection->allocator_count,
                              .result_bytes = sizeof(struct fit_outcome),
                              .run = fit_job,
                              .progress = fit_progress,
                              .ctx = &pass};
    void *outcomes = NULL;
    struct workers_job *jobs = NULL;
    *result = (struct fit_result){.rows = calloc(workers.job_count, sizeof *result->rows),
                                  .skips = calloc(workers.job_count, sizeof *result->skips)};
    progress_begin(&pass.progress, workers.job_count);
    bool measured =
        (result->rows != NULL && result->skips != NULL) || problem_set(problem, "out of memory");
    measured = measured && workers_run(&workers, &outcomes, &jobs, problem);
    progress_end(&pass.progress);
    measured = measured && outcomes_file(selection, outcomes, jobs, result, problem);
    workers_release(&workers, outcomes, jobs);
    if (!measured) {
        fit_result_release(result);
    }
    return measured;
}

void fit_result_release(struct fit_result *result) {
    free(result->rows);
    free(result->skips);
    *result = (struct fit_result){0};
}
