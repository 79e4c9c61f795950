/* SPDX-License-Identifier: MIT
 *
 * campaign.c - who runs when
 *
 * The next slice goes to the target that had the least time for its weight, which is doubled while
 * its corpus still gains coverage; and there to the engine that had least for its share. All of
 * that is read from the slices so far, so a campaign that was interrupted goes on as if it had not
 * been.
 */
#include "campaign.h"
#include "campaign_files.h"
#include "campaign_log.h"
#include "child.h"
#include "tick.h"

#include "../trace/file_bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SLICE_LEAST = 5, /* seconds */
    SLICE_MOST = 120,
    TURNS = 3, /* of each engine on each target, if time allows */
    LOOK_NS = 200000000,
    LINE_SECONDS = 60,       /* between lines when stderr is no terminal */
    JUDGE_LAST_SECONDS = 300 /* for what is pending at the end */
};

volatile sig_atomic_t campaign_stop;

const struct flavour campaign_flavours[] = {
    {"libfuzzer", "libfuzzer", "libfuzzer", 2, false},
    {"afl", "libfuzzer", "afl", 2, true},
    {"libfuzzer-address", "libfuzzer-address", "libfuzzer-address", 1, false},
    {"afl-cmplog", "libfuzzer", "afl", 1, true},
    {"libfuzzer-undefined", "libfuzzer-undefined", "libfuzzer-undefined", 1, false},
    {"afl-address", "libfuzzer-address", "afl-address", 1, true},
    {"libfuzzer-m32", "libfuzzer-m32", "libfuzzer-m32", 1, false},
    {"afl-undefined", "libfuzzer-undefined", "afl-undefined", 1, true},
    {"libfuzzer-client", "libfuzzer-client", "libfuzzer-client", 1, false},
};
const size_t campaign_flavour_count = sizeof campaign_flavours / sizeof *campaign_flavours;

const struct flavour *campaign_flavour(const char *name) {
    for (size_t i = 0; i < campaign_flavour_count; i++) {
        if (strcmp(campaign_flavours[i].name, name) == 0) {
            return &campaign_flavours[i];
        }
    }
    return NULL;
}

bool campaign_has(const struct campaign *campaign, const char *target,
                  const struct flavour *flavour) {
    char path[FILES_PATH];
    files_path(path, "%s/%s/%s", campaign->build, flavour->name, target);
    bool has = access(path, X_OK) == 0;
    files_path(path, "%s/%s/%s", campaign->build, flavour->binary, target);
    return has && access(path, X_OK) == 0;
}

void campaign_plugin_variable(const struct campaign *campaign, const struct flavour *flavour,
                              char text[FILES_PATH]) {
    if (campaign->plugin == NULL) {
        files_path(text, "HEAPRIG_PLUGIN");
    } else if (campaign->plugin_watched) {
        files_path(text, "HEAPRIG_PLUGIN=%s/%s/plugin.so", campaign->build, flavour->binary);
    } else {
        files_path(text, "HEAPRIG_PLUGIN=%s", campaign->plugin);
    }
}

/* ---- state ---- */

/* A place for one slice at a time; `slice` lies in memory that its process shares. */
struct place {
    pid_t process; /* 0: none */
    struct slice *slice;
    struct tally *tally;
    double begin;
};

struct state {
    const struct campaign *campaign;
    struct slices slices;
    struct place places[CAMPAIGN_JOBS_MAX];
    pid_t judge;
    double before, begin; /* campaign time of earlier sittings; when this one began */
    double line;          /* when the last line was printed */
    bool terminal, disk_full;
    bool waiting; /* a slice waits for room on the disk */
};

static double clock_seconds(void) {
    return (double)tick_wall_ns() / 1e9;
}

static double elapsed(const struct state *state) {
    return state->before + clock_seconds() - state->begin;
}

static bool folder_make(const struct campaign *campaign, const char *name,
                        struct problem *problem) {
    char path[FILES_PATH];
    files_path(path, "%s/%s", campaign->folder, name);
    return mkdir(path, 0777) == 0 || errno == EEXIST ||
           problem_set(problem, "%s: %s", path, strerror(errno));
}

/* The file is as long as it will ever be, so that a full disk cannot take it away. */
static bool tally_make(const struct campaign *campaign, unsigned number, struct tally **tally,
                       struct problem *problem) {
    char path[FILES_PATH];
    files_path(path, "%s/places/%u/tally", campaign->folder, number);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    void *memory = MAP_FAILED;
    if (file >= 0 && posix_fallocate(file, 0, sizeof(struct tally)) == 0) {
        memory = mmap(NULL, sizeof(struct tally), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    if (file >= 0) {
        (void)close(file);
    }
    *tally = memory == MAP_FAILED ? NULL : memory;
    return memory != MAP_FAILED || problem_set(problem, "%s: cannot be written", path);
}

/* Kept so that a crash can be written on a full disk. */
static void reserve_make(const struct campaign *campaign) {
    char path[FILES_PATH];
    files_path(path, "%s/reserve", campaign->folder);
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file >= 0) {
        (void)!posix_fallocate(file, 0, CAMPAIGN_RESERVE_BYTES);
        (void)close(file);
    }
}

/* ---- processes ---- */

static void stop_ask(int signal) {
    (void)signal;
    campaign_stop = campaign_stop + 1;
}

/* Runs `work` in a process of its own, which ends as campaign_stop is set. */
static pid_t process_begin(struct state *state, unsigned number,
                           void (*work)(struct state *state, unsigned number)) {
    (void)fflush(NULL);
    pid_t id = fork();
    if (id == 0) {
        (void)setpgid(0, 0); /* Ctrl-C reaches the scheduler alone, which tells the others */
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        child_adopt();
        work(state, number);
        _exit(0);
    }
    return id;
}

static void slice_work(struct state *state, unsigned number) {
    const struct place *place = &state->places[number];
    slice_run(state->campaign, number, state->campaign->seed + 1000 * state->slices.count,
              place->tally, place->slice);
}

static void judge_work(struct state *state, unsigned number) {
    (void)number;
    campaign_judge(state->campaign, &campaign_stop);
}

/* Files and folders, without the other names of one. */
static size_t folder_count(const struct campaign *campaign, const char *name) {
    char path[FILES_PATH], one[FILES_PATH];
    files_path(path, "%s/%s", campaign->folder, name);
    struct files list = files_list(path);
    size_t count = 0;
    for (size_t i = 0; i < list.count; i++) {
        files_path(one, "%s/%s", path, list.names[i]);
        count += !files_is_link(one);
    }
    files_release(&list);
    return count;
}

static size_t pending_count(const struct campaign *campaign) {
    return folder_count(campaign, "pending");
}

static bool process_ended(pid_t *process) {
    if (*process > 0 && waitpid(*process, NULL, WNOHANG) != 0) {
        *process = 0;
        return true;
    }
    return false;
}

/* ---- the schedule ---- */

/* Time that the target had, and whether its last two slices gained coverage: an edge, or 1 % of
 * features. */
static double target_time(const struct state *state, const char *target, bool *gains) {
    const struct slice *last[3] = {NULL};
    double time = 0;
    for (size_t i = 0; i < state->slices.count; i++) {
        const struct slice *slice = &state->slices.list[i];
        if (strcmp(slice->target, target) == 0) {
            time += slice->seconds;
            last[2] = last[1];
            last[1] = last[0];
            last[0] = slice;
        }
    }
    *gains = last[0] != NULL && last[2] != NULL &&
             (last[0]->edges > last[2]->edges ||
              last[0]->features > last[2]->features + last[2]->features / 100);
    for (unsigned i = 0; i < state->campaign->jobs; i++) {
        const struct place *place = &state->places[i];
        if (place->process != 0 && strcmp(place->slice->target, target) == 0) {
            time += 2 * SLICE_MOST; /* others first */
        }
    }
    return time;
}

static const struct flavour *flavour_next(const struct state *state, size_t target) {
    const char *name = state->campaign->targets[target];
    const struct flavour *best = NULL;
    double least = 0;
    for (size_t k = 0; k < campaign_flavour_count; k++) {
        const struct flavour *flavour = &campaign_flavours[(k + target) % campaign_flavour_count];
        double time = 0;
        for (size_t i = 0; i < state->slices.count; i++) {
            const struct slice *slice = &state->slices.list[i];
            bool same =
                strcmp(slice->target, name) == 0 && strcmp(slice->flavour, flavour->name) == 0;
            time += same ? slice->seconds : 0;
        }
        for (unsigned i = 0; i < state->campaign->jobs; i++) {
            const struct place *place = &state->places[i];
            bool same = place->process != 0 && strcmp(place->slice->target, name) == 0 &&
                        strcmp(place->slice->flavour, flavour->name) == 0;
            time += same ? SLICE_MOST : 0;
        }
        time /= flavour->share;
        if (campaign_has(state->campaign, name, flavour) && (best == NULL || time < least)) {
            best = flavour;
            least = time;
        }
    }
    return best;
}

static size_t target_next(const struct state *state) {
    size_t best = 0;
    double least = 0;
    for (size_t i = 0; i < state->campaign->target_count; i++) {
        bool gains;
        double time = target_time(state, state->campaign->targets[i], &gains);
        time /= gains ? 2 : 1;
        if (i == 0 || time < least) {
            best = i;
            least = time;
        }
    }
    return best;
}

static double slice_seconds(const struct state *state) {
    const struct campaign *campaign = state->campaign;
    double turns = (double)(TURNS * campaign->target_count * campaign_flavour_count);
    double seconds = campaign->seconds * campaign->jobs / turns;
    seconds = seconds < SLICE_LEAST ? SLICE_LEAST : seconds > SLICE_MOST ? SLICE_MOST : seconds;
    double left = campaign->seconds - elapsed(state);
    return seconds < left ? seconds : left;
}

static void slice_begin(struct state *state, unsigned number) {
    struct place *place = &state->places[number];
    size_t target = target_next(state);
    const struct flavour *flavour = flavour_next(state, target);
    *place->slice = (struct slice){.begin = elapsed(state), .seconds = slice_seconds(state)};
    (void)snprintf(place->slice->target, sizeof place->slice->target, "%s",
                   state->campaign->targets[target]);
    (void)snprintf(place->slice->flavour, sizeof place->slice->flavour, "%s", flavour->name);
    place->begin = clock_seconds();
    pid_t id = process_begin(state, number, slice_work);
    place->process = id > 0 ? id : 0;
}

static void slice_end(struct state *state, unsigned number) {
    struct problem problem;
    struct slice *slice = state->places[number].slice;
    if (slice->seconds <= 0) {
        return;
    }
    if (slice->inputs == 0 &&
        slice->note[0] == '\0') { /* its process was killed before it had looked */
        slice->runs = state->places[number].tally->runs;
        slice->ops = state->places[number].tally->ops;
        slice->seconds = clock_seconds() - state->places[number].begin;
        slice->restarts++;
        (void)slice_measure(state->campaign, number, slice);
    }
    bool was = state->disk_full;
    state->disk_full = !slices_append(state->campaign, &state->slices, slice, &problem);
    if (state->disk_full && !was) {
        fprintf(stderr, "%sheaprig campaign: %s; going on, and waiting for room\n",
                state->terminal ? "\r\033[K" : "", problem.text);
    }
}

/* ---- what is shown ---- */

static void duration_print(FILE *out, double seconds) {
    unsigned long s = seconds > 0 ? (unsigned long)seconds : 0;
    fprintf(out, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
}

static uint64_t edges_now(const struct state *state) {
    uint64_t edges = 0;
    for (size_t t = 0; t < state->campaign->target_count; t++) {
        for (size_t i = state->slices.count; i-- > 0;) {
            if (strcmp(state->slices.list[i].target, state->campaign->targets[t]) == 0) {
                edges += state->slices.list[i].edges;
                break;
            }
        }
    }
    return edges;
}

static void progress_line(struct state *state) {
    double now = clock_seconds(), done = elapsed(state);
    if (now - state->line < (state->terminal ? 1 : LINE_SECONDS)) {
        return;
    }
    state->line = now;
    if (state->terminal) {
        fputc('\r', stderr);
    }
    duration_print(stderr, done);
    fputs(" done, ", stderr);
    duration_print(stderr, state->campaign->seconds - done);
    fputs(" left", stderr);
    double runs = 0, ops = 0;
    for (unsigned i = 0; i < state->campaign->jobs; i++) {
        const struct place *place = &state->places[i];
        if (place->process != 0) {
            double seconds = now - place->begin > 0.5 ? now - place->begin : 0.5;
            runs += (double)place->tally->runs / seconds;
            ops += (double)place->tally->ops / seconds;
            fprintf(stderr, "  %s %s", place->slice->target, place->slice->flavour);
        }
    }
    size_t crashes = folder_count(state->campaign, "crashes");
    fprintf(stderr, "  %.1f k runs/s, %.2f M ops/s, %" PRIu64 " edges, %zu crash%s%s%s", runs / 1e3,
            ops / 1e6, edges_now(state), crashes, crashes == 1 ? "" : "es",
            state->disk_full ? ", NO ROOM ON DISK" : "", state->terminal ? "\033[K" : "\n");
    (void)fflush(stderr);
}

static void progress_say(const struct state *state, const char *what) {
    fprintf(stderr, "%sheaprig campaign: %s\n", state->terminal ? "\r\033[K" : "", what);
}

/* ---- the run ---- */

static bool begin(struct state *state, struct problem *problem) {
    static const char *const names[] = {"corpus", "pending", "crashes", "places"};
    const struct campaign *campaign = state->campaign;
    char name[96];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!folder_make(campaign, names[i], problem)) {
            return false;
        }
    }
    reserve_make(campaign);
    for (size_t i = 0; i < campaign->target_count; i++) {
        (void)snprintf(name, sizeof name, "corpus/%s", campaign->targets[i]);
        if (!folder_make(campaign, name, problem) ||
            !slice_seed(campaign, campaign->targets[i], problem)) {
            return false;
        }
    }
    struct slice *shared = mmap(NULL, sizeof(struct slice) * CAMPAIGN_JOBS_MAX,
                                PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        return problem_set(problem, "out of memory");
    }
    slice_rescue(campaign);
    for (unsigned i = 0; i < campaign->jobs; i++) {
        (void)snprintf(name, sizeof name, "places/%u", i);
        state->places[i].slice = &shared[i];
        if (!folder_make(campaign, name, problem) ||
            !tally_make(campaign, i, &state->places[i].tally, problem)) {
            return false;
        }
    }
    return slices_read(campaign, true, &state->slices, problem);
}

/* Coverage of what the campaign begins with. */
static void measure_first(struct state *state) {
    const struct campaign *campaign = state->campaign;
    struct problem problem;
    for (size_t i = 0; i < campaign->target_count && state->slices.count < campaign->target_count;
         i++) {
        struct slice slice = {.begin = 0, .seconds = 0};
        (void)snprintf(slice.target, sizeof slice.target, "%s", campaign->targets[i]);
        (void)snprintf(slice.flavour, sizeof slice.flavour, "seeds");
        (void)slice_measure(campaign, 0, &slice);
        (void)slices_append(campaign, &state->slices, &slice, &problem);
    }
}

static void all_tell(const struct state *state) {
    for (unsigned i = 0; i < state->campaign->jobs; i++) {
        if (state->places[i].process > 0) {
            (void)kill(state->places[i].process, SIGTERM);
        }
    }
    if (state->judge > 0) {
        (void)kill(state->judge, SIGTERM);
    }
}

/* Says once that a slice waits for room on the disk, and once that it no longer does. */
static void waiting_say(struct state *state) {
    bool waiting = false;
    for (unsigned i = 0; i < state->campaign->jobs; i++) {
        waiting |= state->places[i].process != 0 && state->places[i].slice->note[0] != '\0';
    }
    if (waiting != state->waiting) {
        progress_say(state, waiting ? "no room on the disk; waiting until there is"
                                    : "there is room on the disk again");
    }
    state->waiting = waiting;
}

/* One look at all processes; returns how many slices run. */
static unsigned look(struct state *state, bool more) {
    unsigned running = 0;
    for (unsigned i = 0; i < state->campaign->jobs; i++) {
        if (process_ended(&state->places[i].process)) {
            slice_end(state, i);
        }
        if (state->places[i].process == 0 && more) {
            slice_begin(state, i);
        }
        running += state->places[i].process != 0;
    }
    waiting_say(state);
    (void)process_ended(&state->judge);
    if (state->judge == 0 && campaign_stop == 0 && pending_count(state->campaign) > 0) {
        state->judge = process_begin(state, 0, judge_work);
    }
    return running;
}

/* What is left to be judged, as long as that may take. A judge takes what is pending when it
 * begins, so there may have to be another; one that gets nowhere is the last. */
static void judge_rest(struct state *state) {
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    double begin_at = clock_seconds();
    size_t before = SIZE_MAX, left;
    campaign_stop = 0; /* another Ctrl-C ends this as well */
    bool told = false;
    while (campaign_stop == 0 && clock_seconds() - begin_at < JUDGE_LAST_SECONDS) {
        if (state->judge == 0) {
            left = pending_count(state->campaign);
            if (left == 0 || left >= before) {
                return;
            }
            before = left;
            state->judge = process_begin(state, 0, judge_work);
        }
        if (!told) {
            progress_say(state, "judging and shrinking what was found; Ctrl-C leaves it for later");
            told = true;
        }
        (void)nanosleep(&pause, NULL);
        (void)process_ended(&state->judge);
    }
    if (state->judge > 0) {
        (void)kill(state->judge, SIGTERM);
        (void)waitpid(state->judge, NULL, 0);
    }
}

bool campaign_run(const struct campaign *campaign, bool *finished, struct problem *problem) {
    static struct state state;
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    const struct sigaction action = {.sa_handler = stop_ask};
    state = (struct state){.campaign = campaign, .terminal = isatty(STDERR_FILENO) == 1};
    if (!begin(&state, problem)) {
        return false;
    }
    for (size_t i = 0; i < state.slices.count; i++) {
        double end = state.slices.list[i].begin + state.slices.list[i].seconds;
        state.before = end > state.before ? end : state.before;
    }
    state.begin = clock_seconds();
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    struct sigaction before;
    if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) { /* nohup */
        (void)sigaction(SIGHUP, &action, NULL);
    }
    measure_first(&state);
    campaign_recheck(campaign);
    state.begin = clock_seconds();
    bool told = false;
    for (;;) {
        bool more = campaign_stop == 0 && campaign->seconds - elapsed(&state) > 1;
        if (look(&state, more) == 0 && !more) {
            break;
        }
        if (campaign_stop != 0 && !told) {
            progress_say(&state, "ending; what was found is kept");
            all_tell(&state);
            told = true;
        }
        progress_line(&state);
        (void)nanosleep(&pause, NULL);
    }
    *finished = campaign->seconds - elapsed(&state) <= 1;
    judge_rest(&state);
    if (state.terminal) {
        fputs("\r\033[K", stderr);
    }
    slices_release(&state.slices);
    return true;
}
