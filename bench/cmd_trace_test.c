/* SPDX-License-Identifier: MIT
 * cmd_trace_test.c - `heaprig trace` and `heaprig import` from outside: files in, files out, words
 * and exit statuses */
#include "test_trace.h"
#include "trace_info.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/cmd-trace-test-XXXXXX";
static char said[1 << 14]; /* by the last command, stdout and stderr */

static void folder_open(void) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_int_eq(chdir(folder), 0);
}

static void folder_close(void) {
    char command[64];
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static void file_put(const char *name, const char *text) {
    FILE *file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
}

static char program[4096]; /* runner and path of heaprig, from any folder */

static bool program_find(void) {
    const char *build = getenv("HEAPRIG_BUILD");
    const char *runner = getenv("HEAPRIG_RUN");
    char here[2048];
    return getcwd(here, sizeof here) != NULL &&
           snprintf(program, sizeof program, "cd %s && %s %s/heaprig", here,
                    runner != NULL ? runner : "",
                    build != NULL ? build : "build") < (int)sizeof program;
}

/* Runs `heaprig ARGUMENTS`, in which @ stands for the folder; returns the exit status. */
static int heaprig(const char *arguments) {
    char command[8192];
    size_t length = (size_t)snprintf(command, sizeof command, "%s ", program);
    for (const char *at = arguments; *at != '\0'; at++) {
        bool is_folder = *at == '@';
        length += (size_t)snprintf(command + length, sizeof command - length, "%.*s",
                                   is_folder ? 99 : 1, is_folder ? folder : at);
        ck_assert_uint_lt(length, sizeof command);
    }
    (void)snprintf(command + length, sizeof command - length, " 2>&1");
    FILE *output = popen(command, "r");
    ck_assert_ptr_nonnull(output);
    said[fread(said, 1, sizeof said - 1, output)] = '\0';
    int status = pclose(output);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void assert_run(int status, const char *arguments, const char *words) {
    int got = heaprig(arguments);
    ck_assert_msg(got == status, "heaprig %s: exit %d, expected %d: %s", arguments, got, status,
                  said);
    ck_assert_msg(strstr(said, words) != NULL, "heaprig %s: '%s', expected '%s'", arguments, said,
                  words);
}

static const char android[] = "1: malloc 0x10 100\n2: memalign 0x20 64 1000\n"
                              "1: realloc 0x30 0x10 200\n2: free 0x0\n1: free 0x20\n";

START_TEST(an_import_is_shown_converted_and_cut) {
    file_put("app.txt", android);
    assert_run(0, "import --from android @/app.txt -o @/app.hrt",
               "note: 1 frees of 0x0 were left out");
    assert_run(0, "trace info @/app.hrt", "ops           4: alloc 1, aligned 1, realloc 1, free 1");
    assert_run(0, "trace info @/app.hrt", "peak live     1\u2009200 bytes after op 2");
    assert_run(0, "trace info @/app.hrt", "origin        android import");
    assert_run(0, "trace info --json @/app.hrt", "\"peak_live_bytes\": 1200");
    assert_run(0, "trace info --json @/app.hrt", "\"threads\": 2");
    assert_run(0, "trace convert @/app.hrt @/back.txt", "");
    assert_run(0, "trace convert @/back.txt @/again.hrt", "");
    ck_assert_int_eq(system("cmp -s app.hrt again.hrt"), 0);
    assert_run(0, "trace slice @/app.hrt --first 1 --count 2 -o @/cut.txt", "");
    struct trace cut = test_trace_load("cut.txt");
    ck_assert_uint_eq(cut.op_count, 1);
    ck_assert_uint_eq(cut.ops[0].bytes, 1000);
    ck_assert_str_eq(cut.origin, "android import, ops 1 to 2");
    trace_release(&cut);
}
END_TEST

/* A recorded command is whatever argv was: it must not break the lines, nor drive the terminal. */
START_TEST(a_command_with_control_bytes_stays_on_its_line) {
    file_put("app.txt", android);
    assert_run(0, "import --from android @/app.txt -o @/app.hrt", "");
    struct trace trace = test_trace_load("app.hrt");
    (void)snprintf(trace.command, sizeof trace.command, "sh -c a\nb\033[2J");
    char *shown = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&shown, &bytes);
    ck_assert_ptr_nonnull(out);
    trace_info_print(&trace, out);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_ptr_nonnull(strstr(shown, "command       sh -c a\\x0ab\\x1b[2J\n"));
    free(shown);
    trace_release(&trace);
}
END_TEST

START_TEST(generators_are_shown) {
    assert_run(0, "trace info gen:comb:1:1000 gen:shrink", "origin        gen:shrink:1:20000");
    ck_assert_ptr_nonnull(strstr(said, "gen:comb:1:1000"));
    assert_run(0, "trace --help", "heaprig trace info");
    assert_run(0, "trace slice --help", "--first");
    assert_run(0, "import --help", "malloclab");
}
END_TEST

static const struct {
    const char *arguments;
    const char *words;
} refusals[] = {
    {"trace", "expected one of: info convert slice"},
    {"trace inf", "unknown action inf"},
    {"trace info", "no trace to show"},
    {"trace info @/missing.hrt", "missing.hrt: No such file"},
    {"trace info gen:nothing", "unknown generator"},
    {"trace info @/double.txt", "double.txt:2: block 16 is live, expected it to be free"},
    {"trace convert gen:comb", "expected IN and OUT"},
    {"trace convert gen:comb @/a.hrt @/b.hrt", "one name too many"},
    {"trace convert gen:comb @/nowhere/a.hrt", "nowhere/a.hrt: No such file"},
    {"trace convert gen:comb /dev/full", "/dev/full: No space left"},
    {"trace slice gen:comb", "expected IN and -o OUT"},
    {"trace slice gen:comb -o @/a.hrt --first x", "expected a number"},
    {"trace slice gen:comb -o @/a.hrt --count 0", "expected a number"},
    {"trace slice gen:comb:1:1000 -o @/a.hrt --first 5000",
     "slice starts at op 5000, expected one"},
    {"import @/double.txt -o @/a.hrt", "expected --from FORMAT"},
    {"import --from windows @/double.txt -o @/a.hrt", "expected one of android, rep"},
    {"import --from android @/double.txt -o @/a.hrt", "double.txt:2: block 0x10 is live"},
};

START_TEST(bad_usage_and_input_exit_with_2) {
    bool text = strncmp(refusals[_i].arguments, "trace", 5) == 0;
    file_put("double.txt", text ? "a 0x10 8\na 0x10 8\n" : "1: malloc 0x10 8\n1: malloc 0x10 8\n");
    assert_run(2, refusals[_i].arguments, refusals[_i].words);
    ck_assert_int_ne(access("a.hrt", F_OK), 0);
}
END_TEST

int main(void) {
    if (!program_find()) {
        return EXIT_FAILURE;
    }
    TCase *tcase = tcase_create("commands");
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, folder_open, folder_close);
    tcase_add_test(tcase, an_import_is_shown_converted_and_cut);
    tcase_add_test(tcase, a_command_with_control_bytes_stays_on_its_line);
    tcase_add_test(tcase, generators_are_shown);
    tcase_add_loop_test(tcase, bad_usage_and_input_exit_with_2, 0,
                        sizeof refusals / sizeof refusals[0]);
    Suite *suite = suite_create("cmd_trace");
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
