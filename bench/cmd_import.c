/* SPDX-License-Identifier: MIT
 * cmd_import.c - `heaprig import`: turns other programs' traces into heaprig's */
#include "../trace/importers.h"
#include "cli.h"

#include <argp.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int cmd_import(int argc, char **argv);

struct import_settings {
    const char *format;
    const char *in;
    const char *out;
};

static const struct argp_option import_options[] = {
    {"from", 'f', "FORMAT", 0, "format of the file, see below", 0},
    {"output", 'o', "FILE", 0, "trace to write: .hrt, or text when it ends in .txt", 0},
    {0}};

static const char import_doc[] = "Turns a trace of another program into one of heaprig."
                                 "\vExamples:\n"
                                 "  heaprig import --from android app.txt -o app.hrt\n"
                                 "  unzip -p app.zip | heaprig import --from android - -o app.hrt\n"
                                 "  heaprig import --from rep short1.rep -o short1.txt\n"
                                 "\n"
                                 "Formats:\n";

/* Ends the help with the list of formats, so that it is written down in one place only. */
static char *help_complete(int key, const char *text, void *input) {
    (void)input;
    if (key != ARGP_KEY_HELP_POST_DOC) {
        return (char *)(uintptr_t)text;
    }
    size_t count;
    const struct importer_info *infos = importers_list(&count);
    struct file_bytes help = {0};
    bool fits = file_bytes_append(&help, text, strlen(text));
    for (size_t i = 0; i < count && fits; i++) {
        char line[160];
        int length = snprintf(line, sizeof line, "  %-10s %s\n", infos[i].name, infos[i].summary);
        fits = file_bytes_append(&help, line, (size_t)length);
    }
    if (!fits || !file_bytes_append(&help, "", 1)) {
        file_bytes_release(&help);
        return (char *)(uintptr_t)text;
    }
    return (char *)help.bytes; /* argp frees it */
}

static error_t import_parse(int key, char *arg, struct argp_state *state) {
    struct import_settings *settings = state->input;
    switch (key) {
    case 'f':
        settings->format = arg;
        return 0;
    case 'o':
        settings->out = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0) {
            argp_error(state, "%s: one name too many, expected one file", arg);
        }
        settings->in = arg;
        return 0;
    case ARGP_KEY_END:
        if (settings->format == NULL || settings->in == NULL || settings->out == NULL) {
            argp_error(state, "expected --from FORMAT, a file and -o FILE");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_import(int argc, char **argv) {
    const struct argp argp = {import_options, import_parse,  "FILE", import_doc,
                              NULL,           help_complete, NULL};
    struct import_settings settings = {0};
    cli_parse(&argp, argc, argv, &settings);
    struct trace trace = {.op_count = 0};
    struct import_notes notes;
    struct problem problem;
    if (!importers_run(settings.format, settings.in, &trace, &notes, &problem)) {
        return cli_problem(&problem);
    }
    fputs(notes.text, stderr);
    bool saved = trace_save(&trace, settings.out, &problem);
    if (saved) {
        fprintf(stderr, "%s: %zu ops, peak %" PRIu64 " bytes live\n", settings.out, trace.op_count,
                trace.counts.peak_live_bytes);
    }
    trace_release(&trace);
    return saved ? CLI_FINE : cli_problem(&problem);
}
