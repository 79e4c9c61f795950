/* SPDX-License-Identifier: MIT
 *
 * run_jobs_test.c - real programs do their work on every allocator of general use
 *
 * Players (run_test.c) ask for what somebody thought of; programs for what nobody did. The jobs are
 * functions of run_jobs.sh.
 */
#include "test_shell.h"

#include <stdbool.h>
#include <unistd.h>

static const char *const general[] = {"tlsf", "tlsf_frugal", "tlsf_fast", "bestfit", "buddy"};
static const char *const jobs[] = {"sqlite3", "python3", "clang", "redis", "git"};
enum { GENERAL = sizeof general / sizeof general[0], JOBS = sizeof jobs / sizeof jobs[0] };
enum { NOT_INSTALLED = 77 };

START_TEST(programs_do_their_work) {
    const char *allocator = general[_i % GENERAL];
    const char *job = jobs[_i / GENERAL];
    char command[256];
    (void)snprintf(command, sizeof command, "bench/run_jobs.sh %s %s 2>&1", allocator, job);
    int status = shell(command);
    if (status == NOT_INSTALLED) {
        fprintf(stderr, "skipped: %s on %s: %s", job, allocator, shell_output);
        return;
    }
    ck_assert_msg(status == 0, "%s on %s: exit %d\n%s", job, allocator, status, shell_output);
}
END_TEST

/* Whether the programs of this machine can have the library: it is built for it, and not of a
 * sanitizer's heaprig, which would be preloaded too. */
static bool programs_can_run(void) {
    return shell_environment("HEAPRIG_RUN", "")[0] == '\0' &&
           access("bench/run_jobs.sh", X_OK) == 0;
}

int main(void) {
    Suite *suite = suite_create("run jobs");
    TCase *tcase = tcase_create("programs");
    tcase_set_timeout(tcase, 240);
    if (programs_can_run()) {
        tcase_add_loop_test(tcase, programs_do_their_work, 0, GENERAL * JOBS);
    } else {
        fputs("skipped: programs of another machine, or started outside the repository\n", stderr);
    }
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
