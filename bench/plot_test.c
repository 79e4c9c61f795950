/* SPDX-License-Identifier: MIT
 * plot_test.c - results in, pictures out: each is drawn, without a word of complaint. The pictures
 * do not depend on the machine, so they are drawn on this one only. */
#include "meta.h"

#include "../alloc/test_check.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char output[1 << 16];

static bool plots_absent(void) {
    const char *runner = getenv("HEAPRIG_RUN");
    const char *why = meta_unfit_reason();
    if (runner != NULL && runner[0] != '\0') {
        why = "results of another machine";
    } else if (why == NULL && system("command -v gnuplot >/dev/null") != 0) {
        why = "gnuplot not found";
    }
    if (why != NULL) {
        printf("skipped: plots: %s\n", why);
    }
    return why != NULL;
}

/* Runs a command, keeps what it prints on both streams in `output` and returns its exit status. */
static int run(const char *command) {
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t length = fread(output, 1, sizeof output - 1, pipe);
    output[length] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void assert_picture(const char *path) {
    unsigned char head[8] = {0};
    struct stat file;
    ck_assert_msg(stat(path, &file) == 0 && file.st_size > 5000, "%s is not drawn", path);
    FILE *stream = fopen(path, "rb");
    ck_assert_ptr_nonnull(stream);
    ck_assert_uint_eq(fread(head, 1, sizeof head, stream), sizeof head);
    (void)fclose(stream);
    bool png = strstr(path, ".png") != NULL;
    ck_assert_msg(memcmp(head, png ? "\x89PNG" : "<?xm", 4) == 0, "%s is no picture", path);
}

START_TEST(pictures_of_a_small_run_are_drawn) {
    if (plots_absent()) {
        return;
    }
    char folder[] = "/tmp/heaprig_plot_XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(folder));
    const char *build = getenv("HEAPRIG_BUILD");
    char command[1024];
    static const char choice[] = "-t gen:lifo:1:2000,gen:realloc_growth:1:2000";
    (void)snprintf(command, sizeof command,
                   "h=%s/heaprig; { $h bench -a tlsf,buddy,glibc %s --quick -o %s/results && "
                   "$h fit -a tlsf,buddy %s -o %s/results && "
                   "$h mmu -a tlsf,buddy %s -o %s/results; } 2>&1",
                   build != NULL ? build : "build", choice, folder, choice, folder, choice, folder);
    int status = run(command);
    ck_assert_msg(status == 0, "%s: %s", command, output);
    /* In the poorest locale, as on a bare machine: the labels are UTF-8 all the same. */
    (void)snprintf(command, sizeof command, "LC_ALL=C plots/plot.sh %s/results %s/out 2>&1", folder,
                   folder);
    ck_assert_msg(run(command) == 0, "%s", output);
    size_t pictures = 0;
    for (char *line = strtok(output, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        ck_assert_msg(strncmp(line, folder, strlen(folder)) == 0, "complaint: %s", line);
        assert_picture(line);
        pictures++;
    }
    ck_assert_uint_eq(pictures, 2 * (2 + 4 * 2)); /* formats x (time, fit, four of each trace) */
    /* From a folder of one's own, which has heaprig's somewhere below. */
    (void)snprintf(command, sizeof command,
                   "h=$PWD; cd %s && ln -s $h heaprig && TRACES=gen:lifo:1:2000 "
                   "heaprig/plots/plot.sh results pictures 2>&1 && ls pictures | wc -l",
                   folder);
    ck_assert_msg(run(command) == 0, "%s", output);
    ck_assert_msg(strstr(output, "\n12\n") != NULL, "%s", output);
    (void)snprintf(command, sizeof command,
                   "ALLOCATORS=nobody plots/plot.sh %s/results %s/out 2>&1", folder, folder);
    ck_assert_int_eq(run(command), 2);
    ck_assert_ptr_nonnull(strstr(output, "no results of 'nobody'"));
    (void)snprintf(command, sizeof command,
                   "plots/plot.sh %s/nowhere 2>&1; s=$?; rm -r %s; exit $s", folder, folder);
    ck_assert_int_eq(run(command), 2);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("plot");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_test(all, pictures_of_a_small_run_are_drawn);
    suite_add_tcase(suite, all);
    return test_main(suite);
}
