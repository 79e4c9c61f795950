/* SPDX-License-Identifier: MIT
 * progress.c - see progress.h. */
#include "progress.h"

#include "tick.h"

#include <stdio.h>
#include <unistd.h>

enum { BAR_WIDTH = 30, REDRAW_NS = 100000000 };

void progress_begin(struct progress *progress, size_t total) {
    *progress = (struct progress){.total = total, .terminal = isatty(STDERR_FILENO) == 1};
}

void progress_show(struct progress *progress, size_t done, const char *what, const char *which) {
    uint64_t now = tick_wall_ns();
    if (!progress->terminal || progress->total == 0 || now - progress->drawn_ns < REDRAW_NS) {
        return;
    }
    progress->drawn_ns = now;
    size_t filled = done * BAR_WIDTH / progress->total;
    fputs("\r[", stderr);
    for (size_t i = 0; i < BAR_WIDTH; i++) {
        fputc(i < filled ? '#' : '.', stderr);
    }
    fprintf(stderr, "] %3zu %%  %.16s %.24s\033[K", done * 100 / progress->total, what, which);
    (void)fflush(stderr);
}

void progress_end(struct progress *progress) {
    if (progress->terminal) {
        fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
}
