/* SPDX-License-Identifier: MIT
 *
 * tlsf_fast.c - tlsf behind slab runs for requests of up to 1024 bytes and 16 parked blocks
 *
 * Small blocks lose their headers and their list work (runs.h), some others are handed out again as
 * they are (quick.h). All else is tlsf_index.h, whose bound holds here too: an operation starts one
 * run, or gives one or a parked block back, or two runs of which nothing else is live. Longest
 * found, on x86-64: 570 instructions, for the free of a block of the heap with which an empty run
 * goes.
 *
 * A run may be 1/128 of the pool. Up to 96 bytes it begins once 2 blocks of its size are live, or
 * 1024 when the wilderness is below 10/16 of the pool; up to 256 bytes once 2 are, but only while
 * the wilderness is at least 12/16; above, at the first request, while it is at least 10/16: then
 * there is room to round up by 64 bytes.
 */
#include "tlsf_index.h"

extern const struct alloc_ops tlsf_fast_ops;

#define RUNS_CLASS_MAX   32u
#define RUNS_SMALL_MAX   12u
#define RUNS_POOL_SHARE  128u
#define RUNS_WIDE_ROOMY  10u
#define RUNS_LARGE_ROOMY 12u
#define RUNS_LIVE_LARGE  2u
#define RUNS_ROOMY       10u
#define RUNS_LIVE_ROOMY  2u
#define RUNS_LIVE_TIGHT  1024u
#define RUNS_PARKED      16u
#define RUNS_SPARES      3u
#define RUNS_INDEX       tlsf_fast_index_ops

static const struct heap_index_ops tlsf_fast_index_ops = TLSF_INDEX(tlsf_fast_ops);

#include "runs_check.h"

RUNS_DEFINE(tlsf_fast, TLSF_CAPS,
            "tlsf behind slab runs for blocks of up to 1 KiB and parked blocks; fastest")
