/* SPDX-License-Identifier: MIT
 *
 * tlsf.c - two-level segregated fit: every operation in constant time, whatever the heap's state
 *
 * Free blocks hang in one doubly linked list per size class (heap_classes.h), last in first out. A
 * request
 *   1. looks at the first 3 blocks of its own class and takes the first that suffices; in a class
 * of one size that is the first block;
 *   2. else takes the first block of the next class that is not empty: all of them suffice;
 *   3. else is carved from the wilderness.
 * Step 1 is what plain TLSF leaves out: it rounds the request up to the next class and so passes by
 * blocks that fit, which costs more memory than any other of its rules.
 *
 *   head slot --> | header | next | prev | ... | footer |   next, prev: nodes (heap_layout.h)
 *
 * A head slot stands in for the block 4 bytes below it, whose `next` would be the slot: so the
 * block before always exists. Behind the last block lies CLASS_NODE_NONE. Entering and removing
 * therefore store without asking.
 *
 * Paper: Masmano, Ripoll, Crespo, Real: TLSF, a new dynamic memory allocator for real-time systems,
 * ECRTS 2004. The blocks themselves: heap_layout.h.
 */
#include "heap_classes.h"

enum {
    LIST_NEXT = 4, /* where in a free block the link forwards lies */
    LIST_PREV = 8, /* and the one backwards */
    LIST_PROBES = 3,
};

extern const struct alloc_ops tlsf_ops;

HEAP_HOT uint32_t node_next(const struct heap *h, uint32_t node) {
    return heap_get(h, node - HEAP_NODE(0) + LIST_NEXT);
}

/* The node whose `next` is the head of the class. */
HEAP_HOT uint32_t node_of_head(uint32_t class) {
    return HEAP_NODE(class_slot(class) - LIST_NEXT);
}

HEAP_HOT void node_link(struct heap *h, uint32_t prev, uint32_t next) {
    heap_set(h, prev - HEAP_NODE(0) + LIST_NEXT, next);
    heap_set(h, next - HEAP_NODE(0) + LIST_PREV, prev);
}

static inline void list_insert(struct heap *h, uint32_t b, uint32_t bytes) {
    uint32_t class = class_of(bytes);
    uint32_t head = node_of_head(class);
    uint32_t next = node_next(h, head);
    node_link(h, HEAP_NODE(b), next);
    node_link(h, head, HEAP_NODE(b));
    class_mark(h, class);
}

static inline void list_remove(struct heap *h, uint32_t b, uint32_t bytes) {
    (void)bytes;
    uint32_t next = heap_get(h, b + LIST_NEXT);
    uint32_t prev = heap_get(h, b + LIST_PREV);
    node_link(h, prev, next);
    if (next == CLASS_NODE_NONE && prev < h->first) {
        class_clear(h, (prev - node_of_head(0)) / 4);
    }
}

/* The first of at most LIST_PROBES blocks of the class that suffices, or 0. */
HEAP_HOT uint32_t list_probe(const struct heap *h, uint32_t class, uint32_t bytes) {
    uint32_t node = node_next(h, node_of_head(class));
    for (uint32_t i = 0; i < LIST_PROBES && node != CLASS_NODE_NONE; i++) {
        if (block_size(heap_get(h, node - HEAP_NODE(0))) >= bytes) {
            return node - HEAP_NODE(0);
        }
        node = node_next(h, node);
    }
    return 0;
}

/* The first block of the class, which is not empty, taken out. */
HEAP_HOT uint32_t list_pop(struct heap *h, uint32_t class) {
    uint32_t head = node_of_head(class);
    uint32_t node = node_next(h, head);
    uint32_t next = node_next(h, node);
    node_link(h, head, next);
    if (next == CLASS_NODE_NONE) {
        class_clear(h, class);
    }
    return node - HEAP_NODE(0);
}

static inline uint32_t list_take(struct heap *h, uint32_t bytes) {
    uint32_t class = class_of(bytes);
    uint32_t b = list_probe(h, class, bytes);
    if (b != 0) {
        list_remove(h, b, bytes);
        return b;
    }
    class = class_next(h, class);
    return class == CLASS_MAX ? 0 : list_pop(h, class);
}

/* What take() would find in the highest class: smaller requests find no less. */
static uint32_t list_largest(const struct heap *h) {
    uint32_t class = class_last(h);
    uint32_t largest = 0;
    if (class != CLASS_MAX) {
        uint32_t node = node_next(h, node_of_head(class));
        for (uint32_t i = 0; i < LIST_PROBES && node != CLASS_NODE_NONE; i++) {
            uint32_t bytes = block_size(heap_get(h, node - HEAP_NODE(0)));
            largest = bytes > largest ? bytes : largest;
            node = node_next(h, node);
        }
    }
    return largest;
}

static const char *list_check_class(const struct heap *h, uint32_t class, uint32_t limit,
                                    struct heap_tally *listed) {
    uint32_t prev = node_of_head(class);
    uint32_t node = node_next(h, prev);
    while (node != CLASS_NODE_NONE) {
        uint32_t b = node - HEAP_NODE(0);
        if (!block_seems_free(h, b) || class_of(block_size(heap_get(h, b))) != class) {
            return "a list holds what is no free block of its class";
        }
        if (heap_get(h, b + LIST_PREV) != prev) {
            return "a link backwards is wrong";
        }
        if (listed->blocks == limit) {
            return "lists hold more blocks than are free";
        }
        tally_add(listed, b);
        prev = node;
        node = node_next(h, node);
    }
    return NULL;
}

static const char *list_check(const struct heap *h, const struct heap_tally *all) {
    const char *broken = classes_check(h);
    struct heap_tally listed = {0};
    for (uint32_t c = 0; broken == NULL && class_slot(c) < h->first; c++) {
        broken = list_check_class(h, c, all->blocks, &listed);
    }
    if (broken != NULL) {
        return broken;
    }
    return tally_equal(&listed, all) ? NULL : "a free block is in no list";
}

static const struct heap_index_ops tlsf_index_ops = {
    .ops = &tlsf_ops,
    .control_bytes = classes_bytes,
    .format = classes_format,
    .insert = list_insert,
    .remove = list_remove,
    .take = list_take,
    .largest = list_largest,
    .check = list_check,
};

HEAP_DEFINE(tlsf, "two-level segregated fit, good fit among 3; all operations in constant time",
            ALLOC_POOL_MAX)
