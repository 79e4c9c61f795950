/* SPDX-License-Identifier: MIT
 *
 * runs_test.c - slab runs from inside
 *
 * The conformance tests see little of runs, for their pools are too small to have many. Here an
 * allocator that begins a run for every small block and in pools of any size goes through random
 * operations against a model, with check() after each; damage to each part of the metadata has to
 * be found; and the own allocators have to have runs where they say they do.
 */
#include "runs_test.h"

enum { LIVE_MAX = 500, DEAD_MAX = 64, STEPS = 3000, SOAKS = 60 };

struct live {
    unsigned char *p;
    uint32_t bytes;
    uint32_t align;
    unsigned char fill;
};

struct world {
    struct alloc *a;
    struct live live[LIVE_MAX];
    uint32_t live_count;
    uint32_t live_max;
    uint32_t limit; /* of requests */
    unsigned char *dead[DEAD_MAX];
    uint32_t dead_next;
    uint64_t random;
};

static bool is_live(const struct world *w, const unsigned char *p) {
    for (uint32_t i = 0; i < w->live_count; i++) {
        if (w->live[i].p == p) {
            return true;
        }
    }
    return false;
}

static void live_expect(const struct live *live, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++) {
        EXPECT(live->p[i] == live->fill);
    }
}

static void live_fill(struct world *w, struct live *live) {
    size_t usable = eager_ops.usable(w->a, live->p);
    EXPECT(usable >= live->bytes);
    EXPECT((uintptr_t)live->p % live->align == 0);
    live->fill = (unsigned char)random_word(&w->random);
    memset(live->p, live->fill, usable);
}

/* Half of the requests are for one of four sizes, so that runs fill up. */
static uint32_t request_random(struct world *w) {
    if (random_below(&w->random, 2) == 0) {
        return 24 + 40 * random_below(&w->random, 4);
    }
    return 1 + random_below(&w->random, 2u << random_below(&w->random, 8)) % w->limit;
}

static void world_alloc(struct world *w) {
    struct live *live = &w->live[w->live_count];
    size_t largest = eager_ops.largest(w->a);
    live->bytes = request_random(w);
    live->align = random_below(&w->random, 8) == 0 ? 16u << random_below(&w->random, 6) : 8;
    live->p = live->align > 8 ? eager_ops.alloc_aligned(w->a, live->bytes, live->align)
                              : eager_ops.alloc(w->a, live->bytes);
    if (live->align == 8) {
        EXPECT((live->p != NULL) == (live->bytes <= largest));
    } else if (largest > ALLOC_SLOT_MAX && largest >= live->bytes + live->align + 16) {
        EXPECT(live->p != NULL);
    }
    if (live->p != NULL) {
        live_fill(w, live);
        w->live_count++;
    }
}

static void world_free(struct world *w, uint32_t i) {
    struct live *live = &w->live[i];
    live_expect(live, live->bytes);
    free_expect(w->a, live->p, w->live_count == 1);
    EXPECT(eager_ops.free(w->a, live->p) == ALLOC_NOT_LIVE ||
           eager_ops.free(w->a, live->p) == ALLOC_FOREIGN);
    w->dead[w->dead_next++ % DEAD_MAX] = live->p;
    *live = w->live[--w->live_count];
}

static void world_realloc(struct world *w, uint32_t i) {
    struct live *live = &w->live[i];
    uint32_t bytes = request_random(w);
    size_t largest = eager_ops.largest(w->a);
    unsigned char *p = eager_ops.realloc(w->a, live->p, bytes);
    if (p == NULL) {
        EXPECT(bytes > live->bytes && (live->align > 8 || bytes > largest));
        live_expect(live, live->bytes);
        return;
    }
    live->p = p;
    live_expect(live, live->bytes < bytes ? live->bytes : bytes);
    live->bytes = bytes;
    live_fill(w, live);
}

/* Whatever is in a run and no live block is refused, whatever payloads hold. */
static void world_misuse(struct world *w) {
    const struct heap *h = (const struct heap *)w->a;
    for (uint32_t i = 0; i < 64; i++) {
        unsigned char *p = (unsigned char *)w->a + random_below(&w->random, h->top);
        struct slot slot;
        if (slot_find(h, p, &slot) && !is_live(w, p)) {
            EXPECT(eager_ops.usable(w->a, p) == 0);
            EXPECT(eager_ops.realloc(w->a, p, 1) == NULL);
            EXPECT(eager_ops.free(w->a, p) != ALLOC_OK);
        }
    }
    for (uint32_t i = 0; i < DEAD_MAX; i++) {
        struct slot slot;
        if (w->dead[i] != NULL && slot_find(h, w->dead[i], &slot) && !is_live(w, w->dead[i])) {
            EXPECT(eager_ops.free(w->a, w->dead[i]) != ALLOC_OK);
        }
    }
}

static void world_step(struct world *w) {
    uint32_t dice = random_below(&w->random, 16);
    uint32_t i = w->live_count == 0 ? 0 : random_below(&w->random, w->live_count);
    if (w->live_count == 0 || (dice < 8 && w->live_count < w->live_max)) {
        world_alloc(w);
    } else if (dice < 13) {
        world_free(w, i);
    } else if (dice < 15) {
        world_realloc(w, i);
    } else {
        world_misuse(w);
    }
    check_expect(w->a);
}

START_TEST(test_soak) {
    static struct world w;
    w = (struct world){.random = seed_of((uint64_t)_i)};
    size_t bytes = (2048u << random_below(&w.random, 7)) + random_below(&w.random, 64);
    char *pool = aligned_memory(bytes + 8, 4096, random_below(&w.random, 8));
    w.a = eager_ops.init(pool, bytes, NULL);
    EXPECT(w.a != NULL);
    size_t fresh = eager_ops.largest(w.a);
    w.live_max = 1 + random_below(&w.random, LIVE_MAX);
    w.limit = 1 + random_below(&w.random, (uint32_t)fresh);
    for (uint32_t step = 0; step < STEPS; step++) {
        world_step(&w);
    }
    while (w.live_count > 0) {
        world_free(&w, random_below(&w.random, w.live_count));
        check_expect(w.a);
    }
    EXPECT(eager_ops.largest(w.a) == fresh);
}
END_TEST

/* ---- damage ---- */

/* A pool with runs of several classes, full ones and others; *p is a live slot. */
static struct alloc *pool_with_runs(void **p) {
    struct alloc *a = eager_ops.init(aligned_memory(POOL_BYTES, 4096, 0), POOL_BYTES, NULL);
    EXPECT(a != NULL);
    for (uint32_t i = 0; i < 150; i++) {
        *p = eager_ops.alloc(a, 40);
        EXPECT(*p != NULL && eager_ops.alloc(a, 16) != NULL);
    }
    EXPECT(eager_ops.alloc(a, 1000) != NULL);
    check_expect(a);
    return a;
}

START_TEST(test_check_finds_damage) {
    void *p;
    struct alloc *a = pool_with_runs(&p);
    struct runs *r = runs_of((struct heap *)a);
    struct slot slot;
    EXPECT(slot_find((struct heap *)a, p, &slot) && slot.is_live && slot.class == 5);
    unsigned char *run = (unsigned char *)slot.word - RUN_BITS;
    uint32_t granule = slot_run(r, &slot) / RUNS_GRANULE;
    unsigned char *const parts[] = {
        (unsigned char *)&r->lead,
        (unsigned char *)&r->map_bytes,
        (unsigned char *)&r->seal,
        (unsigned char *)&r->reach,
        (unsigned char *)&r->spare[3], /* that of class 3 or 5 */
        (unsigned char *)&r->open,
        (unsigned char *)&r->none,
        (unsigned char *)&r->head[5],
        (unsigned char *)&r->head[3],
        (unsigned char *)&r->live[3],
        (unsigned char *)runs_entry(r, granule),
        (unsigned char *)runs_entry(r, granule + 4),
        (unsigned char *)runs_entry(r, granule + 5),
        (unsigned char *)runs_entry(r, 0),
        run + 4,
        run + RUN_BITS,
        run + RUN_NEXT,
        run + RUN_PREV,
    };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i] ^= 1;
        EXPECT(eager_ops.check(a) != NULL);
        *parts[i] ^= 1;
        check_expect(a);
    }
}
END_TEST

START_TEST(test_every_other_address_of_a_run_is_refused) {
    void *live;
    struct alloc *a = pool_with_runs(&live);
    struct slot slot;
    EXPECT(slot_find((struct heap *)a, live, &slot));
    unsigned char *run = (unsigned char *)slot.word - RUN_BITS;
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < RUNS_SLOTS * 40; i++) {
        accepted += eager_ops.usable(a, run + i) != 0;
    }
    EXPECT(accepted == RUNS_SLOTS - (uint32_t)__builtin_popcountll(slot.bits));
    for (uint32_t i = 0; i < 40; i++) {
        EXPECT((eager_ops.free(a, (unsigned char *)live + i) == ALLOC_OK) == (i == 0));
    }
    check_expect(a);
}
END_TEST

/* Once runs have gone back to the heap, their slots are still dead, whatever lies before them: here
 * all payloads read as headers of small live blocks. */
START_TEST(test_slots_of_a_gone_run_are_refused) {
    enum { SLOTS = 3 * RUNS_SLOTS, BYTES = 1 << 18 };
    uint32_t bytes = class_bytes((uint32_t)_i + 1);
    struct alloc *a = eager_ops.init(aligned_memory(BYTES, 4096, 0), BYTES, NULL);
    uint32_t *p[SLOTS];
    for (uint32_t i = 0; i < SLOTS; i++) {
        p[i] = eager_ops.alloc(a, bytes);
        EXPECT(p[i] != NULL);
        for (uint32_t word = 0; word < bytes / 4; word++) {
            p[i][word] = HEAP_BLOCK_MIN;
        }
    }
    EXPECT(eager_ops.alloc(a, 1000) != NULL); /* or all were in the wilderness */
    for (uint32_t i = 0; i < SLOTS; i++) {
        EXPECT(eager_ops.free(a, p[i]) == ALLOC_OK);
    }
    struct slot slot;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < SLOTS; i++) {
        gone += !slot_find((struct heap *)a, p[i], &slot);
        EXPECT(eager_ops.usable(a, p[i]) == 0);
        EXPECT(eager_ops.free(a, p[i]) != ALLOC_OK);
    }
    EXPECT(gone >= RUNS_SLOTS);
    check_expect(a);
}
END_TEST

/* ---- parked blocks ---- */

/* Makes the words of memory lead to a header as if each were that of a block right before it. */
static void headers_forge(struct heap *h, uint32_t from, uint32_t end, uint32_t header) {
    for (uint32_t b = from; b < end; b += 4) {
        heap_set(h, b, header - b);
    }
}

/* What lies behind the last slot of a run, up to 12 bytes, is refused although the word before it,
 * where a block would have its header, is the slot's to write or was a block's before: here it
 * leads to headers behind. */
START_TEST(test_what_lies_behind_a_run_is_refused) {
    enum { BYTES = 1 << 18 };
    uint32_t class = (uint32_t)_i + 1, run_bytes = class_granules(class) * RUNS_GRANULE;
    uint32_t longer = 0;
    for (uint32_t bytes = run_bytes; bytes < run_bytes + 2 * RUNS_GRANULE; bytes += 8) {
        struct alloc *a = eager_ops.init(aligned_memory(BYTES, 4096, 0), BYTES, NULL);
        struct heap *h = (struct heap *)a;
        unsigned char *hole = eager_ops.alloc(a, bytes + 4), *beside[2];
        beside[0] = eager_ops.alloc(a, BESIDES_BYTES);
        beside[1] = eager_ops.alloc(a, BESIDES_BYTES);
        uint32_t b = payload_block(h, hole), behind = payload_block(h, beside[1]);
        headers_forge(h, b + 4, payload_block(h, beside[0]), behind);
        EXPECT(eager_ops.free(a, hole) == ALLOC_OK);
        unsigned char *last = eager_ops.alloc(a, class_bytes(class)); /* the highest slot */
        struct slot slot;
        EXPECT(slot_find(h, last, &slot) && slot.is_live);
        uint32_t slots_end = payload_block(h, last + class_bytes(class)) + 4;
        uint32_t run = run_block(slot_run(runs_of(h), &slot));
        uint32_t run_end = run + block_size(heap_get(h, run));
        headers_forge(h, slots_end - class_bytes(class), slots_end, behind);
        longer += run_end - slots_end > 8;
        for (unsigned char *p = last + class_bytes(class); payload_block(h, p) < run_end; p += 8) {
            EXPECT(eager_ops.usable(a, p) == 0 && eager_ops.realloc(a, p, 8) == NULL);
            EXPECT(eager_ops.free(a, p) != ALLOC_OK);
        }
        EXPECT(eager_ops.free(a, last) == ALLOC_OK);
        check_expect(a);
    }
    /* Of holes so short that a run of class 1 leaves 8 bytes, wide slots take the place. */
    EXPECT(longer > 0 || (RUNS_HAS_WIDE && class == 1));
}
END_TEST

/* Two blocks parked side by side serve a request together once nothing else is left. */
START_TEST(test_parked_neighbours_are_one_free_block) {
    struct alloc *a = eager_ops.init(aligned_memory(PARKED_POOL, 4096, 0), PARKED_POOL, NULL);
    const uint32_t one = PARKED_BYTES + 4;
    uint32_t other = one + 8;
    for (; parked_index(other) == parked_index(one); other += 8) {
    }
    void *first = eager_ops.alloc(a, one - 4);
    void *second = eager_ops.alloc(a, other - 4);
    for (uint32_t i = 0; i < 6; i++) { /* no more are parked than live */
        EXPECT(eager_ops.alloc(a, BESIDES_BYTES) != NULL);
    }
    EXPECT(eager_ops.free(a, first) == ALLOC_OK && eager_ops.free(a, second) == ALLOC_OK);
    EXPECT(runs_of((struct heap *)a)->parked_sum == parked_weight(one) + parked_weight(other));
    EXPECT(eager_ops.usable(a, first) == 0 && eager_ops.free(a, second) != ALLOC_OK);
    EXPECT(eager_ops.alloc(a, other - 4) == second && eager_ops.free(a, second) == ALLOC_OK);
    EXPECT(eager_ops.alloc(a, eager_ops.largest(a)) != NULL);
    EXPECT(eager_ops.largest(a) == one + other - 4);
    EXPECT(eager_ops.alloc(a, one + other - 3) == NULL);
    EXPECT(eager_ops.alloc(a, one + other - 4) == first);
    check_expect(a);
}
END_TEST

/* However many blocks are parked when a large request takes the wilderness, or when all else is
 * freed, each operation gives one of them back at most, beside its own. */
START_TEST(test_parked_blocks_go_one_by_one) {
    bool is_drained = _i == 1;
    struct alloc *a = eager_ops.init(aligned_memory(PARKED_POOL, 4096, 0), PARKED_POOL, NULL);
    const struct runs *r = runs_of((struct heap *)a);
    void *parked[RUNS_PARKED];
    void *live[16];
    uint32_t parked_sum = 0;
    uint32_t bytes = PARKED_BYTES + 4; /* of a block, each to be parked in a place of its own */
    for (uint32_t i = 0; i < 16; i++) {
        live[i] = eager_ops.alloc(a, BESIDES_BYTES);
        for (; i < RUNS_PARKED && parked_index(bytes) != RUNS_PARKED - 1 - i; bytes += 8) {
        }
        if (i < RUNS_PARKED) {
            parked[i] = eager_ops.alloc(a, bytes - 4);
            parked_sum += parked_weight(bytes);
        }
    }
    for (uint32_t i = 0; i < RUNS_PARKED; i++) {
        EXPECT(eager_ops.free(a, parked[i]) == ALLOC_OK);
    }
    EXPECT(r->parked_sum == parked_sum);
    uint32_t count = RUNS_PARKED;
    if (!is_drained) {
        EXPECT(eager_ops.alloc(a, eager_ops.largest(a)) != NULL);
    }
    for (uint32_t i = 0; i < 16; i++) {
        EXPECT(eager_ops.free(a, live[i]) == ALLOC_OK);
        uint32_t before = count;
        count = 0;
        for (uint32_t place = 0; place < RUNS_PARKED; place++) {
            count += r->parked[place] != 0;
        }
        EXPECT(before <= count + 1);
        check_expect(a);
    }
    EXPECT(r->parked_sum == 0);
}
END_TEST

/* ---- a pool copied elsewhere ---- */

START_TEST(test_copy_goes_on_with_the_same_offsets) {
    void *p;
    struct alloc *a = pool_with_runs(&p);
    char *pool = (char *)runs_pool(runs_of((struct heap *)a));
    char *copy = aligned_memory(POOL_BYTES, 4096, 64);
    memcpy(copy, pool, POOL_BYTES);
    struct alloc *b = (struct alloc *)(copy + ((char *)a - pool));
    memset(pool, 0xA5, POOL_BYTES / 2); /* nothing may be looked up there */
    char *again = aligned_memory(POOL_BYTES, 4096, 192);
    memcpy(again, copy, POOL_BYTES);
    struct alloc *c = (struct alloc *)(again + ((char *)a - pool));
    uint64_t random = seed_of(1000);
    for (uint32_t i = 0; i < 600; i++) {
        uint32_t bytes = 1 + random_below(&random, 300);
        char *in_b = eager_ops.alloc(b, bytes);
        char *in_c = eager_ops.alloc(c, bytes);
        EXPECT((in_b == NULL) == (in_c == NULL));
        EXPECT(in_b == NULL || in_b - copy == in_c - again);
        if (in_b != NULL && random_below(&random, 2) == 0) {
            EXPECT(eager_ops.free(b, in_b) == ALLOC_OK && eager_ops.free(c, in_c) == ALLOC_OK);
        }
    }
    check_expect(b);
}
END_TEST

/* ---- the own allocators ---- */

/* Many blocks of a size have no headers, few have: in runs they lie as far apart as they are long.
 */
START_TEST(test_many_small_blocks_are_in_runs) {
    const char *const names[] = {"tlsf_frugal", "tlsf_fast"};
    const struct alloc_ops *ops = alloc_find(names[_i]);
    size_t pool_bytes = 1 << 20;
    struct alloc *a = ops->init(aligned_memory(pool_bytes, 4096, 0), pool_bytes, NULL);
    uint32_t in_runs = 0;
    char *before = NULL;
    for (uint32_t i = 0; i < 1000; i++) {
        char *p = ops->alloc(a, 64);
        EXPECT(p != NULL && (i >= 2 || ops->usable(a, p) == 68));
        in_runs += before - p == 64 && ops->usable(a, p) == 64;
        before = p;
    }
    EXPECT(in_runs > 950);
    EXPECT(ops->check(a) == NULL);
}
END_TEST

/* Larger slots are for pools with room: of 120 bytes there are none once 5/16 of the pool are
 * taken. Slots hold multiples of 8 bytes, blocks 4 more. */
START_TEST(test_large_slots_need_room) {
    const struct alloc_ops *ops = alloc_find("tlsf_fast");
    size_t pool_bytes = 1 << 20;
    for (uint32_t taken = 0; taken <= 5; taken += 5) {
        struct alloc *a = ops->init(aligned_memory(pool_bytes, 4096, 0), pool_bytes, NULL);
        EXPECT(taken == 0 || ops->alloc(a, pool_bytes / 16 * taken) != NULL);
        uint32_t slots = 0;
        for (uint32_t i = 0; i < 100; i++) {
            slots += ops->usable(a, ops->alloc(a, 120)) % 8 == 0;
        }
        EXPECT(slots == (taken == 0 ? 98 : 0)); /* the first two are blocks */
        EXPECT(ops->check(a) == NULL);
    }
}
END_TEST

/* ---- slots that agree with blocks ---- */

#if RUNS_SHIFT != 0
/* Requests of 16 n + 12 bytes fill multiples of 16, and those of 16 n are given as much, so all
 * payloads agree if the pool's address and what comes first make the first run and the first block
 * do so. A malloc is built on that. */
START_TEST(test_payloads_agree_modulo_16) {
    uint32_t agreeing = 0;
    for (uint32_t i = 0; i < 4; i++) {
        void *memory = aligned_memory(POOL_BYTES, 4096, i % 2 * 8);
        struct alloc *a = eager_ops.init(memory, POOL_BYTES, NULL);
        EXPECT(i < 2 || eager_ops.alloc(a, 1284) != NULL); /* 1288 bytes, never freed */
        struct live live[LIVE_MAX] = {{.p = NULL}};
        uint64_t random = seed_of(2000);
        uint32_t odd = 0;
        for (uint32_t step = 0; step < STEPS * 10; step++) {
            struct live *one = &live[random_below(&random, LIVE_MAX)];
            uint32_t bytes = 16 + 16 * random_below(&random, 1u << random_below(&random, 6));
            bytes -= random_below(&random, 2) * 4;
            if (one->p != NULL && random_below(&random, 4) != 0) {
                EXPECT(eager_ops.free(a, one->p) == ALLOC_OK);
                one->p = NULL;
                continue;
            }
            unsigned char *p = eager_ops.realloc(a, one->p, bytes);
            one->p = p != NULL ? p : one->p;
            odd += (uintptr_t)p % 16 != 0;
        }
        check_expect(a);
        agreeing += odd == 0;
    }
    EXPECT(agreeing == 1);
}
END_TEST

/* Of two sizes in turns, the runs of each lie in rows. Programs that build up much walk over it
 * later in that order; caches fetch rows ahead. */
START_TEST(test_runs_of_a_class_lie_in_rows) {
    enum { BLOCKS = 4000, BYTES = 16, ROW = RUNS_AHEAD + RUNS_SLOTS * BYTES };
    size_t pool_bytes = 1 << 20;
    struct alloc *a = eager_ops.init(aligned_memory(pool_bytes, 4096, 0), pool_bytes, NULL);
    uintptr_t before = 0;
    uint32_t jumps = 0;
    for (uint32_t i = 0; i < BLOCKS; i++) {
        uintptr_t p = (uintptr_t)eager_ops.alloc(a, BYTES);
        EXPECT(p != 0 && eager_ops.alloc(a, 3 * BYTES) != NULL);
        jumps += before - p > 4 * BYTES; /* three slots of a run are header */
        before = p;
    }
    EXPECT(jumps <= 2 * BLOCKS * BYTES / ROW); /* the other class may take what a row has left */
    check_expect(a);
}
END_TEST
#endif

int main(void) {
    Suite *suite = suite_create("runs");
    TCase *tcase = tcase_create("runs");
    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, test_soak, 0, SOAKS);
    tcase_add_test(tcase, test_check_finds_damage);
    tcase_add_test(tcase, test_every_other_address_of_a_run_is_refused);
    tcase_add_loop_test(tcase, test_slots_of_a_gone_run_are_refused, 0, RUNS_CLASS_END - 1);
    tcase_add_loop_test(tcase, test_what_lies_behind_a_run_is_refused, 0, RUNS_CLASS_END - 1);
    tcase_add_test(tcase, test_parked_neighbours_are_one_free_block);
    tcase_add_loop_test(tcase, test_parked_blocks_go_one_by_one, 0, 2);
    tcase_add_test(tcase, test_copy_goes_on_with_the_same_offsets);
    tcase_add_loop_test(tcase, test_many_small_blocks_are_in_runs, 0, 2);
    tcase_add_test(tcase, test_large_slots_need_room);
#if RUNS_SHIFT != 0
    tcase_add_test(tcase, test_payloads_agree_modulo_16);
    tcase_add_test(tcase, test_runs_of_a_class_lie_in_rows);
#endif
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
