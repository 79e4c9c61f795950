/* SPDX-License-Identifier: MIT
 * mmu_run.c - mmu_run.h: all pairs, as rows. */
#include "mmu_run.h"

#include "cli.h"
#include "progress.h"
#include "workers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What a worker keeps between jobs. */
struct mmu_pass {
    const struct selection *selection;
    const struct mmu_setting *setting;
    const char *folder;
    struct held_trace held;
    struct progress progress;
};

struct mmu_outcome {
    bool measured;
    char why[STAGE_WHY_BYTES]; /* when not */
    struct problem problem;
    struct mmu_row rows[MMU_PAGE_SIZES];
};

const char *mmu_page_name(unsigned log2) {
    return log2 == VM_PAGE_LOG           ? "4k"
           : log2 == VM_LARGE_LOG        ? "64k"
           : log2 == VM_SECTION_LOG      ? "1m"
           : log2 == VM_SUPERSECTION_LOG ? "16m"
                                         : NULL;
}

/* `each` is what one operation counts as. */
static struct row_share share_of(const struct mmu_pair *pair, double app, double alloc,
                                 double each) {
    return (struct row_share){.all = pair->seen ? (app + alloc) * each : NAN,
                              .app = app * each,
                              .alloc = pair->seen ? alloc * each : NAN};
}

#define SHARE(member, each)                                                                        \
    share_of(pair, (double)pair->share[MMU_APPLICATION].member,                                    \
             (double)pair->share[MMU_ALLOCATOR].member, each)

static void row_figures(const struct mmu_pair *pair, struct mmu_row *row) {
    const double ops = (double)(row->ops > 0 ? row->ops : 1);
    row->failures = pair->failures;
    row->refusals = pair->refusals;
    row->accesses = SHARE(accesses, 1 / ops);
    row->micro_misses = SHARE(micro_misses, 1000 / ops);
    row->main_misses = SHARE(main_misses, 1000 / ops);
    row->walk_reads = SHARE(walk_reads, 1000 / ops);
    row->cycles = SHARE(cycles, 1 / ops);
    row->faults = SHARE(faults, 1);
    row->pages = SHARE(pages, 1);
    row->pages.all = pair->seen ? (double)pair->pages : NAN; /* some are touched by both */
}

static void row_fill(const struct stage *stage, const struct mmu_setting *setting,
                     unsigned page_log2, const struct mmu_pair *pair, struct mmu_row *row) {
    const struct trace *trace = stage->trace;
    *row = (struct mmu_row){.caches = setting->caches,
                            .ops = trace->op_count,
                            .pool_bytes = stage->plan.pool_bytes,
                            .block_bytes = stage->plan.cfg.block_bytes};
    (void)snprintf(row->allocator, sizeof row->allocator, "%s", stage->ops->name);
    (void)snprintf(row->trace, sizeof row->trace, "%s", trace->name);
    (void)snprintf(row->trace_sha256, sizeof row->trace_sha256, "%s", trace->sha256);
    (void)snprintf(row->arch, sizeof row->arch, "%s", trace->arch);
    (void)snprintf(row->core, sizeof row->core, "%s", setting->core_name);
    (void)snprintf(row->page_size, sizeof row->page_size, "%s", mmu_page_name(page_log2));
    (void)snprintf(row->touch, sizeof row->touch, "%s", cli_touch_name(setting->touch));
    (void)snprintf(row->compiler, sizeof row->compiler, "%s", touches_compiler());
    row_figures(pair, row);
}

/* The series do not depend on the page size: the first replay gives them. */
static bool sizes_run(const struct mmu_pass *pass, const struct stage *stage,
                      struct mmu_outcome *outcome) {
    struct mmu_series *series =
        mmu_series_new(stage->trace->op_count, (size_t)stage->plan.pool_bytes);
    bool fine = series != NULL || problem_set(&outcome->problem, "out of memory");
    for (size_t i = 0; fine && i < pass->setting->page_sizes; i++) {
        struct mmu_pair pair;
        unsigned log2 = pass->setting->page_log2[i];
        fine = mmu_pair_run(stage, pass->setting, log2, i == 0 ? series : NULL, &pair,
                            &outcome->problem);
        if (fine) {
            row_fill(stage, pass->setting, log2, &pair, &outcome->rows[i]);
        }
    }
    fine = fine && mmu_series_write(series, pass->folder, stage->ops->name, stage->trace->name,
                                    &outcome->problem);
    mmu_series_free(series);
    return fine;
}

static void pair_measure(const struct mmu_pass *pass, const struct alloc_ops *ops,
                         struct mmu_outcome *outcome) {
    struct stage_memory memory;
    struct stage stage = {.ops = touches_build(ops),
                          .trace = &pass->held.trace,
                          .memory = &memory,
                          .touch = pass->setting->touch};
    if (stage_poolless(ops)) {
        (void)snprintf(outcome->why, sizeof outcome->why, "takes its memory from the system");
        return;
    }
    if (!stage_plan_make(ops, stage.trace, &stage.plan, outcome->why)) {
        return;
    }
    if (stage.plan.pool_bytes > MMU_POOL_MAX) {
        (void)snprintf(outcome->why, sizeof outcome->why, "its pool is larger than %zu bytes",
                       MMU_POOL_MAX);
        return;
    }
    if (!stage_memory_open(&memory, stage.plan.pool_bytes, stage.trace->counts.slots,
                           &outcome->problem)) {
        return;
    }
    if (stage_probe(&stage)) {
        outcome->measured = sizes_run(pass, &stage, outcome);
    } else {
        (void)snprintf(outcome->why, sizeof outcome->why, "init() refuses a pool of %zu bytes",
                       stage.plan.pool_bytes);
    }
    stage_memory_close(&memory);
}

static void mmu_job(void *ctx, size_t job, void *result) {
    struct mmu_pass *pass = ctx;
    struct mmu_outcome *outcome = result;
    size_t allocators = pass->selection->allocator_count;
    if (selection_hold(pass->selection, job / allocators, &pass->held, &outcome->problem)) {
        pair_measure(pass, pass->selection->ops[job % allocators], outcome);
    }
}

static void mmu_progress(void *ctx, size_t done, size_t job) {
    struct mmu_pass *pass = ctx;
    char name[64];
    selection_name(pass->selection, job / pass->selection->allocator_count, name, sizeof name);
    progress_show(&pass->progress, done,
                  pass->selection->ops[job % pass->selection->allocator_count]->name, name);
}

static bool outcomes_file(const struct mmu_pass *pass, const struct mmu_outcome *outcomes,
                          const struct workers_job *jobs, struct mmu_result *result,
                          struct problem *problem) {
    const struct selection *selection = pass->selection;
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
        for (size_t k = 0; outcomes[i].measured && k < pass->setting->page_sizes; k++) {
            result->rows[result->row_count++] = outcomes[i].rows[k];
        }
        if (!outcomes[i].measured) {
            result->skips[result->skip_count++] = skip;
        }
    }
    return true;
}

bool mmu_run_all(const struct selection *selection, const struct mmu_setting *setting,
                 const char *folder, unsigned jobs_at_once, struct mmu_result *result,
                 struct problem *problem) {
    struct mmu_pass pass = {.selection = selection, .setting = setting, .folder = folder};
    struct workers workers = {.count = jobs_at_once,
                              .job_count = selection->trace_count * selection->allocator_count,
                              .result_bytes = sizeof(struct mmu_outcome),
                              .run = mmu_job,
                              .progress = mmu_progress,
                              .ctx = &pass};
    void *outcomes = NULL;
    struct workers_job *jobs = NULL;
    *result = (struct mmu_result){
        .rows = calloc(workers.job_count * setting->page_sizes, sizeof *result->rows),
        .skips = calloc(workers.job_count, sizeof *result->skips)};
    progress_begin(&pass.progress, workers.job_count);
    bool measured =
        (result->rows != NULL && result->skips != NULL) || problem_set(problem, "out of memory");
    measured = measured && workers_run(&workers, &outcomes, &jobs, problem);
    progress_end(&pass.progress);
    measured = measured && outcomes_file(&pass, outcomes, jobs, result, problem);
    workers_release(&workers, outcomes, jobs);
    if (!measured) {
        mmu_result_release(result);
    }
    return measured;
}

void mmu_result_release(struct mmu_result *result) {
    free(result->rows);
    free(result->skips);
    *result = (struct mmu_result){0};
}
