/* SPDX-License-Identifier: MIT
 * stats_test.c - statistics and histogram against values worked out by hand or by brute force. */
#include "histogram.h"
#include "stats.h"
#include "test_trace.h"

#include <math.h>

static void near(double got, double wanted) {
    ck_assert_msg(fabs(got - wanted) <= 1e-9 * (1 + fabs(wanted)), "got %.12g, expected %.12g", got,
                  wanted);
}

START_TEST(median_of_few) {
    double odd[] = {5, 1, 3};
    double even[] = {4, 1, 3, 2};
    stats_sort(odd, 3);
    stats_sort(even, 4);
    near(stats_median(odd, 3), 3);
    near(stats_median(even, 4), 2.5);
    ck_assert(isnan(stats_median(odd, 0)));
}
END_TEST

/* Ranks from the binomial table: n, lower rank counted from 1, coverage. */
START_TEST(interval_has_tabled_ranks) {
    static const struct {
        size_t n, rank;
        double coverage;
    } rows[] = {{6, 1, 0.96875},
                {8, 1, 0.9921875},
                {9, 2, 0.9609375},
                {15, 4, 0.96484375},
                {20, 6, 0.9586105346679688},
                {5, 1, 0.9375},
                {99, 40, 0.9561247064129847}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double values[99];
        for (size_t k = 0; k < rows[i].n; k++) {
            values[k] = (double)(k + 1);
        }
        struct stats_interval interval = stats_median_interval(values, rows[i].n);
        near(interval.low, (double)rows[i].rank);
        near(interval.high, (double)(rows[i].n + 1 - rows[i].rank));
        ck_assert(fabs(interval.coverage - rows[i].coverage) < 1e-9);
    }
    ck_assert(isnan(stats_median_interval(NULL, 0).low));
}
END_TEST

START_TEST(geomean_with_floor) {
    double values[] = {1, 10, 100};
    double negative[] = {-5, 4};
    near(stats_geomean(values, 3, 0.01), 10);
    near(stats_geomean(negative, 2, 0.01), 0.2);
    ck_assert(isnan(stats_geomean(values, 0, 0.01)));
}
END_TEST

START_TEST(histogram_is_exact_below_256) {
    struct histogram *h = calloc(1, sizeof *h);
    for (uint64_t v = 0; v < 200; v++) {
        histogram_add(h, v);
    }
    ck_assert_uint_eq(histogram_quantile(h, 0.5), 99);
    ck_assert_uint_eq(histogram_quantile(h, 0.99), 197);
    ck_assert_uint_eq(histogram_quantile(h, 0.999), 199);
    ck_assert_uint_eq(histogram_quantile(h, 1), 199);
    ck_assert_uint_eq(histogram_quantile(h, 0), 0);
    free(h);
}
END_TEST

/* Every value lies in a bucket whose end is at most 1/128 above it, and ends are their own bucket's
 * largest value. */
START_TEST(histogram_errs_below_one_percent) {
    for (unsigned shift = 0; shift < 64; shift++) {
        for (uint64_t offset = 0; offset < 3; offset++) {
            uint64_t value = ((uint64_t)1 << shift) - 1 + offset * (((uint64_t)1 << shift) / 3);
            struct histogram *h = calloc(1, sizeof *h);
            histogram_add(h, value);
            histogram_add(h, UINT64_MAX);
            uint64_t got = histogram_quantile(h, 0.5);
            ck_assert(got >= value);
            ck_assert_msg(got - value <= value / 128, "%llu for %llu", (unsigned long long)got,
                          (unsigned long long)value);
            free(h);
        }
    }
    for (size_t bucket = 1; bucket < HISTOGRAM_BUCKETS; bucket++) {
        ck_assert(histogram_bucket_end(bucket) > histogram_bucket_end(bucket - 1));
    }
    ck_assert(histogram_bucket_end(HISTOGRAM_BUCKETS - 1) == UINT64_MAX);
}
END_TEST

START_TEST(histograms_merge_like_their_values) {
    struct histogram *h = calloc(3, sizeof *h);
    for (uint64_t v = 1; v < 5000; v += 7) {
        histogram_add(&h[v % 2], v * v);
        histogram_add(&h[2], v * v);
    }
    histogram_merge(&h[0], &h[1]);
    ck_assert(memcmp(&h[0], &h[2], sizeof *h) == 0);
    free(h);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("stats");
    TCase *tcase = tcase_create("stats");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, median_of_few);
    tcase_add_test(tcase, interval_has_tabled_ranks);
    tcase_add_test(tcase, geomean_with_floor);
    tcase_add_test(tcase, histogram_is_exact_below_256);
    tcase_add_test(tcase, histogram_errs_below_one_percent);
    tcase_add_test(tcase, histograms_merge_like_their_values);
    return test_main(suite);
}
