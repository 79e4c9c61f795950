/* SPDX-License-Identifier: MIT
 *
 * bestfit.c - true best fit without scanning
 *
 * A request takes the smallest sufficient free block, of equals the one freed last, and only when
 * there is none the wilderness. Free blocks are kept by size class (heap_classes.h). Those of a
 * class of one size hang in a list (heap_lists.h). The sizes of any other class form a binary trie;
 * its nodes are blocks, one of each size, and the others of that size hang in a list behind it:
 *
 *        head            A size hangs at the first free place on the path that its bits below the
 *       0/   \1          class describe, from the highest down. So all sizes below a node at depth
 * d 00/ \01            agree in the first d of these bits, and those under child 0 are less than
 *                        those under child 1. The node itself may be anywhere in that range.
 *
 *   | header | next | prev | child 0 | child 1 | link | ... | footer |
 *
 * Children are nodes (heap_layout.h), `link` is the offset of the word that leads here, and 0 in
 * the blocks that are not in the trie themselves.
 *
 * Bound. The sizes of a class between 2^f and 2^(f+1) differ in f - 7 bits, whatever the pool's
 * size and however many blocks are free: no path visits more than f - 6 nodes, 6 below 8 KiB, 10
 * below 128 KiB. Entering and removing follow one path, a search at most two. No rotations, no
 * scan.
 *
 * The trie is Doug Lea's (malloc 2.8), by classes rather than octaves. The lowest address among
 * equals, which the literature prefers, was tried: it fills no pool better and costs a search in
 * each list.
 */
#include "heap_lists.h"

/* Called for every node of a trie visited; a test may count. */
#ifndef BESTFIT_VISIT
#define BESTFIT_VISIT() ((void)0)
#endif

enum {
    TRIE_CHILD = 12, /* where in a free block child 0 lies, child 1 follows */
    TRIE_LINK = 20,  /* and the link */
};

extern const struct alloc_ops bestfit_ops;

/* The bits that decide among the sizes of a class, left-aligned. */
HEAP_HOT uint32_t trie_key(uint32_t bytes) {
    uint32_t x = bytes - 8;
    return x << (32 + CLASS_SPLIT_LOG2 - log2_floor(x));
}

/* The offset of the link to a child. */
HEAP_HOT uint32_t trie_child(uint32_t b, uint32_t side) {
    return b + TRIE_CHILD + 4 * side;
}

/* Makes the word at `link` lead to block b. */
HEAP_HOT void trie_hang(struct heap *h, uint32_t link, uint32_t b) {
    heap_set(h, link, HEAP_NODE(b));
    heap_set_at(h, b, TRIE_LINK, link);
}

static inline void trie_insert(struct heap *h, uint32_t b, uint32_t bytes) {
    uint32_t class = class_of_octave(bytes);
    uint32_t key = trie_key(bytes);
    uint32_t link = class_slot(class);
    uint32_t node;
    while ((node = heap_get(h, link)) != CLASS_NODE_NONE) {
        BESTFIT_VISIT();
        if (node_bytes(h, node) == bytes) {
            node_link(h, HEAP_NODE(b), node_next(h, node));
            node_link(h, node, HEAP_NODE(b));
            heap_set_at(h, b, TRIE_LINK, 0);
            return;
        }
        link = trie_child(node_block(node), key >> 31);
        key <<= 1;
    }
    heap_set_at(h, b, LIST_NEXT, CLASS_NODE_NONE);
    heap_set(h, trie_child(b, 0), CLASS_NODE_NONE);
    heap_set(h, trie_child(b, 1), CLASS_NODE_NONE);
    trie_hang(h, link, b);
    class_mark_octave(h, class);
}

/* The link to child 0 of block b, or to child 1 if it has no child 0. */
HEAP_HOT uint32_t trie_left(const struct heap *h, uint32_t b) {
    return trie_child(b, heap_get(h, trie_child(b, 0)) == CLASS_NODE_NONE);
}

/* The link to the leaf below block b, itself led to by `link`, on the path that keeps left. */
HEAP_HOT uint32_t trie_leaf(const struct heap *h, uint32_t b, uint32_t link) {
    uint32_t next = trie_left(h, b);
    uint32_t node;
    while ((node = heap_get(h, next)) != CLASS_NODE_NONE) {
        BESTFIT_VISIT();
        link = next;
        next = trie_left(h, node_block(node));
    }
    return link;
}

/* Puts block `heir` where block b, led to by `link`, hangs. */
static inline void trie_replace(struct heap *h, uint32_t b, uint32_t link, uint32_t heir) {
    for (uint32_t side = 0; side < 2; side++) {
        uint32_t node = heap_get(h, trie_child(b, side));
        heap_set(h, trie_child(heir, side), node);
        if (node != CLASS_NODE_NONE) {
            heap_set_at(h, node_block(node), TRIE_LINK, trie_child(heir, side));
        }
    }
    trie_hang(h, link, heir);
}

/* Takes block b out. In its place comes the next of its size, else the leaf below it, as any block
 * below it would be right there. */
static inline void trie_remove(struct heap *h, uint32_t b) {
    uint32_t link = heap_get_at(h, b, TRIE_LINK);
    uint32_t next = heap_get_at(h, b, LIST_NEXT);
    if (link == 0) {
        node_link(h, heap_get_at(h, b, LIST_PREV), next);
        return;
    }
    if (next != CLASS_NODE_NONE) {
        trie_replace(h, b, link, node_block(next));
        return;
    }
    uint32_t leaf_link = trie_leaf(h, b, link);
    uint32_t leaf = node_block(heap_get(h, leaf_link));
    heap_set(h, leaf_link, CLASS_NODE_NONE);
    if (leaf != b) {
        trie_replace(h, b, link, leaf);
    } else if (link < h->first) {
        class_clear(h, (link - class_slot(0)) / 4);
    }
}

/* The node of the least size of at least `need` below `node`, or CLASS_NODE_NONE. The path of
 * `need` passes the nodes that may be more or less than it; what lies wholly above and nearest to
 * it is the last subtree on the right that the path did not enter, and the least of that is on the
 * path that keeps left. */
static uint32_t trie_least(const struct heap *h, uint32_t node, uint32_t need, uint32_t key) {
    uint32_t above = CLASS_NODE_NONE;
    bool on_path = true;
    uint32_t best = CLASS_NODE_NONE;
    uint32_t best_bytes = UINT32_MAX;
    while (node != CLASS_NODE_NONE && best_bytes != need) {
        BESTFIT_VISIT();
        uint32_t bytes = node_bytes(h, node);
        if (bytes >= need && bytes < best_bytes) {
            best = node;
            best_bytes = bytes;
        }
        uint32_t left = heap_get_at(h, node, HEAP_NODE_FIELD + TRIE_CHILD);
        uint32_t right = heap_get_at(h, node, HEAP_NODE_FIELD + TRIE_CHILD + 4);
        if (!on_path) {
            node = left != CLASS_NODE_NONE ? left : right;
            continue;
        }
        bool goes_left = key >> 31 == 0;
        above = goes_left && right != CLASS_NODE_NONE ? right : above;
        node = goes_left ? left : right;
        key <<= 1;
        if (node == CLASS_NODE_NONE) {
            node = above;
            on_path = false;
        }
    }
    return best;
}

/* ---- the index: lists for classes of one size, tries for the others ---- */

HEAP_HOT void bestfit_insert(struct heap *h, uint32_t b, uint32_t bytes) {
    if (class_is_exact(bytes)) {
        list_insert_exact(h, b, bytes);
    } else {
        trie_insert(h, b, bytes);
    }
}

HEAP_HOT void bestfit_remove(struct heap *h, uint32_t b, uint32_t bytes) {
    if (class_is_exact(bytes)) {
        list_remove(h, b, bytes);
    } else {
        trie_remove(h, b);
    }
}

/* The node of the least size in the tries that suffices, or CLASS_NODE_NONE. */
HEAP_HOT uint32_t bestfit_least(const struct heap *h, uint32_t bytes) {
    uint32_t class = CLASS_OCTAVE_FIRST - 1;
    if (!class_is_exact(bytes)) {
        class = class_of_octave(bytes);
        uint32_t node = trie_least(h, heap_get(h, class_slot(class)), bytes, trie_key(bytes));
        if (node != CLASS_NODE_NONE) {
            return node;
        }
    }
    class = class_above(h, class);
    return class == CLASS_MAX ? CLASS_NODE_NONE
                              : trie_least(h, heap_get(h, class_slot(class)), 0, 0);
}

HEAP_HOT struct heap_found bestfit_take(struct heap *h, uint32_t bytes) {
    if (class_is_exact(bytes)) {
        struct heap_found found = list_take_exact(h, bytes);
        if (found.bytes != 0) {
            return found;
        }
    }
    uint32_t node = bestfit_least(h, bytes);
    if (node == CLASS_NODE_NONE) {
        return HEAP_FOUND_NONE;
    }
    /* The last freed of that size, if the trie's own is not the only one. */
    uint32_t next = node_next(h, node);
    uint32_t b = node_block(next != CLASS_NODE_NONE ? next : node);
    trie_remove(h, b);
    return (struct heap_found){.b = b, .bytes = node_bytes(h, node)};
}

/* The largest of a trie is on the path that keeps right. */
static uint32_t bestfit_index_largest(const struct heap *h) {
    uint32_t class = class_last(h);
    uint32_t node = class == CLASS_MAX ? CLASS_NODE_NONE : heap_get(h, class_slot(class));
    uint32_t largest = node == CLASS_NODE_NONE ? 0 : node_bytes(h, node);
    while (class >= CLASS_OCTAVE_FIRST && node != CLASS_NODE_NONE) {
        uint32_t b = node_block(node);
        uint32_t bytes = block_size(heap_get(h, b));
        largest = bytes > largest ? bytes : largest;
        uint32_t right = heap_get(h, trie_child(b, 1));
        node = right != CLASS_NODE_NONE ? right : heap_get(h, trie_child(b, 0));
    }
    return largest;
}

/* ---- check ---- */

enum { TRIE_DEPTH_MAX = 25 }; /* f = 31 */

/* A link still to be followed: the first `depth` bits of the node's key must be `path`. */
struct trie_todo {
    uint32_t link;
    uint32_t depth;
    uint32_t path;
};

static const char *trie_check_node(const struct heap *h, uint32_t class,
                                   const struct trie_todo *at) {
    uint32_t b = node_block(heap_get(h, at->link));
    if (!block_seems_free(h, b) || class_of(block_size(heap_get(h, b))) != class) {
        return "a trie holds what is no free block of its class";
    }
    if (heap_get_at(h, b, TRIE_LINK) != at->link) {
        return "a free block does not know what leads to it";
    }
    uint32_t key = trie_key(block_size(heap_get(h, b)));
    if (at->depth == TRIE_DEPTH_MAX ||
        (at->depth > 0 && (key ^ at->path) >> (32 - at->depth) != 0)) {
        return "a size hangs at the wrong place of its trie";
    }
    return NULL;
}

/* The blocks of one size: the node in the trie, and the list behind it. */
static const char *trie_check_size(const struct heap *h, uint32_t class, uint32_t node,
                                   uint32_t limit, struct heap_tally *entered) {
    if (entered->blocks == limit) {
        return "tries hold more blocks than are free";
    }
    tally_add(entered, node_block(node));
    const char *broken = list_check(h, node, class, node_bytes(h, node), limit, entered);
    uint32_t next = broken == NULL ? node_next(h, node) : CLASS_NODE_NONE;
    for (; next != CLASS_NODE_NONE; next = node_next(h, next)) {
        if (heap_get_at(h, node_block(next), TRIE_LINK) != 0) {
            return "a block in a list claims to be in the trie";
        }
    }
    return broken;
}

static const char *trie_check(const struct heap *h, uint32_t class, uint32_t limit,
                              struct heap_tally *entered) {
    struct trie_todo todo[TRIE_DEPTH_MAX + 2];
    uint32_t count = 0;
    todo[count++] = (struct trie_todo){.link = class_slot(class)};
    while (count > 0) {
        struct trie_todo at = todo[--count];
        uint32_t node = heap_get(h, at.link);
        if (node == CLASS_NODE_NONE) {
            continue;
        }
        const char *broken = trie_check_node(h, class, &at);
        broken = broken == NULL ? trie_check_size(h, class, node, limit, entered) : broken;
        if (broken != NULL) {
            return broken;
        }
        for (uint32_t side = 0; side < 2; side++) {
            todo[count++] = (struct trie_todo){
                .link = trie_child(node_block(node), side),
                .depth = at.depth + 1,
                .path = at.path | side << (31 - at.depth),
            };
        }
    }
    return NULL;
}

static const char *bestfit_index_check(const struct heap *h, const struct heap_tally *all) {
    const char *broken = classes_check(h);
    struct heap_tally entered = {0};
    for (uint32_t c = CLASS_FIRST; broken == NULL && class_slot(c) < h->first; c++) {
        broken = c < CLASS_OCTAVE_FIRST
                     ? list_check(h, node_of_head(c), c, 0, all->blocks, &entered)
                     : trie_check(h, c, all->blocks, &entered);
    }
    if (broken == NULL && !tally_equal(&entered, all)) {
        broken = "a free block is in no list and no trie";
    }
    return broken;
}

static const struct heap_index_ops bestfit_index_ops = {
    .ops = &bestfit_ops,
    .control_bytes = classes_bytes,
    .format = classes_format,
    .insert = bestfit_insert,
    .remove = bestfit_remove,
    .take = bestfit_take,
    .largest = bestfit_index_largest,
    .check = bestfit_index_check,
};

HEAP_DEFINE(bestfit, "the smallest block that fits, found in a trie of sizes; no scan",
            ALLOC_POOL_MAX)
