/* SPDX-License-Identifier: MIT
 *
 * fit.h - the smallest pool on which an allocator completes a trace
 *
 * Measure 4 of Johnstone and Wilson made exact: headers, alignment, holes and failures all count.
 * A trace completes when no request fails, but for those that no pool serves (larger than the block
 * of a FIXED_SIZE allocator, or than largest() of the roomy heap that bench uses).
 *
 * More memory does not always help: an allocator may complete in a pool and fail in a larger one.
 * So the search ends with a scan below its answer.
 *
 *   fails ... fails | ? scan ? | fit_bytes completes ... every larger pool tried completes
 *                     ^ lowest_bytes: the smallest that was seen to complete
 */
#ifndef HEAPRIG_FIT_H
#define HEAPRIG_FIT_H

#include "stage.h"

struct fit {
    uint64_t fit_bytes;
    uint64_t lowest_bytes; /* fit_bytes when the scan found nothing smaller */
    uint64_t refusals;     /* requests of the trace that no pool serves */
    unsigned replays;
};

/* The largest pool fit_search() tries; the stage's memory must have it. */
size_t fit_pool_most(const struct alloc_ops *ops, const struct trace *trace);

/* Searches to 1/256 of the answer (64 bytes at least). The stage is probed (stage_probe()); its
 * plan's pool size is used up. False when even the largest pool fails. About 20 replays. */
bool fit_search(struct stage *stage, struct fit *fit);

/* Completes the trace with no failure on a pool of that size? One replay, up to its first failure.
 */
bool fit_completes(struct stage *stage, size_t pool_bytes);

/* What no allocator with 4-byte headers, 8-byte granules and blocks of 16 or more can do without,
 * holes aside: the peak of the sum of max(16, round8(bytes + 4)) over live blocks. False when
 * memory is out. O(ops). */
bool fit_floor(const struct trace *trace, uint64_t *floor_bytes);

#endif
