/* SPDX-License-Identifier: MIT
 * mmu_run.c - mmu_run.h: all pairs, as rows. */
#include "mmu_run.h"

#include "cli.h"
#include "pairs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct mmu_pass {
    const struct mmu_setting *setting;
    const char *folder;
};

struct mmu_outcome {
    struct pair_outcome pair;
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
    bool fine = series != NULL || problem_set(&outcome->pair.problem, "out of memory");
    for (size_t i = 0; fine && i < pass->setting->page_sizes; i++) {
        struct mmu_pair pair;
        unsigned log2 = pass->setting->page_log2[i];
        fine = mmu_pair_run(stage, pass->setting, log2, i == 0 ? series : NULL, &pair,
                            &outcome->pair.problem);
        if (fine) {
            row_fill(stage, pass->setting, log2, &pair, &outcome->rows[i]);
        }
    }
    fine = fine && mmu_series_write(series, pass->folder, stage->ops->name, stage->trace->name,
                                    &outcome->pair.problem);
    mmu_series_free(series);
    return fine;
}

static void stage_measure(const struct mmu_pass *pass, struct stage *stage,
                          struct mmu_outcome *outcome) {
    if (stage_probe(stage)) {
        outcome->pair.measured = sizes_run(pass, stage, outcome);
    } else {
        (void)snprintf(outcome->pair.why, sizeof outcome->pair.why,
                       "init() refuses a pool of %zu bytes", stage->plan.pool_bytes);
    }
}

static void pair_measure(void *ctx, const struct pair *pair, void *result) {
    const struct mmu_pass *pass = ctx;
    struct mmu_outcome *outcome = result;
    struct stage_memory memory;
    struct stage stage = {.ops = touches_build(pair->ops),
                          .trace = pair->trace,
                          .memory = &memory,
                          .touch = pass->setting->touch};
    if (stage_poolless(pair->ops)) {
        (void)snprintf(outcome->pair.why, sizeof outcome->pair.why,
                       "takes its memory from the system");
        return;
    }
    if (!stage_plan_make(pair->ops, stage.trace, &stage.plan, outcome->pair.why)) {
        return;
    }
    if (stage.plan.pool_bytes > MMU_POOL_MAX) {
        (void)snprintf(outcome->pair.why, sizeof outcome->pair.why,
                       "its pool is larger than %zu bytes", MMU_POOL_MAX);
    } else if (stage_memory_open(&memory, stage.plan.pool_bytes, stage.trace->counts.slots,
                                 &outcome->pair.problem)) {
        stage_measure(pass, &stage, outcome);
        stage_memory_close(&memory);
    }
}

static void outcome_file(const struct pairs_done *done, size_t pair, size_t page_sizes,
                         struct mmu_result *result) {
    const struct mmu_outcome *outcome = pairs_result(done, pair);
    if (pairs_skipped(done, pair, &result->skips[result->skip_count])) {
        result->skip_count++;
        result->crashed |= pairs_crash(done, pair) != NULL;
        return;
    }
    for (size_t k = 0; k < page_sizes; k++) {
        result->rows[result->row_count++] = outcome->rows[k];
    }
}

bool mmu_run_all(const struct selection *selection, const struct mmu_setting *setting,
                 const char *folder, unsigned jobs, struct mmu_result *result,
                 struct problem *problem) {
    struct mmu_pass pass = {.setting = setting, .folder = folder};
    const struct pairs pairs = {.selection = selection,
                                .jobs = jobs,
                                .result_bytes = sizeof(struct mmu_outcome),
                                .run = pair_measure,
                                .ctx = &pass};
    struct pairs_done done;
    *result = (struct mmu_result){0};
    if (!pairs_run(&pairs, &done, problem)) {
        return false;
    }
    result->rows = calloc(done.count * setting->page_sizes, sizeof *result->rows);
    result->skips = calloc(done.count, sizeof *result->skips);
    bool filed =
        (result->rows != NULL && result->skips != NULL) || problem_set(problem, "out of memory");
    for (size_t i = 0; filed && i < done.count; i++) {
        outcome_file(&done, i, setting->page_sizes, result);
    }
    pairs_release(&done);
    if (!filed) {
        mmu_result_release(result);
    }
    return filed;
}

void mmu_result_release(struct mmu_result *result) {
    free(result->rows);
    free(result->skips);
    *result = (struct mmu_result){0};
}
