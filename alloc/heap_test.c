/* SPDX-License-Identifier: MIT
 *
 * heap_test.c - tlsf and bestfit from the inside
 *
 * conformance_test.c tests what the contract says. Here is what only the insides show: the layout
 * in memory, the size classes, which block a request takes, and that check() survives any damage
 * and finds every flipped bit. Long seeded runs with all of that are in heap_soak_test.c; how
 * bestfit searches is in bestfit_test.c.
 */
#include "heap_test.h"

/* ---- layout ---- */

START_TEST(test_layout) {
    const struct alloc_ops *ops = heaps[_i];
    char *memory = aligned_memory(8192, 8, 0);
    for (uint32_t shift = 0; shift < 8; shift++) {
        struct alloc *a = ops->init(memory + shift, 4096 + 7, NULL);
        struct heap *h = (struct heap *)a;
        EXPECT((char *)a == memory + (shift + 7) / 8 * 8);
        EXPECT(h->first % 8 == 4 && h->top == h->first && h->end == 4096 - 4);
        EXPECT(heap_trim_before(h) == (8 - shift) % 8);
        EXPECT(heap_trim_before(h) + heap_trim_behind(h) == 7);
        char *p = ops->alloc(a, 13);
        char *q = ops->alloc(a, 1);
        EXPECT(p == (char *)a + h->first + 4 && q == p + 24);
        EXPECT(ops->usable(a, p) == 20 && ops->usable(a, q) == 12);
        EXPECT(heap_get(h, h->first) == 24 && heap_get(h, h->first + 40) == HEAP_FREE);
        EXPECT(ops->free(a, p) == ALLOC_OK);
        EXPECT(heap_get(h, h->first) == (24 | HEAP_FREE) && heap_get(h, h->first + 20) == 24);
        EXPECT(heap_get(h, h->first + 24) == (16 | HEAP_PREV_FREE));
        EXPECT(ops->check(a) == NULL);
    }
}
END_TEST

START_TEST(test_control_structure_is_as_small_as_the_pool_allows) {
    const struct heap_index_ops *index = indices[_i];
    uint32_t more = index == &bestfit_index_ops ? FRONT_LISTS : 0;
    EXPECT(sizeof(struct heap) == 20);
    for (uint32_t end = 28; end < 70000; end += 8) {
        uint32_t bytes = index->control_bytes(end);
        uint32_t first = heap_first_after(bytes);
        uint32_t heads = (bytes - (uint32_t)class_slot(more)) / 4;
        if (first + HEAP_BLOCK_MIN <= end) {
            EXPECT(class_of(end - first) < heads);
            EXPECT(heads == CLASS_FIRST + 1 ||
                   class_of(end - heap_first_after(bytes - 4)) >= heads - 1);
        }
    }
}
END_TEST

/* ---- size classes ---- */

START_TEST(test_class_rows) {
    static const uint32_t rows[][2] = {{16, 1},   {24, 2},    {256, 31},  {264, 32}, {272, 32},
                                       {280, 33}, {288, 33},  {512, 47},  {520, 48}, {544, 48},
                                       {552, 49}, {1032, 64}, {1096, 65}, {~7u, 415}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EXPECT(class_of(rows[i][0]) == rows[i][1]);
    }
    for (uint32_t k = 4; k < 32; k++) {
        EXPECT(class_of((1u << k) + 8) == class_of(1u << k) + 1);
    }
    for (uint32_t bytes = 16; bytes < 1u << 20; bytes += 8) {
        uint32_t step = class_of(bytes + 8) - class_of(bytes);
        EXPECT(step == 1 || (step == 0 && !class_is_exact(bytes)));
    }
}
END_TEST

/* ---- which block a request takes ---- */

/* Frees blocks of the given sizes, in order, each between two live ones. */
static void make_holes(const struct alloc_ops *ops, struct alloc *a, const uint32_t *bytes,
                       char **holes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        holes[i] = ops->alloc(a, bytes[i]);
        EXPECT(holes[i] != NULL && ops->alloc(a, 1) != NULL);
    }
    for (size_t i = 0; i < count; i++) {
        EXPECT(ops->free(a, holes[i]) == ALLOC_OK);
    }
}

/* Requests of 1028 to 1084 bytes are one class. The last freed is looked at first. */
START_TEST(test_tlsf_looks_at_three) {
    static const uint32_t bytes[] = {1084, 1036, 1044, 1052, 4000};
    char *holes[5];
    struct alloc *a = tlsf_ops.init(guarded_memory(65536), 65536, NULL);
    make_holes(&tlsf_ops, a, bytes, holes, 5);
    EXPECT(tlsf_ops.alloc(a, 1084) == holes[4]); /* the only one that fits is the fourth */
    EXPECT(tlsf_ops.alloc(a, 1044) == holes[3]);
    EXPECT(tlsf_ops.alloc(a, 1084) == holes[0]);
    EXPECT(tlsf_ops.check(a) == NULL);
}
END_TEST

START_TEST(test_best_fit_takes_the_smallest) {
    static const uint32_t bytes[] = {1092, 4000, 1044, 1052, 1036, 300, 1044, 60, 60, 30000, 60};
    static const uint32_t order[][2] = {{1040, 2}, {1053, 0}, {1037, 6}, {60, 7},
                                        {31, 8},   {1037, 3}, {53, 10},  {200, 5}};
    const struct alloc_ops *ops = &bestfit_ops;
    char *holes[11];
    struct alloc *a = ops->init(guarded_memory(65536), 65536, NULL);
    make_holes(ops, a, bytes, holes, 11);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        EXPECT(ops->alloc(a, order[i][0]) == holes[order[i][1]]);
    }
    EXPECT(ops->check(a) == NULL);
}
END_TEST

/* ---- realloc ---- */

START_TEST(test_realloc_in_place) {
    const struct alloc_ops *ops = heaps[_i];
    struct alloc *a = ops->init(aligned_memory(8192, 64, 0), 8192, NULL);
    struct heap *h = (struct heap *)a;
    char *p[4];
    for (int i = 0; i < 4; i++) {
        p[i] = ops->alloc(a, 100);
        memset(p[i], 'a' + i, 100);
    }
    EXPECT(ops->realloc(a, p[3], 108) == p[3]); /* 8 more bytes of the wilderness */
    EXPECT(ops->realloc(a, p[3], 100) == p[3]); /* and back, although no block has 8 bytes */
    EXPECT(h->top == (uint32_t)(p[3] - (char *)a) - 4 + 104);
    EXPECT(ops->free(a, p[1]) == ALLOC_OK);
    EXPECT(ops->realloc(a, p[0], 200) == p[0]); /* forwards */
    EXPECT(ops->realloc(a, p[0], 100) == p[0]);
    EXPECT(ops->check(a) == NULL);
    EXPECT(ops->realloc(a, p[2], 150) == p[1]); /* backwards: forwards p[3] is in the way */
    for (int i = 0; i < 100; i++) {
        EXPECT(p[0][i] == 'a' && p[1][i] == 'c' && p[3][i] == 'd');
    }
    EXPECT(ops->free(a, p[2]) != ALLOC_OK);
    EXPECT(ops->check(a) == NULL);
}
END_TEST

START_TEST(test_realloc_keeps_alignment) {
    const struct alloc_ops *ops = heaps[_i];
    struct alloc *a = ops->init(aligned_memory(32768, 4096, 0), 32768, NULL);
    char *before = ops->alloc(a, 500);
    char *p = ops->alloc_aligned(a, 100, 256);
    EXPECT(ops->free(a, before) == ALLOC_OK);
    EXPECT(ops->alloc(a, 1) != NULL && ops->alloc(a, 4000) != NULL);
    memset(p, 'x', 100);
    for (size_t bytes = 100; bytes < 12000; bytes = bytes * 3 / 2) {
        p = ops->realloc(a, p, bytes);
        EXPECT(p != NULL && (uintptr_t)p % 256 == 0 && p[0] == 'x' && p[99] == 'x');
        EXPECT(ops->check(a) == NULL);
    }
}
END_TEST

/* ---- regions ---- */

START_TEST(test_regions) {
    const struct alloc_ops *ops = heaps[_i];
    char *memory = aligned_memory(65536, 8, 0);
    struct alloc *a = ops->init(memory + 3, 8192, NULL);
    size_t alone = ops->largest(a);
    EXPECT(ops->add_region(a, memory + 30000, 9001));
    EXPECT(ops->add_region(a, memory + 3 + 8192, 5000)); /* touches the pool */
    EXPECT(ops->add_region(a, memory + 50001, 12000));
    EXPECT(!ops->add_region(a, memory + 49000, 1002));
    EXPECT(!ops->add_region(a, memory + 30001, 1000));
    EXPECT(!ops->add_region(a, memory, 100));
    EXPECT(!ops->add_region(a, memory + 20000, 30));
    EXPECT(!ops->add_region(a, NULL, 1000));
    struct alloc_stats stats;
    ops->stats(a, &stats);
    EXPECT(stats.pool_bytes == 8192 + 9001 + 5000 + 12000 && stats.free_blocks == 4);
    size_t largest = ops->largest(a);
    EXPECT(largest > alone);
    char *p[2000];
    size_t count = 0;
    for (size_t bytes = 1; (p[count] = ops->alloc(a, bytes)) != NULL;
         bytes = (bytes + 7) % 200 + 1) {
        count++;
        EXPECT(ops->check(a) == NULL);
    }
    EXPECT(p[count - 1] > memory + 50001);
    for (size_t i = 0; i < count; i++) {
        EXPECT(ops->free(a, p[i * 7919 % count]) == ALLOC_OK || count % 7919 == 0);
        EXPECT(ops->free(a, p[i * 7919 % count]) != ALLOC_OK);
    }
    EXPECT(ops->check(a) == NULL && ops->largest(a) == largest);
    p[0] = ops->alloc_aligned(a, 9000, 512);
    EXPECT(p[0] > memory + 50001 && ops->realloc(a, p[0], 9500) == p[0]);
    EXPECT(ops->realloc(a, p[0], largest + 1) == NULL && ops->usable(a, p[0]) >= 9500);
}
END_TEST

/* ---- misuse ---- */

START_TEST(test_links_hide_no_dead_header) {
    const struct alloc_ops *ops = heaps[_i];
    struct alloc *a = ops->init(aligned_memory(4096, 8, 0), 4096, NULL);
    char *p = ops->alloc(a, 36);
    char *q = ops->alloc(a, 28);
    EXPECT(ops->alloc(a, 1) == q + 32);
    EXPECT(ops->free(a, p) == ALLOC_OK && ops->free(a, q) == ALLOC_OK);
    EXPECT(ops->alloc(a, 28) == p); /* what is left has its second link where q's header was */
    EXPECT(ops->free(a, q) != ALLOC_OK && ops->usable(a, q) == 0);
    EXPECT(ops->check(a) == NULL);
}
END_TEST

/* ---- check() ---- */

/* A pool with live blocks and free ones in many classes, several of some. */
static struct alloc *worn_pool(const struct alloc_ops *ops, char *memory, size_t bytes,
                               uint64_t *random) {
    struct alloc *a = ops->init(memory, bytes, NULL);
    char *p[256];
    size_t count = 0;
    while (count < 256 && (p[count] = ops->alloc(a, random_bytes(random, 900))) != NULL) {
        memset(p[count], 0x55, ops->usable(a, p[count]));
        count++;
    }
    /* The last stays, so that not all can join the wilderness. */
    for (size_t i = 0; i + 1 < count; i++) {
        EXPECT(random_below(random, 2) == 0 || ops->free(a, p[i]) == ALLOC_OK);
    }
    EXPECT(ops->check(a) == NULL);
    return a;
}

START_TEST(test_check_survives_damage) {
    enum { BYTES = 8192 };
    const struct alloc_ops *ops = heaps[_i % HEAP_COUNT];
    uint64_t random = seed_of((uint64_t)_i);
    char *memory = guarded_memory(BYTES);
    char *sound = malloc(BYTES);
    struct alloc *a = worn_pool(ops, memory, BYTES, &random);
    memcpy(sound, memory, BYTES);
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t count = 1 + random_below(&random, 6);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t at = random_below(&random, BYTES / 4) * 4;
            uint32_t from = random_below(&random, BYTES / 4) * 4;
            uint32_t word = (uint32_t)random_word(&random) >> random_below(&random, 32);
            bool copy = random_below(&random, 2) == 0;
            memcpy(memory + at, copy ? memory + from : (char *)&word, 4);
        }
        (void)ops->check(a);
        memcpy(memory, sound, BYTES);
    }
    EXPECT(ops->check(a) == NULL);
    free(sound);
}
END_TEST

/* Size bits of a live block that, flipped, make it end where another block does: then it has
 * swallowed live blocks, and nothing is left to tell. */
static uint32_t swallowing_bits(const struct heap *h, uint32_t b) {
    uint32_t bits = 0;
    uint32_t bytes = block_size(heap_get(h, b));
    uint32_t end = b + bytes;
    while (end < h->top) {
        end += block_size(heap_get(h, end));
        uint32_t changed = (end - b) ^ bytes;
        bits |= (changed & (changed - 1)) == 0 ? changed : 0;
    }
    return bits;
}

/* Which bits of a word of the pool nothing depends on. */
static uint32_t idle_bits(const struct heap_index_ops *index, const struct heap *h, uint32_t at) {
    uint32_t b = h->first;
    if (at < b) {
        bool spare = at == offsetof(struct heap_classes, head);
        return spare || at >= index->control_bytes(h->end) ? ~0u : 0;
    }
    while (b < h->top && at >= b + block_size(heap_get(h, b))) {
        b += block_size(heap_get(h, b));
    }
    uint32_t field = at - b;
    uint32_t header = heap_get(h, b);
    uint32_t bytes = block_size(header);
    if (field == 0) {
        return (header & HEAP_FREE) == 0 ? HEAP_ALIGNED | swallowing_bits(h, b) : 0;
    }
    if (b != h->top && (header & (HEAP_FREE | HEAP_ALIGNED)) == HEAP_ALIGNED) {
        return field == bytes - 4 ? 0 : ~0u;
    }
    if (b == h->top || (header & HEAP_FREE) == 0) {
        return ~0u;
    }
    bool used = field == bytes - 4 || field == LIST_NEXT || field == LIST_PREV;
    return used ? 0 : ~0u;
}

START_TEST(test_check_finds_every_flipped_bit) {
    enum { BYTES = 6000, SIZE_BITS = 10 }; /* 8 to 4096 */
    const struct alloc_ops *ops = heaps[_i % HEAP_COUNT];
    uint64_t random = seed_of((uint64_t)_i);
    struct heap *h = (struct heap *)worn_pool(ops, aligned_memory(BYTES, 8, 0), BYTES, &random);
    uint32_t flipped = 0;
    for (uint32_t at = 0; at < h->end; at += 4) {
        uint32_t idle = idle_bits(indices[_i % HEAP_COUNT], h, at);
        for (uint32_t bit = 0; bit < 32; bit++) {
            if ((idle >> bit & 1) == 0) {
                heap_set(h, at, heap_get(h, at) ^ 1u << bit);
                if (ops->check((struct alloc *)h) == NULL) {
                    ck_abort_msg("%s: bit %u of word %u", ops->name, bit, at);
                }
                heap_set(h, at, heap_get(h, at) ^ 1u << bit);
                flipped++;
            }
        }
    }
    /* Of a header at most the sizes that end with another block are idle, and one flag. */
    uint32_t blocks = 0;
    for (uint32_t b = h->first; b != h->top; b += block_size(heap_get(h, b))) {
        blocks++;
    }
    EXPECT(flipped >= 8 * sizeof(struct heap) + (32 - 1 - SIZE_BITS) * blocks);
    EXPECT(blocks > 0 && ops->check((struct alloc *)h) == NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("heap");
    TCase *inside = tcase_create("inside");
    tcase_set_timeout(inside, 60);
    tcase_add_loop_test(inside, test_layout, 0, HEAP_COUNT);
    tcase_add_loop_test(inside, test_control_structure_is_as_small_as_the_pool_allows, 0,
                        HEAP_COUNT);
    tcase_add_test(inside, test_class_rows);
    tcase_add_test(inside, test_tlsf_looks_at_three);
    tcase_add_test(inside, test_best_fit_takes_the_smallest);
    tcase_add_loop_test(inside, test_realloc_in_place, 0, HEAP_COUNT);
    tcase_add_loop_test(inside, test_realloc_keeps_alignment, 0, HEAP_COUNT);
    tcase_add_loop_test(inside, test_regions, 0, HEAP_COUNT);
    tcase_add_loop_test(inside, test_links_hide_no_dead_header, 0, HEAP_COUNT);
    tcase_add_loop_test(inside, test_check_survives_damage, 0, 4 * HEAP_COUNT);
    tcase_add_loop_test(inside, test_check_finds_every_flipped_bit, 0, 4 * HEAP_COUNT);
    suite_add_tcase(suite, inside);
    return test_main(suite);
}
