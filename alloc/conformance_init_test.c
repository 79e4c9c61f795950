/* SPDX-License-Identifier: MIT
 * conformance_init_test.c - init(), and what follows from all state lying in the pool: the same
 * offsets whatever the pool held before and wherever it lies, copies that go on, pools apart. */
#include "conformance.h"

enum { OPS = 400, SLOTS = 24, PROBED_BYTES = 3 * RIG_POOL_BYTES };

/* ---- refusals ---- */

START_TEST(null_is_refused) {
    const struct conformance_case *subject = &conformance_cases[_i];
    const size_t sizes[] = {0, 1, RIG_POOL_BYTES, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        ck_assert_ptr_null(subject->ops->init(NULL, sizes[i], &subject->cfg));
        ck_assert_ptr_null(subject->ops->init(NULL, sizes[i], NULL));
    }
}
END_TEST

/* init() refuses and writes nothing. */
static void assert_refused(const struct conformance_case *subject, const struct arena *arena,
                           size_t pool_bytes, const struct alloc_cfg *cfg, unsigned char *before) {
    size_t all_bytes = arena->pool_bytes + 2 * ARENA_GUARD;
    memcpy(before, arena->pool - ARENA_GUARD, all_bytes);
    ck_assert_msg(subject->ops->init(arena->pool, pool_bytes, cfg) == NULL,
                  "%s accepts %zu B with block_bytes %u", subject->ops->name, pool_bytes,
                  (unsigned)(cfg != NULL ? cfg->block_bytes : 0));
    ck_assert_msg(memcmp(before, arena->pool - ARENA_GUARD, all_bytes) == 0,
                  "%s writes into a pool of %zu B that it refuses", subject->ops->name, pool_bytes);
}

/* Every size from 0 up to the first that works, then some more, at every misalignment. */
START_TEST(too_small_is_refused_and_enough_works) {
    const struct conformance_case *subject = &conformance_cases[_i];
    static unsigned char before[PROBED_BYTES];
    for (size_t misalign = 0; misalign < 16; misalign += 3) {
        size_t pool_bytes = 0;
        size_t works = 0;
        while (works < 40) {
            struct arena arena;
            ck_assert(arena_open(&arena, pool_bytes, misalign));
            arena_soil(&arena, pool_bytes % ARENA_DIRT_COUNT, pool_bytes);
            memcpy(before, arena.pool - ARENA_GUARD, pool_bytes + 2 * ARENA_GUARD);
            struct alloc *heap = subject->ops->init(arena.pool, pool_bytes, &subject->cfg);
            size_t end = pool_bytes + ARENA_GUARD;
            size_t changed = heap == NULL ? end + ARENA_GUARD : ARENA_GUARD;
            ck_assert_msg(memcmp(before, arena.pool - ARENA_GUARD, changed) == 0,
                          "%s writes into or before a pool of %zu B", subject->ops->name,
                          pool_bytes);
            ck_assert_msg(memcmp(before + end, arena.pool + pool_bytes, ARENA_GUARD) == 0,
                          "%s writes behind a pool of %zu B", subject->ops->name, pool_bytes);
            ck_assert_msg(heap != NULL || works == 0, "%s refuses %zu B at %zu but accepts less",
                          subject->ops->name, pool_bytes, misalign);
            if (heap != NULL) {
                works++;
                struct rig rig = {subject, subject->ops, arena, heap};
                rig_assert_payload(&rig, rig.ops->alloc(heap, 1), 1, rig_align(&rig));
            }
            arena_close(&arena);
            ck_assert_uint_lt(++pool_bytes, PROBED_BYTES - 2 * ARENA_GUARD);
        }
    }
}
END_TEST

START_TEST(too_large_is_refused) {
    const struct conformance_case *subject = &conformance_cases[_i];
    size_t most = subject->ops->pool_max;
    if (most == 0) {
        return;
    }
    struct arena arena;
    static unsigned char before[PROBED_BYTES];
    ck_assert(arena_open(&arena, RIG_POOL_BYTES, 0));
    arena_soil(&arena, ARENA_RANDOM, 1);
    const size_t sizes[] = {most + 1, most + 4096, SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i] > most) {
            assert_refused(subject, &arena, sizes[i], &subject->cfg, before);
        }
    }
    arena_close(&arena);
}
END_TEST

START_TEST(impossible_block_sizes_are_refused) {
    const struct conformance_case *subject = &conformance_cases[_i];
    struct arena arena;
    static unsigned char before[PROBED_BYTES];
    ck_assert(arena_open(&arena, RIG_POOL_BYTES, 0));
    arena_soil(&arena, ARENA_RANDOM, 1);
    const uint32_t larger_than_pool[] = {RIG_POOL_BYTES,          RIG_POOL_BYTES + 1, INT32_MAX,
                                         (uint32_t)INT32_MAX + 1, UINT32_MAX - 8,     UINT32_MAX};
    const uint32_t no_page_size[] = {1, 8, 15, 17, 24, 100, 4095, 4097, 8192, UINT32_MAX};
    for (size_t i = 0; i < 6 && subject->ops->caps & ALLOC_CAP_FIXED_SIZE; i++) {
        struct alloc_cfg cfg = {.block_bytes = larger_than_pool[i]};
        assert_refused(subject, &arena, RIG_POOL_BYTES, &cfg, before);
    }
    for (size_t i = 0; i < 10 && subject->ops->caps & ALLOC_CAP_BLOCK_SIZES; i++) {
        struct alloc_cfg cfg = {.block_bytes = no_page_size[i]};
        assert_refused(subject, &arena, RIG_POOL_BYTES, &cfg, before);
    }
    arena_close(&arena);
}
END_TEST

/* ---- the same offsets ---- */

struct played {
    size_t offsets[OPS]; /* SIZE_MAX where there is no payload */
};

/* Runs ops [from, to) of a fixed random sequence; slots keep offsets, so that a copy can go on. */
static void rig_play(const struct rig *rig, size_t *slots, size_t from, size_t to,
                     struct played *played) {
    static struct op ops[OPS];
    struct random_ops how = {random_seed(7), SLOTS, 3000, rig->ops->alloc_aligned ? 7 : 0};
    random_ops_fill(&how, ops, OPS);
    for (size_t i = from; i < to; i++) {
        const struct op *op = &ops[i];
        size_t bytes = op->bytes > SIZE_MAX ? SIZE_MAX : (size_t)op->bytes;
        void *old = slots[op->slot] != SIZE_MAX ? rig->arena.pool + slots[op->slot] : NULL;
        void *p = NULL;
        if (op->kind == OP_FREE || (op->kind == OP_REALLOC && rig->ops->realloc == NULL)) {
            rig_free(rig, old);
            slots[op->slot] = SIZE_MAX;
        } else if (op->kind == OP_REALLOC) {
            p = rig->ops->realloc(rig->heap, old, bytes);
        } else if (op->kind == OP_ALIGNED) {
            p = rig->ops->alloc_aligned(rig->heap, bytes, (size_t)1 << op->align_log2);
        } else if (old == NULL) {
            p = rig->ops->alloc(rig->heap, bytes);
        }
        if (p != NULL) {
            slots[op->slot] = rig_offset(rig, p);
        }
        played->offsets[i] = p != NULL ? rig_offset(rig, p) : SIZE_MAX;
    }
}

static void slots_clear(size_t *slots) {
    for (size_t i = 0; i < SLOTS; i++) {
        slots[i] = SIZE_MAX;
    }
}

static void assert_same(const struct rig *rig, const struct played *a, const struct played *b,
                        const char *what) {
    for (size_t i = 0; i < OPS; i++) {
        ck_assert_msg(a->offsets[i] == b->offsets[i], "%s: op %zu at %zu, then at %zu (%s)",
                      rig->ops->name, i, a->offsets[i], b->offsets[i], what);
    }
}

/* How a second run differs from the first, which must not matter. */
enum variation {
    DIRT_ZEROS,
    DIRT_ONES,
    DIRT_OTHER,
    INIT_AGAIN,
    CFG_NULL,
    CFG_NOISE,
    CFG_ZEROED,
    VARIATIONS
};

static void rig_vary(struct rig *rig, enum variation variation) {
    struct alloc_cfg noise = {.block_bytes = 12345};
    struct alloc_cfg zeroed = {.block_bytes = rig->subject->cfg.block_bytes, .zeroed = true};
    const struct alloc_cfg *cfg = &rig->subject->cfg;
    switch (variation) {
    case DIRT_ZEROS:
        arena_soil(&rig->arena, ARENA_ZEROS, 0);
        break;
    case DIRT_ONES:
        arena_soil(&rig->arena, ARENA_ONES, 0);
        break;
    case DIRT_OTHER:
        arena_soil(&rig->arena, ARENA_RANDOM, random_seed(99));
        break;
    case CFG_NULL:
        cfg = cfg->block_bytes == 0 ? NULL : cfg;
        break;
    case CFG_NOISE: /* block_bytes is ignored by all that do not ask for it */
        cfg = rig_has(rig, ALLOC_CAP_FIXED_SIZE | ALLOC_CAP_BLOCK_SIZES) ? cfg : &noise;
        break;
    case CFG_ZEROED:
        arena_soil(&rig->arena, ARENA_ZEROS, 0);
        cfg = &zeroed;
        break;
    default: /* INIT_AGAIN: over the remains of the run before */
        break;
    }
    rig->heap = rig->ops->init(rig->arena.pool, rig->arena.pool_bytes, cfg);
    ck_assert_ptr_nonnull(rig->heap);
}

START_TEST(what_the_pool_held_does_not_matter) {
    static struct played first, again;
    for (size_t misalign = 0; misalign < 16; misalign += 5) {
        struct rig rig;
        size_t slots[SLOTS];
        rig_open(&rig, _i, RIG_POOL_BYTES - misalign, misalign);
        slots_clear(slots);
        rig_play(&rig, slots, 0, OPS, &first);
        for (int variation = 0; variation < VARIATIONS; variation++) {
            rig_vary(&rig, (enum variation)variation);
            slots_clear(slots);
            rig_play(&rig, slots, 0, OPS, &again);
            assert_same(&rig, &first, &again, "another content of the pool, or cfg");
        }
        rig_close(&rig);
    }
}
END_TEST

START_TEST(congruent_pools_give_the_same_offsets) {
    static struct played first, again;
    struct rig here, there;
    size_t slots[SLOTS];
    for (size_t misalign = 0; misalign < 16; misalign += 3) {
        rig_open(&here, _i, RIG_POOL_BYTES, misalign);
        rig_open(&there, _i, RIG_POOL_BYTES, misalign);
        slots_clear(slots);
        rig_play(&here, slots, 0, OPS, &first);
        slots_clear(slots);
        rig_play(&there, slots, 0, OPS, &again);
        assert_same(&here, &first, &again, "another address");
        rig_close(&here);
        rig_close(&there);
    }
}
END_TEST

/* A pool copied elsewhere in mid-run goes on as the original does. Plug-ins may keep pointers. */
START_TEST(copied_pool_goes_on) {
    if (!conformance_cases[_i].own) {
        return;
    }
    static struct played first, again;
    struct rig here, there;
    size_t slots[SLOTS], slots_there[SLOTS];
    for (size_t stop = 10; stop < OPS; stop += 60) {
        rig_open(&here, _i, RIG_POOL_BYTES, stop % 16);
        ck_assert(arena_open(&there.arena, RIG_POOL_BYTES, stop % 16));
        there.subject = here.subject;
        there.ops = here.ops;
        slots_clear(slots);
        rig_play(&here, slots, 0, stop, &first);
        memcpy(there.arena.pool, here.arena.pool, RIG_POOL_BYTES);
        there.heap = (struct alloc *)(void *)(there.arena.pool + rig_offset(&here, here.heap));
        memcpy(slots_there, slots, sizeof slots);
        memcpy(&again, &first, sizeof again);
        rig_play(&here, slots, stop, OPS, &first);
        memset(here.arena.pool, 0xEE, RIG_POOL_BYTES); /* what still points there breaks */
        rig_play(&there, slots_there, stop, OPS, &again);
        assert_same(&there, &first, &again, "copied elsewhere");
        (void)rig_state(&there);
        rig_close(&here);
        rig_close(&there);
    }
}
END_TEST

START_TEST(pools_do_not_touch_each_other) {
    static struct played played;
    static unsigned char before[RIG_POOL_BYTES];
    struct rig one, other;
    size_t slots[SLOTS], other_slots[SLOTS];
    rig_open(&one, _i, RIG_POOL_BYTES, 0);
    rig_open(&other, _i, RIG_POOL_BYTES, 8);
    slots_clear(slots);
    slots_clear(other_slots);
    for (size_t i = 0; i + 20 <= OPS; i += 20) {
        memcpy(before, other.arena.pool, RIG_POOL_BYTES);
        rig_play(&one, slots, i, i + 20, &played);
        ck_assert_int_eq(memcmp(before, other.arena.pool, RIG_POOL_BYTES), 0);
        memcpy(before, one.arena.pool, RIG_POOL_BYTES);
        rig_play(&other, other_slots, i, i + 20, &played);
        ck_assert_int_eq(memcmp(before, one.arena.pool, RIG_POOL_BYTES), 0);
    }
    rig_close(&one);
    rig_close(&other);
}
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {null_is_refused,
                                  too_small_is_refused_and_enough_works,
                                  too_large_is_refused,
                                  impossible_block_sizes_are_refused,
                                  what_the_pool_held_does_not_matter,
                                  congruent_pools_give_the_same_offsets,
                                  copied_pool_goes_on,
                                  pools_do_not_touch_each_other};
    return conformance_main(argc, argv, "conformance: init", tests, sizeof tests / sizeof tests[0]);
}
