/* SPDX-License-Identifier: MIT
 *
 * corpus_test.c - every own allocator on every trace of the corpus: judged by the oracle, and
 * every figure that derives from offsets to the last digit as in results/baseline, whatever
 * machine, compiler or sanitizer this is.
 *
 * Only the opening part of each trace, unless HEAPRIG_FULL is set. `make bless` writes the
 * baseline.
 */
#include "../alloc/test_check.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static const char *environment(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value != NULL && *value != '\0' ? value : otherwise;
}

static bool whole_traces(void) {
    return environment("HEAPRIG_FULL", NULL) != NULL;
}

/* The shell's exit status for `heaprig ARGUMENTS`. */
static int heaprig(const char *arguments) {
    char command[1024];
    (void)snprintf(command, sizeof command, "%s %s/heaprig %s </dev/null",
                   environment("HEAPRIG_RUN", ""), environment("HEAPRIG_BUILD", "build"),
                   arguments);
    printf("%s\n", command);
    fflush(stdout);
    return system(command);
}

START_TEST(oracle_finds_nothing) {
    ck_assert_int_eq(heaprig(whole_traces() ? "bench --checked" : "bench --checked -n 20000"), 0);
}
END_TEST

START_TEST(blocks_lie_where_they_lie_everywhere) {
    ck_assert_int_eq(heaprig("gate check --only memory results/baseline"), 0);
}
END_TEST

/* Each smallest pool takes twenty replays. */
START_TEST(pools_are_as_small_everywhere) {
    if (whole_traces()) {
        ck_assert_int_eq(heaprig("gate check --only pools results/baseline"), 0);
        ck_assert_int_eq(heaprig("gate check results/baseline/whole"), 0);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("corpus");
    TCase *tcase = tcase_create("corpus");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 0);
    tcase_add_test(tcase, oracle_finds_nothing);
    tcase_add_test(tcase, blocks_lie_where_they_lie_everywhere);
    tcase_add_test(tcase, pools_are_as_small_everywhere);
    return test_main(suite);
}
