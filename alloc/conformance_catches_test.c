/* SPDX-License-Identifier: MIT
 * conformance_catches_test.c - the conformance tests against an allocator with planted faults.
 *
 * Runs their programs on the canary plug-in as a user would, HEAPRIG_CANARY naming the fault: the
 * sound one has to pass all, every fault has to fail at least one, every program has to catch some.
 */
#include "../fuzz/canary.h"

#include "test_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static const char *const faults[] = {
#define F(name, rule, black_box, words) #name,
    CANARY_FAULTS(F)
#undef F
};

/* A program and a fault that it catches; check and regions need what the canary does not have. */
static const struct {
    const char *program, *catches;
} programs[] = {
    {"random", "OVERLAPS"},      {"alloc", "LEAKS"},      {"misuse", "INTERIOR_FREE"},
    {"realloc", "PREFIX_SHORT"}, {"init", "INIT_SPOILS"},
};
enum { PROGRAM_COUNT = sizeof programs / sizeof programs[0] };

static const char *text_or(const char *name, const char *otherwise) {
    const char *text = getenv(name);
    return text != NULL ? text : otherwise;
}

/* The program's exit status: 0 passed, 1 caught something. */
static int program_run(const char *program, const char *fault) {
    char command[1024];
    const char *build = text_or("HEAPRIG_BUILD", "build");
    snprintf(command, sizeof command,
             "HEAPRIG_CANARY=%s %s %s/alloc/conformance_%s_test %s/fuzz/canary_plugin.so "
             ">/dev/null 2>&1",
             fault, text_or("HEAPRIG_RUN", ""), build, program, build);
    int status = system(command);
    ck_assert_msg(WIFEXITED(status), "%s: no exit status", command);
    ck_assert_msg(WEXITSTATUS(status) <= 1, "%s: exit %d", command, WEXITSTATUS(status));
    return WEXITSTATUS(status);
}

START_TEST(sound_canary_passes_and_faults_are_caught) {
    for (int i = 0; i < PROGRAM_COUNT; i++) {
        bool caught = program_run(programs[i].program, faults[_i]) == 1;
        ck_assert_msg(_i != CANARY_SOUND || !caught, "%s fails the sound canary",
                      programs[i].program);
        if (caught) {
            printf("%-16s caught by conformance_%s_test\n", faults[_i], programs[i].program);
            return;
        }
    }
    ck_assert_msg(_i == CANARY_SOUND, "%s: caught by none", faults[_i]);
}
END_TEST

START_TEST(every_program_catches_something) {
    ck_assert_msg(program_run(programs[_i].program, programs[_i].catches) == 1, "%s misses %s",
                  programs[_i].program, programs[_i].catches);
}
END_TEST

START_TEST(unknown_subject_is_bad_usage) {
    char command[1024];
    snprintf(command, sizeof command, "%s %s/alloc/conformance_init_test no_such_one 2>/dev/null",
             text_or("HEAPRIG_RUN", ""), text_or("HEAPRIG_BUILD", "build"));
    int status = system(command);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 2);
}
END_TEST

int main(void) {
    TCase *tcase = tcase_create("conformance catches");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, sound_canary_passes_and_faults_are_caught, 0, CANARY_FAULT_COUNT);
    tcase_add_loop_test(tcase, every_program_catches_something, 0, PROGRAM_COUNT);
    tcase_add_test(tcase, unknown_subject_is_bad_usage);
    Suite *suite = suite_create("conformance catches");
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
