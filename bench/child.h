/* SPDX-License-Identifier: MIT
 *
 * child.h - runs another program, for no longer than it may take, and lets nothing of it outlive
 * the call
 */
#ifndef HEAPRIG_CHILD_H
#define HEAPRIG_CHILD_H

#include "../trace/problem.h"

#include <signal.h>
#include <stdbool.h>

struct child {
    const char *const *argv; /* ends with NULL; argv[0] by PATH */
    const char *const
        *environment;   /* NAME=VALUE in addition to ours, or NAME to take away; NULL at the end */
    const char *output; /* where stdout and stderr go; a new file */
    double seconds;     /* after which it is told to end, and 3 s later is ended */
    const volatile sig_atomic_t *end; /* told to end as soon as this is set; may be NULL */
};

struct child_end {
    int status; /* as waitpid() gives it */
    bool late;  /* we told it to end, since its time was up or `end` set */
};

/* Runs it and waits. Whatever it started and left behind is killed. False and *problem only when no
 * process could be made; a program that is not there ends with status 127. */
bool child_run(const struct child *child, struct child_end *end, struct problem *problem);

/* Makes this process the one that inherits what its children leave behind, so that child_run()
 * finds it. Once, in a process that has no children of its own. */
void child_adopt(void);

#endif
