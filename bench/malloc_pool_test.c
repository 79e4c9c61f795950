/* SPDX-License-Identifier: MIT
 *
 * malloc_pool_test.c - the pool beneath a process's malloc, without the process: so sanitizers see
 * it, and allocators whose blocks do not agree, of which there is no own one
 */
#include "malloc_pool.h"

#include "../alloc/white_box.h"

enum { POOL_BYTES = 16 << 20, BLOCKS = 200, STEPS = 20000 };

extern const struct alloc_ops tlsf_ops;

static struct malloc_pool open_pool(const struct alloc_ops *ops) {
    struct malloc_pool pool;
    struct problem problem = {""};
    ck_assert_msg(malloc_pool_open(&pool, ops, POOL_BYTES, &problem), "%s", problem.text);
    return pool;
}

/* Alignments and contents in a random mix; aligned blocks that are resized leave odd places. */
static void pool_play(struct malloc_pool *pool, uint64_t random) {
    struct {
        unsigned char *p;
        size_t bytes;
    } block[BLOCKS] = {{.p = NULL}};
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t i = random_below(&random, BLOCKS);
        size_t bytes = 1 + random_below(&random, 2u << random_below(&random, 12));
        size_t align = MALLOC_ALIGN;
        size_t kept = bytes < block[i].bytes ? bytes : block[i].bytes;
        unsigned char first = block[i].p != NULL ? block[i].p[kept - 1] : 0;
        if (block[i].p != NULL && random_below(&random, 2) == 0) {
            EXPECT(block[i].p[0] == (unsigned char)i);
            EXPECT(pool->ops->free(pool->a, block[i].p) == ALLOC_OK);
            block[i].p = NULL;
            block[i].bytes = 0;
            continue;
        }
        if (block[i].p != NULL) {
            block[i].p = malloc_pool_realloc(pool, block[i].p, bytes);
        } else if (random_below(&random, 4) == 0) {
            align <<= random_below(&random, 6);
            block[i].p = malloc_pool_alloc_aligned(pool, bytes, align);
        } else {
            block[i].p = malloc_pool_alloc(pool, bytes);
        }
        EXPECT(block[i].p != NULL && (uintptr_t)block[i].p % align == 0);
        EXPECT(kept == 0 || block[i].p[kept - 1] == first);
        block[i].bytes = bytes;
        memset(block[i].p, (int)i, bytes);
    }
}

START_TEST(payloads_of_every_allocator_are_aligned) {
    size_t count;
    const struct alloc_ops *const *own = alloc_registry(&count);
    for (size_t i = 0; i < count; i++) {
        if (malloc_pool_unfit(own[i]) != NULL || (own[i]->caps & ALLOC_CAP_FREES) == 0) {
            continue;
        }
        struct malloc_pool pool = open_pool(own[i]);
        /* Slots agree with blocks in the preloaded library only (RUNS_SHIFT). */
        bool has_slots = (own[i]->caps & ALLOC_CAP_SLOTS) != 0;
        ck_assert(has_slots || (!pool.odd && pool.wedges <= 1));
        pool_play(&pool, seed_of(i));
        ck_assert(own[i]->check(pool.a) == NULL);
        ck_assert(malloc_pool_alloc(&pool, SIZE_MAX) == NULL);
        ck_assert(malloc_pool_alloc(&pool, POOL_BYTES) == NULL);
        ck_assert(malloc_pool_alloc(&pool, 0) != NULL);
        malloc_pool_close(&pool);
    }
}
END_TEST

/* tlsf, with 8 bytes more than wanted now and then. */
static struct alloc_ops shifty_ops;
static uint32_t shifty_calls;

static void *shifty_alloc(struct alloc *a, size_t bytes) {
    return tlsf_ops.alloc(a, bytes + (shifty_calls++ % 3 == 0 ? 8 : 0));
}

START_TEST(blocks_that_do_not_agree_are_aligned_one_by_one) {
    shifty_ops = tlsf_ops;
    shifty_ops.alloc = shifty_alloc;
    struct malloc_pool pool = open_pool(&shifty_ops);
    ck_assert(pool.odd == (MALLOC_ALIGN > ALLOC_ALIGN));
    pool_play(&pool, seed_of(100));
    malloc_pool_close(&pool);
    struct problem problem = {""};
    shifty_ops.alloc_aligned = NULL;
    bool opens = malloc_pool_open(&pool, &shifty_ops, POOL_BYTES, &problem);
    ck_assert(opens == (MALLOC_ALIGN <= ALLOC_ALIGN));
    ck_assert(opens || strstr(problem.text, "blocks are not aligned") != NULL);
}
END_TEST

START_TEST(what_an_allocator_lacks_is_made_up_for) {
    shifty_ops = tlsf_ops;
    shifty_ops.realloc = NULL;
    struct malloc_pool pool = open_pool(&shifty_ops);
    pool_play(&pool, seed_of(200));
    malloc_pool_close(&pool);
    shifty_ops.alloc_aligned = NULL;
    pool = open_pool(&shifty_ops);
    ck_assert(malloc_pool_alloc(&pool, 100) != NULL);
    ck_assert(malloc_pool_alloc_aligned(&pool, 100, 64) == NULL);
    malloc_pool_close(&pool);
}
END_TEST

/* Whole pages are replaced, and nothing beside the range. */
START_TEST(zeros_reach_no_further) {
    struct malloc_pool pool = open_pool(&tlsf_ops);
    unsigned char *p = malloc_pool_alloc(&pool, 4 << 20);
    uint64_t random = seed_of(300);
    for (int i = 0; i < 20; i++) {
        size_t from = 1 + random_below(&random, 9000);
        size_t bytes = ((size_t)1 << 20) - 5000 + random_below(&random, 10000);
        memset(p, 0xFF, 2 << 20);
        malloc_pool_zero(p + from, bytes);
        EXPECT(p[from - 1] == 0xFF && p[from + bytes] == 0xFF);
        for (size_t at = from; at < from + bytes; at++) {
            EXPECT(p[at] == 0);
        }
    }
    malloc_pool_close(&pool);
}
END_TEST

START_TEST(unfit_allocators_and_pools_are_refused) {
    struct malloc_pool pool;
    struct problem problem = {""};
    ck_assert(malloc_pool_unfit(alloc_find("membox")) != NULL);
    ck_assert(malloc_pool_unfit(alloc_find("bestfit_little")) != NULL);
    ck_assert(!malloc_pool_open(&pool, &tlsf_ops, MALLOC_POOL_MIN - 1, &problem));
    ck_assert(strstr(problem.text, "no addresses") != NULL);
    ck_assert(!malloc_pool_open(&pool, alloc_find("bestfit_little"), MALLOC_POOL_MIN, &problem));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("malloc pool");
    TCase *tcase = tcase_create("pool");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, payloads_of_every_allocator_are_aligned);
    tcase_add_test(tcase, blocks_that_do_not_agree_are_aligned_one_by_one);
    tcase_add_test(tcase, what_an_allocator_lacks_is_made_up_for);
    tcase_add_test(tcase, zeros_reach_no_further);
    tcase_add_test(tcase, unfit_allocators_and_pools_are_refused);
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
