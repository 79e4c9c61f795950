/* SPDX-License-Identifier: MIT
 * size.c - see size.h. */
#include "size.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PLAIN_REQUEST = 100, POOL_ALIGN = 1 << 20 };

/* Metadata of a fresh heap; NaN when init() refuses such a pool. */
static double control_bytes(const struct alloc_ops *ops, void *pool, size_t pool_bytes) {
    struct alloc_stats stats;
    struct alloc *a = ops->init(pool, pool_bytes, NULL);
    if (a == NULL || ops->walk == NULL) {
        return NAN;
    }
    alloc_stats_by_walk(ops, a, &stats);
    return (double)stats.meta_bytes;
}

static bool live_find(void *ctx, const struct alloc_piece *piece) {
    if (piece->kind == ALLOC_PIECE_LIVE) {
        *(struct alloc_piece *)ctx = *piece;
    }
    return true;
}

/* The only block of a heap, of that request. */
static struct alloc_piece block_of(const struct alloc_ops *ops, void *pool, size_t request) {
    const struct alloc_cfg cfg = {.block_bytes = (ops->caps & ALLOC_CAP_FIXED_SIZE) != 0
                                                     ? (uint32_t)(request + 7) / 8 * 8
                                                     : 0};
    struct alloc_piece block = {.kind = ALLOC_PIECE_FREE};
    struct alloc *a = ops->init(pool, 1 << 14, &cfg);
    if (a != NULL && ops->walk != NULL && ops->alloc(a, request) != NULL) {
        ops->walk(a, live_find, &block);
    }
    return block;
}

bool size_measure(const struct alloc_ops *ops, struct size_row *row) {
    void *pool = NULL;
    *row = (struct size_row){.code = {{NAN, NAN, NAN}, {NAN, NAN, NAN}}};
    (void)snprintf(row->allocator, sizeof row->allocator, "%s", ops->name);
    if (posix_memalign(&pool, POOL_ALIGN, 1 << 20) != 0) {
        return false;
    }
    for (size_t i = 0; i < SIZE_POOLS; i++) {
        row->control[i] = control_bytes(ops, pool, size_pools[i]);
    }
    struct alloc_piece plain = block_of(ops, pool, PLAIN_REQUEST);
    row->header_bytes = plain.bytes - plain.usable;
    row->least_block_bytes = block_of(ops, pool, 1).bytes;
    free(pool);
    return true;
}

static bool name_index(const char *const *names, size_t count, const char *name, size_t *index) {
    for (*index = 0; *index < count; ++*index) {
        if (strcmp(names[*index], name) == 0) {
            return true;
        }
    }
    return false;
}

/* allocator, optimization, functions, bytes */
static bool line_file(const char *text, struct size_row *rows, size_t row_count) {
    char allocator[64];
    char optimization[8];
    char functions[16];
    uint64_t bytes;
    size_t o;
    size_t f;
    if (sscanf(text, "%63s %7s %15s %" SCNu64, allocator, optimization, functions, &bytes) != 4 ||
        !name_index(size_optimizations, SIZE_OPTIMIZATIONS, optimization, &o) ||
        !name_index(size_functions, SIZE_FUNCTIONS, functions, &f)) {
        return false;
    }
    for (size_t i = 0; i < row_count; i++) {
        if (strcmp(rows[i].allocator, allocator) == 0) {
            rows[i].code[o][f] = (double)bytes;
        }
    }
    return true;
}

bool size_code_read(const char *path, struct size_row *rows, size_t row_count,
                    struct problem *problem) {
    char text[256];
    char compiler[64];
    unsigned number = 1;
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return problem_set(problem, "%s: %s", path, strerror(errno));
    }
    bool fine =
        fgets(text, sizeof text, file) != NULL && sscanf(text, "compiler\t%63[^\n]", compiler) == 1;
    for (size_t i = 0; fine && i < row_count; i++) {
        (void)snprintf(rows[i].compiler, sizeof rows[i].compiler, "%s", compiler);
    }
    while (fine && fgets(text, sizeof text, file) != NULL) {
        number++;
        fine = line_file(text, rows, row_count);
    }
    (void)fclose(file);
    return fine ||
           problem_set(problem, "%s:%u: expected what tools/code_size.sh writes", path, number);
}
