/* SPDX-License-Identifier: MIT
 *
 * campaign_slice.c - one engine on one target: how it is called, started again and measured
 */
#include "campaign_place.h"
#include "child.h"
#include "tick.h"

#include "../trace/file_bytes.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STARTS_MAX = 20,      /* of an engine within a slice */
    MEASURE_SECONDS = 20, /* where inputs end the target; else it takes a second */
    DISTIL_SECONDS = 300,
    DISTIL_LEAST = 256, /* inputs that are worth it */
    LATE_SECONDS = 20,  /* an engine may take longer than it was told to */
};

#define RUN_SECONDS "5" /* a run that takes longer hangs */

/* ---- engines ---- */

struct command {
    const char *argv[40];
    const char *environment[24];
    char text[16][FILES_PATH];
    size_t args, variables, texts;
};

static void arg(struct command *command, const char *text) {
    command->argv[command->args++] = text;
}

static const char *made(struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static const char *made(struct command *command, const char *format, ...) {
    char *text = command->text[command->texts++];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, FILES_PATH, format, list);
    va_end(list);
    return text;
}

static void variable(struct command *command, const char *text) {
    command->environment[command->variables++] = text;
}

static void variables_common(const struct place *place, struct command *command) {
    char plugin[FILES_PATH];
    campaign_plugin_variable(place->campaign, place->flavour, plugin);
    variable(command, made(command, "%s", plugin));
    variable(command, made(command, "HEAPRIG_TALLY=%s/tally", place->folder));
    variable(command, "ASAN_OPTIONS");
    variable(command, "UBSAN_OPTIONS");
}

static void libfuzzer_make(const struct place *place, uint64_t seed, unsigned seconds,
                           struct command *command) {
    const struct campaign *campaign = place->campaign;
    char corpus[FILES_PATH];
    place_corpus(place, corpus);
    arg(command,
        made(command, "%s/%s/%s", campaign->build, place->flavour->binary, place->slice->target));
    arg(command, made(command, "-max_total_time=%u", seconds));
    arg(command, "-timeout=" RUN_SECONDS);
    arg(command, "-rss_limit_mb=1024");
    arg(command, made(command, "-max_len=%d", CAMPAIGN_INPUT_MAX));
    arg(command, "-len_control=0");
    arg(command, "-report_slow_units=3600");
    arg(command, made(command, "-seed=%" PRIu32, (uint32_t)seed | 1));
    arg(command, made(command, "-artifact_prefix=%s/found/", place->folder));
    arg(command, made(command, "%s/new", place->folder));
    arg(command, made(command, "%s", corpus));
    variables_common(place, command);
}

/* What AFL++ wants to know of the machine: nothing of cores, clocks or core files is to be set up
 * for it. */
static const char *const afl_variables[] = {
    "AFL_SKIP_CPUFREQ=1",    "AFL_NO_UI=1",
    "AFL_NO_AFFINITY=1",     "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1",
    "AFL_NO_CRASH_README=1", "AFL_IGNORE_PROBLEMS=1",
    "AFL_FAST_CAL=1",        "AFL_FORKSRV_INIT_TMOUT=30000",
    "AFL_BENCH_UNTIL_CRASH", "AFL_AUTORESUME"};

static void afl_make(const struct place *place, uint64_t seed, unsigned seconds,
                     struct command *command) {
    const struct campaign *campaign = place->campaign;
    bool cmplog = strcmp(place->flavour->name, "afl-cmplog") == 0;
    char corpus[FILES_PATH];
    place_corpus(place, corpus);
    arg(command, "afl-fuzz");
    arg(command, "-V");
    arg(command, made(command, "%u", seconds));
    arg(command, "-s");
    arg(command, made(command, "%" PRIu32, (uint32_t)seed | 1));
    arg(command, "-G");
    arg(command, made(command, "%d", CAMPAIGN_INPUT_MAX));
    arg(command, "-m");
    arg(command, "none");
    arg(command, "-t");
    arg(command, "2000");
    arg(command, "-i");
    arg(command, made(command, "%s", corpus));
    arg(command, "-o");
    arg(command, made(command, "%s/afl", place->folder));
    if (cmplog) {
        arg(command, "-c");
        arg(command,
            made(command, "%s/%s/%s", campaign->build, place->flavour->name, place->slice->target));
        arg(command, "-l");
        arg(command, "2AT");
    }
    arg(command, "--");
    arg(command,
        made(command, "%s/%s/%s", campaign->build, place->flavour->binary, place->slice->target));
    variables_common(place, command);
    for (size_t i = 0; i < sizeof afl_variables / sizeof *afl_variables; i++) {
        variable(command, afl_variables[i]);
    }
    if (place->programs) {
        variable(command, made(command, "AFL_CUSTOM_MUTATOR_LIBRARY=%s/libheaprig_afl.so",
                               files_program_folder()));
        if (!cmplog) { /* that one mixes what CMPLOG learned with records */
            variable(command, "AFL_CUSTOM_MUTATOR_ONLY=1");
        }
    }
}

/* The last line of the engine's log that says why it gave up. */
static void note_set(struct place *place, const char *log) {
    struct file_bytes file = {0};
    struct problem ignored;
    if (file_bytes_read(log, &file, &ignored)) {
        const char *text = (const char *)file.bytes, *why = strstr(text, "PROGRAM ABORT");
        why = why != NULL ? strstr(why, " : ") : NULL;
        for (size_t i = 0; why != NULL && i < sizeof place->slice->note - 1; i++) {
            const char *from = why + 3;
            if (from[i] == '\n' || from[i] == '\0' || from[i] == '\033') {
                break;
            }
            place->slice->note[i] = isprint((unsigned char)from[i]) ? from[i] : ' ';
            place->slice->note[i + 1] = '\0';
        }
    }
    file_bytes_release(&file);
}

/* Starts the engine once; true when it ran for as long as it was told to. */
static bool engine_start(struct place *place, uint64_t seed, double seconds) {
    static struct command command;
    char log[FILES_PATH];
    struct child_end end = {0};
    struct problem problem;
    command = (struct command){0};
    unsigned whole = (unsigned)(seconds + 0.999);
    (place->flavour->afl ? afl_make : libfuzzer_make)(place, seed, whole, &command);
    place_path(place, "log", log);
    struct child child = {.argv = command.argv,
                          .environment = command.environment,
                          .output = log,
                          .seconds = whole + LATE_SECONDS,
                          .end = &campaign_stop};
    if (!child_run(&child, &end, &problem)) {
        (void)snprintf(place->slice->note, sizeof place->slice->note, "%.90s", problem.text);
        return false;
    }
    size_t taken = place_harvest(place);
    bool fine = end.late || (WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0);
    bool hung = end.late && !campaign_stop;
    if ((!fine || hung) && taken == 0) {
        /* It ended without a word, or never: perhaps by what was under way. */
        place_pend(place, place->tally->input, (size_t)place->tally->input_bytes, true);
        if (WIFEXITED(end.status) && !hung) {
            note_set(place, log);
        }
    }
    return fine;
}

static double now_seconds(void) {
    return (double)tick_wall_ns() / 1e9;
}

static double time_of(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* Makes the place ready; waits while the disk is full, but no longer than the slice would take. */
static bool place_begin(struct place *place, unsigned number, double until) {
    static const char waiting[] = "no room on the disk";
    struct slice *slice = place->slice;
    char path[FILES_PATH];
    place_path(place, "who", path);
    while (files_room(place->campaign->folder) < CAMPAIGN_RESERVE_BYTES ||
           !place_rescue(place->campaign, number) || !place_clear(place) ||
           !files_write_text(path, slice->target, slice->flavour)) {
        memcpy(slice->note, waiting, sizeof waiting);
        if (campaign_stop || now_seconds() > until) {
            return false;
        }
        (void)sleep(1);
    }
    slice->note[0] = '\0';
    return true;
}

void slice_run(const struct campaign *campaign, unsigned number, uint64_t seed, struct tally *tally,
               struct slice *slice) {
    struct place place;
    char path[FILES_PATH];
    double begin = now_seconds(), end = begin + slice->seconds;
    place_set(&place, campaign, number, tally, slice);
    if (!place_begin(&place, number, end)) { /* what is there stays for the next one */
        slice->seconds = now_seconds() - begin;
        return;
    }
    memset(tally, 0, sizeof *tally);
    bool fine = true;
    for (unsigned start = 0; fine && start < STARTS_MAX && !campaign_stop; start++) {
        double left = end - now_seconds();
        if (left < 1 && start > 0) {
            break;
        }
        slice->restarts = start;
        bool whole = engine_start(&place, seed + start, left);
        fine = !place.stuck && place_clear(&place) && (whole || slice->note[0] == '\0');
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_CHILDREN, &usage);
    slice->cpu = time_of(usage.ru_utime) + time_of(usage.ru_stime);
    slice->runs = tally->runs;
    slice->ops = tally->ops;
    bool clean = !place.stuck && (slice->runs == 0 || slice_measure(campaign, number, slice));
    place_path(&place, "who", path);
    if (clean) {
        (void)unlink(path);
    }
    slice->seconds = now_seconds() - begin;
}

/* ---- coverage ---- */

static bool measure_read(const char *log, struct slice *slice) {
    struct file_bytes file = {0};
    struct problem ignored;
    bool found = false;
    if (file_bytes_read(log, &file, &ignored)) {
        const char *line = strstr((const char *)file.bytes, "INITED");
        const char *edges = line != NULL ? strstr(line, " cov: ") : NULL;
        const char *features = line != NULL ? strstr(line, " ft: ") : NULL;
        found = line != NULL; /* a prebuilt plug-in has no edges to be seen */
        slice->edges = edges != NULL ? strtoull(edges + 6, NULL, 10) : 0;
        slice->features = features != NULL ? strtoull(features + 5, NULL, 10) : 0;
    }
    file_bytes_release(&file);
    return found;
}

/* Keeps of the corpus what libFuzzer needs for all of its features, once most of it is more than
 * that: engines and restarts find the same things in other words. What others bring meanwhile
 * stays. */
static void distil(const struct place *place, const char *program, const char *plugin,
                   struct files *corpus) {
    char from[FILES_PATH], to[FILES_PATH], log[FILES_PATH], path[FILES_PATH];
    place_corpus(place, from);
    place_path(place, "kept", to);
    place_path(place, "log", log);
    files_remove(to);
    const char *argv[] = {
        program, "-merge=1", "-timeout=" RUN_SECONDS, "-rss_limit_mb=1024", "-max_len=4096", to,
        from,    NULL};
    const char *environment[] = {plugin, "HEAPRIG_TALLY", "ASAN_OPTIONS", NULL};
    struct child child = {.argv = argv,
                          .environment = environment,
                          .output = log,
                          .seconds = DISTIL_SECONDS,
                          .end = &campaign_stop};
    struct child_end end;
    struct problem problem;
    bool fine = mkdir(to, 0777) == 0 && child_run(&child, &end, &problem) && !end.late &&
                WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0;
    struct files kept = files_list(to);
    for (size_t i = 0; fine && kept.count > 0 && i < corpus->count; i++) {
        files_path(path, "%s/%s", to, corpus->names[i]);
        if (access(path, F_OK) != 0) {
            files_path(path, "%s/%s", from, corpus->names[i]);
            (void)unlink(path);
        }
    }
    files_release(&kept);
    files_remove(to);
}

bool slice_measure(const struct campaign *campaign, unsigned number, struct slice *slice) {
    struct place place;
    struct slice quiet = *slice;
    char corpus[FILES_PATH], log[FILES_PATH], program[FILES_PATH], prefix[FILES_PATH];
    char plugin[FILES_PATH];
    static struct tally none;
    (void)snprintf(quiet.flavour, sizeof quiet.flavour, "libfuzzer");
    place_set(&place, campaign, number, &none, &quiet);
    place_path(&place, "found", prefix);
    (void)mkdir(prefix, 0777);
    place_corpus(&place, corpus);
    place_path(&place, "measure", log);
    files_path(program, "%s/libfuzzer/%s", campaign->build, slice->target);
    files_path(prefix, "-artifact_prefix=%s/found/", place.folder);
    campaign_plugin_variable(campaign, place.flavour, plugin);
    const char *argv[] = {
        program, "-runs=0", "-timeout=" RUN_SECONDS, "-rss_limit_mb=1024", "-max_len=4096", prefix,
        corpus,  NULL};
    const char *environment[] = {plugin, "HEAPRIG_TALLY", "ASAN_OPTIONS", NULL};
    struct child child = {
        .argv = argv, .environment = environment, .output = log, .seconds = MEASURE_SECONDS};
    struct child_end end;
    struct problem problem;
    double begin = now_seconds();
    /* Each start is without the inputs that ended the one before. */
    while (child_run(&child, &end, &problem) && !measure_read(log, slice) &&
           place_artifacts(&place) > 0 && !place.stuck && place_clear(&place) &&
           now_seconds() - begin < MEASURE_SECONDS && !campaign_stop) {
    }
    slice->found = quiet.found;
    struct files list = files_list(corpus);
    if (slice->features > 0 && list.count > 2 * slice->features + DISTIL_LEAST) {
        int lock = files_lock(corpus); /* two at once would each drop what the other one keeps */
        if (lock >= 0) {
            distil(&place, program, plugin, &list);
            (void)close(lock);
        }
        files_release(&list);
        list = files_list(corpus);
    }
    slice->inputs = list.count;
    slice->bytes = files_bytes(corpus, &list);
    files_release(&list);
    return !place.stuck;
}
