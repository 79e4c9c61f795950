/* SPDX-License-Identifier: MIT
 *
 * record_run.h - runs a program with the recorder inside
 */
#ifndef HEAPRIG_RECORD_RUN_H
#define HEAPRIG_RECORD_RUN_H

#include "../trace/problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct record_run {
    char *const *program; /* name or path, arguments, NULL */
    const char *preload;  /* the recorder to load; NULL: the one built beside heaprig */
    const char *folder;   /* where the streams go; exists and is the caller's */
    size_t records_max;   /* of one process; 0: what fits the program's addresses */
};

struct record_ran {
    pid_t pid;
    int status; /* exit status, or 128 + n when signal n ended it */
};

/* Starts the program, waits until it ends, and passes on the SIGINT, SIGQUIT, SIGTERM and SIGHUP
 * that this process is sent meanwhile (those of a terminal reach the program by themselves).
 *
 * A recorder for the machine of the program is loaded into the program. A recorder for another
 * machine is meant for the guest when the program is qemu's user emulator: then it is handed over
 * in QEMU_SET_ENV, and the guest is recorded instead.
 *
 * False with *problem when the program or the recorder cannot be found, are for different machines,
 * or the program cannot be started. Changes the signal mask while it waits. */
bool record_run(const struct record_run *run, struct record_ran *ran, struct problem *problem);

#endif
