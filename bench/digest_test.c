/* SPDX-License-Identifier: MIT
 * digest_test.c - equal placement gives equal digests, one block placed elsewhere another. */
#include "digest.h"
#include "stage.h"
#include "test_shelf.h"
#include "test_trace.h"

static size_t skew_at; /* the alloc that is answered with the next higher block */
static size_t seen;

static void *skew_alloc(struct alloc *a, size_t bytes) {
    void *payload = shelf_alloc(a, bytes);
    if (++seen == skew_at && payload != NULL) {
        void *next = shelf_alloc(a, bytes);
        (void)shelf_free(a, payload);
        return next;
    }
    return payload;
}

static uint64_t digest_of(const struct alloc_ops *ops, const struct trace *trace,
                          unsigned char *pool, size_t pool_bytes) {
    void **slots = calloc(trace->counts.slots + 1, sizeof *slots);
    struct digest digest;
    struct replay_result result;
    digest_begin(&digest, pool);
    struct replay_observer observer = digest_observer(&digest);
    struct replay replay = {.ops = ops,
                            .heap = ops->init(pool, pool_bytes, NULL),
                            .slots = slots,
                            .op = trace->ops,
                            .op_count = trace->op_count,
                            .observers = &observer,
                            .observer_count = 1};
    ck_assert_ptr_nonnull(replay.heap);
    seen = 0;
    replay_run(&replay, &result);
    free(slots);
    return digest.value;
}

/* 40 allocs, every third block freed at once. */
static struct trace mixed(void) {
    struct op ops[60];
    size_t count = 0;
    for (uint32_t i = 0; i < 40; i++) {
        ops[count++] = (struct op)TEST_ALLOC(i, i + 1);
        if (i % 3 == 0) {
            ops[count++] = (struct op)TEST_FREE(i);
        }
    }
    return test_trace(ops, count);
}

START_TEST(address_and_dirt_do_not_matter) {
    struct trace trace = mixed();
    unsigned char *memory = aligned_alloc(4096, 16384);
    memset(memory, 0x5A, 16384);
    uint64_t first = digest_of(&shelf_ops, &trace, memory, 8192);
    ck_assert(digest_of(&shelf_ops, &trace, memory + 4096, 8192) == first);
    memset(memory, 0xFF, 16384);
    ck_assert(digest_of(&shelf_ops, &trace, memory, 8192) == first);
    free(memory);
    trace_release(&trace);
}
END_TEST

START_TEST(one_block_elsewhere_shows) {
    struct alloc_ops skew = shelf_ops;
    skew.alloc = skew_alloc;
    struct trace trace = mixed();
    unsigned char *memory = aligned_alloc(4096, 8192);
    uint64_t digests[41];
    for (skew_at = 0; skew_at <= 40; skew_at++) { /* 0: nowhere */
        digests[skew_at] = digest_of(&skew, &trace, memory, 8192);
        for (size_t i = 0; i < skew_at; i++) {
            ck_assert_msg(digests[i] != digests[skew_at], "%zu and %zu", i, skew_at);
        }
    }
    free(memory);
    trace_release(&trace);
}
END_TEST

/* A failed request is part of the digest: pools too small differ from pools just large enough. */
START_TEST(failures_show) {
    struct trace trace = mixed();
    unsigned char *memory = aligned_alloc(4096, 8192);
    uint64_t roomy = digest_of(&shelf_ops, &trace, memory, 8192);
    ck_assert(digest_of(&shelf_ops, &trace, memory, 1024) != roomy);
    ck_assert(digest_of(&shelf_ops, &trace, memory, 4096) == roomy);
    free(memory);
    trace_release(&trace);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("digest");
    TCase *tcase = tcase_create("digest");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, address_and_dirt_do_not_matter);
    tcase_add_test(tcase, one_block_elsewhere_shows);
    tcase_add_test(tcase, failures_show);
    return test_main(suite);
}
