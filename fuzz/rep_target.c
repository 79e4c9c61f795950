/* SPDX-License-Identifier: MIT
 * rep_target.c - a fuzz target: malloclab .rep files. */
#include "../trace/importers.h"
#include "reader_target.h"

static struct import_notes notes;

READER_TARGET(importers_run("rep", reader_path(bytes, size), trace, &notes, problem))
