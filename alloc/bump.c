/* SPDX-License-Identifier: MIT
 *
 * bump.c - hands out memory in address order and never hands any out again
 *
 * The floor of what a replay itself costs, and the control subject of the harness: it has to fail
 * every trace whose requests add up to more than the pool.
 *
 *   pool  | trim | struct alloc | hdr payload | hdr payload | ... wilderness ... | trim |
 *                                ^ first                    ^ top                ^ end
 *
 * A header is four bytes before the payload and holds the block's size and state, mixed with its
 * offset so that neither payload bytes nor a copied header pass for one by chance. Headers lie at
 * offsets 4 modulo 8, so payloads are 8-aligned and hold 4, 12, 20, ... bytes with no byte lost
 * between blocks. A block given back stays where it is, marked dead; only the last block grows in
 * place. Double frees are always refused, since a dead block never lives again.
 *
 * alloc, free, realloc (but for its copy), usable and largest are O(1).
 */
#include "alloc.h"

enum { HEADER_BYTES = 4, UNIT = 8 };
enum block_state { BLOCK_DEAD = 2, BLOCK_LIVE = 5, STATE_MASK = UNIT - 1 };

/* Offsets count from the handle, which is the pool's first 8-aligned byte. */
struct alloc {
    uint32_t trim_bytes; /* between the pool's first byte and the handle, 0 to 7 */
    uint32_t pool_bytes;
    uint32_t end;  /* offset where the last block may end */
    uint32_t seal; /* of the fields above: tells check() whether they can be believed */
    uint32_t top;  /* offset of the wilderness */
};

enum { FIRST_OFFSET = 20 };
_Static_assert(sizeof(struct alloc) <= FIRST_OFFSET && FIRST_OFFSET % UNIT == 4,
               "the first header lies right behind the control structure");

extern const struct alloc_ops bump_ops;

static uint32_t word_mix(uint32_t word) {
    return (word + 0x6B75A5B5u) * 0x9E3779B1u;
}

static uint32_t fields_seal(const struct alloc *a) {
    return word_mix(a->trim_bytes ^ word_mix(a->pool_bytes ^ word_mix(a->end)));
}

/* The bytes of a block for a request that is known to fit the pool: 1..4 -> 8, 5..12 -> 16. */
static uint32_t block_bytes_for(size_t bytes) {
    return ((uint32_t)bytes + HEADER_BYTES + UNIT - 1) & ~(uint32_t)(UNIT - 1);
}

static uint32_t *header_at(const struct alloc *a, uint32_t offset) {
    return (uint32_t *)((uintptr_t)a + offset);
}

static void header_write(struct alloc *a, uint32_t offset, uint32_t block_bytes,
                         enum block_state state) {
    ALLOC_ASSERT(block_bytes % UNIT == 0 && block_bytes > 0);
    *header_at(a, offset) = (block_bytes | (uint32_t)state) ^ word_mix(offset);
}

/* Reads the header at offset < top. False if it cannot be one of ours. */
static bool header_read(const struct alloc *a, uint32_t offset, uint32_t *block_bytes,
                        enum block_state *state) {
    uint32_t word = *header_at(a, offset) ^ word_mix(offset);
    *state = (enum block_state)(word & STATE_MASK);
    *block_bytes = word & ~(uint32_t)STATE_MASK;
    return (*state == BLOCK_LIVE || *state == BLOCK_DEAD) && *block_bytes > 0 &&
           *block_bytes <= a->top - offset;
}

/* The header offset of payload p, if it is a live block's; else why it is not. */
static enum alloc_status payload_find(const struct alloc *a, const void *p, uint32_t *offset,
                                      uint32_t *block_bytes) {
    uintptr_t distance = (uintptr_t)p - (uintptr_t)a;
    if (distance < FIRST_OFFSET + HEADER_BYTES || distance >= a->top) {
        return ALLOC_FOREIGN;
    }
    if (distance % UNIT != 0) {
        return ALLOC_MISALIGNED;
    }
    enum block_state state;
    *offset = (uint32_t)distance - HEADER_BYTES;
    bool sound = header_read(a, *offset, block_bytes, &state);
    return sound && state == BLOCK_LIVE ? ALLOC_OK : ALLOC_NOT_LIVE;
}

static struct alloc *bump_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    (void)cfg;
    uint32_t trim_bytes = (uint32_t)(-(uintptr_t)pool % UNIT);
    if (pool == NULL || pool_bytes > ALLOC_POOL_MAX ||
        pool_bytes < trim_bytes + FIRST_OFFSET + UNIT) {
        return NULL;
    }
    struct alloc *a = (struct alloc *)((uintptr_t)pool + trim_bytes);
    uint32_t managed_bytes = (uint32_t)pool_bytes - trim_bytes;
    *a = (struct alloc){.trim_bytes = trim_bytes,
                        .pool_bytes = (uint32_t)pool_bytes,
                        .end = managed_bytes - (managed_bytes - FIRST_OFFSET) % UNIT,
                        .top = FIRST_OFFSET};
    a->seal = fields_seal(a);
    return a;
}

static size_t bump_largest(const struct alloc *a) {
    return a->end > a->top ? a->end - a->top - HEADER_BYTES : 0;
}

static void *bump_alloc(struct alloc *a, size_t bytes) {
    if (bytes == 0 || bytes > bump_largest(a)) {
        return NULL;
    }
    uint32_t offset = a->top;
    uint32_t block_bytes = block_bytes_for(bytes);
    ALLOC_ASSERT(block_bytes <= a->end - offset);
    header_write(a, offset, block_bytes, BLOCK_LIVE);
    a->top = offset + block_bytes;
    return header_at(a, offset + HEADER_BYTES);
}

static enum alloc_status bump_free(struct alloc *a, void *p) {
    if (p == NULL) {
        return ALLOC_OK;
    }
    uint32_t offset;
    uint32_t block_bytes;
    enum alloc_status status = payload_find(a, p, &offset, &block_bytes);
    if (status == ALLOC_OK) {
        header_write(a, offset, block_bytes, BLOCK_DEAD);
    }
    return status;
}

static size_t bump_usable(const struct alloc *a, const void *p) {
    uint32_t offset;
    uint32_t block_bytes;
    bool live = payload_find(a, p, &offset, &block_bytes) == ALLOC_OK;
    return live ? block_bytes - HEADER_BYTES : 0;
}

static void *bump_realloc(struct alloc *a, void *p, size_t bytes) {
    if (p == NULL) {
        return bump_alloc(a, bytes);
    }
    if (bytes == 0) {
        (void)bump_free(a, p);
        return NULL;
    }
    uint32_t offset;
    uint32_t block_bytes;
    if (payload_find(a, p, &offset, &block_bytes) != ALLOC_OK) {
        return NULL;
    }
    if (bytes <= block_bytes - HEADER_BYTES) {
        return p;
    }
    bool is_last = block_bytes == a->top - offset;
    if (is_last && bytes <= a->end - offset - HEADER_BYTES) {
        block_bytes = block_bytes_for(bytes);
        header_write(a, offset, block_bytes, BLOCK_LIVE);
        a->top = offset + block_bytes;
        return p;
    }
    void *moved = bump_alloc(a, bytes);
    if (moved != NULL) {
        __builtin_memcpy(moved, p, block_bytes - HEADER_BYTES);
        header_write(a, offset, block_bytes, BLOCK_DEAD);
    }
    return moved;
}

/* Dead blocks are free memory from which nothing can be carved any more. */
static bool blocks_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    uint32_t block_bytes;
    for (uint32_t offset = FIRST_OFFSET; offset < a->top; offset += block_bytes) {
        enum block_state state;
        if (!header_read(a, offset, &block_bytes, &state)) {
            return false;
        }
        struct alloc_piece piece = {ALLOC_PIECE_FREE, header_at(a, offset), block_bytes, NULL, 0};
        if (state == BLOCK_LIVE) {
            piece.kind = ALLOC_PIECE_LIVE;
            piece.payload = header_at(a, offset + HEADER_BYTES);
            piece.usable = block_bytes - HEADER_BYTES;
        }
        if (!visit(ctx, &piece)) {
            return false;
        }
    }
    return true;
}

static void bump_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    const char *pool = (const char *)a - a->trim_bytes;
    struct alloc_piece control = {ALLOC_PIECE_META, pool, a->trim_bytes + FIRST_OFFSET, NULL, 0};
    if (!visit(ctx, &control) || !blocks_walk(a, visit, ctx)) {
        return;
    }
    struct alloc_piece wilderness = {ALLOC_PIECE_FREE, header_at(a, a->top), a->end - a->top, NULL,
                                     bump_largest(a)};
    if (wilderness.bytes > 0 && !visit(ctx, &wilderness)) {
        return;
    }
    struct alloc_piece trim = {ALLOC_PIECE_META, header_at(a, a->end),
                               a->pool_bytes - a->trim_bytes - a->end, NULL, 0};
    if (trim.bytes > 0) {
        (void)visit(ctx, &trim);
    }
}

static void bump_stats(const struct alloc *a, struct alloc_stats *out) {
    alloc_stats_by_walk(&bump_ops, a, out);
}

static const char *bump_check(const struct alloc *a) {
    if (a->seal != fields_seal(a)) {
        return "control structure: seal does not match";
    }
    if (a->top < FIRST_OFFSET || a->top > a->end || a->top % UNIT != FIRST_OFFSET % UNIT) {
        return "control structure: top lies outside the blocks";
    }
    uint32_t block_bytes;
    for (uint32_t offset = FIRST_OFFSET; offset < a->top; offset += block_bytes) {
        enum block_state state;
        if (!header_read(a, offset, &block_bytes, &state)) {
            return "header: size or state impossible";
        }
    }
    return NULL;
}

const struct alloc_ops bump_ops = {
    .abi = ALLOC_ABI,
    .caps = ALLOC_CAP_DETECTS_MISUSE,
    .name = "bump",
    .summary = "never hands memory out again: the floor of cost",
    .pool_max = ALLOC_POOL_MAX,
    .init = bump_init,
    .alloc = bump_alloc,
    .realloc = bump_realloc,
    .free = bump_free,
    .usable = bump_usable,
    .largest = bump_largest,
    .walk = bump_walk,
    .stats = bump_stats,
    .check = bump_check,
};
