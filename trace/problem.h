/* SPDX-License-Identifier: MIT
 *
 * problem.h - bad outside input, in words
 *
 * Functions that read files or flags return false and leave one line here: `file:line: what,
 * expected what`. They never print; the program that called them does, and exits with status 2.
 */
#ifndef HEAPRIG_PROBLEM_H
#define HEAPRIG_PROBLEM_H

#include <stdbool.h>

struct problem {
    char text[512];
};

/* Formats the line into *problem (cut at its size) and returns false, so that a caller can write
 * `return problem_set(problem, "%s:%zu: ...", path, line);`. */
bool problem_set(struct problem *problem, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
