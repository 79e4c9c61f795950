/* SPDX-License-Identifier: MIT
 * timing_test.c - the clock against allocators that take a known time, and where stages come from.
 */
#include "latency.h"
#include "null_alloc.h"
#include "test_shelf.h"
#include "test_trace.h"
#include "tick.h"
#include "timing.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SPIN_NS = 3000, SLOW_NS = 60000, SLOW_EVERY = 50 };

static unsigned calls;

static void spin(uint64_t ns) {
    uint64_t begin = tick_wall_ns();
    while (tick_wall_ns() - begin < ns) {
    }
}

/* Runs that long, however often the machine takes the processor away. */
static void *spin_alloc(struct alloc *a, size_t bytes) {
    uint64_t begin = tick_cpu_ns();
    while (tick_cpu_ns() - begin < SPIN_NS) {
    }
    return shelf_alloc(a, bytes);
}

/* Quick, but for every SLOW_EVERY-th call. */
static void *moody_alloc(struct alloc *a, size_t bytes) {
    if (++calls % SLOW_EVERY == 0) {
        spin(SLOW_NS);
    }
    return shelf_alloc(a, bytes);
}

static struct alloc *moody_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    calls = 0;
    return shelf_init(pool, pool_bytes, cfg);
}

/* 500 times alloc and free of one block. */
static struct trace pairs(void) {
    struct op ops[1000];
    for (size_t i = 0; i < 1000; i++) {
        ops[i] = i % 2 == 0 ? (struct op)TEST_ALLOC(0, 40) : (struct op)TEST_FREE(0);
    }
    return test_trace(ops, 1000);
}

static struct stage stage_of(const struct alloc_ops *ops, const struct trace *trace,
                             struct stage_memory *memory) {
    struct stage stage = {.ops = ops, .trace = trace, .memory = memory};
    char why_not[STAGE_WHY_BYTES];
    struct problem problem;
    ck_assert_msg(stage_plan_make(ops, trace, &stage.plan, why_not), "%s", why_not);
    if (memory->pool == NULL) {
        ck_assert(stage_memory_open(memory, (size_t)4 << 20, trace->counts.slots, &problem));
    }
    return stage;
}

START_TEST(net_time_is_the_allocator_s) {
    struct trace trace = pairs();
    struct stage_memory memory = {0};
    struct alloc_ops slow = shelf_ops;
    slow.alloc = spin_alloc;
    const struct stage stages[] = {stage_of(&slow, &trace, &memory),
                                   stage_of(&null_alloc_ops, &trace, &memory)};
    struct bench_row rows[2] = {0};
    struct bench_row *const filled[] = {&rows[0], &rows[1]};
    struct problem problem;
    const struct timing timing = {.rounds = 9, .seed = 1};
    ck_assert(timing_measure(&timing, stages, filled, 2, &problem));
    ck_assert_uint_eq(rows[0].rounds, 9);
    /* Half of the ops are allocs. A busy machine only ever adds. */
    ck_assert(rows[0].ns_per_op > SPIN_NS / 2.0 * 0.98);
    ck_assert(rows[0].ns_per_op < SPIN_NS * 5.0);
    ck_assert(rows[0].ns_ci[0] <= rows[0].ns_per_op && rows[0].ns_per_op <= rows[0].ns_ci[1]);
    /* Null less null is nothing, as far as such short runs can tell. */
    ck_assert(fabs(rows[1].ns_per_op) < SPIN_NS / 4.0);
    ck_assert(rows[1].null_ns_per_op > 0);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

START_TEST(budget_saves_rounds_but_three) {
    struct trace trace = pairs();
    struct stage_memory memory = {0};
    struct alloc_ops slow = shelf_ops;
    slow.alloc = spin_alloc;
    const struct stage stage = stage_of(&slow, &trace, &memory);
    struct bench_row row = {0};
    struct bench_row *const filled[] = {&row};
    struct problem problem;
    const struct timing timing = {.rounds = 99, .seed = 1, .budget_ns = 1};
    ck_assert(timing_measure(&timing, &stage, filled, 1, &problem));
    ck_assert_uint_eq(row.rounds, TIMING_ROUNDS_LEAST);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

/* 2 % of the allocs and 1 % of all calls are slow. */
static bool tail_shows(const struct latency *latency) {
    struct row_latency alloc = latency_row(latency, LATENCY_ALLOC);
    struct row_latency all = latency_row_all(latency);
    const double fast = SLOW_NS / 2.0, slow = SLOW_NS * 0.95;
    printf("alloc p50 %.0f, p99 %.0f, max %.0f; all p50 %.0f, p99.9 %.0f ns\n", alloc.p50,
           alloc.p99, alloc.max, all.p50, all.p999);
    return alloc.p50 < fast && alloc.p99 >= slow && alloc.max >= slow &&
           latency_row(latency, LATENCY_FREE).p50 < fast && all.p50 < fast && all.p999 >= slow;
}

/* On a machine whose processor others take away, one of three tries has to show the tail. */
START_TEST(tail_is_seen) {
    struct trace trace = pairs();
    struct stage_memory memory = {0};
    struct alloc_ops moody = shelf_ops;
    moody.alloc = moody_alloc;
    moody.init = moody_init;
    const struct stage stage = stage_of(&moody, &trace, &memory);
    struct latency *latency = calloc(1, sizeof *latency);
    struct problem problem;
    struct latency_plan plan = {.replays = 5, .overhead = tick_overhead(), .tick_ns = tick_ns()};
    bool shown = false;
    for (int i = 0; i < 3 && !shown; i++) {
        memset(latency, 0, sizeof *latency);
        ck_assert(latency_measure(&stage, &plan, latency, &problem));
        shown = tail_shows(latency);
    }
    ck_assert(shown);
    ck_assert_uint_eq(latency->replays, 5);
    ck_assert_uint_eq(latency->ticks[LATENCY_ALLOC].count, 500);
    ck_assert_uint_eq(latency->ticks[LATENCY_FREE].count, 500);
    ck_assert_uint_eq(latency->ticks[LATENCY_REALLOC].count, 0);
    ck_assert(isnan(latency_row(latency, LATENCY_REALLOC).p50));
    plan.budget_ns = 1;
    ck_assert(latency_measure(&stage, &plan, latency, &problem));
    ck_assert_uint_eq(latency->replays, LATENCY_REPLAYS_LEAST);
    free(latency);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

START_TEST(ticks_become_nanoseconds) {
    double ns = tick_ns();
    uint64_t begin = tick_begin();
    spin(5000000);
    double measured = (double)(tick_end() - begin) * ns;
    ck_assert(measured > 4900000);
    ck_assert((double)tick_overhead() * ns < 100000);
}
END_TEST

static struct stage_plan plan_of(const struct alloc_ops *ops, const struct trace *trace) {
    struct stage_plan plan;
    char why_not[STAGE_WHY_BYTES];
    ck_assert_msg(stage_plan_make(ops, trace, &plan, why_not), "%s", why_not);
    return plan;
}

START_TEST(plans_follow_capabilities) {
    struct op ops[300];
    for (uint32_t i = 0; i < 300; i++) { /* 297 requests of 20 bytes, 3 of 4000 */
        ops[i] = (struct op)TEST_ALLOC(i, i < 297 ? 20 : 4000);
    }
    struct trace trace = test_trace(ops, 300);
    uint64_t peak = 297 * 20 + 3 * 4000;
    struct alloc_ops kind = shelf_ops;
    ck_assert_uint_eq(plan_of(&kind, &trace).pool_bytes, (4 * peak + STAGE_ALIGN + 7) / 8 * 8);
    kind.pool_max = 32768;
    ck_assert_uint_le(plan_of(&kind, &trace).pool_bytes, 32768);
    ck_assert_uint_gt(plan_of(&kind, &trace).pool_bytes, 32768 - 8);
    kind.pool_max = (size_t)peak;
    struct stage_plan plan;
    char why_not[STAGE_WHY_BYTES];
    ck_assert(!stage_plan_make(&kind, &trace, &plan, why_not));
    ck_assert_ptr_nonnull(strstr(why_not, "does not fit"));
    kind = shelf_ops;
    kind.caps = ALLOC_CAP_FREES | ALLOC_CAP_FIXED_SIZE;
    ck_assert_uint_eq(plan_of(&kind, &trace).cfg.block_bytes, 24); /* 99 % are of 20 bytes */
    ck_assert_uint_ge(plan_of(&kind, &trace).pool_bytes, 300 * 24);
    kind.caps = ALLOC_CAP_POOLLESS;
    ck_assert_uint_eq(plan_of(&kind, &trace).pool_bytes, 0);
    trace_release(&trace);
}
END_TEST

START_TEST(pool_starts_at_a_mebibyte) {
    for (size_t bytes = 1; bytes < (size_t)5 << 20; bytes = bytes * 3 + 4096) {
        struct stage_memory memory;
        struct problem problem;
        ck_assert(stage_memory_open(&memory, bytes, 3, &problem));
        ck_assert_uint_eq((uintptr_t)memory.pool % STAGE_ALIGN, 0);
        ck_assert_uint_gt(memory.pool_bytes, bytes);
        memory.pool[0] = memory.pool[memory.pool_bytes - 1] = 1;
        ck_assert(memory.pool > (unsigned char *)memory.mapping);
        ck_assert(memory.pool + memory.pool_bytes <=
                  (unsigned char *)memory.mapping + memory.mapping_bytes);
        stage_memory_close(&memory);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("timing");
    TCase *tcase = tcase_create("timing");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, net_time_is_the_allocator_s);
    tcase_add_test(tcase, budget_saves_rounds_but_three);
    tcase_add_test(tcase, tail_is_seen);
    tcase_add_test(tcase, ticks_become_nanoseconds);
    tcase_add_test(tcase, plans_follow_capabilities);
    tcase_add_test(tcase, pool_starts_at_a_mebibyte);
    return test_main(suite);
}
