/* SPDX-License-Identifier: MIT
 *
 * tlsf_frugal.c - tlsf behind slab runs for requests of up to 64 bytes
 *
 * Small blocks of which there are many lose their headers and their list work (runs.h). All else is
 * tlsf_index.h, whose bound holds here too: an operation starts or gives back at most one run, or
 * gives back two of which nothing else is live.
 *
 * A run may be 1/64 of the pool, and begins once 2 blocks of its size are live, or 128 when the
 * wilderness is below a quarter of the pool. Larger slots serve faster, but their runs leave holes
 * that cost more than the headers they save.
 */
#include "tlsf_index.h"

extern const struct alloc_ops tlsf_frugal_ops;

#define RUNS_CLASS_MAX   8u
#define RUNS_SMALL_MAX   8u
#define RUNS_POOL_SHARE  64u
#define RUNS_WIDE_ROOMY  16u
#define RUNS_LARGE_ROOMY 16u
#define RUNS_LIVE_LARGE  0u
#define RUNS_ROOMY       4u
#define RUNS_LIVE_ROOMY  2u
#define RUNS_LIVE_TIGHT  128u
#define RUNS_PARKED      0u
#define RUNS_SPARES      3u
#define RUNS_INDEX       tlsf_frugal_index_ops

static const struct heap_index_ops tlsf_frugal_index_ops = TLSF_INDEX(tlsf_frugal_ops);

#include "runs_check.h"

RUNS_DEFINE(tlsf_frugal, TLSF_CAPS,
            "tlsf behind slab runs for many blocks of up to 64 B; least memory")
