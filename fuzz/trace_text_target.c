/* SPDX-License-Identifier: MIT
 * trace_text_target.c - a fuzz target: traces as text. */
#include "../trace/trace_text.h"
#include "reader_target.h"

READER_TARGET(trace_text_decode("input", (const char *)bytes, size, trace, problem))
