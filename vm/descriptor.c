/* SPDX-License-Identifier: MIT
 *
 * descriptor.c - from flags to descriptor words and back: see descriptor.h
 */
#include "descriptor.h"

enum {
    KNOWN_FLAGS = PT_READ | PT_WRITE | PT_EXECUTE | PT_USER | PT_GLOBAL | PT_SHARED |
                  PT_KERNEL_WRITE | PT_OLD | PT_PXN
};

/* TEX, C and B by enum pagetable_memory: TEX << 2 | C << 1 | B. */
static const uint8_t tex_cb[] = {
    [PT_CACHED] = 1 << 2 | 3,  [PT_UNCACHED] = 1 << 2, [PT_DEVICE] = 1,
    [PT_STRONGLY_ORDERED] = 0, [PT_WRITE_THROUGH] = 2,
};
enum { MEMORY_TYPES = sizeof tex_cb / sizeof tex_cb[0] };

bool descriptor_valid(const struct pagetable_map *how, bool access_flag) {
    uint32_t flags = how->flags;
    bool odd_kernel_write =
        (flags & PT_KERNEL_WRITE) && (!(flags & PT_USER) || (flags & PT_WRITE) || access_flag);
    bool unreadable =
        !(flags & PT_READ) && (access_flag || (flags & (PT_WRITE | PT_EXECUTE | PT_KERNEL_WRITE)));
    return (flags & ~(uint32_t)KNOWN_FLAGS) == 0 && !odd_kernel_write && !unreadable &&
           (access_flag || !(flags & PT_OLD)) && (unsigned)how->memory < MEMORY_TYPES &&
           how->domain <= 15 &&
           (how->largest == VM_PAGE_LOG || how->largest == VM_LARGE_LOG ||
            how->largest == VM_SECTION_LOG || how->largest == VM_SUPERSECTION_LOG);
}

/* AP[2:0]. */
static uint32_t ap_of(uint32_t flags, bool access_flag) {
    uint32_t user = flags & PT_USER ? 1 : 0, read_only = flags & PT_WRITE ? 0 : 1;
    if (access_flag) {
        return read_only << 2 | user << 1 | (flags & PT_OLD ? 0 : 1);
    }
    if (!(flags & PT_READ)) {
        return 0;
    }
    return flags & PT_KERNEL_WRITE ? 2 : read_only << 2 | user << 1 | 1;
}

static uint32_t flags_of(uint32_t ap, bool access_flag) {
    if (!access_flag && ap == 0) {
        return 0;
    }
    if (!access_flag && ap == 2) {
        return PT_READ | PT_USER | PT_KERNEL_WRITE;
    }
    return PT_READ | (ap & 4 ? 0u : PT_WRITE) | (ap & 2 ? PT_USER : 0u) |
           (access_flag && !(ap & 1) ? PT_OLD : 0u);
}

uint32_t descriptor_make(const struct pagetable_map *how, bool access_flag, unsigned log2,
                         uint32_t pa) {
    uint32_t ap = ap_of(how->flags, access_flag), tex = tex_cb[how->memory] >> 2,
             cb = tex_cb[how->memory] & 3, xn = how->flags & PT_EXECUTE ? 0 : 1,
             shared = how->flags & PT_SHARED ? 1 : 0, not_global = how->flags & PT_GLOBAL ? 0 : 1;
    if (log2 >= VM_SECTION_LOG) {
        return (pa >> log2 << log2) | not_global << 17 | shared << 16 | (ap >> 2) << 15 |
               tex << 12 | (ap & 3) << 10 |
               (log2 == VM_SECTION_LOG ? (uint32_t)how->domain << 5
                                       : (uint32_t)DESCRIPTOR_SUPERSECTION) |
               xn << 4 | cb << 2 | 2 | (how->flags & PT_PXN ? 1 : 0);
    }
    uint32_t word = (pa >> log2 << log2) | not_global << 11 | shared << 10 | (ap >> 2) << 9 |
                    (ap & 3) << 4 | cb << 2;
    return log2 == VM_LARGE_LOG ? word | xn << 15 | tex << 12 | 1 : word | tex << 6 | 2 | xn;
}

uint32_t descriptor_table(const struct pagetable_map *how, uint32_t table) {
    return table | (uint32_t)how->domain << 5 | (how->flags & PT_PXN ? 4 : 0) | DESCRIPTOR_TABLE;
}

bool descriptor_table_fits(uint32_t first, const struct pagetable_map *how) {
    return descriptor_table(how, first & ~1023u) == first;
}

unsigned descriptor_log2(uint32_t first, uint32_t second) {
    if (descriptor_is_table(first)) {
        return (second & DESCRIPTOR_TYPE) == 1 ? VM_LARGE_LOG : VM_PAGE_LOG;
    }
    return first & DESCRIPTOR_SUPERSECTION ? VM_SUPERSECTION_LOG : VM_SECTION_LOG;
}

struct pagetable_map descriptor_read(uint32_t first, uint32_t second, bool access_flag,
                                     uint32_t *pa) {
    unsigned log2 = descriptor_log2(first, second);
    bool section = log2 >= VM_SECTION_LOG;
    uint32_t d = section ? first : second;
    uint32_t ap, tex, xn, shift = section ? 6 : 0; /* S and nG are 6 bits higher in sections */
    if (section) {
        ap = (d >> 13 & 4) | (d >> 10 & 3);
        tex = d >> 12 & 7;
        xn = d >> 4 & 1;
    } else {
        ap = (d >> 7 & 4) | (d >> 4 & 3);
        tex = d >> (log2 == VM_LARGE_LOG ? 12 : 6) & 7;
        xn = log2 == VM_LARGE_LOG ? d >> 15 & 1 : d & 1;
    }
    *pa = d >> log2 << log2;
    struct pagetable_map how = {
        .flags = flags_of(ap, access_flag) | (xn ? 0u : PT_EXECUTE) |
                 (d >> (10 + shift) & 1 ? PT_SHARED : 0u) |
                 (d >> (11 + shift) & 1 ? 0u : PT_GLOBAL) |
                 ((section ? first : first >> 2) & 1 ? PT_PXN : 0u),
        .domain = (uint8_t)(log2 == VM_SUPERSECTION_LOG ? 0 : first >> 5 & 15),
        .largest = (uint8_t)log2,
    };
    for (unsigned memory = 0; memory < MEMORY_TYPES; memory++) {
        if (tex_cb[memory] == (tex << 2 | (d >> 2 & 3))) {
            how.memory = (enum pagetable_memory)memory;
        }
    }
    return how;
}
