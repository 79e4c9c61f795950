/* SPDX-License-Identifier: MIT
 * output.h - where a command's results go, and which of their columns are shown besides */
#ifndef HEAPRIG_OUTPUT_H
#define HEAPRIG_OUTPUT_H

#include "rows.h"

#include <argp.h>

/* What the user asked for, as output_argp reads it; `kind` is set before. */
struct output_choice {
    const struct row_kind *kind;
    const char *folder;  /* default: results/latest */
    const char *columns; /* comma-separated keys, or how keys begin; NULL: none */
};

/* The options --output and --columns, as the child of a command's argp. Its input is a struct
 * output_choice, which the parent hands over at ARGP_KEY_INIT. A column that no row of the kind has
 * is a usage error. */
extern const struct argp output_argp;

/* For commands that take allocators and traces: child_inputs[0] is a struct selection_choice,
 * child_inputs[1] a struct output_choice. */
extern const struct argp_child output_children[];

/* Prints a table for each numeric column that was asked for, in the order of rows.c. False when
 * libsmartcols fails. */
bool output_columns_print(const struct output_choice *choice, const struct row_set *set);

#endif
