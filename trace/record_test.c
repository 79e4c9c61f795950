/* SPDX-License-Identifier: MIT
 *
 * record_test.c - the recorder writes down exactly what a program did
 *
 * This program started once more as `record_test --play NAME`, with the recorder inside,
 * does something known; the trace is compared with it. A player's own requests are told from those
 * of the C library by their sizes, OWN_FIRST to OWN_LAST.
 */
#include "record_reader.h"

#include "../bench/record_run.h"
#include "record_stream.h"

#include "../alloc/test_check.h"
#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sanitizers bring a malloc inside the program, which no preload can stand before. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MALLOC_IS_OWN true
#elif defined(__has_feature)
#define MALLOC_IS_OWN (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define MALLOC_IS_OWN false
#endif

enum {
    OWN_FIRST = 50000,
    OWN_LAST = 59999,
    BEFORE_MAIN = OWN_LAST,    /* bytes asked by a constructor */
    AFTER_MAIN = OWN_LAST - 1, /* by a destructor */
    KIND_MARK = OWN_LAST - 2,  /* around the operations of the player "kinds" */
    THREADS = 4,
    THREAD_ROUNDS = 4000,
    THREAD_SHARED = 64,
    CHAIN_STEPS = 100
};

/* Keeps the compiler from removing a pair of malloc and free. */
static void *volatile sink;

static void own_pair(size_t bytes) {
    sink = malloc(bytes);
    free(sink);
}

__attribute__((constructor)) static void before_main(void) {
    own_pair(BEFORE_MAIN);
}

__attribute__((destructor)) static void after_main(void) {
    own_pair(AFTER_MAIN);
}

/* ---- players ---- */

static int play_kinds(void) {
    volatile size_t huge = SIZE_MAX - OWN_LAST;
    own_pair(KIND_MARK);
    void *a = malloc(100);
    void *b = calloc(10, 20);
    a = realloc(a, 300);
    b = reallocarray(b, 30, 20);
    void *c = NULL;
    int status = posix_memalign(&c, 64, 128);
    void *d = aligned_alloc(256, 512);
    void *e = memalign(32, 33);
    void *f = valloc(5000);
    void *g = pvalloc(5000);
    void *volatile h = realloc(NULL, 77);
    void *i = malloc(0);
    sink = malloc(huge);
    status += sink != NULL;
    sink = reallocarray(h, huge, 16);
    status += sink != NULL;
    free(NULL);
    sink = realloc(h, 0);
    void *blocks[] = {a, b, c, d, e, f, g, i};
    for (size_t at = 0; at < sizeof blocks / sizeof blocks[0]; at++) {
        free(blocks[at]);
    }
    own_pair(KIND_MARK);
    return status;
}

static int play_chain(void) {
    char *block = malloc(OWN_FIRST);
    void *wall = NULL;
    for (size_t i = 1; i <= CHAIN_STEPS; i++) {
        block = realloc(block, OWN_FIRST + i);
        block[i] = 1;
        void *next = malloc(OWN_FIRST); /* makes the block move now and then */
        free(wall);
        wall = next;
    }
    free(wall);
    free(block);
    return 0;
}

static _Atomic(void *) shared[THREAD_SHARED];

static void *thread_play(void *context) {
    uint32_t random = (uint32_t)(uintptr_t)context;
    for (int i = 0; i < THREAD_ROUNDS; i++) {
        random = random * 1664525u + 1013904223u;
        void *block = malloc(OWN_FIRST + (random >> 16) % 1000);
        block = realloc(block, OWN_FIRST + 1000 + (random >> 20) % 1000);
        /* The other thread's block is freed here, ours by whoever comes next. */
        free(atomic_exchange(&shared[random >> 26], block));
    }
    return NULL;
}

static int play_threads(void) {
    pthread_t threads[THREADS];
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_ARENA_MAX, 1); /* one heap, so that addresses wander between the threads */
    for (uintptr_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, thread_play, (void *)(i + 1)) != 0) {
            return 1;
        }
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < THREAD_SHARED; i++) {
        free(shared[i]);
    }
    return 0;
}

static int play_fork(void) {
    void *parents[10];
    for (size_t i = 0; i < 10; i++) {
        parents[i] = malloc(OWN_FIRST);
    }
    pid_t child = fork();
    if (child == 0) {
        for (size_t i = 0; i < 10; i++) {
            free(parents[i]);
        }
        for (size_t i = 0; i < 7; i++) {
            own_pair(OWN_FIRST + 1);
        }
        _exit(0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    for (size_t i = 0; i < 10; i++) {
        free(parents[i]);
    }
    return status;
}

static int play_spawn(void) {
    own_pair(OWN_FIRST);
    pid_t child = vfork();
    if (child == 0) {
        _exit(3);
    }
    int vforked = 0;
    waitpid(child, &vforked, 0);
    char *const arguments[] = {"true", NULL};
    char *const nothing[] = {NULL};
    int spawned = 1;
    if (posix_spawn(&child, "/bin/true", NULL, NULL, arguments, nothing) == 0) {
        waitpid(child, &spawned, 0);
    }
    own_pair(OWN_FIRST + 1);
    return !(WEXITSTATUS(vforked) == 3 && spawned == 0);
}

/* Fills `out` with the words that start this program, emulator first, and then `last` ones. */
static void self_command(char **out, char *emulator, char *self, char *play) {
    size_t count = 0;
    for (char *word = strtok(emulator, " "); word != NULL; word = strtok(NULL, " ")) {
        out[count++] = word;
    }
    out[count++] = self;
    out[count++] = "--play";
    out[count++] = play;
    out[count] = NULL;
}

static char self_path[4096];

static int play_exec(void) {
    const char *run = getenv("HEAPRIG_RUN");
    char emulator[512];
    char *arguments[16];
    snprintf(emulator, sizeof emulator, "%s", run != NULL ? run : "");
    self_command(arguments, emulator, self_path, "kinds");
    own_pair(OWN_FIRST);
    execvp(arguments[0], arguments);
    return 1;
}

static int play_close(void) {
    closefrom(0);
    for (size_t i = 0; i < 10000; i++) {
        own_pair(OWN_FIRST);
    }
    _exit(5);
}

static int play_kill(void) {
    sink = malloc(OWN_FIRST);
    kill(getpid(), SIGKILL);
    return 1;
}

static int play_term(void) {
    sink = malloc(OWN_FIRST);
    kill(getppid(), SIGTERM); /* is to be passed on to us */
    pause();
    return 1;
}

static int play_nothing(void) {
    return 0;
}

static const struct player {
    const char *name;
    int (*play)(void);
} players[] = {{"kinds", play_kinds},    {"chain", play_chain}, {"threads", play_threads},
               {"fork", play_fork},      {"spawn", play_spawn}, {"exec", play_exec},
               {"close", play_close},    {"kill", play_kill},   {"term", play_term},
               {"nothing", play_nothing}};

static int player_run(const char *name) {
    for (size_t i = 0; i < sizeof players / sizeof players[0]; i++) {
        if (strcmp(players[i].name, name) == 0) {
            return players[i].play();
        }
    }
    return 2;
}

/* ---- recording a player ---- */

struct recording {
    char folder[64];
    struct preload_ran ran;
    struct record_image *images;
    size_t count;
    const struct record_image *image; /* the last of the program started */
    struct trace trace;
    struct record_notes notes;
};

static struct recording recording;

static void folder_open(void) {
    memset(&recording, 0, sizeof recording);
    snprintf(recording.folder, sizeof recording.folder, "/tmp/record-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(recording.folder));
}

static void folder_close(void) {
    DIR *entries = opendir(recording.folder);
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        unlinkat(dirfd(entries), entry->d_name, 0);
    }
    closedir(entries);
    rmdir(recording.folder);
    trace_release(&recording.trace);
    free(recording.images);
}

static void recording_load(const struct record_image *image, size_t max_ops) {
    struct problem problem = {""};
    trace_release(&recording.trace);
    bool loaded = record_reader_load(image, max_ops, &recording.trace, &recording.notes, &problem);
    ck_assert_msg(loaded, "%s", problem.text);
}

static void recording_list(void) {
    struct problem problem = {""};
    bool listed =
        record_reader_list(recording.folder, &recording.images, &recording.count, &problem);
    ck_assert_msg(listed, "%s", problem.text);
}

/* Records a player and loads the trace of its last image. */
static void recording_make(char *play) {
    char emulator[512];
    char preload[512];
    char *arguments[16];
    const char *run = getenv("HEAPRIG_RUN");
    const char *build = getenv("HEAPRIG_BUILD");
    struct problem problem = {""};
    snprintf(emulator, sizeof emulator, "%s", run != NULL ? run : "");
    snprintf(preload, sizeof preload, "%s/libheaprig_record.so", build != NULL ? build : "build");
    self_command(arguments, emulator, self_path, play);
    const struct record_run what = {
        .program = arguments, .preload = preload, .folder = recording.folder};
    bool ran = record_run(&what, &recording.ran, &problem);
    ck_assert_msg(ran, "%s", problem.text);
    recording_list();
    for (size_t i = 0; i < recording.count; i++) {
        if (recording.images[i].pid == (uint32_t)recording.ran.pid) {
            recording.image = &recording.images[i];
        }
    }
    ck_assert_msg(recording.image != NULL, "the player left no stream");
    recording_load(recording.image, TRACE_OPS_MAX);
}

/* What a trace says of requests of OWN_FIRST to OWN_LAST bytes. */
struct own {
    size_t kind[OP_KIND_COUNT];
    size_t bytes, peak_bytes, blocks, peak_blocks;
    size_t before_main, after_main;
};

static struct own own_count(const struct trace *trace) {
    struct own own = {.bytes = 0};
    size_t *live = calloc(trace->counts.slots, sizeof *live);
    for (size_t i = 0; i < trace->op_count; i++) {
        const struct op *op = &trace->ops[i];
        bool is_own = op->bytes >= OWN_FIRST && op->bytes <= OWN_LAST;
        size_t held = live[op->slot];
        live[op->slot] = is_own ? (size_t)op->bytes : 0;
        own.before_main += op->bytes == BEFORE_MAIN;
        own.after_main += op->bytes == AFTER_MAIN;
        own.kind[op->kind] += is_own || held != 0;
        own.bytes += live[op->slot] - held;
        own.blocks += (size_t)(live[op->slot] != 0) - (size_t)(held != 0);
        own.peak_bytes = own.bytes > own.peak_bytes ? own.bytes : own.peak_bytes;
        own.peak_blocks = own.blocks > own.peak_blocks ? own.blocks : own.peak_blocks;
    }
    free(live);
    return own;
}

/* Requests of the constructor, and of the destructor when the player returns. */
static void check_frame(const struct own *own, size_t destructors) {
    ck_assert_uint_eq(own->before_main, 1);
    ck_assert_uint_eq(own->after_main, destructors);
}

/* ---- tests with players ---- */

START_TEST(every_function_is_recorded) {
    static const struct op wanted[] = {
        {.kind = OP_ALLOC, .bytes = 100},
        {.kind = OP_CALLOC, .bytes = 200},
        {.kind = OP_REALLOC, .bytes = 300},
        {.kind = OP_REALLOC, .bytes = 600},
        {.kind = OP_ALIGNED, .bytes = 128, .align_log2 = 6},
        {.kind = OP_ALIGNED, .bytes = 512, .align_log2 = 8},
        {.kind = OP_ALIGNED, .bytes = 33, .align_log2 = 5},
        {.kind = OP_ALIGNED, .bytes = 5000, .align_log2 = 12},
        {.kind = OP_ALIGNED, .bytes = 8192, .align_log2 = 12},
        {.kind = OP_ALLOC, .bytes = 77},
        {.kind = OP_ALLOC, .bytes = 0},
        {.kind = OP_FREE},
        {.kind = OP_FREE},
        {.kind = OP_FREE},
        {.kind = OP_FREE},
        {.kind = OP_FREE},
        {.kind = OP_FREE},
        {.kind = OP_FREE},
        {.kind = OP_FREE},
        {.kind = OP_FREE},
        {.kind = OP_ALLOC, .bytes = KIND_MARK},
    };
    recording_make("kinds");
    ck_assert_int_eq(recording.ran.status, 0);
    const struct trace *trace = &recording.trace;
    size_t at = 0;
    while (at < trace->op_count && trace->ops[at].bytes != KIND_MARK) {
        at++;
    }
    at += 2; /* behind the mark and its free */
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        ck_assert_uint_lt(at + i, trace->op_count);
        const struct op *op = &trace->ops[at + i];
        ck_assert_msg(op->kind == wanted[i].kind && op->bytes == wanted[i].bytes &&
                          op->align_log2 == wanted[i].align_log2,
                      "op %zu: kind %d, %llu bytes, alignment 2^%d", i, op->kind,
                      (unsigned long long)op->bytes, op->align_log2);
    }
    ck_assert_uint_eq(recording.notes.failed, 2);
    ck_assert_uint_eq(trace->pointer_bits, sizeof(void *) * 8);
    ck_assert_ptr_nonnull(strstr(trace->command, "--play kinds"));
    ck_assert_str_eq(trace->origin, "recorded by heaprig");
    ck_assert_uint_gt(strlen(trace->arch), 0);
    const struct own own = own_count(trace);
    check_frame(&own, 1);
}
END_TEST

START_TEST(reallocs_keep_their_block) {
    recording_make("chain");
    const struct own own = own_count(&recording.trace);
    check_frame(&own, 1);
    ck_assert_uint_eq(own.kind[OP_ALLOC], 1 + CHAIN_STEPS + 2);
    ck_assert_uint_eq(own.kind[OP_REALLOC], CHAIN_STEPS);
    ck_assert_uint_eq(own.kind[OP_FREE], 1 + CHAIN_STEPS + 2);
    ck_assert_uint_eq(own.peak_bytes, 3 * OWN_FIRST + CHAIN_STEPS);
    ck_assert_uint_eq(own.peak_blocks, 3);
    ck_assert_uint_eq(own.bytes, 0);
    ck_assert_uint_eq(recording.notes.missed_frees, 0);
}
END_TEST

START_TEST(threads_lose_nothing) {
    recording_make("threads");
    ck_assert_int_eq(recording.ran.status, 0);
    const struct own own = own_count(&recording.trace);
    check_frame(&own, 1);
    ck_assert_uint_eq(own.kind[OP_ALLOC], THREADS * THREAD_ROUNDS + 2);
    ck_assert_uint_eq(own.kind[OP_REALLOC], THREADS * THREAD_ROUNDS);
    ck_assert_uint_eq(own.kind[OP_FREE], THREADS * THREAD_ROUNDS + 2);
    ck_assert_uint_le(own.peak_blocks, THREAD_SHARED + 2 * THREADS);
    ck_assert_uint_eq(own.blocks, 0);
    ck_assert_uint_eq(recording.trace.counts.threads, THREADS + 1);
    ck_assert_uint_eq(recording.notes.missed_frees, 0);
    ck_assert_uint_eq(recording.notes.unfilled, 0);
}
END_TEST

START_TEST(forked_children_have_their_own_stream) {
    recording_make("fork");
    ck_assert_int_eq(recording.ran.status, 0);
    ck_assert_uint_eq(recording.count, 2);
    struct own own = own_count(&recording.trace);
    check_frame(&own, 1);
    ck_assert_uint_eq(own.kind[OP_ALLOC], 12);
    ck_assert_uint_eq(own.kind[OP_FREE], 12);
    ck_assert(!recording.images[0].forked);
    ck_assert(recording.images[1].forked);
    recording_load(&recording.images[1], TRACE_OPS_MAX);
    own = own_count(&recording.trace);
    ck_assert_uint_eq(recording.notes.unknown_frees, 10);
    ck_assert_uint_eq(own.kind[OP_ALLOC], 7);
    ck_assert_uint_eq(own.kind[OP_FREE], 7);
}
END_TEST

START_TEST(vfork_and_spawn_do_no_harm) {
    recording_make("spawn");
    ck_assert_int_eq(recording.ran.status, 0);
    const struct own own = own_count(&recording.trace);
    check_frame(&own, 1);
    ck_assert_uint_eq(own.kind[OP_ALLOC], 4);
    ck_assert_uint_eq(own.bytes, 0);
    ck_assert_uint_eq(recording.count, 1);
}
END_TEST

START_TEST(exec_begins_a_new_stream) {
    recording_make("exec");
    ck_assert_uint_eq(recording.count, 2);
    struct own own = own_count(&recording.trace);
    check_frame(&own, 1);
    ck_assert_uint_eq(own.kind[OP_ALLOC], 4);
    ck_assert_uint_eq(recording.image->image, 1);
    ck_assert_uint_eq(recording.notes.failed, 2);
    recording_load(&recording.images[0], TRACE_OPS_MAX);
    own = own_count(&recording.trace);
    check_frame(&own, 0);
    ck_assert_uint_eq(own.kind[OP_ALLOC], 2);
    ck_assert_ptr_nonnull(strstr(recording.images[0].command, "--play exec"));
}
END_TEST

START_TEST(closed_descriptors_lose_nothing) {
    recording_make("close");
    ck_assert_int_eq(recording.ran.status, 5);
    const struct own own = own_count(&recording.trace);
    check_frame(&own, 0);
    ck_assert_uint_eq(own.kind[OP_ALLOC], 10001);
    ck_assert_uint_eq(own.kind[OP_FREE], 10001);
}
END_TEST

START_TEST(killed_programs_leave_their_trace) {
    static char *const plays[] = {"kill", "term"};
    recording_make(plays[_i]);
    ck_assert_int_eq(recording.ran.status, 128 + (_i == 0 ? SIGKILL : SIGTERM));
    const struct own own = own_count(&recording.trace);
    ck_assert_uint_eq(own.kind[OP_ALLOC], 2);
    ck_assert_uint_eq(own.blocks, 1);
}
END_TEST

START_TEST(the_first_operations_can_be_kept) {
    recording_make("chain");
    const size_t all = recording.trace.op_count;
    struct trace whole = recording.trace;
    recording.trace = (struct trace){.op_count = 0};
    recording_load(recording.image, all / 2);
    ck_assert_uint_eq(recording.trace.op_count, all / 2);
    ck_assert_int_eq(memcmp(whole.ops, recording.trace.ops, all / 2 * sizeof(struct op)), 0);
    ck_assert_uint_gt(recording.notes.left_out, 0);
    trace_release(&whole);
}
END_TEST

START_TEST(heaprig_passes_the_status_on) {
    const char *run = getenv("HEAPRIG_RUN");
    const char *build = getenv("HEAPRIG_BUILD");
    char command[8192];
    run = run != NULL ? run : "";
    build = build != NULL ? build : "build";
    snprintf(command, sizeof command,
             "%s %s/heaprig record -o %s/x.hrt --preload %s/libheaprig_record.so -- "
             "%s %s --play close 2>%s/x.log",
             run, build, recording.folder, build, run, self_path, recording.folder);
    ck_assert_int_eq(WEXITSTATUS(system(command)), 5);
    char path[128];
    struct problem problem = {""};
    snprintf(path, sizeof path, "%s/x.hrt", recording.folder);
    ck_assert_msg(trace_load(path, &recording.trace, &problem), "%s", problem.text);
    const struct own own = own_count(&recording.trace);
    ck_assert_uint_eq(own.kind[OP_ALLOC], 10001);
}
END_TEST

START_TEST(unknown_programs_are_refused) {
    char *const program[] = {"/no/such/program", NULL};
    const struct record_run what = {.program = program, .folder = recording.folder};
    struct problem problem = {""};
    ck_assert(!record_run(&what, &recording.ran, &problem));
    ck_assert_ptr_nonnull(strstr(problem.text, "no such program"));
}
END_TEST

static TCase *players_case(void) {
    TCase *playing = tcase_create("players");
    tcase_add_checked_fixture(playing, folder_open, folder_close);
    tcase_set_timeout(playing, 60);
    tcase_add_test(playing, every_function_is_recorded);
    tcase_add_test(playing, reallocs_keep_their_block);
    tcase_add_test(playing, threads_lose_nothing);
    tcase_add_test(playing, forked_children_have_their_own_stream);
    tcase_add_test(playing, vfork_and_spawn_do_no_harm);
    tcase_add_test(playing, exec_begins_a_new_stream);
    tcase_add_test(playing, closed_descriptors_lose_nothing);
    tcase_add_loop_test(playing, killed_programs_leave_their_trace, 0, 2);
    tcase_add_test(playing, the_first_operations_can_be_kept);
    tcase_add_test(playing, heaprig_passes_the_status_on);
    return playing;
}

static Suite *record_suite(void) {
    Suite *suite = suite_create("record");
    TCase *refusals = tcase_create("refusals");
    tcase_add_checked_fixture(refusals, folder_open, folder_close);
    tcase_add_test(refusals, unknown_programs_are_refused);
    suite_add_tcase(suite, refusals);
    if (MALLOC_IS_OWN) {
        fputs("skipped: recording programs, the sanitizer has a malloc of its own\n", stderr);
    } else {
        suite_add_tcase(suite, players_case());
    }
    return suite;
}

int main(int argc, char **argv) {
    if (realpath(argv[0], self_path) == NULL) {
        return 2;
    }
    if (argc == 3 && strcmp(argv[1], "--play") == 0) {
        return player_run(argv[2]);
    }
    return test_main(record_suite());
}
