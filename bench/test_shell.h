/* SPDX-License-Identifier: MIT
 * test_shell.h - for tests: commands of a shell, `heaprig` above all, and what they say. */
#ifndef HEAPRIG_TEST_SHELL_H
#define HEAPRIG_TEST_SHELL_H

#include "../alloc/test_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char shell_output[1 << 16]; /* of the last command, stdout and stderr */

static inline const char *shell_environment(const char *name, const char *otherwise) {
    const char *value = getenv(name);
    return value != NULL ? value : otherwise;
}

/* Runs a shell command, keeps what it says, returns its exit status. */
static inline int shell(const char *command) {
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    size_t length = fread(shell_output, 1, sizeof shell_output - 1, pipe);
    shell_output[length] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* `heaprig ARGUMENTS` as it was built, under the runner there is. */
static inline int shell_heaprig(const char *arguments) {
    static char command[16384];
    int length = snprintf(command, sizeof command, "%s %s/heaprig %s 2>&1 </dev/null",
                          shell_environment("HEAPRIG_RUN", ""),
                          shell_environment("HEAPRIG_BUILD", "build"), arguments);
    ck_assert_int_lt(length, (int)sizeof command);
    return shell(command);
}

#define SHELL_SAYS(text)                                                                           \
    ck_assert_msg(strstr(shell_output, text) != NULL, "expected '%s' in:\n%s", text, shell_output)

#endif
