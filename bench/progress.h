/* SPDX-License-Identifier: MIT
 * progress.h - a progress bar on stderr, only when it is a terminal */
#ifndef HEAPRIG_PROGRESS_H
#define HEAPRIG_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    size_t total;
    bool terminal;
    uint64_t drawn_ns; /* when it was last drawn */
};

void progress_begin(struct progress *progress, size_t total);

/* Says that `done` of total steps are done and what is under way; draws ten times a second at most.
 */
void progress_show(struct progress *progress, size_t done, const char *what, const char *which);

/* Wipes the line. */
void progress_end(struct progress *progress);

#endif
