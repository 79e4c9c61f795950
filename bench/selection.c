/* SPDX-License-Identifier: MIT
 * selection.c - see selection.h. */
#include "selection.h"

#include "cli.h"
#include "subject.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CORPUS "corpus/traces/"

static const char *corpus_pattern(enum selection_default which) {
    return which == SELECTION_ARMV7 ? CORPUS "armv7-*.hrt" : CORPUS "*.hrt";
}

/* ---- the options ---- */

static const struct argp_option options[] = {
    {"allocator", 'a', "LIST", 0, "names or plug-in paths, comma-separated", 0},
    {"trace", 't', "LIST", 0, "trace files or gen:NAME:SEED:OPS, comma-separated", 0},
    {"first", 'n', "N", 0, "replay only the first N operations of each trace", 0},
    {0},
};

static error_t option_parse(int key, char *text, struct argp_state *state) {
    struct selection_choice *choice = state->input;
    switch (key) {
    case 'a':
        choice->allocators = text;
        return 0;
    case 't':
        choice->traces = text;
        return 0;
    case 'n':
        choice->first = (size_t)cli_number(state, "first", text, 1, TRACE_OPS_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Says what the defaults are of the command whose help is shown. */
static char *option_help(int key, const char *text, void *input) {
    static const char *const allocators[] = {
        [SELECTION_ALL] = "all",
        [SELECTION_OWN] = "own allocators",
        [SELECTION_POOL] = "own allocators that free",
        [SELECTION_ARMV7] = "own allocators",
        [SELECTION_THREADS] = ("lock: and each own one, and the system's"),
    };
    const struct selection_choice *choice = input;
    char *help = NULL;
    if ((key != 'a' && key != 't') || choice == NULL ||
        asprintf(&help, "%s (default: %s%s)", text,
                 key == 'a' ? allocators[choice->which] : corpus_pattern(choice->which),
                 key == 't' && choice->which == SELECTION_THREADS
                     ? ", those of several threads, and gen:messages"
                     : "") < 0) {
        return (char *)(uintptr_t)text;
    }
    return help; /* argp frees it */
}

const struct argp selection_argp = {options, option_parse, NULL, NULL, NULL, option_help, NULL};
const struct argp_child selection_child[] = {{&selection_argp, 0, NULL, 0}, {0}};

/* ---- what they choose ---- */

static bool allocator_add(struct selection *s, const struct alloc_ops *ops,
                          struct problem *problem) {
    for (size_t i = 0; i < s->allocator_count; i++) {
        if (strcmp(s->ops[i]->name, ops->name) == 0) {
            return problem_set(problem, "two allocators are called '%s', expected one of each name",
                               ops->name);
        }
    }
    if (s->allocator_count == SELECTION_MAX) {
        return problem_set(problem, "more than %d allocators", SELECTION_MAX);
    }
    s->ops[s->allocator_count++] = ops;
    return true;
}

/* A generator keeps its whole specification, a file loses folder and ending. */
static void spec_name(const char *spec, char *name, size_t room) {
    const char *start = strncmp(spec, "gen:", 4) == 0 ? NULL : strrchr(spec, '/');
    start = start == NULL ? spec : start + 1;
    const char *dot = strncmp(spec, "gen:", 4) == 0 ? NULL : strrchr(start, '.');
    size_t length = dot == NULL || dot == start ? strlen(start) : (size_t)(dot - start);
    (void)snprintf(name, room, "%.*s", (int)length, start);
}

static bool spec_add(struct selection *s, const char *spec, struct problem *problem) {
    char name[64];
    char other[64];
    spec_name(spec, name, sizeof name);
    for (size_t i = 0; i < s->trace_count; i++) {
        spec_name(s->spec[i], other, sizeof other);
        if (strcmp(name, other) == 0) {
            return problem_set(problem, "%s: a second trace called '%s', expected one of each name",
                               spec, name);
        }
    }
    if (s->trace_count == SELECTION_MAX) {
        return problem_set(problem, "more than %d traces", SELECTION_MAX);
    }
    s->spec[s->trace_count] = strdup(spec);
    return s->spec[s->trace_count++] != NULL || problem_set(problem, "out of memory");
}

/* The allocator as the default has it, or NULL. */
static const struct alloc_ops *default_ops(const struct subject *subject,
                                           enum selection_default which, struct problem *problem) {
    const struct alloc_ops *ops = subject->ops;
    if (which == SELECTION_ALL || ops == NULL) {
        return ops;
    }
    if (which == SELECTION_THREADS && (ops->caps & ALLOC_CAP_THREADS) != 0) {
        return ops;
    }
    bool may_keep = which == SELECTION_OWN || which == SELECTION_ARMV7;
    uint32_t needed = may_keep ? 0 : ALLOC_CAP_FREES;
    uint32_t unwanted = which == SELECTION_THREADS ? ALLOC_CAP_FIXED_SIZE : 0;
    if (subject->baseline || (ops->caps & needed) != needed || (ops->caps & unwanted) != 0) {
        return NULL;
    }
    char locked[80];
    (void)snprintf(locked, sizeof locked, "lock:%s", subject->name);
    return which == SELECTION_THREADS ? subject_find(locked, problem) : ops;
}

static bool allocators_default(struct selection *s, enum selection_default which,
                               struct problem *problem) {
    struct subject subject;
    for (size_t i = 0; subject_at(i, &subject); i++) {
        const struct alloc_ops *ops = default_ops(&subject, which, problem);
        if (subject.ops == NULL && which == SELECTION_ALL) {
            size_t used = strlen(s->absent);
            (void)snprintf(s->absent + used, sizeof s->absent - used, " %s", subject.name);
        } else if (ops != NULL && !allocator_add(s, ops, problem)) {
            return false;
        }
    }
    return true;
}

/* Adds what has several threads, as far as it is replayed; no corpus is none. */
static bool threads_default(struct selection *s, const glob_t *found, struct problem *problem) {
    bool added = spec_add(s, "gen:messages", problem);
    for (size_t i = 0; added && i < found->gl_pathc; i++) {
        struct trace trace = {0};
        added = spec_add(s, found->gl_pathv[i], problem) &&
                selection_load(s, s->trace_count - 1, &trace, problem);
        if (added && trace.counts.threads < 2) {
            free(s->spec[--s->trace_count]);
        }
        trace_release(&trace);
    }
    return added;
}

static bool traces_default(struct selection *s, enum selection_default which,
                           struct problem *problem) {
    glob_t found = {0};
    bool added = true;
    const char *corpus = corpus_pattern(which);
    if (glob(corpus, 0, NULL, &found) != 0 && which != SELECTION_THREADS) {
        return problem_set(
            problem, "%s: no traces, expected to run where the corpus is, or --trace", corpus);
    }
    if (which == SELECTION_THREADS) {
        added = threads_default(s, &found, problem);
    }
    for (size_t i = 0; which != SELECTION_THREADS && added && i < found.gl_pathc; i++) {
        added = spec_add(s, found.gl_pathv[i], problem);
    }
    globfree(&found);
    return added;
}

bool selection_item(const char *list, size_t index, char item[SELECTION_ITEM_BYTES]) {
    for (list += strspn(list, ","); index > 0; index--) {
        list += strcspn(list, ",");
        list += strspn(list, ",");
    }
    (void)snprintf(item, SELECTION_ITEM_BYTES, "%.*s", (int)strcspn(list, ","), list);
    return *list != '\0';
}

/* Calls add for each item of a list. */
static bool list_each(const char *list, struct selection *s, struct problem *problem,
                      bool (*add)(struct selection *, const char *, struct problem *)) {
    char item[SELECTION_ITEM_BYTES];
    bool added = true;
    for (size_t i = 0; added && selection_item(list, i, item); i++) {
        added = add(s, item, problem);
    }
    return added;
}

static bool allocator_add_named(struct selection *s, const char *name, struct problem *problem) {
    const struct alloc_ops *ops = subject_find(name, problem);
    return ops != NULL && allocator_add(s, ops, problem);
}

bool selection_make(const struct selection_choice *choice, struct selection *selection,
                    struct problem *problem) {
    *selection = (struct selection){.first = choice->first};
    bool made = choice->allocators != NULL
                    ? list_each(choice->allocators, selection, problem, allocator_add_named)
                    : allocators_default(selection, choice->which, problem);
    made = made && (choice->traces != NULL ? list_each(choice->traces, selection, problem, spec_add)
                                           : traces_default(selection, choice->which, problem));
    if (made && (selection->allocator_count == 0 || selection->trace_count == 0)) {
        made = problem_set(problem, "nothing to do, expected an allocator and a trace");
    }
    if (!made) {
        selection_release(selection);
    }
    return made;
}

void selection_release(struct selection *selection) {
    for (size_t i = 0; i < selection->trace_count; i++) {
        free(selection->spec[i]);
    }
    *selection = (struct selection){0};
}

void selection_name(const struct selection *selection, size_t index, char *name, size_t room) {
    spec_name(selection->spec[index], name, room);
}

bool selection_load(const struct selection *selection, size_t index, struct trace *trace,
                    struct problem *problem) {
    if (!trace_load(selection->spec[index], trace, problem)) {
        return false;
    }
    if (selection->first > 0 && selection->first < trace->op_count &&
        !trace_slice(trace, 0, selection->first, problem)) {
        trace_release(trace);
        return false;
    }
    spec_name(selection->spec[index], trace->name, sizeof trace->name);
    return true;
}

bool selection_hold(const struct selection *selection, size_t index, struct held_trace *held,
                    struct problem *problem) {
    if (held->held == index + 1) {
        return true;
    }
    trace_release(&held->trace);
    held->held = 0;
    if (!selection_load(selection, index, &held->trace, problem)) {
        return false;
    }
    held->held = index + 1;
    return true;
}
