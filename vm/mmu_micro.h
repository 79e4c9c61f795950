/* SPDX-License-Identifier: MIT
 *
 * mmu_micro.h - a micro-TLB with its presence map: part of mmu.c
 *
 * The map holds, for each virtual page number, what the entry that would hit permits, now: under
 * the current ASID and DACR. Invariant, checked by mmu_check(): map[vpn] = rights of tlb_find(vpn),
 * with MICRO_PRESENT set, or 0.
 *
 * While all entries are of one size and of one context no two cover the same page, and an entry
 * that comes or goes only sets or clears its range. `mixed` says that this cannot be taken for
 * granted: then ranges are painted again, from the largest entries to the smallest.
 */
#ifndef HEAPRIG_VM_MMU_MICRO_H
#define HEAPRIG_VM_MMU_MICRO_H

#include "mmu.h"

/* What a refill for accesses of a kind may do without looking at everything: nothing; put a page of
 * 4 KiB from the main TLB in place of another; also walk for one. mmu->quick has it ready, noted
 * after every change of a TLB that may change it. */
enum mmu_quick { QUICK_NOTHING, QUICK_HITS, QUICK_WALKS };
void mmu_quick_note(struct mmu *mmu);
bool mmu_quick_noted(const struct mmu *mmu);

enum { MICRO_PRESENT = 0x80 };
/* In `frame`: the page may be cached. Frame numbers have 28 bits. */
#define MICRO_CACHEABLE 0x80000000u

/* What the map says of pages that the entry translates. */
static inline uint8_t micro_permits(const struct mmu *mmu, const struct tlb_entry *entry) {
    return (uint8_t)((entry->rights & mmu->domain_client[entry->domain]) |
                     mmu->domain_always[entry->domain]);
}

bool micro_open(struct mmu_micro *micro, const struct core *core, uint32_t entries, uint32_t sizes,
                bool with_frames);
void micro_close(struct mmu_micro *micro);

/* Stores what of `page` belongs to `va`: all of it, or the largest fragment the micro-TLB holds. */
void micro_insert(struct mmu *mmu, struct mmu_micro *micro, const struct tlb_entry *page,
                  uint32_t va);
/* The same where fill_log2 says that a page of 4 KiB replaces another, and nothing is mixed. It is
 * `like`, but for its address. */
static inline void micro_replace(struct mmu_micro *micro, uint32_t va, uint32_t pfn,
                                 const struct tlb_entry *like, uint8_t permits, bool frames) {
    struct tlb_entry *slot = tlb_slot_quick(&micro->tlb, micro->tlb.shape.ways, 0);
    micro->map[slot->tag >> VM_PAGE_LOG] = 0;
    tlb_page_write(slot, va, pfn, like);
    micro->map[va >> VM_PAGE_LOG] = permits;
    if (frames && micro->frame != NULL) {
        micro->frame[va >> VM_PAGE_LOG] =
            pfn | (like->memory & TLB_CACHEABLE ? MICRO_CACHEABLE : 0);
    }
}
/* Paints the whole map anew: ASID or DACR changed. */
void micro_repaint(struct mmu *mmu, struct mmu_micro *micro);
void micro_flush(struct mmu *mmu, struct mmu_micro *micro);

/* Maintenance, entry by entry. */
void micro_drop_va(struct mmu *mmu, struct mmu_micro *micro, uint32_t va, uint16_t asid);
void micro_drop_va_all(struct mmu *mmu, struct mmu_micro *micro, uint32_t va);
void micro_drop_asid(struct mmu *mmu, struct mmu_micro *micro, uint16_t asid);

/* NULL if the map is as the invariant says. O(2^20). */
const char *micro_check(const struct mmu *mmu, const struct mmu_micro *micro);

#endif
