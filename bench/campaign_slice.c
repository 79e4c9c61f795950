/* SPDX-License-Identifier: MIT
 *
 * campaign_slice.c - one engine on one target, and the harvest
 *
 * Engines write into work/PLACE alone. What they keep is moved by rename(), inputs of the corpus
 * only after all of them are on the disk. Files that a full disk cut short are told by their names:
 * libFuzzer's are the SHA-1 of the contents.
 */
#include "campaign.h"
#include "campaign_files.h"
#include "child.h"
#include "tick.h"

#include "../trace/file_bytes.h"

#include <ctype.h>
#include <dirent.h>
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
    KEPT_OF_A_START = 20, /* inputs of AFL++ that crash; further ones are much the same */

    MEASURE_SECONDS = 60,
    LATE_SECONDS = 20, /* an engine may take longer than it was told to */
};

#define RUN_SECONDS "5" /* a run that takes longer hangs */

struct place {
    const struct campaign *campaign;
    const struct flavour *flavour;
    struct slice *slice;
    char folder[FILES_PATH];
    const struct tally *tally;
    bool programs;
    bool stuck; /* something could not be taken: the disk is full */
};

static void place_set(struct place *place, const struct campaign *campaign, unsigned number,
                      const struct tally *tally, struct slice *slice) {
    char path[FILES_PATH];
    *place = (struct place){.campaign = campaign, .slice = slice, .tally = tally};
    place->flavour = campaign_flavour(slice->flavour);
    files_path(place->folder, "%s/work/%u", campaign->folder, number);
    (void)slice_seeds(slice->target, &place->programs, path);
}

static void inside(const struct place *place, const char *name, char path[FILES_PATH]) {
    files_path(path, "%s/%s", place->folder, name);
}

static void corpus_of(const struct place *place, char path[FILES_PATH]) {
    files_path(path, "%s/corpus/%s", place->campaign->folder, place->slice->target);
}

const char *slice_seeds(const char *target, bool *programs, char path[FILES_PATH]) {
    files_path(path, "corpus/seeds/%s", target);
    *programs = access(path, R_OK) != 0;
    if (*programs) {
        files_path(path, "corpus/seeds/program");
    }
    return path;
}

/* ---- the harvest ---- */

/* Writes an input that ended the target to pending/, on a full disk into the room that was kept for
 * that. `maybe`: only if it does so again. */
static void pending_take(struct place *place, const unsigned char *bytes, size_t count,
                         bool maybe) {
    static const unsigned char nothing[] = {0}; /* no bytes mean the same as zeros */
    const char *folder = place->campaign->folder;
    char sha1[41], path[FILES_PATH], known[FILES_PATH], reserve[FILES_PATH];
    bytes = count > 0 ? bytes : nothing;
    count = count > 0 ? count : 1;
    files_sha1(bytes, count, sha1);
    files_path(path, "%s/pending/%s@%s@%s%s", folder, place->slice->target, place->slice->flavour,
               sha1, maybe ? "~" : "");
    bool kept = files_write(path, bytes, count);
    if (!kept) {
        files_path(reserve, "%s/reserve", folder);
        (void)unlink(reserve);
        kept = files_write(path, bytes, count);
    }
    if (kept) { /* in the corpus it would end each start of its target */
        files_path(known, "%s/corpus/%s/%s", folder, place->slice->target, sha1);
        (void)unlink(known);
        place->slice->found++;
    }
    place->stuck |= !kept;
}

static void pending_take_file(struct place *place, const char *path, bool maybe) {
    struct file_bytes file = {0};
    struct problem ignored;
    if (file_bytes_read(path, &file, &ignored) || (files_size(path) == 0)) {
        pending_take(place, file.bytes, file.count, maybe);
    }
    file_bytes_release(&file);
}

/* What libFuzzer kept: crash-SHA1, leak-, oom-, timeout-. One cut short stands whole in the tally.
 */
static size_t artifacts_take(struct place *place) {
    char folder[FILES_PATH], path[FILES_PATH], sha1[41];
    inside(place, "found", folder);
    size_t taken = 0;
    struct files list = files_list(folder);
    for (size_t i = 0; i < list.count; i++) {
        const char *name = list.names[i], *dash = strrchr(name, '-');
        bool maybe = strncmp(name, "timeout", 7) == 0;
        if (dash == NULL || strncmp(name, "slow-unit", 9) == 0) {
            continue;
        }
        files_path(path, "%s/%s", folder, name);
        if (!files_sha1_of(path, sha1) || strcmp(sha1, dash + 1) != 0) {
            pending_take(place, place->tally->input, place->tally->input_bytes, true);
        } else {
            pending_take_file(place, path, maybe);
        }
        taken++;
    }
    files_release(&list);
    return taken;
}

/* Inputs that are whole go to the corpus, named by their SHA-1. */
static void corpus_take(struct place *place, const char *from, bool afl) {
    char to[FILES_PATH], path[FILES_PATH], target[FILES_PATH], sha1[41];
    corpus_of(place, to);
    struct files list = files_list(from);
    files_sync(from);
    for (size_t i = 0; i < list.count; i++) {
        const char *name = list.names[i];
        files_path(path, "%s/%s", from, name);
        bool wanted = afl ? strncmp(name, "id:", 3) == 0 && strstr(name, ",orig:") == NULL : true;
        if (wanted && files_sha1_of(path, sha1) && (afl || strcmp(name, sha1) == 0)) {
            files_path(target, "%s/%s", to, sha1);
            place->stuck |= rename(path, target) != 0;
        }
    }
    files_release(&list);
}

static size_t afl_take(struct place *place) {
    char path[FILES_PATH], folder[FILES_PATH];
    size_t taken = 0;
    static const char *const kinds[] = {"crashes", "hangs"};
    for (size_t kind = 0; kind < 2; kind++) {
        files_path(folder, "%s/afl/default/%s", place->folder, kinds[kind]);
        struct files list = files_list(folder);
        for (size_t i = 0; i < list.count && i < (kind == 0 ? KEPT_OF_A_START : 3); i++) {
            if (strncmp(list.names[i], "id:", 3) == 0) {
                files_path(path, "%s/%s", folder, list.names[i]);
                pending_take_file(place, path, kind == 1);
                taken++;
            }
        }
        files_release(&list);
    }
    files_path(folder, "%s/afl/default/queue", place->folder);
    corpus_take(place, folder, true);
    return taken;
}

/* Takes all that an engine left; returns how many inputs ended the target. */
static size_t harvest(struct place *place) {
    char path[FILES_PATH];
    inside(place, "new", path);
    place->stuck = false;
    corpus_take(place, path, false);
    return artifacts_take(place) + afl_take(place);
}

/* Room for an engine: the folders it writes to, empty. */
static bool place_clear(const struct place *place) {
    static const char *const names[] = {"new", "found", "afl"};
    char path[FILES_PATH];
    bool fine = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        inside(place, names[i], path);
        files_remove(path);
        fine &= mkdir(path, 0777) == 0;
    }
    return fine;
}

/* Takes what an interrupted slice left in a place, whose file `who` says which that was. False when
 * that must wait for room on the disk. */
static bool place_rescue(const struct campaign *campaign, unsigned number) {
    struct slice slice = {0};
    struct place place;
    struct file_bytes who = {0}, left = {0};
    struct problem ignored;
    static struct tally tally;
    char path[FILES_PATH];
    bool fine = true;
    files_path(path, "%s/work/%u/who", campaign->folder, number);
    if (file_bytes_read(path, &who, &ignored) &&
        sscanf((const char *)who.bytes, "%31s %31s", slice.target, slice.flavour) == 2 &&
        campaign_flavour(slice.flavour) != NULL) {
        place_set(&place, campaign, number, &tally, &slice);
        inside(&place, "tally", path);
        if (file_bytes_read(path, &left, &ignored) && left.count == sizeof tally) {
            memcpy(&tally, left.bytes, sizeof tally);
        }
        (void)harvest(&place);
        if (tally.input_bytes > 0 && tally.input_bytes <= TALLY_INPUT_MAX) {
            pending_take(&place, tally.input, tally.input_bytes, true);
        }
        inside(&place, "who", path);
        fine = !place.stuck && place_clear(&place) && unlink(path) == 0;
    }
    file_bytes_release(&who);
    file_bytes_release(&left);
    return fine;
}

void slice_rescue(const struct campaign *campaign) {
    for (unsigned number = 0; number < CAMPAIGN_JOBS_MAX; number++) {
        (void)place_rescue(campaign, number);
    }
}

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
    corpus_of(place, corpus);
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
    corpus_of(place, corpus);
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
    inside(place, "log", log);
    struct child child = {.argv = command.argv,
                          .environment = command.environment,
                          .output = log,
                          .seconds = whole + LATE_SECONDS,
                          .end = &campaign_stop};
    if (!child_run(&child, &end, &problem)) {
        (void)snprintf(place->slice->note, sizeof place->slice->note, "%.90s", problem.text);
        return false;
    }
    size_t taken = harvest(place);
    bool fine = end.late || (WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0);
    bool hung = end.late && !campaign_stop;
    if ((!fine || hung) && taken == 0) {
        /* It ended without a word, or never: perhaps by what was under way. */
        pending_take(place, place->tally->input, place->tally->input_bytes, true);
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
    inside(place, "who", path);
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
    bool fine = place_begin(&place, number, end);
    memset(tally, 0, sizeof *tally);
    for (unsigned start = 0; fine && start < STARTS_MAX && !campaign_stop; start++) {
        double left = end - now_seconds();
        if (left < 1 && start > 0) {
            break;
        }
        slice->restarts = start;
        bool whole = engine_start(&place, seed + start, left);
        fine = !place.stuck && place_clear(&place) && (whole || slice->note[0] == '\0');
    }
    inside(&place, "who", path);
    if (!place.stuck) {
        (void)unlink(path);
    }
    struct rusage usage;
    (void)getrusage(RUSAGE_CHILDREN, &usage);
    slice->cpu = time_of(usage.ru_utime) + time_of(usage.ru_stime);
    slice->runs = tally->runs;
    slice->ops = tally->ops;
    if (slice->runs > 0) {
        slice_measure(campaign, number, slice);
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
        line = line != NULL ? line : strstr((const char *)file.bytes, "DONE");
        found = line != NULL && sscanf(line, "%*s cov: %" SCNu64 " ft: %" SCNu64, &slice->edges,
                                       &slice->features) == 2;
    }
    file_bytes_release(&file);
    return found;
}

void slice_measure(const struct campaign *campaign, unsigned number, struct slice *slice) {
    struct place place;
    struct slice quiet = *slice;
    char corpus[FILES_PATH], log[FILES_PATH], program[FILES_PATH], prefix[FILES_PATH];
    char plugin[FILES_PATH];
    static struct tally none;
    (void)snprintf(quiet.flavour, sizeof quiet.flavour, "libfuzzer");
    place_set(&place, campaign, number, &none, &quiet);
    inside(&place, "found", prefix);
    (void)mkdir(prefix, 0777);
    corpus_of(&place, corpus);
    inside(&place, "measure", log);
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
    for (unsigned i = 0; i < STARTS_MAX;
         i++) { /* each start without the inputs that ended the one before */
        if (!child_run(&child, &end, &problem) || measure_read(log, slice) ||
            artifacts_take(&place) == 0) {
            break;
        }
        (void)place_clear(&place);
    }
    slice->found = quiet.found;
    struct files list = files_list(corpus);
    slice->inputs = list.count;
    slice->bytes = files_bytes(corpus, &list);
    files_release(&list);
}

bool slice_seed(const struct campaign *campaign, const char *target, struct problem *problem) {
    char to[FILES_PATH], from[FILES_PATH], path[FILES_PATH], sha1[41];
    bool programs;
    files_path(to, "%s/corpus/%s", campaign->folder, target);
    struct files have = files_list(to);
    size_t before = have.count;
    files_release(&have);
    if (before > 0) {
        return true;
    }
    struct files list = files_list(slice_seeds(target, &programs, from));
    bool fine = true;
    for (size_t i = 0; fine && i < list.count; i++) {
        struct file_bytes seed = {0};
        files_path(path, "%s/%s", from, list.names[i]);
        if (file_bytes_read(path, &seed, problem)) {
            files_sha1(seed.bytes, seed.count, sha1);
            files_path(path, "%s/%s", to, sha1);
            fine = files_write(path, seed.bytes, seed.count) ||
                   problem_set(problem, "%s: cannot be written", path);
        }
        file_bytes_release(&seed);
    }
    files_release(&list);
    return fine;
}
