/* SPDX-License-Identifier: MIT
 *
 * preload_run.h - runs a program with one of heaprig's libraries inside, by LD_PRELOAD
 */
#ifndef HEAPRIG_PRELOAD_RUN_H
#define HEAPRIG_PRELOAD_RUN_H

#include "../trace/problem.h"

#include <stdbool.h>
#include <sys/types.h>

struct preload_variable {
    const char *name;
    const char *value; /* NULL: the variable is taken out of the environment */
};

struct preload_run {
    char *const *program;  /* name or path, arguments, NULL */
    const char *preloaded; /* its file's name, e.g. "libheaprig_record.so", built beside heaprig */
    const char *preload;   /* the path of another to load instead, or NULL */
    const struct preload_variable *variables; /* set for the program; one without name ends them */
};

struct preload_ran {
    pid_t pid;
    int status; /* exit status, or 128 + n when signal n ended it */
};

/* Starts the program and waits until it ends. Passes on the SIGINT, SIGQUIT, SIGTERM and SIGHUP
 * that this process is sent meanwhile (those of a terminal reach the program by themselves).
 *
 * A library for the machine of the program is loaded into the program. A library for another
 * machine is meant for the guest when the program is qemu's user emulator: then it is handed over
 * in QEMU_SET_ENV, and is inside the guest instead.
 *
 * False with *problem when the program or the library cannot be found, are for different machines,
 * or the program cannot be started. Changes the signal mask while it waits. */
bool preload_run(const struct preload_run *run, struct preload_ran *ran, struct problem *problem);

/* Whether the dynamic loader would load a library into the program at all. False with *problem if
 * it is linked statically, or gains rights when it starts (setuid, setgid, file capabilities), for
 * then the loader ignores LD_PRELOAD. A script counts as its interpreter does. True for what cannot
 * be told, such as a program that is not found. */
bool preload_is_possible(const char *program, struct problem *problem);

#endif
