/* SPDX-License-Identifier: MIT
 *
 * cost_test.c - instructions and steps as `heaprig cost` tells them
 *
 * An allocator with planted slow operations shows that the right operation is named, for its steps
 * and its instructions; then no own allocator may take more steps than it promises, on every
 * architecture whose build is there; and tlsf no more instructions, in situations constructed for
 * that. */
#include "rows.h"
#include "test_trace.h"

#include "../fuzz/random_ops.h"

#include <stdio.h>
#include <unistd.h>

static char folder[] = "/tmp/heaprig_cost_XXXXXX";

static void folder_make(void) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void folder_drop(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static const struct {
    const char *name, *build, *qemu;
} archs[] = {{"native", "build", "qemu-x86_64"}, {"arm", "build/arm", "qemu-arm"}};
enum { ARCHS = sizeof archs / sizeof archs[0] };

/* Counts are those of the plain builds, which must be as new as the sources. */
static bool arch_absent(int arch) {
    char command[512];
    const char *build = getenv("HEAPRIG_BUILD");
    (void)snprintf(command, sizeof command,
                   "command -v %s >/dev/null && test -f build/qemu_insn.so -a -x %s/heaprig && "
                   "test -z \"$(find alloc trace bench tools/qemu_insn.c -name '*.[ch]' ! -name "
                   "'*_test.c' ! -name '*_plugin.c' -newer %s/heaprig)\"",
                   archs[arch].qemu, archs[arch].build, archs[arch].build);
    bool absent = (build != NULL && strcmp(build, "build") != 0) || system(command) != 0;
    if (absent) {
        printf("skipped: counts for %s need the plain build, `make cost` and %s\n",
               archs[arch].name, archs[arch].qemu);
    }
    return absent;
}

/* The rows of `heaprig cost --arch ARCH OPTIONS`, which the caller frees. */
static struct cost_row *cost_rows_of(int arch, const char *options, size_t *count) {
    char command[1024];
    void *rows = NULL;
    struct problem problem;
    (void)snprintf(command, sizeof command, "build/heaprig cost --arch %s %s -o %s >%s/said 2>&1",
                   archs[arch].name, options, folder, folder);
    if (system(command) != 0) {
        (void)snprintf(command, sizeof command, "cat %s/said", folder);
        (void)system(command);
        ck_abort_msg("heaprig cost %s", options);
    }
    (void)snprintf(command, sizeof command, "%s/cost.json", folder);
    ck_assert_msg(rows_read(&cost_rows, command, &rows, count, &problem), "%s", problem.text);
    return rows;
}

/* As FOLDER/NAME. */
static void trace_write(const char *name, const char *trace) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert(fputs(trace, file) >= 0);
    ck_assert_int_eq(fclose(file), 0);
}

/* Op by op; the request of op 1 is refused, so op 2 calls nothing. Ops 7 and 8 allocate, copy and
 * free in the harness, as the allocator has no realloc: copying is no step. */
static const char planted_trace[] = "a 1 100\n"
                                    "a 2 7777\n"
                                    "f 2\n"
                                    "a 3 4321\n"
                                    "a 4 4321\n"
                                    "m 5 64 512\n"
                                    "m 6 64 4322\n"
                                    "r 1 100000\n"
                                    "r 1 200000\n"
                                    "f 3\n"
                                    "a 7 4320\n"
                                    "f 7\n"
                                    "f 4\n";

static void call_is(const struct row_cost *got, const struct row_cost *wanted) {
    ck_assert_uint_eq(got->calls, wanted->calls);
    ck_assert_uint_eq(got->max_op, wanted->max_op);
    ck_assert_uint_eq(got->max_bytes, wanted->max_bytes);
    ck_assert_uint_ge(got->max, wanted->max);
    ck_assert_uint_eq(got->steps_max, wanted->steps_max);
    ck_assert_uint_eq(got->steps_max_op, wanted->steps_max_op);
    ck_assert_msg(got->steps_mean > wanted->steps_mean - 0.01 &&
                      got->steps_mean < wanted->steps_mean + 0.01,
                  "%g steps on average, expected %g", got->steps_mean, wanted->steps_mean);
}

/* Plug-ins are counted natively only: this program reads their names, and so loads them. */
START_TEST(planted_operations_are_named) {
    static const struct row_cost wanted[COST_KINDS] = {
        [COST_ALLOC] = {.calls = 5,
                        .max_op = 3,
                        .max_bytes = 4321,
                        .max = 1000,
                        .steps_max = 1000,
                        .steps_max_op = 3,
                        .steps_mean = 2003 / 5.0},
        [COST_ALIGNED] = {.calls = 2,
                          .max_op = 6,
                          .max_bytes = 4322,
                          .max = 3000,
                          .steps_max = 3000,
                          .steps_max_op = 6,
                          .steps_mean = 3001 / 2.0},
        [COST_REALLOC] = {.calls = 2,
                          .max_op = 8,
                          .max_bytes = 200000,
                          .max = 1000,
                          .steps_max = 1,
                          .steps_max_op = 7,
                          .steps_mean = 1},
        [COST_FREE] = {.calls = 3,
                       .max_op = 11,
                       .max_bytes = 4320,
                       .max = 2000,
                       .steps_max = 2000,
                       .steps_max_op = 11,
                       .steps_mean = 2002 / 3.0},
    };
    if (arch_absent(_i)) {
        return;
    }
    char text[256];
    size_t count;
    trace_write("planted.txt", planted_trace);
    (void)snprintf(text, sizeof text, "-a %s/bench/planted_plugin.so -t %s/planted.txt",
                   archs[_i].build, folder);
    struct cost_row *rows = cost_rows_of(_i, text, &count);
    ck_assert_uint_eq(count, 1);
    for (int kind = 0; kind < COST_KINDS; kind++) {
        call_is(&rows[0].call[kind], &wanted[kind]);
    }
    free(rows);
}
END_TEST

/* Counts that stop where an allocator called exit() are none. */
START_TEST(an_allocator_that_exits_is_named) {
    char command[1024];
    if (arch_absent(0)) {
        return;
    }
    trace_write("exits.txt", "a 1 100\na 2 7778\nf 1\n");
    (void)snprintf(command, sizeof command,
                   "build/heaprig cost -o %s -a build/bench/planted_plugin.so -t %s/exits.txt 2>&1 "
                   "| grep -q '^heaprig: planted: it ended the process'",
                   folder, folder);
    ck_assert_int_eq(system(command), 0);
    (void)snprintf(command, sizeof command, "%s/cost.json", folder);
    ck_assert_int_ne(access(command, F_OK), 0);
}
END_TEST

/* The same twice, to the last digit. */
START_TEST(counts_repeat) {
    size_t count[2];
    struct cost_row *rows[2];
    if (arch_absent(_i)) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        rows[i] = cost_rows_of(_i, "-t gen:embedded:3:4000", &count[i]);
    }
    ck_assert_uint_eq(count[0], count[1]);
    ck_assert_mem_eq(rows[0], rows[1], count[0] * sizeof **rows);
    free(rows[0]);
    free(rows[1]);
}
END_TEST

/* What the sources promise while a pool has room, by their longest loop; one more, as a loop of n
 * rounds may ask n + 1 times whether to go on. */
static const struct {
    const char *allocator;
    uint64_t alloc, aligned, realloc, free;
} bounds[] = {
    {"tlsf", 3 + 1, 3 + 1, 3 + 1, 2}, /* TLSF_PROBES; two neighbours */
    {"tlsf_frugal", 9, 9, 17, 17},    /* 8 granules of a run, RUNS_CLASS_MAX; of two runs */
    {"tlsf_fast", 33, 33, 65, 65},    /* the same with 32 */
    {"bestfit", 32, 32, 32, 32},      /* nodes of trees visited */
    {"bestfit_little", 8191, 8191, 3 * 8191,
     8191},                    /* blocks of 8 bytes; to find, to place, to free */
    {"buddy", 29, 29, 29, 29}, /* orders: a pool has at most 2^28 units */
    {"membox", 1, 1, 1, 1},
    {"bump", 1, 1, 1, 1},
};

static void bound_holds(const struct cost_row *row) {
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (strcmp(bounds[i].allocator, row->allocator) == 0) {
            const uint64_t bound[] = {[COST_ALLOC] = bounds[i].alloc,
                                      [COST_ALIGNED] = bounds[i].aligned,
                                      [COST_REALLOC] = bounds[i].realloc,
                                      [COST_FREE] = bounds[i].free};
            for (int kind = 0; kind < COST_KINDS; kind++) {
                const struct row_cost *call = &row->call[kind];
                ck_assert_msg(
                    call->steps_max <= bound[kind],
                    "%s on %s (%s): %s of op %llu takes %llu steps, expected at most %llu",
                    row->allocator, row->trace, row->arch, cost_kind_names[kind],
                    (unsigned long long)call->steps_max_op, (unsigned long long)call->steps_max,
                    (unsigned long long)bound[kind]);
            }
            return;
        }
    }
    ck_abort_msg("%s: how many steps may it take? say so in cost_test.c", row->allocator);
}

/* On the corpus' opening parts (HEAPRIG_FULL: whole) and on attacks. */
START_TEST(steps_are_bounded) {
    static const char attacks[] =
        "-t gen:comb:1:4000,gen:uniform:2:4000,gen:powerlaw:3:4000,gen:ramp:4:4000,"
        "gen:pow2plus1:5:4000,gen:realloc_growth:6:4000,gen:shrink:7:4000,gen:knuth:8:4000";
    const char *const runs[] = {random_full() ? "" : "-n 4000", attacks};
    if (arch_absent(_i)) {
        return;
    }
    for (size_t r = 0; r < sizeof runs / sizeof runs[0]; r++) {
        size_t count;
        struct cost_row *rows = cost_rows_of(_i, runs[r], &count);
        ck_assert_uint_gt(count, 30);
        for (size_t i = 0; i < count; i++) {
            bound_holds(&rows[i]);
        }
        free(rows);
    }
}
END_TEST

/* ---- tlsf's worst operations ---- */

/* Each the last of its part; the frees behind it empty the heap again. What makes them worst: every
 * free block is alone in its word of the class map, so that taking it clears a bit and the word's
 * bit in the summary, and entering one sets both; three blocks of the right class are too small. */
static const char worst_trace[] =
    /* free: between two free neighbours */
    "a 1 5000\na 2 2000\na 3 20000\na 4 1\nf 1\nf 3\nf 2\nf 4\n"
    /* alloc: from the block of 30000, of which most is left */
    "a 1 1040\na 2 1\na 3 1040\na 4 1\na 5 1040\na 6 1\na 7 30000\na 8 1\nf 1\nf 3\nf 5\n"
    "f 7\na 1 1084\nf 1\nf 2\nf 4\nf 6\nf 8\n"
    /* aligned: the same, with a gap before */
    "a 1 7990\na 2 1\na 3 7990\na 4 1\na 5 7990\na 6 1\na 7 90000\na 8 1\nf 1\nf 3\nf 5\n"
    "f 7\nm 1 4096 4000\nf 1\nf 2\nf 4\nf 6\nf 8\n"
    /* realloc: a worst alloc and a worst free, as the block cannot grow where it is */
    "a 1 5000\na 2 1\na 3 300\na 4 1\na 5 1040\na 6 1\na 7 1040\na 8 1\na 9 1040\n"
    "a 10 1\na 11 80000\na 12 1\nf 1\nf 3\nf 5\nf 7\nf 9\nf 11\nr 2 1084\n";

/* What tlsf promises on x86-64; on ARMv7, which has fewer registers, a fifth more. */
static const uint64_t worst_instructions[COST_KINDS] = {
    [COST_ALLOC] = 165, [COST_ALIGNED] = 260, [COST_REALLOC] = 345, [COST_FREE] = 140};

/* A trace that takes more than the constructed worst would show that something was overlooked. */
START_TEST(tlsf_is_bounded) {
    char text[256];
    size_t count;
    if (arch_absent(_i)) {
        return;
    }
    trace_write("worst.txt", worst_trace);
    (void)snprintf(text, sizeof text,
                   "-a tlsf -n 4000 -t %s/worst.txt,corpus/traces/cc1.hrt,gen:comb:1:4000,"
                   "gen:uniform:2:4000,gen:powerlaw:3:4000,gen:ramp:4:4000,gen:knuth:5:4000",
                   folder);
    struct cost_row *rows = cost_rows_of(_i, text, &count);
    ck_assert_uint_gt(count, 6);
    for (size_t i = 0; i < count; i++) {
        for (int kind = 0; kind < COST_KINDS; kind++) {
            const struct row_cost *worst = &rows[0].call[kind];
            uint64_t bound = _i == 0 ? worst_instructions[kind] : worst_instructions[kind] * 6 / 5;
            ck_assert_uint_ge(worst->calls, 1);
            ck_assert_msg(worst->max <= bound, "%s takes %llu instructions, expected at most %llu",
                          cost_kind_names[kind], (unsigned long long)worst->max,
                          (unsigned long long)bound);
            /* What copying takes depends on the block. */
            ck_assert_msg(
                kind == COST_REALLOC || rows[i].call[kind].max <= worst->max,
                "%s: %s of op %llu takes %llu instructions, the worst constructed %llu",
                rows[i].trace, cost_kind_names[kind], (unsigned long long)rows[i].call[kind].max_op,
                (unsigned long long)rows[i].call[kind].max, (unsigned long long)worst->max);
        }
    }
    free(rows);
}
END_TEST

/* ---- tlsf_fast's worst operations ---- */

/* The last free finds a run empty beside the spare, both of the longest kind and nothing else live:
 * both are scrubbed, cleared from the map and drained with the free blocks before and between them.
 * The first block makes the pool so large that it has such runs. */
static const char worst_drain[] = "a 1 400000\nf 1\na 1 256\na 2 256\na 3 256\na 4 248\na 5 248\n"
                                  "a 6 248\na 7 5000\nf 1\nf 2\nf 4\nf 5\nf 7\nf 3\nf 6\n";

/* No call takes more than 600 instructions on x86-64, those that copy excepted. */
START_TEST(tlsf_fast_is_bounded) {
    const unsigned most = _i == 0 ? 600 : 720; /* ARMv7: a fifth more */
    char text[256];
    size_t count;
    if (arch_absent(_i)) {
        return;
    }
    trace_write("worst.txt", worst_drain);
    (void)snprintf(text, sizeof text,
                   "-a tlsf_fast -n 4000 -t %s/worst.txt,corpus/traces/cc1.hrt,gen:comb:1:4000,"
                   "gen:uniform:2:4000,gen:powerlaw:3:4000,gen:ramp:4:4000,gen:embedded:5:4000",
                   folder);
    struct cost_row *rows = cost_rows_of(_i, text, &count);
    ck_assert_uint_gt(count, 6);
    /* It is the drain that was built, and not an everyday free. */
    ck_assert_uint_eq(rows[0].call[COST_FREE].max_op, 15);
    ck_assert_uint_ge(rows[0].call[COST_FREE].max, 400);
    for (size_t i = 0; i < count; i++) {
        for (int kind = 0; kind < COST_KINDS; kind++) {
            const struct row_cost *call = &rows[i].call[kind];
            ck_assert_msg(kind == COST_REALLOC || call->max <= most,
                          "%s: %s of op %llu takes %llu instructions, expected at most %u",
                          rows[i].trace, cost_kind_names[kind], (unsigned long long)call->max_op,
                          (unsigned long long)call->max, most);
        }
    }
    free(rows);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("cost");
    TCase *tcase = tcase_create("cost");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, random_full() ? 3600 : 240);
    tcase_add_checked_fixture(tcase, folder_make, folder_drop);
    tcase_add_loop_test(tcase, planted_operations_are_named, 0, 1);
    tcase_add_test(tcase, an_allocator_that_exits_is_named);
    tcase_add_loop_test(tcase, counts_repeat, 0, ARCHS);
    tcase_add_loop_test(tcase, steps_are_bounded, 0, ARCHS);
    tcase_add_loop_test(tcase, tlsf_is_bounded, 0, ARCHS);
    tcase_add_loop_test(tcase, tlsf_fast_is_bounded, 0, ARCHS);
    return test_main(suite);
}
