/* SPDX-License-Identifier: MIT
 *
 * gen_lifetimes.c - generators that differ in how long blocks live
 *
 *   uniform, powerlaw     live |  /----------   random order of frees around a level
 *   lifo, fifo            live |  /\/\/\/\/\/   waves; the order of frees is the stack's or queue's
 *   ramp                  live |  /\  /\  /\    summits, each falling to nothing
 */
#include "generators.h"

#include <stdlib.h>

enum { LIVE_LEVEL = 1000, LIVE_ROOM = 1200 };

void gen_uniform(struct generator *g);
void gen_powerlaw(struct generator *g);
void gen_lifo(struct generator *g);
void gen_fifo(struct generator *g);
void gen_ramp(struct generator *g);

static uint32_t size_uniform(struct generator *g) {
    return generator_between(g, 1, 1024);
}

/* P(size >= s) = 16 / s: an octave is half as likely as the one below, uniform within. */
static uint32_t size_powerlaw(struct generator *g) {
    uint32_t coins = generator_below(g, 1u << 12) | 1u << 11;
    uint32_t least = 16u << __builtin_ctz(coins);
    return generator_between(g, least, 2 * least - 1);
}

static void free_any(struct generator *g, uint64_t *live, size_t *count) {
    uint32_t at = generator_below(g, *count);
    generator_free(g, live[at]);
    live[at] = live[--*count];
}

/* Climbs to the level, then frees a random block as often as it allocates one. */
static void churn(struct generator *g, uint32_t (*size)(struct generator *g)) {
    uint64_t live[LIVE_ROOM];
    size_t count = 0;
    while (generator_room(g) > 0) {
        uint32_t odds = count < LIVE_LEVEL ? 60 : 40; /* allocations in a hundred ops */
        if (count == 0 || (count < LIVE_ROOM && generator_below(g, 100) < odds)) {
            live[count++] = generator_alloc(g, size(g));
        } else {
            free_any(g, live, &count);
        }
    }
}

void gen_uniform(struct generator *g) {
    churn(g, size_uniform);
}

void gen_powerlaw(struct generator *g) {
    churn(g, size_powerlaw);
}

/* Frames are pushed and popped in runs of 1 to 32, as calls nest and return. */
void gen_lifo(struct generator *g) {
    uint64_t stack[LIVE_ROOM];
    uint32_t depth = 0;
    while (generator_room(g) > 0) {
        for (uint32_t run = generator_between(g, 1, 32); run > 0 && depth < LIVE_ROOM; run--) {
            stack[depth++] = generator_alloc(g, generator_between(g, 16, 512));
        }
        for (uint32_t run = generator_between(g, 1, 32); run > 0 && depth > 0; run--) {
            generator_free(g, stack[--depth]);
        }
    }
}

/* Producer and consumer take turns in runs of 1 to 32. Keys count upwards, so the oldest live block
 * is the one after that freed last. */
void gen_fifo(struct generator *g) {
    uint64_t oldest = 0;
    uint64_t next = 0;
    while (generator_room(g) > 0) {
        for (uint32_t run = generator_between(g, 1, 32); run > 0 && next - oldest < LIVE_ROOM;
             run--) {
            next = generator_alloc(g, generator_between(g, 16, 512)) + 1;
        }
        for (uint32_t run = generator_between(g, 1, 32); run > 0 && oldest < next; run--) {
            generator_free(g, oldest++);
        }
    }
}

/* Each summit frees in random order, one of four blocks already on the way up. */
void gen_ramp(struct generator *g) {
    enum { SUMMITS = 4 };
    size_t allocs = generator_ops(g) / SUMMITS / 2; /* of one summit; as many frees */
    uint64_t *live = generator_memory(g, allocs + 1, sizeof *live);
    for (int summit = 0; live != NULL && summit < SUMMITS; summit++) {
        size_t count = 0;
        for (size_t i = 0; i < allocs; i++) {
            live[count++] = generator_alloc(g, size_powerlaw(g));
            if (generator_below(g, 4) == 0) {
                free_any(g, live, &count);
            }
        }
        while (count > 0) {
            free_any(g, live, &count);
        }
    }
    free(live);
}
