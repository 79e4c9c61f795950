/* SPDX-License-Identifier: MIT
 * cmd_bench.c - `heaprig bench`: replays traces on allocators and prints what they cost. */
#include "checked.h"
#include "cli.h"
#include "meta.h"
#include "output.h"
#include "result_file.h"
#include "selection.h"
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int cmd_bench(int argc, char **argv);

struct bench_options {
    struct selection_choice choice;
    struct output_choice output;
    enum replay_touch touch;
    unsigned rounds, repeats, seconds, jobs;
    uint64_t seed;
    bool exact, checked;
};

enum { KEY_ROUNDS = 256, KEY_SECONDS, KEY_EXACT, KEY_CHECKED, KEY_QUICK, KEY_SEED, KEY_TOUCH };

static const struct argp_option options[] = {
    {"touch", KEY_TOUCH, "HOW", 0,
     "what the program writes into a new block: none, edges (default) or whole", 0},
    {"rounds", KEY_ROUNDS, "N", 0, "interleaved rounds (default: 9)", 0},
    {"seconds", KEY_SECONDS, "S", 0,
     "time to aim at; fewer rounds and latency replays, but 3 at least (default: 120; 0: no limit)",
     0},
    {"seed", KEY_SEED, "SEED", 0, "of the order within rounds (default: from the clock)", 0},
    {"quick", KEY_QUICK, NULL, 0, "3 rounds, 2 latency replays: a first look", 0},
    {"exact", KEY_EXACT, NULL, 0, "exact figures only: nothing is timed", 0},
    {"checked", KEY_CHECKED, NULL, 0,
     "judge every operation by an independent oracle instead of timing; writes no results", 0},
    {"jobs", 'j', "N", 0, "processes for what is not timed (default: one for each core)", 0},
    {0},
};

static const char doc[] =
    "Replays traces on allocators and prints net time per operation, tail latency and memory.\v"
    "Examples:\n"
    "  heaprig bench                            all allocators on all of the corpus\n"
    "  heaprig bench -a tlsf,./my.so -t my.hrt  mine beside another, on my trace\n"
    "  heaprig bench -a ./my.so -t gen:embedded --checked\n"
    "  heaprig bench --exact --columns frag_    fragmentation: measures and parts\n\n"
    "ns/op is the median over rounds of (run - null replay of the same round) / operations; the "
    "results carry its 95 % interval. Latency is the least of up to 5 identical replays for each "
    "call. The pool is 4 x the peak of live bytes + 1 MiB (FIXED_SIZE: as many blocks as live at "
    "once).\n"
    "Exit status: 0 fine, 1 an allocator broke a rule, 2 bad usage or input.";

static error_t option_parse(int key, char *text, struct argp_state *state) {
    struct bench_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->choice;
        state->child_inputs[1] = &o->output;
        return 0;
    case 'j':
        o->jobs = (unsigned)cli_number(state, "jobs", text, 1, 16);
        return 0;
    case KEY_TOUCH:
        o->touch = cli_touch(state, text);
        return 0;
    case KEY_ROUNDS:
        o->rounds = (unsigned)cli_number(state, "rounds", text, 1, 99);
        return 0;
    case KEY_SECONDS:
        o->seconds = (unsigned)cli_number(state, "seconds", text, 0, 1000000);
        return 0;
    case KEY_SEED:
        o->seed = cli_number(state, "seed", text, 0, UINT64_MAX);
        return 0;
    case KEY_QUICK:
        o->rounds = 3;
        o->repeats = 2;
        return 0;
    case KEY_EXACT:
        o->exact = true;
        return 0;
    case KEY_CHECKED:
        o->checked = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct row_table time_table = {.title = "net time, ns/op",
                                            .value = "ns_per_op",
                                            .first = "null_ns_per_op",
                                            .first_title = "null replay",
                                            .floor = 0.01};

static const struct row_table tables_timed[] = {
    {.title = "latency of an allocating call, ns: p99.9/largest",
     .value = "alloc_p999_ns",
     .second = "alloc_max_ns",
     .floor = 1},
    {.title = "latency of a free, ns: p99.9/largest",
     .value = "free_p999_ns",
     .second = "free_max_ns",
     .floor = 1},
};

static const struct row_table table_memory = {
    .title = "high-water mark / peak of live bytes", .value = "high_water_ratio", .floor = 0.01};

static const struct row_table table_failures = {
    .title = "requests that found no memory / requests too large for any such heap",
    .value = "failures",
    .second = "refusals",
    .plain = true,
    .floor = 1};

static bool failures_any(const struct session_result *result) {
    for (size_t i = 0; i < result->row_count; i++) {
        if (result->rows[i].failures + result->rows[i].refusals > 0) {
            return true;
        }
    }
    return false;
}

static bool tables_print(const struct bench_options *o, const struct row_set *set,
                         const struct session_result *result) {
    bool printed = true;
    printf("best of each line marked *; in brackets: some requests or traces were not served\n");
    if (!o->exact) {
        printed &= rows_print(set, &time_table);
        printed &= rows_print(set, &tables_timed[0]) && rows_print(set, &tables_timed[1]);
    }
    printed &= rows_print(set, &table_memory);
    if (failures_any(result)) {
        printed &= rows_print(set, &table_failures);
    }
    printed &= output_columns_print(&o->output, set);
    rows_print_skips(set);
    return printed;
}

static int faults_print(const struct session_result *result) {
    for (size_t i = 0; i < result->fault_count; i++) {
        const struct session_fault *fault = &result->faults[i];
        fprintf(stderr, "heaprig: %s on %s: %s\n", fault->allocator, fault->trace, fault->what);
    }
    return result->fault_count > 0 ? CLI_FAILED : CLI_FINE;
}

static bool folders_make(const char *output, struct problem *problem) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/footprint", output);
    if (strlen(output) > 300) {
        return problem_set(problem, "%s: name too long", output);
    }
    if (!result_folder_make(path, problem)) {
        return false;
    }
    (void)snprintf(path, sizeof path, "%s/latency", output);
    return result_folder_make(path, problem) && result_folder_make(output, problem);
}

static json_t *meta_make(const struct bench_options *o) {
    json_t *meta = meta_new();
    (void)json_object_set_new(meta, "seed", json_integer((json_int_t)o->seed));
    (void)json_object_set_new(meta, "touch", json_string(cli_touch_name(o->touch)));
    (void)json_object_set_new(meta, "rounds", json_integer(o->exact ? 0 : o->rounds));
    (void)json_object_set_new(meta, "latency_replays", json_integer(o->exact ? 0 : o->repeats));
    (void)json_object_set_new(meta, "first", json_integer((json_int_t)o->choice.first));
    return meta;
}

static int bench_run(const struct bench_options *o, const struct selection *selection) {
    struct problem problem = {""};
    const char *unfit = meta_unfit_reason();
    if (unfit != NULL) {
        (void)problem_set(&problem,
                          "%s: no results from such a build, expected a plain one or "
                          "--checked",
                          unfit);
        return cli_problem(&problem);
    }
    if (!folders_make(o->output.folder, &problem)) {
        return cli_problem(&problem);
    }
    fprintf(stderr, "seed=%" PRIu64 "\n", o->seed);
    const struct session session = {.selection = selection,
                                    .folder = o->output.folder,
                                    .touch = o->touch,
                                    .rounds = o->exact ? 0 : o->rounds,
                                    .repeats = o->repeats,
                                    .seconds = o->seconds,
                                    .jobs = o->jobs,
                                    .seed = o->seed};
    struct session_result result;
    if (!session_run(&session, &result, &problem)) {
        return cli_problem(&problem);
    }
    const struct row_set set = {.kind = &bench_rows,
                                .rows = result.rows,
                                .row_count = result.row_count,
                                .skips = result.skips,
                                .skip_count = result.skip_count,
                                .order = selection->ops,
                                .order_count = selection->allocator_count};
    json_t *meta = meta_make(o);
    bool written = rows_write(&set, meta, o->output.folder, &problem);
    json_decref(meta);
    bool printed = tables_print(o, &set, &result);
    int status = faults_print(&result);
    session_release(&result);
    if (!printed) {
        (void)problem_set(&problem, "cannot print the tables");
    }
    return written && printed ? status : cli_problem(&problem);
}

static int bench_checked(const struct bench_options *o, const struct selection *selection) {
    struct problem problem;
    size_t broken;
    fprintf(stderr, "seed=%" PRIu64 "\n", o->seed);
    if (!checked_run(selection, o->jobs, o->seed, stdout, &broken, &problem)) {
        return cli_problem(&problem);
    }
    return broken > 0 ? CLI_FAILED : CLI_FINE;
}

int cmd_bench(int argc, char **argv) {
    struct bench_options o = {.output = {.kind = &bench_rows},
                              .touch = REPLAY_TOUCH_EDGES,
                              .rounds = 9,
                              .repeats = 5,
                              .seconds = 120,
                              .seed = cli_seed()};
    const struct argp argp = {options, option_parse, NULL, doc, output_children, NULL, NULL};
    struct selection selection;
    struct problem problem;
    cli_parse(&argp, argc, argv, &o);
    o.choice.which = o.checked ? SELECTION_OWN : SELECTION_ALL;
    if (!selection_make(&o.choice, &selection, &problem)) {
        return cli_problem(&problem);
    }
    if (selection.absent[0] != '\0') {
        fprintf(stderr, "skipped, not installed:%s\n", selection.absent);
    }
    int status = o.checked ? bench_checked(&o, &selection) : bench_run(&o, &selection);
    selection_release(&selection);
    return status;
}
