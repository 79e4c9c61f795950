/* SPDX-License-Identifier: MIT
 *
 * asid.h - address space identifiers, recycled by generations
 *
 * There are 255 (0 is reserved for the moment of switching). A space keeps a 64-bit tag, generation
 * and ASID in one. When all are given out the generation moves on, every ASID is free again, and
 * the caller drops the whole TLB once: the 256th space costs a flush, not a failure. Tags of older
 * generations are renewed when their space runs next.
 */
#ifndef HEAPRIG_VM_ASID_H
#define HEAPRIG_VM_ASID_H

#include <stdbool.h>
#include <stdint.h>

enum { ASID_COUNT = 256 };

struct asid_pool {
    uint64_t generation;
    uint32_t next;
    uint64_t rollovers;
    uint8_t taken[ASID_COUNT]; /* in this generation */
};

void asid_open(struct asid_pool *pool);

/* Makes `*tag` valid (0: never had one) and gives its ASID, 1 to 255. True iff the generation moved
 * on: then drop the TLB (mmu_tlbiall) before running the space. `running`, unless 0, is the tag of
 * the space that runs now elsewhere and keeps its ASID over a rollover. O(ASIDs) at worst. */
bool asid_get(struct asid_pool *pool, uint64_t *tag, uint64_t *running, uint8_t *asid);

/* Gives the ASID of `*tag` back, if it is of this generation; *tag becomes 0. Drop its TLB entries
 * (mmu_tlbiasid) first. */
void asid_put(struct asid_pool *pool, uint64_t *tag);

#endif
