/* SPDX-License-Identifier: MIT
 *
 * script.h - one run of an allocator written down: a pool, ops, and what ops cannot say
 *
 * Whatever made an allocator fail (fuzz bytes, a soak's seed, a trace) comes down to a script: it
 * needs no allocator's answer to be understood, so it runs the same on any of them, can be shrunk,
 * printed and kept.
 *
 * As text a script is a trace (trace_text.h) with directives in its comments, so that every command
 * that takes a trace takes it as well, and sees the ops alone:
 *
 *     #! pool 9007 at 3 dirt 2 block 0          first; at: address modulo 64 KiB; dirt: enum
 * arena_dirt; block: cfg.block_bytes
 *     #! region 4096 at 12288 after 5           after op 5: add_region(pool + 12288, 4096)
 *     #! misuse free 72 after 12                after op 12: free(pool + 72), must be refused
 *     a 1 100
 *     a 2-63 8                                  62 ops
 *     f 1
 */
#ifndef HEAPRIG_SCRIPT_H
#define HEAPRIG_SCRIPT_H

#include "../trace/file_bytes.h"
#include "../trace/op_run.h"
#include "../trace/problem.h"
#include "../trace/trace.h"
#include "arena.h"

#include <stdbool.h>
#include <stdint.h>

struct script_setup {
    uint32_t pool_bytes;
    uint32_t misalign;    /* of the pool's start, modulo ARENA_ALIGN */
    uint32_t dirt;        /* enum arena_dirt */
    uint32_t block_bytes; /* cfg.block_bytes */
};

enum script_extra_kind { SCRIPT_REGION, SCRIPT_FREE, SCRIPT_REALLOC, SCRIPT_USABLE };

/* What is not an op: a region, or a misuse sent to one of the three functions that take a payload.
 */
struct script_extra {
    uint32_t after; /* ops done before it */
    uint32_t kind;  /* enum script_extra_kind */
    int64_t offset; /* of the address, from the pool's start */
    uint32_t bytes; /* SCRIPT_REGION: its size; SCRIPT_REALLOC: the request; else 0 */
};

/* The arrays belong to whoever made the script; rooms are their sizes. */
struct script {
    struct script_setup setup;
    struct op *ops; /* a valid trace: see trace_finish() */
    uint32_t op_count, op_room;
    struct script_extra *extras; /* in order of `after` */
    uint32_t extra_count, extra_room;
};

enum { SCRIPT_POOL_MAX = 1 << 24 };

/* Allocates an empty script with the given rooms; false when memory is out. */
bool script_open(struct script *script, uint32_t op_room, uint32_t extra_room);
void script_close(struct script *script);

/* Copies ops, extras and setup; the target must have room. */
void script_copy(struct script *to, const struct script *from);

/* The run of ops (op_run.h) that begins at op i and has no extra between its ops. O(run + extras).
 */
struct op_run script_run(const struct script *script, uint32_t i);

/* How many lines it takes to say this: one for each extra and each run of ops. A run is what one
 * record of the input language (program.h) can be: a slot filled, or 62 of them. */
uint32_t script_lines(const struct script *script);

/* Reads a script, or any other trace, whose setup then is a pool of four times its peak + 1 KiB.
 * False and *problem (`path:line: what, expected what`) otherwise. The caller closes *out. */
bool script_load(const char *path, struct script *out, struct problem *problem);

/* Appends the script as text. `remark`, one or more lines, comes first as comments; may be NULL.
 * False when memory is out or the script has no op. */
bool script_encode(const struct script *script, const char *remark, struct file_bytes *file,
                   struct problem *problem);

#endif
