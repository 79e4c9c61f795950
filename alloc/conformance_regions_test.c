/* SPDX-License-Identifier: MIT
 * conformance_regions_test.c - add_region(): what is refused, that all memory given is used and
 * accounted for, and that regions stay apart. */
#include "conformance.h"

/* One stretch of memory in which pool and regions are laid out:
 *
 *   | POOL_AT ... pool ... POOL_END | GAPS ... regions ...                 | SPAN_BYTES */
enum { SPAN_BYTES = 400000, POOL_AT = 16384, POOL_BYTES = 65536, POOL_END = POOL_AT + POOL_BYTES };

struct site {
    struct rig rig; /* its arena is the whole span, its pool_bytes the span's */
    unsigned char *span;
};

static void pool_init(struct site *site) {
    site->rig.heap = site->rig.ops->init(site->span + POOL_AT, POOL_BYTES, &site->rig.subject->cfg);
    ck_assert_ptr_nonnull(site->rig.heap);
}

static bool site_open(struct site *site, int case_index) {
    const struct conformance_case *subject = &conformance_cases[case_index];
    if (subject->ops->add_region == NULL) {
        return false;
    }
    *site = (struct site){.rig = {.subject = subject, .ops = subject->ops}};
    ck_assert(arena_open(&site->rig.arena, SPAN_BYTES, 0));
    arena_soil(&site->rig.arena, ARENA_RANDOM, random_seed(5));
    site->span = site->rig.arena.pool;
    pool_init(site);
    return true;
}

static void site_close(struct site *site) {
    rig_close(&site->rig);
}

static void assert_region_refused(const struct site *site, size_t at, size_t bytes,
                                  const char *what) {
    static unsigned char before[SPAN_BYTES];
    memcpy(before, site->span, SPAN_BYTES);
    ck_assert_msg(!site->rig.ops->add_region(site->rig.heap, site->span + at, bytes),
                  "%s takes a region of %zu B at %zd: %s", site->rig.ops->name, bytes,
                  (ssize_t)at - POOL_AT, what);
    ck_assert_msg(memcmp(before, site->span, SPAN_BYTES) == 0, "%s writes: %s", site->rig.ops->name,
                  what);
}

START_TEST(null_is_refused) {
    struct site site;
    if (!site_open(&site, _i)) {
        return;
    }
    uint64_t before = rig_state(&site.rig);
    ck_assert(!site.rig.ops->add_region(site.rig.heap, NULL, 0));
    ck_assert(!site.rig.ops->add_region(site.rig.heap, NULL, 4096));
    ck_assert(!site.rig.ops->add_region(site.rig.heap, NULL, SIZE_MAX));
    ck_assert_uint_eq(rig_state(&site.rig), before);
    site_close(&site);
}
END_TEST

/* Takes all memory in blocks as large as can be had; how many lie in [from, to)? */
static size_t blocks_within(const struct site *site, size_t from, size_t to) {
    size_t count = 0;
    size_t largest;
    while ((largest = rig_largest(&site->rig)) > 0) {
        const unsigned char *p = site->rig.ops->alloc(site->rig.heap, largest);
        ck_assert_ptr_nonnull(p);
        count += p >= site->span + from && p < site->span + to;
    }
    return count;
}

/* Every size from 0 up to the first that works; it then has to give at least one block. */
START_TEST(too_small_is_refused_and_enough_works) {
    enum { NEAR = 4096, REGION_AT = POOL_END + 2 * NEAR, BYTES_MAX = 40000 };
    static unsigned char before[BYTES_MAX + 2 * NEAR];
    struct site site;
    if (!site_open(&site, _i)) {
        return;
    }
    memcpy(before, site.span + REGION_AT - NEAR, sizeof before);
    for (size_t misalign = 0; misalign < 10; misalign += 5) {
        size_t at = REGION_AT + misalign;
        bool taken = false;
        for (size_t bytes = 0; !taken; bytes++) {
            ck_assert_uint_lt(bytes, BYTES_MAX);
            pool_init(&site);
            taken = site.rig.ops->add_region(site.rig.heap, site.span + at, bytes);
            size_t looked_at = taken ? NEAR + misalign : NEAR + misalign + bytes + NEAR;
            ck_assert_mem_eq(before, site.span + REGION_AT - NEAR, looked_at);
            ck_assert_mem_eq(before + NEAR + misalign + bytes, site.span + at + bytes, NEAR - 16);
            if (taken) {
                (void)rig_state(&site.rig);
                ck_assert_msg(blocks_within(&site, at, at + bytes) > 0,
                              "%s takes a region of %zu B that holds no block", site.rig.ops->name,
                              bytes);
                (void)rig_state(&site.rig);
                memcpy(site.span + REGION_AT - NEAR, before, sizeof before);
            }
        }
    }
    site_close(&site);
}
END_TEST

START_TEST(overlaps_are_refused) {
    struct site site;
    if (!site_open(&site, _i)) {
        return;
    }
    enum { REGION_AT = POOL_END + 32768, REGION_BYTES = 32768 };
    ck_assert(site.rig.ops->add_region(site.rig.heap, site.span + REGION_AT, REGION_BYTES));
    uint64_t before = rig_state(&site.rig);
    assert_region_refused(&site, POOL_AT, POOL_BYTES, "the pool itself");
    assert_region_refused(&site, POOL_AT + 16384, 16384, "inside the pool");
    assert_region_refused(&site, POOL_END - 1, 16384, "one byte of the pool");
    assert_region_refused(&site, POOL_AT - 8192, 8192 + 1, "begins before the pool, reaches it");
    assert_region_refused(&site, POOL_AT - 16384, 16384, "lies before the pool");
    assert_region_refused(&site, POOL_AT - 8192, POOL_BYTES + 16384, "contains the pool");
    assert_region_refused(&site, REGION_AT, REGION_BYTES, "the same region");
    assert_region_refused(&site, REGION_AT + 8192, 8192, "inside a region");
    assert_region_refused(&site, REGION_AT - 16384, 16384 + 1, "one byte of a region");
    assert_region_refused(&site, REGION_AT + REGION_BYTES - 1, 16384, "last byte of a region");
    assert_region_refused(&site, POOL_END, REGION_AT - POOL_END + 2 * REGION_BYTES,
                          "contains a region");
    assert_region_refused(&site, POOL_END, SIZE_MAX, "wraps");
    assert_region_refused(&site, POOL_END, SIZE_MAX - POOL_END, "wraps");
    assert_region_refused(&site, POOL_END, (size_t)0 - (uintptr_t)(site.span + POOL_END) + 1,
                          "wraps to 0");
    ck_assert_uint_eq(rig_state(&site.rig), before);
    site_close(&site);
}
END_TEST

/* Offsets are 32 bits wide. These addresses are not mapped: whoever touches them crashes. */
START_TEST(beyond_4_gib_is_refused) {
    struct site site;
    if (sizeof(size_t) == 4 || !site_open(&site, _i)) {
        return;
    }
    uint64_t before = rig_state(&site.rig);
    uintptr_t pool = (uintptr_t)site.span + POOL_AT;
    uintptr_t reach = (uintptr_t)1 << (sizeof(size_t) * 4);
    const uintptr_t starts[] = {pool + reach, pool + reach - 4096, pool + 2 * reach,
                                pool + reach + POOL_BYTES + 8192, UINTPTR_MAX - 65535};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        ck_assert_msg(!site.rig.ops->add_region(site.rig.heap, (void *)starts[i], 32768),
                      "%s takes a region %zu B behind the pool", site.rig.ops->name,
                      (size_t)(starts[i] - pool));
    }
    ck_assert_uint_eq(rig_state(&site.rig), before);
    site_close(&site);
}
END_TEST

/* Regions in no order, at odd addresses, touching the pool and each other or apart. */
static const struct {
    size_t at, bytes;
} regions[] = {
    {POOL_END + 100000, 30003}, {POOL_END, 30000},          {POOL_END + 60001, 20005},
    {POOL_END + 30000, 20000},  {POOL_END + 130003, 40000}, {POOL_END + 200000, 90001},
};
enum { REGION_COUNT = sizeof regions / sizeof regions[0] };

static struct oracle *site_oracle(const struct site *site, uint32_t slots) {
    struct oracle_config config = {.ops = site->rig.ops,
                                   .heap = site->rig.heap,
                                   .cfg = &site->rig.subject->cfg,
                                   .pool = site->span + POOL_AT,
                                   .pool_bytes = POOL_BYTES,
                                   .slot_count = slots,
                                   .audit_every = 5,
                                   .probe_every = 15,
                                   .probe_seed = random_seed(6)};
    struct oracle *oracle = oracle_new(&config);
    ck_assert_ptr_nonnull(oracle);
    return oracle;
}

static void regions_add(const struct site *site, struct oracle *oracle) {
    for (size_t i = 0; i < REGION_COUNT; i++) {
        size_t before = rig_largest(&site->rig);
        unsigned char *region = site->span + regions[i].at;
        ck_assert_msg(site->rig.ops->add_region(site->rig.heap, region, regions[i].bytes),
                      "%s refuses region %zu", site->rig.ops->name, i);
        ck_assert_uint_ge(rig_largest(&site->rig), before);
        oracle_add_region(oracle, region, regions[i].bytes);
        const char *verdict = oracle_audit(oracle);
        ck_assert_msg(verdict == NULL, "%s, region %zu: %s", site->rig.ops->name, i, verdict);
    }
}

START_TEST(regions_serve_as_the_pool_does) {
    enum { OPS = 900, SLOTS = 150 };
    static struct op ops[OPS];
    static unsigned char before[SPAN_BYTES];
    struct site site;
    for (uint64_t run = 0; run < 4; run++) {
        if (!site_open(&site, _i)) {
            return;
        }
        memcpy(before, site.span, SPAN_BYTES);
        struct oracle *oracle = site_oracle(&site, SLOTS);
        regions_add(&site, oracle);
        struct random_ops how = {random_seed(run), SLOTS, run % 2 == 0 ? 12000 : 900, 9};
        random_ops_fill(&how, ops, OPS);
        struct replay_observer observer = oracle_observer(oracle);
        void *slots[SLOTS] = {NULL};
        struct replay replay = {site.rig.ops, site.rig.heap,     slots,     ops,
                                OPS,          REPLAY_TOUCH_NONE, &observer, 1};
        struct replay_result result;
        replay_run(&replay, &result);
        const char *verdict = oracle_audit(oracle);
        ck_assert_msg(verdict == NULL, "%s: %s", site.rig.ops->name, verdict);
        replay_free_rest(&replay, SLOTS);
        (void)rig_state(&site.rig);
        /* The gaps belong to nobody. */
        ck_assert_mem_eq(before, site.span, POOL_AT);
        ck_assert_mem_eq(before + POOL_END + 50000, site.span + POOL_END + 50000, 10001);
        ck_assert_mem_eq(before + POOL_END + 80006, site.span + POOL_END + 80006, 19994);
        ck_assert_mem_eq(before + POOL_END + 170003, site.span + POOL_END + 170003, 29997);
        oracle_free(oracle);
        site_close(&site);
    }
}
END_TEST

/* Blocks come from every region, none crosses a border, and draining gives all of it back. */
START_TEST(regions_are_used_up_and_given_back) {
    enum { BLOCKS_MAX = 40000 };
    static void *blocks[BLOCKS_MAX];
    struct site site;
    if (!site_open(&site, _i)) {
        return;
    }
    struct oracle *oracle = site_oracle(&site, 1);
    regions_add(&site, oracle);
    size_t largest = rig_largest(&site.rig);
    for (int round = 0; round < 2; round++) {
        size_t in_region[REGION_COUNT] = {0};
        size_t count = 0;
        size_t request = 9;
        for (void *p; (p = site.rig.ops->alloc(site.rig.heap, request)) != NULL; count++) {
            ck_assert_uint_lt(count, BLOCKS_MAX);
            blocks[count] = p;
            size_t at = (size_t)((unsigned char *)p - site.span);
            size_t end = at + site.rig.ops->usable(site.rig.heap, p);
            bool in_pool = at >= POOL_AT && end <= POOL_END;
            bool placed = in_pool;
            for (size_t i = 0; i < REGION_COUNT; i++) {
                bool here = at >= regions[i].at && end <= regions[i].at + regions[i].bytes;
                in_region[i] += here;
                placed |= here;
            }
            ck_assert_msg(placed, "%s: block at %zu belongs to no region", site.rig.ops->name, at);
        }
        for (size_t i = 0; i < REGION_COUNT; i++) {
            ck_assert_uint_gt(in_region[i], 0);
        }
        for (size_t i = 0; i < count; i++) {
            rig_free(&site.rig, blocks[(i * 7919 + 13) % count]);
            blocks[(i * 7919 + 13) % count] = NULL;
        }
        for (size_t i = 0; i < count; i++) {
            rig_free(&site.rig, blocks[i]); /* NULL, unless 7919 divides count */
        }
        rig_assert_drained(&site.rig, largest);
        ck_assert_ptr_null(oracle_audit(oracle));
    }
    oracle_free(oracle);
    site_close(&site);
}
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {null_is_refused,
                                  too_small_is_refused_and_enough_works,
                                  overlaps_are_refused,
                                  beyond_4_gib_is_refused,
                                  regions_serve_as_the_pool_does,
                                  regions_are_used_up_and_given_back};
    return conformance_main(argc, argv, "conformance: regions", tests,
                            sizeof tests / sizeof tests[0]);
}
