/* SPDX-License-Identifier: MIT
 *
 * cost.h - instructions and steps per call, exact, on x86-64 and on ARMv7
 *
 * The program runs a second copy of itself (for ARMv7: the cross-compiled one) under QEMU's user
 * mode with the plugin tools/qemu_insn.c, which counts instructions between marks. The copy replays
 * every trace on every allocator, a section each, the null allocator first; what the null
 * allocator's calls take is subtracted from instructions. What steps are: tools/qemu_insn.c. Counts
 * are instructions, not cycles, and the same on every
 * machine.
 */
#ifndef HEAPRIG_COST_H
#define HEAPRIG_COST_H

#include "replay.h"
#include "rows.h"
#include "selection.h"

#include <stdbool.h>

struct cost_result {
    struct cost_row *rows; /* trace by trace, allocators in the selection's order */
    size_t row_count;
};

/* The copy's part: replays all pairs between marks. False and *problem when a trace cannot be
 * loaded. */
bool cost_replay_marked(const struct selection *selection, struct problem *problem);

/* True if cost_measure() finds what it needs for `arch` here, else *problem says what is missing.
 */
bool cost_possible(const char *arch, struct problem *problem);

/* Runs the copy for `arch` ("native" or "arm") on `choice`, from which `selection` was made. False
 * and *problem when QEMU, the plugin or the ARM build is missing or the copy failed. The caller
 * frees rows. */
bool cost_measure(const char *arch, const struct selection_choice *choice,
                  const struct selection *selection, struct cost_result *result,
                  struct problem *problem);

#endif
