/* SPDX-License-Identifier: MIT
 * checked.h - traces replayed under the oracle (fuzz/oracle.h) instead of under a clock */
#ifndef HEAPRIG_CHECKED_H
#define HEAPRIG_CHECKED_H

#include "selection.h"

#include <stdio.h>

/* Replays every pair on `jobs` processes (0: one for each core), with about 50 audits of the whole
 * heap each, and writes a line per pair to `out`: sound, not measured, or the rule that was broken,
 * with op, block and neighbour. *broken counts those; a crash is one. False and *problem when a
 * trace cannot be loaded or memory is out. */
bool checked_run(const struct selection *selection, unsigned jobs, uint64_t seed, FILE *out,
                 size_t *broken, struct problem *problem);

#endif
