/* SPDX-License-Identifier: MIT
 *
 * subject.h - finds the allocator that a user names: an own one, a baseline or a plug-in, each
 * perhaps with a decorator before it
 *
 * A plug-in is a shared object that exports `const struct alloc_ops heaprig_allocator`, built for
 * this ALLOC_ABI. It must have a name, init, alloc, free and usable; any other function it leaves
 * NULL is a missing capability, not an error (bench/example_plugin.c is a complete one).
 *
 * A decorator of decorator_list.h stands before any of them, or before another decorator:
 * `lock:tlsf`, `lock:./my_alloc.so`. Its table is called by that whole name.
 */
#ifndef HEAPRIG_SUBJECT_H
#define HEAPRIG_SUBJECT_H

#include "../alloc/alloc.h"
#include "../trace/problem.h"

/* An allocator known by name. */
struct subject {
    const char *name;
    const struct alloc_ops *ops; /* NULL: a baseline that is not installed on this machine */
    bool baseline;
};

/* The path of a plug-in contains a '/' or ends in ".so", decorated or not; all else is a name. */
bool subject_is_plugin(const char *name_or_path);

/* The allocator called name_or_path: what stands before a ':' (and contains no '/') is a decorator;
 * the rest is the path of a plug-in or a name. Returns NULL and
 * *problem iff a name is unknown (the nearest is suggested) or its baseline is not installed, or
 * the file cannot be loaded, exports no heaprig_allocator, was built for another ABI or lacks a
 * required function, or the decorator does not fit the allocator, or more than DECORATOR_SLOT_MAX
 * were decorated. A plug-in stays loaded and a decorated table lives until the program ends; asking
 * twice gives the same table. Not for several threads at once. */
const struct alloc_ops *subject_find(const char *name_or_path, struct problem *problem);

/* Entry `index` of all allocators known by name: the own ones in the order of alloc_list.h, then
 * the baselines. False after the last. */
bool subject_at(size_t index, struct subject *out);

/* Entry `index` of decorator_list.h. False after the last. */
struct subject_decorator {
    const char *name;
    const char *summary;
};
bool subject_decorator_at(size_t index, struct subject_decorator *out);

#endif
