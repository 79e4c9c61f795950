/* SPDX-License-Identifier: MIT
 * gbench_cases.h - what `gbench` offers: replays of traces and micro-benchmarks */
#ifndef HEAPRIG_GBENCH_CASES_H
#define HEAPRIG_GBENCH_CASES_H

#include "replay.h"
#include "selection.h"

struct gbench_cases {
    const struct selection *selection;
    enum replay_touch touch;
    size_t micro_pool_bytes;
    bool bad_input; /* set when a trace could not be loaded; its benchmarks have failed */
};

/* Adds replay/ALLOCATOR/TRACE for each pair. Traces are loaded when their first benchmark runs. An
 * operation is an op of the trace; the columns net_ns and null_ns are its time without and of the
 * replay itself. *cases must live until all ran. False when memory is out. */
bool gbench_replay_add(struct gbench_cases *cases);

/* Adds micro/ALLOCATOR/NAME/ARG for each micro-benchmark (micro.h) that the allocator can do, and
 * names on stderr those it cannot. False when memory is out. */
bool gbench_micro_add(struct gbench_cases *cases);

/* Frees what the two took. */
void gbench_replay_release(void);
void gbench_micro_release(void);

#endif
