/* SPDX-License-Identifier: MIT
 *
 * heap_test.c - tlsf, bestfit and bestfit_little from the inside
 *
 * conformance_test.c tests what the contract says. Here is what only the insides show: the layout
 * in memory, the size classes, which block a request takes, how many nodes a search visits, that
 * check() survives any damage and finds most of it, and long seeded runs of operations with check()
 * after each.
 */
#define ALLOC_ASSERTS

static unsigned visits;
#define BESTFIT_VISIT() ((void)visits++)

#include "tlsf.c"
#include "bestfit.c"
#include "bestfit_little.c"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct alloc_ops *const heaps[] = {&tlsf_ops, &bestfit_ops, &bestfit_little_ops};

enum { HEAP_COUNT = sizeof(heaps) / sizeof(heaps[0]), POOL_BYTES = 16384 };

static _Alignas(4096) unsigned char memory[1 << 20];
static _Alignas(8) unsigned char memory_before[1 << 16];

/* ---- randomness ---- */

static uint64_t seed;

static uint64_t random_next(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static uint32_t random_below(uint64_t *state, uint32_t limit) {
    return (uint32_t)((random_next(state) >> 32) * limit >> 32);
}

/* Small sizes often, each octave up to `limit` as often as the next. */
static uint32_t random_bytes(uint64_t *state, uint32_t limit) {
    uint32_t octave = random_below(state, log2_floor(limit) + 1);
    return 1 + random_below(state, 2u << octave) % limit;
}

/* ---- layout ---- */

START_TEST(test_layout) {
    const struct alloc_ops *ops = heaps[_i];
    for (uint32_t shift = 0; shift < 8; shift++) {
        struct alloc *a = ops->init(memory + shift, POOL_BYTES + 7, NULL);
        ck_assert_ptr_eq(a, memory + (shift + 7) / 8 * 8);
        struct heap *h = (struct heap *)a;
        ck_assert_uint_eq(h->first % 8, 4);
        ck_assert_uint_eq(h->top, h->first);
        ck_assert_uint_eq(h->end, POOL_BYTES - 4);
        ck_assert_uint_eq(heap_trim_before(h), (8 - shift) % 8);
        unsigned char *p = ops->alloc(a, 13);
        ck_assert_ptr_eq(p, (unsigned char *)a + h->first + 4);
        ck_assert_uint_eq(heap_get(h, h->first), 24);
        ck_assert_uint_eq(heap_get(h, h->first + 24), HEAP_FREE);
        unsigned char *q = ops->alloc(a, 1);
        ck_assert_ptr_eq(q, p + 24);
        ck_assert_uint_eq(ops->usable(a, q), 12);
        ck_assert_int_eq(ops->free(a, p), ALLOC_OK);
        ck_assert_uint_eq(heap_get(h, h->first), 24 | HEAP_FREE);
        ck_assert_uint_eq(heap_get(h, h->first + 20), 24);
        ck_assert_uint_eq(heap_get(h, h->first + 24), 16 | HEAP_PREV_FREE);
        ck_assert_ptr_null(ops->check(a));
    }
}
END_TEST

START_TEST(test_control_structure_is_as_small_as_the_pool_allows) {
    ck_assert_uint_eq(sizeof(struct heap), 20);
    for (uint32_t end = 28; end < 70000; end += 8) {
        uint32_t bytes = classes_bytes(end);
        uint32_t first = heap_first_after(bytes);
        uint32_t heads = (bytes - class_slot(0)) / 4;
        if (first + HEAP_BLOCK_MIN > end) {
            continue;
        }
        ck_assert_uint_lt(class_of(end - first), heads);
        ck_assert(heads == 1 || class_of(end - heap_first_after(bytes - 4)) >= heads - 1);
    }
}
END_TEST

/* ---- size classes ---- */

START_TEST(test_class_rows) {
    static const uint32_t rows[][2] = {{16, 0},   {24, 1},    {256, 30},  {264, 31}, {272, 31},
                                       {280, 32}, {288, 32},  {512, 46},  {520, 47}, {544, 47},
                                       {552, 48}, {1032, 63}, {1096, 64}, {~7u, 414}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_uint_eq(class_of(rows[i][0]), rows[i][1]);
    }
    for (uint32_t k = 4; k < 32; k++) {
        uint32_t power = 1u << k;
        ck_assert_uint_eq(class_of(power + 8), class_of(power) + 1);
    }
    for (uint32_t bytes = 16; bytes < 1u << 20; bytes += 8) {
        uint32_t step = class_of(bytes + 8) - class_of(bytes);
        ck_assert_uint_le(step, 1);
        ck_assert(step == 1 || !class_is_exact(bytes));
    }
}
END_TEST

/* ---- long runs against a model ---- */

struct live {
    unsigned char *p;
    uint32_t bytes;
    uint32_t align;
    unsigned char fill;
};

struct world {
    const struct alloc_ops *ops;
    struct alloc *a;
    struct live live[600];
    uint32_t live_count;
    uint32_t live_max;
    uint64_t random;
};

static void live_check(const struct live *live, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        ck_assert_msg(live->p[i] == live->fill, "payload changed at byte %u of %u", i, live->bytes);
    }
}

static void live_fill(struct world *w, struct live *live, void *p, uint32_t bytes) {
    live->p = p;
    live->bytes = bytes;
    live->fill = (unsigned char)random_next(&w->random);
    size_t usable = w->ops->usable(w->a, p);
    ck_assert_uint_ge(usable, bytes);
    ck_assert_uint_eq((uintptr_t)p % (live->align < 8 ? 8 : live->align), 0);
    memset(p, live->fill, usable);
}

/* What best fit must take: the smallest sufficient free block, the wilderness only when there is
 * none. The free piece that starts at `start`, and of those before it the smallest that suffices.
 */
struct best_fit {
    const unsigned char *wilderness;
    const unsigned char *start; /* of the first of the smallest */
    size_t need;
    size_t bytes;
};

static bool best_fit_visit(void *ctx, const struct alloc_piece *piece) {
    struct best_fit *best = ctx;
    if (piece->kind == ALLOC_PIECE_FREE && piece->start != best->wilderness &&
        piece->usable >= best->need && piece->bytes < best->bytes) {
        best->start = piece->start;
        best->bytes = piece->bytes;
    }
    return true;
}

static struct best_fit best_fit_find(const struct world *w, uint32_t bytes) {
    const struct heap *h = (const struct heap *)w->a;
    const unsigned char *top = (const unsigned char *)h + h->top;
    struct best_fit best = {.wilderness = top, .start = top, .need = bytes, .bytes = SIZE_MAX};
    w->ops->walk(w->a, best_fit_visit, &best);
    return best;
}

/* Whether p, the only change since `best` was found, was carved from a best fit: bestfit_little
 * takes the lowest address of equals, bestfit any. */
static bool best_fit_taken(const struct world *w, const struct best_fit *best, const void *p,
                           size_t bytes_before) {
    const unsigned char *start = (const unsigned char *)p - 4;
    if (best->bytes == SIZE_MAX || w->ops == &bestfit_little_ops) {
        return start == best->start;
    }
    return start != best->wilderness && bytes_before == best->bytes;
}

static void world_alloc(struct world *w, uint32_t limit) {
    struct live *live = &w->live[w->live_count];
    uint32_t bytes = random_bytes(&w->random, limit);
    size_t largest = w->ops->largest(w->a);
    live->align = random_below(&w->random, 8) == 0 ? 8u << random_below(&w->random, 6) : 0;
    struct best_fit best = best_fit_find(w, bytes);
    memcpy(memory_before, w->a, sizeof(memory_before));
    void *p = live->align != 0 ? w->ops->alloc_aligned(w->a, bytes, live->align)
                               : w->ops->alloc(w->a, bytes);
    if (live->align == 0) {
        ck_assert_int_eq(p != NULL, bytes <= largest);
        if (p != NULL && w->ops != &tlsf_ops) {
            const struct heap_word *before =
                (const struct heap_word *)(memory_before +
                                           ((unsigned char *)p - 4 - (unsigned char *)w->a));
            ck_assert(best_fit_taken(w, &best, p, block_size(before->value)));
        }
    } else if (p == NULL) {
        ck_assert_uint_lt(largest, bytes + live->align + 16);
    }
    if (p != NULL) {
        live_fill(w, live, p, bytes);
        w->live_count++;
    }
}

static void world_free(struct world *w, uint32_t i) {
    struct live *live = &w->live[i];
    unsigned char *p = live->p;
    live_check(live, live->bytes);
    ck_assert_int_eq(w->ops->free(w->a, p), ALLOC_OK);
    *live = w->live[--w->live_count];
    ck_assert_int_ne(w->ops->free(w->a, p), ALLOC_OK);
    ck_assert_uint_eq(w->ops->usable(w->a, p), 0);
    ck_assert_ptr_null(w->ops->realloc(w->a, p, 1));
}

static void world_realloc(struct world *w, uint32_t i, uint32_t limit) {
    struct live *live = &w->live[i];
    uint32_t bytes = random_bytes(&w->random, limit);
    unsigned char *old = live->p;
    bool must =
        bytes <= w->ops->usable(w->a, old) || (live->align == 0 && bytes <= w->ops->largest(w->a));
    unsigned char *p = w->ops->realloc(w->a, old, bytes);
    if (p == NULL) {
        ck_assert(!must);
        live_check(live, live->bytes);
        return;
    }
    live->p = p;
    live_check(live, live->bytes < bytes ? live->bytes : bytes);
    live_fill(w, live, p, bytes);
    if (p != old) {
        ck_assert_int_ne(w->ops->free(w->a, old), ALLOC_OK);
    }
}

/* Frees in the middle of live payloads are refused: a payload of equal bytes forges no header. */
static void world_misuse(struct world *w, uint32_t i) {
    struct live *live = &w->live[i];
    uint32_t offset = 1 + random_below(&w->random, live->bytes);
    if (offset < live->bytes) {
        ck_assert_int_ne(w->ops->free(w->a, live->p + offset), ALLOC_OK);
    }
    unsigned char *wild = (unsigned char *)w->a - 64 + random_below(&w->random, 128 + 64);
    if (wild < (unsigned char *)w->a + ((struct heap *)w->a)->first + 4) {
        ck_assert_int_ne(w->ops->free(w->a, wild), ALLOC_OK);
    }
    unsigned char *top = (unsigned char *)w->a + ((struct heap *)w->a)->top + 4;
    ck_assert_int_ne(w->ops->free(w->a, top + 8 * random_below(&w->random, 64)), ALLOC_OK);
}

static void world_step(struct world *w, uint32_t limit) {
    uint32_t dice = random_below(&w->random, 16);
    uint32_t i = w->live_count == 0 ? 0 : random_below(&w->random, w->live_count);
    if (w->live_count == 0 || (dice < 7 && w->live_count < w->live_max)) {
        world_alloc(w, limit);
    } else if (dice < 12) {
        world_free(w, i);
    } else if (dice < 15) {
        world_realloc(w, i, limit);
    } else {
        world_misuse(w, i);
    }
    const char *broken = w->ops->check(w->a);
    ck_assert_msg(broken == NULL, "%s", broken);
}

static void world_drain(struct world *w) {
    while (w->live_count > 0) {
        world_free(w, random_below(&w->random, w->live_count));
        ck_assert_ptr_null(w->ops->check(w->a));
    }
}

START_TEST(test_soak) {
    static struct world w;
    w = (struct world){.ops = heaps[_i % HEAP_COUNT], .random = seed + (uint64_t)_i};
    uint32_t pool_bytes = 512u << random_below(&w.random, 7);
    pool_bytes += random_below(&w.random, 64);
    unsigned char *pool = memory + 4096 + random_below(&w.random, 8);
    memset(memory, (int)random_next(&w.random) & 255, sizeof(memory));
    pool_bytes = pool_bytes > w.ops->pool_max ? (uint32_t)w.ops->pool_max : pool_bytes;
    w.a = w.ops->init(pool, pool_bytes, NULL);
    ck_assert_ptr_nonnull(w.a);
    size_t fresh = w.ops->largest(w.a);
    w.live_max = 1 + random_below(&w.random, 600);
    uint32_t limit = 1 + random_below(&w.random, (uint32_t)fresh);
    unsigned char before = pool[-1];
    unsigned char behind = pool[pool_bytes];
    for (uint32_t step = 0; step < 1500; step++) {
        world_step(&w, limit);
    }
    world_drain(&w);
    ck_assert_uint_eq(w.ops->largest(w.a), fresh);
    ck_assert_uint_eq(pool[-1], before);
    ck_assert_uint_eq(pool[pool_bytes], behind);
}
END_TEST

int main(void) {
    const char *text = getenv("HEAPRIG_SEED");
    seed = text == NULL ? 1 : strtoull(text, NULL, 16);
    printf("seed=%llx\n", (unsigned long long)seed);
    Suite *suite = suite_create("heap");
    TCase *layout = tcase_create("layout");
    tcase_add_loop_test(layout, test_layout, 0, HEAP_COUNT);
    tcase_add_test(layout, test_control_structure_is_as_small_as_the_pool_allows);
    tcase_add_test(layout, test_class_rows);
    suite_add_tcase(suite, layout);
    TCase *soak = tcase_create("soak");
    tcase_set_timeout(soak, 120);
    tcase_add_loop_test(soak, test_soak, 0, 20 * HEAP_COUNT);
    suite_add_tcase(suite, soak);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
