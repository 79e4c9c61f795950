/* SPDX-License-Identifier: MIT
 * rows_test.c - results written, read back and compared; what happens when they cannot be written;
 * jobs that crash. */
#include "compare.h"
#include "result_file.h"
#include "rows.h"
#include "test_trace.h"
#include "workers.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/heaprig_rows_XXXXXX";

static void folder_make(void) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void folder_drop(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "chmod -R u+w %s; rm -rf %s", folder, folder);
    ck_assert_int_eq(system(command), 0);
}

static struct bench_row row_of(const char *allocator, const char *trace) {
    struct bench_row row = {.ops = 1000,
                            .pool_bytes = 4096,
                            .rounds = 9,
                            .ns_per_op = 12.5,
                            .ns_ci = {12, 13},
                            .null_ns_per_op = 3,
                            .alloc = {10, 20, 30, 40},
                            .realloc = {NAN, NAN, NAN, NAN},
                            .free = {1, 2, 3, 4},
                            .all = {5, 6, 7, 8},
                            .peak_live = 2000,
                            .high_water = 2500,
                            .high_water_ratio = 1.25,
                            .failures = 1,
                            .jw1 = 0.9,
                            .jw2 = 0.2,
                            .jw3 = 0.3,
                            .jw4 = 0.25,
                            .mean = {0.5, 0.1, 0.2, 0.2},
                            .peak = {0.4, 0.1, 0.1, 0.2},
                            .unusable = 0.01,
                            .digest = "0123456789abcdef"};
    (void)snprintf(row.allocator, sizeof row.allocator, "%s", allocator);
    (void)snprintf(row.trace, sizeof row.trace, "%s", trace);
    (void)snprintf(row.trace_sha256, sizeof row.trace_sha256, "%064d", 7);
    return row;
}

static struct row_set set_of(const struct bench_row *rows, size_t count) {
    return (struct row_set){.kind = &bench_rows, .rows = rows, .row_count = count};
}

static bool set_write(const struct row_set *set, struct problem *problem) {
    json_t *meta = json_pack("{s:s}", "commit", "none");
    bool written = rows_write(set, meta, folder, problem);
    json_decref(meta);
    return written;
}

static const char *path_in(const char *name) {
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

START_TEST(rows_are_read_as_written) {
    struct bench_row rows[] = {row_of("a", "t"), row_of("b", "t")};
    struct row_set set = set_of(rows, 2);
    const struct row_skip skip = {"c", "t", "too small"};
    struct problem problem = {""};
    void *read = NULL;
    size_t count;
    set.skips = &skip;
    set.skip_count = 1;
    ck_assert_msg(set_write(&set, &problem), "%s", problem.text);
    ck_assert_msg(rows_read(&bench_rows, path_in("bench.json"), &read, &count, &problem), "%s",
                  problem.text);
    ck_assert_uint_eq(count, 2);
    const struct bench_row *back = read;
    ck_assert_str_eq(back[1].allocator, "b");
    ck_assert_str_eq(back[1].digest, rows[1].digest);
    ck_assert_uint_eq(back[1].high_water, 2500);
    ck_assert(back[1].ns_ci[0] == 12 && back[1].ns_ci[1] == 13);
    ck_assert(back[1].all.p999 == 7 && isnan(back[1].realloc.p50));
    struct compare_counts counts = {0};
    struct row_set again = {.kind = &bench_rows, .rows = read, .row_count = 2};
    compare_rows(&set, &again, &(struct compare_how){.out = stdout}, &counts);
    ck_assert_uint_eq(counts.pairs, 2);
    ck_assert_uint_eq(counts.worse + counts.better + counts.changed + counts.added + counts.timed,
                      0);
    free(read);
}
END_TEST

static char *text_read(const char *path) {
    static char text[1 << 16];
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s: missing", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}

/* Code of another compiler is neither better nor worse, and that is said. */
START_TEST(another_compiler_is_skipped) {
    struct size_row before = {.allocator = "a", .compiler = "gcc 12", .code = {{100}}};
    struct size_row after = {.allocator = "a", .compiler = "gcc 12", .code = {{101}}};
    const struct row_set old = {.kind = &size_rows, .rows = &before, .row_count = 1};
    const struct row_set new = {.kind = &size_rows, .rows = &after, .row_count = 1};
    struct compare_counts counts = {0};
    compare_rows(&old, &new, &(struct compare_how){.out = stdout}, &counts);
    ck_assert_uint_eq(counts.worse, 1);
    (void)strcpy(after.compiler, "gcc 13");
    counts = (struct compare_counts){0};
    compare_rows(&old, &new, &(struct compare_how){.out = stdout}, &counts);
    ck_assert_uint_eq(counts.skipped, 1);
    ck_assert_uint_eq(counts.pairs + counts.worse + counts.better + counts.changed, 0);
}
END_TEST

/* Instructions vary a little with the code around them; steps say whether work is bounded. */
START_TEST(tolerance_is_for_instructions_not_for_steps) {
    struct cost_row before = {.allocator = "a", .trace = "t", .arch = "x86_64"};
    before.call[COST_FREE] = (struct row_cost){.calls = 9, .max = 1000, .steps_max = 1000};
    struct cost_row after = before;
    after.call[COST_FREE].max = after.call[COST_FREE].steps_max = 1001;
    const struct row_set old = {.kind = &cost_rows, .rows = &before, .row_count = 1};
    const struct row_set new = {.kind = &cost_rows, .rows = &after, .row_count = 1};
    struct compare_counts counts = {0};
    compare_rows(&old, &new, &(struct compare_how){.out = stdout, .tolerance_percent = 1}, &counts);
    ck_assert_uint_eq(counts.worse, 1);
    compare_rows(&old, &new, &(struct compare_how){.out = stdout}, &counts);
    ck_assert_uint_eq(counts.worse, 1 + 2);
    compare_rows(&new, &old, &(struct compare_how){.out = stdout}, &counts);
    ck_assert_uint_eq(counts.better, 2);
}
END_TEST

/* Whoever adds a column says there what it means. */
START_TEST(every_column_is_explained) {
    static const struct row_kind *const kinds[] = {&bench_rows, &fit_rows, &cost_rows,
                                                   &threads_rows, &size_rows};
    const char *text = text_read("docs/columns.md");
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (size_t c = 0; c < kinds[k]->column_count; c++) {
            char quoted[64];
            (void)snprintf(quoted, sizeof quoted, "`%s`", kinds[k]->columns[c].key);
            ck_assert_msg(strstr(text, quoted) != NULL, "docs/columns.md lacks %s", quoted);
        }
    }
}
END_TEST

/* The keys that plots and gates ask for. */
START_TEST(json_has_the_promised_keys) {
    static const char *const keys[] = {
        "allocator",     "trace",        "trace_sha256",   "arch",         "ops",
        "ns_per_op",     "ns_ci",        "null_ns_per_op", "alloc_p50_ns", "alloc_p99_ns",
        "alloc_p999_ns", "alloc_max_ns", "free_p50_ns",    "free_p99_ns",  "free_p999_ns",
        "free_max_ns",   "p50_ns",       "p99_ns",         "p999_ns",      "max_ns",
        "high_water",    "peak_live",    "failures",       "refusals",     "frag_jw1",
        "frag_jw2",      "frag_jw3",     "frag_jw4",       "frag_mean",    "frag_peak",
        "digest"};
    struct bench_row row = row_of("a", "t");
    struct row_set set = set_of(&row, 1);
    struct problem problem;
    json_error_t error;
    ck_assert(set_write(&set, &problem));
    json_t *json = json_load_file(path_in("bench.json"), 0, &error);
    ck_assert_ptr_nonnull(json);
    const json_t *first = json_array_get(json_object_get(json, "rows"), 0);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        ck_assert_msg(json_object_get(first, keys[i]) != NULL, "no key %s", keys[i]);
    }
    ck_assert_str_eq(json_string_value(json_object_get(json_object_get(json, "meta"), "commit")),
                     "none");
    ck_assert(json_is_null(json_object_get(first, "realloc_p50_ns")));
    json_decref(json);
}
END_TEST

START_TEST(damaged_results_are_refused) {
    static const char *const texts[] = {"", "{\"rows\": [", "[]", "{\"rows\": 3}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct problem problem = {""};
        void *rows;
        size_t count;
        FILE *file = fopen(path_in("bad.json"), "w");
        fputs(texts[i], file);
        fclose(file);
        ck_assert(!rows_read(&bench_rows, path_in("bad.json"), &rows, &count, &problem));
        ck_assert_ptr_nonnull(strstr(problem.text, "bad.json:1"));
        ck_assert_ptr_null(rows);
    }
}
END_TEST

static long size_of(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 ? (long)status.st_size : -1;
}

/* A limit on file size stands for a full disk. */
START_TEST(full_disk_leaves_old_results) {
    struct bench_row rows[40];
    for (size_t i = 0; i < 40; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t%zu", i);
        rows[i] = row_of("a", name);
    }
    struct row_set small = set_of(rows, 1);
    struct row_set large = set_of(rows, 40);
    struct problem problem = {""};
    ck_assert(set_write(&small, &problem));
    long before = size_of(path_in("bench.json"));
    long before_flat = size_of(path_in("bench.tsv"));
    (void)signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){4096, 4096}), 0);
    ck_assert(!set_write(&large, &problem));
    ck_assert_ptr_nonnull(strstr(problem.text, "cannot write"));
    ck_assert_int_eq(size_of(path_in("bench.json")), before);
    ck_assert_int_eq(size_of(path_in("bench.tsv")), before_flat);
    ck_assert_int_eq(system("test $(ls /tmp/heaprig_rows_*/*.new 2>/dev/null | wc -l) -eq 0"), 0);
}
END_TEST

START_TEST(unwritable_folder_is_said) {
    struct problem problem = {""};
    ck_assert(!result_folder_make("/proc/heaprig/results", &problem));
    ck_assert_ptr_nonnull(strstr(problem.text, "/proc/heaprig"));
    FILE *file = fopen(path_in("file"), "w");
    fclose(file);
    ck_assert(!result_folder_make(path_in("file/results"), &problem));
    ck_assert(result_folder_make(path_in("a/b/c"), &problem));
    ck_assert(result_folder_make(path_in("a/b/c"), &problem));
}
END_TEST

/* Each kind of change, one at a time, must be seen for what it is. */
START_TEST(compare_sees_each_change) {
    struct bench_row old = row_of("a", "t");
    struct bench_row row[8];
    for (size_t i = 0; i < 8; i++) {
        row[i] = old;
    }
    row[0].high_water++;
    row[1].failures = 0;
    row[2].ns_ci[0] = 14, row[2].ns_ci[1] = 15;
    row[3].ns_ci[0] = 12.9, row[3].ns_ci[1] = 14;
    row[4].digest[0] = 'f';
    row[5].trace_sha256[0] = 'f';
    row[6].mean.total = NAN;
    (void)strcpy(row[7].allocator, "other");
    static const struct compare_counts wanted[] = {
        {.worse = 1, .pairs = 1},   {.better = 1, .pairs = 1},
        {.timed = 1, .pairs = 1},   {.pairs = 1},
        {.changed = 1, .pairs = 1}, {.worse = 1},
        {.worse = 1, .pairs = 1},   {.worse = 1, .added = 1}};
    struct compare_how how = {.out = stdout};
    for (size_t i = 0; i < 8; i++) {
        struct compare_counts counts = {0};
        struct row_set before = set_of(&old, 1);
        struct row_set after = set_of(&row[i], 1);
        compare_rows(&before, &after, &how, &counts);
        ck_assert_msg(memcmp(&counts, &wanted[i], sizeof counts) == 0, "change %zu", i);
    }
    row[0].high_water = old.high_water * 2; /* 100 % more is within 100 %, and not within 99 % */
    for (how.tolerance_percent = 99; how.tolerance_percent <= 100; how.tolerance_percent++) {
        struct compare_counts counts = {0};
        struct row_set before = set_of(&old, 1);
        struct row_set after = set_of(&row[0], 1);
        compare_rows(&before, &after, &how, &counts);
        ck_assert_uint_eq(counts.worse, how.tolerance_percent < 100);
    }
    old.pool_bytes = row[0].pool_bytes = 0; /* then nothing is exact */
    struct compare_counts counts = {0};
    struct row_set before = set_of(&old, 1);
    struct row_set after = set_of(&row[0], 1);
    compare_rows(&before, &after, &how, &counts);
    ck_assert_uint_eq(counts.worse, 0);
}
END_TEST

static void square_or_die(void *ctx, size_t job, void *result) {
    const size_t *deadly = ctx;
    if (job == *deadly) {
        (void)raise(SIGKILL); /* as deadly as any, and leaves no core */
    }
    *(size_t *)result = job * job;
}

START_TEST(a_crash_costs_its_job_only) {
    size_t deadly = 17;
    const struct workers workers = {.count = 3,
                                    .job_count = 50,
                                    .result_bytes = sizeof(size_t),
                                    .run = square_or_die,
                                    .ctx = &deadly};
    void *results;
    struct workers_job *jobs;
    struct problem problem;
    ck_assert(workers_run(&workers, &results, &jobs, &problem));
    for (size_t i = 0; i < 50; i++) {
        ck_assert_int_eq(jobs[i].done, i != deadly);
        ck_assert_uint_eq(((size_t *)results)[i], i == deadly ? 0 : i * i);
    }
    ck_assert_int_eq(jobs[deadly].signal, SIGKILL);
    workers_release(&workers, results, jobs);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("rows");
    TCase *tcase = tcase_create("rows");
    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, folder_make, folder_drop);
    tcase_add_test(tcase, rows_are_read_as_written);
    tcase_add_test(tcase, another_compiler_is_skipped);
    tcase_add_test(tcase, tolerance_is_for_instructions_not_for_steps);
    tcase_add_test(tcase, every_column_is_explained);
    tcase_add_test(tcase, json_has_the_promised_keys);
    tcase_add_test(tcase, damaged_results_are_refused);
    tcase_add_test(tcase, full_disk_leaves_old_results);
    tcase_add_test(tcase, unwritable_folder_is_said);
    tcase_add_test(tcase, compare_sees_each_change);
    tcase_add_test(tcase, a_crash_costs_its_job_only);
    return test_main(suite);
}
