/* SPDX-License-Identifier: MIT
 * stats.h - median, its confidence interval, geometric mean: pure functions on arrays of numbers */
#ifndef HEAPRIG_STATS_H
#define HEAPRIG_STATS_H

#include <stddef.h>

struct stats_interval {
    double low, high;
    double coverage; /* probability that the interval covers the median of the distribution */
};

/* Sorts values upwards. */
void stats_sort(double *values, size_t count);

/* The median of sorted values; NaN when count is 0. */
double stats_median(const double *sorted, size_t count);

/* The narrowest interval [x(k), x(n+1-k)] of order statistics with coverage of 95 % or more,
 * whatever the distribution; below 6 values there is none, then [least, largest] with what it
 * covers. NaN when count is 0. */
struct stats_interval stats_median_interval(const double *sorted, size_t count);

/* The geometric mean; values below `floor` (above 0) count as floor; NaN when count is 0. */
double stats_geomean(const double *values, size_t count, double floor);

#endif
