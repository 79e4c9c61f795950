/* SPDX-License-Identifier: MIT
 * minimize_test.c - what is left of a failure still is that failure, and is short.
 *
 * Every fault of the canary is found by programs, shrunk, and has to break the same rule in a few
 * ops; crashes, hangs and exits of the allocator must be told apart and survive shrinking as well.
 */
#include "../bench/test_trace.h"
#include "canary.h"
#include "minimize.h"
#include "random_ops.h"

#include "../alloc/test_check.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { BYTES = PROGRAM_SETUP_BYTES + 64 * PROGRAM_RECORD_BYTES, SHORT_OPS = 8 };

static enum canary_fault fault_under_test;

static unsigned *inits; /* in memory that all processes share */

static struct alloc *faulty_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    (void)cfg;
    *inits += 1;
    const struct alloc_cfg fault = {.block_bytes = (uint32_t)fault_under_test};
    return canary_ops.init(pool, pool_bytes, &fault);
}

static const enum oracle_rule rules[] = {
#define F(name, rule, black_box, words) ORACLE_##rule,
    CANARY_FAULTS(F)
#undef F
};

static struct judge *judge_for(const struct alloc_ops *ops) {
    struct problem problem = {""};
    const struct judge_config config = {.ops = ops, .audit_every = 1, .seconds = 1};
    struct judge *judge = judge_new(&config, &problem);
    ck_assert_msg(judge != NULL, "%s", problem.text);
    return judge;
}

/* Runs random programs until one fails; the script it came to. */
static struct script failure_find(const struct alloc_ops *ops, struct judge *judge,
                                  struct judge_outcome *outcome) {
    struct problem problem = {""};
    uint64_t random = random_seed(0x31 + (uint64_t)fault_under_test);
    uint8_t data[BYTES];
    *outcome = (struct judge_outcome){.how = JUDGE_SOUND};
    for (size_t round = 0; round < 5000 && outcome->how == JUDGE_SOUND; round++) {
        for (size_t i = 0; i < BYTES; i++) {
            data[i] = (uint8_t)random_next(&random);
        }
        ck_assert(judge_program(judge, data, BYTES, outcome, &problem));
    }
    ck_assert_msg(outcome->how != JUDGE_SOUND, "%s: nothing found", ops->name);
    struct script script;
    ck_assert(script_open(&script, judge_last(judge)->op_count + PROGRAM_SLOTS,
                          judge_last(judge)->extra_count));
    script_copy(&script, judge_last(judge));
    return script;
}

START_TEST(faults_shrink) {
    struct alloc_ops ops = canary_ops;
    ops.init = faulty_init;
    fault_under_test = (enum canary_fault)_i;
    if (rules[_i] == ORACLE_NONE) {
        return;
    }
    struct judge *judge = judge_for(&ops);
    struct problem problem = {""};
    struct minimize how = {.judge = judge};
    struct script script = failure_find(&ops, judge, &how.target);
    struct judge_outcome first = how.target, again;
    ck_assert_msg(minimize_script(&how, &script, &problem), "%s", problem.text);
    ck_assert(judge_script(judge, &script, &again, &problem));
    ck_assert_msg(judge_same(&first, &again), "was: %s\nis: %s", first.words, again.words);
    uint32_t named = 0; /* reading the written script must not rename slots */
    for (uint32_t i = 0; i < script.op_count; i++) {
        ck_assert_uint_le(script.ops[i].slot, named);
        named += script.ops[i].slot == named;
    }
    ck_assert_msg(script.op_count + script.extra_count <= SHORT_OPS, "%u ops, %u extras: %s",
                  script.op_count, script.extra_count, again.words);
    script_close(&script);
    judge_free(judge);
}
END_TEST

/* Who allows one run gets the script as it is, after no more runs than that, nor a search. */
START_TEST(runs_are_limited) {
    enum { ALLOCS = 4 * SHORT_OPS };
    struct alloc_ops ops = canary_ops;
    ops.init = faulty_init;
    fault_under_test = CANARY_PREFIX_SHORT;
    struct judge *judge = judge_for(&ops);
    struct problem problem = {""};
    struct minimize how = {.judge = judge, .runs_max = 1};
    struct script script;
    ck_assert(script_open(&script, ALLOCS + 1 + PROGRAM_SLOTS, 0));
    script.setup = (struct script_setup){.pool_bytes = 1 << 16};
    for (uint32_t i = 0; i < ALLOCS; i++) { /* of many sizes: more lines than are left alone */
        script.ops[i] = (struct op)TEST_ALLOC(i, 40 + i);
    }
    script.ops[ALLOCS] = (struct op)TEST_REALLOC(0, 400);
    script.op_count = ALLOCS + 1;
    ck_assert(judge_script(judge, &script, &how.target, &problem));
    ck_assert_int_eq(how.target.how, JUDGE_BROKEN);
    *inits = 0;
    ck_assert_msg(minimize_script(&how, &script, &problem), "%s", problem.text);
    ck_assert_uint_eq(how.runs, 1);
    ck_assert_uint_eq(*inits, 1);
    script_close(&script);
    judge_free(judge);
}
END_TEST

/* Ways in which an allocator takes its process with it, all on a request of 40 bytes and more. */
enum { CRASHES, HANGS, EXITS };
static int way;

static void *ending_alloc(struct alloc *a, size_t bytes) {
    if (bytes >= 40 && way == CRASHES) {
        (void)raise(SIGSEGV);
    }
    if (bytes >= 40 && way == EXITS) {
        _exit(0);
    }
    while (bytes >= 40 && way == HANGS) {
    }
    return canary_ops.alloc(a, bytes);
}

START_TEST(ends_are_told_apart) {
    static const enum judge_how expected[] = {JUDGE_SIGNAL, JUDGE_TIMEOUT, JUDGE_EXITED};
    struct alloc_ops ops = canary_ops;
    ops.alloc = ending_alloc;
    ops.init = faulty_init;
    fault_under_test = CANARY_SOUND;
    way = _i;
    struct judge *judge = judge_for(&ops);
    struct op op[] = {TEST_ALLOC(0, 8), TEST_ALLOC(1, 100), TEST_FREE(0)};
    struct script script = {.setup = {.pool_bytes = 4000}, .ops = op, .op_count = 3, .op_room = 3};
    struct judge_outcome outcome;
    struct problem problem = {""};
    struct script_extra none;
    script.extras = &none;
    ck_assert(judge_script(judge, &script, &outcome, &problem));
    ck_assert_int_eq(outcome.how, expected[_i]);
    ck_assert_str_ne(outcome.words, "");
    if (way != HANGS) { /* each candidate would wait for its time limit */
        struct minimize how = {.judge = judge, .target = outcome};
        ck_assert(minimize_script(&how, &script, &problem));
        ck_assert_uint_eq(script.op_count, 1);
        ck_assert_uint_eq(script.ops[0].bytes, 40);
    }
    judge_free(judge);
}
END_TEST

int main(void) {
    inits = mmap(NULL, sizeof *inits, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (inits == MAP_FAILED) {
        return EXIT_FAILURE;
    }
    Suite *suite = suite_create("minimize");
    TCase *tcase = tcase_create("minimize");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, faults_shrink, 0, CANARY_FAULT_COUNT);
    tcase_add_test(tcase, runs_are_limited);
    tcase_add_loop_test(tcase, ends_are_told_apart, 0, 3);
    return test_main(suite);
}
