/* SPDX-License-Identifier: MIT
 * runs_shift_test.c - runs_test.c once more, with slots that agree with blocks modulo 16, as in the
 * malloc of `heaprig run`. */
#define RUNS_SHIFT 8u
#include "runs_test.c"
