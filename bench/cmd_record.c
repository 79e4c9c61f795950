/* SPDX-License-Identifier: MIT
 *
 * cmd_record.c - `heaprig record`: runs a program and keeps what it asked of malloc as a trace
 *
 *     program runs, the recorder inside writes streams   bench/record_run.h, trace/record_preload.c
 *     list of process images                             trace/record_reader.h
 *     choice: the program's own, or --child              here
 *     trace                                              trace/trace.h
 *
 * The program's output is left alone: all that is said here goes to stderr.
 */
#include "../trace/file_bytes.h"
#include "../trace/record_reader.h"
#include "../trace/record_stream.h"
#include "../trace/trace.h"
#include "cli.h"
#include "record_run.h"

#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int cmd_record(int argc, char **argv);

static const char record_doc[] =
    "Runs a program and keeps its calls of malloc, calloc, realloc, free and their kin as a trace."
    "\vThe program must be linked dynamically. A program often is several processes: the trace is "
    "that of the process started, as it was after its last exec; --child picks another from the "
    "list that is shown.\n"
    "\n"
    "Examples:\n"
    "  heaprig record -o sort.hrt -- sort big.txt\n"
    "  heaprig record -o cc1.hrt --child cc1 -- gcc -O2 -c file.c\n"
    "  heaprig record -o arm.hrt --preload build/arm/libheaprig_record.so -- \\\n"
    "          qemu-arm -L sysroot sysroot/usr/bin/program\n"
    "\n"
    "The exit status is the program's, 128 + n when signal n ended it, or 2 when there is no "
    "trace.";

static const struct argp_option record_options[] = {
    {"output", 'o', "FILE", 0, "trace to write (default: PROGRAM.hrt)", 0},
    {"child", 'c', "WHICH", 0,
     "another process: its number in the list, a pattern for its name or command line (the one "
     "with most calls is taken), or 'all' for a file each, FILE-NUMBER-NAME.hrt",
     0},
    {"note", 'N', "TEXT", 0, "said in the trace's origin, e.g. the program's version", 0},
    {"max-ops", 'n', "N", 0, "keep the first N operations (default: all)", 0},
    {"preload", 'p', "FILE", 0,
     "recorder to load; one for another machine records the guest of qemu's user emulator", 0},
    {"folder", 'f', "DIR", 0,
     "where streams are kept meanwhile, 32 bytes a call (default: $TMPDIR, /dev/shm or /tmp)", 0},
    {0}};

struct settings {
    const char *output; /* as given, then PROGRAM.hrt if it was not */
    const char *child;
    const char *preload;
    const char *folder;
    const char *note;
    size_t max_ops;
    char **program;
};

static error_t record_parse(int key, char *arg, struct argp_state *state) {
    struct settings *settings = state->input;
    switch (key) {
    case 'o':
        settings->output = arg;
        return 0;
    case 'c':
        settings->child = arg;
        return 0;
    case 'p':
        settings->preload = arg;
        return 0;
    case 'f':
        settings->folder = arg;
        return 0;
    case 'N':
        settings->note = arg;
        return 0;
    case 'n':
        settings->max_ops = (size_t)cli_number(state, "max-ops", arg, 1, TRACE_OPS_MAX);
        return 0;
    case ARGP_KEY_ARG:
        settings->program = &state->argv[state->next - 1];
        state->next = state->argc;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "no program to record");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- the folder of the streams ---- */

static const char *folder_default(void) {
    const char *folder = getenv("TMPDIR");
    if (folder != NULL && folder[0] != '\0') {
        return folder;
    }
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static bool folder_make(const char *parent, char folder[PATH_MAX], struct problem *problem) {
    if (snprintf(folder, PATH_MAX, "%s/heaprig-record-XXXXXX", parent) >= PATH_MAX ||
        mkdtemp(folder) == NULL) {
        return problem_set(problem, "%s: cannot make a folder there: %s", parent, strerror(errno));
    }
    /* Only root's programs become other users, who must still be able to write their streams. */
    return geteuid() != 0 || chmod(folder, 01777) == 0 ||
           problem_set(problem, "%s: %s", folder, strerror(errno));
}

static void folder_remove(const char *folder) {
    DIR *entries = opendir(folder);
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        unlinkat(dirfd(entries), entry->d_name, 0);
    }
    if (entries != NULL) {
        closedir(entries);
    }
    rmdir(folder);
}

/* ---- which images to keep ---- */

struct images {
    struct record_image *image;
    size_t count;
};

static void images_show(const struct images *images) {
    for (size_t i = 0; i < images->count; i++) {
        const struct record_image *image = &images->image[i];
        fprintf(stderr, "  %3zu  %-16s %10" PRIu32 " calls  %s%.60s\n", i + 1, image->name,
                image->records, image->forked ? "(fork) " : "", image->command);
        if (image->lost_children > 0) {
            fprintf(stderr, "       %" PRIu32 " forked children of it could not be recorded\n",
                    image->lost_children);
        }
    }
}

static const struct record_image *image_of_program(const struct images *images, pid_t pid) {
    const struct record_image *last = NULL;
    for (size_t i = 0; i < images->count; i++) {
        if (images->image[i].pid == (uint32_t)pid) {
            last = &images->image[i];
        }
    }
    return last;
}

static const struct record_image *image_matching(const struct images *images, const char *pattern) {
    const struct record_image *most = NULL;
    for (size_t i = 0; i < images->count; i++) {
        const struct record_image *image = &images->image[i];
        bool matches =
            fnmatch(pattern, image->name, 0) == 0 || fnmatch(pattern, image->command, 0) == 0;
        if (matches && (most == NULL || image->records > most->records)) {
            most = image;
        }
    }
    return most;
}

static const struct record_image *image_choose(const struct images *images, const char *child,
                                               pid_t pid) {
    if (child == NULL) {
        return image_of_program(images, pid);
    }
    char *end;
    unsigned long number = strtoul(child, &end, 10);
    if (*end == '\0' && number >= 1 && number <= images->count) {
        return &images->image[number - 1];
    }
    return image_matching(images, child);
}

/* ---- traces ---- */

/* One line of the report, only for what there was. */
static void note_show(uint64_t count, const char *what) {
    if (count > 0) {
        fprintf(stderr, "  note: %" PRIu64 " %s\n", count, what);
    }
}

static void trace_show(const struct record_image *image, const struct trace *trace,
                       const struct record_notes *notes, const char *path) {
    fprintf(stderr,
            "recorded %s: %zu operations, peak %" PRIu64 " bytes in %" PRIu64
            " blocks live -> %s\n",
            image->name, trace->op_count, trace->counts.peak_live_bytes,
            trace->counts.peak_live_blocks, path);
    note_show(notes->unknown_frees,
              image->forked ? "frees of blocks the parent made were left out"
                            : "frees of blocks from before the recording were left out");
    note_show(notes->failed, "requests that failed were left out");
    note_show(notes->inversions,
              "reallocs were moved before the allocation of the address they left");
    note_show(notes->missed_frees, "frees were not seen and put in when the address came again");
    note_show(notes->unfilled, "records were not finished when their thread was killed");
    note_show(notes->left_out, "records or more behind the last operation kept were left out");
    if (image->full && notes->left_out == 0) {
        fprintf(stderr, "  note: the stream was full before the program ended\n");
    }
}

static bool trace_keep(const struct record_image *image, const struct settings *settings,
                       const char *path, struct problem *problem) {
    struct trace trace = {.op_count = 0};
    struct record_notes notes;
    size_t max_ops = settings->max_ops != 0 ? settings->max_ops : TRACE_OPS_MAX;
    bool kept = record_reader_load(image, max_ops, &trace, &notes, problem);
    if (kept && settings->note != NULL) {
        size_t length = strlen(trace.origin);
        snprintf(trace.origin + length, sizeof trace.origin - length, ": %s", settings->note);
    }
    kept = kept && trace_save(&trace, path, problem);
    if (kept) {
        trace_show(image, &trace, &notes, path);
    }
    trace_release(&trace);
    return kept;
}

/* FILE-NUMBER-NAME.hrt for each image that made any calls. */
static bool traces_keep_all(const struct images *images, const struct settings *settings,
                            const char *output, struct problem *problem) {
    size_t stem = strlen(output);
    if (stem > 4 && strcmp(output + stem - 4, ".hrt") == 0) {
        stem -= 4;
    }
    for (size_t i = 0; i < images->count; i++) {
        const struct record_image *image = &images->image[i];
        char path[PATH_MAX];
        if (image->records == 0) {
            continue;
        }
        if (snprintf(path, sizeof path, "%.*s-%zu-%s.hrt", (int)stem, output, i + 1, image->name) >=
            (int)sizeof path) {
            return problem_set(problem, "%s: path too long", output);
        }
        if (!trace_keep(image, settings, path, problem)) {
            return false;
        }
    }
    return true;
}

static bool traces_keep(const char *folder, pid_t pid, const struct settings *settings,
                        struct problem *problem) {
    struct images images;
    if (!record_reader_list(folder, &images.image, &images.count, problem)) {
        return false;
    }
    const struct record_image *image = image_choose(&images, settings->child, pid);
    bool kept;
    if (images.count > 1 || (image == NULL && images.count > 0)) {
        fprintf(stderr, "processes recorded: %zu\n", images.count);
        images_show(&images);
    }
    if (settings->child != NULL && strcmp(settings->child, "all") == 0) {
        kept = traces_keep_all(&images, settings, settings->output, problem);
    } else if (image != NULL) {
        kept = trace_keep(image, settings, settings->output, problem);
    } else if (settings->child != NULL) {
        kept = problem_set(problem, "--child %s: no such process was recorded", settings->child);
    } else {
        kept = problem_set(problem,
                           "%s: made no calls that could be recorded, expected a program linked "
                           "dynamically%s",
                           settings->program[0],
                           images.count > 0 ? "; --child picks another process" : "");
    }
    free(images.image);
    return kept;
}

static bool program_record(const struct settings *settings, const char *folder, int *status,
                           struct problem *problem) {
    /* Twice what is kept leaves room for calls that bring no operation. */
    struct record_run run = {.program = settings->program,
                             .preload = settings->preload,
                             .folder = folder,
                             .records_max = settings->max_ops < RECORD_RECORDS_MAX / 2
                                                ? settings->max_ops * 2
                                                : RECORD_RECORDS_MAX};
    struct preload_ran ran;
    if (!record_run(&run, &ran, problem)) {
        return false;
    }
    *status = ran.status;
    return traces_keep(folder, ran.pid, settings, problem);
}

int cmd_record(int argc, char **argv) {
    const struct argp argp = {
        record_options, record_parse, "[--] PROGRAM [ARGUMENT...]", record_doc, NULL, NULL, NULL};
    struct settings settings = {.folder = folder_default()};
    cli_parse_in_order(&argp, argc, argv, &settings);
    struct problem problem = {""};
    char folder[PATH_MAX];
    char output[PATH_MAX];
    int status = 0;
    if (settings.output == NULL) {
        const char *slash = strrchr(settings.program[0], '/');
        snprintf(output, sizeof output, "%s.hrt", slash != NULL ? slash + 1 : settings.program[0]);
        settings.output = output;
    }
    bool recorded = file_bytes_may_write(settings.output, &problem) &&
                    folder_make(settings.folder, folder, &problem);
    if (recorded) {
        recorded = program_record(&settings, folder, &status, &problem);
        folder_remove(folder);
    }
    if (!recorded) {
        fprintf(stderr, "heaprig record: %s\n", problem.text);
        return 2;
    }
    return status;
}
