/* SPDX-License-Identifier: MIT
 * trace_text_test.c - the text form: what it means, what it refuses, that it loses nothing */
#include "trace_text.h"

#include "../bench/test_trace.h"
#include "trace_file.h"

static bool text_read(const char *text, struct trace *trace, struct problem *problem) {
    memset(trace, 0, sizeof *trace);
    problem->text[0] = '\0';
    return trace_text_decode("file", text, strlen(text), trace, problem);
}

static struct trace text_trace(const char *text) {
    struct trace trace;
    struct problem problem;
    ck_assert_msg(text_read(text, &trace, &problem), "%s", problem.text);
    return trace;
}

static const char example[] = "# boot, shortened\r\n"
                              "origin:   written by hand \r\n"
                              "command: x\\x0ay\\x5c\r\n"
                              "arch: armv7l\r\n"
                              "pointer_bits: 32\r\n"
                              "\r\n"
                              "a 18446744073709551615 100 # the first\r\n"
                              "  c 2 0x40 @700\r\n"
                              "m\t3 4096 100\r\n"
                              "r 0xFFFFFFFFFFFFFFFF 200\r\n"
                              "f 2#gone\r\n"
                              "a 2 18446744073709551615 @700";

START_TEST(every_form_of_line_is_read) {
    const struct op expected[] = {
        {.kind = OP_ALLOC, .slot = 0, .bytes = 100},
        {.kind = OP_CALLOC, .slot = 1, .bytes = 64, .thread = 1},
        {.kind = OP_ALIGNED, .slot = 2, .bytes = 100, .align_log2 = 12},
        {.kind = OP_REALLOC, .slot = 0, .bytes = 200},
        {.kind = OP_FREE, .slot = 1},
        {.kind = OP_ALLOC, .slot = 1, .bytes = UINT64_MAX, .thread = 1},
    };
    struct trace trace = text_trace(example);
    ck_assert_uint_eq(trace.op_count, 6);
    ck_assert_mem_eq(trace.ops, expected, sizeof expected);
    ck_assert_str_eq(trace.origin, "written by hand");
    ck_assert_str_eq(trace.command, "x\ny\\");
    ck_assert_str_eq(trace.arch, "armv7l");
    ck_assert_uint_eq(trace.pointer_bits, 32);
    trace_release(&trace);
}
END_TEST

/* A run of blocks is an op for each, upwards and downwards, as written back. */
START_TEST(runs_of_blocks_are_read_and_written) {
    static const char text[] = "a 0-4 8\nf 4-0/2\nm 0-4/2 64 9\nr 3-4 5\nf 3\nf 1\n";
    struct trace trace = text_trace(text);
    static const uint32_t slots[] = {0, 1, 2, 3, 4, 4, 2, 0, 0, 2, 4, 3, 4, 3, 1};
    ck_assert_uint_eq(trace.op_count, 15);
    for (size_t i = 0; i < 15; i++) {
        ck_assert_uint_eq(trace.ops[i].slot, slots[i]);
        ck_assert_uint_eq(trace.ops[i].kind, i < 5    ? OP_ALLOC
                                             : i < 8  ? OP_FREE
                                             : i < 11 ? OP_ALIGNED
                                             : i < 13 ? OP_REALLOC
                                                      : OP_FREE);
    }
    struct file_bytes back = {0};
    for (size_t i = 0; i < trace.op_count;) {
        struct op_run run = op_run(&trace.ops[i], trace.op_count - i);
        ck_assert(trace_text_encode_run(&trace.ops[i], run, &back));
        i += run.count;
    }
    static const char written[] = "a 0-4 8\nf 4-0/2\nm 0-4/2 64 9\nr 3 5\nr 4 5\nf 3\nf 1\n";
    ck_assert_uint_eq(back.count, sizeof written - 1);
    ck_assert_mem_eq(back.bytes, written, back.count);
    file_bytes_release(&back);
    trace_release(&trace);
}
END_TEST

static const struct {
    const char *text;
    const char *said;
} faults[] = {
    {"# only a comment\n\n", "file:2: end of text, expected at least one op"},
    {"x 1 2", "file:1: 'x', expected a, c, m, r or f"},
    {"aa 1 2", "file:1: 'aa', expected a, c, m, r or f"},
    {"a", "file:1: line ends, expected the number of a block"},
    {"a 1\nf 1", "file:1: line ends, expected a size in bytes"},
    {"a x 1", "file:1: 'x', expected the number of a block"},
    {"a -1 1", "file:1: '-1', expected the number of a block"},
    {"a 1- 1", "file:1: '1-', expected the number of a block"},
    {"a 1-2-3 1", "file:1: '1-2-3', expected the number of a block"},
    {"a 1-5/0 1", "file:1: '1-5/0', expected the number of a block"},
    {"a 1-5/ 1", "file:1: '1-5/', expected the number of a block"},
    {"a 1/2 1", "file:1: '1/2', expected the number of a block"},
    {"a 1-6/2 1", "file:1: '1-6/2', expected whole steps and at most 4096 blocks"},
    {"a 0-4096 1", "file:1: '0-4096', expected whole steps and at most 4096 blocks"},
    {"a 0-18446744073709551615 1", "expected whole steps and at most 4096 blocks"},
    {"a 2 1\na 4-1 1", "file:2: block 2 is live, expected it to be free"},
    {"a 1 0x", "file:1: '0x', expected a size in bytes"},
    {"a 1 18446744073709551616", "expected a size in bytes"},
    {"a 1 0x10000000000000000", "expected a size in bytes"},
    {"a 1 8 9", "file:1: '9', expected the end of the line"},
    {"f 1 8", "file:1: '8', expected the end of the line"},
    {"a 1 8 @", "file:1: '@', expected @ and a thread"},
    {"a 1 8 @65536", "file:1: '@65536', expected @ and a thread"},
    {"a 1 8 @1 @2", "file:1: '@2', expected the end of the line"},
    {"m 1 24 8", "file:1: 24, expected an alignment that is a power of two"},
    {"m 1 0 8", "file:1: 0, expected an alignment that is a power of two"},
    {"f 1", "file:1: block 1 is not live, expected an allocation first"},
    {"a 1 8\nf 1\nf 1", "file:3: block 1 is not live"},
    {"a 1 8\nr 2 8", "file:2: block 2 is not live"},
    {"a 1 8\na 1 8", "file:2: block 1 is live, expected it to be free"},
    {"a 1 8\nr 1 0", "file:2: realloc to 0 bytes, expected at least 1, or f"},
    {"colour: red\na 1 8", "file:1: 'colour:', expected origin:, command:, arch:"},
    {"a 1 8\norigin: late", "file:2: 'origin:', expected a, c, m, r or f"},
    {"pointer_bits: 16\na 1 8", "file:1: '16', expected pointer_bits of 32, 64 or 0"},
    {"arch: 0123456789012345678901234567890123\na 1 8", "expected a shorter text"},
    {"arch: a\\x00b\na 1 8", "expected a shorter text"},
    {"\x01\x02\xff", "file:1: '?\?\?', expected a, c, m, r or f"},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "aaa...', expected a"},
};

START_TEST(faults_name_line_and_expectation) {
    struct trace trace;
    struct problem problem;
    ck_assert(!text_read(faults[_i].text, &trace, &problem));
    ck_assert_msg(strstr(problem.text, faults[_i].said) != NULL, "%s", problem.text);
    trace_release(&trace);
}
END_TEST

START_TEST(a_zero_byte_is_no_end) {
    static const char text[] = "a 1 8\0\nf 1\n";
    struct trace trace = {.op_count = 0};
    struct problem problem = {""};
    ck_assert(!trace_text_decode("file", text, sizeof text - 1, &trace, &problem));
    ck_assert_ptr_nonnull(strstr(problem.text, "file:1:"));
    trace_release(&trace);
}
END_TEST

/* Cut or garbled text must be read or refused, never crash (run under the sanitizers). */
START_TEST(damaged_text_is_read_or_refused) {
    char text[sizeof example];
    size_t refused = 0;
    for (size_t i = 0; i < sizeof example - 1; i++) {
        for (unsigned bit = 0; bit <= 8; bit++) {
            memcpy(text, example, sizeof text);
            size_t count = bit == 8 ? i : sizeof example - 1;
            text[i] = (char)(text[i] ^ (bit == 8 ? 0 : 1 << bit));
            char *exact = malloc(count + 1); /* so that reading beyond the end is noticed */
            memcpy(exact, text, count);
            struct trace trace = {.op_count = 0};
            struct problem problem;
            refused += !trace_text_decode("file", exact, count, &trace, &problem);
            trace_release(&trace);
            free(exact);
        }
    }
    ck_assert_uint_gt(refused, 100);
}
END_TEST

static const char *const specs[] = {"gen:uniform:1:3000",  "gen:embedded:2:3000",
                                    "gen:shrink:1:3000",   "gen:knuth:1:3000",
                                    "gen:powerlaw:3:3000", "gen:realloc_growth:4:3000"};

/* hrt -> text -> hrt: equal ops, equal account. */
START_TEST(nothing_is_lost_on_the_way_through_text) {
    struct trace trace = test_trace_load(specs[_i]);
    struct problem problem = {""};
    trace.ops[7].thread = 1;
    trace.ops[8].thread = 2;
    trace.ops[9].thread = 1;
    (void)strcpy(trace.command, " a\tb\\x41 \n");
    (void)strcpy(trace.arch, "x86_64");
    trace.pointer_bits = 64;
    ck_assert(trace_finish(&trace, "test", &problem));
    struct file_bytes text = {0};
    ck_assert(trace_text_encode(&trace, &text, &problem));
    struct trace back = {.op_count = 0};
    ck_assert_msg(trace_text_decode("file", (const char *)text.bytes, text.count, &back, &problem),
                  "%s", problem.text);
    ck_assert_uint_eq(back.op_count, trace.op_count);
    ck_assert_mem_eq(back.ops, trace.ops, trace.op_count * sizeof *trace.ops);
    ck_assert_mem_eq(&back.counts, &trace.counts, sizeof trace.counts);
    ck_assert_str_eq(back.origin, trace.origin);
    ck_assert_str_eq(back.command, trace.command);
    ck_assert_str_eq(back.arch, trace.arch);
    ck_assert_uint_eq(back.pointer_bits, 64);
    struct file_bytes files[2] = {{0}, {0}};
    ck_assert(trace_file_encode(&trace, &files[0], &problem));
    ck_assert(trace_file_encode(&back, &files[1], &problem));
    ck_assert_uint_eq(files[0].count, files[1].count);
    ck_assert_mem_eq(files[0].bytes, files[1].bytes, files[0].count);
    file_bytes_release(&files[0]);
    file_bytes_release(&files[1]);
    file_bytes_release(&text);
    trace_release(&trace);
    trace_release(&back);
}
END_TEST

int main(void) {
    TCase *tcase = tcase_create("text");
    tcase_add_test(tcase, every_form_of_line_is_read);
    tcase_add_test(tcase, runs_of_blocks_are_read_and_written);
    tcase_add_loop_test(tcase, faults_name_line_and_expectation, 0,
                        sizeof faults / sizeof faults[0]);
    tcase_add_test(tcase, a_zero_byte_is_no_end);
    tcase_add_test(tcase, damaged_text_is_read_or_refused);
    tcase_add_loop_test(tcase, nothing_is_lost_on_the_way_through_text, 0,
                        sizeof specs / sizeof specs[0]);
    Suite *suite = suite_create("trace_text");
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
