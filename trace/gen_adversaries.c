/* SPDX-License-Identifier: MIT
 *
 * gen_adversaries.c - workloads that provoke waste
 *
 *   comb            [s][s][s][s] -> [s] . [s] . -> 2s fits nowhere: half of the heap is lost
 *   pow2plus1       2^k + 1 bytes: a policy that rounds up to powers of two wastes nearly half
 *   realloc_growth  each growth leaves a hole too small for the next
 *   shrink          [n][n] -> [1]...[n][n]: every hole is n - 1 units, no later n fits. The block
 *                   ahead keeps the hole from joining the free space at the end. Outside Robson's
 *                   bounds, because shrinking is neither allocation nor free.
 *   knuth           The Art of Computer Programming, exercise 2.5-41: m blocks of 1 unit; for k = 1
 *                   to r free every block whose start is no multiple of 2^k, then allocate
 *                   m / 2^(k+1) blocks of 2^k. In a buddy system no such block fits where others
 *                   lay, so they follow at the end:
 *                   (the starts are those a buddy system gives; so the ops are aimed at no other)
 *                     k = 1   [1].[1].[1].[1].|[2 ][2 ]        m + m/2 units
 *                     k = 2   [1]...[1]...    |[2 ]  |[4     ]  m + m/2 + m/2
 */
#include "generators.h"

#include <stdlib.h>

enum { UNIT_BYTES = 16 };

void gen_comb(struct generator *g);
void gen_pow2plus1(struct generator *g);
void gen_realloc_growth(struct generator *g);
void gen_shrink(struct generator *g);
void gen_knuth(struct generator *g);

void gen_comb(struct generator *g) {
    enum { TOOTH_BYTES = 256 };
    size_t teeth = generator_ops(g) / 7 * 4; /* half are freed, a quarter is asked for again */
    for (size_t i = 0; i < teeth; i++) {
        (void)generator_alloc(g, TOOTH_BYTES);
    }
    for (uint64_t key = 0; key < teeth; key += 2) {
        generator_free(g, key);
    }
    for (size_t i = 0; i < teeth / 4; i++) {
        (void)generator_alloc(g, (uint64_t)2 * TOOTH_BYTES);
    }
}

void gen_pow2plus1(struct generator *g) {
    enum { LIVE = 512, LEAST_LOG2 = 4, MOST_LOG2 = 12 };
    uint64_t live[LIVE];
    for (uint32_t i = 0; generator_room(g) > 0; i++) {
        uint32_t at = i < LIVE ? i : generator_below(g, LIVE);
        if (i >= LIVE) {
            generator_free(g, live[at]);
        }
        uint32_t log2_bytes = generator_between(g, LEAST_LOG2, MOST_LOG2);
        live[at] = generator_alloc(g, ((uint64_t)1 << log2_bytes) + 1);
    }
}

/* Eight arrays grow by half in random turns; one above 32 KiB goes and starts anew. Now and then a
 * small block is exchanged, so that arrays rarely find room behind them. */
void gen_realloc_growth(struct generator *g) {
    enum { ARRAYS = 8, SMALLS = 64, ARRAY_LEAST = 32, ARRAY_MOST = 32768 };
    uint64_t array[ARRAYS];
    uint64_t bytes[ARRAYS];
    uint64_t small[SMALLS];
    for (uint32_t i = 0; i < ARRAYS; i++) {
        bytes[i] = ARRAY_LEAST;
        array[i] = generator_alloc(g, bytes[i]);
    }
    for (uint32_t i = 0; i < SMALLS; i++) {
        small[i] = generator_alloc(g, generator_between(g, 16, 64));
    }
    while (generator_room(g) > 0) {
        uint32_t i = generator_below(g, ARRAYS);
        bytes[i] += bytes[i] / 2;
        if (bytes[i] > ARRAY_MOST) {
            bytes[i] = ARRAY_LEAST;
            generator_free(g, array[i]);
            array[i] = generator_alloc(g, bytes[i]);
        } else {
            generator_realloc(g, array[i], bytes[i]);
        }
        uint32_t at = generator_below(g, 2 * SMALLS);
        if (at < SMALLS) {
            generator_free(g, small[at]);
            small[at] = generator_alloc(g, generator_between(g, 16, 64));
        }
    }
}

/* With M live units at most, M - 2n + 1 blocks are shrunk and one is ahead: OPS = 2 (M - 2n + 1) +
 * 1 and the heap reaches (M - 2n + 2) n units. */
void gen_shrink(struct generator *g) {
    enum { BLOCK_UNITS = 64 };
    uint64_t ahead = generator_alloc(g, BLOCK_UNITS * UNIT_BYTES);
    while (generator_room(g) >= 2) {
        uint64_t previous = ahead;
        ahead = generator_alloc(g, BLOCK_UNITS * UNIT_BYTES);
        generator_realloc(g, previous, UNIT_BYTES);
    }
}

/* A block of the model: where a buddy system puts it. */
struct placed {
    uint64_t key;
    uint64_t start;
};

static void knuth_step(struct generator *g, struct placed *blocks, size_t *count, uint64_t *end,
                       unsigned k, size_t units) {
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++) {
        if ((blocks[i].start & (((uint64_t)1 << k) - 1)) != 0) {
            generator_free(g, blocks[i].key);
        } else {
            blocks[kept++] = blocks[i];
        }
    }
    for (size_t i = 0; i < units >> (k + 1); i++) {
        blocks[kept++] = (struct placed){generator_alloc(g, (uint64_t)UNIT_BYTES << k), *end};
        *end += (uint64_t)1 << k;
    }
    *count = kept;
}

/* m units take m allocations and, over all steps, less than 2 m further ops. */
void gen_knuth(struct generator *g) {
    enum { STEPS_MOST = 8 };
    unsigned log2_units = 0;
    while ((size_t)6 << log2_units <= generator_ops(g)) {
        log2_units++;
    }
    size_t units = (size_t)1 << log2_units;
    struct placed *blocks = generator_memory(g, units, sizeof *blocks);
    if (blocks == NULL) {
        return;
    }
    size_t count = units;
    uint64_t end = units;
    for (size_t i = 0; i < units; i++) {
        blocks[i] = (struct placed){generator_alloc(g, UNIT_BYTES), i};
    }
    for (unsigned k = 1; k <= STEPS_MOST && k < log2_units; k++) {
        knuth_step(g, blocks, &count, &end, k, units);
    }
    free(blocks);
}
