/* SPDX-License-Identifier: MIT
 *
 * baseline.h - the system's general-purpose allocators, for comparison
 *
 * Each baseline of baseline_list.h is `const struct alloc_ops *baseline_NAME(void)`: a table that
 * lives as long as the program, or NULL where NAME is not installed. Asking loads the library.
 *
 *   glibc, jemalloc, mimalloc, tcmalloc   POOLLESS: as a program meets them, with their own
 *                    defaults, thread caches and memory from the system. One heap per process:
 *                    init() hands out the same one again, with what still lives in it. Threads
 *                    may share it.
 *   jemalloc_pool    jemalloc confined to the pool of init(); many heaps may coexist.
 *
 * None replaces this process's malloc. None detects misuse: free() of what is not live is undefined
 * as the library has it. The functions that are NULL are largest, add_region, walk and check.
 *
 * stats(). POOLLESS: pool_bytes is what the library holds from the system now, all else 0. The
 * first stats() after an init() makes the library give back what it does not need, so that an
 * earlier heap's memory is not counted; glibc's figure leaves out what the program itself had live
 * at init(). It is the library's own account: jemalloc's of resident pages, mimalloc's of committed
 * memory (whole segments of 32 MiB), tcmalloc's and glibc's of mapped memory. jemalloc_pool: sizes
 * as alloc.h has them, live_bytes includes blocks kept in the thread cache, the counts of blocks
 * are 0.
 */
#ifndef HEAPRIG_BASELINE_H
#define HEAPRIG_BASELINE_H

#include "../alloc/alloc.h"

#define X(name) const struct alloc_ops *baseline_##name(void);
#include "baseline_list.h"
#undef X

/* Bytes that a heap of jemalloc_pool reserves outside its pool, for jemalloc's own bookkeeping. */
size_t baseline_jemalloc_pool_outside(const struct alloc *a);

#endif
