/* SPDX-License-Identifier: MIT
 *
 * touches.h - the loads and stores of an allocator's own code, one by one
 *
 * Every own allocator, and what decorates them, is in the program twice: plain, and compiled by gcc
 * with -fsanitize=thread, which puts a call before each load and store (but those of locals that no
 * pointer leads to). Calls of memcpy(), memmove(), memset() and memcmp() are led through here as
 * well. This is the runtime for such code, instead of gcc's; it keeps what falls into the pool that
 * is watched and forgets the rest (stack, constants).
 *
 *   alloc/tlsf.c - gcc -fsanitize=thread -> __tsan_read4(p) -> [pool + offset, 4 bytes, load]
 *
 * A plug-in can be compiled so as well (README.md); this program then is its runtime. Of one that
 * is not, nothing is seen. clang is not used so: its instrumentation leaves loads out.
 */
#ifndef HEAPRIG_TOUCHES_H
#define HEAPRIG_TOUCHES_H

#include "../alloc/alloc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One load or store, or a run of them by a memory function or a copied structure. */
struct touch {
    uint32_t offset; /* from the pool's start */
    uint32_t bytes;  /* with TOUCH_STORE and TOUCH_APPLICATION or-ed in */
};

#define TOUCH_STORE       0x80000000u
#define TOUCH_APPLICATION 0x40000000u /* by touches_add(), not by the allocator */
#define TOUCH_BYTES       0x3FFFFFFFu

/* Called with touches in the order they happened; they are gone afterwards. */
typedef void touches_fn(void *ctx, const struct touch *touches, size_t count);

/* From now on touches of [pool, pool + bytes) are kept and, when TOUCHES_ROOM have come together,
 * or touches_pass() is called, handed to `see`. One pool at a time, one thread. bytes <=
 * TOUCH_BYTES. */
enum { TOUCHES_ROOM = 4096 };
void touches_watch(const void *pool, size_t bytes, touches_fn *see, void *ctx);

/* What the watcher knows to change nothing but counts: a touch of 1, 2, 4, 8 or 16 bytes, aligned
 * to its size, of a page of 4 KiB that `map` permits and `seen` has noted. It is not handed over
 * but counted here, all others as they happen, one by one. */
struct touches_quiet {
    const uint8_t *map[2]; /* of loads and of stores, by page of the pool: */
    uint8_t bit[2];        /* this bit is set; and */
    uint32_t *seen[2];     /* of the allocator and of the application, by page of the pool: */
    uint32_t now;          /* it is this number. Then it counts */
    uint32_t *heat[2];     /* by piece of the pool, */
    unsigned piece_log2;   /* of 2^this bytes, and as words: */
    uint64_t words[2][2];  /* by who and kind */
};
/* From now on, until the watch ends; while it lasts the watcher may change what it points to. */
void touches_quieten(struct touches_quiet *quiet);

/* Puts a touch by the application in its place among the others. */
void touches_add(uint32_t offset, uint32_t bytes);

/* How many there were since the watch began, without the quiet ones. */
uint64_t touches_count(void);

/* Hands over what was kept. */
void touches_pass(void);

/* Ends the watch; what was kept and not handed over is dropped. */
void touches_unwatch(void);

/* The instrumented build of an allocator that subject_find() has found; the table itself for
 * plug-ins and baselines, which have no other. */
const struct alloc_ops *touches_build(const struct alloc_ops *ops);

/* NULL when the own allocators were built with instrumentation, else why they were not. */
const char *touches_absent(void);

/* Compiler and machine of that build, on which the touches depend: "gcc 12.2.0, x86_64". */
const char *touches_compiler(void);

#endif
