/* SPDX-License-Identifier: MIT
 * output.c - see output.h. */
#include "output.h"

#include "selection.h"

#include <string.h>

enum { KEY_COLUMNS = 0x200 };

static const struct argp_option options[] = {
    {"output", 'o', "FOLDER", 0, "where results go (default: results/latest)", 0},
    {"columns", KEY_COLUMNS, "LIST", 0,
     "also show these columns of the results, a table each: keys or how they begin, "
     "comma-separated (docs/columns.md)",
     0},
    {0},
};

/* The part of the list at *list, its length in *length; *list moves behind it. NULL at the end. */
static const char *part_next(const char **list, size_t *length) {
    const char *part = *list;
    *length = strcspn(part, ",");
    *list += *length + (part[*length] == ',');
    return *part != '\0' ? part : NULL;
}

static bool column_named(const struct column *column, const char *list) {
    size_t length;
    const char *part;
    while ((part = part_next(&list, &length)) != NULL) {
        if (length > 0 && strncmp(column->key, part, length) == 0 && column->kind != COLUMN_TEXT) {
            return true;
        }
    }
    return false;
}

static void columns_judge(const struct argp_state *state, const struct row_kind *kind,
                          const char *list) {
    size_t length;
    const char *part;
    while ((part = part_next(&list, &length)) != NULL) {
        char one[64];
        bool known = false;
        (void)snprintf(one, sizeof one, "%.*s", (int)length, part);
        for (size_t c = 0; c < kind->column_count; c++) {
            known |= column_named(&kind->columns[c], one);
        }
        if (!known) {
            argp_error(state, "--columns %s: no figure of %s.json begins so, see docs/columns.md",
                       one, kind->name);
        }
    }
}

static error_t option_parse(int key, char *text, struct argp_state *state) {
    struct output_choice *choice = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        choice->folder = "results/latest";
        return 0;
    case 'o':
        choice->folder = text;
        return 0;
    case KEY_COLUMNS:
        columns_judge(state, choice->kind, text);
        choice->columns = text;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp output_argp = {options, option_parse, NULL, NULL, NULL, NULL, NULL};
const struct argp_child output_children[] = {
    {&selection_argp, 0, NULL, 0}, {&output_argp, 0, NULL, 0}, {0}};

bool output_columns_print(const struct output_choice *choice, const struct row_set *set) {
    bool printed = true;
    for (size_t c = 0; choice->columns != NULL && c < set->kind->column_count; c++) {
        const struct column *column = &set->kind->columns[c];
        if (column_named(column, choice->columns)) {
            const struct row_table table = {.title = column->key,
                                            .value = column->key,
                                            .plain = column->role != COLUMN_LESS &&
                                                     column->role != COLUMN_STRICT,
                                            .floor = 0.001};
            printed &= rows_print(set, &table);
        }
    }
    return printed;
}
