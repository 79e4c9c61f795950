/* SPDX-License-Identifier: MIT
 * fit_run.h - the smallest pools (fit.h) of some allocators for some traces */
#ifndef HEAPRIG_FIT_RUN_H
#define HEAPRIG_FIT_RUN_H

#include "rows.h"
#include "selection.h"

#include <stdbool.h>

struct fit_result {
    struct fit_row *rows; /* trace by trace, allocators in the selection's order */
    struct row_skip *skips;
    size_t row_count, skip_count;
    bool crashed; /* an allocator did; its pair is among the skips */
};

/* Searches for every pair on `jobs` processes (0: one for each core). False and *problem when a
 * trace cannot be loaded or memory is out; *result is then empty. Shows progress on a terminal's
 * stderr. About 20 replays a pair. */
bool fit_run(const struct selection *selection, unsigned jobs, struct fit_result *result,
             struct problem *problem);
void fit_result_release(struct fit_result *result);

#endif
