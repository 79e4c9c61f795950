/* SPDX-License-Identifier: MIT
 *
 * text_lines.h - reads text line by line and word by word, keeping count for messages
 *
 * Line ends may be LF or CRLF; blanks at either end of a line and between words do not matter.
 */
#ifndef HEAPRIG_TEXT_LINES_H
#define HEAPRIG_TEXT_LINES_H

#include "problem.h"

#include <stddef.h>
#include <stdint.h>

struct text_lines {
    const char *path; /* for messages */
    const char *next; /* first byte after the current line */
    const char *end;
    size_t number;    /* of the current line, from 1 */
    const char *word; /* what is left of the current line */
    const char *line_end;
};

/* A piece of a line; not terminated. */
struct text_word {
    const char *start;
    size_t count;
};

void text_lines_start(struct text_lines *lines, const char *path, const char *text, size_t count);

/* Moves to the next line; false at the end of the text. */
bool text_lines_next(struct text_lines *lines);

/* Whether nothing is left of the current line. */
bool text_lines_done(const struct text_lines *lines);

/* The rest of the current line. */
struct text_word text_lines_rest(const struct text_lines *lines);

/* The next word of the current line; empty at its end. */
struct text_word text_lines_word(struct text_lines *lines);

/* Takes what stands before the next `separator` of the current line and moves behind that. False,
 * and nothing is taken, when there is none. */
bool text_lines_until(struct text_lines *lines, char separator, struct text_word *word);

bool text_word_is(struct text_word word, const char *text);

/* Reads a number, decimal or with 0x in hex. False when the word is anything else or exceeds 64
 * bits. */
bool text_word_number(struct text_word word, uint64_t *number);

/* Takes the next word as a number, else sets `path:line: 'word', expected WHAT` and returns false.
 */
bool text_lines_number(struct text_lines *lines, uint64_t *number, const char *what,
                       struct problem *problem);

/* Whether the line is used up, else sets `path:line: 'word', expected the end of the line`. */
bool text_lines_end(struct text_lines *lines, struct problem *problem);

/* Sets `path:line: 'word', expected WHAT` and returns false. Long words are cut and bytes that no
 * terminal prints become '?'. */
bool text_lines_fault(const struct text_lines *lines, struct text_word word, const char *expected,
                      struct problem *problem);

/* Writes `text` so that it fits a line and text_word_unescape() restores it: control bytes,
 * backslashes and blanks at either end become \x and two hex digits. room > 4 x its length. */
void text_escape(const char *text, char *to, size_t room);

/* The reverse, terminated; any other backslash stays. False when it does not fit `room`, or holds
 * a 0 byte. */
bool text_word_unescape(struct text_word word, char *to, size_t room);

#endif
