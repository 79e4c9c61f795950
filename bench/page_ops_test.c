/* SPDX-License-Identifier: MIT
 * page_ops_test.c - traces of pages: text and back, lines that are wrong, and that a run touches
 * what it says and leaves nothing behind.
 */
#include "page_ops.h"
#include "../alloc/white_box.h"

#include <unistd.h>

static char path[] = "/tmp/heaprig_pages_XXXXXX";

static void file_put(const char *text) {
    strcpy(path, "/tmp/heaprig_pages_XXXXXX");
    int host = mkstemp(path);
    ck_assert_int_ge(host, 0);
    ck_assert_int_eq(write(host, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(host);
}

START_TEST(test_text_and_back) {
    struct page_trace made, read;
    struct problem problem;
    ck_assert(page_trace_load("gen:shell:7:3000", &made, &problem));
    ck_assert_uint_eq(made.count, 3000);
    static char text[3000 * 64];
    size_t at = 0;
    uint32_t kinds[PAGE_KINDS] = {0};
    for (size_t i = 0; i < made.count; i++) {
        page_op_text(&made.ops[i], text + at);
        at += strlen(text + at);
        text[at++] = '\n';
        kinds[made.ops[i].kind]++;
    }
    for (int kind = 0; kind < PAGE_KINDS; kind++) {
        ck_assert_uint_gt(kinds[kind], 5);
    }
    file_put(text);
    ck_assert_msg(page_trace_load(path, &read, &problem), "%s", problem.text);
    ck_assert_uint_eq(read.count, made.count);
    for (size_t i = 0; i < made.count; i++) {
        char one[64], two[64];
        page_op_text(&made.ops[i], one);
        page_op_text(&read.ops[i], two);
        ck_assert_str_eq(one, two);
    }
    (void)unlink(path);
    page_trace_release(&made);
    page_trace_release(&read);
}
END_TEST

START_TEST(test_wrong_lines) {
    static const char *const wrong[] = {
        "map 0 0 4\nmop 0\n",      "map 0 0 4\nmap 0 0 4\n",   "map 0 0 4\nread 0 0 4\n",
        "map 0 0 4\nread 0 1 0\n", "map 0 0 4\nread 1 0 0\n",  "map 0 0 4\nfork 0 0\n",
        "map 0 0 4\nfork 0 64\n",  "map 0 0 4\nread 0 0\n",    "map 0 0 4\nmap 0 1 0\n",
        "map 0 0 4\nexit 0 1\n",   "map 0 0 4\nunmap 0 99\n",  "map 0 0 4\nmap 0 1 5000\n",
        "map 0 0 4\nexit -1\n",    "map 0 0 4\nread 64 0 0\n",
    };
    struct page_trace trace;
    struct problem problem;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        file_put(wrong[i]);
        ck_assert_msg(!page_trace_load(path, &trace, &problem), "%s", wrong[i]);
        char begin[64];
        (void)snprintf(begin, sizeof(begin), "%s:2: ", path);
        ck_assert_msg(strncmp(problem.text, begin, strlen(begin)) == 0, "%s", problem.text);
        ck_assert_ptr_nonnull(strstr(problem.text, "expected"));
        ck_assert_ptr_null(trace.ops);
        (void)unlink(path);
    }
    ck_assert(!page_trace_load("gen:shell:1:5", &trace, &problem));
    ck_assert(!page_trace_load("gen:other", &trace, &problem));
    ck_assert(!page_trace_load("gen:shell:x", &trace, &problem));
    ck_assert(!page_trace_load("/nonexistent", &trace, &problem));
}
END_TEST

static struct machine *machine_of(uint32_t bytes) {
    const struct phys_range range = {0x80000000u, bytes};
    const struct machine_config config = {
        .range = &range, .ranges = 1, .reclaim_below = 8, .fail_below = 2};
    struct machine *machine = NULL;
    ck_assert_int_eq(machine_new(&config, &machine), VM_OK);
    return machine;
}

/* Counts that can be told by hand. */
START_TEST(test_run_counts) {
    struct page_trace trace;
    struct problem problem;
    struct page_result result;
    file_put("# a program and its copy\nmap 0 0 4\nwrite 0 0 0\nwrite 0 0 1\n\nfork 0 1\n"
             "write 1 0 0\nread 1 0 1\nwrite 0 0 0\nexit 0\nunmap 1 0\nexit 1\n");
    ck_assert_msg(page_trace_load(path, &trace, &problem), "%s", problem.text);
    ck_assert_uint_eq(trace.count, 10);
    struct machine *machine = machine_of(1 << 20);
    page_trace_run(&trace, machine, &result);
    ck_assert_uint_eq(result.done, 10);
    ck_assert_uint_eq(result.refused, 0);
    ck_assert_uint_eq(machine->copies, 1);
    ck_assert_uint_eq(machine->faults, 4); /* two pages, a copy, and a page that is alone again */
    ck_assert_uint_eq(result.peak_frames, 3 + 4); /* pages; two tables of each level */
    ck_assert_uint_eq(machine_leaked(machine), 0);
    machine_delete(machine);
    page_trace_release(&trace);
    (void)unlink(path);
}
END_TEST

START_TEST(test_generated_run_leaves_nothing) {
    struct page_trace trace;
    struct problem problem;
    struct page_result result;
    char spec[64];
    (void)snprintf(spec, sizeof(spec), "gen:shell:%u:4000", (unsigned)(seed_of(1) & 0xFFFF));
    for (uint32_t bytes = 1 << 20; bytes <= 16 << 20; bytes *= 16) {
        ck_assert(page_trace_load(spec, &trace, &problem));
        struct machine *machine = machine_of(bytes);
        page_trace_run(&trace, machine, &result);
        const char *broken = machine_check(machine);
        ck_assert_msg(broken == NULL, "%s", broken);
        ck_assert_uint_eq(machine_leaked(machine), 0);
        ck_assert_uint_eq(result.done + result.refused, trace.count);
        ck_assert(bytes == 1 << 20 || result.refused == 0);
        machine_delete(machine);
        page_trace_release(&trace);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("page_ops");
    TCase *tests = tcase_create("page_ops");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_text_and_back);
    tcase_add_test(tests, test_wrong_lines);
    tcase_add_test(tests, test_run_counts);
    tcase_add_test(tests, test_generated_run_leaves_nothing);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
