/* SPDX-License-Identifier: MIT
 * program.c - what a record means. */
#include "program.h"

#include <assert.h>

/* A record's bytes. */
struct record {
    uint8_t verb, how; /* low and high nibble of byte 0 */
    uint32_t slot;
    uint8_t class, tweak; /* low and high nibble of byte 2 */
    uint8_t argument;
};

/* The verbs and their odds, of 16. */
enum verb { VERB_ALLOC, VERB_FREE, VERB_ALIGNED, VERB_MISUSE, VERB_FILL, VERB_DRAIN, VERB_REGION };
static const uint8_t verbs[16] = {
    VERB_ALLOC,  VERB_ALLOC, VERB_ALLOC, VERB_ALLOC,  VERB_ALLOC, VERB_FREE,
    VERB_FREE,   VERB_FREE,  VERB_FREE,  VERB_ALLOC,  VERB_ALLOC, VERB_ALIGNED,
    VERB_MISUSE, VERB_FILL,  VERB_DRAIN, VERB_REGION,
};

static struct record record_at(const uint8_t *data, size_t i) {
    const uint8_t *bytes = data + PROGRAM_SETUP_BYTES + i * PROGRAM_RECORD_BYTES;
    return (struct record){.verb = bytes[0] & 15,
                           .how = bytes[0] >> 4,
                           .slot = bytes[1] % PROGRAM_SLOTS,
                           .class = bytes[2] & 15,
                           .tweak = bytes[2] >> 4,
                           .argument = bytes[3]};
}

struct script_setup program_setup(const uint8_t *data, size_t size) {
    static const uint32_t pools[16] = {
        256,  384,  512,  640,  768,   1024,  1500,  2048,
        3000, 4096, 6000, 8192, 12288, 16384, 65536, PROGRAM_POOL_LARGE};
    static const uint16_t blocks[16] = {0,  0,  0,  0,  8,   12,  16,   16,
                                        24, 32, 40, 64, 128, 256, 4096, 7};
    uint8_t head[PROGRAM_SETUP_BYTES] = {0};
    for (size_t i = 0; i < size && i < sizeof head; i++) {
        head[i] = data[i];
    }
    return (struct script_setup){.pool_bytes = pools[head[0] & 15] + (head[0] >> 4),
                                 .misalign = head[1] & 127u,
                                 .dirt = (head[2] & 15u) % ARENA_DIRT_COUNT,
                                 .block_bytes = blocks[head[2] >> 4]};
}

size_t program_records(size_t size) {
    size_t count =
        size <= PROGRAM_SETUP_BYTES ? 0 : (size - PROGRAM_SETUP_BYTES) / PROGRAM_RECORD_BYTES;
    return count < PROGRAM_RECORDS_MAX ? count : PROGRAM_RECORDS_MAX;
}

/* ---- sizes ---- */

/* x + d, at least 1. */
static uint64_t nudged(uint64_t x, int d) {
    uint64_t low = (uint64_t)(d < 0 ? -d : 0);
    return x <= low ? 1 : x + (uint64_t)(int64_t)d;
}

static size_t largest_of(const struct program_view *view) {
    return view->ops->largest != NULL ? view->ops->largest(view->heap) : 0;
}

/* The request a record asks for; never 0. */
static uint64_t size_make(const struct record *record, const struct program_view *view) {
    uint64_t argument = record->argument;
    int tweak = (int)record->tweak - 8; /* -8 to 7 */
    switch (record->class) {
    case 0: /* small */
    case 1:
        return 1 + argument % 64;
    case 2:
        return 1 + argument;
    case 3: /* around each granule */
    case 4:
        return nudged(8 * (1 + argument % 64), tweak);
    case 5: /* medium */
        return nudged(32 * (1 + argument), tweak);
    case 6: /* around powers of two */
        return nudged(UINT64_C(1) << (3 + record->tweak), (int)(argument % 8) - 4);
    case 7: /* around the classes of an octave cut into 16 */
        return nudged((UINT64_C(1) << (6 + record->tweak % 8)) / 16 * (16 + argument % 16),
                      (int)(argument / 16 % 5) - 2);
    case 8: /* all there is, or a little less or more */
        return nudged(largest_of(view), (int)(argument % 32) - 16);
    case 9: /* a share of what there is */
        return nudged(largest_of(view) * (1 + argument) / 256, tweak);
    case 10: /* a block's own size */
    case 11:
        return nudged(view->bytes[argument % PROGRAM_SLOTS], tweak);
    case 12: /* the same again */
        return nudged(view->last_bytes, tweak / 4);
    case 13: /* sums that wrap: just below 2^64 ... */
        return UINT64_MAX - argument * (record->tweak + 1u);
    case 14: /* ... 2^63, 2^32, 2^31, 2^30 ... */
        return nudged(UINT64_C(1) << (record->tweak < 4 ? 63 : 27 + record->tweak % 8),
                      (int)(argument % 64) - 48);
    default: /* around the pool's size */
        return nudged(view->setup.pool_bytes, ((int)argument - 192) * (1 + record->tweak % 4));
    }
}

/* ---- steps ---- */

static bool slot_is_full(const struct program_view *view, uint32_t slot) {
    return view->full[slot / 64] >> slot % 64 & 1;
}

static void op_append(struct program_view *view, struct script *script, struct op op) {
    assert(script->op_count < script->op_room);
    uint64_t bit = UINT64_C(1) << op.slot % 64;
    view->full[op.slot / 64] &= ~bit;
    if (op.kind != OP_FREE) {
        view->full[op.slot / 64] |= bit;
        view->bytes[op.slot] = op.bytes < UINT32_MAX ? (uint32_t)op.bytes : UINT32_MAX;
        view->last_bytes = op.bytes;
    }
    script->ops[script->op_count++] = op;
}

static void extra_append(struct script *script, enum script_extra_kind kind, int64_t offset,
                         uint32_t bytes) {
    if (script->extra_count < script->extra_room) {
        script->extras[script->extra_count++] =
            (struct script_extra){script->op_count, (uint32_t)kind, offset, bytes};
    }
}

static void fill_resolve(const struct record *record, struct program_view *view,
                         struct script *script) {
    uint64_t bytes = size_make(record, view);
    for (uint32_t i = 0; i < 8u * (record->how + 1u); i++) {
        uint32_t slot = (record->slot + i) % PROGRAM_SLOTS;
        if (!slot_is_full(view, slot)) {
            op_append(view, script, (struct op){.kind = OP_ALLOC, .slot = slot, .bytes = bytes});
        }
    }
}

/* Takes the lowest slot out of a set, or the highest. */
static uint32_t slot_take(uint64_t slots[PROGRAM_SLOTS / 64], bool highest) {
    uint32_t word = slots[highest] != 0 ? highest : !highest;
    int bit = highest ? 63 - __builtin_clzll(slots[word]) : __builtin_ctzll(slots[word]);
    slots[word] &= ~(UINT64_C(1) << bit);
    return word * 64 + (uint32_t)bit;
}
_Static_assert(PROGRAM_SLOTS == 128, "a set of slots has two words");

/* Frees all or every second or third slot, upwards or downwards. */
static void drain_resolve(const struct record *record, struct program_view *view,
                          struct script *script) {
    uint32_t stride = 1 + record->class % 3;
    uint64_t left[PROGRAM_SLOTS / 64] = {view->full[0], view->full[1]};
    while ((left[0] | left[1]) != 0) {
        uint32_t slot = slot_take(left, (record->how & 1) != 0);
        if ((slot + record->slot) % stride == 0) {
            op_append(view, script, (struct op){.kind = OP_FREE, .slot = slot});
        }
    }
}

/* An address that may be no live block's; the runner sends it only if it must be refused. */
static void misuse_resolve(const struct record *record, const struct program_view *view,
                           struct script *script) {
    enum script_extra_kind kind = (enum script_extra_kind)(SCRIPT_FREE + record->how % 3);
    int64_t block = view->offset[record->slot];
    int64_t argument = record->argument;
    int64_t offset;
    switch (record->class % 6) {
    case 0: /* what the slot held, or holds */
    case 1:
        offset = block;
        break;
    case 2: /* into a block, or misaligned */
        offset = block == INT64_MIN ? block
                                    : block + 1 + argument % (8 + view->bytes[record->slot] % 256);
        break;
    case 3: /* metadata at the start */
        offset = 8 * argument + record->tweak % 8 * (record->tweak > 8);
        break;
    case 4: /* around the end */
        offset = (int64_t)(view->setup.pool_bytes & ~7u) + 8 * (argument - 192) / 4;
        break;
    default: /* anywhere */
        offset = (int64_t)(view->setup.pool_bytes / 256u * record->argument) / 8 * 8 - 64;
    }
    if (offset != INT64_MIN) {
        extra_append(script, kind, offset, kind == SCRIPT_REALLOC ? 1 + record->argument : 0);
    }
}

/* A region behind the pool, once. */
static void region_resolve(const struct record *record, struct program_view *view,
                           struct script *script) {
    if (!view->has_region) {
        uint32_t bytes = 64 + record->argument * 15u + record->tweak;
        uint32_t gap = 2 * ARENA_GUARD + record->how * 8u + record->slot % 8;
        extra_append(script, SCRIPT_REGION, (int64_t)view->setup.pool_bytes + gap, bytes);
        view->has_region = true;
    }
}

static void alloc_resolve(const struct record *record, bool aligned, struct program_view *view,
                          struct script *script) {
    struct op op = {.kind = OP_ALLOC, .slot = record->slot, .bytes = size_make(record, view)};
    if (slot_is_full(view, record->slot)) {
        op.kind = OP_REALLOC;
    } else if (aligned) {
        op.kind = OP_ALIGNED;
        op.align_log2 = (uint8_t)(3 + record->how % 14);
    }
    op_append(view, script, op);
}

static void free_resolve(const struct record *record, struct program_view *view,
                         struct script *script) {
    if (slot_is_full(view, record->slot)) {
        op_append(view, script, (struct op){.kind = OP_FREE, .slot = record->slot});
    }
}

void program_resolve(const uint8_t *data, size_t i, struct program_view *view,
                     struct script *script) {
    struct record record = record_at(data, i);
    if (script->op_room - script->op_count < PROGRAM_SLOTS) {
        return;
    }
    switch ((enum verb)verbs[record.verb]) {
    case VERB_ALLOC:
        alloc_resolve(&record, false, view, script);
        break;
    case VERB_ALIGNED:
        alloc_resolve(&record, true, view, script);
        break;
    case VERB_FREE:
        free_resolve(&record, view, script);
        break;
    case VERB_MISUSE:
        misuse_resolve(&record, view, script);
        break;
    case VERB_FILL:
        fill_resolve(&record, view, script);
        break;
    case VERB_DRAIN:
        drain_resolve(&record, view, script);
        break;
    case VERB_REGION:
        region_resolve(&record, view, script);
        break;
    }
}
