/* SPDX-License-Identifier: MIT
 * buddy_test.c - what cannot be seen from outside: order arithmetic, every sequence of operations
 * on small pools, long random runs checked after each step, and damaged metadata fed to check().
 */
#include "buddy.c"
#include "white_box.h"

enum { SLOTS = 48, PIECES_MAX = 512 };

static struct alloc *buddy_new(void *pool, size_t bytes, uint32_t unit_bytes) {
    struct alloc_cfg cfg = {.block_bytes = unit_bytes};
    memset(pool, 0xA5, bytes);
    struct alloc *a = buddy_init(pool, bytes, &cfg);
    EXPECT(a != NULL);
    EXPECT(buddy_check(a) == NULL);
    return a;
}

/* Pool bytes for exactly that many units, when the pool is aligned. */
static size_t pool_bytes_for(uint32_t units, uint32_t unit_bytes) {
    return (size_t)units * unit_bytes + (size_t)control_bytes(units, unit_bytes);
}

/* ---- arithmetic ---- */

START_TEST(test_logarithms) {
    static const uint32_t rows[][3] = {{1, 0, 0},   {2, 1, 1},   {3, 1, 2},
                                       {4, 2, 2},   {5, 2, 3},   {255, 7, 8},
                                       {256, 8, 8}, {257, 8, 9}, {1u << 28, 28, 28}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EXPECT(floor_log2(rows[i][0]) == rows[i][1]);
        EXPECT(ceil_log2(rows[i][0]) == rows[i][2]);
    }
}
END_TEST

/* Up to a page the least power of two, beyond the least number of pages; 0 and what is too large
 * ask for an order that no area has. */
START_TEST(test_units_of_requests) {
    for (uint32_t log = UNIT_LOG_MIN; log <= PAGE_LOG; log++) {
        for (size_t bytes = 1; bytes <= 5 * PAGE_BYTES; bytes++) {
            size_t block = (size_t)units_for(bytes, log) << log;
            size_t piece = (size_t)1 << (order_for(bytes, log) + log);
            size_t step = bytes <= PAGE_BYTES ? block / 2 : PAGE_BYTES;
            EXPECT(block >= bytes && (block == 1u << log || block - step < bytes));
            EXPECT(bytes <= PAGE_BYTES ? piece == block : piece >= block && piece / 2 < bytes);
            EXPECT(units_exact(bytes, log) == (bytes - 1) / (1u << log) + 1);
        }
        EXPECT(order_for(0, log) < sizeof(size_t) * 8 && order_for(0, log) >= 32 - log);
        EXPECT(order_for(SIZE_MAX, log) == order_for(0, log));
    }
}
END_TEST

/* What is marked is read back, and unmarked to the last byte. */
START_TEST(test_marks) {
    static uint8_t states[80];
    static const uint32_t large[] = {1023, 1024, 1025, 32768, 32769, 1u << 27, (1u << 28) - 1};
    for (uint32_t align_log = 0; align_log < 32; align_log += 31) {
        for (uint32_t i = 1; i < 80 + 7; i++) {
            uint32_t units = i < 80 ? i : large[i - 80];
            for (uint32_t unit = 0; unit < 70 && unit + i <= 87; unit++) {
                bool piece = align_log == 0 && (units & (units - 1)) == 0 && unit % units == 0;
                run_mark(states, unit, units, align_log);
                EXPECT(run_units(states, unit) == units);
                EXPECT(run_align_log(states[unit]) == align_log);
                EXPECT((states[unit] < RUN) == piece);
                EXPECT(run_unmark(states, unit) == units);
                for (size_t k = 0; k < sizeof(states); k++) {
                    EXPECT(states[k] == INTERIOR);
                }
            }
        }
    }
}
END_TEST

/* ---- geometry ---- */

static bool all_untouched(const char *pool, size_t bytes) {
    size_t i = 0;
    while (i < bytes && pool[i] == (char)0xA5) {
        i++;
    }
    return i == bytes;
}

START_TEST(test_geometry_is_largest) {
    static _Alignas(64) char pool[2048];
    for (uint32_t unit_bytes = 16; unit_bytes <= 64; unit_bytes *= 2) {
        struct alloc_cfg cfg = {.block_bytes = unit_bytes};
        for (size_t bytes = 0; bytes < 1500; bytes++) {
            size_t shift = bytes % 64;
            memset(pool, 0xA5, sizeof(pool));
            struct alloc *a = buddy_init(pool + shift, bytes, &cfg);
            uint32_t units = a != NULL ? a->units : 0;
            size_t trim = (0 - shift) % unit_bytes;
            EXPECT(trim + pool_bytes_for(units + 1, unit_bytes) > bytes);
            EXPECT(all_untouched(pool, a != NULL ? shift : sizeof(pool)));
            EXPECT(all_untouched(pool + shift + bytes, sizeof(pool) - shift - bytes));
            if (a != NULL) {
                EXPECT(trim + pool_bytes_for(units, unit_bytes) <= bytes);
                EXPECT(buddy_check(a) == NULL);
                EXPECT(buddy_largest(a) == (size_t)unit_bytes << floor_log2(units));
            }
        }
    }
}
END_TEST

START_TEST(test_impossible_units) {
    static _Alignas(64) char pool[1024];
    static const uint32_t impossible[] = {1, 8, 15, 17, 24, 48, 4095, 4096, 8192, 1u << 31};
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        struct alloc_cfg cfg = {.block_bytes = impossible[i]};
        EXPECT(buddy_init(pool, sizeof(pool), &cfg) == NULL);
    }
    EXPECT(buddy_init(NULL, sizeof(pool), NULL) == NULL);
    EXPECT(buddy_init(pool, SIZE_MAX, NULL) == NULL);
}
END_TEST

/* ---- a world: an allocator and what was asked of it ---- */

struct block {
    unsigned char *p;
    size_t bytes;
    size_t align;
    unsigned char fill;
};

struct world {
    struct alloc *a;
    struct block block[SLOTS];
    unsigned char fill;
};

static void block_fill(struct world *world, struct block *block) {
    block->fill = ++world->fill;
    memset(block->p, block->fill, block->bytes);
}

static bool block_intact(const struct block *block, size_t bytes) {
    size_t i = 0;
    while (i < bytes && block->p[i] == block->fill) {
        i++;
    }
    return i == bytes;
}

static void block_verify(const struct world *world, const struct block *block) {
    EXPECT((uintptr_t)block->p % block->align == 0);
    EXPECT(buddy_usable(world->a, block->p) >= block->bytes);
    EXPECT(buddy_usable(world->a, block->p + 1) == 0);
}

/* The block must be empty. */
static void world_alloc(struct world *world, struct block *block, size_t bytes, size_t align) {
    size_t largest = buddy_largest(world->a);
    block->p = buddy_alloc_aligned(world->a, bytes, align);
    block->bytes = bytes;
    block->align = align;
    if (align <= world->a->area.unit_bytes) {
        EXPECT((block->p != NULL) == (bytes <= largest));
    }
    if (largest >= bytes + align + 2 * ALLOC_ALIGN) {
        EXPECT(block->p != NULL);
    }
    if (block->p != NULL) {
        size_t usable = buddy_usable(world->a, block->p);
        EXPECT(align <= world->a->area.unit_bytes || usable < bytes + world->a->area.unit_bytes);
        block_verify(world, block);
        block_fill(world, block);
    }
}

static void world_free(struct world *world, struct block *block) {
    EXPECT(block_intact(block, block->bytes));
    EXPECT(buddy_free(world->a, block->p + ALLOC_ALIGN) != ALLOC_OK);
    EXPECT(buddy_free(world->a, block->p) == ALLOC_OK);
    EXPECT(buddy_free(world->a, block->p) != ALLOC_OK);
    block->p = NULL;
}

static void world_realloc(struct world *world, struct block *block, size_t bytes) {
    size_t largest = buddy_largest(world->a);
    void *p = buddy_realloc(world->a, block->p, bytes);
    size_t kept_bytes = block->bytes < bytes ? block->bytes : bytes;
    if (p == NULL) {
        EXPECT(bytes > buddy_usable(world->a, block->p));
        EXPECT(bytes + block->align + 2 * ALLOC_ALIGN > largest);
        EXPECT(block_intact(block, block->bytes));
        return;
    }
    block->p = p;
    EXPECT(block_intact(block, kept_bytes));
    block->bytes = bytes;
    block_verify(world, block);
    block_fill(world, block);
}

struct walked {
    struct alloc_piece piece[PIECES_MAX];
    size_t count;
};

static bool piece_note(void *ctx, const struct alloc_piece *piece) {
    struct walked *walked = ctx;
    EXPECT(walked->count < PIECES_MAX);
    walked->piece[walked->count++] = *piece;
    return true;
}

/* Whether two walks saw the same pieces. */
static bool walks_equal(const struct walked *x, const struct walked *y) {
    bool equal = x->count == y->count;
    for (size_t i = 0; equal && i < x->count; i++) {
        equal = x->piece[i].kind == y->piece[i].kind && x->piece[i].start == y->piece[i].start &&
                x->piece[i].bytes == y->piece[i].bytes;
    }
    return equal;
}

/* ---- every sequence on small pools ---- */

struct small {
    uint32_t units;
    uint32_t unit_bytes;
    size_t shift; /* of the pool's address from a multiple of 64 KiB */
    int depth;
};

enum { SMALL_SLOTS = 3 };

static void sequences_try(struct world *world, char *pool, size_t pool_bytes, int depth);

/* Whether it is worth while to go on: nothing to be learnt from a pool that did not change. */
static void sequence_go_on(struct world *world, const struct world *before, char *pool,
                           const char *saved, size_t pool_bytes, int depth) {
    EXPECT(buddy_check(world->a) == NULL);
    for (int i = 0; i < SMALL_SLOTS; i++) {
        EXPECT(world->block[i].p == NULL || block_intact(&world->block[i], world->block[i].bytes));
    }
    sequences_try(world, pool, pool_bytes, depth - 1);
    memcpy(pool, saved, pool_bytes);
    *world = *before;
}

static void slot_try(struct world *world, int i, char *pool, char *saved, size_t pool_bytes,
                     int depth) {
    struct world before = *world;
    struct block *block = &world->block[i];
    uint32_t unit_bytes = world->a->area.unit_bytes;
    if (block->p == NULL) {
        for (uint32_t units = 1; units <= 4; units++) {
            world_alloc(world, block, units * unit_bytes - 3, 8);
            sequence_go_on(world, &before, pool, saved, pool_bytes, depth);
        }
        for (uint32_t units = 1; units <= 3; units += 2) {
            world_alloc(world, block, units * unit_bytes, unit_bytes * 4);
            sequence_go_on(world, &before, pool, saved, pool_bytes, depth);
        }
        return;
    }
    world_free(world, block);
    sequence_go_on(world, &before, pool, saved, pool_bytes, depth);
    for (uint32_t units = 1; units <= 6; units++) {
        world_realloc(world, block, units * unit_bytes);
        sequence_go_on(world, &before, pool, saved, pool_bytes, depth);
    }
}

/* Empty slots are alike: only the first is tried. */
static void sequences_try(struct world *world, char *pool, size_t pool_bytes, int depth) {
    char *saved = malloc(pool_bytes);
    EXPECT(saved != NULL);
    memcpy(saved, pool, pool_bytes);
    bool tried_empty = false;
    for (int i = 0; depth > 0 && i < SMALL_SLOTS; i++) {
        if (world->block[i].p != NULL || !tried_empty) {
            tried_empty = tried_empty || world->block[i].p == NULL;
            slot_try(world, i, pool, saved, pool_bytes, depth);
        }
    }
    free(saved);
}

START_TEST(test_every_sequence) {
    static const struct small smalls[] = {
        {7, 16, 0, 5}, {8, 16, 16, 5}, {13, 16, 48, 4}, {5, 4096, 0, 3}, {8, 4096, 4096, 3}};
    const struct small *small = &smalls[_i];
    size_t pool_bytes = pool_bytes_for(small->units, small->unit_bytes);
    char *pool = aligned_memory(pool_bytes, 65536, small->shift);
    struct world world = {.a = buddy_new(pool, pool_bytes, small->unit_bytes)};
    EXPECT(world.a->units == small->units);
    sequences_try(&world, pool, pool_bytes, small->depth);
}
END_TEST

/* ---- long random runs ---- */

enum { SIZES = 6, SIZES_BEYOND_PAGES = 11 }; /* powers of two of 16 B up to 512 B and 16 KiB */

static size_t size_random(uint64_t *random, uint32_t unit_bytes, uint32_t sizes) {
    uint32_t most = 1u << random_below(random, sizes);
    return 1 + random_below(random, most * unit_bytes);
}

static void soak_step(struct world *world, uint64_t *random, uint32_t sizes) {
    struct block *block = &world->block[random_below(random, SLOTS)];
    uint32_t unit_bytes = world->a->area.unit_bytes;
    if (block->p == NULL) {
        size_t align = (size_t)1 << random_below(random, random_below(random, 4) == 0 ? 18 : 4);
        world_alloc(world, block, size_random(random, unit_bytes, sizes), align);
    } else if (random_below(random, 3) == 0) {
        world_realloc(world, block, size_random(random, unit_bytes, sizes));
    } else {
        world_free(world, block);
    }
}

/* Every address that could be a payload: live iff a slot holds it. */
static void liveness_verify(const struct world *world, const char *memory, size_t bytes) {
    for (size_t offset = 0; offset < bytes; offset += world->a->area.unit_bytes) {
        bool live = false;
        for (int i = 0; i < SLOTS && !live; i++) {
            live = world->block[i].p == (const unsigned char *)memory + offset;
        }
        EXPECT((buddy_usable(world->a, memory + offset) > 0) == live);
    }
}

static void world_drain(struct world *world) {
    for (int i = 0; i < SLOTS; i++) {
        if (world->block[i].p != NULL) {
            world_free(world, &world->block[i]);
            EXPECT(buddy_check(world->a) == NULL);
        }
    }
}

/* The last four of sixteen also ask for whole pages of 16-byte units. */
START_TEST(test_soak) {
    uint64_t random = seed_of(100 + (uint64_t)_i);
    bool large = _i >= 12;
    uint32_t unit_bytes = large ? 16 : _i % 4 == 3 ? 4096 : 16u << _i % 4;
    size_t scale = large ? 32 : unit_bytes / 16;
    char *memory = aligned_memory(16384 * scale, 65536, 16 * scale * random_below(&random, 8));
    size_t pool_bytes = scale * (2000 + random_below(&random, 3000));
    struct world world = {.a = buddy_new(memory, pool_bytes, unit_bytes)};
    EXPECT(!buddy_add_region(world.a, memory + pool_bytes - 1, 4096 * scale));
    EXPECT(!buddy_add_region(world.a, memory + 6000 * scale, 15));
    EXPECT(buddy_add_region(world.a, memory + 9001 * scale, 3001 * scale));
    EXPECT(buddy_add_region(world.a, memory + pool_bytes, 999 * scale));
    EXPECT(!buddy_add_region(world.a, memory + 9000 * scale, 4000 * scale));
    EXPECT(!buddy_add_region(world.a, memory + 8000 * scale, 1001 * scale + 1));
    struct walked fresh = {.count = 0};
    struct walked drained = {.count = 0};
    buddy_walk(world.a, piece_note, &fresh);
    size_t largest = buddy_largest(world.a);
    for (int step = 0; step < 4000; step++) {
        soak_step(&world, &random, large ? SIZES_BEYOND_PAGES : SIZES);
        EXPECT(buddy_check(world.a) == NULL);
        if (step % 256 == 0) {
            liveness_verify(&world, memory, 16000 * scale);
        }
    }
    world_drain(&world);
    buddy_walk(world.a, piece_note, &drained);
    EXPECT(walks_equal(&fresh, &drained));
    EXPECT(buddy_largest(world.a) == largest);
}
END_TEST

/* The same requests give the same offsets wherever the pool lies. */
START_TEST(test_place_does_not_matter) {
    enum { BYTES = 8192, ALIGN_MAX_LOG = 7 };
    uint64_t random = seed_of(1);
    for (size_t shift = 0; shift < 65536; shift += 3u << ALIGN_MAX_LOG) {
        char *pools[2] = {aligned_memory(BYTES, 65536, 0), aligned_memory(BYTES, 65536, shift)};
        struct alloc *a[2] = {buddy_new(pools[0], BYTES, 16), buddy_new(pools[1], BYTES, 16)};
        char *p[2][SLOTS] = {{NULL}};
        for (int step = 0; step < 300; step++) {
            uint32_t slot = random_below(&random, SLOTS);
            size_t bytes = size_random(&random, 16, SIZES);
            size_t align = (size_t)1 << random_below(&random, ALIGN_MAX_LOG + 1);
            bool resize = random_below(&random, 2) != 0;
            for (int i = 0; i < 2; i++) {
                char *old = p[i][slot];
                if (old == NULL) {
                    p[i][slot] = buddy_alloc_aligned(a[i], bytes, align);
                } else if (resize) {
                    char *moved = buddy_realloc(a[i], old, bytes);
                    p[i][slot] = moved != NULL ? moved : old;
                } else {
                    EXPECT(buddy_free(a[i], old) == ALLOC_OK);
                    p[i][slot] = NULL;
                }
            }
            EXPECT((p[0][slot] == NULL) == (p[1][slot] == NULL));
            EXPECT(p[0][slot] == NULL || p[0][slot] - pools[0] == p[1][slot] - pools[1]);
        }
    }
}
END_TEST

/* Pages are never touched: they can be taken away while the allocator works. */
START_TEST(test_pages_untouched) {
    enum { PAGES = 100 };
    uint64_t random = seed_of(2);
    size_t pool_bytes = pool_bytes_for(PAGES, PAGE_BYTES);
    char *pool = aligned_memory(pool_bytes, 65536, 4096);
    struct alloc *a = buddy_new(pool, pool_bytes, PAGE_BYTES);
    EXPECT(a->units == PAGES);
    EXPECT(pool_bytes <= (PAGE_BYTES + 9) * PAGES + 128);
    EXPECT(mprotect(pool, (size_t)PAGES * PAGE_BYTES, PROT_NONE) == 0);
    char *run[SLOTS] = {NULL};
    for (int step = 0; step < 10000; step++) {
        uint32_t i = random_below(&random, SLOTS);
        if (run[i] != NULL) {
            EXPECT(buddy_free(a, run[i]) == ALLOC_OK);
            run[i] = NULL;
            continue;
        }
        size_t pages = 1 + random_below(&random, 9);
        run[i] = buddy_alloc(a, pages * PAGE_BYTES);
        EXPECT(run[i] == NULL || buddy_usable(a, run[i]) == pages * PAGE_BYTES);
    }
    EXPECT(buddy_check(a) == NULL);
}
END_TEST

/* ---- resizing in place ---- */

START_TEST(test_resize_in_place) {
    char *pool = aligned_memory(pool_bytes_for(64, 16), 65536, 0);
    struct alloc *a = buddy_new(pool, pool_bytes_for(64, 16), 16);
    char *low = buddy_alloc(a, 16);
    char *high = buddy_alloc(a, 16);
    EXPECT(high == low + 16);
    memcpy(high, "0123456789abcdef", 16);
    EXPECT(buddy_free(a, low) == ALLOC_OK);
    EXPECT(buddy_realloc(a, high, 17) == low); /* backwards, into its free buddy */
    EXPECT(memcmp(low, "0123456789abcdef", 16) == 0);
    EXPECT(buddy_realloc(a, low, 1000) == low); /* forwards */
    EXPECT(buddy_usable(a, low) == 1024);
    EXPECT(buddy_realloc(a, low, 1) == low);
    EXPECT(buddy_usable(a, low) == 16);
    EXPECT(buddy_largest(a) == 512);
}
END_TEST

START_TEST(test_resize_pages_in_place) {
    char *pool = aligned_memory(pool_bytes_for(16, PAGE_BYTES), 65536, 0);
    struct alloc *a = buddy_new(pool, pool_bytes_for(16, PAGE_BYTES), PAGE_BYTES);
    char *first = buddy_alloc(a, 5 * PAGE_BYTES);
    EXPECT(first == pool);
    EXPECT(buddy_realloc(a, first, 7 * PAGE_BYTES) == first);
    EXPECT(buddy_realloc(a, first, 3 * PAGE_BYTES) == first);
    char *second = buddy_realloc(a, NULL, 8 * PAGE_BYTES);
    EXPECT(second == pool + 8 * PAGE_BYTES);
    second[0] = 's';
    char *grown = buddy_realloc(a, second, 13 * PAGE_BYTES);
    EXPECT(grown == pool + 3 * PAGE_BYTES && grown[0] == 's');
    EXPECT(buddy_largest(a) == 0 && buddy_check(a) == NULL);
}
END_TEST

/* ---- damage ---- */

static struct alloc *buddy_used(char *pool, size_t bytes, uint32_t unit_bytes) {
    struct alloc *a = buddy_new(pool, bytes, unit_bytes);
    void *p[8];
    for (size_t i = 0; i < 8; i++) {
        p[i] = buddy_alloc(a, (1 + i % 3) * unit_bytes);
    }
    for (size_t i = 0; i < 8; i += 2) {
        EXPECT(buddy_free(a, p[i]) == ALLOC_OK);
    }
    EXPECT(buddy_check(a) == NULL);
    return a;
}

/* Each flipped bit before state[], and in links, is found; but in the link that ends all lists. */
START_TEST(test_flipped_bits) {
    uint32_t unit_bytes = _i == 0 ? 16 : PAGE_BYTES;
    size_t pool_bytes = pool_bytes_for(45, unit_bytes);
    char *pool = aligned_memory(pool_bytes, 65536, 0);
    struct alloc *a = buddy_used(pool, pool_bytes, unit_bytes);
    char *control = (char *)a - heads_bytes(a->units);
    for (size_t bit = 0; bit < (heads_bytes(a->units) + sizeof(*a)) * 8; bit++) {
        control[bit / 8] ^= (char)(1 << bit % 8);
        bool ends_lists = (int32_t *)(void *)control + bit / 32 == &link_at(a, LIST_END)->prev;
        EXPECT((buddy_check(a) == NULL) == ends_lists);
        control[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (uint32_t unit = 0; unit < a->units; unit++) {
        struct link *link = link_at(a, unit_ref(a, unit, a->unit_log));
        for (uint32_t bit = 0; bit < 32 && state_is_free(states_of(a)[unit]); bit++) {
            link->next ^= (int32_t)(1u << bit);
            EXPECT(buddy_check(a) != NULL);
            link->next ^= (int32_t)(1u << bit);
            link->prev ^= (int32_t)(1u << bit);
            EXPECT(buddy_check(a) != NULL);
            link->prev ^= (int32_t)(1u << bit);
        }
    }
    EXPECT(buddy_check(a) == NULL);
}
END_TEST

/* Two free buddies that nobody joined. */
START_TEST(test_unjoined_buddies) {
    char *pool = aligned_memory(pool_bytes_for(64, 16), 65536, 0);
    struct alloc *a = buddy_new(pool, pool_bytes_for(64, 16), 16);
    piece_remove(view_of(a), 0, 6);
    piece_insert(view_of(a), 0, 5);
    piece_insert(view_of(a), 32, 5);
    EXPECT(strcmp(buddy_check(a), "state: two free buddies were not joined") == 0);
}
END_TEST

/* Any pool contents: check() ends and reads only the pool. */
START_TEST(test_random_damage) {
    uint32_t unit_bytes = _i == 0 ? 16 : PAGE_BYTES;
    uint64_t random = seed_of(3);
    size_t pool_bytes = pool_bytes_for(45, unit_bytes);
    size_t metadata = (size_t)control_bytes(45, unit_bytes);
    char *pool = guarded_memory(pool_bytes);
    size_t slack = (uintptr_t)pool % unit_bytes; /* still 45 units, and the pool ends at a guard */
    pool -= slack;
    pool_bytes += slack;
    struct alloc *a = buddy_used(pool, pool_bytes, unit_bytes);
    size_t units_bytes = a->units * (size_t)unit_bytes;
    char *sound = malloc(pool_bytes);
    EXPECT(sound != NULL);
    memcpy(sound, pool, pool_bytes);
    for (int round = 0; round < 20000; round++) {
        uint32_t words = 1 + random_below(&random, 8);
        size_t from = random_below(&random, 2) != 0 ? units_bytes : 0;
        for (uint32_t i = 0; i < words; i++) {
            uint32_t word = (uint32_t)random_word(&random) >> random_below(&random, 32);
            size_t at = from + random_below(&random, (uint32_t)(units_bytes + metadata - from - 3));
            memcpy(pool + at, &word, 1 + random_below(&random, 4));
        }
        (void)buddy_check(a);
        memcpy(pool, sound, pool_bytes);
    }
    for (int round = 0; round < 500; round++) {
        for (size_t i = units_bytes; i < units_bytes + metadata; i++) {
            pool[i] = (char)random_word(&random);
        }
        EXPECT(buddy_check(a) != NULL);
    }
    free(sound);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("buddy");
    TCase *cases = tcase_create("white box");
    tcase_set_timeout(cases, 120);
    tcase_add_test(cases, test_logarithms);
    tcase_add_test(cases, test_units_of_requests);
    tcase_add_test(cases, test_marks);
    tcase_add_test(cases, test_geometry_is_largest);
    tcase_add_test(cases, test_impossible_units);
    tcase_add_loop_test(cases, test_every_sequence, 0, 5);
    tcase_add_loop_test(cases, test_soak, 0, 16);
    tcase_add_test(cases, test_place_does_not_matter);
    tcase_add_test(cases, test_pages_untouched);
    tcase_add_test(cases, test_resize_in_place);
    tcase_add_test(cases, test_resize_pages_in_place);
    tcase_add_loop_test(cases, test_flipped_bits, 0, 2);
    tcase_add_test(cases, test_unjoined_buddies);
    tcase_add_loop_test(cases, test_random_damage, 0, 2);
    suite_add_tcase(suite, cases);
    return test_main(suite);
}
