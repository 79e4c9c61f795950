/* SPDX-License-Identifier: MIT
 *
 * record_run.h - runs a program with the recorder inside
 */
#ifndef HEAPRIG_RECORD_RUN_H
#define HEAPRIG_RECORD_RUN_H

#include "preload_run.h"

#include <stddef.h>

struct record_run {
    char *const *program; /* name or path, arguments, NULL */
    const char *preload;  /* the recorder to load; NULL: the one built beside heaprig */
    const char *folder;   /* where the streams go; exists and is the caller's */
    size_t records_max;   /* of one process; 0: what fits the program's addresses */
};

/* preload_run() of the recorder. False as that, or when the folder cannot be found. */
bool record_run(const struct record_run *run, struct preload_ran *ran, struct problem *problem);

#endif
