/* SPDX-License-Identifier: MIT
 * gbench_main.c - the `gbench` program: replays and micro-benchmarks under Google Benchmark. */
#include "cli.h"
#include "gbench_cases.h"
#include "gbench_shim.h"
#include "meta.h"
#include "stage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Replayed where there is no corpus. */
#define GENERATED "gen:embedded,gen:powerlaw,gen:realloc_growth"

struct gbench_options {
    struct selection_choice choice;
    struct gbench_cases cases;
};

enum { KEY_POOL = 256, KEY_TOUCH };

static const struct argp_option options[] = {
    {"touch", KEY_TOUCH, "HOW", 0,
     "what a replay writes into a new block: none, edges (default) or whole", 0},
    {"pool", KEY_POOL, "BYTES", 0, "pool of the micro-benchmarks (default: 16 MiB)", 0},
    {0},
};

static const char doc[] =
    "Replays and micro-benchmarks under Google Benchmark, by the names\n"
    "  replay/ALLOCATOR/TRACE    an operation is one of the trace; null_ns of it is\n"
    "                            the replay itself, net_ns the rest\n"
    "  micro/ALLOCATOR/NAME/ARG  bench/micro_*.c say what an operation is\v"
    "All flags of Google Benchmark work as well (below). Examples:\n"
    "  gbench --benchmark_filter=micro/.*/pair --benchmark_repetitions=5\n"
    "  gbench -a tlsf -t my.hrt --benchmark_filter=replay --benchmark_out=my.json\n\n"
    "Benchmarks with a reset between batches (worst_*, near_miss) time the batches alone: read "
    "their Time column, CPU includes the resets. Pool, seeds and layouts are the same in every "
    "run. Where there is no corpus, some generators are replayed.\n"
    "Exit status: 0 fine, 1 a benchmark failed, 2 bad usage or input, or nothing selected.";

static error_t option_parse(int key, char *text, struct argp_state *state) {
    struct gbench_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->choice;
        return 0;
    case KEY_TOUCH:
        o->cases.touch = cli_touch(state, text);
        return 0;
    case KEY_POOL:
        o->cases.micro_pool_bytes = (size_t)cli_number(state, "pool", text, 1, STAGE_POOL_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {options, option_parse, NULL, doc, selection_child, NULL, NULL};

static char program_name[] = "gbench";

static void help(void) {
    argp_help(&argp, stdout, ARGP_HELP_LONG | ARGP_HELP_USAGE | ARGP_HELP_DOC, program_name);
    putchar('\n');
    gbench_flags_help();
}

/* What the results were made with, at the head of the output. */
static void context_add(const struct gbench_options *o) {
    json_t *meta = meta_new();
    const char *key;
    json_t *value;
    json_object_foreach(meta, key, value) {
        char *text = json_is_string(value) ? strdup(json_string_value(value))
                                           : json_dumps(value, JSON_ENCODE_ANY);
        /* These Google Benchmark has itself. */
        if (text != NULL && strcmp(key, "date") != 0) {
            gbench_context(key, text);
        }
        free(text);
    }
    json_decref(meta);
    const char *unfit = meta_unfit_reason();
    gbench_context("timings", unfit != NULL ? unfit : "optimised build");
    gbench_context("touch", cli_touch_name(o->cases.touch));
    char pool[32];
    (void)snprintf(pool, sizeof pool, "%zu", o->cases.micro_pool_bytes);
    gbench_context("micro_pool_bytes", pool);
}

static bool selection_choose(const struct selection_choice *choice, struct selection *selection,
                             struct problem *problem) {
    char generated[] = GENERATED;
    struct selection_choice instead = *choice;
    struct problem ignored;
    instead.traces = generated;
    return selection_make(choice, selection, problem) ||
           (choice->traces == NULL && selection_make(&instead, selection, &ignored));
}

int main(int argc, char **argv) {
    struct gbench_options o = {
        .choice = {.which = SELECTION_ALL},
        .cases = {.touch = REPLAY_TOUCH_EDGES, .micro_pool_bytes = (size_t)16 << 20}};
    struct selection selection;
    struct problem problem;
    gbench_begin(&argc, argv, help);
    argp_err_exit_status = CLI_BAD_INPUT;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &o);
    if (!selection_choose(&o.choice, &selection, &problem)) {
        fprintf(stderr, "gbench: %s\n", problem.text);
        return CLI_BAD_INPUT;
    }
    if (selection.absent[0] != '\0') {
        fprintf(stderr, "skipped:%s: not installed\n", selection.absent);
    }
    o.cases.selection = &selection;
    context_add(&o);
    int status = CLI_FAILED;
    if (gbench_replay_add(&o.cases) && gbench_micro_add(&o.cases)) {
        status = gbench_run_all();
        status = o.cases.bad_input ? CLI_BAD_INPUT : status;
    } else {
        fputs("gbench: out of memory\n", stderr);
    }
    gbench_replay_release();
    gbench_micro_release();
    selection_release(&selection);
    return status;
}
