/* SPDX-License-Identifier: MIT
 *
 * campaign.h - fuzzing for hours: engines and targets in turn, from what is on disk and back to it
 *
 * A slice is one engine on one target for some seconds. It begins with the target's corpus and
 * gives back what it found, so all engines learn from each other. Slices run in processes of their
 * own, which may be killed at any moment. Everything lies in the campaign's folder:
 *
 *   campaign.json     what was asked for, and with which commit and machine
 *   slices.tsv        a line for each slice (campaign_log.h)
 *   corpus/TARGET/    inputs, each named by its SHA-1
 *   pending/          inputs TARGET@FLAVOUR@SHA-1 that ended a target and nobody has judged yet
 *   crashes/NAME/     a finding: crash.json, its first input, what was said, script, C test;
 *                     inputs/: others of the same kind
 *   places/N/         what the engine of slice place N writes; harvested when it ends, or after
 *                     a power failure
 *   report.md, report.json, *.svg, *.png
 *
 *   campaign.c schedules -> campaign_slice.c runs and harvests -> campaign_judge.c makes findings
 * of crashes
 *   -> campaign_report.c
 */
#ifndef HEAPRIG_CAMPAIGN_H
#define HEAPRIG_CAMPAIGN_H

#include "campaign_files.h"

#include "../fuzz/tally.h"
#include "../trace/problem.h"

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CAMPAIGN_TARGETS_MAX = 64,
    CAMPAIGN_JOBS_MAX = 64,
    CAMPAIGN_RESERVE_BYTES = 1 << 20,
    CAMPAIGN_INPUT_MAX = 1028, /* bytes: a program of 256 records */
};

struct campaign {
    char folder[256];
    const char *build;   /* folder of the targets: BUILD/FLAVOUR/TARGET */
    const char *plugin;  /* what the target `plugin` loads; NULL: none */
    bool plugin_watched; /* BUILD/FLAVOUR/plugin.so is the same, compiled for an engine */
    const char *targets[CAMPAIGN_TARGETS_MAX];
    size_t target_count;
    unsigned jobs;
    double seconds; /* in all, those before an interruption included */
    uint64_t seed;
};

/* An engine with a sanitizer, as fuzz/fuzz.mk builds it. */
struct flavour {
    const char *name;   /* its folder */
    const char *twin;   /* the flavour of libFuzzer with the same sanitizer, which judges what this
                           one found */
    const char *binary; /* flavour of the program that is run */
    double share;       /* of a target's time */
    bool afl;
};
extern const struct flavour campaign_flavours[];
extern const size_t campaign_flavour_count;
const struct flavour *campaign_flavour(const char *name);

/* Whether the target was built in that flavour. */
bool campaign_has(const struct campaign *campaign, const char *target,
                  const struct flavour *flavour);

/* "HEAPRIG_PLUGIN=..." for that flavour into `text`; or the name alone, which takes it away. */
void campaign_plugin_variable(const struct campaign *campaign, const struct flavour *flavour,
                              char text[FILES_PATH]);

/* Set by SIGINT and SIGTERM: 1 end and report; 2 report at once. */
extern volatile sig_atomic_t campaign_stop;

/* ---- campaign_slice.c ---- */

struct slice {
    double begin, seconds; /* campaign time */
    double cpu;            /* processor time of the engine: on a busy machine less than `seconds` */
    char target[32], flavour[32];
    uint64_t runs, ops;
    uint64_t edges, features; /* of the target's whole corpus afterwards, as the plain libFuzzer
                                 target sees them */
    uint64_t inputs, bytes;   /* the corpus */
    uint64_t found;           /* inputs that ended the target */
    uint64_t restarts;        /* ends of the engine before its time */
    char note[96];            /* why it could not run; else empty */
};

/* Runs the slice that is described by its target, flavour and seconds, in places/PLACE, and fills
 * in the rest. `tally` is that of the place. To be called in a process of its own. */
void slice_run(const struct campaign *campaign, unsigned place, uint64_t seed, struct tally *tally,
               struct slice *slice);

/* Coverage and size of the target's corpus as it is. False when something found on the way waits in
 * the place for room on the disk. */
bool slice_measure(const struct campaign *campaign, unsigned place, struct slice *slice);

/* ---- campaign_place.c ---- */

/* Takes what an interrupted slice left in any work folder. */
void slice_rescue(const struct campaign *campaign);

/* Seeds a target's corpus from corpus/seeds, unless it has one. */
bool slice_seed(const struct campaign *campaign, const char *target, struct problem *problem);

/* The folder of seeds; *programs says whether the inputs are programs (fuzz/program.h). */
const char *slice_seeds(const char *target, bool *programs, char path[FILES_PATH]);

/* ---- campaign_judge.c ---- */

/* Makes findings of all that is pending, until `end` is set. To be called in a process of its own.
 */
void campaign_judge(const struct campaign *campaign, const volatile sig_atomic_t *end);

/* Runs the first input of each finding again and notes whether it still does harm, since somebody
 * may have mended the allocator between two sittings. */
void campaign_recheck(const struct campaign *campaign);

/* ---- campaign_report.c ---- */

/* Writes report.md, report.json and the pictures from what is in the folder. *crashes is the number
 * of findings. */
bool campaign_report(const struct campaign *campaign, size_t *crashes, struct problem *problem);

/* ---- campaign.c ---- */

/* Runs until the time is over, which *finished says, or campaign_stop is set. */
bool campaign_run(const struct campaign *campaign, bool *finished, struct problem *problem);

#endif
