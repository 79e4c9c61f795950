/* SPDX-License-Identifier: MIT
 * micro_list.h - the micro-benchmarks, in the order they run (micro.h says how to add one) */
X(pair)
X(lifo)
X(fifo)
X(aligned)
X(realloc_growth)
X(first_block)
X(worst_free)
X(worst_alloc)
X(near_miss)
