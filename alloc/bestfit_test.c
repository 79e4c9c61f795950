/* SPDX-License-Identifier: MIT
 *
 * bestfit_test.c - which block bestfit takes, and how many nodes it visits for that
 *
 * The lists and trees are what is intricate about bestfit, and a wrong one still hands out blocks
 * that work. So every choice is compared with a list of the free blocks, for all orders of few
 * blocks and for hostile orders of 100000, and every path with the bound that bestfit.c claims.
 * Random mixes of all operations, with the same comparison, are in heap_soak_test.c.
 */
#include "heap_test.h"

enum { HOLES_MAX = 100000 };

/* Blocks that are freed and taken again, each between two live ones. */
struct holes {
    struct alloc *a;
    uint32_t count;
    char *p[HOLES_MAX];
    char *wall[HOLES_MAX]; /* the live block behind */
    uint32_t bytes[HOLES_MAX];
    bool is_free[HOLES_MAX];
};

static struct holes holes;

static void holes_open(size_t pool_bytes, uint32_t count, uint32_t (*bytes_of)(uint32_t i)) {
    holes = (struct holes){.a = bestfit_ops.init(guarded_memory(pool_bytes), pool_bytes, NULL),
                           .count = count};
    for (uint32_t i = 0; i < count; i++) {
        holes.p[i] = bestfit_ops.alloc(holes.a, bytes_of(i));
        holes.wall[i] = bestfit_ops.alloc(holes.a, 1);
        EXPECT(holes.wall[i] != NULL);
        holes.bytes[i] = (uint32_t)bestfit_ops.usable(holes.a, holes.p[i]);
    }
}

static void hole_free(uint32_t i) {
    EXPECT(bestfit_ops.free(holes.a, holes.p[i]) == ALLOC_OK);
    holes.is_free[i] = true;
}

/* What a scan of all free blocks finds: the smallest that suffices, of equals the first; `count` if
 * there is none. */
static uint32_t hole_best(uint32_t bytes) {
    uint32_t best = holes.count;
    for (uint32_t i = 0; i < holes.count; i++) {
        if (holes.is_free[i] && holes.bytes[i] >= bytes &&
            (best == holes.count || holes.bytes[i] < holes.bytes[best])) {
            best = i;
        }
    }
    return best;
}

/* A request that fills the hole it is given, so that no rest enters the trees. */
static void hole_take(uint32_t i, uint32_t bytes) {
    EXPECT(bestfit_ops.alloc(holes.a, bytes) == holes.p[i]);
    holes.is_free[i] = false;
}

/* ---- every order of few blocks ---- */

static uint32_t few_equal_small(uint32_t i) {
    return i * 0 + 12;
}

static uint32_t few_equal_large(uint32_t i) {
    return i * 0 + 5000;
}

static uint32_t few_of_one_class(uint32_t i) {
    return 4104 - 4 + 8 * (i * 5 % 7 / 2); /* pairs of equal size */
}

static uint32_t few_of_all_kinds(uint32_t i) {
    static const uint32_t bytes[] = {1044, 12, 1060, 1044, 12, 1052, 300};
    return bytes[i];
}

static uint32_t (*const few_kinds[])(uint32_t i) = {few_equal_small, few_equal_large,
                                                    few_of_one_class, few_of_all_kinds};

enum { FEW = 7, FEW_KINDS = sizeof(few_kinds) / sizeof(few_kinds[0]) };

/* Frees all in the given order; then one vanishes together with the next, joined by the wall
 * between them, or with the wilderness. */
static void few_run(const uint32_t *order, uint32_t vanishes) {
    for (uint32_t i = 0; i < FEW; i++) {
        hole_free(order[i]);
    }
    if (vanishes < FEW) {
        EXPECT(bestfit_ops.free(holes.a, holes.wall[vanishes]) == ALLOC_OK);
        holes.is_free[vanishes] = false;
        holes.is_free[vanishes + 1] = false;
    }
    EXPECT(bestfit_ops.check(holes.a) == NULL);
}

/* Exchanges two of the first `count`: Heap's method visits each order once. */
static void orders_visit(uint32_t *order, uint32_t count, void (*visit)(const uint32_t *order)) {
    if (count == 1) {
        visit(order);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        orders_visit(order, count - 1, visit);
        uint32_t other = count % 2 == 0 ? i : 0;
        uint32_t last = order[count - 1];
        order[count - 1] = order[other];
        order[other] = last;
    }
}

static char few_image[1 << 17];
static size_t few_image_bytes;

static void few_visit(const uint32_t *order) {
    for (uint32_t vanishes = 0; vanishes <= FEW; vanishes++) {
        memcpy(holes.a, few_image, few_image_bytes);
        memset(holes.is_free, 0, (FEW + 1) * sizeof(holes.is_free[0]));
        few_run(order, vanishes);
        for (uint32_t i = 0; i < FEW; i++) {
            uint32_t bytes = holes.bytes[order[i]];
            uint32_t best = hole_best(bytes);
            if (best < FEW && holes.bytes[best] == bytes) {
                hole_take(best, bytes);
            }
        }
        EXPECT(bestfit_ops.check(holes.a) == NULL);
    }
}

START_TEST(test_every_order_of_few_blocks) {
    uint32_t order[FEW] = {0, 1, 2, 3, 4, 5, 6};
    holes_open(sizeof(few_image), FEW, few_kinds[_i]);
    few_image_bytes = ((struct heap *)holes.a)->top + 4;
    memcpy(few_image, holes.a, few_image_bytes);
    orders_visit(order, FEW, few_visit);
}
END_TEST

/* ---- hostile orders of many blocks ---- */

/* Nodes that one step of the index may visit: a path, and what it looks at before: roots, or the
 * start of a list and the least at the back. */
static unsigned bound(uint32_t pool_bytes, uint32_t bytes) {
    uint32_t address_bits = log2_floor(pool_bytes) + 1;
    return class_is_exact(bytes + 4) ? address_bits - 4 + FRONT_STEPS + 1 : address_bits - 6 + 2;
}

static uint32_t order_ascending(uint32_t i, uint32_t count) {
    (void)count;
    return i;
}

static uint32_t order_descending(uint32_t i, uint32_t count) {
    return count - 1 - i;
}

/* Bit-reversed, where count is a power of two; else a walk of large steps. */
static uint32_t order_scattered(uint32_t i, uint32_t count) {
    if ((count & (count - 1)) != 0) {
        return (uint32_t)((uint64_t)i * 61803 % count);
    }
    uint32_t reversed = 0;
    for (uint32_t bit = 1; bit < count; bit *= 2) {
        reversed = reversed * 2 + ((i & bit) != 0);
    }
    return reversed;
}

static uint32_t order_inwards(uint32_t i, uint32_t count) {
    return i % 2 == 0 ? i / 2 : count - 1 - i / 2;
}

static uint32_t (*const orders[])(uint32_t i, uint32_t count) = {order_ascending, order_descending,
                                                                 order_scattered, order_inwards};

enum { ORDERS = sizeof(orders) / sizeof(orders[0]) };

static uint32_t many_smallest(uint32_t i) {
    return i * 0 + 12;
}

static uint32_t many_large(uint32_t i) {
    return i * 0 + 300;
}

/* 100000 equal blocks, or 65536: all are taken in order of their addresses. */
START_TEST(test_many_equal_blocks) {
    uint32_t pool_bytes = _i < 2 * ORDERS ? 4u << 20 : 40u << 20;
    uint32_t count = _i / ORDERS % 2 == 0 ? HOLES_MAX : 65536;
    holes_open(pool_bytes, count, _i < 2 * ORDERS ? many_smallest : many_large);
    uint32_t bytes = holes.bytes[0];
    unsigned most = bound(pool_bytes, bytes);
    EXPECT(most <= 32);
    for (uint32_t i = 0; i < count; i++) {
        visits = 0;
        hole_free(orders[_i % ORDERS](i, count));
        EXPECT(visits <= most);
    }
    EXPECT(bestfit_ops.check(holes.a) == NULL);
    for (uint32_t i = 0; i < count; i++) {
        visits = 0;
        hole_take(i, bytes);
        EXPECT(visits <= most);
    }
    EXPECT(bestfit_ops.check(holes.a) == NULL);
}
END_TEST

/* Equal blocks leave from wherever they are, when the walls between them are freed: each joins the
 * hole before and the one behind. */
START_TEST(test_many_equal_blocks_join) {
    uint32_t pool_bytes = _i < ORDERS ? 4u << 20 : 40u << 20;
    uint32_t count = 65536;
    holes_open(pool_bytes, count, _i < ORDERS ? many_smallest : many_large);
    unsigned most = bound(pool_bytes, many_smallest(0));
    for (uint32_t i = 0; i < count; i++) {
        hole_free(orders[_i % ORDERS](i, count));
    }
    for (uint32_t i = 0; i < count; i++) {
        visits = 0;
        EXPECT(bestfit_ops.free(holes.a, holes.wall[order_scattered(i, count)]) == ALLOC_OK);
        EXPECT(visits <= 3 * most);
        EXPECT(i % 4096 != 0 || bestfit_ops.check(holes.a) == NULL);
    }
    struct heap *h = (struct heap *)holes.a;
    EXPECT(h->top == h->first && bestfit_ops.check(holes.a) == NULL);
}
END_TEST

enum { SIZES = 2000 };

static uint32_t many_sizes(uint32_t i) {
    return 268 + 8 * (i * 1009 % SIZES);
}

/* Sizes all different, taken by requests of any size. */
START_TEST(test_many_sizes) {
    uint32_t pool_bytes = 32u << 20;
    uint64_t random = seed_of((uint64_t)_i);
    holes_open(pool_bytes, SIZES, many_sizes);
    unsigned most = bound(pool_bytes, 1000);
    for (uint32_t i = 0; i < SIZES; i++) {
        visits = 0;
        hole_free(orders[_i](i, SIZES));
        EXPECT(visits <= most);
    }
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t bytes = 268 + random_below(&random, 8 * SIZES);
        uint32_t best = hole_best(bytes);
        if (best == SIZES) {
            continue;
        }
        visits = 0;
        char *p = bestfit_ops.alloc(holes.a, bytes);
        EXPECT(p == holes.p[best] && visits <= 2 * most); /* to take it, and to enter the rest */
        visits = 0;
        EXPECT(bestfit_ops.free(holes.a, p) == ALLOC_OK);
        EXPECT(visits <= 2 * most); /* to remove the rest, and to enter all */
        if (round % 16 == 0) {
            hole_take(best, holes.bytes[best]);
        }
    }
    EXPECT(bestfit_ops.check(holes.a) == NULL);
}
END_TEST

/* The longest path there can be, nearly: a block at each power of two of a heap of 4 GiB. Most of
 * its memory is never touched. Of small blocks the lowest keep clear of the tree. */
START_TEST(test_the_longest_path) {
    size_t each = _i == 0 ? 300 : 12;
    EXPECT(bound(ALLOC_POOL_MAX, (uint32_t)each) <= 32);
    uint32_t low = _i == 0 ? 0 : FRONT_STEPS + 1;
    uint64_t bytes = (uint64_t)ALLOC_POOL_MAX;
    char *memory = sizeof(size_t) < 8 ? MAP_FAILED
                                      : mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return;
    }
    struct alloc *a = bestfit_ops.init(memory, (size_t)bytes, NULL);
    char *p[32];
    uint32_t count = 0;
    for (uint32_t bit = 13; bit < 32; bit++) {
        struct heap *h = (struct heap *)a;
        EXPECT(bestfit_ops.alloc(a, (1u << bit) - h->top - 4) != NULL);
        p[count++] = bestfit_ops.alloc(a, each);
        EXPECT(p[count - 1] == (char *)a + (1u << bit) + 8);
    }
    EXPECT(bestfit_ops.alloc(a, 1) != NULL);
    unsigned longest = 0;
    for (uint32_t i = 0; i < low; i++) {
        EXPECT(bestfit_ops.free(a, p[i]) == ALLOC_OK);
    }
    for (uint32_t i = count; i-- > low;) {
        visits = 0;
        EXPECT(bestfit_ops.free(a, p[i]) == ALLOC_OK);
        longest = visits > longest ? visits : longest;
    }
    EXPECT(longest == count - 1 && bestfit_ops.check(a) == NULL);
    for (uint32_t i = 0; i < count; i++) {
        visits = 0;
        EXPECT(bestfit_ops.alloc(a, each) == p[i] && visits <= 32);
    }
    EXPECT(bestfit_ops.check(a) == NULL);
}
END_TEST

/* ---- check() ---- */

/* Lists and trees that hold the right blocks, whole in every link, but out of order: no flipped bit
 * of heap_test.c makes them so. */
START_TEST(test_check_knows_the_order) {
    holes_open(1 << 16, 12, few_equal_small);
    for (uint32_t i = 0; i < 12; i++) {
        hole_free(i);
    }
    struct heap *h = (struct heap *)holes.a;
    size_t class = class_of_exact(16);
    size_t head = node_of_head(class);
    size_t first = node_next(h, head);
    size_t second = node_next(h, first);
    size_t third = node_next(h, second);
    EXPECT(node_next(h, third) == CLASS_NODE_NONE && bestfit_ops.check(holes.a) == NULL);

    node_link(h, head, second);
    node_link(h, second, first);
    node_link(h, first, third);
    ck_assert_str_eq(bestfit_ops.check(holes.a), "a list is not in order of address");
    node_link(h, head, first);
    node_link(h, first, second);
    node_link(h, second, third);
    EXPECT(bestfit_ops.check(holes.a) == NULL);

    uint32_t least = heap_get(h, tree_slot(class));
    uint32_t next = tree_pop(h, least);
    back_set_least(h, class, next, tree_child(h, least, 0));
    tree_enter(h, next, least);
    ck_assert_str_eq(bestfit_ops.check(holes.a), "a tree holds less than the least at the back");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("bestfit");
    TCase *trees = tcase_create("trees");
    tcase_set_timeout(trees, 60);
    tcase_add_loop_test(trees, test_every_order_of_few_blocks, 0, FEW_KINDS);
    tcase_add_loop_test(trees, test_many_equal_blocks, 0, 4 * ORDERS);
    tcase_add_loop_test(trees, test_many_equal_blocks_join, 0, 2 * ORDERS);
    tcase_add_loop_test(trees, test_many_sizes, 0, ORDERS);
    tcase_add_loop_test(trees, test_the_longest_path, 0, 2);
    tcase_add_test(trees, test_check_knows_the_order);
    suite_add_tcase(suite, trees);
    return test_main(suite);
}
