/* SPDX-License-Identifier: MIT
 *
 * trace_test.c - what trace_finish() refuses and counts, what the builder and slices do
 *
 * The builder is compared with a model that knows no hashing; all random tests follow from
 * HEAPRIG_SEED.
 */
#include "trace.h"

#include "../bench/test_trace.h"
#include "../fuzz/random_ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- trace_finish() ---- */

struct bad_case {
    struct op ops[3];
    size_t count;
    const char *said;
};

static const struct bad_case bad_cases[] = {
    {{TEST_FREE(0)}, 1, "op 0: free of an empty slot"},
    {{TEST_ALLOC(0, 8), TEST_FREE(0), TEST_FREE(0)}, 3, "op 2: free of an empty slot"},
    {{TEST_ALLOC(0, 8), TEST_REALLOC(1, 8)}, 2, "op 1: realloc of an empty slot"},
    {{TEST_ALLOC(0, 8), TEST_REALLOC(0, 0)}, 2, "op 1: realloc to 0 bytes"},
    {{TEST_ALLOC(0, 8), TEST_ALLOC(0, 8)}, 2, "op 1: allocation into a full slot"},
    {{TEST_ALLOC(0, 8), {.kind = OP_FREE, .bytes = 1}}, 2, "op 1: free with a size"},
    {{TEST_ALLOC(100000, 8)}, 1, "op 0: slot number far above"},
    {{TEST_ALLOC(UINT32_MAX, 8)}, 1, "op 0: slot number far above"},
    {{{.kind = OP_KIND_COUNT}}, 1, "op 0: unknown kind"},
    {{{.kind = 255}}, 1, "op 0: unknown kind"},
    {{{.kind = OP_ALIGNED, .align_log2 = 64}}, 1, "op 0: bad alignment"},
    {{{.kind = OP_ALLOC, .align_log2 = 1}}, 1, "op 0: bad alignment"},
    {{{.kind = OP_ALLOC, .thread = 1}}, 1, "op 0: a thread number was left out"},
};

START_TEST(broken_rules_are_named) {
    const struct bad_case *bad = &bad_cases[_i];
    struct trace trace = {.op_count = bad->count, .ops = malloc(sizeof bad->ops)};
    memcpy(trace.ops, bad->ops, sizeof bad->ops);
    struct problem problem = {""};
    ck_assert(!trace_finish(&trace, "label", &problem));
    ck_assert_msg(strstr(problem.text, bad->said) != NULL, "%s", problem.text);
    ck_assert_int_eq(strncmp(problem.text, "label: ", 7), 0);
    trace_release(&trace);
}
END_TEST

START_TEST(counts_are_those_of_a_trace_counted_by_hand) {
    const struct op ops[] = {
        TEST_ALLOC(0, 100),
        {.kind = OP_CALLOC, .slot = 1, .bytes = 50, .thread = 1},
        {.kind = OP_ALIGNED, .slot = 2, .bytes = 0, .align_log2 = 63},
        TEST_REALLOC(0, 300), /* 350 live: the peak */
        TEST_FREE(1),
        TEST_REALLOC(0, 10),
        TEST_ALLOC(1, 340), /* 350 again: the first op that reached it counts */
        TEST_FREE(0),
    };
    struct trace trace = test_trace(ops, sizeof ops / sizeof ops[0]);
    const struct trace_counts *counts = &trace.counts;
    ck_assert_uint_eq(counts->ops, 8);
    ck_assert_uint_eq(counts->kind[OP_ALLOC], 2);
    ck_assert_uint_eq(counts->kind[OP_CALLOC], 1);
    ck_assert_uint_eq(counts->kind[OP_ALIGNED], 1);
    ck_assert_uint_eq(counts->kind[OP_REALLOC], 2);
    ck_assert_uint_eq(counts->kind[OP_FREE], 2);
    ck_assert_uint_eq(counts->peak_live_bytes, 350);
    ck_assert_uint_eq(counts->peak_live_op, 3);
    ck_assert_uint_eq(counts->peak_live_blocks, 3);
    ck_assert_uint_eq(counts->total_bytes, 800);
    ck_assert_uint_eq(counts->largest_request, 340);
    ck_assert_uint_eq(counts->live_at_end, 2);
    ck_assert_uint_eq(counts->slots, 3);
    ck_assert_uint_eq(counts->threads, 2);
    trace_release(&trace);
}
END_TEST

START_TEST(absurd_requests_do_not_overflow_the_counts) {
    const struct op ops[] = {
        TEST_ALLOC(0, UINT64_MAX), TEST_ALLOC(1, UINT64_MAX), TEST_FREE(0), TEST_FREE(1),
        TEST_ALLOC(0, UINT64_MAX), TEST_ALLOC(1, UINT64_MAX), TEST_FREE(1), TEST_REALLOC(0, 7)};
    struct trace trace = test_trace(ops, 8);
    ck_assert_uint_eq(trace.counts.peak_live_bytes, UINT64_MAX);
    ck_assert_uint_eq(trace.counts.peak_live_op, 1);
    ck_assert_uint_eq(trace.counts.total_bytes, UINT64_MAX);
    ck_assert_uint_eq(trace.counts.largest_request, UINT64_MAX);
    ck_assert_uint_eq(trace.counts.live_at_end, 1);
    trace_release(&trace);
}
END_TEST

START_TEST(an_empty_trace_is_valid) {
    const struct op none = {0};
    struct trace trace = test_trace(&none, 0);
    ck_assert_uint_eq(trace.counts.ops + trace.counts.slots + trace.counts.threads, 0);
    trace_release(&trace);
    trace_release(&trace);
}
END_TEST

/* ---- the builder ---- */

START_TEST(a_freed_slot_is_taken_again_last_first) {
    struct trace_builder *b = trace_builder_new();
    for (uint64_t key = 10; key < 14; key++) {
        ck_assert_int_eq(trace_builder_alloc(b, key, OP_ALLOC, key, 0, 500), TRACE_PUSH_OK);
    }
    ck_assert_int_eq(trace_builder_dispose(b, 11, 500), TRACE_PUSH_OK);
    ck_assert_int_eq(trace_builder_dispose(b, 13, 9), TRACE_PUSH_OK);
    ck_assert_int_eq(trace_builder_alloc(b, 0, OP_ALLOC, 1, 0, 9), TRACE_PUSH_OK);
    ck_assert_int_eq(trace_builder_alloc(b, 11, OP_ALLOC, 1, 0, 500), TRACE_PUSH_OK);
    struct trace trace = {.op_count = 0};
    struct problem problem;
    ck_assert(trace_builder_take(b, &trace, "test", &problem));
    trace_builder_free(b);
    const uint32_t slots[] = {0, 1, 2, 3, 1, 3, 3, 1};
    const uint16_t threads[] = {0, 0, 0, 0, 0, 1, 1, 0};
    ck_assert_uint_eq(trace.op_count, 8);
    for (size_t i = 0; i < trace.op_count; i++) {
        ck_assert_uint_eq(trace.ops[i].slot, slots[i]);
        ck_assert_uint_eq(trace.ops[i].thread, threads[i]);
    }
    trace_release(&trace);
}
END_TEST

START_TEST(pushes_that_contradict_add_nothing) {
    struct trace_builder *b = trace_builder_new();
    ck_assert_int_eq(trace_builder_dispose(b, 1, 0), TRACE_PUSH_DEAD);
    ck_assert_int_eq(trace_builder_realloc(b, 1, 2, 8, 0), TRACE_PUSH_DEAD);
    ck_assert_int_eq(trace_builder_alloc(b, 1, OP_ALLOC, 8, 0, 0), TRACE_PUSH_OK);
    ck_assert_int_eq(trace_builder_alloc(b, 1, OP_ALLOC, 8, 0, 0), TRACE_PUSH_LIVE);
    ck_assert_int_eq(trace_builder_alloc(b, 2, OP_ALLOC, 8, 0, 0), TRACE_PUSH_OK);
    ck_assert_int_eq(trace_builder_realloc(b, 1, 2, 8, 0), TRACE_PUSH_LIVE);
    ck_assert_int_eq(trace_builder_realloc(b, 1, 3, 8, 0), TRACE_PUSH_OK);
    ck_assert_int_eq(trace_builder_dispose(b, 1, 0), TRACE_PUSH_DEAD);
    struct trace trace = {.op_count = 0};
    struct problem problem;
    ck_assert(trace_builder_take(b, &trace, "test", &problem));
    ck_assert_uint_eq(trace.op_count, 3);
    ck_assert_int_eq(trace_builder_dispose(b, 3, 0), TRACE_PUSH_DEAD); /* it is empty now */
    trace_builder_free(b);
    trace_release(&trace);
}
END_TEST

enum { MODEL_KEYS = 3000, MODEL_STEPS = 60000 };

/* Keys of three sorts: small numbers, addresses, and such that differ in high bits only. */
static uint64_t model_key(size_t index) {
    return index % 3 == 0   ? index
           : index % 3 == 1 ? 0x7f0000000000u + index * 16
                            : (uint64_t)index << 40;
}

static bool model_realloc(struct trace_builder *b, bool *live, size_t from, size_t to) {
    enum trace_push expected = !live[from]              ? TRACE_PUSH_DEAD
                               : to != from && live[to] ? TRACE_PUSH_LIVE
                                                        : TRACE_PUSH_OK;
    ck_assert_int_eq(trace_builder_realloc(b, model_key(from), model_key(to), 1, 0), expected);
    if (expected == TRACE_PUSH_OK) {
        live[from] = false;
        live[to] = true;
    }
    return expected == TRACE_PUSH_OK;
}

/* Pushes one op and compares the answer; whether it was added. */
static bool model_step(struct trace_builder *b, bool *live, uint64_t random) {
    size_t i = (size_t)(random >> 8) % MODEL_KEYS;
    if (random % 4 == 0) {
        return model_realloc(b, live, i, (size_t)(random >> 32) % MODEL_KEYS);
    }
    enum trace_push push = live[i] ? trace_builder_dispose(b, model_key(i), 0)
                                   : trace_builder_alloc(b, model_key(i), OP_ALLOC, i, 0, 0);
    ck_assert_int_eq(push, TRACE_PUSH_OK);
    live[i] = !live[i];
    return true;
}

START_TEST(keys_live_exactly_from_allocation_to_free) {
    uint64_t random = random_seed((uint64_t)_i);
    printf("seed %" PRIx64 "\n", random);
    struct trace_builder *b = trace_builder_new();
    bool live[MODEL_KEYS] = {false};
    size_t pushed = 0;
    for (size_t step = 0; step < MODEL_STEPS; step++) {
        pushed += model_step(b, live, random_next(&random));
    }
    struct trace trace = {.op_count = 0};
    struct problem problem = {""};
    ck_assert_msg(trace_builder_take(b, &trace, "test", &problem), "%s", problem.text);
    trace_builder_free(b);
    ck_assert_uint_eq(trace.op_count, pushed);
    ck_assert_uint_eq(trace.counts.slots, trace.counts.peak_live_blocks);
    trace_release(&trace);
}
END_TEST

/* ---- slices ---- */

START_TEST(a_slice_keeps_only_what_was_born_in_it) {
    const struct op ops[] = {TEST_ALLOC(0, 1), TEST_ALLOC(1, 2),   TEST_FREE(0),
                             TEST_ALLOC(0, 3), TEST_REALLOC(1, 4), TEST_FREE(1),
                             TEST_ALLOC(1, 5), TEST_FREE(0)};
    struct trace trace = test_trace(ops, 8);
    (void)strcpy(trace.origin, "here");
    struct problem problem = {""};
    ck_assert_msg(trace_slice(&trace, 2, 5, &problem), "%s", problem.text);
    ck_assert_str_eq(trace.origin, "here, ops 2 to 6");
    ck_assert_uint_eq(trace.op_count, 2); /* of ops 2 to 6 only 3 and 6 are of new blocks */
    ck_assert_uint_eq(trace.ops[0].bytes, 3);
    ck_assert_uint_eq(trace.ops[0].slot, 0);
    ck_assert_uint_eq(trace.ops[1].bytes, 5);
    ck_assert_uint_eq(trace.ops[1].slot, 1);
    ck_assert_uint_eq(trace.counts.live_at_end, 2);
    ck_assert(!trace_slice(&trace, 2, 1, &problem));
    ck_assert_ptr_nonnull(strstr(problem.text, "expected one of 2"));
    trace_release(&trace);
}
END_TEST

START_TEST(a_slice_of_all_changes_nothing) {
    struct trace trace = test_trace_load("gen:embedded:1:1000");
    struct trace whole = test_trace_load("gen:embedded:1:1000");
    struct problem problem;
    ck_assert(trace_slice(&trace, 0, SIZE_MAX, &problem));
    ck_assert_str_eq(trace.sha256, whole.sha256);
    ck_assert_str_eq(trace.origin, whole.origin);
    ck_assert(trace_slice(&trace, 1, SIZE_MAX, &problem));
    ck_assert_str_ne(trace.sha256, whole.sha256);
    trace_release(&trace);
    trace_release(&whole);
    struct trace empty = test_trace(NULL, 0); /* of a program that asked for nothing */
    ck_assert(trace_slice(&empty, 0, SIZE_MAX, &problem));
    ck_assert_uint_eq(empty.op_count, 0);
    trace_release(&empty);
}
END_TEST

/* ---- what cannot be loaded ---- */

static void assert_unloadable(const char *path, const char *said) {
    struct trace trace;
    struct problem problem = {""};
    ck_assert(!trace_load(path, &trace, &problem));
    ck_assert_msg(strstr(problem.text, said) != NULL, "%s", problem.text);
    ck_assert_int_eq(strncmp(problem.text, path, strlen(path)), 0);
    ck_assert_ptr_null(trace.ops);
}

START_TEST(files_that_cannot_be_read_are_named) {
    char path[] = "/tmp/trace-test-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
    assert_unloadable(path, "empty file");
    assert_unloadable("/tmp", "directory");
    assert_unloadable("/nowhere/trace.hrt", "No such file");
    chmod(path, 0);
    bool root = geteuid() == 0;
    if (root) {
        ck_assert_int_eq(seteuid(65534), 0);
    }
    assert_unloadable(path, "Permission denied");
    if (root) {
        ck_assert_int_eq(seteuid(0), 0);
    }
    unlink(path);
}
END_TEST

int main(void) {
    TCase *finish = tcase_create("finish");
    tcase_add_loop_test(finish, broken_rules_are_named, 0, sizeof bad_cases / sizeof bad_cases[0]);
    tcase_add_test(finish, counts_are_those_of_a_trace_counted_by_hand);
    tcase_add_test(finish, absurd_requests_do_not_overflow_the_counts);
    tcase_add_test(finish, an_empty_trace_is_valid);
    TCase *builder = tcase_create("builder");
    tcase_add_test(builder, a_freed_slot_is_taken_again_last_first);
    tcase_add_test(builder, pushes_that_contradict_add_nothing);
    tcase_add_loop_test(builder, keys_live_exactly_from_allocation_to_free, 0, 4);
    TCase *slice = tcase_create("slice");
    tcase_add_test(slice, a_slice_keeps_only_what_was_born_in_it);
    tcase_add_test(slice, a_slice_of_all_changes_nothing);
    tcase_add_test(slice, files_that_cannot_be_read_are_named);
    Suite *suite = suite_create("trace");
    suite_add_tcase(suite, finish);
    suite_add_tcase(suite, builder);
    suite_add_tcase(suite, slice);
    return test_main(suite);
}
