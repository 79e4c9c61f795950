/* SPDX-License-Identifier: MIT
 *
 * touches_qemu_test.c - two witnesses of the same replays: the hooks of touches.h in this program,
 * and a QEMU plugin that sees each load and store of the ARMv7 program, C library included. The
 * compilers' targets differ, so counts may, a little: within a tenth, and TLB misses a twentieth.
 * Skipped where QEMU, the plugin or a current ARMv7 build is missing.
 */
#include "cost.h"
#include "meta.h"
#include "mmu_run.h"
#include "subject.h"
#include "test_trace.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum { OPS = 20000, RECORD_WORDS = 2 };
static const char trace_spec[] = "corpus/traces/armv7-python.hrt";

static char records_path[] = "/tmp/heaprig_touches_XXXXXX";

/* What the plugin wrote of section `wanted`, from 1, into the model. */
static void section_see(FILE *records, unsigned wanted, struct mmu_model *model) {
    uint32_t record[RECORD_WORDS];
    unsigned section = 0;
    rewind(records);
    while (section <= wanted && fread(record, sizeof record, 1, records) == 1) {
        section += record[0] == UINT32_MAX;
        if (section == wanted && record[0] != UINT32_MAX) {
            /* the plugin marks the allocator's, touches.h the application's */
            const struct touch touch = {record[0], record[1] ^ TOUCH_APPLICATION};
            mmu_model_see(model, &touch, 1);
        }
    }
}

static void init_see(void *model, const struct touch *touches, size_t count) {
    mmu_model_see(model, touches, count);
}

/* The plugin's record through a model that is in the state a heap's setting up leaves. */
static void recorded(FILE *records, unsigned section, const struct stage *stage,
                     const struct mmu_setting *setting, struct mmu_share share[MMU_WHO]) {
    struct mmu_model model;
    struct problem problem;
    struct replay replay;
    ck_assert_msg(mmu_model_open(&model, &setting->core, VM_PAGE_LOG, false, stage->memory->pool,
                                 stage->plan.pool_bytes, &problem),
                  "%s", problem.text);
    touches_watch(stage->memory->pool, stage->plan.pool_bytes, init_see, &model);
    ck_assert(stage_ready(stage, &replay));
    touches_pass();
    touches_unwatch();
    mmu_model_restart(&model);
    section_see(records, section, &model);
    share[MMU_ALLOCATOR] = mmu_model_share(&model, MMU_ALLOCATOR);
    share[MMU_APPLICATION] = mmu_model_share(&model, MMU_APPLICATION);
    mmu_model_close(&model);
}

static double ratio(uint64_t a, uint64_t b) {
    return b == 0 ? (a == 0 ? 1 : INFINITY) : (double)a / (double)b;
}

static void assert_near(const char *name, const char *what, double ratio, double limit) {
    ck_assert_msg(fabs(ratio - 1) <= limit, "%s: %s: hooks / QEMU is %.3f", name, what, ratio);
}

static void witnesses_compare(const char *name, FILE *records, unsigned section,
                              const struct trace *trace) {
    struct problem problem;
    char why[STAGE_WHY_BYTES];
    struct stage_memory memory;
    struct stage stage = {.ops = touches_build(alloc_find(name)),
                          .trace = trace,
                          .memory = &memory,
                          .touch = REPLAY_TOUCH_EDGES};
    struct mmu_setting setting = {.touch = REPLAY_TOUCH_EDGES};
    struct mmu_pair hooks;
    struct mmu_share qemu[MMU_WHO];
    ck_assert(core_find(&setting.core, "a7"));
    ck_assert(stage_plan_make(stage.ops, trace, &stage.plan, why));
    ck_assert(stage_memory_open(&memory, stage.plan.pool_bytes, trace->counts.slots, &problem));
    ck_assert(stage_probe(&stage));
    ck_assert(mmu_pair_run(&stage, &setting, VM_PAGE_LOG, NULL, &hooks, &problem));
    recorded(records, section, &stage, &setting, qemu);
    stage_memory_close(&memory);
    const struct mmu_share *h = &hooks.share[MMU_ALLOCATOR];
    const struct mmu_share *q = &qemu[MMU_ALLOCATOR];
    printf("%-14s accesses/op %.2f %.2f ratio %.3f, micro misses/1000 %.1f %.1f ratio %.3f, "
           "main misses/1000 %.2f %.2f ratio %.3f, pages %u %u\n",
           name, (double)h->accesses / OPS, (double)q->accesses / OPS,
           ratio(h->accesses, q->accesses), 1e3 * (double)h->micro_misses / OPS,
           1e3 * (double)q->micro_misses / OPS, ratio(h->micro_misses, q->micro_misses),
           1e3 * (double)h->main_misses / OPS, 1e3 * (double)q->main_misses / OPS,
           ratio(h->main_misses, q->main_misses), (unsigned)h->pages, (unsigned)q->pages);
    ck_assert_uint_gt(q->accesses, OPS);
    assert_near(name, "accesses", ratio(h->accesses, q->accesses), 0.1);
    assert_near(name, "micro-TLB misses", ratio(h->micro_misses, q->micro_misses), 0.05);
    assert_near(name, "main-TLB misses", ratio(h->main_misses, q->main_misses), 0.05);
    ck_assert_uint_eq(hooks.share[MMU_APPLICATION].accesses, qemu[MMU_APPLICATION].accesses);
}

/* As cost_test.c: the ARMv7 build must be as new as the sources. */
static bool witness_absent(void) {
    const char *build = getenv("HEAPRIG_BUILD");
    const char *why = touches_absent();
    if (why == NULL && build != NULL && strcmp(build, "build") != 0) {
        why = "not the plain build";
    } else if (why == NULL &&
               system("command -v qemu-arm >/dev/null && test -f build/qemu_touches.so -a -x "
                      "build/arm/heaprig && test -z \"$(find alloc trace bench vm -name '*.[ch]' ! "
                      "-name '*_test.c' ! -name '*_plugin.c' -newer build/arm/heaprig)\"") != 0) {
        why = "needs qemu-arm and `make ARCH=arm`";
    }
    if (why != NULL) {
        printf("skipped: QEMU as a second witness: %s\n", why);
    }
    return why != NULL;
}

START_TEST(hooks_and_qemu_see_the_same) {
    if (witness_absent()) {
        return;
    }
    size_t count;
    const struct alloc_ops *const *own = alloc_registry(&count);
    char names[512] = "";
    struct problem problem;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s",
                       i > 0 ? "," : "", own[i]->name);
    }
    char command[1024];
    (void)snprintf(command, sizeof command,
                   "LD_BIND_NOW=1 qemu-arm -L build/sysroot-armhf -plugin "
                   "build/qemu_touches.so,out=%s build/arm/heaprig cost --marked -a %s -t %s -n %d",
                   records_path, names, trace_spec, OPS);
    ck_assert_int_eq(system(command), 0);
    FILE *records = fopen(records_path, "rb");
    ck_assert_ptr_nonnull(records);
    struct trace trace = {0};
    const struct selection selection = {
        .spec = {(char *)(uintptr_t)trace_spec}, .trace_count = 1, .first = OPS};
    ck_assert_msg(selection_load(&selection, 0, &trace, &problem), "%s", problem.text);
    unsigned section = 1; /* the null allocator's */
    for (size_t i = 0; i < count; i++) {
        char why[STAGE_WHY_BYTES];
        struct stage_plan plan;
        section++;
        if (stage_plan_make(own[i], &trace, &plan, why)) {
            witnesses_compare(own[i]->name, records, section, &trace);
        }
    }
    trace_release(&trace);
    (void)fclose(records);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("touches_qemu");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_test(all, hooks_and_qemu_see_the_same);
    suite_add_tcase(suite, all);
    close(mkstemp(records_path));
    int status = test_main(suite);
    (void)unlink(records_path);
    return status;
}
