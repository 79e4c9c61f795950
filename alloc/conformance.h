/* SPDX-License-Identifier: MIT
 *
 * conformance.h - what the conformance tests share
 *
 * Each sentence of alloc.h that can be a test is one, in a conformance_*_test.c. Each test runs for
 * every own allocator (those with block sizes in several of them), one of each decorator, the
 * example plug-in and the canary, and asks capability bits, never names. An argument names other
 * subjects:
 *
 *     build/alloc/conformance_misuse_test ./my_alloc.so
 */
#ifndef HEAPRIG_CONFORMANCE_H
#define HEAPRIG_CONFORMANCE_H

#include "../bench/subject.h"
#include "../fuzz/arena.h"
#include "../fuzz/content.h"
#include "../fuzz/oracle.h"
#include "../fuzz/random_ops.h"

#include <assert.h>
#include "test_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CASES_MAX = 64, RIG_POOL_BYTES = 65536 };

/* An allocator in one configuration. */
struct conformance_case {
    const struct alloc_ops *ops;
    struct alloc_cfg cfg;
    bool own;
};

static struct conformance_case conformance_cases[CASES_MAX];
static int conformance_case_count;

static void case_add(const struct alloc_ops *ops, uint32_t block_bytes, bool own) {
    assert(conformance_case_count < CASES_MAX);
    conformance_cases[conformance_case_count++] =
        (struct conformance_case){ops, {.block_bytes = block_bytes}, own};
}

static void cases_of(const struct alloc_ops *ops, bool own) {
    case_add(ops, 0, own);
    if (ops->caps & ALLOC_CAP_FIXED_SIZE) {
        case_add(ops, 12, own);
        case_add(ops, 40, own);
        case_add(ops, 1000, own);
    }
    if (ops->caps & ALLOC_CAP_BLOCK_SIZES) {
        case_add(ops, 64, own);
        case_add(ops, 4096, own);
    }
}

static const struct alloc_ops *subject_load(const char *name_or_path) {
    struct problem problem;
    const struct alloc_ops *ops = subject_find(name_or_path, &problem);
    if (ops == NULL) {
        fprintf(stderr, "%s\n", problem.text);
        exit(2);
    }
    return ops;
}

static const struct alloc_ops *plugin_load(const char *file) {
    char path[512];
    const char *folder = getenv("HEAPRIG_BUILD");
    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "build", file);
    return subject_load(path);
}

/* What a decorator does is the same before all, so one allocator stands for them; its other
 * conformance is its own. */
static void decorated_cases(void) {
    struct subject_decorator decorator;
    for (size_t i = 0; subject_decorator_at(i, &decorator); i++) {
        char name[80];
        snprintf(name, sizeof name, "%s:tlsf", decorator.name);
        cases_of(subject_load(name), true);
    }
}

static void cases_fill(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const struct alloc_ops *ops = subject_load(argv[i]);
        cases_of(ops, alloc_find(ops->name) == ops);
    }
    if (argc > 1) {
        return;
    }
    size_t count;
    const struct alloc_ops *const *own = alloc_registry(&count);
    for (size_t i = 0; i < count; i++) {
        cases_of(own[i], true);
    }
    decorated_cases();
    cases_of(plugin_load("bench/example_plugin.so"), false);
    cases_of(plugin_load("fuzz/canary_plugin.so"), false);
}

/* ---- a pool with an allocator in it ---- */

struct rig {
    const struct conformance_case *subject;
    const struct alloc_ops *ops;
    struct arena arena;
    struct alloc *heap;
};

static inline bool rig_has(const struct rig *rig, uint32_t cap) {
    return (rig->ops->caps & cap) != 0;
}

static inline void rig_init(struct rig *rig) {
    rig->heap = rig->ops->init(rig->arena.pool, rig->arena.pool_bytes, &rig->subject->cfg);
    ck_assert_msg(rig->heap != NULL, "%s refuses a pool of %zu B", rig->ops->name,
                  rig->arena.pool_bytes);
}

static inline void rig_open(struct rig *rig, int case_index, size_t pool_bytes, size_t misalign) {
    const struct conformance_case *subject = &conformance_cases[case_index];
    *rig = (struct rig){.subject = subject, .ops = subject->ops};
    ck_assert(arena_open(&rig->arena, pool_bytes, misalign));
    arena_soil(&rig->arena, ARENA_RANDOM, random_seed(pool_bytes + misalign));
    rig_init(rig);
}

static inline void rig_close(struct rig *rig) {
    arena_close(&rig->arena);
}

/* Default alignment of payloads. */
static inline size_t rig_align(const struct rig *rig) {
    size_t block_bytes = rig->subject->cfg.block_bytes;
    if (!rig_has(rig, ALLOC_CAP_FIXED_SIZE) || block_bytes % ALLOC_ALIGN == 0) {
        return ALLOC_ALIGN;
    }
    return block_bytes & (~block_bytes + 1);
}

static inline size_t rig_offset(const struct rig *rig, const void *p) {
    return (size_t)((uintptr_t)p - (uintptr_t)rig->arena.pool);
}

/* A payload as the contract wants it. */
static inline void rig_assert_payload(const struct rig *rig, const void *p, size_t bytes,
                                      size_t align) {
    ck_assert_msg(p != NULL, "%s: NULL for %zu B", rig->ops->name, bytes);
    ck_assert_msg((uintptr_t)p % align == 0, "%s: %zu B at %zu, not aligned to %zu", rig->ops->name,
                  bytes, rig_offset(rig, p), align);
    size_t usable = rig->ops->usable(rig->heap, p);
    ck_assert_msg(usable >= bytes, "%s: %zu usable of %zu", rig->ops->name, usable, bytes);
    ck_assert_msg(rig_offset(rig, p) < rig->arena.pool_bytes &&
                      usable <= rig->arena.pool_bytes - rig_offset(rig, p),
                  "%s: %zu B at %zu leave the pool", rig->ops->name, usable, rig_offset(rig, p));
}

static bool state_piece(void *ctx, const struct alloc_piece *piece) {
    uint64_t *state = ctx;
    const uint64_t words[] = {(uint64_t)piece->kind, (uint64_t)(uintptr_t)piece->start,
                              piece->bytes, (uint64_t)(uintptr_t)piece->payload, piece->usable};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        *state = (*state ^ words[i]) * UINT64_C(0x100000001B3);
        *state ^= *state >> 29;
    }
    return true;
}

/* What the allocator shows of its state, as one number; check() has to find it sound. */
static inline uint64_t rig_state(const struct rig *rig) {
    uint64_t state = UINT64_C(0xCBF29CE484222325);
    if (rig->ops->check != NULL) {
        const char *broken = rig->ops->check(rig->heap);
        ck_assert_msg(broken == NULL, "%s: check(): %s", rig->ops->name, broken);
    }
    if (rig->ops->walk != NULL) {
        rig->ops->walk(rig->heap, state_piece, &state);
    }
    if (rig->ops->largest != NULL) {
        state = (state ^ rig->ops->largest(rig->heap)) * UINT64_C(0x100000001B3);
    }
    return state;
}

/* Nothing is live: has all come back? Pieces need not lie as they did at the start. */
static inline void rig_assert_drained(const struct rig *rig, size_t largest_at_start) {
    (void)rig_state(rig);
    if (!rig_has(rig, ALLOC_CAP_COALESCES)) {
        return;
    }
    if (rig->ops->largest != NULL) {
        ck_assert_msg(rig->ops->largest(rig->heap) == largest_at_start,
                      "%s: largest() is %zu after all was freed, was %zu", rig->ops->name,
                      rig->ops->largest(rig->heap), largest_at_start);
    }
    if (rig->ops->stats != NULL) {
        struct alloc_stats stats;
        rig->ops->stats(rig->heap, &stats);
        ck_assert_uint_eq(stats.live_bytes, 0);
        ck_assert_uint_eq(stats.live_blocks, 0);
    }
}

static inline size_t rig_largest(const struct rig *rig) {
    return rig->ops->largest != NULL ? rig->ops->largest(rig->heap) : 0;
}

static inline void rig_free(const struct rig *rig, void *p) {
    ck_assert_msg(rig->ops->free(rig->heap, p) == ALLOC_OK, "%s: free of %zu refused",
                  rig->ops->name, rig_offset(rig, p));
}

/* Fills a payload with bytes that depend on `tag`, and finds them again. */
static inline void payload_fill(void *p, size_t bytes, uint64_t tag) {
    struct content content = {.tag = tag, .bytes = bytes};
    content_fill(&content, p);
}

static inline bool payload_holds(const void *p, size_t bytes, uint64_t tag) {
    struct content content = {.tag = tag, .bytes = bytes};
    return content_damage(&content, p, 0, bytes) == bytes;
}

/* ---- running ---- */

static inline int conformance_main(int argc, char **argv, const char *name,
                                   const TTest *const *tests, size_t count) {
    cases_fill(argc, argv);
    printf("seed %llx\n", (unsigned long long)random_seed(0));
    for (int i = 0; i < conformance_case_count; i++) {
        printf("case %d: %s, block_bytes %u\n", i, conformance_cases[i].ops->name,
               (unsigned)conformance_cases[i].cfg.block_bytes);
    }
    TCase *tcase = tcase_create(name);
    tcase_set_timeout(tcase, 120);
    for (size_t i = 0; i < count; i++) {
        tcase_add_loop_test(tcase, tests[i], 0, conformance_case_count);
    }
    Suite *suite = suite_create(name);
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}

#endif
