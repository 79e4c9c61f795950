/* SPDX-License-Identifier: MIT
 *
 * planted_plugin.c - for tests: an allocator whose calls take one step, but for requests of some
 * sizes, one of which ends the process. No memory is used again. */
#include "../alloc/alloc.h"

#include <stdlib.h>

enum { SLOW_ALLOC = 4321, SLOW_ALIGNED = 4322, SLOW_FREE = 4320, REFUSED = 7777, EXITS = 7778 };

struct alloc {
    char *top, *end; /* 8 bytes before each payload hold its request */
};

/* Runs one branch that many times, whatever the compiler. */
static void steps_take(unsigned count) {
    do {
        __asm__ volatile("" : "+r"(count));
    } while (--count != 0);
}

static struct alloc *planted_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    struct alloc *a = pool;
    (void)cfg;
    *a = (struct alloc){(char *)(a + 1), (char *)pool + pool_bytes};
    return a;
}

static void *planted_take(struct alloc *a, size_t bytes, size_t align) {
    char *payload = (char *)(((uintptr_t)a->top + 8 + align - 1) & ~(uintptr_t)(align - 1));
    if (bytes == REFUSED || payload > a->end || bytes > (size_t)(a->end - payload)) {
        return NULL;
    }
    *(uint64_t *)(void *)(payload - 8) = bytes;
    a->top = payload + bytes;
    return payload;
}

static void *planted_alloc(struct alloc *a, size_t bytes) {
    if (bytes == SLOW_ALLOC) {
        steps_take(1000);
    }
    if (bytes == EXITS) {
        exit(0);
    }
    return planted_take(a, bytes, 8);
}

static void *planted_aligned(struct alloc *a, size_t bytes, size_t align) {
    if (bytes == SLOW_ALIGNED) {
        steps_take(3000);
    }
    return planted_take(a, bytes, align);
}

static size_t planted_usable(const struct alloc *a, const void *p) {
    (void)a;
    return (size_t)((const uint64_t *)p)[-1];
}

static enum alloc_status planted_free(struct alloc *a, void *p) {
    if (planted_usable(a, p) == SLOW_FREE) {
        steps_take(2000);
    }
    return ALLOC_OK;
}

const struct alloc_ops heaprig_allocator = {
    .abi = ALLOC_ABI,
    .caps = ALLOC_CAP_FREES,
    .name = "planted",
    .init = planted_init,
    .alloc = planted_alloc,
    .alloc_aligned = planted_aligned,
    .free = planted_free,
    .usable = planted_usable,
};
