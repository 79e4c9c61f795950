/* SPDX-License-Identifier: MIT
 *
 * canary.h - an allocator that is right, and wrong in one stated way when asked
 *
 * The oracle's own test subject: first fit over a table of pieces at the start of the pool, slow
 * and plain. cfg.block_bytes chooses the fault; every fault has the rule that must catch it.
 */
#ifndef HEAPRIG_CANARY_H
#define HEAPRIG_CANARY_H

#include "../alloc/alloc.h"

/* F(NAME, rule, black-box rule, what it does): the second is the rule that still catches it when
 * the allocator has neither walk, stats, check nor largest; NONE where a client cannot see it. */
#define CANARY_FAULTS(F)                                                                           \
    F(SOUND, NONE, NONE, "nothing wrong")                                                          \
    F(OVERLAPS, OVERLAP, OVERLAP, "a block starts 16 bytes early, inside its neighbour")           \
    F(LEAVES, OUTSIDE, OUTSIDE, "a block begins 8 bytes before the end of the pool")               \
    F(IN_META, WALK, NONE, "a block lies in the control structure")                                \
    F(HALF_ALIGNED, MISALIGNED, MISALIGNED, "a payload at an address of 4 modulo 8")               \
    F(ALIGN_LOST, MISALIGNED, MISALIGNED, "realloc forgets the alignment when it moves")           \
    F(PREFIX_SHORT, PREFIX, PREFIX, "realloc copies all but the last byte")                        \
    F(PREFIX_SHIFTED, PREFIX, PREFIX, "realloc copies one byte too far")                           \
    F(OVERCOPIES, OVERCOPY, OVERCOPY, "realloc copies as many bytes as the new block has")         \
    F(WRITES_BEHIND, CONTENT, CONTENT, "alloc writes one byte behind the block")                   \
    F(WRITES_BEFORE, CONTENT, CONTENT, "free writes one byte before the block")                    \
    F(WRITES_FAR, CONTENT, CONTENT, "free writes into some live block")                            \
    F(WRITES_OUT, GUARD, GUARD, "alloc writes one byte behind the pool")                           \
    F(USABLE_SHORT, USABLE, USABLE, "usable() is one byte less than the request")                  \
    F(USABLE_LONG, USABLE, USABLE, "usable() reaches into the next block")                         \
    F(REFUSES, REFUSED, NONE, "alloc refuses although there is room")                              \
    F(SHRINK_REFUSED, REFUSED, REFUSED, "realloc refuses to shrink")                               \
    F(FREE_REFUSES, FREE_REFUSED, FREE_REFUSED, "free refuses a live block")                       \
    F(REFUSAL_DAMAGES, REFUSAL_CHANGED, REFUSAL_CHANGED, "a failed realloc damages the block")     \
    F(REFUSAL_LOSES, REFUSAL_CHANGED, NONE, "a failed alloc loses a free block")                   \
    F(DOUBLE_FREE, MISUSE_ACCEPTED, MISUSE_ACCEPTED, "free accepts a free block")                  \
    F(INTERIOR_FREE, MISUSE_ACCEPTED, MISUSE_ACCEPTED, "free accepts the middle of a block")       \
    F(MISUSE_DAMAGES, MISUSE_CHANGED, NONE, "refused misuse loses a free block")                   \
    F(WALK_SKIPS, WALK, NONE, "walk leaves a free piece out")                                      \
    F(WALK_GHOSTS, WALK, NONE, "walk shows a free piece as live")                                  \
    F(WALK_STOPS, WALK, NONE, "walk ends early")                                                   \
    F(STATS_OFF, STATS, NONE, "live_bytes is 8 too many, free_bytes 8 too few")                    \
    F(LARGEST_HIGH, LARGEST, NONE, "largest() promises 8 bytes too many")                          \
    F(LARGEST_LOW, GRANTED, NONE, "largest() is a quarter of the truth")                           \
    F(CHECK_FAILS, CHECK, NONE, "check() finds fault with a sound heap")                           \
    F(INIT_SPOILS, NONE, NONE, "init() writes into a pool that it refuses")                        \
    F(INIT_TRUSTS, NONE, NONE, "init() goes on with what the pool held")                           \
    F(LEAKS, LEAK, NONE, "one freed block is never handed out again")

#define F(name, rule, black_box, words) CANARY_##name,
enum canary_fault { CANARY_FAULTS(F) CANARY_FAULT_COUNT };
#undef F

extern const struct alloc_ops canary_ops;

#endif
