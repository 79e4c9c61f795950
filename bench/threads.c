/* SPDX-License-Identifier: MIT
 * threads.c - see threads.h. */
#include "threads.h"

#include "histogram.h"
#include "latency.h"
#include "parallel.h"
#include "stage.h"
#include "stats.h"
#include "tick.h"

#include "../fuzz/shared_oracle.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STUCK_MS = 10000, CONTENT_CAP_BYTES = 512, ROUNDS_MAX = 100 };

/* ---- one pair ---- */

struct threads_pair {
    const struct threads_plan *plan;
    struct stage stage;
    struct parallel_order order;
    struct threads_outcome *outcome;
};

/* The threads still run in this process: it ends here, and the caller reads what was written. */
static void pair_stuck(const struct threads_pair *pair, size_t index) {
    const struct op *op = &pair->stage.trace->ops[index];
    (void)snprintf(pair->outcome->broken, sizeof pair->outcome->broken,
                   "op %zu (%s of %" PRIu64 " bytes, thread %u) did not return for %d s: was the "
                   "lock released before?",
                   index, op_kind_names[op->kind], trace_request(pair->stage.trace, index),
                   (unsigned)op->thread, STUCK_MS / 1000);
    _exit(1);
}

/* One run on a fresh heap. False when it could not be made; the outcome then says why. */
static bool pair_run(const struct threads_pair *pair, struct replay *replay, uint32_t *call_ticks,
                     uint32_t *held_ticks, struct parallel_result *result) {
    const struct parallel parallel = {.replay = replay,
                                      .order = &pair->order,
                                      .call_ticks = call_ticks,
                                      .held_ticks = held_ticks,
                                      .stuck_ms = STUCK_MS};
    if (!parallel_run(&parallel, result, &pair->outcome->pair.problem)) {
        return false;
    }
    if (result->stuck) {
        pair_stuck(pair, result->stuck_op);
    }
    return true;
}

/* As pair_run(), with a heap of its own. */
static bool pair_run_fresh(const struct threads_pair *pair, uint32_t *call_ticks,
                           uint32_t *held_ticks, struct parallel_result *result) {
    struct replay replay;
    if (!stage_ready(&pair->stage, &replay)) {
        return problem_set(&pair->outcome->pair.problem, "%s on %s: init() refuses its pool",
                           pair->stage.ops->name, pair->stage.trace->name);
    }
    bool ran = pair_run(pair, &replay, call_ticks, held_ticks, result);
    if (ran && stage_poolless(pair->stage.ops)) {
        replay_free_rest(&replay, pair->stage.memory->slot_count);
    }
    return ran;
}

static bool rounds_measure(const struct threads_pair *pair) {
    struct threads_row *row = &pair->outcome->row;
    double ns[ROUNDS_MAX];
    unsigned rounds = pair->plan->rounds < ROUNDS_MAX ? pair->plan->rounds : ROUNDS_MAX;
    struct parallel_result result;
    for (unsigned i = 0; i < rounds; i++) {
        if (!pair_run_fresh(pair, NULL, NULL, &result)) {
            return false;
        }
        ns[i] = (double)result.wall_ns / (double)row->ops;
    }
    stats_sort(ns, rounds);
    struct stats_interval interval = stats_median_interval(ns, rounds);
    row->rounds = rounds;
    row->ns_per_op = stats_median(ns, rounds);
    row->ns_ci[0] = interval.low;
    row->ns_ci[1] = interval.high;
    row->ops_per_second = row->ns_per_op > 0 ? 1e9 / row->ns_per_op : NAN;
    row->failures = result.sum.failures;
    row->misuses = result.sum.misuses;
    return true;
}

/* The mean call, in the quickest of the replays. */
static bool calls_measure(const struct threads_pair *pair, uint32_t *ticks, uint64_t overhead,
                          double tick) {
    struct threads_row *row = &pair->outcome->row;
    struct parallel_result result;
    row->call_ns = INFINITY;
    for (unsigned replay = 0; replay < pair->plan->replays; replay++) {
        if (!pair_run_fresh(pair, ticks, NULL, &result)) {
            return false;
        }
        uint64_t sum = 0;
        for (size_t i = 0; i < row->ops; i++) {
            sum += ticks[i] > overhead ? ticks[i] - overhead : 0;
        }
        row->call_ns = fmin(row->call_ns, (double)sum * tick / (double)row->ops);
    }
    return true;
}

static void held_row(const struct threads_pair *pair, const uint32_t *least, uint64_t overhead,
                     double tick) {
    struct threads_row *row = &pair->outcome->row;
    struct histogram held = {0};
    size_t longest = 0;
    for (size_t i = 0; i < row->ops; i++) {
        if (least[i] > 0) { /* 0: no lock was taken */
            histogram_add(&held, least[i] > overhead ? least[i] - overhead : 0);
            longest = least[i] > least[longest] ? i : longest;
        }
    }
    row->held = latency_row_of(&held, tick);
    if (held.count > 0) {
        const struct op *op = &pair->stage.trace->ops[longest];
        row->held_max_op = longest;
        row->held_max_bytes = trace_request(pair->stage.trace, longest);
        row->held_max_thread = op->thread;
        (void)snprintf(row->held_max_kind, sizeof row->held_max_kind, "%s",
                       op_kind_names[op->kind]);
    }
}

static bool held_measure(const struct threads_pair *pair, uint32_t *ticks, uint64_t overhead,
                         double tick) {
    struct threads_row *row = &pair->outcome->row;
    uint32_t *least = calloc((size_t)row->ops + 1, sizeof *least);
    bool ran = least != NULL || problem_set(&pair->outcome->pair.problem, "out of memory");
    for (unsigned replay = 0; ran && replay < pair->plan->replays; replay++) {
        struct parallel_result result;
        memset(ticks, 0, (size_t)row->ops * sizeof *ticks);
        ran = pair_run_fresh(pair, NULL, ticks, &result);
        for (size_t i = 0; ran && i < row->ops; i++) {
            least[i] = replay == 0 || ticks[i] < least[i] ? ticks[i] : least[i];
        }
    }
    if (ran) {
        held_row(pair, least, overhead, tick);
    }
    free(least);
    return ran;
}

static void pair_measure(const struct threads_pair *pair) {
    const struct trace *trace = pair->stage.trace;
    struct threads_row *row = &pair->outcome->row;
    *row = (struct threads_row){.ops = trace->op_count,
                                .threads = trace->counts.threads,
                                .pool_bytes = pair->stage.plan.pool_bytes,
                                .block_bytes = pair->stage.plan.cfg.block_bytes,
                                .replays = pair->plan->replays};
    (void)snprintf(row->allocator, sizeof row->allocator, "%s", pair->stage.ops->name);
    (void)snprintf(row->trace, sizeof row->trace, "%s", trace->name);
    (void)snprintf(row->trace_sha256, sizeof row->trace_sha256, "%s", trace->sha256);
    uint64_t overhead = tick_overhead();
    double tick = tick_ns();
    uint32_t *ticks = calloc(trace->op_count + 1, sizeof *ticks);
    if (ticks == NULL) {
        (void)problem_set(&pair->outcome->pair.problem, "out of memory");
        return;
    }
    pair->outcome->pair.measured = rounds_measure(pair) &&
                                   calls_measure(pair, ticks, overhead, tick) &&
                                   held_measure(pair, ticks, overhead, tick);
    free(ticks);
}

static void pair_judge(const struct threads_pair *pair) {
    struct replay replay;
    struct parallel_result result;
    struct threads_outcome *outcome = pair->outcome;
    if (!stage_ready(&pair->stage, &replay)) {
        (void)snprintf(outcome->pair.why, sizeof outcome->pair.why,
                       "init() refuses a pool of %zu bytes", pair->stage.plan.pool_bytes);
        return;
    }
    const struct shared_oracle_config config = {.ops = pair->stage.ops,
                                                .heap = replay.heap,
                                                .pool = pair->stage.memory->pool,
                                                .pool_bytes = pair->stage.plan.pool_bytes,
                                                .slot_count = pair->stage.trace->counts.slots,
                                                .content_cap_bytes = CONTENT_CAP_BYTES};
    struct shared_oracle *oracle = shared_oracle_new(&config);
    if (oracle == NULL) {
        (void)problem_set(&outcome->pair.problem, "out of memory");
        return;
    }
    struct replay_observer observer = shared_oracle_observer(oracle);
    replay.observers = &observer;
    replay.observer_count = 1;
    if (pair_run(pair, &replay, NULL, NULL, &result)) {
        const char *broken = shared_oracle_end(oracle, replay.slots);
        (void)snprintf(outcome->broken, sizeof outcome->broken, "%s", broken != NULL ? broken : "");
        outcome->row.ops = result.sum.ops_done;
        outcome->row.threads = pair->order.thread_count;
        outcome->pair.measured = true;
    }
    shared_oracle_free(oracle);
}

/* ---- all pairs ---- */

static void order_run(struct threads_pair *pair) {
    struct pair_outcome *outcome = &pair->outcome->pair;
    if (!parallel_order_make(pair->stage.trace, &pair->order, &outcome->problem)) {
        return;
    }
    if (pair->plan->checked) {
        pair_judge(pair);
    } else {
        pair_measure(pair);
    }
    parallel_order_release(&pair->order);
}

static void threads_job(void *ctx, const struct pair *job, void *result) {
    const struct threads_plan *plan = ctx;
    struct threads_outcome *outcome = result;
    struct stage_memory memory;
    struct threads_pair pair = {
        .plan = plan,
        .stage = {.ops = job->ops,
                  .trace = job->trace,
                  .memory = &memory,
                  .touch = plan->checked ? REPLAY_TOUCH_NONE : REPLAY_TOUCH_EDGES},
        .outcome = outcome};
    if (stage_plan_make(job->ops, job->trace, &pair.stage.plan, outcome->pair.why) &&
        stage_memory_open(&memory, pair.stage.plan.pool_bytes, job->trace->counts.slots,
                          &outcome->pair.problem)) {
        order_run(&pair);
        stage_memory_close(&memory);
    }
}

bool threads_run(const struct threads_plan *plan, struct pairs_done *done,
                 struct problem *problem) {
    struct threads_plan copy = *plan;
    const struct pairs pairs = {.selection = plan->selection,
                                .jobs = 1,
                                .result_bytes = sizeof(struct threads_outcome),
                                .run = threads_job,
                                .ctx = &copy};
    return pairs_run(&pairs, done, problem);
}

const char *threads_broken(const struct pairs_done *done, size_t pair) {
    const struct threads_outcome *outcome = pairs_result(done, pair);
    return outcome->broken[0] != '\0' ? outcome->broken : pairs_crash(done, pair);
}

bool threads_selection_check(const struct selection *selection, struct problem *problem) {
    for (size_t i = 0; i < selection->allocator_count; i++) {
        const struct alloc_ops *ops = selection->ops[i];
        if ((ops->caps & ALLOC_CAP_THREADS) == 0) {
            return problem_set(problem, "%s: for one caller at a time, expected lock:%s", ops->name,
                               ops->name);
        }
    }
    for (size_t i = 0; i < selection->trace_count; i++) {
        struct trace trace;
        if (!selection_load(selection, i, &trace, problem)) {
            return false;
        }
        uint32_t threads = trace.counts.threads;
        trace_release(&trace);
        if (threads < 2) {
            return problem_set(problem,
                               "%s: a trace of one thread, expected several (`heaprig trace info` "
                               "tells), such as gen:messages",
                               selection->spec[i]);
        }
    }
    return true;
}
