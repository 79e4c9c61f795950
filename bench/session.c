/* SPDX-License-Identifier: MIT
 * session.c - see session.h. */
#include "session.h"

#include "exact.h"
#include "latency.h"
#include "progress.h"
#include "tick.h"
#include "timing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The seconds are split so: rounds get this share, latency the rest. */
#define ROUNDS_SHARE 0.4

/* What a worker of the exact pass knows. */
struct exact_pass {
    enum replay_touch touch;
    char series_folder[512]; /* empty: none are wanted */
};

static void pair_measure(void *ctx, const struct pair *pair, void *result) {
    const struct exact_pass *pass = ctx;
    exact_measure(pair->ops, pair->trace, pass->touch,
                  pass->series_folder[0] != '\0' ? pass->series_folder : NULL, result);
}

static void fault_add(struct session_result *result, const struct row_skip *name,
                      const char *what) {
    struct session_fault *fault = &result->faults[result->fault_count++];
    (void)snprintf(fault->allocator, sizeof fault->allocator, "%s", name->allocator);
    (void)snprintf(fault->trace, sizeof fault->trace, "%s", name->trace);
    (void)snprintf(fault->what, sizeof fault->what, "%s", what);
}

/* Sorts a pair's outcome into rows, skips and faults. */
static void outcome_file(const struct pairs_done *done, size_t pair,
                         struct session_result *result) {
    const struct exact *exact = pairs_result(done, pair);
    struct row_skip skip;
    bool skipped = pairs_skipped(done, pair, &skip);
    if (pairs_crash(done, pair) != NULL) {
        fault_add(result, &skip, skip.why);
    } else if (exact->broken[0] != '\0') {
        fault_add(result, &skip, exact->broken);
    } else if (skipped) {
        result->skips[result->skip_count++] = skip;
    } else {
        result->rows[result->row_count++] = exact->row;
    }
}

/* One trace's part of the timed pass. */
struct timed_pass {
    const struct session *session;
    struct trace trace;
    struct stage_memory memory;
    struct stage stages[SELECTION_MAX];
    struct bench_row *rows[SELECTION_MAX];
    size_t count;
    struct timing timing;
    struct latency_plan latency;
    struct progress progress;
};

static size_t pool_largest(const struct timed_pass *pass) {
    uint64_t largest = pass->trace.counts.largest_request + STAGE_ALIGN; /* what null needs */
    size_t bytes = largest < STAGE_POOL_MAX ? (size_t)largest : STAGE_POOL_MAX;
    for (size_t i = 0; i < pass->count; i++) {
        size_t pool = pass->stages[i].plan.pool_bytes;
        bytes = pool > bytes ? pool : bytes;
    }
    return bytes;
}

static bool latencies_measure(struct timed_pass *pass, struct problem *problem) {
    struct latency *latency = malloc(sizeof *latency);
    bool measured = latency != NULL || problem_set(problem, "out of memory");
    for (size_t i = 0; measured && i < pass->count; i++) {
        struct bench_row *row = pass->rows[i];
        measured = latency_measure(&pass->stages[i], &pass->latency, latency, problem);
        if (measured) {
            row->latency_replays = latency->replays;
            row->alloc = latency_row(latency, LATENCY_ALLOC);
            row->realloc = latency_row(latency, LATENCY_REALLOC);
            row->free = latency_row(latency, LATENCY_FREE);
            row->all = latency_row_all(latency);
        }
        if (measured && pass->session->folder != NULL) {
            char path[512];
            (void)snprintf(path, sizeof path, "%s/latency/%s.%s.tsv", pass->session->folder,
                           row->allocator, row->trace);
            measured = latency_write(latency, path, problem);
        }
    }
    free(latency);
    return measured;
}

/* Collects the stages of a loaded trace from its jobs. */
static void stages_collect(struct timed_pass *pass, size_t trace, const struct exact *exact,
                           struct session_result *result) {
    const struct selection *selection = pass->session->selection;
    pass->count = 0;
    for (size_t i = 0; i < result->row_count; i++) {
        struct bench_row *row = &result->rows[i];
        for (size_t a = 0; a < selection->allocator_count; a++) {
            if (strcmp(row->trace, pass->trace.name) == 0 &&
                strcmp(row->allocator, selection->ops[a]->name) == 0) {
                pass->rows[pass->count] = row;
                pass->stages[pass->count++] =
                    (struct stage){.ops = selection->ops[a],
                                   .trace = &pass->trace,
                                   .memory = &pass->memory,
                                   .plan = exact[trace * selection->allocator_count + a].plan,
                                   .touch = pass->session->touch};
            }
        }
    }
}

static bool trace_time(struct timed_pass *pass, size_t trace, const struct exact *exact,
                       struct session_result *result, struct problem *problem) {
    if (!selection_load(pass->session->selection, trace, &pass->trace, problem)) {
        return false;
    }
    stages_collect(pass, trace, exact, result);
    bool timed = true;
    if (pass->count > 0) {
        timed = stage_memory_open(&pass->memory, pool_largest(pass), pass->trace.counts.slots,
                                  problem) &&
                timing_measure(&pass->timing, pass->stages, pass->rows, pass->count, problem) &&
                (pass->session->repeats == 0 || latencies_measure(pass, problem));
        stage_memory_close(&pass->memory);
    }
    trace_release(&pass->trace);
    return timed;
}

static bool timed_pass_run(const struct session *session, const struct exact *exact,
                           struct session_result *result, struct problem *problem) {
    struct timed_pass *pass = calloc(1, sizeof *pass);
    if (pass == NULL) {
        return problem_set(problem, "out of memory");
    }
    size_t traces = session->selection->trace_count;
    pass->session = session;
    double trace_ns = 1e9 * session->seconds / (double)traces;
    pass->timing = (struct timing){.rounds = session->rounds,
                                   .budget_ns = (uint64_t)(ROUNDS_SHARE * trace_ns)};
    pass->latency =
        (struct latency_plan){.replays = session->repeats,
                              .budget_ns = (uint64_t)((1 - ROUNDS_SHARE) * trace_ns /
                                                      (double)session->selection->allocator_count),
                              .overhead = tick_overhead(),
                              .tick_ns = tick_ns()};
    bool timed = true;
    progress_begin(&pass->progress, traces);
    for (size_t i = 0; timed && i < traces; i++) {
        char name[64];
        selection_name(session->selection, i, name, sizeof name);
        progress_show(&pass->progress, i, "timing", name);
        pass->timing.seed = session->seed + i;
        timed = trace_time(pass, i, exact, result, problem);
    }
    progress_end(&pass->progress);
    free(pass);
    return timed;
}

static bool result_reserve(struct session_result *result, size_t pairs) {
    result->rows = calloc(pairs, sizeof *result->rows);
    result->skips = calloc(pairs, sizeof *result->skips);
    result->faults = calloc(pairs, sizeof *result->faults);
    return result->rows != NULL && result->skips != NULL && result->faults != NULL;
}

bool session_run(const struct session *session, struct session_result *result,
                 struct problem *problem) {
    struct exact_pass pass = {.touch = session->touch};
    if (session->folder != NULL) {
        (void)snprintf(pass.series_folder, sizeof pass.series_folder, "%s/footprint",
                       session->folder);
    }
    const struct pairs pairs = {.selection = session->selection,
                                .jobs = session->jobs,
                                .result_bytes = sizeof(struct exact),
                                .run = pair_measure,
                                .ctx = &pass};
    struct pairs_done done;
    *result = (struct session_result){0};
    if (!pairs_run(&pairs, &done, problem)) {
        return false;
    }
    bool measured = result_reserve(result, done.count) || problem_set(problem, "out of memory");
    for (size_t i = 0; measured && i < done.count; i++) {
        outcome_file(&done, i, result);
    }
    measured = measured &&
               (session->rounds == 0 || timed_pass_run(session, done.results, result, problem));
    pairs_release(&done);
    if (!measured) {
        session_release(result);
    }
    return measured;
}

void session_release(struct session_result *result) {
    free(result->rows);
    free(result->skips);
    free(result->faults);
    *result = (struct session_result){0};
}
