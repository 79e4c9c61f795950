/* SPDX-License-Identifier: MIT
 * android_target.c - a fuzz target: Android memory_replay files. */
#include "../trace/importers.h"
#include "reader_target.h"

static struct import_notes notes;

READER_TARGET(importers_run("android", reader_path(bytes, size), trace, &notes, problem))
