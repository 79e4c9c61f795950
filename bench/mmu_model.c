/* SPDX-License-Identifier: MIT
 * mmu_model.c - see mmu_model.h. */
#include "mmu_model.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    TABLES_PA = 0x00100000,
    TABLES_BYTES = 4 << 20, /* the first level, 1 KiB for each MiB of the largest pool, and room */
    WORD = 4,               /* bytes of one access */
    DOMAINS_CLIENT = 0x55555555,
    WALKS_CACHED = 0x48, /* TTBR0: IRGN and RGN write-back, write-allocate */
};

static bool tables_take(void *ctx, uint32_t bytes, uint32_t *pa) {
    struct mmu_model *model = ctx;
    uint32_t at = (model->tables_used + bytes - 1) & ~(bytes - 1);
    if (at + bytes > TABLES_BYTES) {
        return false;
    }
    model->tables_used = at + bytes;
    *pa = TABLES_PA + at;
    return true;
}

/* Nothing is unmapped before all is. */
static void tables_give(void *ctx, uint32_t pa, uint32_t bytes) {
    (void)ctx;
    (void)pa;
    (void)bytes;
}

static uint32_t page_round_up(size_t bytes, unsigned log2) {
    return (uint32_t)((((uint64_t)bytes + (1u << log2) - 1) >> log2) << log2);
}

static bool memory_open(struct mmu_model *model, void *pool, size_t pool_bytes) {
    uint32_t whole = page_round_up(pool_bytes, model->page_log2);
    model->page_count = whole >> model->page_log2;
    model->tables = aligned_alloc(VM_PAGE, TABLES_BYTES);
    for (int who = 0; who < MMU_WHO; who++) {
        model->touched[who] = calloc(model->page_count + 1, 1);
    }
    if (model->touched[0] == NULL || model->touched[1] == NULL || model->tables == NULL) {
        return false;
    }
    /* The pool's last page may end behind it: the model never looks into the pool. */
    model->ram = (struct vm_ram){
        .segment = {{TABLES_PA, TABLES_BYTES, model->tables}, /* walks look there, first */
                    {MMU_POOL_VA, whole, pool}},
        .segments = 2,
        .take = tables_take,
        .give = tables_give,
        .context = model};
    return pagetable_open(&model->table, &model->ram, 0, false) == VM_OK;
}

bool mmu_model_open(struct mmu_model *model, const struct core *core, unsigned page_log2,
                    bool caches, void *pool, size_t pool_bytes, struct problem *problem) {
    assert(pool_bytes <= MMU_POOL_MAX);
    *model =
        (struct mmu_model){.page_log2 = page_log2,
                           .pool_pages = page_round_up(pool_bytes, VM_PAGE_LOG) >> VM_PAGE_LOG};
    if (!memory_open(model, pool, pool_bytes)) {
        mmu_model_close(model);
        return problem_set(problem, "out of memory");
    }
    if (!mmu_open(&model->mmu, core, &model->ram, caches)) {
        mmu_model_close(model);
        return problem_set(problem,
                           "core %s: no such MMU can be made, expected numbers of sets, and bytes "
                           "and ways of caches, that are powers of two, and a way at least",
                           core->name);
    }
    mmu_write(&model->mmu, MMU_TTBR0, model->table.first | WALKS_CACHED);
    mmu_write(&model->mmu, MMU_DACR, DOMAINS_CLIENT);
    mmu_write(&model->mmu, MMU_SCTLR, VM_SCTLR_M);
    mmu_model_restart(model);
    return true;
}

void mmu_model_close(struct mmu_model *model) {
    if (model->mmu.ram != NULL) {
        mmu_close(&model->mmu);
    }
    free(model->touched[0]);
    free(model->touched[1]);
    free(model->tables);
    *model = (struct mmu_model){0};
}

static __attribute__((noinline)) void fault_serve(struct mmu_model *model, enum mmu_who who,
                                                  uint32_t va) {
    static const struct pagetable_map how = {.flags = PT_READ | PT_WRITE | PT_GLOBAL,
                                             .memory = PT_CACHED};
    struct pagetable_map map = how;
    map.largest = (uint8_t)model->page_log2;
    uint32_t page = va >> model->page_log2 << model->page_log2;
    assert(model->mmu.fault == VM_FAULT_TRANSLATION_SECTION ||
           model->mmu.fault == VM_FAULT_TRANSLATION_PAGE);
    enum vm_status mapped = pagetable_map(&model->table, page, page, 1u << model->page_log2, &map);
    assert(mapped == VM_OK);
    (void)mapped;
    uint32_t end = (page - MMU_POOL_VA + (1u << model->page_log2)) >> VM_PAGE_LOG;
    model->mapped = end > model->mapped ? end : model->mapped;
    model->faults[who]++;
}

/* From now on the MMU counts for `who`. */
static void counters_of(struct mmu_model *model, enum mmu_who who) {
    if (model->who != who) {
        struct mmu_counters other = model->waiting;
        model->waiting = model->mmu.counters;
        model->mmu.counters = other;
        model->who = who;
    }
}

/* An access that is no plain hit: all that an MMU counts but accesses happens here. */
static __attribute__((noinline)) void miss(struct mmu_model *model, enum mmu_who who, uint32_t va,
                                           enum vm_kind kind) {
    counters_of(model, who);
    while (mmu_access_slow(&model->mmu, va, kind) != VM_FAULT_NONE) {
        fault_serve(model, who, va);
    }
}

/* The two highest bits of a touch's `bytes`: store, application. */
enum { GROUPS = 4 };
_Static_assert(TOUCH_STORE == 2u << 30 && TOUCH_APPLICATION == 1u << 30, "a number of two bits");
_Static_assert(VM_LOAD == 0 && VM_STORE == 1 && MMU_APPLICATION == 1, "which are these");

/* Accesses of `words` words in one page; how many were hits, as mmu_access() has it: all but the
 * first if that missed. With caches each has to be judged by itself. */
static inline unsigned words_access(struct mmu_model *model, unsigned group, uint32_t at,
                                    unsigned words) {
    const struct mmu *mmu = &model->mmu;
    uint32_t va = MMU_POOL_VA + at;
    model->touched[group & 1][at >> model->page_log2] = 1;
    if (__builtin_expect((mmu->map[group >> 1][va >> VM_PAGE_LOG] & mmu->wanted[group >> 1]) != 0,
                         1)) {
        return words;
    }
    unsigned misses = mmu->wanted[group >> 1] != 0 ? 1 : words;
    for (unsigned i = 0; i < misses; i++) {
        miss(model, (enum mmu_who)(group & 1), va, (enum vm_kind)(group >> 1));
        va += WORD;
    }
    return words - misses;
}

static unsigned words_of(uint32_t at, uint32_t bytes) {
    return (at % WORD + bytes + WORD - 1) / WORD;
}

/* Touches of many words, page by page. */
static __attribute__((noinline)) void run_access(struct mmu_model *model, unsigned group,
                                                 uint32_t at, uint32_t bytes) {
    while (bytes > 0) {
        uint32_t rest = VM_PAGE - at % VM_PAGE;
        uint32_t part = bytes < rest ? bytes : rest;
        model->hits[group & 1][group >> 1] += words_access(model, group, at, words_of(at, part));
        at += part;
        bytes -= part;
    }
}

void mmu_model_see(struct mmu_model *model, const struct touch *touches, size_t count) {
    const struct mmu *mmu = &model->mmu;
    const unsigned page_log2 = model->page_log2;
    const uint8_t *map[GROUPS];
    uint8_t *touched[GROUPS];
    uint8_t wanted[GROUPS];
    uint64_t hits = 0; /* of each group, in 16 bits */
    _Static_assert(2 * TOUCHES_ROOM < 1 << 16, "they do not overflow");
    assert(count <= TOUCHES_ROOM);
    for (unsigned group = 0; group < GROUPS; group++) {
        map[group] = mmu->map[group >> 1] + (MMU_POOL_VA >> VM_PAGE_LOG);
        touched[group] = model->touched[group & 1];
        wanted[group] = mmu->wanted[group >> 1];
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t at = touches[i].offset;
        uint32_t bytes = touches[i].bytes & TOUCH_BYTES;
        unsigned group = touches[i].bytes >> 30;
        if (__builtin_expect(at % (2 * WORD) + bytes <= 2 * WORD, 1) &&
            __builtin_expect((map[group][at >> VM_PAGE_LOG] & wanted[group]) != 0, 1)) {
            touched[group][at >> page_log2] = 1;
            hits += (uint64_t)words_of(at, bytes) << 16 * group;
        } else {
            run_access(model, group, at, bytes);
        }
    }
    for (unsigned group = 0; group < GROUPS; group++) {
        model->hits[group & 1][group >> 1] += hits >> 16 * group & 0xFFFF;
    }
}

/* Most are in one page that the micro-TLB does not have: those it has are quiet. */
void mmu_model_see_one(struct mmu_model *model, struct touch touch) {
    const uint32_t at = touch.offset, bytes = touch.bytes & TOUCH_BYTES;
    const enum mmu_who who = touch.bytes >> 30 & 1;
    const enum vm_kind kind = touch.bytes >> 31;
    const struct mmu *mmu = &model->mmu;
    uint32_t va = MMU_POOL_VA + at;
    if (at % VM_PAGE + bytes > VM_PAGE || mmu->wanted[kind] == 0 ||
        (mmu->map[kind][va >> VM_PAGE_LOG] & mmu->wanted[kind]) != 0) {
        run_access(model, touch.bytes >> 30, at, bytes);
        return;
    }
    model->touched[who][at >> model->page_log2] = 1;
    model->hits[who][kind] += words_of(at, bytes) - 1;
    miss(model, who, va, kind);
}

bool mmu_model_quiet(const struct mmu_model *model, struct touches_quiet *quiet) {
    const struct mmu *mmu = &model->mmu;
    for (unsigned kind = VM_LOAD; kind <= VM_STORE; kind++) {
        quiet->map[kind] = mmu->map[kind] + (MMU_POOL_VA >> VM_PAGE_LOG);
        assert(mmu->wanted[kind] == 0 || mmu->wanted[kind] == 1u << kind);
    }
    return mmu->wanted[VM_LOAD] != 0;
}

void mmu_model_add(struct mmu_model *model, enum mmu_who who, const uint64_t words[2],
                   const uint8_t *touched) {
    for (unsigned kind = VM_LOAD; kind <= VM_STORE; kind++) {
        model->hits[who][kind] += words[kind];
    }
    for (uint32_t page = 0; page < mmu_model_mapped(model); page++) {
        model->touched[who][page >> (model->page_log2 - VM_PAGE_LOG)] |= touched[page];
    }
}

void mmu_model_restart(struct mmu_model *model) {
    mmu_reset_counters(&model->mmu);
    memset(&model->waiting, 0, sizeof model->waiting);
    memset(model->hits, 0, sizeof model->hits);
}

uint64_t mmu_model_pages(const struct mmu_model *model) {
    return model->faults[MMU_ALLOCATOR] + model->faults[MMU_APPLICATION];
}

static uint64_t pages_of(const struct mmu_model *model, enum mmu_who who) {
    uint64_t pages = 0;
    for (uint32_t i = 0; i < model->page_count; i++) {
        pages += model->touched[who][i];
    }
    return pages;
}

struct mmu_share mmu_model_share(struct mmu_model *model, enum mmu_who who) {
    struct mmu_counters *c = &model->mmu.counters;
    counters_of(model, who);
    for (unsigned kind = VM_LOAD; kind <= VM_STORE; kind++) {
        c->accesses[kind] += model->hits[who][kind];
        model->hits[who][kind] = 0;
    }
    struct mmu_share share = {.accesses = c->accesses[VM_LOAD] + c->accesses[VM_STORE],
                              .micro_misses = c->micro_misses[VM_LOAD] + c->micro_misses[VM_STORE],
                              .main_misses = c->main_misses[VM_LOAD] + c->main_misses[VM_STORE],
                              .walk_reads = c->walk_reads[0] + c->walk_reads[1],
                              .cycles = mmu_cycles(&model->mmu).total,
                              .pages = pages_of(model, who),
                              .faults = model->faults[who]};
    return share;
}
