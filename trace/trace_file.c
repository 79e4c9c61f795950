/* SPDX-License-Identifier: MIT
 * trace_file.c - see trace_file.h */
#include "trace_file.h"

#include "text_lines.h"
#include "trace_columns.h"

#include <assert.h>
#include <inttypes.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

static const char magic[] = "heaprig trace ";
static const char version[] = "1";

static const char *const number_keys[] = {"pointer_bits",     "ops",     "alloc", "calloc",
                                          "aligned",          "realloc", "free",  "peak_live_bytes",
                                          "peak_live_blocks", "threads"};
enum {
    NUMBER_COUNT = sizeof number_keys / sizeof number_keys[0],
    NUMBER_POINTER_BITS = 0,
    NUMBER_OPS = 1,
    HEADER_MAX = 8192,
    BLOCK_HEADER_BYTES = 12,
    OPS_PER_BYTE = 8, /* recorded programs have 3 to 7 */
    LEVEL = 19,
};

/* The numbers of a header, in the order of number_keys. */
static void numbers_collect(const struct trace *trace, uint64_t numbers[NUMBER_COUNT]) {
    const struct trace_counts *counts = &trace->counts;
    const uint64_t collected[] = {trace->pointer_bits,      counts->ops,
                                  counts->kind[OP_ALLOC],   counts->kind[OP_CALLOC],
                                  counts->kind[OP_ALIGNED], counts->kind[OP_REALLOC],
                                  counts->kind[OP_FREE],    counts->peak_live_bytes,
                                  counts->peak_live_blocks, counts->threads};
    _Static_assert(sizeof collected == NUMBER_COUNT * sizeof collected[0], "a key each");
    memcpy(numbers, collected, sizeof collected);
}

/* ---- writing ---- */

static bool line_append(struct file_bytes *file, const char *key, const char *value) {
    return file_bytes_append(file, key, strlen(key)) && file_bytes_append(file, " ", 1) &&
           file_bytes_append(file, value, strlen(value)) && file_bytes_append(file, "\n", 1);
}

static bool text_append(struct file_bytes *file, const char *key, const char *value) {
    char escaped[4 * TRACE_TEXT_MAX];
    text_escape(value, escaped, sizeof escaped);
    return line_append(file, key, escaped);
}

static bool header_append(const struct trace *trace, struct file_bytes *file) {
    uint64_t numbers[NUMBER_COUNT];
    numbers_collect(trace, numbers);
    bool fits = file_bytes_append(file, magic, sizeof magic - 1) &&
                file_bytes_append(file, version, sizeof version - 1) &&
                file_bytes_append(file, "\n", 1) && text_append(file, "origin", trace->origin) &&
                text_append(file, "command", trace->command) &&
                text_append(file, "arch", trace->arch);
    for (size_t i = 0; i < NUMBER_COUNT && fits; i++) {
        char digits[32];
        (void)snprintf(digits, sizeof digits, "%" PRIu64, numbers[i]);
        fits = line_append(file, number_keys[i], digits);
    }
    return fits && file_bytes_append(file, "\n", 1);
}

static void word_put(unsigned char *at, size_t number) {
    assert(number <= UINT32_MAX);
    for (unsigned i = 0; i < 4; i++) {
        at[i] = (unsigned char)(number >> (8 * i));
    }
}

static bool frame_append(ZSTD_CCtx *zstd, const struct file_bytes *columns, size_t ops,
                         struct file_bytes *file) {
    size_t room = ZSTD_compressBound(columns->count);
    unsigned char *frame = malloc(room);
    if (frame == NULL) {
        return false;
    }
    size_t bytes = ZSTD_compress2(zstd, frame, room, columns->bytes, columns->count);
    unsigned char header[BLOCK_HEADER_BYTES];
    bool fits = !ZSTD_isError(bytes);
    if (fits) {
        word_put(header, ops);
        word_put(header + 4, columns->count);
        word_put(header + 8, bytes);
        fits =
            file_bytes_append(file, header, sizeof header) && file_bytes_append(file, frame, bytes);
    }
    free(frame);
    return fits;
}

static bool blocks_append(const struct trace *trace, ZSTD_CCtx *zstd, struct file_bytes *file) {
    uint32_t *last_op = calloc((size_t)trace->counts.slots + 1, sizeof *last_op);
    bool fits = last_op != NULL && zstd != NULL &&
                !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, LEVEL)) &&
                !ZSTD_isError(ZSTD_CCtx_setParameter(zstd, ZSTD_c_checksumFlag, 1));
    struct file_bytes columns = {0};
    for (size_t first = 0; first < trace->op_count && fits; first += TRACE_COLUMNS_OPS_MAX) {
        size_t left = trace->op_count - first;
        size_t count = left < TRACE_COLUMNS_OPS_MAX ? left : TRACE_COLUMNS_OPS_MAX;
        columns.count = 0;
        fits = trace_columns_encode(trace->ops, first, count, last_op, &columns) &&
               frame_append(zstd, &columns, count, file);
    }
    file_bytes_release(&columns);
    free(last_op);
    return fits;
}

static bool end_append(struct file_bytes *file) {
    static const unsigned char zeros[BLOCK_HEADER_BYTES];
    if (!file_bytes_append(file, zeros, sizeof zeros)) {
        return false;
    }
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA2_CTX sha;
    SHA256Init(&sha);
    SHA256Update(&sha, file->bytes, file->count);
    SHA256Final(digest, &sha);
    return file_bytes_append(file, digest, sizeof digest);
}

bool trace_file_encode(const struct trace *trace, struct file_bytes *file,
                       struct problem *problem) {
    assert(trace->counts.ops == trace->op_count);
    assert(file->count == 0);
    ZSTD_CCtx *zstd = ZSTD_createCCtx();
    bool fits = header_append(trace, file) && blocks_append(trace, zstd, file) && end_append(file);
    ZSTD_freeCCtx(zstd);
    return fits || problem_set(problem, "%s: no memory to compress it", trace->name);
}

/* ---- reading ---- */

/* A file while it is read. */
struct reader {
    const char *path;
    const unsigned char *start;
    const unsigned char *next;
    const unsigned char *end;
    uint64_t numbers[NUMBER_COUNT]; /* what the header says */
    ZSTD_DCtx *zstd;
    unsigned char *columns; /* room for TRACE_COLUMNS_BYTES_MAX */
    size_t op_room;
    struct trace_columns_slots slots;
};

bool trace_file_is(const unsigned char *bytes, size_t count) {
    return count >= sizeof magic - 1 && memcmp(bytes, magic, sizeof magic - 1) == 0;
}

static bool header_text(struct text_lines *lines, const char *key, char *to, size_t room,
                        struct problem *problem) {
    bool found = text_lines_next(lines);
    struct text_word word = text_lines_word(lines);
    if (!found || !text_word_is(word, key)) {
        return text_lines_fault(lines, word, key, problem);
    }
    struct text_word value = text_lines_rest(lines);
    return text_word_unescape(value, to, room) ||
           text_lines_fault(lines, value, "a shorter text", problem);
}

static bool header_number(struct text_lines *lines, const char *key, uint64_t *number,
                          struct problem *problem) {
    char digits[32];
    if (!header_text(lines, key, digits, sizeof digits, problem)) {
        return false;
    }
    struct text_word word = {digits, strlen(digits)};
    return text_word_number(word, number) || text_lines_fault(lines, word, "a number", problem);
}

/* Reads the lines of the header; the reader then stands at the first block. */
static bool header_read(struct reader *r, struct trace *out, struct problem *problem) {
    size_t count = (size_t)(r->end - r->start);
    struct text_lines lines;
    text_lines_start(&lines, r->path, (const char *)r->start,
                     count < HEADER_MAX ? count : HEADER_MAX);
    (void)text_lines_next(&lines);
    struct text_word first = text_lines_rest(&lines);
    struct text_word number = {first.start + sizeof magic - 1, first.count - (sizeof magic - 1)};
    if (first.count < sizeof magic || !text_word_is(number, version)) {
        return text_lines_fault(&lines, first, "heaprig trace 1", problem);
    }
    if (!header_text(&lines, "origin", out->origin, sizeof out->origin, problem) ||
        !header_text(&lines, "command", out->command, sizeof out->command, problem) ||
        !header_text(&lines, "arch", out->arch, sizeof out->arch, problem)) {
        return false;
    }
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        if (!header_number(&lines, number_keys[i], &r->numbers[i], problem)) {
            return false;
        }
    }
    uint64_t bits = r->numbers[NUMBER_POINTER_BITS];
    if (bits != 0 && bits != 32 && bits != 64) {
        return problem_set(problem, "%s: pointer_bits %" PRIu64 ", expected 32, 64 or 0", r->path,
                           bits);
    }
    out->pointer_bits = (uint32_t)bits;
    if (!text_lines_next(&lines) || !text_lines_done(&lines)) {
        return text_lines_fault(&lines, text_lines_rest(&lines), "an empty line", problem);
    }
    r->next = (const unsigned char *)lines.next;
    return true;
}

static size_t word_get(const unsigned char *at) {
    return (size_t)(at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
}

static bool damage(const struct reader *r, const char *what, struct problem *problem) {
    return problem_set(problem, "%s: byte %zu: %s: the file is damaged or cut", r->path,
                       (size_t)(r->next - r->start), what);
}

/* Asks for large pages, which save thousands of page faults; a system without them loses nothing.
 */
static void pages_advise(void *memory, size_t bytes) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = ((uintptr_t)memory + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)memory + bytes) & ~(page - 1);
    if (start < end) {
        (void)madvise((void *)start, end - start, MADV_HUGEPAGE);
    }
}

static size_t smaller(uint64_t a, size_t b) {
    return a < b ? (size_t)a : b;
}

/* Makes room for `more` ops: at first for OPS_PER_BYTE of the file, then for twice as many as were
 * found, but never for more than the header says. */
static bool ops_reserve(struct reader *r, struct trace *out, size_t more) {
    size_t needed = out->op_count + more;
    if (needed <= r->op_room) {
        return true;
    }
    size_t plausible =
        r->op_room == 0 ? (size_t)(r->end - r->start) * OPS_PER_BYTE : r->op_room * 2;
    size_t room = smaller(r->numbers[NUMBER_OPS], plausible > needed ? plausible : needed);
    struct op *ops = room <= SIZE_MAX / sizeof *ops ? realloc(out->ops, room * sizeof *ops) : NULL;
    if (ops == NULL) {
        return false;
    }
    out->ops = ops;
    pages_advise(ops, room * sizeof *ops);
    uint32_t *freed = realloc(r->slots.freed, room * sizeof *freed);
    if (freed == NULL) {
        return false;
    }
    r->slots.freed = freed;
    r->op_room = room;
    return true;
}

/* The block header's three numbers. */
struct block {
    size_t ops;
    size_t columns_bytes;
    size_t frame_bytes;
};

static const char *block_fault(const struct reader *r, const struct trace *out,
                               const struct block *block) {
    if (block->ops == 0 || block->ops > TRACE_COLUMNS_OPS_MAX ||
        block->ops > r->numbers[NUMBER_OPS] - out->op_count) {
        return "a block of impossibly many ops";
    }
    if (block->frame_bytes > (size_t)(r->end - r->next)) {
        return "a block longer than the file";
    }
    return NULL;
}

static bool block_read(struct reader *r, const struct block *block, struct trace *out,
                       struct problem *problem) {
    const char *fault = block_fault(r, out, block);
    if (fault != NULL) {
        return damage(r, fault, problem);
    }
    if (!ops_reserve(r, out, block->ops)) {
        return problem_set(problem, "%s: no memory for more than %zu ops", r->path, out->op_count);
    }
    size_t got = ZSTD_decompressDCtx(r->zstd, r->columns, TRACE_COLUMNS_BYTES_MAX, r->next,
                                     block->frame_bytes);
    if (ZSTD_isError(got)) {
        return damage(r, ZSTD_getErrorName(got), problem);
    }
    if (got != block->columns_bytes) {
        return damage(r, "a block of another length than its header says", problem);
    }
    fault = trace_columns_decode(r->columns, got, out->ops, out->op_count, block->ops, &r->slots);
    if (fault != NULL) {
        return damage(r, fault, problem);
    }
    out->op_count += block->ops;
    r->next += block->frame_bytes;
    return true;
}

static bool blocks_read(struct reader *r, struct trace *out, struct problem *problem) {
    for (;;) {
        if (r->end - r->next < BLOCK_HEADER_BYTES) {
            return damage(r, "no end", problem);
        }
        struct block block = {word_get(r->next), word_get(r->next + 4), word_get(r->next + 8)};
        r->next += BLOCK_HEADER_BYTES;
        if (block.ops == 0 && block.columns_bytes == 0 && block.frame_bytes == 0) {
            return out->op_count == r->numbers[NUMBER_OPS] ||
                   damage(r, "fewer ops than the header says", problem);
        }
        if (!block_read(r, &block, out, problem)) {
            return false;
        }
    }
}

/* Compares the digest and goes on to that of the whole file. */
static bool end_read(struct reader *r, struct trace *out, struct problem *problem) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    if (r->end - r->next != sizeof digest) {
        return damage(r, "not 32 bytes after the last block", problem);
    }
    SHA2_CTX whole;
    SHA256Init(&whole);
    SHA256Update(&whole, r->start, (size_t)(r->next - r->start));
    SHA2_CTX before_end = whole;
    SHA256Final(digest, &before_end);
    SHA256Update(&whole, r->next, sizeof digest);
    (void)SHA256End(&whole, out->sha256);
    return memcmp(digest, r->next, sizeof digest) == 0 || damage(r, "wrong SHA-256", problem);
}

static bool numbers_compare(const struct reader *r, const struct trace *out,
                            struct problem *problem) {
    uint64_t counted[NUMBER_COUNT];
    numbers_collect(out, counted);
    for (size_t i = 0; i < NUMBER_COUNT; i++) {
        if (counted[i] != r->numbers[i]) {
            return problem_set(problem,
                               "%s: counted %" PRIu64 " for %s, expected the header's %" PRIu64,
                               r->path, counted[i], number_keys[i], r->numbers[i]);
        }
    }
    return true;
}

bool trace_file_decode(const char *path, const unsigned char *bytes, size_t count,
                       struct trace *out, struct problem *problem) {
    assert(out->ops == NULL);
    assert(trace_file_is(bytes, count));
    struct reader r = {.path = path,
                       .start = bytes,
                       .next = bytes,
                       .end = bytes + count,
                       .zstd = ZSTD_createDCtx(),
                       .columns = malloc(TRACE_COLUMNS_BYTES_MAX)};
    bool read;
    if (r.zstd == NULL || r.columns == NULL) {
        read = problem_set(problem, "%s: no memory to read it", path);
    } else {
        read = header_read(&r, out, problem) && blocks_read(&r, out, problem) &&
               end_read(&r, out, problem) && trace_finish(out, path, problem) &&
               numbers_compare(&r, out, problem);
    }
    free(r.slots.freed);
    free(r.columns);
    ZSTD_freeDCtx(r.zstd);
    return read;
}
