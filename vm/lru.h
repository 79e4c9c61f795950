/* SPDX-License-Identifier: MIT
 *
 * lru.h - the five lists of frames that say what was used least recently
 *
 *             used again ->                    A frame enters its active list. Each use takes it
 * one 00 inactive -> 10 inactive -> 01 active -> 11 active     step up and, when it changes lists,
 * to
 *             <- aged                          the tail; aging takes it one step down.
 *
 * The two bits are FRAME_REFERENCED and FRAME_ACTIVE. Lists are linked through the descriptors, by
 * frame numbers; heads are the oldest. All O(1).
 */
#ifndef HEAPRIG_VM_LRU_H
#define HEAPRIG_VM_LRU_H

#include "phys.h"

enum lru_list {
    LRU_INACTIVE_ANON,
    LRU_ACTIVE_ANON,
    LRU_INACTIVE_FILE,
    LRU_ACTIVE_FILE,
    LRU_UNEVICTABLE,
    LRU_LISTS
};

struct lru {
    struct phys *phys;
    uint32_t head[LRU_LISTS], tail[LRU_LISTS]; /* FRAME_NONE when empty */
    uint32_t count[LRU_LISTS];
};

void lru_open(struct lru *lru, struct phys *phys);

/* Puts a frame that is in none into the active list of its kind: file if FRAME_CACHE, unevictable
 * if FRAME_SHARED, else anonymous. */
void lru_add(struct lru *lru, struct frame *frame);

/* Takes the frame out of its list, if it is in one, and clears its bits. */
void lru_remove(struct lru *lru, struct frame *frame);

/* A use of the frame: one step up. */
void lru_use(struct lru *lru, struct frame *frame);

/* One step down. An active frame that stays active goes to the tail of its list. */
void lru_age(struct lru *lru, struct frame *frame);

/* To the tail of the list it is in. */
void lru_rotate(struct lru *lru, struct frame *frame);

/* The oldest of a list, or NULL. */
struct frame *lru_oldest(const struct lru *lru, enum lru_list list);

/* NULL if links, counts and flags agree, else the broken rule. O(frames). */
const char *lru_check(const struct lru *lru);

#endif
