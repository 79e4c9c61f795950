/* SPDX-License-Identifier: MIT
 * baseline_list.h - general-purpose allocators of the system, for comparison. To add one: write
 * `const struct alloc_ops *baseline_NAME(void)`, which returns NULL where NAME is not installed
 * (one row in baseline_library.c when it is a library with the functions of malloc), and add a line
 * X(NAME) here. */
X(jemalloc)
X(jemalloc_pool)
X(mimalloc)
X(tcmalloc)
X(glibc)
