/* SPDX-License-Identifier: MIT
 * cmd_fit.c - `heaprig fit`: the smallest pool on which each allocator completes each trace. */
#include "cli.h"
#include "fit_run.h"
#include "meta.h"
#include "output.h"
#include "result_file.h"
#include "rows.h"
#include "selection.h"
#include "workers.h"

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
    "  heaprig fit -t my.hrt           how much memory does my program need?\n"
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
    if (!written || !printed) {
        return cli_problem(problem);
    }
    return result->crashed ? CLI_FAILED : CLI_FINE;
}

static int fit_and_report(const struct fit_options *o, const struct selection *selection) {
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
    if (!fit_run(selection, o->jobs, &result, &problem)) {
        return cli_problem(&problem);
    }
    int status = fit_report(o, selection, &result, &problem);
    fit_result_release(&result);
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
    int status = fit_and_report(&o, &selection);
    selection_release(&selection);
    return status;
}
