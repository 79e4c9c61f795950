/* SPDX-License-Identifier: MIT
 * other_abi_plugin.c - a plug-in built for an ABI to come; for subject_test.c. */
#include "../alloc/alloc.h"

const struct alloc_ops heaprig_allocator = {.abi = ALLOC_ABI + 1, .name = "other_abi"};
