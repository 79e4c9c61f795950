/* SPDX-License-Identifier: MIT
 *
 * shadow.h - the oracle's own account of which bytes belong to which live block
 *
 * One block per slot of the trace, ordered by address in a treap (Seidel and Aragon 1996) whose
 * links are slot numbers. Nothing here is read from the pool. The whole shadow is one piece of
 * memory without pointers, so that it can be copied with memcpy.
 */
#ifndef HEAPRIG_SHADOW_H
#define HEAPRIG_SHADOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHADOW_NONE UINT32_MAX

struct shadow_block {
    uintptr_t start;
    size_t request_bytes;
    size_t usable_bytes;   /* the interval that belongs to the block: [start, start + usable) */
    size_t align;          /* what its address must be a multiple of */
    uint64_t born_op;      /* number of the op that last filled it; its contents' tag */
    uint32_t left, right;  /* in the treap */
    uint32_t below, above; /* of live blocks: slots of their neighbours in address order */
    bool live;
};

struct shadow {
    uint32_t root;
    uint32_t lowest; /* slot of the first live block in address order */
    uint32_t slot_count;
    uint32_t live_count;
    struct shadow_block blocks[];
};

/* Bytes of a shadow of slot_count slots. */
size_t shadow_bytes(uint32_t slot_count);

/* Makes it empty; clear, of one that was made before, costs O(live). */
void shadow_init(struct shadow *shadow, uint32_t slot_count);
void shadow_clear(struct shadow *shadow);

/* The slot of a live block that shares a byte with [start, start + bytes), or SHADOW_NONE.
 * O(log live) expected, as all below. */
uint32_t shadow_overlap(const struct shadow *shadow, uintptr_t start, size_t bytes);

/* The slots of the last live block that starts at `address` or below it and of the first that
 * starts above it, or SHADOW_NONE. */
struct shadow_pair {
    uint32_t below, above;
};
struct shadow_pair shadow_around(const struct shadow *shadow, uintptr_t address);

/* What shadow_overlap() tells, from what shadow_around() told of `start`. O(1). */
uint32_t shadow_pair_overlap(const struct shadow *shadow, struct shadow_pair around,
                             uintptr_t start, size_t bytes);

/* Enters the block that stands in blocks[slot] but for its links; it must overlap no other.
 * `around`: what shadow_around() tells of its start. */
void shadow_insert(struct shadow *shadow, uint32_t slot, struct shadow_pair around);

/* Takes the live block of the slot out; its `below` and `above` stay. */
void shadow_remove(struct shadow *shadow, uint32_t slot);

#endif
