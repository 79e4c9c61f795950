/* SPDX-License-Identifier: MIT
 *
 * null_alloc.c - the allocator that does nothing
 *
 * A replay on it costs the loop, the indirect calls and the touches, and no allocation: the floor
 * that is subtracted from every other allocator's time.
 *
 *   pool: | struct alloc | every payload ............ |
 */
#include "null_alloc.h"

struct alloc {
    size_t payload_bytes;
    _Alignas(64) unsigned char payload[];
};

static struct alloc *null_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    (void)cfg;
    if (pool == NULL || pool_bytes <= sizeof(struct alloc)) {
        return NULL;
    }
    struct alloc *a = pool;
    a->payload_bytes = pool_bytes - sizeof(struct alloc);
    return a;
}

static void *null_alloc(struct alloc *a, size_t bytes) {
    return bytes <= a->payload_bytes ? a->payload : NULL;
}

static void *null_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    (void)align;
    return null_alloc(a, bytes);
}

static void *null_realloc(struct alloc *a, void *p, size_t bytes) {
    (void)p;
    return null_alloc(a, bytes);
}

static enum alloc_status null_free(struct alloc *a, void *p) {
    (void)a;
    (void)p;
    return ALLOC_OK;
}

static size_t null_usable(const struct alloc *a, const void *p) {
    (void)p;
    return a->payload_bytes;
}

static size_t null_largest(const struct alloc *a) {
    return a->payload_bytes;
}

const struct alloc_ops null_alloc_ops = {
    .abi = ALLOC_ABI,
    .caps = ALLOC_CAP_FREES,
    .name = "null",
    .summary = "does nothing: the cost of the replay itself",
    .init = null_init,
    .alloc = null_alloc,
    .alloc_aligned = null_alloc_aligned,
    .realloc = null_realloc,
    .free = null_free,
    .usable = null_usable,
    .largest = null_largest,
};
