/* SPDX-License-Identifier: MIT
 * cmd_size.c - `heaprig size`: flash, control structure and headers of each own allocator. */
#include "cli.h"
#include "meta.h"
#include "result_file.h"
#include "size.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int cmd_size(int argc, char **argv);

struct size_options {
    const char *code, *output;
};

static const struct argp_option options[] = {
    {"code", 'c', "FILE", 0, "sizes of code, as tools/code_size.sh writes them", 0},
    {"output", 'o', "FOLDER", 0, "where size.json goes (default: results/latest)", 0},
    {0},
};

static const char doc[] =
    "Shows what each own allocator takes before a byte is asked for.\v"
    "`make size` compiles for a Cortex-M4 and then calls this.\n"
    "code: bytes of code and constants; all functions / without check, walk and stats / only init, "
    "alloc and free. control: metadata of a fresh pool of that size. header: bytes of a block "
    "beyond what it holds, for a request of 100 bytes. least: the smallest block, header included "
    "(membox: of blocks of 8).";

static error_t option_parse(int key, char *text, struct argp_state *state) {
    struct size_options *o = state->input;
    switch (key) {
    case 'c':
        o->code = text;
        return 0;
    case 'o':
        o->output = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void number_print(int width, double number) {
    if (isnan(number)) {
        printf(" %*s", width, "-");
    } else {
        printf(" %*.0f", width, number);
    }
}

static void table_print(const struct size_row *rows, size_t count) {
    printf("%s%s\n%-16s %20s %20s %26s\n%-16s %6s %6s %6s %6s %6s %6s %8s %8s %8s %7s %6s\n",
           rows[0].compiler[0] != '\0' ? "code by " : "code: not known, see `make size`",
           rows[0].compiler, "", "code, -Os", "code, -O2", "control for a pool of", "allocator",
           "all", "firmw.", "least", "all", "firmw.", "least", "16 KiB", "64 KiB", "1 MiB",
           "header", "least");
    for (size_t i = 0; i < count; i++) {
        const struct size_row *row = &rows[i];
        printf("%-16s", row->allocator);
        for (size_t o = 0; o < SIZE_OPTIMIZATIONS; o++) {
            for (size_t f = 0; f < SIZE_FUNCTIONS; f++) {
                number_print(6, row->code[o][f]);
            }
        }
        for (size_t p = 0; p < SIZE_POOLS; p++) {
            number_print(8, row->control[p]);
        }
        number_print(7, (double)row->header_bytes);
        number_print(6, (double)row->least_block_bytes);
        putchar('\n');
    }
}

static bool size_run(const struct size_options *o, struct problem *problem) {
    size_t count;
    const struct alloc_ops *const *ops = alloc_registry(&count);
    struct size_row *rows = calloc(count, sizeof *rows);
    bool fine = rows != NULL || problem_set(problem, "out of memory");
    for (size_t i = 0; fine && i < count; i++) {
        fine = size_measure(ops[i], &rows[i]) || problem_set(problem, "out of memory");
    }
    fine = fine && (o->code == NULL || size_code_read(o->code, rows, count, problem)) &&
           result_folder_make(o->output, problem);
    if (fine) {
        const struct row_set set = {.kind = &size_rows, .rows = rows, .row_count = count};
        json_t *meta = meta_new();
        fine = rows_write(&set, meta, o->output, problem);
        json_decref(meta);
        table_print(rows, count);
    }
    free(rows);
    return fine;
}

int cmd_size(int argc, char **argv) {
    struct size_options o = {.output = "results/latest"};
    const struct argp argp = {options, option_parse, NULL, doc, NULL, NULL, NULL};
    struct problem problem;
    cli_parse(&argp, argc, argv, &o);
    return size_run(&o, &problem) ? CLI_FINE : cli_problem(&problem);
}
