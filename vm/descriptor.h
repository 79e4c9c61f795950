/* SPDX-License-Identifier: MIT
 *
 * descriptor.h - short descriptors as words: part of pagetable.c. Formats: ARM DDI 0406, B3.5.1
 *
 *             31     20 19 18 17 16  15   14 12 11 10 9  8   5  4  3 2 1 0
 *   section   [ base  ] NS  0 nG  S AP2    TEX  AP10  -  dom   XN  C B 1 PXN      16 MiB: bit 18
 *   table     [ base 31..10              ]            -  dom    - NS PXN 0 1
 *   large     [ base 31..16 ]      XN      TEX  nG S AP2 -     AP10  C B 0 1
 *   small     [ base 31..12                   ] nG S AP2 TEX   AP10  C B 1 XN
 */
#ifndef HEAPRIG_VM_DESCRIPTOR_H
#define HEAPRIG_VM_DESCRIPTOR_H

#include "pagetable.h"

enum { DESCRIPTOR_TYPE = 3, DESCRIPTOR_TABLE = 1, DESCRIPTOR_SUPERSECTION = 1 << 18 };

static inline bool descriptor_is_table(uint32_t first) {
    return (first & DESCRIPTOR_TYPE) == DESCRIPTOR_TABLE;
}

/* False iff `how` contradicts itself or cannot be expressed: see pagetable_map(). */
bool descriptor_valid(const struct pagetable_map *how, bool access_flag);

/* The word that maps a page of 2^log2 bytes at `pa`; large pages and supersections repeat it. */
uint32_t descriptor_make(const struct pagetable_map *how, bool access_flag, unsigned log2,
                         uint32_t pa);
/* First-level word that points to a second-level table for pages of `how`. */
uint32_t descriptor_table(const struct pagetable_map *how, uint32_t table);
/* Whether pages of `how` may stand in the table that `first` points to. */
bool descriptor_table_fits(uint32_t first, const struct pagetable_map *how);

/* Log2 of the page that valid words describe; `second` counts if `first` is a table. */
unsigned descriptor_log2(uint32_t first, uint32_t second);
/* What a valid word says of flags, memory and domain, and the pa of the page. */
struct pagetable_map descriptor_read(uint32_t first, uint32_t second, bool access_flag,
                                     uint32_t *pa);

#endif
