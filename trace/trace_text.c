/* SPDX-License-Identifier: MIT
 * trace_text.c - see trace_text.h */
#include "trace_text.h"

#include "text_lines.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char letters[OP_KIND_COUNT] = {
    [OP_ALLOC] = 'a', [OP_CALLOC] = 'c', [OP_ALIGNED] = 'm', [OP_REALLOC] = 'r', [OP_FREE] = 'f'};

/* Cuts a comment off the current line. */
static void comment_cut(struct text_lines *lines) {
    const char *sign = memchr(lines->word, '#', (size_t)(lines->line_end - lines->word));
    if (sign != NULL) {
        while (sign > lines->word && (sign[-1] == ' ' || sign[-1] == '\t')) {
            sign--;
        }
        lines->line_end = sign;
    }
}

static bool value_copy(struct text_lines *lines, char *to, size_t room, struct problem *problem) {
    struct text_word value = text_lines_rest(lines);
    return text_word_unescape(value, to, room) ||
           text_lines_fault(lines, value, "a shorter text", problem);
}

static bool pointer_bits_read(struct text_lines *lines, struct trace *out,
                              struct problem *problem) {
    static const char expected[] = "pointer_bits of 32, 64 or 0";
    struct text_word rest = text_lines_rest(lines);
    uint64_t bits;
    if (!text_word_number(rest, &bits) || (bits != 0 && bits != 32 && bits != 64)) {
        return text_lines_fault(lines, rest, expected, problem);
    }
    out->pointer_bits = (uint32_t)bits;
    return true;
}

/* Reads `key: value`; `key` was taken already. */
static bool header_line(struct text_lines *lines, struct text_word key, struct trace *out,
                        struct problem *problem) {
    if (text_word_is(key, "origin:")) {
        return value_copy(lines, out->origin, sizeof out->origin, problem);
    }
    if (text_word_is(key, "command:")) {
        return value_copy(lines, out->command, sizeof out->command, problem);
    }
    if (text_word_is(key, "arch:")) {
        return value_copy(lines, out->arch, sizeof out->arch, problem);
    }
    if (text_word_is(key, "pointer_bits:")) {
        return pointer_bits_read(lines, out, problem);
    }
    return text_lines_fault(lines, key, "origin:, command:, arch: or pointer_bits:", problem);
}

static bool align_read(struct text_lines *lines, uint8_t *align_log2, struct problem *problem) {
    static const char expected[] = "an alignment that is a power of two";
    uint64_t align = 0;
    if (!text_lines_number(lines, &align, expected, problem)) {
        return false;
    }
    if (align == 0 || (align & (align - 1)) != 0) {
        return problem_set(problem, "%s:%zu: %" PRIu64 ", expected %s", lines->path, lines->number,
                           align, expected);
    }
    *align_log2 = (uint8_t)__builtin_ctzll(align);
    return true;
}

/* Reads `@N`, if it is there, and the end of the line. */
static bool thread_read(struct text_lines *lines, uint16_t *thread, struct problem *problem) {
    struct text_word word = text_lines_rest(lines);
    *thread = 0;
    if (word.count > 0 && word.start[0] == '@') {
        static const char expected[] = "@ and a thread of 0 to 65535";
        uint64_t number;
        word = text_lines_word(lines);
        if (!text_word_number((struct text_word){word.start + 1, word.count - 1}, &number) ||
            number > UINT16_MAX) {
            return text_lines_fault(lines, word, expected, problem);
        }
        *thread = (uint16_t)number;
    }
    return text_lines_end(lines, problem);
}

/* An op as written, its blocks by name: block, block + step, ... */
struct written {
    struct op op;
    uint64_t block, count, step; /* the step of a run downwards is 2^64 less it */
};

/* Parts a word at the first `sign`; false when it has none. */
static bool word_part(struct text_word *word, char sign, struct text_word *behind) {
    const char *at = memchr(word->start, sign, word->count);
    if (at == NULL) {
        return false;
    }
    *behind = (struct text_word){at + 1, word->count - (size_t)(at + 1 - word->start)};
    word->count = (size_t)(at - word->start);
    return true;
}

/* Reads N, or FROM-TO, or FROM-TO/STEP. */
static bool blocks_read(struct text_lines *lines, struct written *out, struct problem *problem) {
    static const char expected[] = "the number of a block, or of blocks as 1-9 or 1-9/2";
    struct text_word word = text_lines_word(lines), whole = word, to, by;
    uint64_t last, step = 1;
    if (!word_part(&word, '-', &to)) {
        out->count = 1;
        return text_word_number(word, &out->block) ||
               text_lines_fault(lines, whole, expected, problem);
    }
    bool stepped = word_part(&to, '/', &by);
    if (!text_word_number(word, &out->block) || !text_word_number(to, &last) ||
        (stepped && !text_word_number(by, &step)) || step == 0) {
        return text_lines_fault(lines, whole, expected, problem);
    }
    bool up = last >= out->block;
    uint64_t span = up ? last - out->block : out->block - last;
    if (span % step != 0 || span / step >= OP_RUN_MOST) {
        return text_lines_fault(lines, whole, "whole steps and at most 4096 blocks", problem);
    }
    out->count = span / step + 1;
    out->step = up ? step : 0 - step;
    return true;
}

static bool op_read(struct text_lines *lines, enum op_kind kind, struct written *out,
                    struct problem *problem) {
    *out = (struct written){.op.kind = (uint8_t)kind};
    return blocks_read(lines, out, problem) &&
           (kind != OP_ALIGNED || align_read(lines, &out->op.align_log2, problem)) &&
           (kind == OP_FREE ||
            text_lines_number(lines, &out->op.bytes, "a size in bytes", problem)) &&
           thread_read(lines, &out->op.thread, problem);
}

static enum trace_push op_push(struct trace_builder *builder, const struct written *w) {
    const struct op *op = &w->op;
    switch (op->kind) {
    case OP_FREE:
        return trace_builder_dispose(builder, w->block, op->thread);
    case OP_REALLOC:
        return trace_builder_realloc(builder, w->block, w->block, op->bytes, op->thread);
    default:
        return trace_builder_alloc(builder, w->block, (enum op_kind)op->kind, op->bytes,
                                   op->align_log2, op->thread);
    }
}

static bool push_fault(const struct text_lines *lines, uint64_t block, enum trace_push push,
                       struct problem *problem) {
    static const char *const faults[] = {
        [TRACE_PUSH_LIVE] = "is live, expected it to be free",
        [TRACE_PUSH_DEAD] = "is not live, expected an allocation first",
        [TRACE_PUSH_FULL] = "does not fit into memory",
    };
    return problem_set(problem, "%s:%zu: block %" PRIu64 " %s", lines->path, lines->number, block,
                       faults[push]);
}

static bool op_line(struct text_lines *lines, struct text_word word, struct trace_builder *builder,
                    struct problem *problem) {
    const char *letter = memchr(letters, word.start[0], sizeof letters);
    if (word.count != 1 || letter == NULL) {
        return text_lines_fault(lines, word, "a, c, m, r or f", problem);
    }
    struct written written;
    if (!op_read(lines, (enum op_kind)(letter - letters), &written, problem)) {
        return false;
    }
    if (written.op.kind == OP_REALLOC && written.op.bytes == 0) {
        return problem_set(problem, "%s:%zu: realloc to 0 bytes, expected at least 1, or f",
                           lines->path, lines->number);
    }
    enum trace_push push = TRACE_PUSH_OK;
    for (; written.count > 0 && push == TRACE_PUSH_OK; written.count--) {
        push = op_push(builder, &written);
        written.block += written.step;
    }
    return push == TRACE_PUSH_OK || push_fault(lines, written.block - written.step, push, problem);
}

static bool lines_read(struct text_lines *lines, struct trace_builder *builder, struct trace *out,
                       struct problem *problem) {
    bool in_header = true;
    while (text_lines_next(lines)) {
        struct text_word first = text_lines_word(lines);
        if (first.count == 0 || first.start[0] == '#') {
            continue;
        }
        if (in_header && first.start[first.count - 1] == ':') {
            if (!header_line(lines, first, out, problem)) {
                return false;
            }
            continue;
        }
        in_header = false;
        comment_cut(lines);
        if (!op_line(lines, first, builder, problem)) {
            return false;
        }
    }
    return !in_header || problem_set(problem, "%s:%zu: end of text, expected at least one op",
                                     lines->path, lines->number);
}

bool trace_text_decode(const char *path, const char *text, size_t count, struct trace *out,
                       struct problem *problem) {
    assert(out->ops == NULL);
    struct trace_builder *builder = trace_builder_new();
    if (builder == NULL) {
        return problem_set(problem, "%s: no memory to read it", path);
    }
    struct text_lines lines;
    text_lines_start(&lines, path, text, count);
    bool read = lines_read(&lines, builder, out, problem) &&
                trace_builder_take(builder, out, path, problem);
    trace_builder_free(builder);
    file_bytes_sha256(text, count, out->sha256);
    return read;
}

/* Writes `key: value` unless the value is empty. */
static bool header_append(struct file_bytes *file, const char *key, const char *value) {
    char escaped[4 * TRACE_TEXT_MAX];
    text_escape(value, escaped, sizeof escaped);
    return value[0] == '\0' ||
           (file_bytes_append(file, key, strlen(key)) && file_bytes_append(file, ": ", 2) &&
            file_bytes_append(file, escaped, strlen(escaped)) && file_bytes_append(file, "\n", 1));
}

bool trace_text_encode_run(const struct op *op, struct op_run run, struct file_bytes *file) {
    char line[160];
    int length = snprintf(line, sizeof line, "%c %" PRIu32, letters[op->kind], op->slot);
    if (run.count > 1) {
        length += snprintf(line + length, sizeof line - (size_t)length, "-%" PRIu32,
                           op[run.count - 1].slot);
    }
    if (run.step > 1 || run.step < -1) {
        length += snprintf(line + length, sizeof line - (size_t)length, "/%" PRIu64,
                           (uint64_t)(run.step > 0 ? run.step : -run.step));
    }
    if (op->kind == OP_ALIGNED) {
        length += snprintf(line + length, sizeof line - (size_t)length, " %" PRIu64,
                           (uint64_t)1 << op->align_log2);
    }
    if (op->kind != OP_FREE) {
        length += snprintf(line + length, sizeof line - (size_t)length, " %" PRIu64, op->bytes);
    }
    if (op->thread != 0) {
        length += snprintf(line + length, sizeof line - (size_t)length, " @%u", op->thread);
    }
    assert(length > 0 && (size_t)length < sizeof line);
    line[length] = '\n';
    return file_bytes_append(file, line, (size_t)length + 1);
}

bool trace_text_encode(const struct trace *trace, struct file_bytes *file,
                       struct problem *problem) {
    if (trace->op_count == 0) {
        return problem_set(problem, "%s: no op, expected at least one", trace->name);
    }
    char bits[16];
    (void)snprintf(bits, sizeof bits, "%" PRIu32, trace->pointer_bits);
    bool fits = header_append(file, "origin", trace->origin) &&
                header_append(file, "command", trace->command) &&
                header_append(file, "arch", trace->arch) &&
                header_append(file, "pointer_bits", trace->pointer_bits == 0 ? "" : bits);
    for (size_t i = 0; i < trace->op_count && fits; i++) {
        fits = trace_text_encode_run(&trace->ops[i], (struct op_run){1, 1}, file);
    }
    return fits || problem_set(problem, "%s: no memory for its text", trace->name);
}
