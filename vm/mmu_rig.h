/* SPDX-License-Identifier: MIT
 *
 * mmu_rig.h - for tests: an MMU over simulated RAM, with tables that are written descriptor by
 * descriptor, independently of pagetable.c
 *
 *   RAM at 0x80000000: | first level 16 KiB | second level, a frame each ... |
 */
#ifndef HEAPRIG_VM_MMU_RIG_H
#define HEAPRIG_VM_MMU_RIG_H

#include "mmu.h"

#include "../alloc/white_box.h"
#include "../bench/test_trace.h"

#include <stdlib.h>
#include <string.h>

enum { RIG_RAM_BASE_MIB = 2048, RIG_FIRST_BYTES = 16384 };
#define RIG_RAM_BASE ((uint32_t)RIG_RAM_BASE_MIB << 20)

struct mmu_rig {
    struct vm_ram ram;
    struct core core;
    struct mmu mmu;
    uint32_t next_frame; /* pa of the next free frame */
};

static inline uint32_t *rig_word(const struct mmu_rig *rig, uint32_t pa) {
    uint32_t *word = vm_ram_at(&rig->ram, pa, 4);
    ck_assert_ptr_nonnull(word);
    return word;
}

/* RAM of so many MiB, an empty table at its start. */
static inline void rig_ram(struct mmu_rig *rig, uint32_t mib) {
    memset(rig, 0, sizeof *rig);
    rig->ram.segment[0] = (struct vm_segment){RIG_RAM_BASE, mib << 20, calloc(mib, 1u << 20)};
    ck_assert_ptr_nonnull(rig->ram.segment[0].host);
    rig->ram.segments = 1;
    rig->next_frame = RIG_RAM_BASE + RIG_FIRST_BYTES;
}

/* The MMU of rig->core, on, privileged, TTBR0 = the table, all domains clients. */
static inline void rig_mmu(struct mmu_rig *rig, bool with_caches) {
    ck_assert(mmu_open(&rig->mmu, &rig->core, &rig->ram, with_caches));
    mmu_write(&rig->mmu, MMU_TTBR0, RIG_RAM_BASE);
    mmu_write(&rig->mmu, MMU_DACR, 0x55555555);
    mmu_write(&rig->mmu, MMU_SCTLR, VM_SCTLR_M);
    mmu_reset_counters(&rig->mmu);
}

static inline void rig_open(struct mmu_rig *rig, const char *preset) {
    rig_ram(rig, 1);
    ck_assert_msg(core_find(&rig->core, preset), "%s", preset);
}

static inline void rig_close(struct mmu_rig *rig) {
    mmu_close(&rig->mmu);
    free(rig->ram.segment[0].host);
}

/* Normal memory, write-back, AP 011: everybody may do everything. */
enum { RIG_SECTION = 2 | 3 << 10 | 1 << 12 | 3 << 2, RIG_PAGE = 2 | 3 << 4 | 1 << 6 | 3 << 2 };
enum { RIG_LARGE = 1 | 3 << 4 | 1 << 12 | 3 << 2 };

/* First-level slot of va; second-level slot, whose table is made when the first asks for it. */
static inline uint32_t *rig_first(const struct mmu_rig *rig, uint32_t va) {
    return rig_word(rig, RIG_RAM_BASE + (va >> 20) * 4);
}
static inline uint32_t *rig_second(struct mmu_rig *rig, uint32_t va) {
    uint32_t *first = rig_first(rig, va);
    if ((*first & 3) != 1) {
        *first = rig->next_frame | 1;
        rig->next_frame += 1024;
    }
    return rig_word(rig, (*first & ~1023u) + (va >> 12 & 255) * 4);
}

/* Identity, [va, va + bytes), pages of 2^log2; `extra` is or-ed into each descriptor. */
static inline void rig_map(struct mmu_rig *rig, uint32_t va, uint32_t bytes, unsigned log2,
                           uint32_t extra) {
    for (uint32_t at = va; at - va < bytes;) {
        uint32_t pa = at >> log2 << log2;
        if (log2 >= VM_SECTION_LOG) {
            *rig_first(rig, at) = pa | RIG_SECTION | extra | (log2 == 24 ? 1u << 18 : 0);
            at += 1u << 20;
        } else {
            *rig_second(rig, at) =
                pa | (log2 == 16 ? (uint32_t)RIG_LARGE : (uint32_t)RIG_PAGE) | extra;
            at += 4096;
        }
    }
}

#endif
