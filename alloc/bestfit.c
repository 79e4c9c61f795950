/* SPDX-License-Identifier: MIT
 *
 * bestfit.c - true best fit without scanning
 *
 * A request takes the smallest sufficient free block, of equals the one at the lowest address, and
 * only when there is none the wilderness. Free blocks are kept by size class (heap_classes.h). A
 * class of an octave is a tree (bestfit_tree.h). An exact class, all of one size, is two sets:
 *
 *   front   a list in order of address (heap_lists.h)
 *   back    the least of the others, and below its child 0 the tree of the rest
 *
 *   list --> 100 --> 260 --> 420 --> none        back --> 180 --> tree of 300, 500, 700
 *
 * So the lowest is the first of the list or the least at the back. A block enters the list if it
 * comes to be among the first FRONT_STEPS there, else the back; nothing else relates the two. Most
 * blocks are freed where few equals are free below them and enter the list as they would one that
 * is last in, first out; 7 of 100 go to the back (docs/allocators.md).
 *
 * Bound. Below 2^P bytes a path through a tree has at most P - 4 nodes. Whatever was done before,
 * entering visits at most FRONT_STEPS of the list, the least at the back, and a path: 32 nodes
 * below 4 GiB. Removing and taking visit fewer. alloc() does two of these at most, free() three. No
 * scan.
 */
#include "bestfit_tree.h"
#include "heap_lists.h"

extern const struct alloc_ops bestfit_ops;

enum {
    FRONT_STEPS = 3,                                /* places of a list where a block may enter */
    FRONT_LISTS = CLASS_OCTAVE_FIRST - CLASS_FIRST, /* their heads are those of exact classes */
};

/* Where the head of the tree of any class, or the least at its back, is: behind those of lists. */
HEAP_HOT size_t tree_slot(size_t class) {
    return class_slot(FRONT_LISTS + class);
}

/* The place whose child 0 is that head. */
HEAP_HOT uint32_t tree_root(size_t class) {
    return (uint32_t)HEAP_NODE(tree_slot(class) - TREE_CHILD);
}

/* ---- exact classes ---- */

/* The order of nodes, with CLASS_NODE_NONE behind all. */
HEAP_HOT uint32_t node_rank(size_t node) {
    return (uint32_t)node - (CLASS_NODE_NONE + 1);
}

/* Makes `node` the least at the back, with the tree of the rest below it. */
HEAP_HOT void back_set_least(struct heap *h, size_t class, uint32_t node, uint32_t rest) {
    heap_set(h, tree_slot(class), node);
    tree_set_child(h, node, 0, rest);
    tree_set_child(h, node, 1, CLASS_NODE_NONE);
}

static void back_enter(struct heap *h, size_t class, uint32_t node) {
    uint32_t least = heap_get(h, tree_slot(class));
    BESTFIT_VISIT();
    if (least == CLASS_NODE_NONE) {
        back_set_least(h, class, node, CLASS_NODE_NONE);
        return;
    }
    uint32_t other = node;
    if (node < least) {
        back_set_least(h, class, node, tree_child(h, least, 0));
        other = least;
        least = node;
    }
    tree_enter(h, least, other);
}

/* Takes out a node that is not in the list. */
TREE_CALLED void back_leave(struct heap *h, size_t class, uint32_t node) {
    uint32_t least = heap_get(h, tree_slot(class));
    BESTFIT_VISIT();
    if (node != least) {
        tree_leave(h, least, node);
    } else if (tree_child(h, least, 0) != CLASS_NODE_NONE) {
        uint32_t next = tree_pop(h, least);
        back_set_least(h, class, next, tree_child(h, least, 0));
    } else {
        heap_set(h, tree_slot(class), CLASS_NODE_NONE);
        class_clear_exact(h, class, node_next(h, node_of_head(class)) == CLASS_NODE_NONE);
    }
}

HEAP_HOT void front_enter(struct heap *h, size_t prev, size_t next, size_t node) {
    node_link(h, node, next);
    node_link(h, prev, node);
}

/* Enters a node that is not lower than the first of the list. */
TREE_CALLED void exact_enter_behind(struct heap *h, size_t class, size_t node) {
    size_t at = node_next(h, node_of_head(class));
    for (uint32_t steps = 1; steps < FRONT_STEPS; steps++) {
        BESTFIT_VISIT();
        size_t next = node_next(h, at);
        if (node_rank(node) < node_rank(next)) {
            front_enter(h, at, next, node);
            return;
        }
        at = next;
    }
    back_enter(h, class, (uint32_t)node);
}

HEAP_HOT void exact_insert(struct heap *h, size_t b, uint32_t bytes) {
    size_t class = class_of_exact(bytes);
    size_t head = node_of_head(class);
    size_t first = node_next(h, head);
    class_mark_exact(h, class);
    BESTFIT_VISIT();
    if (node_rank(HEAP_NODE(b)) < node_rank(first)) {
        front_enter(h, head, first, HEAP_NODE(b));
    } else {
        exact_enter_behind(h, class, HEAP_NODE(b));
    }
}

/* Only in a list is a block the next of what its second link leads to. */
HEAP_HOT void exact_remove(struct heap *h, size_t b, uint32_t bytes) {
    size_t prev = heap_get_at(h, b, LIST_PREV);
    BESTFIT_VISIT();
    if (node_next(h, prev) != HEAP_NODE(b)) {
        back_leave(h, class_of_exact(bytes), (uint32_t)HEAP_NODE(b));
        return;
    }
    size_t next = heap_get_at(h, b, LIST_NEXT);
    node_link(h, prev, next);
    if (next == CLASS_NODE_NONE && prev < h->first) {
        size_t class = (prev - node_of_head(0)) / 4;
        class_clear_exact(h, class, heap_get(h, tree_slot(class)) == CLASS_NODE_NONE);
    }
}

/* Takes out the lowest block of an exact class that is not empty. */
HEAP_HOT uint32_t exact_take(struct heap *h, size_t class) {
    size_t head = node_of_head(class);
    size_t first = node_next(h, head);
    uint32_t least = heap_get(h, tree_slot(class));
    BESTFIT_VISIT();
    if (node_rank(first) < node_rank(least)) {
        size_t next = node_next(h, first);
        node_link(h, head, next);
        class_clear_exact(h, class, next == least); /* both are none, or they differ */
        return node_block(first);
    }
    back_leave(h, class, least);
    return node_block(least);
}

/* Takes out the lowest block of the lowest exact class that holds `bytes`, if there is one. */
HEAP_HOT struct heap_found exact_take_fitting(struct heap *h, uint32_t bytes) {
    size_t class = class_of_exact(bytes);
    uint32_t word = heap_classes(h)->map[0] >> class;
    if (word == 0) {
        return HEAP_FOUND_NONE;
    }
    uint32_t further = (uint32_t)__builtin_ctz(word);
    return (struct heap_found){.b = exact_take(h, class + further), .bytes = bytes + 8 * further};
}

/* ---- the index ---- */

HEAP_HOT void bestfit_insert(struct heap *h, size_t b, uint32_t bytes) {
    if (class_is_exact(bytes)) {
        exact_insert(h, b, bytes);
        return;
    }
    uint32_t class = class_of_octave(bytes);
    uint32_t node = (uint32_t)HEAP_NODE(b);
    if (heap_get(h, tree_slot(class)) != CLASS_NODE_NONE) {
        tree_enter(h, tree_root(class), node);
        return;
    }
    heap_set(h, tree_slot(class), node);
    tree_make_leaf(h, node);
    class_mark_octave(h, class);
}

HEAP_HOT void bestfit_remove(struct heap *h, size_t b, uint32_t bytes) {
    if (class_is_exact(bytes)) {
        exact_remove(h, b, bytes);
        return;
    }
    uint32_t class = class_of_octave(bytes);
    uint32_t node = (uint32_t)HEAP_NODE(b);
    BESTFIT_VISIT();
    if (heap_get(h, tree_slot(class)) == node && tree_is_leaf(h, node)) {
        heap_set(h, tree_slot(class), CLASS_NODE_NONE);
        class_clear(h, class);
    } else {
        tree_leave(h, tree_root(class), node);
    }
}

HEAP_HOT struct heap_found bestfit_take(struct heap *h, uint32_t bytes) {
    uint32_t class = CLASS_OCTAVE_FIRST - 1;
    uint32_t node = CLASS_NODE_NONE;
    if (class_is_exact(bytes)) {
        struct heap_found found = exact_take_fitting(h, bytes);
        if (found.bytes != 0) {
            return found;
        }
    } else {
        class = class_of_octave(bytes);
        node = heap_get(h, tree_slot(class));
    }
    bool is_in_class = node != CLASS_NODE_NONE && node_bytes(h, node) >= bytes;
    if (!is_in_class) {
        class = class_above(h, class);
        if (class == CLASS_MAX) {
            return HEAP_FOUND_NONE;
        }
        node = heap_get(h, tree_slot(class));
    }
    BESTFIT_VISIT();
    if (tree_is_leaf(h, node)) {
        heap_set(h, tree_slot(class), CLASS_NODE_NONE);
        class_clear(h, class);
    } else {
        uint32_t root = tree_root(class);
        node = is_in_class ? tree_take(h, root, bytes) : tree_pop(h, root);
    }
    return (struct heap_found){.b = node_block(node), .bytes = node_bytes(h, node)};
}

/* Of the highest class: its one size, or that of the root. */
static uint32_t bestfit_index_largest(const struct heap *h) {
    uint32_t class = class_last(h);
    if (class == CLASS_MAX) {
        return 0;
    }
    return class < CLASS_OCTAVE_FIRST ? 8 * class + 8
                                      : node_bytes(h, heap_get(h, tree_slot(class)));
}

static uint32_t bestfit_control_bytes(uint32_t end) {
    return classes_bytes_with(end, FRONT_LISTS);
}

/* ---- check ---- */

/* The classes of word w with a list or tree that is not empty. Class 0 does not exist: where the
 * head of its tree would be is the last of the lists. */
static uint32_t bestfit_used(const struct heap *h, uint32_t w) {
    uint32_t trees = heads_used(h, tree_slot(32 * (size_t)w));
    return w == 0 ? (trees | lists_used(h, 0)) & ~1u : trees;
}

static const char *front_check(const struct heap *h, uint32_t class, uint32_t limit,
                               struct heap_tally *entered) {
    if (class >= CLASS_OCTAVE_FIRST) {
        return NULL;
    }
    const char *broken = list_check(h, class, limit, entered);
    size_t node = node_next(h, node_of_head(class));
    while (broken == NULL && node != CLASS_NODE_NONE) {
        size_t next = node_next(h, node);
        broken = node_rank(node) < node_rank(next) ? NULL : "a list is not in order of address";
        node = next;
    }
    return broken;
}

static const char *back_check(const struct heap *h, uint32_t class, uint32_t limit,
                              struct heap_tally *entered) {
    uint32_t least = heap_get(h, tree_slot(class));
    if (least == CLASS_NODE_NONE) {
        return NULL;
    }
    struct tree_pending at = {.node = least, .least = 0, .most = UINT32_MAX};
    uint32_t key;
    const char *broken = tree_check_node(h, class, &at, &key);
    if (broken != NULL || entered->blocks == limit) {
        return broken != NULL ? broken : "lists and trees hold more blocks than are free";
    }
    if (tree_child(h, least, 1) != CLASS_NODE_NONE) {
        return "the least at the back has a child 1";
    }
    tally_add(entered, node_block(least));
    return tree_check(h, least, (struct tree_rules){class, least, limit}, entered);
}

static const char *class_tree_check(const struct heap *h, uint32_t class, uint32_t limit,
                                    struct heap_tally *entered) {
    struct tree_rules rules = {.class = class, .least = 0, .limit = limit};
    return class < CLASS_OCTAVE_FIRST ? back_check(h, class, limit, entered)
                                      : tree_check(h, tree_root(class), rules, entered);
}

static const char *bestfit_index_check(const struct heap *h, const struct heap_tally *all) {
    struct heap_tally entered = {0};
    const char *broken = classes_check_map(h, bestfit_used);
    if (broken == NULL) {
        broken = classes_check_used(h, front_check, all->blocks, &entered);
    }
    if (broken == NULL) {
        broken = classes_check_used(h, class_tree_check, all->blocks, &entered);
    }
    if (broken == NULL && !tally_equal(&entered, all)) {
        broken = "a free block is in no list or tree";
    }
    return broken;
}

static const struct heap_index_ops bestfit_index_ops = {
    .ops = &bestfit_ops,
    .control_bytes = bestfit_control_bytes,
    .format = classes_format,
    .insert = bestfit_insert,
    .remove = bestfit_remove,
    .has_equal = list_has_equal,
    .take_equal = exact_take,
    .take = bestfit_take,
    .largest = bestfit_index_largest,
    .check = bestfit_index_check,
};

HEAP_DEFINE(bestfit, HEAP_HOT, 0,
            "the smallest block that fits, of equals the lowest, found without a scan")
