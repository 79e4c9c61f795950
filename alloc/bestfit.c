/* SPDX-License-Identifier: MIT
 *
 * bestfit.c - true best fit without scanning
 *
 * A request takes the smallest sufficient free block, of equals the one at the lowest address, and
 * only when there is none the wilderness. Free blocks are kept by size class (heap_classes.h),
 * those of one class in a binary trie over their key, size before address:
 *
 *        head            A block hangs at the first free place on the path that the bits of its key
 *       0/   \1          describe, from the highest down: so all keys below a node at depth d agree
 *     00/ \01            in their first d bits, and those under child 0 are less than those under
 *                        child 1. The node itself may be anywhere in that range.
 *
 *   | header | child 0 | child 1 | link | ... | footer |
 *
 * Children are nodes (heap_layout.h), `link` is the offset of the word that leads here, made odd. A
 * block of 16 bytes keeps its link in place of the footer.
 *
 * Bound. Two blocks of 2^f bytes or more lie at addresses that differ above bit f. So in octave f
 * of a heap below 2^P bytes a key needs f - 7 bits of size and P - f of address: P - 7 bits, and P
 * - 4 for the classes of one size. No path is longer than the key: 13 nodes for 64 KiB, 17 for 1
 * MiB, 29 for 4 GiB. Entering follows one path, removing the rest of one, a search at most two. No
 * rotations.
 */
#include "heap_classes.h"

/* Called for every node visited; a test may count. */
#ifndef BESTFIT_VISIT
#define BESTFIT_VISIT() ((void)0)
#endif

enum {
    TRIE_CHILD = 4, /* where in a free block child 0 lies, child 1 follows */
    TRIE_LINK = 12, /* and the link */
};

extern const struct alloc_ops bestfit_ops;

/* The place of block b among those of its class, the bits that decide left-aligned. */
HEAP_HOT uint32_t trie_key(const struct heap *h, uint32_t b, uint32_t bytes) {
    uint32_t unused_bits = (uint32_t)__builtin_clz(h->end);
    if (class_is_exact(bytes)) {
        return (b >> 4) << (4 + unused_bits);
    }
    uint32_t x = bytes - 8;
    uint32_t octave = log2_floor(x);
    return x << (32 + CLASS_SPLIT_LOG2 - octave) | (b >> octave) << (7 + unused_bits);
}

HEAP_HOT uint32_t node_block(uint32_t node) {
    return node - HEAP_NODE(0);
}

/* The offset of the link to a child. */
HEAP_HOT uint32_t trie_child(uint32_t b, uint32_t side) {
    return b + TRIE_CHILD + 4 * side;
}

/* Makes the word at `link` lead to block b. */
HEAP_HOT void trie_hang(struct heap *h, uint32_t link, uint32_t b) {
    heap_set(h, link, HEAP_NODE(b));
    heap_set(h, b + TRIE_LINK, link | 1);
}

HEAP_HOT bool trie_has_child(const struct heap *h, uint32_t b, uint32_t side) {
    return heap_get(h, trie_child(b, side)) != CLASS_NODE_NONE;
}

static inline void trie_insert(struct heap *h, uint32_t b, uint32_t bytes) {
    uint32_t class = class_of(bytes);
    uint32_t key = trie_key(h, b, bytes);
    uint32_t link = class_slot(class);
    uint32_t node;
    while ((node = heap_get(h, link)) != CLASS_NODE_NONE) {
        BESTFIT_VISIT();
        link = trie_child(node_block(node), key >> 31);
        key <<= 1;
    }
    heap_set(h, trie_child(b, 0), CLASS_NODE_NONE);
    heap_set(h, trie_child(b, 1), CLASS_NODE_NONE);
    trie_hang(h, link, b);
    class_mark(h, class);
}

/* The link to the leaf below block b, itself led to by `link`, on the path that keeps left. */
HEAP_HOT uint32_t trie_leaf(const struct heap *h, uint32_t b, uint32_t link) {
    for (;;) {
        uint32_t next = trie_child(b, trie_has_child(h, b, 0) ? 0 : 1);
        uint32_t node = heap_get(h, next);
        if (node == CLASS_NODE_NONE) {
            return link;
        }
        BESTFIT_VISIT();
        link = next;
        b = node_block(node);
    }
}

/* Takes out the block b that `link` leads to; the leaf below it comes in its place: any would be
 * right there. */
HEAP_HOT void trie_unlink(struct heap *h, uint32_t b, uint32_t link, uint32_t leaf_link) {
    uint32_t leaf = node_block(heap_get(h, leaf_link));
    heap_set(h, leaf_link, CLASS_NODE_NONE);
    if (leaf != b) {
        for (uint32_t side = 0; side < 2; side++) {
            uint32_t node = heap_get(h, trie_child(b, side));
            heap_set(h, trie_child(leaf, side), node);
            if (node != CLASS_NODE_NONE) {
                heap_set(h, node_block(node) + TRIE_LINK, trie_child(leaf, side) | 1);
            }
        }
        trie_hang(h, link, leaf);
    } else if (link < h->first) {
        class_clear(h, (link - class_slot(0)) / 4);
    }
}

static inline void trie_remove(struct heap *h, uint32_t b, uint32_t bytes) {
    (void)bytes;
    uint32_t link = heap_get(h, b + TRIE_LINK) - 1;
    trie_unlink(h, b, link, trie_leaf(h, b, link));
}

HEAP_HOT uint32_t trie_size(const struct heap *h, uint32_t b) {
    BESTFIT_VISIT();
    return block_size(heap_get(h, b));
}

/* Takes out the least block of a class that is not empty. It is on the path that keeps left, as all
 * below child 0 is less than what is below child 1. */
static inline uint32_t trie_pop(struct heap *h, uint32_t class) {
    uint32_t link = class_slot(class);
    uint32_t b = node_block(heap_get(h, link));
    uint32_t best = b;
    uint32_t best_link = link;
    uint32_t best_bytes = trie_size(h, b);
    for (;;) {
        uint32_t next = trie_child(b, trie_has_child(h, b, 0) ? 0 : 1);
        uint32_t node = heap_get(h, next);
        if (node == CLASS_NODE_NONE) {
            break;
        }
        link = next;
        b = node_block(node);
        uint32_t bytes = trie_size(h, b);
        if (bytes < best_bytes || (bytes == best_bytes && b < best)) {
            best = b;
            best_link = link;
            best_bytes = bytes;
        }
    }
    trie_unlink(h, best, best_link, link);
    return best;
}

/* The least block of at least `need` bytes below `node`, if less than `best`, which is 0 for none.
 * The path of the least key that suffices passes the nodes that may be more or less than it; what
 * lies wholly above and nearest to it is the last subtree on the right that the path did not enter,
 * and the least of that is on the path that keeps left. */
static uint32_t trie_least(const struct heap *h, uint32_t node, uint32_t need) {
    uint32_t from = (need - 8) << (32 + CLASS_SPLIT_LOG2 - log2_floor(need - 8));
    uint32_t above = CLASS_NODE_NONE;
    bool on_path = true;
    uint32_t best = 0;
    uint32_t best_bytes = UINT32_MAX;
    while (node != CLASS_NODE_NONE) {
        uint32_t b = node_block(node);
        uint32_t bytes = trie_size(h, b);
        if (bytes >= need && (bytes < best_bytes || (bytes == best_bytes && b < best))) {
            best = b;
            best_bytes = bytes;
        }
        uint32_t left = heap_get(h, trie_child(b, 0));
        uint32_t right = heap_get(h, trie_child(b, 1));
        if (!on_path) {
            node = left != CLASS_NODE_NONE ? left : right;
            continue;
        }
        if (from >> 31 == 0 && right != CLASS_NODE_NONE) {
            above = right;
        }
        node = from >> 31 == 0 ? left : right;
        from <<= 1;
        if (node == CLASS_NODE_NONE) {
            node = above;
            on_path = false;
        }
    }
    return best;
}

static inline uint32_t trie_take(struct heap *h, uint32_t bytes) {
    uint32_t class = class_of(bytes);
    uint32_t node = heap_get(h, class_slot(class));
    if (node != CLASS_NODE_NONE) {
        if (class_is_exact(bytes)) {
            return trie_pop(h, class);
        }
        uint32_t b = trie_least(h, node, bytes);
        if (b != 0) {
            trie_remove(h, b, bytes);
            return b;
        }
    }
    class = class_next(h, class);
    return class == CLASS_MAX ? 0 : trie_pop(h, class);
}

/* The mirror of trie_pop(): the largest is on the path that keeps right. */
static uint32_t trie_largest(const struct heap *h) {
    uint32_t largest = 0;
    uint32_t class = class_last(h);
    uint32_t node = class == CLASS_MAX ? CLASS_NODE_NONE : heap_get(h, class_slot(class));
    while (node != CLASS_NODE_NONE) {
        uint32_t b = node_block(node);
        uint32_t bytes = trie_size(h, b);
        largest = bytes > largest ? bytes : largest;
        node = heap_get(h, trie_child(b, trie_has_child(h, b, 1) ? 1 : 0));
    }
    return largest;
}

/* ---- check ---- */

enum { TRIE_DEPTH_MAX = 30 };

/* A link still to be followed: the first `depth` bits of the node's key must be `path`. */
struct trie_todo {
    uint32_t link;
    uint32_t depth;
    uint32_t path;
};

static const char *trie_check_class(const struct heap *h, uint32_t class, uint32_t limit,
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
        uint32_t b = node_block(node);
        if (!block_seems_free(h, b) || class_of(block_size(heap_get(h, b))) != class) {
            return "a trie holds what is no free block of its class";
        }
        uint32_t key = trie_key(h, b, block_size(heap_get(h, b)));
        if (heap_get(h, b + TRIE_LINK) != (at.link | 1)) {
            return "a free block does not know what leads to it";
        }
        if (at.depth > 0 && (key ^ at.path) >> (32 - at.depth) != 0) {
            return "a block hangs at the wrong place of its trie";
        }
        if (entered->blocks == limit || at.depth == TRIE_DEPTH_MAX) {
            return "tries hold more blocks than are free";
        }
        tally_add(entered, b);
        for (uint32_t side = 0; side < 2; side++) {
            todo[count++] = (struct trie_todo){
                .link = trie_child(b, side),
                .depth = at.depth + 1,
                .path = at.path | side << (31 - at.depth),
            };
        }
    }
    return NULL;
}

static const char *trie_check(const struct heap *h, const struct heap_tally *all) {
    const char *broken = classes_check(h);
    struct heap_tally entered = {0};
    for (uint32_t c = 0; broken == NULL && class_slot(c) < h->first; c++) {
        broken = trie_check_class(h, c, all->blocks, &entered);
    }
    if (broken != NULL) {
        return broken;
    }
    return tally_equal(&entered, all) ? NULL : "a free block is in no trie";
}

static const struct heap_index_ops bestfit_index_ops = {
    .ops = &bestfit_ops,
    .link_in_footer = true,
    .control_bytes = classes_bytes,
    .format = classes_format,
    .insert = trie_insert,
    .remove = trie_remove,
    .take = trie_take,
    .largest = trie_largest,
    .check = trie_check,
};

HEAP_DEFINE(bestfit, "best fit, of equals the lowest address; a trie per size class, no scan",
            ALLOC_POOL_MAX)
