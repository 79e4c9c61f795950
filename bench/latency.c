/* SPDX-License-Identifier: MIT
 * latency.c - see latency.h. */
#include "latency.h"

#include "result_file.h"
#include "tick.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

static enum latency_kind kind_of(const struct op *op) {
    if (op->kind == OP_FREE) {
        return LATENCY_FREE;
    }
    return op->kind == OP_REALLOC ? LATENCY_REALLOC : LATENCY_ALLOC;
}

static void ticks_lessen(uint32_t *least, const uint32_t *ticks, size_t count) {
    for (size_t i = 0; i < count; i++) {
        least[i] = ticks[i] < least[i] ? ticks[i] : least[i];
    }
}

/* The least ticks of each op over the replays (0 for a skipped free); returns how many there were,
 * 0 when init() refuses. */
static unsigned ticks_measure(const struct stage *stage, const struct latency_plan *plan,
                              uint32_t *least, uint32_t *ticks) {
    struct replay replay;
    struct replay_result result;
    uint64_t begin = tick_wall_ns();
    unsigned done = 0;
    while (done < plan->replays) {
        if (!stage_ready(stage, &replay)) {
            return 0;
        }
        replay_run_timed(&replay, done == 0 ? least : ticks, &result);
        if (stage_poolless(stage->ops)) {
            replay_free_rest(&replay, stage->memory->slot_count);
        }
        if (done > 0) {
            ticks_lessen(least, ticks, replay.op_count);
        }
        done++;
        uint64_t took = tick_wall_ns() - begin;
        bool late = plan->budget_ns != 0 && took + took / done > plan->budget_ns;
        if (late && done >= LATENCY_REPLAYS_LEAST) {
            break;
        }
    }
    return done;
}

bool latency_measure(const struct stage *stage, const struct latency_plan *plan,
                     struct latency *latency, struct problem *problem) {
    assert(plan->replays > 0);
    size_t op_count = stage->trace->op_count;
    uint32_t *least = malloc((op_count + 1) * sizeof *least);
    uint32_t *ticks = malloc((op_count + 1) * sizeof *ticks);
    *latency = (struct latency){.tick_ns = plan->tick_ns};
    if (least != NULL && ticks != NULL) {
        latency->replays = ticks_measure(stage, plan, least, ticks);
    }
    for (size_t i = 0; latency->replays > 0 && i < op_count; i++) {
        if (least[i] != 0) {
            uint64_t net = least[i] > plan->overhead ? least[i] - plan->overhead : 0;
            histogram_add(&latency->ticks[kind_of(&stage->trace->ops[i])], net);
        }
    }
    free(least);
    free(ticks);
    return latency->replays > 0 ||
           problem_set(problem, "%s on %s: cannot set up the heap or out of memory",
                       stage->ops->name, stage->trace->name);
}

struct row_latency latency_row_of(const struct histogram *h, double tick_ns) {
    if (h->count == 0) {
        return (struct row_latency){NAN, NAN, NAN, NAN};
    }
    return (struct row_latency){
        .p50 = (double)histogram_quantile(h, 0.5) * tick_ns,
        .p99 = (double)histogram_quantile(h, 0.99) * tick_ns,
        .p999 = (double)histogram_quantile(h, 0.999) * tick_ns,
        .max = (double)h->max * tick_ns,
    };
}

struct row_latency latency_row(const struct latency *latency, enum latency_kind kind) {
    return latency_row_of(&latency->ticks[kind], latency->tick_ns);
}

struct row_latency latency_row_all(const struct latency *latency) {
    struct histogram all = {0};
    for (int kind = 0; kind < LATENCY_KINDS; kind++) {
        histogram_merge(&all, &latency->ticks[kind]);
    }
    return latency_row_of(&all, latency->tick_ns);
}

static double share_of(uint64_t part, uint64_t whole) {
    return whole == 0 ? 0 : (double)part / (double)whole;
}

bool latency_write(const struct latency *latency, const char *path, struct problem *problem) {
    struct result_file file;
    if (!result_file_open(&file, path, problem)) {
        return false;
    }
    uint64_t above[LATENCY_KINDS] = {0};
    uint64_t count = 0;
    for (int kind = 0; kind < LATENCY_KINDS; kind++) {
        above[kind] = latency->ticks[kind].count;
        count += above[kind];
    }
    uint64_t all_above = count;
    fputs("ns\talloc\trealloc\tfree\tall\n", file.stream);
    for (size_t bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        uint64_t here = 0;
        for (int kind = 0; kind < LATENCY_KINDS; kind++) {
            here += latency->ticks[kind].bucket[bucket];
            above[kind] -= latency->ticks[kind].bucket[bucket];
        }
        all_above -= here;
        if (here > 0) {
            fprintf(file.stream, "%.6g\t%.6g\t%.6g\t%.6g\t%.6g\n",
                    (double)histogram_bucket_end(bucket) * latency->tick_ns,
                    share_of(above[LATENCY_ALLOC], latency->ticks[LATENCY_ALLOC].count),
                    share_of(above[LATENCY_REALLOC], latency->ticks[LATENCY_REALLOC].count),
                    share_of(above[LATENCY_FREE], latency->ticks[LATENCY_FREE].count),
                    share_of(all_above, count));
        }
    }
    return result_file_commit(&file, problem);
}
