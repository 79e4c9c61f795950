/* SPDX-License-Identifier: MIT
 *
 * heap_soak_test.c - long random runs on tlsf and bestfit, against a model
 *
 * Each run has a pool, a mix of sizes and a number of blocks of its own. After every operation
 * check() is asked; every payload keeps what was written; a best fit is compared with the one found
 * by walking all blocks; requests fail exactly when largest() says so; whatever was freed and not
 * handed out again is freed once more, in vain; at the end all is freed, and the pool is as fresh.
 */
#include "heap_test.h"

enum { LIVE_MAX = 600, DEAD_MAX = 64, POOL_MAX_BYTES = 1 << 16, STEPS = 4000 };

struct live {
    unsigned char *p;
    uint32_t bytes;
    uint32_t align;
    unsigned char fill;
};

/* A block that was freed, and of which no part was handed out since. */
struct dead {
    unsigned char *p;
    unsigned char *end;
};

struct world {
    const struct alloc_ops *ops;
    struct alloc *a;
    struct live live[LIVE_MAX];
    uint32_t live_count;
    uint32_t live_max;
    struct dead dead[DEAD_MAX];
    uint32_t dead_count;
    uint64_t random;
};

static void live_check(const struct live *live, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        EXPECT(live->p[i] == live->fill);
    }
}

static void live_fill(struct world *w, struct live *live, void *p, uint32_t bytes) {
    live->p = p;
    live->bytes = bytes;
    live->fill = (unsigned char)random_word(&w->random);
    size_t usable = w->ops->usable(w->a, p);
    EXPECT(usable >= bytes);
    EXPECT((uintptr_t)p % (live->align < 8 ? 8 : live->align) == 0);
    memset(p, live->fill, usable);
    for (uint32_t i = 0; i < w->dead_count; i++) {
        if (w->dead[i].p - 4 < live->p + usable && live->p - 4 < w->dead[i].end) {
            w->dead[i--] = w->dead[--w->dead_count];
        }
    }
}

static void dead_add(struct world *w, unsigned char *p, size_t usable) {
    uint32_t i = w->dead_count < DEAD_MAX ? w->dead_count++ : random_below(&w->random, DEAD_MAX);
    w->dead[i] = (struct dead){.p = p, .end = p + usable};
}

/* The smallest sufficient free block, the first of equals; the wilderness when there is none. */
struct best_fit {
    const unsigned char *wilderness;
    const unsigned char *start;
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

static void best_fit_expect(const struct world *w, const struct best_fit *best, const void *p) {
    EXPECT(w->ops == &tlsf_ops || (const unsigned char *)p - 4 == best->start);
}

static void world_alloc(struct world *w, uint32_t limit) {
    struct live *live = &w->live[w->live_count];
    uint32_t bytes = random_bytes(&w->random, limit);
    size_t largest = w->ops->largest(w->a);
    live->align = random_below(&w->random, 8) == 0 ? 16u << random_below(&w->random, 6) : 0;
    struct best_fit best = best_fit_find(w, bytes);
    void *p = live->align != 0 ? w->ops->alloc_aligned(w->a, bytes, live->align)
                               : w->ops->alloc(w->a, bytes);
    if (live->align != 0) {
        EXPECT(p != NULL || largest < bytes + live->align + 16);
    } else {
        EXPECT((p != NULL) == (bytes <= largest));
    }
    if (p != NULL && live->align == 0) {
        best_fit_expect(w, &best, p);
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
    dead_add(w, p, w->ops->usable(w->a, p));
    EXPECT(w->ops->free(w->a, p) == ALLOC_OK);
    *live = w->live[--w->live_count];
}

static void world_realloc(struct world *w, uint32_t i, uint32_t limit) {
    struct live *live = &w->live[i];
    uint32_t bytes = random_bytes(&w->random, limit);
    unsigned char *old = live->p;
    bool must =
        bytes <= w->ops->usable(w->a, old) || (live->align == 0 && bytes <= w->ops->largest(w->a));
    struct best_fit best = best_fit_find(w, bytes);
    uint32_t header = heap_get((struct heap *)w->a, (uint32_t)(old - 4 - (unsigned char *)w->a));
    const unsigned char *slid =
        (header & HEAP_PREV_FREE) == 0
            ? old
            : old - heap_get_at((struct heap *)w->a, (uint32_t)(old - (unsigned char *)w->a), -8);
    unsigned char *p = w->ops->realloc(w->a, old, bytes);
    if (p != NULL && live->align == 0 && p != old && p != slid) {
        best_fit_expect(w, &best, p);
    }
    if (p == NULL) {
        EXPECT(!must);
        live_check(live, live->bytes);
        return;
    }
    live->p = p;
    live_check(live, live->bytes < bytes ? live->bytes : bytes);
    live_fill(w, live, p, bytes);
    EXPECT(p == old || w->ops->free(w->a, old) != ALLOC_OK);
}

static void refusal_expect(const struct world *w, unsigned char *p) {
    EXPECT(w->ops->free(w->a, p) != ALLOC_OK);
    EXPECT(w->ops->usable(w->a, p) == 0);
    EXPECT(w->ops->realloc(w->a, p, 1) == NULL);
}

static void world_misuse(struct world *w, uint32_t i) {
    struct heap *h = (struct heap *)w->a;
    unsigned char *base = (unsigned char *)h;
    for (uint32_t k = 0; k < w->dead_count; k++) {
        refusal_expect(w, w->dead[k].p);
    }
    /* A payload of equal bytes forges no header. */
    struct live *live = &w->live[i];
    if (live->bytes > 1) {
        refusal_expect(w, live->p + 1 + random_below(&w->random, live->bytes - 1));
    }
    refusal_expect(w, base - 64 + random_below(&w->random, 64 + h->first + 4));
    refusal_expect(w, base + h->top + 4 + 4 * random_below(&w->random, 64));
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
    if (broken != NULL) {
        ck_abort_msg("%s", broken);
    }
}

START_TEST(test_soak) {
    static struct world w;
    w = (struct world){.ops = heaps[_i % HEAP_COUNT], .random = seed_of((uint64_t)_i)};
    size_t bytes = 512u << random_below(&w.random, 7);
    bytes += random_below(&w.random, 64);
    char *pool = aligned_memory(bytes + 8, 4096, random_below(&w.random, 8));
    memset(pool, (int)random_below(&w.random, 256), bytes + 8);
    char behind = pool[bytes];
    w.a = w.ops->init(pool, bytes, NULL);
    EXPECT(w.a != NULL);
    size_t fresh = w.ops->largest(w.a);
    w.live_max = 1 + random_below(&w.random, LIVE_MAX);
    uint32_t limit = 1 + random_below(&w.random, (uint32_t)fresh);
    for (uint32_t step = 0; step < STEPS; step++) {
        world_step(&w, limit);
    }
    while (w.live_count > 0) {
        world_free(&w, random_below(&w.random, w.live_count));
        EXPECT(w.ops->check(w.a) == NULL);
    }
    EXPECT(w.ops->largest(w.a) == fresh && pool[bytes] == behind);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("heap_soak");
    TCase *soak = tcase_create("soak");
    tcase_set_timeout(soak, 120);
    tcase_add_loop_test(soak, test_soak, 0, 50 * HEAP_COUNT);
    suite_add_tcase(suite, soak);
    return test_main(suite);
}
