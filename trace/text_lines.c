/* SPDX-License-Identifier: MIT
 * text_lines.c - see text_lines.h */
#include "text_lines.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { QUOTE_MAX = 48 };

static bool byte_blank(char byte) {
    return byte == ' ' || byte == '\t' || byte == '\r';
}

void text_lines_start(struct text_lines *lines, const char *path, const char *text, size_t count) {
    *lines = (struct text_lines){
        .path = path, .next = text, .end = text + count, .word = text, .line_end = text};
}

static void blanks_skip(struct text_lines *lines) {
    while (lines->word < lines->line_end && byte_blank(*lines->word)) {
        lines->word++;
    }
}

bool text_lines_next(struct text_lines *lines) {
    if (lines->next == lines->end) {
        return false;
    }
    lines->number++;
    lines->word = lines->next;
    const char *newline = memchr(lines->next, '\n', (size_t)(lines->end - lines->next));
    lines->line_end = newline == NULL ? lines->end : newline;
    lines->next = newline == NULL ? lines->end : newline + 1;
    while (lines->line_end > lines->word && byte_blank(lines->line_end[-1])) {
        lines->line_end--;
    }
    blanks_skip(lines);
    return true;
}

bool text_lines_done(const struct text_lines *lines) {
    return lines->word == lines->line_end;
}

struct text_word text_lines_rest(const struct text_lines *lines) {
    return (struct text_word){lines->word, (size_t)(lines->line_end - lines->word)};
}

struct text_word text_lines_word(struct text_lines *lines) {
    struct text_word word = {lines->word, 0};
    while (lines->word < lines->line_end && !byte_blank(*lines->word)) {
        lines->word++;
    }
    word.count = (size_t)(lines->word - word.start);
    blanks_skip(lines);
    return word;
}

bool text_lines_until(struct text_lines *lines, char separator, struct text_word *word) {
    size_t count = (size_t)(lines->line_end - lines->word);
    const char *found = memchr(lines->word, separator, count);
    if (found == NULL) {
        return false;
    }
    *word = (struct text_word){lines->word, (size_t)(found - lines->word)};
    lines->word = found + 1;
    blanks_skip(lines);
    return true;
}

bool text_word_is(struct text_word word, const char *text) {
    return strlen(text) == word.count && memcmp(word.start, text, word.count) == 0;
}

/* 0 to 15, or 16 for no digit. */
static unsigned digit_value(char byte) {
    if (byte >= '0' && byte <= '9') {
        return (unsigned)(byte - '0');
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? (unsigned)(byte - 'a') + 10 : 16;
}

bool text_word_number(struct text_word word, uint64_t *number) {
    bool hex = word.count > 2 && word.start[0] == '0' && (word.start[1] | 0x20) == 'x';
    unsigned base = hex ? 16 : 10;
    uint64_t value = 0;
    for (size_t i = hex ? 2 : 0; i < word.count; i++) {
        unsigned digit = digit_value(word.start[i]);
        if (digit >= base || value > (UINT64_MAX - digit) / base) {
            return false;
        }
        value = value * base + digit;
    }
    *number = value;
    return word.count > 0;
}

bool text_lines_number(struct text_lines *lines, uint64_t *number, const char *what,
                       struct problem *problem) {
    struct text_word word = text_lines_word(lines);
    return text_word_number(word, number) || text_lines_fault(lines, word, what, problem);
}

bool text_lines_end(struct text_lines *lines, struct problem *problem) {
    return text_lines_done(lines) ||
           text_lines_fault(lines, text_lines_rest(lines), "the end of the line", problem);
}

bool text_lines_fault(const struct text_lines *lines, struct text_word word, const char *expected,
                      struct problem *problem) {
    char quote[QUOTE_MAX + 4];
    size_t count = word.count < QUOTE_MAX ? word.count : QUOTE_MAX;
    for (size_t i = 0; i < count; i++) {
        quote[i] = isprint((unsigned char)word.start[i]) ? word.start[i] : '?';
    }
    memcpy(quote + count, "...", 4);
    quote[count + (word.count > count ? 3 : 0)] = '\0';
    if (word.count == 0) {
        return problem_set(problem, "%s:%zu: line ends, expected %s", lines->path, lines->number,
                           expected);
    }
    return problem_set(problem, "%s:%zu: '%s', expected %s", lines->path, lines->number, quote,
                       expected);
}

void text_escape(const char *text, char *to, size_t room) {
    size_t count = strlen(text);
    assert(room > 4 * count);
    size_t put = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned char byte = (unsigned char)text[i];
        bool edge = i == 0 || i + 1 == count;
        if (byte < ' ' || byte == 0x7F || byte == '\\' || (edge && byte == ' ')) {
            put += (size_t)snprintf(to + put, room - put, "\\x%02x", byte);
        } else {
            to[put++] = (char)byte;
        }
    }
    to[put] = '\0';
}

bool text_word_unescape(struct text_word word, char *to, size_t room) {
    size_t put = 0;
    for (size_t i = 0; i < word.count; i++) {
        char byte = word.start[i];
        if (byte == '\\' && word.count - i >= 4 && word.start[i + 1] == 'x' &&
            digit_value(word.start[i + 2]) < 16 && digit_value(word.start[i + 3]) < 16) {
            byte = (char)(digit_value(word.start[i + 2]) * 16 + digit_value(word.start[i + 3]));
            i += 3;
        }
        if (byte == '\0' || put + 1 >= room) {
            return false;
        }
        to[put++] = byte;
    }
    to[put] = '\0';
    return true;
}
