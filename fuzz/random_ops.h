/* SPDX-License-Identifier: MIT
 *
 * random_ops.h - operations for property tests, from a seed
 *
 * Swarm (Groce et al. 2012): each run draws its own odds for every kind of op and its own sizes, so
 * that states are reached that a uniform mixture never reaches.
 */
#ifndef HEAPRIG_RANDOM_OPS_H
#define HEAPRIG_RANDOM_OPS_H

#include "../trace/op.h"

#include <stdbool.h>

struct random_ops {
    uint64_t seed;
    uint32_t slot_count;
    uint32_t max_bytes;     /* of an ordinary request; one in 64 is absurdly large */
    uint8_t max_align_log2; /* of OP_ALIGNED; 0: no such ops */
};

/* Writes a valid sequence: no op allocates into a full slot or frees an empty one, as far as no
 * request fails. O(count). */
void random_ops_fill(const struct random_ops *how, struct op *ops, size_t count);

/* The next number of a xorshift64* stream (Vigna 2016); *state must not be 0. */
uint64_t random_next(uint64_t *state);

/* One of 0 to bound - 1; bound must not be 0. */
size_t random_below(uint64_t *state, size_t bound);

/* HEAPRIG_SEED (hexadecimal or decimal text), or 1; mixed with `salt`, never 0. Tests print it. */
uint64_t random_seed(uint64_t salt);

/* Is HEAPRIG_FULL set, and not to nothing? Then tests may take long. */
bool random_full(void);

#endif
