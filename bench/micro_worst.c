/* SPDX-License-Identifier: MIT
 *
 * micro_worst.c - situations built to be slow
 *
 *   first_block   |a| free ..................... |   buddy splits down and merges up the whole
 * chain worst_free    |free|B|free|G|free|B|free|G|      freeing B joins three blocks (TLSF's
 * worst) worst_alloc   |a|a| free: 1 MiB ....... |G|      a small request is cut from the largest
 * class near_miss     |free|G|free|G|free|G| ...         free blocks of the right class, each too
 * small
 */
#include "micro.h"

enum {
    BATCH = 64,
    GUARD_BYTES = 16,
    HUGE_BYTES = 1 << 20,
    NEAR_BYTES = 384, /* both between 256 and 511, so in one power-of-two class */
    WANTED_BYTES = 480,
};

static size_t arg_itself(size_t arg) {
    return arg;
}

static bool first_block_batch(struct micro_heap *h) {
    for (unsigned i = 0; i < BATCH; i++) {
        if (!micro_grow(h, 1, h->arg)) {
            return false;
        }
        micro_shrink(h, 0);
    }
    return true;
}

const struct micro micro_first_block = {
    .summary = "alloc of ARG bytes and its free, in an empty heap",
    .args = {16},
    .batch_ops = BATCH,
    .block_bytes = arg_itself,
    .batch = first_block_batch,
};

/* Leaves the guards in block[0 .. BATCH) and the middles behind them. */
static bool worst_free_reset(struct micro_heap *h) {
    void *guard[BATCH];
    void *middle[BATCH];
    void *sides[2 * BATCH];
    micro_shrink(h, 0);
    for (size_t i = 0; i < BATCH; i++) {
        if (!micro_grow(h, 3, h->arg) || !micro_grow(h, 1, GUARD_BYTES)) {
            return false;
        }
        sides[2 * i] = h->block[4 * i];
        middle[i] = h->block[4 * i + 1];
        sides[2 * i + 1] = h->block[4 * i + 2];
        guard[i] = h->block[4 * i + 3];
    }
    for (size_t i = 0; i < BATCH; i++) {
        (void)h->ops->free(h->heap, sides[2 * i]);
        (void)h->ops->free(h->heap, sides[2 * i + 1]);
        h->block[i] = guard[i];
        h->block[BATCH + i] = middle[i];
    }
    h->live = 2 * (size_t)BATCH;
    return true;
}

static bool worst_free_batch(struct micro_heap *h) {
    micro_shrink(h, BATCH);
    return true;
}

const struct micro micro_worst_free = {
    .summary = "free of ARG bytes between two free neighbours",
    .args = {64, 1024},
    .needs = MICRO_NEEDS_SIZES,
    .batch_ops = BATCH,
    .reset = worst_free_reset,
    .batch = worst_free_batch,
};

/* Leaves the guard in block[0]. */
static bool worst_alloc_reset(struct micro_heap *h) {
    micro_shrink(h, 0);
    if (!micro_grow(h, 1, HUGE_BYTES) || !micro_grow(h, 1, GUARD_BYTES)) {
        return false;
    }
    (void)h->ops->free(h->heap, h->block[0]);
    h->block[0] = h->block[1];
    h->live = 1;
    return true;
}

static bool small_batch(struct micro_heap *h) {
    return micro_grow(h, BATCH, h->arg);
}

const struct micro micro_worst_alloc = {
    .summary = "alloc of ARG bytes when the only hole is 1 MiB",
    .args = {16},
    .needs = MICRO_NEEDS_SIZES,
    .batch_ops = BATCH,
    .reset = worst_alloc_reset,
    .batch = small_batch,
};

/* Leaves the guards in block[0 .. arg). */
static bool near_miss_prepare(struct micro_heap *h) {
    for (size_t i = 0; i < h->arg; i++) {
        if (!micro_grow(h, 1, NEAR_BYTES) || !micro_grow(h, 1, GUARD_BYTES)) {
            return false;
        }
    }
    for (size_t i = 0; i < h->arg; i++) {
        (void)h->ops->free(h->heap, h->block[2 * i]);
        h->block[i] = h->block[2 * i + 1];
    }
    h->live = h->arg;
    return true;
}

static bool near_miss_reset(struct micro_heap *h) {
    micro_shrink(h, h->arg);
    return true;
}

static bool near_miss_batch(struct micro_heap *h) {
    return micro_grow(h, BATCH, WANTED_BYTES);
}

const struct micro micro_near_miss = {
    .summary = "alloc of 480 bytes past ARG free blocks of 384 bytes",
    .args = {16, 256, 4000},
    .needs = MICRO_NEEDS_SIZES,
    .batch_ops = BATCH,
    .prepare = near_miss_prepare,
    .reset = near_miss_reset,
    .batch = near_miss_batch,
};
