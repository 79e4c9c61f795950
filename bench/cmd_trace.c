/* SPDX-License-Identifier: MIT
 * cmd_trace.c - `heaprig trace`: shows, converts and cuts traces */
#include "../trace/trace.h"
#include "cli.h"
#include "trace_info.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int cmd_trace(int argc, char **argv);

enum { KEY_JSON = 256 };

static const char usage_text[] =
    "Usage: heaprig trace info TRACE... | convert IN OUT | slice IN -o OUT\n"
    "\n"
    "  info      origin, operations, peak and a histogram of sizes; --json for programs\n"
    "  convert   from any kind of trace to .hrt or, when OUT ends so, to .txt\n"
    "  slice     keeps some of the operations: --first N --count M\n"
    "\n"
    "A TRACE is a file (.hrt or text) or a generator gen:NAME[:SEED[:OPS]], see `heaprig list`.\n"
    "`heaprig trace info --help` and so on tell more.\n";

/* ---- info ---- */

struct info_settings {
    bool json;
    char **traces;
    int trace_count;
};

static const struct argp_option info_options[] = {
    {"json", KEY_JSON, NULL, 0, "one JSON object per trace, sizes in bytes", 0}, {0}};

static error_t info_parse(int key, char *arg, struct argp_state *state) {
    struct info_settings *settings = state->input;
    (void)arg;
    switch (key) {
    case KEY_JSON:
        settings->json = true;
        return 0;
    case ARGP_KEY_ARGS:
        settings->traces = state->argv + state->next;
        settings->trace_count = state->argc - state->next;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "no trace to show");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int info_show(const char *spec, const struct info_settings *settings) {
    struct trace trace;
    struct problem problem;
    if (!trace_load(spec, &trace, &problem)) {
        return cli_problem(&problem);
    }
    bool shown = true;
    if (settings->json) {
        shown = trace_info_json(&trace, stdout);
    } else {
        trace_info_print(&trace, stdout);
    }
    trace_release(&trace);
    if (!shown) {
        (void)problem_set(&problem, "%s: cannot be shown as JSON", spec);
        return cli_problem(&problem);
    }
    return CLI_FINE;
}

static int trace_info(int argc, char **argv) {
    static const char doc[] = "Shows what traces are like."
                              "\vExamples:\n"
                              "  heaprig trace info app.hrt\n"
                              "  heaprig trace info gen:embedded gen:comb:7:1000\n"
                              "  heaprig trace info --json app.hrt\n";
    const struct argp argp = {info_options, info_parse, "TRACE...", doc, NULL, NULL, NULL};
    struct info_settings settings = {0};
    cli_parse(&argp, argc, argv, &settings);
    for (int i = 0; i < settings.trace_count; i++) {
        if (i > 0 && !settings.json) {
            fputc('\n', stdout);
        }
        int status = info_show(settings.traces[i], &settings);
        if (status != CLI_FINE) {
            return status;
        }
    }
    return CLI_FINE;
}

/* ---- convert and slice ---- */

struct copy_settings {
    const char *in;
    const char *out;
    uint64_t first;
    uint64_t count; /* UINT64_MAX: all */
};

static int trace_copy(const struct copy_settings *settings) {
    struct trace trace;
    struct problem problem;
    if (!trace_load(settings->in, &trace, &problem)) {
        return cli_problem(&problem);
    }
    size_t count = settings->count < TRACE_OPS_MAX ? (size_t)settings->count : TRACE_OPS_MAX;
    bool saved = trace_slice(&trace, (size_t)settings->first, count, &problem) &&
                 trace_save(&trace, settings->out, &problem);
    trace_release(&trace);
    return saved ? CLI_FINE : cli_problem(&problem);
}

static error_t convert_parse(int key, char *arg, struct argp_state *state) {
    struct copy_settings *settings = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (state->arg_num > 1) {
            argp_error(state, "%s: one name too many, expected IN and OUT", arg);
        }
        *(state->arg_num == 0 ? &settings->in : &settings->out) = arg;
        return 0;
    case ARGP_KEY_END:
        if (state->arg_num < 2) {
            argp_error(state, "expected IN and OUT");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int trace_convert(int argc, char **argv) {
    static const char doc[] = "Copies a trace into another form: .hrt, or text when OUT ends in "
                              ".txt."
                              "\vExamples:\n"
                              "  heaprig trace convert app.hrt app.txt\n"
                              "  heaprig trace convert by_hand.txt by_hand.hrt\n"
                              "  heaprig trace convert gen:comb:7:1000 comb.txt\n";
    const struct argp argp = {NULL, convert_parse, "IN OUT", doc, NULL, NULL, NULL};
    struct copy_settings settings = {.count = UINT64_MAX};
    cli_parse(&argp, argc, argv, &settings);
    return trace_copy(&settings);
}

static const struct argp_option slice_options[] = {
    {"first", 'f', "N", 0, "first operation to keep, counted from 0 (default: 0)", 0},
    {"count", 'n', "M", 0, "how many to keep (default: all that follow)", 0},
    {"output", 'o', "OUT", 0, "trace to write", 0},
    {0}};

static error_t slice_parse(int key, char *arg, struct argp_state *state) {
    struct copy_settings *settings = state->input;
    switch (key) {
    case 'f':
        settings->first = cli_number(state, "first", arg, 0, TRACE_OPS_MAX);
        return 0;
    case 'n':
        settings->count = cli_number(state, "count", arg, 1, TRACE_OPS_MAX);
        return 0;
    case 'o':
        settings->out = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0) {
            argp_error(state, "%s: one name too many, expected IN", arg);
        }
        settings->in = arg;
        return 0;
    case ARGP_KEY_END:
        if (settings->in == NULL || settings->out == NULL) {
            argp_error(state, "expected IN and -o OUT");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int trace_cut(int argc, char **argv) {
    static const char doc[] =
        "Keeps some operations of a trace. Blocks that were live before the first of them are not "
        "kept, nor are operations on them."
        "\vExamples:\n"
        "  heaprig trace slice app.hrt --count 10000 -o start.hrt\n"
        "  heaprig trace slice app.hrt --first 50000 --count 200 -o middle.txt\n";
    const struct argp argp = {slice_options, slice_parse, "IN", doc, NULL, NULL, NULL};
    struct copy_settings settings = {.count = UINT64_MAX};
    cli_parse(&argp, argc, argv, &settings);
    return trace_copy(&settings);
}

static const struct cli_action actions[] = {
    {"info", trace_info}, {"convert", trace_convert}, {"slice", trace_cut}, {NULL, NULL}};

int cmd_trace(int argc, char **argv) {
    return cli_act(actions, usage_text, argc, argv);
}
