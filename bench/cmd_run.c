/* SPDX-License-Identifier: MIT
 *
 * cmd_run.c - `heaprig run`: runs a program on one of heaprig's allocators
 *
 * Whatever can be wrong is found here, where there is a user to tell; the library inside the
 * program (malloc_preload.c) repeats the choice from its environment.
 */
#include "cli.h"
#include "malloc_pool.h"
#include "preload_run.h"
#include "subject.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cmd_run(int argc, char **argv);

static const char doc[] =
    "Runs a program with an allocator as its malloc, and that of its children."
    "\vThe program must be linked dynamically; any own allocator of general use and any plug-in "
    "will do. What the allocator notices of misuse ends the program with a line.\n"
    "\n"
    "Examples:\n"
    "  heaprig run --allocator tlsf -- python3 script.py\n"
    "  heaprig run -a ./my_alloc.so --stats -- ./my_program --its args\n"
    "  heaprig run -a tlsf --pool 2097152 -- ./my_program  # does it do with 2 MiB?\n"
    "\n"
    "The exit status is the program's, 128 + n when signal n ended it, or 2 when it was not "
    "started.";

static const struct argp_option options[] = {
    {"allocator", 'a', "NAME", 0, "own allocator, or a plug-in's path (default: tlsf)", 0},
    {"pool", 'P', "BYTES", 0,
     "memory each process may have (default: the allocator's most, 4 GiB; pages that are not used "
     "cost none)",
     0},
    {"stats", 's', NULL, 0,
     "at the end of each process, its peak, high water, calls and failures on stderr; not of one "
     "that a signal or _exit() ends, as shells do",
     0},
    {"preload", 'p', "FILE", 0,
     "library to load; one for another machine is for the guest of qemu's user emulator", 0},
    {0}};

struct settings {
    const char *allocator;
    const char *preload;
    size_t pool_bytes;
    bool stats;
    char **program;
};

static error_t run_parse(int key, char *arg, struct argp_state *state) {
    struct settings *settings = state->input;
    switch (key) {
    case 'a':
        settings->allocator = arg;
        return 0;
    case 'P':
        settings->pool_bytes =
            (size_t)cli_number(state, "pool", arg, MALLOC_POOL_MIN, ALLOC_POOL_MAX);
        return 0;
    case 's':
        settings->stats = true;
        return 0;
    case 'p':
        settings->preload = arg;
        return 0;
    case ARGP_KEY_ARG:
        settings->program = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "no program to run");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* What the library is to be told: a name, or the path of a plug-in from everywhere. */
static bool allocator_name(const char *allocator, char name[PATH_MAX], struct problem *problem) {
    const struct alloc_ops *ops = subject_find(allocator, problem);
    if (ops == NULL) {
        return false;
    }
    const char *unfit = malloc_pool_unfit(ops);
    if (unfit != NULL) {
        return problem_set(problem, "%s: %s", allocator, unfit);
    }
    if (ops == alloc_find(ops->name)) {
        snprintf(name, PATH_MAX, "%s", ops->name);
        return true;
    }
    return realpath(allocator, name) != NULL ||
           problem_set(problem, "%s: expected an own allocator or the path of a plug-in",
                       allocator);
}

/* Whether the allocator can be made a heap at all; nobody sees what its start says otherwise. */
static bool allocator_starts(const char *allocator, size_t pool_bytes, struct problem *problem) {
    struct malloc_pool pool;
    bool opens = malloc_pool_open(&pool, subject_find(allocator, problem), pool_bytes, problem);
    if (opens) {
        malloc_pool_close(&pool);
    }
    return opens;
}

static bool program_run(const struct settings *settings, struct preload_ran *ran,
                        struct problem *problem) {
    char name[PATH_MAX];
    char bytes[24];
    if (!allocator_name(settings->allocator, name, problem) ||
        !allocator_starts(settings->allocator, settings->pool_bytes, problem) ||
        (settings->preload == NULL && !preload_is_possible(settings->program[0], problem))) {
        return false;
    }
    snprintf(bytes, sizeof bytes, "%zu", settings->pool_bytes);
    const struct preload_variable variables[] = {
        {MALLOC_NAME_VARIABLE, name},
        {MALLOC_POOL_VARIABLE, bytes},
        {MALLOC_STATS_VARIABLE, settings->stats ? "1" : NULL},
        {NULL, NULL},
    };
    const struct preload_run what = {.program = settings->program,
                                     .preloaded = "libheaprig_malloc.so",
                                     .preload = settings->preload,
                                     .variables = variables};
    return preload_run(&what, ran, problem);
}

int cmd_run(int argc, char **argv) {
    const struct argp argp = {options, run_parse, "[--] PROGRAM [ARGUMENT...]", doc, NULL,
                              NULL,    NULL};
    struct settings settings = {.allocator = "tlsf", .pool_bytes = ALLOC_POOL_MAX};
    struct problem problem = {""};
    struct preload_ran ran;
    cli_parse_in_order(&argp, argc, argv, &settings);
    return program_run(&settings, &ran, &problem) ? ran.status : cli_problem(&problem);
}
