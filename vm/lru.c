/* SPDX-License-Identifier: MIT
 *
 * lru.c - the five lists of frames
 */
#include "lru.h"

#include <assert.h>

void lru_open(struct lru *lru, struct phys *phys) {
    *lru = (struct lru){.phys = phys};
    for (int list = 0; list < LRU_LISTS; list++) {
        lru->head[list] = lru->tail[list] = FRAME_NONE;
    }
}

/* The list that the frame's flags name. */
static enum lru_list list_of(const struct frame *frame) {
    if ((frame->flags & FRAME_SHARED) != 0) {
        return LRU_UNEVICTABLE;
    }
    enum lru_list list = (frame->flags & FRAME_CACHE) != 0 ? LRU_INACTIVE_FILE : LRU_INACTIVE_ANON;
    return (frame->flags & FRAME_ACTIVE) != 0 ? list + 1 : list;
}

static void tail_link(struct lru *lru, struct frame *frame) {
    enum lru_list list = list_of(frame);
    uint32_t number = phys_frame_number(lru->phys, frame);
    frame->prev = lru->tail[list];
    frame->next = FRAME_NONE;
    if (frame->prev != FRAME_NONE) {
        phys_frame_at(lru->phys, frame->prev)->next = number;
    } else {
        lru->head[list] = number;
    }
    lru->tail[list] = number;
    lru->count[list]++;
}

static void frame_unlink(struct lru *lru, struct frame *frame) {
    enum lru_list list = list_of(frame);
    assert(lru->count[list] > 0);
    if (frame->prev != FRAME_NONE) {
        phys_frame_at(lru->phys, frame->prev)->next = frame->next;
    } else {
        lru->head[list] = frame->next;
    }
    if (frame->next != FRAME_NONE) {
        phys_frame_at(lru->phys, frame->next)->prev = frame->prev;
    } else {
        lru->tail[list] = frame->prev;
    }
    frame->prev = frame->next = 0;
    lru->count[list]--;
}

void lru_add(struct lru *lru, struct frame *frame) {
    assert((frame->flags & FRAME_LRU) == 0);
    frame->flags &= ~(uint32_t)FRAME_REFERENCED;
    frame->flags |= FRAME_LRU | FRAME_ACTIVE;
    tail_link(lru, frame);
}

void lru_remove(struct lru *lru, struct frame *frame) {
    if ((frame->flags & FRAME_LRU) != 0) {
        frame_unlink(lru, frame);
        frame->flags &= ~(uint32_t)(FRAME_LRU | FRAME_ACTIVE | FRAME_REFERENCED);
    }
}

void lru_rotate(struct lru *lru, struct frame *frame) {
    frame_unlink(lru, frame);
    tail_link(lru, frame);
}

/* Gives the frame other bits, and the tail of the list they name. */
static void frame_move(struct lru *lru, struct frame *frame, uint32_t bits) {
    frame_unlink(lru, frame);
    frame->flags = (frame->flags & ~(uint32_t)(FRAME_ACTIVE | FRAME_REFERENCED)) | bits;
    tail_link(lru, frame);
}

void lru_use(struct lru *lru, struct frame *frame) {
    if ((frame->flags & FRAME_LRU) == 0) {
        return;
    }
    if ((frame->flags & FRAME_REFERENCED) == 0) {
        frame->flags |= FRAME_REFERENCED;
        lru_rotate(lru, frame);
    } else if ((frame->flags & FRAME_ACTIVE) == 0) {
        frame_move(lru, frame, FRAME_ACTIVE);
    }
}

void lru_age(struct lru *lru, struct frame *frame) {
    if ((frame->flags & (FRAME_ACTIVE | FRAME_REFERENCED)) == FRAME_ACTIVE) {
        frame_move(lru, frame, FRAME_REFERENCED);
    } else {
        frame_move(lru, frame, frame->flags & FRAME_ACTIVE);
    }
}

struct frame *lru_oldest(const struct lru *lru, enum lru_list list) {
    uint32_t head = lru->head[list];
    return head != FRAME_NONE ? phys_frame_at(lru->phys, head) : NULL;
}

const char *lru_check(const struct lru *lru) {
    for (int list = 0; list < LRU_LISTS; list++) {
        uint32_t before = FRAME_NONE;
        uint32_t number = lru->head[list];
        uint32_t count = 0;
        for (; number != FRAME_NONE && count <= lru->count[list]; count++) {
            const struct frame *frame = phys_frame_at(lru->phys, number);
            if ((frame->flags & FRAME_LRU) == 0 || (int)list_of(frame) != list ||
                frame->prev != before || frame->refs == 0) {
                return "lru: a frame stands in the wrong list";
            }
            before = number;
            number = frame->next;
        }
        if (count != lru->count[list] || lru->tail[list] != before) {
            return "lru: the count or the tail of a list is wrong";
        }
    }
    return NULL;
}
