/* SPDX-License-Identifier: MIT
 *
 * asid.c - ASIDs by generations: see asid.h
 */
#include "asid.h"

#include <stddef.h>
#include <string.h>

void asid_open(struct asid_pool *pool) {
    memset(pool, 0, sizeof *pool);
    pool->generation = 1;
    pool->next = 1;
}

static bool current(const struct asid_pool *pool, uint64_t tag) {
    return tag / ASID_COUNT == pool->generation;
}

/* A free ASID at or after `next`, 0 iff there is none. */
static uint32_t find_free(struct asid_pool *pool) {
    for (uint32_t i = 0; i < ASID_COUNT; i++) {
        uint32_t asid = (pool->next + i) % ASID_COUNT;
        if (asid != 0 && !pool->taken[asid]) {
            pool->next = (asid + 1) % ASID_COUNT;
            return asid;
        }
    }
    return 0;
}

bool asid_get(struct asid_pool *pool, uint64_t *tag, uint64_t *running, uint8_t *asid) {
    bool rollover = false;
    if (!current(pool, *tag)) {
        uint32_t got = find_free(pool);
        if (got == 0) {
            rollover = true;
            pool->generation++;
            pool->rollovers++;
            memset(pool->taken, 0, sizeof pool->taken);
            pool->next = 1;
            if (running != NULL && *running != 0) {
                uint32_t kept = (uint32_t)(*running % ASID_COUNT);
                pool->taken[kept] = 1;
                *running = pool->generation * ASID_COUNT + kept;
            }
            got = find_free(pool);
        }
        pool->taken[got] = 1;
        *tag = pool->generation * ASID_COUNT + got;
    }
    *asid = (uint8_t)(*tag % ASID_COUNT);
    return rollover;
}

void asid_put(struct asid_pool *pool, uint64_t *tag) {
    if (current(pool, *tag)) {
        pool->taken[*tag % ASID_COUNT] = 0;
    }
    *tag = 0;
}
