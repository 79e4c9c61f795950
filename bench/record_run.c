/* SPDX-License-Identifier: MIT
 * record_run.c - tells the recorder what record_run.h was told. */
#include "record_run.h"

#include "../trace/record_stream.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool record_run(const struct record_run *run, struct preload_ran *ran, struct problem *problem) {
    char folder[PATH_MAX];
    char records[24];
    if (realpath(run->folder, folder) == NULL) {
        return problem_set(problem, "%s: %s", run->folder, strerror(errno));
    }
    snprintf(records, sizeof records, "%zu", run->records_max);
    const struct preload_variable variables[] = {
        {RECORD_FOLDER_VARIABLE, folder},
        {RECORD_RECORDS_VARIABLE, run->records_max != 0 ? records : NULL},
        {NULL, NULL},
    };
    const struct preload_run what = {.program = run->program,
                                     .preloaded = "libheaprig_record.so",
                                     .preload = run->preload,
                                     .variables = variables};
    return preload_run(&what, ran, problem);
}
