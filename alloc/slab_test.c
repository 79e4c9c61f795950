/* SPDX-License-Identifier: MIT
 * slab_test.c - what the conformance tests cannot reach: buckets so small that a handful of blocks
 * fills, empties and borrows them, over three heaps; whom each address belongs to; buckets that
 * come and go; damage to what the slab keeps.
 */
#define SLAB_BUCKET_LOG2  7
#define SLAB_SIZES(S, x)  S(16, x) S(24, x) S(56, x)
#define SLAB_GRANULES_MIN 1
#include "slab.h"

#include "../fuzz/oracle.h"
#include "white_box.h"

enum { POOL_MAX = 1 << 16, SLOTS = 60, OPS = 4000, HEAPS = 3 };

extern const struct alloc_ops tlsf_ops, bestfit_ops, buddy_ops;
SLAB_DEFINE(over_tlsf, tlsf_ops)
SLAB_DEFINE(over_bestfit, bestfit_ops)
SLAB_DEFINE(over_buddy, buddy_ops)

static struct alloc_ops table_of(int i) {
    return i == 0 ? over_tlsf_table() : i == 1 ? over_bestfit_table() : over_buddy_table();
}

static const struct alloc_ops *inner_of(int i) {
    return i == 0 ? &tlsf_ops : i == 1 ? &bestfit_ops : &buddy_ops;
}

/* ---- under the oracle ---- */

static void ops_fill(struct op *ops, uint64_t *random) {
    bool full[SLOTS] = {false};
    uint32_t largest = random_below(random, 2) == 0 ? 60 : 300;
    for (size_t i = 0; i < OPS; i++) {
        uint32_t slot = random_below(random, SLOTS);
        bool grows = random_below(random, 4) == 0;
        enum op_kind kind = !full[slot] ? OP_ALLOC : grows ? OP_REALLOC : OP_FREE;
        bool aligned = kind == OP_ALLOC && random_below(random, 16) == 0;
        ops[i] = (struct op){.kind = (uint8_t)(aligned ? OP_ALIGNED : kind),
                             .slot = slot,
                             .bytes = kind == OP_FREE ? 0 : 1 + random_below(random, largest),
                             .align_log2 = aligned ? 6 : 0};
        full[slot] = kind != OP_FREE;
    }
}

/* Slot, heap, misuse and bucket in every mixture; in tight pools most ends are refusals. */
START_TEST(test_soak) {
    static struct op ops[OPS];
    struct alloc_ops table = table_of(_i % HEAPS);
    uint64_t random = seed_of((uint64_t)_i);
    size_t bytes = 700 + random_below(&random, _i % 2 == 0 ? 1500 : 12000);
    char *pool = aligned_memory(bytes, 64, random_below(&random, 64));
    memset(pool, 0xA5, bytes);
    struct alloc *a = table.init(pool, bytes, NULL);
    EXPECT(a != NULL);
    size_t fresh = table.largest(a);
    struct oracle_config config = {.ops = &table,
                                   .heap = a,
                                   .pool = pool,
                                   .pool_bytes = bytes,
                                   .slot_count = SLOTS,
                                   .audit_every = 1,
                                   .probe_every = 2,
                                   .probe_seed = random_word(&random)};
    struct oracle *oracle = oracle_new(&config);
    EXPECT(oracle != NULL);
    struct replay_observer observer = oracle_observer(oracle);
    void *slots[SLOTS] = {NULL};
    ops_fill(ops, &random);
    struct replay replay = {&table, a, slots, ops, OPS, REPLAY_TOUCH_NONE, &observer, 1};
    struct replay_result result;
    replay_run(&replay, &result);
    const char *verdict = oracle_audit(oracle);
    ck_assert_msg(verdict == NULL, "%s, pool of %zu B: %s", table.name, bytes, verdict);
    for (size_t i = 0; i < SLOTS; i++) {
        EXPECT(table.free(a, slots[i]) == ALLOC_OK);
    }
    EXPECT(table.largest(a) == fresh);
    EXPECT(((struct slab *)a)->spare == 0);
    EXPECT(table.check(a) == NULL);
    oracle_free(oracle);
}
END_TEST

/* ---- buckets ---- */

struct site {
    struct alloc_ops table;
    char *pool;
    size_t bytes;
    struct alloc *a;
    struct slab *s;
};

static void site_open(struct site *site, int heap, size_t bytes) {
    *site = (struct site){.table = table_of(heap), .bytes = bytes};
    site->pool = guarded_memory(bytes);
    memset(site->pool, 0xA5, bytes);
    site->a = site->table.init(site->pool, bytes, NULL);
    EXPECT(site->a != NULL);
    site->s = (struct slab *)site->a;
}

/* A class with four slots in a bucket: which operation takes one, which gives it back. */
START_TEST(test_buckets_come_and_go) {
    struct site site;
    site_open(&site, _i, 4096);
    size_t fresh = inner_of(_i)->largest(slab_heap(site.s));
    void *p[9];
    for (uint32_t i = 0; i < 9; i++) {
        p[i] = site.table.alloc(site.a, 24);
        EXPECT(site.table.usable(site.a, p[i]) == 24);
        EXPECT(site.s->buckets == i / 4 + 1);
    }
    EXPECT(site.table.free(site.a, p[8]) == ALLOC_OK);
    EXPECT(site.s->buckets == 2 && site.s->spare != 0);
    EXPECT(site.table.free(site.a, p[8]) != ALLOC_OK);
    void *other = site.table.alloc(site.a, 50); /* the spare serves another class */
    EXPECT(site.table.usable(site.a, other) == 56);
    EXPECT(site.s->buckets == 3 && site.s->spare == 0);
    EXPECT(site.table.free(site.a, other) == ALLOC_OK);
    for (uint32_t i = 0; i < 4; i++) {
        EXPECT(site.table.free(site.a, p[i]) == ALLOC_OK);
    }
    EXPECT(site.s->buckets == 1 && site.s->spare != 0); /* one of two empty ones */
    for (uint32_t i = 4; i < 8; i++) {
        EXPECT(site.table.free(site.a, p[i]) == ALLOC_OK);
    }
    EXPECT(site.s->buckets == 0 && site.s->spare == 0);
    EXPECT(inner_of(_i)->largest(slab_heap(site.s)) == fresh);
    EXPECT(site.table.check(site.a) == NULL);
}
END_TEST

/* Blocks of a region are never buckets: the map does not cover it. */
START_TEST(test_regions_hold_no_buckets) {
    struct site site;
    enum { BYTES = 20000, USED = 3000, REGION = 9000 };
    if (table_of(_i).add_region == NULL) {
        return;
    }
    site_open(&site, _i, BYTES);
    site.a = site.table.init(site.pool, USED, NULL);
    site.s = (struct slab *)site.a;
    EXPECT(site.table.add_region(site.a, site.pool + REGION, BYTES - REGION));
    size_t in_region = 0;
    for (const char *p; (p = site.table.alloc(site.a, 16)) != NULL;) {
        in_region += p >= site.pool + REGION;
        EXPECT(site.table.check(site.a) == NULL);
    }
    EXPECT(in_region > 100);
}
END_TEST

/* ---- whom an address belongs to ---- */

struct owner {
    const struct slab *s;
    unsigned char *is_bucket, *is_live; /* for each byte of the pool */
    char *pool;
};

static bool owner_visit(void *ctx, const struct alloc_piece *piece) {
    struct owner *owner = ctx;
    if (piece->kind == ALLOC_PIECE_LIVE) {
        owner->is_live[(const char *)piece->payload - owner->pool] = 1;
    }
    return true;
}

/* The heap's walk shows its blocks, buckets among them; a bucket is what its links were made for.
 */
static bool bucket_visit(void *ctx, const struct alloc_piece *piece) {
    struct owner *owner = ctx;
    struct slab_place place;
    if (piece->kind == ALLOC_PIECE_LIVE && slab_starts(owner->s, piece->payload, &place)) {
        EXPECT(piece->usable >= SLAB_BUCKET);
        memset(owner->is_bucket + ((const char *)piece->payload - owner->pool), 1, SLAB_BUCKET);
    }
    return true;
}

/* slab_find() and slab_live_bit() are asked of every address, walk() tells what they should say. */
START_TEST(test_every_address) {
    static unsigned char is_bucket[8192], is_live[8192];
    struct site site;
    uint64_t random = seed_of(500);
    site_open(&site, _i, sizeof is_live);
    void *held[300] = {NULL};
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 60; i++) {
            uint32_t at = random_below(&random, 300);
            EXPECT(site.table.free(site.a, held[at]) == ALLOC_OK);
            held[at] = site.table.alloc(site.a, random_below(&random, 80));
        }
        memset(is_bucket, 0, sizeof is_bucket);
        memset(is_live, 0, sizeof is_live);
        struct owner owner = {site.s, is_bucket, is_live, site.pool};
        inner_of(_i)->walk(slab_heap(site.s), bucket_visit, &owner);
        site.table.walk(site.a, owner_visit, &owner);
        for (size_t at = 0; at < sizeof is_live; at++) {
            struct slab_place place;
            bool found = slab_find(site.s, site.pool + at, &place);
            EXPECT(found == (is_bucket[at] != 0));
            EXPECT(!found || (slab_live_bit(site.s, &place) != 0) == (is_live[at] != 0));
        }
    }
}
END_TEST

/* Once buckets have gone back to the heap, their slots are still dead, whatever lies before them:
 * here all payloads read as headers of small live blocks. */
START_TEST(test_slots_of_a_gone_bucket_are_refused) {
    struct site site;
    site_open(&site, _i, 3000);
    uint32_t *p[40];
    for (int i = 0; i < 40; i++) {
        size_t bytes = i % 3 == 0 ? 16 : i % 3 == 1 ? 24 : 56;
        p[i] = site.table.alloc(site.a, bytes);
        EXPECT(p[i] != NULL);
        for (size_t word = 0; word < bytes / 4; word++) {
            p[i][word] = 16;
        }
    }
    EXPECT(site.table.alloc(site.a, 100) != NULL); /* or all were in the wilderness */
    for (int i = 0; i < 40; i++) {
        EXPECT(site.table.free(site.a, p[i]) == ALLOC_OK);
    }
    uint32_t gone = 0;
    for (int i = 0; i < 40; i++) {
        struct slab_place place;
        gone += !slab_find(site.s, p[i], &place);
        EXPECT(site.table.usable(site.a, p[i]) == 0);
        EXPECT(site.table.free(site.a, p[i]) != ALLOC_OK);
    }
    EXPECT(gone > 20);
    EXPECT(site.table.check(site.a) == NULL);
}
END_TEST

/* ---- damage ---- */

/* Every flipped bit of control structure, map and links is found, as long as no bucket is full:
 * what its class is nothing else tells. A flipped bit of a slot is just another state. */
START_TEST(test_flipped_bits) {
    struct site site;
    site_open(&site, _i, 3000);
    void *p[20];
    for (int i = 0; i < 20; i++) {
        p[i] = site.table.alloc(site.a, i % 2 == 0 ? 16 : 24);
    }
    for (int i = 0; i < 20; i += 3) {
        EXPECT(site.table.free(site.a, p[i]) == ALLOC_OK);
    }
    EXPECT(site.table.check(site.a) == NULL);
    size_t front_bytes = offsetof(struct slab, map) + (site.s->granules + 1) * sizeof(uint16_t);
    for (size_t bit = 0; bit < front_bytes * 8; bit++) {
        ((char *)site.s)[bit / 8] ^= (char)(1 << bit % 8);
        EXPECT(site.table.check(site.a) != NULL);
        ((char *)site.s)[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (uint32_t class = 1; class <= SLAB_CLASS_MAX; class ++) {
        for (uint32_t at = site.s->head[class]; at != 0; at = slab_bucket_at(site.s, at)->next) {
            char *links = (char *)&slab_bucket_at(site.s, at)->next;
            for (size_t bit = 0; bit < 64; bit++) {
                links[bit / 8] ^= (char)(1 << bit % 8);
                EXPECT(site.table.check(site.a) != NULL);
                links[bit / 8] ^= (char)(1 << bit % 8);
            }
        }
    }
    EXPECT(site.table.check(site.a) == NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("slab");
    TCase *cases = tcase_create("small buckets");
    tcase_set_timeout(cases, 120);
    tcase_add_loop_test(cases, test_soak, 0, 12 * HEAPS);
    tcase_add_loop_test(cases, test_buckets_come_and_go, 0, HEAPS);
    tcase_add_loop_test(cases, test_regions_hold_no_buckets, 0, HEAPS);
    tcase_add_loop_test(cases, test_every_address, 0, HEAPS);
    tcase_add_loop_test(cases, test_slots_of_a_gone_bucket_are_refused, 0, HEAPS);
    tcase_add_loop_test(cases, test_flipped_bits, 0, HEAPS);
    suite_add_tcase(suite, cases);
    return test_main(suite);
}
