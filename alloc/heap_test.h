/* SPDX-License-Identifier: MIT
 *
 * heap_test.h - tlsf and bestfit with assertions and a counter, for tests of their
 * insides
 */
#ifndef HEAPRIG_HEAP_TEST_H
#define HEAPRIG_HEAP_TEST_H

#ifndef ALLOC_ASSERTS
#define ALLOC_ASSERTS
#endif

/* Nodes of trees that bestfit visited. */
static unsigned visits;
#define BESTFIT_VISIT() ((void)visits++)

#include "tlsf.c"
#include "bestfit.c"

#include "white_box.h"

static const struct alloc_ops *const heaps[] = {&tlsf_ops, &bestfit_ops};

enum { HEAP_COUNT = sizeof(heaps) / sizeof(heaps[0]) };

static const struct heap_index_ops *const indices[HEAP_COUNT]
    __attribute__((unused)) = {&tlsf_index_ops, &bestfit_index_ops};

/* From 1 to limit, each octave as often as the next. */
static inline uint32_t random_bytes(uint64_t *random, uint32_t limit) {
    uint32_t octave = random_below(random, log2_floor(limit) + 1);
    return 1 + random_below(random, 2u << octave) % limit;
}

#endif
