/* SPDX-License-Identifier: MIT
 *
 * program.h - fuzz bytes as ops: the one input language
 *
 * Any bytes are a legal program: 4 bytes of setup, then records of 4 bytes, a ragged end ignored.
 *
 *   byte 0   pool size: low nibble one of 16 sizes from 256 B to 260 KiB, high nibble bytes more
 *   byte 1   misalignment of the pool, 0 to 127
 *   byte 2   what the pool holds before, and cfg.block_bytes
 *   byte 3   kept for later
 *
 *   record   | verb and how | slot | size class | size argument |
 *
 * A slot is one of 128 places of a table, never "the n-th live block": deleting a record leaves the
 * meaning of all others alone. An alloc into a full slot is a realloc, a realloc of an empty one an
 * alloc. Sizes come by class, since no alphabet of small numbers reaches SIZE_MAX - 8, a power of
 * two less one, or exactly what largest() says: see size_make() in program.c. Some records become
 * many ops (fill until refused, free all in some order).
 *
 * A record's meaning may depend on what the allocator answered so far (largest(), where a block
 * lies). It is resolved to script steps (script.h) just before it runs; the script then stands
 * alone.
 */
#ifndef HEAPRIG_PROGRAM_H
#define HEAPRIG_PROGRAM_H

#include "../alloc/alloc.h"
#include "script.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PROGRAM_SLOTS = 128, /* two slab runs of one class (alloc/runs.h) can be full */
    PROGRAM_SETUP_BYTES = 4,
    PROGRAM_RECORD_BYTES = 4,
    PROGRAM_RECORDS_MAX = 256, /* further ones are ignored */
    PROGRAM_BYTES_MAX = PROGRAM_SETUP_BYTES + PROGRAM_RECORDS_MAX * PROGRAM_RECORD_BYTES,
    /* tlsf_fast gives a run 1/128 of the pool: here they have up to four granules */
    PROGRAM_POOL_LARGE = 260 * 1024,
    PROGRAM_POOL_MAX = PROGRAM_POOL_LARGE + 15,
    PROGRAM_REGION_BYTES = 4096, /* most that a region has */
    /* A record becomes at most a fill and a drain of all slots. */
    PROGRAM_OPS_MAX = PROGRAM_RECORDS_MAX * (PROGRAM_SLOTS + 1),
};

/* What resolving a record may ask. Offsets are from the pool's start. */
struct program_view {
    struct script_setup setup;
    const struct alloc_ops *ops; /* asked for largest() alone, and only by records that need it */
    struct alloc *heap;
    uint64_t last_bytes;               /* the last request */
    uint64_t full[PROGRAM_SLOTS / 64]; /* a bit each: the script's last op left a block there */
    uint32_t bytes[PROGRAM_SLOTS];     /* request of the slot's last block, cut to 32 bits */
    int64_t offset[PROGRAM_SLOTS]; /* of the slot's last payload, live or not; INT64_MIN: none */
    bool has_region;
};

/* The setup that the program begins with; a short one is read as if zeros followed. */
struct script_setup program_setup(const uint8_t *data, size_t size);

/* Number of records. */
size_t program_records(size_t size);

/* Appends what record `i` means now to the script, and keeps `full`, `bytes` and `last_bytes` of
 * the view in step. Appends nothing when the script has no room for all of it. */
void program_resolve(const uint8_t *data, size_t i, struct program_view *view,
                     struct script *script);

/* Changes a program of `size` bytes in place and returns its new size, at most `room`: whole
 * records are inserted, deleted, copied, swapped, retargeted, their sizes nudged. The same seed
 * does the same. `other`, of other_size bytes, gives records to splice; may be NULL. */
size_t program_mutate(uint8_t *data, size_t size, size_t room, const uint8_t *other,
                      size_t other_size, uint64_t seed);

#endif
