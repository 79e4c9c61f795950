/* SPDX-License-Identifier: MIT
 * cmd_cost.c - `heaprig cost`: instructions per call, exact, on x86-64 and ARMv7. */
#include "cli.h"
#include "cost.h"
#include "meta.h"
#include "output.h"
#include "result_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cmd_cost(int argc, char **argv);

struct cost_options {
    struct selection_choice choice;
    struct output_choice output;
    const char *arch;
    bool marked;
};

enum { KEY_MARKED = 256, KEY_ARCH };

static const struct argp_option options[] = {
    {"arch", KEY_ARCH, "ARCH", 0, "native (default) or arm", 0},
    {"marked", KEY_MARKED, NULL, OPTION_HIDDEN, "the copy under QEMU", 0},
    {0},
};

static const char doc[] =
    "Counts the instructions and steps of every call of every allocator under QEMU.\v"
    "Counts are exact, the same on every machine, and net of a call of an empty function; they are "
    "instructions, not cycles. Steps are how often a call ran the one instruction that it ran "
    "most, "
    "1 without a loop: they bound its work. --arch arm needs the ARMv7 build (`make ARCH=arm`).\n\n"
    "Examples:\n"
    "  heaprig cost -a tlsf,bestfit -t gen:embedded\n"
    "  heaprig cost --arch arm -t corpus/traces/armv7-lua.hrt";

static error_t option_parse(int key, char *text, struct argp_state *state) {
    struct cost_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->choice;
        state->child_inputs[1] = &o->output;
        return 0;
    case KEY_ARCH:
        if (strcmp(text, "native") != 0 && strcmp(text, "arm") != 0) {
            argp_error(state, "--arch: '%s', expected native or arm", text);
        }
        o->arch = text;
        return 0;
    case KEY_MARKED:
        o->marked = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A table of instructions for each kind of call, one of steps for all. */
static const struct row_table tables[] = {
    {.title = "instructions of malloc: mean/p99.9/largest",
     .value = "alloc_mean",
     .second = "alloc_p999",
     .third = "alloc_max",
     .floor = 1},
    {.title = "instructions of free: mean/p99.9/largest",
     .value = "free_mean",
     .second = "free_p999",
     .third = "free_max",
     .floor = 1},
    {.title = "most steps of a malloc/realloc/free: how often it ran one and the same instruction",
     .value = "alloc_steps_max",
     .second = "realloc_steps_max",
     .third = "free_steps_max",
     .plain = true,
     .floor = 1},
};

static const struct cost_row *costliest(const struct cost_result *result, const char *allocator,
                                        enum cost_kind kind) {
    const struct cost_row *most = NULL;
    for (size_t i = 0; i < result->row_count; i++) {
        const struct cost_row *row = &result->rows[i];
        if (strcmp(row->allocator, allocator) == 0 && row->call[kind].calls > 0 &&
            (most == NULL || row->call[kind].max > most->call[kind].max)) {
            most = row;
        }
    }
    return most;
}

/* Names each allocator's costliest call of each kind. */
static void costliest_print(const struct cost_result *result, const struct selection *selection) {
    printf("\ncostliest calls\n%-16s %-8s %12s  %-20s %8s %12s\n", "allocator", "call",
           "instructions", "trace", "op", "bytes");
    for (size_t a = 0; a < selection->allocator_count; a++) {
        for (int kind = 0; kind < COST_KINDS; kind++) {
            const char *name = selection->ops[a]->name;
            const struct cost_row *row = costliest(result, name, (enum cost_kind)kind);
            if (row != NULL) {
                const struct row_cost *call = &row->call[kind];
                printf("%-16s %-8s %12" PRIu64 "  %-20s %8" PRIu64 " %12" PRIu64 "\n", name,
                       cost_kind_names[kind], call->max, row->trace, call->max_op, call->max_bytes);
            }
        }
    }
}

static bool tables_print(const struct output_choice *output, const struct row_set *set) {
    bool printed = true;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        printed &= rows_print(set, &tables[i]);
    }
    return printed & output_columns_print(output, set);
}

static int cost_run(const struct cost_options *o, const struct selection *selection) {
    struct problem problem;
    struct cost_result result;
    if (!result_folder_make(o->output.folder, &problem) ||
        !cost_measure(o->arch, &o->choice, selection, &result, &problem)) {
        return cli_problem(&problem);
    }
    const struct row_set set = {.kind = &cost_rows,
                                .rows = result.rows,
                                .row_count = result.row_count,
                                .order = selection->ops,
                                .order_count = selection->allocator_count};
    json_t *meta = meta_new();
    bool fine = rows_write(&set, meta, o->output.folder, &problem);
    json_decref(meta);
    if (fine && !tables_print(&o->output, &set)) {
        fine = problem_set(&problem, "cannot print the tables");
    }
    costliest_print(&result, selection);
    free(result.rows);
    return fine ? CLI_FINE : cli_problem(&problem);
}

int cmd_cost(int argc, char **argv) {
    struct cost_options o = {
        .choice = {.which = SELECTION_OWN}, .output = {.kind = &cost_rows}, .arch = "native"};
    const struct argp argp = {options, option_parse, NULL, doc, output_children, NULL, NULL};
    struct selection selection;
    struct problem problem = {""};
    cli_parse(&argp, argc, argv, &o);
    if (!selection_make(&o.choice, &selection, &problem)) {
        return cli_problem(&problem);
    }
    int status = !o.marked                                  ? cost_run(&o, &selection)
                 : cost_replay_marked(&selection, &problem) ? CLI_FINE
                                                            : cli_problem(&problem);
    selection_release(&selection);
    return status;
}
