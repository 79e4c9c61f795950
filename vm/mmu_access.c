/* SPDX-License-Identifier: MIT
 *
 * mmu_access.c - accesses through the MMU: misses, walks, faults, and runs of references
 */
#include "mmu_micro.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* What a copy of the code below takes for granted, so that the compiler drops what other cores
 * need.
 */
struct known {
    uint32_t tlb_ways; /* of main TLB and walk cache; 0: look there */
    uint32_t l2_ways;  /* of the L2, and that caches->quick; 0: look there */
    bool caches;       /* there may be frames and data accesses through the caches */
    bool packed;       /* the address is a reference, its two lowest bits not part of it */
};
static const struct known nothing_known = {0, 0, true, false};

static enum vm_fault fail(struct mmu *mmu, enum vm_fault fault, uint32_t va, uint8_t domain) {
    mmu->fault = fault;
    mmu->fault_va = va;
    mmu->fault_domain = domain;
    mmu->counters.faults[fault]++;
    return fault;
}

/* Runs a read of the walk, of that level, through the caches. */
static inline void charge_read(struct mmu *mmu, uint64_t pa, unsigned level) {
    unsigned at = MMU_AT_L1;
    if (mmu->walk_level != MMU_AT_L1 || !cache_holds(&mmu->caches.l1, pa)) {
        /* a hit there would change nothing */
        at = caches_access_from(&mmu->caches, pa, mmu->walk_level);
    }
    mmu->counters.walk_reads[level]++;
    mmu->counters.walk_read_at[at]++;
}

/* The first-level descriptor for `va`, from the walk cache or from memory. False: it leads to no
 * table, and *walk is complete. */
static inline bool walk_first(struct mmu *mmu, uint32_t va, struct walk *walk) {
    uint16_t asid = mmu->regs.contextidr & 0xff;
    const struct tlb_entry *cached = tlb_find(&mmu->walk_cache, va, asid);
    walk->reads = 0;
    if (cached != NULL) {
        mmu->counters.walk_cache_hits++;
        walk->descriptor[0] = cached->pfn;
        return true;
    }
    bool table = vm_walk_first(&mmu->regs, mmu->ram, va, walk);
    if (walk->reads != 0) {
        charge_read(mmu, walk->read_pa[0], 0);
    }
    if (table) {
        struct tlb_entry entry = {.tag = (va >> VM_SECTION_LOG << VM_SECTION_LOG) | VM_SECTION_LOG,
                                  .asid = asid,
                                  .pfn = walk->descriptor[0],
                                  .from = VM_SECTION_LOG},
                         evicted;
        tlb_insert(&mmu->walk_cache, &entry, &evicted);
    }
    return table;
}

/* Walks for `va`, with the walk cache between the levels. */
static inline enum vm_fault walk_tables(struct mmu *mmu, uint32_t va, struct tlb_entry *entry) {
    struct walk walk;
    if (walk_first(mmu, va, &walk)) {
        vm_walk_second(&mmu->regs, mmu->ram, va, &walk, &mmu->memo);
        mmu->memo_permits = micro_permits(mmu, &mmu->memo.entry);
        charge_read(mmu, vm_second_pa(walk.descriptor[0], va), 1);
    }
    if (walk.fault != VM_FAULT_NONE) {
        return fail(mmu, walk.fault, va, walk.domain);
    }
    *entry = walk.entry;
    return VM_FAULT_NONE;
}

/* Brings the translation of `va` into the micro-TLB, and on the way into the main TLB. */
static enum vm_fault refill(struct mmu *mmu, uint32_t va, enum vm_kind kind) {
    mmu->counters.micro_misses[kind]++;
    const struct tlb_entry *entry = tlb_find(&mmu->main, va, mmu->regs.contextidr & 0xff);
    struct tlb_entry walked, evicted;
    if (entry == NULL) {
        mmu->counters.main_misses[kind]++;
        enum vm_fault fault = walk_tables(mmu, va, &walked);
        if (fault != VM_FAULT_NONE) {
            return fault;
        }
        tlb_insert(&mmu->main, &walked, &evicted);
        entry = &walked;
    }
    micro_insert(mmu, mmu->micro_of[kind], entry, va);
    return VM_FAULT_NONE;
}

/* Where the general way finds a table in the walk cache and a page like the last one. False, and
 * nothing was done, where it does not. */
ALWAYS_INLINE bool walk_quick(struct mmu *mmu, uint32_t va, uint16_t asid, const struct known known,
                              uint32_t *pfn) {
    const struct tlb *tables = &mmu->walk_cache;
    uint32_t set = tlb_set(tables, va, VM_SECTION_LOG);
    uint32_t ways = known.tlb_ways != 0 ? known.tlb_ways : tables->shape.ways;
    const struct tlb_entry *table = tlb_find_quick(tables, ways, set, va, asid, VM_SECTION_LOG);
    if (table == NULL || !vm_walk_alike(&mmu->memo, mmu->ram, table->pfn, va, pfn)) {
        return false;
    }
    uint32_t pa = vm_second_pa(table->pfn, va);
    if (cache_holds_quick(&mmu->caches.l1, pa)) {
        mmu->quick_walks++;
    } else {
        mmu->counters.walk_cache_hits++;
        charge_read(mmu, pa, 1);
    }
    return true;
}

/* refill() for the case that decides how fast the model is: pages of 4 KiB replace pages of 4 KiB,
 * a walk finds everything at once. No calls, no copies on the way. What the presence map says now;
 * 0, and nothing was done, if it is not this case. */
ALWAYS_INLINE uint8_t refill_quick(struct mmu *mmu, uint32_t va, enum vm_kind kind,
                                   const struct known known) {
    if (mmu->quick[kind] == QUICK_NOTHING) {
        return 0;
    }
    struct mmu_micro *micro = mmu->micro_of[kind];
    struct tlb *main = &mmu->main;
    uint16_t asid = mmu->regs.contextidr & 0xff;
    uint32_t set = tlb_set(main, va, VM_PAGE_LOG), pfn;
    uint32_t main_ways = known.tlb_ways != 0 ? known.tlb_ways : main->shape.ways;
    const struct tlb_entry *entry = tlb_find_quick(main, main_ways, set, va, asid, VM_PAGE_LOG);
    if (entry != NULL) {
        mmu->counters.micro_misses[kind]++;
        uint8_t permits = micro_permits(mmu, entry);
        micro_replace(micro, va, entry->pfn, entry, permits, known.caches);
        return permits;
    }
    if (mmu->quick[kind] != QUICK_WALKS || !walk_quick(mmu, va, asid, known, &pfn)) {
        return 0;
    }
    mmu->counters.micro_misses[kind]++;
    mmu->counters.main_misses[kind]++;
    tlb_page_write(tlb_slot_quick(main, main_ways, set), va, pfn, &mmu->memo.entry);
    micro_replace(micro, va, pfn, &mmu->memo.entry, mmu->memo_permits, known.caches);
    return mmu->memo_permits;
}

/* The entry that translates `va`, after refill: there is one. */
static const struct tlb_entry *hit(struct mmu *mmu, uint32_t va, enum vm_kind kind) {
    return tlb_find(&mmu->micro_of[kind]->tlb, va, mmu->regs.contextidr & 0xff);
}

static __attribute__((noinline)) enum vm_fault translate_other(struct mmu *mmu, uint32_t va,
                                                               enum vm_kind kind) {
    const uint8_t *byte = &mmu->map[kind][va >> VM_PAGE_LOG];
    if (*byte == 0) {
        enum vm_fault fault = refill(mmu, va, kind);
        mmu_quick_note(mmu);
        if (fault != VM_FAULT_NONE) {
            return fault;
        }
    } else if (mmu->lru) {
        hit(mmu, va, kind);
    }
    if (*byte & mmu->right[kind]) {
        return VM_FAULT_NONE;
    }
    const struct tlb_entry *entry = hit(mmu, va, kind);
    return fail(mmu, vm_check(entry, mmu->regs.dacr, kind, mmu->user), va, entry->domain);
}

/* Brings about that an entry for `va` permits the access, or fails. */
ALWAYS_INLINE enum vm_fault translate(struct mmu *mmu, uint32_t va, enum vm_kind kind,
                                      const struct known known) {
    if (mmu->map[kind][va >> VM_PAGE_LOG] == 0 &&
        (refill_quick(mmu, va, kind, known) & mmu->right[kind]) != 0) {
        return VM_FAULT_NONE;
    }
    return translate_other(mmu, known.packed ? va & ~3u : va, kind);
}

/* A data access of the program, by physical address, through the cache model. */
ALWAYS_INLINE void data_access(struct mmu *mmu, uint64_t pa, bool cacheable,
                               const struct known known) {
    unsigned at = cacheable ? caches_access(&mmu->caches, pa, known.l2_ways) : MMU_AT_RAM;
    mmu->counters.data_at[at]++;
}

ALWAYS_INLINE void data_access_at(struct mmu *mmu, uint32_t va, enum vm_kind kind,
                                  const struct known known) {
    uint32_t frame = mmu->frame[kind][va >> VM_PAGE_LOG];
    data_access(mmu, (uint64_t)(frame & ~MICRO_CACHEABLE) << VM_PAGE_LOG | (va & (VM_PAGE - 1)),
                frame & MICRO_CACHEABLE, known);
}

/* Counts what walk_quick() put off. */
static inline void quick_walks_count(struct mmu *mmu) {
    mmu->counters.walk_cache_hits += mmu->quick_walks;
    mmu->counters.walk_reads[1] += mmu->quick_walks;
    mmu->counters.walk_read_at[MMU_AT_L1] += mmu->quick_walks;
    mmu->quick_walks = 0;
}

/* One access but for the counter of accesses. */
ALWAYS_INLINE enum vm_fault access_uncounted(struct mmu *mmu, uint32_t va, enum vm_kind kind) {
    if (!(mmu->regs.sctlr & VM_SCTLR_M)) {
        if (mmu->with_caches && kind != VM_FETCH) {
            /* data is strongly ordered while the MMU is off */
            data_access(mmu, va, false, nothing_known);
        }
        return VM_FAULT_NONE;
    }
    enum vm_fault fault = translate(mmu, va, kind, nothing_known);
    if (fault == VM_FAULT_NONE && mmu->with_caches && kind != VM_FETCH) {
        data_access_at(mmu, va, kind, nothing_known);
    }
    return fault;
}

enum vm_fault mmu_access_slow(struct mmu *mmu, uint32_t va, enum vm_kind kind) {
    enum vm_fault fault = access_uncounted(mmu, va, kind);
    mmu->counters.accesses[kind] += fault == VM_FAULT_NONE;
    if (mmu->quick_walks != 0) {
        quick_walks_count(mmu);
    }
    return fault;
}

enum vm_fault mmu_access_bytes(struct mmu *mmu, uint32_t va, uint32_t bytes, enum vm_kind kind) {
    if ((mmu->regs.sctlr & VM_SCTLR_A) && (bytes == 2 || bytes == 4) && va % bytes != 0) {
        return fail(mmu, VM_FAULT_ALIGNMENT, va, 0);
    }
    uint32_t last = va + (bytes - 1);
    enum vm_fault fault = mmu_access(mmu, va, kind);
    while (fault == VM_FAULT_NONE && va >> VM_PAGE_LOG != last >> VM_PAGE_LOG) {
        va = (va & ~(VM_PAGE - 1)) + VM_PAGE;
        fault = mmu_access(mmu, va, kind);
    }
    return fault;
}

enum vm_fault mmu_translate(struct mmu *mmu, uint32_t va, enum vm_kind kind, uint64_t *pa) {
    enum vm_fault fault = mmu_access(mmu, va, kind);
    if (fault == VM_FAULT_NONE) {
        *pa = mmu->regs.sctlr & VM_SCTLR_M ? tlb_entry_pa(hit(mmu, va, kind), va) : va;
    }
    return fault;
}

/* Where the bytes from `va` to the end of its page, at most `bytes`, are in the host. */
static enum vm_fault host_of(struct mmu *mmu, uint32_t va, uint32_t bytes, enum vm_kind kind,
                             void **host, uint32_t *length) {
    uint64_t pa;
    enum vm_fault fault = mmu_translate(mmu, va, kind, &pa);
    if (fault != VM_FAULT_NONE) {
        return fault;
    }
    uint32_t rest = VM_PAGE - (va & (VM_PAGE - 1));
    *length = bytes < rest ? bytes : rest;
    *host = vm_ram_at(mmu->ram, pa, *length);
    return *host == NULL ? fail(mmu, VM_FAULT_EXTERNAL, va, 0) : VM_FAULT_NONE;
}

enum vm_fault mmu_load_bytes(struct mmu *mmu, void *to, uint32_t va, uint32_t bytes) {
    for (uint32_t done = 0, length; done < bytes; done += length) {
        void *host;
        enum vm_fault fault = host_of(mmu, va + done, bytes - done, VM_LOAD, &host, &length);
        if (fault != VM_FAULT_NONE) {
            return fault;
        }
        memcpy((char *)to + done, host, length);
    }
    return VM_FAULT_NONE;
}

enum vm_fault mmu_store_bytes(struct mmu *mmu, uint32_t va, const void *from, uint32_t bytes) {
    for (uint32_t done = 0, length; done < bytes; done += length) {
        void *host;
        enum vm_fault fault = host_of(mmu, va + done, bytes - done, VM_STORE, &host, &length);
        if (fault != VM_FAULT_NONE) {
            return fault;
        }
        memcpy(host, (const char *)from + done, length);
    }
    return VM_FAULT_NONE;
}

/* What a part of a run came to. */
struct run {
    size_t done;
    uint64_t kinds; /* accesses of each kind in the fields of a word: up to 2^20 fit */
    bool fault;     /* of the next one */
};
enum { RUN_MAX = 1 << 20, FIELD = 21 };
static const uint64_t one_of[4] = {1, 1ull << FIELD, 1ull << 2 * FIELD, 0};

typedef struct run run_fn(struct mmu *mmu, const uint32_t *refs, size_t count);

static inline bool map_permits(const struct mmu *mmu, uint32_t ref) {
    return mmu->map[ref & 3][ref >> VM_PAGE_LOG] & mmu->right[ref & 3];
}

/* From a reference that is no plain hit, at refs[0], to the next that is one. */
ALWAYS_INLINE struct run misses_loop(struct mmu *mmu, const uint32_t *refs, size_t count,
                                     const struct known known) {
    struct run run = {0, 0, false};
    do {
        uint32_t ref = refs[run.done];
        if (translate(mmu, ref, ref & 3, known) != VM_FAULT_NONE) {
            run.fault = true;
            break;
        }
        run.kinds += one_of[ref & 3];
        run.done++;
    } while (run.done < count && !map_permits(mmu, refs[run.done]));
    return run;
}

/* Hits in a loop of their own, as tight as can be. */
ALWAYS_INLINE struct run hits_loop(struct mmu *mmu, const uint32_t *refs, size_t count,
                                   const struct known known) {
    const uint8_t *map[4] = {mmu->map[0], mmu->map[1], mmu->map[2], mmu->map[3]};
    uint8_t wanted[4];
    memcpy(wanted, mmu->right, sizeof wanted);
    uint64_t kinds = 0;
    size_t i = 0;
    while (i < count) {
        uint32_t ref = refs[i];
        if (__builtin_expect(map[ref & 3][ref >> VM_PAGE_LOG] & wanted[ref & 3], 1)) {
            kinds += one_of[ref & 3];
            i++;
            continue;
        }
        struct run run = misses_loop(mmu, refs + i, count - i, known);
        kinds += run.kinds;
        i += run.done;
        if (run.fault) {
            break;
        }
    }
    return (struct run){i, kinds, i < count};
}

/* With caches no access is a plain hit. */
ALWAYS_INLINE struct run caches_loop(struct mmu *mmu, const uint32_t *refs, size_t count,
                                     const struct known known) {
    struct run run = {0, 0, false};
    for (; run.done < count; run.done++) {
        uint32_t ref = refs[run.done];
        if (!map_permits(mmu, ref) && translate(mmu, ref, ref & 3, known) != VM_FAULT_NONE) {
            run.fault = true;
            break;
        }
        if ((ref & 3) != VM_FETCH) {
            data_access_at(mmu, ref & ~3u, ref & 3, known);
        }
        run.kinds += one_of[ref & 3];
    }
    return run;
}

/* Copies of the loops for the usual core, and for others. */
static struct run run_usual(struct mmu *mmu, const uint32_t *refs, size_t count) {
    return mmu->with_caches ? caches_loop(mmu, refs, count, (struct known){2, 8, true, true})
                            : hits_loop(mmu, refs, count, (struct known){2, 8, false, true});
}

static struct run run_other(struct mmu *mmu, const uint32_t *refs, size_t count) {
    return mmu->with_caches ? caches_loop(mmu, refs, count, (struct known){0, 0, true, true})
                            : hits_loop(mmu, refs, count, (struct known){0, 0, false, true});
}

static struct run run_slow(struct mmu *mmu, const uint32_t *refs, size_t count) {
    struct run run = {0, 0, false};
    while (run.done < count && !run.fault) {
        uint32_t ref = refs[run.done];
        run.fault = access_uncounted(mmu, ref & ~3u, ref & 3) != VM_FAULT_NONE;
        run.kinds += run.fault ? 0 : one_of[ref & 3];
        run.done += !run.fault;
    }
    return run;
}

static run_fn *run_for(const struct mmu *mmu) {
    if (mmu->lru || !(mmu->regs.sctlr & VM_SCTLR_M)) {
        return run_slow;
    }
    bool usual = mmu->main.shape.ways == 2 && mmu->walk_cache.shape.ways == 2 &&
                 (!mmu->with_caches || (mmu->caches.quick && mmu->caches.l2.ways == 8));
    return usual ? run_usual : run_other;
}

size_t mmu_run(struct mmu *mmu, const uint32_t *refs, size_t count) {
    run_fn *some = run_for(mmu);
    struct run run = {0, 0, false};
    size_t done = 0;
    while (done < count && !run.fault) {
        run = some(mmu, refs + done, count - done < RUN_MAX ? count - done : RUN_MAX);
        for (unsigned kind = 0; kind < VM_KINDS; kind++) {
            mmu->counters.accesses[kind] += run.kinds >> kind * FIELD & ((1u << FIELD) - 1);
        }
        done += run.done;
    }
    quick_walks_count(mmu);
    return done;
}
