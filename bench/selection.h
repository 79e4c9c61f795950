/* SPDX-License-Identifier: MIT
 * selection.h - which allocators and traces a command works on */
#ifndef HEAPRIG_SELECTION_H
#define HEAPRIG_SELECTION_H

#include "../alloc/alloc.h"
#include "../trace/problem.h"
#include "../trace/trace.h"

#include <argp.h>

enum { SELECTION_MAX = 256 };

struct selection {
    const struct alloc_ops *ops[SELECTION_MAX];
    size_t allocator_count;
    char *spec[SELECTION_MAX]; /* what trace_load() takes; owned */
    size_t trace_count;
    char absent[256]; /* baselines the default leaves out because they are not installed */
    size_t first;     /* replay only that many ops of each trace; 0: all */
};

enum selection_default {
    SELECTION_ALL,     /* own allocators and installed baselines */
    SELECTION_OWN,     /* own allocators */
    SELECTION_POOL,    /* own allocators that have a pool and free */
    SELECTION_ARMV7,   /* own allocators; traces of 32-bit ARM programs */
    SELECTION_THREADS, /* own allocators that free blocks of any size, behind a lock, and installed
                          baselines that need none; gen:messages and the traces of the corpus that
                          have several threads */
};

/* What the user asked for, as selection_argp reads it; zero but for `which` before. */
struct selection_choice {
    enum selection_default which;
    char *allocators; /* comma-separated names and plug-in paths; NULL: the default */
    char *traces;     /* comma-separated, as trace_load() takes them; NULL: the default */
    size_t first;     /* 0: whole traces */
};

/* The options --allocator, --trace and --first, as the child of a command's argp. Its input is a
 * struct selection_choice, which the parent hands over:
 *   case ARGP_KEY_INIT: state->child_inputs[0] = &o->choice; return 0; */
extern const struct argp selection_argp;
extern const struct argp_child selection_child[]; /* that one child, for commands with no other */

/* Item `index` of such a list; false after the last. */
enum { SELECTION_ITEM_BYTES = 1024 };
bool selection_item(const char *list, size_t index, char item[SELECTION_ITEM_BYTES]);

/* Fills *selection with what was chosen; the default is those allocators, and every .hrt file in
 * corpus/traces, in order of name (but see SELECTION_ARMV7 and _THREADS). False and *problem for an
 * unknown name, no trace at all, two of one name, or more than SELECTION_MAX; *selection is then
 * empty. */
bool selection_make(const struct selection_choice *choice, struct selection *selection,
                    struct problem *problem);
void selection_release(struct selection *selection);

/* The name results know trace `index` by: the file's without folder and ending, or a generator's
 * whole specification. */
void selection_name(const struct selection *selection, size_t index, char *name, size_t room);

/* Loads trace `index`, cut to its first ops, and names it so. The caller releases it. */
bool selection_load(const struct selection *selection, size_t index, struct trace *trace,
                    struct problem *problem);

/* The one trace that a worker keeps from one job to the next; all zero: none. */
struct held_trace {
    struct trace trace;
    size_t held; /* its index + 1; 0: none */
};

/* Holds trace `index`: loads it in place of another, unless it is the one held. False and *problem
 * as selection_load(); none is held then. */
bool selection_hold(const struct selection *selection, size_t index, struct held_trace *held,
                    struct problem *problem);

#endif
