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

/* Ticks of a run, cut down to the least seen; a skipped free has 0. */
static bool ticks_measure(const struct stage *stage, unsigned repeats, uint32_t *least,
                          uint32_t *ticks) {
    struct replay replay;
    struct replay_result result;
    for (unsigned i = 0; i < repeats; i++) {
        if (!stage_ready(stage, &replay)) {
            return false;
        }
        replay_run_timed(&replay, i == 0 ? least : ticks, &result);
        if (stage_poolless(stage->ops)) {
            replay_free_rest(&replay, stage->memory->slot_count);
        }
        for (size_t op = 0; i > 0 && op < replay.op_count; op++) {
            least[op] = ticks[op] < least[op] ? ticks[op] : least[op];
        }
    }
    return true;
}

bool latency_measure(const struct stage *stage, unsigned repeats, uint64_t overhead, double tick_ns,
                     struct latency *latency, struct problem *problem) {
    assert(repeats > 0);
    size_t op_count = stage->trace->op_count;
    uint32_t *least = malloc((op_count + 1) * sizeof *least);
    uint32_t *ticks = malloc((op_count + 1) * sizeof *ticks);
    *latency = (struct latency){.tick_ns = tick_ns};
    bool measured = least != NULL && ticks != NULL && ticks_measure(stage, repeats, least, ticks);
    for (size_t i = 0; measured && i < op_count; i++) {
        if (least[i] != 0) {
            uint64_t net = least[i] > overhead ? least[i] - overhead : 0;
            histogram_add(&latency->ticks[kind_of(&stage->trace->ops[i])], net);
        }
    }
    free(least);
    free(ticks);
    return measured || problem_set(problem, "%s on %s: cannot set up the heap", stage->ops->name,
                                   stage->trace->name);
}

static struct row_latency histogram_row(const struct histogram *h, double tick_ns) {
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
    return histogram_row(&latency->ticks[kind], latency->tick_ns);
}

struct row_latency latency_row_all(const struct latency *latency) {
    struct histogram all = {0};
    for (int kind = 0; kind < LATENCY_KINDS; kind++) {
        histogram_merge(&all, &latency->ticks[kind]);
    }
    return histogram_row(&all, latency->tick_ns);
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
