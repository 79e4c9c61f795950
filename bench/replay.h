/* SPDX-License-Identifier: MIT
 *
 * replay.h - the one executor: runs an array of ops on an allocator
 *
 * Replay never reads a file, never prints and never allocates. What watches a run is an observer:
 * oracle, latency timer, fragmentation sampler, cost model.
 *
 * What an op becomes when the allocator could not serve an earlier one: a free of a slot that is
 * empty is skipped, a realloc of one is an alloc. A request of 0 bytes asks for 1, as C libraries
 * do. Requests above SIZE_MAX ask for SIZE_MAX. A calloc is an alloc: zeroing is the C library's
 * work. An allocator without realloc gets alloc, copy of what usable() tells, and free; one without
 * alloc_aligned a plain alloc of bytes + align, whose payload start is used as it is. An alloc into
 * a full slot (no valid trace has one) forgets the old block. An alignment that size_t cannot hold
 * asks for 2^31.
 */
#ifndef HEAPRIG_REPLAY_H
#define HEAPRIG_REPLAY_H

#include "../alloc/alloc.h"
#include "../trace/op.h"

/* How the program's own use of a block is imitated after each alloc and realloc. */
enum replay_touch {
    REPLAY_TOUCH_NONE,
    REPLAY_TOUCH_EDGES, /* write the first and the last byte */
    REPLAY_TOUCH_WHOLE, /* write one byte in each 64 */
};

/* One op as it happened. `before` sees old_payload only. */
struct replay_event {
    const struct op *op;
    size_t index;      /* of the op in the run */
    void *old_payload; /* what the slot held before; NULL when empty */
    void *payload;     /* what the request got; NULL when it failed or was a free. After a failed
                          realloc the slot keeps old_payload. */
    size_t bytes;      /* the request as passed to the allocator; 0 for a free */
    enum alloc_status status; /* of free(); ALLOC_OK for others */
    bool skipped;             /* a free of an empty slot: nothing was called */
};

struct replay_observer {
    void *ctx;
    void (*before)(void *ctx, const struct replay_event *event); /* may be NULL */
    bool (*after)(void *ctx,
                  const struct replay_event *event); /* may be NULL; false stops the run */
};

struct replay {
    const struct alloc_ops *ops;
    struct alloc *heap; /* initialised by the caller */
    void **slots;       /* slot_count entries, all NULL at the start; afterwards what is live */
    const struct op *op;
    size_t op_count;
    enum replay_touch touch;
    const struct replay_observer *observers;
    size_t observer_count;
};

struct replay_result {
    size_t ops_done;   /* op_count unless an observer stopped the run */
    uint64_t failures; /* allocs and reallocs that returned NULL, refusals included */
    uint64_t misuses;  /* frees that were refused: always the allocator's fault */
};

/* Runs all ops. Costs one indirect call per op; a run without observers pays nothing for them. */
void replay_run(const struct replay *replay, struct replay_result *result);

/* As replay_run() without observers, and writes the ticks (tick.h) that the allocator's call of op
 * i took to ticks[i], clock reading included, cut to [1, UINT32_MAX]. 0 for a skipped free. */
void replay_run_timed(const struct replay *replay, uint32_t *ticks, struct replay_result *result);

/* As replay_run() without observers, each of the allocator's calls between marks (marks.h). */
void replay_run_marked(const struct replay *replay, struct replay_result *result);

/* Does op `index` alone and adds to *result; for who decides on the order himself (parallel.h).
 * ticks NULL: observers look on; false when one of them stops the run. Else as
 * replay_run_timed(). */
bool replay_op(const struct replay *replay, size_t index, uint32_t *ticks,
               struct replay_result *result);

/* Frees what is live in the slots and empties them: for allocators without a pool of their own. */
void replay_free_rest(const struct replay *replay, size_t slot_count);

#endif
