/* SPDX-License-Identifier: MIT
 * small_world_test.c - every sequence of operations, up to a length, on a pool of a few blocks.
 *
 * Most faults in splitting, joining and list keeping need few blocks and few operations. So for
 * each own allocator, and slabs over three of them, all sequences are run that can be made of
 *
 *   alloc of 1, 2 or 3 units, aligned alloc, realloc of each live block to 1, 2 or 3 units, free of
 *   each live block
 *
 * with an audit of the oracle after each op and a misuse probe after every second. Blocks go into
 * the lowest empty slot, so sequences that differ by names only are run once. The search is depth
 * first: a copy of pool and oracle at each depth is the snapshot to come back to, so each prefix is
 * executed once per length bound. The bound grows until HEAPRIG_SMALL_WORLD_SECONDS (for all
 * allocators together; else 10, with HEAPRIG_FULL 60) are used up; what was covered is printed. */
#define SLAB_BUCKET_LOG2  6 /* two or three slots a bucket */
#define SLAB_SIZES(S, x)  S(16, x) S(24, x)
#define SLAB_GRANULES_MIN 0
#include "slab.h"

#include "../fuzz/arena.h"
#include "../fuzz/canary.h"
#include "../fuzz/oracle.h"
#include "../fuzz/random_ops.h"
#include "../trace/trace_text.h"

#include "test_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 5, UNITS = 3, DEPTH_MAX = 24, DEPTH_MIN = 3, POOL_MAX_BYTES = 1 << 16 };
enum { BLOCKS = 7 }; /* smallest blocks that the pool has room for */

struct world {
    const struct alloc_ops *ops;
    struct arena arena;
    struct alloc *heap;
    size_t unit_bytes[UNITS]; /* requests; as many as unit_count */
    size_t unit_count;
    struct oracle *oracle;
    void *slots[SLOTS];
    struct op path[DEPTH_MAX];
    size_t depth, depth_bound;
    double deadline;
    unsigned long long ops_done, sequences;
    unsigned char *pools[DEPTH_MAX]; /* snapshots, one per depth */
    struct oracle *oracles[DEPTH_MAX];
};

static double now_s(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

extern const struct alloc_ops tlsf_ops, bestfit_ops, buddy_ops;
SLAB_DEFINE(over_tlsf, tlsf_ops)
SLAB_DEFINE(over_bestfit, bestfit_ops)
SLAB_DEFINE(over_buddy, buddy_ops)

/* Slabs with room for a few buckets. */
static struct alloc_ops slabs[3];
enum { SLABS = 3, SLAB_ROOM_BYTES = 2 * SLAB_BUCKET };

static bool is_slab(const struct alloc_ops *ops) {
    return ops >= slabs && ops < slabs + SLABS;
}

static void slabs_make(void) {
    static const char *const names[SLABS] = {"slab:tlsf", "slab:bestfit", "slab:buddy"};
    slabs[0] = over_tlsf_table();
    slabs[1] = over_bestfit_table();
    slabs[2] = over_buddy_table();
    for (int i = 0; i < SLABS; i++) {
        slabs[i].name = names[i];
    }
}

/* The smallest pool that init() accepts at this place. */
static size_t least_pool(const struct alloc_ops *ops, const struct arena *arena) {
    for (size_t bytes = 1; bytes < arena->pool_bytes; bytes++) {
        if (ops->init(arena->pool, bytes, NULL) != NULL) {
            return bytes;
        }
    }
    ck_abort_msg("%s: no pool below %zu B is enough", ops->name, arena->pool_bytes);
}

/* Requests that fill one, two and three of the allocator's smallest steps of block size. */
static void units_find(struct world *world, size_t roomy_bytes) {
    const struct alloc_ops *ops = world->ops;
    struct alloc *heap = ops->init(world->arena.pool, roomy_bytes, NULL);
    ck_assert_ptr_nonnull(heap);
    size_t request = 1;
    for (world->unit_count = 0; world->unit_count < UNITS; world->unit_count++) {
        const void *p = ops->alloc(heap, request);
        if (p == NULL) {
            break;
        }
        world->unit_bytes[world->unit_count] = ops->usable(heap, p);
        request = ops->usable(heap, p) + 1;
    }
    ck_assert_uint_gt(world->unit_count, 0);
}

static void world_open(struct world *world, const struct alloc_ops *ops) {
    *world = (struct world){.ops = ops};
    ck_assert(arena_open(&world->arena, POOL_MAX_BYTES, 0));
    size_t least_bytes = least_pool(ops, &world->arena);
    units_find(world, POOL_MAX_BYTES);
    world->arena.pool_bytes = least_bytes + (BLOCKS - 1) * (world->unit_bytes[0] + 4);
    world->arena.pool_bytes += is_slab(ops) ? SLAB_ROOM_BYTES : 0;
    arena_soil(&world->arena, ARENA_RANDOM, 1);
    world->heap = ops->init(world->arena.pool, world->arena.pool_bytes, NULL);
    ck_assert_ptr_nonnull(world->heap);
    struct oracle_config config = {.ops = ops,
                                   .heap = world->heap,
                                   .pool = world->arena.pool,
                                   .pool_bytes = world->arena.pool_bytes,
                                   .guard_bytes = ARENA_GUARD,
                                   .slot_count = SLOTS,
                                   .audit_every = 1,
                                   .probe_every = 2,
                                   .probe_seed = 1};
    world->oracle = oracle_new(&config);
    ck_assert_ptr_nonnull(world->oracle);
    for (size_t i = 0; i < DEPTH_MAX; i++) {
        world->pools[i] = malloc(world->arena.pool_bytes);
        world->oracles[i] = oracle_new(&config);
        ck_assert(world->pools[i] != NULL && world->oracles[i] != NULL);
    }
}

static void world_close(struct world *world) {
    for (size_t i = 0; i < DEPTH_MAX; i++) {
        free(world->pools[i]);
        oracle_free(world->oracles[i]);
    }
    oracle_free(world->oracle);
    arena_close(&world->arena);
}

/* The path as a text trace, to go into corpus/regress once the fault is found. */
static void path_print(const struct world *world) {
    struct trace trace = {.op_count = world->depth};
    trace.ops = (struct op *)(uintptr_t)world->path;
    struct file_bytes file = {0};
    struct problem problem;
    bool told = trace_text_encode(&trace, &file, &problem);
    printf("%s, pool of %zu B:\n%.*s\n", world->ops->name, world->arena.pool_bytes,
           told ? (int)file.count : 0, (const char *)file.bytes);
    file_bytes_release(&file);
}

static void step(struct world *world, const struct op *op) {
    world->path[world->depth++] = *op;
    world->ops_done++;
    struct replay_observer observer = oracle_observer(world->oracle);
    struct replay replay = {world->ops, world->heap,       world->slots, op,
                            1,          REPLAY_TOUCH_NONE, &observer,    1};
    struct replay_result result;
    replay_run(&replay, &result);
    const char *verdict = oracle_verdict(world->oracle);
    if (verdict != NULL) {
        path_print(world);
        ck_abort_msg("%s: %s", world->ops->name, verdict);
    }
}

/* The ops that can follow; SLOTS * (1 + UNITS) + UNITS + 1 at most. */
static size_t choices_list(const struct world *world, struct op *choices) {
    size_t count = 0;
    uint32_t empty = SLOTS;
    for (uint32_t slot = SLOTS; slot-- > 0;) {
        if (world->slots[slot] == NULL) {
            empty = slot;
            continue;
        }
        choices[count++] = (struct op){.kind = OP_FREE, .slot = slot};
        for (size_t i = 0; i < world->unit_count; i++) {
            choices[count++] =
                (struct op){.kind = OP_REALLOC, .slot = slot, .bytes = world->unit_bytes[i]};
        }
    }
    if (empty < SLOTS) {
        for (size_t i = 0; i < world->unit_count; i++) {
            choices[count++] =
                (struct op){.kind = OP_ALLOC, .slot = empty, .bytes = world->unit_bytes[i]};
        }
        choices[count++] = (struct op){
            .kind = OP_ALIGNED, .slot = empty, .bytes = world->unit_bytes[0], .align_log2 = 6};
    }
    return count;
}

/* Runs all sequences that begin with the path so far; false when time is up. */
static bool explore(struct world *world) {
    if (world->depth == world->depth_bound) {
        world->sequences++;
        return world->sequences % 64 != 0 || now_s() < world->deadline;
    }
    struct op choices[SLOTS * (1 + UNITS) + UNITS + 1];
    size_t count = choices_list(world, choices);
    size_t depth = world->depth;
    void *slots[SLOTS];
    memcpy(slots, world->slots, sizeof slots);
    memcpy(world->pools[depth], world->arena.pool, world->arena.pool_bytes);
    oracle_copy(world->oracles[depth], world->oracle);
    bool in_time = true;
    for (size_t i = 0; in_time && i < count; i++) {
        step(world, &choices[i]);
        in_time = explore(world);
        world->depth = depth;
        memcpy(world->slots, slots, sizeof slots);
        memcpy(world->arena.pool, world->pools[depth], world->arena.pool_bytes);
        oracle_copy(world->oracle, world->oracles[depth]);
    }
    return in_time;
}

static const struct alloc_ops *subject_of(int index) {
    size_t count;
    const struct alloc_ops *const *own = alloc_registry(&count);
    size_t behind = (size_t)index - count;
    return (size_t)index < count ? own[index] : behind < SLABS ? &slabs[behind] : &canary_ops;
}

static int subject_count(void) {
    size_t count;
    (void)alloc_registry(&count);
    return (int)count + SLABS + 1;
}

static double budget_s(void) {
    const char *text = getenv("HEAPRIG_SMALL_WORLD_SECONDS");
    double total = text != NULL ? strtod(text, NULL) : random_full() ? 60 : 10;
    return total / subject_count();
}

START_TEST(all_short_sequences_are_sound) {
    struct world world;
    world_open(&world, subject_of(_i));
    double begin = now_s();
    size_t complete = 0;
    for (world.depth_bound = 1; world.depth_bound <= DEPTH_MAX; world.depth_bound++) {
        /* What proves least is never cut short. */
        world.deadline = world.depth_bound <= DEPTH_MIN ? 1e300 : begin + budget_s();
        world.sequences = 0;
        if (!explore(&world)) {
            break;
        }
        complete = world.depth_bound;
    }
    printf("%-16s pool %5zu B, requests %zu to %zu B: all sequences of %zu ops, %llu of %zu; "
           "%llu ops in %.1f s\n",
           world.ops->name, world.arena.pool_bytes, world.unit_bytes[0],
           world.unit_bytes[world.unit_count - 1], complete, world.sequences, world.depth_bound,
           world.ops_done, now_s() - begin);
    ck_assert_uint_ge(complete, DEPTH_MIN);
    world_close(&world);
}
END_TEST

int main(void) {
    slabs_make();
    TCase *tcase = tcase_create("small world");
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, all_short_sequences_are_sound, 0, subject_count());
    Suite *suite = suite_create("small world");
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
