/* SPDX-License-Identifier: MIT
 * touched_plugin.c - a plug-in whose loads and stores can be counted by hand: the canary of
 * touches_test.c. It is compiled with instrumentation. */
#include "../alloc/alloc.h"

#include <string.h>

struct place { /* 12 bytes: copied as a whole */
    uint32_t bytes, next, calls;
};

struct alloc {
    struct place place;
    uint64_t last;
    unsigned char payload[];
};

/* Stores: 12 bytes by memset, 8 bytes. */
static struct alloc *canary_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    if ((void)cfg, pool_bytes < sizeof(struct alloc) + 4096) {
        return NULL;
    }
    struct alloc *a = pool;
    memset(&a->place, 0, sizeof a->place);
    a->last = 0;
    return a;
}

/* Loads: 4 bytes. Stores: 4 (same place), 8. */
static void *canary_alloc(struct alloc *a, size_t bytes) {
    if (bytes > 256) {
        return NULL;
    }
    a->place.calls++;
    a->last = bytes;
    return a->payload;
}

/* Loads 8, copies a structure of 12 into the payload: loads 12, stores 12. */
static enum alloc_status canary_free(struct alloc *a, void *p) {
    if (a->last > 0) {
        *(struct place *)p = a->place;
    }
    return ALLOC_OK;
}

/* Copies 1024 bytes by memmove: loads them, stores them. Local variables are not seen. */
static void *canary_realloc(struct alloc *a, void *p, size_t bytes) {
    volatile size_t local = bytes;
    memmove(a->payload + 2048, a->payload, 1024);
    return local > 4096 ? NULL : p;
}

static size_t canary_usable(const struct alloc *a, const void *p) {
    return (void)a, (void)p, 256;
}

const struct alloc_ops heaprig_allocator = {
    .abi = ALLOC_ABI,
    .caps = ALLOC_CAP_FREES,
    .name = "canary",
    .summary = "does what touches_test.c expects",
    .init = canary_init,
    .alloc = canary_alloc,
    .realloc = canary_realloc,
    .free = canary_free,
    .usable = canary_usable,
};
