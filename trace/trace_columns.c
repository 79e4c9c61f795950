/* SPDX-License-Identifier: MIT
 * trace_columns.c - see trace_columns.h */
#include "trace_columns.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    KINDS = 0,
    ALIGNS = 1,
    SIZES = 2,
    AGES = 12,
    THREADS = 17,
    COLUMN_COUNT = 20,
    LENGTH_BYTES = 4,
    THREAD_CHANGES = 8,
    DIGIT_BITS = 7,
    DIGIT_MORE = 0x80,
};

/* The columns while they are written: `room` bytes each, in one piece of memory. */
struct writer {
    unsigned char *memory;
    size_t room;
    size_t count[COLUMN_COUNT];
};

static void byte_put(struct writer *w, unsigned column, unsigned byte) {
    assert(w->count[column] < w->room);
    w->memory[column * w->room + w->count[column]++] = (unsigned char)byte;
}

static void number_put(struct writer *w, unsigned column, uint64_t number) {
    for (; number >= DIGIT_MORE; number >>= DIGIT_BITS) {
        byte_put(w, column++, (unsigned)(number & (DIGIT_MORE - 1)) | DIGIT_MORE);
    }
    byte_put(w, column, (unsigned)number);
}

static void op_put(struct writer *w, const struct op *ops, size_t index, uint32_t *last_op) {
    const struct op *op = &ops[index];
    uint16_t thread_before = index == 0 ? 0 : ops[index - 1].thread;
    byte_put(w, KINDS, op->kind | (op->thread != thread_before ? THREAD_CHANGES : 0u));
    if (op->thread != thread_before) {
        number_put(w, THREADS, op->thread);
    }
    if (op->kind == OP_ALIGNED) {
        byte_put(w, ALIGNS, op->align_log2);
    }
    if (op->kind != OP_FREE) {
        number_put(w, SIZES, op->bytes);
    }
    if (op->kind == OP_FREE || op->kind == OP_REALLOC) {
        number_put(w, AGES, index - last_op[op->slot]);
    }
    last_op[op->slot] = (uint32_t)index;
}

static bool columns_append(const struct writer *w, struct file_bytes *block) {
    bool fits = true;
    for (unsigned c = 0; c < COLUMN_COUNT && fits; c++) {
        uint32_t length = (uint32_t)w->count[c];
        unsigned char bytes[LENGTH_BYTES] = {(unsigned char)length, (unsigned char)(length >> 8),
                                             (unsigned char)(length >> 16),
                                             (unsigned char)(length >> 24)};
        fits = file_bytes_append(block, bytes, sizeof bytes);
    }
    for (unsigned c = 0; c < COLUMN_COUNT && fits; c++) {
        fits = file_bytes_append(block, w->memory + c * w->room, w->count[c]);
    }
    return fits;
}

bool trace_columns_encode(const struct op *ops, size_t first, size_t count, uint32_t *last_op,
                          struct file_bytes *block) {
    assert(count > 0 && count <= TRACE_COLUMNS_OPS_MAX);
    struct writer w = {.memory = malloc(count * COLUMN_COUNT), .room = count};
    if (w.memory == NULL) {
        return false;
    }
    for (size_t i = first; i < first + count; i++) {
        op_put(&w, ops, i, last_op);
    }
    bool fits = columns_append(&w, block);
    free(w.memory);
    return fits;
}

/* What is left of a column. */
struct column {
    const unsigned char *next;
    const unsigned char *end;
};

static const char column_short[] = "a column ends too early";
static const char number_large[] = "a number is too large";

/* Reads a number from up to `digits` columns that is at most `most`. Returns NULL or the fault. */
static inline const char *number_get(struct column *columns, unsigned digits, uint64_t most,
                                     uint64_t *number) {
    *number = 0;
    for (unsigned d = 0; d < digits; d++) {
        if (columns[d].next == columns[d].end) {
            return column_short;
        }
        uint64_t byte = *columns[d].next++;
        uint64_t digit = byte & (DIGIT_MORE - 1);
        if (d * DIGIT_BITS > 56 && digit > 1) {
            return number_large;
        }
        *number |= digit << (d * DIGIT_BITS);
        if (byte < DIGIT_MORE) {
            return *number <= most ? NULL : number_large;
        }
    }
    return number_large;
}

static const char *columns_split(const unsigned char *block, size_t bytes,
                                 struct column columns[COLUMN_COUNT]) {
    if (bytes < COLUMN_COUNT * LENGTH_BYTES) {
        return "block too short for the lengths of its columns";
    }
    const unsigned char *next = block + COLUMN_COUNT * LENGTH_BYTES;
    const unsigned char *end = block + bytes;
    for (unsigned c = 0; c < COLUMN_COUNT; c++) {
        const unsigned char *l = block + c * LENGTH_BYTES;
        size_t length = l[0] | (size_t)l[1] << 8 | (size_t)l[2] << 16 | (size_t)l[3] << 24;
        if (length > (size_t)(end - next)) {
            return "a column is longer than its block";
        }
        columns[c] = (struct column){next, next + length};
        next += length;
    }
    return next == end ? NULL : "columns are shorter than their block";
}

/* The slot of a realloc or free: that of the op `age` ops ago. */
static inline const char *slot_get(struct column *columns, const struct op *ops, size_t index,
                                   uint32_t *slot) {
    uint64_t age;
    const char *fault = number_get(&columns[AGES], THREADS - AGES, index, &age);
    if (fault == NULL) {
        *slot = ops[index - (size_t)age].slot;
    }
    return fault;
}

static const char *thread_get(struct column *columns, uint16_t *thread) {
    uint64_t number;
    const char *fault = number_get(&columns[THREADS], COLUMN_COUNT - THREADS, UINT16_MAX, &number);
    *thread = (uint16_t)number;
    return fault;
}

static inline const char *op_get(struct column *columns, struct op *ops, size_t index,
                                 struct trace_columns_slots *slots) {
    struct op *op = &ops[index];
    unsigned kind = *columns[KINDS].next++;
    const char *fault = NULL;
    *op = (struct op){.thread = index == 0 ? 0 : ops[index - 1].thread,
                      .kind = (uint8_t)(kind & (THREAD_CHANGES - 1))};
    if (kind >= THREAD_CHANGES) {
        if (kind >= 2 * THREAD_CHANGES) {
            return "unknown kind of op";
        }
        fault = thread_get(columns, &op->thread);
    }
    if (fault == NULL && op->kind != OP_FREE) {
        fault = number_get(&columns[SIZES], AGES - SIZES, UINT64_MAX, &op->bytes);
    }
    if (fault != NULL) {
        return fault;
    }
    if (op->kind == OP_FREE || op->kind == OP_REALLOC) {
        fault = slot_get(columns, ops, index, &op->slot);
        if (op->kind == OP_FREE) {
            slots->freed[slots->freed_count++] = op->slot;
        }
        return fault;
    }
    op->slot = slots->freed_count > 0 ? slots->freed[--slots->freed_count] : slots->slot_count++;
    if (op->kind == OP_ALIGNED) {
        if (columns[ALIGNS].next == columns[ALIGNS].end) {
            return column_short;
        }
        op->align_log2 = *columns[ALIGNS].next++;
    }
    return NULL;
}

const char *trace_columns_decode(const unsigned char *block, size_t bytes, struct op *ops,
                                 size_t first, size_t count, struct trace_columns_slots *slots) {
    struct column columns[COLUMN_COUNT];
    const char *fault = columns_split(block, bytes, columns);
    if (fault == NULL && (size_t)(columns[KINDS].end - columns[KINDS].next) != count) {
        fault = "kinds of another number of ops than the block has";
    }
    struct trace_columns_slots local = *slots;
    for (size_t i = first; i < first + count && fault == NULL; i++) {
        fault = op_get(columns, ops, i, &local);
    }
    *slots = local;
    for (unsigned c = 0; c < COLUMN_COUNT && fault == NULL; c++) {
        if (columns[c].next != columns[c].end) {
            fault = "a column has bytes left over";
        }
    }
    return fault;
}
