/* SPDX-License-Identifier: MIT
 *
 * tlsf_index.h - two-level segregated fit as an index over a heap (heap.h): every operation in
 * constant time, whatever the heap's state. tlsf is this and no more; tlsf_frugal and tlsf_fast put
 * slab runs before it.
 *
 * Free blocks hang in one list per size class (heap_lists.h, heap_classes.h). A request
 *   1. looks at the first 3 blocks of its own class and takes the first that suffices; in a class
 * of one size that is the first block;
 *   2. else takes the first block of the next class that is not empty: all of them suffice;
 *   3. else is carved from the wilderness.
 * Step 1 is what plain TLSF leaves out: it rounds the request up to the next class and so passes by
 * blocks that fit, which costs more memory than any other of its rules.
 *
 * Paper: Masmano, Ripoll, Crespo, Real: TLSF, a new dynamic memory allocator for real-time systems,
 * ECRTS 2004. The blocks themselves: heap_layout.h.
 */
#ifndef HEAPRIG_TLSF_INDEX_H
#define HEAPRIG_TLSF_INDEX_H

#include "heap_lists.h"

enum { TLSF_PROBES = 3 };

/* What an allocator over this index can do beyond what all heaps can. */
#define TLSF_CAPS ALLOC_CAP_GOOD_FIT

/* The first of at most TLSF_PROBES blocks of the class that suffices, or 0. */
HEAP_HOT uint32_t tlsf_probe(const struct heap *h, uint32_t class, uint32_t bytes) {
    size_t node = node_next(h, node_of_head(class));
    for (uint32_t i = 0; i < TLSF_PROBES && node != CLASS_NODE_NONE; i++) {
        if (node_bytes(h, node) >= bytes) {
            return node_block(node);
        }
        node = node_next(h, node);
    }
    return 0;
}

/* The first block of the next octave class, all of which suffice. */
HEAP_HOT struct heap_found tlsf_take_above(struct heap *h, uint32_t class) {
    class = class_above(h, class);
    if (class == CLASS_MAX) {
        return HEAP_FOUND_NONE;
    }
    uint32_t b = list_first(h, class);
    if (list_pop(h, class)) {
        class_clear(h, class);
    }
    return (struct heap_found){.b = b, .bytes = block_size(heap_get(h, b))};
}

HEAP_HOT struct heap_found tlsf_take(struct heap *h, uint32_t bytes) {
    if (class_is_exact(bytes)) {
        struct heap_found found = list_take_exact(h, bytes);
        return found.bytes != 0 ? found : tlsf_take_above(h, CLASS_OCTAVE_FIRST - 1);
    }
    uint32_t class = class_of_octave(bytes);
    uint32_t b = tlsf_probe(h, class, bytes);
    if (b == 0) {
        return tlsf_take_above(h, class);
    }
    list_remove(h, b, bytes);
    return (struct heap_found){.b = b, .bytes = block_size(heap_get(h, b))};
}

HEAP_HOT void tlsf_insert(struct heap *h, size_t b, uint32_t bytes) {
    size_t class;
    if (class_is_exact(bytes)) {
        class = class_of_exact(bytes);
        class_mark_exact(h, class);
    } else {
        class = class_of_octave(bytes);
        class_mark_octave(h, class);
    }
    list_push(h, class, b);
}

/* What take() would find in the highest class: smaller requests find no less. */
static uint32_t tlsf_index_largest(const struct heap *h) {
    uint32_t class = class_last(h);
    uint32_t largest = 0;
    if (class != CLASS_MAX) {
        size_t node = node_next(h, node_of_head(class));
        for (uint32_t i = 0; i < TLSF_PROBES && node != CLASS_NODE_NONE; i++) {
            uint32_t bytes = node_bytes(h, node);
            largest = bytes > largest ? bytes : largest;
            node = node_next(h, node);
        }
    }
    return largest;
}

static const char *tlsf_index_check(const struct heap *h, const struct heap_tally *all) {
    struct heap_tally listed = {0};
    const char *broken = classes_check_map(h, lists_used);
    if (broken == NULL) {
        broken = classes_check_used(h, list_check, all->blocks, &listed);
    }
    if (broken == NULL && !tally_equal(&listed, all)) {
        broken = "a free block is in no list";
    }
    return broken;
}

/* The index of the allocator whose table is OPS. */
#define TLSF_INDEX(OPS)                                                                            \
    {                                                                                              \
        .ops = &(OPS), .control_bytes = classes_bytes, .format = classes_format,                   \
        .insert = tlsf_insert, .remove = list_remove, .has_equal = list_has_equal,                 \
        .take_equal = list_take_equal, .take = tlsf_take, .largest = tlsf_index_largest,           \
        .check = tlsf_index_check,                                                                 \
    }

#endif
