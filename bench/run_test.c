/* SPDX-License-Identifier: MIT
 *
 * run_test.c - `heaprig run` from outside: the malloc family as programs know it, on every
 * allocator of general use and a plug-in; what it refuses; what it says of misuse
 *
 * This program started once more as `run_test --play NAME`, on the allocator, checks what it gets
 * and exits with 0, or 1 after a line.
 */
#include "test_shell.h"

#include "../alloc/alloc.h"
#include "malloc_pool.h"

#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
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

enum { THREADS = 4, THREAD_ROUNDS = 20000, SHARED = 64, BLOCKS = 300, STEPS = 30000 };

/* ---- players ---- */

#define PLAY_EXPECT(condition)                                                                     \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "run_test.c:%d: expected %s\n", __LINE__, #condition);                 \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static bool is_filled(const unsigned char *p, size_t bytes, unsigned char with) {
    for (size_t i = 0; i < bytes; i++) {
        if (p[i] != with) {
            return false;
        }
    }
    return true;
}

static void *volatile before_main_block;

__attribute__((constructor)) static void before_main(void) {
    before_main_block = malloc(1000);
    memset(before_main_block, 7, 1000);
}

__attribute__((destructor)) static void after_main(void) {
    PLAY_EXPECT(is_filled(before_main_block, 1000, 7));
    free(before_main_block);
    free(malloc(10));
}

static uint32_t random_next(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Every function once, with what the manual says of its corners. */
static int play_family(void) {
    volatile size_t huge = SIZE_MAX - 100;
    void *none = malloc(0);
    void *other = malloc(0);
    PLAY_EXPECT(none != NULL && other != NULL && none != other);
    free(none);
    free(other);
    free(NULL);
    errno = 0;
    PLAY_EXPECT(malloc(huge) == NULL && errno == ENOMEM);
    errno = 0;
    PLAY_EXPECT(calloc(huge / 2, 4) == NULL && errno == ENOMEM);
    errno = 0;
    PLAY_EXPECT(malloc(SIZE_MAX / 2) == NULL && errno == ENOMEM);
    void *p = malloc(100);
    memset(p, 1, malloc_usable_size(p));
    errno = 0;
    PLAY_EXPECT(realloc(p, huge) == NULL && errno == ENOMEM);
    errno = 0;
    PLAY_EXPECT(reallocarray(p, huge / 8, 16) == NULL && errno == ENOMEM);
    PLAY_EXPECT(malloc_usable_size(p) >= 100 && malloc_usable_size(NULL) == 0);
    p = reallocarray(p, 100, 30);
    PLAY_EXPECT(p != NULL && is_filled(p, 100, 1));
    PLAY_EXPECT(realloc(p, 0) == NULL);
    p = realloc(NULL, 50);
    PLAY_EXPECT(p != NULL);
    free(p);
    errno = 77;
    PLAY_EXPECT(posix_memalign(&p, 24, 10) == EINVAL && posix_memalign(&p, 2, 10) == EINVAL);
    PLAY_EXPECT(posix_memalign(&p, 64, huge) == ENOMEM && errno == 77);
    free(malloc(10));
    PLAY_EXPECT(errno == 77);
    void *last = valloc(1);
    PLAY_EXPECT((uintptr_t)last % 4096 == 0);
    free(last);
    last = pvalloc(5000);
    PLAY_EXPECT((uintptr_t)last % 4096 == 0 && malloc_usable_size(last) >= 8192);
    free(last);
    last = aligned_alloc(256, 512);
    PLAY_EXPECT((uintptr_t)last % 256 == 0);
    last = realloc(last, 5000);
    free(last);
    last = memalign(48, 33);
    PLAY_EXPECT((uintptr_t)last % 64 == 0);
    free(last);
    return 0;
}

/* Zeros even where something was before, also when there are pages of them. */
static int play_zeros(void) {
    static const size_t sizes[] = {1, 100, 5000, 100000, 1 << 20, 3000001};
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            unsigned char *before = malloc(8);
            unsigned char *p = calloc(sizes[i], 1);
            unsigned char *behind = malloc(8);
            PLAY_EXPECT(p != NULL && is_filled(p, sizes[i], 0));
            before[7] = behind[0] = 9;
            memset(p, 0xFF, sizes[i]);
            free(p);
            p = calloc(1, sizes[i]);
            PLAY_EXPECT(p != NULL && is_filled(p, sizes[i], 0));
            PLAY_EXPECT(before[7] == 9 && behind[0] == 9);
            memset(p, 0xFF, sizes[i]);
            free(p);
            free(before);
            free(behind);
        }
    }
    return 0;
}

/* A random mix keeps contents and alignments: any block may hold a max_align_t. */
static int play_mix(void) {
    struct {
        unsigned char *p;
        size_t bytes;
        unsigned char with;
    } block[BLOCKS] = {{.p = NULL}};
    uint32_t random = 1;
    for (int step = 0; step < STEPS; step++) {
        size_t i = random_next(&random) % BLOCKS;
        size_t bytes = 1 + random_next(&random) % (1u << random_next(&random) % 14);
        size_t align = _Alignof(max_align_t);
        size_t kept = bytes < block[i].bytes ? bytes : block[i].bytes;
        if (block[i].p != NULL && random_next(&random) % 2 == 0) {
            PLAY_EXPECT(is_filled(block[i].p, block[i].bytes, block[i].with));
            free(block[i].p);
            block[i].p = NULL;
            block[i].bytes = 0;
            continue;
        }
        if (block[i].p == NULL && random_next(&random) % 8 == 0) {
            align <<= random_next(&random) % 9;
            block[i].p = memalign(align, bytes);
        } else {
            block[i].p = realloc(block[i].p, bytes);
        }
        PLAY_EXPECT(block[i].p != NULL && (uintptr_t)block[i].p % align == 0);
        PLAY_EXPECT(is_filled(block[i].p, kept, block[i].with));
        block[i].bytes = malloc_usable_size(block[i].p);
        PLAY_EXPECT(block[i].bytes >= bytes);
        block[i].with = (unsigned char)step;
        memset(block[i].p, block[i].with, block[i].bytes);
    }
    return 0;
}

static _Atomic(unsigned char *) shared[SHARED];

static void *thread_play(void *context) {
    uint32_t random = (uint32_t)(uintptr_t)context;
    for (int i = 0; i < THREAD_ROUNDS; i++) {
        size_t bytes = 1 + random_next(&random) % 500;
        unsigned char *p = malloc(bytes);
        PLAY_EXPECT(p != NULL);
        p[0] = p[bytes - 1] = (unsigned char)bytes;
        p = realloc(p, bytes + 300);
        PLAY_EXPECT(p != NULL && p[0] == (unsigned char)bytes);
        p[0] = 1;
        unsigned char *theirs = atomic_exchange(&shared[random_next(&random) % SHARED], p);
        PLAY_EXPECT(theirs == NULL || theirs[0] == 1);
        free(theirs);
    }
    return NULL;
}

static int play_threads(void) {
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        PLAY_EXPECT(pthread_create(&threads[i], NULL, thread_play, (void *)(i + 1)) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < SHARED; i++) {
        free(shared[i]);
    }
    return play_mix();
}

/* Children of a fork in the midst of other threads' calls find a heap that is whole and free. */
static int play_fork(void) {
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        PLAY_EXPECT(pthread_create(&threads[i], NULL, thread_play, (void *)(i + 1)) == 0);
    }
    for (int round = 0; round < 20; round++) {
        pid_t child = fork();
        if (child == 0) {
            for (int i = 0; i < 1000; i++) {
                free(realloc(malloc(100), 5000));
            }
            _exit(5);
        }
        int status = 1;
        PLAY_EXPECT(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 5);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pid_t child = vfork();
    if (child == 0) {
        _exit(3);
    }
    int status = 1;
    PLAY_EXPECT(waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 3);
    return play_mix();
}

/* Libraries come and go, with errors in between. */
static int play_dlopen(void) {
    for (int i = 0; i < 20; i++) {
        void *library = dlopen("libm.so.6", RTLD_NOW);
        PLAY_EXPECT(library != NULL && dlsym(library, "sin") != NULL);
        PLAY_EXPECT(dlsym(library, "no_such_function") == NULL && dlerror() != NULL);
        PLAY_EXPECT(dlopen("/no/such/library.so", RTLD_NOW) == NULL && dlerror() != NULL);
        dlclose(library);
    }
    return 0;
}

/* In a pool of 4 MiB: memory ends, is said to, and can be used again. */
static int play_exhaust(void) {
    enum { MOST = 1000 };
    void *block[MOST];
    size_t count = 0;
    errno = 0;
    while (count < MOST && (block[count] = malloc(10000)) != NULL) {
        count++;
    }
    PLAY_EXPECT(count > 200 && count < 420 && errno == ENOMEM);
    errno = 0;
    PLAY_EXPECT(realloc(block[0], 4 << 20) == NULL && errno == ENOMEM);
    errno = 0;
    PLAY_EXPECT(calloc(1, 4 << 20) == NULL && errno == ENOMEM);
    while (count > 0) {
        free(block[--count]);
    }
    block[0] = malloc(1 << 20);
    PLAY_EXPECT(block[0] != NULL);
    free(block[0]);
    return 0;
}

static int play_exit_41(void) {
    return 41;
}

static int play_kill(void) {
    raise(SIGKILL);
    return 0;
}

static void *volatile victim;

static int play_double_free(void) {
    victim = malloc(1000);
    free(victim);
    free(victim);
    return 0;
}

static int play_stack_free(void) {
    char array[64] = "";
    victim = array;
    free(victim);
    return 0;
}

static int play_middle_free(void) {
    victim = malloc(1000);
    free((char *)victim + 3);
    return 0;
}

static int play_dead_realloc(void) {
    victim = malloc(1000);
    free(victim);
    victim = realloc(victim, 2000);
    return 0;
}

static const struct player {
    const char *name;
    int (*play)(void);
} players[] = {
    {"family", play_family},
    {"zeros", play_zeros},
    {"mix", play_mix},
    {"threads", play_threads},
    {"fork", play_fork},
    {"dlopen", play_dlopen},
    {"exhaust", play_exhaust},
    {"exit_41", play_exit_41},
    {"kill", play_kill},
    {"double_free", play_double_free},
    {"stack_free", play_stack_free},
    {"middle_free", play_middle_free},
    {"dead_realloc", play_dead_realloc},
};

static int player_run(const char *name) {
    for (size_t i = 0; i < sizeof players / sizeof players[0]; i++) {
        if (strcmp(players[i].name, name) == 0) {
            return players[i].play();
        }
    }
    return 2;
}

/* ---- running them ---- */

static char self_path[4096];

/* `heaprig run OPTIONS -- this program --play NAME`: its exit status. */
static int play(const char *options, const char *name) {
    char arguments[8192];
    const char *build = shell_environment("HEAPRIG_BUILD", "build");
    (void)snprintf(arguments, sizeof arguments,
                   "run %s --preload %s/libheaprig_malloc.so -- %s %s --play %s", options, build,
                   shell_environment("HEAPRIG_RUN", ""), self_path, name);
    return shell_heaprig(arguments);
}

#define PLAYS(wanted, options, name)                                                               \
    do {                                                                                           \
        int status = play(options, name);                                                          \
        ck_assert_msg(status == (wanted), "%s, %s: exit %d, expected %d\n%s", options, name,       \
                      status, wanted, shell_output);                                               \
    } while (0)

static const char *const general[] = {"tlsf", "tlsf_frugal", "tlsf_fast", "bestfit", "buddy"};
enum { GENERAL = sizeof general / sizeof general[0] };

START_TEST(every_allocator_is_a_malloc) {
    static const char *const plays[] = {"family", "zeros", "mix", "threads", "fork", "dlopen"};
    char options[64];
    for (size_t i = 0; i < sizeof plays / sizeof plays[0]; i++) {
        (void)snprintf(options, sizeof options, "-a %s", general[_i]);
        PLAYS(0, options, plays[i]);
        ck_assert_str_eq(shell_output, "");
    }
    (void)snprintf(options, sizeof options, "-a %s --pool 4194304", general[_i]);
    PLAYS(0, options, "exhaust");
    (void)snprintf(options, sizeof options, "-a %s --stats", general[_i]);
    PLAYS(0, options, "threads");
    SHELL_SAYS("peak live");
    SHELL_SAYS("; 0 failed");
}
END_TEST

START_TEST(misuse_ends_the_program_with_a_line) {
    char options[64];
    (void)snprintf(options, sizeof options, "-a %s", general[_i]);
    PLAYS(128 + SIGABRT, options, "double_free");
    SHELL_SAYS("]: free(0x");
    SHELL_SAYS("is free already, or no block starts there");
    PLAYS(128 + SIGABRT, options, "stack_free");
    SHELL_SAYS("is no memory of this malloc's");
    PLAYS(128 + SIGABRT, options, "middle_free");
    SHELL_SAYS("]: free(0x");
    PLAYS(128 + SIGABRT, options, "dead_realloc");
    SHELL_SAYS("]: realloc(0x");
}
END_TEST

/* One with few blocks and all functions, and one that has the least and hardly frees. */
START_TEST(plugins_are_mallocs) {
    char options[512];
    const char *build = shell_environment("HEAPRIG_BUILD", "build");
    (void)snprintf(options, sizeof options, "-a %s/fuzz/canary_plugin.so", build);
    PLAYS(0, options, "dlopen");
    PLAYS(0, options, "zeros");
    (void)snprintf(options, sizeof options, "-a %s/bench/example_plugin.so", build);
    PLAYS(0, options, "zeros");
    PLAYS(0, options, "dlopen");
    PLAYS(0, "-a bump", "zeros");
}
END_TEST

START_TEST(the_status_is_the_programs) {
    PLAYS(41, "", "exit_41");
    PLAYS(128 + SIGKILL, "", "kill");
}
END_TEST

/* ---- refusals ---- */

START_TEST(bad_input_exits_2) {
    static const struct {
        const char *arguments, *says;
    } rows[] = {
        {"run", "no program to run"},
        {"run -a tlsff -- true", "did you mean 'tlsf"},
        {"run -a bestfit_little -- true", "bestfit_little: its pools are too small"},
        {"run -a membox -- true", "membox: all its blocks have one size"},
        {"run -a glibc -- true", "glibc: it takes memory from the system's malloc"},
        {"run -a lock:tlsf -- true", "lock:tlsf: expected an own allocator or the path"},
        {"run -a ./nosuch.so -- true", "no such file, expected a plug-in"},
        {"run -a ./README.md -- true", "not loadable, expected a shared object"},
        {"run -a $B/bench/no_table_plugin.so -- true", "expected it to export heaprig_allocator"},
        {"run -a $B/bench/other_abi_plugin.so -- true", "built for ABI"},
        {"run --pool 100 -- true", "expected a number from"},
        {"run --poll 100 -- true", "unrecognized option"},
        {"run -- nosuchprogram", "nosuchprogram: no such program"},
        {"run -- ./README.md", "./README.md: no such program"},
        {"run --preload ./README.md -- true", "not a shared object"},
    };
    (void)setenv("B", shell_environment("HEAPRIG_BUILD", "build"), 1);
    int status = shell_heaprig(rows[_i].arguments);
    ck_assert_msg(status == 2, "%s: exit %d\n%s", rows[_i].arguments, status, shell_output);
    SHELL_SAYS(rows[_i].says);
    ck_assert_int_lt(_i, (int)(sizeof rows / sizeof rows[0]));
}
END_TEST

enum { BAD_INPUTS = 15 };

/* Into such programs nothing can be preloaded; without a word they would run on another malloc. */
START_TEST(programs_beyond_reach_are_refused) {
    char command[512];
    char folder[] = "/tmp/heaprig_run_XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(command, sizeof command,
                   "echo 'int main(void) { return 0; }' | gcc -static -x c - -o %s/static", folder);
    ck_assert_int_eq(shell(command), 0);
    (void)snprintf(command, sizeof command, "run -- %s/static", folder);
    ck_assert_int_eq(shell_heaprig(command), 2);
    SHELL_SAYS("linked statically");
    (void)snprintf(command, sizeof command,
                   "cp /bin/true %s/other && chown 12345 %s/other && chmod 4755 %s/other", folder,
                   folder, folder);
    if (shell(command) == 0) { /* only root may */
        (void)snprintf(command, sizeof command, "run -- %s/other", folder);
        ck_assert_int_eq(shell_heaprig(command), 2);
        SHELL_SAYS("setuid");
    }
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert_int_eq(shell(command), 0);
}
END_TEST

static TCase *case_add(Suite *suite, const char *name) {
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 240);
    suite_add_tcase(suite, tcase);
    return tcase;
}

static Suite *run_suite(void) {
    Suite *suite = suite_create("run");
    TCase *refusals = case_add(suite, "refusals");
    tcase_add_loop_test(refusals, bad_input_exits_2, 0, BAD_INPUTS);
    if (shell_environment("HEAPRIG_RUN", "")[0] == '\0') {
        tcase_add_test(refusals, programs_beyond_reach_are_refused);
    }
    if (MALLOC_IS_OWN) {
        fputs("skipped: running programs, the sanitizer has a malloc of its own\n", stderr);
        return suite;
    }
    TCase *playing = case_add(suite, "players");
    tcase_add_loop_test(playing, every_allocator_is_a_malloc, 0, GENERAL);
    tcase_add_loop_test(playing, misuse_ends_the_program_with_a_line, 0, GENERAL);
    tcase_add_test(playing, plugins_are_mallocs);
    tcase_add_test(playing, the_status_is_the_programs);
    return suite;
}

int main(int argc, char **argv) {
    if (realpath(argv[0], self_path) == NULL) {
        return 2;
    }
    if (argc == 3 && strcmp(argv[1], "--play") == 0) {
        return player_run(argv[2]);
    }
    return test_main(run_suite());
}
