/* SPDX-License-Identifier: MIT
 * conformance_check_test.c - check() on pools that something wrote over.
 *
 * Pool and regions lie between pages that must not be touched, so a read outside them crashes, and
 * a loop that does not end runs into the time limit. Whether check() notices is counted and
 * printed; the contract asks only that it returns. */
#include "conformance.h"

#include <sys/mman.h>

/* Pages:  | no access | pool | no access | region | no access |      all ends are page borders */
enum { PAGE = 4096, POOL_PAGES = 5, REGION_PAGES = 4, SPAN_PAGES = POOL_PAGES + REGION_PAGES + 3 };
enum { POOL_BYTES = POOL_PAGES * PAGE, REGION_BYTES = REGION_PAGES * PAGE, SLOTS = 30, OPS = 150 };
enum { STATES = 6, DAMAGES = 500 };

struct site {
    const struct conformance_case *subject;
    unsigned char *span, *pool, *region; /* region NULL: none */
    struct alloc *heap;
};

static void site_open(struct site *site, int case_index, bool with_region) {
    *site = (struct site){.subject = &conformance_cases[case_index]};
    site->span = mmap(NULL, SPAN_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(site->span, MAP_FAILED);
    site->pool = site->span + PAGE;
    unsigned char *region = site->pool + POOL_BYTES + PAGE;
    ck_assert_int_eq(mprotect(site->pool, POOL_BYTES, PROT_READ | PROT_WRITE), 0);
    ck_assert_int_eq(mprotect(region, REGION_BYTES, PROT_READ | PROT_WRITE), 0);
    site->heap = site->subject->ops->init(site->pool, POOL_BYTES, &site->subject->cfg);
    ck_assert_ptr_nonnull(site->heap);
    if (with_region && site->subject->ops->add_region != NULL) {
        ck_assert(site->subject->ops->add_region(site->heap, region, REGION_BYTES));
        site->region = region;
    }
}

static void site_close(struct site *site) {
    munmap(site->span, SPAN_PAGES * PAGE);
}

static void site_play(const struct site *site, uint64_t seed) {
    const struct alloc_ops *ops = site->subject->ops;
    static struct op op[OPS];
    struct random_ops how = {seed, SLOTS, 700, ops->alloc_aligned != NULL ? 6 : 0};
    random_ops_fill(&how, op, OPS);
    void *slots[SLOTS] = {NULL};
    struct replay replay = {ops, site->heap, slots, op, OPS, REPLAY_TOUCH_NONE, NULL, 0};
    struct replay_result result;
    replay_run(&replay, &result);
    ck_assert_uint_eq(result.misuses, 0);
    ck_assert_ptr_null(ops->check(site->heap));
}

static void bytes_damage(unsigned char *memory, size_t bytes, uint64_t *random) {
    size_t near_bytes =
        random_below(random, 2) == 0 ? 256 : bytes; /* control structures are small */
    size_t at = random_below(random, near_bytes / 4) * 4;
    at = random_below(random, 4) == 0 ? bytes - 4 - at : at; /* or lie at the end */
    uint32_t word;
    memcpy(&word, memory + at, sizeof word);
    switch (random_below(random, 8)) {
    case 0:
        word ^= UINT32_C(1) << random_below(random, 32);
        break;
    case 1:
        word = (uint32_t)random_next(random);
        break;
    case 2:
        memcpy(&word, memory + random_below(random, bytes / 4) * 4, sizeof word);
        break;
    case 3:
        word += (uint32_t)random_below(random, 64) * 4 - 128;
        break;
    case 4:
        word = (uint32_t)random_below(random, bytes + 64);
        break;
    case 5:
        word = random_below(random, 2) == 0 ? 0 : UINT32_MAX;
        break;
    case 6:
        memset(memory + at, (int)random_below(random, 256), bytes - at > 64 ? 64 : bytes - at);
        return;
    default:
        word = (uint32_t)at;
    }
    memcpy(memory + at, &word, sizeof word);
}

/* One damage often, a few sometimes, in the pool or the region. */
static void site_damage(const struct site *site, uint64_t *random) {
    size_t count = random_below(random, 4) == 0 ? 1 + random_below(random, 12) : 1;
    for (size_t i = 0; i < count; i++) {
        if (site->region != NULL && random_below(random, 2) == 0) {
            bytes_damage(site->region, REGION_BYTES, random);
        } else {
            bytes_damage(site->pool, POOL_BYTES, random);
        }
    }
}

START_TEST(check_survives_any_damage) {
    static unsigned char pool[POOL_BYTES], region[REGION_BYTES];
    uint64_t random = random_seed((uint64_t)_i);
    size_t noticed = 0;
    if (conformance_cases[_i].ops->check == NULL || !conformance_cases[_i].own) {
        return;
    }
    for (uint64_t state = 0; state < STATES; state++) {
        struct site site;
        site_open(&site, _i, state % 2 == 1);
        site_play(&site, random_seed(state));
        memcpy(pool, site.pool, POOL_BYTES);
        memcpy(region, site.pool + POOL_BYTES + PAGE, REGION_BYTES);
        for (size_t i = 0; i < DAMAGES; i++) {
            site_damage(&site, &random);
            const char *broken = site.subject->ops->check(site.heap);
            noticed += broken != NULL;
            ck_assert(broken == NULL || broken[0] != '\0');
            memcpy(site.pool, pool, POOL_BYTES);
            memcpy(site.pool + POOL_BYTES + PAGE, region, REGION_BYTES);
        }
        ck_assert_ptr_null(site.subject->ops->check(site.heap));
        site_close(&site);
    }
    printf("%-16s check() noticed %zu of %d damages, payloads included\n",
           conformance_cases[_i].ops->name, noticed, STATES * DAMAGES);
    ck_assert_uint_gt(noticed, 0);
}
END_TEST

START_TEST(check_survives_a_pool_of_noise) {
    uint64_t random = random_seed((uint64_t)_i);
    if (conformance_cases[_i].ops->check == NULL || !conformance_cases[_i].own) {
        return;
    }
    struct site site;
    site_open(&site, _i, true);
    size_t handle = (size_t)((unsigned char *)site.heap - site.pool);
    for (size_t i = 0; i < 400; i++) {
        for (size_t at = 0; at < POOL_BYTES; at++) {
            site.pool[at] = (unsigned char)(i < 2 ? 0u - (unsigned)i : random_next(&random));
        }
        /* Noise behind a control structure that is right is harder to survive. */
        if (i % 2 == 0) {
            struct alloc *heap = site.subject->ops->init(site.pool, POOL_BYTES, &site.subject->cfg);
            ck_assert_ptr_eq((unsigned char *)heap, site.pool + handle);
            for (size_t at = handle + 64 + i % 7 * 16; at < POOL_BYTES; at++) {
                site.pool[at] = (unsigned char)random_next(&random);
            }
        }
        (void)site.subject->ops->check(site.heap);
    }
    site_close(&site);
}
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {check_survives_any_damage, check_survives_a_pool_of_noise};
    return conformance_main(argc, argv, "conformance: check", tests,
                            sizeof tests / sizeof tests[0]);
}
