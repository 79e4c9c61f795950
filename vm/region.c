/* SPDX-License-Identifier: MIT
 *
 * region.c - the tree of regions
 */
#include "region.h"

#include <assert.h>

/* ---- what a node knows of its subtree ---- */

static int height_of(const struct region *node) {
    return node != NULL ? node->height : 0;
}

static uint32_t larger(uint32_t x, uint32_t y) {
    return x > y ? x : y;
}

static void node_update(struct region *node) {
    const struct region *left = node->left;
    const struct region *right = node->right;
    int higher = height_of(left) > height_of(right) ? height_of(left) : height_of(right);
    node->height = higher + 1;
    node->low = left != NULL ? left->low : node->base;
    node->high = right != NULL ? right->high : node->last;
    uint32_t gap_left = left != NULL ? node->base - left->high - 1 : 0;
    uint32_t gap_right = right != NULL ? right->low - node->last - 1 : 0;
    node->gap = larger(gap_left, gap_right);
    node->gap = larger(node->gap, left != NULL ? left->gap : 0);
    node->gap = larger(node->gap, right != NULL ? right->gap : 0);
}

/* ---- balance ---- */

static struct region *rotate_right(struct region *node) {
    struct region *top = node->left;
    node->left = top->right;
    top->right = node;
    node_update(node);
    node_update(top);
    return top;
}

static struct region *rotate_left(struct region *node) {
    struct region *top = node->right;
    node->right = top->left;
    top->left = node;
    node_update(node);
    node_update(top);
    return top;
}

static struct region *balanced(struct region *node) {
    node_update(node);
    int lean = height_of(node->left) - height_of(node->right);
    if (lean > 1) {
        if (height_of(node->left->left) < height_of(node->left->right)) {
            node->left = rotate_left(node->left);
        }
        return rotate_right(node);
    }
    if (lean < -1) {
        if (height_of(node->right->right) < height_of(node->right->left)) {
            node->right = rotate_right(node->right);
        }
        return rotate_left(node);
    }
    return node;
}

/* ---- changes: recursion as deep as the tree is high ---- */

void region_insert(struct region **root, struct region *region) {
    struct region *node = *root;
    if (node == NULL) {
        region->left = region->right = NULL;
        node_update(region);
        *root = region;
        return;
    }
    assert(region->last < node->base || region->base > node->last);
    region_insert(region->base < node->base ? &node->left : &node->right, region);
    *root = balanced(node);
}

static struct region *lowest_take(struct region **root) {
    struct region *node = *root;
    if (node->left == NULL) {
        *root = node->right;
        return node;
    }
    struct region *lowest = lowest_take(&node->left);
    *root = balanced(node);
    return lowest;
}

void region_remove(struct region **root, struct region *region) {
    struct region *node = *root;
    assert(node != NULL);
    if (node != region) {
        region_remove(region->base < node->base ? &node->left : &node->right, region);
        *root = balanced(node);
        return;
    }
    if (node->right == NULL) {
        *root = node->left;
        return;
    }
    struct region *next = lowest_take(&node->right);
    next->left = node->left;
    next->right = node->right;
    *root = balanced(next);
}

void region_moved(struct region **root, struct region *region) {
    struct region *node = *root;
    assert(node != NULL);
    if (node != region) {
        region_moved(region->base < node->base ? &node->left : &node->right, region);
    }
    node_update(node);
}

/* ---- look-ups ---- */

struct region *region_find(struct region *root, vaddr_t va) {
    while (root != NULL && (va < root->base || va > root->last)) {
        root = va < root->base ? root->left : root->right;
    }
    return root;
}

struct region *region_from(struct region *root, vaddr_t va) {
    struct region *best = NULL;
    while (root != NULL) {
        if (root->last >= va) {
            best = root;
            root = root->left;
        } else {
            root = root->right;
        }
    }
    return best;
}

struct region *region_overlap(struct region *root, vaddr_t base, vaddr_t last) {
    struct region *region = region_from(root, base);
    return region != NULL && region->base <= last ? region : NULL;
}

struct region *region_next(struct region *root, const struct region *region) {
    return region->last == UINT32_MAX ? NULL : region_from(root, region->last + 1);
}

/* Moves *cursor, the lowest address not yet known to be taken, past the subtree; true if on the way
 * a gap was found at *cursor. Of the subtrees entered, all but those on the path to the first
 * cursor have a gap for sure. */
static bool gap_search(const struct region *node, uint64_t bytes, uint64_t *cursor) {
    if (node == NULL || node->high < *cursor) {
        return false;
    }
    if (node->low >= *cursor + bytes) {
        return true;
    }
    if (node->gap < bytes) {
        *cursor = (uint64_t)node->high + 1;
        return false;
    }
    if (gap_search(node->left, bytes, cursor) || node->base >= *cursor + bytes) {
        return true;
    }
    *cursor = node->last >= *cursor ? (uint64_t)node->last + 1 : *cursor;
    return gap_search(node->right, bytes, cursor);
}

vaddr_t region_gap(const struct region *root, uint32_t bytes, vaddr_t base, vaddr_t last) {
    uint64_t cursor = base;
    (void)gap_search(root, bytes, &cursor);
    return bytes > 0 && cursor + bytes <= (uint64_t)last + 1 ? (vaddr_t)cursor : VADDR_NONE;
}

/* ---- check ---- */

const char *region_check(const struct region *root) {
    if (root == NULL) {
        return NULL;
    }
    const char *broken = region_check(root->left);
    broken = broken != NULL ? broken : region_check(root->right);
    if (broken != NULL) {
        return broken;
    }
    if (root->last < root->base || (root->left != NULL && root->left->high >= root->base) ||
        (root->right != NULL && root->right->low <= root->last)) {
        return "regions: overlap or disorder";
    }
    int lean = height_of(root->left) - height_of(root->right);
    struct region again = *root;
    node_update(&again);
    if (lean < -1 || lean > 1) {
        return "regions: the tree is not balanced";
    }
    bool same = again.height == root->height && again.low == root->low &&
                again.high == root->high && again.gap == root->gap;
    return same ? NULL : "regions: a node is wrong about its subtree";
}
