/* SPDX-License-Identifier: MIT
 * cmd_threads.c - `heaprig threads`: shared pools, and how long their lock is held. */
#include "cli.h"
#include "meta.h"
#include "output.h"
#include "result_file.h"
#include "threads.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

int cmd_threads(int argc, char **argv);

struct threads_options {
    struct selection_choice choice;
    struct output_choice output;
    unsigned rounds;
    bool checked;
};

enum { KEY_ROUNDS = 256, KEY_CHECKED, REPLAYS = 5, NS_PER_S = 1000000000 };

static const struct argp_option options[] = {
    {"rounds", KEY_ROUNDS, "N", 0, "timed runs of each pair (default: 9)", 0},
    {"checked", KEY_CHECKED, NULL, 0,
     "judge every operation instead of timing it; --output is not used", 0},
    {0},
};

static const char doc[] =
    "Replays each recorded thread's operations on a thread of its own, all on one shared heap: "
    "only what belongs to one block keeps its order across threads.\v"
    "Allocators must be fit for several callers at a time: lock:NAME is any allocator behind a "
    "spinlock (alloc/locked.h). The default is all own ones so, beside the system's. Traces must "
    "have several threads.\n\n"
    "What the lock is held for is what a task or an interrupt may have to wait for. `heaprig cost "
    "-a lock:NAME` counts it in instructions, exactly, but on one thread.\n\n"
    "Examples:\n"
    "  heaprig threads -t my.hrt\n"
    "  heaprig threads -a lock:tlsf,lock:./my_alloc.so -t gen:messages:7\n"
    "  heaprig threads --checked -a ./my_thread_safe_alloc.so";

static error_t option_parse(int key, char *text, struct argp_state *state) {
    struct threads_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->choice;
        state->child_inputs[1] = &o->output;
        return 0;
    case KEY_ROUNDS:
        o->rounds = (unsigned)cli_number(state, "rounds", text, 1, 99);
        return 0;
    case KEY_CHECKED:
        o->checked = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct row_table tables[] = {
    {.title = "time of all threads together, ns/op", .value = "ns_per_op", .floor = 0.01},
    {.title = "mean time of a call, waiting for the lock included, ns",
     .value = "call_ns",
     .floor = 0.01},
    {.title = "the lock is held, ns: p99.9/largest",
     .value = "held_p999_ns",
     .second = "held_max_ns",
     .floor = 1},
};

static void row_print(const struct threads_row *row) {
    printf("%s on %s: %" PRIu64 " threads, %.2f million ops/s", row->allocator, row->trace,
           row->threads, row->ops_per_second / 1e6);
    if (isfinite(row->held.max)) {
        printf("; the lock was held longest, %.0f ns, by op %" PRIu64 ": %s of %" PRIu64
               " bytes, thread %" PRIu64,
               row->held.max, row->held_max_op, row->held_max_kind, row->held_max_bytes,
               row->held_max_thread);
    }
    if (row->failures > 0) {
        printf("; %" PRIu64 " requests were refused", row->failures);
    }
    putchar('\n');
}

static bool outcomes_print(const struct threads_options *o, const struct row_set *set) {
    const struct threads_row *rows = set->rows;
    for (size_t i = 0; i < set->row_count; i++) {
        row_print(&rows[i]);
    }
    printf("best of each line marked *\n");
    bool printed = true;
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        printed &= rows_print(set, &tables[i]);
    }
    rows_print_skips(set);
    return printed && output_columns_print(&o->output, set);
}

/* Of a measured run: names what broke on stderr; how many did. */
static size_t broken_print(const struct pairs_done *done) {
    size_t broken = 0;
    for (size_t i = 0; i < done->count; i++) {
        struct row_skip name;
        (void)pairs_skipped(done, i, &name);
        const char *rule = threads_broken(done, i);
        if (rule != NULL) {
            fprintf(stderr, "heaprig: %s on %s: %s\n", name.allocator, name.trace, rule);
            broken++;
        }
    }
    return broken;
}

static int measured_tell(const struct threads_options *o, const struct pairs_done *done,
                         struct problem *problem) {
    struct threads_row *rows = calloc(done->count + 1, sizeof *rows);
    struct row_skip *skips = calloc(done->count + 1, sizeof *skips);
    struct row_set set = {.kind = &threads_rows,
                          .rows = rows,
                          .skips = skips,
                          .order = done->selection->ops,
                          .order_count = done->selection->allocator_count};
    for (size_t i = 0; rows != NULL && skips != NULL && i < done->count; i++) {
        const struct threads_outcome *outcome = pairs_result(done, i);
        if (!pairs_skipped(done, i, &skips[set.skip_count])) {
            rows[set.row_count++] = outcome->row;
        } else if (threads_broken(done, i) == NULL) {
            set.skip_count++;
        }
    }
    bool fine = rows != NULL && skips != NULL ? true : problem_set(problem, "out of memory");
    json_t *meta = meta_new();
    fine = fine && rows_write(&set, meta, o->output.folder, problem);
    json_decref(meta);
    if (fine && !outcomes_print(o, &set)) {
        fine = problem_set(problem, "cannot print the tables");
    }
    free(rows);
    free(skips);
    return fine ? CLI_FINE : cli_problem(problem);
}

/* How many broke. */
static size_t checked_tell(const struct pairs_done *done) {
    size_t count = 0;
    for (size_t i = 0; i < done->count; i++) {
        const struct threads_outcome *outcome = pairs_result(done, i);
        struct row_skip skip;
        bool skipped = pairs_skipped(done, i, &skip);
        const char *broken = threads_broken(done, i);
        printf("%s on %s: ", skip.allocator, skip.trace);
        if (broken != NULL) {
            printf("BROKEN: %s\n", broken);
            count++;
        } else if (skipped) {
            printf("not checked: %s\n", skip.why);
        } else {
            printf("sound, %" PRIu64 " ops by %" PRIu64 " threads\n", outcome->row.ops,
                   outcome->row.threads);
        }
    }
    return count;
}

static int threads_do(const struct threads_options *o, const struct selection *selection) {
    struct problem problem = {""};
    struct pairs_done done;
    const struct threads_plan plan = {
        .selection = selection, .checked = o->checked, .rounds = o->rounds, .replays = REPLAYS};
    const char *unfit = o->checked ? NULL : meta_unfit_reason();
    if (unfit != NULL) {
        (void)problem_set(
            &problem, "%s: no results from such a build, expected a plain one or --checked", unfit);
        return cli_problem(&problem);
    }
    if (!threads_selection_check(selection, &problem) ||
        (!o->checked && !result_folder_make(o->output.folder, &problem)) ||
        !threads_run(&plan, &done, &problem)) {
        return cli_problem(&problem);
    }
    int status = CLI_FINE;
    size_t broken;
    if (o->checked) {
        broken = checked_tell(&done);
    } else {
        status = measured_tell(o, &done, &problem);
        broken = broken_print(&done);
    }
    if (broken > 0 && status == CLI_FINE) {
        status = CLI_FAILED;
    }
    pairs_release(&done);
    return status;
}

int cmd_threads(int argc, char **argv) {
    struct threads_options o = {
        .choice = {.which = SELECTION_THREADS}, .output = {.kind = &threads_rows}, .rounds = 9};
    const struct argp argp = {options, option_parse, NULL, doc, output_children, NULL, NULL};
    struct selection selection;
    struct problem problem = {""};
    cli_parse(&argp, argc, argv, &o);
    if (!selection_make(&o.choice, &selection, &problem)) {
        return cli_problem(&problem);
    }
    int status = threads_do(&o, &selection);
    selection_release(&selection);
    return status;
}
