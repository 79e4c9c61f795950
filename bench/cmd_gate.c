/* SPDX-License-Identifier: MIT
 * cmd_gate.c - `heaprig gate init|check`: exact figures as a baseline, and whether they still hold.
 */
#include "cli.h"
#include "cost.h"
#include "gate.h"
#include "meta.h"
#include "subject.h"
#include "workers.h"

#include <stdlib.h>
#include <string.h>

int cmd_gate(int argc, char **argv);

static const char usage_text[] =
    "Usage: heaprig gate init [OPTION...] | check FOLDER\n"
    "\n"
    "  init      measures memory, smallest pools and instructions, and keeps them as a baseline\n"
    "  check     measures the same again and prints what changed\n"
    "\n"
    "`heaprig gate init --help` and so on tell more.\n";

struct gate_options {
    struct selection_choice choice;
    const char *folder;
    unsigned jobs;
    bool part[GATE_PARTS];  /* none: all */
    bool arch[GATE_ARCHES]; /* none: all there are */
    double tolerance_percent;
    bool fixed_placement;
};

enum { KEY_ONLY = 256, KEY_ARCH, KEY_TOLERANCE, KEY_FIXED };

/* ---- options ---- */

static const char *part_name(size_t index) {
    return index < GATE_PARTS ? gate_part_name(index) : NULL;
}

static const char *arch_name(size_t index) {
    return index < GATE_ARCHES ? gate_arch_names[index] : NULL;
}

/* Marks each name of a comma-separated list; else argp_error(). */
static void names_mark(const struct argp_state *state, const char *option, const char *text,
                       const char *(*name_at)(size_t index), bool *marks) {
    for (const char *part = text; part != NULL; part = strchr(part, ',')) {
        part += part != text;
        size_t length = strcspn(part, ",");
        size_t i = 0;
        while (name_at(i) != NULL &&
               (strlen(name_at(i)) != length || strncmp(part, name_at(i), length) != 0)) {
            i++;
        }
        if (name_at(i) == NULL) {
            argp_error(state, "--%s: '%.*s', expected some of %s, %s%s%s", option, (int)length,
                       part, name_at(0), name_at(1), name_at(2) != NULL ? ", " : "",
                       name_at(2) != NULL ? name_at(2) : "");
        } else {
            marks[i] = true;
        }
    }
}

static const struct argp_option check_options[] = {
    {"only", KEY_ONLY, "PARTS", 0, "some of memory, pools, instructions (default: all there are)",
     0},
    {"jobs", 'j', "N", 0, "processes (default: one for each core)", 0},
    {0},
};

/* What both actions take; as a child it gets the parent's input. */
static error_t check_parse(int key, char *text, struct argp_state *state) {
    struct gate_options *o = state->input;
    switch (key) {
    case KEY_ONLY:
        names_mark(state, "only", text, part_name, o->part);
        return 0;
    case 'j':
        o->jobs = (unsigned)cli_number(state, "jobs", text, 1, WORKERS_MAX);
        return 0;
    case ARGP_KEY_ARG:
        if (state->arg_num > 0) {
            argp_error(state, "%s: one name too many, expected one folder", text);
        }
        o->folder = text;
        return 0;
    case ARGP_KEY_END:
        if (o->folder == NULL) {
            argp_error(state, "expected the folder of a baseline");
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option init_options[] = {
    {"output", 'o', "FOLDER", 0, "where gate.json goes (default: gate)", 0},
    {"only", KEY_ONLY, "PARTS", 0, "some of memory, pools, instructions (default: all)", 0},
    {"arch", KEY_ARCH, "LIST", 0,
     "count instructions on native, arm or both (default: where QEMU and the build are there)", 0},
    {"tolerance", KEY_TOLERANCE, "PERCENT", 0,
     "by which instruction counts may grow (default: 1); memory may not, by a byte", 0},
    {"fixed-placement", KEY_FIXED, NULL, 0,
     "fail also when a block is placed elsewhere and nothing got worse", 0},
    {"jobs", 'j', "N", 0, "processes (default: one for each core)", 0},
    {0},
};

static error_t init_parse(int key, char *text, struct argp_state *state) {
    struct gate_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->choice;
        return 0;
    case 'o':
        o->folder = text;
        return 0;
    case KEY_ARCH:
        names_mark(state, "arch", text, arch_name, o->arch);
        return 0;
    case KEY_TOLERANCE:
        o->tolerance_percent = cli_percent(state, "tolerance", text);
        return 0;
    case KEY_FIXED:
        o->fixed_placement = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "%s: expected options only", text);
        return 0;
    default:
        return key == 'j' || key == KEY_ONLY ? check_parse(key, text, state) : ARGP_ERR_UNKNOWN;
    }
}

static bool marks_any(const bool *marks, size_t count) {
    return memchr(marks, true, count * sizeof *marks) != NULL;
}

/* ---- init ---- */

static bool plugin_among(const char *list) {
    char item[SELECTION_ITEM_BYTES];
    bool found = false;
    for (size_t i = 0; !found && selection_item(list, i, item); i++) {
        found = subject_is_plugin(item);
    }
    return found;
}

/* Every architecture that can be counted here, saying which cannot. */
static void arches_find(struct gate *gate) {
    for (size_t i = 0; i < GATE_ARCHES; i++) {
        struct problem problem;
        gate->arch[i] = cost_possible(gate_arch_names[i], &problem);
        if (gate->arch[i] && i == GATE_ARM && plugin_among(gate->choice.allocators)) {
            gate->arch[i] = problem_set(&problem, "a plug-in is for this machine");
        }
        if (!gate->arch[i]) {
            fprintf(stderr, "skipped: instructions on %s: %s\n", gate_arch_names[i], problem.text);
        }
    }
}

static bool arches_there(const struct gate *gate, struct problem *problem) {
    bool there = true;
    for (size_t i = 0; there && i < GATE_ARCHES; i++) {
        there = !gate->part[GATE_INSTRUCTIONS].there || !gate->arch[i] ||
                cost_possible(gate_arch_names[i], problem);
    }
    return there;
}

static bool init_plan(const struct gate_options *o, struct gate *gate, struct problem *problem) {
    *gate = (struct gate){.fixed_placement = o->fixed_placement};
    for (size_t i = 0; i < GATE_PARTS; i++) {
        gate->part[i].there = !marks_any(o->part, GATE_PARTS) || o->part[i];
    }
    gate->part[GATE_INSTRUCTIONS].tolerance_percent = o->tolerance_percent;
    if (!gate_plan(gate, &o->choice, problem)) {
        return false;
    }
    if (marks_any(o->arch, GATE_ARCHES)) {
        memcpy(gate->arch, o->arch, sizeof gate->arch);
    } else if (gate->part[GATE_INSTRUCTIONS].there) {
        arches_find(gate);
        gate->part[GATE_INSTRUCTIONS].there = marks_any(gate->arch, GATE_ARCHES);
    }
    return arches_there(gate, problem);
}

static void plan_show(const struct gate *gate, const char *folder) {
    printf("%s/gate.json:", folder);
    for (size_t i = 0; i < GATE_PARTS; i++) {
        if (gate->part[i].there) {
            printf(" %s of %zu pairs;", gate_part_name(i), gate->part[i].row_count);
        }
    }
    printf(" check with `heaprig gate check %s`\n", folder);
}

/* What the new baseline says that the one before it did not. */
static void change_show(const char *folder, const struct gate *now) {
    struct gate before;
    struct problem problem;
    struct compare_counts counts = {0};
    if (gate_read(folder, &before, &problem)) {
        (void)gate_holds(&before, now, stdout, &counts);
        printf(
            "since the last baseline: %zu figures worse, %zu better, %zu changed, %zu new rows\n",
            counts.worse, counts.better, counts.changed, counts.added);
        gate_release(&before);
    }
}

static int init_run(const struct gate_options *o) {
    struct gate gate;
    struct problem problem;
    size_t faults = 0;
    bool kept =
        init_plan(o, &gate, &problem) && gate_measure(&gate, o->jobs, stderr, &faults, &problem);
    if (kept && faults == 0) {
        change_show(o->folder, &gate);
        kept = gate_write(&gate, o->folder, &problem);
        if (kept) {
            plan_show(&gate, o->folder);
        }
    }
    gate_release(&gate);
    return !kept ? cli_problem(&problem) : faults > 0 ? CLI_FAILED : CLI_FINE;
}

static int gate_init(int argc, char **argv) {
    static const char doc[] =
        "Measures what is exact and keeps it as a baseline: high water, fragmentation, failures, "
        "placement, smallest pools, and instructions of every call.\v"
        "Run it where `gate check` will run: paths of traces and plug-ins are kept as given.\n"
        "Examples:\n"
        "  heaprig gate init -a ./my_alloc.so -t a.hrt,b.hrt -o gate\n"
        "  heaprig gate init -a tlsf,bestfit -t my.hrt --tolerance 0.5\n"
        "Exit status: 0 kept, 1 an allocator crashed or broke a rule and nothing was kept, 2 bad "
        "usage or input.";
    struct gate_options o = {
        .choice = {.which = SELECTION_OWN}, .folder = "gate", .tolerance_percent = 1};
    const struct argp argp = {init_options, init_parse, NULL, doc, selection_child, NULL, NULL};
    struct problem problem;
    cli_parse(&argp, argc, argv, &o);
    if (meta_unfit_reason() != NULL) {
        (void)problem_set(&problem, "%s: no baseline from such a build, expected a plain one",
                          meta_unfit_reason());
        return cli_problem(&problem);
    }
    return init_run(&o);
}

/* ---- check ---- */

/* Only the parts asked for; false and *problem when the baseline has none of one. */
static bool parts_keep(struct gate *gate, const bool *wanted, const char *folder,
                       struct problem *problem) {
    for (size_t i = 0; i < GATE_PARTS && marks_any(wanted, GATE_PARTS); i++) {
        if (wanted[i] && !gate->part[i].there) {
            return problem_set(problem, "%s: has no part '%s', expected one", folder,
                               gate_part_name(i));
        }
        gate->part[i].there = wanted[i];
    }
    return true;
}

/* Instructions follow the compiler, so a difference there explains many others. */
static void compiler_note(const struct gate *before, const struct gate *now) {
    const char *old = json_string_value(json_object_get(before->meta, "compiler"));
    const char *new = json_string_value(json_object_get(now->meta, "compiler"));
    if (now->part[GATE_INSTRUCTIONS].there && old != NULL && new != NULL &&strcmp(old, new) != 0) {
        printf("note: instructions follow the compiler: the baseline's was %s, this is %s\n", old,
               new);
    }
}

static int verdict_show(const struct gate *before, const struct gate *now, size_t faults) {
    struct compare_counts counts = {0};
    bool holds = gate_holds(before, now, stdout, &counts) && faults == 0;
    if (!holds) {
        compiler_note(before, now);
    }
    printf("gate %s: %zu rows compared, %zu figures worse, %zu better, %zu changed%s\n",
           holds ? "holds" : "BROKEN", counts.pairs, counts.worse, counts.better, counts.changed,
           counts.changed > 0 && before->fixed_placement ? " (none may)" : "");
    if (counts.better + counts.changed > 0) {
        printf("to take new figures over: `heaprig gate init` again; for results/baseline `make "
               "bless`\n");
    }
    return holds ? CLI_FINE : CLI_FAILED;
}

static int check_run(const struct gate_options *o) {
    struct gate before;
    struct gate now = {0};
    struct problem problem;
    size_t faults;
    if (!gate_read(o->folder, &before, &problem)) {
        return cli_problem(&problem);
    }
    bool measured = parts_keep(&before, o->part, o->folder, &problem) &&
                    gate_replan(&before, &now, &problem) && arches_there(&now, &problem) &&
                    gate_measure(&now, o->jobs, stderr, &faults, &problem);
    int status = measured ? verdict_show(&before, &now, faults) : cli_problem(&problem);
    gate_release(&before);
    gate_release(&now);
    return status;
}

static int gate_check(int argc, char **argv) {
    static const char doc[] =
        "Measures again what `gate init` kept, on the same allocators and traces, and prints only "
        "what changed: allocator, trace, figure, before, after, verdict.\v"
        "Example: heaprig gate check gate\n"
        "Exit status: 0 no figure is worse, 1 one is, 2 bad usage or input: no baseline, a damaged "
        "or older one, a trace that changed, an allocator that is gone.";
    struct gate_options o = {0};
    const struct argp argp = {check_options, check_parse, "FOLDER", doc, NULL, NULL, NULL};
    cli_parse(&argp, argc, argv, &o);
    return check_run(&o);
}

static const struct cli_action actions[] = {
    {"init", gate_init}, {"check", gate_check}, {NULL, NULL}};

int cmd_gate(int argc, char **argv) {
    return cli_act(actions, usage_text, argc, argv);
}
