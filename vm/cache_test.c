/* SPDX-License-Identifier: MIT
 *
 * cache_test.c - the data-cache model by closed forms, and ASIDs over several generations
 *
 * A cyclic sweep over lines shows capacity and replacement: LRU and round-robin hold all that fits
 * and nothing of one line more in each set.
 */
#include "asid.h"
#include "cache.h"
#include "mmu_rig.h"

static uint64_t misses_of(struct cache *cache, uint32_t lines, uint32_t line) {
    uint64_t misses = 0;
    for (unsigned round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < lines; i++) {
            misses += !cache_access(cache, 0x80000000u + (uint64_t)i * line) && round >= 2;
        }
    }
    return misses / 2;
}

START_TEST(sweeps_show_the_capacity) {
    static const struct cache_shape shapes[] = {{32768, 4, 64, TLB_LRU},
                                                {32768, 4, 32, TLB_ROUND_ROBIN},
                                                {32768, 2, 64, TLB_LRU},
                                                {524288, 8, 64, TLB_ROUND_ROBIN}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        uint32_t lines = shapes[i].bytes / shapes[i].line, sets = lines / shapes[i].ways;
        const uint32_t counts[] = {lines, lines + 1, lines + sets};
        const uint64_t misses[] = {0, shapes[i].ways + 1, lines + sets};
        for (size_t k = 0; k < 3; k++) {
            struct cache cache;
            ck_assert(cache_open(&cache, &shapes[i]));
            ck_assert_uint_eq(misses_of(&cache, counts[k], shapes[i].line), misses[k]);
            cache_clear(&cache);
            ck_assert(!cache_access(&cache, 0x80000000u));
            ck_assert(cache_access(&cache, 0x80000000u + shapes[i].line - 1));
            cache_close(&cache);
        }
    }
}
END_TEST

/* Random replacement keeps part of what does not fit, and all that does once it is there. */
START_TEST(random_replacement) {
    struct cache_shape shape = {32768, 4, 64, TLB_RANDOM};
    struct cache cache;
    ck_assert(cache_open(&cache, &shape));
    ck_assert_uint_eq(misses_of(&cache, 512, 64), 0);
    uint64_t misses = misses_of(&cache, 640, 64);
    ck_assert_uint_gt(misses, 640 / 5);
    ck_assert_uint_lt(misses, 640);
    cache_close(&cache);
}
END_TEST

/* A set as a list of lines that is searched from end to end. */
struct list_set {
    uint32_t line[16], used[16], next;
};

static bool list_access(struct list_set *set, const struct cache_shape *shape, uint32_t line,
                        uint32_t now, uint32_t *random) {
    uint32_t way = 0, oldest = 0;
    while (way < shape->ways && set->used[way] != 0 && set->line[way] != line) {
        oldest = set->used[way] < set->used[oldest] ? way : oldest;
        way++;
    }
    bool hit = way < shape->ways && set->used[way] != 0;
    if (way == shape->ways && shape->policy == TLB_LRU) {
        way = oldest;
    } else if (way == shape->ways && shape->policy == TLB_ROUND_ROBIN) {
        way = set->next++ % shape->ways;
    } else if (way == shape->ways) {
        *random ^= *random << 13;
        *random ^= *random >> 17;
        *random ^= *random << 5;
        way = (uint32_t)((uint64_t)*random * shape->ways >> 32);
    }
    set->line[way] = line;
    set->used[way] = now;
    return hit;
}

/* Two caches in a row against such lists: every policy, numbers of ways that are scanned four at a
 * time and others, data accesses and walks. */
START_TEST(caches_equal_lists) {
    enum { SETS = 8, LINES = 400 };
    static const uint32_t ways[] = {1, 2, 4, 6, 8, 16};
    uint64_t random = seed_of(3000 + (uint64_t)_i);
    struct cache_shape shape[2];
    struct caches caches = {0};
    for (int level = 0; level < 2; level++) {
        bool usual = _i % 2 != 0; /* what the quick way is made for */
        uint32_t w = usual && level == 0 ? 4 : ways[random_below(&random, 6)];
        enum tlb_policy policy = usual ? TLB_RANDOM : (enum tlb_policy)random_below(&random, 3);
        shape[level] = (struct cache_shape){SETS * w * 32, w, 32, policy};
    }
    ck_assert(caches_open(&caches, &shape[0], &shape[1]));
    static struct list_set list[2][SETS];
    memset(list, 0, sizeof list);
    uint32_t dice[2] = {CACHE_SEED, CACHE_SEED};
    for (uint32_t now = 1; now <= 50000; now++) {
        uint32_t line = random_below(&random, 1 + random_below(&random, LINES));
        unsigned from = random_below(&random, 8), want = 2;
        uint64_t pa = 0x80000000u + (uint64_t)line * 32 + random_below(&random, 32);
        line = (uint32_t)(pa >> 5);
        from = from > 2 ? 0 : from;
        for (unsigned level = from; level < 2 && want == 2; level++) {
            bool hit =
                list_access(&list[level][line % SETS], &shape[level], line, now, &dice[level]);
            want = hit ? level : 2;
        }
        if (from == 0 && cache_quick(&caches.l1)) {
            ck_assert_int_eq(cache_holds_quick(&caches.l1, (uint32_t)pa), want == 0);
        }
        uint32_t l2_ways = caches.quick && now % 3 == 0 ? caches.l2.ways : 0;
        unsigned got = from == 0 && now % 4 != 0 ? caches_access(&caches, pa, l2_ways)
                                                 : caches_access_from(&caches, pa, from);
        ck_assert_msg(got == want, "access %u is served at %u, by the list at %u", now, got, want);
    }
    cache_close(&caches.l1);
    cache_close(&caches.l2);
}
END_TEST

START_TEST(refuses_odd_shapes) {
    static const struct cache_shape shapes[] = {{32768, 3, 64, TLB_LRU},
                                                {32768, 4, 48, TLB_LRU},
                                                {32768, 0, 64, TLB_LRU},
                                                {100, 4, 64, TLB_LRU}};
    struct cache cache;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        ck_assert(!cache_open(&cache, &shapes[i]));
    }
    struct cache_shape none = {0};
    ck_assert(cache_open(&cache, &none));
    ck_assert(!cache_access(&cache, 0));
    ck_assert(!cache_access(&cache, 0));
    cache_close(&cache);
}
END_TEST

/* L1 before L2 before RAM; a walk that begins at the L2 leaves the L1 as it is. */
START_TEST(levels_in_order) {
    struct caches caches;
    struct cache_shape l1 = {256, 2, 64, TLB_LRU}, l2 = {1024, 2, 64, TLB_LRU};
    ck_assert(caches_open(&caches, &l1, &l2));
    ck_assert_uint_eq(caches_access(&caches, 0, 0), 2);
    ck_assert_uint_eq(caches_access(&caches, 0, 0), 0);
    ck_assert_uint_eq(caches_access(&caches, 128, 0), 2);
    ck_assert_uint_eq(caches_access(&caches, 256, 0), 2);
    ck_assert_uint_eq(caches_access(&caches, 0, 0), 1);
    ck_assert_uint_eq(caches_access_from(&caches, 4096 + 64, 1), 2);
    ck_assert_uint_eq(caches_access_from(&caches, 4096 + 64, 1), 1);
    ck_assert_uint_eq(caches_access(&caches, 4096 + 64, 0), 1);
    ck_assert_uint_eq(caches_access_from(&caches, 0, 2), 2);
    cache_close(&caches.l1);
    cache_close(&caches.l2);
}
END_TEST

/* LiteOS has no ASID for the 257th process: here a thousand spaces take turns, no two that are
 * valid in one generation share one, and every reuse is announced. */
START_TEST(asids_roll_over_instead_of_failing) {
    enum { SPACES = 1000 };
    static uint64_t tag[SPACES];
    struct asid_pool pool;
    asid_open(&pool);
    uint64_t random = seed_of(1);
    int owner[ASID_COUNT];
    memset(owner, -1, sizeof owner);
    int running = 0;
    uint8_t asid;
    asid_get(&pool, &tag[0], NULL, &asid);
    owner[asid] = 0;
    for (unsigned turn = 0; turn < 20000; turn++) {
        int space = (int)random_below(&random, turn < 10000 ? SPACES : 200);
        if (asid_get(&pool, &tag[space], space == running ? NULL : &tag[running], &asid)) {
            int kept = space == running ? -1 : (int)(tag[running] % ASID_COUNT);
            for (int i = 0; i < ASID_COUNT; i++) {
                owner[i] = i == kept ? owner[i] : -1; /* the TLB was dropped */
            }
        }
        ck_assert_uint_ne(asid, 0);
        ck_assert_msg(owner[asid] == -1 || owner[asid] == space, "ASID %u of space %d given to %d",
                      asid, owner[asid], space);
        owner[asid] = space;
        running = space;
        if (random_below(&random, 16) == 0) {
            owner[asid] = -1; /* mmu_tlbiasid() */
            asid_put(&pool, &tag[space]);
            ck_assert_uint_eq(tag[space], 0);
            asid_get(&pool, &tag[space], NULL, &asid);
            owner[asid] = space;
        }
    }
    ck_assert_uint_ge(pool.rollovers, 5);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cache");
    TCase *tcase = tcase_create("cache");
    tcase_add_test(tcase, sweeps_show_the_capacity);
    tcase_add_test(tcase, random_replacement);
    tcase_add_loop_test(tcase, caches_equal_lists, 0, 40);
    tcase_add_test(tcase, refuses_odd_shapes);
    tcase_add_test(tcase, levels_in_order);
    tcase_add_test(tcase, asids_roll_over_instead_of_failing);
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
