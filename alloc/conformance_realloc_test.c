/* SPDX-License-Identifier: MIT
 * conformance_realloc_test.c - realloc(): contents, alignment, growth in both directions, refusals.
 * Allocators without realloc have nothing to show here. */
#include "conformance.h"

enum { LIVE_MAX = 9000, FORWARDS = 1, BACKWARDS = 2 };

static bool rig_open_for_realloc(struct rig *rig, int case_index, size_t misalign) {
    rig_open(rig, case_index, RIG_POOL_BYTES, misalign);
    if (rig->ops->realloc == NULL) {
        rig_close(rig);
        return false;
    }
    return true;
}

START_TEST(edge_cases_are_alloc_and_free) {
    struct rig rig;
    if (!rig_open_for_realloc(&rig, _i, 0)) {
        return;
    }
    size_t largest = rig_largest(&rig);
    uint64_t fresh = rig_state(&rig);
    ck_assert_ptr_null(rig.ops->realloc(rig.heap, NULL, 0));
    ck_assert_uint_eq(rig_state(&rig), fresh);
    void *p = rig.ops->realloc(rig.heap, NULL, 10);
    rig_assert_payload(&rig, p, 10, rig_align(&rig));
    void *fence = rig.ops->alloc(rig.heap, 1);
    rig_assert_payload(&rig, fence, 1, rig_align(&rig));
    ck_assert_ptr_null(rig.ops->realloc(rig.heap, p, 0));
    if (rig_has(&rig, ALLOC_CAP_DETECTS_MISUSE | ALLOC_CAP_EXACT_MISUSE)) {
        ck_assert_uint_eq(rig.ops->usable(rig.heap, p), 0);
        ck_assert_int_ne(rig.ops->free(rig.heap, p), ALLOC_OK);
    }
    rig_free(&rig, fence);
    rig_assert_drained(&rig, largest);
    rig_close(&rig);
}
END_TEST

/* Every pair of an old and a new size: the smaller of both is kept, alone and between neighbours.
 */
START_TEST(contents_are_kept) {
    struct rig rig;
    if (!rig_open_for_realloc(&rig, _i, 5)) {
        return;
    }
    size_t most = rig_largest(&rig) < 90 ? rig_largest(&rig) : 90;
    for (size_t old_bytes = 1; old_bytes <= most; old_bytes++) {
        for (size_t new_bytes = 1; new_bytes <= most; new_bytes++) {
            rig_init(&rig);
            void *before = rig.ops->alloc(rig.heap, 20 < most ? 20 : most);
            void *p = rig.ops->alloc(rig.heap, old_bytes);
            void *behind = new_bytes % 2 == 0 ? rig.ops->alloc(rig.heap, 1) : NULL;
            rig_assert_payload(&rig, p, old_bytes, rig_align(&rig));
            payload_fill(before, 1, 1);
            payload_fill(p, old_bytes, 2);
            if (behind != NULL) {
                payload_fill(behind, 1, 3);
            }
            if (new_bytes % 3 == 0) {
                rig_free(&rig, before);
                before = NULL;
            }
            void *q = rig.ops->realloc(rig.heap, p, new_bytes);
            rig_assert_payload(&rig, q, new_bytes, rig_align(&rig));
            ck_assert_msg(payload_holds(q, old_bytes < new_bytes ? old_bytes : new_bytes, 2),
                          "%s loses contents from %zu to %zu B", rig.ops->name, old_bytes,
                          new_bytes);
            ck_assert(before == NULL || payload_holds(before, 1, 1));
            ck_assert(behind == NULL || payload_holds(behind, 1, 3));
            (void)rig_state(&rig);
        }
    }
    rig_close(&rig);
}
END_TEST

static void *live[LIVE_MAX];

static size_t fill_pool(const struct rig *rig, size_t bytes) {
    size_t count = 0;
    while (count < LIVE_MAX && (live[count] = rig->ops->alloc(rig->heap, bytes)) != NULL) {
        payload_fill(live[count], bytes, count);
        count++;
    }
    ck_assert_uint_lt(count, LIVE_MAX);
    while (rig->ops->largest(rig->heap) > 0) { /* what is left in odd corners */
        ck_assert_ptr_nonnull(rig->ops->alloc(rig->heap, rig->ops->largest(rig->heap)));
    }
    return count;
}

START_TEST(shrinking_never_fails) {
    struct rig rig;
    if (!rig_open_for_realloc(&rig, _i, 0)) {
        return;
    }
    const size_t sizes[] = {200, 199, 150, 100, 64, 33, 32, 9, 8, 7, 1};
    size_t most = rig.ops->largest(rig.heap);
    size_t count = fill_pool(&rig, most < 200 ? most : 200);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i] > most) {
            continue;
        }
        for (size_t at = 0; at < count; at++) {
            void *p = rig.ops->realloc(rig.heap, live[at], sizes[i]);
            rig_assert_payload(&rig, p, sizes[i], rig_align(&rig));
            ck_assert(payload_holds(p, sizes[i], at));
            live[at] = p;
        }
        (void)rig_state(&rig);
    }
    rig_close(&rig);
}
END_TEST

/* The pool is full but for the neighbours of one block, so growth can only be in place: to all that
 * block and free neighbours hold together. Buddies join with one neighbour only and are left out.
 */
static void assert_grows(struct rig *rig, int directions) {
    rig_init(rig);
    size_t count = fill_pool(rig, 200);
    ck_assert_uint_gt(count, 20);
    for (size_t at = 2; at + 2 < count; at += 7) {
        size_t room = rig->ops->usable(rig->heap, live[at]);
        if (directions & FORWARDS) {
            room += rig->ops->usable(rig->heap, live[at + 1]);
            rig_free(rig, live[at + 1]);
        }
        if (directions & BACKWARDS) {
            room += rig->ops->usable(rig->heap, live[at - 1]);
            rig_free(rig, live[at - 1]);
        }
        ck_assert_ptr_null(rig->ops->realloc(rig->heap, live[at], room + 64));
        ck_assert(payload_holds(live[at], 200, at));
        void *p = rig->ops->realloc(rig->heap, live[at], room);
        ck_assert_msg(p != NULL, "%s does not grow in place to %zu B (directions %d)",
                      rig->ops->name, room, directions);
        rig_assert_payload(rig, p, room, rig_align(rig));
        ck_assert(payload_holds(p, 200, at));
        if (directions == BACKWARDS) {
            ck_assert_uint_lt((uintptr_t)p, (uintptr_t)live[at]);
        } else if (directions == FORWARDS) {
            ck_assert_ptr_eq(p, live[at]);
        }
        payload_fill(p, room, at);
        ck_assert(payload_holds(live[at + 2], 200, at + 2));
        ck_assert(payload_holds(live[at - 2], 200, at - 2));
        (void)rig_state(rig);
    }
}

START_TEST(grows_into_free_neighbours) {
    struct rig rig;
    if (!rig_open_for_realloc(&rig, _i, 0)) {
        return;
    }
    if (conformance_cases[_i].own && rig_has(&rig, ALLOC_CAP_COALESCES) &&
        !rig_has(&rig, ALLOC_CAP_BLOCK_SIZES | ALLOC_CAP_PAGES | ALLOC_CAP_FIXED_SIZE)) {
        assert_grows(&rig, FORWARDS);
        assert_grows(&rig, BACKWARDS);
        assert_grows(&rig, FORWARDS | BACKWARDS);
    }
    rig_close(&rig);
}
END_TEST

START_TEST(alignment_survives) {
    struct rig rig;
    if (!rig_open_for_realloc(&rig, _i, 24)) {
        return;
    }
    const size_t sizes[] = {1, 40, 41, 300, 299, 1200, 5, 3000, 60, 61, 9000, 2};
    for (size_t align = 16; rig.ops->alloc_aligned != NULL && align <= 8192; align *= 2) {
        rig_init(&rig);
        void *p = rig.ops->alloc_aligned(rig.heap, 30, align);
        size_t held = 30;
        for (size_t i = 0; p != NULL && i < sizeof sizes / sizeof sizes[0]; i++) {
            payload_fill(p, held, i);
            if (i % 3 == 1) {
                (void)rig.ops->alloc(rig.heap, 16); /* something in the way */
            }
            void *q = rig.ops->realloc(rig.heap, p, sizes[i]);
            if (q == NULL) {
                ck_assert_uint_lt(rig.ops->largest(rig.heap), sizes[i] + align + 2 * ALLOC_ALIGN);
                ck_assert_uint_gt(sizes[i], held);
                ck_assert(payload_holds(p, held, i));
                continue;
            }
            rig_assert_payload(&rig, q, sizes[i], align);
            ck_assert(payload_holds(q, held < sizes[i] ? held : sizes[i], i));
            held = sizes[i];
            p = q;
            (void)rig_state(&rig);
        }
    }
    rig_close(&rig);
}
END_TEST

START_TEST(failure_leaves_the_block_whole) {
    struct rig rig;
    if (!rig_open_for_realloc(&rig, _i, 0)) {
        return;
    }
    size_t most = rig.ops->largest(rig.heap);
    size_t count = fill_pool(&rig, most < 120 ? most : 120);
    size_t bytes = most < 120 ? most : 120;
    uint64_t before = rig_state(&rig);
    for (size_t at = 0; at < count; at++) {
        const size_t sizes[] = {RIG_POOL_BYTES / 2 + at, SIZE_MAX - at, RIG_POOL_BYTES};
        for (size_t i = 0; i < 3 && sizes[i] > rig.ops->usable(rig.heap, live[at]); i++) {
            ck_assert_ptr_null(rig.ops->realloc(rig.heap, live[at], sizes[i]));
            ck_assert(payload_holds(live[at], bytes, at));
        }
    }
    ck_assert_uint_eq(rig_state(&rig), before);
    for (size_t at = 0; at < count; at++) {
        rig_free(&rig, live[at]);
    }
    rig_close(&rig);
}
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {
        edge_cases_are_alloc_and_free, contents_are_kept,  shrinking_never_fails,
        grows_into_free_neighbours,    alignment_survives, failure_leaves_the_block_whole};
    return conformance_main(argc, argv, "conformance: realloc", tests,
                            sizeof tests / sizeof tests[0]);
}
