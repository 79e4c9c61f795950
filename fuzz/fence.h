/* SPDX-License-Identifier: MIT
 *
 * fence.h - an allocator's table with AddressSanitizer's fences around each call
 *
 * On free the sanitizer should close the payload, but the allocator may keep its links there. So
 * there are two builds:
 *
 *   FENCE_METADATA  the allocator is instrumented: all live payloads (but the one that realloc() or
 *                   free() is given) and the guards around the pool are closed, always. A read or
 *                   write there stops at the guilty line. What the oracle itself reads and writes
 *                   goes through content.c, which is not instrumented then.
 *   FENCE_CLIENT    the harness is instrumented: of a pool, it may touch the usable bytes of live
 *                   payloads and no others.
 *
 * Built as neither, fence_ops() returns what it was given.
 */
#ifndef HEAPRIG_FENCE_H
#define HEAPRIG_FENCE_H

#include "../alloc/alloc.h"

/* The fenced table; functions that `inner` lacks it lacks too. One allocator and one heap at a time
 * per process: an init() forgets the heap before. */
const struct alloc_ops *fence_ops(const struct alloc_ops *inner);

/* Opens all that is closed, so that the memory can serve again. */
void fence_reset(void);

/* Closes, or opens again, the ARENA_GUARD bytes on both sides of a pool. */
void fence_around(const void *pool, size_t bytes, bool closed);

#endif
