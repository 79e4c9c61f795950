/* SPDX-License-Identifier: MIT
 *
 * bestfit_little.c - best fit without an index, for pools of at most 64 KiB
 *
 *   | trim | struct alloc | block | block | ... | block | 0 | trim |
 *
 *   live block  | header | payload .................. |       8-aligned payloads, hence headers
 *   aligned     | header | payload ..... | alignment |       lie 2 bytes before a multiple of 8
 *   free block  | header | .......................... |
 *
 * A header has 2 bytes: the block's size, a multiple of 8 with the header included, or-ed with two
 * flags. The smallest block has 8 bytes and holds 6. Nothing else is kept: no list, no links, no
 * footers. Whatever is asked, one pass over the blocks answers it, and a header of 0 ends the pass:
 *
 *   alloc    the smallest free block that suffices, of equals the one at the lowest address; the
 *            pass ends early at one that fits exactly
 *   free     the live block whose payload is p, and the free blocks around it, which become one.
 *            What is no start of a payload is not met, so all misuse is refused, whatever payloads
 *            hold
 *
 * Every call is O(blocks): a pool of 64 KiB holds 8190 of the smallest. There are no regions: a
 * second pool is a second heap.
 */
#include "alloc.h"

void *memmove(void *to, const void *from, size_t bytes);

enum { LIVE = 1u, ALIGNED = 2u, FLAGS = 7u, HEADER_BYTES = 2u };

enum { GRANULE = 8u, POOL_MAX = 1u << 16, ALIGN_MAX = 1u << 15 };

/* Lies anywhere in the pool, where the caller may have had anything. */
struct block {
    uint16_t header;
} __attribute__((may_alias));

/* The control structure, which only check() and walk() ask: 6 bytes, then the first block. */
struct alloc {
    uint32_t extent; /* bytes given to init() | bytes trimmed before << 17 | seal << 20 */
    uint16_t seal;   /* more of it, see extent_seal(): check() has to believe the extent */
    struct block first;
};

enum { EXTENT_TRIM = 17, EXTENT_BITS = 20 };

_Static_assert(offsetof(struct alloc, first) == GRANULE - HEADER_BYTES, "payloads are 8-aligned");
_Static_assert(sizeof(struct alloc) == GRANULE, "the same layout on every machine");

extern const struct alloc_ops bestfit_little_ops;

/* ---- blocks ---- */

static struct block *block_at(const struct block *b, uint32_t bytes) {
    return (struct block *)((uintptr_t)b + bytes);
}

static uint32_t block_bytes(const struct block *b) {
    return b->header & ~(uint32_t)FLAGS;
}

static struct block *block_behind(const struct block *b) {
    return block_at(b, block_bytes(b));
}

static bool block_is_live(const struct block *b) {
    return (b->header & LIVE) != 0;
}

static void *block_payload(const struct block *b) {
    return (void *)((uintptr_t)b + HEADER_BYTES);
}

static uint32_t block_usable(const struct block *b) {
    return block_bytes(b) - HEADER_BYTES - (b->header & ALIGNED);
}

/* The alignment a live block was asked to have: ALLOC_ALIGN, or what its last 2 bytes say. */
static uint32_t block_align(const struct block *b) {
    return (b->header & ALIGNED) != 0 ? block_behind(b)[-1].header : ALLOC_ALIGN;
}

/* The size of the block for a request; `flag`: ALIGNED or 0. */
static uint32_t request_block_bytes(size_t request, uint32_t flag) {
    return ((uint32_t)request + flag + HEADER_BYTES + GRANULE - 1) & ~(uint32_t)FLAGS;
}

/* What a block is placed in: [from, to) is free, but for the block itself when it is resized. */
struct hole {
    struct block *from, *to;
};

/* Makes [b, b + need) a live block and the rest of the hole free. */
static void *block_place(struct hole hole, struct block *b, uint32_t need, uint32_t align) {
    struct block *end = block_at(b, need);
    ALLOC_ASSERT(hole.from <= b && end <= hole.to);
    if (end != hole.to) {
        end->header = (uint16_t)((uintptr_t)hole.to - (uintptr_t)end);
    }
    hole.from->header = (uint16_t)((uintptr_t)b - (uintptr_t)hole.from); /* or b's own */
    b->header = (uint16_t)(need | LIVE);
    if (align > ALLOC_ALIGN) {
        b->header |= ALIGNED;
        end[-1].header = (uint16_t)align;
    }
    return block_payload(b);
}

/* The live block with payload p, or NULL; *hole: it and what is free before and behind. */
static struct block *block_find(const struct alloc *a, const void *p, struct hole *hole) {
    struct block *b = (struct block *)(uintptr_t)&a->first;
    hole->from = b;
    for (; b->header != 0; b = hole->to) {
        hole->to = block_behind(b);
        if (!block_is_live(b)) {
            continue;
        }
        if (block_payload(b) == p) {
            if (!block_is_live(hole->to)) {
                hole->to = block_behind(hole->to);
            }
            return b;
        }
        hole->from = hole->to;
    }
    return NULL;
}

/* ---- the pool ---- */

static uint32_t extent_hash(uint32_t extent) {
    uint32_t hash = (extent ^ 0x5EA15EEDu) * 0x9E3779B1u;
    return hash ^ hash >> 15;
}

static struct alloc *little_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    (void)cfg;
    uint32_t trim = (uint32_t)(0 - (uintptr_t)pool) & (GRANULE - 1);
    if (pool == NULL || pool_bytes > POOL_MAX || pool_bytes < trim + 2 * GRANULE) {
        return NULL;
    }
    struct alloc *a = (struct alloc *)((uintptr_t)pool + trim);
    uint32_t extent = (uint32_t)pool_bytes | trim << EXTENT_TRIM;
    uint32_t hash = extent_hash(extent);
    a->extent = extent | hash << EXTENT_BITS;
    a->seal = (uint16_t)(hash >> 16);
    a->first.header = (uint16_t)((((uint32_t)pool_bytes - trim) & ~(uint32_t)FLAGS) - GRANULE);
    block_behind(&a->first)->header = 0;
    return a;
}

/* ---- allocating and giving back ---- */

static void *little_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    if (bytes - 1 >= POOL_MAX || align - 1 >= ALIGN_MAX || (align & (align - 1)) != 0) {
        return NULL;
    }
    uint32_t need = request_block_bytes(bytes, align > ALLOC_ALIGN ? ALIGNED : 0);
    uint32_t best = UINT32_MAX, best_gap = 0;
    struct hole hole = {NULL, NULL};
    for (struct block *b = &a->first; b->header != 0 && best != need; b = block_behind(b)) {
        uint32_t gap = (0 - (uint32_t)(uintptr_t)block_payload(b)) & ((uint32_t)align - 1);
        if (!block_is_live(b) && b->header < best && b->header >= need + gap) {
            best = b->header;
            best_gap = gap;
            hole.from = b;
        }
    }
    if (hole.from == NULL) {
        return NULL;
    }
    hole.to = block_behind(hole.from);
    return block_place(hole, block_at(hole.from, best_gap), need, (uint32_t)align);
}

static void *little_alloc(struct alloc *a, size_t bytes) {
    return little_alloc_aligned(a, bytes, ALLOC_ALIGN);
}

static enum alloc_status little_free(struct alloc *a, void *p) {
    struct hole hole;
    if (p == NULL) {
        return ALLOC_OK;
    }
    if (block_find(a, p, &hole) == NULL) {
        return ALLOC_NOT_LIVE;
    }
    hole.from->header = (uint16_t)((uintptr_t)hole.to - (uintptr_t)hole.from);
    return ALLOC_OK;
}

/* In place, forwards, backwards, and only then elsewhere. Aligned blocks do not slide backwards:
 * their new address would rarely keep the alignment. */
static void *little_realloc(struct alloc *a, void *p, size_t bytes) {
    struct hole hole;
    if (p == NULL) {
        return little_alloc(a, bytes);
    }
    if (bytes == 0) {
        (void)little_free(a, p);
        return NULL;
    }
    struct block *b = block_find(a, p, &hole);
    if (b == NULL || bytes > POOL_MAX) {
        return NULL;
    }
    uint32_t usable = block_usable(b);
    uint32_t flag = b->header & ALIGNED;
    uint32_t align = block_align(b);
    uint32_t need = request_block_bytes(bytes, flag);
    if (need <= (uintptr_t)hole.to - (uintptr_t)b) {
        hole.from = b;
    } else if (flag != 0 || need > (uintptr_t)hole.to - (uintptr_t)hole.from) {
        void *elsewhere = little_alloc_aligned(a, bytes, align);
        if (elsewhere != NULL) {
            memmove(elsewhere, p, usable);
            (void)little_free(a, p);
        }
        return elsewhere;
    } else {
        memmove(block_payload(hole.from), p, usable);
    }
    return block_place(hole, hole.from, need, align);
}

/* ---- asking ---- */

static size_t little_usable(const struct alloc *a, const void *p) {
    struct hole hole;
    const struct block *b = block_find(a, p, &hole);
    return b != NULL ? block_usable(b) : 0;
}

static size_t little_largest(const struct alloc *a) {
    uint32_t largest = HEADER_BYTES;
    for (const struct block *b = &a->first; b->header != 0; b = block_behind(b)) {
        if (!block_is_live(b) && b->header > largest) {
            largest = b->header;
        }
    }
    return largest - HEADER_BYTES;
}

/* ---- looking at it ---- */

/* What init() was given, told by a sound control structure. */
static uintptr_t pool_begin(const struct alloc *a) {
    return (uintptr_t)a - (a->extent >> EXTENT_TRIM & (GRANULE - 1));
}

static uint32_t pool_bytes_of(const struct alloc *a) {
    return a->extent & ((1u << EXTENT_TRIM) - 1);
}

static void little_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    uintptr_t begin = pool_begin(a);
    const struct block *b = &a->first;
    struct alloc_piece piece = {ALLOC_PIECE_META, (void *)begin, (uintptr_t)b - begin, NULL, 0};
    bool goes_on = visit(ctx, &piece);
    for (; goes_on && b->header != 0; b = block_behind(b)) {
        piece = block_is_live(b) ? (struct alloc_piece){ALLOC_PIECE_LIVE, b, block_bytes(b),
                                                        block_payload(b), block_usable(b)}
                                 : (struct alloc_piece){ALLOC_PIECE_FREE, b, block_bytes(b), NULL,
                                                        block_usable(b)};
        goes_on = visit(ctx, &piece);
    }
    if (goes_on) {
        size_t rest = pool_bytes_of(a) - ((uintptr_t)b - begin);
        piece = (struct alloc_piece){ALLOC_PIECE_META, b, rest, NULL, 0};
        (void)visit(ctx, &piece);
    }
}

static void little_stats(const struct alloc *a, struct alloc_stats *out) {
    alloc_stats_by_walk(&bestfit_little_ops, a, out);
}

/* NULL if the extent is one that init() wrote here, else the broken rule. */
static const char *extent_check(const struct alloc *a) {
    uint32_t hash = extent_hash(a->extent & ((1u << EXTENT_BITS) - 1));
    if (a->extent >> EXTENT_BITS != (hash & 0xFFF) || a->seal != hash >> 16) {
        return "control structure: seal does not match";
    }
    uint32_t bytes = pool_bytes_of(a);
    uint32_t trim = (uint32_t)((uintptr_t)a - pool_begin(a));
    bool possible = bytes <= POOL_MAX && bytes >= trim + 2 * GRANULE;
    return possible ? NULL : "control structure: a pool of impossible size";
}

/* `room`: bytes up to the closing header. */
static const char *block_check(const struct block *b, uint32_t room) {
    uint32_t bytes = block_bytes(b);
    uint32_t flags = b->header & FLAGS;
    if (bytes == 0 || bytes > room) {
        return "block: reaches beyond the pool";
    }
    if (flags == 0) {
        bool joined = bytes == room || block_is_live(block_behind(b));
        return joined ? NULL : "free block: the block behind is free too";
    }
    if ((flags & ~(uint32_t)ALIGNED) != LIVE) {
        return "block: impossible flags";
    }
    if (flags == LIVE) {
        return NULL;
    }
    uint32_t align = block_align(b);
    bool kept = align > ALLOC_ALIGN && (align & (align - 1)) == 0 &&
                ((uintptr_t)block_payload(b) & (align - 1)) == 0;
    return kept ? NULL : "aligned block: does not lie as it was asked to";
}

static const char *little_check(const struct alloc *a) {
    const char *broken = extent_check(a);
    if (broken != NULL) {
        return broken;
    }
    uint32_t room =
        ((pool_bytes_of(a) - (uint32_t)((uintptr_t)a - pool_begin(a))) & ~(uint32_t)FLAGS) -
        GRANULE;
    const struct block *b = &a->first;
    while (room != 0) {
        broken = block_check(b, room);
        if (broken != NULL) {
            return broken;
        }
        room -= block_bytes(b);
        b = block_behind(b);
    }
    return b->header == 0 ? NULL : "closing header: not 0";
}

const struct alloc_ops bestfit_little_ops = {
    .abi = ALLOC_ABI,
    .caps =
        ALLOC_CAP_FREES | ALLOC_CAP_COALESCES | ALLOC_CAP_DETECTS_MISUSE | ALLOC_CAP_EXACT_MISUSE,
    .name = "bestfit_little",
    .summary = "best fit by walking the blocks; pools up to 64 KiB, smallest code",
    .pool_max = POOL_MAX,
    .init = little_init,
    .alloc = little_alloc,
    .alloc_aligned = little_alloc_aligned,
    .realloc = little_realloc,
    .free = little_free,
    .usable = little_usable,
    .largest = little_largest,
    .walk = little_walk,
    .stats = little_stats,
    .check = little_check,
};
