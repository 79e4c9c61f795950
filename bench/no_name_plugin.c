/* SPDX-License-Identifier: MIT
 * no_name_plugin.c - a plug-in whose name does not fit a listing; for subject_test.c. */
#include "../alloc/alloc.h"

const struct alloc_ops heaprig_allocator = {.abi = ALLOC_ABI, .name = "No Name"};
