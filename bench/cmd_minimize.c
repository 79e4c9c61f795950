/* SPDX-License-Identifier: MIT
 * cmd_minimize.c - `heaprig minimize`: from a crash to the fewest ops that still break the same
 * rule. */
#include "cli.h"
#include "progress.h"
#include "subject.h"

#include "../fuzz/minimize.h"
#include "../fuzz/script_c.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cmd_minimize(int argc, char **argv);

struct options {
    const char *allocator, *input, *output, *c_output;
    unsigned seconds;
    uint64_t runs;
};

static const char doc[] =
    "Shrinks what broke an allocator to the fewest ops, the smallest sizes and the smallest pool "
    "that "
    "still break the same rule, and lists them.\v"
    "INPUT is a file that a fuzzer kept, a script (as written by -o), a trace, or gen:NAME. The "
    "result "
    "of -o is a text trace that every command reads; kept in corpus/regress it is run by `make "
    "test`.\n\n"
    "  heaprig minimize -a ./my_alloc.so crash-3f2a -o bug.txt --c bug.c\n\n"
    "Exit status: 0 shrunk, 1 the allocator is sound on INPUT.";

static const struct argp_option option_list[] = {
    {"allocator", 'a', "NAME", 0, "the allocator, by name or as a plug-in's path", 0},
    {"output", 'o', "FILE", 0, "write the script there", 0},
    {"c", 'c', "FILE", 0, "write a C program that shows the fault, without heaprig", 0},
    {"seconds", 's', "N", 0, "a run that takes longer hangs (default 5)", 0},
    {"runs", 'r', "N", 0, "stop after so many runs, however short it is (default: no limit)", 0},
    {0}};

static error_t option_take(int key, char *text, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
    case 'a':
        options->allocator = text;
        return 0;
    case 'o':
        options->output = text;
        return 0;
    case 'c':
        options->c_output = text;
        return 0;
    case 's':
        options->seconds = (unsigned)cli_number(state, "seconds", text, 1, 3600);
        return 0;
    case 'r':
        options->runs = cli_number(state, "runs", text, 1, UINT32_MAX);
        return 0;
    case ARGP_KEY_ARG:
        if (options->input != NULL) {
            argp_error(state, "%s: expected one input", text);
        }
        options->input = text;
        return 0;
    case ARGP_KEY_END:
        if (options->input == NULL || options->allocator == NULL) {
            argp_error(state, "%s missing", options->input == NULL ? "INPUT" : "--allocator");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* A fuzzer's file is any bytes; a text or a trace says so itself. */
static bool is_program(const struct file_bytes *file) {
    static const char trace_magic[] = "heaprig trace ";
    if (strncmp((const char *)file->bytes, trace_magic, sizeof trace_magic - 1) == 0) {
        return false;
    }
    for (size_t i = 0; i < file->count; i++) {
        if (!isprint(file->bytes[i]) && !isspace(file->bytes[i])) {
            return true;
        }
    }
    return false;
}

static void progress_note(void *ctx, uint64_t runs, uint32_t ops) {
    struct progress *progress = ctx;
    char left[32], made[32];
    (void)snprintf(left, sizeof left, "%" PRIu32 " ops left", ops);
    (void)snprintf(made, sizeof made, "%" PRIu64 " runs", runs);
    progress_show(progress, progress->total - ops, made, left);
}

static bool file_write(const char *path, const struct file_bytes *file, struct problem *problem) {
    return path == NULL || file_bytes_write(path, file, problem);
}

/* Is the script sound on that table? */
static bool script_is_sound(const struct alloc_ops *ops, const struct script *script,
                            const struct judge_config *config) {
    struct problem problem;
    struct judge_outcome outcome = {.how = JUDGE_BROKEN};
    struct judge_config without = *config;
    without.ops = ops;
    struct judge *judge = judge_new(&without, &problem);
    bool ran = judge != NULL && judge_script(judge, script, &outcome, &problem);
    judge_free(judge);
    return ran && outcome.how == JUDGE_SOUND;
}

/* Which function the fault is in, as far as doing without it tells: a line, or nothing. */
static const char *blame(const struct alloc_ops *ops, const struct script *script,
                         const struct judge_config *config) {
    struct alloc_ops without = *ops;
    without.realloc = NULL;
    if (ops->realloc != NULL && ops->usable != NULL && script_is_sound(&without, script, config)) {
        return "\nrealloc() is to blame: with alloc, copy and free in its place all is sound";
    }
    without = *ops;
    without.alloc_aligned = NULL;
    if (ops->alloc_aligned != NULL && script_is_sound(&without, script, config)) {
        return "\nalloc_aligned() is to blame: with longer plain allocs in its place all is sound";
    }
    return "";
}

/* Lists the script on stdout and writes the files asked for. */
static bool result_write(const struct options *options, const struct alloc_ops *ops,
                         const struct minimize *how, const struct script *script,
                         const struct judge_config *config, struct problem *problem) {
    struct file_bytes text = {0}, c = {0};
    char remark[768], table[96];
    (void)snprintf(remark, sizeof remark, "%s: %s%s", ops->name, how->target.words,
                   blame(ops, script, config));
    (void)snprintf(table, sizeof table, "%s",
                   subject_is_plugin(options->allocator) ? "heaprig_allocator" : ops->name);
    if (!subject_is_plugin(options->allocator)) {
        (void)snprintf(table, sizeof table, "%s_ops", ops->name);
    }
    bool fine = script_encode(script, remark, &text, problem) &&
                script_encode_c(script, table, remark, &c, problem);
    if (fine) { /* shown before anything is written: it may have taken hours */
        fwrite(text.bytes, 1, text.count, stdout);
    }
    fine = fine && file_write(options->output, &text, problem) &&
           file_write(options->c_output, &c, problem);
    file_bytes_release(&text);
    file_bytes_release(&c);
    return fine;
}

/* Runs the input once; true when there is a script to shrink, which then is *script. */
static bool input_run(const struct options *options, const struct alloc_ops *ops,
                      struct judge_config *config, struct judge **judge,
                      struct judge_outcome *outcome, struct script *script,
                      struct problem *problem) {
    *config = (struct judge_config){.ops = ops, .audit_every = 1, .seconds = options->seconds};
    struct file_bytes file = {0};
    bool from_file = strncmp(options->input, "gen:", 4) != 0;
    if (from_file && !file_bytes_read(options->input, &file, problem)) {
        return false;
    }
    bool fine = true;
    if (from_file && is_program(&file)) {
        *judge = judge_new(config, problem);
        fine = *judge != NULL && judge_program(*judge, file.bytes, file.count, outcome, problem) &&
               (script_open(script, judge_last(*judge)->op_count + PROGRAM_SLOTS,
                            judge_last(*judge)->extra_count) ||
                problem_set(problem, "out of memory"));
        if (fine) {
            script_copy(script, judge_last(*judge));
        }
        if (fine && script->op_count == 0 && outcome->how != JUDGE_SOUND) {
            /* init() alone was wrong; a trace has at least one op */
            script->ops[script->op_count++] = (struct op){.kind = OP_ALLOC, .bytes = 1};
            fine = judge_script(*judge, script, outcome, problem);
        }
    } else if ((fine = script_load(options->input, script, problem))) {
        for (uint32_t i = 0; i < script->op_count; i++) {
            uint32_t slot = script->ops[i].slot;
            config->slot_count = slot >= config->slot_count ? slot + 1 : config->slot_count;
        }
        config->pool_max = script->setup.pool_bytes;
        *judge = judge_new(config, problem);
        fine = *judge != NULL && judge_script(*judge, script, outcome, problem);
    }
    file_bytes_release(&file);
    return fine;
}

int cmd_minimize(int argc, char **argv) {
    struct options options = {0};
    const struct argp argp = {option_list, option_take, "INPUT", doc, NULL, NULL, NULL};
    struct problem problem;
    cli_parse(&argp, argc, argv, &options);
    const struct alloc_ops *ops = subject_find(options.allocator, &problem);
    if (ops != NULL && options.c_output != NULL && strchr(ops->name, ':') != NULL) {
        (void)problem_set(&problem, "--c: %s has no table of its own, expected a plain allocator",
                          ops->name);
        return cli_problem(&problem);
    }
    struct script script = {0};
    struct judge_config config;
    struct progress progress;
    struct minimize how = {.progress = progress_note, .ctx = &progress};
    if (ops == NULL ||
        !input_run(&options, ops, &config, &how.judge, &how.target, &script, &problem)) {
        judge_free(how.judge);
        script_close(&script);
        return cli_problem(&problem);
    }
    how.runs_max = options.runs;
    int status = CLI_FINE;
    if (how.target.how == JUDGE_SOUND) {
        fprintf(stderr, "heaprig minimize: %s is sound on %s\n", ops->name, options.input);
        status = CLI_FAILED;
    } else {
        uint32_t before = script.op_count;
        progress_begin(&progress, before);
        bool fine = minimize_script(&how, &script, &problem);
        progress_end(&progress);
        fine = fine && result_write(&options, ops, &how, &script, &config, &problem);
        fprintf(stderr,
                "heaprig minimize: %" PRIu32 " ops of %" PRIu32 ", %" PRIu32 " lines, %" PRIu64
                " runs\n",
                script.op_count, before, script_lines(&script), how.runs);
        status = fine ? CLI_FINE : cli_problem(&problem);
    }
    judge_free(how.judge);
    script_close(&script);
    return status;
}
