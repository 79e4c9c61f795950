/* SPDX-License-Identifier: MIT
 *
 * mmu_access.c - accesses through the MMU: misses, walks, faults, and runs of references
 */
#include "mmu_micro.h"

#include <string.h>

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
static inline bool walk_quick(struct mmu *mmu, uint32_t va, uint16_t asid, uint32_t *pfn) {
    const struct tlb *tables = &mmu->walk_cache;
    if (tables->find_log2 != VM_SECTION_LOG) {
        return false;
    }
    const struct tlb_entry *table =
        tlb_find_quick(tables, tlb_set(tables, va, VM_SECTION_LOG), va, asid, VM_SECTION_LOG);
    if (table == NULL || !vm_walk_alike(&mmu->memo, mmu->ram, table->pfn, va, pfn)) {
        return false;
    }
    mmu->counters.walk_cache_hits++;
    charge_read(mmu, vm_second_pa(table->pfn, va), 1);
    return true;
}

/* refill() for the case that decides how fast the model is: pages of 4 KiB replace pages of 4 KiB,
 * a walk finds everything at once. No calls, no copies on the way. False, and nothing was done, if
 * it is not this case. */
static inline bool refill_quick(struct mmu *mmu, uint32_t va, enum vm_kind kind) {
    struct mmu_micro *micro = mmu->micro_of[kind];
    struct tlb *main = &mmu->main;
    if (micro->tlb.fill_log2 != VM_PAGE_LOG || micro->mixed || main->find_log2 != VM_PAGE_LOG) {
        return false;
    }
    uint16_t asid = mmu->regs.contextidr & 0xff;
    uint32_t set = tlb_set(main, va, VM_PAGE_LOG), pfn;
    const struct tlb_entry *entry = tlb_find_quick(main, set, va, asid, VM_PAGE_LOG);
    if (entry != NULL) {
        pfn = entry->pfn;
    } else if (main->fill_log2 == VM_PAGE_LOG && walk_quick(mmu, va, asid, &pfn)) {
        entry = &mmu->memo.entry;
        mmu->counters.main_misses[kind]++;
        tlb_page_write(tlb_slot_quick(main, set), va, pfn, entry);
    } else {
        return false;
    }
    mmu->counters.micro_misses[kind]++;
    micro_replace(mmu, micro, va, pfn, entry);
    return true;
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

static inline enum vm_fault translate(struct mmu *mmu, uint32_t va, enum vm_kind kind) {
    const uint8_t *byte = &mmu->map[kind][va >> VM_PAGE_LOG];
    if (*byte == 0 && refill_quick(mmu, va, kind) && (*byte & mmu->right[kind]) != 0) {
        return VM_FAULT_NONE;
    }
    return translate_other(mmu, va, kind);
}

/* A data access of the program, by physical address, through the cache model. */
static inline void data_access(struct mmu *mmu, uint64_t pa, bool cacheable) {
    mmu->counters.data_at[cacheable ? caches_access(&mmu->caches, pa) : MMU_AT_RAM]++;
}

static inline void data_access_at(struct mmu *mmu, uint32_t va, enum vm_kind kind) {
    uint32_t frame = mmu->frame[kind][va >> VM_PAGE_LOG];
    data_access(mmu, (uint64_t)(frame & ~MICRO_CACHEABLE) << VM_PAGE_LOG | (va & (VM_PAGE - 1)),
                frame & MICRO_CACHEABLE);
}

/* One access but for the counter of accesses. */
static enum vm_fault access_uncounted(struct mmu *mmu, uint32_t va, enum vm_kind kind) {
    if (!(mmu->regs.sctlr & VM_SCTLR_M)) {
        if (mmu->with_caches && kind != VM_FETCH) {
            data_access(mmu, va, false); /* data is strongly ordered while the MMU is off */
        }
        return VM_FAULT_NONE;
    }
    enum vm_fault fault = translate(mmu, va, kind);
    if (fault == VM_FAULT_NONE && mmu->with_caches && kind != VM_FETCH) {
        data_access_at(mmu, va, kind);
    }
    return fault;
}

enum vm_fault mmu_access_slow(struct mmu *mmu, uint32_t va, enum vm_kind kind) {
    enum vm_fault fault = access_uncounted(mmu, va, kind);
    mmu->counters.accesses[kind] += fault == VM_FAULT_NONE;
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

/* One of each kind in the fields of a word: counts of up to 2^20 references fit. */
enum { RUN_MAX = 1 << 20, FIELD = 21 };
static const uint64_t one_of[4] = {1, 1ull << FIELD, 1ull << 2 * FIELD, 0};

static size_t run_fast(struct mmu *mmu, const uint32_t *refs, size_t count, uint64_t *kinds) {
    const uint8_t *map[4] = {mmu->map[0], mmu->map[1], mmu->map[2], mmu->map[3]};
    uint8_t wanted[4];
    memcpy(wanted, mmu->right, sizeof wanted);
    uint64_t sum = 0;
    size_t i = 0;
    for (; i < count; i++) {
        uint32_t ref = refs[i];
        if (!(map[ref & 3][ref >> VM_PAGE_LOG] & wanted[ref & 3]) &&
            translate(mmu, ref & ~3u, ref & 3) != VM_FAULT_NONE) {
            break;
        }
        sum += one_of[ref & 3];
    }
    *kinds = sum;
    return i;
}

static size_t run_cached(struct mmu *mmu, const uint32_t *refs, size_t count, uint64_t *kinds) {
    uint64_t sum = 0;
    size_t i = 0;
    for (; i < count; i++) {
        uint32_t ref = refs[i], va = ref & ~3u;
        enum vm_kind kind = ref & 3;
        if (!(mmu->map[kind][ref >> VM_PAGE_LOG] & mmu->right[kind]) &&
            translate(mmu, va, kind) != VM_FAULT_NONE) {
            break;
        }
        if (kind != VM_FETCH) {
            data_access_at(mmu, va, kind);
        }
        sum += one_of[kind];
    }
    *kinds = sum;
    return i;
}

static size_t run_slow(struct mmu *mmu, const uint32_t *refs, size_t count, uint64_t *kinds) {
    *kinds = 0;
    size_t i = 0;
    while (i < count && access_uncounted(mmu, refs[i] & ~3u, refs[i] & 3) == VM_FAULT_NONE) {
        *kinds += one_of[refs[i++] & 3];
    }
    return i;
}

size_t mmu_run(struct mmu *mmu, const uint32_t *refs, size_t count) {
    size_t (*run)(struct mmu *, const uint32_t *, size_t, uint64_t *) = run_fast;
    if (mmu->lru || !(mmu->regs.sctlr & VM_SCTLR_M)) {
        run = run_slow;
    } else if (mmu->with_caches) {
        run = run_cached;
    }
    size_t done = 0;
    while (done < count) {
        size_t want = count - done < RUN_MAX ? count - done : RUN_MAX;
        uint64_t kinds;
        size_t got = run(mmu, refs + done, want, &kinds);
        for (unsigned kind = 0; kind < VM_KINDS; kind++) {
            mmu->counters.accesses[kind] += kinds >> kind * FIELD & ((1u << FIELD) - 1);
        }
        done += got;
        if (got < want) {
            break;
        }
    }
    return done;
}
