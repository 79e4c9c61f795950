/* SPDX-License-Identifier: MIT
 * fit.c - see fit.h: double until it completes, halve the bracket, scan below. */
#include "fit.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FIT_GRANULE = 8,
    FIT_STEP_LEAST = 64,
    FIT_PARTS = 256, /* the bracket ends at 1 / FIT_PARTS of the answer */
    FIT_SCAN = 8,    /* steps of that size scanned below it */
    FIT_POOL_LEAST = 64,
};

/* Watches a replay up to its first failure. */
struct fit_watch {
    const struct stage *stage;
    bool failed;
};

static bool fit_after(void *ctx, const struct replay_event *event) {
    struct fit_watch *watch = ctx;
    watch->failed = event->op->kind != OP_FREE && event->payload == NULL &&
                    !stage_refuses(watch->stage, event->bytes);
    return !watch->failed;
}

bool fit_completes(struct stage *stage, size_t pool_bytes) {
    struct replay replay;
    struct replay_result result;
    struct fit_watch watch = {.stage = stage};
    struct replay_observer observer = {.ctx = &watch, .after = fit_after};
    stage->plan.pool_bytes = pool_bytes;
    if (!stage_ready(stage, &replay)) {
        return false;
    }
    replay.observers = &observer;
    replay.observer_count = 1;
    replay_run(&replay, &result);
    return !watch.failed;
}

size_t fit_pool_most(const struct alloc_ops *ops, const struct trace *trace) {
    uint64_t most = 16 * trace->counts.peak_live_bytes + STAGE_ALIGN;
    struct stage_plan plan;
    char why_not[STAGE_WHY_BYTES];
    if (stage_plan_make(ops, trace, &plan, why_not) && most < plan.pool_bytes) {
        most = plan.pool_bytes;
    }
    if (ops->pool_max != 0 && most > ops->pool_max) {
        most = ops->pool_max;
    }
    return most < STAGE_POOL_MAX ? (size_t)most : STAGE_POOL_MAX;
}

static size_t granule_round(size_t bytes) {
    return bytes / FIT_GRANULE * FIT_GRANULE;
}

static size_t step_bytes(size_t bytes) {
    size_t step = granule_round(bytes / FIT_PARTS);
    return step > FIT_STEP_LEAST ? step : FIT_STEP_LEAST;
}

/* A pool that completes into *high, a smaller one that fails into *low. */
static bool bracket_find(struct stage *stage, struct fit *fit, size_t *low, size_t *high) {
    size_t most = granule_round(fit_pool_most(stage->ops, stage->trace));
    size_t peak = (size_t)stage->trace->counts.peak_live_bytes;
    size_t bytes = granule_round(peak + peak / 16 + 4096);
    bool completed = false;
    assert(most <= stage->memory->pool_bytes);
    *low = FIT_POOL_LEAST;
    *high = most;
    for (bytes = bytes < most ? bytes : most;; fit->replays++) {
        if (fit_completes(stage, bytes)) {
            completed = true;
            *high = bytes;
            bytes = granule_round(bytes - bytes / 5);
            if (bytes <= *low) {
                break;
            }
        } else {
            *low = bytes;
            if (completed || bytes >= most) {
                break;
            }
            bytes = bytes + bytes / 4 < most ? granule_round(bytes + bytes / 4) : most;
        }
    }
    fit->replays++;
    return completed;
}

static void bracket_halve(struct stage *stage, struct fit *fit, size_t low, size_t *high) {
    while (*high - low > step_bytes(*high)) {
        size_t middle = granule_round(low + (*high - low) / 2);
        fit->replays++;
        if (fit_completes(stage, middle)) {
            *high = middle;
        } else {
            low = middle;
        }
    }
}

static size_t below_scan(struct stage *stage, struct fit *fit, size_t answer) {
    size_t lowest = answer;
    for (size_t i = 1; i <= FIT_SCAN && i * step_bytes(answer) + FIT_POOL_LEAST < answer; i++) {
        size_t bytes = granule_round(answer - i * step_bytes(answer));
        fit->replays++;
        if (fit_completes(stage, bytes)) {
            lowest = bytes;
        }
    }
    return lowest;
}

bool fit_search(struct stage *stage, struct fit *fit) {
    *fit = (struct fit){0};
    for (size_t i = 0; i < stage->trace->op_count; i++) {
        const struct op *op = &stage->trace->ops[i];
        fit->refusals += op->kind != OP_FREE && op->bytes > stage->plan.refusal_bytes;
    }
    size_t low;
    size_t high;
    if (!bracket_find(stage, fit, &low, &high)) {
        return false;
    }
    bracket_halve(stage, fit, low, &high);
    fit->fit_bytes = high;
    fit->lowest_bytes = below_scan(stage, fit, high);
    return true;
}

static uint64_t block_floor(uint64_t request) {
    uint64_t block = (request + (request == 0) + 4 + 7) / 8 * 8;
    return block > 16 ? block : 16;
}

bool fit_floor(const struct trace *trace, uint64_t *floor_bytes) {
    uint64_t *blocks = calloc((size_t)trace->counts.slots + 1, sizeof *blocks);
    uint64_t live = 0;
    *floor_bytes = 0;
    for (size_t i = 0; blocks != NULL && i < trace->op_count; i++) {
        const struct op *op = &trace->ops[i];
        live -= blocks[op->slot];
        blocks[op->slot] = op->kind == OP_FREE ? 0 : block_floor(op->bytes);
        live += blocks[op->slot];
        *floor_bytes = live > *floor_bytes ? live : *floor_bytes;
    }
    free(blocks);
    return blocks != NULL;
}
