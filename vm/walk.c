/* SPDX-License-Identifier: MIT
 *
 * walk.c - ARMv7-A short-descriptor walk: see walk.h
 */
#include "walk.h"

/* Cacheability as PAR's Inner and Outer fields have it: indexed by the two bits AA or BB, IR or OR.
 */
static const uint8_t par_inner[4] = {0, 5, 6, 7};
static const uint8_t par_outer[4] = {0, 1, 2, 3};
enum { PAR_INNER_STRONGLY_ORDERED = 1, PAR_INNER_DEVICE = 3 };

/* Layout of tlb_entry.memory above the flags. */
enum { MEMORY_INNER = 8, MEMORY_OUTER = 11, MEMORY_NOT_OUTER_SHAREABLE = 14 };

static uint16_t device(bool strongly_ordered, bool shareable) {
    unsigned inner = strongly_ordered ? PAR_INNER_STRONGLY_ORDERED : PAR_INNER_DEVICE;
    return (uint16_t)(inner << MEMORY_INNER | TLB_DEVICE | (shareable ? TLB_SHAREABLE : 0u));
}

static uint16_t normal(unsigned inner, unsigned outer, bool shareable) {
    return (uint16_t)((unsigned)par_inner[inner] << MEMORY_INNER |
                      (unsigned)par_outer[outer] << MEMORY_OUTER |
                      (inner != 0 || outer != 0 ? TLB_CACHEABLE : 0u) |
                      (shareable ? TLB_SHAREABLE : 0u));
}

/* SCTLR.TRE = 1: PRRR gives the type, NMRR the cacheability of normal memory. */
static uint16_t remapped(const struct vm_regs *regs, unsigned n, bool s) {
    unsigned type = regs->prrr >> 2 * n & 3;
    uint16_t memory;
    if (type <= 1) {
        memory = device(type == 0, regs->prrr >> (s ? 17 : 16) & 1);
    } else {
        memory = normal(regs->nmrr >> 2 * n & 3, regs->nmrr >> (2 * n + 16) & 3,
                        regs->prrr >> (s ? 19 : 18) & 1);
    }
    return (uint16_t)(memory | (regs->prrr >> (24 + n) & 1) << MEMORY_NOT_OUTER_SHAREABLE);
}

static uint16_t memory_type(const struct vm_regs *regs, unsigned tex, unsigned cb, bool s) {
    if (regs->sctlr & VM_SCTLR_TRE) {
        return remapped(regs, (tex & 1) << 2 | cb, s);
    }
    if (tex & 4) {
        return normal(cb, tex & 3, s);
    }
    switch (tex << 2 | cb) {
    case 0:
        return device(true, true);
    case 1:
        return device(false, true);
    case 2:
    case 3:
        return normal(cb, cb, s);
    case 7:
        return normal(1, 1, s);
    case 8:
        return device(false, false);
    default: /* 001 00, and what is reserved */
        return normal(0, 0, s);
    }
}

#define RIGHTS(privileged, user) (uint8_t)((privileged) | (user) << 3)
enum { NONE = 0, RO = 5, RW = 7 }; /* load and fetch; load, store and fetch */

/* By AP[2:0]; with SCTLR.AFE by AP[2:1], AP[0] being the access flag. Execution needs a right to
 * read, so XN only takes away. */
static const uint8_t rights_by_ap[8] = {
    RIGHTS(NONE, NONE), RIGHTS(RW, NONE), RIGHTS(RW, RO), RIGHTS(RW, RW),
    RIGHTS(NONE, NONE), RIGHTS(RO, NONE), RIGHTS(RO, RO), RIGHTS(RO, RO),
};
static const uint8_t rights_by_ap_simple[4] = {
    RIGHTS(RW, NONE),
    RIGHTS(RW, RW),
    RIGHTS(RO, NONE),
    RIGHTS(RO, RO),
};
enum { FETCH_BITS = 1 << VM_FETCH | 1 << (VM_FETCH + 3), FETCH_PRIVILEGED = 1 << VM_FETCH };

static uint8_t rights(const struct vm_regs *regs, unsigned ap, bool xn, bool pxn) {
    unsigned all = regs->sctlr & VM_SCTLR_AFE ? rights_by_ap_simple[ap >> 1] : rights_by_ap[ap];
    all &= xn ? ~(unsigned)FETCH_BITS : 0xffu;
    all &= pxn && regs->pxn ? ~(unsigned)FETCH_PRIVILEGED : 0xffu;
    return (uint8_t)all;
}

static inline bool read_descriptor(const struct vm_ram *ram, uint32_t pa, struct walk *walk,
                                   unsigned level) {
    const struct vm_segment *segment = &ram->segment[0];
    walk->read_pa[walk->reads++] = pa;
    const void *word = pa - segment->base < segment->bytes ? segment->host + (pa - segment->base)
                                                           : vm_ram_at(ram, pa, 4);
    if (word == NULL) {
        walk->fault = level == 0 ? VM_FAULT_WALK_FIRST : VM_FAULT_WALK_SECOND;
        return false;
    }
    memcpy(&walk->descriptor[level], word, sizeof walk->descriptor[level]);
    return true;
}

/* Puts the entry together from what both descriptor formats have in common. */
static void translated(const struct vm_regs *regs, struct walk *walk, uint32_t va, unsigned log2,
                       uint64_t pa, unsigned ap, bool xn, bool pxn, uint16_t memory,
                       bool not_global) {
    if ((regs->sctlr & VM_SCTLR_AFE) && (ap & 1) == 0) {
        walk->fault =
            log2 >= VM_SECTION_LOG ? VM_FAULT_ACCESS_FLAG_SECTION : VM_FAULT_ACCESS_FLAG_PAGE;
        return;
    }
    walk->entry = (struct tlb_entry){
        .tag = (va >> log2 << log2) | log2,
        .asid = not_global ? (uint16_t)(regs->contextidr & 0xff) : TLB_GLOBAL,
        .domain = walk->domain,
        .rights = rights(regs, ap, xn, pxn),
        .pfn = (uint32_t)(pa >> VM_PAGE_LOG),
        .memory = memory,
        .from = (uint16_t)log2,
    };
}

static void section(const struct vm_regs *regs, struct walk *walk, uint32_t va) {
    uint32_t d = walk->descriptor[0];
    bool super = d & 1u << 18;
    unsigned log2 = super ? VM_SUPERSECTION_LOG : VM_SECTION_LOG;
    uint64_t pa =
        super ? (d & 0xff000000u) | (uint64_t)(d >> 20 & 15) << 32 | (uint64_t)(d >> 5 & 15) << 36
              : d & 0xfff00000u;
    walk->domain = super ? 0 : d >> 5 & 15;
    uint16_t memory = memory_type(regs, d >> 12 & 7, d >> 2 & 3, d >> 16 & 1);
    memory = (uint16_t)(memory | (d >> 19 & 1 ? TLB_NOT_SECURE : 0));
    translated(regs, walk, va, log2, pa, (d >> 10 & 3) | (d >> 13 & 4), d >> 4 & 1, d & 1, memory,
               d >> 17 & 1);
}

bool vm_walk_first(const struct vm_regs *regs, const struct vm_ram *ram, uint32_t va,
                   struct walk *walk) {
    walk->fault = VM_FAULT_NONE;
    walk->reads = 0;
    unsigned n = regs->ttbcr & VM_TTBCR_N;
    bool low = n == 0 || va >> (32 - n) == 0;
    if (regs->ttbcr & (low ? VM_TTBCR_PD0 : VM_TTBCR_PD1)) {
        walk->fault = VM_FAULT_TRANSLATION_SECTION;
        return false;
    }
    uint32_t base = low ? regs->ttbr0 >> (14 - n) << (14 - n) : regs->ttbr1 >> 14 << 14;
    if (!read_descriptor(ram, base | va >> VM_SECTION_LOG << 2, walk, 0)) {
        return false;
    }
    uint32_t d = walk->descriptor[0];
    switch (d & 3) {
    case 1:
        walk->domain = d >> 5 & 15;
        return true;
    case 3:
        if (!regs->pxn) {
            walk->fault = VM_FAULT_TRANSLATION_SECTION;
            return false;
        }
        section(regs, walk, va);
        return false;
    case 2:
        section(regs, walk, va);
        return false;
    default:
        walk->fault = VM_FAULT_TRANSLATION_SECTION;
        return false;
    }
}

void vm_walk_second(const struct vm_regs *regs, const struct vm_ram *ram, uint32_t va,
                    struct walk *walk, struct walk_memo *memo) {
    uint32_t first = walk->descriptor[0];
    walk->fault = VM_FAULT_NONE;
    walk->domain = first >> 5 & 15;
    if (!read_descriptor(ram, vm_second_pa(first, va), walk, 1)) {
        return;
    }
    uint32_t d = walk->descriptor[1];
    bool large = (d & 3) == 1;
    if ((d & 3) == 0) {
        walk->fault = VM_FAULT_TRANSLATION_PAGE;
        return;
    }
    unsigned log2 = large ? VM_LARGE_LOG : VM_PAGE_LOG;
    bool xn = large ? d >> 15 & 1 : d & 1;
    uint16_t memory = memory_type(regs, d >> (large ? 12 : 6) & 7, d >> 2 & 3, d >> 10 & 1);
    memory = (uint16_t)(memory | (first >> 3 & 1 ? TLB_NOT_SECURE : 0));
    translated(regs, walk, va, log2, d >> log2 << log2, (d >> 4 & 3) | (d >> 7 & 4), xn,
               first >> 2 & 1, memory, d >> 11 & 1);
    if (memo != NULL && !large && walk->fault == VM_FAULT_NONE) {
        *memo = (struct walk_memo){walk_memo_key(first, d), walk->entry};
    }
}

struct walk vm_walk(const struct vm_regs *regs, const struct vm_ram *ram, uint32_t va) {
    struct walk walk = {0};
    if (!(regs->sctlr & VM_SCTLR_M)) {
        walk.domain = TLB_NO_DOMAIN;
        walk.entry = (struct tlb_entry){
            .tag = (va >> VM_SECTION_LOG << VM_SECTION_LOG) | VM_SECTION_LOG,
            .asid = TLB_GLOBAL,
            .domain = TLB_NO_DOMAIN,
            .rights = TLB_RIGHTS_ALL,
            .pfn = va >> VM_SECTION_LOG << (VM_SECTION_LOG - VM_PAGE_LOG),
            .memory = device(true, true),
            .from = VM_SECTION_LOG,
        };
    } else if (vm_walk_first(regs, ram, va, &walk)) {
        vm_walk_second(regs, ram, va, &walk, NULL);
    }
    return walk;
}

enum vm_fault vm_check(const struct tlb_entry *entry, uint32_t dacr, enum vm_kind kind, bool user) {
    bool section_level = entry->from >= VM_SECTION_LOG;
    unsigned access =
        entry->domain == TLB_NO_DOMAIN ? VM_DOMAIN_MANAGER : dacr >> 2 * entry->domain & 3;
    if (access == VM_DOMAIN_MANAGER) {
        return VM_FAULT_NONE;
    }
    if (access != VM_DOMAIN_CLIENT) {
        return section_level ? VM_FAULT_DOMAIN_SECTION : VM_FAULT_DOMAIN_PAGE;
    }
    if (entry->rights >> ((unsigned)kind + (user ? 3 : 0)) & 1) {
        return VM_FAULT_NONE;
    }
    return section_level ? VM_FAULT_PERMISSION_SECTION : VM_FAULT_PERMISSION_PAGE;
}

uint32_t vm_par(const struct vm_regs *regs, const struct vm_ram *ram, uint32_t va,
                enum vm_kind kind, bool user) {
    struct walk walk = vm_walk(regs, ram, va);
    enum vm_fault fault =
        walk.fault != VM_FAULT_NONE ? walk.fault : vm_check(&walk.entry, regs->dacr, kind, user);
    if (fault != VM_FAULT_NONE) {
        return ((uint32_t)fault & 0xf) << 1 | ((uint32_t)fault >> 4 & 1) << 5 | 1;
    }
    const struct tlb_entry *entry = &walk.entry;
    uint64_t pa = tlb_entry_pa(entry, va);
    uint32_t attributes = (uint32_t)(entry->memory >> MEMORY_INNER & 7) << 4 |
                          (uint32_t)(entry->memory >> MEMORY_OUTER & 3) << 2 |
                          (entry->memory & TLB_SHAREABLE ? 1u << 7 : 0) |
                          (entry->memory & TLB_NOT_SECURE ? 1u << 9 : 0) |
                          (uint32_t)(entry->memory >> MEMORY_NOT_OUTER_SHAREABLE & 1) << 10;
    if (entry->from == VM_SUPERSECTION_LOG) {
        return ((uint32_t)pa & 0xff000000u) | (uint32_t)(pa >> 32) << 16 | attributes | 2;
    }
    return ((uint32_t)pa & 0xfffff000u) | attributes;
}
