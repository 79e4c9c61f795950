/* SPDX-License-Identifier: MIT
 * baseline_list.h - general-purpose allocators of the system, for comparison. To add one: write
 * `const struct alloc_ops *baseline_NAME(void)`, which returns NULL where NAME is not installed,
 * and add a line X(NAME) here. */
