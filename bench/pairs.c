/* SPDX-License-Identifier: MIT
 * pairs.c - see pairs.h. */
#include "pairs.h"

#include "progress.h"

#include <stdio.h>
#include <string.h>

struct pass {
    const struct pairs *pairs;
    struct held_trace held; /* a worker's, from one pair to the next */
    struct progress progress;
};

static void pair_job(void *ctx, size_t job, void *result) {
    struct pass *pass = ctx;
    const struct selection *selection = pass->pairs->selection;
    struct pair_outcome *outcome = result;
    struct pair pair = {.ops = selection->ops[job % selection->allocator_count],
                        .trace = &pass->held.trace,
                        .trace_index = job / selection->allocator_count};
    if (selection_hold(selection, pair.trace_index, &pass->held, &outcome->problem)) {
        pass->pairs->run(pass->pairs->ctx, &pair, result);
    }
}

static void pair_name(const struct selection *selection, size_t pair, struct row_skip *name) {
    selection_name(selection, pair / selection->allocator_count, name->trace, sizeof name->trace);
    (void)snprintf(name->allocator, sizeof name->allocator, "%s",
                   selection->ops[pair % selection->allocator_count]->name);
}

static void pairs_progress(void *ctx, size_t done, size_t job) {
    struct pass *pass = ctx;
    struct row_skip name;
    pair_name(pass->pairs->selection, job, &name);
    progress_show(&pass->progress, done, name.allocator, name.trace);
}

bool pairs_run(const struct pairs *pairs, struct pairs_done *done, struct problem *problem) {
    struct pass pass = {.pairs = pairs};
    const struct workers workers = {.count = pairs->jobs,
                                    .job_count = pairs->selection->trace_count *
                                                 pairs->selection->allocator_count,
                                    .result_bytes = pairs->result_bytes,
                                    .run = pair_job,
                                    .progress = pairs_progress,
                                    .ctx = &pass};
    *done = (struct pairs_done){.selection = pairs->selection,
                                .count = workers.job_count,
                                .result_bytes = pairs->result_bytes};
    progress_begin(&pass.progress, workers.job_count);
    bool ran = workers_run(&workers, &done->results, &done->jobs, problem);
    progress_end(&pass.progress);
    for (size_t i = 0; ran && i < done->count; i++) {
        const struct pair_outcome *outcome = pairs_result(done, i);
        if (outcome->problem.text[0] != '\0') {
            *problem = outcome->problem;
            ran = false;
        }
    }
    if (!ran) {
        pairs_release(done);
    }
    return ran;
}

void pairs_release(struct pairs_done *done) {
    const struct workers workers = {.job_count = done->count, .result_bytes = done->result_bytes};
    workers_release(&workers, done->results, done->jobs);
    *done = (struct pairs_done){0};
}

const void *pairs_result(const struct pairs_done *done, size_t pair) {
    return (const char *)done->results + pair * done->result_bytes;
}

const char *pairs_crash(const struct pairs_done *done, size_t pair) {
    static char words[80];
    if (done->jobs[pair].done) {
        return NULL;
    }
    int signal = done->jobs[pair].signal;
    if (signal <= 0) {
        return "it ended the process that called it";
    }
    (void)snprintf(words, sizeof words, "it crashed with signal %d (%s)", signal,
                   strsignal(signal));
    return words;
}

bool pairs_skipped(const struct pairs_done *done, size_t pair, struct row_skip *skip) {
    const struct pair_outcome *outcome = pairs_result(done, pair);
    const char *crash = pairs_crash(done, pair);
    pair_name(done->selection, pair, skip);
    (void)snprintf(skip->why, sizeof skip->why, "%s", crash != NULL ? crash : outcome->why);
    return crash != NULL || !outcome->measured;
}
