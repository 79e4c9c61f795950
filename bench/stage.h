/* SPDX-License-Identifier: MIT
 *
 * stage.h - the memory on which an allocator replays a trace
 *
 * The pool starts at a multiple of 1 MiB, so that every machine gives the same offsets, whatever
 * alignment a trace asks for. How large it is depends on the trace and the allocator's capabilities
 * alone:
 *
 *   general       4 x the trace's peak live bytes + 1 MiB, but no more than pool_max; when the peak
 *                 and an eighth of it do not fit below that, the pair is not measured
 *   PAGES         as general, each request counted in whole pages; where that is more than twice
 * the bytes asked for, the pair is not measured FIXED_SIZE    block_bytes is the least multiple of
 * 8 that serves 99 % of the requests (the rest is refused), the pool holds as many blocks as ever
 * live at once not FREES     all the trace ever asks for, up to 256 MiB POOLLESS      none
 */
#ifndef HEAPRIG_STAGE_H
#define HEAPRIG_STAGE_H

#include "../alloc/alloc.h"
#include "../trace/problem.h"
#include "../trace/trace.h"
#include "replay.h"

#define STAGE_ALIGN ((size_t)1 << 20)

/* No pool is made larger than this. */
#define STAGE_POOL_MAX (SIZE_MAX > UINT32_MAX ? (size_t)3 << 30 : (size_t)1 << 30)

struct stage_plan {
    size_t pool_bytes; /* 0: none */
    struct alloc_cfg cfg;
    size_t refusal_bytes; /* larger requests are refused by any heap of this plan */
};

/* False when the allocator cannot serve the trace; why_not (stage_why_bytes) then says so. O(ops)
 * for FIXED_SIZE and PAGES, else O(1). refusal_bytes is filled in by stage_probe(). */
enum { STAGE_WHY_BYTES = 128 };
bool stage_plan_make(const struct alloc_ops *ops, const struct trace *trace,
                     struct stage_plan *plan, char why_not[STAGE_WHY_BYTES]);

/* Memory for any plan up to pool_bytes and any trace up to slot_count. */
struct stage_memory {
    unsigned char *pool; /* at a multiple of STAGE_ALIGN */
    size_t pool_bytes;
    void **slots;
    size_t slot_count;
    void *mapping;
    size_t mapping_bytes;
};

/* Maps the memory; pages are touched by whoever uses them first. False and *problem when the system
 * has none. */
bool stage_memory_open(struct stage_memory *memory, size_t pool_bytes, size_t slot_count,
                       struct problem *problem);
void stage_memory_close(struct stage_memory *memory);

/* One allocator, one trace, one memory. */
struct stage {
    const struct alloc_ops *ops;
    const struct trace *trace;
    const struct stage_memory *memory;
    struct stage_plan plan;
    enum replay_touch touch;
};

/* Empties the slots, formats a fresh heap of plan.pool_bytes and sets up its replay. False when
 * init() refuses. */
bool stage_ready(const struct stage *stage, struct replay *replay);

/* Sets plan.refusal_bytes from the largest() of a fresh heap. False when init() refuses. */
bool stage_probe(struct stage *stage);

/* True if no heap of the plan serves a request of that size. */
bool stage_refuses(const struct stage *stage, size_t bytes);

bool stage_poolless(const struct alloc_ops *ops);

#endif
