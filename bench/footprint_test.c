/* SPDX-License-Identifier: MIT
 * footprint_test.c - every memory figure against a heap worked out by hand, and the split's sum on
 * all own allocators. */
#include "exact.h"
#include "footprint.h"
#include "test_shelf.h"
#include "test_trace.h"

#include <math.h>
#include <stdio.h>

static void near(double got, double wanted) {
    ck_assert_msg(fabs(got - wanted) < 1e-9, "got %.12g, expected %.12g", got, wanted);
}

/* Runs the trace on `ops` with a pool of that size, all under the sampler. */
static struct footprint *run(const struct alloc_ops *ops, const struct trace *trace,
                             size_t pool_bytes, struct stage *stage, struct stage_memory *memory) {
    static struct replay replay; /* the footprint keeps a pointer to it */
    struct footprint *f = calloc(1, sizeof *f);
    struct replay_result result;
    struct problem problem;
    *stage = (struct stage){.ops = ops, .trace = trace, .memory = memory};
    ck_assert(stage_memory_open(memory, pool_bytes, trace->counts.slots, &problem));
    stage->plan.pool_bytes = pool_bytes;
    ck_assert(stage_probe(stage));
    ck_assert(stage_ready(stage, &replay));
    ck_assert(footprint_begin(f, stage, &replay));
    struct replay_observer observer = footprint_observer(f);
    replay.observers = &observer;
    replay.observer_count = 1;
    replay_run(&replay, &result);
    return f;
}

static const struct op by_hand[] = {
    TEST_ALLOC(0, 10), TEST_ALLOC(1, 20),   TEST_ALLOC(2, 30), TEST_ALLOC(3, 48),
    TEST_FREE(1),      TEST_ALLOC(4, 49),   TEST_FREE(3),      TEST_REALLOC(2, 40),
    TEST_ALLOC(5, 1),  TEST_REALLOC(2, 60),
};

START_TEST(split_by_hand) {
    struct trace trace = test_trace(by_hand, sizeof by_hand / sizeof by_hand[0]);
    struct stage stage;
    struct stage_memory memory;
    struct footprint *f = run(&shelf_ops, &trace, 128 + 8 * 64 + 24, &stage, &memory);
    /* op: live blocks afterwards -> live, meta, internal, external; control and the 24 bytes of the
     * rest are always metadata. Realloc is alloc, copy, free here: op 7 moves block 2 to 1. */
    static const uint64_t wanted[][4] = {
        {10, 152 + 16, 38, 0},  {30, 152 + 32, 66, 0},  {60, 152 + 48, 84, 0},
        {108, 152 + 64, 84, 0}, {88, 152 + 48, 56, 64}, {88, 152 + 48, 56, 64},
        {40, 152 + 32, 56, 64}, {50, 152 + 32, 46, 0},  {51, 152 + 48, 93, 0},
        {51, 152 + 48, 93, 0},
    };
    ck_assert_uint_eq(f->sample_count, 10);
    for (size_t i = 0; i < 10; i++) {
        const struct footprint_sample *s = &f->sample[i];
        ck_assert_uint_eq(s->op, i);
        ck_assert_uint_eq(s->live, wanted[i][0]);
        ck_assert_uint_eq(s->meta, wanted[i][1]);
        ck_assert_uint_eq(s->internal, wanted[i][2]);
        ck_assert_uint_eq(s->external, wanted[i][3]);
        ck_assert_uint_eq(footprint_total(s),
                          wanted[i][0] + wanted[i][1] + wanted[i][2] + wanted[i][3]);
    }
    /* Requests of 48 are all that is asked of the hole of 48 at op 4 that can be served: of 49, 40,
     * 1 and 60, it is useless for two, loses 8 bytes for 40, none for 1. */
    near(f->sample[4].unusable, (1 + 8.0 / 48 + 0 + 1) / 4);
    struct bench_row row = {0};
    footprint_fill(f, &row);
    ck_assert_uint_eq(row.high_water, 128 + 4 * 64);
    ck_assert_uint_eq(row.failures, 0);
    ck_assert_uint_eq(row.refusals, 2);
    near(row.jw3, (128 + 4 * 64) / 108.0 - 1);
    near(row.jw4, (128 + 4 * 64) / 108.0 - 1);
    near(row.peak.total, (152.0 + 64 + 84) / 108);
    near(row.peak.total, row.peak.meta + row.peak.internal + row.peak.external);
    near(row.mean.total, row.mean.meta + row.mean.internal + row.mean.external);
    footprint_end(f);
    free(f);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

/* All four measures differ when the footprint peaks away from the live peak. */
START_TEST(four_measures_by_hand) {
    static const struct op ops[] = {TEST_ALLOC(0, 48), TEST_ALLOC(1, 48), TEST_FREE(0),
                                    TEST_FREE(1),      TEST_ALLOC(0, 10), TEST_ALLOC(1, 10),
                                    TEST_ALLOC(2, 10)};
    struct trace trace = test_trace(ops, 7);
    struct stage stage;
    struct stage_memory memory;
    struct footprint *f = run(&shelf_ops, &trace, 4096, &stage, &memory);
    struct bench_row row = {0};
    footprint_fill(f, &row);
    ck_assert_uint_eq(row.high_water, 128 + 3 * 64);
    /* A(t): 192 after op 0, 256 up to op 5, 320 after op 6. L(t): 48 96 48 0 10 20 30; after op 3
     * nothing is live, so measure 1 leaves it out. The peak of live bytes is at op 1. */
    near(row.jw1,
         (192 / 48.0 + 256 / 96.0 + 256 / 48.0 + 256 / 10.0 + 256 / 20.0 + 320 / 30.0) / 6 - 1);
    near(row.jw2, 256 / 96.0 - 1);
    near(row.jw3, 320 / 30.0 - 1);
    near(row.jw4, 320 / 96.0 - 1);
    footprint_end(f);
    free(f);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

/* A trace that grows only: at its end all are one, but the mean. A failed request moves nothing, a
 * realloc counts at its new size; with nothing ever live, all are unknown. */
START_TEST(four_measures_at_the_edges) {
    static const struct op ops[] = {TEST_ALLOC(0, 24), TEST_ALLOC(1, 24), TEST_ALLOC(2, 49),
                                    TEST_FREE(1), TEST_REALLOC(0, 48)};
    struct trace trace = test_trace(ops, 5);
    struct stage stage;
    struct stage_memory memory;
    struct footprint *f = run(&shelf_ops, &trace, 4096, &stage, &memory);
    struct bench_row row = {0};
    footprint_fill(f, &row);
    ck_assert_uint_eq(row.refusals, 1);
    /* L: 24 48 48 24 48; the last moves block 0 to where 1 was. */
    near(row.jw1, (192 / 24.0 + 256 / 48.0 + 256 / 48.0 + 256 / 24.0 + 256 / 48.0) / 5 - 1);
    near(row.jw2, 256 / 48.0 - 1);
    near(row.jw3, 256 / 48.0 - 1);
    near(row.jw4, 256 / 48.0 - 1);
    footprint_end(f);
    free(f);
    trace_release(&trace);
    trace = test_trace(&(struct op)TEST_ALLOC(0, 49), 1);
    stage_memory_close(&memory);
    f = run(&shelf_ops, &trace, 4096, &stage, &memory);
    footprint_fill(f, &row);
    ck_assert(isnan(row.jw1) && isnan(row.jw2) && isnan(row.jw3) && isnan(row.jw4));
    footprint_end(f);
    free(f);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

START_TEST(failures_apart_from_refusals) {
    static const struct op ops[] = {TEST_ALLOC(0, 48), TEST_ALLOC(1, 48), TEST_ALLOC(2, 48),
                                    TEST_ALLOC(3, 100)};
    struct trace trace = test_trace(ops, 4);
    struct stage stage;
    struct stage_memory memory;
    struct footprint *f = run(&shelf_ops, &trace, 128 + 2 * 64, &stage, &memory);
    ck_assert_uint_eq(f->failures, 1);
    ck_assert_uint_eq(f->refusals, 1);
    ck_assert_uint_eq(f->peak_live, 96);
    footprint_end(f);
    free(f);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

/* What stats() says of the whole pool bounds and explains the sampler's split at the last op. */
START_TEST(split_agrees_with_stats) {
    size_t count;
    const struct alloc_ops *ops = alloc_registry(&count)[_i];
    struct trace trace = test_trace_load("gen:embedded:9:199");
    struct stage stage;
    struct stage_memory memory;
    size_t pool_bytes = ops->pool_max != 0 && ops->pool_max < (1u << 22) ? ops->pool_max : 1u << 22;
    struct footprint *f = run(ops, &trace, pool_bytes, &stage, &memory);
    struct alloc_stats stats;
    ops->stats(f->replay->heap, &stats);
    const struct footprint_sample *last = &f->sample[f->sample_count - 1];
    ck_assert_uint_eq(last->op + 1, trace.op_count); /* so few ops are all sampled */
    ck_assert_uint_eq(last->live + last->internal + last->meta,
                      stats.live_bytes + stats.meta_bytes);
    ck_assert_uint_gt(f->sample_count, 100);
    for (size_t i = 0; i < f->sample_count; i++) {
        ck_assert_uint_le(footprint_total(&f->sample[i]), stats.pool_bytes);
        ck_assert(isnan(f->sample[i].unusable) ||
                  (f->sample[i].unusable >= 0 && f->sample[i].unusable <= 1));
    }
    ck_assert_uint_le(f->high_water, pool_bytes);
    ck_assert_uint_ge(f->high_water, f->peak_live);
    footprint_end(f);
    free(f);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

/* The same pair measured twice, at two pool addresses, gives the same row to the last bit. */
START_TEST(exact_figures_repeat) {
    size_t count;
    const struct alloc_ops *ops = alloc_registry(&count)[_i];
    bool pages = (ops->caps & ALLOC_CAP_PAGES) != 0;
    struct trace trace = test_trace_load(pages ? "gen:pages:5:6000" : "gen:embedded:5:6000");
    struct exact *exact = calloc(2, sizeof *exact);
    void *hole = malloc((size_t)3 << 20); /* moves the second mapping */
    exact_measure(ops, &trace, REPLAY_TOUCH_WHOLE, NULL, &exact[0]);
    free(hole);
    exact_measure(ops, &trace, REPLAY_TOUCH_NONE, NULL, &exact[1]);
    ck_assert_msg(exact[0].pair.measured, "%s", exact[0].pair.why);
    ck_assert_str_eq(exact[0].pair.problem.text, "");
    ck_assert_str_eq(exact[0].broken, "");
    ck_assert_str_eq(exact[0].row.digest, exact[1].row.digest);
    ck_assert_uint_eq(exact[0].row.high_water, exact[1].row.high_water);
    ck_assert(exact[0].row.jw1 == exact[1].row.jw1);
    ck_assert(exact[0].row.jw2 == exact[1].row.jw2);
    ck_assert(exact[0].row.mean.total == exact[1].row.mean.total);
    ck_assert(exact[0].row.unusable == exact[1].row.unusable);
    free(exact);
    trace_release(&trace);
}
END_TEST

int main(void) {
    size_t count;
    (void)alloc_registry(&count);
    Suite *suite = suite_create("footprint");
    TCase *tcase = tcase_create("footprint");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, split_by_hand);
    tcase_add_test(tcase, four_measures_by_hand);
    tcase_add_test(tcase, four_measures_at_the_edges);
    tcase_add_test(tcase, failures_apart_from_refusals);
    tcase_add_loop_test(tcase, split_agrees_with_stats, 0, (int)count);
    tcase_add_loop_test(tcase, exact_figures_repeat, 0, (int)count);
    return test_main(suite);
}
