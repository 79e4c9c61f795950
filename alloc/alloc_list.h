/* SPDX-License-Identifier: MIT
 * alloc_list.h - the own allocators. To add one: write NAME.c that defines NAME_ops, and add a line
 * here. */
X(tlsf)
X(tlsf_frugal)
X(tlsf_fast)
X(bestfit)
X(bestfit_little)
X(buddy)
X(buddy_aligned)
X(buddy_pages)
X(membox)
X(bump)
