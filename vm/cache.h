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

struct cache_shape {
    uint32_t bytes; /* 0: there is none, every access misses */
    uint32_t ways;
    uint32_t line; /* bytes, power of two; bytes / ways / line is a power of two */
    enum tlb_policy policy;
};

struct cache {
    uint32_t line_log2, set_mask, ways;
    enum tlb_policy policy;
    uint32_t random;
    uint32_t *tag;  /* [set][way], line number + 1; 0: empty. LRU keeps the latest in way 0 */
    uint32_t *next; /* per set: victim of round-robin */
};

/* Empty cache. False iff memory is out or the shape makes no sense. */
bool cache_open(struct cache *cache, const struct cache_shape *shape);
void cache_close(struct cache *cache);
void cache_clear(struct cache *cache);
/* True iff the line of `pa` was there; it is afterwards. O(ways). */
bool cache_access(struct cache *cache, uint64_t pa);

struct caches {
    struct cache l1, l2;
    uint32_t latest; /* number + 1 of the line of the latest data access, if nothing came since */
};

/* The same, beginning at `level` (0: L1, 1: L2, 2: RAM, touching neither). */
unsigned caches_access_from(struct caches *caches, uint64_t pa, unsigned level);

/* Data access: 0, 1 or 2 for served by L1, L2 or RAM. The line used last is there, whatever the
 * policy. */
unsigned caches_access_other(struct caches *caches, uint64_t pa);
static inline unsigned caches_access(struct caches *caches, uint64_t pa) {
    if ((uint32_t)(pa >> caches->l1.line_log2) + 1 == caches->latest) {
        return 0;
    }
    return caches_access_other(caches, pa);
}

#endif
