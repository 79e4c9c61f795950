/* SPDX-License-Identifier: MIT
 * oracle_test.c - the oracle against an allocator with planted faults.
 *
 * Each fault of canary.h has to be caught, by the rule stated beside it, once with all the
 * allocator says of itself and once as a black box; the sound canary has to pass. So has the shadow
 * against a plain array. */
#include "arena.h"
#include "canary.h"
#include "content.h"
#include "oracle.h"
#include "random_ops.h"
#include "shadow.h"

#include "../alloc/test_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 12, OPS = 2000, POOL_BYTES = 8000, RUNS = 12 };

struct fault {
    const char *name;
    enum oracle_rule rule, black_box_rule;
};

static const struct fault faults[] = {
#define F(name, rule, black_box, words) {#name, ORACLE_##rule, ORACLE_##black_box},
    CANARY_FAULTS(F)
#undef F
};

/* What a run came to. */
struct outcome {
    enum oracle_rule rule;
    char verdict[512];
    struct oracle_counts counts;
};

struct run {
    const struct alloc_ops *ops;
    struct alloc_cfg cfg;
    uint64_t seed;
    size_t misalign;
    uint32_t audit_every, probe_every;
    size_t content_cap_bytes;
};

static struct outcome run_judge(const struct run *run) {
    static struct op ops[OPS];
    struct random_ops how = {run->seed, SLOTS, 600, 7};
    random_ops_fill(&how, ops, OPS);
    struct arena arena;
    ck_assert(arena_open(&arena, POOL_BYTES, run->misalign));
    arena_soil(&arena, ARENA_RANDOM, run->seed);
    struct alloc *heap = run->ops->init(arena.pool, arena.pool_bytes, &run->cfg);
    ck_assert_ptr_nonnull(heap);
    struct oracle_config config = {.ops = run->ops,
                                   .heap = heap,
                                   .cfg = &run->cfg,
                                   .pool = arena.pool,
                                   .pool_bytes = arena.pool_bytes,
                                   .guard_bytes = ARENA_GUARD,
                                   .slot_count = SLOTS,
                                   .audit_every = run->audit_every,
                                   .probe_every = run->probe_every,
                                   .probe_seed = run->seed,
                                   .content_cap_bytes = run->content_cap_bytes};
    struct oracle *oracle = oracle_new(&config);
    ck_assert_ptr_nonnull(oracle);
    struct replay_observer observer = oracle_observer(oracle);
    void *slots[SLOTS] = {NULL};
    struct replay replay = {run->ops, heap, slots, ops, OPS, REPLAY_TOUCH_NONE, &observer, 1};
    struct replay_result result;
    replay_run(&replay, &result);
    const char *verdict = oracle_audit(oracle);
    struct outcome outcome = {.rule = oracle_rule(oracle), .counts = oracle_counts(oracle)};
    snprintf(outcome.verdict, sizeof outcome.verdict, "%s", verdict != NULL ? verdict : "");
    oracle_free(oracle);
    arena_close(&arena);
    return outcome;
}

/* Runs seeds until one meets the fault: not every sequence of ops does. */
static void assert_caught(const struct alloc_ops *ops, uint32_t fault, enum oracle_rule expected,
                          uint32_t audit_every) {
    uint64_t runs = expected == ORACLE_NONE ? RUNS : 100 * RUNS;
    for (uint64_t i = 0; i < runs; i++) {
        struct run run = {.ops = ops,
                          .cfg = {fault},
                          .seed = random_seed(i),
                          .audit_every = audit_every,
                          .probe_every = 2};
        struct outcome outcome = run_judge(&run);
        if (outcome.rule != ORACLE_NONE) {
            printf("%-16s %s\n", faults[fault].name, outcome.verdict);
            ck_assert_msg(outcome.rule == expected, "%s: expected '%s', found: %s",
                          faults[fault].name, oracle_rule_words(expected), outcome.verdict);
            return;
        }
    }
    ck_assert_msg(expected == ORACLE_NONE, "%s: not caught, expected '%s'", faults[fault].name,
                  oracle_rule_words(expected));
}

START_TEST(planted_fault_is_caught_by_its_rule) {
    assert_caught(&canary_ops, (uint32_t)_i, faults[_i].rule, 1);
}
END_TEST

START_TEST(planted_fault_is_caught_in_a_black_box) {
    struct alloc_ops black_box = canary_ops;
    black_box.walk = NULL;
    black_box.stats = NULL;
    black_box.check = NULL;
    black_box.largest = NULL;
    assert_caught(&black_box, (uint32_t)_i, faults[_i].black_box_rule, 1);
}
END_TEST

START_TEST(sound_allocator_passes) {
    uint64_t probes = 0;
    for (uint64_t i = 0; i < RUNS; i++) {
        struct run run = {.ops = &canary_ops,
                          .seed = random_seed((uint64_t)_i * RUNS + i),
                          .misalign = (size_t)(i % 16),
                          .audit_every = (uint32_t)(i % 3),
                          .probe_every = (uint32_t)(i % 2),
                          .content_cap_bytes = i % 4 * 24};
        struct outcome outcome = run_judge(&run);
        ck_assert_msg(outcome.rule == ORACLE_NONE, "seed %llx: %s", (unsigned long long)run.seed,
                      outcome.verdict);
        ck_assert_uint_eq(outcome.counts.ops, OPS);
        ck_assert_uint_ge(outcome.counts.audits,
                          1 + (run.audit_every != 0 ? OPS / run.audit_every : 0));
        probes += outcome.counts.probes;
    }
    ck_assert_uint_gt(probes, RUNS * OPS / 10);
}
END_TEST

START_TEST(verdict_names_op_block_and_neighbour) {
    struct run run = {.ops = &canary_ops, .cfg = {CANARY_OVERLAPS}, .audit_every = 1};
    struct outcome outcome;
    do {
        run.seed++;
        outcome = run_judge(&run);
    } while (outcome.rule == ORACLE_NONE);
    unsigned long long op, born;
    unsigned slot;
    long long at, other;
    size_t size, other_size;
    const char *behind = strstr(outcome.verdict, "overlaps");
    ck_assert_ptr_nonnull(behind);
    ck_assert_int_eq(sscanf(outcome.verdict, "op %llu, %*[a-z] of", &op), 1);
    ck_assert_msg(sscanf(behind,
                         "overlaps a live block: block at %lld with %zu B shares bytes with block "
                         "at %lld (%zu B, slot %u, born at op %llu)",
                         &at, &size, &other, &other_size, &slot, &born) == 6,
                  "%s", outcome.verdict);
    ck_assert(other < at + (long long)size && at < other + (long long)other_size);
    ck_assert_uint_lt(born, op);
}
END_TEST

START_TEST(copy_is_a_snapshot) {
    struct arena arena;
    ck_assert(arena_open(&arena, POOL_BYTES, 0));
    struct alloc *heap = canary_ops.init(arena.pool, POOL_BYTES, NULL);
    struct oracle_config config = {.ops = &canary_ops,
                                   .heap = heap,
                                   .pool = arena.pool,
                                   .pool_bytes = POOL_BYTES,
                                   .slot_count = 2,
                                   .audit_every = 1};
    struct oracle *oracle = oracle_new(&config);
    struct oracle *before = oracle_new(&config);
    struct replay_observer observer = oracle_observer(oracle);
    void *slots[2] = {NULL};
    struct op ops[] = {{.bytes = 40, .slot = 0}, {.bytes = 50, .slot = 1}, {.kind = OP_FREE}};
    struct replay replay = {&canary_ops, heap, slots, ops, 1, REPLAY_TOUCH_NONE, &observer, 1};
    struct replay_result result;
    replay_run(&replay, &result);
    static unsigned char saved[POOL_BYTES];
    memcpy(saved, arena.pool, POOL_BYTES);
    oracle_copy(before, oracle);
    for (size_t round = 0; round < 2; round++) {
        replay.op = &ops[1];
        replay.op_count = 2;
        replay_run(&replay, &result);
        ck_assert_ptr_null(oracle_audit(oracle));
        ck_assert_uint_eq(oracle_counts(oracle).live, 1);
        ck_assert_uint_eq(oracle_counts(oracle).ops, 3);
        memcpy(arena.pool, saved, POOL_BYTES);
        oracle_copy(oracle, before);
        slots[0] = slots[1];
        slots[0] = (void *)((uintptr_t)slots[1] - 40);
        slots[1] = NULL;
        ck_assert_ptr_null(oracle_audit(oracle));
        ck_assert_uint_eq(oracle_counts(oracle).live, 1);
    }
    arena.pool[POOL_BYTES - 1] ^= 1; /* free memory: nobody's */
    ck_assert_ptr_null(oracle_audit(oracle));
    ((unsigned char *)slots[0])[39] ^= 1;
    ck_assert_ptr_nonnull(oracle_audit(oracle));
    ck_assert_int_eq(oracle_rule(oracle), ORACLE_CONTENT);
    oracle_free(before);
    oracle_free(oracle);
    arena_close(&arena);
}
END_TEST

START_TEST(every_damaged_byte_is_found) {
    unsigned char payload[72];
    for (size_t bytes = 1; bytes <= sizeof payload; bytes++) {
        for (size_t cap = 0; cap < 64; cap += 6) {
            struct content content = {bytes * 7 + cap, bytes, cap};
            memset(payload, 0, sizeof payload);
            content_fill(&content, payload);
            ck_assert_uint_eq(content_damage(&content, payload, 0, bytes), bytes);
            for (size_t at = 0; at < bytes; at++) {
                bool written = cap < 2 || bytes <= cap || at < cap / 2 || at >= bytes - cap / 2;
                payload[at] ^= 0x10;
                size_t expected = written ? at : bytes;
                ck_assert_uint_eq(content_damage(&content, payload, 0, bytes), expected);
                ck_assert_uint_eq(content_damage(&content, payload, at, at + 1),
                                  written ? at : at + 1);
                ck_assert_uint_eq(content_damage(&content, payload, at + 1, bytes), bytes);
                ck_assert_uint_eq(content_damage(&content, payload, 0, at), at);
                payload[at] ^= 0x10;
                if (written) {
                    ck_assert_uint_eq(payload[at], content_byte(&content, at));
                }
            }
        }
    }
}
END_TEST

/* The treap against what a plain loop over all blocks says. */
START_TEST(shadow_agrees_with_a_plain_array) {
    enum { BLOCKS = 200, SPAN = 4096 };
    struct shadow *shadow = malloc(shadow_bytes(BLOCKS));
    shadow_init(shadow, BLOCKS);
    uint64_t state = random_seed(3);
    for (size_t step = 0; step < 20000; step++) {
        uintptr_t start = 1 + random_below(&state, SPAN);
        size_t bytes = 1 + random_below(&state, 40);
        uint32_t slot = (uint32_t)(random_below(&state, BLOCKS));
        bool overlap = false;
        uintptr_t below = 0;
        uintptr_t above = UINTPTR_MAX;
        for (uint32_t i = 0; i < BLOCKS; i++) {
            const struct shadow_block *block = &shadow->blocks[i];
            if (block->live) {
                overlap |=
                    block->start < start + bytes && start < block->start + block->usable_bytes;
                below = block->start <= start && block->start > below ? block->start : below;
                above = block->start > start && block->start < above ? block->start : above;
            }
        }
        uint32_t order = shadow->lowest, seen = 0;
        for (uintptr_t last = 0; order != SHADOW_NONE; order = shadow->blocks[order].above) {
            ck_assert(shadow->blocks[order].live && shadow->blocks[order].start > last);
            last = shadow->blocks[order].start;
            seen++;
        }
        ck_assert_uint_eq(seen, shadow->live_count);
        uint32_t found = shadow_overlap(shadow, start, bytes);
        ck_assert_int_eq(found != SHADOW_NONE, overlap);
        struct shadow_pair around = shadow_around(shadow, start);
        found = shadow_pair_overlap(shadow, around, start, bytes);
        ck_assert_int_eq(found != SHADOW_NONE, overlap);
        found = around.below;
        ck_assert_uint_eq(found == SHADOW_NONE ? 0 : shadow->blocks[found].start, below);
        found = around.above;
        ck_assert_uint_eq(found == SHADOW_NONE ? UINTPTR_MAX : shadow->blocks[found].start, above);
        if (shadow->blocks[slot].live) {
            shadow_remove(shadow, slot);
        } else if (!overlap) {
            shadow->blocks[slot] = (struct shadow_block){.start = start, .usable_bytes = bytes};
            shadow_insert(shadow, slot, around);
        }
    }
    free(shadow);
}
END_TEST

int main(void) {
    printf("seed %llx\n", (unsigned long long)random_seed(0));
    TCase *tcase = tcase_create("oracle");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, planted_fault_is_caught_by_its_rule, 0, CANARY_FAULT_COUNT);
    tcase_add_loop_test(tcase, planted_fault_is_caught_in_a_black_box, 0, CANARY_FAULT_COUNT);
    tcase_add_loop_test(tcase, sound_allocator_passes, 0, 2);
    tcase_add_test(tcase, verdict_names_op_block_and_neighbour);
    tcase_add_test(tcase, copy_is_a_snapshot);
    tcase_add_test(tcase, every_damaged_byte_is_found);
    tcase_add_test(tcase, shadow_agrees_with_a_plain_array);
    Suite *suite = suite_create("oracle");
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
