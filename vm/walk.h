/* SPDX-License-Identifier: MIT
 *
 * walk.h - the translation table walk of ARMv7-A with short descriptors, as a function of
 * registers, memory and address. ARM DDI 0406, B3.3 to B3.13; checked against QEMU by walk_test.c.
 *
 *   va 31..20 --> first level --+- 01 -> second level, va 19..12 --+- 1x -> page, 4 KiB
 *   TTBR0 or TTBR1 by TTBCR.N   |                                  +- 01 -> large page, 64 KiB
 *                               +- 1x -> section, 1 MiB; with bit 18 supersection, 16 MiB
 *
 * Order of faults: alignment, external abort on the walk, translation at each level, access flag,
 * domain, permission.
 */
#ifndef HEAPRIG_VM_WALK_H
#define HEAPRIG_VM_WALK_H

#include "tlb.h"

#include <string.h>

enum vm_kind { VM_LOAD, VM_STORE, VM_FETCH, VM_KINDS };

/* Fault status, as in DFSR and IFSR: bit 10 and bits 3..0. */
enum vm_fault {
    VM_FAULT_NONE = 0x00,
    VM_FAULT_ALIGNMENT = 0x01,
    VM_FAULT_ACCESS_FLAG_SECTION = 0x03,
    VM_FAULT_TRANSLATION_SECTION = 0x05,
    VM_FAULT_ACCESS_FLAG_PAGE = 0x06,
    VM_FAULT_TRANSLATION_PAGE = 0x07,
    VM_FAULT_EXTERNAL = 0x08, /* the translation is good, but there is no RAM at its pa */
    VM_FAULT_DOMAIN_SECTION = 0x09,
    VM_FAULT_DOMAIN_PAGE = 0x0b,
    VM_FAULT_WALK_FIRST = 0x0c, /* no RAM where the descriptor should be */
    VM_FAULT_PERMISSION_SECTION = 0x0d,
    VM_FAULT_WALK_SECOND = 0x0e,
    VM_FAULT_PERMISSION_PAGE = 0x0f,
    VM_FAULTS = 0x20
};

enum {
    VM_SCTLR_M = 1u << 0,
    VM_SCTLR_A = 1u << 1,
    VM_SCTLR_TRE = 1u << 28,
    VM_SCTLR_AFE = 1u << 29
};
enum { VM_TTBCR_N = 7, VM_TTBCR_PD0 = 1u << 4, VM_TTBCR_PD1 = 1u << 5 };
enum { VM_DOMAIN_NO_ACCESS, VM_DOMAIN_CLIENT, VM_DOMAIN_RESERVED, VM_DOMAIN_MANAGER };

/* CP15 registers that steer translation. */
struct vm_regs {
    uint32_t sctlr, ttbcr, ttbr0, ttbr1, dacr;
    uint32_t contextidr; /* ASID in bits 7..0 */
    uint32_t prrr, nmrr; /* memory types when SCTLR.TRE */
    bool pxn; /* core implements PXN (A7, A15, A17); else first-level type 11 is a fault */
};

struct walk {
    enum vm_fault fault; /* of the walk alone: no domain, no permission */
    unsigned reads;      /* descriptors read, 0 to 2 */
    uint64_t read_pa[2];
    uint32_t descriptor[2];
    uint8_t domain;         /* once a first-level descriptor that is no fault was read */
    struct tlb_entry entry; /* iff no fault */
};

/* Walks the tables for `va`. Costs at most two reads of `ram`. With SCTLR.M clear translation is
 * flat: an entry of 1 MiB with every right, domain 0 as manager would see it, no reads. */
struct walk vm_walk(const struct vm_regs *regs, const struct vm_ram *ram, uint32_t va);

/* What the latest small page came to. Most pages of a program differ in their address only, so this
 * saves taking the other bits apart. All zero is empty; empty it when a register changes. */
struct walk_memo {
    uint64_t key; /* the other bits of both descriptors */
    struct tlb_entry entry;
};

/* The same in its two halves, for a walker with a cache between them. vm_walk_first() reads the
 * first level; true iff the descriptor, in walk->descriptor[0], points to a second-level table:
 * then vm_walk_second() completes the walk. It needs descriptor[0] and `reads` only. `memo` may be
 * NULL. */
bool vm_walk_first(const struct vm_regs *regs, const struct vm_ram *ram, uint32_t va,
                   struct walk *walk);
void vm_walk_second(const struct vm_regs *regs, const struct vm_ram *ram, uint32_t va,
                    struct walk *walk, struct walk_memo *memo);

/* Where the second-level descriptor for `va` is, by the first-level one. */
static inline uint32_t vm_second_pa(uint32_t first, uint32_t va) {
    return (first & 0xfffffc00u) | (va >> 10 & 0x3fc);
}
static inline uint64_t walk_memo_key(uint32_t first, uint32_t second) {
    return (uint64_t)(first & 0x3ff) << 32 | (second & 0xfff);
}

/* Whether the page of `va` differs from that of the memo in its address alone; then *pfn is its
 * frame. False also if its second-level table is not in the first segment. */
static inline bool vm_walk_alike(const struct walk_memo *memo, const struct vm_ram *ram,
                                 uint32_t first, uint32_t va, uint32_t *pfn) {
    uint32_t offset = vm_second_pa(first, va) - ram->segment[0].base, second;
    if (offset >= ram->segment[0].bytes) {
        return false;
    }
    memcpy(&second, ram->segment[0].host + offset, sizeof second);
    *pfn = second >> VM_PAGE_LOG;
    return memo->key == walk_memo_key(first, second);
}

/* Domain and permission check of a translation: VM_FAULT_NONE, or domain or permission fault. */
enum vm_fault vm_check(const struct tlb_entry *entry, uint32_t dacr, enum vm_kind kind, bool user);

/* What ATS1CPR (load, privileged), CPW, CUR and CUW leave in PAR for `va`: the 32-bit format. NS,
 * SH, inner and outer attributes as the descriptor gives them. */
uint32_t vm_par(const struct vm_regs *regs, const struct vm_ram *ram, uint32_t va,
                enum vm_kind kind, bool user);

#endif
