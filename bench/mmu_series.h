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

/* Where touches of pages count, by who and page, if mmu_series_see() is not to be asked. A touch
 * counts in its first page there, in further ones by mmu_series_run(). */
uint32_t *mmu_series_count(struct mmu_series *series, enum mmu_who who);
void mmu_series_run(struct mmu_series *series, struct touch touch);

/* The last operation of the window; when all its touches were seen, the window must be ended. Pages
 * from `page_count` on were never touched. O(page_count). */
size_t mmu_series_due(const struct mmu_series *series);
void mmu_series_window_end(struct mmu_series *series, uint32_t page_count);

/* By page: 1 if touched in a window that has ended. */
const uint8_t *mmu_series_touched(const struct mmu_series *series, enum mmu_who who);

/* Writes both files. False and *problem when one cannot be written. */
bool mmu_series_write(const struct mmu_series *series, const char *folder, const char *allocator,
                      const char *trace, struct problem *problem);

#endif
