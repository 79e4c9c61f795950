/* SPDX-License-Identifier: MIT
 * test_trace.h - for tests: traces written down op by op */
#ifndef HEAPRIG_TEST_TRACE_H
#define HEAPRIG_TEST_TRACE_H

#include "../trace/trace.h"

#include "../alloc/test_check.h"
#include <stdlib.h>
#include <string.h>

#define TEST_ALLOC(slot_, bytes_)                                                                  \
    { .kind = OP_ALLOC, .slot = (slot_), .bytes = (bytes_) }
#define TEST_REALLOC(slot_, bytes_)                                                                \
    { .kind = OP_REALLOC, .slot = (slot_), .bytes = (bytes_) }
#define TEST_FREE(slot_)                                                                           \
    { .kind = OP_FREE, .slot = (slot_) }

/* A trace of a copy of the ops; the test releases it. */
static inline struct trace test_trace(const struct op *ops, size_t count) {
    struct trace trace = {.op_count = count};
    struct problem problem = {""};
    trace.ops = malloc((count + 1) * sizeof *trace.ops);
    ck_assert_ptr_nonnull(trace.ops);
    if (count > 0) {
        memcpy(trace.ops, ops, count * sizeof *ops);
    }
    (void)strcpy(trace.name, "test");
    ck_assert_msg(trace_finish(&trace, "test", &problem), "%s", problem.text);
    return trace;
}

static inline struct trace test_trace_load(const char *spec) {
    struct trace trace = {0};
    struct problem problem = {""};
    ck_assert_msg(trace_load(spec, &trace, &problem), "%s", problem.text);
    return trace;
}

#endif
