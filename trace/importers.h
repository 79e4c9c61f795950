/* SPDX-License-Identifier: MIT
 *
 * importers.h - traces from other programs' files
 */
#ifndef HEAPRIG_IMPORTERS_H
#define HEAPRIG_IMPORTERS_H

#include "file_bytes.h"
#include "text_lines.h"
#include "trace.h"

/* One line of importer_list.h. */
struct importer_info {
    const char *name;
    const char *summary;
};

/* What was mended, left out or looks odd, though the file could be read: lines of text. */
struct import_notes {
    char text[2048];
};

/* All formats; *count receives their number. */
const struct importer_info *importers_list(size_t *count);

/* Reads `path` ("-": standard input) as `format`. False and `path:line: what, expected what` when
 * it cannot be read or is not in that format, or the format is unknown; *out (empty on entry) is
 * then empty. The caller releases *out. O(bytes). */
bool importers_run(const char *format, const char *path, struct trace *out,
                   struct import_notes *notes, struct problem *problem);

/* ---- for import_*.c ---- */

/* An import while it runs. */
struct import {
    const char *format;
    struct text_lines lines; /* stands before the first line */
    struct file_bytes file;  /* all of it */
    struct trace_builder *builder;
    struct trace *out;
    struct import_notes *notes;
    struct problem *problem;
};

/* Whether the push was fine; else sets `path:line: block WORD is live, expected ...`. */
bool import_pushed(struct import *in, enum trace_push push, struct text_word word);

/* Adds `note: COUNT TEXT` to the notes, unless count is 0. */
void import_note(struct import *in, uint64_t count, const char *text);

/* Takes the next word as a decimal number or sets a problem that names `what`. */
bool import_number(struct import *in, uint64_t *number, const char *what);

/* The last step of an importer: moves the ops to in->out, checks and counts them and fills name,
 * digest and an origin, which the importer may add to. False when there is no op. */
bool import_take(struct import *in);

#endif
