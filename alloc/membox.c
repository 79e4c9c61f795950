/* SPDX-License-Identifier: MIT
 *
 * membox.c - blocks of one size, no overhead inside them
 *
 *   area  | trim | block n | ... | block 2 | block 1 | struct alloc | used bits | trim |
 *                ^ handed out first                    ^ handle
 *
 * 1. One used bit a block, outside the blocks. Whatever is written into payloads, a pointer is
 *    accepted by free() iff it is the start of a block whose bit is set.
 * 2. Free blocks form a stack: its top is in the control structure, each link the number of the
 * next block, in the block's own first bytes. Blocks 1 to `fresh` were never used and carry no
 *    link, so init() writes the bits only.
 * 3. From address to number without division (Granlund and Montgomery, Division by Invariant
 *    Integers using Multiplication, PLDI 1994, section 9). Let block bytes = odd << twist and
 *    inverse * odd = 1 modulo 2^W, W the width of a pointer. Both x -> x * inverse and a rotation
 *    are one-to-one on W-bit words. They take m * odd << twist to m << twist and that to m, as long
 *    as m << twist < 2^W, which holds for block m, m blocks below the control structure. So the
 * result is one of 1..n for the starts of blocks and for no other distance: one comparison finds
 *    foreign, interior and misaligned pointers. (0 is the control structure; its bit is clear.)
 *
 * A block size is rounded up to a multiple of 4. Blocks begin at the area's first 8-aligned byte
 * (4-aligned, if their size is not a multiple of 8), so they lie as the pool does: 64-byte blocks
 * in a pool aligned to cache lines are cache lines. alloc_aligned() serves an alignment iff it
 * divides the block size and the address of the blocks, in the pool or a region with a block left.
 *
 * Each region is a box of its own. All functions are O(1), those that leave the pool for its
 * regions O(regions); init() and add_region() are O(blocks / 8), walk(), stats() and check()
 * O(blocks).
 */
#include "area.h"

enum { DEFAULT_BLOCK_BYTES = 64, LINK_BYTES = 4, WORD_BITS = 32 };

enum { NO_BLOCK = 0 }; /* in links: the stack ends here */

/* What used bits are looked at through. x86-64 tells a bit of a word by its number modulo 32 in one
 * instruction, others shift a 1 by it and find a byte sooner. Bit n is the same one either way. */
#ifdef __x86_64__
typedef uint32_t used_bits;
#else
typedef uint8_t used_bits;
#endif
enum { BITS = sizeof(used_bits) * 8 };
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "bit n of words is bit n of bytes");

/* A box: the pool, or one of its regions. */
struct alloc {
    struct area area;   /* unit_bytes is the block size */
    uint32_t free_head; /* top of the free stack, or NO_BLOCK */
    uint32_t twist;     /* rule 3 */
    uint64_t inverse;   /* rule 3; behind twist: one load of both on ARMv7 */
    uint64_t count;     /* blocks */
    uint32_t fresh;     /* blocks 1 to fresh were never used */
    used_bits used[];   /* a bit for each block, and bit 0, in whole words */
};

_Static_assert(offsetof(struct alloc, used) == 52, "the same layout on every machine");

extern const struct alloc_ops membox_ops;

/* ---- geometry ---- */

/* What follows from the size of an area and of its blocks. */
struct geometry {
    uint32_t lead; /* bytes before the control structure */
    uint32_t count;
};

/* Bytes before the control structure, to make it 8-aligned behind `count` blocks. */
static uint64_t lead_bytes(uintptr_t begin, uint32_t count, uint32_t block_bytes) {
    uint64_t blocks_bytes = (uint64_t)count * block_bytes;
    return blocks_bytes + ((0 - (uint64_t)begin - blocks_bytes) & (ALLOC_ALIGN - 1));
}

static uint64_t control_bytes(uint32_t count) {
    return offsetof(struct alloc, used) + ((uint64_t)count / WORD_BITS + 1) * (WORD_BITS / 8);
}

/* As many blocks as fit; none if not even one does. Bisection, as there may be no divide
 * instruction: the bytes needed grow with the count. */
static struct geometry geometry_of(uintptr_t begin, size_t bytes, uint32_t block_bytes) {
    uint32_t count = 0;
    for (uint32_t step = 1u << 30; step > 0; step >>= 1) {
        uint32_t more = count + step;
        if (lead_bytes(begin, more, block_bytes) + control_bytes(more) <= bytes) {
            count = more;
        }
    }
    return (struct geometry){(uint32_t)lead_bytes(begin, count, block_bytes), count};
}

/* The inverse of an odd number modulo 2^64. odd * odd = 1 modulo 8 gives three right bits, each of
 * Newton's steps doubles them: 3, 6, 12, 24, 48, 96. */
static uint64_t odd_inverse(uint64_t odd) {
    uint64_t inverse = odd;
    for (int bits = 3; bits < 64; bits *= 2) {
        inverse *= 2 - odd * inverse;
    }
    ALLOC_ASSERT(odd * inverse == 1);
    return inverse;
}

/* ---- blocks and their bits ---- */

static void *block_at(const struct alloc *box, uint32_t number) {
    return (void *)((uintptr_t)box - (uintptr_t)number * box->area.unit_bytes);
}

static uintptr_t word_rotate_right(uintptr_t word, uint32_t count) {
    return word >> count | word << ((0 - count) & (sizeof(word) * 8 - 1));
}

/* Rule 3: the number of the block that starts at p, or 0, or more than count. */
static uintptr_t block_number(const struct alloc *box, const void *p) {
    uintptr_t distance = (uintptr_t)box - (uintptr_t)p;
    return word_rotate_right(distance * (uintptr_t)box->inverse, box->twist);
}

static bool block_used(const struct alloc *box, uint32_t number) {
    return (box->used[number / BITS] >> number % BITS & 1) != 0;
}

/* In its byte or word. */
static uint32_t block_bit(uintptr_t number) {
    return (uint32_t)1 << number % BITS;
}

static void block_set_used(struct alloc *box, uint32_t number) {
    ALLOC_ASSERT(number - 1 < box->count && !block_used(box, number));
    box->used[number / BITS] |= (used_bits)block_bit(number);
}

/* ---- boxes ---- */

static struct alloc *box_next(const struct alloc *box) {
    return (struct alloc *)area_next(&box->area);
}

static bool box_full(const struct alloc *box) {
    return box->free_head == NO_BLOCK && box->fresh == 0;
}

/* Takes the top of the free stack. */
static inline void *box_pop(struct alloc *box, uint32_t number) {
    uint32_t *block = block_at(box, number);
    box->free_head = *block;
    block_set_used(box, number);
    return block;
}

/* Takes the last of the blocks that were never used. */
static inline void *box_open(struct alloc *box, uint32_t number) {
    box->fresh = number - 1;
    block_set_used(box, number);
    return block_at(box, number);
}

/* Takes any free block of a box that is not full. */
static void *box_take(struct alloc *box) {
    ALLOC_ASSERT(!box_full(box));
    return box->free_head != NO_BLOCK ? box_pop(box, box->free_head) : box_open(box, box->fresh);
}

/* Fills in all but the area; `zeroed`: the bits are 0 already. */
static void box_format(struct alloc *box, uint32_t count, bool zeroed) {
    uint32_t block_bytes = box->area.unit_bytes;
    box->twist = (uint32_t)__builtin_ctz(block_bytes);
    box->inverse = odd_inverse(block_bytes >> box->twist);
    box->count = count;
    box->free_head = NO_BLOCK;
    box->fresh = count;
    if (!zeroed) {
        __builtin_memset(box->used, 0, (size_t)control_bytes(count) - offsetof(struct alloc, used));
    }
}

static struct alloc *membox_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    uint32_t block_bytes = cfg != NULL ? cfg->block_bytes : 0;
    if (block_bytes == 0) {
        block_bytes = DEFAULT_BLOCK_BYTES;
    }
    if (pool == NULL || pool_bytes > ALLOC_POOL_MAX || block_bytes > ALLOC_POOL_MAX) {
        return NULL;
    }
    block_bytes = (block_bytes + LINK_BYTES - 1) & ~(uint32_t)(LINK_BYTES - 1);
    struct geometry geometry = geometry_of((uintptr_t)pool, pool_bytes, block_bytes);
    if (geometry.count == 0) {
        return NULL;
    }
    struct alloc *box = (struct alloc *)((uintptr_t)pool + geometry.lead);
    area_found(&box->area, pool_bytes, geometry.lead, block_bytes);
    box_format(box, geometry.count, cfg != NULL && cfg->zeroed);
    return box;
}

static bool membox_add_region(struct alloc *a, void *mem, size_t bytes) {
    if (!area_admits(&a->area, mem, bytes)) {
        return false;
    }
    struct geometry geometry = geometry_of((uintptr_t)mem, bytes, a->area.unit_bytes);
    if (geometry.count == 0) {
        return false;
    }
    struct alloc *box = (struct alloc *)((uintptr_t)mem + geometry.lead);
    area_insert(&a->area, &box->area, bytes, geometry.lead);
    box_format(box, geometry.count, false);
    return true;
}

/* ---- allocating ---- */

static bool box_serves(const struct alloc *box, size_t align) {
    uintptr_t common = (uintptr_t)box | box->area.unit_bytes;
    return !box_full(box) && (common & (align - 1)) == 0;
}

static void *membox_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    if (bytes - 1 >= a->area.unit_bytes || align == 0 || (align & (align - 1)) != 0) {
        return NULL;
    }
    for (struct alloc *box = a; box != NULL; box = box_next(box)) {
        if (box_serves(box, align)) {
            return box_take(box);
        }
    }
    return NULL;
}

/* The first box is full. */
static __attribute__((noinline)) void *region_alloc(struct alloc *a) {
    return membox_alloc_aligned(a, 1, 1);
}

static void *membox_alloc(struct alloc *a, size_t bytes) {
    if (bytes - 1 >= a->area.unit_bytes) {
        return NULL;
    }
    uint32_t number = a->free_head;
    if (number != NO_BLOCK) {
        return box_pop(a, number);
    }
    number = a->fresh;
    return number != 0 ? box_open(a, number) : region_alloc(a);
}

/* ---- giving back ---- */

/* The live block that starts at p; else why there is none. */
static enum alloc_status block_find(const struct alloc *a, const void *p, struct alloc **box,
                                    uint32_t *number) {
    *box = (struct alloc *)area_find((struct area *)(uintptr_t)&a->area, p);
    if (*box == NULL || (uintptr_t)p >= (uintptr_t)*box) {
        return ALLOC_FOREIGN;
    }
    uintptr_t found = block_number(*box, p);
    *number = (uint32_t)found;
    if (found > (uintptr_t)(*box)->count) {
        return (uintptr_t)p % LINK_BYTES != 0 ? ALLOC_MISALIGNED : ALLOC_NOT_LIVE;
    }
    return block_used(*box, *number) ? ALLOC_OK : ALLOC_NOT_LIVE;
}

/* Ends the life of a block; false if it is not live. */
static inline bool box_push(struct alloc *box, uintptr_t number, void *block) {
    uint32_t old = box->used[number / BITS];
    uint32_t flipped = old ^ block_bit(number);
    if (flipped > old) {
        return false; /* the bit was clear */
    }
    box->used[number / BITS] = (used_bits)flipped;
    *(uint32_t *)block = box->free_head;
    box->free_head = (uint32_t)number;
    return true;
}

/* p is not a live block of the first box: NULL, a block of a region, or misuse. */
static __attribute__((noinline)) enum alloc_status region_free(struct alloc *a, void *p) {
    struct alloc *box;
    uint32_t number;
    if (p == NULL) {
        return ALLOC_OK;
    }
    enum alloc_status status = block_find(a, p, &box, &number);
    return status == ALLOC_OK && !box_push(box, number, p) ? ALLOC_NOT_LIVE : status;
}

static enum alloc_status membox_free(struct alloc *a, void *p) {
    uintptr_t number = block_number(a, p);
    bool done = number <= (uintptr_t)a->count && box_push(a, number, p);
    return done ? ALLOC_OK : region_free(a, p);
}

static size_t membox_usable(const struct alloc *a, const void *p) {
    struct alloc *box;
    uint32_t number;
    return block_find(a, p, &box, &number) == ALLOC_OK ? a->area.unit_bytes : 0;
}

static void *membox_realloc(struct alloc *a, void *p, size_t bytes) {
    if (p == NULL) {
        return membox_alloc(a, bytes);
    }
    if (bytes == 0) {
        (void)membox_free(a, p);
        return NULL;
    }
    return bytes <= membox_usable(a, p) ? p : NULL;
}

static size_t membox_largest(const struct alloc *a) {
    const struct alloc *box = a;
    while (box != NULL && box_full(box)) {
        box = box_next(box);
    }
    return box != NULL ? a->area.unit_bytes : 0;
}

/* ---- looking at it ---- */

/* Each block that was ever used is a piece; all others together are a wilderness. */
static bool blocks_walk(const struct alloc *box, alloc_walk_fn *visit, void *ctx) {
    uint32_t block_bytes = box->area.unit_bytes;
    for (uint32_t number = (uint32_t)box->count; number > box->fresh; number--) {
        void *block = block_at(box, number);
        bool used = block_used(box, number);
        struct alloc_piece piece = {used ? ALLOC_PIECE_LIVE : ALLOC_PIECE_FREE, block, block_bytes,
                                    used ? block : NULL, block_bytes};
        if (!visit(ctx, &piece)) {
            return false;
        }
    }
    size_t fresh_bytes = (size_t)box->fresh * block_bytes;
    struct alloc_piece wilderness = {ALLOC_PIECE_FREE, (void *)((uintptr_t)box - fresh_bytes),
                                     fresh_bytes, NULL, block_bytes};
    return fresh_bytes == 0 || visit(ctx, &wilderness);
}

static bool box_walk(const struct alloc *box, alloc_walk_fn *visit, void *ctx) {
    uintptr_t begin = area_begin(&box->area);
    size_t trim_bytes = box->area.lead - (size_t)box->count * box->area.unit_bytes;
    struct alloc_piece trim = {ALLOC_PIECE_META, (void *)begin, trim_bytes, NULL, 0};
    struct alloc_piece control = {ALLOC_PIECE_META, box, box->area.bytes - box->area.lead, NULL, 0};
    return (trim_bytes == 0 || visit(ctx, &trim)) && blocks_walk(box, visit, ctx) &&
           visit(ctx, &control);
}

static void membox_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    const struct alloc *box = a;
    while (box != NULL && box_walk(box, visit, ctx)) {
        box = box_next(box);
    }
}

static void membox_stats(const struct alloc *a, struct alloc_stats *out) {
    alloc_stats_by_walk(&membox_ops, a, out);
}

/* ---- checking it ---- */

static const char *geometry_check(const struct alloc *box) {
    const struct area *area = &box->area;
    struct geometry geometry = geometry_of(area_begin(area), area->bytes, area->unit_bytes);
    if (geometry.count == 0 || box->count != geometry.count || area->lead != geometry.lead) {
        return "control structure: geometry is not that of the area";
    }
    uint32_t twist = (uint32_t)__builtin_ctz(area->unit_bytes);
    if (box->twist != twist || box->inverse != odd_inverse(area->unit_bytes >> twist)) {
        return "control structure: inverse is not that of the block size";
    }
    return box->fresh <= box->count ? NULL
                                    : "control structure: more fresh blocks than there are blocks";
}

/* Bits are set only for blocks that were ever used. Counts the clear ones among those. */
static const char *bits_check(const struct alloc *box, uint32_t *free_count) {
    *free_count = 0;
    for (uint32_t number = 0; number <= ((uint32_t)box->count | (WORD_BITS - 1)); number++) {
        bool was_used = number > box->fresh && number <= box->count;
        bool used = block_used(box, number);
        if (used && !was_used) {
            return "used bit: set for a block that was never used";
        }
        *free_count += was_used && !used;
    }
    return NULL;
}

/* A stack of free_count free blocks that then ends visits none of them twice, so it holds all. */
static const char *stack_check(const struct alloc *box, uint32_t free_count) {
    uint32_t number = box->free_head;
    for (uint32_t i = 0; i < free_count; i++) {
        if (number <= box->fresh || number > box->count || block_used(box, number)) {
            return "free stack: leads to a block that is not free";
        }
        number = *(uint32_t *)block_at(box, number);
    }
    return number == NO_BLOCK ? NULL : "free stack: longer than there are free blocks";
}

static const char *box_check(const struct alloc *box) {
    const char *broken = area_check(&box->area);
    broken = broken != NULL ? broken : geometry_check(box);
    uint32_t free_count = 0;
    broken = broken != NULL ? broken : bits_check(box, &free_count);
    return broken != NULL ? broken : stack_check(box, free_count);
}

static const char *membox_check(const struct alloc *a) {
    const char *broken = NULL;
    for (const struct alloc *box = a; box != NULL && broken == NULL;) {
        broken = box_check(box);
        box = broken == NULL ? box_next(box) : NULL;
    }
    return broken;
}

const struct alloc_ops membox_ops = {
    .abi = ALLOC_ABI,
    .caps = ALLOC_CAP_FREES | ALLOC_CAP_COALESCES | ALLOC_CAP_FIXED_SIZE |
            ALLOC_CAP_DETECTS_MISUSE | ALLOC_CAP_EXACT_MISUSE,
    .name = "membox",
    .summary = "blocks of one size, one bit of overhead each",
    .pool_max = ALLOC_POOL_MAX,
    .init = membox_init,
    .alloc = membox_alloc,
    .alloc_aligned = membox_alloc_aligned,
    .realloc = membox_realloc,
    .free = membox_free,
    .usable = membox_usable,
    .largest = membox_largest,
    .add_region = membox_add_region,
    .walk = membox_walk,
    .stats = membox_stats,
    .check = membox_check,
};
