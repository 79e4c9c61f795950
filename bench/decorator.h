/* SPDX-License-Identifier: MIT
 *
 * decorator.h - what a decorator is written with
 *
 * A decorator turns the table of one allocator into another's. The functions of a table are told
 * the pool and nothing else, so each decorated allocator needs functions of its own: a decorator
 * defines its functions once for each slot, by DECORATOR_SLOTS, and is told which slot to take.
 * Slots are never given back; no two decorated allocators share one, so a decorator may keep what
 * it needs (the inner table, a lock) in an array indexed by slot.
 */
#ifndef HEAPRIG_DECORATOR_H
#define HEAPRIG_DECORATOR_H

#include "../alloc/alloc.h"
#include "../trace/problem.h"

/* S(slot) for each; a template instantiates its functions with it. */
#define DECORATOR_SLOTS(S)                                                                         \
    S(0)                                                                                           \
    S(1)                                                                                           \
    S(2)                                                                                           \
    S(3)                                                                                           \
    S(4)                                                                                           \
    S(5)                                                                                           \
    S(6)                                                                                           \
    S(7)                                                                                           \
    S(8)                                                                                           \
    S(9)                                                                                           \
    S(10)                                                                                          \
    S(11)                                                                                          \
    S(12)                                                                                          \
    S(13)                                                                                          \
    S(14)                                                                                          \
    S(15)                                                                                          \
    S(16)                                                                                          \
    S(17)                                                                                          \
    S(18)                                                                                          \
    S(19)                                                                                          \
    S(20)                                                                                          \
    S(21)                                                                                          \
    S(22)                                                                                          \
    S(23)                                                                                          \
    S(24)                                                                                          \
    S(25)                                                                                          \
    S(26)                                                                                          \
    S(27)                                                                                          \
    S(28)                                                                                          \
    S(29)                                                                                          \
    S(30)                                                                                          \
    S(31)
#define DECORATOR_SLOT_MAX 32u

/* Fills *out with `inner` decorated, by the functions of `slot`. The name and, when left NULL, the
 * summary are set by the caller. False and *problem when that allocator cannot be decorated so:
 * what is wrong with it and what was expected, without its name. */
typedef bool decorate_fn(const struct alloc_ops *inner, unsigned slot, struct alloc_ops *out,
                         struct problem *problem);

#define D(name, summary) decorate_fn decorate_##name;
#include "decorator_list.h"
#undef D

#endif
