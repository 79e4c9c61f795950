/* SPDX-License-Identifier: MIT
 * finding_test.c - crashes are told apart by rule and stack, and by nothing that differs from run
 * to run: else a night's report is one bug a thousand times, or two bugs as one. */
#include "finding.h"

#include "test_trace.h"

#include "../alloc/test_check.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* As waitpid() gives them. */
enum { EXITED_0 = 0, EXITED_3 = 3 << 8, EXITED_77 = 77 << 8, KILLED = SIGKILL };

static const char overlap[] =
    "INFO: Seed: 936362866\n"
    "Running: results/pending/plugin@afl@b9c2\n"
    "heaprig: wrong: op 92, alloc of 209 B into slot 31: overlaps a live block: block at 5776 with "
    "209 B\n"
    "==16479== ERROR: libFuzzer: deadly signal\n"
    "    #0 0x55ef in __sanitizer_print_stack_trace (/build/plugin+0xb0664)\n"
    "    #1 0x55ef in LLVMFuzzerTestOneInput /src/fuzz/alloc_target.c:98:9\n";
static const char overlap_elsewhere[] =
    "heaprig: wrong: op 7, realloc of slot 3 to 1 B: overlaps a live block: block at 16 with 1 B\n";
static const char contents[] =
    "heaprig: wrong: op 251, free of slot 4: contents changed while live: byte 0 of block at 832\n";
static const char differential[] =
    "heaprig: tlsf: places differ at two congruent addresses: 00ab12 and 34cd56\n";
static const char differential_again[] =
    "heaprig: tlsf: places differ at two congruent addresses: 77 and 9f\n";
static const char reader[] =
    "heaprig: read what is no valid trace: again: op 12: slot 3 is empty\n";
static const char overflow[] = "==7==ERROR: AddressSanitizer: heap-buffer-overflow on address "
                               "0x602000000051 at pc 0x4ff bp 0x7ff sp 0x7ff\n"
                               "READ of size 1 at 0x602000000051 thread T0\n"
                               "    #0 0x4fe in __interceptor_memcpy (/build/rep+0x4fe)\n"
                               "    #1 0x4ff in number_read /src/trace/text_lines.c:77:13\n"
                               "    #2 0x500 in importers_run /src/trace/importers.c:31:9\n"
                               "    #3 0x501 in LLVMFuzzerTestOneInput /src/fuzz/rep_target.c:8:1\n"
                               "\n"
                               "0x602000000051 is located 0 bytes to the right of 1-byte region\n"
                               "    #0 0x600 in malloc (/build/rep+0x600)\n";
static const char overflow_moved[] = "==8==ERROR: AddressSanitizer: heap-buffer-overflow on "
                                     "address 0x602000000091 at pc 0x5ff bp 0x7ff sp 0x7ff\n"
                                     "    #0 0x4fe in __interceptor_memcpy (/build/rep+0x4fe)\n"
                                     "    #1 0x4ff in number_read /src/trace/text_lines.c:79:20\n"
                                     "    #2 0x500 in importers_run /src/trace/importers.c:32:9\n";
static const char overflow_elsewhere[] =
    "==8==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602000000091 at pc 0x5ff bp "
    "0x7ff sp 0x7ff\n"
    "    #0 0x4ff in name_read /src/trace/text_lines.c:12:20\n"
    "    #1 0x500 in importers_run /src/trace/importers.c:32:9\n";
static const char undefined[] =
    "alloc/tlsf.c:120:14: runtime error: shift exponent 40 is too large for 32-bit type 'int'\n";
static const char undefined_again[] =
    "alloc/tlsf.c:120:14: runtime error: shift exponent 33 is too large for 32-bit type 'int'\n";
static const char hang[] = "ALARM: working on the last Unit for 5 seconds\n"
                           "==9== ERROR: libFuzzer: timeout after 5 seconds\n"
                           "    #0 0x1 in wrong_alloc /tmp/wrong.c:60\n";
static const char trap[] = "==9== ERROR: libFuzzer: deadly signal\n"
                           "    #0 0x1 in fuzzer::PrintStackTrace() (/build/tlsf+0x1)\n"
                           "    #1 0x1  (/lib/libc.so.6+0x3c04f)\n"
                           "    #2 0x2 in block_split /src/alloc/tlsf.c:300:5\n"
                           "    #3 0x3 in tlsf_alloc /src/alloc/tlsf.c:400:5\n";
static const char memory[] =
    "==9== ERROR: libFuzzer: out-of-memory (used: 1025Mb; limit: 1024Mb)\n";
static const char gone[] =
    "==9== ERROR: libFuzzer: fuzz target exited\n    #0 0x1 in exit_all (/x)\n";
static const char sound[] = "Running: x\nExecuted x in 0 ms\n";

static struct finding read_as(const char *text, int status) {
    struct finding finding;
    finding_read(text, status, false, &finding);
    return finding;
}

START_TEST(what_is_said) {
    static const struct {
        const char *text;
        int status;
        const char *subject, *rule, *words, *stack;
    } cases[] = {
        {overlap, EXITED_77, "wrong", "overlaps a live block", "op 92, alloc of 209 B into slot 31",
         ""},
        {contents, EXITED_77, "wrong", "contents changed while live", "byte 0 of block at 832", ""},
        {differential, EXITED_77, "tlsf", "places differ at two congruent addresses: # and #",
         "00ab12", ""},
        {reader, EXITED_77, "", "read what is no valid trace: again: op #: slot # is empty",
         "op 12", ""},
        {overflow, EXITED_77, "", "heap-buffer-overflow", "on address",
         "number_read text_lines.c:77 < importers_run importers.c:31"},
        {undefined, EXITED_77, "",
         "runtime error: shift exponent # is too large for #-bit type 'int'", "tlsf.c:120",
         "tlsf.c:120:14"},
        {hang, 70 << 8, "", "hangs", "hangs", ""},
        {trap, EXITED_77, "", "crashes", "block_split",
         "block_split tlsf.c:300 < tlsf_alloc tlsf.c:400"},
        {memory, 71 << 8, "", "takes too much memory", "1025Mb", ""},
        {gone, EXITED_77, "", "ends the process", "ends the process", ""},
        {"", EXITED_3, "", "ends the process with status 3", "status 3", ""},
        {"", KILLED, "", "crashes with signal 9 (Killed)", "signal 9", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct finding f = read_as(cases[i].text, cases[i].status);
        ck_assert(!f.sound);
        ck_assert_str_eq(f.subject, cases[i].subject);
        ck_assert_str_eq(f.rule, cases[i].rule);
        ck_assert_str_eq(f.stack, cases[i].stack);
        ck_assert_msg(strstr(f.words, cases[i].words) != NULL, "'%s' in '%s'", cases[i].words,
                      f.words);
        ck_assert_int_eq(f.hangs, strcmp(f.rule, "hangs") == 0);
    }
    ck_assert(read_as(sound, EXITED_0).sound);
    ck_assert(!read_as("", EXITED_0).sound); /* _exit(0) from inside */
    struct finding late;
    finding_read(sound, EXITED_0, true, &late);
    ck_assert(late.hangs);
}
END_TEST

START_TEST(keys_join_and_part) {
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {overlap, overlap_elsewhere, true},
        {overlap, contents, false},
        {differential, differential_again, true},
        {overflow, overflow_moved, true},
        {overflow, overflow_elsewhere, false},
        {undefined, undefined_again, true},
        {hang, trap, false},
        {overlap, overflow, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct finding a = read_as(cases[i].a, EXITED_77), b = read_as(cases[i].b, EXITED_77);
        char name_a[96], name_b[96];
        finding_name(&a, "target", name_a);
        finding_name(&b, "target", name_b);
        ck_assert_msg((strcmp(a.key, b.key) == 0) == cases[i].same, "%s\n%s", a.key, b.key);
        ck_assert_msg((strcmp(name_a, name_b) == 0) == cases[i].same, "%s\n%s", name_a, name_b);
        ck_assert_uint_eq(
            strspn(name_a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"),
            strlen(name_a));
    }
}
END_TEST

/* A plug-in prints what it likes, a full disk cuts a log anywhere: reading never fails, nothing but
 * ASCII gets into the report. */
START_TEST(any_text_is_read) {
    static const char *const texts[] = {overlap, overflow,     undefined, hang,
                                        trap,    differential, reader};
    char text[2048];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        for (size_t length = 0; length <= strlen(texts[i]); length++) {
            memcpy(text, texts[i], length);
            text[length] = '\0';
            ck_assert(!read_as(text, EXITED_77).sound);
            for (size_t at = length > 40 ? length - 40 : 0; at < length; at += 3) {
                text[at] = (char)(0x80 + length % 128);
            }
            struct finding f = read_as(text, EXITED_77);
            for (const char *c = f.words; *c != '\0'; c++) {
                ck_assert(*c >= 0x20 && *c < 0x7F);
            }
            ck_assert_str_ne(f.rule, "");
        }
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("finding");
    TCase *tcase = tcase_create("finding");
    suite_add_tcase(suite, tcase);
    tcase_add_test(tcase, what_is_said);
    tcase_add_test(tcase, keys_join_and_part);
    tcase_add_test(tcase, any_text_is_read);
    return test_main(suite);
}
