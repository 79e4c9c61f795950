/* SPDX-License-Identifier: MIT
 *
 * region.h - regions of a space, in a balanced tree that also knows the gaps
 *
 *                   [ 5000-5fff ]          each node keeps, for its subtree: the lowest and highest
 *            [ 1000-2fff ]   [ 9000-9fff ]  address, and the widest gap between two regions
 *
 * An AVL tree (Adelson-Velsky and Landis 1962; Knuth, TAOCP vol. 3, 6.2.3) by address. The widest
 * gap lets the first one that is wide enough be found without looking at the regions before it. All
 * functions are O(log regions). Ranges are kept by their last byte: none wraps.
 */
#ifndef HEAPRIG_VM_REGION_H
#define HEAPRIG_VM_REGION_H

#include "vm.h"

/* LiteOS' VM_MAP_REGION_FLAG_... */
enum region_flag {
    REGION_UNCACHED = 1u << 0, /* bits 0 and 1 are the memory type: 0 cached, 1 uncached, */
    REGION_DEVICE = 2u << 0,   /* 2 device, 3 strongly ordered */
    REGION_MEMORY = 3u << 0,
    REGION_USER = 1u << 2,
    REGION_READ = 1u << 3,
    REGION_WRITE = 1u << 4,
    REGION_EXECUTE = 1u << 5,
    REGION_SHARED = 1u << 7,
    REGION_PRIVATE = 1u << 8,
    REGION_STACK = 1u << 9,
    REGION_HEAP = 1u << 10,
    REGION_DATA = 1u << 11,
    REGION_TEXT = 1u << 12,
    REGION_BSS = 1u << 13,
    REGION_VDSO = 1u << 14,
    REGION_MMAP = 1u << 15,
    REGION_SHM = 1u << 16,
    REGION_FIXED = 1u << 17,           /* how it was asked for; not kept */
    REGION_FIXED_NOREPLACE = 1u << 18, /* the same */
    REGION_LITEIPC = 1u << 19,
    REGION_RIGHTS = REGION_READ | REGION_WRITE | REGION_EXECUTE,
};

enum region_kind {
    REGION_NONE,   /* reserved, or made by who fills it: nothing is paged in */
    REGION_ANON,   /* zeros until written */
    REGION_FILE,   /* pages of a file */
    REGION_DEV,    /* physical pages given, present from the start */
    REGION_SEGMENT /* of a shared memory segment, present from the start */
};

struct file;
struct attach;
struct space;

struct region {
    vaddr_t base;
    vaddr_t last; /* inclusive */
    uint32_t flags;
    enum region_kind kind;
    struct space *space;
    uint32_t offset; /* page of the file or segment that base shows */
    struct file *file;
    struct region *file_next, *file_prev; /* regions of the same file contents */
    struct attach *attach;                /* of a shared segment */
    /* the tree's own */
    struct region *left, *right;
    vaddr_t low, high; /* of the subtree */
    uint32_t gap;      /* bytes of the widest gap between two regions of the subtree */
    int height;
};

static inline uint32_t region_bytes(const struct region *region) {
    return region->last - region->base + 1;
}

/* Adds a region that overlaps none; takes one out that is in. */
void region_insert(struct region **root, struct region *region);
void region_remove(struct region **root, struct region *region);

/* The region that contains va, or NULL. */
struct region *region_find(struct region *root, vaddr_t va);

/* The lowest region that ends at va or behind it, or NULL. */
struct region *region_from(struct region *root, vaddr_t va);

/* The lowest region that overlaps [base, last], or NULL. */
struct region *region_overlap(struct region *root, vaddr_t base, vaddr_t last);

/* The region after this one, or NULL. */
struct region *region_next(struct region *root, const struct region *region);

/* Where the first gap of `bytes` bytes in [base, last] starts; VADDR_NONE if there is none. */
vaddr_t region_gap(const struct region *root, uint32_t bytes, vaddr_t base, vaddr_t last);

/* After the bounds of a region in the tree were moved, without passing another's. */
void region_moved(struct region **root, struct region *region);

/* NULL if order, balance and what nodes keep of their subtrees are right, else the broken rule.
 * O(regions). */
const char *region_check(const struct region *root);

#endif
