/* SPDX-License-Identifier: MIT
 * gbench_test.c - the `gbench` program from outside: its output, its figures, its exit status. It
 * is built for this machine only; for others the tests say so and do nothing. */
#include "../alloc/test_check.h"
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char output[1 << 20];

static bool gbench_absent(void) {
    const char *runner = getenv("HEAPRIG_RUN");
    bool absent = runner != NULL && runner[0] != '\0';
    if (absent) {
        printf("skipped: gbench is not built for another machine\n");
    }
    return absent;
}

/* Runs gbench, keeps its stdout in `output` and returns its exit status. */
static int gbench(const char *arguments) {
    char command[1024];
    const char *folder = getenv("HEAPRIG_BUILD");
    (void)snprintf(command, sizeof command, "%s/gbench %s 2>/dev/null",
                   folder != NULL ? folder : "build", arguments);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    ck_assert_msg(WIFEXITED(status), "%s was killed", command);
    return WEXITSTATUS(status);
}

static json_t *gbench_json(const char *arguments) {
    char all[768];
    (void)snprintf(all, sizeof all, "--benchmark_format=json --benchmark_min_time=0.0001 %s",
                   arguments);
    ck_assert_int_eq(gbench(all), 0);
    json_error_t error;
    json_t *result = json_loads(output, 0, &error);
    ck_assert_msg(result != NULL, "line %d: %s", error.line, error.text);
    return result;
}

static double number(const json_t *entry, const char *key) {
    return json_number_value(json_object_get(entry, key));
}

START_TEST(replays_and_micro_benchmarks_are_listed) {
    if (gbench_absent()) {
        return;
    }
    ck_assert_int_eq(gbench("-a tlsf,glibc -t gen:lifo --benchmark_list_tests"), 0);
    ck_assert_ptr_nonnull(strstr(output, "replay/tlsf/gen:lifo\n"));
    ck_assert_ptr_nonnull(strstr(output, "replay/glibc/gen:lifo\n"));
    ck_assert_ptr_nonnull(strstr(output, "micro/tlsf/pair/16\n"));
    ck_assert_ptr_nonnull(strstr(output, "micro/glibc/near_miss/4000"));
    ck_assert_int_eq(gbench("-a bump --benchmark_list_tests"), 0);
    ck_assert_ptr_null(strstr(output, "micro/bump"));
    ck_assert_int_eq(gbench("--help"), 0);
    ck_assert_ptr_nonnull(strstr(output, "--benchmark_filter"));
}
END_TEST

START_TEST(replay_tells_net_time_and_context) {
    if (gbench_absent()) {
        return;
    }
    json_t *result =
        gbench_json("-a tlsf,bump -t gen:uniform:1:3000 --benchmark_filter=^replay "
                    "--benchmark_repetitions=2 --benchmark_enable_random_interleaving=true");
    const json_t *context = json_object_get(result, "context");
    ck_assert(json_is_string(json_object_get(context, "commit")));
    ck_assert(json_is_string(json_object_get(context, "compiler")));
    ck_assert_str_eq(json_string_value(json_object_get(context, "touch")), "edges");
    const json_t *entries = json_object_get(result, "benchmarks");
    size_t i;
    json_t *entry;
    size_t runs = 0;
    json_array_foreach(entries, i, entry) {
        const char *type = json_string_value(json_object_get(entry, "run_type"));
        if (strcmp(type, "iteration") == 0) {
            runs++;
            ck_assert_double_gt(number(entry, "real_time"), 0);
            ck_assert_double_gt(number(entry, "null_ns"), 0);
            ck_assert(isfinite(number(entry, "net_ns")));
            ck_assert_uint_eq((unsigned)number(entry, "iterations") % 3000, 0);
            ck_assert_ptr_null(json_object_get(entry, "failures")); /* left out when 0 */
        }
    }
    ck_assert_uint_eq(runs, 4);
    json_decref(result);
}
END_TEST

/* Whatever an allocator claims it can do runs, and pools are large enough. */
START_TEST(every_micro_benchmark_runs) {
    if (gbench_absent()) {
        return;
    }
    json_t *result = gbench_json("--benchmark_filter=^micro");
    const json_t *entries = json_object_get(result, "benchmarks");
    ck_assert_uint_gt(json_array_size(entries), 100);
    size_t i;
    json_t *entry;
    json_array_foreach(entries, i, entry) {
        const char *name = json_string_value(json_object_get(entry, "name"));
        if (json_is_true(json_object_get(entry, "error_occurred"))) {
            const char *why = json_string_value(json_object_get(entry, "error_message"));
            ck_assert_msg(strstr(why, "more memory than the allocator") != NULL, "%s: %s", name,
                          why);
        } else if (number(entry, "real_time") <= 0) {
            ck_abort_msg("%s took no time", name);
        }
    }
    json_decref(result);
}
END_TEST

START_TEST(failures_show_in_the_exit_status) {
    if (gbench_absent()) {
        return;
    }
    static const struct {
        const char *arguments;
        int status;
    } rows[] = {
        {"-a tlsf --pool=8192 --benchmark_min_time=0.0001 --benchmark_filter=^micro", 1},
        {"-a tlsf -t no_such_file.hrt --benchmark_min_time=0.0001 --benchmark_filter=^replay", 2},
        {"-a tlsf --benchmark_filter=^nothing_is_called_so", 2},
        {"-a no_such_allocator", 2},
        {"--pool=0", 2},
        {"--touch=gently", 2},
        {"--benchmark_no_such_flag", 2},
        {"--no_such_option", 2},
        {"stray", 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_msg(gbench(rows[i].arguments) == rows[i].status, "gbench %s: expected status %d",
                      rows[i].arguments, rows[i].status);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("gbench");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_test(all, replays_and_micro_benchmarks_are_listed);
    tcase_add_test(all, replay_tells_net_time_and_context);
    tcase_add_test(all, every_micro_benchmark_runs);
    tcase_add_test(all, failures_show_in_the_exit_status);
    suite_add_tcase(suite, all);
    return test_main(suite);
}
