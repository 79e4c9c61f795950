/* SPDX-License-Identifier: MIT
 *
 * mmu.c - the MMU of one core: set-up, registers, maintenance, costs. Accesses: mmu_access.c
 */
#include "mmu_micro.h"

#include <string.h>

/* Knob micro_flush. */
enum { FLUSH_BY_MAINTENANCE = 1, FLUSH_BY_REGISTERS = 2 };

static bool open_micros(struct mmu *mmu, bool with_caches) {
    const struct core *core = &mmu->core;
    uint32_t i_sizes = core_value(core, CORE_micro_i_sizes),
             d_sizes = core_value(core, CORE_micro_d_sizes),
             stores = core_value(core, CORE_micro_store);
    mmu->micros = 2 + (stores != 0);
    mmu->micro_of[VM_LOAD] = &mmu->micro[0];
    mmu->micro_of[VM_FETCH] = &mmu->micro[1];
    mmu->micro_of[VM_STORE] = &mmu->micro[stores != 0 ? 2 : 0];
    return micro_open(&mmu->micro[0], core, core_value(core, CORE_micro_d), d_sizes, with_caches) &&
           micro_open(&mmu->micro[1], core, core_value(core, CORE_micro_i), i_sizes, false) &&
           (stores == 0 || micro_open(&mmu->micro[2], core, stores, d_sizes, with_caches));
}

static bool open_caches(struct mmu *mmu) {
    const struct core *core = &mmu->core;
    uint32_t line = core_value(core, CORE_line);
    struct cache_shape l1 = {core_value(core, CORE_l1_kib) * 1024, core_value(core, CORE_l1_ways),
                             line, (enum tlb_policy)core_value(core, CORE_l1_policy)};
    struct cache_shape l2 = {core_value(core, CORE_l2_kib) * 1024, core_value(core, CORE_l2_ways),
                             line, (enum tlb_policy)core_value(core, CORE_l2_policy)};
    return caches_open(&mmu->caches, &l1, &l2);
}

static bool open_tlbs(struct mmu *mmu) {
    const struct core *core = &mmu->core;
    struct tlb_shape main = {core_value(core, CORE_main_sets), core_value(core, CORE_main_ways),
                             (enum tlb_policy)core_value(core, CORE_main_policy),
                             core_value(core, CORE_main_lockable)};
    struct tlb_shape walk_cache = {core_value(core, CORE_walk_sets),
                                   core_value(core, CORE_walk_ways), TLB_ROUND_ROBIN, 0};
    return tlb_open(&mmu->main, &main) && tlb_open(&mmu->walk_cache, &walk_cache);
}

/* The rights that accesses need in this mode, and which of them the fast path may grant. */
static void set_wanted(struct mmu *mmu) {
    bool fast = (mmu->regs.sctlr & VM_SCTLR_M) && !mmu->lru && !mmu->with_caches;
    for (unsigned kind = 0; kind < 4; kind++) {
        mmu->right[kind] = (uint8_t)(1u << (kind % VM_KINDS + (mmu->user ? 3u : 0u)));
        mmu->wanted[kind] = fast ? mmu->right[kind] : 0;
    }
}

static void set_domains(struct mmu *mmu) {
    for (unsigned domain = 0; domain < 16; domain++) {
        unsigned access = mmu->regs.dacr >> 2 * domain & 3;
        mmu->domain_client[domain] = access == VM_DOMAIN_CLIENT ? TLB_RIGHTS_ALL : 0;
        mmu->domain_always[domain] =
            MICRO_PRESENT | (access == VM_DOMAIN_MANAGER ? TLB_RIGHTS_ALL : 0);
    }
}

static enum mmu_quick quick_now(const struct mmu *mmu, enum vm_kind kind) {
    const struct mmu_micro *micro = mmu->micro_of[kind];
    const struct tlb *main = &mmu->main;
    if (micro->tlb.fill_log2 != VM_PAGE_LOG || micro->mixed || main->find_log2 != VM_PAGE_LOG) {
        return QUICK_NOTHING;
    }
    bool walks = main->fill_log2 == VM_PAGE_LOG && mmu->walk_cache.find_log2 == VM_SECTION_LOG &&
                 mmu->walk_level == MMU_AT_L1 && cache_quick(&mmu->caches.l1);
    return walks ? QUICK_WALKS : QUICK_HITS;
}

void mmu_quick_note(struct mmu *mmu) {
    for (unsigned kind = 0; kind < VM_KINDS; kind++) {
        mmu->quick[kind] = (uint8_t)quick_now(mmu, (enum vm_kind)kind);
    }
}

bool mmu_quick_noted(const struct mmu *mmu) {
    bool noted = true;
    for (unsigned kind = 0; kind < VM_KINDS; kind++) {
        noted &= mmu->quick[kind] == quick_now(mmu, (enum vm_kind)kind);
    }
    return noted;
}

bool mmu_open(struct mmu *mmu, const struct core *core, const struct vm_ram *ram,
              bool with_caches) {
    memset(mmu, 0, sizeof *mmu);
    mmu->core = *core;
    mmu->ram = ram;
    mmu->with_caches = with_caches;
    mmu->lru = core_value(core, CORE_micro_policy) == TLB_LRU;
    mmu->walk_level = core_value(core, CORE_walk_level);
    mmu->regs.pxn = core_value(core, CORE_pxn) != 0;
    if (core_value(core, CORE_micro_policy) > TLB_LRU ||
        core_value(core, CORE_main_policy) > TLB_LRU || mmu->walk_level > MMU_AT_RAM ||
        core_value(core, CORE_mhz) == 0 || !open_micros(mmu, with_caches) || !open_tlbs(mmu) ||
        !open_caches(mmu)) {
        mmu_close(mmu);
        return false;
    }
    for (unsigned kind = 0; kind < 4; kind++) {
        mmu->map[kind] = mmu->micro_of[kind % VM_KINDS]->map;
        mmu->frame[kind] = mmu->micro_of[kind % VM_KINDS]->frame;
    }
    set_domains(mmu);
    set_wanted(mmu);
    mmu_quick_note(mmu);
    return true;
}

void mmu_close(struct mmu *mmu) {
    for (unsigned i = 0; i < sizeof mmu->micro / sizeof mmu->micro[0]; i++) {
        micro_close(&mmu->micro[i]);
    }
    tlb_close(&mmu->main);
    tlb_close(&mmu->walk_cache);
    cache_close(&mmu->caches.l1);
    cache_close(&mmu->caches.l2);
}

static void flush_micros(struct mmu *mmu) {
    for (unsigned i = 0; i < mmu->micros; i++) {
        micro_flush(mmu, &mmu->micro[i]);
        mmu->counters.micro_flushes++;
    }
}

static uint32_t *register_of(struct mmu *mmu, enum mmu_register which) {
    switch (which) {
    case MMU_SCTLR:
        return &mmu->regs.sctlr;
    case MMU_TTBCR:
        return &mmu->regs.ttbcr;
    case MMU_TTBR0:
        return &mmu->regs.ttbr0;
    case MMU_TTBR1:
        return &mmu->regs.ttbr1;
    case MMU_DACR:
        return &mmu->regs.dacr;
    case MMU_CONTEXTIDR:
        return &mmu->regs.contextidr;
    case MMU_PRRR:
        return &mmu->regs.prrr;
    default:
        return &mmu->regs.nmrr;
    }
}

void mmu_write(struct mmu *mmu, enum mmu_register which, uint32_t value) {
    uint32_t *word = register_of(mmu, which);
    bool changes = *word != value;
    *word = value;
    mmu->memo.key = 0;
    set_domains(mmu);
    mmu->counters.context_switches += which == MMU_CONTEXTIDR;
    if (which == MMU_SCTLR) {
        set_wanted(mmu);
    } else if (which != MMU_TTBCR &&
               core_value(&mmu->core, CORE_micro_flush) >= FLUSH_BY_REGISTERS) {
        flush_micros(mmu);
    } else if (changes && (which == MMU_CONTEXTIDR || which == MMU_DACR)) {
        for (unsigned i = 0; i < mmu->micros; i++) {
            micro_repaint(mmu, &mmu->micro[i]);
        }
    }
    mmu_quick_note(mmu);
}

void mmu_set_user(struct mmu *mmu, bool user) {
    mmu->user = user;
    set_wanted(mmu);
}

/* Counts an operation; true if the micro-TLBs went with it. */
static bool maintained(struct mmu *mmu, uint32_t dropped) {
    mmu->counters.main_operations++;
    mmu->counters.entries_dropped += dropped;
    if (core_value(&mmu->core, CORE_micro_flush) >= FLUSH_BY_MAINTENANCE) {
        flush_micros(mmu);
        return true;
    }
    return false;
}

void mmu_tlbiall(struct mmu *mmu) {
    uint32_t dropped = tlb_drop_all(&mmu->main, NULL, NULL);
    tlb_drop_all(&mmu->walk_cache, NULL, NULL);
    if (!maintained(mmu, dropped)) {
        flush_micros(mmu);
    }
    mmu_quick_note(mmu);
}

void mmu_tlbimva(struct mmu *mmu, uint32_t va, uint8_t asid) {
    uint32_t dropped = tlb_drop_va(&mmu->main, va, asid, NULL, NULL);
    tlb_drop_va_all(&mmu->walk_cache, va, NULL, NULL);
    if (!maintained(mmu, dropped)) {
        for (unsigned i = 0; i < mmu->micros; i++) {
            micro_drop_va(mmu, &mmu->micro[i], va, asid);
        }
    }
    mmu_quick_note(mmu);
}

void mmu_tlbimvaa(struct mmu *mmu, uint32_t va) {
    uint32_t dropped = tlb_drop_va_all(&mmu->main, va, NULL, NULL);
    tlb_drop_va_all(&mmu->walk_cache, va, NULL, NULL);
    if (!maintained(mmu, dropped)) {
        for (unsigned i = 0; i < mmu->micros; i++) {
            micro_drop_va_all(mmu, &mmu->micro[i], va);
        }
    }
    mmu_quick_note(mmu);
}

void mmu_tlbiasid(struct mmu *mmu, uint8_t asid) {
    uint32_t dropped = tlb_drop_asid(&mmu->main, asid, NULL, NULL);
    tlb_drop_asid(&mmu->walk_cache, asid, NULL, NULL);
    if (!maintained(mmu, dropped)) {
        for (unsigned i = 0; i < mmu->micros; i++) {
            micro_drop_asid(mmu, &mmu->micro[i], asid);
        }
    }
    mmu_quick_note(mmu);
}

void mmu_lock_fills(struct mmu *mmu, bool on) {
    tlb_lock_fills(&mmu->main, on);
    mmu_quick_note(mmu);
}

void mmu_invalidate(void *mmu, uint32_t va, unsigned log2) {
    (void)log2; /* one operation removes the page whatever its size */
    mmu_tlbimvaa(mmu, va);
}

void mmu_reset_counters(struct mmu *mmu) {
    memset(&mmu->counters, 0, sizeof mmu->counters);
}

static double sum(const uint64_t *values, unsigned count) {
    double total = 0;
    for (unsigned i = 0; i < count; i++) {
        total += (double)values[i];
    }
    return total;
}

struct mmu_cycles mmu_cycles(const struct mmu *mmu) {
    const struct core *core = &mmu->core;
    const struct mmu_counters *c = &mmu->counters;
    double l2 = core_value(core, CORE_l2_cycles);
    double ram = l2 + core_value(core, CORE_ram_ns) * core_value(core, CORE_mhz) / 1000.0;
    double walks = sum(c->main_misses, VM_KINDS);
    double walk_cache_misses =
        core_value(core, CORE_walk_sets) != 0 ? walks - (double)c->walk_cache_hits : 0;
    struct mmu_cycles cycles = {
        .accesses = sum(c->accesses, VM_KINDS) * core_value(core, CORE_hit_cycles),
        .micro = sum(c->micro_misses, VM_KINDS) * core_value(core, CORE_micro_cycles),
        .walks =
            walks * core_value(core, CORE_walk_cycles) +
            walk_cache_misses * core_value(core, CORE_walk_miss_cycles) +
            (mmu->walk_level == MMU_AT_L1 ? (double)c->walk_read_at[MMU_AT_L2] * l2 : 0) +
            (double)c->walk_read_at[MMU_AT_RAM] * (mmu->walk_level == MMU_AT_L2 ? ram - l2 : ram),
        .data = (double)c->data_at[MMU_AT_L2] * l2 + (double)c->data_at[MMU_AT_RAM] * ram,
    };
    cycles.total = cycles.accesses + cycles.micro + cycles.walks + cycles.data;
    return cycles;
}

const char *mmu_check(const struct mmu *mmu) {
    for (unsigned i = 0; i < mmu->micros; i++) {
        const char *broken = micro_check(mmu, &mmu->micro[i]);
        if (broken != NULL) {
            return broken;
        }
    }
    if (!mmu_quick_noted(mmu)) {
        return "a TLB changed and what may be done quickly was not noted";
    }
    return NULL;
}
