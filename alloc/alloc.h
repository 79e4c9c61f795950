/* SPDX-License-Identifier: MIT
 *
 * alloc.h - the contract between heaprig and an allocator
 *
 * Everything heaprig measures, checks or fuzzes is reached through one table of functions,
 * `struct alloc_ops`. Each sentence below that can be a test is one, in the conformance_*_test.c,
 * which run for every allocator of alloc_list.h and for any plug-in.
 *
 * Words
 *   pool        the memory handed to init(); the allocator's until the caller stops using it
 *   region      further memory added to a pool by add_region()
 *   block       a piece of a pool, live (handed out) or free, its header included
 *   payload     the bytes of a live block the caller may use; what alloc() returns points to them
 *   granule     the unit all block sizes are multiples of
 *   request     the bytes asked for
 *   usable      the bytes the payload holds, at least the request
 *   coalesce    join neighbouring free blocks into one; split is its opposite
 *   size class  a range of block sizes kept in one list or tree
 *   offset      a distance in bytes from the start of the pool
 *   page        4 KiB (never an allocator's own idea of a page)
 *   wilderness  free space at the end of a pool, never split or merged back
 *   misuse      a pointer given to free(), realloc() or usable() that is no live block's payload
 *
 * State. All state lives inside the pool: no globals, no pointers stored, only 32-bit offsets. So
 * the same operations give the same offsets on every machine and at every pool address (as long as
 * the addresses agree modulo the largest alignment asked for), many pools coexist, and a pool may
 * be copied or mapped elsewhere. Nothing here locks: one pool, one caller at a time. locked.h puts
 * a lock around any of them.
 *
 * Refusals. A function that refuses leaves the pool's state and all payloads unchanged.
 */
#ifndef HEAPRIG_ALLOC_H
#define HEAPRIG_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Grows when struct alloc_ops changes its shape; a plug-in built for another number is refused. */
#define ALLOC_ABI 1u

/* Every payload of a general allocator starts at a multiple of this many bytes, on every machine.
 */
#define ALLOC_ALIGN 8u

/* No own allocator manages more than this: offsets and block sizes are 32 bits wide. */
#define ALLOC_POOL_MAX 0xFFFF0000u

/* While largest() is no more than this, it may be a slot of an allocator with SLOTS. */
#define ALLOC_SLOT_MAX 256u

/* What largest() of a GOOD_FIT allocator may gain by an alloc(): the width of a size class, 16 of
 * them to an octave. */
#define ALLOC_LARGEST_GROWTH(largest) (((largest) + ALLOC_ALIGN) / 16)

struct alloc; /* opaque; points into the pool */

/* What an allocator can do. The harness asks these bits and never an allocator's name. */
enum alloc_cap {
    ALLOC_CAP_FREES = 1u << 0, /* memory given back by free() can be handed out again */
    ALLOC_CAP_COALESCES =
        1u << 1, /* when all is freed, largest() is again what it was after init() */
    ALLOC_CAP_FIXED_SIZE =
        1u << 2, /* one block size only: cfg.block_bytes; larger requests are refused */
    ALLOC_CAP_PAGES = 1u << 3, /* hands out whole pages only and keeps its metadata outside them */
    ALLOC_CAP_DETECTS_MISUSE =
        1u << 4, /* refuses misuse, see free(): class A always, class B mostly */
    ALLOC_CAP_EXACT_MISUSE =
        1u << 5, /* refuses every misuse: which blocks live is kept outside payloads */
    ALLOC_CAP_POOLLESS = 1u << 6, /* init() ignores the pool and takes memory from the system */
    ALLOC_CAP_SLOTS = 1u << 7,    /* small requests may be served from slots of up to ALLOC_SLOT_MAX
                                     bytes, which alloc_aligned() cannot use */
    ALLOC_CAP_THREADS = 1u << 8,  /* several threads may call it at once, but for init() */
    ALLOC_CAP_BLOCK_SIZES = 1u << 9, /* its smallest block can be chosen: cfg.block_bytes */
    ALLOC_CAP_GOOD_FIT = 1u << 10,   /* looks at some blocks of a size class only, see largest() */
};

/* Why free() refused. Only the distinction ALLOC_OK or not is contractual. */
enum alloc_status {
    ALLOC_OK = 0,
    ALLOC_MISALIGNED, /* no payload can start at such an address */
    ALLOC_FOREIGN,    /* outside the pool and its regions, or inside the allocator's own metadata */
    ALLOC_NOT_LIVE,   /* already free, or not the start of a payload */
};

/* How a pool is set up. All zero means: the allocator's defaults. */
struct alloc_cfg {
    /* FIXED_SIZE: the size of every block; 0 asks for 64.
     * BLOCK_SIZES: the smallest block, a power of two from 16 to 4096; 0 asks for 16; 4096 manages
     * whole pages. All others ignore it. */
    uint32_t block_bytes;
    /* The pool reads as zeros everywhere, as fresh pages or .bss do. init() may then leave
     * untouched what it would clear, and a pool far larger than what is used costs no memory. The
     * blocks it hands out later are the same. */
    bool zeroed;
};

enum alloc_piece_kind { ALLOC_PIECE_META, ALLOC_PIECE_FREE, ALLOC_PIECE_LIVE };

/* One piece of a pool as walk() reports it. */
struct alloc_piece {
    enum alloc_piece_kind kind;
    const void *start;   /* first byte of the piece, header included */
    size_t bytes;        /* its length, header included */
    const void *payload; /* LIVE: the pointer alloc() returned; else NULL */
    size_t usable; /* LIVE: bytes the payload holds; FREE: bytes the largest payload carved from
                      this piece alone could hold; META: 0 */
};

/* Called once per piece; returning false ends the walk. It must not call into the pool. */
typedef bool alloc_walk_fn(void *ctx, const struct alloc_piece *piece);

/* Sizes in bytes. live + free + meta == pool, always. */
struct alloc_stats {
    size_t pool_bytes;  /* what init() and add_region() were given */
    size_t live_bytes;  /* blocks handed out, their headers and rounding included */
    size_t free_bytes;  /* free blocks, their headers included */
    size_t meta_bytes;  /* control structure, sentinels, trimmed edges */
    size_t live_blocks; /* number of live blocks */
    size_t free_blocks; /* number of free pieces; a wilderness counts as one when not empty */
};

struct alloc_ops {
    uint32_t abi;        /* ALLOC_ABI */
    uint32_t caps;       /* enum alloc_cap, or-ed */
    const char *name;    /* lower case, [a-z0-9_]+; what stands before it, if anything, and ':' */
    const char *summary; /* one line for listings */
    size_t pool_max;     /* init() refuses larger pools; 0: no limit of its own */

    /* Formats [pool, pool + pool_bytes) and returns its handle. The range is trimmed inwards to the
     * granule; what it held before does not matter. Returns NULL iff pool is NULL, the trimmed
     * range cannot hold the control structure and one smallest block, pool_bytes exceeds pool_max,
     * or cfg asks for an impossible block size; then not one byte of the pool was written. cfg NULL
     * means defaults. A later init() of the same memory simply starts anew. Cost: O(control
     * structure), for buddy and membox O(pool / block). */
    struct alloc *(*init)(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg);

    /* A payload of at least `bytes` bytes, aligned to ALLOC_ALIGN (FIXED_SIZE: to the largest power
     * of two up to ALLOC_ALIGN that divides the block size), contents undefined, overlapping no
     * other live payload. Returns NULL iff bytes is 0 or exceeds largest(). Any `bytes` up to
     * SIZE_MAX is defined. */
    void *(*alloc)(struct alloc *a, size_t bytes);

    /* As alloc(), at an address that is a multiple of `align`. Returns NULL iff bytes is 0, align
     * is not a power of two, or no free block holds such a payload; align up to the pool's size is
     * supported. An align that alloc() gives anyway is plain alloc(). An allocator may refuse
     * although an exhaustive search would find a place, but never when largest() >= bytes + align +
     * 2 * ALLOC_ALIGN, and for SLOTS > ALLOC_SLOT_MAX. FIXED_SIZE: refuses iff there is no memory
     * left whose blocks all have the alignment. May be NULL. */
    void *(*alloc_aligned)(struct alloc *a, size_t bytes, size_t align);

    /* Resizes the live block p to at least `bytes`, in place (shrinking, or growing forwards or
     * backwards into free neighbours) where it can, else by moving. The first min(old request,
     * bytes) bytes keep their contents, the alignment asked of alloc_aligned() is kept. p NULL:
     * alloc(bytes). bytes 0: free(p), returns NULL. Returns NULL otherwise iff p is misuse or no
     * memory was found, never when alloc(bytes) (for a block of alloc_aligned(): that) would have
     * found some; then the block is untouched and still live. Shrinking never fails. Cost: as
     * alloc() plus free() plus one copy. May be NULL. */
    void *(*realloc)(struct alloc *a, void *p, size_t bytes);

    /* Ends the life of the live block p: ALLOC_OK. free(NULL) is ALLOC_OK and does nothing. All
     * else is misuse and answered in the cost of a free plus O(regions), with these guarantees:
     *   class A, always refused: a pointer outside pool and regions, into the control structure or
     * into the wilderness, a misaligned pointer, and a double free as long as no part of the freed
     * block was handed out again. class B, refused unless payload bytes forge a consistent header:
     * a pointer into the middle of a live payload, and a double free after the memory was handed
     * out again inside another block. EXACT_MISUSE allocators refuse class B always. An address
     * that was freed and handed out again as the start of a new block is a live block: freeing it
     * twice is not misuse but a free of that block. */
    enum alloc_status (*free)(struct alloc *a, void *p);

    /* The bytes payload p holds, >= the request; all of them may be written. 0 iff p is misuse (the
     * classes of free()). Cost: at most that of a free, plus O(regions). */
    size_t (*usable)(const struct alloc *a, const void *p);

    /* The largest `bytes` for which alloc() would succeed now; every smaller request above 0
     * succeeds as well. 0 when full. An alloc() never makes it larger; with GOOD_FIT by
     * ALLOC_LARGEST_GROWTH at most: who looks at no more than some blocks of a size class, to be
     * O(1), may see another one when the first of them is taken. Cost: see each allocator, at most
     * O(free blocks). May be NULL for plug-ins. */
    size_t (*largest)(const struct alloc *a);

    /* Gives the pool more memory: true. False iff mem is NULL, too small for one smallest block,
     * overlaps the pool or a region, or lies outside [pool, pool + 4 GiB) (offsets are 32 bits
     * wide); then not one byte of mem was written. Regions are not merged with the pool or with
     * each other. May be NULL. */
    bool (*add_region)(struct alloc *a, void *mem, size_t bytes);

    /* Visits every piece of the pool and its regions in address order. The pieces touch: each byte
     * given to init() and add_region() belongs to exactly one. O(blocks). May be NULL for plug-ins.
     */
    void (*walk)(const struct alloc *a, alloc_walk_fn *visit, void *ctx);

    /* Fills *out, see struct alloc_stats. O(blocks). May be NULL for plug-ins. */
    void (*stats)(const struct alloc *a, struct alloc_stats *out);

    /* NULL if every invariant of the metadata holds, else the broken rule in words (static
     * storage). Never crashes, never loops and reads only pool and regions, whatever the pool
     * contains. O(blocks). May be NULL for plug-ins. */
    const char *(*check)(const struct alloc *a);
};

/* stats() from walk(), for allocators that keep no counters. O(blocks). */
void alloc_stats_by_walk(const struct alloc_ops *ops, const struct alloc *a,
                         struct alloc_stats *out);

/* The own allocators in the order of alloc_list.h; *count receives their number. */
const struct alloc_ops *const *alloc_registry(size_t *count);

/* The own allocator of that name, or NULL. O(allocators). */
const struct alloc_ops *alloc_find(const char *name);

/* ALLOC_ASSERT: a bug of ours stops the program. Compiled in with -DALLOC_ASSERTS; freestanding, so
 * that firmware needs no libc to keep it on. */
#ifdef ALLOC_ASSERTS
#define ALLOC_ASSERT(condition) ((condition) ? (void)0 : __builtin_trap())
#else
#define ALLOC_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

#endif
