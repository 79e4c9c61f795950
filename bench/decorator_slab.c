/* SPDX-License-Identifier: MIT
 *
 * decorator_slab.c - `slab:NAME`: alloc/slab.h over another allocator
 */
#include "decorator.h"

#include "../alloc/slab.h"

static const struct alloc_ops *inners[DECORATOR_SLOT_MAX];

#define SLOT(slot) SLAB_DEFINE(slab_##slot, *inners[slot])
DECORATOR_SLOTS(SLOT)
#undef SLOT

static struct alloc_ops (*const tables[])(void) = {
#define SLOT(slot) slab_##slot##_table,
    DECORATOR_SLOTS(SLOT)
#undef SLOT
};

_Static_assert(sizeof tables / sizeof tables[0] == DECORATOR_SLOT_MAX, "a table for each slot");

bool decorate_slab(const struct alloc_ops *inner, unsigned slot, struct alloc_ops *out,
                   struct problem *problem) {
    if ((inner->caps & ALLOC_CAP_FREES) == 0) {
        return problem_set(problem, "never frees, expected one that takes buckets back");
    }
    if ((inner->caps & ALLOC_CAP_FIXED_SIZE) != 0) {
        return problem_set(problem, "has blocks of one size, expected one with room for buckets");
    }
    if ((inner->caps & ALLOC_CAP_POOLLESS) != 0) {
        return problem_set(problem, "takes no memory from the pool, expected one that does");
    }
    inners[slot] = inner;
    *out = tables[slot]();
    return true;
}
