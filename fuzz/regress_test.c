/* SPDX-License-Identifier: MIT
 *
 * regress_test.c - every bug that was fixed stays fixed
 *
 * Runs each script of corpus/regress (script.h) on every own allocator and each decorator over
 * tlsf, audited by the oracle after each op: in the pool that it names, and in pools of 16 more
 * sizes from half the peak of its live bytes to five times that, at several misalignments.
 */
#include "../bench/subject.h"
#include "../bench/test_trace.h"
#include "runner.h"

#include "../alloc/test_check.h"
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES = 16 };

extern const struct alloc_ops tlsf_frugal_ops;

static glob_t files;

static uint32_t slots_of(const struct script *script) {
    uint32_t slots = 0;
    for (uint32_t i = 0; i < script->op_count; i++) {
        slots = script->ops[i].slot >= slots ? script->ops[i].slot + 1 : slots;
    }
    return slots;
}

static void pool_try(struct runner *runner, const struct alloc_ops *ops,
                     const struct script *script, const char *file) {
    const char *broken = runner_script(runner, script);
    ck_assert_msg(broken == NULL, "%s on %s in a pool of %u bytes at %u modulo %d: %s", ops->name,
                  file, script->setup.pool_bytes, script->setup.misalign, ARENA_ALIGN, broken);
}

/* The script in the pool that it names, and in others around its peak of live bytes. */
static void allocator_try(const struct alloc_ops *ops, struct script *script, uint64_t peak,
                          const char *file) {
    const struct script_setup named = script->setup;
    /* A script that asks for absurdly much has no peak to speak of. */
    size_t sizes = peak < SCRIPT_POOL_MAX / 8 ? SIZES : 0;
    uint64_t most = sizes > 0 ? peak * 6 + 4096 : 0;
    struct runner *runner = runner_new(&(struct runner_config){
        .ops = ops,
        .audit_every = 1,
        .slot_count = slots_of(script),
        .pool_max = most > named.pool_bytes ? (uint32_t)most : named.pool_bytes});
    ck_assert_ptr_nonnull(runner);
    pool_try(runner, ops, script, file);
    for (size_t size = 1; size <= sizes; size++) {
        script->setup.pool_bytes = (uint32_t)(peak * (size + size * size / 8) / 8 + 512);
        script->setup.misalign = (uint32_t)size * 1237 % 64;
        pool_try(runner, ops, script, file);
    }
    script->setup = named;
    runner_free(runner);
}

START_TEST(stays_fixed) {
    const char *file = files.gl_pathv[_i];
    struct script script;
    struct problem problem;
    ck_assert_msg(script_load(file, &script, &problem), "%s", problem.text);
    struct trace trace = test_trace_load(file);
    uint64_t peak = trace.counts.peak_live_bytes;
    size_t count;
    const struct alloc_ops *const *ops = alloc_registry(&count);
    for (size_t a = 0; a < count; a++) {
        allocator_try(ops[a], &script, peak, file);
    }
    struct subject_decorator decorator;
    for (size_t i = 0; subject_decorator_at(i, &decorator); i++) {
        char name[80];
        snprintf(name, sizeof name, "%s:tlsf", decorator.name);
        const struct alloc_ops *decorated = subject_find(name, &problem);
        ck_assert_msg(decorated != NULL, "%s", problem.text);
        allocator_try(decorated, &script, peak, file);
    }
    trace_release(&trace);
    script_close(&script);
}
END_TEST

/* Only who declares a good fit may let largest() grow at an alloc(): the same calls that are right
 * with the bit are wrong without it. */
START_TEST(growth_is_for_good_fits_only) {
    struct script script;
    struct problem problem;
    ck_assert_msg(script_load("corpus/regress/tlsf-fourth-block-of-a-class.txt", &script, &problem),
                  "%s", problem.text);
    struct alloc_ops exact = tlsf_frugal_ops;
    exact.caps &= ~(uint32_t)ALLOC_CAP_GOOD_FIT;
    struct runner_config config = {.ops = &exact,
                                   .audit_every = 1,
                                   .slot_count = slots_of(&script),
                                   .pool_max = script.setup.pool_bytes};
    struct runner *runner = runner_new(&config);
    ck_assert_ptr_nonnull(runner);
    const char *broken = runner_script(runner, &script);
    ck_assert_ptr_nonnull(broken);
    ck_assert_msg(strstr(broken, "before the alloc") != NULL, "%s", broken);
    runner_free(runner);
    script_close(&script);
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
    tcase_add_test(tcase, growth_is_for_good_fits_only);
    return test_main(suite);
}
