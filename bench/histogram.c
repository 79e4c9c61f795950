/* SPDX-License-Identifier: MIT
 *
 * histogram.c - the bucket of a value is its exponent and the BITS bits behind its leading one
 *
 *   value           bucket        BITS = 7
 *   0 .. 127        value
 *   128 .. 255      value         exponent 7: width 1
 *   256 .. 511      256 + (value - 256) / 2
 *   512 .. 1023     384 + (value - 512) / 4
 */
#include "histogram.h"

#include <assert.h>

static size_t bucket_index(uint64_t value) {
    if (value >> HISTOGRAM_BITS == 0) {
        return (size_t)value;
    }
    unsigned exponent = 63 - (unsigned)__builtin_clzll(value);
    unsigned shift = exponent - HISTOGRAM_BITS;
    return ((size_t)shift << HISTOGRAM_BITS) + (size_t)(value >> shift);
}

uint64_t histogram_bucket_end(size_t bucket) {
    assert(bucket < HISTOGRAM_BUCKETS);
    if (bucket >> HISTOGRAM_BITS <= 1) {
        return bucket;
    }
    unsigned shift = (unsigned)(bucket >> HISTOGRAM_BITS) - 1;
    uint64_t mantissa = bucket - ((uint64_t)shift << HISTOGRAM_BITS);
    return (mantissa << shift) + (((uint64_t)1 << shift) - 1);
}

void histogram_add(struct histogram *h, uint64_t value) {
    h->bucket[bucket_index(value)]++;
    h->count++;
    h->max = value > h->max ? value : h->max;
}

void histogram_merge(struct histogram *h, const struct histogram *from) {
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        h->bucket[i] += from->bucket[i];
    }
    h->count += from->count;
    h->max = from->max > h->max ? from->max : h->max;
}

uint64_t histogram_quantile(const struct histogram *h, double share) {
    assert(share >= 0 && share <= 1);
    double wanted = share * (double)h->count;
    uint64_t seen = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t end = histogram_bucket_end(i);
            return end < h->max ? end : h->max;
        }
    }
    return h->max;
}
