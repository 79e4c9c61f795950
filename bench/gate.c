/* SPDX-License-Identifier: MIT
 * gate.c - see gate.h. */
#include "gate.h"

#include "cost.h"
#include "fit_run.h"
#include "meta.h"
#include "session.h"
#include "stage.h"

#include <stdlib.h>
#include <string.h>

const char *const gate_arch_names[GATE_ARCHES] = {"native", "arm"};

/* ---- what is measured ---- */

/* A list as the options take it. NULL when memory is out. */
static char *list_join(const char *const *items, size_t count) {
    char *list = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&list, &length);
    for (size_t i = 0; out != NULL && i < count; i++) {
        fprintf(out, "%s%s", i > 0 ? "," : "", items[i]);
    }
    if (out == NULL || fclose(out) != 0) {
        free(list);
        return NULL;
    }
    return list;
}

static bool lists_spell(struct gate *gate, const struct selection_choice *choice,
                        const struct selection *selection) {
    const char *names[SELECTION_MAX];
    for (size_t i = 0; i < selection->allocator_count; i++) {
        names[i] = selection->ops[i]->name;
    }
    gate->choice = (struct selection_choice){
        .which = choice->which,
        .allocators = choice->allocators != NULL ? strdup(choice->allocators)
                                                 : list_join(names, selection->allocator_count),
        .traces = list_join((const char *const *)selection->spec, selection->trace_count),
        .first = choice->first};
    return gate->choice.allocators != NULL && gate->choice.traces != NULL;
}

static bool traces_hash(struct gate *gate, const struct selection *selection,
                        struct problem *problem) {
    for (size_t i = 0; i < selection->trace_count; i++) {
        struct trace trace;
        if (!trace_load(selection->spec[i], &trace, problem)) {
            return false;
        }
        memcpy(gate->sha256[i], trace.sha256, sizeof trace.sha256);
        trace_release(&trace);
    }
    return true;
}

static bool pools_all(const struct selection *selection, struct problem *problem) {
    for (size_t i = 0; i < selection->allocator_count; i++) {
        if (stage_poolless(selection->ops[i])) {
            return problem_set(problem,
                               "%s: takes memory from the system, so its figures are not exact; "
                               "expected allocators with a pool",
                               selection->ops[i]->name);
        }
    }
    return true;
}

bool gate_plan(struct gate *gate, const struct selection_choice *choice, struct problem *problem) {
    struct selection selection;
    gate->choice = (struct selection_choice){0};
    if (!selection_make(choice, &selection, problem)) {
        return false;
    }
    bool planned =
        pools_all(&selection, problem) &&
        (lists_spell(gate, choice, &selection) || problem_set(problem, "out of memory")) &&
        traces_hash(gate, &selection, problem);
    selection_release(&selection);
    return planned;
}

bool gate_replan(const struct gate *gate, struct gate *again, struct problem *problem) {
    *again = (struct gate){.fixed_placement = gate->fixed_placement};
    memcpy(again->arch, gate->arch, sizeof gate->arch);
    for (size_t i = 0; i < GATE_PARTS; i++) {
        again->part[i].there = gate->part[i].there;
        again->part[i].tolerance_percent = gate->part[i].tolerance_percent;
    }
    if (!gate_plan(again, &gate->choice, problem)) {
        return false;
    }
    for (size_t i = 0; i < SELECTION_MAX; i++) {
        if (strcmp(gate->sha256[i], again->sha256[i]) != 0) {
            char spec[SELECTION_ITEM_BYTES];
            (void)selection_item(gate->choice.traces, i, spec);
            return problem_set(problem, "%.200s: its sha256 is %s, expected %s as in the baseline",
                               spec, again->sha256[i], gate->sha256[i]);
        }
    }
    return true;
}

/* ---- measuring, a function for each part ---- */

struct gate_work {
    const struct gate *gate;
    const struct selection *selection;
    unsigned jobs;
    FILE *log;
    size_t *faults;
};

static bool memory_measure(const struct gate_work *work, struct gate_figures *figures,
                           struct problem *problem) {
    const struct session session = {
        .selection = work->selection, .touch = REPLAY_TOUCH_EDGES, .jobs = work->jobs};
    struct session_result result;
    if (!session_run(&session, &result, problem)) {
        return false;
    }
    for (size_t i = 0; i < result.fault_count; i++) {
        const struct session_fault *fault = &result.faults[i];
        fprintf(work->log, "heaprig: %s on %s: %s\n", fault->allocator, fault->trace, fault->what);
    }
    *work->faults += result.fault_count;
    figures->rows = result.rows;
    figures->row_count = result.row_count;
    result.rows = NULL;
    session_release(&result);
    return true;
}

static bool pools_measure(const struct gate_work *work, struct gate_figures *figures,
                          struct problem *problem) {
    struct fit_result result;
    if (!fit_run(work->selection, work->jobs, &result, problem)) {
        return false;
    }
    if (result.crashed) {
        fprintf(work->log, "heaprig: an allocator crashed in the search for its smallest pool\n");
        *work->faults += 1;
    }
    figures->rows = result.rows;
    figures->row_count = result.row_count;
    result.rows = NULL;
    fit_result_release(&result);
    return true;
}

static bool instructions_measure(const struct gate_work *work, struct gate_figures *figures,
                                 struct problem *problem) {
    for (size_t i = 0; i < GATE_ARCHES; i++) {
        struct cost_result result;
        if (!work->gate->arch[i]) {
            continue;
        }
        if (!cost_measure(gate_arch_names[i], &work->gate->choice, work->selection, &result,
                          problem)) {
            return false;
        }
        size_t count = figures->row_count + result.row_count;
        struct cost_row *rows = realloc(figures->rows, (count + 1) * sizeof *rows);
        if (rows == NULL) {
            free(result.rows);
            return problem_set(problem, "out of memory");
        }
        memcpy(rows + figures->row_count, result.rows, result.row_count * sizeof *rows);
        free(result.rows);
        figures->rows = rows;
        figures->row_count = count;
    }
    return true;
}

static const struct {
    const char *name;
    const struct row_kind *rows;
    bool (*measure)(const struct gate_work *work, struct gate_figures *figures,
                    struct problem *problem);
} parts[GATE_PARTS] = {
    [GATE_MEMORY] = {"memory", &bench_rows, memory_measure},
    [GATE_POOLS] = {"pools", &fit_rows, pools_measure},
    [GATE_INSTRUCTIONS] = {"instructions", &cost_rows, instructions_measure},
};

const char *gate_part_name(size_t part) {
    return parts[part].name;
}

const struct row_kind *gate_rows(size_t part) {
    return parts[part].rows;
}

bool gate_measure(struct gate *gate, unsigned jobs, FILE *log, size_t *faults,
                  struct problem *problem) {
    struct selection selection;
    const struct gate_work work = {gate, &selection, jobs, log, faults};
    *faults = 0;
    if (!selection_make(&gate->choice, &selection, problem)) {
        return false;
    }
    bool measured = true;
    for (size_t i = 0; measured && i < GATE_PARTS; i++) {
        measured = !gate->part[i].there || parts[i].measure(&work, &gate->part[i], problem);
    }
    selection_release(&selection);
    gate->meta = meta_new();
    return measured;
}

/* ---- the verdict ---- */

static struct row_set figures_set(const struct gate *gate, size_t part) {
    return (struct row_set){.kind = parts[part].rows,
                            .rows = gate->part[part].rows,
                            .row_count = gate->part[part].row_count};
}

bool gate_holds(const struct gate *before, const struct gate *now, FILE *out,
                struct compare_counts *counts) {
    for (size_t i = 0; i < GATE_PARTS; i++) {
        if (before->part[i].there && now->part[i].there) {
            const struct row_set old = figures_set(before, i);
            const struct row_set new = figures_set(now, i);
            const struct compare_how how = {.out = out,
                                            .tolerance_percent = before->part[i].tolerance_percent};
            compare_rows(&old, &new, &how, counts);
        }
    }
    return counts->worse == 0 && !(before->fixed_placement && counts->changed > 0);
}

void gate_release(struct gate *gate) {
    free(gate->choice.allocators);
    free(gate->choice.traces);
    for (size_t i = 0; i < GATE_PARTS; i++) {
        free(gate->part[i].rows);
    }
    json_decref(gate->meta);
    *gate = (struct gate){0};
}
