/* SPDX-License-Identifier: MIT
 *
 * mmu_series.h - which parts of a pool are touched when
 *
 * About 200 windows of operations. Pages are of 4 KiB here, whatever the MMU maps.
 *
 *   FOLDER/mmu/ALLOCATOR.TRACE.tsv    a line for each window:
 *     op               its last operation
 *     pages            touched since the heap was set up
 *     working_set, working_set_app, working_set_alloc    touched within the window, by anyone, by
 *                      the application, by the allocator
 *   FOLDER/heat/ALLOCATOR.TRACE.tsv   touches: two blocks, of the application and, behind two empty
 *                      lines, of the allocator; in each a line for each window, a number for each
 *                      piece of the pool in the order of addresses, 128 at most. Pieces nobody ever
 *                      touched are left out. The first line is a comment: `# OPS BYTES` of a window
 *                      and of a piece.
 */
#ifndef HEAPRIG_MMU_SERIES_H
#define HEAPRIG_MMU_SERIES_H

#include "mmu_model.h"

struct mmu_series;

/* NULL when memory is out. */
struct mmu_series *mmu_series_new(size_t op_count, size_t pool_bytes);
void mmu_series_free(struct mmu_series *series);

void mmu_series_see(struct mmu_series *series, const struct touch *touches, size_t count);

/* Says in *quiet which pages were touched in this window, and where touches of them count. Anew
 * when a window has ended. */
void mmu_series_quiet(struct mmu_series *series, struct touches_quiet *quiet);

/* True if operation `index` is the last of a window; then, when all its touches were seen, the
 * window must be ended. */
bool mmu_series_due(const struct mmu_series *series, size_t index);
void mmu_series_window_end(struct mmu_series *series, size_t index);

/* Writes both files. False and *problem when one cannot be written. */
bool mmu_series_write(const struct mmu_series *series, const char *folder, const char *allocator,
                      const char *trace, struct problem *problem);

#endif
