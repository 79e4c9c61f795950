/* SPDX-License-Identifier: MIT
 *
 * bestfit_little.c - best fit without an index, for pools of at most 64 KiB
 *
 * A request takes the smallest sufficient free block, of equals the one at the lowest address,
 * found by walking the chain of blocks up to the first exact fit. So the control structure is 20
 * bytes and free() costs a few stores, while alloc() costs up to one step per block. A pool of 64
 * KiB holds 4094 of the smallest blocks: that bounds a search. The blocks themselves:
 * heap_layout.h.
 */
#include "heap.h"

#define LITTLE_POOL_MAX 65536u

extern const struct alloc_ops bestfit_little_ops;

static uint32_t little_control_bytes(uint32_t end) {
    (void)end;
    return sizeof(struct heap);
}

static void little_format(struct heap *h) {
    (void)h;
}

static void little_insert(struct heap *h, uint32_t b, uint32_t bytes) {
    (void)h;
    (void)b;
    (void)bytes;
}

static struct heap_found little_take(struct heap *h, uint32_t bytes) {
    struct heap_found best = {.b = 0, .bytes = UINT32_MAX};
    uint32_t block_bytes;
    for (uint32_t b = h->first; b != h->top && best.bytes != bytes; b += block_bytes) {
        uint32_t header = heap_get(h, b);
        block_bytes = block_size(header);
        if ((header & HEAP_FREE) != 0 && block_bytes >= bytes && block_bytes < best.bytes) {
            best = (struct heap_found){.b = b, .bytes = block_bytes};
        }
    }
    return best.b == 0 ? HEAP_FOUND_NONE : best;
}

static uint32_t little_largest(const struct heap *h) {
    uint32_t largest = 0;
    for (uint32_t b = h->first; b != h->top; b += block_size(heap_get(h, b))) {
        uint32_t header = heap_get(h, b);
        if ((header & HEAP_FREE) != 0 && block_size(header) > largest) {
            largest = block_size(header);
        }
    }
    return largest;
}

/* There is no index that could be wrong. */
static const char *little_check(const struct heap *h, const struct heap_tally *all) {
    (void)h;
    (void)all;
    return NULL;
}

static const struct heap_index_ops bestfit_little_index_ops = {
    .ops = &bestfit_little_ops,
    .control_bytes = little_control_bytes,
    .format = little_format,
    .insert = little_insert,
    .remove = little_insert,
    .take = little_take,
    .largest = little_largest,
    .check = little_check,
};

HEAP_DEFINE(bestfit_little, "best fit by walking the blocks; pools up to 64 KiB, smallest code",
            LITTLE_POOL_MAX)
