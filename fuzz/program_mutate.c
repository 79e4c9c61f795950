/* SPDX-License-Identifier: MIT
 * program_mutate.c - changes programs by whole records. */
#include "program.h"
#include "random_ops.h"

#include <string.h>

enum { R = PROGRAM_RECORD_BYTES };

/* A program under change, as records behind its setup. */
struct draft {
    uint8_t *records;
    size_t count, room;
    uint64_t random;
};

static size_t below(struct draft *draft, size_t bound) {
    return random_below(&draft->random, bound);
}

/* Opens a gap of `count` records at `at`, as far as there is room; returns how many. */
static size_t gap_open(struct draft *draft, size_t at, size_t count) {
    size_t fits = draft->room - draft->count;
    count = count < fits ? count : fits;
    memmove(draft->records + (at + count) * R, draft->records + at * R, (draft->count - at) * R);
    draft->count += count;
    return count;
}

static void record_draw(struct draft *draft, size_t at) {
    uint64_t word = random_next(&draft->random);
    memcpy(draft->records + at * R, &word, R);
    if (word >> 40 & 1) { /* few slots meet more often */
        draft->records[at * R + 1] &= 7;
    }
}

static void insert(struct draft *draft) {
    size_t at = below(draft, draft->count + 1);
    size_t count = gap_open(draft, at, 1 + below(draft, 4));
    for (size_t i = 0; i < count; i++) {
        record_draw(draft, at + i);
    }
}

static void delete_some(struct draft *draft) {
    size_t at = below(draft, draft->count);
    size_t count = 1 + below(draft, 4);
    count = count < draft->count - at ? count : draft->count - at;
    memmove(draft->records + at * R, draft->records + (at + count) * R,
            (draft->count - at - count) * R);
    draft->count -= count;
}

/* A range repeated elsewhere. */
static void copy_range(struct draft *draft) {
    uint8_t range[16 * R];
    size_t from = below(draft, draft->count);
    size_t count = 1 + below(draft, 16);
    count = count < draft->count - from ? count : draft->count - from;
    memcpy(range, draft->records + from * R, count * R);
    size_t at = below(draft, draft->count + 1);
    memcpy(draft->records + at * R, range, gap_open(draft, at, count) * R);
}

static void swap_two(struct draft *draft) {
    uint8_t *a = draft->records + below(draft, draft->count) * R;
    uint8_t *b = draft->records + below(draft, draft->count) * R;
    uint8_t kept[R];
    memcpy(kept, a, R);
    memcpy(a, b, R);
    memcpy(b, kept, R);
}

static void byte_change(struct draft *draft) {
    uint8_t *byte = draft->records + below(draft, draft->count * R);
    unsigned flipped = *byte ^ (1u << below(draft, 8));
    *byte = (uint8_t)(below(draft, 2) != 0 ? random_next(&draft->random) : flipped);
}

static void size_nudge(struct draft *draft) {
    uint8_t *argument = draft->records + below(draft, draft->count) * R + 3;
    *argument = (uint8_t)(*argument + (below(draft, 2) != 0 ? 1 : -1));
}

/* The slot of another record: two ops now meet. */
static void slot_retarget(struct draft *draft) {
    uint8_t *to = draft->records + below(draft, draft->count) * R;
    to[1] = draft->records[below(draft, draft->count) * R + 1];
}

/* A range the other way round: last in, first out becomes first in, first out. */
static void reverse(struct draft *draft) {
    size_t from = below(draft, draft->count);
    size_t to = from + 1 + below(draft, 8);
    to = to < draft->count ? to : draft->count;
    for (; from + 1 < to; from++, to--) {
        uint8_t kept[R];
        memcpy(kept, draft->records + from * R, R);
        memcpy(draft->records + from * R, draft->records + (to - 1) * R, R);
        memcpy(draft->records + (to - 1) * R, kept, R);
    }
}

static void splice(struct draft *draft, const uint8_t *other, size_t other_count) {
    size_t from = below(draft, other_count);
    size_t count = 1 + below(draft, other_count - from);
    size_t at = below(draft, draft->count + 1);
    memcpy(draft->records + at * R, other + from * R, gap_open(draft, at, count) * R);
}

size_t program_mutate(uint8_t *data, size_t size, size_t room, const uint8_t *other,
                      size_t other_size, uint64_t seed) {
    static void (*const changes[])(struct draft *) = {
        insert,      insert,      delete_some, copy_range,    swap_two,
        byte_change, byte_change, size_nudge,  slot_retarget, reverse};
    if (room < PROGRAM_SETUP_BYTES + R) {
        return size < room ? size : room;
    }
    if (size < PROGRAM_SETUP_BYTES) {
        memset(data + size, 0, PROGRAM_SETUP_BYTES - size);
        size = PROGRAM_SETUP_BYTES;
    }
    size_t most = (room - PROGRAM_SETUP_BYTES) / R;
    struct draft draft = {.records = data + PROGRAM_SETUP_BYTES,
                          .count = program_records(size),
                          .room = most < PROGRAM_RECORDS_MAX ? most : PROGRAM_RECORDS_MAX,
                          .random = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1};
    size_t other_count = other != NULL ? program_records(other_size) : 0;
    if (draft.count > draft.room) {
        draft.count = draft.room;
    }
    if (below(&draft, 16) == 0) {
        data[below(&draft, PROGRAM_SETUP_BYTES)] = (uint8_t)random_next(&draft.random);
    }
    for (size_t steps = 1 + below(&draft, 4); steps > 0; steps--) {
        if (draft.count == 0) {
            insert(&draft);
        } else if (other_count > 0 && below(&draft, 8) == 0) {
            splice(&draft, other + PROGRAM_SETUP_BYTES, other_count);
        } else {
            changes[below(&draft, sizeof changes / sizeof *changes)](&draft);
        }
    }
    return PROGRAM_SETUP_BYTES + draft.count * R;
}
