/* SPDX-License-Identifier: MIT
 * cmd_cost.c - `heaprig cost`: instructions per call, exact, on x86-64 and ARMv7. */
#include "cli.h"
#include "cost.h"
#include "meta.h"
#include "output.h"
#include "result_file.h"

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
    "Counts the instructions of every call of every allocator under QEMU.\v"
    "Counts are exact, the same on every machine, and net of a call of an empty function; they are "
    "instructions, not cycles. --arch arm needs the ARMv7 build (`make ARCH=arm`).\n\n"
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

static const struct row_table tables[] = {
    {.title = "instructions of an allocating call: mean/largest",
     .value = "alloc_mean",
     .second = "alloc_max",
     .floor = 1},
    {.title = "instructions of a free: mean/largest",
     .value = "free_mean",
     .second = "free_max",
     .floor = 1},
};

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
    fine = fine && rows_print(&set, &tables[0]) && rows_print(&set, &tables[1]) &&
           output_columns_print(&o->output, &set);
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
