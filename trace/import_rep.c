/* SPDX-License-Identifier: MIT
 *
 * import_rep.c - malloclab .rep files
 *
 *     header    2002:  heap hint, ids, ops, weight       2016:  weight, ids, ops, peak bytes
 *               short: ids, ops                          one number per line
 *     a ID BYTES      malloc
 *     r ID BYTES      realloc; of an id never allocated or freed: malloc
 *     f ID            free; -1: nothing happens
 *
 * Which header it is: two numbers are the short one; of four, the last is the peak of live bytes in
 * the form of 2016. It tells no more about the trace, so nothing but a note depends on it. An id
 * may be used again after its free. `r ID 0` keeps a block of 1 byte, so that files which free the
 * id afterwards and files which resize it again are both read. The number of ops in the header is
 * only compared.
 */
#include "importers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool import_rep(struct import *in);

enum { HEADER_SHORT = 2, HEADER_LONG = 4 };

struct rep {
    struct import *in;
    uint64_t header[HEADER_LONG];
    size_t header_count;
    uint64_t ops; /* lines of the body */
    uint64_t null_frees;
    uint64_t fresh_reallocs;
    uint64_t emptied;
};

static bool id_read(struct rep *r, uint64_t *id, struct text_word *word) {
    *word = text_lines_word(&r->in->lines);
    return (text_word_number(*word, id) && (word->count < 2 || word->start[1] <= '9')) ||
           text_lines_fault(&r->in->lines, *word, "the id of a block", r->in->problem);
}

static bool bytes_read(struct rep *r, uint64_t *bytes) {
    return import_number(r->in, bytes, "a size in bytes") &&
           text_lines_end(&r->in->lines, r->in->problem);
}

static bool alloc_read(struct rep *r) {
    uint64_t id;
    uint64_t bytes;
    struct text_word word;
    return id_read(r, &id, &word) && bytes_read(r, &bytes) &&
           import_pushed(r->in, trace_builder_alloc(r->in->builder, id, OP_ALLOC, bytes, 0, 0),
                         word);
}

static bool realloc_read(struct rep *r) {
    uint64_t id;
    uint64_t bytes;
    struct text_word word;
    if (!id_read(r, &id, &word) || !bytes_read(r, &bytes)) {
        return false;
    }
    r->emptied += bytes == 0;
    bytes += bytes == 0;
    enum trace_push push = trace_builder_realloc(r->in->builder, id, id, bytes, 0);
    if (push == TRACE_PUSH_DEAD) {
        r->fresh_reallocs++;
        push = trace_builder_alloc(r->in->builder, id, OP_ALLOC, bytes, 0, 0);
    }
    return import_pushed(r->in, push, word);
}

static bool free_read(struct rep *r) {
    uint64_t id;
    struct text_word word = text_lines_rest(&r->in->lines);
    if (text_word_is(word, "-1")) {
        r->null_frees++;
        return true;
    }
    return id_read(r, &id, &word) && text_lines_end(&r->in->lines, r->in->problem) &&
           import_pushed(r->in, trace_builder_dispose(r->in->builder, id, 0), word);
}

static bool op_read(struct rep *r, struct text_word letter) {
    r->ops++;
    if (text_word_is(letter, "a")) {
        return alloc_read(r);
    }
    if (text_word_is(letter, "r")) {
        return realloc_read(r);
    }
    if (text_word_is(letter, "f")) {
        return free_read(r);
    }
    return text_lines_fault(&r->in->lines, letter, "a, r or f", r->in->problem);
}

static bool header_complete(struct rep *r) {
    return r->header_count == HEADER_SHORT || r->header_count == HEADER_LONG ||
           problem_set(r->in->problem, "%s:%zu: a header of %zu numbers, expected %d or %d",
                       r->in->lines.path, r->in->lines.number, r->header_count, HEADER_SHORT,
                       HEADER_LONG);
}

static bool line_read(struct rep *r) {
    struct text_word first = text_lines_word(&r->in->lines);
    bool number = first.count > 0 && first.start[0] >= '0' && first.start[0] <= '9';
    if (first.count == 0) {
        return true;
    }
    if (!number || r->ops > 0) {
        return (r->ops > 0 || header_complete(r)) && op_read(r, first);
    }
    if (r->header_count == HEADER_LONG || !text_word_number(first, &r->header[r->header_count])) {
        return text_lines_fault(&r->in->lines, first, "a header of 2 or 4 numbers, then a, r or f",
                                r->in->problem);
    }
    r->header_count++;
    return text_lines_end(&r->in->lines, r->in->problem);
}

/* The forms of four numbers differ in what the last one is. A realloc to 0 counts as 1 byte here.
 */
static const char *header_form(const struct rep *r) {
    uint64_t peak = r->in->out->counts.peak_live_bytes;
    if (r->header_count == HEADER_SHORT) {
        return "short header";
    }
    uint64_t told = r->header[HEADER_LONG - 1];
    return told <= peak && peak - told <= r->emptied ? "header of 2016" : "header of 2002";
}

static void notes_add(struct rep *r) {
    struct import *in = r->in;
    uint64_t told = r->header[r->header_count == HEADER_LONG ? 2 : 1];
    if (told != r->ops) {
        char text[64];
        (void)snprintf(text, sizeof text, "ops found, the header says %" PRIu64, told);
        import_note(in, r->ops, text);
    }
    import_note(in, r->null_frees, "frees of -1 (NULL) were left out");
    import_note(in, r->fresh_reallocs, "reallocs of ids not live became allocations");
    import_note(in, r->emptied, "reallocs to 0 bytes became reallocs to 1");
    if (strstr(in->lines.path, "-bal") != NULL) {
        import_note(in, in->out->counts.live_at_end, "blocks live at the end of a balanced trace");
    }
}

bool import_rep(struct import *in) {
    struct rep r = {.in = in};
    bool read = true;
    while (read && text_lines_next(&in->lines)) {
        read = line_read(&r);
    }
    if (!read || !header_complete(&r) || !import_take(in)) {
        return false;
    }
    size_t length = strlen(in->out->origin);
    (void)snprintf(in->out->origin + length, sizeof in->out->origin - length, ", %s",
                   header_form(&r));
    notes_add(&r);
    return true;
}
