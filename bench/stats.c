/* SPDX-License-Identifier: MIT
 *
 * stats.c - statistics of few noisy values
 *
 * The number of n values below the true median is binomial(n, 1/2), so [x(k), x(n+1-k)] covers it
 * with probability 1 - 2 P(B <= k - 1), whatever the distribution (David and Nagaraja, Order
 * Statistics, 7.1). n = 9: k = 2, 96.1 %.
 */
#include "stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static int double_compare(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *values, size_t count) {
    if (count > 1) {
        qsort(values, count, sizeof *values, double_compare);
    }
}

double stats_median(const double *sorted, size_t count) {
    if (count == 0) {
        return NAN;
    }
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

struct stats_interval stats_median_interval(const double *sorted, size_t count) {
    if (count == 0) {
        return (struct stats_interval){NAN, NAN, 0};
    }
    double probability = pow(0.5, (double)count); /* of exactly k values below the median, k = 0 */
    double tail = probability;
    struct stats_interval interval = {sorted[0], sorted[count - 1], 1 - 2 * tail};
    for (size_t k = 1; k < count / 2; k++) {
        probability *= (double)(count - k + 1) / (double)k;
        tail += probability;
        if (1 - 2 * tail < 0.95) {
            break;
        }
        interval = (struct stats_interval){sorted[k], sorted[count - 1 - k], 1 - 2 * tail};
    }
    return interval;
}

double stats_geomean(const double *values, size_t count, double floor) {
    assert(floor > 0);
    double logarithms = 0;
    for (size_t i = 0; i < count; i++) {
        logarithms += log(values[i] > floor ? values[i] : floor);
    }
    return count == 0 ? NAN : exp(logarithms / (double)count);
}
