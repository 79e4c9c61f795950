/* SPDX-License-Identifier: MIT
 *
 * subject.h - finds the allocator that a user names: an own one, a baseline or a plug-in
 *
 * A plug-in is a shared object that exports `const struct alloc_ops heaprig_allocator`, built for
 * this ALLOC_ABI. It must have a name, init, alloc, free and usable; any other function it leaves
 * NULL is a missing capability, not an error (bench/example_plugin.c is a complete one).
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

/* The allocator called name_or_path: what contains a '/' or ends in ".so" is the path of a plug-in,
 * all else a name. Returns NULL and *problem iff the name is unknown (the nearest is suggested) or
 * its baseline is not installed, or the file cannot be loaded, exports no heaprig_allocator, was
 * built for another ABI or lacks a required function. A plug-in stays loaded until the program
 * ends; asking twice gives the same table. */
const struct alloc_ops *subject_find(const char *name_or_path, struct problem *problem);

/* Entry `index` of all allocators known by name: the own ones in the order of alloc_list.h, then
 * the baselines. False after the last. */
bool subject_at(size_t index, struct subject *out);

#endif
