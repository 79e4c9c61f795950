/* SPDX-License-Identifier: MIT
 *
 * heap_layout.h - what the boundary-tag heaps (tlsf, bestfit) look like in memory
 *
 * A heap manages one stretch of memory: the pool, or one region added to it later. All references
 * are byte offsets from the start of its control structure, 32 bits wide on every machine.
 *
 *   0         first                       top                    end
 *   | control | block | block | ... | block | wilderness ........ | W |
 *
 * Blocks tile [first, top). The wilderness [top, end) is free and in no index: freeing its
 * neighbour moves top down, and blocks are carved from it only after the index has nothing that
 * fits. The word at top always reads HEAP_FREE with size 0; when the wilderness is empty it is the
 * closing word W.
 *
 *   live block  | header | payload .......................... |
 *   aligned     | header | payload ............... | alignment |
 *   free block  | header | link | link | ..... | footer: size |
 *               b        b+4    b+8            b+size-4
 *
 * A header is a block's size (a multiple of 8, the header included) or-ed with three flags.
 * Payloads are 8-aligned, hence b = 4 modulo 8. The footer lets the next block, whose header says
 * HEAP_PREV_FREE, find the start of this one. No two free blocks touch, and none touches the
 * wilderness.
 *
 * Misuse. A word that may stand where a dead block's header stood must never read as the header of
 * a live block: headers swallowed by a neighbour keep HEAP_FREE, and links are kept odd, that is
 * with HEAP_FREE set (HEAP_NODE). Footers and headers of later blocks cannot land there unless a
 * part of the dead block is handed out again.
 */
#ifndef HEAPRIG_HEAP_LAYOUT_H
#define HEAPRIG_HEAP_LAYOUT_H

#include "alloc.h"

/* Hot paths are inlined into each allocator, together with its index; what is rare stays outside so
 * that hot paths save few registers. */
#ifdef __OPTIMIZE_SIZE__
#define HEAP_HOT static inline
#else
#define HEAP_HOT static inline __attribute__((always_inline))
#endif
#define HEAP_COLD static __attribute__((noinline, cold, unused))

/* HEAP_FORGET: compilers shall not know how VALUE was computed; else they keep an offset and its
 * address, or a class and its slot, side by side in registers that they then save. HEAP_OWN: a part
 * of a hot function that saves registers the rest need not. ARMv7 has registers enough. */
#if UINTPTR_MAX > UINT32_MAX
#define HEAP_FORGET(VALUE) __asm__("" : "+r"(VALUE))
#define HEAP_OWN           static __attribute__((noinline))
#else
#define HEAP_OWN           HEAP_HOT
#define HEAP_FORGET(VALUE) ((void)0)
#endif

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);

enum {
    HEAP_FREE = 1u,      /* the block is free */
    HEAP_PREV_FREE = 2u, /* the block before it is free; never set in a free block */
    HEAP_ALIGNED = 4u,   /* a live block from alloc_aligned(): its last word is the alignment */
    HEAP_FLAGS = 7u,
    HEAP_BLOCK_MIN = 16u,  /* header, two links, footer */
    HEAP_HEADER_BYTES = 4u /* a payload is this much smaller than its block */
};

#define HEAP_ALIGN_MAX ((size_t)1 << 31)

/* The control structure of every heap; an index appends its own. */
struct heap {
    uint32_t top;   /* offset of the wilderness */
    uint32_t end;   /* offset of the closing word */
    uint32_t first; /* offset of the first block */
    uint32_t next;  /* distance to the heap of the next region; 0: none */
    uint32_t seal;  /* bytes trimmed before (bits 0-2) and behind (bits 3-5), and a checksum of all
                       fields but top: check() trusts no size it cannot confirm */
};

/* A set of free blocks: as many blocks, and a sum over a hash of each one's offset. */
struct heap_tally {
    uint32_t blocks;
    uint32_t hash;
};

/* A free block taken out of the index; of 0 bytes when there is none. */
struct heap_found {
    uint32_t b;
    uint32_t bytes;
};
#define HEAP_FOUND_NONE ((struct heap_found){0, 0})

/* What tells the allocators apart: how free blocks are found. Block offsets are never 0. */
struct heap_index_ops {
    const struct alloc_ops *ops; /* the allocator itself, for what is built from its parts */

    /* Bytes of the whole control structure for a heap whose closing word is at `end`. */
    uint32_t (*control_bytes)(uint32_t end);

    /* Sets up the appended part; h->end and h->first are valid. */
    void (*format)(struct heap *h);

    /* Enters the free block b; its header and footer are written. */
    void (*insert)(struct heap *h, size_t b, uint32_t bytes);

    /* Takes the free block b out. */
    void (*remove)(struct heap *h, size_t b, uint32_t bytes);

    /* Whether there is a block of exactly the size for a small request, given by its granules, and
     * takes it out: the one that take() would find. */
    bool (*has_equal)(const struct heap *h, size_t granules);
    uint32_t (*take_equal)(struct heap *h, size_t granules);

    /* Takes out a block of at least `bytes`, a multiple of 8, if one can be found. */
    struct heap_found (*take)(struct heap *h, uint32_t bytes);

    /* The largest `bytes`, up to which take() succeeds always; 0 when there is none. */
    uint32_t (*largest)(const struct heap *h);

    /* NULL if exactly the blocks counted in *all are in the index, each where it belongs, else the
     * broken rule. Reads only [0, top) of the heap, whatever it contains. */
    const char *(*check)(const struct heap *h, const struct heap_tally *all);
};

/* One word of the pool, which the caller may have used as anything before. */
struct heap_word {
    uint32_t value;
} __attribute__((may_alias));

/* The word `field` bytes from an offset. An offset is a size_t where it is used at once, so that
 * nothing needs to widen it, and a uint32_t where it is kept; the compiler folds a constant field
 * into the access. */
HEAP_HOT uint32_t heap_get_at(const struct heap *h, size_t offset, ptrdiff_t field) {
    return ((const struct heap_word *)((const unsigned char *)h + offset + field))->value;
}

HEAP_HOT void heap_set_at(struct heap *h, size_t offset, ptrdiff_t field, uint32_t value) {
    ((struct heap_word *)((unsigned char *)h + offset + field))->value = value;
}

HEAP_HOT uint32_t heap_get(const struct heap *h, size_t offset) {
    return heap_get_at(h, offset, 0);
}

HEAP_HOT void heap_set(struct heap *h, size_t offset, uint32_t value) {
    heap_set_at(h, offset, 0, value);
}

HEAP_HOT uint32_t block_size(uint32_t header) {
    return header & ~(uint32_t)HEAP_FLAGS;
}

HEAP_HOT void *block_payload(struct heap *h, size_t b) {
    return (unsigned char *)h + b + HEAP_HEADER_BYTES;
}

/* Writes header and footer of the free block b. */
HEAP_HOT void block_mark_free(struct heap *h, size_t b, size_t bytes) {
    ALLOC_ASSERT(b % 8 == 4 && b >= h->first);
    ALLOC_ASSERT(bytes % 8 == 0 && bytes >= HEAP_BLOCK_MIN);
    heap_set(h, b, (uint32_t)bytes | HEAP_FREE);
    heap_set_at(h, b + bytes, -4, (uint32_t)bytes);
}

/* What the block for a request has beyond its first 8 bytes, in granules, of which it has one at
 * least. As wide as the request. */
#define REQUEST_GRANULES(request) (((request) + HEAP_HEADER_BYTES - 1) / 8)

/* The size of the block for a request: 1..12 -> 16, 13..20 -> 24, 21..28 -> 32. */
HEAP_HOT uint32_t request_block_bytes(uint32_t request) {
    uint32_t granules = REQUEST_GRANULES(request);
    return 8 * (granules == 0 ? 1 : granules) + 8;
}

/* Offset of the first block behind a control structure of that many bytes. */
static inline uint32_t heap_first_after(uint32_t control_bytes) {
    return (control_bytes + 3) / 8 * 8 + 4;
}

/* Up to the largest request of an exact class (heap_classes.h), so that compilers make one test of
 * both. No sum of sizes overflows then: the index and the wilderness know by themselves when they
 * have no room. */
enum { REQUEST_SMALL_MAX = 252, REQUEST_GRANULES_MAX = (REQUEST_SMALL_MAX + 3) / 8 };

HEAP_HOT bool request_is_small(size_t request) {
    return request - 1 < REQUEST_SMALL_MAX;
}

/* The granules of a small request: 1..12 -> 1, 13..20 -> 2. Compilers would ask for the 0 by a
 * branch. */
HEAP_HOT size_t request_granules(size_t request) {
    size_t granules = REQUEST_GRANULES(request);
    __asm__("" : "+r"(granules));
    return granules + (granules == 0);
}

HEAP_HOT uint32_t granules_block_bytes(size_t granules) {
    return (uint32_t)(8 * granules + 8);
}

/* Whether no block of this heap could ever serve the request; 0 is refused as well. */
HEAP_HOT bool request_is_hopeless(const struct heap *h, size_t request) {
    return !request_is_small(request) && request - 1 >= h->end - h->first - HEAP_HEADER_BYTES;
}

/* Bytes of a live block that are not payload, told by its header. */
HEAP_HOT uint32_t block_overhead(uint32_t header) {
    return HEAP_HEADER_BYTES + (header & HEAP_ALIGNED); /* 4, or 8 */
}

/* The alignment a live block was asked to have: ALLOC_ALIGN, or what its last word says. */
static inline uint32_t block_align(const struct heap *h, size_t b) {
    uint32_t header = heap_get(h, b);
    return (header & HEAP_ALIGNED) != 0 ? heap_get(h, b + block_size(header) - 4) : ALLOC_ALIGN;
}

/* How free blocks refer to each other: odd, so that a link is never taken for a live header. Field
 * f of the block is field f + HEAP_NODE_FIELD of its node. */
#define HEAP_NODE(b) ((b) + 1u)
enum { HEAP_NODE_FIELD = -1 };

HEAP_HOT uint32_t node_block(size_t node) {
    return (uint32_t)node - HEAP_NODE(0);
}

HEAP_HOT uint32_t node_bytes(const struct heap *h, size_t node) {
    return block_size(heap_get_at(h, node, HEAP_NODE_FIELD));
}

HEAP_HOT struct heap *heap_next(const struct heap *h) {
    return h->next != 0 ? (struct heap *)((uintptr_t)h + h->next) : NULL;
}

static inline uint32_t heap_trim_before(const struct heap *h) {
    return h->seal & 7;
}

static inline uint32_t heap_trim_behind(const struct heap *h) {
    return (h->seal >> 3) & 7;
}

/* The seal belonging to the fields as they are and the given trims. */
static inline uint32_t heap_seal(const struct heap *h, uint32_t trims) {
    uint32_t sum = (h->end ^ trims << 26) * 0x9E3779B1u;
    sum = (sum ^ sum >> 15 ^ h->first) * 0x85EBCA77u;
    sum = (sum ^ sum >> 13 ^ h->next) * 0xC2B2AE3Du;
    return ((sum ^ sum >> 16) & ~63u) | trims;
}

#endif
