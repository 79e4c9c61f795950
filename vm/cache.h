/* SPDX-License-Identifier: MIT
 *
 * cache.h - a physically tagged data cache, and two of them in a row
 *
 * Only presence is modelled: which lines are there. Reads and writes are alike (write-back,
 * write-allocate), the L2 is filled on the way to the L1 and not emptied when it is.
 */
#ifndef HEAPRIG_VM_CACHE_H
#define HEAPRIG_VM_CACHE_H

#include "tlb.h"

#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

struct cache_shape {
    uint32_t bytes; /* 0: there is none, every access misses */
    uint32_t ways;
    uint32_t line; /* bytes, power of two; bytes / ways / line is a power of two */
    enum tlb_policy policy;
};

enum { CACHE_SEED = 0x2545f491 };

struct cache {
    uint32_t line_log2, set_mask, ways;
    enum tlb_policy policy;
    uint32_t lines;
    uint32_t *tag;   /* [set][way], line number + 1; 0: empty. LRU keeps the latest in way 0.
                        tag[lines] is in no set: what is not to be stored goes there */
    uint32_t *next;  /* per set: victim of round-robin */
    uint32_t random; /* xorshift, so runs repeat */
};

enum { CACHE_QUICK_WAYS = 4 }; /* of the L1 of all cores but one */

/* Empty cache. False iff memory is out or the shape makes no sense. */
bool cache_open(struct cache *cache, const struct cache_shape *shape);
void cache_close(struct cache *cache);
void cache_clear(struct cache *cache);
static inline uint32_t cache_line_of(const struct cache *cache, uint64_t pa) {
    return (uint32_t)(pa >> cache->line_log2);
}

/* Whether one of `ways` tags is `tag`: four at a time where there are as many. */
static inline bool cache_scan(const uint32_t *way, uint32_t ways, uint32_t tag) {
    typedef uint32_t four_tags __attribute__((vector_size(16), aligned(4), may_alias));
    const four_tags wanted = {tag, tag, tag, tag};
    four_tags equal = {0};
    uint32_t i = 0;
    for (; i + 4 <= ways; i += 4) {
        equal |= (four_tags)(*(const four_tags *)(const void *)(way + i) == wanted);
    }
#if defined(__SSE2__)
    bool found = _mm_movemask_epi8((__m128i)equal) != 0;
#else
    uint64_t halves[2];
    memcpy(halves, &equal, sizeof halves);
    bool found = (halves[0] | halves[1]) != 0;
#endif
    for (; i < ways; i++) {
        found |= way[i] == tag;
    }
    return found;
}

/* The same, unrolled for the usual number. */
static inline bool cache_scan_usual(const uint32_t *way, uint32_t ways, uint32_t usual,
                                    uint32_t tag) {
    return ways == usual ? cache_scan(way, usual, tag) : cache_scan(way, ways, tag);
}

static inline uint32_t *cache_set(const struct cache *cache, uint32_t line) {
    return cache->tag + (size_t)(line & cache->set_mask) * cache->ways;
}

/* Whether an access to the line of `pa` would hit and change nothing: never under LRU. */
static inline bool cache_holds(const struct cache *cache, uint64_t pa) {
    if (cache->policy == TLB_LRU || cache->tag == NULL) {
        return false;
    }
    uint32_t line = cache_line_of(cache, pa);
    return cache_scan_usual(cache_set(cache, line), cache->ways, CACHE_QUICK_WAYS, line + 1);
}

/* Where cache_holds() can be answered by the function below: the usual L1. */
static inline bool cache_quick(const struct cache *cache) {
    return cache->policy != TLB_LRU && cache->tag != NULL && cache->ways == CACHE_QUICK_WAYS;
}
static inline bool cache_holds_quick(const struct cache *cache, uint32_t pa) {
    uint32_t line = pa >> cache->line_log2;
    const uint32_t *way = cache->tag + (size_t)(line & cache->set_mask) * CACHE_QUICK_WAYS;
    return cache_scan(way, CACHE_QUICK_WAYS, line + 1);
}

/* True iff the line of `pa` was there; it is afterwards. O(ways). */
bool cache_access(struct cache *cache, uint64_t pa);

struct caches {
    struct cache l1, l2;
    bool quick; /* there are both, with random replacement and lines of one size, four ways above */
    uint32_t latest; /* number + 1 of the line of the latest data access, if nothing came since */
};

/* Both empty. False as cache_open(); close both in any case. */
bool caches_open(struct caches *caches, const struct cache_shape *l1, const struct cache_shape *l2);

/* As cache_access(), beginning at `level` (0: L1, 1: L2, 2: RAM, touching neither). */
unsigned caches_access_from(struct caches *caches, uint64_t pa, unsigned level);

/* xorshift */
static inline uint32_t cache_random(uint32_t x) {
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

/* What a miss does under random replacement, but nothing if `spared`. No branch: where many
 * accesses miss nobody can foresee which. */
static inline void cache_replace_unless(bool spared, struct cache *cache, uint32_t set_at,
                                        uint32_t ways, uint32_t tag) {
    uint32_t before = cache->random, after = cache_random(before), spare = 0u - (uint32_t)spared;
    uint32_t at = set_at + (uint32_t)((uint64_t)after * ways >> 32);
    cache->tag[at ^ ((at ^ cache->lines) & spare)] = tag;
    cache->random = after ^ ((after ^ before) & spare);
}

/* Both caches at once, where there is no more to do than caches->quick says and no way is empty in
 * the sets. Looking into the L2 although the L1 may have the line changes nothing. */
static inline bool caches_access_quick(struct caches *caches, uint32_t line, uint32_t l2_ways,
                                       unsigned *level) {
    struct cache *l1 = &caches->l1, *l2 = &caches->l2;
    uint32_t l1_ways = CACHE_QUICK_WAYS, tag = line + 1;
    uint32_t at1 = (line & l1->set_mask) * l1_ways, at2 = (line & l2->set_mask) * l2_ways;
    if (l1->tag[at1 + l1_ways - 1] == 0) {
        return false;
    }
    bool in_l1 = cache_scan(l1->tag + at1, l1_ways, tag);
    bool in_either = in_l1 | cache_scan(l2->tag + at2, l2_ways, tag);
    if (l2->tag[at2 + l2_ways - 1] != 0) {
        cache_replace_unless(in_either, l2, at2, l2_ways, tag);
    } else if (!in_either) {
        return false;
    }
    cache_replace_unless(in_l1, l1, at1, l1_ways, tag);
    *level = 2u - in_l1 - in_either;
    return true;
}

/* Data access: 0, 1 or 2 for served by L1, L2 or RAM. The line used last is there, whatever the
 * policy. `l2_ways`, if not 0, says that caches->quick and how many ways the L2 has. */
unsigned caches_access_other(struct caches *caches, uint64_t pa);
static inline unsigned caches_access(struct caches *caches, uint64_t pa, uint32_t l2_ways) {
    uint32_t line = cache_line_of(&caches->l1, pa);
    unsigned level;
    if (line + 1 == caches->latest) {
        return 0;
    }
    if (l2_ways != 0 && caches_access_quick(caches, line, l2_ways, &level)) {
        caches->latest = line + 1;
        return level;
    }
    return caches_access_other(caches, pa);
}

#endif
