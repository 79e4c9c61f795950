/* SPDX-License-Identifier: MIT
 * micro_steady.c - everyday situations, in a heap that has been in use for a while. */
#include "micro.h"

#include <assert.h>

enum { BATCH = 64, LINE = 256, USED_BLOCKS = 96, USED_BYTES = 1024, GROWTH_START = 16 };

bool micro_grow(struct micro_heap *h, size_t count, size_t bytes) {
    assert(count <= MICRO_BLOCKS - h->live);
    for (size_t i = 0; i < count; i++) {
        h->block[h->live] = h->ops->alloc(h->heap, bytes);
        if (h->block[h->live] == NULL) {
            return false;
        }
        h->live++;
    }
    return true;
}

void micro_shrink(struct micro_heap *h, size_t live) {
    while (h->live > live) {
        (void)h->ops->free(h->heap, h->block[--h->live]);
    }
}

static size_t arg_itself(size_t arg) {
    return arg;
}

static size_t arg_or_less(size_t bytes, size_t arg) {
    return bytes < arg ? bytes : arg;
}

/* Blocks of many sizes, every second of which is freed again: holes everywhere. */
static bool heap_use(struct micro_heap *h) {
    bool fixed = (h->ops->caps & ALLOC_CAP_FIXED_SIZE) != 0;
    uint32_t state = 1;
    for (size_t i = 0; i < USED_BLOCKS; i++) {
        state = state * 1664525u + 1013904223u;
        size_t bytes = 1 + (state >> 16) % USED_BYTES;
        if (!micro_grow(h, 1, fixed ? arg_or_less(bytes, h->arg) : bytes)) {
            return false;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < USED_BLOCKS; i++) {
        if (i % 2 == 0) {
            (void)h->ops->free(h->heap, h->block[i]);
        } else {
            h->block[kept++] = h->block[i];
        }
    }
    h->live = kept;
    return true;
}

static bool pair_batch(struct micro_heap *h) {
    for (unsigned i = 0; i < BATCH; i++) {
        void *p = h->ops->alloc(h->heap, h->arg);
        if (p == NULL) {
            return false;
        }
        (void)h->ops->free(h->heap, p);
    }
    return true;
}

const struct micro micro_pair = {
    .summary = "alloc of ARG bytes and its free, in a heap full of holes",
    .args = {16, 64, 256, 1024, 4096},
    .batch_ops = BATCH,
    .block_bytes = arg_itself,
    .prepare = heap_use,
    .batch = pair_batch,
};

static bool lifo_batch(struct micro_heap *h) {
    size_t live = h->live;
    bool grown = micro_grow(h, LINE, h->arg);
    micro_shrink(h, live);
    return grown;
}

const struct micro micro_lifo = {
    .summary = "alloc and free of ARG bytes, 256 allocs and their frees in reverse order",
    .args = {16, 64, 256, 1024, 4096},
    .batch_ops = LINE,
    .block_bytes = arg_itself,
    .prepare = heap_use,
    .batch = lifo_batch,
};

static bool fifo_batch(struct micro_heap *h) {
    size_t live = h->live;
    bool grown = micro_grow(h, LINE, h->arg);
    for (size_t i = live; i < h->live; i++) {
        (void)h->ops->free(h->heap, h->block[i]);
    }
    h->live = live;
    return grown;
}

const struct micro micro_fifo = {
    .summary = "alloc and free of ARG bytes, 256 allocs and their frees in the same order",
    .args = {16, 64, 256, 1024, 4096},
    .batch_ops = LINE,
    .block_bytes = arg_itself,
    .prepare = heap_use,
    .batch = fifo_batch,
};

static bool aligned_batch(struct micro_heap *h) {
    for (unsigned i = 0; i < BATCH; i++) {
        void *p = h->ops->alloc_aligned(h->heap, USED_BYTES / 4, h->arg);
        if (p == NULL) {
            return false;
        }
        (void)h->ops->free(h->heap, p);
    }
    return true;
}

const struct micro micro_aligned = {
    .summary = "alloc of 256 bytes aligned to ARG and its free, in a heap full of holes",
    .args = {16, 64, 256, 4096},
    .needs = MICRO_NEEDS_ALIGNED | MICRO_NEEDS_SIZES,
    .batch_ops = BATCH,
    .prepare = heap_use,
    .batch = aligned_batch,
};

enum { GROWTH_END = 65536, GROWTH_STEPS = 12, GROWING = 2 };
_Static_assert(GROWTH_START << GROWTH_STEPS == GROWTH_END, "doublings");

/* Two arrays that grow by turns are in each other's way. */
static bool growth_batch(struct micro_heap *h) {
    size_t live = h->live;
    if (!micro_grow(h, GROWING, GROWTH_START)) {
        return false;
    }
    bool grown = true;
    for (size_t bytes = 2 * GROWTH_START; grown && bytes <= h->arg; bytes *= 2) {
        for (size_t i = live; grown && i < h->live; i++) {
            void *p = h->ops->realloc(h->heap, h->block[i], bytes);
            grown = p != NULL;
            h->block[i] = grown ? p : h->block[i];
        }
    }
    micro_shrink(h, live);
    return grown;
}

const struct micro micro_realloc_growth = {
    .summary = "realloc to twice the size, two arrays by turns from 16 to ARG bytes",
    .args = {GROWTH_END},
    .needs = MICRO_NEEDS_REALLOC | MICRO_NEEDS_SIZES,
    .batch_ops = GROWING * GROWTH_STEPS,
    .prepare = heap_use,
    .batch = growth_batch,
};
