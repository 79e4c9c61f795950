/* SPDX-License-Identifier: MIT
 * replay_test.c - what each op becomes, on an allocator that writes down what it is asked. */
#include "null_alloc.h"
#include "replay.h"
#include "test_trace.h"

#include <stdio.h>

enum { BOOK_BYTES = 4096, LOG_BYTES = 1024 };

/* Hands out addresses in order, refuses more than 1000 bytes, logs every call. */
struct alloc {
    size_t used;
    bool free_refuses;
    char log[LOG_BYTES];
    unsigned char memory[BOOK_BYTES];
};

static void book_log(struct alloc *a, const char *format, unsigned long long x,
                     unsigned long long y) {
    size_t length = strlen(a->log);
    (void)snprintf(a->log + length, sizeof a->log - length, format, x, y);
}

static void *book_take(struct alloc *a, size_t bytes) {
    if (bytes > 1000) {
        return NULL;
    }
    void *payload = a->memory + a->used;
    a->used += (bytes + 63) / 64 * 64;
    return payload;
}

static unsigned long long book_offset(const struct alloc *a, const void *p) {
    return p == NULL ? 9999 : (unsigned long long)((const unsigned char *)p - a->memory);
}

static void *book_alloc(struct alloc *a, size_t bytes) {
    book_log(a, bytes == SIZE_MAX ? "a(max) " : "a(%llu) ", bytes, 0);
    return book_take(a, bytes);
}

static void *book_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    book_log(a, "m(%llu,%llu) ", bytes, align);
    return book_take(a, bytes);
}

static void *book_realloc(struct alloc *a, void *p, size_t bytes) {
    book_log(a, "r(%llu,%llu) ", book_offset(a, p), bytes);
    return book_take(a, bytes);
}

static enum alloc_status book_free(struct alloc *a, void *p) {
    book_log(a, "f(%llu) ", book_offset(a, p), 0);
    return a->free_refuses ? ALLOC_NOT_LIVE : ALLOC_OK;
}

static size_t book_usable(const struct alloc *a, const void *p) {
    (void)a;
    (void)p;
    return 64;
}

static const struct alloc_ops book_ops = {.name = "book",
                                          .alloc = book_alloc,
                                          .alloc_aligned = book_alloc_aligned,
                                          .realloc = book_realloc,
                                          .free = book_free,
                                          .usable = book_usable};

static struct alloc book;
static void *slots[4];

static struct replay_result book_run(const struct alloc_ops *ops, const struct op *op, size_t count,
                                     enum replay_touch touch) {
    memset(&book, 0, sizeof book);
    memset(slots, 0, sizeof slots);
    struct replay replay = {
        .ops = ops, .heap = &book, .slots = slots, .op = op, .op_count = count, .touch = touch};
    struct replay_result result;
    replay_run(&replay, &result);
    return result;
}

START_TEST(ops_become_calls) {
    static const struct op ops[] = {
        TEST_ALLOC(0, 10),
        {.kind = OP_CALLOC, .slot = 1, .bytes = 20},
        {.kind = OP_ALIGNED, .slot = 2, .bytes = 30, .align_log2 = 5},
        TEST_REALLOC(0, 40),
        TEST_FREE(1),
        TEST_ALLOC(1, 0),
        TEST_FREE(0),
    };
    struct replay_result result = book_run(&book_ops, ops, 7, REPLAY_TOUCH_NONE);
    ck_assert_str_eq(book.log, "a(10) a(20) m(30,32) r(0,40) f(64) a(1) f(192) ");
    ck_assert_uint_eq(result.ops_done, 7);
    ck_assert_uint_eq(result.failures, 0);
    ck_assert_uint_eq(result.misuses, 0);
    ck_assert_ptr_null(slots[0]);
    ck_assert_ptr_eq(slots[1], book.memory + 256);
    ck_assert_ptr_eq(slots[2], book.memory + 128);
}
END_TEST

START_TEST(failures_leave_slots) {
    static const struct op ops[] = {
        TEST_ALLOC(0, 2000),   TEST_FREE(0),        TEST_ALLOC(1, 8), TEST_REALLOC(1, 3000),
        TEST_REALLOC(2, 5000), TEST_REALLOC(2, 16), TEST_FREE(1),     TEST_ALLOC(3, UINT64_MAX),
    };
    struct replay_result result = book_run(&book_ops, ops, 8, REPLAY_TOUCH_EDGES);
    ck_assert_str_eq(book.log, "a(2000) a(8) r(0,3000) r(9999,5000) r(9999,16) f(0) a(max) ");
    ck_assert_uint_eq(result.failures, 4);
    ck_assert_ptr_eq(slots[2], book.memory + 64);
}
END_TEST

START_TEST(refused_frees_are_counted) {
    static const struct op ops[] = {TEST_ALLOC(0, 8), TEST_FREE(0), TEST_FREE(0)};
    memset(slots, 0, sizeof slots);
    memset(&book, 0, sizeof book);
    book.free_refuses = true;
    struct replay replay = {
        .ops = &book_ops, .heap = &book, .slots = slots, .op = ops, .op_count = 3};
    struct replay_result result;
    replay_run(&replay, &result);
    ck_assert_uint_eq(result.misuses, 1);
}
END_TEST

START_TEST(missing_functions_are_replaced) {
    static const struct op ops[] = {
        TEST_ALLOC(0, 64),
        TEST_REALLOC(0, 100),
        {.kind = OP_ALIGNED, .slot = 1, .bytes = 30, .align_log2 = 4},
        {.kind = OP_ALIGNED, .slot = 2, .bytes = UINT64_MAX, .align_log2 = 4},
    };
    struct alloc_ops plain = book_ops;
    plain.realloc = NULL;
    plain.alloc_aligned = NULL;
    (void)book_run(&plain, ops, 1, REPLAY_TOUCH_NONE);
    book.memory[63] = 77;
    memset(book.log, 0, sizeof book.log);
    struct replay replay = {
        .ops = &plain, .heap = &book, .slots = slots, .op = ops + 1, .op_count = 3};
    struct replay_result result;
    replay_run(&replay, &result);
    ck_assert_str_eq(book.log, "a(100) f(0) a(46) a(max) ");
    ck_assert_uint_eq(book.memory[64 + 63], 77);
    ck_assert_uint_eq(result.failures, 1);
}
END_TEST

START_TEST(touch_writes_what_it_says) {
    static const struct op ops[] = {TEST_ALLOC(0, 200)};
    (void)book_run(&book_ops, ops, 1, REPLAY_TOUCH_NONE);
    for (size_t i = 0; i < 256; i++) {
        ck_assert_uint_eq(book.memory[i], 0);
    }
    (void)book_run(&book_ops, ops, 1, REPLAY_TOUCH_EDGES);
    for (size_t i = 0; i < 256; i++) {
        ck_assert_int_eq(book.memory[i] != 0, i == 0 || i == 199);
    }
    (void)book_run(&book_ops, ops, 1, REPLAY_TOUCH_WHOLE);
    for (size_t i = 0; i < 256; i++) {
        ck_assert_int_eq(book.memory[i] != 0, i % 64 == 0 && i < 200);
    }
}
END_TEST

/* Writes down the events it sees; stops the run after `stop` of them. */
struct witness {
    size_t before, after, stop;
    struct replay_event events[8];
};

static void witness_before(void *ctx, const struct replay_event *event) {
    struct witness *witness = ctx;
    ck_assert_uint_eq(event->index, witness->before);
    ck_assert_ptr_null(event->payload);
    witness->before++;
}

static bool witness_after(void *ctx, const struct replay_event *event) {
    struct witness *witness = ctx;
    witness->events[witness->after++] = *event;
    return witness->after < witness->stop;
}

START_TEST(observers_see_every_op) {
    static const struct op ops[] = {TEST_ALLOC(0, 8), TEST_REALLOC(0, 2000), TEST_FREE(0),
                                    TEST_FREE(0), TEST_ALLOC(0, 0)};
    for (size_t stop = 1; stop <= 6; stop++) {
        struct witness witness[2] = {{.stop = stop}, {.stop = 99}};
        const struct replay_observer observers[] = {
            {.ctx = &witness[0], .before = witness_before, .after = witness_after},
            {.ctx = &witness[1], .after = witness_after}};
        memset(&book, 0, sizeof book);
        memset(slots, 0, sizeof slots);
        struct replay replay = {.ops = &book_ops,
                                .heap = &book,
                                .slots = slots,
                                .op = ops,
                                .op_count = 5,
                                .observers = observers,
                                .observer_count = 2};
        struct replay_result result;
        replay_run(&replay, &result);
        size_t wanted = stop < 5 ? stop : 5;
        ck_assert_uint_eq(result.ops_done, wanted);
        ck_assert_uint_eq(witness[0].before, wanted);
        ck_assert_uint_eq(witness[0].after, wanted);
        ck_assert_uint_eq(witness[1].after, wanted);
        if (wanted == 5) {
            const struct replay_event *e = witness[1].events;
            ck_assert_ptr_eq(e[0].payload, book.memory);
            ck_assert_ptr_eq(e[1].old_payload, book.memory);
            ck_assert_ptr_null(e[1].payload);
            ck_assert_uint_eq(e[1].bytes, 2000);
            ck_assert_ptr_eq(e[2].old_payload, book.memory);
            ck_assert(!e[2].skipped && e[2].bytes == 0);
            ck_assert(e[3].skipped);
            ck_assert_uint_eq(e[4].bytes, 1);
        }
    }
}
END_TEST

START_TEST(timed_run_times_every_call) {
    static const struct op ops[] = {TEST_ALLOC(0, 8), TEST_FREE(0), TEST_FREE(0), TEST_ALLOC(0, 8)};
    uint32_t ticks[4] = {7, 7, 7, 7};
    memset(&book, 0, sizeof book);
    memset(slots, 0, sizeof slots);
    struct replay replay = {
        .ops = &book_ops, .heap = &book, .slots = slots, .op = ops, .op_count = 4};
    struct replay_result result;
    replay_run_timed(&replay, ticks, &result);
    ck_assert_str_eq(book.log, "a(8) f(0) a(8) ");
    ck_assert_uint_eq(ticks[2], 0);
    ck_assert(ticks[0] > 0 && ticks[1] > 0 && ticks[3] > 0);
    replay_free_rest(&replay, 4);
    ck_assert_str_eq(book.log, "a(8) f(0) a(8) f(64) ");
    ck_assert_ptr_null(slots[0]);
}
END_TEST

/* The null allocator completes whatever fits its pool. */
START_TEST(null_allocator_serves_all) {
    struct trace trace = test_trace_load("gen:uniform:3:5000");
    size_t pool_bytes = (size_t)trace.counts.largest_request + 4096;
    void *pool = aligned_alloc(64, (pool_bytes + 63) / 64 * 64);
    void **trace_slots = calloc(trace.counts.slots, sizeof *trace_slots);
    struct replay replay = {.ops = &null_alloc_ops,
                            .heap = null_alloc_ops.init(pool, pool_bytes, NULL),
                            .slots = trace_slots,
                            .op = trace.ops,
                            .op_count = trace.op_count,
                            .touch = REPLAY_TOUCH_EDGES};
    struct replay_result result;
    ck_assert_ptr_nonnull(replay.heap);
    replay_run(&replay, &result);
    ck_assert_uint_eq(result.failures + result.misuses, 0);
    free(trace_slots);
    free(pool);
    trace_release(&trace);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("replay");
    TCase *tcase = tcase_create("replay");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, ops_become_calls);
    tcase_add_test(tcase, failures_leave_slots);
    tcase_add_test(tcase, refused_frees_are_counted);
    tcase_add_test(tcase, missing_functions_are_replaced);
    tcase_add_test(tcase, touch_writes_what_it_says);
    tcase_add_test(tcase, observers_see_every_op);
    tcase_add_test(tcase, timed_run_times_every_call);
    tcase_add_test(tcase, null_allocator_serves_all);
    return test_main(suite);
}
