/* SPDX-License-Identifier: MIT
 *
 * arena.h - memory for a pool under test, with guards on both sides
 *
 *   | guard | pool ... | guard |      pool address = misalign modulo ARENA_ALIGN
 *
 * Two arenas with the same misalign are congruent: an own allocator gives the same offsets in both.
 */
#ifndef HEAPRIG_ARENA_H
#define HEAPRIG_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ARENA_ALIGN = 65536, ARENA_GUARD = 64 };

struct arena {
    unsigned char *pool;
    size_t pool_bytes;
    void *memory; /* owned */
};

/* What a pool holds before init(). */
enum arena_dirt { ARENA_ZEROS, ARENA_ONES, ARENA_RANDOM, ARENA_DIRT_COUNT };

/* Takes the memory. False when it is out. misalign < ARENA_ALIGN. */
bool arena_open(struct arena *arena, size_t pool_bytes, size_t misalign);
void arena_close(struct arena *arena);

/* Fills pool and guards. O(pool). */
void arena_soil(const struct arena *arena, enum arena_dirt dirt, uint64_t seed);

#endif
