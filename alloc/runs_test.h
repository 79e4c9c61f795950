/* SPDX-License-Identifier: MIT
 *
 * runs_test.h - an allocator that begins a run for every small block and in pools of any size, and
 * what the tests that look into its runs have in common
 */
#ifndef HEAPRIG_RUNS_TEST_H
#define HEAPRIG_RUNS_TEST_H

#ifndef ALLOC_ASSERTS
#define ALLOC_ASSERTS
#endif
#define TLSF_INDEX_ONLY
#include "tlsf.c"

extern const struct alloc_ops eager_ops;

#define RUNS_CLASS_MAX  32u
#define RUNS_SMALL_MAX  24u
#define RUNS_POOL_SHARE 5u
#ifndef RUNS_WIDE_ROOMY
#define RUNS_WIDE_ROOMY 16u
#endif
#define RUNS_LARGE_ROOMY 3u
#define RUNS_LIVE_LARGE  0u
#define RUNS_ROOMY       4u
#define RUNS_LIVE_ROOMY  0u
#define RUNS_LIVE_TIGHT  2u
#define RUNS_PARKED      4u
#define RUNS_SPARES      4u
#define RUNS_INDEX       eager_index_ops

static const struct heap_index_ops eager_index_ops = TLSF_INDEX(eager_ops);

#include "runs_check.h"

RUNS_DEFINE(eager, TLSF_CAPS, "a run for every small block")

#include "white_box.h"

/* Requests that no slot serves, and a pool that is large enough to park some. */
enum {
    POOL_BYTES = 1 << 16,
    PARKED_BYTES = RUNS_HAS_WIDE ? 1100 : 300,
    PARKED_POOL = RUNS_HAS_WIDE ? 1 << 20 : 1 << 18,
    BESIDES_BYTES = RUNS_HAS_WIDE ? 1500 : 500
};

static void check_expect(const struct alloc *a) {
    const char *broken = eager_ops.check(a);
    if (broken != NULL) {
        ck_abort_msg("%s", broken);
    }
}

/* Blocks of the heap that are not free: live, parked, runs. */
static uint32_t blocks_taken(const struct heap *h) {
    uint32_t taken = 0;
    for (uint32_t b = h->first; b != h->top; b += block_size(heap_get(h, b))) {
        taken += (heap_get(h, b) & HEAP_FREE) == 0;
    }
    return taken;
}

/* Frees p, which has to live. Beside a block of its own, that may give back no more than one thing
 * that is held; two runs, or a run and a block, if nothing else is live. */
static void free_expect(struct alloc *a, void *p, bool is_last) {
    const struct heap *h = (const struct heap *)a;
    struct slot slot;
    uint32_t most = is_last || !slot_find(h, p, &slot) ? 2 : 1;
    uint32_t before = blocks_taken(h);
    EXPECT(eager_ops.free(a, p) == ALLOC_OK);
    EXPECT(before - blocks_taken(h) <= most);
    EXPECT(!is_last || h->top == h->first);
}

#endif
