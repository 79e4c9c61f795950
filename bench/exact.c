/* SPDX-License-Identifier: MIT
 * exact.c - see exact.h. */
#include "exact.h"

#include "digest.h"
#include "footprint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct row_latency latency_none = {NAN, NAN, NAN, NAN};

static void row_begin(const struct stage *stage, struct bench_row *row) {
    const struct trace *trace = stage->trace;
    *row = (struct bench_row){.ops = trace->op_count,
                              .pool_bytes = stage->plan.pool_bytes,
                              .block_bytes = stage->plan.cfg.block_bytes,
                              .ns_per_op = NAN,
                              .ns_ci = {NAN, NAN},
                              .null_ns_per_op = NAN,
                              .alloc = latency_none,
                              .realloc = latency_none,
                              .free = latency_none,
                              .all = latency_none,
                              .peak_live = trace->counts.peak_live_bytes};
    (void)snprintf(row->allocator, sizeof row->allocator, "%s", stage->ops->name);
    (void)snprintf(row->trace, sizeof row->trace, "%s", trace->name);
    (void)snprintf(row->trace_sha256, sizeof row->trace_sha256, "%s", trace->sha256);
    (void)snprintf(row->arch, sizeof row->arch, "%s", trace->arch);
}

static void heap_judge(const struct stage *stage, const struct replay *replay,
                       const struct replay_result *result, struct exact *exact) {
    const char *rule = stage->ops->check != NULL ? stage->ops->check(replay->heap) : NULL;
    if (rule != NULL) {
        (void)snprintf(exact->broken, sizeof exact->broken, "its check() says: %s", rule);
    } else if (result->misuses > 0) {
        (void)snprintf(exact->broken, sizeof exact->broken,
                       "it refused to free %" PRIu64 " of its own live blocks", result->misuses);
    }
}

static void stage_measure(const struct stage *stage, const char *series_folder,
                          struct footprint *footprint, struct exact *exact) {
    struct replay replay;
    struct replay_result result;
    struct digest digest;
    if (!stage_ready(stage, &replay) || !footprint_begin(footprint, stage, &replay)) {
        (void)problem_set(&exact->pair.problem, "%s on %s: cannot set up the heap",
                          stage->ops->name, stage->trace->name);
        return;
    }
    digest_begin(&digest, stage->memory->pool);
    const struct replay_observer observers[] = {footprint_observer(footprint),
                                                digest_observer(&digest)};
    replay.observers = observers;
    replay.observer_count = stage_poolless(stage->ops) ? 1 : 2;
    replay_run(&replay, &result);
    heap_judge(stage, &replay, &result, exact);
    struct bench_row *row = &exact->row;
    footprint_fill(footprint, row);
    row->misuses = result.misuses;
    row->high_water_ratio =
        row->peak_live == 0 ? NAN : (double)row->high_water / (double)row->peak_live;
    if (stage_poolless(stage->ops)) {
        replay_free_rest(&replay, stage->memory->slot_count);
    } else {
        (void)snprintf(row->digest, sizeof row->digest, "%016" PRIx64, digest.value);
    }
    if (footprint->out_of_memory) {
        (void)problem_set(&exact->pair.problem, "out of memory");
    } else if (series_folder != NULL) {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/%s.%s.tsv", series_folder, row->allocator,
                       row->trace);
        (void)footprint_write(footprint, path, &exact->pair.problem);
    }
    footprint_end(footprint);
}

void exact_measure(const struct alloc_ops *ops, const struct trace *trace, enum replay_touch touch,
                   const char *series_folder, struct exact *exact) {
    *exact = (struct exact){0};
    struct stage_memory memory;
    struct stage stage = {.ops = ops, .trace = trace, .memory = &memory, .touch = touch};
    if (!stage_plan_make(ops, trace, &stage.plan, exact->pair.why) ||
        !stage_memory_open(&memory, stage.plan.pool_bytes, trace->counts.slots,
                           &exact->pair.problem)) {
        return;
    }
    struct footprint *footprint = calloc(1, sizeof *footprint);
    if (footprint == NULL) {
        (void)problem_set(&exact->pair.problem, "out of memory");
    } else if (!stage_probe(&stage)) {
        (void)snprintf(exact->pair.why, sizeof exact->pair.why,
                       "init() refuses a pool of %zu bytes", stage.plan.pool_bytes);
    } else {
        exact->pair.measured = true;
        exact->plan = stage.plan;
        row_begin(&stage, &exact->row);
        stage_measure(&stage, series_folder, footprint, exact);
    }
    free(footprint);
    stage_memory_close(&memory);
}
