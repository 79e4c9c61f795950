/* SPDX-License-Identifier: MIT
 *
 * test_check.h - Check, without a report for each assertion that holds, and the end of each main()
 *
 * Check writes the place of every assertion it passes into a file, and reads them all back: of some
 * tests, which have millions, that was most of the time. What is lost is the last such place before
 * a crash, which a sanitizer tells better.
 */
#ifndef HEAPRIG_TEST_CHECK_H
#define HEAPRIG_TEST_CHECK_H

#include <check.h>
#include <stdlib.h>

#define _mark_point(file, line) ((void)0)

/* Runs the suite and gives main() its status. */
static inline int test_main(Suite *suite) {
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
