/* SPDX-License-Identifier: MIT
 *
 * mmu_model_test.c - the fast MMU against a list model, and properties every TLB has
 *
 * The model keeps each TLB as a plain array of slots that it searches from end to end, and has no
 * presence map, no hitmap, no counts: what it shares with the MMU is the walk, which walk_test.c
 * checks on its own. Random operations drive both: accesses of all kinds in both modes, register
 * writes, every maintenance operation, locking, and descriptors changed behind the TLBs' back, so
 * that stale and overlapping entries occur. After each one, faults, misses and translations must
 * agree.
 */
#include "mmu_micro.h"
#include "mmu_rig.h"

enum { MODEL_ENTRIES = 128 };

struct model_tlb {
    struct tlb_shape shape;
    struct tlb_entry slot[MODEL_ENTRIES];
    uint64_t used[MODEL_ENTRIES];
    uint32_t next[MODEL_ENTRIES + 1];
    uint64_t clock;
    uint32_t random;
    bool locking;
};

struct model {
    struct model_tlb micro[3], main, walk_cache;
    struct mmu_rig *rig;
    struct mmu_counters counters;
    uint64_t pa;
};

static void model_tlb_open(struct model_tlb *tlb, const struct tlb *real) {
    memset(tlb, 0, sizeof *tlb);
    tlb->shape = real->shape;
    tlb->random = real->random;
    ck_assert_uint_le(tlb_entries(real), MODEL_ENTRIES);
}

static uint32_t slots(const struct model_tlb *tlb) {
    return tlb->shape.sets * tlb->shape.ways;
}

/* Locked entries first, then the smallest page, then the lowest slot. -1: none. */
static int model_find(struct model_tlb *tlb, uint32_t va, uint16_t asid) {
    int best = -1;
    unsigned best_log2 = 99;
    for (uint32_t i = 0; i < slots(tlb) + tlb->shape.lockable; i++) {
        const struct tlb_entry *entry = &tlb->slot[i];
        unsigned log2 = entry->tag & 0xfff;
        unsigned rank = i >= slots(tlb) ? 0 : log2;
        if (entry->tag != 0 && (entry->tag >> log2) == (va >> log2) &&
            (entry->asid == TLB_GLOBAL || entry->asid == asid) && rank < best_log2) {
            best = (int)i;
            best_log2 = rank;
        }
    }
    if (best >= 0) {
        tlb->used[best] = ++tlb->clock;
    }
    return best;
}

static void model_insert(struct model_tlb *tlb, const struct tlb_entry *entry) {
    uint32_t victim;
    if (tlb->locking && tlb->shape.lockable != 0) {
        victim = slots(tlb) + tlb->next[MODEL_ENTRIES];
        tlb->next[MODEL_ENTRIES] = (tlb->next[MODEL_ENTRIES] + 1) % tlb->shape.lockable;
    } else if (tlb->shape.sets == 0) {
        return;
    } else {
        uint32_t ways = tlb->shape.ways;
        uint32_t set = (entry->tag >> (entry->tag & 0xfff)) % tlb->shape.sets, way = 0;
        const struct tlb_entry *base = &tlb->slot[set * ways];
        while (way < ways && base[way].tag != 0) {
            way++;
        }
        if (way == ways && tlb->shape.policy == TLB_ROUND_ROBIN) {
            way = tlb->next[set];
            tlb->next[set] = (way + 1) % ways;
        } else if (way == ways && tlb->shape.policy == TLB_LRU) {
            way = 0;
            for (uint32_t i = 1; i < ways; i++) {
                way = tlb->used[set * ways + i] < tlb->used[set * ways + way] ? i : way;
            }
        } else if (way == ways) {
            tlb->random ^= tlb->random << 13;
            tlb->random ^= tlb->random >> 17;
            tlb->random ^= tlb->random << 5;
            way = (uint32_t)((uint64_t)tlb->random * ways >> 32);
        }
        victim = set * ways + way;
    }
    tlb->slot[victim] = *entry;
    tlb->used[victim] = ++tlb->clock;
}

enum drop { DROP_ALL, DROP_VA, DROP_VA_ALL, DROP_ASID };

static uint32_t model_drop(struct model_tlb *tlb, enum drop how, uint32_t va, uint16_t asid) {
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < slots(tlb) + tlb->shape.lockable; i++) {
        struct tlb_entry *entry = &tlb->slot[i];
        bool spared = i >= slots(tlb) && (how == DROP_ALL || how == DROP_VA_ALL);
        bool same_page = (entry->tag ^ va) >> entry->from == 0;
        bool goes =
            how == DROP_ALL || (how == DROP_VA_ALL && same_page) ||
            (how == DROP_VA && same_page && (entry->asid == asid || entry->asid == TLB_GLOBAL)) ||
            (how == DROP_ASID && entry->asid == asid);
        if (entry->tag != 0 && goes && !spared) {
            entry->tag = 0;
            dropped++;
        }
    }
    return dropped;
}

static unsigned micro_index(const struct model *model, enum vm_kind kind) {
    return kind == VM_FETCH                                                      ? 1
           : kind == VM_STORE && core_value(&model->rig->core, CORE_micro_store) ? 2
                                                                                 : 0;
}

static struct walk model_walk(struct model *model, uint32_t va) {
    const struct vm_regs *regs = &model->rig->mmu.regs;
    struct walk walk = {0};
    int cached = model_find(&model->walk_cache, va, regs->contextidr & 0xff);
    if (cached >= 0) {
        model->counters.walk_cache_hits++;
        walk.descriptor[0] = model->walk_cache.slot[cached].pfn;
        vm_walk_second(regs, model->rig->mmu.ram, va, &walk, NULL);
        model->counters.walk_reads[1]++;
        return walk;
    }
    walk = vm_walk(regs, model->rig->mmu.ram, va);
    model->counters.walk_reads[0] += walk.reads >= 1;
    model->counters.walk_reads[1] += walk.reads == 2;
    if (walk.reads == 2) {
        struct tlb_entry entry = {.tag = (va & 0xfff00000u) | 20,
                                  .asid = regs->contextidr & 0xff,
                                  .pfn = walk.descriptor[0],
                                  .from = 20};
        model_insert(&model->walk_cache, &entry);
    }
    return walk;
}

/* The largest size the micro-TLB has that the page contains. */
static struct tlb_entry fragment(const struct tlb_entry *page, uint32_t sizes, uint32_t va) {
    struct tlb_entry entry = *page;
    static const unsigned logs[] = {12, 16, 20, 24};
    unsigned log2 = 12;
    for (unsigned i = 0; i < 4; i++) {
        log2 = (sizes >> i & 1) && logs[i] <= (page->tag & 0xfff) ? logs[i] : log2;
    }
    uint32_t first = va & ~((1u << log2) - 1);
    entry.pfn = page->pfn + ((first - (page->tag & ~0xfffu)) >> 12);
    entry.tag = first | log2;
    return entry;
}

static enum vm_fault model_access(struct model *model, uint32_t va, enum vm_kind kind) {
    const struct mmu *mmu = &model->rig->mmu;
    uint16_t asid = mmu->regs.contextidr & 0xff;
    struct model_tlb *micro = &model->micro[micro_index(model, kind)];
    if (!(mmu->regs.sctlr & VM_SCTLR_M)) {
        model->pa = va;
        return VM_FAULT_NONE;
    }
    int at = model_find(micro, va, asid);
    if (at < 0) {
        model->counters.micro_misses[kind]++;
        struct tlb_entry page;
        int main = model_find(&model->main, va, asid);
        if (main >= 0) {
            page = model->main.slot[main];
        } else {
            model->counters.main_misses[kind]++;
            struct walk walk = model_walk(model, va);
            if (walk.fault != VM_FAULT_NONE) {
                return walk.fault;
            }
            page = walk.entry;
            model_insert(&model->main, &page);
        }
        page = fragment(&page, mmu->micro_of[kind]->sizes, va);
        model_insert(micro, &page);
        at = model_find(micro, va, asid);
    }
    model->pa = tlb_entry_pa(&micro->slot[at], va);
    return vm_check(&micro->slot[at], mmu->regs.dacr, kind, mmu->user);
}

static void model_flush_micros(struct model *model) {
    for (unsigned i = 0; i < 3; i++) {
        model_drop(&model->micro[i], DROP_ALL, 0, 0);
    }
}

static void model_maintain(struct model *model, enum drop how, uint32_t va, uint16_t asid) {
    model->counters.entries_dropped += model_drop(&model->main, how, va, asid);
    model_drop(&model->walk_cache, how == DROP_VA ? DROP_VA_ALL : how, va, asid);
    for (unsigned i = 0; i < 3; i++) {
        bool all = core_value(&model->rig->core, CORE_micro_flush) >= 1;
        model_drop(&model->micro[i], all ? DROP_ALL : how, va, asid);
    }
}

/* ---- the world: few addresses, so that everything collides ---- */

enum { WORLD_MIB = 4, WORLD_BASES = 2 };
static const uint32_t world_base[WORLD_BASES] = {0x00000000, 0xff000000};

/* With `pages` fewer still: in those worlds there are misses of every kind, but most are usual. */
static uint32_t world_va(uint64_t *random, bool pages) {
    uint32_t page =
        random_below(random, pages ? 32 : 4) == 0
            ? random_below(random, WORLD_MIB << 8)
            : random_below(random, WORLD_MIB) << 8 | random_below(random, pages ? 6 : 24);
    return world_base[random_below(random, WORLD_BASES)] + (page << 12) +
           random_below(random, VM_PAGE);
}

/* Writes a random translation for the MiB, large page or page around va; with `pages`, for a page
 * of 4 KiB. */
static void world_change(struct mmu_rig *rig, uint64_t *random, bool pages) {
    uint32_t va = world_va(random, pages), word = (uint32_t)random_word(random);
    uint32_t *first = rig_first(rig, va);
    switch (pages ? 5 + random_below(random, 64) : random_below(random, 8)) {
    case 0: /* section */
        *first = (word & ~(3u | 1u << 18)) | 2;
        return;
    case 1: { /* supersection over 16 slots */
        uint32_t descriptor = (word & 0xff0fde1fu & ~3u) | 1u << 18 | 2;
        for (uint32_t i = 0; i < 16; i++) {
            *rig_first(rig, (va & 0xff000000u) + (i << 20)) = descriptor;
        }
        return;
    }
    case 2: /* large page over 16 slots */
        for (uint32_t i = 0; i < 16; i++) {
            *rig_second(rig, (va & 0xffff0000u) + (i << 12)) = (word & ~3u) | 1;
        }
        return;
    case 3: /* hole */
        *first = (*first & 3) == 1 ? *first : 0;
        return;
    case 4: /* another domain, PXN or NS for the table there */
        *first = (*first & 3) == 1 ? (*first & ~0x1fcu) | (word & 0x1ec) : *first;
        return;
    case 5:
        *rig_second(rig, va) = 0;
        return;
    default: {
        /* few kinds of pages, so that most are like the last: AP, XN, nG */
        static const uint32_t few[8] = {3 << 4 | 1 << 11, 3 << 4 | 1 << 11, 3 << 4 | 1 << 11,
                                        3 << 4 | 1 << 11, 3 << 4 | 1 << 11, 3 << 4,
                                        1 << 9 | 3 << 4,  2 << 4 | 1};
        *rig_second(rig, va) = (pages ? (word & 0xfffff000u) | few[word & 7] : word) | 2;
        return;
    }
    }
}

/* True once in n; never, if n is 0. */
static bool one_in(uint64_t *random, uint32_t n) {
    return n != 0 && random_below(random, n) == 0;
}

/* A random core: every size, policy and rule, small enough that all overflow. With `pages` all is
 * round-robin: together with pages of one size what the fast paths are made for. */
static void random_core(struct core *core, uint64_t *random, bool pages) {
    ck_assert(core_find(core, "a15"));
    uint32_t two_ways = pages ? random_below(random, 2) : 0; /* have a fast path of their own */
    struct {
        const char *knob;
        uint32_t value;
    } knobs[] = {{"micro_i", 1 + random_below(random, 8)},
                 {"micro_d", 1 + random_below(random, 10)},
                 {"micro_store", random_below(random, 2) * (1 + random_below(random, 6))},
                 {"micro_policy", pages ? 0 : random_below(random, 3)},
                 {"micro_i_sizes", 1 + random_below(random, 8) * 2},
                 {"micro_d_sizes", 1 + random_below(random, 8) * 2},
                 {"micro_flush", random_below(random, 3)},
                 {"micro_latch", random_below(random, 2)},
                 {"main_sets", one_in(random, pages ? 0 : 5) ? 0 : 1u << random_below(random, 4)},
                 {"main_ways", two_ways != 0 ? 2 : 1 + random_below(random, 4)},
                 {"main_policy", pages ? 0 : random_below(random, 3)},
                 {"main_lockable", one_in(random, pages ? 4 : 1) ? random_below(random, 4) : 0},
                 {"walk_sets", one_in(random, pages ? 0 : 3) ? 0 : 1u << random_below(random, 3)},
                 {"walk_ways", two_ways != 0 ? 2 : 1 + random_below(random, 3)},
                 {"l1_ways", 4},
                 {"l1_policy", pages ? random_below(random, 2) : 2},
                 {"pxn", random_below(random, 2)}};
    for (size_t i = 0; i < sizeof knobs / sizeof knobs[0]; i++) {
        ck_assert(core_set(core, knobs[i].knob, knobs[i].value));
    }
}

static void compare_counters(const struct model *model, unsigned op) {
    const struct mmu_counters *got = &model->rig->mmu.counters, *want = &model->counters;
    bool same = memcmp(got->micro_misses, want->micro_misses, sizeof got->micro_misses) == 0 &&
                memcmp(got->main_misses, want->main_misses, sizeof got->main_misses) == 0 &&
                memcmp(got->walk_reads, want->walk_reads, sizeof got->walk_reads) == 0 &&
                memcmp(got->accesses, want->accesses, sizeof got->accesses) == 0 &&
                got->walk_cache_hits == want->walk_cache_hits &&
                got->walk_read_at[0] + got->walk_read_at[1] + got->walk_read_at[2] ==
                    want->walk_reads[0] + want->walk_reads[1] &&
                got->entries_dropped == want->entries_dropped;
    ck_assert_msg(same, "counters differ after operation %u", op);
    ck_assert_msg(mmu_quick_noted(&model->rig->mmu), "operation %u did not note it", op);
}

static void do_access(struct model *model, uint64_t *random, bool pages, unsigned op) {
    struct mmu *mmu = &model->rig->mmu;
    enum vm_kind kind = (enum vm_kind)random_below(random, VM_KINDS);
    uint32_t va = world_va(random, pages), ref = mmu_ref(va, kind), how = random_below(random, 3);
    enum vm_fault want = model_access(model, va, kind);
    uint64_t pa = how == 0 ? 0 : model->pa;
    enum vm_fault got = how == 0                     ? mmu_translate(mmu, va, kind, &pa)
                        : how == 1                   ? mmu_access(mmu, va, kind)
                        : mmu_run(mmu, &ref, 1) == 1 ? VM_FAULT_NONE
                                                     : mmu->fault;
    ck_assert_msg(got == want, "operation %u: fault %#x, model %#x", op, (unsigned)got,
                  (unsigned)want);
    ck_assert_msg(want != VM_FAULT_NONE || pa == model->pa, "operation %u: another pa", op);
    ck_assert_msg(want == VM_FAULT_NONE ||
                      (mmu->fault == want && mmu->fault_va == (how == 2 ? va & ~3u : va)),
                  "operation %u: fault not kept", op);
    model->counters.accesses[kind] += want == VM_FAULT_NONE;
}

static void do_register(struct model *model, uint64_t *random) {
    static const enum mmu_register which[] = {MMU_CONTEXTIDR, MMU_CONTEXTIDR, MMU_DACR, MMU_TTBCR,
                                              MMU_SCTLR};
    enum mmu_register r = which[random_below(random, 5)];
    uint32_t word = (uint32_t)random_word(random), value = 0;
    value = r == MMU_CONTEXTIDR ? word % 3
            : r == MMU_DACR     ? word | 0x11111111
            : r == MMU_TTBCR    ? (word & 31) == 0 ? VM_TTBCR_PD0 : 0
                                : ((word & 15) != 0 ? VM_SCTLR_M : 0) | (word & VM_SCTLR_AFE);
    mmu_write(&model->rig->mmu, r, value);
    if (r != MMU_TTBCR && r != MMU_SCTLR && core_value(&model->rig->core, CORE_micro_flush) >= 2) {
        model_flush_micros(model);
    }
}

static void do_maintenance(struct model *model, uint64_t *random, bool pages) {
    struct mmu *mmu = &model->rig->mmu;
    uint32_t va = world_va(random, pages);
    uint8_t asid = (uint8_t)random_below(random, 3);
    switch (random_below(random, 8)) {
    case 0:
        mmu_tlbiall(mmu);
        model_maintain(model, DROP_ALL, 0, 0);
        return;
    case 1:
        mmu_tlbiasid(mmu, asid);
        model_maintain(model, DROP_ASID, 0, asid);
        return;
    case 2:
    case 3:
        mmu_tlbimvaa(mmu, va);
        model_maintain(model, DROP_VA_ALL, va, 0);
        return;
    default:
        mmu_tlbimva(mmu, va, asid);
        model_maintain(model, DROP_VA, va, asid);
        return;
    }
}

static void model_run(uint64_t *random, unsigned operations, bool pages) {
    struct mmu_rig rig;
    rig_ram(&rig, 1 + operations / 20000); /* a change in 36 operations may take a table of 1 KiB */
    random_core(&rig.core, random, pages);
    rig_mmu(&rig, false);
    struct model *model = calloc(1, sizeof *model);
    ck_assert_ptr_nonnull(model);
    model->rig = &rig;
    for (unsigned i = 0; i < rig.mmu.micros; i++) {
        model_tlb_open(&model->micro[i], &rig.mmu.micro[i].tlb);
    }
    model_tlb_open(&model->main, &rig.mmu.main);
    model_tlb_open(&model->walk_cache, &rig.mmu.walk_cache);
    for (unsigned i = 0; i < (pages ? 8000 : 200); i++) {
        world_change(&rig, random, pages);
    }
    for (unsigned op = 0; op < operations; op++) {
        uint32_t dice = random_below(random, 256);
        if (dice < 240 || (pages && !one_in(random, 8))) {
            do_access(model, random, pages, op);
        } else if (dice < 244) {
            do_maintenance(model, random, pages);
        } else if (dice < 247) {
            do_register(model, random);
        } else if (dice < 248) {
            mmu_set_user(&rig.mmu, !rig.mmu.user);
        } else if (dice < 249) {
            model->main.locking = random_below(random, 4) == 0;
            mmu_lock_fills(&rig.mmu, model->main.locking);
        } else {
            world_change(&rig, random, pages);
        }
        compare_counters(model, op);
    }
    const char *broken = mmu_check(&rig.mmu);
    ck_assert_msg(broken == NULL, "%s", broken);
    free(model);
    rig_close(&rig);
}

/* 10^7 operations with HEAPRIG_FULL, a fortieth without. Every other world is of pages alone, where
 * refills mostly take the quick way. */
enum { MODEL_WORLDS = 50, MODEL_OPERATIONS = 5000 };

START_TEST(fast_mmu_equals_list_model) {
    uint64_t random = seed_of((uint64_t)_i);
    unsigned operations = is_full_run() ? 40 * MODEL_OPERATIONS : MODEL_OPERATIONS;
    model_run(&random, operations, _i % 2 != 0);
}
END_TEST

/* ---- properties ---- */

static void map_world(struct mmu_rig *rig, uint32_t extra) {
    rig_map(rig, 0, 8u << 20, 12, extra);
}

/* Under LRU a larger fully associative TLB holds all that a smaller one does: misses never grow. */
START_TEST(lru_misses_fall_with_size) {
    uint64_t before = UINT64_MAX;
    for (uint32_t entries = 1; entries <= 64; entries++) {
        struct mmu_rig rig;
        rig_open(&rig, "a7");
        core_set(&rig.core, "micro_d", entries);
        core_set(&rig.core, "micro_policy", TLB_LRU);
        map_world(&rig, 0);
        rig_mmu(&rig, false);
        uint64_t random = seed_of(1000);
        for (unsigned i = 0; i < 5000; i++) {
            mmu_access(&rig.mmu, random_below(&random, 1 + random_below(&random, 100)) << 12,
                       VM_LOAD);
        }
        uint64_t misses = rig.mmu.counters.micro_misses[VM_LOAD];
        ck_assert_uint_le(misses, before);
        before = misses;
        rig_close(&rig);
    }
}
END_TEST

static struct mmu_counters replay(struct mmu *mmu) {
    uint64_t random = 7;
    mmu_reset_counters(mmu);
    for (unsigned i = 0; i < 20000; i++) {
        mmu_access(mmu, random_below(&random, 2048) << 12, (enum vm_kind)random_below(&random, 3));
    }
    return mmu->counters;
}

/* After TLBIALL a replay misses as often as a cold start. Random replacement would not repeat. */
START_TEST(flush_is_a_cold_start) {
    struct mmu_rig rig;
    ck_assert_ptr_nonnull(core_preset_name((size_t)_i));
    rig_open(&rig, core_preset_name((size_t)_i));
    core_set(&rig.core, "main_policy", TLB_LRU);
    map_world(&rig, 0);
    rig_mmu(&rig, false);
    struct mmu_counters cold = replay(&rig.mmu);
    struct mmu_counters warm = replay(&rig.mmu);
    mmu_tlbiall(&rig.mmu);
    struct mmu_counters again = replay(&rig.mmu);
    for (int kind = 0; kind < VM_KINDS; kind++) {
        ck_assert_uint_eq(cold.main_misses[kind], again.main_misses[kind]);
        ck_assert_uint_eq(cold.accesses[kind], again.accesses[kind]);
    }
    ck_assert_uint_lt(warm.walk_reads[1], cold.walk_reads[1] + 1);
    rig_close(&rig);
}
END_TEST

/* Two address spaces that take turns never refill global pages; pages of their own they do. */
START_TEST(global_pages_survive_a_switch) {
    for (int own = 0; own <= 1; own++) {
        struct mmu_rig rig;
        rig_open(&rig, core_preset_name((size_t)_i));
        map_world(&rig, own ? 1u << 11 : 0);
        rig_mmu(&rig, false);
        for (unsigned turn = 0; turn < 40; turn++) {
            mmu_write(&rig.mmu, MMU_CONTEXTIDR, 1 + turn % 2);
            for (uint32_t page = 0; page < 8; page++) {
                ck_assert_int_eq(mmu_access(&rig.mmu, page << 12, VM_LOAD), VM_FAULT_NONE);
            }
        }
        ck_assert_uint_eq(rig.mmu.counters.main_misses[VM_LOAD], own ? 16 : 8);
        rig_close(&rig);
    }
}
END_TEST

/* An access that faults for permission is no access, by either way in. */
START_TEST(faults_are_no_accesses) {
    struct mmu_rig rig;
    rig_open(&rig, "a7");
    rig_map(&rig, 0, 4096, 12, 1u << 9); /* AP 111: read only */
    rig_mmu(&rig, false);
    const uint32_t refs[] = {mmu_ref(0, VM_LOAD), mmu_ref(8, VM_FETCH), mmu_ref(4, VM_STORE),
                             mmu_ref(8, VM_LOAD)};
    ck_assert_uint_eq(mmu_run(&rig.mmu, refs, 4), 2);
    ck_assert_int_eq(rig.mmu.fault, VM_FAULT_PERMISSION_PAGE);
    ck_assert_int_eq(mmu_access(&rig.mmu, 4, VM_STORE), VM_FAULT_PERMISSION_PAGE);
    ck_assert_int_eq(mmu_access(&rig.mmu, 4096, VM_LOAD), VM_FAULT_TRANSLATION_PAGE);
    ck_assert_int_eq(mmu_access(&rig.mmu, 1 << 20, VM_LOAD), VM_FAULT_TRANSLATION_SECTION);
    ck_assert_uint_eq(rig.mmu.counters.accesses[VM_LOAD], 1);
    ck_assert_uint_eq(rig.mmu.counters.accesses[VM_FETCH], 1);
    ck_assert_uint_eq(rig.mmu.counters.accesses[VM_STORE], 0);
    ck_assert_uint_eq(rig.mmu.counters.faults[VM_FAULT_PERMISSION_PAGE], 2);
    rig_close(&rig);
}
END_TEST

/* mmu_run() is mmu_access() in a loop: same counters, with caches and without, whatever core. */
START_TEST(runs_equal_single_accesses) {
    uint64_t random = seed_of(2000 + (uint64_t)_i);
    for (int with_caches = 0; with_caches <= 1; with_caches++) {
        struct mmu_rig one, many;
        uint32_t refs[5000];
        for (size_t i = 0; i < 5000; i++) {
            refs[i] = mmu_ref(random_below(&random, 8u << 20),
                              (enum vm_kind)random_below(&random, VM_KINDS));
        }
        rig_open(&one, core_preset_name((size_t)_i));
        rig_open(&many, core_preset_name((size_t)_i));
        map_world(&one, 0);
        map_world(&many, 0);
        rig_mmu(&one, with_caches);
        rig_mmu(&many, with_caches);
        for (size_t i = 0; i < 5000; i++) {
            ck_assert_int_eq(mmu_access(&one.mmu, refs[i] & ~3u, refs[i] & 3), VM_FAULT_NONE);
        }
        ck_assert_uint_eq(mmu_run(&many.mmu, refs, 5000), 5000);
        ck_assert_int_eq(memcmp(&one.mmu.counters, &many.mmu.counters, sizeof one.mmu.counters), 0);
        ck_assert_uint_eq(one.mmu.counters.data_at[0] != 0, (unsigned)with_caches);
        ck_assert_ptr_null(mmu_check(&many.mmu));
        rig_close(&one);
        rig_close(&many);
    }
}
END_TEST

/* Entries locked on the A9 survive TLBIALL and TLBIMVAA, and only these. */
START_TEST(locked_entries_survive_what_the_manual_says) {
    struct mmu_rig rig;
    rig_open(&rig, "a9");
    map_world(&rig, 1u << 11);
    rig_mmu(&rig, false);
    mmu_write(&rig.mmu, MMU_CONTEXTIDR, 5);
    for (int operation = 0; operation < 4; operation++) {
        mmu_lock_fills(&rig.mmu, true);
        mmu_access(&rig.mmu, 0x1000, VM_LOAD);
        mmu_lock_fills(&rig.mmu, false);
        switch (operation) {
        case 0:
            mmu_tlbiall(&rig.mmu);
            break;
        case 1:
            mmu_tlbimvaa(&rig.mmu, 0x1000);
            break;
        case 2:
            mmu_tlbimva(&rig.mmu, 0x1000, 5);
            break;
        default:
            mmu_tlbiasid(&rig.mmu, 5);
        }
        uint64_t walks = rig.mmu.counters.main_misses[VM_LOAD];
        mmu_access(&rig.mmu, 0x1000, VM_LOAD);
        ck_assert_uint_eq(rig.mmu.counters.main_misses[VM_LOAD], walks + (operation >= 2));
        mmu_tlbiasid(&rig.mmu, 5);
    }
    rig_close(&rig);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mmu_model");
    TCase *tcase = tcase_create("model");
    tcase_set_timeout(tcase, 600);
    int presets = (int)core_count();
    tcase_add_loop_test(tcase, fast_mmu_equals_list_model, 0, MODEL_WORLDS);
    tcase_add_test(tcase, lru_misses_fall_with_size);
    tcase_add_loop_test(tcase, flush_is_a_cold_start, 0, presets);
    tcase_add_loop_test(tcase, global_pages_survive_a_switch, 0, presets);
    tcase_add_test(tcase, faults_are_no_accesses);
    tcase_add_loop_test(tcase, runs_equal_single_accesses, 0, presets);
    tcase_add_test(tcase, locked_entries_survive_what_the_manual_says);
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
