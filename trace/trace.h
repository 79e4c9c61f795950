/* SPDX-License-Identifier: MIT
 *
 * trace.h - a trace in memory, and how it is read, written and checked
 *
 * A trace is an array of struct op (op.h) with an account of where it came from. All readers
 * produce valid traces: no op allocates into a full slot or frees an empty one. All of them check
 * sizes before they believe them: a damaged file costs a message, never a crash or a huge
 * allocation.
 */
#ifndef HEAPRIG_TRACE_H
#define HEAPRIG_TRACE_H

#include "op.h"
#include "problem.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest text kept for each of origin and command, its end included. */
#define TRACE_TEXT_MAX 512u

/* Most operations and slots a trace may have. */
#define TRACE_OPS_MAX   ((size_t)1 << 31)
#define TRACE_SLOTS_MAX ((size_t)1 << 30)

/* "alloc", "calloc", "aligned", "realloc", "free". */
extern const char *const op_kind_names[OP_KIND_COUNT];

/* What trace_finish() counts. Sizes are requested bytes. */
struct trace_counts {
    uint64_t ops;
    uint64_t kind[OP_KIND_COUNT]; /* ops of each kind */
    uint64_t peak_live_bytes;     /* largest sum of live requests */
    uint64_t peak_live_op;        /* index of the first op after which it was reached */
    uint64_t peak_live_blocks;
    uint64_t total_bytes; /* sum of all requests, reallocs included */
    uint64_t largest_request;
    uint64_t live_at_end; /* blocks never freed */
    uint32_t slots;
    uint32_t threads;
};

struct trace {
    char name[64]; /* short name: the file's without directory and ending, or the generator's */
    char origin[TRACE_TEXT_MAX];  /* who made it: "recorded by heaprig", "android import",
                                     "gen:comb:7:1000" */
    char command[TRACE_TEXT_MAX]; /* the recorded command line; may be empty */
    char arch[32];                /* "x86_64", "armv7l", ...; empty when unknown */
    uint32_t pointer_bits;        /* 32 or 64: of the program that was recorded; 0 when unknown */
    char sha256[65]; /* of the file as loaded, in hex; of the ops for a generated trace */
    struct op *ops;  /* owned; released by trace_release() */
    size_t op_count;
    struct trace_counts counts;
};

/* Loads whatever `spec` names: a heaprig trace (.hrt, trace_file.h), a text trace (trace_text.h) or
 * a generator `gen:NAME[:SEED[:OPS]]` (generators.h); "-" is standard input. The kind of a file is
 * told by its content. False and *problem when it cannot be read or is not valid; *out is then
 * empty. The caller releases *out. */
bool trace_load(const char *spec, struct trace *out, struct problem *problem);

/* Writes a heaprig trace (trace_file.h) or, when path ends in ".txt", a text trace (trace_text.h).
 * The file is written beside and renamed: on failure what stood there before is whole. */
bool trace_save(const struct trace *trace, const char *path, struct problem *problem);

/* Checks every op (kind, slot state, alignment) and fills counts. False names the first bad op, as
 * `label: op N: what, expected what`. O(ops). */
bool trace_finish(struct trace *trace, const char *label, struct problem *problem);

/* Keeps ops [first, first + count) as a trace of its own: blocks live before `first` that the slice
 * touches or frees are not kept; ops on them are dropped. count is cut at the end. Recounts, says
 * so in origin and takes the digest of the ops; a slice of all changes nothing. False when `first`
 * is behind the last op or memory is out; the trace is then whole. */
bool trace_slice(struct trace *trace, size_t first, size_t count, struct problem *problem);

/* What op `index` of a finished trace asks for; of a free, what was last asked for that block. */
uint64_t trace_request(const struct trace *trace, size_t index);

/* Frees what the trace owns and empties it. Harmless on an empty trace. */
void trace_release(struct trace *trace);

/* Builds a trace from a source that names blocks by any 64-bit key (address, id): the importers and
 * the recorder use it. A key may be used again after its free. Slots follow one rule: an allocation
 * takes the slot that was freed last, or the next new one; so there are as many as blocks were ever
 * live at once. Threads are renumbered in order of appearance. Amortised O(1) per op. */
struct trace_builder;
struct trace_builder *trace_builder_new(void); /* NULL when memory is out */
void trace_builder_free(struct trace_builder *builder);

/* What a push found. TRACE_PUSH_LIVE: the key of an allocation is live already; TRACE_PUSH_DEAD:
 * the key of a free or realloc is not live; then nothing was added. */
enum trace_push { TRACE_PUSH_OK, TRACE_PUSH_LIVE, TRACE_PUSH_DEAD, TRACE_PUSH_FULL };

enum trace_push trace_builder_alloc(struct trace_builder *builder, uint64_t key, enum op_kind kind,
                                    uint64_t bytes, uint8_t align_log2, uint16_t thread);
enum trace_push trace_builder_realloc(struct trace_builder *builder, uint64_t old_key,
                                      uint64_t new_key, uint64_t bytes, uint16_t thread);
enum trace_push trace_builder_dispose(struct trace_builder *builder, uint64_t key, uint16_t thread);

/* Moves the ops into *out (which must be empty) and finishes it; the builder is empty afterwards.
 */
bool trace_builder_take(struct trace_builder *builder, struct trace *out, const char *label,
                        struct problem *problem);

#endif
