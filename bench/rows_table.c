/* SPDX-License-Identifier: MIT
 *
 * rows_table.c - one figure of a result as a table on the terminal
 *
 *   high-water mark / peak live
 *   trace       floor     tlsf  bestfit
 *   lua          1.11   1.12 *     1.21      '*' the least of its line, but for what stands in
 *                                            brackets: not all requests were served there
 *   geomean               1.12     1.21
 */
#include "rows.h"

#include "stats.h"

#include <assert.h>
#include <libsmartcols/libsmartcols.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CELL_BYTES = 80, MATRIX_NAMES_MAX = 256 };

/* Rows by trace and allocator, both in order of appearance. */
struct matrix {
    const struct row_set *set;
    const struct row_table *table;
    const struct column *allocator, *trace, *value, *behind[2], *first, *mark;
    const struct column *failures, *refusals; /* NULL where the rows have none */
    const char *allocators[MATRIX_NAMES_MAX];
    const char *traces[MATRIX_NAMES_MAX];
    size_t allocator_count, trace_count;
};

static void name_add(const char **names, size_t *count, const char *name) {
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(names[i], name) == 0) {
            return;
        }
    }
    if (*count < MATRIX_NAMES_MAX) {
        names[(*count)++] = name;
    }
}

static const struct column *column_or_null(const struct row_kind *kind, const char *key) {
    const struct column *column = key != NULL ? rows_column(kind, key) : NULL;
    assert(key == NULL || column != NULL);
    return column;
}

static void matrix_fill(struct matrix *m, const struct row_set *set,
                        const struct row_table *table) {
    *m = (struct matrix){.set = set,
                         .table = table,
                         .allocator = column_or_null(set->kind, "allocator"),
                         .trace = column_or_null(set->kind, "trace"),
                         .value = column_or_null(set->kind, table->value),
                         .behind = {column_or_null(set->kind, table->second),
                                    column_or_null(set->kind, table->third)},
                         .first = column_or_null(set->kind, table->first),
                         .mark = column_or_null(set->kind, table->mark),
                         .failures = rows_column(set->kind, "failures"),
                         .refusals = rows_column(set->kind, "refusals")};
    for (size_t i = 0; i < set->order_count; i++) {
        name_add(m->allocators, &m->allocator_count, set->order[i]->name);
    }
    for (size_t i = 0; i < set->row_count; i++) {
        name_add(m->allocators, &m->allocator_count, rows_text(m->allocator, rows_at(set, i)));
        name_add(m->traces, &m->trace_count, rows_text(m->trace, rows_at(set, i)));
    }
    for (size_t i = 0; i < set->skip_count; i++) {
        name_add(m->allocators, &m->allocator_count, set->skips[i].allocator);
        name_add(m->traces, &m->trace_count, set->skips[i].trace);
    }
}

/* NULL where the pair was not measured. */
static const void *matrix_row(const struct matrix *m, size_t trace, size_t allocator) {
    for (size_t i = 0; i < m->set->row_count; i++) {
        const void *row = rows_at(m->set, i);
        if (strcmp(rows_text(m->trace, row), m->traces[trace]) == 0 &&
            strcmp(rows_text(m->allocator, row), m->allocators[allocator]) == 0) {
            return row;
        }
    }
    return NULL;
}

/* Whether the allocator did not do all the work: its figure cannot be ranked with others. */
static bool row_partial(const struct matrix *m, const void *row) {
    return row != NULL && !m->table->plain &&
           ((m->failures != NULL && rows_number(m->failures, row) > 0) ||
            (m->refusals != NULL && rows_number(m->refusals, row) > 0));
}

static double matrix_value(const struct matrix *m, size_t trace, size_t allocator) {
    const void *row = matrix_row(m, trace, allocator);
    return row != NULL ? rows_number(m->value, row) : NAN;
}

/* 0.083  1.24  12.4  124  12400: three digits that say something. */
static void number_format(const struct column *column, char *text, size_t room, double value) {
    double size = fabs(value);
    int decimals = column->kind == COLUMN_COUNT || size >= 99.95 ? 0
                   : size >= 9.995                               ? 1
                   : size >= 0.9995                              ? 2
                                                                 : 3;
    (void)snprintf(text, room, isnan(value) ? "-" : "%.*f", decimals, value);
}

static void cell_format(const struct matrix *m, const void *row, bool least, char *text) {
    char value[20] = "-";
    char behind[2][20] = {"", ""};
    if (row != NULL) {
        number_format(m->value, value, sizeof value, rows_number(m->value, row));
    }
    for (int i = 0; i < 2; i++) {
        if (row != NULL && m->behind[i] != NULL) {
            behind[i][0] = '/';
            number_format(m->behind[i], behind[i] + 1, sizeof behind[i] - 1,
                          rows_number(m->behind[i], row));
        }
    }
    bool marked =
        row != NULL && m->mark != NULL && rows_number(m->mark, row) < rows_number(m->value, row);
    bool partial = row_partial(m, row);
    (void)snprintf(text, CELL_BYTES, "%s%s%s%s%s%s%s", partial ? "(" : "", value, behind[0],
                   behind[1], partial ? ")" : "", marked ? "~" : "",
                   m->table->plain ? ""
                   : least         ? " *"
                                   : "  ");
}

static void trace_line(const struct matrix *m, struct libscols_line *line, size_t trace) {
    char text[CELL_BYTES];
    double least = INFINITY;
    const void *any = NULL;
    for (size_t a = 0; a < m->allocator_count; a++) {
        const void *row = matrix_row(m, trace, a);
        any = any != NULL ? any : row;
        if (row != NULL && !row_partial(m, row)) {
            least = fmin(least, matrix_value(m, trace, a));
        }
    }
    (void)scols_line_set_data(line, 0, m->traces[trace]);
    if (m->first != NULL) {
        number_format(m->first, text, sizeof text, any != NULL ? rows_number(m->first, any) : NAN);
        (void)scols_line_set_data(line, 1, text);
    }
    for (size_t a = 0; a < m->allocator_count; a++) {
        const void *row = matrix_row(m, trace, a);
        bool is_least = m->allocator_count > 1 && !m->table->plain && row != NULL &&
                        !row_partial(m, row) && matrix_value(m, trace, a) <= least;
        cell_format(m, row, is_least, text);
        (void)scols_line_set_data(line, a + 1 + (m->first != NULL), text);
    }
}

/* The mean over all traces; in brackets when some lack or are in brackets themselves. */
static void mean_line(const struct matrix *m, struct libscols_line *line) {
    double values[MATRIX_NAMES_MAX];
    (void)scols_line_set_data(line, 0, "geomean");
    for (size_t a = 0; a < m->allocator_count; a++) {
        char number[20];
        char text[CELL_BYTES];
        size_t count = 0;
        bool partial = false;
        for (size_t t = 0; t < m->trace_count; t++) {
            double value = matrix_value(m, t, a);
            partial |= isnan(value) || row_partial(m, matrix_row(m, t, a));
            if (!isnan(value)) {
                values[count++] = value;
            }
        }
        number_format(m->value, number, sizeof number,
                      stats_geomean(values, count, m->table->floor));
        (void)snprintf(text, sizeof text, partial ? "(%s)  " : "%s  ", number);
        (void)scols_line_set_data(line, a + 1 + (m->first != NULL), text);
    }
}

/* libsmartcols aligns headings to the left: ours are a line like the others. */
static bool columns_add(const struct matrix *m, struct libscols_table *table) {
    bool added = scols_table_new_column(table, "trace", 0, 0) != NULL;
    for (size_t i = 0; i < m->allocator_count + (m->first != NULL); i++) {
        added &= scols_table_new_column(table, "", 0, SCOLS_FL_RIGHT) != NULL;
    }
    (void)scols_table_enable_noheadings(table, 1);
    struct libscols_line *line = scols_table_new_line(table, NULL);
    if (!added || line == NULL) {
        return false;
    }
    (void)scols_line_set_data(line, 0, "trace");
    if (m->first != NULL) {
        (void)scols_line_set_data(line, 1, m->table->first_title);
    }
    for (size_t a = 0; a < m->allocator_count; a++) {
        char title[80];
        (void)snprintf(title, sizeof title, m->table->plain ? "%s" : "%s  ", m->allocators[a]);
        (void)scols_line_set_data(line, a + 1 + (m->first != NULL), title);
    }
    return true;
}

bool rows_print(const struct row_set *set, const struct row_table *table) {
    struct matrix m;
    matrix_fill(&m, set, table);
    scols_init_debug(0);
    struct libscols_table *lines = scols_new_table();
    if (lines == NULL || !columns_add(&m, lines)) {
        scols_unref_table(lines);
        return false;
    }
    (void)scols_table_set_termforce(lines, SCOLS_TERMFORCE_NEVER); /* never cut to its width */
    for (size_t t = 0; t < m.trace_count; t++) {
        struct libscols_line *line = scols_table_new_line(lines, NULL);
        if (line != NULL) {
            trace_line(&m, line, t);
        }
    }
    struct libscols_line *line =
        m.trace_count > 1 && !table->plain ? scols_table_new_line(lines, NULL) : NULL;
    if (line != NULL) {
        mean_line(&m, line);
    }
    printf("\n%s\n", table->title);
    bool printed = scols_print_table(lines) == 0;
    scols_unref_table(lines);
    return printed;
}

/* The allocator of entry `index` was named by an entry before. */
static bool skip_repeated(const struct row_set *set, size_t index) {
    for (size_t i = 0; i < index; i++) {
        if (strcmp(set->skips[i].allocator, set->skips[index].allocator) == 0) {
            return true;
        }
    }
    return false;
}

void rows_print_skips(const struct row_set *set) {
    for (size_t i = 0; i < set->skip_count; i++) {
        if (skip_repeated(set, i)) {
            continue;
        }
        printf("%s'-' %s:", i == 0 ? "\n" : "", set->skips[i].allocator);
        const char *why = "";
        for (size_t j = i; j < set->skip_count; j++) {
            if (strcmp(set->skips[i].allocator, set->skips[j].allocator) != 0) {
                continue;
            }
            if (*why != '\0' && strcmp(why, set->skips[j].why) != 0) {
                printf(": %s;", why);
            }
            printf(" %s", set->skips[j].trace);
            why = set->skips[j].why;
        }
        printf(": %s\n", why);
    }
}
