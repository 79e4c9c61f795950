/* SPDX-License-Identifier: MIT
 * conformance_alloc_test.c - alloc(), alloc_aligned(), largest(): what is served, what is refused,
 * and that capacity does not wear out. */
#include "conformance.h"

enum { LIVE_MAX = 9000, OPS = 300, SLOTS = 32 };

/* ---- refusals ---- */

/* Also where blocks of the smallest size were freed between others and may wait for a request. */
START_TEST(zero_bytes_is_refused) {
    enum { BLOCKS = 16 };
    struct rig rig;
    void *block[BLOCKS];
    rig_open(&rig, _i, RIG_POOL_BYTES, 0);
    size_t count = 0;
    while (count < BLOCKS && (block[count] = rig.ops->alloc(rig.heap, 1)) != NULL) {
        rig_assert_payload(&rig, block[count], 1, rig_align(&rig));
        count++;
    }
    ck_assert_uint_gt(count, 0);
    for (size_t i = 0; i < count; i += 4) {
        ck_assert_int_eq(rig.ops->free(rig.heap, block[i]), ALLOC_OK);
    }
    uint64_t before = rig_state(&rig);
    ck_assert_ptr_null(rig.ops->alloc(rig.heap, 0));
    if (rig.ops->alloc_aligned != NULL) {
        for (size_t align = 1; align <= RIG_POOL_BYTES; align *= 2) {
            ck_assert_ptr_null(rig.ops->alloc_aligned(rig.heap, 0, align));
        }
    }
    ck_assert_uint_eq(rig_state(&rig), before);
    rig_close(&rig);
}
END_TEST

/* Sizes around every power of two from the pool's size up, and up to SIZE_MAX. */
START_TEST(absurd_sizes_are_refused) {
    struct rig rig;
    for (size_t misalign = 0; misalign < 16; misalign += 3) {
        rig_open(&rig, _i, RIG_POOL_BYTES, misalign);
        void *live = rig.ops->alloc(rig.heap, 1);
        size_t usable = rig.ops->usable(rig.heap, live);
        payload_fill(live, usable, 1);
        uint64_t before = rig_state(&rig);
        for (unsigned log2 = 16; log2 <= 8 * sizeof(size_t); log2++) {
            size_t base = log2 < 8 * sizeof(size_t) ? (size_t)1 << log2 : 0;
            for (size_t k = 0; k < 128; k++) {
                size_t bytes = base + k - (log2 == 16 ? 0 : 64);
                if (bytes < RIG_POOL_BYTES) {
                    continue; /* wrapped past SIZE_MAX */
                }
                ck_assert_msg(rig.ops->alloc(rig.heap, bytes) == NULL, "%s serves %zu B",
                              rig.ops->name, bytes);
                if (rig.ops->alloc_aligned != NULL) {
                    size_t align = (size_t)1 << k % (8 * sizeof(size_t));
                    ck_assert_ptr_null(rig.ops->alloc_aligned(rig.heap, bytes, align));
                }
                if (rig.ops->realloc != NULL) {
                    ck_assert_ptr_null(rig.ops->realloc(rig.heap, live, bytes));
                    ck_assert_ptr_null(rig.ops->realloc(rig.heap, NULL, bytes));
                }
            }
        }
        ck_assert_uint_eq(rig_state(&rig), before);
        ck_assert(payload_holds(live, usable, 1));
        rig_free(&rig, live);
        rig_close(&rig);
    }
}
END_TEST

START_TEST(no_power_of_two_is_no_alignment) {
    struct rig rig;
    rig_open(&rig, _i, RIG_POOL_BYTES, 0);
    uint64_t before = rig_state(&rig);
    const size_t aligns[] = {0,
                             3,
                             5,
                             6,
                             7,
                             9,
                             10,
                             12,
                             15,
                             24,
                             48,
                             100,
                             4095,
                             4097,
                             96,
                             40,
                             192,
                             SIZE_MAX,
                             SIZE_MAX - 1,
                             SIZE_MAX / 2,
                             SIZE_MAX / 2 + 2};
    for (size_t i = 0; rig.ops->alloc_aligned != NULL && i < sizeof aligns / sizeof aligns[0];
         i++) {
        ck_assert_msg(rig.ops->alloc_aligned(rig.heap, 1, aligns[i]) == NULL,
                      "%s serves alignment %zu", rig.ops->name, aligns[i]);
    }
    ck_assert_uint_eq(rig_state(&rig), before);
    rig_close(&rig);
}
END_TEST

/* ---- service ---- */

START_TEST(every_size_is_served_and_returned) {
    struct rig rig;
    rig_open(&rig, _i, RIG_POOL_BYTES, 3);
    size_t largest = rig_largest(&rig);
    size_t most = rig.ops->largest != NULL ? largest : 2000;
    for (size_t bytes = 1; bytes <= most; bytes += bytes < 400 ? 1 : 37) {
        if (!rig_has(&rig, ALLOC_CAP_FREES)) {
            rig_init(&rig);
        }
        void *p = rig.ops->alloc(rig.heap, bytes);
        rig_assert_payload(&rig, p, bytes, rig_align(&rig));
        memset(p, 0xA5, rig.ops->usable(rig.heap, p));
        (void)rig_state(&rig);
        rig_free(&rig, p);
        rig_assert_drained(&rig, largest);
    }
    rig_close(&rig);
}
END_TEST

/* May alloc_aligned() refuse? See the contract. */
static bool refusal_allowed(const struct rig *rig, size_t bytes, size_t align) {
    if (align <= rig_align(rig)) {
        return rig->ops->largest != NULL && bytes > rig->ops->largest(rig->heap);
    }
    return rig_has(rig, ALLOC_CAP_FIXED_SIZE) || rig->ops->largest == NULL ||
           (rig_has(rig, ALLOC_CAP_SLOTS) && rig->ops->largest(rig->heap) <= ALLOC_SLOT_MAX) ||
           rig->ops->largest(rig->heap) < bytes + align + 2 * ALLOC_ALIGN;
}

START_TEST(every_alignment_is_served) {
    struct rig rig;
    const size_t sizes[] = {1, 7, 8, 24, 100, 1000, 4096, 30000};
    for (size_t misalign = 0; misalign < 40; misalign += 13) {
        rig_open(&rig, _i, RIG_POOL_BYTES, misalign);
        if (rig.ops->alloc_aligned == NULL) {
            rig_close(&rig);
            return;
        }
        size_t served = 0;
        for (size_t align = 1; align != 0; align *= 2) {
            for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                rig_init(&rig);
                (void)rig.ops->alloc(rig.heap, sizes[i] % 64 + 1);
                bool allowed = align > RIG_POOL_BYTES || refusal_allowed(&rig, sizes[i], align);
                uint64_t before = rig_state(&rig);
                void *p = rig.ops->alloc_aligned(rig.heap, sizes[i], align);
                if (p == NULL) {
                    ck_assert_msg(allowed, "%s refuses %zu B at %zu", rig.ops->name, sizes[i],
                                  align);
                    ck_assert_uint_eq(rig_state(&rig), before);
                    continue;
                }
                served++;
                size_t least = align < rig_align(&rig) ? rig_align(&rig) : align;
                rig_assert_payload(&rig, p, sizes[i], least);
                memset(p, 0xA5, rig.ops->usable(rig.heap, p));
                (void)rig_state(&rig);
                rig_free(&rig, p);
            }
        }
        ck_assert_uint_gt(served, 0);
        rig_close(&rig);
    }
}
END_TEST

/* ---- largest() ---- */

static void assert_largest_exact(const struct rig *rig, unsigned char *saved, uint64_t *random) {
    size_t largest = rig->ops->largest(rig->heap);
    size_t growth = rig_has(rig, ALLOC_CAP_GOOD_FIT) ? ALLOC_LARGEST_GROWTH(largest) : 0;
    uint64_t before = rig_state(rig);
    ck_assert_ptr_null(rig->ops->alloc(rig->heap, largest + 1));
    ck_assert_uint_eq(rig_state(rig), before);
    memcpy(saved, rig->arena.pool, rig->arena.pool_bytes);
    for (size_t i = 0; i < 12 && largest > 0; i++) {
        size_t bytes = i == 0 ? largest : 1 + random_below(random, largest);
        const void *p = rig->ops->alloc(rig->heap, bytes);
        ck_assert_msg(p != NULL, "%s: largest() is %zu, %zu B refused", rig->ops->name, largest,
                      bytes);
        ck_assert_uint_le(rig->ops->largest(rig->heap), largest + growth);
        memcpy(rig->arena.pool, saved, rig->arena.pool_bytes);
    }
    ck_assert_uint_eq(rig_state(rig), before);
}

/* On the states of a random run, on its full pools too. */
START_TEST(largest_is_exact) {
    static unsigned char saved[RIG_POOL_BYTES];
    static struct op ops[OPS];
    struct rig rig;
    uint64_t random = random_seed(11);
    for (uint64_t run = 0; run < 6; run++) {
        rig_open(&rig, _i, run % 3 == 0 ? 10000 : 20000, (size_t)run);
        if (rig.ops->largest == NULL) {
            rig_close(&rig);
            return;
        }
        void *slots[SLOTS] = {NULL};
        struct random_ops how = {random_seed(run), SLOTS, run % 2 == 0 ? 4000 : 300, 0};
        random_ops_fill(&how, ops, OPS);
        for (size_t i = 0; i < OPS; i++) {
            void **slot = &slots[ops[i].slot];
            if (*slot != NULL) {
                rig_free(&rig, *slot);
                *slot = NULL;
            } else if (ops[i].kind != OP_FREE && ops[i].bytes < RIG_POOL_BYTES) {
                *slot = rig.ops->alloc(rig.heap, (size_t)ops[i].bytes);
            }
            if (i % 9 == 0) {
                assert_largest_exact(&rig, saved, &random);
            }
        }
        for (size_t i = 0; rig.ops->alloc(rig.heap, rig.ops->largest(rig.heap)) != NULL; i++) {
            if (i % 29 == 0) {
                assert_largest_exact(&rig, saved, &random);
            }
        }
        ck_assert_uint_eq(rig.ops->largest(rig.heap), 0);
        ck_assert_ptr_null(rig.ops->alloc(rig.heap, 1));
        rig_close(&rig);
    }
}
END_TEST

/* ---- capacity ---- */

static void *live[LIVE_MAX];

static size_t exhaust(const struct rig *rig, size_t bytes) {
    size_t count = 0;
    for (void *p; (p = rig->ops->alloc(rig->heap, bytes)) != NULL; count++) {
        ck_assert_uint_lt(count, LIVE_MAX);
        rig_assert_payload(rig, p, bytes, rig_align(rig));
        live[count] = p;
        payload_fill(p, rig->ops->usable(rig->heap, p), count);
    }
    if (rig->ops->largest != NULL) {
        ck_assert_uint_lt(rig->ops->largest(rig->heap), bytes);
    }
    return count;
}

static void give_back(const struct rig *rig, size_t index) {
    ck_assert(payload_holds(live[index], rig->ops->usable(rig->heap, live[index]), index));
    rig_free(rig, live[index]);
}

enum order { LAST_FIRST, FIRST_FIRST, ODD_THEN_EVEN, OUTSIDE_IN, ORDERS };

static void drain(const struct rig *rig, size_t count, enum order order) {
    for (size_t i = 0; i < count; i++) {
        size_t odd = count / 2;
        const size_t index[ORDERS] = {count - 1 - i, i, i < odd ? 2 * i + 1 : 2 * (i - odd),
                                      i % 2 == 0 ? i / 2 : count - 1 - i / 2};
        give_back(rig, index[order]);
    }
}

/* As many blocks of one size as before fit again, in whatever order they are given back. With
 * COALESCES even after other sizes, and with all as it was at the start. */
START_TEST(capacity_does_not_wear_out) {
    const size_t sizes[] = {1, 100, 9, 2000, 33};
    struct rig rig;
    rig_open(&rig, _i, RIG_POOL_BYTES - 5, 5);
    size_t largest = rig_largest(&rig);
    for (size_t i = 0; rig_has(&rig, ALLOC_CAP_FREES) && i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t first = 0;
        for (int order = 0; order < ORDERS; order++) {
            size_t count = exhaust(&rig, sizes[i]);
            first = order == 0 ? count : first;
            ck_assert_msg(count == first, "%s: %zu blocks of %zu B, then %zu", rig.ops->name, first,
                          sizes[i], count);
            (void)rig_state(&rig);
            drain(&rig, count, (enum order)order);
            rig_assert_drained(&rig, largest);
        }
    }
    rig_close(&rig);
}
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {
        zero_bytes_is_refused,           absurd_sizes_are_refused,
        no_power_of_two_is_no_alignment, every_size_is_served_and_returned,
        every_alignment_is_served,       largest_is_exact,
        capacity_does_not_wear_out};
    return conformance_main(argc, argv, "conformance: alloc", tests,
                            sizeof tests / sizeof tests[0]);
}
