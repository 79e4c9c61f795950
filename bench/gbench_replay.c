/* SPDX-License-Identifier: MIT
 *
 * gbench_replay.c - replays of traces as benchmarks of Google Benchmark
 *
 * A round of the loop is one replay of the whole trace on a fresh heap; formatting the heap and
 * emptying it are not timed. All replays share one memory, so that its pages are touched once.
 */
#include "gbench_cases.h"

#include "gbench_shim.h"
#include "null_alloc.h"
#include "stage.h"
#include "stats.h"
#include "tick.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = 160, NULL_ROUNDS = 9 };

struct replay_trace {
    struct trace trace;
    bool loaded;
    double null_ns; /* of a replay on the null allocator, per op */
};

struct replay_case {
    struct gbench_cases *cases;
    const struct alloc_ops *ops;
    size_t index; /* of the trace */
};

static struct {
    struct replay_trace *traces;
    struct replay_case *cases;
    size_t trace_count;
    struct stage_memory memory;
    const struct replay_case *last; /* the memory's pages are as this case left them */
} shared;

static bool memory_ensure(size_t pool_bytes, size_t slots, struct problem *problem) {
    struct stage_memory *memory = &shared.memory;
    if (memory->slots != NULL && pool_bytes <= memory->pool_bytes && slots <= memory->slot_count) {
        return true;
    }
    pool_bytes = pool_bytes > memory->pool_bytes ? pool_bytes : memory->pool_bytes;
    slots = slots > memory->slot_count ? slots : memory->slot_count;
    stage_memory_close(memory);
    shared.last = NULL;
    return stage_memory_open(memory, pool_bytes, slots, problem);
}

/* Nanoseconds of one replay; what lives at its end is freed when there is no pool to forget it.
 * Below 0 when init() refuses. */
static double stage_run(const struct stage *stage, struct gbench_run *run,
                        struct replay_result *result) {
    struct replay replay;
    if (!stage_ready(stage, &replay)) {
        return -1;
    }
    if (run != NULL) {
        gbench_resume(run);
    }
    uint64_t begin = tick_wall_ns();
    replay_run(&replay, result);
    uint64_t took = tick_wall_ns() - begin;
    if (run != NULL) {
        gbench_pause(run);
    }
    if (stage_poolless(stage->ops)) {
        replay_free_rest(&replay, stage->memory->slot_count);
    }
    return (double)took;
}

/* False and why when the pair does not apply. */
static bool stage_make(const struct replay_case *c, const struct alloc_ops *ops,
                       struct stage *stage, char why[STAGE_WHY_BYTES], struct problem *problem) {
    const struct trace *trace = &shared.traces[c->index].trace;
    *stage = (struct stage){
        .ops = ops, .trace = trace, .memory = &shared.memory, .touch = c->cases->touch};
    return stage_plan_make(ops, trace, &stage->plan, why) &&
           memory_ensure(stage->plan.pool_bytes, trace->counts.slots, problem);
}

static bool null_measure(const struct replay_case *c, struct problem *problem) {
    struct stage stage;
    char why[STAGE_WHY_BYTES] = "";
    double ns[NULL_ROUNDS + 1];
    struct replay_result result;
    if (!stage_make(c, &null_alloc_ops, &stage, why, problem)) {
        return why[0] == '\0' || problem_set(problem, "null replay: %s", why);
    }
    for (size_t i = 0; i <= NULL_ROUNDS; i++) {
        ns[i] = stage_run(&stage, NULL, &result); /* the first only touches the pages */
    }
    stats_sort(ns + 1, NULL_ROUNDS);
    shared.traces[c->index].null_ns =
        stats_median(ns + 1, NULL_ROUNDS) / (double)stage.trace->op_count;
    return true;
}

static bool trace_ensure(const struct replay_case *c, struct problem *problem) {
    struct replay_trace *t = &shared.traces[c->index];
    if (!t->loaded) {
        if (!selection_load(c->cases->selection, c->index, &t->trace, problem)) {
            c->cases->bad_input = true;
            return false;
        }
        t->loaded = t->trace.op_count > 0 ||
                    problem_set(problem, "%s: no operations, expected some", t->trace.name);
        return t->loaded && null_measure(c, problem);
    }
    return true;
}

static void rounds_run(const struct replay_case *c, const struct stage *stage,
                       struct gbench_run *run) {
    struct replay_result result = {0};
    double op_count = (double)stage->trace->op_count;
    double ns = 0;
    double rounds = 0;
    if (shared.last != c && stage_run(stage, NULL, &result) < 0) {
        gbench_fail(run, "init() refused the pool");
        return;
    }
    shared.last = c;
    while (gbench_more(run, stage->trace->op_count)) {
        gbench_pause(run);
        double took = stage_run(stage, run, &result);
        gbench_resume(run);
        if (took < 0 || result.misuses > 0) {
            gbench_fail(run, took < 0 ? "init() refused the pool" : "a free was refused");
            return;
        }
        ns += took;
        rounds++;
    }
    gbench_count(run, "null_ns", shared.traces[c->index].null_ns);
    gbench_count(run, "net_ns", ns / rounds / op_count - shared.traces[c->index].null_ns);
    gbench_count(run, "failures", (double)result.failures);
}

static void replay_benchmark(struct gbench_run *run, void *ctx) {
    const struct replay_case *c = ctx;
    struct problem problem = {""};
    char why[STAGE_WHY_BYTES] = "";
    struct stage stage;
    if (!trace_ensure(c, &problem)) {
        gbench_fail(run, problem.text);
    } else if (!stage_make(c, c->ops, &stage, why, &problem)) {
        if (why[0] != '\0') {
            gbench_skip(run, why);
        } else {
            gbench_fail(run, problem.text);
        }
    } else {
        rounds_run(c, &stage, run);
    }
}

bool gbench_replay_add(struct gbench_cases *cases) {
    const struct selection *selection = cases->selection;
    shared.traces = calloc(selection->trace_count + 1, sizeof *shared.traces);
    shared.cases =
        calloc(selection->trace_count * selection->allocator_count + 1, sizeof *shared.cases);
    if (shared.traces == NULL || shared.cases == NULL) {
        gbench_replay_release();
        return false;
    }
    shared.trace_count = selection->trace_count;
    struct replay_case *next = shared.cases;
    for (size_t t = 0; t < selection->trace_count; t++) {
        for (size_t i = 0; i < selection->allocator_count; i++) {
            char trace[64];
            char name[NAME_BYTES];
            selection_name(selection, t, trace, sizeof trace);
            *next = (struct replay_case){cases, selection->ops[i], t};
            (void)snprintf(name, sizeof name, "replay/%s/%s", next->ops->name, trace);
            gbench_add(name, replay_benchmark, next++, GBENCH_CLOCK_LOOP);
        }
    }
    return true;
}

void gbench_replay_release(void) {
    for (size_t i = 0; i < shared.trace_count; i++) {
        trace_release(&shared.traces[i].trace);
    }
    free(shared.traces);
    free(shared.cases);
    stage_memory_close(&shared.memory);
    shared.traces = NULL;
    shared.cases = NULL;
    shared.trace_count = 0;
    shared.last = NULL;
}
