/* SPDX-License-Identifier: MIT
 *
 * early_arena.h - what a malloc hands out before it is ready
 *
 * The first calls of a preloaded malloc come while it looks for what it is made of, and the looking
 * (dlsym, dlopen) asks for memory itself. That is served from here: a size before each block,
 * nothing is given back. No thread exists yet, so nothing is locked. A static of the library that
 * includes this, behind its others, which so share a page; pages cost memory once they are touched.
 */
#ifndef HEAPRIG_EARLY_ARENA_H
#define HEAPRIG_EARLY_ARENA_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { EARLY_BYTES = 1 << 20, EARLY_ALIGN = 16 };

static __attribute__((section(".bss.early_arena"),
                      aligned(EARLY_ALIGN))) unsigned char early_arena[EARLY_BYTES];
static size_t early_used;

static inline bool early_owns(const void *block) {
    return (uintptr_t)block - (uintptr_t)early_arena < EARLY_BYTES;
}

/* A block of zeros; NULL and ENOMEM when the arena is used up. */
static void *early_alloc(size_t bytes) {
    if (bytes > EARLY_BYTES - EARLY_ALIGN - early_used) {
        errno = ENOMEM;
        return NULL;
    }
    unsigned char *block = early_arena + early_used + EARLY_ALIGN;
    memcpy(block - sizeof bytes, &bytes, sizeof bytes);
    size_t end = (size_t)(block - early_arena) + bytes;
    early_used = (end + EARLY_ALIGN - 1) / EARLY_ALIGN * EARLY_ALIGN;
    if (early_used > EARLY_BYTES - EARLY_ALIGN) {
        early_used = EARLY_BYTES - EARLY_ALIGN;
    }
    return block;
}

static size_t early_bytes(const void *block) {
    size_t bytes;
    memcpy(&bytes, (const unsigned char *)block - sizeof bytes, sizeof bytes);
    return bytes;
}

#endif
