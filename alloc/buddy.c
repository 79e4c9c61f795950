/* SPDX-License-Identifier: MIT
 *
 * buddy.c - the buddy system, for bytes and for pages: setting up, allocating, giving back
 *
 * buddy.h has the picture and the rules, buddy_pieces.h what happens to free pieces, buddy_hot.h
 * what is hot of alloc() and free(); realloc() is in buddy_resize.c, walk() and check() are in
 * buddy_check.c, buddy_aligned.c is the same for pages, and buddy_runs.c that without pointers.
 *
 * alloc() and free() of 16-byte units and of pages are compiled for that size, all else takes it
 * from the control structure. All functions are O(orders) plus O(regions), realloc() plus one copy;
 * init(), add_region(), walk(), stats() and check() are O(units).
 */
#include "buddy_hot.h"

enum { CANDIDATES_MAX = 8 }; /* places tried for an alignment that exceeds all free pieces */

extern const struct alloc_ops buddy_ops;

/* ---- setting up ---- */

/* Fills in all but the area, and frees all units. */
static void units_format(struct alloc *a, uint32_t units, bool zeroed) {
    geometry_fill(a, units);
    a->order_mask = 0;
    for (uint32_t order = 0; order <= floor_log2(units); order++) {
        *link_at(a, list_of(order)) = (struct link){0, LIST_END};
    }
    if (!zeroed) {
        __builtin_memset(states_of(a), INTERIOR, (size_t)units + 1);
    }
    range_free(view_of(a), 0, units);
}

struct alloc *buddy_format(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg,
                           uint32_t unit_bytes) {
    if (pool == NULL || pool_bytes > ALLOC_POOL_MAX || unit_bytes < 1u << UNIT_LOG_MIN ||
        unit_bytes > PAGE_BYTES || (unit_bytes & (unit_bytes - 1)) != 0) {
        return NULL;
    }
    uint32_t units = units_max((uintptr_t)pool, pool_bytes, unit_bytes);
    if (units == 0) {
        return NULL;
    }
    uint32_t lead = lead_bytes((uintptr_t)pool, units, unit_bytes);
    struct alloc *a = (struct alloc *)((uintptr_t)pool + lead);
    area_found(&a->area, pool_bytes, lead, unit_bytes);
    units_format(a, units, cfg != NULL && cfg->zeroed);
    return a;
}

static struct alloc *buddy_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    bool chosen = cfg != NULL && cfg->block_bytes != 0;
    return buddy_format(pool, pool_bytes, cfg, chosen ? cfg->block_bytes : 1u << UNIT_LOG_MIN);
}

bool buddy_add_region(struct alloc *a, void *mem, size_t bytes) {
    uint32_t unit_bytes = a->area.unit_bytes;
    if (!area_admits(&a->area, mem, bytes)) {
        return false;
    }
    uint32_t units = units_max((uintptr_t)mem, bytes, unit_bytes);
    if (units == 0) {
        return false;
    }
    uint32_t lead = lead_bytes((uintptr_t)mem, units, unit_bytes);
    struct alloc *region = (struct alloc *)((uintptr_t)mem + lead);
    area_insert(&a->area, &region->area, bytes, lead);
    units_format(region, units, false);
    return true;
}

/* ---- allocating ---- */

void *buddy_regions_alloc(struct alloc *a, size_t bytes) {
    uint32_t wanted = order_for(bytes, a->unit_log);
    for (struct alloc *area = region_next(a); area != NULL; area = region_next(area)) {
        if (orders_from(area, wanted) != 0) {
            return piece_alloc(area, bytes, wanted, area->unit_log);
        }
    }
    return NULL;
}

static __attribute__((noinline)) void *units_alloc(struct alloc *a, size_t bytes) {
    return any_alloc(a, bytes, a->unit_log);
}

static __attribute__((noinline)) void *bytes_run_alloc(struct alloc *a, size_t bytes) {
    return any_alloc(a, bytes, UNIT_LOG_MIN);
}

static __attribute__((noinline)) void *bytes_split(struct alloc *a, uint32_t wanted) {
    return split_alloc(a, wanted, UNIT_LOG_MIN);
}

void *buddy_alloc(struct alloc *a, size_t bytes) {
    if (a->unit_log != UNIT_LOG_MIN) {
        return units_alloc(a, bytes);
    }
    if (bytes - 1 >= PAGE_BYTES) {
        return bytes_run_alloc(a, bytes);
    }
    uint32_t wanted = order_for(bytes, UNIT_LOG_MIN);
    bool whole = order_is_free(a, wanted);
    return whole ? quick_alloc(a, wanted, UNIT_LOG_MIN) : bytes_split(a, wanted);
}

/* ---- allocating with an alignment ---- */

/* Cuts a run from a free piece that contains it. */
static void *piece_cut(struct alloc *a, uint32_t piece, uint32_t unit, uint32_t units,
                       uint32_t align_log) {
    struct view v = view_of(a);
    uint32_t order = state_order(v.states[piece]);
    uint32_t piece_end = piece + (1u << order);
    ALLOC_ASSERT(piece <= unit && units > 0 && unit + units <= piece_end);
    piece_remove(v, piece, order);
    run_mark(v.states, unit, units, align_log);
    range_free(v, piece, unit);
    range_free(v, unit + units, piece_end);
    return unit_at(a, unit);
}

/* The free piece that contains [unit, end), or UINT32_MAX. */
static uint32_t piece_around(const struct alloc *a, uint32_t unit, uint32_t end) {
    const uint8_t *states = states_of(a);
    for (uint32_t order = 0; order <= floor_log2(a->units); order++) {
        uint32_t piece = unit >> order << order;
        if (states[piece] == piece_state(FREE, order)) {
            return end - piece <= 1u << order ? piece : UINT32_MAX;
        }
    }
    return UINT32_MAX;
}

/* The units at aligned addresses are first, first + step, first + 2 step, ... A piece of step units
 * or more has one of them at its start plus `first`, wherever it lies. */
static void *area_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    uintptr_t first = ((0 - base_of(a)) & (align - 1)) >> a->unit_log;
    uintptr_t step = align >> a->unit_log;
    if (first >= a->units || (bytes - 1) >> a->unit_log >= a->units - first) {
        return NULL;
    }
    uint32_t units = units_exact(bytes, a->unit_log);
    uint32_t align_log = (uint32_t)__builtin_ctzl(align);
    uint32_t needed = (uint32_t)first + units;
    if (step <= a->units) {
        uint32_t order = ceil_log2(needed > step ? needed : (uint32_t)step);
        size_t orders = orders_from(a, order);
        if (orders != 0) {
            intptr_t list = list_of(order + (uint32_t)__builtin_ctzl(orders));
            uint32_t piece = (uint32_t)ref_unit(a, link_at(a, list)->next, a->unit_log);
            return piece_cut(a, piece, piece + (uint32_t)first, units, align_log);
        }
    }
    uintptr_t unit = first;
    for (int i = 0; i < CANDIDATES_MAX && unit + units <= a->units; i++, unit += step) {
        uint32_t piece = piece_around(a, (uint32_t)unit, (uint32_t)unit + units);
        if (piece != UINT32_MAX) {
            return piece_cut(a, piece, (uint32_t)unit, units, align_log);
        }
    }
    return NULL;
}

void *buddy_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    if (bytes == 0 || align == 0 || (align & (align - 1)) != 0) {
        return NULL;
    }
    if (align <= a->area.unit_bytes) {
        return buddy_alloc(a, bytes);
    }
    void *p = NULL;
    for (struct alloc *area = a; p == NULL && area != NULL; area = region_next(area)) {
        p = area_alloc_aligned(area, bytes, align);
    }
    return p;
}

/* ---- giving back ---- */

enum alloc_status buddy_any_free(struct alloc *a, void *p) {
    struct alloc *area;
    uint32_t unit;
    if (p == NULL) {
        return ALLOC_OK;
    }
    enum alloc_status status = run_find(a, p, &area, &unit);
    if (status == ALLOC_OK && area->unit_log == PAGE_LOG) {
        (void)run_free(area, unit, PAGE_LOG);
    } else if (status == ALLOC_OK) {
        (void)run_free(area, unit, area->unit_log);
    }
    return status;
}

static __attribute__((noinline)) enum alloc_status bytes_join(struct alloc *a, uintptr_t unit,
                                                              intptr_t list, uintptr_t size) {
    piece_join(view_for(a, UNIT_LOG_MIN), unit, list, size);
    return ALLOC_OK;
}

enum alloc_status buddy_free(struct alloc *a, void *p) {
    bool small = a->unit_log == UNIT_LOG_MIN;
    return small ? free_for(a, p, UNIT_LOG_MIN, bytes_join) : buddy_any_free(a, p);
}

/* ---- asking ---- */

size_t buddy_usable(const struct alloc *a, const void *p) {
    struct alloc *area;
    uint32_t unit;
    bool live = run_find(a, p, &area, &unit) == ALLOC_OK;
    return live ? (size_t)run_units(states_of(area), unit) << area->unit_log : 0;
}

size_t buddy_largest(const struct alloc *a) {
    size_t largest = 0;
    for (const struct alloc *area = a; area != NULL; area = region_next(area)) {
        if (area->order_mask != 0) {
            size_t bytes = (size_t)area->area.unit_bytes << floor_log2(area->order_mask);
            largest = bytes > largest ? bytes : largest;
        }
    }
    return largest;
}

void buddy_stats(const struct alloc *a, struct alloc_stats *out) {
    alloc_stats_by_walk(&buddy_ops, a, out);
}

const struct alloc_ops buddy_ops = {
    BUDDY_SHARED_OPS,
    .caps = BUDDY_CAPS | ALLOC_CAP_BLOCK_SIZES,
    .name = "buddy",
    .summary = "binary buddies: power-of-two blocks up to a page, then whole pages",
    .init = buddy_init,
    .alloc = buddy_alloc,
    .free = buddy_free,
};
