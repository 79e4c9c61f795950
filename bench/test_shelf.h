/* SPDX-License-Identifier: MIT
 *
 * test_shelf.h - for tests: an allocator whose every figure can be worked out by hand
 *
 *   | control 128 | header 16 | payload 48 | header 16 | payload 48 | ... | rest < 64 |
 *
 * The lowest free block is handed out. At most SHELF_BLOCKS_MAX blocks are used.
 */
#ifndef HEAPRIG_TEST_SHELF_H
#define HEAPRIG_TEST_SHELF_H

#include "../alloc/alloc.h"

#include <string.h>

enum {
    SHELF_CONTROL = 128,
    SHELF_HEADER = 16,
    SHELF_PAYLOAD = 48,
    SHELF_BLOCK = SHELF_HEADER + SHELF_PAYLOAD,
    SHELF_BLOCKS_MAX = 100,
};

struct alloc {
    size_t pool_bytes;
    size_t block_count;
    uint8_t used[SHELF_BLOCKS_MAX];
};

_Static_assert(sizeof(struct alloc) <= SHELF_CONTROL, "the control structure fits");

static struct alloc *shelf_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    (void)cfg;
    if (pool_bytes < SHELF_CONTROL + SHELF_BLOCK) {
        return NULL;
    }
    struct alloc *a = pool;
    memset(a, 0, sizeof *a);
    a->pool_bytes = pool_bytes;
    a->block_count = (pool_bytes - SHELF_CONTROL) / SHELF_BLOCK;
    a->block_count = a->block_count < SHELF_BLOCKS_MAX ? a->block_count : SHELF_BLOCKS_MAX;
    return a;
}

static unsigned char *shelf_payload(const struct alloc *a, size_t block) {
    return (unsigned char *)(uintptr_t)a + SHELF_CONTROL + block * SHELF_BLOCK + SHELF_HEADER;
}

static void *shelf_alloc(struct alloc *a, size_t bytes) {
    for (size_t i = 0; bytes <= SHELF_PAYLOAD && i < a->block_count; i++) {
        if (a->used[i] == 0) {
            a->used[i] = 1;
            return shelf_payload(a, i);
        }
    }
    return NULL;
}

static enum alloc_status shelf_free(struct alloc *a, void *p) {
    for (size_t i = 0; i < a->block_count; i++) {
        if (shelf_payload(a, i) == p && a->used[i] != 0) {
            a->used[i] = 0;
            return ALLOC_OK;
        }
    }
    return ALLOC_NOT_LIVE;
}

static size_t shelf_usable(const struct alloc *a, const void *p) {
    (void)a;
    (void)p;
    return SHELF_PAYLOAD;
}

static size_t shelf_largest(const struct alloc *a) {
    (void)a;
    return SHELF_PAYLOAD;
}

static void shelf_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    struct alloc_piece piece = {ALLOC_PIECE_META, a, SHELF_CONTROL, NULL, 0};
    bool go_on = visit(ctx, &piece);
    for (size_t i = 0; go_on && i < a->block_count; i++) {
        const unsigned char *payload = shelf_payload(a, i);
        bool live = a->used[i] != 0;
        piece =
            (struct alloc_piece){live ? ALLOC_PIECE_LIVE : ALLOC_PIECE_FREE, payload - SHELF_HEADER,
                                 SHELF_BLOCK, live ? payload : NULL, SHELF_PAYLOAD};
        go_on = visit(ctx, &piece);
    }
    size_t filed = SHELF_CONTROL + a->block_count * SHELF_BLOCK;
    piece = (struct alloc_piece){ALLOC_PIECE_META, (const unsigned char *)a + filed,
                                 a->pool_bytes - filed, NULL, 0};
    if (go_on && piece.bytes > 0) {
        (void)visit(ctx, &piece);
    }
}

static const struct alloc_ops shelf_ops = {.abi = ALLOC_ABI,
                                           .caps = ALLOC_CAP_FREES,
                                           .name = "shelf",
                                           .init = shelf_init,
                                           .alloc = shelf_alloc,
                                           .free = shelf_free,
                                           .usable = shelf_usable,
                                           .largest = shelf_largest,
                                           .walk = shelf_walk};

#endif
