/* SPDX-License-Identifier: MIT
 *
 * white_box.h - what the tests that include an allocator's source have in common
 *
 * A seed from the environment, a generator of random words, and memory between two pages that
 * cannot be touched, so that a stray read ends the test whatever it was built with.
 */
#ifndef HEAPRIG_WHITE_BOX_H
#define HEAPRIG_WHITE_BOX_H

#include "test_check.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ck_assert() reports each assertion, met or not, to the parent process; this one only failures, so
 * that it can stand in inner loops. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            ck_abort_msg("line %d: expected %s", __LINE__, #condition);                            \
        }                                                                                          \
    } while (0)

/* Every random test differs by its number, all follow from HEAPRIG_SEED (hexadecimal digits). */
static inline uint64_t seed_of(uint64_t test_number) {
    const char *text = getenv("HEAPRIG_SEED");
    uint64_t seed = strtoull(text != NULL ? text : "1", NULL, 16);
    printf("HEAPRIG_SEED=%llx test %llu\n", (unsigned long long)seed,
           (unsigned long long)test_number);
    return (seed + test_number) * 0x9E3779B97F4A7C15u + 1;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t random_word(uint64_t *state) {
    *state += 0x9E3779B97F4A7C15u;
    uint64_t word = *state;
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
    word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
    return word ^ (word >> 31);
}

static inline uint32_t random_below(uint64_t *state, uint32_t limit) {
    return (uint32_t)((random_word(state) >> 32) * limit >> 32);
}

enum { GUARD_BYTES = 65536 };

/* `bytes` bytes that end right before a page that cannot be touched and start, less than a page
 * later, behind another. Never given back: tests are processes of their own. */
static inline char *guarded_memory(size_t bytes) {
    size_t inner = (bytes + 4095) / 4096 * 4096;
    char *memory =
        mmap(NULL, inner + 2 * (size_t)GUARD_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(memory != MAP_FAILED);
    EXPECT(mprotect(memory + GUARD_BYTES, inner, PROT_READ | PROT_WRITE) == 0);
    return memory + GUARD_BYTES + inner - bytes;
}

/* As guarded_memory(), but starting at a multiple of align (a power of two) plus `shift`; the page
 * behind it may be up to 4 KiB away. */
static inline char *aligned_memory(size_t bytes, size_t align, size_t shift) {
    char *memory = guarded_memory(bytes + align + shift);
    return memory + ((0 - (uintptr_t)memory) & (align - 1)) + shift;
}

/* Is HEAPRIG_FULL set, and not to nothing? Then tests may take long. */
static inline bool is_full_run(void) {
    const char *text = getenv("HEAPRIG_FULL");
    return text != NULL && text[0] != '\0';
}

#endif
