/* SPDX-License-Identifier: MIT
 *
 * mmu_run.h - what some allocators' placement costs on an ARMv7 core, trace by trace
 *
 * Each pair is replayed on its instrumented build (touches.h), once for each page size; the
 * allocator's touches and those of the program, imitated by a policy, go through one emulated MMU
 * (mmu_model.h) in the order they happen. Setting the heap up is not counted but for the pages it
 * touches.
 */
#ifndef HEAPRIG_MMU_RUN_H
#define HEAPRIG_MMU_RUN_H

#include "mmu_model.h"
#include "mmu_series.h"
#include "replay.h"
#include "rows.h"
#include "selection.h"
#include "stage.h"

enum { MMU_PAGE_SIZES = 4 };

struct mmu_setting {
    struct core core;
    char core_name[64]; /* with the knobs that were set */
    unsigned page_log2[MMU_PAGE_SIZES];
    size_t page_sizes;
    bool caches;
    enum replay_touch touch;
};

/* "4k", "64k", "1m", "16m"; NULL for other sizes. */
const char *mmu_page_name(unsigned log2);

/* What one replay said. */
struct mmu_pair {
    struct mmu_share share[MMU_WHO];
    uint64_t pages;              /* touched by anyone */
    bool seen;                   /* the allocator's touches were */
    uint64_t failures, refusals; /* as in a bench_row */
};

/* Replays a prepared stage (its ops the instrumented build) once; `series` may be NULL. False and
 * *problem when memory is out. Stops the program if an own allocator's operations of some kind
 * touched nothing: then the build is broken. */
bool mmu_pair_run(const struct stage *stage, const struct mmu_setting *setting, unsigned page_log2,
                  struct mmu_series *series, struct mmu_pair *pair, struct problem *problem);

struct mmu_result {
    struct mmu_row *rows; /* trace by trace, allocators in the selection's order, sizes inside */
    size_t row_count;
    struct row_skip *skips;
    size_t skip_count;
    bool crashed; /* an allocator did; its pair is among the skips */
};

/* Measures all pairs on `jobs` processes (0: one for each core) and writes the series below
 * `folder`. False and *problem when a trace cannot be loaded or a file not be written. */
bool mmu_run_all(const struct selection *selection, const struct mmu_setting *setting,
                 const char *folder, unsigned jobs, struct mmu_result *result,
                 struct problem *problem);
void mmu_result_release(struct mmu_result *result);

#endif
