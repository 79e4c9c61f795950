/* SPDX-License-Identifier: MIT
 *
 * malloc_lock_test.c - the lock of a process's malloc, without the malloc: never two inside,
 * whoever owns it, takes it away, forks or ends, and also where the kernel refuses membarrier()
 *
 * Programs would notice a broken lock rarely, and as a broken heap. Here nothing is protected but
 * plain variables that any two threads inside would spoil, and the lock is taken from its owner
 * thousands of times, in the moments it goes in and out. What ThreadSanitizer sees of it (make
 * test-full) is the order that release and acquire make; of what membarrier() orders, only the
 * races below tell.
 */
#include "malloc_lock.h"

#include "../alloc/white_box.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

/* ThreadSanitizer has a thread of its own and holds signals back. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN true
#elif defined(__has_feature)
#define UNDER_TSAN __has_feature(thread_sanitizer)
#else
#define UNDER_TSAN false
#endif

#define RACES_NS INT64_C(2000000000)

enum { STOP_NS = 100000, LINGER_NS = 20000 };
enum {
    THREADS = 3,
    RACES = 4000,
    STOPS = 200,
    TURNS = 60,
    TAKES = 5000,
    LONG_STREAK = 3 * LOCK_STREAK_MOST
};

/* ---- what is protected ---- */

static volatile uint64_t count;         /* takes */
static volatile uintptr_t holder;       /* thread pointer of who is inside */
static uint64_t count_again;            /* of the same takes: differs while someone is inside */
static _Atomic uint64_t takes_expected; /* what every thread has done */
static _Atomic uint64_t collisions;     /* moments at which two were inside */
static _Atomic uint64_t takes_by_key[3];

static void protected_work(void) {
    uintptr_t me = malloc_lock_me();
    uint64_t seen = holder;
    holder = me;
    count = count + 1;
    if (seen != 0 || holder != me) {
        atomic_fetch_add(&collisions, 1);
    }
    count_again++;
    holder = 0;
}

/* One take; how it was taken. */
static uint32_t take_once(void) {
    uint32_t key = malloc_lock(NULL);
    protected_work();
    malloc_unlock(NULL, key);
    return key;
}

static void take(uint64_t times) {
    uint64_t by_key[3] = {0};
    for (uint64_t i = 0; i < times; i++) {
        by_key[take_once()]++;
    }
    for (int key = 0; key < 3; key++) {
        atomic_fetch_add(&takes_by_key[key], by_key[key]);
    }
    atomic_fetch_add(&takes_expected, times);
}

static void expect_exact(void) {
    ck_assert_uint_eq(atomic_load(&collisions), 0);
    ck_assert_uint_eq(count, atomic_load(&takes_expected));
    ck_assert_uint_eq(count_again, count);
}

static uintptr_t owner_now(void) {
    return atomic_load_explicit(&malloc_lock_state.owner, memory_order_relaxed);
}

/* ---- threads ---- */

static pthread_t thread_start(void *(*run)(void *), void *context) {
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, run, context) == 0);
    return thread;
}

static pthread_barrier_t idle_barrier;

static void *idle(void *context) {
    (void)context;
    pthread_barrier_wait(&idle_barrier);
    pthread_barrier_wait(&idle_barrier);
    return NULL;
}

/* Makes the process one of several threads; they wait for idle_end(). None is still starting then:
 * AddressSanitizer allocates in a thread's start, and the child of a fork in that moment would have
 * its allocator locked for ever. */
static pthread_t idle_begin(void) {
    malloc_lock_start();
    pthread_barrier_init(&idle_barrier, NULL, 2);
    pthread_t thread = thread_start(idle, NULL);
    pthread_barrier_wait(&idle_barrier);
    return thread;
}

static void idle_end(pthread_t thread) {
    pthread_barrier_wait(&idle_barrier);
    pthread_join(thread, NULL);
}

static void *take_one_thread(void *context) {
    uint32_t *key = context;
    *key = take_once();
    atomic_fetch_add(&takes_expected, 1);
    return NULL;
}

/* A take by another thread: how it was taken. */
static uint32_t take_elsewhere(void) {
    uint32_t key = 0;
    pthread_join(thread_start(take_one_thread, &key), NULL);
    return key;
}

/* ---- bias comes and goes ---- */

START_TEST(one_thread_takes_nothing) {
    malloc_lock_start();
    take(10);
    ck_assert_uint_eq(takes_by_key[LOCK_KEY_NONE], 10);
    expect_exact();
}
END_TEST

/* The first take begins the streak, those behind it are counted. */
START_TEST(a_streak_makes_an_owner_and_others_end_it) {
    pthread_t thread = idle_begin();
    ck_assert_uint_eq(malloc_lock_state.streak, LOCK_STREAK_LEAST);
    for (uint32_t streak = LOCK_STREAK_LEAST; streak <= LOCK_STREAK_MOST; streak *= 2) {
        take(streak);
        ck_assert(owner_now() == 0);
        take(1);
        ck_assert(owner_now() == malloc_lock_me());
        ck_assert_uint_eq(take_once(), LOCK_KEY_OWNER);
        atomic_fetch_add(&takes_expected, 1);
        ck_assert_uint_eq(take_elsewhere(), LOCK_KEY_MUTEX);
        ck_assert(owner_now() == 0);
        ck_assert_uint_eq(malloc_lock_state.streak,
                          streak < LOCK_STREAK_MOST ? 2 * streak : LOCK_STREAK_MOST);
        ck_assert_uint_eq(take_once(), LOCK_KEY_MUTEX);
        atomic_fetch_add(&takes_expected, 1);
        take_elsewhere();
    }
    idle_end(thread);
    expect_exact();
}
END_TEST

static _Atomic bool stays_inside;

static void *enter_late(void *context) {
    _Atomic bool *is_done = context;
    malloc_lock_take_mutex();
    EXPECT(!atomic_load(&stays_inside));
    malloc_lock_give_mutex();
    atomic_store(is_done, true);
    return NULL;
}

/* Without the wait for `inside` this fails at once. */
START_TEST(an_owner_inside_is_waited_for) {
    _Atomic bool is_done = false;
    pthread_t thread = idle_begin();
    take(LOCK_STREAK_LEAST + 1);
    uint32_t key = malloc_lock(NULL);
    ck_assert_uint_eq(key, LOCK_KEY_OWNER);
    atomic_store(&stays_inside, true);
    pthread_t late = thread_start(enter_late, &is_done);
    while (owner_now() != 0) {
        sched_yield();
    }
    malloc_lock_nap(20 * LOCK_NAP_NS);
    ck_assert(!atomic_load(&is_done));
    atomic_store(&stays_inside, false);
    malloc_unlock(NULL, key);
    pthread_join(late, NULL);
    ck_assert(atomic_load(&is_done));
    idle_end(thread);
}
END_TEST

/* ---- never two inside ---- */

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static _Atomic bool races_end;

static void *race_owner(void *context) {
    (void)context;
    while (!atomic_load_explicit(&races_end, memory_order_relaxed)) {
        take(64);
    }
    return NULL;
}

/* Takes the lock from its owner at any moment of going in and out; a busy machine may not have the
 * time for all rounds. */
static void races(uint64_t random, int rounds) {
    uint32_t streak = LOCK_STREAK_LEAST;
    pthread_t owner = thread_start(race_owner, NULL);
    int64_t end = now_ns() + RACES_NS;
    for (int i = 0; i < rounds && now_ns() < end; i++) {
        while (owner_now() == 0 && streak != 0) {
            sched_yield();
        }
        for (volatile uint32_t wait = random_below(&random, 200); wait > 0; wait--) {
        }
        uint32_t key = malloc_lock(NULL);
        protected_work();
        streak = malloc_lock_state.streak != 0 ? LOCK_STREAK_LEAST : 0;
        malloc_lock_state.streak = streak;
        malloc_unlock(NULL, key);
        atomic_fetch_add(&takes_expected, 1);
    }
    atomic_store(&races_end, true);
    pthread_join(owner, NULL);
}

START_TEST(taking_it_from_its_owner_is_exact) {
    malloc_lock_start();
    races(seed_of(1), RACES);
    ck_assert_uint_gt(takes_by_key[LOCK_KEY_OWNER], 0);
    expect_exact();
}
END_TEST

static _Atomic bool stopper_is_in;
static _Atomic int stops_begun, stops_ended;

/* Between any two instructions of the owner, for as long as the other needs to get in. */
static void stop_here(int signal) {
    (void)signal;
    atomic_fetch_add(&stops_begun, 1);
    for (int64_t end = now_ns() + STOP_NS; now_ns() < end && !atomic_load(&stopper_is_in);) {
    }
    atomic_fetch_add(&stops_ended, 1);
}

/* Takes the lock while the owner stands still, and stays in until that has gone on for a while. */
static void stop_and_take(pthread_t owner) {
    int stop = atomic_load(&stops_begun) + 1;
    pthread_kill(owner, SIGUSR1);
    while (atomic_load(&stops_begun) != stop) {
        sched_yield();
    }
    uint32_t key = malloc_lock(NULL);
    uint64_t count_before = count;
    holder = malloc_lock_me();
    malloc_lock_state.streak = LOCK_STREAK_LEAST;
    atomic_store(&stopper_is_in, true);
    while (atomic_load(&stops_ended) != stop) {
        sched_yield();
    }
    for (int64_t end = now_ns() + LINGER_NS; now_ns() < end;) {
    }
    if (count != count_before || holder != malloc_lock_me()) {
        atomic_fetch_add(&collisions, 1);
    }
    holder = 0;
    atomic_store(&stopper_is_in, false);
    malloc_unlock(NULL, key);
}

/* An owner that only looked before it stored `inside` would go in here behind the other. */
START_TEST(taking_it_from_an_owner_that_stands_still_is_exact) {
    malloc_lock_start();
    (void)signal(SIGUSR1, stop_here);
    pthread_t owner = thread_start(race_owner, NULL);
    int64_t end = now_ns() + RACES_NS;
    for (int i = 0; i < STOPS && now_ns() < end; i++) {
        while (owner_now() == 0) {
            sched_yield();
        }
        stop_and_take(owner);
    }
    atomic_store(&races_end, true);
    pthread_join(owner, NULL);
    expect_exact();
}
END_TEST

static pthread_barrier_t turn_barrier;

/* Phases: one thread alone for a streak of any length, each in turn, all at once. */
static void *mixed_thread(void *context) {
    uint32_t number = (uint32_t)(uintptr_t)context;
    uint64_t random = seed_of(2);
    for (int turn = 0; turn < TURNS; turn++) {
        uint32_t kind = random_below(&random, 3);
        uint32_t times = 1 + random_below(&random, 4u << random_below(&random, 12));
        uint32_t chosen = random_below(&random, THREADS);
        if (kind == 0 && chosen == number) {
            take(times);
        } else if (kind == 1) {
            for (uint32_t i = 0; i < TAKES / 10; i++) {
                take(1 + (i + number) % 3);
                sched_yield();
            }
        } else if (kind == 2) {
            take(times);
        }
        pthread_barrier_wait(&turn_barrier);
    }
    return NULL;
}

static void mixed_play(void) {
    pthread_t threads[THREADS];
    pthread_barrier_init(&turn_barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++) {
        threads[i] = thread_start(mixed_thread, (void *)i);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    pthread_barrier_destroy(&turn_barrier);
}

START_TEST(mixed_patterns_are_exact) {
    malloc_lock_start();
    mixed_play();
    expect_exact();
}
END_TEST

static uintptr_t own_pointer;

static void *take_much(void *context) {
    own_pointer = malloc_lock_me();
    take(*(uint64_t *)context);
    return NULL;
}

/* The pointer of an owner that ended is that of a new thread: it is owner from its first take. */
START_TEST(a_dead_owners_heir_is_as_good) {
    pthread_t thread = idle_begin();
    int heirs = 0;
    for (int i = 0; i < 20; i++) {
        uint64_t much = LONG_STREAK;
        pthread_join(thread_start(take_much, &much), NULL);
        uintptr_t dead = owner_now();
        ck_assert(dead == own_pointer);
        uint32_t key = take_elsewhere();
        heirs += key == LOCK_KEY_OWNER;
        ck_assert(owner_now() == (key == LOCK_KEY_OWNER ? dead : 0));
        if (i % 2 == 0) { /* the next one finds it taken away, or owned by the dead */
            take(3);
            ck_assert(owner_now() == 0);
        }
    }
    ck_assert_int_gt(heirs, 0);
    races(seed_of(3), RACES / 10);
    idle_end(thread);
    expect_exact();
}
END_TEST

static void *take_long(void *context) {
    (void)context;
    take(LONG_STREAK);
    return NULL;
}

/* Who lost the lock while it was about to look stores and clears `inside` at any later time, which
 * the mark of another owner would not survive. */
START_TEST(no_second_thread_becomes_owner) {
    pthread_t thread = idle_begin();
    take(LOCK_STREAK_LEAST + 1);
    pthread_join(thread_start(take_long, NULL), NULL);
    ck_assert(owner_now() == 0);
    take(2 * LOCK_STREAK_LEAST + 1);
    ck_assert(owner_now() == malloc_lock_me());
    idle_end(thread);
    expect_exact();
}
END_TEST

/* ---- fork ---- */

/* ThreadSanitizer and qemu's user emulator (7.2: "cpu == current_cpu") cannot, where the parent had
 * several; the C library can. */
static bool child_starts_threads(void) {
    const char *runner = getenv("HEAPRIG_RUN");
    return !UNDER_TSAN && (runner == NULL || runner[0] == '\0');
}

/* In a child: the lock is free, nobody was inside, and all begins anew. */
static _Noreturn void child_play(void) {
    EXPECT(owner_now() == 0 && atomic_load(&malloc_lock_state.inside) == 0 &&
           atomic_load(&malloc_lock_state.mutex) == LOCK_FREE);
    EXPECT(holder == 0 && count == count_again);
    EXPECT(malloc_lock_state.streak == LOCK_STREAK_LEAST);
    atomic_store(&takes_expected, count);
    atomic_store(&takes_by_key[LOCK_KEY_OWNER], 0);
    if (child_starts_threads()) {
        pthread_t thread = idle_begin();
        take(2 * LOCK_STREAK_LEAST);
        EXPECT(owner_now() == malloc_lock_me() && takes_by_key[LOCK_KEY_OWNER] != 0);
        EXPECT(take_elsewhere() == LOCK_KEY_MUTEX);
        EXPECT(malloc_lock_state.streak == 2 * LOCK_STREAK_LEAST); /* membarrier() did its work */
        idle_end(thread);
    }
    EXPECT(count == atomic_load(&takes_expected) && atomic_load(&collisions) == 0);
    _exit(5);
}

static void fork_once(void) {
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
        child_play();
    }
    int status = 0;
    ck_assert(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5);
}

START_TEST(forks_by_the_owner_leave_it_the_lock) {
    pthread_t thread = idle_begin();
    pthread_atfork(malloc_lock_take_mutex, malloc_lock_give_mutex, malloc_lock_in_child);
    take(LOCK_STREAK_LEAST + 1);
    for (int i = 0; i < 5; i++) {
        fork_once();
        ck_assert(owner_now() == malloc_lock_me());
        ck_assert_uint_eq(take_once(), LOCK_KEY_OWNER);
        atomic_fetch_add(&takes_expected, 1);
    }
    idle_end(thread);
    expect_exact();
}
END_TEST

START_TEST(forks_find_other_owners_outside) {
    malloc_lock_start();
    pthread_atfork(malloc_lock_take_mutex, malloc_lock_give_mutex, malloc_lock_in_child);
    pthread_t owner = thread_start(race_owner, NULL);
    for (int i = 0; i < 20; i++) {
        while (owner_now() == 0) {
            sched_yield();
        }
        fork_once();
        malloc_lock_take_mutex();
        malloc_lock_state.streak = LOCK_STREAK_LEAST;
        malloc_lock_give_mutex();
    }
    atomic_store(&races_end, true);
    pthread_join(owner, NULL);
    expect_exact();
}
END_TEST

/* The mark of a thread that does not exist in the child would be waited for. */
START_TEST(forks_forget_who_was_about_to_look) {
    malloc_lock_start();
    pthread_atfork(malloc_lock_take_mutex, malloc_lock_give_mutex, malloc_lock_in_child);
    atomic_store(&malloc_lock_state.inside, 1);
    fork_once();
    atomic_store(&malloc_lock_state.inside, 0);
}
END_TEST

/* ---- refusals ---- */

/* From now on this thread's membarrier() fails, and that of threads it starts. */
static bool membarrier_refuse(void) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        fputs("skipped: no filters of system calls here\n", stderr);
        return false;
    }
    return true;
}

START_TEST(refused_from_the_start_nobody_is_owner) {
    if (!membarrier_refuse()) {
        return;
    }
    errno = 77;
    pthread_t thread = idle_begin();
    take(LONG_STREAK);
    ck_assert_int_eq(errno, 77);
    ck_assert(owner_now() == 0 && malloc_lock_state.streak == 0);
    mixed_play();
    ck_assert_uint_eq(takes_by_key[LOCK_KEY_OWNER], 0);
    idle_end(thread);
    expect_exact();
}
END_TEST

START_TEST(refused_later_nobody_is_owner_again) {
    malloc_lock_start();
    if (!membarrier_refuse()) {
        return;
    }
    races(seed_of(4), RACES / 40);
    ck_assert_uint_eq(malloc_lock_state.streak, 0);
    ck_assert_uint_gt(takes_by_key[LOCK_KEY_OWNER], 0);
    atomic_store(&takes_by_key[LOCK_KEY_OWNER], 0);
    mixed_play();
    ck_assert_uint_eq(takes_by_key[LOCK_KEY_OWNER], 0);
    expect_exact();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("malloc lock");
    TCase *tcase = tcase_create("lock");
    tcase_set_timeout(tcase, 240);
    if (!UNDER_TSAN) {
        tcase_add_test(tcase, one_thread_takes_nothing);
        tcase_add_test(tcase, taking_it_from_an_owner_that_stands_still_is_exact);
    }
    tcase_add_test(tcase, a_streak_makes_an_owner_and_others_end_it);
    tcase_add_test(tcase, an_owner_inside_is_waited_for);
    tcase_add_test(tcase, taking_it_from_its_owner_is_exact);
    tcase_add_test(tcase, mixed_patterns_are_exact);
    tcase_add_test(tcase, a_dead_owners_heir_is_as_good);
    tcase_add_test(tcase, no_second_thread_becomes_owner);
    tcase_add_test(tcase, forks_by_the_owner_leave_it_the_lock);
    tcase_add_test(tcase, forks_forget_who_was_about_to_look);
    tcase_add_test(tcase, forks_find_other_owners_outside);
    tcase_add_test(tcase, refused_from_the_start_nobody_is_owner);
    tcase_add_test(tcase, refused_later_nobody_is_owner_again);
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
