/* SPDX-License-Identifier: MIT
 * runs_shift_test.c - runs_test.c once more, with slots that agree with blocks modulo 16 and
 * runs in rows, as in the malloc of `heaprig run`. */
#define RUNS_SHIFT       8u
#define RUNS_AHEAD       8192u
#define RUNS_AHEAD_ROOMY 4u
#include "runs_test.c"
