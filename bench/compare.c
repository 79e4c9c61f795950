/* SPDX-License-Identifier: MIT
 * compare.c - see compare.h. */
#include "compare.h"

#include <math.h>
#include <string.h>

static bool texts_equal(const struct column *column, const void *a, const void *b) {
    return strcmp(rows_text(column, a), rows_text(column, b)) == 0;
}

enum { NUMBER_BYTES = 32 };

/* As results are written: six digits, counts in full. */
static const char *number_text(const struct column *column, double value, char text[NUMBER_BYTES]) {
    (void)snprintf(text, NUMBER_BYTES, column->kind == COLUMN_COUNT ? "%.0f" : "%.6g", value);
    return text;
}

/* What is written alike is the same, whether it was written and read back or not. */
static bool numbers_equal(const struct column *column, const void *a, const void *b) {
    char x[NUMBER_BYTES];
    char y[NUMBER_BYTES];
    return strcmp(number_text(column, rows_number(column, a), x),
                  number_text(column, rows_number(column, b), y)) == 0;
}

static bool cells_equal(const struct column *column, const void *a, const void *b) {
    return column->kind == COLUMN_TEXT ? texts_equal(column, a, b) : numbers_equal(column, a, b);
}

static bool keys_equal(const struct row_kind *kind, const void *a, const void *b) {
    for (size_t c = 0; c < kind->column_count; c++) {
        if (kind->columns[c].role == COLUMN_KEY && !texts_equal(&kind->columns[c], a, b)) {
            return false;
        }
    }
    return true;
}

static const void *row_find(const struct row_set *set, const void *like) {
    for (size_t i = 0; i < set->row_count; i++) {
        if (keys_equal(set->kind, rows_at(set, i), like)) {
            return rows_at(set, i);
        }
    }
    return NULL;
}

static void row_label(FILE *out, const struct row_kind *kind, const void *row) {
    for (size_t c = 0; c < kind->column_count; c++) {
        if (kind->columns[c].role == COLUMN_KEY) {
            fprintf(out, "%s ", rows_text(&kind->columns[c], row));
        }
    }
}

/* The first column of that role that differs, or NULL. */
static const struct column *column_differs(const struct row_kind *kind, enum column_role role,
                                           const void *a, const void *b) {
    for (size_t c = 0; c < kind->column_count; c++) {
        const struct column *column = &kind->columns[c];
        if (column->role == role && !cells_equal(column, a, b)) {
            return column;
        }
    }
    return NULL;
}

/* No pool: what it needs is the system's doing. */
static bool row_exact(const struct row_kind *kind, const void *row) {
    const struct column *pool = rows_column(kind, "pool_bytes");
    return pool == NULL || rows_number(pool, row) > 0;
}

static void exact_compare(const struct column *column, const struct row_kind *kind, const void *old,
                          const void *new, const struct compare_how *how,
                          struct compare_counts *counts) {
    if (cells_equal(column, old, new)) {
        return;
    }
    double before = rows_number(column, old);
    double after = rows_number(column, new);
    double change_percent = 100 * (after - before) / before;
    if (column->role == COLUMN_LESS && change_percent > 0 &&
        change_percent <= how->tolerance_percent) {
        return;
    }
    row_label(how->out, kind, new);
    if (column->kind == COLUMN_TEXT) {
        fprintf(how->out, "%s: %s -> %s  changed\n", column->key, rows_text(column, old),
                rows_text(column, new));
        counts->changed++;
        return;
    }
    /* A figure that is no longer known cannot be shown to hold. */
    bool worse = column->role != COLUMN_SAME && !(after < before) && !isnan(before);
    bool better = column->role != COLUMN_SAME && after < before;
    char texts[2][NUMBER_BYTES];
    fprintf(how->out, "%s: %s -> %s (%+.2f %%)%s\n", column->key,
            number_text(column, before, texts[0]), number_text(column, after, texts[1]),
            change_percent,
            worse    ? "  worse"
            : better ? "  better"
                     : "  changed");
    counts->worse += worse;
    counts->better += better;
    counts->changed += !worse && !better;
}

static void timed_compare(const struct column *column, const struct row_kind *kind, const void *old,
                          const void *new, const struct compare_how *how,
                          struct compare_counts *counts) {
    const double *before = rows_range(column, old);
    const double *after = rows_range(column, new);
    if (!(before[0] > 0 && after[0] > 0) || isnan(before[1]) || isnan(after[1])) {
        return;
    }
    double low = after[0] / before[1];
    double high = after[1] / before[0];
    if (low > 1 || high < 1) {
        row_label(how->out, kind, new);
        fprintf(how->out, "%s: x%.3f (%.3f to %.3f)%s\n", column->key,
                rows_number(column, new) / rows_number(column, old), low, high,
                low > 1 ? "  slower" : "  faster");
        counts->timed++;
    }
}

static void pair_compare(const struct row_kind *kind, const void *old, const void *new,
                         const struct compare_how *how, struct compare_counts *counts) {
    const struct column *differs = column_differs(kind, COLUMN_ORIGIN, old, new);
    if (differs != NULL) {
        row_label(how->out, kind, new);
        fprintf(how->out, "skipped, not compared: %s is \"%s\", expected \"%s\"\n", differs->key,
                rows_text(differs, new), rows_text(differs, old));
        counts->skipped++;
        return;
    }
    differs = column_differs(kind, COLUMN_CONTEXT, old, new);
    if (differs != NULL) {
        row_label(how->out, kind, new);
        fprintf(how->out, "cannot be compared: %s differs\n", differs->key);
        counts->worse++;
        return;
    }
    counts->pairs++;
    for (size_t c = 0; c < kind->column_count; c++) {
        const struct column *column = &kind->columns[c];
        bool exact = column->role == COLUMN_LESS || column->role == COLUMN_STRICT ||
                     column->role == COLUMN_SAME;
        if (exact && row_exact(kind, old)) {
            exact_compare(column, kind, old, new, how, counts);
        } else if (column->role == COLUMN_TIMED) {
            timed_compare(column, kind, old, new, how, counts);
        }
    }
}

void compare_rows(const struct row_set *old, const struct row_set *new,
                  const struct compare_how *how, struct compare_counts *counts) {
    for (size_t i = 0; i < old->row_count; i++) {
        const void *row = rows_at(old, i);
        const void *now = row_find(new, row);
        if (now != NULL) {
            pair_compare(old->kind, row, now, how, counts);
        } else {
            row_label(how->out, old->kind, row);
            fputs("is gone\n", how->out);
            counts->worse++;
        }
    }
    for (size_t i = 0; i < new->row_count; i++) {
        if (row_find(old, rows_at(new, i)) == NULL) {
            row_label(how->out, new->kind, rows_at(new, i));
            fputs("is new\n", how->out);
            counts->added++;
        }
    }
}
