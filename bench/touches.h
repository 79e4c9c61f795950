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
typedef void touch_fn(void *ctx, struct touch touch);

/* From now on touches of [pool, pool + bytes) are kept and, when TOUCHES_ROOM have come together,
 * or touches_pass() is called, handed to `see`. One pool at a time, one thread. bytes <=
 * TOUCH_BYTES. */
enum { TOUCHES_ROOM = 4096 };
void touches_watch(const void *pool, size_t bytes, touches_fn *see, void *ctx);

/* What the watcher knows to change nothing but counts: a touch of bytes of a single page of 4 KiB
 * that `map` permits. It is not handed over but counted, all others as they happen, one by one.
 * Pages are counted from the pool's start. */
struct touches_quiet {
    const uint8_t *map[2]; /* of loads: bit 0 says so; of stores: bit 1 */
    uint32_t *count[2];    /* of the allocator and of the application: all touches, by first page */
    touch_fn *see;         /* of the others, with the context of the watch */
};
/* From now on, until the watch ends; while it lasts the watcher may change what it points to. */
void touches_quieten(const struct touches_quiet *quiet);

/* Of the watch. Read only, but by the functions of this header. */
extern struct touches_watched {
    struct touches_quiet quiet;
    uint64_t words[2][2]; /* quiet touches by who and kind, as the words of 4 bytes they overlap */
    uint64_t others;      /* by the allocator that were not quiet */
} touches_watched;

/* Grows with each touch by the allocator. */
static inline uint64_t touches_count(void) {
    return touches_watched.words[0][0] + touches_watched.words[0][1] + touches_watched.others;
}

/* For touches.c: true if a touch of so many words, all in this page, is quiet, and is counted. */
enum { TOUCH_PAGE_LOG = 12 };
static inline __attribute__((always_inline)) bool touches_hush(uintptr_t page, size_t words,
                                                               bool store, bool application) {
    struct touches_watched *w = &touches_watched;
    if (__builtin_expect((w->quiet.map[store][page] & (1u << store)) == 0, 0)) {
        return false;
    }
    w->quiet.count[application][page]++;
    w->words[application][store] += words;
    return true;
}

/* Puts a touch by the application in its place among the others. */
void touches_keep(struct touch touch);
static inline void touches_add(uint32_t offset, uint32_t bytes) {
    bool store = (bytes & TOUCH_STORE) != 0;
    if ((bytes & TOUCH_BYTES) != 1 || !touches_hush(offset >> TOUCH_PAGE_LOG, 1, store, true)) {
        touches_keep((struct touch){offset, bytes | TOUCH_APPLICATION});
    }
}

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
