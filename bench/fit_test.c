/* SPDX-License-Identifier: MIT
 * fit_test.c - smallest pools that are known: by hand, by trying every size, and where success is
 * not monotone. */
#include "fit.h"
#include "test_shelf.h"
#include "test_trace.h"

/* Shelf, but broken for pools from `from` to `to`: more memory does not help there. */
static size_t gap_from, gap_to;

static struct alloc *gap_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    struct alloc *a = shelf_init(pool, pool_bytes, cfg);
    if (a != NULL && pool_bytes >= gap_from && pool_bytes < gap_to) {
        a->block_count = 1;
    }
    return a;
}

static size_t narrow_most;

static struct alloc *narrow_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    return pool_bytes > narrow_most ? NULL : shelf_init(pool, pool_bytes, cfg);
}

static bool search(const struct alloc_ops *ops, const struct trace *trace, struct fit *fit,
                   struct stage *stage, struct stage_memory *memory) {
    struct problem problem;
    char why_not[STAGE_WHY_BYTES];
    *stage = (struct stage){.ops = ops, .trace = trace, .memory = memory};
    ck_assert_msg(stage_plan_make(ops, trace, &stage->plan, why_not), "%s", why_not);
    ck_assert(stage_memory_open(memory, fit_pool_most(ops, trace), trace->counts.slots, &problem));
    ck_assert(stage_probe(stage));
    return fit_search(stage, fit);
}

/* `blocks` of 40 bytes live at once, one request too large for any shelf. */
static struct trace shelf_trace(uint32_t blocks) {
    struct op ops[2 * SHELF_BLOCKS_MAX + 1];
    for (uint32_t i = 0; i < blocks; i++) {
        ops[i] = (struct op)TEST_ALLOC(i, 40);
        ops[blocks + 1 + i] = (struct op)TEST_FREE(i);
    }
    ops[blocks] = (struct op)TEST_ALLOC(blocks, 400);
    return test_trace(ops, 2 * blocks + 1);
}

START_TEST(smallest_shelf_by_hand) {
    for (uint32_t blocks = 1; blocks <= SHELF_BLOCKS_MAX; blocks += 11) {
        struct trace trace = shelf_trace(blocks);
        struct stage stage;
        struct stage_memory memory;
        struct fit fit;
        ck_assert(search(&shelf_ops, &trace, &fit, &stage, &memory));
        size_t needed = SHELF_CONTROL + blocks * (size_t)SHELF_BLOCK;
        ck_assert(fit_completes(&stage, needed));
        ck_assert(!fit_completes(&stage, needed - 1));
        ck_assert_uint_ge(fit.fit_bytes, needed);
        ck_assert_uint_le(fit.fit_bytes, needed + 64);
        ck_assert_uint_eq(fit.lowest_bytes, fit.fit_bytes);
        ck_assert_uint_eq(fit.refusals, 1);
        stage_memory_close(&memory);
        trace_release(&trace);
    }
}
END_TEST

/* A trace that ends with its peak, as the opening part of a longer one may. */
START_TEST(the_last_request_counts) {
    struct op ops[5];
    for (uint32_t i = 0; i < 5; i++) {
        ops[i] = (struct op)TEST_ALLOC(i, 40);
    }
    struct trace trace = test_trace(ops, 5);
    struct stage stage;
    struct stage_memory memory;
    struct fit fit;
    ck_assert(search(&shelf_ops, &trace, &fit, &stage, &memory));
    ck_assert(fit_completes(&stage, SHELF_CONTROL + 5 * (size_t)SHELF_BLOCK));
    ck_assert(!fit_completes(&stage, SHELF_CONTROL + 5 * (size_t)SHELF_BLOCK - 1));
    ck_assert_uint_ge(fit.fit_bytes, SHELF_CONTROL + 5 * (size_t)SHELF_BLOCK);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

START_TEST(gap_below_the_answer_is_noticed) {
    struct alloc_ops gap = shelf_ops;
    gap.init = gap_init;
    struct trace trace = shelf_trace(60);
    size_t needed = SHELF_CONTROL + 60 * (size_t)SHELF_BLOCK; /* 3968 */
    gap_from = needed + 100;
    gap_to = needed + 180;
    struct stage stage;
    struct stage_memory memory;
    struct fit fit;
    ck_assert(search(&gap, &trace, &fit, &stage, &memory));
    if (fit.fit_bytes >= gap_to) { /* the halving met the gap: then the scan must see through it */
        ck_assert_uint_lt(fit.lowest_bytes, gap_from);
        ck_assert_uint_ge(fit.lowest_bytes, needed);
    } else {
        ck_assert_uint_le(fit.fit_bytes, needed + 64);
    }
    gap_from = needed + 64; /* a gap no halving can step over */
    gap_to = (size_t)trace.counts.peak_live_bytes * 2;
    stage_memory_close(&memory);
    ck_assert(search(&gap, &trace, &fit, &stage, &memory));
    ck_assert_uint_ge(fit.fit_bytes, gap_to);
    ck_assert_uint_le(fit.fit_bytes, gap_to + 64);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

/* The search stays below pool_max, wherever that is. */
START_TEST(pool_max_is_kept) {
    struct alloc_ops narrow = shelf_ops;
    narrow.init = narrow_init;
    struct trace trace = shelf_trace(50);
    size_t needed = SHELF_CONTROL + 50 * (size_t)SHELF_BLOCK;
    for (narrow_most = needed; narrow_most < needed + 9000; narrow_most += 696) {
        narrow.pool_max = narrow_most;
        struct stage stage;
        struct stage_memory memory;
        struct fit fit;
        ck_assert(search(&narrow, &trace, &fit, &stage, &memory));
        ck_assert_uint_le(fit.fit_bytes, needed + 64);
        stage_memory_close(&memory);
    }
    trace_release(&trace);
}
END_TEST

START_TEST(hopeless_is_said) {
    struct alloc_ops gap = shelf_ops;
    gap.init = gap_init;
    struct trace trace = shelf_trace(5);
    gap_from = 0;
    gap_to = SIZE_MAX;
    struct stage stage;
    struct stage_memory memory;
    struct fit fit;
    ck_assert(!search(&gap, &trace, &fit, &stage, &memory));
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

/* The answer completes, everything a step and more below it (within 5 %) fails unless marked. */
START_TEST(own_allocators_by_brute_force) {
    size_t count;
    const struct alloc_ops *ops = alloc_registry(&count)[_i];
    bool pages = (ops->caps & ALLOC_CAP_PAGES) != 0;
    struct trace trace = test_trace_load(pages ? "gen:pages:4:2000" : "gen:embedded:4:2000");
    struct stage stage;
    struct stage_memory memory;
    struct fit fit;
    if ((ops->caps & ALLOC_CAP_FREES) != 0) {
        ck_assert(search(ops, &trace, &fit, &stage, &memory));
        ck_assert(fit_completes(&stage, (size_t)fit.fit_bytes));
        size_t step = fit.fit_bytes / 256 > 64 ? (size_t)fit.fit_bytes / 256 : 64;
        for (size_t i = 1; i < 5 && fit.lowest_bytes == fit.fit_bytes; i++) {
            ck_assert_msg(!fit_completes(&stage, ((size_t)fit.fit_bytes - i * step) / 8 * 8),
                          "%s completes %zu steps below %llu", ops->name, i,
                          (unsigned long long)fit.fit_bytes);
        }
        stage_memory_close(&memory);
    }
    trace_release(&trace);
}
END_TEST

START_TEST(floor_by_hand) {
    static const struct op ops[] = {TEST_ALLOC(0, 0),   TEST_ALLOC(1, 12),   TEST_ALLOC(2, 13),
                                    TEST_ALLOC(3, 100), TEST_REALLOC(1, 20), TEST_FREE(3),
                                    TEST_REALLOC(2, 5)};
    struct trace trace = test_trace(ops, 7);
    uint64_t floor_bytes;
    ck_assert(fit_floor(&trace, &floor_bytes));
    ck_assert_uint_eq(floor_bytes, 16 + 24 + 24 + 104);
    trace_release(&trace);
}
END_TEST

int main(void) {
    size_t count;
    (void)alloc_registry(&count);
    Suite *suite = suite_create("fit");
    TCase *tcase = tcase_create("fit");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, smallest_shelf_by_hand);
    tcase_add_test(tcase, the_last_request_counts);
    tcase_add_test(tcase, gap_below_the_answer_is_noticed);
    tcase_add_test(tcase, pool_max_is_kept);
    tcase_add_test(tcase, hopeless_is_said);
    tcase_add_loop_test(tcase, own_allocators_by_brute_force, 0, (int)count);
    tcase_add_test(tcase, floor_by_hand);
    return test_main(suite);
}
