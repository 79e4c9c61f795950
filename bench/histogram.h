/* SPDX-License-Identifier: MIT
 * histogram.h - log-linear histogram of 64-bit values: relative error below 1 %, extremes exact */
#ifndef HEAPRIG_HISTOGRAM_H
#define HEAPRIG_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum {
    HISTOGRAM_BITS = 7, /* each power of two is cut into 2^BITS buckets */
    HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS,
};

/* Empty when all zero. */
struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *h, uint64_t value);

/* Adds all of `from`; the same as adding its values one by one. */
void histogram_merge(struct histogram *h, const struct histogram *from);

/* The least v such that at least share (0 to 1) of the values are <= v, rounded up to its bucket's
 * end, never above max. share 1 is max. 0 when empty. */
uint64_t histogram_quantile(const struct histogram *h, double share);

/* Largest value that falls into a bucket. */
uint64_t histogram_bucket_end(size_t bucket);

#endif
