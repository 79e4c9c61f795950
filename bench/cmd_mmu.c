/* SPDX-License-Identifier: MIT
 * cmd_mmu.c - `heaprig mmu`: what placement costs on an emulated ARMv7 core. */
#include "cli.h"
#include "meta.h"
#include "mmu_run.h"
#include "output.h"
#include "result_file.h"

#include "../trace/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int cmd_mmu(int argc, char **argv);

struct mmu_options {
    struct selection_choice choice;
    struct output_choice output;
    struct mmu_setting setting;
    unsigned jobs;
};

enum { KEY_CORE = 256, KEY_PAGES, KEY_KNOB, KEY_CACHES, KEY_TOUCH };

static const struct argp_option options[] = {
    {"core", KEY_CORE, "NAME", 0,
     "a5, a7 (default), a8, a9, a15, a17 or another preset; `--core list` shows them with their "
     "numbers",
     0},
    {"pages", KEY_PAGES, "LIST", 0, "page sizes: some of 4k,64k,1m,16m (default: 4k)", 0},
    {"knob", KEY_KNOB, "NAME=VALUE", 0, "change a number of the core (after --core)", 0},
    {"caches", KEY_CACHES, NULL, 0, "run all accesses through the data caches, not only walks", 0},
    {"touch", KEY_TOUCH, "HOW", 0,
     "what the program writes into a new block: none, edges (default) or whole", 0},
    {"jobs", 'j', "N", 0, "processes (default: one for each core)", 0},
    {0},
};

static const char doc[] =
    "Replays traces on allocators behind an emulated ARMv7 MMU: TLB misses, page walks, pages, "
    "faults.\v"
    "The program's touches (--touch) and the allocator's own, from a second build whose loads and "
    "stores are counted, go through one micro-TLB and main TLB. Columns show all/program's/"
    "allocator's. Cycles are an additive estimate of an in-order core: an upper bound for A9, A15, "
    "A17. A page's first touch is a fault and maps it; its cost is the kernel's and not counted. "
    "Figures are exact for one compiler; of a plug-in without instrumentation (README.md) only the "
    "program's touches are seen.\n\n"
    "Examples:\n"
    "  heaprig mmu                     own allocators, traces of ARMv7 programs\n"
    "  heaprig mmu --core a15 --pages 4k,64k,1m -a tlsf,./my.so -t my.hrt\n"
    "  heaprig mmu --core a9 --knob main_sets=64 --columns walk_reads -t my.hrt\n"
    "  heaprig mmu --core list";

/* ---- options ---- */

static void cores_print(void) {
    printf("%-18s", "");
    for (size_t c = 0; c < core_count(); c++) {
        printf(" %12s", core_preset_name(c));
    }
    for (int knob = 0; knob < CORE_KNOB_COUNT; knob++) {
        printf("\n%-18s", core_knob_name((enum core_knob)knob));
        for (size_t c = 0; c < core_count(); c++) {
            struct core core;
            char cell[32];
            (void)core_find(&core, core_preset_name(c));
            (void)snprintf(cell, sizeof cell, "%" PRIu32 " %.4s", core.knob[knob].value,
                           core_origin_name(core.knob[knob].origin));
            printf(" %12s", cell);
        }
    }
    puts("\n\nBehind each number where it comes from: the core's manual, measured by others, "
         "derived, "
         "assumed.");
    for (int knob = 0; knob < CORE_KNOB_COUNT; knob++) {
        printf("%-18s %s\n", core_knob_name((enum core_knob)knob),
               core_knob_what((enum core_knob)knob));
    }
}

static const char *core_name(const void *table, size_t index) {
    (void)table;
    return core_preset_name(index);
}

static const char *knob_name(const void *table, size_t index) {
    (void)table;
    return index < CORE_KNOB_COUNT ? core_knob_name((enum core_knob)index) : NULL;
}

static void core_choose(const struct argp_state *state, const char *name,
                        struct mmu_setting *setting) {
    if (strcmp(name, "list") == 0) {
        cores_print();
        exit(CLI_FINE);
    }
    if (!core_find(&setting->core, name)) {
        const char *nearest = name_nearest(name, NULL, core_name);
        argp_error(state, "--core: '%s', expected a preset of `--core list`%s%s%s", name,
                   nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "'?" : "");
    }
    (void)snprintf(setting->core_name, sizeof setting->core_name, "%s", name);
}

static void knob_set(const struct argp_state *state, const char *text,
                     struct mmu_setting *setting) {
    char name[32], option[48];
    size_t length = strcspn(text, "=");
    size_t used = strlen(setting->core_name);
    if (text[length] != '=' || length >= sizeof name) {
        argp_error(state, "--knob: '%s', expected NAME=VALUE", text);
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)length, text);
    (void)snprintf(option, sizeof option, "knob %s", name);
    uint32_t value = (uint32_t)cli_number(state, option, text + length + 1, 0, UINT32_MAX);
    if (!core_set(&setting->core, name, value)) {
        const char *nearest = name_nearest(name, NULL, knob_name);
        argp_error(state, "--knob: '%s', expected a knob of `--core list`%s%s%s", name,
                   nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "'?" : "");
    }
    if (used + strlen(text) + 2 > sizeof setting->core_name) {
        argp_error(state, "--knob: too many for one run");
    }
    (void)snprintf(setting->core_name + used, sizeof setting->core_name - used, " %s", text);
}

static void pages_choose(const struct argp_state *state, const char *list,
                         struct mmu_setting *setting) {
    static const unsigned sizes[] = {VM_PAGE_LOG, VM_LARGE_LOG, VM_SECTION_LOG,
                                     VM_SUPERSECTION_LOG};
    char item[SELECTION_ITEM_BYTES];
    setting->page_sizes = 0;
    for (size_t i = 0; selection_item(list, i, item); i++) {
        unsigned log2 = 0;
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            log2 = strcmp(item, mmu_page_name(sizes[s])) == 0 ? sizes[s] : log2;
        }
        for (size_t k = 0; k < setting->page_sizes; k++) {
            log2 = setting->page_log2[k] == log2 ? 0 : log2;
        }
        if (log2 == 0) {
            argp_error(state, "--pages: '%s', expected some of 4k,64k,1m,16m, each once", item);
        }
        setting->page_log2[setting->page_sizes++] = log2;
    }
    if (setting->page_sizes == 0) {
        argp_error(state, "--pages: nothing, expected some of 4k,64k,1m,16m");
    }
}

static error_t option_parse(int key, char *text, struct argp_state *state) {
    struct mmu_options *o = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->choice;
        state->child_inputs[1] = &o->output;
        return 0;
    case KEY_CORE:
        core_choose(state, text, &o->setting);
        return 0;
    case KEY_PAGES:
        pages_choose(state, text, &o->setting);
        return 0;
    case KEY_KNOB:
        knob_set(state, text, &o->setting);
        return 0;
    case KEY_CACHES:
        o->setting.caches = true;
        return 0;
    case KEY_TOUCH:
        o->setting.touch = cli_touch(state, text);
        return 0;
    case 'j':
        o->jobs = (unsigned)cli_number(state, "jobs", text, 1, 16);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* ---- report ---- */

struct table {
    const char *title;
    const char *value, *second, *third;
};

#define SHARE(member) #member, #member "_app", #member "_alloc"
static const struct table tables[] = {
    {"micro-TLB misses per 1000 operations", SHARE(micro_misses)},
    {"main-TLB misses per 1000 operations, each a page walk", SHARE(main_misses)},
    {"reads of page walks per 1000 operations", SHARE(walk_reads)},
    {"pages touched", SHARE(pages)},
    {"faults: pages by who touched them first", SHARE(faults)},
    {"estimated cycles per operation: accesses, misses and walks added up", SHARE(cycles)},
};

/* Tables show a trace and an allocator once, so each page size has tables of its own. */
static bool size_print(const struct mmu_options *o, const struct row_set *set, unsigned log2) {
    const struct mmu_row *rows = set->rows;
    struct row_set one = *set;
    struct mmu_row *chosen = calloc(set->row_count + 1, sizeof *chosen);
    bool printed = chosen != NULL;
    one.rows = chosen;
    one.row_count = 0;
    for (size_t i = 0; printed && i < set->row_count; i++) {
        if (strcmp(rows[i].page_size, mmu_page_name(log2)) == 0) {
            chosen[one.row_count++] = rows[i];
        }
    }
    for (size_t i = 0; printed && i < sizeof tables / sizeof tables[0]; i++) {
        char title[256];
        (void)snprintf(title, sizeof title, "%s, %s pages: %s: all/program's/allocator's",
                       o->setting.core_name, mmu_page_name(log2), tables[i].title);
        printed = rows_print(&one, &(struct row_table){.title = title,
                                                       .value = tables[i].value,
                                                       .second = tables[i].second,
                                                       .third = tables[i].third,
                                                       .floor = 0.001});
    }
    printed = printed && output_columns_print(&o->output, &one);
    free(chosen);
    return printed;
}

/* Names those whose own touches nobody saw. */
static void unseen_print(const struct mmu_result *result, const struct selection *selection) {
    for (size_t a = 0; a < selection->allocator_count; a++) {
        for (size_t i = 0; i < result->row_count; i++) {
            const struct mmu_row *row = &result->rows[i];
            if (strcmp(row->allocator, selection->ops[a]->name) == 0 &&
                row->accesses.alloc != row->accesses.alloc) {
                printf("\n%s: the program's touches only: %s\n", row->allocator,
                       touches_absent() != NULL ? touches_absent()
                                                : "it was not compiled with instrumentation");
                break;
            }
        }
    }
}

static json_t *meta_make(const struct mmu_options *o) {
    json_t *meta = meta_new();
    json_t *knobs = json_object();
    for (int i = 0; i < CORE_KNOB_COUNT; i++) {
        (void)json_object_set_new(knobs, core_knob_name((enum core_knob)i),
                                  json_pack("{s:I,s:s}", "value",
                                            (json_int_t)o->setting.core.knob[i].value, "origin",
                                            core_origin_name(o->setting.core.knob[i].origin)));
    }
    (void)json_object_set_new(meta, "core", json_string(o->setting.core_name));
    (void)json_object_set_new(meta, "knobs", knobs);
    (void)json_object_set_new(meta, "touch", json_string(cli_touch_name(o->setting.touch)));
    (void)json_object_set_new(meta, "first", json_integer((json_int_t)o->choice.first));
    return meta;
}

static int mmu_report(const struct mmu_options *o, const struct selection *selection,
                      const struct mmu_result *result) {
    struct problem problem = {"cannot print the tables"};
    const struct row_set set = {.kind = &mmu_rows,
                                .rows = result->rows,
                                .row_count = result->row_count,
                                .skips = result->skips,
                                .skip_count = result->skip_count,
                                .order = selection->ops,
                                .order_count = selection->allocator_count};
    json_t *meta = meta_make(o);
    bool fine = rows_write(&set, meta, o->output.folder, &problem);
    json_decref(meta);
    printf("best of each line marked *; in brackets: some requests or traces were not served\n");
    for (size_t i = 0; fine && i < o->setting.page_sizes; i++) {
        fine = size_print(o, &set, o->setting.page_log2[i]);
    }
    unseen_print(result, selection);
    rows_print_skips(&set);
    if (!fine) {
        return cli_problem(&problem);
    }
    return result->crashed ? CLI_FAILED : CLI_FINE;
}

static bool folders_make(const char *output, struct problem *problem) {
    static const char *const folders[] = {"mmu", "heat"};
    char path[512];
    if (strlen(output) > 300) {
        return problem_set(problem, "%s: name too long", output);
    }
    bool made = true;
    for (size_t i = 0; made && i < sizeof folders / sizeof folders[0]; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", output, folders[i]);
        made = result_folder_make(path, problem);
    }
    return made;
}

static int mmu_measure(const struct mmu_options *o, const struct selection *selection) {
    struct problem problem;
    struct mmu_result result;
    const char *unfit = meta_unfit_reason();
    if (unfit != NULL) {
        (void)problem_set(&problem, "%s: no results from such a build, expected a plain one",
                          unfit);
        return cli_problem(&problem);
    }
    if (!folders_make(o->output.folder, &problem) ||
        !mmu_run_all(selection, &o->setting, o->output.folder, o->jobs, &result, &problem)) {
        return cli_problem(&problem);
    }
    int status = mmu_report(o, selection, &result);
    mmu_result_release(&result);
    return status;
}

int cmd_mmu(int argc, char **argv) {
    struct mmu_options o = {.choice = {.which = SELECTION_ARMV7},
                            .output = {.kind = &mmu_rows},
                            .setting = {.core_name = "a7",
                                        .page_log2 = {VM_PAGE_LOG},
                                        .page_sizes = 1,
                                        .touch = REPLAY_TOUCH_EDGES}};
    const struct argp argp = {options, option_parse, NULL, doc, output_children, NULL, NULL};
    struct selection selection;
    struct problem problem;
    (void)core_find(&o.setting.core, o.setting.core_name);
    cli_parse(&argp, argc, argv, &o);
    if (!selection_make(&o.choice, &selection, &problem)) {
        return cli_problem(&problem);
    }
    int status = mmu_measure(&o, &selection);
    selection_release(&selection);
    return status;
}
