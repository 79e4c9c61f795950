/* SPDX-License-Identifier: MIT
 *
 * compare.h - what differs between two results
 *
 * Rows with equal keys are compared column by column: exact figures for equality, timed figures by
 * the ratio of their intervals, which counts as a change only when it excludes 1. Allocators
 * without a pool have no exact figures. Times of two runs are never a reason to fail: the machine
 * may have been another one.
 */
#ifndef HEAPRIG_COMPARE_H
#define HEAPRIG_COMPARE_H

#include "rows.h"

#include <stdio.h>

struct compare_counts {
    size_t worse;   /* exact figures that got worse; rows that are gone or no longer comparable */
    size_t better;  /* exact figures that got better */
    size_t changed; /* exact figures that are neither: digests */
    size_t added;   /* new rows */
    size_t timed;   /* times whose interval moved away */
    size_t pairs;   /* rows compared */
    size_t skipped; /* rows not compared as they are of another origin */
};

struct compare_how {
    FILE *out;                /* a line is written for each difference */
    double tolerance_percent; /* COLUMN_LESS may get worse by that much; then it is no line */
};

/* From `old` to `new`, both of one kind. Adds to *counts. */
void compare_rows(const struct row_set *old, const struct row_set *new,
                  const struct compare_how *how, struct compare_counts *counts);

#endif
