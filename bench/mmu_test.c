/* SPDX-License-Identifier: MIT
 *
 * mmu_test.c - touches behind an emulated MMU: figures that can be worked out by hand, the command,
 * and that figures are the same from run to run and from machine to machine. */
#include "meta.h"
#include "mmu_run.h"
#include "subject.h"
#include "test_shell.h"
#include "test_trace.h"

#include <unistd.h>

static char folder[] = "/tmp/heaprig_mmu_XXXXXX";

static void folder_make(void) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void folder_drop(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

/* ---- the model ---- */

enum { POOL = 4 << 20 };
static struct mmu_model model;

static void model_open(const char *name, unsigned page_log2) {
    struct core core;
    struct problem problem;
    ck_assert(core_find(&core, name));
    ck_assert_msg(
        mmu_model_open(&model, &core, page_log2, false, (void *)(uintptr_t)VM_PAGE, POOL, &problem),
        "%s", problem.text);
}

static void see(uint32_t offset, uint32_t bytes) {
    const struct touch touch = {offset, bytes};
    mmu_model_see(&model, &touch, 1);
}

/* Round and round over some pages: the knees of the TLBs (an LRU or FIFO of n entries misses always
 * when there are n + 1). */
static void sweep(uint32_t pages, uint32_t page_bytes, unsigned rounds) {
    for (unsigned round = 0; round < rounds; round++) {
        for (uint32_t page = 0; page < pages; page++) {
            see(page * page_bytes + 128, 4);
        }
    }
}

START_TEST(sweeps_miss_where_the_tlbs_end) {
    model_open("a7", VM_PAGE_LOG);
    sweep(10, VM_PAGE, 3);
    mmu_model_restart(&model);
    sweep(10, VM_PAGE, 5);
    struct mmu_share share = mmu_model_share(&model, MMU_ALLOCATOR);
    ck_assert_uint_eq(share.accesses, 50);
    ck_assert_uint_eq(share.micro_misses, 0);
    sweep(11, VM_PAGE, 2);
    mmu_model_restart(&model);
    sweep(11, VM_PAGE, 5);
    share = mmu_model_share(&model, MMU_ALLOCATOR);
    ck_assert_uint_eq(share.micro_misses, 55);
    ck_assert_uint_eq(share.main_misses, 0);
    sweep(512, VM_PAGE, 2);
    mmu_model_restart(&model);
    sweep(512, VM_PAGE, 2);
    share = mmu_model_share(&model, MMU_ALLOCATOR);
    ck_assert_uint_eq(share.main_misses, 1024); /* the A7's main TLB has 256 entries */
    ck_assert_uint_eq(share.pages, 512);
    ck_assert_uint_eq(share.faults, 512);
    ck_assert_uint_eq(mmu_model_share(&model, MMU_APPLICATION).pages, 0);
    mmu_model_close(&model);
}
END_TEST

/* Each size maps what it says, and walks read one descriptor for a section, else two at first. */
START_TEST(page_sizes_are_mapped_as_such) {
    static const unsigned sizes[] = {VM_PAGE_LOG, VM_LARGE_LOG, VM_SECTION_LOG,
                                     VM_SUPERSECTION_LOG};
    unsigned log2 = sizes[_i];
    model_open("a8", log2); /* no walk cache */
    sweep(POOL >> VM_PAGE_LOG, VM_PAGE, 1);
    uint64_t pages = log2 < 22 ? (uint64_t)POOL >> log2 : 1;
    struct mmu_share share = mmu_model_share(&model, MMU_ALLOCATOR);
    ck_assert_uint_eq(share.pages, pages);
    ck_assert_uint_eq(share.faults, pages);
    ck_assert_uint_eq(share.accesses, POOL >> VM_PAGE_LOG);
    mmu_model_restart(&model);
    see(5 << 12, 4);
    share = mmu_model_share(&model, MMU_ALLOCATOR);
    ck_assert_uint_eq(share.walk_reads, (log2 >= VM_SECTION_LOG ? 1u : 2u) * share.main_misses);
    mmu_model_close(&model);
}
END_TEST

/* A run counts its words and its pages; each side its own. */
START_TEST(runs_are_counted_in_words_and_pages) {
    model_open("a7", VM_PAGE_LOG);
    see(4094, 4);                                      /* two words, in two pages */
    see(8190, 8193 | TOUCH_STORE | TOUCH_APPLICATION); /* words 2047 to 4095: pages 1 to 3 */
    struct mmu_share allocator = mmu_model_share(&model, MMU_ALLOCATOR);
    struct mmu_share application = mmu_model_share(&model, MMU_APPLICATION);
    ck_assert_uint_eq(allocator.accesses, 2);
    ck_assert_uint_eq(allocator.pages, 2);
    ck_assert_uint_eq(allocator.faults, 2);
    ck_assert_uint_eq(application.accesses, 2049);
    ck_assert_uint_eq(application.pages, 3);
    ck_assert_uint_eq(application.faults, 2); /* page 1 was there */
    ck_assert_uint_eq(mmu_model_pages(&model), 4);
    ck_assert_uint_eq(allocator.main_misses, 2 * 2); /* a fault, and again */
    ck_assert_uint_eq(application.main_misses, 2 * 2);
    see(0, 4 | TOUCH_APPLICATION);
    see(9 << 12, 4);
    allocator = mmu_model_share(&model, MMU_ALLOCATOR);
    application = mmu_model_share(&model, MMU_APPLICATION);
    ck_assert_uint_eq(allocator.micro_misses, 3 * 2);
    ck_assert_uint_eq(application.micro_misses, 2 * 2);
    ck_assert_uint_eq(allocator.accesses, 3);
    ck_assert_uint_eq(application.accesses, 2050);
    mmu_model_close(&model);
}
END_TEST

/* With the data caches every access is judged by itself, and the TLB figures are the same. */
START_TEST(caches_change_no_tlb_figure) {
    struct mmu_share share[2];
    struct core core;
    struct problem problem;
    ck_assert(core_find(&core, "a15"));
    for (int caches = 0; caches < 2; caches++) {
        ck_assert(mmu_model_open(&model, &core, VM_PAGE_LOG, caches != 0, NULL, POOL, &problem));
        for (uint32_t i = 0; i < 20000; i++) {
            see(i * 7919 * 4 % (POOL - 64), 1 + i % 40 + (i % 3 == 0 ? TOUCH_STORE : 0));
        }
        share[caches] = mmu_model_share(&model, MMU_ALLOCATOR);
        mmu_model_close(&model);
    }
    ck_assert_uint_eq(share[0].accesses, share[1].accesses);
    ck_assert_uint_eq(share[0].micro_misses, share[1].micro_misses);
    ck_assert_uint_eq(share[0].main_misses, share[1].main_misses);
    ck_assert_uint_eq(share[0].faults, share[1].faults);
    ck_assert_double_gt(share[1].cycles, share[0].cycles);
}
END_TEST

/* ---- a replay ---- */

/* The canary's touches as touched_plugin.c writes them down, in words. */
START_TEST(replay_of_the_canary_is_as_counted_by_hand) {
    if (touches_absent() != NULL) {
        printf("skipped: replay of the canary: %s\n", touches_absent());
        return;
    }
    const struct op ops[] = {TEST_ALLOC(0, 100), TEST_ALLOC(1, 200), TEST_REALLOC(0, 50),
                             TEST_FREE(1)};
    struct trace trace = test_trace(ops, 4);
    struct problem problem;
    char path[512];
    char why[STAGE_WHY_BYTES];
    struct stage_memory memory;
    struct mmu_setting setting = {.touch = REPLAY_TOUCH_EDGES};
    struct mmu_pair pair;
    (void)snprintf(path, sizeof path, "%s/bench/touched_plugin.so",
                   shell_environment("HEAPRIG_BUILD", "build"));
    struct stage stage = {.ops = subject_find(path, &problem),
                          .trace = &trace,
                          .memory = &memory,
                          .touch = REPLAY_TOUCH_EDGES};
    ck_assert_ptr_nonnull(stage.ops);
    ck_assert(core_find(&setting.core, "a7"));
    ck_assert(stage_plan_make(stage.ops, &trace, &stage.plan, why));
    ck_assert(stage_memory_open(&memory, stage.plan.pool_bytes, trace.counts.slots, &problem));
    ck_assert(stage_probe(&stage));
    ck_assert(mmu_pair_run(&stage, &setting, VM_PAGE_LOG, NULL, &pair, &problem));
    ck_assert(pair.seen);
    /* two allocs of 1 + 1 + 2 words, a copy of 256 + 256, a free of 2 + 3 + 3 */
    ck_assert_uint_eq(pair.share[MMU_ALLOCATOR].accesses, 2 * 4 + 512 + 8);
    ck_assert_uint_eq(pair.share[MMU_APPLICATION].accesses, 3 * 2);
    ck_assert_uint_eq(pair.pages, 1);
    ck_assert_uint_eq(pair.share[MMU_ALLOCATOR].faults, 1);
    ck_assert_uint_eq(pair.failures + pair.refusals, 0);
    stage_memory_close(&memory);
    trace_release(&trace);
}
END_TEST

/* Written down on x86-64, and the same on ARMv7. Of bump, whose code does not change; the others'
 * are compared with QEMU's by touches_qemu_test.c. */
START_TEST(figures_are_the_same_on_every_machine) {
    struct trace trace = test_trace_load("gen:embedded:7:20000");
    struct problem problem;
    char why[STAGE_WHY_BYTES];
    struct stage_memory memory;
    struct mmu_setting setting = {.touch = REPLAY_TOUCH_EDGES};
    struct mmu_pair pair;
    struct stage stage = {.ops = touches_build(alloc_find("bump")),
                          .trace = &trace,
                          .memory = &memory,
                          .touch = REPLAY_TOUCH_EDGES};
    ck_assert(core_find(&setting.core, "a7"));
    ck_assert(stage_plan_make(stage.ops, &trace, &stage.plan, why));
    ck_assert(stage_memory_open(&memory, stage.plan.pool_bytes, trace.counts.slots, &problem));
    ck_assert(stage_probe(&stage));
    ck_assert(mmu_pair_run(&stage, &setting, VM_PAGE_LOG, NULL, &pair, &problem));
    stage_memory_close(&memory);
    trace_release(&trace);
    ck_assert_uint_eq(pair.share[MMU_APPLICATION].accesses, 20344);
    ck_assert_uint_eq(pair.share[MMU_APPLICATION].pages, 350);
    if (touches_absent() == NULL) {
        ck_assert_uint_eq(pair.pages, 350);
        ck_assert_uint_eq(pair.share[0].micro_misses + pair.share[1].micro_misses, 1384);
        ck_assert_uint_eq(pair.share[0].main_misses + pair.share[1].main_misses, 699);
    }
}
END_TEST

/* ---- the command ---- */

static bool command_absent(void) {
    if (meta_unfit_reason() != NULL) {
        printf("skipped: heaprig mmu: %s\n", meta_unfit_reason());
    }
    return meta_unfit_reason() != NULL;
}

static void mmu(int wanted, const char *arguments) {
    char line[4096];
    (void)snprintf(line, sizeof line, "mmu %s", arguments);
    int status = shell_heaprig(line);
    ck_assert_msg(status == wanted, "heaprig %s: exit %d, expected %d\n%s", line, status, wanted,
                  shell_output);
}

static void mmu_into(const char *sub, const char *arguments) {
    char line[2048];
    (void)snprintf(line, sizeof line, "%s -o %s/%s", arguments, folder, sub);
    mmu(0, line);
}

START_TEST(runs_are_alike_to_the_last_figure) {
    char command[512];
    if (command_absent()) {
        return;
    }
    char line[1024];
    (void)snprintf(line, sizeof line,
                   "-a tlsf,membox,slab:bestfit,%s/bench/example_plugin.so "
                   "-t gen:embedded:3:4000,gen:lifo:1:3000 --pages 4k,1m --core a15 --touch whole",
                   shell_environment("HEAPRIG_BUILD", "build"));
    mmu_into("one", line);
    SHELL_SAYS("a15, 4k pages: main-TLB misses");
    SHELL_SAYS("a15, 1m pages: pages touched");
    if (touches_absent() == NULL) {
        SHELL_SAYS("stack: the program's touches only: it was not compiled with instrumentation");
        ck_assert_ptr_null(strstr(shell_output, "tlsf: the program's"));
    } else {
        SHELL_SAYS(touches_absent());
    }
    mmu_into("two", line);
    (void)snprintf(command, sizeof command,
                   "cd %s && cmp one/mmu.tsv two/mmu.tsv && "
                   "diff -r one/mmu two/mmu && diff -r one/heat two/heat && ls one/heat | wc -l",
                   folder);
    ck_assert_msg(shell(command) == 0, "%s", shell_output);
    ck_assert_int_eq(atoi(shell_output), 8);
    (void)snprintf(line, sizeof line, "compare %s/one %s/two", folder, folder);
    ck_assert_msg(shell_heaprig(line) == 0, "%s", shell_output);
    SHELL_SAYS("16 rows compared: 0 exact figures worse");
}
END_TEST

/* The series add up to the row: the last line's pages, and every edge in the heat map. */
START_TEST(series_add_up_to_the_row) {
    if (command_absent()) {
        return;
    }
    char command[1024];
    mmu_into("series", "-a tlsf -t gen:lifo:1:3000");
    (void)snprintf(command, sizeof command,
                   "cd %s/series && awk -F'\\t' 'NR==1{for(i=1;i<=NF;i++)at[$i]=i} NR==2{printf "
                   "\"%%d %%d \", $at[\"pages\"] == \"NaN\" ? $at[\"pages_app\"] : $at[\"pages\"], "
                   "$at[\"accesses_app\"]*$at[\"ops\"]+0.5}' mmu.tsv && "
                   "tail -1 mmu/*.tsv | cut -f2 | tr '\\n' ' ' && "
                   "awk '/^$/{exit} !/^#/{for(i=1;i<=NF;i++)s+=$i} END{print s}' heat/*.tsv",
                   folder);
    ck_assert_msg(shell(command) == 0, "%s", shell_output);
    unsigned pages, accesses, last, heat;
    ck_assert_msg(sscanf(shell_output, "%u %u %u %u", &pages, &accesses, &last, &heat) == 4, "%s",
                  shell_output);
    ck_assert_uint_gt(pages, 1);
    ck_assert_uint_eq(pages, last);
    ck_assert_uint_eq(accesses, heat);
}
END_TEST

/* With data caches every touch is handed over and judged by itself; without,
 * most are counted where they happen. The series must not tell. */
START_TEST(series_do_not_depend_on_how_touches_are_counted) {
    if (command_absent()) {
        return;
    }
    static const char line[] =
        "-a tlsf,membox,buddy,slab:bestfit -t gen:embedded:5:6000,gen:lifo:2:2000 --touch edges";
    char command[512];
    mmu_into("quiet", line);
    (void)snprintf(command, sizeof command, "%s --caches", line);
    mmu_into("judged", command);
    (void)snprintf(command, sizeof command,
                   "cd %s && diff -r quiet/mmu judged/mmu && diff -r quiet/heat judged/heat",
                   folder);
    ck_assert_msg(shell(command) == 0, "%s", shell_output);
}
END_TEST

/* The same of a row's figures: with series most touches are counted where they happen, without all
 * are handed over. */
START_TEST(figures_do_not_depend_on_how_touches_are_counted) {
    static const char *const names[] = {"tlsf", "bestfit", "membox", "buddy"};
    static const char *const cores[] = {"a7", "a15", "a8", "a17"};
    struct trace trace = test_trace_load("gen:embedded:9:6000");
    struct problem problem;
    char why[STAGE_WHY_BYTES];
    struct stage_memory memory;
    struct mmu_setting setting = {.touch = REPLAY_TOUCH_EDGES};
    struct mmu_pair pair[2];
    struct stage stage = {.ops = touches_build(alloc_find(names[_i])),
                          .trace = &trace,
                          .memory = &memory,
                          .touch = REPLAY_TOUCH_EDGES};
    ck_assert(core_find(&setting.core, cores[_i]));
    for (int quiet = 0; quiet < 2; quiet++) {
        struct mmu_series *series = NULL;
        ck_assert(stage_plan_make(stage.ops, &trace, &stage.plan, why));
        ck_assert(stage_memory_open(&memory, stage.plan.pool_bytes, trace.counts.slots, &problem));
        ck_assert(stage_probe(&stage));
        if (quiet != 0) {
            series = mmu_series_new(trace.op_count, (size_t)stage.plan.pool_bytes);
            ck_assert_ptr_nonnull(series);
        }
        ck_assert(mmu_pair_run(&stage, &setting, VM_PAGE_LOG, series, &pair[quiet], &problem));
        mmu_series_free(series);
        stage_memory_close(&memory);
    }
    trace_release(&trace);
    for (int who = 0; who < MMU_WHO; who++) {
        const struct mmu_share *all = &pair[0].share[who], *quiet = &pair[1].share[who];
        ck_assert_uint_eq(all->accesses, quiet->accesses);
        ck_assert_uint_eq(all->micro_misses, quiet->micro_misses);
        ck_assert_uint_eq(all->main_misses, quiet->main_misses);
        ck_assert_uint_eq(all->walk_reads, quiet->walk_reads);
        ck_assert_uint_eq(all->pages, quiet->pages);
        ck_assert_uint_eq(all->faults, quiet->faults);
        ck_assert_double_eq(all->cycles, quiet->cycles);
    }
    ck_assert_uint_eq(pair[0].pages, pair[1].pages);
    ck_assert(pair[0].seen == pair[1].seen);
}
END_TEST

START_TEST(bad_usage_is_refused_in_words) {
    static const struct {
        const char *arguments, *words;
    } bad[] = {{"--core a99", "'a99', expected a preset"},
               {"--pages 8k", "'8k', expected some of 4k,64k,1m,16m"},
               {"--pages 4k,4k", "each once"},
               {"--pages ,", "nothing, expected some"},
               {"--knob main_sets", "expected NAME=VALUE"},
               {"--knob main_set=4", "did you mean 'main_sets'?"},
               {"--knob main_sets=x", "--knob main_sets x: expected a number"},
               {"--touch some", "touch"},
               {"-a nobody", "unknown allocator 'nobody'"},
               {"-t /nowhere.hrt", "/nowhere.hrt"},
               {"--columns nothing", "no figure of mmu.json"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (meta_unfit_reason() == NULL || bad[i].arguments[1] == '-') {
            mmu(2, bad[i].arguments);
            SHELL_SAYS(bad[i].words);
        }
    }
    if (command_absent()) {
        return;
    }
    char line[256];
    (void)snprintf(line, sizeof line, "--knob main_sets=3 -a tlsf -t gen:lifo:1:100 -o %s", folder);
    mmu(2, line);
    SHELL_SAYS("no such MMU can be made");
    mmu(0, "--core list");
    SHELL_SAYS("main_sets");
}
END_TEST

START_TEST(what_has_no_pool_is_left_out) {
    if (command_absent()) {
        return;
    }
    mmu_into("poolless", "-a tlsf,glibc -t gen:lifo:1:500");
    SHELL_SAYS("takes its memory from the system");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mmu");
    TCase *figures = tcase_create("model");
    tcase_add_test(figures, sweeps_miss_where_the_tlbs_end);
    tcase_add_loop_test(figures, page_sizes_are_mapped_as_such, 0, MMU_PAGE_SIZES);
    tcase_add_test(figures, runs_are_counted_in_words_and_pages);
    tcase_add_test(figures, caches_change_no_tlb_figure);
    tcase_add_test(figures, replay_of_the_canary_is_as_counted_by_hand);
    tcase_add_test(figures, figures_are_the_same_on_every_machine);
    tcase_add_loop_test(figures, figures_do_not_depend_on_how_touches_are_counted, 0, 4);
    suite_add_tcase(suite, figures);
    TCase *command = tcase_create("command");
    tcase_add_unchecked_fixture(command, folder_make, folder_drop);
    tcase_set_timeout(command, 120);
    tcase_add_test(command, runs_are_alike_to_the_last_figure);
    tcase_add_test(command, series_add_up_to_the_row);
    tcase_add_test(command, series_do_not_depend_on_how_touches_are_counted);
    tcase_add_test(command, bad_usage_is_refused_in_words);
    tcase_add_test(command, what_has_no_pool_is_left_out);
    suite_add_tcase(suite, command);
    return test_main(suite);
}
