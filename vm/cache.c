/* SPDX-License-Identifier: MIT
 *
 * cache.c - which lines are in a data cache: see cache.h
 */
#include "cache.h"

#include <stdlib.h>

static bool power_of_two(uint32_t x) {
    return x != 0 && (x & (x - 1)) == 0;
}

static uint32_t log2_of(uint32_t power) {
    uint32_t log2 = 0;
    while (power >> log2 != 1) {
        log2++;
    }
    return log2;
}

bool caches_open(struct caches *caches, const struct cache_shape *l1,
                 const struct cache_shape *l2) {
    caches->latest = 0;
    caches->quick = l1->bytes != 0 && l1->policy == TLB_RANDOM && l1->ways == CACHE_QUICK_WAYS &&
                    l2->bytes != 0 && l2->policy == TLB_RANDOM && l1->line == l2->line;
    return cache_open(&caches->l1, l1) && cache_open(&caches->l2, l2);
}

bool cache_open(struct cache *cache, const struct cache_shape *shape) {
    memset(cache, 0, sizeof *cache);
    if (shape->bytes == 0) {
        return true;
    }
    uint32_t lines = power_of_two(shape->line) ? shape->bytes / shape->line : 0;
    if (shape->ways == 0 || lines % shape->ways != 0 || !power_of_two(lines / shape->ways)) {
        return false;
    }
    cache->line_log2 = log2_of(shape->line);
    cache->set_mask = lines / shape->ways - 1;
    cache->ways = shape->ways;
    cache->policy = shape->policy;
    cache->lines = lines;
    cache->tag = calloc(lines + 1, sizeof *cache->tag);
    cache->next = calloc(lines / shape->ways, sizeof *cache->next);
    if (cache->tag == NULL || cache->next == NULL) {
        cache_close(cache);
        return false;
    }
    cache->random = CACHE_SEED;
    return true;
}

void cache_close(struct cache *cache) {
    free(cache->tag);
    free(cache->next);
    memset(cache, 0, sizeof *cache);
}

void cache_clear(struct cache *cache) {
    if (cache->tag != NULL) {
        memset(cache->tag, 0, (size_t)(cache->set_mask + 1) * cache->ways * sizeof *cache->tag);
    }
}

static uint32_t victim(struct cache *cache, uint32_t set) {
    if (cache->policy == TLB_RANDOM) {
        cache->random = cache_random(cache->random);
        return (uint32_t)((uint64_t)cache->random * cache->ways >> 32);
    }
    uint32_t way = cache->next[set];
    cache->next[set] = way + 1 == cache->ways ? 0 : way + 1;
    return way;
}

/* LRU keeps the ways of a set in order of use: what is used moves to the front. */
static bool access_lru(uint32_t *way, uint32_t ways, uint32_t tag) {
    uint32_t i = 0;
    while (i + 1 < ways && way[i] != tag) {
        i++;
    }
    bool hit = way[i] == tag;
    memmove(way + 1, way, i * sizeof *way);
    way[0] = tag;
    return hit;
}

bool cache_access(struct cache *cache, uint64_t pa) {
    if (cache->tag == NULL) {
        return false;
    }
    uint32_t line = (uint32_t)(pa >> cache->line_log2), tag = line + 1;
    uint32_t set = line & cache->set_mask, ways = cache->ways;
    uint32_t *way = cache->tag + (size_t)set * ways;
    if (cache->policy == TLB_LRU) {
        return way[0] == tag || access_lru(way, ways, tag);
    }
    if (cache_scan(way, ways, tag)) {
        return true;
    }
    uint32_t chosen = 0;
    if (way[ways - 1] == 0) { /* sets fill from way 0 on */
        while (way[chosen] != 0) {
            chosen++;
        }
    } else {
        chosen = victim(cache, set);
    }
    way[chosen] = tag;
    return false;
}

unsigned caches_access_from(struct caches *caches, uint64_t pa, unsigned level) {
    caches->latest = 0;
    if (level == 0 && cache_access(&caches->l1, pa)) {
        return 0;
    }
    return level <= 1 && cache_access(&caches->l2, pa) ? 1 : 2;
}

static __attribute__((noinline)) unsigned access_slow(struct caches *caches, uint64_t pa) {
    unsigned level = caches_access_from(caches, pa, 0);
    caches->latest = caches->l1.tag != NULL ? cache_line_of(&caches->l1, pa) + 1 : 0;
    return level;
}

unsigned caches_access_other(struct caches *caches, uint64_t pa) {
    uint32_t line = cache_line_of(&caches->l1, pa);
    unsigned level;
    if (caches->quick && caches_access_quick(caches, line, caches->l2.ways, &level)) {
        caches->latest = line + 1;
        return level;
    }
    return access_slow(caches, pa);
}
