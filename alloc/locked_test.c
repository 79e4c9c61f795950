/* SPDX-License-Identifier: MIT
 *
 * locked_test.c - every function of a locked table takes the lock once and gives it back once,
 * whatever comes of the call
 *
 * A forgotten unlock is found by no test that only looks at results: it shows as a system that
 * stands still, on the one path nobody took. So a lock that counts is put around an allocator that
 * notes in which state it was called, every function is called with every outcome it has, and the
 * same judge is shown locked tables with planted faults, which it has to name. (That the functions
 * do what alloc.h says is for the conformance tests, which run for lock:tlsf as well.)
 */
#include "locked.h"

#include "../bench/test_trace.h"

#include <stdio.h>

extern const struct alloc_ops tlsf_ops;

/* ---- a lock that counts ---- */

static struct {
    unsigned taken, released, key_wrong;
    bool held, called_without; /* the allocator, while the lock was not held */
} lock;

enum { KEY = 0x5EED };

static uint32_t counting_lock(const struct alloc *a) {
    (void)a;
    lock.taken++;
    lock.held = true;
    return KEY + lock.taken;
}

static void counting_unlock(const struct alloc *a, uint32_t key) {
    (void)a;
    lock.released++;
    lock.key_wrong += key != KEY + lock.taken;
    lock.held = false;
}

/* tlsf that notes whether the lock is held: the inner table. */
static uint32_t note(const struct alloc *a) {
    (void)a;
    lock.called_without |= !lock.held;
    return 0;
}

static void note_end(const struct alloc *a, uint32_t key) {
    (void)a;
    (void)key;
}

LOCKED_DEFINE(noting, tlsf_ops, note, note_end)

static struct alloc_ops noting_ops; /* noting_table(), filled by main() */

LOCKED_DEFINE(counted, noting_ops, counting_lock, counting_unlock)

/* ---- locked tables with faults ---- */

static void *alloc_keeps_lock_on_refusal(struct alloc *a, size_t bytes) {
    uint32_t key = counting_lock(a);
    void *p = noting_ops.alloc(a, bytes);
    if (p == NULL) {
        return NULL;
    }
    counting_unlock(a, key);
    return p;
}

static void *realloc_keeps_lock_on_refusal(struct alloc *a, void *p, size_t bytes) {
    uint32_t key = counting_lock(a);
    void *moved = noting_ops.realloc(a, p, bytes);
    if (moved != NULL || bytes == 0) {
        counting_unlock(a, key);
    }
    return moved;
}

static void *realloc_without_lock(struct alloc *a, void *p, size_t bytes) {
    return noting_ops.realloc(a, p, bytes);
}

static enum alloc_status free_keeps_lock_on_misuse(struct alloc *a, void *p) {
    uint32_t key = counting_lock(a);
    enum alloc_status status = noting_ops.free(a, p);
    if (status == ALLOC_OK) {
        counting_unlock(a, key);
    }
    return status;
}

static enum alloc_status free_unlocks_first(struct alloc *a, void *p) {
    counting_unlock(a, counting_lock(a));
    return noting_ops.free(a, p);
}

static void *aligned_loses_key(struct alloc *a, size_t bytes, size_t align) {
    (void)counting_lock(a);
    void *p = noting_ops.alloc_aligned(a, bytes, align);
    counting_unlock(a, 0);
    return p;
}

/* ---- the judge ---- */

enum { POOL_BYTES = 16384 };
static _Alignas(16) unsigned char pool[POOL_BYTES];
static _Alignas(16) unsigned char region[1024];

static bool piece_seen(void *ctx, const struct alloc_piece *piece) {
    (void)piece;
    lock.called_without |= !lock.held; /* the visitor runs inside as well */
    return ++*(unsigned *)ctx < 2;
}

/* The first call that did not take and give back the lock once, or NULL; an order of calls that
 * meets every outcome: served, refused, misuse, nothing to do. */
static const char *fault_of(const struct alloc_ops *ops) {
    struct alloc *a = ops->init(pool, sizeof pool, NULL);
    void *p = NULL;
    void *q = NULL;
    unsigned pieces = 0;
    struct alloc_stats stats;
#define CALL(what, call)                                                                           \
    lock.taken = lock.released = lock.key_wrong = 0;                                               \
    lock.called_without = lock.held = false;                                                       \
    call;                                                                                          \
    if (lock.taken != 1 || lock.released != 1 || lock.key_wrong != 0 || lock.called_without) {     \
        return what;                                                                               \
    }
    CALL("alloc", p = ops->alloc(a, 100))
    CALL("alloc of nothing", (void)ops->alloc(a, 0))
    CALL("alloc refused", (void)ops->alloc(a, SIZE_MAX))
    CALL("alloc_aligned", q = ops->alloc_aligned(a, 100, 256))
    CALL("alloc_aligned refused", (void)ops->alloc_aligned(a, 100, 3))
    CALL("realloc", p = ops->realloc(a, p, 2000))
    CALL("realloc refused", ck_assert_ptr_null(ops->realloc(a, p, 2 * (size_t)POOL_BYTES)))
    CALL("realloc of misuse", ck_assert_ptr_null(ops->realloc(a, (char *)p + 1, 10)))
    CALL("realloc to nothing", ck_assert_ptr_null(ops->realloc(a, p, 0)))
    CALL("usable", ck_assert_uint_ge(ops->usable(a, q), 100))
    CALL("usable of misuse", ck_assert_uint_eq(ops->usable(a, (char *)q + 1), 0))
    CALL("free", ck_assert_int_eq(ops->free(a, q), ALLOC_OK))
    CALL("double free", ck_assert_int_ne(ops->free(a, q), ALLOC_OK))
    CALL("free of nothing", ck_assert_int_eq(ops->free(a, NULL), ALLOC_OK))
    CALL("largest", ck_assert_uint_gt(ops->largest(a), 0))
    CALL("add_region refused", ck_assert(!ops->add_region(a, NULL, 0)))
    CALL("add_region", (void)ops->add_region(a, region, sizeof region))
    CALL("walk", ops->walk(a, piece_seen, &pieces))
    CALL("stats", ops->stats(a, &stats))
    CALL("check", ck_assert(ops->check(a) == NULL))
#undef CALL
    return NULL;
}

START_TEST(every_call_takes_the_lock_once) {
    const struct alloc_ops ops = counted_table();
    const char *fault = fault_of(&ops);
    ck_assert_msg(fault == NULL, "%s", fault);
}
END_TEST

/* The judge can see what it is for. */
START_TEST(planted_faults_are_named) {
    struct alloc_ops faulty[6];
    static const char *const named[] = {
        "alloc of nothing", "realloc refused", "realloc", "double free", "free", "alloc_aligned"};
    for (size_t i = 0; i < 6; i++) {
        faulty[i] = counted_table();
    }
    faulty[0].alloc = alloc_keeps_lock_on_refusal;
    faulty[1].realloc = realloc_keeps_lock_on_refusal;
    faulty[2].realloc = realloc_without_lock;
    faulty[3].free = free_keeps_lock_on_misuse;
    faulty[4].free = free_unlocks_first;
    faulty[5].alloc_aligned = aligned_loses_key;
    for (size_t i = 0; i < 6; i++) {
        const char *fault = fault_of(&faulty[i]);
        ck_assert_msg(fault != NULL && strcmp(fault, named[i]) == 0, "fault %zu: %s, expected %s",
                      i, fault != NULL ? fault : "not seen", named[i]);
    }
}
END_TEST

START_TEST(the_table_tells_what_it_is) {
    struct alloc_ops less = noting_ops; /* of an allocator that can do less */
    less.realloc = NULL;
    less.walk = NULL;
    noting_ops = less;
    const struct alloc_ops ops = counted_table();
    ck_assert(ops.realloc == NULL && ops.walk == NULL);
    ck_assert(ops.alloc == counted_alloc && ops.check == counted_check);
    ck_assert(ops.init == tlsf_ops.init);
    ck_assert_uint_eq(ops.caps, tlsf_ops.caps | ALLOC_CAP_THREADS);
    ck_assert_uint_eq(ops.abi, ALLOC_ABI);
    ck_assert_str_eq(ops.name, "tlsf");
}
END_TEST

/* Nothing is kept in the pool: a locked heap is the same to the byte. */
START_TEST(the_pool_is_as_without_a_lock) {
    static unsigned char plain[POOL_BYTES];
    for (int locked = 0; locked < 2; locked++) {
        const struct alloc_ops ops = locked ? counted_table() : tlsf_ops;
        memset(pool, 0xA5, sizeof pool);
        struct alloc *a = ops.init(pool, sizeof pool, NULL);
        void *p = ops.alloc(a, 100);
        void *q = ops.alloc_aligned(a, 300, 64);
        p = ops.realloc(a, p, 1000);
        ck_assert(p != NULL && q != NULL && ops.free(a, q) == ALLOC_OK);
        if (!locked) {
            memcpy(plain, pool, sizeof pool);
        }
    }
    ck_assert_mem_eq(plain, pool, sizeof pool);
}
END_TEST

int main(void) {
    noting_ops = noting_table();
    TCase *tcase = tcase_create("locked");
    tcase_add_test(tcase, every_call_takes_the_lock_once);
    tcase_add_test(tcase, planted_faults_are_named);
    tcase_add_test(tcase, the_table_tells_what_it_is);
    tcase_add_test(tcase, the_pool_is_as_without_a_lock);
    Suite *suite = suite_create("locked");
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
