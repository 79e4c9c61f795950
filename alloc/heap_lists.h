/* SPDX-License-Identifier: MIT
 *
 * heap_lists.h - free blocks in doubly linked lists, last in first out: one per size class in tlsf
 *
 *   head slot --> | header | next | prev | ... | footer |   next, prev: nodes (heap_layout.h)
 *
 * A head slot stands in for the block 4 bytes below it, whose `next` would be the slot: so the
 * block before always exists. Behind the last block lies CLASS_NODE_NONE. Entering and removing
 * therefore store without asking.
 */
#ifndef HEAPRIG_HEAP_LISTS_H
#define HEAPRIG_HEAP_LISTS_H

#include "heap_classes.h"

enum {
    LIST_NEXT = 4, /* where in a free block the link forwards lies */
    LIST_PREV = 8, /* and the one backwards */
};

HEAP_HOT uint32_t node_next(const struct heap *h, size_t node) {
    return heap_get_at(h, node, HEAP_NODE_FIELD + LIST_NEXT);
}

/* The node whose `next` is the head of the class. */
HEAP_HOT size_t node_of_head(size_t class) {
    return HEAP_NODE(class_slot(class) - LIST_NEXT);
}

HEAP_HOT void node_link(struct heap *h, size_t prev, size_t next) {
    heap_set_at(h, prev, HEAP_NODE_FIELD + LIST_NEXT, (uint32_t)next);
    heap_set_at(h, next, HEAP_NODE_FIELD + LIST_PREV, (uint32_t)prev);
}

HEAP_HOT void list_push(struct heap *h, size_t class, size_t b) {
    size_t next = node_next(h, node_of_head(class));
    node_link(h, HEAP_NODE(b), next);
    HEAP_FORGET(class); /* else compilers compute the address of the slot and keep it */
    node_link(h, node_of_head(class), HEAP_NODE(b));
}

/* Takes block b out of its list, whichever that is: when b was alone, the link backwards leads to
 * the head and so tells the class. */
HEAP_HOT void list_remove(struct heap *h, size_t b, uint32_t bytes) {
    (void)bytes;
    size_t next = heap_get_at(h, b, LIST_NEXT);
    size_t prev = heap_get_at(h, b, LIST_PREV);
    node_link(h, prev, next);
    if (next == CLASS_NODE_NONE && prev < h->first) {
        class_clear(h, (prev - node_of_head(0)) / 4);
    }
}

/* The first block of the class, which is not empty. */
HEAP_HOT uint32_t list_first(const struct heap *h, size_t class) {
    return node_block(node_next(h, node_of_head(class)));
}

/* Takes the first block of the class out; whether the list is then empty. */
HEAP_HOT bool list_pop(struct heap *h, size_t class) {
    size_t next = node_next(h, node_next(h, node_of_head(class)));
    HEAP_FORGET(class);
    node_link(h, node_of_head(class), next);
    return next == CLASS_NODE_NONE;
}

/* ---- exact classes ---- */

HEAP_HOT void list_insert_exact(struct heap *h, size_t b, uint32_t bytes) {
    uint32_t class = class_of_exact(bytes);
    list_push(h, class, b);
    class_mark_exact(h, class);
}

HEAP_HOT bool list_has_equal(const struct heap *h, size_t class) {
    return (heap_classes_const(h)->map[0] >> class & 1) != 0;
}

HEAP_HOT uint32_t list_take_equal(struct heap *h, size_t class) {
    uint32_t b = list_first(h, class);
    class_clear_exact(h, class, list_pop(h, class));
    return b;
}

/* Takes out the first block of the lowest exact class that holds `bytes`, and says its size: no
 * header needs to be read for that. */
HEAP_HOT struct heap_found list_take_exact(struct heap *h, uint32_t bytes) {
    size_t class = class_of_exact(bytes);
    uint32_t word = heap_classes(h)->map[0] >> class;
    if (word == 0) {
        return HEAP_FOUND_NONE;
    }
    uint32_t further = (uint32_t)__builtin_ctz(word);
    return (struct heap_found){.b = list_take_equal(h, class + further),
                               .bytes = bytes + 8 * further};
}

/* ---- check ---- */

/* The classes of word w with a list that is not empty. Class 0 does not exist. */
static inline uint32_t lists_used(const struct heap *h, uint32_t w) {
    return heads_used(h, class_slot(32 * (size_t)w)) & (w == 0 ? ~1u : ~0u);
}

/* Whether the list of the class holds only free blocks of it, at most `limit` with those already
 * listed. */
static inline const char *list_check(const struct heap *h, uint32_t class, uint32_t limit,
                                     struct heap_tally *listed) {
    uint32_t prev = (uint32_t)node_of_head(class);
    size_t node = node_next(h, prev);
    while (node != CLASS_NODE_NONE) {
        uint32_t b = node_block(node);
        if (!block_seems_free(h, b) || class_of(node_bytes(h, node)) != class) {
            return "a list holds what is no free block of its class";
        }
        if (heap_get_at(h, b, LIST_PREV) != prev) {
            return "a link backwards is wrong";
        }
        if (listed->blocks == limit) {
            return "lists hold more blocks than are free";
        }
        tally_add(listed, b);
        prev = (uint32_t)node;
        node = node_next(h, node);
    }
    return NULL;
}

#endif
