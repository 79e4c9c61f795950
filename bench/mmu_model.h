/* SPDX-License-Identifier: MIT
 *
 * mmu_model.h - a pool behind an emulated MMU: what touches of it cost
 *
 *   virtual     0x40000000 pool ......         mapped by 4 KiB, 64 KiB, 1 MiB or 16 MiB pages, each
 *   physical    0x40000000 pool ......         when it is first touched (a fault)
 *               0x00100000 page tables         real descriptors, read by walks through the caches
 *
 * A pool lies at the same address on every machine, so the same touches give the same figures. A
 * touch is one access for each word of 4 bytes that it overlaps. Privileged code, one address
 * space, nothing ever unmapped.
 */
#ifndef HEAPRIG_MMU_MODEL_H
#define HEAPRIG_MMU_MODEL_H

#include "touches.h"

#include "../trace/problem.h"
#include "../vm/mmu.h"
#include "../vm/pagetable.h"

#define MMU_POOL_VA  0x40000000u
#define MMU_POOL_MAX ((size_t)0x3FFF0000)

enum mmu_who { MMU_ALLOCATOR, MMU_APPLICATION, MMU_WHO };

struct mmu_model {
    struct mmu mmu;
    struct vm_ram ram;
    struct pagetable table;
    unsigned char *tables; /* memory of page tables */
    uint32_t tables_used;
    unsigned page_log2;
    uint8_t *touched[MMU_WHO]; /* by page: 1 if so */
    uint32_t page_count;
    uint32_t pool_pages;         /* of 4 KiB */
    uint32_t mapped;             /* pages of 4 KiB from the first to the last that is */
    enum mmu_who who;            /* whose counters the MMU has; */
    struct mmu_counters waiting; /* those of the other */
    uint64_t hits[MMU_WHO][2];   /* loads and stores that are not in them yet */
    uint64_t faults[MMU_WHO];    /* by who touched the page first */
};

static inline enum mmu_who mmu_who_did(struct touch touch) {
    return (touch.bytes & TOUCH_APPLICATION) != 0 ? MMU_APPLICATION : MMU_ALLOCATOR;
}

/* An MMU of the core with nothing mapped, for the pool of pool_bytes <= MMU_POOL_MAX at host
 * address `pool`; page_log2 is 12, 16, 20 or 24. With `caches` every access goes through the data
 * caches, else only walks do. False and *problem when memory is out or the core's knobs make no
 * sense. */
bool mmu_model_open(struct mmu_model *model, const struct core *core, unsigned page_log2,
                    bool caches, void *pool, size_t pool_bytes, struct problem *problem);
void mmu_model_close(struct mmu_model *model);

/* Performs up to TOUCHES_ROOM touches; a page's first is a fault that maps it. About 2 ns an access
 * that hits. */
void mmu_model_see(struct mmu_model *model, const struct touch *touches, size_t count);
/* The same of one, best where it is expected to miss. */
void mmu_model_see_one(struct mmu_model *model, struct touch touch);

/* Says in *quiet which touches are plain hits, by address and kind; false if none ever is. */
bool mmu_model_quiet(const struct mmu_model *model, struct touches_quiet *quiet);
/* Adds what was counted instead of performed: words of loads and of stores, all hits; and by page
 * of 4 KiB of the pool 1 if touched. O(pages). */
void mmu_model_add(struct mmu_model *model, enum mmu_who who, const uint64_t words[2],
                   const uint8_t *touched);

/* Pages of 4 KiB of the pool from this one on were never touched. */
static inline uint32_t mmu_model_mapped(const struct mmu_model *model) {
    return model->mapped < model->pool_pages ? model->mapped : model->pool_pages;
}

/* Counting begins anew; TLBs, caches, pages touched and faults stay. */
void mmu_model_restart(struct mmu_model *model);

/* What has come together since. */
struct mmu_share {
    uint64_t accesses, micro_misses, main_misses, walk_reads;
    double cycles; /* the additive estimate of mmu_cycles(); faults cost nothing in it */
    uint64_t pages;
    uint64_t faults;
};
struct mmu_share mmu_model_share(struct mmu_model *model, enum mmu_who who);

/* Pages anyone touched: the sum of all faults. */
uint64_t mmu_model_pages(const struct mmu_model *model);

#endif
