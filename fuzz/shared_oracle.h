/* SPDX-License-Identifier: MIT
 *
 * shared_oracle.h - the oracle for a heap that several threads call at once
 *
 * oracle.h compares what an allocator says with an account of all ops in their order; where threads
 * run at once there is no such order, and asking for one would take the place of the lock that is
 * on trial. This one judges what holds in any order:
 *
 *   at each op   place, alignment and usable bytes of what was handed out; that it overlaps no live
 *                block; contents of the block at hand, kept since it was written by whatever
 * thread, and by realloc; that the free of a live block is not refused at the end   (one thread is
 * left) contents of all live blocks; check(); that walk() and stats() show exactly them; and when
 * they are freed, that nothing is lost
 *
 * The account (shadow.h) has a lock of its own, held for the account and never during a call of the
 * allocator: a block leaves it before it is given to free() or realloc(), and enters it after it
 * was handed out, so that no two live blocks of a right allocator ever overlap in it. Contents are
 * written and read without any lock, as a program does: under ThreadSanitizer a block handed out
 * twice shows as a race as well.
 */
#ifndef HEAPRIG_SHARED_ORACLE_H
#define HEAPRIG_SHARED_ORACLE_H

#include "../bench/replay.h"

struct shared_oracle_config {
    const struct alloc_ops *ops;
    struct alloc *heap; /* just initialised, nothing handed out yet */
    const void *pool;   /* as given to init(); not looked at for POOLLESS */
    size_t pool_bytes;
    uint32_t slot_count;
    size_t content_cap_bytes; /* as in struct oracle_config */
};

struct shared_oracle;

/* An oracle for the heap, or NULL when memory is out. The caller frees it. */
struct shared_oracle *shared_oracle_new(const struct shared_oracle_config *config);
void shared_oracle_free(struct shared_oracle *oracle);

/* The observer to hand to the replay of each thread; touch must be REPLAY_TOUCH_NONE. The first
 * violation stops the run. */
struct replay_observer shared_oracle_observer(struct shared_oracle *oracle);

/* When the threads have ended: the verdict, NULL or one sentence (the oracle's own memory). Frees
 * what is live in the slots when all was sound until then, and empties them. O(blocks). */
const char *shared_oracle_end(struct shared_oracle *oracle, void **slots);

#endif
