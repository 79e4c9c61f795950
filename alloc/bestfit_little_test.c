/* SPDX-License-Identifier: MIT
 *
 * bestfit_little_test.c - bestfit_little from the inside
 *
 * The conformance tests say what the contract says. Here is what only the insides show: the layout
 * to the byte, which block a request takes, that check() finds every flipped bit, and that the
 * whole of the largest pool can be used. Long random runs are held against a model that knows
 * nothing but the pieces walk() tells of.
 */
#ifndef ALLOC_ASSERTS
#define ALLOC_ASSERTS
#endif
#include "bestfit_little.c"

#include "white_box.h"

static const struct alloc_ops *const ops = &bestfit_little_ops;

/* ---- layout ---- */

START_TEST(test_layout) {
    char *memory = aligned_memory(8192, 8, 0);
    for (uint32_t shift = 0; shift < 8; shift++) {
        struct alloc *a = ops->init(memory + shift, 4096 + 7, NULL);
        char *pool = memory + (shift + 7) / 8 * 8;
        EXPECT((char *)a == pool && pool_begin(a) == (uintptr_t)memory + shift);
        EXPECT(pool_bytes_of(a) == 4096 + 7 && a->first.header == 4096 - 8);
        char *p = ops->alloc(a, 15);
        char *q = ops->alloc(a, 1);
        EXPECT(p == pool + 8 && q == p + 24);
        EXPECT(ops->usable(a, p) == 22 && ops->usable(a, q) == 6);
        EXPECT(a->first.header == (24 | LIVE) && block_behind(&a->first)->header == (8 | LIVE));
        EXPECT(ops->free(a, p) == ALLOC_OK && a->first.header == 24);
        EXPECT(ops->free(a, q) == ALLOC_OK && a->first.header == 4096 - 8);
        p = ops->alloc_aligned(a, 20, 64);
        EXPECT(ops->usable(a, p) == 20 && ((struct block *)(p + 20))->header == 64);
        EXPECT(ops->check(a) == NULL);
    }
}
END_TEST

/* The smallest pool has one block, the largest 8190. */
START_TEST(test_pools_from_the_smallest_to_the_largest) {
    static char *p[8190];
    char *memory = aligned_memory(POOL_MAX, 8, 0);
    EXPECT(ops->init(memory, 15, NULL) == NULL);
    struct alloc *a = ops->init(memory, 16, NULL);
    EXPECT(ops->largest(a) == 6 && ops->alloc(a, 6) == memory + 8 && ops->largest(a) == 0);
    EXPECT(ops->init(memory, POOL_MAX + 1, NULL) == NULL);
    a = ops->init(memory, POOL_MAX, NULL);
    EXPECT(ops->largest(a) == 65526);
    for (uint32_t i = 0; i < 8190; i++) {
        p[i] = ops->alloc(a, 6);
        EXPECT(p[i] == memory + 8 + 8 * i);
    }
    EXPECT(ops->largest(a) == 8 - HEADER_BYTES && ops->alloc(a, 7) == NULL);
    EXPECT(ops->alloc(a, 1) == memory + POOL_MAX - 8 && ops->alloc(a, 1) == NULL);
    EXPECT(ops->check(a) == NULL);
    for (uint32_t i = 0; i < 8190; i += 2) {
        EXPECT(ops->free(a, p[i]) == ALLOC_OK);
    }
    EXPECT(ops->largest(a) == 6 && ops->free(a, p[8189]) == ALLOC_OK);
    EXPECT(ops->largest(a) == 14 && ops->check(a) == NULL);
}
END_TEST

/* ---- realloc ---- */

START_TEST(test_realloc_in_place) {
    struct alloc *a = ops->init(aligned_memory(448, 64, 0), 448, NULL);
    char *p[4];
    for (int i = 0; i < 4; i++) {
        p[i] = ops->alloc(a, 102);
        memset(p[i], 'a' + i, 102);
    }
    EXPECT(ops->realloc(a, p[3], 110) == p[3]); /* 8 more bytes of what is free at the end */
    EXPECT(ops->realloc(a, p[3], 102) == p[3]);
    EXPECT(ops->free(a, p[1]) == ALLOC_OK);
    EXPECT(ops->realloc(a, p[0], 206) == p[0]); /* forwards, all of the hole */
    EXPECT(ops->realloc(a, p[0], 102) == p[0]);
    EXPECT(ops->check(a) == NULL);
    EXPECT(ops->realloc(a, p[2], 207) == NULL && p[2][101] == 'c');
    EXPECT(ops->realloc(a, p[2], 150) == p[1]); /* backwards: forwards p[3] is in the way */
    for (int i = 0; i < 102; i++) {
        EXPECT(p[0][i] == 'a' && p[1][i] == 'c' && p[3][i] == 'd');
    }
    EXPECT(ops->free(a, p[2]) != ALLOC_OK);
    EXPECT(ops->free(a, p[0]) == ALLOC_OK);
    EXPECT(ops->realloc(a, p[1], 300) == p[0]); /* backwards and forwards */
    EXPECT(p[0][0] == 'c' && p[0][101] == 'c' && ops->check(a) == NULL);
}
END_TEST

START_TEST(test_realloc_keeps_alignment) {
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

/* ---- random runs against a model ---- */

enum { LIVE_MAX = 400, STEPS = 4000 };

struct live {
    unsigned char *p;
    uint32_t bytes, align;
    unsigned char fill;
};

struct world {
    struct alloc *a;
    uintptr_t pool, end;
    struct live live[LIVE_MAX];
    uint32_t live_count, live_max;
    uint64_t random;
};

/* The smallest sufficient free piece, the first of equals. */
struct best_fit {
    uint32_t need, align;
    size_t bytes;
    uintptr_t payload;
};

static bool best_fit_visit(void *ctx, const struct alloc_piece *piece) {
    struct best_fit *best = ctx;
    uintptr_t start = (uintptr_t)piece->start;
    uintptr_t payload = (start + 2 + best->align - 1) & ~(uintptr_t)(best->align - 1);
    size_t note = best->align > 8 ? 2 : 0;
    if (piece->kind == ALLOC_PIECE_FREE && piece->bytes < best->bytes &&
        payload + best->need + note <= start + piece->bytes) {
        best->bytes = piece->bytes;
        best->payload = payload;
    }
    return true;
}

/* Where the request goes, or 0. */
static uintptr_t best_fit_find(const struct world *w, uint32_t bytes, uint32_t align) {
    struct best_fit best = {bytes, align, SIZE_MAX, 0};
    ops->walk(w->a, best_fit_visit, &best);
    return best.payload;
}

/* What is free around a live block. */
struct around {
    const void *payload;
    size_t before, behind;
    bool met;
};

static bool around_visit(void *ctx, const struct alloc_piece *piece) {
    struct around *around = ctx;
    if (around->met) {
        around->behind = piece->kind == ALLOC_PIECE_FREE ? piece->bytes : 0;
        return false;
    }
    around->met = piece->payload == around->payload;
    if (!around->met) {
        around->before = piece->kind == ALLOC_PIECE_FREE ? piece->bytes : 0;
    }
    return true;
}

static void live_check(const struct live *live, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        EXPECT(live->p[i] == live->fill);
    }
}

static void live_fill(struct world *w, struct live *live, void *p, uint32_t bytes) {
    live->p = p;
    live->bytes = bytes;
    live->fill = (unsigned char)random_word(&w->random);
    size_t usable = ops->usable(w->a, p);
    EXPECT(usable >= bytes && (uintptr_t)p % live->align == 0);
    memset(p, live->fill, usable);
}

/* From 1 to limit, each octave as often as the next. */
static uint32_t random_bytes(uint64_t *random, uint32_t limit) {
    uint32_t octave = random_below(random, 32 - (uint32_t)__builtin_clz(limit));
    return 1 + random_below(random, 2u << octave) % limit;
}

static void world_alloc(struct world *w, uint32_t limit) {
    struct live *live = &w->live[w->live_count];
    uint32_t bytes = random_bytes(&w->random, limit);
    size_t largest = ops->largest(w->a);
    live->align = random_below(&w->random, 8) == 0 ? 16u << random_below(&w->random, 6) : 8;
    uintptr_t wanted = best_fit_find(w, bytes, live->align);
    void *p =
        live->align != 8 ? ops->alloc_aligned(w->a, bytes, live->align) : ops->alloc(w->a, bytes);
    EXPECT((uintptr_t)p == wanted);
    EXPECT(live->align != 8 || (p != NULL) == (bytes <= largest));
    if (p != NULL) {
        live_fill(w, live, p, bytes);
        w->live_count++;
    }
}

static void world_free(struct world *w, uint32_t i) {
    struct live *live = &w->live[i];
    live_check(live, live->bytes);
    EXPECT(ops->free(w->a, live->p) == ALLOC_OK);
    *live = w->live[--w->live_count];
}

/* Where realloc has to leave the payload: here, slid down, or where alloc puts it. */
static uintptr_t resized_find(const struct world *w, const struct live *live, uint32_t bytes) {
    struct around around = {.payload = live->p};
    ops->walk(w->a, around_visit, &around);
    size_t room = ops->usable(w->a, live->p) + around.behind;
    if (bytes <= room) {
        return (uintptr_t)live->p;
    }
    if (live->align == 8 && bytes <= room + around.before) {
        return (uintptr_t)live->p - around.before;
    }
    return best_fit_find(w, bytes, live->align);
}

static void world_realloc(struct world *w, uint32_t i, uint32_t limit) {
    struct live *live = &w->live[i];
    uint32_t bytes = random_bytes(&w->random, limit);
    uintptr_t wanted = resized_find(w, live, bytes);
    unsigned char *old = live->p;
    unsigned char *p = ops->realloc(w->a, old, bytes);
    EXPECT((uintptr_t)p == wanted);
    if (p == NULL) {
        live_check(live, live->bytes);
        return;
    }
    live->p = p;
    live_check(live, live->bytes < bytes ? live->bytes : bytes);
    live_fill(w, live, p, bytes);
}

/* No address of the pool is taken for a payload but those of live blocks, whatever these hold. */
static void world_misuse(struct world *w) {
    for (uintptr_t at = w->pool - 64; at < w->end + 64; at += 1 + random_below(&w->random, 16)) {
        bool live = false;
        for (uint32_t i = 0; i < w->live_count; i++) {
            live = live || (uintptr_t)w->live[i].p == at;
        }
        if (!live) {
            EXPECT(ops->free(w->a, (void *)at) != ALLOC_OK);
            EXPECT(ops->usable(w->a, (void *)at) == 0);
            EXPECT(ops->realloc(w->a, (void *)at, 1) == NULL);
        }
    }
}

static void world_step(struct world *w, uint32_t limit) {
    uint32_t dice = random_below(&w->random, 16);
    uint32_t i = w->live_count == 0 ? 0 : random_below(&w->random, w->live_count);
    if (w->live_count == 0 || (dice < 7 && w->live_count < w->live_max)) {
        world_alloc(w, limit);
    } else if (dice < 12) {
        world_free(w, i);
    } else {
        world_realloc(w, i, limit);
    }
    const char *broken = ops->check(w->a);
    if (broken != NULL) {
        ck_abort_msg("%s", broken);
    }
}

START_TEST(test_soak) {
    static struct world w;
    w = (struct world){.random = seed_of((uint64_t)_i)};
    size_t bytes = 64u << random_below(&w.random, 10);
    bytes += random_below(&w.random, 64);
    char *pool = aligned_memory(bytes + 8, 4096, random_below(&w.random, 8));
    memset(pool, (int)random_below(&w.random, 256), bytes + 8);
    char behind = pool[bytes];
    w.a = ops->init(pool, bytes, NULL);
    EXPECT(w.a != NULL);
    w.pool = (uintptr_t)pool;
    w.end = w.pool + bytes;
    size_t fresh = ops->largest(w.a);
    w.live_max = 1 + random_below(&w.random, LIVE_MAX);
    uint32_t limit = 1 + random_below(&w.random, (uint32_t)fresh);
    for (uint32_t step = 0; step < STEPS; step++) {
        world_step(&w, limit);
        if (step % 512 == 0) {
            world_misuse(&w);
        }
    }
    while (w.live_count > 0) {
        world_free(&w, random_below(&w.random, w.live_count));
        EXPECT(ops->check(w.a) == NULL);
    }
    EXPECT(ops->largest(w.a) == fresh && pool[bytes] == behind);
}
END_TEST

/* ---- check() ---- */

enum { CHECKED_BYTES = 6000, FILL = 0x55 }; /* 0x5555 is no header: its flags are impossible */

/* A pool in which every byte that is no header and no alignment is FILL. */
static struct alloc *worn_pool(char *memory, uint64_t *random) {
    struct alloc *a = ops->init(memory, CHECKED_BYTES, NULL);
    for (uint32_t i = 0; i < 80; i++) {
        uint32_t bytes = random_bytes(random, 200);
        void *p =
            random_below(random, 4) == 0 ? ops->alloc_aligned(a, bytes, 32) : ops->alloc(a, bytes);
        EXPECT(random_below(random, 3) != 0 || ops->free(a, p) == ALLOC_OK);
    }
    for (struct block *b = &a->first; b->header != 0; b = block_behind(b)) {
        memset(block_payload(b), FILL, block_usable(b));
    }
    EXPECT(ops->check(a) == NULL);
    return a;
}

/* Whether `end` is where a block behind b begins, or the closing header. */
static bool block_begins_at(const struct block *b, const struct block *end) {
    while (b->header != 0 && b < end) {
        b = block_behind(b);
    }
    return b == end;
}

/* Whether a flipped bit may leave a pool that looks sound: a block that is free by mistake, or
 * live, or not aligned any more, or that has swallowed those behind it. */
static bool flip_may_hide(const struct block *before, const struct block *b, uint32_t bit) {
    const struct block *behind = block_behind(b);
    if (b->header == 0) {
        return false;
    }
    if (bit == 0) {
        bool is_alone = (before == NULL || block_is_live(before)) &&
                        (behind->header == 0 || block_is_live(behind));
        return !block_is_live(b) || is_alone;
    }
    if (bit == 1) {
        return block_align(b) != ALLOC_ALIGN;
    }
    const struct block *end = block_at(b, block_bytes(b) ^ 1u << bit);
    return bit > 2 && end > behind && block_begins_at(b, end);
}

START_TEST(test_check_finds_every_flipped_bit) {
    uint64_t random = seed_of((uint64_t)_i);
    char *memory = aligned_memory(CHECKED_BYTES, 8, random_below(&random, 8));
    struct alloc *a = worn_pool(memory, &random);
    for (uint32_t bit = 0; bit < 8 * offsetof(struct alloc, first); bit++) {
        unsigned char *byte = (unsigned char *)a + bit / 8;
        *byte ^= (unsigned char)(1u << bit % 8);
        EXPECT(ops->check(a) != NULL);
        *byte ^= (unsigned char)(1u << bit % 8);
    }
    uint32_t blocks = 0, found = 0;
    struct block *before = NULL, *b = &a->first;
    for (bool is_closing = false; !is_closing; blocks++) {
        is_closing = b->header == 0;
        for (uint32_t bit = 0; bit < 16; bit++) {
            bool may_hide = flip_may_hide(before, b, bit);
            b->header ^= (uint16_t)(1u << bit);
            bool finds = ops->check(a) != NULL;
            b->header ^= (uint16_t)(1u << bit);
            EXPECT(finds || may_hide);
            found += finds;
        }
        before = b;
        b = block_behind(b);
    }
    EXPECT(found >= 10 * blocks && ops->check(a) == NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("bestfit_little");
    TCase *inside = tcase_create("inside");
    tcase_set_timeout(inside, 120);
    tcase_add_test(inside, test_layout);
    tcase_add_test(inside, test_pools_from_the_smallest_to_the_largest);
    tcase_add_test(inside, test_realloc_in_place);
    tcase_add_test(inside, test_realloc_keeps_alignment);
    tcase_add_loop_test(inside, test_soak, 0, 60);
    tcase_add_loop_test(inside, test_check_finds_every_flipped_bit, 0, 8);
    suite_add_tcase(suite, inside);
    return test_main(suite);
}
