/* SPDX-License-Identifier: MIT
 * arena.c - one allocation; the pool ends as near to its end as the guard allows, so that a
 * sanitizer sees what the guard does not. */
#include "arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool arena_open(struct arena *arena, size_t pool_bytes, size_t misalign) {
    assert(misalign < ARENA_ALIGN);
    size_t lead = misalign >= ARENA_GUARD ? misalign : misalign + ARENA_ALIGN;
    void *memory = NULL;
    if (pool_bytes > SIZE_MAX - lead - ARENA_GUARD ||
        posix_memalign(&memory, ARENA_ALIGN, lead + pool_bytes + ARENA_GUARD) != 0) {
        return false;
    }
    *arena = (struct arena){(unsigned char *)memory + lead, pool_bytes, memory};
    return true;
}

void arena_close(struct arena *arena) {
    free(arena->memory);
    *arena = (struct arena){0};
}

void arena_soil(const struct arena *arena, enum arena_dirt dirt, uint64_t seed) {
    unsigned char *first = arena->pool - ARENA_GUARD;
    size_t bytes = arena->pool_bytes + 2 * ARENA_GUARD;
    if (dirt != ARENA_RANDOM) {
        memset(first, dirt == ARENA_ZEROS ? 0x00 : 0xFF, bytes);
        return;
    }
    uint64_t x = seed * 2 + 1;
    for (size_t i = 0; i < bytes; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); /* LCG, Knuth */
        first[i] = (unsigned char)(x >> 56);
    }
}
