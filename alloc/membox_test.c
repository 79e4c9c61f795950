/* SPDX-License-Identifier: MIT
 * membox_test.c - what cannot be seen from outside: the number of a block from its address, every
 * state of small boxes, and damaged metadata fed to check().
 */
#include "membox.c"
#include "white_box.h"

enum { POOL_MAX = 1 << 16, SLOTS = 64 };

static struct alloc *box_new(void *pool, size_t bytes, uint32_t block_bytes) {
    struct alloc_cfg cfg = {.block_bytes = block_bytes};
    memset(pool, 0xA5, bytes);
    struct alloc *a = membox_init(pool, bytes, &cfg);
    EXPECT(a != NULL);
    EXPECT(membox_check(a) == NULL);
    return a;
}

/* ---- rule 3 ---- */

START_TEST(test_inverse) {
    for (uint64_t odd = 1; odd < 1 << 16; odd += 2) {
        EXPECT(odd_inverse(odd) * odd == 1);
    }
    EXPECT(odd_inverse(0xFFFFFFFFu) * 0xFFFFFFFFu == 1);
}
END_TEST

/* Whether block_number() is right about p, asked of plain arithmetic. */
static void number_check(const struct alloc *box, uintptr_t p) {
    uint64_t distance = (uint64_t)((uintptr_t)box - p);
    uint32_t block_bytes = box->area.unit_bytes;
    bool starts = distance % block_bytes == 0 && distance / block_bytes <= box->count;
    uintptr_t number = block_number(box, (const void *)p);
    EXPECT(starts == (number <= box->count));
    if (starts) {
        EXPECT(number == distance / block_bytes);
    }
}

START_TEST(test_every_address) {
    static _Alignas(64) char pool[8192];
    for (uint32_t block_bytes = 4; block_bytes <= 1024; block_bytes += 4) {
        const struct alloc *box = box_new(pool, sizeof(pool), block_bytes);
        for (uintptr_t p = (uintptr_t)pool - 4096; p < (uintptr_t)pool + sizeof(pool) + 4096; p++) {
            number_check(box, p);
        }
    }
}
END_TEST

/* Addresses anywhere, many of them whole blocks away, also across 4 GiB. */
START_TEST(test_far_addresses) {
    static _Alignas(64) char pool[65536];
    uint64_t random = seed_of(1);
    for (int round = 0; round < 2000; round++) {
        uint32_t block_bytes = 4 + 4 * random_below(&random, round % 2 != 0 ? 16 : 4096);
        const struct alloc *box = box_new(pool, sizeof(pool), block_bytes);
        for (int i = 0; i < 100; i++) {
            uint64_t word = random_word(&random) >> random_below(&random, 64);
            number_check(box, (uintptr_t)word);
            number_check(box, (uintptr_t)box - (uintptr_t)(word * block_bytes));
            number_check(box, (uintptr_t)box + (uintptr_t)(word * block_bytes));
        }
    }
}
END_TEST

/* ---- geometry ---- */

START_TEST(test_geometry_is_largest) {
    static _Alignas(64) char pool[2048];
    for (uint32_t block_bytes = 1; block_bytes < 200; block_bytes++) {
        struct alloc_cfg cfg = {.block_bytes = block_bytes};
        uint32_t unit = (block_bytes + 3) / 4 * 4;
        for (size_t bytes = 0; bytes < 1000; bytes++) {
            size_t shift = bytes % 8;
            memset(pool, 0xA5, sizeof(pool));
            struct alloc *box = membox_init(pool + shift, bytes, &cfg);
            uint64_t count = box != NULL ? box->count : 0;
            uint64_t more = count + 1;
            uint64_t more_bytes = more * unit + 52 + 4 * (more / 32 + 1);
            EXPECT(more_bytes + 7 > bytes);
            if (box == NULL) {
                for (size_t i = 0; i < sizeof(pool); i++) {
                    EXPECT(pool[i] == (char)0xA5);
                }
                continue;
            }
            size_t blocks_end = (size_t)((char *)box - pool);
            EXPECT(blocks_end >= count * unit + shift);
            EXPECT(blocks_end <= count * unit + shift + 7);
            EXPECT(blocks_end + control_bytes((uint32_t)count) <= shift + bytes);
        }
    }
}
END_TEST

START_TEST(test_impossible_blocks) {
    static _Alignas(64) char pool[256];
    static const uint32_t impossible[] = {256,         0x80000000u, 0xFFFF0001u,
                                          0xFFFFFFF8u, 0xFFFFFFFCu, UINT32_MAX};
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        struct alloc_cfg cfg = {.block_bytes = impossible[i]};
        EXPECT(membox_init(pool, sizeof(pool), &cfg) == NULL);
    }
    EXPECT(membox_init(pool, SIZE_MAX, NULL) == NULL);
    EXPECT(membox_init(NULL, sizeof(pool), NULL) == NULL);
}
END_TEST

/* An alignment is served iff every block has it. */
START_TEST(test_aligned) {
    for (uint32_t block_bytes = 4; block_bytes <= 4096; block_bytes *= 2) {
        char *pool = aligned_memory(65536, 65536, 0);
        struct alloc *a = box_new(pool, 65536, block_bytes);
        for (size_t align = 16; align <= 65536; align *= 2) {
            void *p = membox_alloc_aligned(a, 1, align);
            EXPECT((p != NULL) == (block_bytes % align == 0));
            EXPECT((uintptr_t)p % align == 0);
        }
        EXPECT(membox_alloc_aligned(a, 1, 24) == NULL);
        EXPECT(membox_alloc_aligned(a, 1, 0) == NULL);
        EXPECT(membox_alloc_aligned(a, 0, 8) == NULL);
        EXPECT((membox_alloc_aligned(a, 1, 8) != NULL) == (block_bytes % 8 == 0));
        EXPECT(membox_alloc_aligned(a, 1, 4) != NULL);
    }
}
END_TEST

/* ---- every state of a box of three blocks ---- */

enum { SMALL_BLOCKS = 3, SMALL_BYTES = SMALL_BLOCKS * 12 + 4 + 52 + 4, DEPTH = 8 };

static void sequences_try(char *pool, struct alloc *a, uint32_t live, int depth) {
    EXPECT(membox_check(a) == NULL);
    EXPECT(membox_largest(a) == (live == 7 ? 0u : 12u));
    if (depth == 0) {
        return;
    }
    char saved[SMALL_BYTES];
    memcpy(saved, pool, SMALL_BYTES);
    char *p = membox_alloc(a, 12);
    if (live == 7) {
        EXPECT(p == NULL);
    } else {
        uint32_t number = (uint32_t)block_number(a, p);
        EXPECT(number >= 1 && number <= SMALL_BLOCKS && (live >> (number - 1) & 1) == 0);
        memset(p, 0xFF, 12);
        sequences_try(pool, a, live | 1u << (number - 1), depth - 1);
    }
    for (uint32_t i = 0; i < SMALL_BLOCKS; i++) {
        memcpy(pool, saved, SMALL_BYTES);
        bool is_live = (live >> i & 1) != 0;
        EXPECT((membox_free(a, block_at(a, i + 1)) == ALLOC_OK) == is_live);
        if (is_live) {
            sequences_try(pool, a, live & ~(1u << i), depth - 1);
        } else {
            EXPECT(memcmp(pool, saved, SMALL_BYTES) == 0);
        }
    }
}

START_TEST(test_every_sequence) {
    char *pool = aligned_memory(SMALL_BYTES, 8, 0);
    struct alloc *a = box_new(pool, SMALL_BYTES, 12);
    EXPECT(a->count == SMALL_BLOCKS);
    sequences_try(pool, a, 0, DEPTH);
}
END_TEST

/* ---- long random runs ---- */

struct soak {
    struct alloc *a;
    uint64_t random;
    unsigned char *slot[SLOTS];
    uint32_t block_bytes;
};

static void slot_verify(struct soak *soak, uint32_t i) {
    for (uint32_t byte = 0; byte < soak->block_bytes; byte++) {
        EXPECT(soak->slot[i][byte] == i);
    }
}

static void soak_step(struct soak *soak) {
    uint32_t i = random_below(&soak->random, SLOTS);
    if (soak->slot[i] == NULL) {
        size_t largest = membox_largest(soak->a);
        soak->slot[i] = membox_alloc(soak->a, 1 + random_below(&soak->random, soak->block_bytes));
        EXPECT((soak->slot[i] != NULL) == (largest > 0));
        if (soak->slot[i] != NULL) {
            memset(soak->slot[i], (int)i, soak->block_bytes);
        }
        return;
    }
    slot_verify(soak, i);
    unsigned char *interior =
        soak->slot[i] + 1 + random_below(&soak->random, soak->block_bytes - 1);
    EXPECT(membox_free(soak->a, interior) != ALLOC_OK);
    EXPECT(membox_free(soak->a, soak->slot[i]) == ALLOC_OK);
    EXPECT(membox_free(soak->a, soak->slot[i]) != ALLOC_OK);
    soak->slot[i] = NULL;
}

START_TEST(test_soak) {
    struct soak soak = {.random = seed_of(100 + (uint64_t)_i)};
    soak.block_bytes = 4 + 4 * random_below(&soak.random, 30);
    char *memory = aligned_memory(3 * 2048, 64, random_below(&soak.random, 64));
    soak.a = box_new(memory, 1024, soak.block_bytes);
    struct alloc_stats fresh;
    for (int step = 0; step < 3000; step++) {
        if (step == 1000) {
            EXPECT(!membox_add_region(soak.a, memory + 1000, 500));
            EXPECT(!membox_add_region(soak.a, memory + 4096, 1));
            EXPECT(membox_add_region(soak.a, memory + 4099, 1500));
        } else if (step == 1500) {
            EXPECT(!membox_add_region(soak.a, memory + 4000, 500));
            EXPECT(membox_add_region(soak.a, memory + 1024, 1501));
        }
        soak_step(&soak);
        EXPECT(membox_check(soak.a) == NULL);
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        EXPECT(membox_free(soak.a, soak.slot[i]) == ALLOC_OK);
    }
    membox_stats(soak.a, &fresh);
    EXPECT(fresh.live_blocks == 0);
    EXPECT(fresh.live_bytes == 0);
    EXPECT(fresh.pool_bytes == 1024 + 1500 + 1501);
    EXPECT(fresh.pool_bytes == fresh.free_bytes + fresh.meta_bytes);
    EXPECT(membox_check(soak.a) == NULL);
}
END_TEST

/* ---- damage ---- */

static struct alloc *box_used(char *pool, size_t bytes) {
    struct alloc *a = box_new(pool, bytes, 8);
    void *p[24];
    for (int i = 0; i < 24; i++) {
        p[i] = membox_alloc(a, 8);
    }
    for (int i = 1; i < 24; i += 3) {
        EXPECT(membox_free(a, p[i]) == ALLOC_OK);
    }
    return a;
}

/* Every single flipped bit of control structure, bits and links is found. */
START_TEST(test_flipped_bits) {
    enum { BYTES = 400 };
    char *pool = guarded_memory(BYTES);
    struct alloc *a = box_used(pool, BYTES);
    size_t control = (size_t)control_bytes((uint32_t)a->count);
    for (size_t bit = 0; bit < control * 8; bit++) {
        ((char *)a)[bit / 8] ^= (char)(1 << bit % 8);
        EXPECT(membox_check(a) != NULL);
        ((char *)a)[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (uint32_t number = a->free_head; number != NO_BLOCK;) {
        uint32_t *link = block_at(a, number);
        for (uint32_t bit = 0; bit < 32; bit++) {
            *link ^= 1u << bit;
            EXPECT(membox_check(a) != NULL);
            *link ^= 1u << bit;
        }
        number = *link;
    }
    EXPECT(membox_check(a) == NULL);
}
END_TEST

/* Any pool contents: check() ends and reads only the pool. */
START_TEST(test_random_damage) {
    enum { BYTES = 400 };
    uint64_t random = seed_of(2);
    char *pool = guarded_memory(BYTES);
    struct alloc *a = box_used(pool, BYTES);
    char sound[BYTES];
    memcpy(sound, pool, BYTES);
    for (int round = 0; round < 20000; round++) {
        memcpy(pool, sound, BYTES);
        uint32_t words = 1 + random_below(&random, 8);
        for (uint32_t i = 0; i < words; i++) {
            uint32_t word = (uint32_t)random_word(&random) >> random_below(&random, 32);
            memcpy(pool + random_below(&random, BYTES - 3), &word, 4);
        }
        (void)membox_check(a);
    }
    for (int round = 0; round < 2000; round++) {
        for (size_t i = 0; i < BYTES; i++) {
            pool[i] = (char)random_word(&random);
        }
        EXPECT(membox_check(a) != NULL);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("membox");
    TCase *cases = tcase_create("white box");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, test_inverse);
    tcase_add_test(cases, test_every_address);
    tcase_add_test(cases, test_far_addresses);
    tcase_add_test(cases, test_geometry_is_largest);
    tcase_add_test(cases, test_impossible_blocks);
    tcase_add_test(cases, test_aligned);
    tcase_add_test(cases, test_every_sequence);
    tcase_add_loop_test(cases, test_soak, 0, 20);
    tcase_add_test(cases, test_flipped_bits);
    tcase_add_test(cases, test_random_damage);
    suite_add_tcase(suite, cases);
    return test_main(suite);
}
