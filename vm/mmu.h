/* SPDX-License-Identifier: MIT
 *
 * mmu.h - the memory management unit of one Cortex-A core: translation, TLBs, maintenance, costs
 *
 *   access -> micro-TLB -miss-> main TLB -miss-> walk cache -> first level -> second level
 *             (I, D or loads     (unified)        (skips the     each a read through the cache
 *              and stores apart)                   first level)  model, if walks are cacheable
 *
 * Geometry and latencies come from a preset (cores.h); every one is a knob. Hits in a micro-TLB
 * cost one byte load and a test: for each kind of access a presence map over the 2^20 virtual page
 * numbers holds what the micro-TLB's entries permit under the current ASID and DACR. It is exact,
 * because with round-robin and random replacement a hit changes no state; an LRU micro-TLB takes
 * the slow path.
 *
 * Accesses are counted when they succeed: one that faults counts as a fault only. A translation
 * that fails is not cached; one that fails for domain or permission is.
 *
 * Errors of the *program under simulation* are faults. Nothing here allocates after mmu_open().
 */
#ifndef HEAPRIG_VM_MMU_H
#define HEAPRIG_VM_MMU_H

#include "cache.h"
#include "cores.h"
#include "walk.h"

/* Where a read of memory was served. */
enum { MMU_AT_L1, MMU_AT_L2, MMU_AT_RAM, MMU_LEVELS };

struct mmu_counters {
    uint64_t accesses[VM_KINDS];     /* successful ones, by kind */
    uint64_t micro_misses[VM_KINDS]; /* faulting ones included, as those below */
    uint64_t main_misses[VM_KINDS];  /* = walks */
    uint64_t walk_cache_hits;
    uint64_t walk_reads[2]; /* of first-level and second-level descriptors */
    uint64_t walk_read_at[MMU_LEVELS];
    uint64_t data_at[MMU_LEVELS]; /* accesses by where they hit; all 0 without cache model */
    uint64_t faults[VM_FAULTS];   /* by status */
    uint64_t micro_flushes;       /* of all entries of a micro-TLB at once */
    uint64_t main_operations;     /* maintenance operations on the main TLB */
    uint64_t entries_dropped;     /* from the main TLB by maintenance */
    uint64_t context_switches;    /* writes of CONTEXTIDR */
};

/* One micro-TLB with its presence map. */
struct mmu_micro {
    struct tlb tlb;
    uint8_t *map;    /* 2^20 bytes: rights by va >> 12, bit 7: an entry is there; 0: none */
    uint32_t *frame; /* 2^20 page frame numbers, valid where the map is not 0; with caches only */
    uint32_t sizes;  /* page sizes that an entry may have, else fragments */
    bool mixed;      /* two entries may cover the same page */
};

struct mmu {
    const uint8_t *map[4]; /* by kind (the fourth as load): of the micro-TLB that serves it */
    uint8_t right[4];      /* that the kind needs in this mode: a bit of tlb_entry.rights */
    uint8_t wanted[4];     /* the same, or 0, which forces the slow path */
    const uint32_t *frame[4];
    struct mmu_counters counters;
    struct vm_regs regs; /* read freely, change with mmu_write() */
    bool user;           /* unprivileged; change with mmu_set_user() */
    const struct vm_ram *ram;
    struct core core;
    struct mmu_micro *micro_of[VM_KINDS];
    struct mmu_micro micro[3]; /* D (or loads), I, stores */
    unsigned micros;
    struct tlb main;
    struct tlb walk_cache;
    struct caches caches;
    struct walk_memo memo;
    uint8_t memo_permits;    /* in the presence map, of pages like the memo's */
    uint8_t quick[VM_KINDS]; /* enum mmu_quick of mmu_micro.h */
    uint64_t quick_walks;    /* walks not yet counted: table in the walk cache, descriptor in L1 */
    uint8_t domain_client[16]; /* by DACR: rights of the entry that count, */
    uint8_t domain_always[16]; /* and bits of the presence map that are set anyway */
    uint32_t walk_level;       /* knob of this name */
    bool with_caches;          /* data accesses go through the caches */
    bool lru;                  /* hits change the state of micro-TLBs */
    enum vm_fault fault;       /* of the last access that failed */
    uint32_t fault_va;         /* its address: DFAR or IFAR */
    uint8_t fault_domain;      /* of DFSR, where it is defined */
};

/* An MMU of this core, reset: translation off, TLBs empty, counters 0. `with_caches` runs every
 * access through the data-cache model too, else only walks go through it. False iff memory is out
 * or a knob makes no sense; then there is nothing to close. `ram` must outlive it. */
bool mmu_open(struct mmu *mmu, const struct core *core, const struct vm_ram *ram, bool with_caches);
void mmu_close(struct mmu *mmu);

/* Writes to CP15 registers; micro-TLBs are flushed as the core does. O(micro-TLB entries). */
enum mmu_register {
    MMU_SCTLR,
    MMU_TTBCR,
    MMU_TTBR0,
    MMU_TTBR1,
    MMU_DACR,
    MMU_CONTEXTIDR,
    MMU_PRRR,
    MMU_NMRR
};
void mmu_write(struct mmu *mmu, enum mmu_register which, uint32_t value);
void mmu_set_user(struct mmu *mmu, bool user);

/* TLB maintenance (CP15 c8). All also drop what the walk cache holds of it. */
void mmu_tlbiall(struct mmu *mmu);
void mmu_tlbimva(struct mmu *mmu, uint32_t va, uint8_t asid);
void mmu_tlbimvaa(struct mmu *mmu, uint32_t va);
void mmu_tlbiasid(struct mmu *mmu, uint8_t asid);
/* While on, fills of the main TLB go to its lockable entries (Cortex-A9, lockdown register). */
void mmu_lock_fills(struct mmu *mmu, bool on);

/* For struct pagetable's `invalidate`: TLBIMVAA of each 4 KiB..16 MiB descriptor. Context: the mmu.
 */
void mmu_invalidate(void *mmu, uint32_t va, unsigned log2);

/* Slow path of mmu_access(): everything that is not a plain micro-TLB hit. */
enum vm_fault mmu_access_slow(struct mmu *mmu, uint32_t va, enum vm_kind kind);

/* One access of up to 4 aligned bytes at `va`. VM_FAULT_NONE, or the fault, kept in mmu->fault,
 * with nothing else changed but counters and TLBs: handle it and access again. O(1). */
static inline enum vm_fault mmu_access(struct mmu *mmu, uint32_t va, enum vm_kind kind) {
    if (mmu->map[kind][va >> VM_PAGE_LOG] & mmu->wanted[kind]) {
        mmu->counters.accesses[kind]++;
        return VM_FAULT_NONE;
    }
    return mmu_access_slow(mmu, va, kind);
}

/* As mmu_access() for `bytes` >= 1 bytes at any address, as one access per page touched. With
 * SCTLR.A, a size of 2 or 4 that `va` is no multiple of is an alignment fault, before all others.
 * Stops at the first fault. */
enum vm_fault mmu_access_bytes(struct mmu *mmu, uint32_t va, uint32_t bytes, enum vm_kind kind);

/* As mmu_access(), giving the physical address too. */
enum vm_fault mmu_translate(struct mmu *mmu, uint32_t va, enum vm_kind kind, uint64_t *pa);

/* Copies between host memory and what the program sees at va, page by page, as loads or stores.
 * VM_FAULT_EXTERNAL where a translation leads outside RAM. Bytes before the fault are copied. */
enum vm_fault mmu_load_bytes(struct mmu *mmu, void *to, uint32_t va, uint32_t bytes);
enum vm_fault mmu_store_bytes(struct mmu *mmu, uint32_t va, const void *from, uint32_t bytes);

/* A reference packed into a word: address without its two lowest bits, and the kind. */
static inline uint32_t mmu_ref(uint32_t va, enum vm_kind kind) {
    return (va & ~3u) | (uint32_t)kind;
}
/* Performs references in order: the fast way. Returns how many; fewer than `count` iff refs[result]
 * faulted (mmu->fault). The kind of each is VM_LOAD, VM_STORE or VM_FETCH. */
size_t mmu_run(struct mmu *mmu, const uint32_t *refs, size_t count);

/* NULL if the presence maps agree with the micro-TLBs, else the broken rule. O(2^20). */
const char *mmu_check(const struct mmu *mmu);

/* Sets all counters to 0; TLBs and caches keep their contents. */
void mmu_reset_counters(struct mmu *mmu);

/* Estimated cycles: an in-order additive model. Each access costs `hit`, each micro-TLB miss, walk
 * and walk read its latency, each data access where it was served. The A9, A15 and A17 overlap
 * misses: for them an upper bound. */
struct mmu_cycles {
    double accesses, micro, walks, data, total;
};
struct mmu_cycles mmu_cycles(const struct mmu *mmu);

#endif
