/* SPDX-License-Identifier: MIT
 * fit_run.c - see fit_run.h. */
#include "fit_run.h"

#include "fit.h"
#include "pairs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct fit_outcome {
    struct pair_outcome pair;
    struct fit_row row;
};

/* What a worker keeps between pairs. */
struct fit_floor_known {
    size_t trace; /* its index + 1; 0: none */
    uint64_t bytes;
};

static bool floor_know(struct fit_floor_known *floor, const struct pair *pair) {
    if (floor->trace == pair->trace_index + 1) {
        return true;
    }
    floor->trace = pair->trace_index + 1;
    return fit_floor(pair->trace, &floor->bytes);
}

static double peak_ratio(const struct trace *trace, uint64_t bytes) {
    uint64_t peak = trace->counts.peak_live_bytes;
    return peak == 0 ? NAN : (double)bytes / (double)peak;
}

static void row_fill(const struct stage *stage, const struct fit *fit, uint64_t floor_bytes,
                     struct fit_row *row) {
    const struct trace *trace = stage->trace;
    *row = (struct fit_row){.ops = trace->op_count,
                            .block_bytes = stage->plan.cfg.block_bytes,
                            .peak_live = trace->counts.peak_live_bytes,
                            .fit_bytes = fit->fit_bytes,
                            .lowest_bytes = fit->lowest_bytes,
                            .refusals = fit->refusals,
                            .fit_ratio = peak_ratio(trace, fit->fit_bytes),
                            .lowest_ratio = peak_ratio(trace, fit->lowest_bytes),
                            .floor_bytes = floor_bytes,
                            .floor_ratio = peak_ratio(trace, floor_bytes)};
    (void)snprintf(row->allocator, sizeof row->allocator, "%s", stage->ops->name);
    (void)snprintf(row->trace, sizeof row->trace, "%s", trace->name);
    (void)snprintf(row->trace_sha256, sizeof row->trace_sha256, "%s", trace->sha256);
    (void)snprintf(row->arch, sizeof row->arch, "%s", trace->arch);
}

static void pair_search(struct stage *stage, uint64_t floor_bytes, struct fit_outcome *outcome) {
    struct fit fit;
    outcome->pair.measured = stage_probe(stage) && fit_search(stage, &fit);
    if (outcome->pair.measured) {
        row_fill(stage, &fit, floor_bytes, &outcome->row);
    } else {
        (void)snprintf(outcome->pair.why, sizeof outcome->pair.why,
                       "no pool up to %zu bytes completes it",
                       fit_pool_most(stage->ops, stage->trace));
    }
}

static void pair_fit(void *ctx, const struct pair *pair, void *result) {
    struct fit_floor_known *floor = ctx;
    struct fit_outcome *outcome = result;
    struct stage_memory memory;
    struct stage stage = {
        .ops = pair->ops, .trace = pair->trace, .memory = &memory, .touch = REPLAY_TOUCH_NONE};
    if (stage_poolless(pair->ops) || (pair->ops->caps & ALLOC_CAP_FREES) == 0) {
        (void)snprintf(outcome->pair.why, sizeof outcome->pair.why,
                       stage_poolless(pair->ops) ? "it has no pool" : "it never frees");
    } else if (!floor_know(floor, pair)) {
        (void)problem_set(&outcome->pair.problem, "out of memory");
    } else if (stage_plan_make(pair->ops, pair->trace, &stage.plan, outcome->pair.why) &&
               stage_memory_open(&memory, fit_pool_most(pair->ops, pair->trace),
                                 pair->trace->counts.slots, &outcome->pair.problem)) {
        pair_search(&stage, floor->bytes, outcome);
        stage_memory_close(&memory);
    }
}

bool fit_run(const struct selection *selection, unsigned jobs, struct fit_result *result,
             struct problem *problem) {
    struct fit_floor_known floor = {0};
    const struct pairs pairs = {.selection = selection,
                                .jobs = jobs,
                                .result_bytes = sizeof(struct fit_outcome),
                                .run = pair_fit,
                                .ctx = &floor};
    struct pairs_done done;
    *result = (struct fit_result){0};
    if (!pairs_run(&pairs, &done, problem)) {
        return false;
    }
    result->rows = calloc(done.count, sizeof *result->rows);
    result->skips = calloc(done.count, sizeof *result->skips);
    bool filed =
        (result->rows != NULL && result->skips != NULL) || problem_set(problem, "out of memory");
    for (size_t i = 0; filed && i < done.count; i++) {
        if (pairs_skipped(&done, i, &result->skips[result->skip_count])) {
            result->skip_count++;
            result->crashed |= pairs_crash(&done, i) != NULL;
        } else {
            result->rows[result->row_count++] =
                ((const struct fit_outcome *)pairs_result(&done, i))->row;
        }
    }
    pairs_release(&done);
    if (!filed) {
        fit_result_release(result);
    }
    return filed;
}

void fit_result_release(struct fit_result *result) {
    free(result->rows);
    free(result->skips);
    *result = (struct fit_result){0};
}
