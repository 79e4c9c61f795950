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
 *   | header | child 0 | child 1 | ... | footer |     children: nodes (heap_layout.h)
 *
 * Bound. Two blocks of 2^f bytes or more lie at addresses that differ above bit f. So in octave f
 * of a heap below 2^P bytes a key needs f - 7 bits of size and P - f of address: P - 7 bits, and P
 * - 4 for the classes of one size. No path is longer than the key: 13 nodes for 64 KiB, 17 for 1
 * MiB, 29 for 4 GiB. Entering and removing follow one path, a search follows two. No rotations, no
 * scan.
 */
#include "heap_classes.h"

/* Called for every node visited; a test may count. */
#ifndef BESTFIT_VISIT
#define BESTFIT_VISIT() ((void)0)
#endif

enum { TRIE_CHILD = 4 }; /* where in a free block child 0 lies, child 1 follows */

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

/* The least key that a block of that many bytes may have. */
HEAP_HOT uint32_t trie_key_from(uint32_t bytes) {
    return class_is_exact(bytes) ? 0
                                 : (bytes - 8) << (32 + CLASS_SPLIT_LOG2 - log2_floor(bytes - 8));
}

HEAP_HOT uint32_t node_block(uint32_t node) {
    return node - HEAP_NODE(0);
}

/* The offset of the link to a child. */
HEAP_HOT uint32_t trie_child(uint32_t b, uint32_t side) {
    return b + TRIE_CHILD + 4 * side;
}

/* The link that leads to block b, or, for a block not entered, the empty one where it belongs. */
HEAP_HOT uint32_t trie_find(const struct heap *h, uint32_t class, uint32_t b, uint32_t key) {
    uint32_t link = class_slot(class);
    uint32_t node = heap_get(h, link);
    while (node != CLASS_NODE_NONE && node != HEAP_NODE(b)) {
        BESTFIT_VISIT();
        link = trie_child(node_block(node), key >> 31);
        key <<= 1;
        node = heap_get(h, link);
    }
    return link;
}

static void trie_insert(struct heap *h, uint32_t b, uint32_t bytes) {
    uint32_t class = class_of(bytes);
    heap_set(h, trie_child(b, 0), CLASS_NODE_NONE);
    heap_set(h, trie_child(b, 1), CLASS_NODE_NONE);
    heap_set(h, trie_find(h, class, b, trie_key(h, b, bytes)), HEAP_NODE(b));
    class_mark(h, class);
}

/* Takes out the block that the link leads to: some leaf below it comes in its place, any is right.
 */
HEAP_HOT void trie_unlink(struct heap *h, uint32_t class, uint32_t link) {
    uint32_t b = node_block(heap_get(h, link));
    uint32_t leaf_link = link;
    uint32_t below = b;
    for (;;) {
        uint32_t side = heap_get(h, trie_child(below, 0)) == CLASS_NODE_NONE;
        uint32_t next = heap_get(h, trie_child(below, side));
        if (next == CLASS_NODE_NONE) {
            break;
        }
        BESTFIT_VISIT();
        leaf_link = trie_child(below, side);
        below = node_block(next);
    }
    heap_set(h, leaf_link, CLASS_NODE_NONE);
    if (below != b) {
        heap_set(h, trie_child(below, 0), heap_get(h, trie_child(b, 0)));
        heap_set(h, trie_child(below, 1), heap_get(h, trie_child(b, 1)));
        heap_set(h, link, HEAP_NODE(below));
    } else if (heap_get(h, class_slot(class)) == CLASS_NODE_NONE) {
        class_clear(h, class);
    }
}

static void trie_remove(struct heap *h, uint32_t b, uint32_t bytes) {
    uint32_t class = class_of(bytes);
    trie_unlink(h, class, trie_find(h, class, b, trie_key(h, b, bytes)));
}

/* The best block seen so far and the link to it. */
struct trie_best {
    uint32_t link;
    uint32_t b;
    uint32_t bytes;
};

HEAP_HOT void trie_consider(const struct heap *h, struct trie_best *best, uint32_t link,
                            uint32_t need) {
    BESTFIT_VISIT();
    uint32_t b = node_block(heap_get(h, link));
    uint32_t bytes = block_size(heap_get(h, b));
    if (bytes >= need && (bytes < best->bytes || (bytes == best->bytes && b < best->b))) {
        *best = (struct trie_best){.link = link, .b = b, .bytes = bytes};
    }
}

/* The link to the least block of the class with at least `need` bytes, 0 if there is none. The path
 * of the key `from` passes all nodes that may be less than those beside it; what lies wholly above
 * `from` and nearest to it is the last subtree on the right that the path did not enter, and the
 * least of that is on the path that keeps left. */
static uint32_t trie_least(const struct heap *h, uint32_t class, uint32_t need, uint32_t from) {
    struct trie_best best = {.link = 0, .b = 0, .bytes = UINT32_MAX};
    uint32_t link = class_slot(class);
    uint32_t above = 0;
    uint32_t node;
    while ((node = heap_get(h, link)) != CLASS_NODE_NONE) {
        trie_consider(h, &best, link, need);
        uint32_t b = node_block(node);
        if (from >> 31 == 0 && heap_get(h, trie_child(b, 1)) != CLASS_NODE_NONE) {
            above = trie_child(b, 1);
        }
        link = trie_child(b, from >> 31);
        from <<= 1;
    }
    if (above == 0) {
        return best.link;
    }
    while ((node = heap_get(h, above)) != CLASS_NODE_NONE) {
        trie_consider(h, &best, above, need);
        uint32_t b = node_block(node);
        above = trie_child(b, heap_get(h, trie_child(b, 0)) == CLASS_NODE_NONE);
    }
    return best.link;
}

static uint32_t trie_take(struct heap *h, uint32_t bytes) {
    uint32_t class = class_of(bytes);
    uint32_t link = trie_least(h, class, bytes, trie_key_from(bytes));
    if (link == 0) {
        class = class_next(h, class);
        if (class == CLASS_MAX) {
            return 0;
        }
        link = trie_least(h, class, 0, 0);
    }
    uint32_t b = node_block(heap_get(h, link));
    trie_unlink(h, class, link);
    return b;
}

/* The mirror of trie_least(): on the path that keeps right. */
static uint32_t trie_largest(const struct heap *h) {
    uint32_t largest = 0;
    uint32_t class = class_last(h);
    uint32_t node = class == CLASS_MAX ? CLASS_NODE_NONE : heap_get(h, class_slot(class));
    while (node != CLASS_NODE_NONE) {
        uint32_t b = node_block(node);
        uint32_t bytes = block_size(heap_get(h, b));
        largest = bytes > largest ? bytes : largest;
        uint32_t right = heap_get(h, trie_child(b, 1));
        node = right != CLASS_NODE_NONE ? right : heap_get(h, trie_child(b, 0));
    }
    return largest;
}

/* ---- check ---- */

enum { TRIE_DEPTH_MAX = 30 };

/* A node still to be looked at: its key's first `depth` bits must be `path`, left-aligned. */
struct trie_todo {
    uint32_t node;
    uint32_t depth;
    uint32_t path;
};

static const char *trie_check_class(const struct heap *h, uint32_t class, uint32_t limit,
                                    struct heap_tally *entered) {
    struct trie_todo todo[TRIE_DEPTH_MAX + 2];
    uint32_t count = 0;
    todo[count++] = (struct trie_todo){.node = heap_get(h, class_slot(class))};
    while (count > 0) {
        struct trie_todo at = todo[--count];
        if (at.node == CLASS_NODE_NONE) {
            continue;
        }
        uint32_t b = node_block(at.node);
        if (!block_seems_free(h, b) || class_of(block_size(heap_get(h, b))) != class) {
            return "a trie holds what is no free block of its class";
        }
        uint32_t key = trie_key(h, b, block_size(heap_get(h, b)));
        if (at.depth > 0 && (key ^ at.path) >> (32 - at.depth) != 0) {
            return "a block hangs at the wrong place of its trie";
        }
        if (entered->blocks == limit || at.depth == TRIE_DEPTH_MAX) {
            return "tries hold more blocks than are free";
        }
        tally_add(entered, b);
        for (uint32_t side = 0; side < 2; side++) {
            todo[count++] = (struct trie_todo){
                .node = heap_get(h, trie_child(b, side)),
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
