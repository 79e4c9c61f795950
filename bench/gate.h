/* SPDX-License-Identifier: MIT
 *
 * gate.h - exact figures kept as a baseline, and measured again
 *
 * A gate is a plan (which allocators on which traces, how much worse a figure may get) and the
 * exact figures it gave, in parts:
 *
 *   memory         high water, fragmentation, failures and the digest of all offsets (exact.h)
 *   pools          smallest pools (fit_run.h)
 *   instructions   of every call, on each architecture (cost.h); they depend on the compiler too
 *
 * Which columns count, and what is worse, say their roles (rows.h): a new column joins by itself.
 * Times, dates, machine and commit are kept to be read, never compared. On disk a gate is one
 * file, FOLDER/gate.json, a line for each trace and row:
 *
 *   {"format": 1, "meta": {...}, "allocators": ["tlsf", "./my.so"], "first": 0,
 *    "traces": [{"spec": "my.hrt", "sha256": "..."}], "arches": ["native", "arm"],
 *    "fixed_placement": false,
 *    "parts": {"memory": {"tolerance_percent": 0, "rows": [{...}, ...]}, ...}}
 */
#ifndef HEAPRIG_GATE_H
#define HEAPRIG_GATE_H

#include "compare.h"
#include "selection.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum gate_part { GATE_MEMORY, GATE_POOLS, GATE_INSTRUCTIONS, GATE_PARTS };

/* What cost_measure() calls the architectures. */
enum gate_arch { GATE_NATIVE, GATE_ARM, GATE_ARCHES };
extern const char *const gate_arch_names[GATE_ARCHES];

/* The figures of one part. */
struct gate_figures {
    bool there;               /* the part belongs to the gate */
    double tolerance_percent; /* by which a figure may get worse */
    void *rows;               /* of gate_rows(part); owned */
    size_t row_count;
};

struct gate {
    struct selection_choice choice; /* with both lists spelled out; they are owned */
    char sha256[SELECTION_MAX][65]; /* of each trace in its list, whole */
    bool arch[GATE_ARCHES];         /* counted in GATE_INSTRUCTIONS */
    bool fixed_placement;           /* a changed digest fails too */
    struct gate_figures part[GATE_PARTS];
    json_t *meta; /* of the build that measured; NULL before */
};

/* The name of a part, an enum gate_part; the kind of its rows. */
const char *gate_part_name(size_t part);
const struct row_kind *gate_rows(size_t part);

/* Spells out gate->choice and takes the digest of each trace. The other members of *gate are the
 * caller's and zero where not set. False and *problem when a trace or an allocator cannot be loaded
 * or is one whose figures are not exact because it has no pool; then only gate_release() may
 * follow. */
bool gate_plan(struct gate *gate, const struct selection_choice *choice, struct problem *problem);

/* Makes *again the plan of `gate` without its figures. False and *problem when a trace is no longer
 * the one it was, or as gate_plan(). */
bool gate_replan(const struct gate *gate, struct gate *again, struct problem *problem);

/* Measures the parts that are there, on `jobs` processes (0: one for each core). Allocators that
 * crash or break a rule get a line each on `log` and are counted in *faults; they have no figures.
 * False and *problem when something cannot be measured at all. */
bool gate_measure(struct gate *gate, unsigned jobs, FILE *log, size_t *faults,
                  struct problem *problem);

/* Writes a line to `out` for each figure that changed in a part that both have. Adds to *counts.
 * True if the gate holds: no figure worse, and no placement changed where it is fixed. */
bool gate_holds(const struct gate *before, const struct gate *now, FILE *out,
                struct compare_counts *counts);

/* Writes FOLDER/gate.json, making the folder. False and *problem when that fails; what stood there
 * before is then whole. */
bool gate_write(const struct gate *gate, const char *folder, struct problem *problem);

/* Reads FOLDER/gate.json. False and *problem when it is missing, damaged or of another format; then
 * *gate is empty. */
bool gate_read(const char *folder, struct gate *gate, struct problem *problem);

/* Frees what the gate owns. */
void gate_release(struct gate *gate);

#endif
