/* SPDX-License-Identifier: MIT
 * registry.c - alloc_list.h as a table, and what can be derived for any allocator from its walk().
 */
#include "alloc.h"

#define X(name) extern const struct alloc_ops name##_ops;
#include "alloc_list.h"
#undef X

static const struct alloc_ops *const registry[] = {
#define X(name) &name##_ops,
#include "alloc_list.h"
#undef X
};

const struct alloc_ops *const *alloc_registry(size_t *count) {
    *count = sizeof(registry) / sizeof(registry[0]);
    return registry;
}

static bool name_equal(const char *a, const char *b) {
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

const struct alloc_ops *alloc_find(const char *name) {
    for (size_t i = 0; i < sizeof(registry) / sizeof(registry[0]); i++) {
        if (name_equal(registry[i]->name, name)) {
            return registry[i];
        }
    }
    return NULL;
}

static bool piece_count(void *ctx, const struct alloc_piece *piece) {
    struct alloc_stats *out = ctx;
    out->pool_bytes += piece->bytes;
    if (piece->kind == ALLOC_PIECE_LIVE) {
        out->live_bytes += piece->bytes;
        out->live_blocks++;
    } else if (piece->kind == ALLOC_PIECE_FREE) {
        out->free_bytes += piece->bytes;
        out->free_blocks++;
    } else {
        out->meta_bytes += piece->bytes;
    }
    return true;
}

void alloc_stats_by_walk(const struct alloc_ops *ops, const struct alloc *a,
                         struct alloc_stats *out) {
    *out = (struct alloc_stats){0};
    ops->walk(a, piece_count, out);
}
