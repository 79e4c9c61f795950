/* SPDX-License-Identifier: MIT
 * placement_test.c - each allocator takes the place that its header says, by a naive model.
 *
 * check() knows whether lists and trees are in order, not whether the right block was taken from
 * them: a search that takes a worse fit is sound, and costs users memory. Before each request the
 * free pieces are written down as walk() shows them; which one the payload then lies in must be
 * what a plain loop over them chooses.
 */
#include "../alloc/alloc.h"
#include "../bench/test_trace.h"
#include "arena.h"
#include "random_ops.h"

#include "../alloc/test_check.h"
#include <stdio.h>

enum { POOL_BYTES = 64 * 1024, PIECES_MAX = 4096, SLOTS = 160, OPS = 4000 };

/* The free pieces before a request. */
struct scene {
    struct alloc_piece pieces[PIECES_MAX];
    size_t count;
    const void *last_end; /* end of the last piece that is not metadata */
    size_t bytes;         /* requested */
    uintptr_t pool;
};

static bool piece_note(void *ctx, const struct alloc_piece *piece) {
    struct scene *scene = ctx;
    if (piece->kind != ALLOC_PIECE_META) {
        scene->last_end = (const unsigned char *)piece->start + piece->bytes;
    }
    if (piece->kind == ALLOC_PIECE_FREE) {
        ck_assert_uint_lt(scene->count, PIECES_MAX);
        scene->pieces[scene->count++] = *piece;
    }
    return true;
}

static bool is_last(const struct scene *scene, const struct alloc_piece *piece) {
    return (const unsigned char *)piece->start + piece->bytes == scene->last_end;
}

/* The piece that the payload lies in, or NULL. */
static const struct alloc_piece *piece_taken(const struct scene *scene, const void *payload) {
    for (size_t i = 0; i < scene->count; i++) {
        if ((uintptr_t)payload - (uintptr_t)scene->pieces[i].start < scene->pieces[i].bytes) {
            return &scene->pieces[i];
        }
    }
    return NULL;
}

/* The smallest piece that suffices, of equals the first; `last` says whether the one at the pool's
 * end is as good as others. */
static const struct alloc_piece *piece_smallest(const struct scene *scene, bool last) {
    const struct alloc_piece *best = NULL;
    for (size_t i = 0; i < scene->count; i++) {
        const struct alloc_piece *piece = &scene->pieces[i];
        bool considered = piece->usable >= scene->bytes && (last || !is_last(scene, piece));
        if (considered && (best == NULL || piece->bytes < best->bytes)) {
            best = piece;
        }
    }
    return best;
}

/* Each returns what is wrong, or NULL. */
typedef const char *policy_fn(const struct scene *scene, const struct alloc_piece *taken,
                              const void *payload);

/* bestfit.c: the smallest, of equals the lowest, the wilderness when there is none. */
static const char *best_fit(const struct scene *scene, const struct alloc_piece *taken,
                            const void *payload) {
    const struct alloc_piece *best = piece_smallest(scene, false);
    (void)payload;
    if (best == NULL) {
        return is_last(scene, taken) ? NULL : "taken from a piece too small";
    }
    return taken != best ? "not the lowest of the smallest" : NULL;
}

/* bestfit_little.c: the smallest, of equals the lowest; the end of the pool is a block like others.
 */
static const char *best_fit_little(const struct scene *scene, const struct alloc_piece *taken,
                                   const void *payload) {
    (void)payload;
    return taken != piece_smallest(scene, true) ? "not the lowest of the smallest" : NULL;
}

/* tlsf_index.h: of the request's own class, else of the next that is not empty, else the
 * wilderness. A class is no wider than an octave: what is twice as large is of a later one. */
static const char *good_fit(const struct scene *scene, const struct alloc_piece *taken,
                            const void *payload) {
    (void)payload;
    for (size_t i = 0; i < scene->count; i++) {
        const struct alloc_piece *piece = &scene->pieces[i];
        bool suffices_surely = piece->usable >= 2 * scene->bytes + 16 && !is_last(scene, piece);
        if (suffices_surely && (is_last(scene, taken) || taken->bytes >= 2 * piece->bytes)) {
            return "a better class was passed by";
        }
    }
    return NULL;
}

/* buddy.h: the smallest piece that suffices; it starts at a multiple of its size. */
static const char *buddy_fit(const struct scene *scene, const struct alloc_piece *taken,
                             const void *payload) {
    const struct alloc_piece *best = piece_smallest(scene, true);
    size_t size = 16;
    while (size < scene->bytes) {
        size *= 2;
    }
    if (scene->bytes <= 4096 && ((uintptr_t)payload - scene->pool) % size != 0) {
        return "not at a multiple of its size";
    }
    return taken->bytes != best->bytes ? "not of the lowest order that suffices" : NULL;
}

/* bump.c: always the next bytes of the wilderness. */
static const char *next_bytes(const struct scene *scene, const struct alloc_piece *taken,
                              const void *payload) {
    if (!is_last(scene, taken)) {
        return "not the wilderness";
    }
    return (uintptr_t)payload - (uintptr_t)taken->start >= 2 * ALLOC_ALIGN ? "bytes passed by"
                                                                           : NULL;
}

static const struct policy {
    const char *name;
    policy_fn *wrong;
} policies[] = {{"bestfit", best_fit}, {"bestfit_little", best_fit_little}, {"tlsf", good_fit},
                {"buddy", buddy_fit},  {"buddy_aligned", buddy_fit},        {"bump", next_bytes}};

static size_t bytes_draw(uint64_t *random) {
    size_t octave = (size_t)8 << random_below(random, 9);
    return 1 + random_below(random, octave);
}

START_TEST(requests_go_where_the_header_says) {
    static struct scene scene;
    const struct policy *policy = &policies[_i];
    const struct alloc_ops *ops = alloc_find(policy->name);
    uint64_t seed = random_seed(0x91 + (uint64_t)_i), random = seed;
    struct arena arena;
    void *slots[SLOTS] = {NULL};
    size_t served = 0;
    ck_assert(arena_open(&arena, POOL_BYTES, 0));
    struct alloc *heap = ops->init(arena.pool, POOL_BYTES, NULL);
    for (size_t i = 0; i < OPS; i++) {
        void **slot = &slots[random_below(&random, SLOTS)];
        if (*slot != NULL) {
            ck_assert_int_eq(ops->free(heap, *slot), ALLOC_OK);
            *slot = NULL;
            continue;
        }
        scene = (struct scene){.bytes = bytes_draw(&random), .pool = (uintptr_t)arena.pool};
        ops->walk(heap, piece_note, &scene);
        *slot = ops->alloc(heap, scene.bytes);
        if (*slot == NULL) {
            ck_assert_ptr_null(piece_smallest(&scene, true));
            continue;
        }
        served++;
        const struct alloc_piece *taken = piece_taken(&scene, *slot);
        ck_assert_msg(taken != NULL, "%s, seed %llx, op %zu: not in free memory", ops->name,
                      (unsigned long long)seed, i);
        const char *wrong = policy->wrong(&scene, taken, *slot);
        ck_assert_msg(wrong == NULL, "%s, seed %llx, op %zu, %zu B: %s", ops->name,
                      (unsigned long long)seed, i, scene.bytes, wrong);
    }
    ck_assert_uint_gt(served, 100);
    arena_close(&arena);
}
END_TEST

/* membox.c: a stack; the block freed last is the next, blocks never used come in address order. */
START_TEST(a_box_is_a_stack) {
    const struct alloc_ops *ops = alloc_find("membox");
    uint64_t random = random_seed(0xB0);
    struct arena arena;
    void *slots[SLOTS] = {NULL}, *stack[SLOTS], *last_fresh = NULL;
    size_t depth = 0;
    ck_assert(arena_open(&arena, POOL_BYTES, 0));
    struct alloc *heap = ops->init(arena.pool, POOL_BYTES, &(struct alloc_cfg){.block_bytes = 64});
    for (size_t i = 0; i < OPS; i++) {
        void **slot = &slots[random_below(&random, SLOTS)];
        if (*slot != NULL) {
            ck_assert_int_eq(ops->free(heap, *slot), ALLOC_OK);
            stack[depth++] = *slot;
            *slot = NULL;
            continue;
        }
        *slot = ops->alloc(heap, 1 + random_below(&random, 64));
        ck_assert_ptr_nonnull(*slot);
        if (depth > 0) {
            ck_assert_ptr_eq(*slot, stack[--depth]);
        } else {
            ck_assert(last_fresh == NULL || (uintptr_t)*slot == (uintptr_t)last_fresh + 64);
            last_fresh = *slot;
        }
    }
    arena_close(&arena);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("placement");
    TCase *tcase = tcase_create("placement");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, requests_go_where_the_header_says, 0,
                        (int)(sizeof policies / sizeof *policies));
    tcase_add_test(tcase, a_box_is_a_stack);
    return test_main(suite);
}
