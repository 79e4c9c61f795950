/* SPDX-License-Identifier: MIT
 *
 * trace_builder.c - from keys (addresses, ids) to slots
 *
 * A table with linear probing maps each live key to its slot. Slots follow one rule, which the
 * trace file relies on: an allocation takes the slot that was freed last, or the next new one.
 * Threads are renumbered in order of appearance.
 *
 *   key 0x7f10 ─┐        entries  [ - | 0x7f10:2 | - | 0x5540:0 | ... ]   at most half full
 *               └ hash ─────────────────┘
 *   freed slots, last on top: [ 1 | 5 | 3 ]                               next new slot: 6
 */
#include "trace.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRIES_AT_FIRST = 1024, OPS_AT_FIRST = 1024, THREAD_LIMIT = UINT16_MAX + 1 };

struct entry {
    uint64_t key;
    uint32_t slot_plus_1; /* 0: empty */
};

struct trace_builder {
    struct entry *entries;
    size_t entry_count; /* a power of two */
    size_t live_count;
    uint32_t *freed; /* stack with room for every slot in use */
    size_t freed_count;
    size_t slot_room;
    uint32_t slot_count;
    struct op *ops;
    size_t op_count;
    size_t op_room;
    uint32_t thread_count;
    uint32_t thread_plus_1[THREAD_LIMIT]; /* thread of the trace for each thread of the source */
};

struct trace_builder *trace_builder_new(void) {
    struct trace_builder *b = calloc(1, sizeof *b);
    if (b == NULL) {
        return NULL;
    }
    b->entry_count = ENTRIES_AT_FIRST;
    b->entries = calloc(b->entry_count, sizeof *b->entries);
    if (b->entries == NULL) {
        free(b);
        return NULL;
    }
    return b;
}

void trace_builder_free(struct trace_builder *builder) {
    if (builder != NULL) {
        free(builder->entries);
        free(builder->freed);
        free(builder->ops);
        free(builder);
    }
}

/* The finishing steps of the splitmix64 generator mix a key's bits well (Steele, Lea, Flood 2014).
 */
static size_t key_home(const struct trace_builder *b, uint64_t key) {
    key = (key ^ (key >> 30)) * 0xBF58476D1CE4E5B9u;
    key = (key ^ (key >> 27)) * 0x94D049BB133111EBu;
    return (size_t)(key ^ (key >> 31)) & (b->entry_count - 1);
}

/* The entry of the key, or the empty one where it belongs. */
static size_t entry_find(const struct trace_builder *b, uint64_t key) {
    size_t i = key_home(b, key);
    while (b->entries[i].slot_plus_1 != 0 && b->entries[i].key != key) {
        i = (i + 1) & (b->entry_count - 1);
    }
    return i;
}

/* Empties entry `hole` and moves later ones of the same run back, so that no search ends early. */
static void entry_remove(struct trace_builder *b, size_t hole) {
    size_t mask = b->entry_count - 1;
    for (size_t i = (hole + 1) & mask; b->entries[i].slot_plus_1 != 0; i = (i + 1) & mask) {
        size_t home = key_home(b, b->entries[i].key);
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            b->entries[hole] = b->entries[i];
            hole = i;
        }
    }
    b->entries[hole].slot_plus_1 = 0;
    b->live_count--;
}

static void entry_put(struct trace_builder *b, uint64_t key, uint32_t slot) {
    size_t i = entry_find(b, key);
    assert(b->entries[i].slot_plus_1 == 0);
    b->entries[i] = (struct entry){.key = key, .slot_plus_1 = slot + 1};
    b->live_count++;
}

static bool entries_reserve(struct trace_builder *b) {
    if (b->live_count < b->entry_count / 2) {
        return true;
    }
    struct entry *old = b->entries;
    size_t old_count = b->entry_count;
    struct entry *bigger = calloc(old_count * 2, sizeof *bigger);
    if (bigger == NULL) {
        return false;
    }
    b->entries = bigger;
    b->entry_count = old_count * 2;
    b->live_count = 0;
    for (size_t i = 0; i < old_count; i++) {
        if (old[i].slot_plus_1 != 0) {
            entry_put(b, old[i].key, old[i].slot_plus_1 - 1);
        }
    }
    free(old);
    return true;
}

static bool slots_reserve(struct trace_builder *b) {
    if (b->freed_count > 0 || b->slot_count < b->slot_room) {
        return true;
    }
    size_t room = b->slot_room == 0 ? ENTRIES_AT_FIRST : b->slot_room * 2;
    uint32_t *bigger = room <= TRACE_SLOTS_MAX ? realloc(b->freed, room * sizeof *bigger) : NULL;
    if (bigger == NULL) {
        return false;
    }
    b->freed = bigger;
    b->slot_room = room;
    return true;
}

static bool ops_reserve(struct trace_builder *b) {
    if (b->op_count < b->op_room) {
        return true;
    }
    size_t room = b->op_room == 0 ? OPS_AT_FIRST : b->op_room * 2;
    if (room > TRACE_OPS_MAX || room > SIZE_MAX / 2 / sizeof *b->ops) {
        return false;
    }
    struct op *bigger = realloc(b->ops, room * sizeof *bigger);
    if (bigger == NULL) {
        return false;
    }
    b->ops = bigger;
    b->op_room = room;
    return true;
}

static void op_push(struct trace_builder *b, struct op op) {
    uint32_t *thread_plus_1 = &b->thread_plus_1[op.thread];
    if (*thread_plus_1 == 0) {
        *thread_plus_1 = ++b->thread_count;
    }
    op.thread = (uint16_t)(*thread_plus_1 - 1);
    assert(b->op_count < b->op_room);
    b->ops[b->op_count++] = op;
}

enum trace_push trace_builder_alloc(struct trace_builder *builder, uint64_t key, enum op_kind kind,
                                    uint64_t bytes, uint8_t align_log2, uint16_t thread) {
    struct trace_builder *b = builder;
    assert(kind == OP_ALLOC || kind == OP_CALLOC || kind == OP_ALIGNED);
    assert(kind == OP_ALIGNED || align_log2 == 0);
    if (b->entries[entry_find(b, key)].slot_plus_1 != 0) {
        return TRACE_PUSH_LIVE;
    }
    if (!ops_reserve(b) || !entries_reserve(b) || !slots_reserve(b)) {
        return TRACE_PUSH_FULL;
    }
    uint32_t slot = b->freed_count > 0 ? b->freed[--b->freed_count] : b->slot_count++;
    entry_put(b, key, slot);
    op_push(b, (struct op){.bytes = bytes,
                           .slot = slot,
                           .thread = thread,
                           .kind = (uint8_t)kind,
                           .align_log2 = align_log2});
    return TRACE_PUSH_OK;
}

enum trace_push trace_builder_realloc(struct trace_builder *builder, uint64_t old_key,
                                      uint64_t new_key, uint64_t bytes, uint16_t thread) {
    struct trace_builder *b = builder;
    size_t old_entry = entry_find(b, old_key);
    if (b->entries[old_entry].slot_plus_1 == 0) {
        return TRACE_PUSH_DEAD;
    }
    if (new_key != old_key && b->entries[entry_find(b, new_key)].slot_plus_1 != 0) {
        return TRACE_PUSH_LIVE;
    }
    if (!ops_reserve(b)) {
        return TRACE_PUSH_FULL;
    }
    uint32_t slot = b->entries[old_entry].slot_plus_1 - 1;
    entry_remove(b, old_entry);
    entry_put(b, new_key, slot);
    op_push(b, (struct op){.bytes = bytes, .slot = slot, .thread = thread, .kind = OP_REALLOC});
    return TRACE_PUSH_OK;
}

enum trace_push trace_builder_dispose(struct trace_builder *builder, uint64_t key,
                                      uint16_t thread) {
    struct trace_builder *b = builder;
    size_t entry = entry_find(b, key);
    if (b->entries[entry].slot_plus_1 == 0) {
        return TRACE_PUSH_DEAD;
    }
    if (!ops_reserve(b)) {
        return TRACE_PUSH_FULL;
    }
    uint32_t slot = b->entries[entry].slot_plus_1 - 1;
    entry_remove(b, entry);
    assert(b->freed_count < b->slot_room);
    b->freed[b->freed_count++] = slot;
    op_push(b, (struct op){.slot = slot, .thread = thread, .kind = OP_FREE});
    return TRACE_PUSH_OK;
}

static void builder_reset(struct trace_builder *b) {
    memset(b->entries, 0, b->entry_count * sizeof *b->entries);
    memset(b->thread_plus_1, 0, sizeof b->thread_plus_1);
    b->live_count = 0;
    b->freed_count = 0;
    b->slot_count = 0;
    b->thread_count = 0;
    b->ops = NULL;
    b->op_count = 0;
    b->op_room = 0;
}

bool trace_builder_take(struct trace_builder *builder, struct trace *out, const char *label,
                        struct problem *problem) {
    assert(out->ops == NULL && out->op_count == 0);
    out->ops = builder->ops;
    out->op_count = builder->op_count;
    builder_reset(builder);
    return trace_finish(out, label, problem);
}
