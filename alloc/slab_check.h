/* SPDX-License-Identifier: MIT
 *
 * slab_check.h - looking at a slab (slab.h) and checking it
 */
#ifndef HEAPRIG_SLAB_CHECK_H
#define HEAPRIG_SLAB_CHECK_H

#include "slab.h"

/* Whether a bucket starts at p; if so, *place says where and which. */
static inline bool slab_starts(const struct slab *s, const void *p, struct slab_place *place) {
    return slab_find(s, p, place) && (uintptr_t)p == (uintptr_t)s + place->bucket;
}

/* ---- walk ---- */

struct slab_walk {
    const struct slab *s;
    alloc_walk_fn *visit;
    void *ctx;
};

static inline bool slab_piece(const struct slab_walk *walk, enum alloc_piece_kind kind,
                              uintptr_t start, size_t bytes, size_t usable) {
    const void *payload = kind == ALLOC_PIECE_LIVE ? (const void *)start : NULL;
    struct alloc_piece piece = {kind, (const void *)start, bytes, payload, usable};
    return bytes == 0 || walk->visit(walk->ctx, &piece);
}

/* The slots of a bucket; those of the spare are one piece. Moves *at behind them. */
static inline bool slab_slots_walk(const struct slab_walk *walk, const struct slab_place *place,
                                   uintptr_t *at) {
    uint64_t free = slab_bucket_at(walk->s, place->bucket)->free;
    uint32_t bytes = slab_size[place->class];
    if (place->bucket == walk->s->spare) {
        uintptr_t start = *at;
        *at += SLAB_BUCKET - SLAB_HEADER;
        return slab_piece(walk, ALLOC_PIECE_FREE, start, *at - start, slab_largest_slot());
    }
    for (uint64_t all = slab_all[place->class]; all != 0; all >>= 1, free >>= 1) {
        uintptr_t start = *at;
        *at += bytes;
        enum alloc_piece_kind kind = (free & 1) != 0 ? ALLOC_PIECE_FREE : ALLOC_PIECE_LIVE;
        if (!slab_piece(walk, kind, start, bytes, bytes)) {
            return false;
        }
    }
    return true;
}

/* A piece of the heap behind: a bucket is shown as its header, its slots and its rest. */
static inline bool slab_walk_visit(void *ctx, const struct alloc_piece *piece) {
    const struct slab_walk *walk = (const struct slab_walk *)ctx;
    struct slab_place place;
    if (piece->kind != ALLOC_PIECE_LIVE || !slab_starts(walk->s, piece->payload, &place)) {
        return walk->visit(walk->ctx, piece);
    }
    uintptr_t start = (uintptr_t)piece->start;
    uintptr_t slots = (uintptr_t)piece->payload + SLAB_HEADER;
    uintptr_t end = slots;
    return slab_piece(walk, ALLOC_PIECE_META, start, slots - start, 0) &&
           slab_slots_walk(walk, &place, &end) &&
           slab_piece(walk, ALLOC_PIECE_META, end, start + piece->bytes - end, 0);
}

static inline void slab_walk(const struct alloc_ops *inner, const struct alloc *a,
                             alloc_walk_fn *visit, void *ctx) {
    const struct slab *s = (const struct slab *)a;
    struct slab_walk walk = {s, visit, ctx};
    if (slab_piece(&walk, ALLOC_PIECE_META, (uintptr_t)s - s->lead, s->lead + s->base, 0)) {
        inner->walk(slab_heap(s), slab_walk_visit, &walk);
    }
}

/* ---- check ---- */

/* The fields that tell where all else is can be believed. */
static inline const char *slab_front_check(const struct slab *s) {
    if (s->seal != slab_seal(s)) {
        return "slab: seal does not match";
    }
    return s->granules == 0 && (s->spare | s->buckets) != 0 ? "slab: buckets in too small a pool"
                                                            : NULL;
}

/* The bucket of the entry of granule g. */
static inline const char *slab_bucket_check(const struct alloc_ops *inner, const struct slab *s,
                                            uint32_t g, uint32_t *live, uint32_t *open) {
    uint32_t entry = s->map[g + 1];
    uint32_t class = entry / SLAB_ENTRY_CLASS;
    uint32_t start = entry % SLAB_ENTRY_CLASS;
    if (class == 0 || class > SLAB_CLASS_MAX || start >= SLAB_BUCKET / 8) {
        return "slab map: entry out of range";
    }
    uint32_t at = s->base + g * SLAB_BUCKET + start * 8;
    const struct slab_bucket *bucket = slab_bucket_at(s, at);
    if (inner->usable(slab_heap(s), bucket) < SLAB_BUCKET) {
        return "slab map: no block of the heap where a bucket is";
    }
    if ((bucket->free & ~slab_all[class]) != 0) {
        return "slab bucket: free slots that it has not";
    }
    bool empty = bucket->free == slab_all[class];
    if (empty != (at == s->spare)) {
        return "slab bucket: empty and not the spare, or the other way round";
    }
    *live += !empty;
    *open += !empty && bucket->free != 0;
    return NULL;
}

/* Whether a bucket of the class starts at the offset. */
static inline bool slab_is_bucket(const struct slab *s, uint32_t at, uint32_t class) {
    struct slab_place place;
    return slab_starts(s, slab_bucket_at(s, at), &place) && place.class == class &&
           at != s->spare && slab_bucket_at(s, at)->free != 0;
}

/* Links that agree in both directions visit no bucket twice. Counts `open` down by the visited. */
static inline const char *slab_list_check(const struct slab *s, uint32_t class, uint32_t *open) {
    uint32_t before = 0;
    for (uint32_t at = s->head[class]; at != 0; at = slab_bucket_at(s, at)->next) {
        if (*open == 0 || !slab_is_bucket(s, at, class)) {
            return "slab list: leads to what is no bucket of the class with a free slot";
        }
        if (slab_bucket_at(s, at)->prev != before) {
            return "slab list: link backwards is wrong";
        }
        before = at;
        --*open;
    }
    return NULL;
}

static inline const char *slab_check(const struct alloc_ops *inner, const struct alloc *a) {
    const struct slab *s = (const struct slab *)a;
    const char *broken = slab_front_check(s);
    broken = broken != NULL ? broken : inner->check(slab_heap(s));
    if (broken == NULL && (s->map[0] | s->head[0]) != 0) {
        broken = "slab: what must be 0 is not";
    }
    uint32_t live = 0;
    uint32_t open = 0;
    for (uint32_t g = 0; g < s->granules && broken == NULL; g++) {
        broken = s->map[g + 1] != 0 ? slab_bucket_check(inner, s, g, &live, &open) : NULL;
    }
    if (broken == NULL && (live != s->buckets || (live == 0 && s->spare != 0))) {
        broken = "slab: count of buckets is wrong";
    }
    struct slab_place place;
    if (broken == NULL && s->spare != 0 && !slab_starts(s, slab_bucket_at(s, s->spare), &place)) {
        broken = "slab: spare is no bucket";
    }
    for (uint32_t class = 1; class <= SLAB_CLASS_MAX && broken == NULL; class ++) {
        broken = slab_list_check(s, class, &open);
    }
    return broken != NULL || open == 0 ? broken : "slab list: a bucket with a free slot is missing";
}

#endif
