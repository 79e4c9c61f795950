/* SPDX-License-Identifier: MIT
 *
 * parallel_test.c - traces replayed by several threads, and the oracle that judges them
 *
 * What goes wrong between threads goes wrong rarely, so nothing here waits for luck: an allocator
 * that is left while another thread is inside tells so itself, and faults are planted that every
 * run meets. Built with SAN=thread this is also the test that neither the replay nor the oracle
 * nor a locked heap has a race.
 */
#include "parallel.h"

#include "stage.h"
#include "subject.h"
#include "test_trace.h"

#include "../alloc/locked.h"
#include "../fuzz/canary.h"
#include "../fuzz/random_ops.h"
#include "../fuzz/shared_oracle.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

extern const struct alloc_ops tlsf_ops;

enum { THREADS = 4, BLOCKS = 40, OPS = 4000, SOON_MS = 500 };

/* ---- traces ---- */

static uint64_t random_state;

static uint32_t below(uint32_t limit) {
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % limit);
}

/* Four threads that allocate, resize and free each other's blocks, at most BLOCKS at once. */
static struct trace mixed_trace(uint32_t largest, size_t op_count) {
    struct trace_builder *builder = trace_builder_new();
    ck_assert_ptr_nonnull(builder);
    random_state = random_seed(largest);
    bool live[BLOCKS] = {false};
    for (size_t i = 0; i < op_count; i++) {
        uint32_t key = below(BLOCKS);
        uint16_t thread = (uint16_t)(i < THREADS ? i : below(THREADS));
        uint32_t bytes = 1 + below(largest);
        enum trace_push push;
        if (!live[key]) {
            push = trace_builder_alloc(builder, key, OP_ALLOC, bytes, 0, thread);
            live[key] = true;
        } else if (below(2) == 0) {
            push = trace_builder_realloc(builder, key, key, bytes, thread);
        } else {
            push = trace_builder_dispose(builder, key, thread);
            live[key] = false;
        }
        ck_assert_int_eq(push, TRACE_PUSH_OK);
    }
    struct trace trace = {0};
    struct problem problem;
    ck_assert(trace_builder_take(builder, &trace, "mixed", &problem));
    trace_builder_free(builder);
    return trace;
}

/* ---- a run ---- */

struct rig {
    const struct trace *trace;
    struct stage stage;
    struct stage_memory memory;
    struct replay replay;
    struct parallel_order order;
    struct parallel parallel;
};

static void rig_open(struct rig *rig, const struct alloc_ops *ops, const struct trace *trace,
                     uint32_t block_bytes) {
    struct problem problem = {""};
    char why[STAGE_WHY_BYTES];
    *rig = (struct rig){.trace = trace,
                        .stage = {.ops = ops, .trace = trace, .touch = REPLAY_TOUCH_NONE}};
    ck_assert_msg(stage_plan_make(ops, trace, &rig->stage.plan, why), "%s", why);
    if (block_bytes != 0) {
        rig->stage.plan.cfg.block_bytes = block_bytes;
    }
    ck_assert(
        stage_memory_open(&rig->memory, rig->stage.plan.pool_bytes, trace->counts.slots, &problem));
    rig->stage.memory = &rig->memory;
    ck_assert(stage_ready(&rig->stage, &rig->replay));
    ck_assert(parallel_order_make(trace, &rig->order, &problem));
    rig->parallel =
        (struct parallel){.replay = &rig->replay, .order = &rig->order, .stuck_ms = 60000};
}

static void rig_close(struct rig *rig) {
    parallel_order_release(&rig->order);
    stage_memory_close(&rig->memory);
}

static struct parallel_result rig_run(struct rig *rig) {
    struct parallel_result result;
    struct problem problem = {""};
    ck_assert_msg(parallel_run(&rig->parallel, &result, &problem), "%s", problem.text);
    return result;
}

/* The oracle's verdict on one run; "" when sound. */
static const char *judged(const struct alloc_ops *ops, const struct trace *trace,
                          uint32_t block_bytes) {
    static char verdict[512];
    struct rig rig;
    rig_open(&rig, ops, trace, block_bytes);
    const struct shared_oracle_config config = {.ops = ops,
                                                .heap = rig.replay.heap,
                                                .pool = rig.memory.pool,
                                                .pool_bytes = rig.stage.plan.pool_bytes,
                                                .slot_count = trace->counts.slots};
    struct shared_oracle *oracle = shared_oracle_new(&config);
    ck_assert_ptr_nonnull(oracle);
    const struct replay_observer observer = shared_oracle_observer(oracle);
    rig.replay.observers = &observer;
    rig.replay.observer_count = 1;
    struct parallel_result result = rig_run(&rig);
    ck_assert(!result.stuck);
    const char *broken = shared_oracle_end(oracle, rig.replay.slots);
    ck_assert(broken != NULL || result.sum.ops_done == trace->op_count);
    (void)snprintf(verdict, sizeof verdict, "%s", broken != NULL ? broken : "");
    shared_oracle_free(oracle);
    rig_close(&rig);
    return verdict;
}

static const struct alloc_ops *subject(const char *name) {
    struct problem problem = {""};
    const struct alloc_ops *ops = subject_find(name, &problem);
    ck_assert_msg(ops != NULL, "%s", problem.text);
    return ops;
}

/* ---- the order ---- */

/* Run one after another as `turn` allows, ops of a slot come in the trace's order of its blocks,
 * each thread's in its own, each op once; and no slot is filled twice. */
START_TEST(order_keeps_what_a_trace_demands) {
    struct trace trace = mixed_trace(300, OPS);
    struct parallel_order order;
    struct problem problem;
    ck_assert(parallel_order_make(&trace, &order, &problem));
    ck_assert_uint_eq(order.thread_count, THREADS);
    ck_assert_uint_eq(order.begin[THREADS], trace.op_count);
    uint32_t done[BLOCKS] = {0};
    uint32_t dealt[BLOCKS];
    bool full[BLOCKS] = {false};
    for (size_t i = 0; i < trace.op_count; i++) {
        const struct op *op = &order.op[i];
        ck_assert_uint_lt(op->slot, trace.counts.slots);
        ck_assert_uint_eq(order.turn[i], done[op->slot]++);
        ck_assert_uint_eq(op->bytes, trace.ops[i].bytes);
        ck_assert_uint_eq(op->kind, trace.ops[i].kind);
        if (op->kind == OP_ALLOC) {
            ck_assert(!full[op->slot]);
            dealt[trace.ops[i].slot] = op->slot;
        }
        ck_assert_uint_eq(dealt[trace.ops[i].slot], op->slot);
        full[op->slot] = op->kind != OP_FREE;
    }
    for (uint32_t t = 0; t < THREADS; t++) {
        for (uint32_t i = order.begin[t]; i < order.begin[t + 1]; i++) {
            ck_assert_uint_eq(order.op[order.own[i]].thread, t);
            ck_assert(i == order.begin[t] || order.own[i] > order.own[i - 1]);
        }
    }
    parallel_order_release(&order);
    trace_release(&trace);
}
END_TEST

/* The slot emptied first is used first: thread 1 need not wait for thread 0's last free. */
START_TEST(slots_are_dealt_in_turn) {
    const struct op ops[] = {TEST_ALLOC(0, 8), TEST_ALLOC(1, 8), TEST_FREE(0),    TEST_FREE(1),
                             TEST_ALLOC(1, 8), TEST_FREE(1),     TEST_ALLOC(1, 8)};
    static const uint32_t slots[] = {0, 1, 0, 1, 0, 0, 1};
    struct trace trace = test_trace(ops, sizeof ops / sizeof ops[0]);
    struct parallel_order order;
    struct problem problem;
    ck_assert(parallel_order_make(&trace, &order, &problem));
    for (size_t i = 0; i < trace.op_count; i++) {
        ck_assert_uint_eq(order.op[i].slot, slots[i]);
    }
    parallel_order_release(&order);
    trace_release(&trace);
}
END_TEST

/* ---- sound heaps ---- */

static const char *const locked_names[] = {"lock:tlsf",    "lock:tlsf_fast", "lock:tlsf_frugal",
                                           "lock:bestfit", "lock:buddy",     "lock:bump"};
enum { LOCKED = sizeof locked_names / sizeof locked_names[0] };

START_TEST(four_threads_lose_nothing) {
    const struct alloc_ops *ops = subject(locked_names[_i]);
    struct trace mixed = mixed_trace(2000, OPS);
    struct trace messages = test_trace_load("gen:messages:3:5000");
    ck_assert_uint_eq(messages.counts.threads, 5);
    ck_assert_str_eq(judged(ops, &mixed, 0), "");
    ck_assert_str_eq(judged(ops, &messages, 0), "");
    trace_release(&mixed);
    trace_release(&messages);
}
END_TEST

/* Times of a call and of the lock: every op that called has both, the second within the first (but
 * for the cut of the first); what has no lock of ours has none. */
START_TEST(times_are_taken) {
    struct trace trace = mixed_trace(500, OPS);
    uint32_t *ticks = calloc(trace.op_count, sizeof *ticks);
    ck_assert_ptr_nonnull(ticks);
    struct rig rig;
    rig_open(&rig, subject("lock:tlsf"), &trace, 0);
    rig.parallel.call_ticks = ticks;
    struct parallel_result result = rig_run(&rig);
    ck_assert_uint_eq(result.sum.ops_done, trace.op_count);
    ck_assert_uint_eq(result.sum.failures, 0);
    ck_assert_uint_gt(result.wall_ns, 0);
    for (size_t i = 0; i < trace.op_count; i++) {
        ck_assert_uint_gt(ticks[i], 0);
        ticks[i] = 0;
    }
    ck_assert(stage_ready(&rig.stage, &rig.replay));
    rig.parallel.call_ticks = NULL;
    rig.parallel.held_ticks = ticks;
    (void)rig_run(&rig);
    for (size_t i = 0; i < trace.op_count; i++) {
        ck_assert_uint_gt(ticks[i], 0);
        ticks[i] = 0;
    }
    rig_close(&rig);
    rig_open(&rig, subject("glibc"), &trace, 0);
    rig.parallel.held_ticks = ticks;
    (void)rig_run(&rig);
    replay_free_rest(&rig.replay, rig.memory.slot_count);
    for (size_t i = 0; i < trace.op_count; i++) {
        ck_assert_uint_eq(ticks[i], 0);
    }
    rig_close(&rig);
    free(ticks);
    trace_release(&trace);
}
END_TEST

/* ---- planted faults ---- */

/* tlsf that is safe whoever calls it, lingers in each call, and tells when two were inside. */
static atomic_uint inside, met;
static pthread_mutex_t innermost = PTHREAD_MUTEX_INITIALIZER;

static uint32_t enter(const struct alloc *a) {
    (void)a;
    if (atomic_fetch_add(&inside, 1) != 0) {
        atomic_fetch_add(&met, 1);
    }
    (void)sched_yield();
    (void)pthread_mutex_lock(&innermost);
    return 0;
}

static void leave(const struct alloc *a, uint32_t key) {
    (void)a;
    (void)key;
    (void)pthread_mutex_unlock(&innermost);
    atomic_fetch_sub(&inside, 1);
}

LOCKED_DEFINE(lone, tlsf_ops, enter, leave)

static struct alloc_ops lone_ops; /* lone_table(), filled by main() */

static atomic_bool taken;

static uint32_t take(const struct alloc *a) {
    (void)a;
    while (atomic_exchange(&taken, true)) {
        (void)sched_yield();
    }
    return 0;
}

static void release(const struct alloc *a, uint32_t key) {
    (void)a;
    (void)key;
    atomic_store(&taken, false);
}

LOCKED_DEFINE(whole, lone_ops, take, release)

static void *realloc_unlocked(struct alloc *a, void *p, size_t bytes) {
    return lone_ops.realloc(a, p, bytes);
}

static void *alloc_keeps_lock_on_refusal(struct alloc *a, size_t bytes) {
    uint32_t key = take(a);
    void *p = lone_ops.alloc(a, bytes);
    if (p != NULL) {
        release(a, key);
    }
    return p;
}

START_TEST(a_realloc_without_lock_is_met) {
    struct trace trace = mixed_trace(500, OPS);
    struct alloc_ops ops = whole_table();
    ck_assert_str_eq(judged(&ops, &trace, 0), "");
    ck_assert_uint_eq(atomic_load(&met), 0);
    ops.realloc = realloc_unlocked;
    for (int run = 0; run < 100 && atomic_load(&met) == 0; run++) {
        (void)judged(&ops, &trace, 0);
    }
    ck_assert_uint_gt(atomic_load(&met), 0);
    trace_release(&trace);
}
END_TEST

/* Op 2 is larger than the pool; whoever calls after it waits for ever. */
START_TEST(a_lock_kept_on_refusal_is_told) {
    static const struct op ops[] = {
        {.kind = OP_ALLOC, .slot = 0, .bytes = 100, .thread = 0},
        {.kind = OP_ALLOC, .slot = 1, .bytes = 100, .thread = 1},
        {.kind = OP_ALLOC, .slot = 2, .bytes = (uint64_t)1 << 29, .thread = 0},
        {.kind = OP_FREE, .slot = 2, .thread = 0},
        {.kind = OP_FREE, .slot = 0, .thread = 0},
        {.kind = OP_FREE, .slot = 1, .thread = 0},
    };
    /* The stage would make the pool fit the trace; its plan is made for one without op 2. */
    struct trace small = test_trace(ops, 2);
    struct trace trace = test_trace(ops, sizeof ops / sizeof ops[0]);
    struct alloc_ops broken = whole_table();
    broken.alloc = alloc_keeps_lock_on_refusal;
    static struct rig rig; /* the threads use it to the end */
    char why[STAGE_WHY_BYTES];
    rig_open(&rig, &broken, &trace, 0);
    ck_assert(stage_plan_make(&broken, &small, &rig.stage.plan, why));
    ck_assert(stage_ready(&rig.stage, &rig.replay));
    rig.parallel.stuck_ms = SOON_MS;
    struct parallel_result result = rig_run(&rig);
    ck_assert(result.stuck);
    ck_assert(result.stuck_op == 1 || result.stuck_op == 4);
    _exit(0); /* as parallel.h asks for: there is no way to end the threads */
}
END_TEST

#ifndef __SANITIZE_THREAD__ /* which sees the races that these make, and ends the test */
static const struct alloc_ops *canary_inner = &canary_ops;
LOCKED_DEFINE(caged, *canary_inner, take, release)

/* Faults that hold in any order of ops, and words of the verdict. (What an overlap begins inside
 * may be free at that moment; then usable() knows no such block.) */
static const struct {
    enum canary_fault fault;
    const char *words;
} faults[] = {
    {CANARY_SOUND, ""},
    {CANARY_OVERLAPS, "op "},
    {CANARY_LEAVES, "outside the pool"},
    {CANARY_HALF_ALIGNED, "not aligned"},
    {CANARY_PREFIX_SHORT, "realloc lost contents"},
    {CANARY_PREFIX_SHIFTED, "realloc lost contents"},
    {CANARY_WRITES_BEHIND, "contents"},
    {CANARY_WRITES_FAR, "contents"},
    {CANARY_USABLE_SHORT, "usable()"},
    {CANARY_USABLE_LONG, "overlaps the live block"},
    {CANARY_FREE_REFUSES, "free of a live block refused"},
    {CANARY_WALK_GHOSTS, "walk()"},
    {CANARY_CHECK_FAILS, "check()"},
    {CANARY_LEAKS, "largest()"},
};
enum { FAULTS = sizeof faults / sizeof faults[0] };

START_TEST(the_oracle_sees_planted_faults) {
    struct trace trace = mixed_trace(500, OPS);
    const struct alloc_ops ops = caged_table();
    const char *verdict = judged(&ops, &trace, faults[_i].fault);
    bool seen = faults[_i].words[0] == '\0' ? verdict[0] == '\0'
                                            : strstr(verdict, faults[_i].words) != NULL;
    ck_assert_msg(seen, "fault %d: '%s', expected '%s'", (int)faults[_i].fault, verdict,
                  faults[_i].words);
    trace_release(&trace);
}
END_TEST
#endif

int main(void) {
    lone_ops = lone_table();
    printf("seed %llx\n", (unsigned long long)random_seed(0));
    TCase *tcase = tcase_create("parallel");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, order_keeps_what_a_trace_demands);
    tcase_add_test(tcase, slots_are_dealt_in_turn);
    tcase_add_loop_test(tcase, four_threads_lose_nothing, 0, LOCKED);
    tcase_add_test(tcase, times_are_taken);
    tcase_add_test(tcase, a_realloc_without_lock_is_met);
    tcase_add_test(tcase, a_lock_kept_on_refusal_is_told);
#ifndef __SANITIZE_THREAD__
    tcase_add_loop_test(tcase, the_oracle_sees_planted_faults, 0, FAULTS);
#endif
    Suite *suite = suite_create("parallel");
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
