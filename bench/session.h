/* SPDX-License-Identifier: MIT
 *
 * session.h - all figures of some allocators on some traces
 *
 *   exact pass   every pair once, on several processes: memory, failures, digest
 *   timed pass   trace by trace, alone on the machine: rounds (timing.h), then latency
 */
#ifndef HEAPRIG_SESSION_H
#define HEAPRIG_SESSION_H

#include "replay.h"
#include "rows.h"
#include "selection.h"

#include <stdbool.h>

struct session {
    const struct selection *selection;
    const char *folder; /* where the series go: its footprint/ and latency/, which exist; NULL: not
                           written */
    enum replay_touch touch;
    unsigned rounds;  /* 0: exact pass only */
    unsigned repeats; /* of the latency replays */
    unsigned seconds; /* for the timed pass; rounds and replays are saved to keep it; 0: no limit */
    unsigned jobs;    /* processes of the exact pass; 0: one for each core */
    uint64_t seed;
};

struct session_fault {
    char allocator[64];
    char trace[64];
    char what[256];
};

struct session_result {
    struct bench_row *rows; /* trace by trace, allocators in the selection's order */
    size_t row_count;
    struct row_skip *skips;
    size_t skip_count;
    struct session_fault *faults; /* allocators that broke a rule or crashed; they have no row */
    size_t fault_count;
};

/* Measures. False and *problem when a trace cannot be loaded or a result not be written; *result is
 * then empty. Shows progress on a terminal's stderr. */
bool session_run(const struct session *session, struct session_result *result,
                 struct problem *problem);
void session_release(struct session_result *result);

#endif
