/* SPDX-License-Identifier: MIT
 * script_text.c - scripts as text. */
#include "script.h"

#include "../trace/text_lines.h"
#include "../trace/trace_text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DIRECTIVE "#!"

static const char *const extra_words[] = {
    [SCRIPT_FREE] = "free", [SCRIPT_REALLOC] = "realloc", [SCRIPT_USABLE] = "usable"};

/* ---- reading ---- */

/* Takes the word `key` and a number behind it, which is at most `most`. */
static bool keyed_read(struct text_lines *lines, const char *key, uint64_t most, uint64_t *number,
                       struct problem *problem) {
    struct text_word word = key[0] != '\0' ? text_lines_word(lines) : (struct text_word){0};
    if (key[0] != '\0' && !text_word_is(word, key)) {
        return text_lines_fault(lines, word, key, problem);
    }
    if (!text_lines_number(lines, number, "a number", problem)) {
        return false;
    }
    return *number <= most || problem_set(problem, "%s:%zu: %" PRIu64 ", expected at most %" PRIu64,
                                          lines->path, lines->number, *number, most);
}

static bool pool_read(struct text_lines *lines, struct script_setup *setup,
                      struct problem *problem) {
    uint64_t bytes, at, dirt, block;
    if (!keyed_read(lines, "", SCRIPT_POOL_MAX, &bytes, problem) ||
        !keyed_read(lines, "at", ARENA_ALIGN - 1, &at, problem) ||
        !keyed_read(lines, "dirt", ARENA_DIRT_COUNT - 1, &dirt, problem) ||
        !keyed_read(lines, "block", UINT32_MAX, &block, problem) ||
        !text_lines_end(lines, problem)) {
        return false;
    }
    *setup = (struct script_setup){(uint32_t)bytes, (uint32_t)at, (uint32_t)dirt, (uint32_t)block};
    return true;
}

/* A number with or without a minus. */
static bool offset_read(struct text_lines *lines, int64_t *offset, struct problem *problem) {
    struct text_word word = text_lines_word(lines);
    bool negative = word.count > 0 && word.start[0] == '-';
    uint64_t size;
    if (!text_word_number((struct text_word){word.start + negative, word.count - negative},
                          &size) ||
        size > SCRIPT_POOL_MAX) {
        return text_lines_fault(lines, word, "an offset within 16 MiB", problem);
    }
    *offset = negative ? -(int64_t)size : (int64_t)size;
    return true;
}

static bool misuse_read(struct text_lines *lines, struct script_extra *extra,
                        struct problem *problem) {
    struct text_word word = text_lines_word(lines);
    uint64_t bytes = 0;
    extra->kind = SCRIPT_FREE;
    while (extra->kind <= SCRIPT_USABLE && !text_word_is(word, extra_words[extra->kind])) {
        extra->kind++;
    }
    if (extra->kind > SCRIPT_USABLE) {
        return text_lines_fault(lines, word, "free, realloc or usable", problem);
    }
    if (!offset_read(lines, &extra->offset, problem) ||
        (extra->kind == SCRIPT_REALLOC && !keyed_read(lines, "to", UINT32_MAX, &bytes, problem))) {
        return false;
    }
    extra->bytes = (uint32_t)bytes;
    return true;
}

static bool region_read(struct text_lines *lines, struct script_extra *extra,
                        struct problem *problem) {
    uint64_t bytes, at;
    extra->kind = SCRIPT_REGION;
    if (!keyed_read(lines, "", SCRIPT_POOL_MAX, &bytes, problem) ||
        !keyed_read(lines, "at", SCRIPT_POOL_MAX, &at, problem)) {
        return false;
    }
    extra->bytes = (uint32_t)bytes;
    extra->offset = (int64_t)at;
    return true;
}

static bool directive_read(struct text_lines *lines, struct script *script,
                           struct problem *problem) {
    struct text_word word = text_lines_word(lines);
    if (text_word_is(word, "pool")) {
        return pool_read(lines, &script->setup, problem);
    }
    struct script_extra extra = {0};
    uint64_t after = 0;
    bool is_misuse = text_word_is(word, "misuse");
    if (!is_misuse && !text_word_is(word, "region")) {
        return text_lines_fault(lines, word, "pool, region or misuse", problem);
    }
    if (!(is_misuse ? misuse_read(lines, &extra, problem) : region_read(lines, &extra, problem)) ||
        !keyed_read(lines, "after", script->op_count, &after, problem) ||
        !text_lines_end(lines, problem)) {
        return false;
    }
    extra.after = (uint32_t)after;
    if (script->extra_count > 0 && script->extras[script->extra_count - 1].after > after) {
        return problem_set(problem, "%s:%zu: after %" PRIu64 ", expected directives in order",
                           lines->path, lines->number, after);
    }
    assert(script->extra_count < script->extra_room);
    script->extras[script->extra_count++] = extra;
    return true;
}

/* A directive per line at most. */
static uint32_t line_count(const struct file_bytes *file) {
    uint32_t count = 1;
    for (size_t i = 0; i < file->count; i++) {
        count += file->bytes[i] == '\n';
    }
    return count;
}

static bool directives_read(const char *path, const struct file_bytes *file, struct script *script,
                            struct problem *problem) {
    struct text_lines lines;
    text_lines_start(&lines, path, (const char *)file->bytes, file->count);
    while (text_lines_next(&lines)) {
        if (text_word_is(text_lines_word(&lines), DIRECTIVE) &&
            !directive_read(&lines, script, problem)) {
            return false;
        }
    }
    return true;
}

bool script_load(const char *path, struct script *out, struct problem *problem) {
    struct file_bytes file = {0};
    struct trace trace;
    *out = (struct script){0};
    if (!trace_load(path, &trace, problem)) {
        return false;
    }
    uint64_t pool = trace.counts.peak_live_bytes * 4 + 1024;
    bool is_text = strncmp(path, "gen:", 4) != 0 && strcmp(path, "-") != 0;
    bool loaded = !is_text || file_bytes_read(path, &file, problem);
    is_text = is_text && loaded && memchr(file.bytes, 0, file.count) == NULL;
    if (loaded && trace.op_count >= UINT32_MAX) {
        loaded = problem_set(problem, "%s: %zu ops, expected fewer", path, trace.op_count);
    }
    if (loaded && !script_open(out, (uint32_t)trace.op_count, is_text ? line_count(&file) : 0)) {
        loaded = problem_set(problem, "%s: no memory to read it", path);
    }
    if (loaded) {
        memcpy(out->ops, trace.ops, trace.op_count * sizeof *out->ops);
        out->op_count = (uint32_t)trace.op_count;
        out->setup.pool_bytes = pool < SCRIPT_POOL_MAX ? (uint32_t)pool : SCRIPT_POOL_MAX;
        loaded = !is_text || directives_read(path, &file, out, problem);
    }
    if (!loaded) {
        script_close(out);
    }
    trace_release(&trace);
    file_bytes_release(&file);
    return loaded;
}

/* ---- writing ---- */

static bool text_append(struct file_bytes *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool text_append(struct file_bytes *file, const char *format, ...) {
    char line[256];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    assert(length > 0 && (size_t)length < sizeof line);
    return file_bytes_append(file, line, (size_t)length);
}

static bool remark_append(struct file_bytes *file, const char *remark) {
    bool fits = true;
    while (fits && remark != NULL && *remark != '\0') {
        size_t length = strcspn(remark, "\n");
        fits = file_bytes_append(file, "# ", 2) && file_bytes_append(file, remark, length) &&
               file_bytes_append(file, "\n", 1);
        remark += length + (remark[length] == '\n');
    }
    return fits;
}

static bool extra_append(struct file_bytes *file, const struct script_extra *extra) {
    if (extra->kind == SCRIPT_REGION) {
        return text_append(file, DIRECTIVE " region %" PRIu32 " at %" PRId64 " after %" PRIu32 "\n",
                           extra->bytes, extra->offset, extra->after);
    }
    char to[32] = "";
    if (extra->kind == SCRIPT_REALLOC) {
        (void)snprintf(to, sizeof to, " to %" PRIu32, extra->bytes);
    }
    return text_append(file, DIRECTIVE " misuse %s %" PRId64 "%s after %" PRIu32 "\n",
                       extra_words[extra->kind], extra->offset, to, extra->after);
}

bool script_encode(const struct script *script, const char *remark, struct file_bytes *file,
                   struct problem *problem) {
    const struct script_setup *setup = &script->setup;
    if (script->op_count == 0) {
        return problem_set(problem, "script: no op, expected at least one");
    }
    bool fits = remark_append(file, remark) &&
                text_append(file,
                            DIRECTIVE " pool %" PRIu32 " at %" PRIu32 " dirt %" PRIu32
                                      " block %" PRIu32 "\n",
                            setup->pool_bytes, setup->misalign, setup->dirt, setup->block_bytes);
    for (uint32_t i = 0; i < script->extra_count && fits; i++) {
        fits = extra_append(file, &script->extras[i]);
    }
    for (uint32_t i = 0; i < script->op_count && fits;) {
        struct op_run run = script_run(script, i);
        fits = trace_text_encode_run(&script->ops[i], run, file);
        i += (uint32_t)run.count;
    }
    return fits || problem_set(problem, "script: no memory for its text");
}
