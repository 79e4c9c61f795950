/* SPDX-License-Identifier: MIT
 *
 * area.h - the pool and its regions as a chain, for allocators that keep a control structure in
 * each
 *
 * An area is one piece of memory given to init() or add_region(). Its control structure lies
 * somewhere inside it and begins with a struct area; the pool's is the allocator's handle. The
 * chain is in address order, so it begins with the pool and every walk along it ends.
 *
 *   pool            region            region
 *   |  [area]   |   | [area]  |       | [area] |
 *   ^ offset 0  --next-->    --next-->
 *
 * A seal over the fields lets check() tell whether they can be believed before it follows them. It
 * is a guard against stray writes, not against somebody who forges it.
 */
#ifndef HEAPRIG_AREA_H
#define HEAPRIG_AREA_H

#include "alloc.h"

/* Offsets count from the pool's first byte. Nothing here changes but by area_insert(). */
struct area {
    uint32_t start;      /* offset of the area's first byte; 0 for the pool */
    uint32_t bytes;      /* as given to init() or add_region() */
    uint32_t lead;       /* bytes from the area's start to this structure */
    uint32_t next;       /* offset of the next area's structure; 0 for the last */
    uint32_t unit_bytes; /* block size the allocator works with, the same in all areas */
    uint32_t seal;
};

_Static_assert(sizeof(struct area) == 24, "the same layout on every machine");

static inline uint32_t area_mix(uint32_t word) {
    return (word ^ (word >> 15) ^ 0x5EA15EEDu) * 0x9E3779B1u;
}

static inline uint32_t area_seal(const struct area *area) {
    uint32_t seal = area_mix(area->start);
    seal = area_mix(seal ^ area->bytes);
    seal = area_mix(seal ^ area->lead);
    seal = area_mix(seal ^ area->next);
    return area_mix(seal ^ area->unit_bytes);
}

/* The area's first byte. */
static inline uintptr_t area_begin(const struct area *area) {
    return (uintptr_t)area - area->lead;
}

static inline struct area *area_next(const struct area *area) {
    uintptr_t pool = area_begin(area) - area->start;
    return area->next != 0 ? (struct area *)(pool + area->next) : NULL;
}

/* The area of the chain that p points into, or NULL. O(regions). */
static inline struct area *area_find(struct area *first, const void *p) {
    struct area *area = first;
    while (area != NULL && (uintptr_t)p - area_begin(area) >= area->bytes) {
        area = area_next(area);
    }
    return area;
}

/* Whether [mem, mem + bytes) can become a region: it lies above the pool's start, ends within 4 GiB
 * of it, and overlaps no area. O(regions). */
static inline bool area_admits(const struct area *first, const void *mem, size_t bytes) {
    uintptr_t start = (uintptr_t)mem - area_begin(first);
    if (mem == NULL || bytes == 0 || (uintptr_t)mem < area_begin(first) || start > UINT32_MAX ||
        bytes - 1 > UINT32_MAX - (uint32_t)start) {
        return false;
    }
    uint32_t last = (uint32_t)start + (uint32_t)(bytes - 1);
    for (const struct area *area = first; area != NULL; area = area_next(area)) {
        if ((uint32_t)start <= area->start + (area->bytes - 1) && last >= area->start) {
            return false;
        }
    }
    return true;
}

/* Fills in the structure of the pool itself. */
static inline void area_found(struct area *first, size_t bytes, uint32_t lead,
                              uint32_t unit_bytes) {
    *first = (struct area){.bytes = (uint32_t)bytes, .lead = lead, .unit_bytes = unit_bytes};
    first->seal = area_seal(first);
}

/* Fills in the structure of a region that area_admits(), and chains it. O(regions). */
static inline void area_insert(struct area *first, struct area *region, size_t bytes,
                               uint32_t lead) {
    uintptr_t pool = area_begin(first);
    uint32_t offset = (uint32_t)((uintptr_t)region - pool);
    struct area *before = first;
    while (before->next != 0 && before->next < offset) {
        before = area_next(before);
    }
    *region = (struct area){.start = offset - lead,
                            .bytes = (uint32_t)bytes,
                            .lead = lead,
                            .next = before->next,
                            .unit_bytes = first->unit_bytes};
    region->seal = area_seal(region);
    before->next = offset;
    before->seal = area_seal(before);
}

/* NULL if the fields of this area can be followed, else the broken rule. */
static inline const char *area_check(const struct area *area) {
    if (area->seal != area_seal(area)) {
        return "control structure: seal does not match";
    }
    bool ascends = area->next == 0 || area->next > area->start + area->lead;
    return ascends ? NULL : "control structure: next region lies below";
}

#endif
