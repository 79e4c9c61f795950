/* SPDX-License-Identifier: MIT
 * null_alloc.h - the allocator that does nothing: what a replay costs by itself */
#ifndef HEAPRIG_NULL_ALLOC_H
#define HEAPRIG_NULL_ALLOC_H

#include "../alloc/alloc.h"

/* Every payload is the same address, so nothing may be kept in one: it breaks the contract by
 * design, is measured and subtracted, and is never checked. Refuses only what exceeds the pool. */
extern const struct alloc_ops null_alloc_ops;

#endif
