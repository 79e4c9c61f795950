/* SPDX-License-Identifier: MIT
 *
 * touches_test.c - is every load and store of an allocator seen, and nothing else? A slip in the
 * build's flags would silently give none; a compiler may leave some out. */
#include "stage.h"
#include "subject.h"
#include "test_trace.h"
#include "touches.h"

#include <stdio.h>

extern void __tsan_write1(const void *p);
extern void __tsan_read8(const void *p);

enum { SEEN_MAX = 1 << 16 };

static struct touch seen[SEEN_MAX];
static size_t seen_count;

static void see(void *ctx, const struct touch *touches, size_t count) {
    (void)ctx;
    for (size_t i = 0; i < count && seen_count < SEEN_MAX; i++) {
        seen[seen_count++] = touches[i];
    }
}

static void see_one(void *ctx, struct touch touch) {
    see(ctx, &touch, 1);
}

/* The touches since the last call of it. */
static size_t seen_now(void) {
    seen_count = 0;
    touches_pass();
    return seen_count;
}

static bool instrumented(void) {
    if (touches_absent() != NULL) {
        printf("skipped: touches: %s\n", touches_absent());
    }
    return touches_absent() == NULL;
}

#define assert_seen(...)                                                                           \
    do {                                                                                           \
        const struct touch expected[] = {__VA_ARGS__};                                             \
        ck_assert_uint_eq(seen_now(), sizeof expected / sizeof expected[0]);                       \
        for (size_t i_ = 0; i_ < seen_count; i_++) {                                               \
            ck_assert_uint_eq(seen[i_].offset, expected[i_].offset);                               \
            ck_assert_uint_eq(seen[i_].bytes, expected[i_].bytes);                                 \
        }                                                                                          \
    } while (0)

/* The counts are those of the comments in touched_plugin.c, written down by hand. */
START_TEST(canary_is_seen_access_by_access) {
    if (!instrumented()) {
        return;
    }
    static _Alignas(64) unsigned char pool[8192];
    struct problem problem;
    char path[512];
    const char *folder = getenv("HEAPRIG_BUILD");
    (void)snprintf(path, sizeof path, "%s/bench/touched_plugin.so",
                   folder != NULL ? folder : "build");
    const struct alloc_ops *ops = subject_find(path, &problem);
    ck_assert_msg(ops != NULL, "%s", problem.text);
    ck_assert_ptr_eq(touches_build(ops), ops);
    touches_watch(pool, sizeof pool, see, NULL);
    struct alloc *heap = ops->init(pool, sizeof pool, NULL);
    assert_seen({0, 12 | TOUCH_STORE}, {16, 8 | TOUCH_STORE});
    void *payload = ops->alloc(heap, 100);
    assert_seen({8, 4}, {8, 4 | TOUCH_STORE}, {16, 8 | TOUCH_STORE});
    ck_assert_ptr_eq(payload, pool + 24);
    ck_assert_ptr_null(ops->alloc(heap, 300));
    ck_assert_uint_eq(seen_now(), 0);
    (void)ops->realloc(heap, payload, 200);
    assert_seen({24, 1024}, {24 + 2048, 1024 | TOUCH_STORE});
    (void)ops->free(heap, payload);
    size_t whole = 0;
    ck_assert_uint_ge(seen_now(), 3); /* a copied structure may be seen in parts */
    for (size_t i = 1; i < seen_count; i++) {
        whole += seen[i].bytes & ~TOUCH_STORE;
    }
    ck_assert_uint_eq(whole, 24);
    touches_unwatch();
    (void)ops->alloc(heap, 100);
    ck_assert_uint_eq(seen_now(), 0);
}
END_TEST

/* More than the buffer holds: nothing is lost, the order is kept. */
START_TEST(full_buffers_are_handed_over) {
    static unsigned char memory[3 * 64];
    unsigned char *pool = memory + 64;
    if (!instrumented()) {
        return;
    }
    touches_watch(pool, 64, see, NULL);
    seen_count = 0;
    for (size_t i = 0; i < 3 * TOUCHES_ROOM + 5; i++) {
        __tsan_write1(pool + i % 64);
    }
    ck_assert_uint_eq(seen_count, 3 * TOUCHES_ROOM);
    touches_pass();
    ck_assert_uint_eq(seen_count, 3 * TOUCHES_ROOM + 5);
    ck_assert_uint_eq(touches_count(), 3 * TOUCHES_ROOM + 5);
    for (size_t i = 0; i < seen_count; i++) {
        ck_assert_uint_eq(seen[i].offset, i % 64);
    }
    __tsan_write1(pool + 64); /* behind the pool */
    __tsan_write1(pool - 1);
    ck_assert_uint_eq(seen_now(), 0);
    touches_unwatch();
}
END_TEST

static size_t own_count(void) {
    size_t count;
    (void)alloc_registry(&count);
    return count;
}

/* The second build is another code that does the same. */
START_TEST(every_own_allocator_has_an_instrumented_build) {
    size_t count;
    const struct alloc_ops *own = alloc_registry(&count)[_i];
    const struct alloc_ops *touched = touches_build(own);
    ck_assert_ptr_ne(own, touched);
    ck_assert_ptr_ne((void *)(uintptr_t)own->alloc, (void *)(uintptr_t)touched->alloc);
    ck_assert_str_eq(own->name, touched->name);
    ck_assert_uint_eq(own->caps, touched->caps);
}
END_TEST

/* What an own allocator does without looking into its pool: nothing but this. */
static bool touches_nothing(const struct alloc_ops *ops, const char *call) {
    return (ops->caps & ALLOC_CAP_FREES) == 0 && strcmp(call, "free") == 0;
}

static void assert_touched(const struct alloc_ops *ops, const char *call, void *result) {
    size_t touches = seen_now();
    ck_assert_msg(result != NULL, "%s: %s found no memory", ops->name, call);
    ck_assert_msg(touches > 0 || touches_nothing(ops, call), "%s: no touch in %s", ops->name, call);
}

/* Each kind of operation reads or writes the pool, control structure included. */
START_TEST(every_operation_of_every_own_allocator_is_seen) {
    if (!instrumented()) {
        return;
    }
    size_t count;
    const struct alloc_ops *ops = touches_build(alloc_registry(&count)[_i]);
    static _Alignas(1 << 16) unsigned char pool[1 << 20];
    const struct alloc_cfg cfg = {.block_bytes = (ops->caps & ALLOC_CAP_FIXED_SIZE) != 0 ? 256 : 0};
    size_t bytes = ops->pool_max != 0 && ops->pool_max < sizeof pool ? ops->pool_max : sizeof pool;
    touches_watch(pool, bytes, see, NULL);
    struct alloc *heap = ops->init(pool, bytes, &cfg);
    assert_touched(ops, "init", heap);
    for (int round = 0; round < 40; round++) { /* the first may make slots, later ones take them */
        void *p = ops->alloc(heap, 40);
        assert_touched(ops, "alloc", p);
        if (ops->alloc_aligned != NULL) {
            assert_touched(ops, "alloc_aligned", ops->alloc_aligned(heap, 100, 64));
        }
        if (ops->realloc != NULL) {
            p = ops->realloc(heap, p, 200);
            assert_touched(ops, "realloc", p);
        }
        (void)ops->free(heap, p);
        assert_touched(ops, "free", p);
    }
    touches_unwatch();
}
END_TEST

/* A realloc that moves copies by memcpy(), which no instrumentation sees inside of. */
START_TEST(copies_are_seen) {
    if (!instrumented()) {
        return;
    }
    static _Alignas(1 << 16) unsigned char pool[1 << 20];
    const struct alloc_ops *ops = touches_build(alloc_find("tlsf"));
    struct alloc *heap = ops->init(pool, sizeof pool, NULL);
    void *p = ops->alloc(heap, 5000);
    ck_assert_ptr_nonnull(ops->alloc(heap, 5000));
    touches_watch(pool, sizeof pool, see, NULL);
    void *moved = ops->realloc(heap, p, 20000);
    ck_assert_ptr_ne(moved, p);
    (void)seen_now();
    bool read = false;
    bool written = false;
    for (size_t i = 0; i < seen_count; i++) {
        read |= seen[i].offset == (size_t)((unsigned char *)p - pool) && seen[i].bytes >= 5000;
        written |= seen[i].offset == (size_t)((unsigned char *)moved - pool) &&
                   seen[i].bytes >= (5000 | TOUCH_STORE);
    }
    ck_assert(read && written);
    touches_unwatch();
}
END_TEST

/* Decorators are allocators too. */
START_TEST(slots_before_a_heap_are_seen) {
    if (!instrumented()) {
        return;
    }
    static _Alignas(1 << 16) unsigned char pool[1 << 20];
    struct problem problem;
    const struct alloc_ops *plain = subject_find("slab:tlsf", &problem);
    const struct alloc_ops *ops = touches_build(plain);
    ck_assert_ptr_ne(plain, ops);
    ck_assert_str_eq(plain->name, ops->name);
    struct alloc *heap = ops->init(pool, sizeof pool, NULL);
    ck_assert_ptr_nonnull(ops->alloc(heap, 16)); /* makes a bucket */
    touches_watch(pool, sizeof pool, see, NULL);
    ck_assert_ptr_nonnull(ops->alloc(heap, 16));
    ck_assert_uint_gt(seen_now(), 0);
    touches_unwatch();
}
END_TEST

/* Quiet touches are counted and not seen, others at once, and of those just what the watcher says:
 * an edge that is wrong here would be a TLB miss that nobody counts. */
START_TEST(quiet_touches_are_only_counted) {
    if (!instrumented()) {
        return;
    }
    static _Alignas(4096) unsigned char pool[4 * 4096];
    const uint8_t loads[4] = {1, 3, 2, 0}, stores[4] = {1, 2, 2, 0};
    uint32_t allocator[4] = {0}, application[4] = {0};
    const struct touches_quiet quiet = {
        .map = {loads, stores}, .count = {allocator, application}, .see = see_one};
    touches_watch(pool, sizeof pool, see, NULL);
    touches_quieten(&quiet);
    seen_count = 0;
    __tsan_read8(pool + 4096);      /* quiet: two words */
    __tsan_write1(pool + 4097);     /* quiet */
    __tsan_write1(pool + 2 * 4096); /* quiet */
    ck_assert_uint_eq(seen_count, 0);
    ck_assert_uint_eq(touches_count(), 4);
    __tsan_write1(pool);            /* the map has other bits there */
    __tsan_read8(pool + 2 * 4096);  /* it has nothing for loads */
    __tsan_write1(pool + 3 * 4096); /* it has nothing at all */
    __tsan_read8(pool + 4096 - 4);  /* in two pages */
    __tsan_read8(pool + 4096 + 4);  /* not aligned */
    touches_add(0, 1 | TOUCH_STORE);
    touches_add(4096, 2 | TOUCH_STORE); /* no byte alone */
    ck_assert_uint_eq(seen_count, 7);
    ck_assert_uint_eq(touches_count(), 4 + 5);
    touches_add(8, 1);                  /* a load: quiet */
    touches_add(4098, 1 | TOUCH_STORE); /* quiet */
    __tsan_write1(pool + sizeof pool);  /* behind the pool, and the map */
    ck_assert_uint_eq(seen_count, 7);
    ck_assert_uint_eq(touches_count(), 4 + 5);
    const uint64_t words[2][2] = {{2, 2}, {1, 1}};
    const uint32_t counts[2][4] = {{2, 3, 2, 1}, {2, 2, 0, 0}};
    ck_assert_mem_eq(touches_watched.words, words, sizeof words);
    ck_assert_mem_eq(allocator, counts[0], sizeof allocator);
    ck_assert_mem_eq(application, counts[1], sizeof application);
    touches_unwatch();
    touches_watch(pool, sizeof pool, see, NULL); /* and the next watch has none */
    __tsan_write1(pool + 4096);
    ck_assert_uint_eq(seen_now(), 1);
    touches_unwatch();
}
END_TEST

int main(void) {
    Suite *suite = suite_create("touches");
    TCase *all = tcase_create("all");
    tcase_add_test(all, canary_is_seen_access_by_access);
    tcase_add_test(all, full_buffers_are_handed_over);
    tcase_add_loop_test(all, every_own_allocator_has_an_instrumented_build, 0, (int)own_count());
    tcase_add_loop_test(all, every_operation_of_every_own_allocator_is_seen, 0, (int)own_count());
    tcase_add_test(all, copies_are_seen);
    tcase_add_test(all, slots_before_a_heap_are_seen);
    tcase_add_test(all, quiet_touches_are_only_counted);
    suite_add_tcase(suite, all);
    return test_main(suite);
}
