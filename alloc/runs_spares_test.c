/* SPDX-License-Identifier: MIT
 *
 * runs_spares_test.c - empty runs that are kept: which, and that they go one by one
 *
 * The random operations of runs_test.c hold every free to the same bound, but seldom have several
 * empty runs at once.
 */
#include "runs_test.h"

enum { SPARES_POOL = 1 << 18, SPARES_FIRST = 5 /* class of the shortest of RUNS_SPARES runs */ };

static uint32_t runs_count(const struct heap *h) {
    uint32_t count = 0;
    for (uint32_t b = h->first; b != h->top; b += block_size(heap_get(h, b))) {
        count += (heap_get(h, b) & HEAP_FREE) == 0 && run_of_block(h, b) != 0;
    }
    return count;
}

/* Runs of classes that each have a place of their own stay when they empty, and the next requests
 * find them. In a pool that is not roomy, only one does. */
START_TEST(test_empty_runs_of_several_classes_stay) {
    bool is_roomy = _i == 0;
    struct alloc *a = eager_ops.init(aligned_memory(SPARES_POOL, 4096, 0), SPARES_POOL, NULL);
    const struct heap *h = (const struct heap *)a;
    for (uint32_t i = 0; i < 2 * RUNS_SPARES; i++) {
        EXPECT(eager_ops.alloc(a, BESIDES_BYTES) != NULL);
    }
    void *before[RUNS_SPARES] = {NULL};
    for (uint32_t turn = 0; turn < 3; turn++) {
        for (uint32_t i = 0; i < RUNS_SPARES; i++) {
            void *p = eager_ops.alloc(a, 8 * (SPARES_FIRST + i));
            EXPECT(p != NULL && (turn == 0 || before[i] == p));
            before[i] = p;
        }
        if (!is_roomy) {
            EXPECT(eager_ops.alloc(a, SPARES_POOL / 16 * (17 - RUNS_ROOMY)) != NULL);
        }
        EXPECT(pool_is_roomy(h, RUNS_ROOMY) == is_roomy && runs_count(h) == RUNS_SPARES);
        for (uint32_t i = 0; i < RUNS_SPARES; i++) {
            free_expect(a, before[i], false);
            EXPECT(runs_count(h) == RUNS_SPARES - (is_roomy ? 0 : i));
            check_expect(a);
        }
        if (!is_roomy) {
            return;
        }
    }
}
END_TEST

/* Four runs may be empty while a block of the heap or a full run is live for each; whatever order
 * they go in, no free gives back two things, and the last leaves nothing. */
enum { ORDER_BLOCKS = 7, ORDERS = 5040 };

START_TEST(test_held_runs_go_one_by_one_in_any_order) {
    static void *full[RUNS_SLOTS];
    uint32_t most = 0;
    for (uint32_t order = 0; order < ORDERS; order++) {
        struct alloc *a = eager_ops.init(aligned_memory(SPARES_POOL, 4096, 0), SPARES_POOL, NULL);
        const struct heap *h = (const struct heap *)a;
        uint32_t slots = RUNS_SLOTS - (uint32_t)__builtin_popcount(run_header_bits(SPARES_FIRST));
        for (uint32_t i = 0; i <= slots; i++) { /* the last is in a second run */
            full[i] = eager_ops.alloc(a, 8 * SPARES_FIRST);
        }
        EXPECT(runs_of(h)->blocks == 1 && runs_of(h)->open == 1);
        void *left[ORDER_BLOCKS] = {full[slots]};
        for (uint32_t i = 1; i < ORDER_BLOCKS; i++) { /* 3 slots, then 3 blocks */
            left[i] = eager_ops.alloc(a, i < 4 ? 8 * (SPARES_FIRST + i) : BESIDES_BYTES);
        }
        uint32_t at = order;
        uint32_t rest = slots; /* of the full run, which empties in the midst */
        for (uint32_t count = ORDER_BLOCKS; count > 0; count--) {
            for (; rest > 0 && count == 1 + order % ORDER_BLOCKS; rest--) {
                free_expect(a, full[rest - 1], false);
            }
            free_expect(a, left[at % count], count == 1 && rest == 0);
            left[at % count] = left[count - 1];
            at /= count;
            check_expect(a);
            uint32_t spares = 0;
            for (uint32_t i = 0; i < RUNS_SPARES; i++) {
                spares += runs_spare(runs_of(h), i) != 0;
            }
            most = spares > most ? spares : most;
        }
    }
    EXPECT(most == RUNS_SPARES);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("runs_spares");
    TCase *tcase = tcase_create("runs_spares");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, test_empty_runs_of_several_classes_stay, 0, 2);
    tcase_add_test(tcase, test_held_runs_go_one_by_one_in_any_order);
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
