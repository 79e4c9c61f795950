/* SPDX-License-Identifier: MIT
 * names.h - what to suggest when a name is unknown. */
#ifndef HEAPRIG_NAMES_H
#define HEAPRIG_NAMES_H

#include <stddef.h>

/* Gives the name of entry `index` of a table, NULL after the last. */
typedef const char *name_at(const void *table, size_t index);

/* The name of the table nearest to `wanted` by edit distance, or NULL when none is near (more than
 * a third of its letters differ). O(entries x length squared). */
const char *name_nearest(const char *wanted, const void *table, name_at *at);

#endif
