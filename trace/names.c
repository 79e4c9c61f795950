/* SPDX-License-Identifier: MIT
 * names.c - edit distance (Wagner and Fischer 1974), one row at a time. */
#include "names.h"

#include <string.h>

enum { NAME_MAX_COMPARED = 64 };

static size_t min3(size_t a, size_t b, size_t c) {
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

static size_t edit_distance(const char *a, const char *b) {
    size_t a_length = strnlen(a, NAME_MAX_COMPARED);
    size_t b_length = strnlen(b, NAME_MAX_COMPARED);
    size_t row[NAME_MAX_COMPARED + 1];
    for (size_t j = 0; j <= b_length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_length];
}

const char *name_nearest(const char *wanted, const void *table, name_at *at) {
    const char *best = NULL;
    size_t best_distance = strlen(wanted) / 3 + 1;
    const char *name;
    for (size_t i = 0; (name = at(table, i)) != NULL; i++) {
        size_t distance = edit_distance(wanted, name);
        if (distance <= best_distance && (best == NULL || distance < best_distance)) {
            best = name;
            best_distance = distance;
        }
    }
    return best;
}
