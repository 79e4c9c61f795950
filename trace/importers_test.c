/* SPDX-License-Identifier: MIT
 *
 * importers_test.c - the grammars of other programs' traces, with all their traps
 *
 * A case is a file's text and what must come of it: the ops in our own text form with the notes
 * behind, or a part of the message that refuses it.
 */
#include "importers.h"

#include "../bench/test_trace.h"
#include "trace_text.h"

#include <stdio.h>
#include <unistd.h>

static char path[] = "/tmp/importers-test-XXXXXX";

static void file_open(void) {
    int descriptor = mkstemp(path);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
}

static void file_close(void) {
    unlink(path);
}

static bool bytes_import(const char *format, const char *bytes, size_t count, struct trace *trace,
                         struct import_notes *notes, struct problem *problem) {
    memset(trace, 0, sizeof *trace);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, count, file), count);
    ck_assert_int_eq(fclose(file), 0);
    return importers_run(format, path, trace, notes, problem);
}

/* The ops as text without the account, then the notes. */
static void trace_tell(const struct trace *trace, const struct import_notes *notes, char *told,
                       size_t room) {
    struct trace bare = *trace;
    struct file_bytes text = {0};
    struct problem problem;
    bare.origin[0] = '\0';
    ck_assert(trace_text_encode(&bare, &text, &problem));
    (void)snprintf(told, room, "%.*s%s", (int)text.count, (const char *)text.bytes, notes->text);
    file_bytes_release(&text);
}

struct import_case {
    const char *text;
    const char *told; /* NULL when it is refused */
    const char *said; /* refused: part of the message; else: the origin */
};

static void case_check(const char *format, const struct import_case *c) {
    struct trace trace;
    struct import_notes notes;
    struct problem problem = {""};
    char told[4096];
    bool read = bytes_import(format, c->text, strlen(c->text), &trace, &notes, &problem);
    if (c->told == NULL) {
        ck_assert(!read);
        ck_assert_msg(strstr(problem.text, c->said) != NULL, "%s", problem.text);
        ck_assert_int_eq(strncmp(problem.text, path, strlen(path)), 0);
        ck_assert_ptr_null(trace.ops);
        return;
    }
    ck_assert_msg(read, "%s", problem.text);
    trace_tell(&trace, &notes, told, sizeof told);
    ck_assert_str_eq(told, c->told);
    ck_assert_str_eq(trace.origin, c->said);
    ck_assert_uint_eq(strlen(trace.sha256), 64);
    trace_release(&trace);
}

/* ---- Android ---- */

static const struct import_case android_cases[] = {
    {"10: malloc 0x1000 100\n10: free 0x1000\n", "a 0 100\nf 0\n", "android import"},
    {"10:malloc 0x1000 100\r\n10:   free 0x1000  \r\n\r\n", "a 0 100\nf 0\n", "android import"},
    {"10: malloc 0x1000 100 17 19\n10: free 0x1000 20 21\n", "a 0 100\nf 0\n", "android import"},
    {"1: calloc 0x1000 3 7", "c 0 21\n", "android import"},
    {"1: calloc 0x1000 0 18446744073709551615", "c 0 0\n", "android import"},
    {"1: memalign 0x1000 64 7", "m 0 64 7\n", "android import"},
    {"1: memalign 0x1000 24 7\n1: memalign 0x2000 0 7",
     "m 0 32 7\nm 1 1 7\nnote: 2 alignments were rounded up to a power of two\n", "android import"},
    /* the new pointer stands first; the slot is kept */
    {"1: malloc 0x10 5\n1: realloc 0x20 0x10 9\n1: free 0x20", "a 0 5\nr 0 9\nf 0\n",
     "android import"},
    {"1: realloc 0x10 0x0 9\n1: realloc 0x10 0x10 8", "a 0 9\nr 0 8\n", "android import"},
    {"1: malloc 0x10 5\n1: realloc 0x0 0x10 0",
     "a 0 5\nf 0\nnote: 1 reallocs to 0 bytes became frees\n", "android import"},
    {"1: malloc 0x10 5\n1: realloc 0x10 0x10 0",
     "a 0 5\nf 0\na 0 0\nnote: 1 reallocs to 0 bytes became frees\n", "android import"},
    /* failed when recorded: the old block stays */
    {"1: malloc 0x10 5\n1: realloc 0x0 0x10 9\n1: malloc 0x0 99\n1: free 0x10",
     "a 0 5\nf 0\nnote: 2 calls that failed when recorded were left out\n", "android import"},
    {"1: malloc 0x10 5\n1: free 0x0\n1: free 0x10",
     "a 0 5\nf 0\nnote: 1 frees of 0x0 were left out\n", "android import"},
    /* pointers come again after their free */
    {"1: malloc 0x10 5\n1: free 0x10\n1: malloc 0x10 6\n1: free 0x10", "a 0 5\nf 0\na 0 6\nf 0\n",
     "android import"},
    /* threads by appearance; one that is done and comes back is another */
    {"900: malloc 0x10 1\n7: malloc 0x20 2\n900: thread_done 0x0\n900: free 0x20\n7: free 0x10",
     "a 0 1\na 1 2 @1\nf 1 @2\nf 0 @1\n", "android import"},
    {"1: malloc 0xFFFFFFFFFFFFFFF0 18446744073709551615", "a 0 18446744073709551615\n",
     "android import"},
    {"1: malloc 0x10 5\n1: malloc 0x10 5", NULL, ":2: block 0x10 is live, expected it to be free"},
    {"1: malloc 0x10 5\n1: free 0x10\n1: free 0x10", NULL,
     ":3: block 0x10 is not live, expected an allocation first"},
    {"1: realloc 0x20 0x10 5", NULL, ":1: block 0x10 is not live"},
    {"1: malloc 0x10 5\n1: malloc 0x20 5\n1: realloc 0x20 0x10 5", NULL, ":3: block 0x20 is live"},
    {"1: calloc 0x10 4294967296 4294967296", NULL, ":1: calloc of elements x size beyond 64 bits"},
    {"1: calloc 0x10 3 6148914691236517206", NULL, ":1: calloc of elements x size beyond 64 bits"},
    {"1: malloc 0x10", NULL, ":1: line ends, expected a size in bytes"},
    {"1: malloc 10 5", NULL, ":1: '10', expected a pointer in 0x hex"},
    {"1: malloc 0x10 0x5", NULL, ":1: '0x5', expected a size in bytes"},
    {"1: malloc 0x10 5 6", NULL, ":1: line ends, expected the end in ns"},
    {"1: malloc 0x10 5 6 7 8", NULL, ":1: '8', expected the end of the line"},
    {"1: mallok 0x10 5", NULL, ":1: 'mallok', expected malloc, calloc, realloc, memalign, free or"},
    {"malloc 0x10 5", NULL, ":1: 'malloc 0x10 5', expected the number of a thread and a colon"},
    {"x: malloc 0x10 5", NULL, ", expected the number of a thread and a colon"},
    {"\n\n", NULL, ": no call in it"},
    {"1: free 0x0\n", NULL, ": no call in it"},
    {"PK\3\4....", NULL, ": a zip archive, expected the text inside it"},
};

START_TEST(android_files_are_read_or_refused) {
    case_check("android", &android_cases[_i]);
}
END_TEST

/* ---- malloclab ---- */

static const struct import_case rep_cases[] = {
    {"2\n3\na 0 16\nf 0\na 1 8\n", "a 0 16\nf 0\na 0 8\n", "rep import, short header"},
    {"20000\n1\n2\n1\na 0 16\nf 0\n", "a 0 16\nf 0\n", "rep import, header of 2002"},
    {"3\n2\n4\n48\na 0 16\na 1 32\nf 0\nf 1\n", "a 0 16\na 1 32\nf 0\nf 1\n",
     "rep import, header of 2016"},
    {"2 \r\n1\r\na 0 512 \r\n", "a 0 512\n", "rep import, short header"},
    {"1\n3\na 0 5\nr 0 9\nf 0", "a 0 5\nr 0 9\nf 0\n", "rep import, short header"},
    {"1\n2\na 0 5\nf -1", "a 0 5\nnote: 1 frees of -1 (NULL) were left out\n",
     "rep import, short header"},
    {"1\n1\nr 0 9", "a 0 9\nnote: 1 reallocs of ids not live became allocations\n",
     "rep import, short header"},
    {"1\n4\na 0 5\nf 0\nr 0 9\nf 0",
     "a 0 5\nf 0\na 0 9\nf 0\nnote: 1 reallocs of ids not live became allocations\n",
     "rep import, short header"},
    {"1\n3\na 0 5\nr 0 0\nf 0",
     "a 0 5\nr 0 1\nf 0\nnote: 1 reallocs to 0 bytes became reallocs to 1\n",
     "rep import, short header"},
    {"1\n4\na 0 5\nf 0\na 0 6\nf 0", "a 0 5\nf 0\na 0 6\nf 0\n", "rep import, short header"},
    {"1\n2\na 0 5\nf 0\na 0 6", "a 0 5\nf 0\na 0 6\nnote: 3 ops found, the header says 2\n",
     "rep import, short header"},
    {"1\n1\na 0 5368709120", "a 0 5368709120\n", "rep import, short header"},
    {"1\n1\na 18446744073709551615 0", "a 0 0\n", "rep import, short header"},
    {"1\n2\na 0 5\na 0 6", NULL, ":4: block 0 is live, expected it to be free"},
    {"1\n2\na 0 5\nf 1", NULL, ":4: block 1 is not live, expected an allocation first"},
    {"1\n3\na 0 5\nf 0\nf 0", NULL, ":5: block 0 is not live"},
    {"1\na 0 5", NULL, ":2: a header of 1 numbers, expected 2 or 4"},
    {"1\n2\n3\na 0 5", NULL, ":4: a header of 3 numbers, expected 2 or 4"},
    {"1\n2\n3\n4\n5\na 0 5", NULL, ":5: '5', expected a header of 2 or 4 numbers"},
    {"a 0 5", NULL, ":1: a header of 0 numbers"},
    {"1\n2 3\na 0 5", NULL, ":2: '3', expected the end of the line"},
    {"1\n2\na 0 5\n7\n", NULL, ":4: '7', expected a, r or f"},
    {"1\n1\nx 0 5", NULL, ":3: 'x', expected a, r or f"},
    {"1\n1\na 0", NULL, ":3: line ends, expected a size in bytes"},
    {"1\n1\na -1 5", NULL, ":3: '-1', expected the id of a block"},
    {"1\n1\na 0 5 6", NULL, ":3: '6', expected the end of the line"},
    {"1\n1\na 0 99999999999999999999", NULL,
     ":3: '99999999999999999999', expected a size in bytes"},
    {"1\n1\na 0x1 5", NULL, ":3: '0x1', expected the id of a block"},
    {"1\n0\n", NULL, ": no call in it"},
};

START_TEST(rep_files_are_read_or_refused) {
    case_check("rep", &rep_cases[_i]);
}
END_TEST

START_TEST(a_balanced_trace_that_is_not_is_noted) {
    char balanced[64];
    (void)snprintf(balanced, sizeof balanced, "%s-bal.rep", path);
    FILE *file = fopen(balanced, "w");
    ck_assert_ptr_nonnull(file);
    fputs("2\n2\na 0 5\na 1 5\n", file);
    ck_assert_int_eq(fclose(file), 0);
    struct trace trace = {.op_count = 0};
    struct import_notes notes;
    struct problem problem = {""};
    bool read = importers_run("rep", balanced, &trace, &notes, &problem);
    unlink(balanced);
    ck_assert_msg(read, "%s", problem.text);
    ck_assert_str_eq(notes.text, "note: 2 blocks live at the end of a balanced trace\n");
    const char *name = strrchr(path, '/') + 1;
    ck_assert_int_eq(strncmp(trace.name, name, strlen(name)), 0);
    ck_assert_ptr_nonnull(strstr(trace.name, "-bal"));
    ck_assert_ptr_null(strstr(trace.name, ".rep"));
    trace_release(&trace);
}
END_TEST

/* ---- both ---- */

START_TEST(unknown_formats_name_the_known_ones) {
    struct trace trace = {.op_count = 0};
    struct import_notes notes;
    struct problem problem = {""};
    ck_assert(!importers_run("andriod", path, &trace, &notes, &problem));
    ck_assert_str_eq(problem.text, "andriod: unknown format, expected one of android, rep");
    ck_assert(!importers_run("rep", "/nowhere", &trace, &notes, &problem));
    ck_assert_ptr_nonnull(strstr(problem.text, "/nowhere: No such file"));
    ck_assert(!importers_run("rep", path, &trace, &notes, &problem));
    ck_assert_ptr_nonnull(strstr(problem.text, "empty file"));
}
END_TEST

static const struct {
    const char *format;
    const char *text;
} samples[] = {
    {"android", "10: malloc 0x1000 100 17 19\n7: realloc 0x20 0x1000 9\n10: calloc 0x30 3 7\r\n"
                "10: memalign 0x40 64 7\n7: free 0x20\n7: thread_done 0x0\n"},
    {"rep", "20000\n3\n5\n1\r\na 0 16\na 1 99\nr 0 32\nf -1\nf 0\nr 2 7\n"},
};

/* Cut at every byte, each bit flipped: read or refused with a message, never a crash. */
START_TEST(damaged_files_are_read_or_refused) {
    const char *text = samples[_i].text;
    size_t count = strlen(text);
    char damaged[512];
    size_t refused = 0;
    for (size_t i = 0; i < count; i++) {
        for (unsigned bit = 0; bit <= 8; bit++) {
            memcpy(damaged, text, count);
            damaged[i] = (char)(damaged[i] ^ (bit == 8 ? 0 : 1 << bit));
            struct trace trace;
            struct import_notes notes;
            struct problem problem = {""};
            bool read = bytes_import(samples[_i].format, damaged, bit == 8 ? i : count, &trace,
                                     &notes, &problem);
            ck_assert(read || strncmp(problem.text, path, strlen(path)) == 0);
            refused += !read;
            trace_release(&trace);
        }
    }
    ck_assert_uint_gt(refused, count);
}
END_TEST

int main(void) {
    TCase *tcase = tcase_create("importers");
    tcase_add_checked_fixture(tcase, file_open, file_close);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, android_files_are_read_or_refused, 0,
                        sizeof android_cases / sizeof android_cases[0]);
    tcase_add_loop_test(tcase, rep_files_are_read_or_refused, 0,
                        sizeof rep_cases / sizeof rep_cases[0]);
    tcase_add_test(tcase, a_balanced_trace_that_is_not_is_noted);
    tcase_add_test(tcase, unknown_formats_name_the_known_ones);
    tcase_add_loop_test(tcase, damaged_files_are_read_or_refused, 0,
                        sizeof samples / sizeof samples[0]);
    Suite *suite = suite_create("importers");
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
