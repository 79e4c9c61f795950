/* SPDX-License-Identifier: MIT
 * no_alloc_plugin.c - a plug-in that lacks all functions; for subject_test.c. */
#include "../alloc/alloc.h"

const struct alloc_ops heaprig_allocator = {.abi = ALLOC_ABI, .name = "no_alloc"};
