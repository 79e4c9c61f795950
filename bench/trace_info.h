/* SPDX-License-Identifier: MIT
 * trace_info.h - what a trace is like, for people and for programs */
#ifndef HEAPRIG_TRACE_INFO_H
#define HEAPRIG_TRACE_INFO_H

#include "../trace/trace.h"

#include <stdio.h>

/* Prints some lines and a histogram of request sizes by powers of two. */
void trace_info_print(const struct trace *trace, FILE *out);

/* Prints the same as one JSON object, sizes in bytes: {"name", "origin", "command", "arch",
 * "pointer_bits", "sha256", "ops", "alloc", "calloc", "aligned", "realloc", "free", "threads",
 * "slots", "peak_live_bytes", "peak_live_op", "peak_live_blocks", "total_bytes", "largest_request",
 * "live_at_end", "sizes": [{"from", "to", "requests"}, ...]}. False when memory is out. */
bool trace_info_json(const struct trace *trace, FILE *out);

#endif
