/* SPDX-License-Identifier: MIT
 * no_table_plugin.c - a shared object that is no plug-in; for subject_test.c. */
extern const int heaprig_something;
const int heaprig_something = 1;
