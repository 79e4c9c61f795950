/* SPDX-License-Identifier: MIT
 *
 * golden.h - random translation tables and addresses, the same for our walk and for QEMU's
 *
 * A world, from its number alone: registers, two first-level tables, second-level tables, and
 * addresses to translate. walk_test.c builds it in simulated RAM; tools/mmu_golden/ builds it in
 * the RAM of an emulated Cortex-A9 or A15, asks the processor, and keeps digests of its answers.
 *
 *   RAM base +  0 MiB  program, stack, results; mapped one to one, always
 *            +  1 MiB  first level for TTBR0, 16 KiB; for TTBR1, 16 KiB; 64 second-level tables
 *            + 16 MiB  16 MiB of SVC instructions: the only memory that fetches are tried in
 *
 * Freestanding: it is compiled for bare metal too.
 */
#ifndef HEAPRIG_VM_GOLDEN_H
#define HEAPRIG_VM_GOLDEN_H

#include <stdbool.h>
#include <stdint.h>

enum {
    GOLDEN_WORLDS = 1024,
    GOLDEN_ADDRESSES = 128,
    GOLDEN_OPERATIONS = 6, /* loads and stores privileged, then user; fetch privileged, user */
    GOLDEN_CASES = GOLDEN_ADDRESSES * GOLDEN_OPERATIONS,
    GOLDEN_BLOCK = 2, /* addresses to a byte that locates a mismatch */
    GOLDEN_BLOCKS = GOLDEN_ADDRESSES / GOLDEN_BLOCK,
    GOLDEN_TABLES = 64,
};
#define GOLDEN_FIRST0 0x00100000u
#define GOLDEN_FIRST1 0x00104000u
#define GOLDEN_SECOND 0x00110000u
#define GOLDEN_CODE   0x01000000u
#define GOLDEN_END    0x02000000u

/* Result of a fetch that was not tried, since the page does not lead to the SVC instructions. */
#define GOLDEN_SKIPPED 0xfffffffeu

/* What is kept of a world. */
struct golden_digest {
    uint32_t world;               /* of all results: decides */
    uint8_t block[GOLDEN_BLOCKS]; /* of two addresses each: locates */
};

struct golden_world {
    uint32_t base; /* RAM of the machine */
    uint32_t ttbcr, ttbr0, ttbr1, dacr;
    bool access_flag;
    uint32_t va[GOLDEN_ADDRESSES];
    uint32_t random;
};

static inline uint32_t golden_random(struct golden_world *world) {
    uint32_t x = world->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    world->random = x;
    return x * 0x9e3779b1u;
}

/* Upper bits of a descriptor: in half of them where the SVC instructions are. */
static inline uint32_t golden_pa(struct golden_world *world, uint32_t mask) {
    uint32_t r = golden_random(world);
    return (r & 1 ? (world->base + GOLDEN_CODE) | (r & 0x00fffffeu) : r) & mask;
}

static inline uint32_t golden_supersection(struct golden_world *world) {
    uint32_t pa = golden_pa(world, 0xff000000u), r = golden_random(world);
    uint32_t beyond = pa == world->base + GOLDEN_CODE ? 0 : r & 0x00f001e0u;
    return pa | beyond | (r & 0x000bfc1cu) | 1u << 18 | 2 | (r >> 31);
}

static inline void golden_first(struct golden_world *world, uint32_t *table) {
    for (uint32_t i = 0; i < 4096; i++) {
        uint32_t r = golden_random(world), kind = r >> 28;
        if (kind < 7) {
            table[i] = (world->base + GOLDEN_SECOND + (r >> 8 & (GOLDEN_TABLES - 1)) * 1024) |
                       (r & 0x1ec) | 1;
        } else if (kind < 11) {
            table[i] = golden_pa(world, 0xfff00000u) | (r & 0x000bfdfcu) | 2;
        } else if (kind < 13) {
            table[i] = golden_pa(world, 0xfff00000u) | (r & 0x000bfdfcu) | 3;
        } else {
            table[i] = r & ~3u;
        }
    }
    for (uint32_t group = 0; group < 4096; group += 16) {
        if (golden_random(world) >> 29 == 0) {
            uint32_t word = golden_supersection(world);
            for (uint32_t i = 0; i < 16; i++) {
                table[group + i] = word;
            }
        }
    }
}

static inline void golden_second(struct golden_world *world, uint32_t *table) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t r = golden_random(world);
        table[i] = r >> 30 == 0 ? r & ~3u : golden_pa(world, 0xfffff000u) | (r & 0xffdu) | 2;
    }
    for (uint32_t group = 0; group < 256; group += 16) {
        uint32_t r = golden_random(world);
        if (r >> 30 == 0) {
            uint32_t word = golden_pa(world, 0xffff0000u) | (r & 0xfe3cu) | 1;
            for (uint32_t i = 0; i < 16; i++) {
                table[group + i] = word;
            }
        }
    }
}

/* Offset from RAM base of the first-level descriptor that translates `va`. */
static inline uint32_t golden_slot(const struct golden_world *world, uint32_t va) {
    uint32_t n = world->ttbcr & 7;
    uint32_t table = n == 0 || va >> (32 - n) == 0 ? world->ttbr0 : world->ttbr1;
    return table - world->base + (va >> 20) * 4;
}

/* World `number` in the RAM at `ram`, which starts at physical address `base`. */
static inline void golden_build(struct golden_world *world, uint32_t number, uint32_t base,
                                void *ram) {
    uint8_t *bytes = ram;
    world->base = base;
    world->random = number * 0x85ebca6bu + 0x1234567u;
    golden_random(world);
    uint32_t r = golden_random(world);
    uint32_t n = number % 3 == 0 ? 1 + (r >> 8) % 7 : 0;
    world->access_flag = (r >> 4 & 3) == 0;
    world->ttbr0 = base + GOLDEN_FIRST0 + ((r >> 12 & ((1u << n) - 1)) << (14 - n));
    world->ttbr1 = base + GOLDEN_FIRST1;
    world->ttbcr = n;
    if (n != 0 && (r >> 20 & 7) == 0) { /* switch off the table that does not map the program */
        world->ttbcr |= base >> (32 - n) == 0 ? 1u << 5 : 1u << 4;
    }
    world->dacr = golden_random(world);
    world->dacr |= golden_random(world) & 0x55555555u; /* clients and managers mostly */
    world->dacr |= 3u << 30;                           /* of the program itself */
    golden_first(world, (uint32_t *)(void *)(bytes + GOLDEN_FIRST0));
    golden_first(world, (uint32_t *)(void *)(bytes + GOLDEN_FIRST1));
    for (uint32_t i = 0; i < GOLDEN_TABLES; i++) {
        golden_second(world, (uint32_t *)(void *)(bytes + GOLDEN_SECOND + i * 1024));
    }
    *(uint32_t *)(void *)(bytes + golden_slot(world, base)) = base | 0xc00 | 15u << 5 | 2;
    for (uint32_t i = 0; i < GOLDEN_ADDRESSES; i++) {
        uint32_t va = golden_random(world) & ~3u;
        world->va[i] = va >> 20 == base >> 20 ? va ^ 0x00200000u : va;
    }
}

/* Whether a fetch is tried: `par` is what a load in the same mode gave. If that failed the fetch
 * does, too. */
static inline bool golden_fetches(const struct golden_world *world, uint32_t par) {
    uint32_t offset = (par & 0xfffff000u) - world->base;
    return (par & 1) || (offset >= GOLDEN_CODE && offset < GOLDEN_END);
}

static inline uint32_t golden_hash(uint32_t hash, uint32_t word) {
    for (uint32_t i = 0; i < 32; i += 8) {
        hash = (hash ^ (word >> i & 0xff)) * 16777619u; /* FNV-1a */
    }
    return hash;
}

static inline void golden_digest(struct golden_digest *digest, const uint32_t *results) {
    digest->world = 2166136261u;
    for (uint32_t block = 0; block < GOLDEN_BLOCKS; block++) {
        uint32_t hash = 2166136261u;
        for (uint32_t i = 0; i < GOLDEN_BLOCK * GOLDEN_OPERATIONS; i++) {
            uint32_t result = results[block * GOLDEN_BLOCK * GOLDEN_OPERATIONS + i];
            hash = golden_hash(hash, result);
            digest->world = golden_hash(digest->world, result);
        }
        digest->block[block] = (uint8_t)(hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24);
    }
}

#endif
