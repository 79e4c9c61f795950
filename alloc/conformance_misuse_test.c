/* SPDX-License-Identifier: MIT
 * conformance_misuse_test.c - free(), realloc() and usable() of what is no live block.
 *
 * Allocators that detect misuse have to refuse every address but live payloads: class A always,
 * class B with payloads that forge no header (all zero, all one, a pattern, left as they were), and
 * EXACT_MISUSE ones with forged headers too. A refusal changes nothing. */
#include "conformance.h"

enum { OPS = 260, SLOTS = 40, SHIFT_4G = 32, SWEPT_BYTES = 12500 };

static bool rig_open_detecting(struct rig *rig, int case_index, size_t pool_bytes,
                               size_t misalign) {
    rig_open(rig, case_index, pool_bytes, misalign);
    if (!rig_has(rig, ALLOC_CAP_DETECTS_MISUSE | ALLOC_CAP_EXACT_MISUSE)) {
        rig_close(rig);
        return false;
    }
    return true;
}

/* All three functions that take a payload refuse it. */
static void assert_misuse(const struct rig *rig, uintptr_t address, const char *what) {
    void *p = (void *)address; /* never read through here */
    ck_assert_msg(rig->ops->usable(rig->heap, p) == 0, "%s: usable() takes %s, offset %zd",
                  rig->ops->name, what, (ssize_t)rig_offset(rig, p));
    if (rig->ops->realloc != NULL) {
        ck_assert_msg(rig->ops->realloc(rig->heap, p, 16) == NULL,
                      "%s: realloc() takes %s, offset %zd", rig->ops->name, what,
                      (ssize_t)rig_offset(rig, p));
    }
    ck_assert_msg(rig->ops->free(rig->heap, p) != ALLOC_OK, "%s: free() takes %s, offset %zd",
                  rig->ops->name, what, (ssize_t)rig_offset(rig, p));
}

static bool is_live(void *const *slots, uintptr_t address) {
    for (size_t i = 0; i < SLOTS; i++) {
        if ((uintptr_t)slots[i] == address) {
            return true;
        }
    }
    return false;
}

enum payload { PAYLOAD_ZEROS, PAYLOAD_ONES, PAYLOAD_PATTERN, PAYLOAD_STALE, PAYLOADS };

static void payload_write(const struct rig *rig, void *p, enum payload payload) {
    size_t bytes = rig->ops->usable(rig->heap, p);
    if (payload == PAYLOAD_PATTERN) {
        payload_fill(p, bytes, (uintptr_t)p);
    } else if (payload != PAYLOAD_STALE) {
        memset(p, payload == PAYLOAD_ZEROS ? 0x00 : 0xFF, bytes);
    }
}

/* A random heap with holes; payloads as asked. */
static void rig_populate(const struct rig *rig, void **slots, uint64_t seed, enum payload payload) {
    static struct op ops[OPS];
    struct random_ops how = {seed, SLOTS, 1500, rig->ops->alloc_aligned != NULL ? 7 : 0};
    random_ops_fill(&how, ops, OPS);
    for (size_t i = 0; i < OPS; i++) {
        void **slot = &slots[ops[i].slot];
        if (*slot != NULL) {
            rig_free(rig, *slot);
            *slot = NULL;
        } else if (ops[i].bytes > 0 && ops[i].bytes < RIG_POOL_BYTES) {
            size_t bytes = (size_t)ops[i].bytes;
            *slot = ops[i].kind == OP_ALIGNED
                        ? rig->ops->alloc_aligned(rig->heap, bytes, (size_t)1 << ops[i].align_log2)
                        : rig->ops->alloc(rig->heap, bytes);
            if (*slot != NULL) {
                payload_write(rig, *slot, payload);
            }
        }
    }
}

/* Every address of the pool that is a multiple of step, and a bit beyond. */
static void assert_all_refused(const struct rig *rig, void *const *slots, size_t step) {
    uint64_t before = rig_state(rig);
    uintptr_t first = ((uintptr_t)rig->arena.pool - ARENA_GUARD) & ~(uintptr_t)(step - 1);
    uintptr_t end = (uintptr_t)rig->arena.pool + rig->arena.pool_bytes + ARENA_GUARD;
    for (uintptr_t address = first; address < end; address += step) {
        if (!is_live(slots, address)) {
            assert_misuse(rig, address, "an address of the pool that is not live");
        }
    }
    ck_assert_uint_eq(rig_state(rig), before);
}

START_TEST(null_is_freed_without_effect) {
    struct rig rig;
    rig_open(&rig, _i, RIG_POOL_BYTES, 0);
    uint64_t before = rig_state(&rig);
    ck_assert_int_eq(rig.ops->free(rig.heap, NULL), ALLOC_OK);
    ck_assert_uint_eq(rig_state(&rig), before);
    rig_close(&rig);
}
END_TEST

START_TEST(every_address_that_is_not_live_is_refused) {
    struct rig rig;
    for (size_t round = 0; round < PAYLOADS; round++) {
        void *slots[SLOTS] = {NULL};
        if (!rig_open_detecting(&rig, _i, SWEPT_BYTES, round)) {
            return;
        }
        if (round == 0) {
            assert_all_refused(&rig, slots, round == 0 ? 1 : 4);
        }
        rig_populate(&rig, slots, random_seed(round), (enum payload)(round % PAYLOADS));
        assert_all_refused(&rig, slots, round == 0 ? 1 : 4);
        for (size_t i = 0; i < SLOTS; i++) {
            rig_free(&rig, slots[i]);
            slots[i] = NULL;
        }
        assert_all_refused(&rig, slots, round == 0 ? 1 : 4);
        rig_close(&rig);
    }
}
END_TEST

START_TEST(foreign_addresses_are_refused) {
    struct rig rig;
    if (!rig_open_detecting(&rig, _i, RIG_POOL_BYTES, 0)) {
        return;
    }
    struct rig other;
    rig_open(&other, _i, RIG_POOL_BYTES, 0);
    static char in_data;
    char on_stack;
    void *from_libc = malloc(16);
    void *live = rig.ops->alloc(rig.heap, 8);
    void *of_other_pool = other.ops->alloc(other.heap, 8);
    uint64_t before = rig_state(&rig);
    const uintptr_t addresses[] = {1,
                                   4,
                                   8,
                                   64,
                                   4096,
                                   (uintptr_t)&in_data,
                                   (uintptr_t)&on_stack,
                                   (uintptr_t)from_libc,
                                   (uintptr_t)of_other_pool,
                                   (uintptr_t)other.arena.pool,
                                   (uintptr_t)rig.ops,
                                   UINTPTR_MAX,
                                   UINTPTR_MAX - 7,
                                   UINTPTR_MAX / 2 + 1,
                                   ~(uintptr_t)live};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        assert_misuse(&rig, addresses[i], "a foreign address");
    }
#if UINTPTR_MAX > UINT32_MAX
    for (uintptr_t k = 1; k < 300; k += k < 8 ? 1 : 31) { /* same offset when cut to 32 bits */
        assert_misuse(&rig, (uintptr_t)live + (k << SHIFT_4G), "an address 4 GiB off");
        assert_misuse(&rig, (uintptr_t)live - (k << SHIFT_4G), "an address 4 GiB off");
    }
#endif
    ck_assert_uint_eq(rig_state(&rig), before);
    rig_free(&rig, live);
    free(from_libc);
    rig_close(&other);
    rig_close(&rig);
}
END_TEST

/* Three neighbours between fences are freed in every order, so that each joins with what is free to
 * the left, to the right and on both sides; no freed one can be freed again. */
START_TEST(double_free_is_refused_after_every_way_of_joining) {
    static const unsigned char orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                               {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    const size_t sizes[] = {1, 24, 100, 700};
    struct rig rig;
    if (!rig_open_detecting(&rig, _i, RIG_POOL_BYTES, 0)) {
        return;
    }
    for (size_t round = 0; round < 6 * 4 * 2; round++) {
        rig_init(&rig);
        size_t bytes = sizes[round / 6 % 4];
        bool fence_behind = round >= 24;
        if (bytes > rig.ops->largest(rig.heap)) {
            continue;
        }
        rig_assert_payload(&rig, rig.ops->alloc(rig.heap, bytes), bytes, rig_align(&rig));
        void *p[3];
        for (size_t i = 0; i < 3; i++) {
            p[i] = rig.ops->alloc(rig.heap, bytes);
            rig_assert_payload(&rig, p[i], bytes, rig_align(&rig));
            payload_fill(p[i], bytes, i);
        }
        if (fence_behind) {
            (void)rig.ops->alloc(rig.heap, bytes);
        }
        for (size_t i = 0; i < 3; i++) {
            rig_free(&rig, p[orders[round % 6][i]]);
            uint64_t before = rig_state(&rig);
            for (size_t j = 0; j <= i; j++) {
                assert_misuse(&rig, (uintptr_t)p[orders[round % 6][j]], "a block freed already");
            }
            ck_assert_uint_eq(rig_state(&rig), before);
        }
    }
    rig_close(&rig);
}
END_TEST

/* Freed, joined, and handed out again inside a larger block. */
START_TEST(free_of_a_block_inside_a_later_one_is_refused) {
    struct rig rig;
    for (int payload = 0; payload < PAYLOADS; payload++) {
        if (!rig_open_detecting(&rig, _i, RIG_POOL_BYTES, 0)) {
            return;
        }
        void *small[40];
        size_t bytes = rig.ops->largest(rig.heap) < 40 ? rig.ops->largest(rig.heap) : 40;
        for (size_t i = 0; i < 40; i++) {
            small[i] = rig.ops->alloc(rig.heap, bytes);
            if (small[i] != NULL) {
                payload_fill(small[i], bytes, i);
            }
        }
        for (size_t i = 0; i < 40; i++) {
            rig_free(&rig, small[i]);
        }
        void *slots[SLOTS] = {NULL};
        for (size_t i = 0; i < 8; i++) {
            slots[i] = rig.ops->alloc(rig.heap, 150 + i * 64);
            if (slots[i] != NULL) {
                payload_write(&rig, slots[i], (enum payload)payload);
            }
        }
        uint64_t before = rig_state(&rig);
        for (size_t i = 0; i < 40; i++) {
            if (small[i] != NULL && !is_live(slots, (uintptr_t)small[i])) {
                assert_misuse(&rig, (uintptr_t)small[i], "a block inside a later one");
            }
        }
        ck_assert_uint_eq(rig_state(&rig), before);
        rig_close(&rig);
    }
}
END_TEST

/* The bytes around a live payload, copied to all places of another payload, forge nothing. */
START_TEST(exact_allocators_are_not_fooled_by_forged_headers) {
    enum { WINDOW = 32 };
    struct rig rig;
    if (!rig_open_detecting(&rig, _i, RIG_POOL_BYTES, 0)) {
        return;
    }
    if (rig_has(&rig, ALLOC_CAP_EXACT_MISUSE)) {
        void *slots[SLOTS] = {NULL};
        size_t large = rig_largest(&rig) < 3000 ? rig_largest(&rig) : 3000;
        unsigned char window[2 * WINDOW];
        slots[0] = rig.ops->alloc(rig.heap, large);
        slots[1] = rig.ops->alloc(rig.heap, 24 < large ? 24 : large);
        slots[2] = rig.ops->alloc(rig.heap, large);
        for (size_t i = 0; i < 3; i++) {
            rig_assert_payload(&rig, slots[i], 1, rig_align(&rig));
            payload_fill(slots[i], rig.ops->usable(rig.heap, slots[i]), i);
        }
        memcpy(window, (const char *)slots[1] - WINDOW, sizeof window);
        size_t bytes = rig.ops->usable(rig.heap, slots[0]);
        for (size_t lead = 0; lead < sizeof window; lead += 4) {
            for (size_t at = lead; at + sizeof window <= bytes; at += sizeof window) {
                memcpy((char *)slots[0] + at, window, sizeof window);
            }
            for (uintptr_t at = 1; at < bytes; at++) {
                assert_misuse(&rig, (uintptr_t)slots[0] + at, "a forged header");
            }
        }
    }
    rig_close(&rig);
}
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {null_is_freed_without_effect,
                                  every_address_that_is_not_live_is_refused,
                                  foreign_addresses_are_refused,
                                  double_free_is_refused_after_every_way_of_joining,
                                  free_of_a_block_inside_a_later_one_is_refused,
                                  exact_allocators_are_not_fooled_by_forged_headers};
    return conformance_main(argc, argv, "conformance: misuse", tests,
                            sizeof tests / sizeof tests[0]);
}
