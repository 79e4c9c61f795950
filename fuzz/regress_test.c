/* SPDX-License-Identifier: MIT
 *
 * regress_test.c - every bug that was fixed stays fixed
 *
 * Replays each file of corpus/regress on every own allocator, audited by the oracle after each op.
 * A trace does not say in which pool its bug showed, so pools of many sizes around the trace's peak
 * and at several misalignments are tried: 16 sizes from half the peak to five times it, and those a
 * file's comment names first of all as `# pool BYTES at OFFSET`.
 */
#include "../bench/test_trace.h"
#include "arena.h"
#include "oracle.h"

#include <check.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES = 16 };

static glob_t files;

static void pool_try(const struct alloc_ops *ops, const struct trace *trace, const char *file,
                     size_t pool_bytes, size_t misalign) {
    struct arena arena;
    ck_assert(arena_open(&arena, pool_bytes, misalign));
    arena_soil(&arena, ARENA_RANDOM, pool_bytes);
    struct replay replay = {.ops = ops,
                            .heap = ops->init(arena.pool, pool_bytes, NULL),
                            .slots = calloc(trace->counts.slots, sizeof(void *)),
                            .op = trace->ops,
                            .op_count = trace->op_count};
    ck_assert_ptr_nonnull(replay.slots);
    if (replay.heap != NULL) {
        const struct oracle_config config = {.ops = ops,
                                             .heap = replay.heap,
                                             .pool = arena.pool,
                                             .pool_bytes = pool_bytes,
                                             .guard_bytes = ARENA_GUARD,
                                             .slot_count = trace->counts.slots,
                                             .audit_every = 1,
                                             .probe_every = 7,
                                             .probe_seed = pool_bytes};
        struct oracle *oracle = oracle_new(&config);
        ck_assert_ptr_nonnull(oracle);
        struct replay_observer observer = oracle_observer(oracle);
        struct replay_result result;
        replay.observers = &observer;
        replay.observer_count = 1;
        replay_run(&replay, &result);
        const char *broken = oracle_audit(oracle);
        ck_assert_msg(broken == NULL, "%s on %s in a pool of %zu bytes at %zu modulo %d: %s",
                      ops->name, file, pool_bytes, misalign, ARENA_ALIGN, broken);
        oracle_free(oracle);
    }
    free(replay.slots);
    arena_close(&arena);
}

/* The pool that a comment `# pool BYTES at OFFSET` names; false when there is none. */
static bool pool_named(const char *file, size_t *pool_bytes, size_t *misalign) {
    char line[256];
    bool found = false;
    FILE *stream = fopen(file, "r");
    ck_assert_ptr_nonnull(stream);
    while (!found && fgets(line, sizeof line, stream) != NULL) {
        found = sscanf(line, "# pool %zu at %zu", pool_bytes, misalign) == 2;
    }
    fclose(stream);
    return found && *misalign < ARENA_ALIGN;
}

START_TEST(stays_fixed) {
    const char *file = files.gl_pathv[_i];
    struct trace trace;
    struct problem problem;
    ck_assert_msg(trace_load(file, &trace, &problem), "%s", problem.text);
    size_t count;
    const struct alloc_ops *const *ops = alloc_registry(&count);
    for (size_t a = 0; a < count; a++) {
        size_t pool_bytes, misalign;
        if (pool_named(file, &pool_bytes, &misalign)) {
            pool_try(ops[a], &trace, file, pool_bytes, misalign);
        }
        for (size_t size = 1; size <= SIZES; size++) {
            pool_bytes = (size_t)trace.counts.peak_live_bytes * (size + size * size / 8) / 8 + 512;
            pool_try(ops[a], &trace, file, pool_bytes, size * 1237 % 64);
        }
    }
    trace_release(&trace);
}
END_TEST

int main(void) {
    if (glob("corpus/regress/*.txt", 0, NULL, &files) != 0) {
        fputs("corpus/regress/*.txt: no files, expected to run where the corpus is\n", stderr);
        return EXIT_FAILURE;
    }
    Suite *suite = suite_create("regress");
    TCase *tcase = tcase_create("regress");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, stays_fixed, 0, (int)files.gl_pathc);
    return test_main(suite);
}
