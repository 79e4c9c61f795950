/* SPDX-License-Identifier: MIT
 * importers.c - see importers.h */
#include "importers.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define I(name, summary) bool import_##name(struct import *in);
#include "importer_list.h"
#undef I

static const struct importer_info infos[] = {
#define I(name, summary) {#name, summary},
#include "importer_list.h"
#undef I
};

static bool (*const readers[])(struct import *in) = {
#define I(name, summary) import_##name,
#include "importer_list.h"
#undef I
};

enum { IMPORTER_COUNT = sizeof infos / sizeof infos[0] };

const struct importer_info *importers_list(size_t *count) {
    *count = IMPORTER_COUNT;
    return infos;
}

bool import_pushed(struct import *in, enum trace_push push, struct text_word word) {
    static const char *const faults[] = {
        [TRACE_PUSH_LIVE] = "is live, expected it to be free",
        [TRACE_PUSH_DEAD] = "is not live, expected an allocation first",
        [TRACE_PUSH_FULL] = "does not fit into memory",
    };
    return push == TRACE_PUSH_OK ||
           problem_set(in->problem, "%s:%zu: block %.*s %s", in->lines.path, in->lines.number,
                       (int)word.count, word.start, faults[push]);
}

void import_note(struct import *in, uint64_t count, const char *text) {
    size_t length = strlen(in->notes->text);
    if (count > 0) {
        (void)snprintf(in->notes->text + length, sizeof in->notes->text - length,
                       "note: %" PRIu64 " %s\n", count, text);
    }
}

bool import_number(struct import *in, uint64_t *number, const char *what) {
    struct text_word word = text_lines_word(&in->lines);
    bool hex = word.count > 1 && word.start[1] > '9';
    return (!hex && text_word_number(word, number)) ||
           text_lines_fault(&in->lines, word, what, in->problem);
}

static bool format_unknown(const char *format, struct problem *problem) {
    char names[256] = "";
    for (size_t i = 0; i < IMPORTER_COUNT; i++) {
        size_t length = strlen(names);
        (void)snprintf(names + length, sizeof names - length, "%s%s", i > 0 ? ", " : "",
                       infos[i].name);
    }
    return problem_set(problem, "%s: unknown format, expected one of %s", format, names);
}

bool import_take(struct import *in) {
    struct trace *out = in->out;
    const char *path = in->lines.path;
    if (!trace_builder_take(in->builder, out, path, in->problem)) {
        return false;
    }
    if (out->op_count == 0) {
        return problem_set(in->problem, "%s: no call in it, expected at least one", path);
    }
    file_bytes_name(path, out->name, sizeof out->name);
    file_bytes_sha256(in->file.bytes, in->file.count, out->sha256);
    (void)snprintf(out->origin, sizeof out->origin, "%s import", in->format);
    return true;
}

static bool import_read(struct import *in, const char *path, bool (*reader)(struct import *in)) {
    if (!file_bytes_read(path, &in->file, in->problem)) {
        return false;
    }
    text_lines_start(&in->lines, path, (const char *)in->file.bytes, in->file.count);
    return reader(in);
}

bool importers_run(const char *format, const char *path, struct trace *out,
                   struct import_notes *notes, struct problem *problem) {
    assert(out->ops == NULL);
    notes->text[0] = '\0';
    size_t index = 0;
    while (index < IMPORTER_COUNT && strcmp(infos[index].name, format) != 0) {
        index++;
    }
    if (index == IMPORTER_COUNT) {
        return format_unknown(format, problem);
    }
    struct import in = {.format = format,
                        .builder = trace_builder_new(),
                        .out = out,
                        .notes = notes,
                        .problem = problem};
    bool read = in.builder != NULL || problem_set(problem, "%s: no memory to read it", path);
    read = read && import_read(&in, path, readers[index]);
    file_bytes_release(&in.file);
    trace_builder_free(in.builder);
    if (!read) {
        trace_release(out);
    }
    return read;
}
