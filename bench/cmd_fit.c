/* SPDX-License-Identifier: MIT
 * cmd_fit.c - `heaprig fit`: the smallest pool on which each allocator completes each trace. */
#include "cli.h"
#include "fit.h"
#include "meta.h"
#include "output.h"
#include "progress.h"
#include "result_file.h"
#include "rows.h"
#include "selection.h"
#include "workers.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cmd_fit(int argc, char **argv);

struct fit_options {
    struct selection_choice choice;
    struct output_choice output;
    unsigned jobs;
};

static const struct argp_option options[] = {
    {"jobs", 'j', "N", 0, "processes (default: one for each core)", 0},
    {0},
};

static const char doc[] =
    "Searches the smallest pool on which each allocator completes each trace, to 0.4 %.\v"
    "Examples:\n"
    "  heaprig fit -t my.hrt                   how much memory does my program need?\n"
    "  heaprig fit -a tlsf,./my.so -t gen:comb,gen:embedded\n"
    "  heaprig fit --columns fit_bytes,floor_bytes   the same in bytes\n\n"
    "Shown is pool / peak of live bytes. 'floor' is what a 4-byte header and an 8-byte granule "
    "cost "
    "with no holes at all. '~': a smaller pool completes the trace as well, but one between fails; "
    "the results carry both. Requests that no pool serves (membox) are left out.\n"
    "Exit status: 0 fine, 1 an allocator crashed, 2 bad usage or input.";

static error_t option_parse(int key, char *text, struct argp_state *state) {
    struct fit_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->choice;
        state->child_inputs[1] = &o->output;
        return 0;
    case 'j':
        o->jobs = (unsigned)cli_number(state, "jobs", text, 1, WORKERS_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What a worker keeps between jobs. */
struct fit_pass {
    const struct selection *selection;
    struct trace trace;
    size_t loaded; /* its index + 1; 0: none */
    uint64_t floor_bytes;
    struct progress progress;
};

struct fit_outcome {
    bool measured;
    char why[STAGE_WHY_BYTES]; /* when not */
    struct problem problem;
    struct fit_row row;
};

static bool trace_switch(struct fit_pass *pass, size_t index, struct problem *problem) {
    if (pass->loaded == index + 1) {
        return true;
    }
    trace_release(&pass->trace);
    pass->loaded = 0;
    if (!selection_load(pass->selection, index, &pass->trace, problem)) {
        return false;
    }
    pass->loaded = index + 1;
    return fit_floor(&pass->trace, &pass->floor_bytes) || problem_set(problem, "out of memory");
}

static double peak_ratio(const struct trace *trace, uint64_t bytes) {
    uint64_t peak = trace->counts.peak_live_bytes;
    return peak == 0 ? NAN : (double)bytes / (double)peak;
}

static void row_fill(const struct fit_pass *pass, const struct stage *stage, const struct fit *fit,
                     struct fit_row *row) {
    const struct trace *trace = &pass->trace;
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
    struct stage stage = {.ops = ops, .trace = &pass->trace, .touch = REPLAY_TOUCH_NONE};
    struct fit fit;
    stage.memory = &memory;
    if (stage_poolless(ops) || (ops->caps & ALLOC_CAP_FREES) == 0) {
        (void)snprintf(outcome->why, sizeof outcome->why,
                       stage_poolless(ops) ? "it has no pool" : "it never frees");
        return;
    }
    if (!stage_plan_make(ops, &pass->trace, &stage.plan, outcome->why) ||
        !stage_memory_open(&memory, fit_pool_most(ops, &pass->trace), pass->trace.counts.slots,
                           &outcome->problem)) {
        return;
    }
    outcome->measured = stage_probe(&stage) && fit_search(&stage, &fit);
    if (outcome->measured) {
        row_fill(pass, &stage, &fit, &outcome->row);
    } else {
        (void)snprintf(outcome->why, sizeof outcome->why, "no pool up to %zu bytes completes it",
                       fit_pool_most(ops, &pass->trace));
    }
    stage_memory_close(&memory);
}

static void fit_job(void *ctx, size_t job, void *result) {
    struct fit_pass *pass = ctx;
    struct fit_outcome *outcome = result;
    size_t allocators = pass->selection->allocator_count;
    if (trace_switch(pass, job / allocators, &outcome->problem)) {
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

/* All rows and skips of a run. */
struct fit_result {
    struct fit_row *rows;
    struct row_skip *skips;
    size_t row_count, skip_count;
    bool crashed;
};

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

static bool fit_measure(const struct fit_options *o, const struct selection *selection,
                        struct fit_result *result, struct problem *problem) {
    struct fit_pass pass = {.selection = selection};
    struct workers workers = {.count = o->jobs,
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
    return measured;
}

static const struct row_table fit_table = {.title = "smallest pool / peak of live bytes",
                                           .value = "fit_ratio",
                                           .mark = "lowest_ratio",
                                           .first = "floor_ratio",
                                           .first_title = "floor",
                                           .floor = 0.01};

static int fit_report(const struct fit_options *o, const struct selection *selection,
                      const struct fit_result *result, struct problem *problem) {
    const struct row_set set = {.kind = &fit_rows,
                                .rows = result->rows,
                                .row_count = result->row_count,
                                .skips = result->skips,
                                .skip_count = result->skip_count,
                                .order = selection->ops,
                                .order_count = selection->allocator_count};
    json_t *meta = meta_new();
    (void)json_object_set_new(meta, "first", json_integer((json_int_t)o->choice.first));
    bool written = rows_write(&set, meta, o->output.folder, problem);
    json_decref(meta);
    bool printed = rows_print(&set, &fit_table) && output_columns_print(&o->output, &set);
    for (size_t i = 0; i < result->row_count; i++) {
        const struct fit_row *row = &result->rows[i];
        if (row->lowest_bytes < row->fit_bytes) {
            printf("~ %s on %s: %llu bytes do as well, but some pool between fails\n",
                   row->allocator, row->trace, (unsigned long long)row->lowest_bytes);
        }
    }
    rows_print_skips(&set);
    if (!written || !printed || fflush(stdout) != 0) {
        return cli_problem(problem);
    }
    return result->crashed ? CLI_FAILED : CLI_FINE;
}

static int fit_run(const struct fit_options *o, const struct selection *selection) {
    struct problem problem = {"cannot print the table"};
    const char *unfit = meta_unfit_reason();
    if (unfit != NULL) {
        (void)problem_set(&problem, "%s: no results from such a build, expected a plain one",
                          unfit);
        return cli_problem(&problem);
    }
    if (!result_folder_make(o->output.folder, &problem)) {
        return cli_problem(&problem);
    }
    struct fit_result result;
    int status = fit_measure(o, selection, &result, &problem)
                     ? fit_report(o, selection, &result, &problem)
                     : cli_problem(&problem);
    free(result.rows);
    free(result.skips);
    return status;
}

int cmd_fit(int argc, char **argv) {
    struct fit_options o = {.choice = {.which = SELECTION_POOL}, .output = {.kind = &fit_rows}};
    const struct argp argp = {options, option_parse, NULL, doc, output_children, NULL, NULL};
    struct selection selection;
    struct problem problem;
    cli_parse(&argp, argc, argv, &o);
    if (!selection_make(&o.choice, &selection, &problem)) {
        return cli_problem(&problem);
    }
    int status = fit_run(&o, &selection);
    selection_release(&selection);
    return status;
}
