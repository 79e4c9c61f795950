/* SPDX-License-Identifier: MIT
 *
 * mmu_speed_main.c - an instrumented replay, as of `heaprig mmu`, beside a plain one
 *
 *   mmu_speed [TRACE...]   by default armv7-lua and armv7-python of the corpus
 *
 * The five general allocators, on the Cortex-A7 with pages of 4 KiB: ns an operation by processor
 * time, and the ratio, medians of rounds of both in turn. Loading is not counted, setting up the
 * heap and the emulated machine is.
 */
#include "mmu_run.h"
#include "stats.h"
#include "tick.h"
#include "touches.h"

#include <stdio.h>

enum { ROUNDS = 11 };
static const double target = 6;

/* ns an operation; negative when it cannot be done. */
static double plain_round(const struct stage *stage) {
    struct replay replay;
    struct replay_result result;
    uint64_t begin = tick_cpu_ns();
    if (!stage_ready(stage, &replay)) {
        return -1;
    }
    replay_run(&replay, &result);
    return (double)(tick_cpu_ns() - begin) / (double)stage->trace->op_count;
}

static double instrumented_round(const struct stage *stage, const struct mmu_setting *setting) {
    struct mmu_pair pair;
    struct problem problem;
    struct mmu_series *series = mmu_series_new(stage->trace->op_count, stage->plan.pool_bytes);
    uint64_t begin = tick_cpu_ns();
    bool fine =
        series != NULL && mmu_pair_run(stage, setting, VM_PAGE_LOG, series, &pair, &problem);
    uint64_t took = tick_cpu_ns() - begin;
    mmu_series_free(series);
    return fine && pair.seen ? (double)took / (double)stage->trace->op_count : -1;
}

static bool rounds_run(struct stage *stage, const struct alloc_ops *ops,
                       const struct mmu_setting *setting) {
    double plain[ROUNDS], instrumented[ROUNDS], ratio[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        stage->ops = ops;
        plain[i] = plain_round(stage);
        stage->ops = touches_build(ops);
        instrumented[i] = instrumented_round(stage, setting);
        ratio[i] = instrumented[i] / plain[i];
        if (plain[i] < 0 || instrumented[i] < 0) {
            return false;
        }
    }
    stats_sort(plain, ROUNDS);
    stats_sort(instrumented, ROUNDS);
    stats_sort(ratio, ROUNDS);
    printf("%-16s %-16s plain %5.1f ns, instrumented %6.1f ns an operation; ratio %5.2f (%.2f to "
           "%.2f in the middle half of %d rounds), target %.0f\n",
           stage->trace->name, ops->name, stats_median(plain, ROUNDS),
           stats_median(instrumented, ROUNDS), stats_median(ratio, ROUNDS), ratio[ROUNDS / 4],
           ratio[ROUNDS * 3 / 4], ROUNDS, target);
    return true;
}

/* Allocators that cannot serve the trace are left out. */
static bool pair_run(const struct trace *trace, const struct alloc_ops *ops,
                     const struct mmu_setting *setting, struct problem *problem) {
    char why[STAGE_WHY_BYTES];
    struct stage_memory memory;
    struct stage stage = {.ops = ops, .trace = trace, .memory = &memory, .touch = setting->touch};
    if (stage_poolless(ops) || !stage_plan_make(ops, trace, &stage.plan, why)) {
        return true;
    }
    if (!stage_memory_open(&memory, stage.plan.pool_bytes, trace->counts.slots, problem)) {
        return false;
    }
    bool fine = !stage_probe(&stage) || rounds_run(&stage, ops, setting) ||
                problem_set(problem, "%s on %s: nothing to be measured, expected a replay",
                            ops->name, trace->name);
    stage_memory_close(&memory);
    return fine;
}

static bool trace_run(const char *spec, const struct mmu_setting *setting,
                      struct problem *problem) {
    static const char *const names[] = {"tlsf_frugal", "tlsf_fast", "tlsf", "bestfit", "buddy"};
    struct trace trace = {0};
    bool fine = trace_load(spec, &trace, problem);
    for (size_t i = 0; fine && i < sizeof names / sizeof names[0]; i++) {
        fine = pair_run(&trace, alloc_find(names[i]), setting, problem);
    }
    trace_release(&trace);
    return fine;
}

int main(int argc, char **argv) {
    static const char *const usual[] = {"corpus/traces/armv7-lua.hrt",
                                        "corpus/traces/armv7-python.hrt"};
    const char *const *specs = argc > 1 ? (const char *const *)(argv + 1) : usual;
    int count = argc > 1 ? argc - 1 : 2;
    struct mmu_setting setting = {.touch = REPLAY_TOUCH_EDGES};
    struct problem problem = {"the instrumented allocators are not in this build"};
    bool fine = touches_absent() == NULL && core_find(&setting.core, "a7");
    for (int i = 0; fine && i < count; i++) {
        fine = trace_run(specs[i], &setting, &problem);
    }
    if (!fine) {
        fprintf(stderr, "mmu_speed: %s\n", problem.text);
        return 2;
    }
    return 0;
}
