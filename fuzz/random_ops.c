/* SPDX-License-Identifier: MIT
 * random_ops.c - random but valid op sequences. */
#include "random_ops.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_MAX = 4096, ABSURD_ODDS = 64 };

uint64_t random_next(uint64_t *state) {
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(0x2545F4914F6CDD1D) >> 8;
}

size_t random_below(uint64_t *state, size_t bound) {
    assert(bound > 0);
    return (size_t)(random_next(state) % bound);
}

static uint64_t seed_mix(uint64_t seed) {
    seed = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15); /* neighbouring seeds must not resemble */
    return seed ^ (seed >> 29) ^ (seed == 0);
}

uint64_t random_seed(uint64_t salt) {
    const char *text = getenv("HEAPRIG_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 16) : 1;
    uint64_t mixed = seed_mix(seed) + seed_mix(salt);
    return mixed != 0 ? mixed : 1;
}

bool random_full(void) {
    const char *text = getenv("HEAPRIG_FULL");
    return text != NULL && text[0] != '\0';
}

/* Odds of this run: weights of empty-slot kinds and full-slot kinds. */
struct swarm {
    uint64_t weight[OP_KIND_COUNT];
    uint32_t size_log2;
};

static struct swarm swarm_draw(const struct random_ops *how, uint64_t *state) {
    struct swarm swarm = {.size_log2 = 3};
    for (size_t kind = 0; kind < OP_KIND_COUNT; kind++) {
        swarm.weight[kind] = UINT64_C(1) << (random_next(state) % 5);
    }
    swarm.weight[OP_ALIGNED] *= how->max_align_log2 > 0;
    swarm.weight[OP_REALLOC] *= random_next(state) % 4 != 0;
    while (swarm.size_log2 < 31 && (UINT64_C(1) << swarm.size_log2) < how->max_bytes &&
           random_next(state) % 5 != 0) {
        swarm.size_log2++;
    }
    return swarm;
}

static uint64_t size_draw(const struct random_ops *how, const struct swarm *swarm,
                          uint64_t *state) {
    if (random_next(state) % ABSURD_ODDS == 0) {
        /* Up to 64 bytes below 2^30 ... 2^64. */
        uint64_t exponent = 30 + random_next(state) % 35;
        uint64_t power = exponent < 64 ? UINT64_C(1) << exponent : 0;
        return power - 1 - random_next(state) % 64;
    }
    uint64_t span = UINT64_C(1) << (random_next(state) % (swarm->size_log2 + 1));
    uint64_t bytes = 1 + random_next(state) % (span * 2);
    return bytes <= how->max_bytes ? bytes : 1 + bytes % how->max_bytes;
}

static enum op_kind kind_draw(const struct swarm *swarm, bool full, uint64_t *state) {
    if (full) {
        uint64_t sum = swarm->weight[OP_FREE] + swarm->weight[OP_REALLOC];
        return random_next(state) % sum < swarm->weight[OP_FREE] ? OP_FREE : OP_REALLOC;
    }
    uint64_t sum = swarm->weight[OP_ALLOC] + swarm->weight[OP_ALIGNED];
    return random_next(state) % sum < swarm->weight[OP_ALLOC] ? OP_ALLOC : OP_ALIGNED;
}

void random_ops_fill(const struct random_ops *how, struct op *ops, size_t count) {
    assert(how->slot_count > 0 && how->slot_count <= SLOTS_MAX && how->max_bytes > 0);
    uint64_t state = seed_mix(how->seed);
    struct swarm swarm = swarm_draw(how, &state);
    bool full[SLOTS_MAX] = {false};
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = (uint32_t)(random_next(&state) % how->slot_count);
        enum op_kind kind = kind_draw(&swarm, full[slot], &state);
        ops[i] = (struct op){.slot = slot, .kind = (uint8_t)kind};
        full[slot] = kind != OP_FREE;
        if (kind != OP_FREE) {
            ops[i].bytes = size_draw(how, &swarm, &state);
        }
        if (kind == OP_ALIGNED) {
            ops[i].align_log2 = (uint8_t)(random_next(&state) % (how->max_align_log2 + 1u));
        }
    }
}
