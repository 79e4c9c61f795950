/* SPDX-License-Identifier: MIT
 *
 * trace.c - checks, counts, cuts and releases traces; sends names to their reader or writer
 *
 * trace_finish() keeps one number per slot: 0 when it is empty, else its request plus 1. All rules
 * of op.h are checked against it, so what passes can be replayed without further tests.
 */
#include "trace.h"

#include "file_bytes.h"
#include "generators.h"
#include "trace_file.h"
#include "trace_text.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Slots may be numbered with gaps (a case that was cut down by hand or by the fuzzer), yet not so
 * that the table of slots grows far beyond the trace itself. */
enum { SLOTS_SPARE = 65536 };

/* A sum of 64-bit requests; 31 bits of ops cannot overflow it. */
struct sum {
    uint64_t low;
    uint64_t high;
};

/* What trace_finish() knows after some ops. */
struct account {
    uint64_t *slots; /* 0 when empty, else the request + 1 */
    struct sum live_bytes;
    struct sum peak_bytes;
    uint64_t live_blocks;
};

static void sum_add(struct sum *sum, uint64_t bytes) {
    sum->low += bytes;
    sum->high += sum->low < bytes;
}

static void sum_subtract(struct sum *sum, uint64_t bytes) {
    sum->high -= sum->low < bytes;
    sum->low -= bytes;
}

static bool sum_above(const struct sum *a, const struct sum *b) {
    return a->high != b->high ? a->high > b->high : a->low > b->low;
}

static uint64_t sum_cut(const struct sum *sum) {
    return sum->high > 0 ? UINT64_MAX : sum->low;
}

/* The largest number stands for one less, so that "request + 1" is never 0. */
static uint64_t request_counted(uint64_t bytes) {
    return bytes == UINT64_MAX ? UINT64_MAX - 1 : bytes;
}

/* NULL when the op keeps the rules of op.h, else the broken one in words. `slot` is its slot's
 * entry in the account. */
static const char *op_fault(const struct op *op, uint64_t slot) {
    if (op->kind >= OP_KIND_COUNT) {
        return "unknown kind of op, expected alloc, calloc, aligned, realloc or free";
    }
    if (op->kind == OP_FREE || op->kind == OP_REALLOC) {
        if (slot == 0) {
            return op->kind == OP_FREE ? "free of an empty slot, expected a live block"
                                       : "realloc of an empty slot, expected a live block";
        }
        if (op->kind == OP_FREE && op->bytes != 0) {
            return "free with a size, expected 0 bytes";
        }
        if (op->kind == OP_REALLOC && op->bytes == 0) {
            return "realloc to 0 bytes, expected a free";
        }
    } else if (slot != 0) {
        return "allocation into a full slot, expected a free first";
    }
    if (op->align_log2 > (op->kind == OP_ALIGNED ? 63 : 0)) {
        return "bad alignment, expected at most 2^63, and only on an aligned allocation";
    }
    return NULL;
}

static void account_op(struct account *account, struct trace_counts *counts, const struct op *op,
                       uint64_t index) {
    uint64_t *slot = &account->slots[op->slot];
    uint64_t bytes = request_counted(op->bytes);
    if (*slot != 0) {
        sum_subtract(&account->live_bytes, *slot - 1);
        account->live_blocks--;
    }
    counts->kind[op->kind]++;
    if (op->kind == OP_FREE) {
        *slot = 0;
        return;
    }
    *slot = bytes + 1;
    account->live_blocks++;
    sum_add(&account->live_bytes, bytes);
    if (sum_above(&account->live_bytes, &account->peak_bytes)) {
        account->peak_bytes = account->live_bytes;
        counts->peak_live_op = index;
    }
    if (account->live_blocks > counts->peak_live_blocks) {
        counts->peak_live_blocks = account->live_blocks;
    }
    if (op->bytes > counts->largest_request) {
        counts->largest_request = op->bytes;
    }
    counts->total_bytes =
        bytes > UINT64_MAX - counts->total_bytes ? UINT64_MAX : counts->total_bytes + bytes;
}

/* Counts ops until one breaks a rule; returns the rule, or NULL when all are done. */
static const char *trace_count(const struct trace *trace, struct account *account,
                               struct trace_counts *counts) {
    size_t slot_limit = trace->op_count + SLOTS_SPARE;
    struct account local = *account; /* registers, not memory */
    struct trace_counts sums = {0};
    const char *fault = NULL;
    size_t i = 0;
    for (; i < trace->op_count; i++) {
        const struct op *op = &trace->ops[i];
        fault = op->slot >= slot_limit ? "slot number far above the number of ops"
                : op->thread > sums.threads
                    ? "a thread number was left out, expected them in order of appearance"
                    : op_fault(op, local.slots[op->slot]);
        if (fault != NULL) {
            break;
        }
        account_op(&local, &sums, op, i);
        sums.threads += op->thread == sums.threads;
        sums.slots = op->slot >= sums.slots ? op->slot + 1 : sums.slots;
    }
    sums.ops = i;
    sums.live_at_end = local.live_blocks;
    sums.peak_live_bytes = sum_cut(&local.peak_bytes);
    *counts = sums;
    return fault;
}

bool trace_finish(struct trace *trace, const char *label, struct problem *problem) {
    if (trace->op_count > TRACE_OPS_MAX) {
        return problem_set(problem, "%s: %zu ops, expected at most %zu", label, trace->op_count,
                           TRACE_OPS_MAX);
    }
    struct account account = {.slots =
                                  calloc(trace->op_count + SLOTS_SPARE, sizeof *account.slots)};
    if (account.slots == NULL) {
        return problem_set(problem, "%s: no memory to check %zu ops", label, trace->op_count);
    }
    const char *fault = trace_count(trace, &account, &trace->counts);
    free(account.slots);
    if (fault == NULL) {
        return true;
    }
    return problem_set(problem, "%s: op %" PRIu64 ": %s", label, trace->counts.ops, fault);
}

const char *const op_kind_names[OP_KIND_COUNT] = {[OP_ALLOC] = "alloc",
                                                  [OP_CALLOC] = "calloc",
                                                  [OP_ALIGNED] = "aligned",
                                                  [OP_REALLOC] = "realloc",
                                                  [OP_FREE] = "free"};

uint64_t trace_request(const struct trace *trace, size_t index) {
    uint32_t slot = trace->ops[index].slot;
    while (index > 0 && (trace->ops[index].kind == OP_FREE || trace->ops[index].slot != slot)) {
        index--;
    }
    return trace->ops[index].bytes;
}

void trace_release(struct trace *trace) {
    free(trace->ops);
    memset(trace, 0, sizeof *trace);
}

/* Pushes the op unless it concerns a block from before the slice. */
static enum trace_push slice_push(struct trace_builder *builder, const struct op *op) {
    enum trace_push push;
    if (op->kind == OP_FREE) {
        push = trace_builder_dispose(builder, op->slot, op->thread);
    } else if (op->kind == OP_REALLOC) {
        push = trace_builder_realloc(builder, op->slot, op->slot, op->bytes, op->thread);
    } else {
        push = trace_builder_alloc(builder, op->slot, (enum op_kind)op->kind, op->bytes,
                                   op->align_log2, op->thread);
    }
    assert(push != TRACE_PUSH_LIVE);
    return push == TRACE_PUSH_DEAD ? TRACE_PUSH_OK : push;
}

bool trace_slice(struct trace *trace, size_t first, size_t count, struct problem *problem) {
    if (first == 0 && count >= trace->op_count) {
        return true;
    }
    if (first >= trace->op_count) {
        return problem_set(problem, "%s: slice starts at op %zu, expected one of %zu", trace->name,
                           first, trace->op_count);
    }
    count = count < trace->op_count - first ? count : trace->op_count - first;
    struct trace_builder *builder = trace_builder_new();
    enum trace_push push = builder == NULL ? TRACE_PUSH_FULL : TRACE_PUSH_OK;
    for (size_t i = first; i < first + count && push == TRACE_PUSH_OK; i++) {
        push = slice_push(builder, &trace->ops[i]);
    }
    if (push != TRACE_PUSH_OK) {
        trace_builder_free(builder);
        return problem_set(problem, "%s: no memory to slice %zu ops", trace->name, count);
    }
    struct trace slice = *trace;
    slice.ops = NULL;
    slice.op_count = 0;
    bool done = trace_builder_take(builder, &slice, trace->name, problem);
    trace_builder_free(builder);
    if (!done) {
        free(slice.ops);
        return false;
    }
    free(trace->ops);
    *trace = slice;
    size_t length = strlen(trace->origin);
    (void)snprintf(trace->origin + length, sizeof trace->origin - length, ", ops %zu to %zu", first,
                   first + count - 1);
    file_bytes_sha256(trace->ops, trace->op_count * sizeof *trace->ops, trace->sha256);
    return true;
}

static bool text_ends_with(const char *text, const char *ending) {
    size_t length = strlen(text);
    size_t ending_length = strlen(ending);
    return length >= ending_length && strcmp(text + length - ending_length, ending) == 0;
}

bool trace_load(const char *spec, struct trace *out, struct problem *problem) {
    memset(out, 0, sizeof *out);
    if (generators_spec(spec)) {
        return generators_run(spec, out, problem);
    }
    struct file_bytes file;
    if (!file_bytes_read(spec, &file, problem)) {
        return false;
    }
    bool loaded = trace_file_is(file.bytes, file.count)
                      ? trace_file_decode(spec, file.bytes, file.count, out, problem)
                      : trace_text_decode(spec, (const char *)file.bytes, file.count, out, problem);
    if (loaded) {
        file_bytes_name(spec, out->name, sizeof out->name);
    } else {
        trace_release(out);
    }
    file_bytes_release(&file);
    return loaded;
}

bool trace_save(const struct trace *trace, const char *path, struct problem *problem) {
    struct file_bytes file = {0};
    bool encoded = text_ends_with(path, ".txt") ? trace_text_encode(trace, &file, problem)
                                                : trace_file_encode(trace, &file, problem);
    bool saved = encoded && file_bytes_write(path, &file, problem);
    file_bytes_release(&file);
    return saved;
}
