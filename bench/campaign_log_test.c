/* SPDX-License-Identifier: MIT
 * campaign_log_test.c - the log that all figures of a report come from: what is appended is read
 * back, coverage that could not be measured does not fall to 0, a torn line costs itself alone. */
#include "campaign_log.h"

#include "../alloc/test_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct campaign campaign;
static struct slices slices;
static char folder[] = "/tmp/heaprig-log-XXXXXX";

static void append(const char *target, uint64_t edges, uint64_t features) {
    struct problem problem;
    struct slice slice = {
        .seconds = 5, .runs = 7, .edges = edges, .features = features, .inputs = 3};
    (void)snprintf(slice.target, sizeof slice.target, "%s", target);
    (void)snprintf(slice.flavour, sizeof slice.flavour, "afl");
    ck_assert_msg(slices_append(&campaign, &slices, &slice, &problem), "%s", problem.text);
}

static void assert_read(size_t count) {
    struct problem problem;
    struct slices read = {0};
    ck_assert_msg(slices_read(&campaign, true, &read, &problem), "%s", problem.text);
    ck_assert_uint_eq(read.count, count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_str_eq(read.list[i].target, slices.list[i].target);
        ck_assert_uint_eq(read.list[i].edges, slices.list[i].edges);
        ck_assert_uint_eq(read.list[i].features, slices.list[i].features);
        ck_assert_uint_eq(read.list[i].runs, slices.list[i].runs);
    }
    slices_release(&read);
}

START_TEST(log_is_read_back) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(campaign.folder, sizeof campaign.folder, "%s", folder);
    append("tlsf", 100, 900);
    append("space", 0, 0); /* a prebuilt plug-in has none to be seen */
    append("tlsf", 0, 0);
    append("tlsf", 90, 950);
    ck_assert_uint_eq(slices.list[1].edges, 0);
    ck_assert_uint_eq(slices.list[2].edges, 100);
    ck_assert_uint_eq(slices.list[2].features, 900);
    ck_assert_uint_eq(slices.list[3].edges, 90);
    assert_read(4);
    char path[64];
    (void)snprintf(path, sizeof path, "%s/slices.tsv", folder);
    FILE *file = fopen(path, "a");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_gt(fputs("9.0\t5.0\t1.0\ttl", file), 0);
    ck_assert_int_eq(fclose(file), 0);
    assert_read(4);
    append("tlsf", 101, 960);
    assert_read(5);
    slices_release(&slices);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("campaign log");
    TCase *tcase = tcase_create("log");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, log_is_read_back);
    return test_main(suite);
}
