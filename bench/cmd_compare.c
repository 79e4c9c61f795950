/* SPDX-License-Identifier: MIT
 * cmd_compare.c - `heaprig compare OLD NEW`: what changed between two results. */
#include "cli.h"
#include "compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cmd_compare(int argc, char **argv);

struct compare_options {
    const char *path[2];
    struct compare_how how;
};

static const struct argp_option options[] = {
    {"tolerance", 't', "PERCENT", 0, "let exact figures get worse by that much (default: 0)", 0},
    {0},
};

static const struct row_kind *const kinds[] = {&bench_rows,   &fit_rows,  &cost_rows,
                                               &threads_rows, &size_rows, &mmu_rows};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const char doc[] =
    "Compares two results: folders (bench.json, fit.json, cost.json, threads.json, size.json, "
    "mmu.json: what OLD has) or single files, of the kind that their names begin with.\v"
    "Exact figures (memory, failures, smallest pools, instructions, digests) are compared for "
    "equality, times as ratios with their intervals. Only what changed is printed.\n"
    "Example: heaprig compare results/baseline results/latest\n"
    "Exit status: 0 no exact figure got worse, 1 one did or its row is gone, 2 bad usage or input.";

static error_t argument_parse(int key, char *text, struct argp_state *state) {
    struct compare_options *o = state->input;
    if (key == 't') {
        o->how.tolerance_percent = cli_percent(state, "tolerance", text);
        return 0;
    }
    if (key == ARGP_KEY_ARG) {
        if (state->arg_num >= 2) {
            argp_error(state, "%s: expected two results only", text);
        }
        o->path[state->arg_num] = text;
        return 0;
    }
    if (key == ARGP_KEY_END && state->arg_num < 2) {
        argp_error(state, "expected two results");
    }
    return key == ARGP_KEY_END ? 0 : ARGP_ERR_UNKNOWN;
}

static bool is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool files_compare(const struct row_kind *kind, const char *const path[2],
                          const struct compare_how *how, struct compare_counts *counts,
                          struct problem *problem) {
    void *old_rows = NULL;
    void *new_rows = NULL;
    struct row_set old = {.kind = kind};
    struct row_set new = {.kind = kind};
    bool read = rows_read(kind, path[0], &old_rows, &old.row_count, problem) &&
                rows_read(kind, path[1], &new_rows, &new.row_count, problem);
    if (read) {
        old.rows = old_rows;
        new.rows = new_rows;
        compare_rows(&old, &new, how, counts);
    }
    free(old_rows);
    free(new_rows);
    return read;
}

/* A file's kind is what its name begins with, if it does. */
static const struct row_kind *kind_of(const char *path) {
    const char *name = strrchr(path, '/');
    name = name != NULL ? name + 1 : path;
    for (size_t i = 0; i < KINDS; i++) {
        if (strncmp(name, kinds[i]->name, strlen(kinds[i]->name)) == 0) {
            return kinds[i];
        }
    }
    return NULL;
}

/* Of a kind that one of the names tells, else of the first. */
static bool two_files_compare(const struct compare_options *o, struct compare_counts *counts,
                              struct problem *problem) {
    const struct row_kind *old = kind_of(o->path[0]), *new = kind_of(o->path[1]);
    if (old != NULL && new != NULL && old != new) {
        return problem_set(problem, "%s, %s: expected results of one kind", o->path[0], o->path[1]);
    }
    const struct row_kind *kind = old != NULL ? old : new != NULL ? new : kinds[0];
    return files_compare(kind, o->path, &o->how, counts, problem);
}

static bool folders_compare(const struct compare_options *o, struct compare_counts *counts,
                            struct problem *problem) {
    bool found = false;
    for (size_t i = 0; i < KINDS; i++) {
        char path[2][512];
        for (int side = 0; side < 2; side++) {
            (void)snprintf(path[side], sizeof path[side], "%s/%s.json", o->path[side],
                           kinds[i]->name);
        }
        if (access(path[0], F_OK) != 0) {
            continue;
        }
        found = true;
        const char *const both[2] = {path[0], path[1]};
        if (!files_compare(kinds[i], both, &o->how, counts, problem)) {
            return false;
        }
    }
    return found ||
           problem_set(problem, "%s: no bench.json, fit.json or the like in it, expected results",
                       o->path[0]);
}

int cmd_compare(int argc, char **argv) {
    struct compare_options o = {.how = {.out = stdout}};
    const struct argp argp = {options, argument_parse, "OLD NEW", doc, NULL, NULL, NULL};
    struct compare_counts counts = {0};
    struct problem problem;
    cli_parse(&argp, argc, argv, &o);
    if (is_folder(o.path[0]) != is_folder(o.path[1])) {
        (void)problem_set(&problem, "%s, %s: expected two folders or two files", o.path[0],
                          o.path[1]);
        return cli_problem(&problem);
    }
    bool compared = is_folder(o.path[0]) ? folders_compare(&o, &counts, &problem)
                                         : two_files_compare(&o, &counts, &problem);
    if (!compared) {
        return cli_problem(&problem);
    }
    printf("%zu rows compared: %zu exact figures worse, %zu better, %zu other changes, %zu times "
           "moved\n",
           counts.pairs, counts.worse, counts.better, counts.changed + counts.added, counts.timed);
    if (counts.skipped > 0) {
        printf("%zu rows skipped, not compared\n", counts.skipped);
    }
    return counts.worse > 0 ? CLI_FAILED : CLI_FINE;
}
