/* SPDX-License-Identifier: MIT
 * shadow.c - a treap of live blocks; its priorities are a hash of the slot, so it needs no dice. */
#include "shadow.h"

#include <assert.h>
#include <string.h>

size_t shadow_bytes(uint32_t slot_count) {
    return sizeof(struct shadow) + (size_t)slot_count * sizeof(struct shadow_block);
}

void shadow_init(struct shadow *shadow, uint32_t slot_count) {
    memset(shadow, 0, shadow_bytes(slot_count));
    shadow->root = SHADOW_NONE;
    shadow->lowest = SHADOW_NONE;
    shadow->slot_count = slot_count;
}

void shadow_clear(struct shadow *shadow) {
    while (shadow->root != SHADOW_NONE) {
        shadow_remove(shadow, shadow->root);
    }
}

static uint32_t slot_priority(uint32_t slot) {
    uint32_t x = (slot + 1) * 0x9E3779B1u;
    x = (x ^ (x >> 15)) * 0x85EBCA77u;
    return x ^ (x >> 13);
}

uint32_t shadow_overlap(const struct shadow *shadow, uintptr_t start, size_t bytes) {
    for (uint32_t at = shadow->root; at != SHADOW_NONE;) {
        const struct shadow_block *block = &shadow->blocks[at];
        if (block->start < start) {
            if (start - block->start < block->usable_bytes) {
                return at;
            }
            at = block->right;
        } else {
            if (block->start - start < bytes) {
                return at;
            }
            at = block->left;
        }
    }
    return SHADOW_NONE;
}

struct shadow_pair shadow_around(const struct shadow *shadow, uintptr_t address) {
    struct shadow_pair around = {SHADOW_NONE, SHADOW_NONE};
    for (uint32_t at = shadow->root; at != SHADOW_NONE;) {
        const struct shadow_block *block = &shadow->blocks[at];
        if (block->start <= address) {
            around.below = at;
            at = block->right;
        } else {
            around.above = at;
            at = block->left;
        }
    }
    return around;
}

uint32_t shadow_pair_overlap(const struct shadow *shadow, struct shadow_pair around,
                             uintptr_t start, size_t bytes) {
    const struct shadow_block *blocks = shadow->blocks;
    if (around.below != SHADOW_NONE &&
        start - blocks[around.below].start < blocks[around.below].usable_bytes) {
        return around.below;
    }
    return around.above != SHADOW_NONE && blocks[around.above].start - start < bytes ? around.above
                                                                                     : SHADOW_NONE;
}

/* Parts the tree under *from by address: what starts below `start` is hung on *low, the rest on
 * *high. */
static void tree_split(struct shadow *shadow, uint32_t from, uintptr_t start, uint32_t *low,
                       uint32_t *high) {
    while (from != SHADOW_NONE) {
        struct shadow_block *block = &shadow->blocks[from];
        if (block->start < start) {
            *low = from;
            low = &block->right;
            from = block->right;
        } else {
            *high = from;
            high = &block->left;
            from = block->left;
        }
    }
    *low = SHADOW_NONE;
    *high = SHADOW_NONE;
}

/* Where the slot's neighbours lead to in address order: from the one below upwards, and back. */
static void neighbours_link(struct shadow *shadow, struct shadow_pair around, uint32_t above,
                            uint32_t below) {
    *(around.below != SHADOW_NONE ? &shadow->blocks[around.below].above : &shadow->lowest) = above;
    if (around.above != SHADOW_NONE) {
        shadow->blocks[around.above].below = below;
    }
}

void shadow_insert(struct shadow *shadow, uint32_t slot, struct shadow_pair around) {
    assert(slot < shadow->slot_count);
    struct shadow_block *block = &shadow->blocks[slot];
    assert(!block->live);
    uint32_t *link = &shadow->root;
    while (*link != SHADOW_NONE && slot_priority(*link) > slot_priority(slot)) {
        struct shadow_block *parent = &shadow->blocks[*link];
        link = block->start < parent->start ? &parent->left : &parent->right;
    }
    uint32_t below = *link;
    *link = slot;
    tree_split(shadow, below, block->start, &block->left, &block->right);
    block->below = around.below;
    block->above = around.above;
    neighbours_link(shadow, around, slot, slot);
    block->live = true;
    shadow->live_count++;
}

void shadow_remove(struct shadow *shadow, uint32_t slot) {
    assert(slot < shadow->slot_count);
    struct shadow_block *block = &shadow->blocks[slot];
    assert(block->live);
    uint32_t *link = &shadow->root;
    while (*link != slot) {
        assert(*link != SHADOW_NONE);
        struct shadow_block *parent = &shadow->blocks[*link];
        link = block->start < parent->start ? &parent->left : &parent->right;
    }
    uint32_t low = block->left;
    uint32_t high = block->right;
    while (low != SHADOW_NONE &&
           high != SHADOW_NONE) { /* join the two: the heavier root is above */
        if (slot_priority(low) > slot_priority(high)) {
            *link = low;
            link = &shadow->blocks[low].right;
            low = *link;
        } else {
            *link = high;
            link = &shadow->blocks[high].left;
            high = *link;
        }
    }
    *link = low != SHADOW_NONE ? low : high;
    neighbours_link(shadow, (struct shadow_pair){block->below, block->above}, block->above,
                    block->below);
    block->live = false;
    shadow->live_count--;
}
