/* SPDX-License-Identifier: MIT
 *
 * bestfit_tree.h - the trees of bestfit: free blocks of one class by size, then address
 *
 *        1011        The root has the greatest key. The key's highest bit divides the others: those
 *      0/    \1      without it are below child 0, those with it below child 1.
 *     0110   1001     So it goes on down; the bits that all keys below a link have in common,
 *       \1           such as the 1 above 1001, do not count.
 *      0101
 *
 * All below child 0 is less than all below child 1, and both are less than the node. So the least
 * of a tree is at the end of the path that keeps left.
 *
 *   | header | child 0 | child 1 | ... | footer |      children: nodes (heap_layout.h)
 *
 * Any block may be the greatest of its place, so no place needs a node of its own, and zeros above
 * the greatest key take no level: paths depend on the addresses in use, not on the pool's size.
 * When a node leaves, the greatest below it, its child 1, takes its place, and so on; without a
 * child 1 the tree below child 0 does as it is. When a greater one comes, the node goes below it
 * the same way.
 *
 * Bound. Each level takes a bit of the key, each function follows one path. In a heap below 2^P
 * bytes the sizes of a class of octave f differ in f - 7 bits, the addresses of its blocks above
 * bit f: P - 7 bits, so that no path has more than P - 6 nodes, whatever was done before. In an
 * exact class free blocks, which never touch, start in different 32 bytes: P - 4 nodes. No
 * rotations, no scan.
 */
#ifndef HEAPRIG_BESTFIT_TREE_H
#define HEAPRIG_BESTFIT_TREE_H

#include "heap_classes.h"

/* Called for every node visited; a test may count. */
#ifndef BESTFIT_VISIT
#define BESTFIT_VISIT() ((void)0)
#endif

/* What is done to trees of more than one node is called, so that the hot paths around it keep few
 * registers. What is frequent there is compiled twice, for exact classes and for others. */
#define TREE_CALLED static __attribute__((noinline))

enum { TREE_CHILD = 4 }; /* where in a free block child 0 lies, child 1 follows */

/* ---- keys ---- */

/* How keys are made of blocks. In an exact class the key is the node itself. In another it is the
 * bits of the size below the class, from bit 31 down, then those of the address above the ones in
 * which blocks so large can overlap: 25 bits. */
struct tree_keys {
    uint32_t octave; /* 0: an exact class */
};

HEAP_HOT struct tree_keys tree_keys_octave(uint32_t bytes) {
    return (struct tree_keys){log2_floor(bytes - 8)};
}

#define TREE_KEYS_EXACT ((struct tree_keys){0})

HEAP_HOT struct tree_keys tree_keys(uint32_t bytes) {
    return class_is_exact(bytes) ? TREE_KEYS_EXACT : tree_keys_octave(bytes);
}

/* The key of a block of `bytes` at b, in an octave class: odd, as nodes are. */
HEAP_HOT uint32_t tree_key_octave(struct tree_keys keys, uint32_t b, uint32_t bytes) {
    return (bytes - 8) << (32 + CLASS_SPLIT_LOG2 - keys.octave) | b >> keys.octave << 7 | 1;
}

HEAP_HOT uint32_t tree_key(const struct heap *h, struct tree_keys keys, uint32_t node) {
    return keys.octave == 0 ? node : tree_key_octave(keys, node_block(node), node_bytes(h, node));
}

/* Whether `at` is a node, and one with a greater key. CLASS_NODE_NONE is less than any node. */
HEAP_HOT bool tree_is_greater(const struct heap *h, struct tree_keys keys, uint32_t at,
                              uint32_t key) {
    return keys.octave == 0 ? at > key : at != CLASS_NODE_NONE && tree_key(h, keys, at) > key;
}

/* ---- trees ---- */

HEAP_HOT uint32_t tree_child(const struct heap *h, uint32_t node, uint32_t side) {
    return heap_get_at(h, node + 4 * side, HEAP_NODE_FIELD + TREE_CHILD);
}

HEAP_HOT void tree_set_child(struct heap *h, uint32_t node, uint32_t side, uint32_t child) {
    heap_set_at(h, node + 4 * side, HEAP_NODE_FIELD + TREE_CHILD, child);
}

HEAP_HOT bool tree_is_leaf(const struct heap *h, uint32_t node) {
    return tree_child(h, node, 0) == CLASS_NODE_NONE && tree_child(h, node, 1) == CLASS_NODE_NONE;
}

HEAP_HOT void tree_make_leaf(struct heap *h, uint32_t node) {
    tree_set_child(h, node, 0, CLASS_NODE_NONE);
    tree_set_child(h, node, 1, CLASS_NODE_NONE);
}

/* A place is the word that leads to a node, taken as a node whose child 0 it is. */
HEAP_HOT uint32_t tree_place(uint32_t node, uint32_t side) {
    return node + 4 * side;
}

/* A way down the tree by a key. */
struct tree_way {
    uint32_t key;
    uint32_t rest;  /* the key without the bits that all that may be here have in common; not 0 */
    uint32_t place; /* how far it has come */
};

HEAP_HOT struct tree_way tree_way(uint32_t place, uint32_t key) {
    return (struct tree_way){.key = key, .rest = key, .place = place};
}

/* Goes on below the node `at`, whose key is greater, to child 0 or 1. Both keys agree in all bits
 * above `rest`. So they differ by less than `rest` just if they share its highest bit, which is
 * then the highest there of the node's too: which child it is does not wait for a bit scan. */
HEAP_HOT uint32_t tree_go(struct tree_way *way, uint32_t at, uint32_t key_at) {
    uint32_t side = (key_at ^ way->key) < way->rest;
    way->rest -= side << log2_floor(way->rest);
    way->place = tree_place(at, side);
    return side;
}

/* Puts `node` before `at`, which is less and so is greater than all below it. If both divide those
 * by the same bit, `at` goes to child 1, and before what is there. */
HEAP_HOT void tree_push_down_by(struct tree_keys keys, struct heap *h, uint32_t node, uint32_t at,
                                uint32_t rest) {
    uint32_t prefix = tree_key(h, keys, node) - rest;
    do {
        BESTFIT_VISIT();
        uint32_t rest_at = tree_key(h, keys, at) - prefix;
        if ((rest ^ rest_at) >= rest_at) {
            tree_set_child(h, node, 0, at);
            tree_set_child(h, node, 1, CLASS_NODE_NONE);
            return;
        }
        uint32_t right = tree_child(h, at, 1);
        tree_set_child(h, node, 0, tree_child(h, at, 0));
        tree_set_child(h, node, 1, at);
        uint32_t top = 1u << log2_floor(rest_at);
        prefix += top;
        rest = rest_at - top;
        node = at;
        at = right;
    } while (at != CLASS_NODE_NONE);
    tree_make_leaf(h, node);
}

TREE_CALLED void tree_push_down(struct heap *h, uint32_t node, struct tree_keys keys, uint32_t at,
                                uint32_t rest) {
    if (keys.octave == 0) {
        tree_push_down_by(TREE_KEYS_EXACT, h, node, at, rest);
    } else {
        tree_push_down_by(keys, h, node, at, rest);
    }
}

/* Enters `node` into the tree at a place: on its way, before the first that is less. */
HEAP_HOT void tree_enter_by(struct tree_keys keys, struct heap *h, uint32_t place, uint32_t node) {
    struct tree_way way = tree_way(place, tree_key(h, keys, node));
    uint32_t at = tree_child(h, place, 0);
    while (tree_is_greater(h, keys, at, way.key)) {
        BESTFIT_VISIT();
        (void)tree_go(&way, at, tree_key(h, keys, at));
        at = tree_child(h, way.place, 0);
    }
    tree_set_child(h, way.place, 0, node);
    if (at == CLASS_NODE_NONE) {
        tree_make_leaf(h, node);
    } else {
        tree_push_down(h, node, keys, at, way.rest);
    }
}

TREE_CALLED void tree_enter(struct heap *h, uint32_t place, uint32_t node) {
    uint32_t bytes = node_bytes(h, node);
    if (class_is_exact(bytes)) {
        tree_enter_by(TREE_KEYS_EXACT, h, place, node);
    } else {
        tree_enter_by(tree_keys_octave(bytes), h, place, node);
    }
}

/* Takes out the node at a place. The greatest below it, child 1, comes there, and so on down; with
 * no child 1, child 0 does, and all below it stays. */
HEAP_HOT void tree_cut(struct heap *h, uint32_t place) {
    uint32_t node = tree_child(h, place, 0);
    uint32_t left = tree_child(h, node, 0);
    uint32_t right = tree_child(h, node, 1);
    while (right != CLASS_NODE_NONE) {
        BESTFIT_VISIT();
        uint32_t up = right;
        tree_set_child(h, place, 0, up);
        uint32_t up_left = tree_child(h, up, 0);
        right = tree_child(h, up, 1);
        tree_set_child(h, up, 0, left);
        place = tree_place(up, 1);
        left = up_left;
    }
    tree_set_child(h, place, 0, left);
}

/* The place of `node` in the tree at a place, where its key leads to it. */
HEAP_HOT uint32_t tree_find_by(struct tree_keys keys, struct heap *h, uint32_t place,
                               uint32_t node) {
    struct tree_way way = tree_way(place, tree_key(h, keys, node));
    uint32_t at = tree_child(h, place, 0);
    while (at != node) {
        BESTFIT_VISIT();
        (void)tree_go(&way, at, tree_key(h, keys, at));
        at = tree_child(h, way.place, 0);
    }
    return way.place;
}

/* Takes `node` out of the tree at a place. */
TREE_CALLED void tree_leave(struct heap *h, uint32_t place, uint32_t node) {
    uint32_t bytes = node_bytes(h, node);
    place = class_is_exact(bytes) ? tree_find_by(TREE_KEYS_EXACT, h, place, node)
                                  : tree_find_by(tree_keys_octave(bytes), h, place, node);
    tree_cut(h, place);
}

/* Takes out the least of the node at a place and all below it: the end of the path that keeps left.
 */
TREE_CALLED uint32_t tree_pop(struct heap *h, uint32_t place) {
    uint32_t node = tree_child(h, place, 0);
    for (;;) {
        BESTFIT_VISIT();
        uint32_t left = tree_child(h, node, 0);
        uint32_t right = tree_child(h, node, 1);
        if (left != CLASS_NODE_NONE) {
            place = node;
            node = left;
        } else if (right != CLASS_NODE_NONE) {
            place = tree_place(node, 1);
            node = right;
        } else {
            tree_set_child(h, place, 0, CLASS_NODE_NONE);
            return node;
        }
    }
}

/* Takes out the least node of at least `need` bytes of the tree at a place, which is that of the
 * size's class, an octave's, and whose root suffices. As long as the child on the way of `need`
 * suffices, the least is there; else it is the least of child 1, if the way goes by it; else the
 * node itself. */
TREE_CALLED uint32_t tree_take(struct heap *h, uint32_t place, uint32_t need) {
    struct tree_keys keys = tree_keys_octave(need);
    struct tree_way way = tree_way(place, tree_key_octave(keys, 0, need));
    uint32_t node = tree_child(h, place, 0);
    for (;;) {
        BESTFIT_VISIT();
        place = way.place;
        uint32_t side = tree_go(&way, node, tree_key(h, keys, node));
        uint32_t child = tree_child(h, way.place, 0);
        if (child == CLASS_NODE_NONE || node_bytes(h, child) < need) {
            if (side == 0 && tree_child(h, node, 1) != CLASS_NODE_NONE) {
                return tree_pop(h, tree_place(node, 1));
            }
            tree_cut(h, place);
            return node;
        }
        node = child;
    }
}

/* ---- check ---- */

/* A node still to be confirmed, by the keys that it may have. */
struct tree_pending {
    uint32_t node;
    uint32_t least;
    uint32_t most;
};

/* Each level of a tree has at least one bit less to divide. */
enum { TREE_PENDING_MAX = 32 + 2 };

static const char *tree_check_node(const struct heap *h, uint32_t class,
                                   const struct tree_pending *at, uint32_t *key) {
    uint32_t b = node_block(at->node);
    if (!block_seems_free(h, b) || class_of(block_size(heap_get(h, b))) != class) {
        return "a tree holds what is no free block of its class";
    }
    *key = tree_key(h, tree_keys(node_bytes(h, at->node)), at->node);
    return *key < at->least || *key > at->most ? "a block hangs at the wrong place of its tree"
                                               : NULL;
}

/* What a tree must be made of. */
struct tree_rules {
    uint32_t class;
    uint32_t least; /* of all keys */
    uint32_t limit; /* of blocks, with those already entered */
};

/* Whether the tree at a place holds only free blocks of the class, each where its key leads. */
static const char *tree_check(const struct heap *h, uint32_t place, struct tree_rules rules,
                              struct heap_tally *entered) {
    struct tree_pending pending[TREE_PENDING_MAX];
    uint32_t count = 0;
    pending[count++] = (struct tree_pending){tree_child(h, place, 0), 0, UINT32_MAX};
    while (count > 0) {
        struct tree_pending at = pending[--count];
        if (at.node == CLASS_NODE_NONE) {
            continue;
        }
        uint32_t key;
        const char *broken = tree_check_node(h, rules.class, &at, &key);
        if (broken != NULL || key < rules.least) {
            return broken != NULL ? broken : "a tree holds less than the least at the back";
        }
        if (entered->blocks == rules.limit) {
            return "trees hold more blocks than are free";
        }
        tally_add(entered, node_block(at.node));
        if (key == at.least) {
            if (!tree_is_leaf(h, at.node)) {
                return "a block hangs below one that is less";
            }
            continue;
        }
        uint32_t middle = at.least + (1u << log2_floor(key - at.least));
        pending[count++] = (struct tree_pending){tree_child(h, at.node, 0), at.least, middle - 1};
        pending[count++] = (struct tree_pending){tree_child(h, at.node, 1), middle, key - 1};
    }
    return NULL;
}

#endif
