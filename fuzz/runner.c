/* SPDX-License-Identifier: MIT
 * runner.c - runs programs and scripts. */
#include "runner.h"

#include "../bench/replay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Where pool and region lie: the pool's start is `misalign` modulo ARENA_ALIGN, a region follows
 * within the room kept for one. */
struct runner {
    struct runner_config config;
    struct arena arena;   /* as large as any pool may be, misaligned by 0 */
    unsigned char *noise; /* NOISE_BYTES that fill a pool of ARENA_RANDOM, repeated */
    void **slots;
    struct script own;     /* when the config brings none */
    struct oracle *oracle; /* of the run under way, or the last one */
    struct replay_observer observer;
    struct replay replay;
    struct program_view view;
    struct alloc *heap;
    unsigned char *pool;
    uint64_t digest;
    uint64_t ops;
    uint8_t features[RUNNER_FEATURES];
};

enum { ROOM_BEHIND = PROGRAM_REGION_BYTES + 4 * ARENA_GUARD, NOISE_BYTES = 16384 };

static uint32_t larger(uint32_t a, uint32_t b) {
    return a > b ? a : b;
}

struct runner *runner_new(const struct runner_config *config) {
    struct runner *runner = calloc(1, sizeof *runner);
    if (runner == NULL) {
        return NULL;
    }
    runner->config = *config;
    runner->config.slot_count = larger(config->slot_count, PROGRAM_SLOTS);
    runner->config.pool_max = larger(config->pool_max, PROGRAM_POOL_MAX);
    size_t bytes = (size_t)runner->config.pool_max + ARENA_ALIGN + ROOM_BEHIND;
    runner->noise = malloc(NOISE_BYTES);
    runner->slots = calloc(runner->config.slot_count, sizeof(void *));
    bool have_script =
        config->script != NULL || script_open(&runner->own, PROGRAM_OPS_MAX, PROGRAM_RECORDS_MAX);
    if (config->script == NULL) {
        runner->config.script = &runner->own;
    }
    if (!arena_open(&runner->arena, bytes, 0) || runner->noise == NULL || runner->slots == NULL ||
        !have_script) {
        runner_free(runner);
        return NULL;
    }
    arena_soil(&runner->arena, ARENA_RANDOM, 1);
    memcpy(runner->noise, runner->arena.pool, NOISE_BYTES);
    return runner;
}

void runner_free(struct runner *runner) {
    if (runner != NULL) {
        oracle_free(runner->oracle);
        arena_close(&runner->arena);
        script_close(&runner->own);
        free(runner->noise);
        free(runner->slots);
        free(runner);
    }
}

/* ---- a run ---- */

/* Noise is repeated in pools larger than it: as long as the largest, it would have no room beside
 * it in the caches, and copying took an eighth of all runs' time. */
static void pool_soil(unsigned char *pool, size_t bytes, enum arena_dirt dirt,
                      const unsigned char *noise) {
    if (dirt != ARENA_RANDOM) {
        memset(pool, dirt == ARENA_ZEROS ? 0x00 : 0xFF, bytes);
        return;
    }
    for (size_t at = 0; at < bytes; at += NOISE_BYTES) {
        memcpy(pool + at, noise, bytes - at < NOISE_BYTES ? bytes - at : NOISE_BYTES);
    }
}

/* Pool, heap and oracle; false when init() refused or memory is out. */
static bool run_begin(struct runner *runner, const struct script_setup *setup) {
    const struct alloc_ops *ops = runner->config.ops;
    bool sizes_blocks = (ops->caps & (ALLOC_CAP_FIXED_SIZE | ALLOC_CAP_BLOCK_SIZES)) != 0;
    const struct alloc_cfg cfg = {.block_bytes = sizes_blocks ? setup->block_bytes : 0};
    assert(setup->pool_bytes <= runner->config.pool_max && setup->misalign < ARENA_ALIGN);
    runner->pool = runner->arena.pool + setup->misalign;
    size_t bytes = setup->pool_bytes + ROOM_BEHIND;
    pool_soil(runner->pool, bytes, (enum arena_dirt)setup->dirt, runner->noise);
    memset(runner->slots, 0, runner->config.slot_count * sizeof(void *));
    memset(runner->features, 0, sizeof runner->features);
    runner->digest = UINT64_C(0xCBF29CE484222325);
    runner->heap = ops->init(runner->pool, setup->pool_bytes, &cfg);
    if (runner->heap == NULL) {
        return false;
    }
    const struct oracle_config config = {.ops = ops,
                                         .heap = runner->heap,
                                         .cfg = &cfg,
                                         .pool = runner->pool,
                                         .pool_bytes = setup->pool_bytes,
                                         .guard_bytes = ARENA_GUARD,
                                         .slot_count = runner->config.slot_count,
                                         .audit_every = runner->config.audit_every,
                                         .content_cap_bytes = runner->config.content_cap_bytes};
    if (runner->oracle == NULL) {
        runner->oracle = oracle_new(&config);
    } else {
        oracle_reuse(runner->oracle, &config);
    }
    runner->observer = oracle_observer(runner->oracle);
    runner->replay = (struct replay){.ops = ops,
                                     .heap = runner->heap,
                                     .slots = runner->slots,
                                     .op_count = 1,
                                     .observers = &runner->observer,
                                     .observer_count = 1};
    return runner->oracle != NULL;
}

static bool run_op(struct runner *runner, const struct op *op) {
    struct replay_result result = {0};
    runner->replay.op = op;
    (void)replay_op(&runner->replay, 0, NULL, &result);
    uintptr_t payload = (uintptr_t)runner->slots[op->slot];
    uint64_t offset = payload == 0 ? 0 : payload - (uintptr_t)runner->pool + 1;
    runner->digest = (runner->digest ^ offset) * UINT64_C(0x100000001B3);
    runner->ops++;
    return oracle_rule(runner->oracle) == ORACLE_NONE;
}

static bool run_extra(struct runner *runner, const struct script_extra *extra,
                      uint32_t pool_bytes) {
    const struct alloc_ops *ops = runner->config.ops;
    if (extra->kind != SCRIPT_REGION) {
        static const enum oracle_call calls[] = {[SCRIPT_FREE] = ORACLE_CALL_FREE,
                                                 [SCRIPT_REALLOC] = ORACLE_CALL_REALLOC,
                                                 [SCRIPT_USABLE] = ORACLE_CALL_USABLE};
        return oracle_misuse(runner->oracle, calls[extra->kind],
                             (uintptr_t)runner->pool + (uintptr_t)extra->offset, extra->bytes);
    }
    bool fits = extra->offset >= (int64_t)pool_bytes + 2 * ARENA_GUARD &&
                extra->offset + extra->bytes <= (int64_t)pool_bytes + ROOM_BEHIND - ARENA_GUARD;
    unsigned char *region = runner->pool + extra->offset;
    if (fits && ops->add_region != NULL && ops->add_region(runner->heap, region, extra->bytes)) {
        oracle_add_region(runner->oracle, region, extra->bytes);
    }
    return true;
}

/* Runs the script's steps from op `first` and extra `*extra` on; false when a rule was broken. */
static bool run_steps(struct runner *runner, const struct script *script, uint32_t first,
                      uint32_t *extra) {
    for (uint32_t i = first; i <= script->op_count; i++) {
        for (; *extra < script->extra_count && script->extras[*extra].after == i; ++*extra) {
            if (!run_extra(runner, &script->extras[*extra], script->setup.pool_bytes)) {
                return false;
            }
        }
        if (i < script->op_count && !run_op(runner, &script->ops[i])) {
            return false;
        }
    }
    return true;
}

static void feature_note(struct runner *runner);

/* Frees what is left and looks at all once more. */
static const char *run_end(struct runner *runner, bool sound) {
    if (sound && oracle_audit(runner->oracle) == NULL) {
        feature_note(runner);
        for (uint32_t slot = 0; sound && slot < runner->config.slot_count; slot++) {
            if (runner->slots[slot] != NULL) {
                const struct op op = {.kind = OP_FREE, .slot = slot};
                sound = run_op(runner, &op);
            }
        }
        return oracle_audit(runner->oracle);
    }
    return oracle_verdict(runner->oracle);
}

const char *runner_script(struct runner *runner, const struct script *script) {
    uint32_t extra = 0;
    if (!run_begin(runner, &script->setup)) {
        return NULL;
    }
    return run_end(runner, run_steps(runner, script, 0, &extra));
}

/* ---- programs ---- */

static void view_begin(struct runner *runner, const struct script_setup *setup) {
    runner->view =
        (struct program_view){.setup = *setup, .ops = runner->config.ops, .heap = runner->heap};
    for (size_t slot = 0; slot < PROGRAM_SLOTS; slot++) {
        runner->view.offset[slot] = INT64_MIN;
    }
}

static void view_refresh(struct runner *runner, const struct script *script, uint32_t from) {
    for (uint32_t i = from; i < script->op_count; i++) {
        uint32_t slot = script->ops[i].slot;
        if (runner->slots[slot] != NULL) {
            runner->view.offset[slot] =
                (int64_t)((uintptr_t)runner->slots[slot] - (uintptr_t)runner->pool);
        }
    }
}

/* False when there is no heap; *sound when it broke no rule. */
static bool program_play(struct runner *runner, const uint8_t *data, size_t size, bool *sound) {
    struct script *script = runner->config.script;
    size_t records = program_records(size);
    *sound = true;
    uint32_t extra = 0;
    script->setup = program_setup(data, size);
    script->op_count = 0;
    script->extra_count = 0;
    if (!run_begin(runner, &script->setup)) {
        return false;
    }
    view_begin(runner, &script->setup);
    uint32_t done = 0;
    for (size_t i = 0; i < records && *sound; i++) {
        view_refresh(runner, script, done);
        done = script->op_count;
        program_resolve(data, i, &runner->view, script);
        *sound = run_steps(runner, script, done, &extra);
    }
    return true;
}

const char *runner_program(struct runner *runner, const uint8_t *data, size_t size) {
    bool sound;
    return program_play(runner, data, size, &sound) ? run_end(runner, sound) : NULL;
}

bool runner_build(struct runner *runner, const uint8_t *data, size_t size,
                  struct runner_heap *heap) {
    bool sound;
    if (!program_play(runner, data, size, &sound)) {
        return false;
    }
    const struct script *script = runner->config.script;
    *heap = (struct runner_heap){.heap = runner->heap,
                                 .pool = runner->pool,
                                 .pool_bytes = script->setup.pool_bytes,
                                 .extras = script->extra_count};
    return sound;
}

/* ---- what a run tells ---- */

enum oracle_rule runner_rule(const struct runner *runner) {
    return runner->heap != NULL ? oracle_rule(runner->oracle) : ORACLE_NONE;
}

const struct script *runner_last_script(const struct runner *runner) {
    return runner->config.script;
}

uint64_t runner_digest(const struct runner *runner) {
    return runner->digest;
}

uint64_t runner_ops(const struct runner *runner) {
    return runner->ops;
}

static uint32_t bit_length(uint64_t x) {
    return x == 0 ? 0 : 64u - (uint32_t)__builtin_clzll(x);
}

/* What a heap without stats() shows to anybody: how many blocks live, and where. Without any
 * feature libFuzzer would not begin on a plug-in that it cannot see into. */
static void feature_note_places(struct runner *runner) {
    uintptr_t lowest = UINTPTR_MAX, highest = 0;
    uint32_t live = 0;
    for (size_t slot = 0; slot < PROGRAM_SLOTS; slot++) {
        if (runner->slots[slot] != NULL) {
            uintptr_t offset = (uintptr_t)runner->slots[slot] - (uintptr_t)runner->pool;
            lowest = offset < lowest ? offset : lowest;
            highest = offset > highest ? offset : highest;
            live++;
        }
    }
    uint32_t span = live > 0 ? bit_length(highest - lowest) : 0;
    runner->features[(bit_length(live) * 32 + span % 32) % 512] = 1;
    runner->features[512 + live] = 1;
    runner->features[768 + (live > 0 ? bit_length(lowest) : 0)] = 1;
}

/* Pairs of logarithms: live blocks by largest hole, holes by live blocks, audited pieces. */
static void feature_note(struct runner *runner) {
    const struct alloc_ops *ops = runner->config.ops;
    struct alloc_stats stats = {0};
    if (ops->stats == NULL) {
        feature_note_places(runner);
        return;
    }
    ops->stats(runner->heap, &stats);
    uint32_t largest = ops->largest != NULL ? bit_length(ops->largest(runner->heap)) : 0;
    uint32_t live = bit_length(stats.live_blocks);
    uint32_t holes = bit_length(stats.free_blocks);
    runner->features[(live * 32 + largest % 32) % 512] = 1;
    runner->features[512 + (holes * 32 + largest % 32) % 256] = 1;
    runner->features[768 + (live * 16 + holes) % 256] = 1;
}

void runner_features(const struct runner *runner, uint8_t counts[RUNNER_FEATURES]) {
    memcpy(counts, runner->features, RUNNER_FEATURES);
}
