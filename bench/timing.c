/* SPDX-License-Identifier: MIT
 * timing.c - see timing.h. */
#include "timing.h"

#include "null_alloc.h"
#include "stats.h"
#include "tick.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Sebastiano Vigna's splitmix64 (2015). */
static uint64_t random_next(uint64_t *state) {
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void order_shuffle(size_t *order, size_t count, uint64_t *state) {
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)(random_next(state) % i);
        size_t other = order[j];
        order[j] = order[i - 1];
        order[i - 1] = other;
    }
}

/* Nanoseconds per op of one run; below 0 when init() refuses. */
static double run_time(const struct stage *stage) {
    struct replay replay;
    struct replay_result result;
    size_t op_count = stage->trace->op_count > 0 ? stage->trace->op_count : 1;
    size_t replays = TIMING_OPS_LEAST / op_count + 1;
    uint64_t took = 0;
    for (size_t i = 0; i < replays; i++) {
        if (!stage_ready(stage, &replay)) {
            return -1;
        }
        uint64_t begin = tick_cpu_ns();
        replay_run(&replay, &result);
        took += tick_cpu_ns() - begin;
        if (stage_poolless(stage->ops)) {
            replay_free_rest(&replay, stage->memory->slot_count);
        }
    }
    return (double)took / (double)(op_count * replays);
}

/* What is measured: `count` stages and, behind them, the null allocator. */
struct field {
    struct stage *stages; /* count + 1 */
    size_t *order;        /* count + 1 */
    double *ns;           /* [round][count + 1] */
    size_t count;
};

static bool round_run(const struct field *field, uint64_t *state, double *ns) {
    order_shuffle(field->order, field->count + 1, state);
    bool ran = true;
    for (size_t i = 0; i <= field->count; i++) {
        size_t which = field->order[i];
        ns[which] = run_time(&field->stages[which]);
        ran &= ns[which] >= 0;
    }
    return ran;
}

/* Returns the number of rounds run; 0 when an init() refused. */
static unsigned rounds_run(const struct timing *timing, const struct field *field) {
    uint64_t state = timing->seed;
    uint64_t begin = tick_wall_ns();
    unsigned rounds = 0;
    if (!round_run(field, &state, field->ns)) {
        return 0;
    }
    while (rounds < timing->rounds) {
        (void)round_run(field, &state, field->ns + rounds * (field->count + 1));
        rounds++;
        uint64_t took = tick_wall_ns() - begin;
        bool late = timing->budget_ns != 0 && took + took / (rounds + 1) > timing->budget_ns;
        if (late && rounds >= TIMING_ROUNDS_LEAST) {
            break;
        }
    }
    return rounds;
}

static void row_fill(const struct field *field, size_t which, unsigned rounds,
                     struct bench_row *row) {
    double net[TIMING_ROUNDS_MAX];
    double null_ns[TIMING_ROUNDS_MAX];
    for (unsigned round = 0; round < rounds; round++) {
        const double *ns = field->ns + round * (field->count + 1);
        null_ns[round] = ns[field->count];
        net[round] = ns[which] - ns[field->count];
    }
    stats_sort(net, rounds);
    stats_sort(null_ns, rounds);
    struct stats_interval interval = stats_median_interval(net, rounds);
    row->rounds = rounds;
    row->ns_per_op = stats_median(net, rounds);
    row->ns_ci[0] = interval.low;
    row->ns_ci[1] = interval.high;
    row->null_ns_per_op = stats_median(null_ns, rounds);
}

static void field_fill(struct field *field, const struct stage *stages) {
    memcpy(field->stages, stages, field->count * sizeof *stages);
    field->stages[field->count] = stages[0];
    struct stage *null_stage = &field->stages[field->count];
    null_stage->ops = &null_alloc_ops;
    null_stage->plan = (struct stage_plan){.pool_bytes = stages[0].memory->pool_bytes};
    for (size_t i = 0; i <= field->count; i++) {
        field->order[i] = i;
    }
}

bool timing_measure(const struct timing *timing, const struct stage *stages,
                    struct bench_row *const *rows, size_t count, struct problem *problem) {
    assert(count > 0);
    assert(timing->rounds > 0 && timing->rounds <= TIMING_ROUNDS_MAX);
    struct field field = {.stages = malloc((count + 1) * sizeof *field.stages),
                          .order = malloc((count + 1) * sizeof *field.order),
                          .ns = malloc(timing->rounds * (count + 1) * sizeof *field.ns),
                          .count = count};
    unsigned rounds = 0;
    if (field.stages != NULL && field.order != NULL && field.ns != NULL) {
        field_fill(&field, stages);
        rounds = rounds_run(timing, &field);
    }
    for (size_t i = 0; rounds > 0 && i < count; i++) {
        row_fill(&field, i, rounds, rows[i]);
    }
    free(field.stages);
    free(field.order);
    free(field.ns);
    return rounds > 0 ||
           problem_set(problem, "%s: cannot set up a heap or out of memory", stages[0].trace->name);
}
