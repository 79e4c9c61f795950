/* SPDX-License-Identifier: MIT
 * size_test.c - sizes of a heap worked out by hand, and of code: what is not called is not counted,
 * a file of another form is refused, and the README says what the baseline does. */
#include "size.h"
#include "test_shelf.h"
#include "test_trace.h"

#include "../trace/file_bytes.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

static char path[] = "/tmp/heaprig_size_XXXXXX";

START_TEST(a_heap_by_hand) {
    struct size_row row;
    ck_assert(size_measure(&shelf_ops, &row));
    ck_assert_str_eq(row.allocator, "shelf");
    ck_assert(row.control[0] == (1 << 14) - 100 * SHELF_BLOCK); /* at most 100 blocks */
    ck_assert(row.control[2] == (1 << 20) - 100 * SHELF_BLOCK);
    ck_assert_uint_eq(row.least_block_bytes, SHELF_BLOCK);
    ck_assert(isnan(row.code[0][0]));
}
END_TEST

/* What the README's table says of each. */
START_TEST(headers_of_own_allocators) {
    static const struct {
        const char *name;
        uint64_t header, least;
    } wanted[] = {{"tlsf", 4, 16},
                  {"bestfit", 4, 16},
                  {"buddy", 0, 16},
                  {"membox", 0, 8},
                  {"bestfit_little", 2, 8}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct size_row row;
        ck_assert(size_measure(alloc_find(wanted[i].name), &row));
        ck_assert_uint_eq(row.header_bytes, wanted[i].header);
        ck_assert_uint_eq(row.least_block_bytes, wanted[i].least);
        ck_assert(row.control[0] > 0);
        /* bestfit_little takes no pool of 1 MiB. */
        ck_assert_int_eq(isnan(row.control[2]), strcmp(wanted[i].name, "bestfit_little") == 0);
    }
}
END_TEST

/* The README's table is written by hand; check-size holds only the baseline. */
START_TEST(the_readme_says_what_the_baseline_does) {
    struct size_row *rows;
    size_t row_count;
    struct file_bytes readme;
    struct problem problem = {""};
    ck_assert_msg(
        rows_read(&size_rows, "results/baseline/size.json", (void **)&rows, &row_count, &problem) &&
            file_bytes_read("README.md", &readme, &problem),
        "%s", problem.text);
    ck_assert_uint_gt(row_count, 0);
    for (size_t i = 0; i < row_count; i++) {
        const double *code = rows[i].code[0];
        char name[80];
        char figures[64];
        (void)snprintf(name, sizeof name, "\n| `%s` |", rows[i].allocator);
        (void)snprintf(figures, sizeof figures, "| %.0f – %.0f | %.0f |", code[2], code[1],
                       rows[i].control[1]);
        const char *line = strstr((const char *)readme.bytes, name);
        ck_assert_msg(line != NULL, "no line of %s", rows[i].allocator);
        const char *said = strstr(line, figures);
        ck_assert_msg(said != NULL && said < strchr(line + 1, '\n'), "%s: expected %s",
                      rows[i].allocator, figures);
    }
    free(rows);
    file_bytes_release(&readme);
}
END_TEST

static void text_write(const char *text) {
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert(fputs(text, file) >= 0);
    ck_assert_int_eq(fclose(file), 0);
}

START_TEST(other_forms_are_refused) {
    static const struct {
        const char *text, *says;
    } cases[] = {{"", ":1: expected"},
                 {"compiler\tcc 1\nbump\tOs\tall\n", ":2: expected"},
                 {"compiler\tcc 1\nbump\tOs\tall\t1\nbump\tO9\tall\t1\n", ":3: expected"}};
    struct size_row row = {.allocator = "bump"};
    struct problem problem = {""};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        text_write(cases[i].text);
        ck_assert(!size_code_read(path, &row, 1, &problem));
        ck_assert_msg(strstr(problem.text, cases[i].says) != NULL, "%s", problem.text);
    }
    row.code[0][0] = 0;
    text_write("compiler\tcc 1\nbump\tO2\tleast\t123\nother\tOs\tall\t7\n");
    ck_assert_msg(size_code_read(path, &row, 1, &problem), "%s", problem.text);
    ck_assert_str_eq(row.compiler, "cc 1");
    ck_assert(row.code[1][2] == 123 && row.code[0][0] == 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert(!size_code_read(path, &row, 1, &problem));
}
END_TEST

/* By this machine's compiler: less is linked where less is called. */
START_TEST(what_is_not_called_is_not_counted) {
    char command[128];
    struct size_row row = {.allocator = "buddy"};
    struct problem problem = {""};
    (void)snprintf(command, sizeof command, "tools/code_size.sh buddy gcc >%s", path);
    ck_assert_int_eq(system(command), 0);
    ck_assert_msg(size_code_read(path, &row, 1, &problem), "%s", problem.text);
    for (size_t o = 0; o < SIZE_OPTIMIZATIONS; o++) {
        ck_assert(row.code[o][2] > 300);
        ck_assert(row.code[o][1] > row.code[o][2] + 300);
        ck_assert(row.code[o][0] > row.code[o][1] + 300);
    }
    (void)unlink(path);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("size");
    TCase *tcase = tcase_create("size");
    int descriptor = mkstemp(path);
    if (descriptor < 0 || close(descriptor) != 0) {
        return EXIT_FAILURE;
    }
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 240);
    tcase_add_test(tcase, a_heap_by_hand);
    tcase_add_test(tcase, headers_of_own_allocators);
    tcase_add_test(tcase, the_readme_says_what_the_baseline_does);
    tcase_add_test(tcase, other_forms_are_refused);
    tcase_add_test(tcase, what_is_not_called_is_not_counted);
    return test_main(suite);
}
