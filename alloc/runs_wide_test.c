/* SPDX-License-Identifier: MIT
 * runs_wide_test.c - runs_test.c once more, with wide runs from the first request on. */
#define RUNS_WIDE_ROOMY 0u
#include "runs_test.c"
