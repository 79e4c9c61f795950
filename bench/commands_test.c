/* SPDX-License-Identifier: MIT
 * commands_test.c - the program from outside: what it prints, writes and exits with, and that all
 * machines place alike. */
#include "meta.h"
#include "rows.h"
#include "test_trace.h"

#include "../alloc/alloc.h"

#include <math.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/heaprig_commands_XXXXXX";
static char output[1 << 16]; /* of the last command, stdout and stderr */

static void folder_make(void) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void folder_drop(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *environment(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value != NULL ? value : otherwise;
}

/* Runs a shell command, keeps what it says, returns its exit status. */
static int shell(const char *command) {
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* `heaprig ARGUMENTS`; every "@" stands for the test's folder. */
static int heaprig(const char *arguments) {
    char command[2048];
    char *end =
        command + snprintf(command, sizeof command, "%s %s/heaprig ",
                           environment("HEAPRIG_RUN", ""), environment("HEAPRIG_BUILD", "build"));
    for (const char *c = arguments; *c != '\0'; c++) {
        end += snprintf(end, (size_t)(command + sizeof command - end), "%.*s", *c == '@' ? 99 : 1,
                        *c == '@' ? folder : c);
    }
    (void)snprintf(end, (size_t)(command + sizeof command - end), " 2>&1 </dev/null");
    return shell(command);
}

#define HEAPRIG(wanted, arguments)                                                                 \
    do {                                                                                           \
        int status = heaprig(arguments);                                                           \
        ck_assert_msg(status == (wanted), "heaprig %s: exit %d, expected %d\n%s", arguments,       \
                      status, wanted, output);                                                     \
    } while (0)
#define SAYS(text)                                                                                 \
    ck_assert_msg(strstr(output, text) != NULL, "expected '%s' in:\n%s", text, output)

START_TEST(bench_measures_and_writes) {
    if (meta_unfit_reason() != NULL) { /* then it must say so and write nothing */
        HEAPRIG(2, "bench -a bump -t gen:lifo:1:1000 -o @/results");
        SAYS(meta_unfit_reason());
        HEAPRIG(2, "compare @/results/bench.json @/results/bench.json");
        return;
    }
    HEAPRIG(0, "bench -a bump,bestfit,bestfit_little -t gen:uniform:1:2000,gen:embedded:2:3000 "
               "--rounds 3 -o @/results --seed 0x10");
    SAYS("seed=16");
    SAYS("net time, ns/op");
    SAYS("null replay");
    SAYS("'-' bestfit_little: gen:uniform:1:2000: its peak does not fit");
    HEAPRIG(0, "compare @/results @/results");
    SAYS("5 rows compared: 0 exact figures worse");
    HEAPRIG(0, "bench -a bestfit -t gen:embedded:2:3000 --exact -o @/exact --columns frag_jw,ops");
    SAYS("\nfrag_jw1\n");
    SAYS("\nfrag_jw4\n");
    SAYS("\nops\n");
    HEAPRIG(0, "compare @/exact/bench.json @/results/bench.json");
    SAYS("1 rows compared: 0 exact");
    SAYS("is new");
    HEAPRIG(1, "compare @/results/bench.json @/exact/bench.json");
    SAYS("is gone");
    HEAPRIG(0, "bench -a bestfit -t gen:embedded:2:3000 --exact --first 1000 -o @/short");
    HEAPRIG(1, "compare @/exact @/short");
    SAYS("cannot be compared: ");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/results/footprint/bump.gen:uniform:1:2000.tsv", folder);
    ck_assert_int_eq(access(path, R_OK), 0);
    (void)snprintf(path, sizeof path, "%s/results/latency/bump.gen:uniform:1:2000.tsv", folder);
    ck_assert_int_eq(access(path, R_OK), 0);
}
END_TEST

START_TEST(fit_measures_and_writes) {
    if (meta_unfit_reason() != NULL) {
        HEAPRIG(2, "fit -a bestfit -t gen:lifo:1:1000 -o @/results");
        SAYS(meta_unfit_reason());
        return;
    }
    HEAPRIG(0, "fit -a bestfit,bump -t gen:lifo:1:2000 -o @/results");
    SAYS("floor");
    SAYS("'-' bump: gen:lifo:1:2000: it never frees");
    HEAPRIG(0, "fit -a bestfit -t gen:lifo:1:2000 -o @/results --columns floor_bytes");
    SAYS("\nfloor_bytes\n");
    HEAPRIG(0, "compare @/results @/results");
    SAYS("1 rows compared");
}
END_TEST

/* A plug-in with a planted fault is shrunk to a script that still breaks it, and says so in words.
 */
START_TEST(minimize_shrinks) {
    HEAPRIG(1, "minimize -a tlsf gen:embedded:1:500");
    SAYS("tlsf is sound on");
    (void)setenv("HEAPRIG_CANARY", "PREFIX_SHORT", 1);
    HEAPRIG(0, "minimize -a $HEAPRIG_BUILD/fuzz/canary_plugin.so gen:embedded:1:500 -o @/bug.txt");
    SAYS("realloc lost contents");
    SAYS("2 ops of 500");
    HEAPRIG(0, "minimize -a $HEAPRIG_BUILD/fuzz/canary_plugin.so @/bug.txt -c @/bug.c");
    SAYS("2 ops of 2");
    HEAPRIG(2, "minimize -a $HEAPRIG_BUILD/fuzz/canary_plugin.so @/bug.txt -o @/nowhere/bug.txt");
    SAYS("nowhere/bug.txt: No such file");
    SAYS("realloc lost contents"); /* what was found is not lost */
    (void)unsetenv("HEAPRIG_CANARY");
    char path[128];
    (void)snprintf(path, sizeof path, "%s/bug.c", folder);
    ck_assert_int_eq(access(path, R_OK), 0);
}
END_TEST

/* What -c writes ends by an assertion with the fault and is sound without. */
START_TEST(the_c_program_shows_the_fault) {
    static const char *const faults[] = {"OVERLAPS", "PREFIX_SHORT", "OVERCOPIES", "WRITES_OUT",
                                         "USABLE_SHORT"};
    if (meta_unfit_reason() != NULL || environment("HEAPRIG_RUN", "")[0] != '\0') {
        return; /* cc compiles for this machine, plainly */
    }
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        char command[512];
        (void)setenv("HEAPRIG_CANARY", faults[i], 1);
        HEAPRIG(0, "minimize -a $HEAPRIG_BUILD/fuzz/canary_plugin.so gen:realloc_growth:1:500 "
                   "-c @/bug.c");
        (void)snprintf(command, sizeof command,
                       "cd %s && cc -std=c11 -Wall -Wextra -Werror -I $OLDPWD/alloc "
                       "bug.c -Wl,--allow-shlib-undefined "
                       "$OLDPWD/%s/fuzz/canary_plugin.so -o bug 2>&1",
                       folder, environment("HEAPRIG_BUILD", "build"));
        ck_assert_msg(shell(command) == 0, "%s: %s", faults[i], output);
        (void)snprintf(command, sizeof command, "%s/bug 2>&1", folder);
        ck_assert_msg(shell(command) != 0, "%s is not shown", faults[i]);
        SAYS("Assertion");
        (void)setenv("HEAPRIG_CANARY", "SOUND", 1);
        ck_assert_msg(shell(command) == 0, "%s: %s", faults[i], output);
        (void)unsetenv("HEAPRIG_CANARY");
    }
}
END_TEST

START_TEST(bad_input_exits_2) {
    static const struct {
        const char *arguments, *says;
    } rows[] = {
        {"bench -a bestfitt -t gen:lifo", "bestfit"},
        {"bench -t gen:nothing --checked", "nothing"},
        {"bench -t @/missing.hrt -a bump --checked", "missing.hrt"},
        {"bench --rounds 0", "expected a number from 1 to 99"},
        {"bench --rounds x", "expected a number"},
        {"bench --touch all", "expected none, edges or whole"},
        {"bench -a bump,bump -t gen:lifo", "two allocators"},
        {"bench -a bump -t gen:lifo,gen:lifo", "second trace"},
        {"bench --nonsense", "nonsense"},
        {"fit -n 0", "expected a number"},
        {"fit --columns floor_bytes,fool", "fool: no figure of fit.json begins so"},
        {"bench --columns digest", "digest: no figure"},
        {"compare @", "expected two results"},
        {"compare @ @", "expected results"},
        {"compare @ /dev/null", "expected two folders or two files"},
        {"compare /dev/null /dev/null", "/dev/null:1"},
        {"compare @/fit.json @/mmu.json", "expected results of one kind"},
        {"digest -t gen:nothing", "nothing"},
        {"minimize gen:lifo", "--allocator missing"},
        {"minimize -a tlsf", "INPUT missing"},
        {"minimize -a tlsv gen:lifo", "tlsf"},
        {"minimize -a tlsf @/missing", "missing"},
        {"minimize -a tlsf gen:lifo -s 0", "expected a number"},
        {"minimize -a tlsf gen:lifo -r 0", "expected a number"},
        {"minimize -a lock:tlsf gen:lifo -c @/bug.c", "expected a plain allocator"},
        {"bench -a lok:tlsf --checked -t gen:lifo", "did you mean 'lock'?"},
        {"fit -a lock:tlfs -t gen:lifo", "did you mean 'tlsf'?"},
        {"threads -a lok:tlsf -t gen:messages", "did you mean 'lock'?"},
        {"threads -a tlsf -t gen:messages --checked", "expected lock:tlsf"},
        {"threads -a lock:tlsf -t gen:lifo --checked", "gen:lifo: a trace of one thread"},
        {"threads -a lock:tlsf -t @/missing.hrt --checked", "missing.hrt"},
        {"threads --rounds 0", "expected a number from 1 to 99"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        HEAPRIG(2, rows[i].arguments);
        SAYS(rows[i].says);
    }
    if (meta_unfit_reason() == NULL) {
        HEAPRIG(2, "bench -a bump -t gen:lifo:1:1000 -o /proc/heaprig");
        SAYS("/proc/heaprig");
        HEAPRIG(2, "fit -a bestfit -t gen:lifo:1:1000 -o /dev/null");
        SAYS("/dev/null: cannot write results: Not a directory");
    }
}
END_TEST

/* A verdict that nobody could read is not a verdict: every command ends with 2 on a full disk. */
START_TEST(a_full_disk_behind_stdout_is_told) {
    static const char *const commands[] = {"list",
                                           "trace info gen:lifo:1:1000",
                                           "digest -a bump -t gen:lifo:1:1000",
                                           "bench --checked -a bump -t gen:lifo:1:1000",
                                           "threads --checked -a lock:bump -t gen:messages:1:1000",
                                           "mmu --core list",
                                           "trace --help",
                                           "fit --help",
                                           "--help"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char command[256];
        (void)snprintf(command, sizeof command, "%s %s/heaprig %s 2>&1 >/dev/full </dev/null",
                       environment("HEAPRIG_RUN", ""), environment("HEAPRIG_BUILD", "build"),
                       commands[i]);
        ck_assert_int_eq(shell(command), 2);
        SAYS("heaprig: cannot write to stdout\n");
    }
}
END_TEST

/* A program may run for hours: that its trace cannot be kept is said before. */
START_TEST(record_knows_where_to_write_before_it_runs) {
    static const char *const outputs[] = {"@/nowhere/x.hrt", "@", "/proc/x.hrt", "@/ran/x.hrt"};
    char path[128], arguments[256];
    (void)snprintf(path, sizeof path, "%s/ran", folder);
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        (void)snprintf(arguments, sizeof arguments, "record -o %s -- touch %s", outputs[i], path);
        HEAPRIG(2, arguments);
        SAYS("expected");
        ck_assert_int_ne(access(path, F_OK), 0);
    }
}
END_TEST

/* `sed -i SCRIPT FILE` in the test's folder. */
static void edit(const char *script, const char *file) {
    char command[512];
    (void)snprintf(command, sizeof command, "sed -i '%s' %s/%s", script, folder, file);
    ck_assert_int_eq(shell(command), 0);
}

#define GATE_INIT "gate init -a bestfit,buddy -t gen:embedded:1:2000 --only memory,pools -o @/gate "

/* A baseline that says less than is true makes the truth worse, and so on. */
START_TEST(gate_tells_worse_from_better) {
    static const struct {
        const char *init, *script;
        int status;
        const char *says;
    } rows[] = {
        {GATE_INIT, "s/nothing//", 0, "gate holds: 4 rows compared, 0 figures worse, 0 better, 0"},
        {GATE_INIT, "/bestfit.*fit_bytes/s/\"fit_bytes\":[0-9]*/\"fit_bytes\":99/", 1,
         "bestfit gen:embedded:1:2000 fit_bytes: 99 -> "},
        {GATE_INIT, "s/\"fit_bytes\":/&9/", 0, "2 better"},
        {GATE_INIT, "s/\"fit_bytes\":/&9/", 0, "to take new figures over: `heaprig gate init`"},
        {GATE_INIT, "s/\"digest\":\"./&x/", 0, "2 changed"},
        {GATE_INIT "--fixed-placement", "s/\"digest\":\"./&x/", 1, "2 changed (none may)"},
        {GATE_INIT, "/allocator\":\"buddy/s/2000\"/2001\"/", 1, "is gone"},
    };
    if (meta_unfit_reason() != NULL) {
        HEAPRIG(2, GATE_INIT);
        SAYS(meta_unfit_reason());
        return;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        HEAPRIG(0, rows[i].init);
        edit(rows[i].script, "gate/gate.json");
        HEAPRIG(rows[i].status, "gate check @/gate");
        SAYS(rows[i].says);
    }
    HEAPRIG(0, GATE_INIT);
    SAYS("since the last baseline: ");
}
END_TEST

START_TEST(gate_refuses_what_is_not_the_baseline) {
    static const struct {
        const char *script, *says;
    } rows[] = {
        {"s/\"format\": 1/\"format\": 0/", "gate.json:1: it has format 0, not 1; expected"},
        {"s/\"format\"/\"form\"/", "gate.json:1: it has format 0"},
        {"s/\"first\"/\"last\"/", "gate.json:1: Object item not found: first"},
        {"s/\"high_water\"/\"low_water\"/", "part \"memory\": a row's \"high_water\" is missing"},
        {"s/\"peak_live\":[0-9]*/\"peak_live\":\"\"/", "a row's \"peak_live\" is missing or odd"},
        {"s/\"rows\"/\"cows\"/", "lacks \"tolerance_percent\" or \"rows\""},
        {"s/\"parts\": ./\"parts\": [/", "gate.json:10: "},
        {"s/\"memory\"/\"money\"/;s/\"pools\"/\"fools\"/", "no part has figures"},
        {"s/\"arches\": .*\\]/\"arches\": [\"pdp11\"]/", "unknown architecture 'pdp11'"},
        {"s/\"sha256\":\"......../\"sha256\":\"abcdefgh/", "gen:embedded:1:2000: its sha256 is "},
        {"s/\"spec\":\"gen:embedded/\"spec\":\"gen:imbedded/", "imbedded"},
        {"s/\\[\"bestfit\",/[\"worstfit\",/", "unknown allocator 'worstfit'"},
        {"s/\\[\"bestfit\",/[\".\\/gone.so\",/", "./gone.so: no such file"},
    };
    HEAPRIG(2, "gate check @/missing");
    SAYS("missing/gate.json");
    HEAPRIG(2, "gate check");
    HEAPRIG(2, "gate check @ @");
    HEAPRIG(2, "gate guess @");
    SAYS("expected one of: init check");
    HEAPRIG(2, "gate init --only memory,cpu -t gen:lifo");
    SAYS("'cpu', expected some of memory, pools, instructions");
    HEAPRIG(2, "gate init --tolerance -1");
    if (meta_unfit_reason() != NULL) {
        return;
    }
    HEAPRIG(2, "gate init -a glibc -t gen:lifo:1:100 -o @/gate");
    SAYS("glibc: takes memory from the system");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        HEAPRIG(0, GATE_INIT);
        edit(rows[i].script, "gate/gate.json");
        HEAPRIG(2, "gate check @/gate");
        SAYS(rows[i].says);
    }
    HEAPRIG(0, GATE_INIT);
    HEAPRIG(2, "gate check @/gate --only instructions");
    SAYS("has no part 'instructions'");
    HEAPRIG(0, "trace convert gen:lifo:1:100 @/my.txt");
    HEAPRIG(0, "gate init -a bestfit -t @/my.txt --only memory -o @/gate");
    edit("$d", "my.txt");
    HEAPRIG(2, "gate check @/gate");
    SAYS("my.txt: its sha256 is ");
}
END_TEST

START_TEST(checked_finds_the_overlap) {
    char command[256];
    HEAPRIG(0, "bench --checked -a bestfit,membox -t gen:embedded:3:3000");
    SAYS("bestfit on gen:embedded:3:3000: sound, 3000 ops");
    (void)snprintf(command, sizeof command, "bench --checked -t gen:uniform:1:500 -a %s/%s",
                   environment("HEAPRIG_BUILD", "build"), "fuzz/canary_plugin.so");
    HEAPRIG(0, command);
    ck_assert_int_eq(setenv("HEAPRIG_CANARY", "OVERLAPS", 1), 0);
    HEAPRIG(1, command);
    SAYS("BROKEN: ");
    SAYS("op ");
    SAYS("overlaps");
}
END_TEST

/* A plug-in that calls exit(0) is not done, and costs its pair only. */
START_TEST(an_allocator_that_exits_is_told) {
    static const char *const commands[] = {"digest", "bench --checked"};
    char text[256];
    (void)snprintf(text, sizeof text, "%s/exits.txt", folder);
    FILE *file = fopen(text, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert(fputs("a 1 100\na 2 7778\nf 1\n", file) >= 0);
    ck_assert_int_eq(fclose(file), 0);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        (void)snprintf(text, sizeof text, "%s -a %s/bench/planted_plugin.so,bestfit -t @/exits.txt",
                       commands[i], environment("HEAPRIG_BUILD", "build"));
        HEAPRIG(1, text);
        SAYS("planted on exits: ");
        SAYS("it ended the process that called it");
        SAYS(i == 0 ? "bestfit\texits\t" : "bestfit on exits: sound");
    }
}
END_TEST

START_TEST(threads_measures_and_writes) {
    const char *arguments = "threads -a lock:tlsf,lock:bestfit_little,glibc -t gen:messages:2:3000 "
                            "--rounds 2 -o @";
    if (meta_unfit_reason() != NULL) {
        HEAPRIG(2, arguments);
        SAYS(meta_unfit_reason());
        return;
    }
    HEAPRIG(0, arguments);
    SAYS("lock:tlsf on gen:messages:2:3000: 5 threads, ");
    SAYS("the lock was held longest, ");
    SAYS("the lock is held, ns: p99.9/largest");
    char path[64];
    void *read;
    size_t count;
    struct problem problem = {""};
    (void)snprintf(path, sizeof path, "%s/threads.json", folder);
    ck_assert_msg(rows_read(&threads_rows, path, &read, &count, &problem), "%s", problem.text);
    const struct threads_row *rows = read;
    ck_assert_uint_eq(count, 3);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(rows[i].threads, 5);
        ck_assert(rows[i].ns_per_op > 0 && rows[i].call_ns > 0 && rows[i].ops_per_second > 0);
        ck_assert_uint_eq(rows[i].failures + rows[i].misuses, 0);
    }
    ck_assert(rows[0].held.max > 0 && rows[0].held.p999 <= rows[0].held.max);
    ck_assert_uint_gt(rows[0].held_max_bytes, 0);
    ck_assert(isnan(rows[2].held.max)); /* glibc's locks are not ours to watch */
    free(read);
}
END_TEST

/* The plug-in's fault is seen, and the pair's own process takes what it breaks with it. */
START_TEST(threads_checked_finds_the_overlap) {
    HEAPRIG(0, "threads --checked -a lock:tlsf -t gen:messages:2:3000");
    SAYS("lock:tlsf on gen:messages:2:3000: sound, 3000 ops by 5 threads");
    char arguments[512];
    (void)snprintf(arguments, sizeof arguments,
                   "threads --checked -a lock:%s/fuzz/canary_plugin.so -t gen:messages:2:3000",
                   environment("HEAPRIG_BUILD", "build"));
    HEAPRIG(0, arguments);
    (void)setenv("HEAPRIG_CANARY", "HALF_ALIGNED", 1);
    HEAPRIG(1, arguments);
    (void)unsetenv("HEAPRIG_CANARY");
    SAYS("lock:canary on gen:messages:2:3000: BROKEN: op ");
    SAYS("is not aligned as asked");
}
END_TEST

START_TEST(list_names_all) {
    HEAPRIG(0, "list");
    size_t count;
    const struct alloc_ops *const *ops = alloc_registry(&count);
    for (size_t i = 0; i < count; i++) {
        SAYS(ops[i]->name);
    }
    SAYS("embedded");
    SAYS("  lock             a lock around every call");
}
END_TEST

/* An example is to be copied: none is so long that argp breaks it. */
START_TEST(examples_stay_on_their_lines) {
    static const char *const commands[] = {
#define C(name, summary) #name,
#include "commands.h"
#undef C
    };
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char arguments[64];
        (void)snprintf(arguments, sizeof arguments, "%s --help", commands[i]);
        HEAPRIG(0, arguments);
        const char *line = strstr(output, "\nExamples:\n");
        line = line != NULL ? strchr(line + 1, '\n') + 1 : "";
        for (; line[0] != '\0' && line[0] != '\n'; line = strchr(line, '\n') + 1) {
            ck_assert_msg(line[0] == ' ', "heaprig %s breaks an example: %s", arguments, line);
        }
    }
}
END_TEST

/* Own allocators place alike on every machine: the digests of this build and of the other builds
 * that exist here are the same text. */
START_TEST(digests_are_the_machine_s_none) {
    static const struct {
        const char *program, *runner;
    } builds[] = {{"build/heaprig", ""}, {"build/arm/heaprig", "qemu-arm -L build/sysroot-armhf "}};
    static char own[sizeof output];
    const char *arguments = "digest -t gen:embedded:7:5000,gen:uniform:7:5000,gen:comb:7:2000,"
                            "gen:realloc_growth:7:3000";
    HEAPRIG(0, arguments);
    memcpy(own, output, sizeof own);
    SAYS("bestfit\tgen:embedded:7:5000\t");
    HEAPRIG(0, arguments);
    ck_assert_str_eq(output, own);
    for (size_t i = 0; i < 2; i++) {
        char command[512];
        (void)snprintf(command, sizeof command,
                       "test -x %s && test -z \"$(find alloc trace bench -name '*.[ch]' ! -name "
                       "'*_test.c' -newer %s)\"",
                       builds[i].program, builds[i].program);
        if (shell(command) != 0) {
            printf("skipped: no %s as new as the sources to compare digests with\n",
                   builds[i].program);
            continue;
        }
        (void)snprintf(command, sizeof command, "%s%s %s", builds[i].runner, builds[i].program,
                       arguments);
        ck_assert_int_eq(shell(command), 0);
        ck_assert_str_eq(output, own);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("commands");
    TCase *tcase = tcase_create("commands");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, folder_make, folder_drop);
    tcase_add_test(tcase, bench_measures_and_writes);
    tcase_add_test(tcase, fit_measures_and_writes);
    tcase_add_test(tcase, minimize_shrinks);
    tcase_add_test(tcase, the_c_program_shows_the_fault);
    tcase_add_test(tcase, bad_input_exits_2);
    tcase_add_test(tcase, a_full_disk_behind_stdout_is_told);
    tcase_add_test(tcase, record_knows_where_to_write_before_it_runs);
    tcase_add_test(tcase, gate_tells_worse_from_better);
    tcase_add_test(tcase, gate_refuses_what_is_not_the_baseline);
    tcase_add_test(tcase, checked_finds_the_overlap);
    tcase_add_test(tcase, an_allocator_that_exits_is_told);
    tcase_add_test(tcase, threads_measures_and_writes);
    tcase_add_test(tcase, threads_checked_finds_the_overlap);
    tcase_add_test(tcase, list_names_all);
    tcase_add_test(tcase, examples_stay_on_their_lines);
    tcase_add_test(tcase, digests_are_the_machine_s_none);
    return test_main(suite);
}
