/* SPDX-License-Identifier: MIT
 *
 * generators.h - traces made from a seed
 *
 * The same spec gives the same ops on every machine: integer arithmetic only, and a random stream
 * of our own. generator_list.h names the generators.
 */
#ifndef HEAPRIG_GENERATORS_H
#define HEAPRIG_GENERATORS_H

#include "trace.h"

/* One line of generator_list.h. */
struct generator_info {
    const char *name;
    const char *summary;
    size_t default_ops;
};

/* All generators; *count receives their number. */
const struct generator_info *generators_list(size_t *count);

/* Whether the text starts like a generator: "gen:". */
bool generators_spec(const char *text);

/* Makes the trace `gen:NAME[:SEED[:OPS]]`. SEED: 0 to 2^64 - 1, decimal or 0x hex, default 1. OPS:
 * 10 to 2^31; the trace has at most so many and, from 100 on, at least a third of them.
 * False on a bad spec or when memory is out; *out (empty on entry) is then empty. */
bool generators_run(const char *spec, struct trace *out, struct problem *problem);

/* ---- for gen_*.c: what a generator is written with ---- */

struct generator; /* the random stream, the ops so far, how many may follow */

/* Ops that may still be made. At 0 the three functions below do nothing more. */
size_t generator_room(const struct generator *g);

/* Ops that may be made in all: what sizes of patterns are derived from. */
size_t generator_ops(const struct generator *g);

/* A number from [0, limit), limit > 0 and at most 2^32. */
uint32_t generator_below(struct generator *g, uint64_t limit);

/* A number from [least, most]. */
uint32_t generator_between(struct generator *g, uint32_t least, uint32_t most);

/* The thread that makes the ops from now on; 0 before. */
void generator_thread(struct generator *g, uint16_t thread);

/* Allocates. Keys count from 0 and are never used again: the key of the n-th allocation is n. */
uint64_t generator_alloc(struct generator *g, uint64_t bytes);
void generator_realloc(struct generator *g, uint64_t key, uint64_t bytes);
void generator_free(struct generator *g, uint64_t key);

/* Zeroed memory for a pattern's own tables; the caller releases it by free(). NULL when memory is
 * out: the generator then returns, and its run fails. */
void *generator_memory(struct generator *g, size_t count, size_t item_bytes);

#endif
