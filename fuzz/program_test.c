/* SPDX-License-Identifier: MIT
 * program_test.c - the input language is total and means the same twice; scripts survive being
 * written and read; a runner finds every fault of the canary and none in sound allocators. */
#include "../bench/test_trace.h"
#include "canary.h"
#include "program.h"
#include "random_ops.h"
#include "runner.h"
#include "script.h"

#include "../alloc/test_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BYTES = PROGRAM_SETUP_BYTES + 64 * PROGRAM_RECORD_BYTES };

/* A program of random bytes, or one that the mutator made of nothing. */
static size_t program_draw(uint64_t *random, uint8_t data[BYTES]) {
    if (random_below(random, 2) == 0) {
        for (size_t i = 0; i < BYTES; i++) {
            data[i] = (uint8_t)random_next(random);
        }
        return random_below(random, BYTES + 1);
    }
    size_t size = 0;
    for (size_t rounds = 1 + random_below(random, 12); rounds > 0; rounds--) {
        size = program_mutate(data, size, BYTES, NULL, 0, random_next(random));
        ck_assert_uint_le(size, BYTES);
    }
    return size;
}

static struct runner *runner_for(const struct alloc_ops *ops, uint32_t audit_every) {
    const struct runner_config config = {.ops = ops, .audit_every = audit_every};
    struct runner *runner = runner_new(&config);
    ck_assert_ptr_nonnull(runner);
    return runner;
}

/* Any bytes run on every own allocator, find nothing, and the script they were resolved to does the
 * same to the byte: otherwise no crash could be reproduced. */
START_TEST(sound_allocators_pass) {
    size_t count;
    const struct alloc_ops *ops = alloc_registry(&count)[_i];
    struct runner *runner = runner_for(ops, 1);
    struct runner *again = runner_for(ops, 7);
    uint64_t seed = random_seed(0x50 + (uint64_t)_i), random = seed;
    uint8_t data[BYTES];
    for (size_t round = 0; round < (random_full() ? 20000u : 400u); round++) {
        size_t size = program_draw(&random, data);
        const char *verdict = runner_program(runner, data, size);
        ck_assert_msg(verdict == NULL, "%s, seed %llx, round %zu: %s", ops->name,
                      (unsigned long long)seed, round, verdict);
        verdict = runner_script(again, runner_last_script(runner));
        ck_assert_msg(verdict == NULL, "%s, script of seed %llx, round %zu: %s", ops->name,
                      (unsigned long long)seed, round, verdict);
        ck_assert_uint_eq(runner_digest(runner), runner_digest(again));
    }
    runner_free(runner);
    runner_free(again);
}
END_TEST

/* The canary takes its fault by cfg.block_bytes, which here programs choose: so it stands behind a
 * table of its own. */
static enum canary_fault fault_under_test;

static struct alloc *faulty_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    (void)cfg;
    const struct alloc_cfg fault = {.block_bytes = (uint32_t)fault_under_test};
    return canary_ops.init(pool, pool_bytes, &fault);
}

struct fault {
    const char *name;
    enum oracle_rule rule;
};
static const struct fault faults[] = {
#define F(name, rule, black_box, words) {#name, ORACLE_##rule},
    CANARY_FAULTS(F)
#undef F
};

/* Each planted fault is found by programs without any coverage to guide them. */
START_TEST(faults_are_found) {
    struct alloc_ops ops = canary_ops;
    ops.init = faulty_init;
    fault_under_test = (enum canary_fault)_i;
    struct runner *runner = runner_for(&ops, 1);
    uint64_t seed = random_seed(0x90 + (uint64_t)_i), random = seed;
    uint8_t data[BYTES];
    const char *verdict = NULL;
    for (size_t round = 0; verdict == NULL && round < 30000; round++) {
        verdict = runner_program(runner, data, program_draw(&random, data));
        if (faults[_i].rule == ORACLE_NONE && round == 300) {
            break;
        }
    }
    bool expected = faults[_i].rule != ORACLE_NONE;
    ck_assert_msg((verdict != NULL) == expected, "%s, seed %llx: %s", faults[_i].name,
                  (unsigned long long)seed, verdict != NULL ? verdict : "not found");
    runner_free(runner);
}
END_TEST

/* The meaning of later records does not depend on one that is deleted, as far as they name slots.
 */
START_TEST(records_are_stable) {
    uint8_t data[PROGRAM_SETUP_BYTES + 3 * PROGRAM_RECORD_BYTES] = {9};
    struct runner *runner = runner_for(alloc_find("tlsf"), 1);
    data[5] = 1;
    data[9] = 2;
    data[13] = 3;
    ck_assert_ptr_null(runner_program(runner, data, sizeof data));
    ck_assert_uint_eq(runner_last_script(runner)->op_count, 3);
    ck_assert_uint_eq(runner_last_script(runner)->ops[2].slot, 3);
    memmove(data + 4, data + 8, 8);
    ck_assert_ptr_null(runner_program(runner, data, sizeof data - 4));
    ck_assert_uint_eq(runner_last_script(runner)->op_count, 2);
    ck_assert_uint_eq(runner_last_script(runner)->ops[1].slot, 3);
    runner_free(runner);
}
END_TEST

static void script_write(const struct script *script, const char *path) {
    struct file_bytes file = {0};
    struct problem problem = {""};
    ck_assert_msg(script_encode(script, "two\nlines", &file, &problem), "%s", problem.text);
    ck_assert_msg(file_bytes_write(path, &file, &problem), "%s", problem.text);
    file_bytes_release(&file);
}

/* A script read back is the script that was written: setup, ops, regions and misuse. */
START_TEST(scripts_survive_text) {
    char path[] = "/tmp/heaprig-script-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    (void)close(descriptor);
    struct runner *runner = runner_for(alloc_find("tlsf"), 16);
    uint64_t random = random_seed(0x77);
    uint8_t data[BYTES];
    size_t extras = 0;
    for (size_t round = 0; round < 200; round++) {
        ck_assert_ptr_null(runner_program(runner, data, program_draw(&random, data)));
        const struct script *script = runner_last_script(runner);
        if (script->op_count == 0) {
            continue;
        }
        struct script read;
        struct problem problem = {""};
        script_write(script, path);
        ck_assert_msg(script_load(path, &read, &problem), "%s", problem.text);
        ck_assert_mem_eq(&read.setup, &script->setup, sizeof read.setup);
        ck_assert_uint_eq(read.op_count, script->op_count);
        ck_assert_uint_eq(read.extra_count, script->extra_count);
        for (uint32_t i = 0; i < read.extra_count; i++) {
            ck_assert_int_eq(read.extras[i].offset, script->extras[i].offset);
            ck_assert_uint_eq(read.extras[i].after, script->extras[i].after);
            ck_assert_uint_eq(read.extras[i].kind, script->extras[i].kind);
            ck_assert_uint_eq(read.extras[i].bytes, script->extras[i].bytes);
        }
        extras += read.extra_count;
        ck_assert_ptr_null(runner_script(runner, &read));
        script_close(&read);
    }
    ck_assert_uint_gt(extras, 20);
    (void)unlink(path);
    runner_free(runner);
}
END_TEST

/* Ops that differ in their slots alone, and these by even steps, are a line of a script. */
START_TEST(lines_are_counted) {
    struct op ops[] = {TEST_ALLOC(0, 8), TEST_ALLOC(1, 8), TEST_ALLOC(2, 8), TEST_ALLOC(3, 8),
                       TEST_ALLOC(6, 8), TEST_ALLOC(7, 9), TEST_ALLOC(8, 9), TEST_FREE(6),
                       TEST_FREE(3),     TEST_FREE(0),     TEST_ALLOC(0, 9)};
    struct script_extra extra = {.after = 3, .kind = SCRIPT_FREE, .offset = 8};
    struct script script = {.ops = ops, .op_count = 11, .extras = &extra};
    ck_assert_uint_eq(script_lines(&script), 6); /* 0-3, 6, 7, 8, 6-0/3, 0 */
    script.extra_count = 1;
    ck_assert_uint_eq(script_lines(&script), 8); /* itself, and it parts 0-2 from 3 */
    script.op_count = 1;
    script.extra_count = 0;
    ck_assert_uint_eq(script_lines(&script), 1);
}
END_TEST

static void loads_not(const char *text, const char *expected) {
    char path[] = "/tmp/heaprig-script-XXXXXX";
    int descriptor = mkstemp(path);
    ck_assert_int_eq(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(descriptor);
    struct script script;
    struct problem problem = {""};
    ck_assert(!script_load(path, &script, &problem));
    ck_assert_msg(strstr(problem.text, expected) != NULL, "%s", problem.text);
    (void)unlink(path);
}

/* Damaged directives are refused with their line, as every other input. */
START_TEST(bad_scripts_are_refused) {
    loads_not("#! pool 100\na 1 1\n", ":1: line ends, expected at");
    loads_not("a 1 1\n#! pool 99999999 at 0 dirt 0 block 0\n", ":2: 99999999, expected at most");
    loads_not("a 1 1\n#! misuse lose 8 after 1\n", ":2: 'lose', expected free, realloc or usable");
    loads_not("a 1 1\n#! misuse free 8 after 2\n", ":2: 2, expected at most 1");
    loads_not("a 1 1\n#! misuse free x after 1\n", ":2: 'x', expected an offset");
    loads_not("a 1 1\n#! fly\n", ":2: 'fly', expected pool, region or misuse");
}
END_TEST

int main(void) {
    size_t allocators;
    (void)alloc_registry(&allocators);
    Suite *suite = suite_create("program");
    TCase *tcase = tcase_create("program");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, sound_allocators_pass, 0, (int)allocators);
    tcase_add_loop_test(tcase, faults_are_found, 0, CANARY_FAULT_COUNT);
    tcase_add_test(tcase, records_are_stable);
    tcase_add_test(tcase, lines_are_counted);
    tcase_add_test(tcase, scripts_survive_text);
    tcase_add_test(tcase, bad_scripts_are_refused);
    return test_main(suite);
}
