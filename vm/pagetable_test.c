/* SPDX-License-Identifier: MIT
 *
 * pagetable_test.c - page tables against a flat array of pages, and what LiteOS' MMU layer gets
 * wrong
 *
 * The model is an array with one element per 4 KiB page: what it maps to, with which flags. After
 * each random operation the tables, read by the architecture's walk and by pagetable_query(), must
 * say the same, a TLB that is invalidated only by the tables' own calls must hold nothing else, and
 * the frames held must be those the tables need. Operations run while frames are short, too: a
 * refusal must leave everything as it was.
 */
#include "mmu_rig.h"
#include "pagetable.h"

/* ---- frames ---- */

enum { FRAMES = 64 };

struct frames {
    struct vm_ram ram;
    uint32_t free[FRAMES];
    unsigned count;
    unsigned taken;
};

/* 16 KiB for the first level come from the start of RAM, single frames from behind it. */
static bool take(void *context, uint32_t bytes, uint32_t *pa) {
    struct frames *frames = context;
    if (bytes > VM_PAGE) {
        *pa = RIG_RAM_BASE;
        return true;
    }
    if (frames->count == 0) {
        return false;
    }
    *pa = frames->free[--frames->count];
    frames->taken++;
    memset(vm_ram_at(&frames->ram, *pa, VM_PAGE), 0xa5, VM_PAGE);
    return true;
}

static void give(void *context, uint32_t pa, uint32_t bytes) {
    struct frames *frames = context;
    if (bytes > VM_PAGE) {
        return;
    }
    for (unsigned i = 0; i < frames->count; i++) {
        ck_assert_uint_ne(frames->free[i], pa);
    }
    ck_assert_uint_lt(frames->count, FRAMES);
    frames->free[frames->count++] = pa;
    frames->taken--;
}

static void frames_open(struct frames *frames, unsigned count) {
    memset(frames, 0, sizeof *frames);
    uint32_t bytes = RIG_FIRST_BYTES + FRAMES * VM_PAGE;
    frames->ram.segment[0] = (struct vm_segment){RIG_RAM_BASE, bytes, calloc(bytes, 1)};
    frames->ram.segments = 1;
    frames->ram.take = take;
    frames->ram.give = give;
    frames->ram.context = frames;
    for (unsigned i = 0; i < count; i++) {
        frames->free[frames->count++] = RIG_RAM_BASE + RIG_FIRST_BYTES + i * VM_PAGE;
    }
}

static void frames_close(struct frames *frames) {
    free(frames->ram.segment[0].host);
}

/* ---- model: 40 MiB at two places, the top of the address space among them ---- */

enum { MODEL_MIB = 40, MODEL_PAGES = MODEL_MIB * 256 };

struct page {
    bool mapped;
    uint32_t pa;
    struct pagetable_map how;
};

struct world {
    struct frames frames;
    struct pagetable table;
    struct mmu mmu;
    struct page page[MODEL_PAGES];
    uint64_t random;
};

static uint32_t page_va(uint32_t index) {
    uint32_t half = MODEL_PAGES / 2;
    return index < half ? index << 12 : 0u - ((MODEL_PAGES - index) << 12);
}

static void world_open(struct world *world, uint64_t seed, unsigned frames, bool access_flag) {
    memset(world, 0, sizeof *world);
    world->random = seed;
    frames_open(&world->frames, frames);
    ck_assert_int_eq(pagetable_open(&world->table, &world->frames.ram, 0, access_flag), VM_OK);
    struct core core;
    ck_assert(core_find(&core, "a17"));
    ck_assert(mmu_open(&world->mmu, &core, &world->frames.ram, false));
    world->table.invalidate = mmu_invalidate;
    world->table.invalidate_context = &world->mmu;
    mmu_write(&world->mmu, MMU_TTBR0, world->table.first);
    mmu_write(&world->mmu, MMU_DACR, 0x55555555);
    mmu_write(&world->mmu, MMU_SCTLR, VM_SCTLR_M | (access_flag ? VM_SCTLR_AFE : 0));
}

static void world_close(struct world *world) {
    mmu_tlbiall(&world->mmu);
    mmu_close(&world->mmu);
    pagetable_close(&world->table);
    ck_assert_uint_eq(world->frames.taken, 0);
    frames_close(&world->frames);
}

/* The right an architecture's entry must have for these flags. */
static uint8_t rights_of(const struct pagetable_map *how) {
    uint32_t f = how->flags;
    if (!(f & PT_READ)) {
        return 0;
    }
    unsigned user = f & PT_USER ? 1u : 0, x = f & PT_EXECUTE ? 1u : 0;
    unsigned privileged_store = f & (PT_WRITE | PT_KERNEL_WRITE) ? 1u : 0;
    unsigned user_store = user && (f & PT_WRITE) ? 1u : 0;
    unsigned privileged_x = x && !(f & PT_PXN) ? 1u : 0;
    return (uint8_t)(1 | privileged_store << 1 | privileged_x << 2 | user << 3 | user_store << 4 |
                     (user & x) << 5);
}

/* What a TLB holds must be what the tables say now: a missing invalidation shows here. */
static void compare_tlb(struct world *world, uint32_t va, const struct walk *walk) {
    for (int kind = 0; kind < VM_KINDS; kind++) {
        uint64_t pa = 0;
        enum vm_fault want =
            walk->fault != VM_FAULT_NONE
                ? walk->fault
                : vm_check(&walk->entry, world->mmu.regs.dacr, (enum vm_kind)kind, false);
        ck_assert_int_eq(mmu_translate(&world->mmu, va, (enum vm_kind)kind, &pa), want);
        ck_assert(want != VM_FAULT_NONE || pa == tlb_entry_pa(&walk->entry, va));
    }
}

static void compare_page(struct world *world, uint32_t index) {
    const struct page *page = &world->page[index];
    uint32_t va = page_va(index);
    struct pagetable_found found;
    enum vm_status status = pagetable_query(&world->table, va + 0x120, &found);
    struct walk walk = vm_walk(&world->mmu.regs, &world->frames.ram, va + 0x120);
    compare_tlb(world, va + 0x120, &walk);
    ck_assert_int_eq(status, page->mapped ? VM_OK : VM_NOT_FOUND);
    if (!page->mapped) {
        ck_assert(walk.fault == VM_FAULT_TRANSLATION_PAGE ||
                  walk.fault == VM_FAULT_TRANSLATION_SECTION);
        return;
    }
    ck_assert_uint_eq(found.pa, page->pa + 0x120);
    ck_assert_uint_eq(found.how.flags, page->how.flags);
    ck_assert_uint_eq(found.how.memory, page->how.memory);
    ck_assert_uint_eq(found.how.domain, page->how.domain);
    if (page->how.flags & PT_OLD) {
        ck_assert(walk.fault == VM_FAULT_ACCESS_FLAG_PAGE ||
                  walk.fault == VM_FAULT_ACCESS_FLAG_SECTION);
        return;
    }
    ck_assert_int_eq(walk.fault, VM_FAULT_NONE);
    ck_assert_uint_eq(tlb_entry_pa(&walk.entry, va), page->pa);
    ck_assert_uint_eq(walk.entry.rights, rights_of(&page->how));
    ck_assert_uint_eq(walk.entry.asid == TLB_GLOBAL, (page->how.flags & PT_GLOBAL) != 0);
    ck_assert_uint_eq((walk.entry.memory & TLB_CACHEABLE) != 0,
                      page->how.memory == PT_CACHED || page->how.memory == PT_WRITE_THROUGH);
}

static void compare_world(struct world *world, bool everything) {
    const char *broken = pagetable_check(&world->table);
    ck_assert_msg(broken == NULL, "%s", broken);
    ck_assert_uint_eq(world->frames.taken + 4, world->table.frames);
    for (uint32_t i = 0; i < MODEL_PAGES;
         i += everything ? 1 : 1 + random_below(&world->random, 64)) {
        compare_page(world, i);
    }
}

static struct pagetable_map random_how(struct world *world) {
    static const uint8_t sizes[] = {12, 16, 20, 24};
    struct pagetable_map how;
    do {
        how = (struct pagetable_map){
            .flags = random_below(&world->random, 512) | (random_below(&world->random, 8) != 0),
            .memory = (enum pagetable_memory)random_below(&world->random, 5),
            .domain = random_below(&world->random, 3) == 0 ? 3 : 0,
            .largest = sizes[random_below(&world->random, 4)],
        };
        how.flags &= ~(uint32_t)(random_below(&world->random, 4) != 0 ? PT_PXN : 0);
        how.flags &= ~(uint32_t)(world->table.access_flag ? PT_KERNEL_WRITE : PT_OLD);
    } while ((!(how.flags & PT_READ) && (how.flags & (PT_WRITE | PT_EXECUTE | PT_KERNEL_WRITE))) ||
             (!(how.flags & PT_READ) && world->table.access_flag) ||
             ((how.flags & PT_KERNEL_WRITE) && (!(how.flags & PT_USER) || (how.flags & PT_WRITE))));
    return how;
}

/* A run of pages inside one half of the model: often aligned, often short. */
static void random_range(struct world *world, uint32_t *first, uint32_t *count) {
    uint32_t half = MODEL_PAGES / 2, shift = random_below(&world->random, 4) * 4;
    uint32_t unit = shift > 8 ? 4096 : 1u << shift;
    uint32_t base = random_below(&world->random, 2) * half;
    uint32_t at = random_below(&world->random, half / unit) * unit;
    uint32_t length = (1 + random_below(&world->random, 5)) * unit;
    *first = base + at;
    *count = length < half - at ? length : half - at;
}

/* What a MiB's table must be like for pages of `how`: true if a page there forbids it. */
static enum vm_status model_map(const struct world *world, uint32_t first, uint32_t count) {
    for (uint32_t i = first; i < first + count; i++) {
        if (world->page[i].mapped) {
            return VM_BUSY;
        }
    }
    return VM_OK;
}

/* What of `how` a descriptor can tell: AP 000 does not say who may not access. */
static struct pagetable_map kept(const struct pagetable_map *how) {
    struct pagetable_map as = *how;
    as.flags &= (as.flags & PT_READ) != 0 ? ~0u : ~(uint32_t)PT_USER;
    return as;
}

static void apply_map(struct world *world, uint32_t first, uint32_t count, uint32_t pa,
                      const struct pagetable_map *how) {
    for (uint32_t i = 0; i < count; i++) {
        world->page[first + i] = (struct page){true, pa + (i << 12), kept(how)};
    }
}

static void do_map(struct world *world) {
    uint32_t first, count;
    random_range(world, &first, &count);
    struct pagetable_map how = random_how(world);
    uint32_t pa = random_below(&world->random, 2) != 0
                      ? 0x40000000u + (page_va(first) & 0x00ffffffu)
                      : random_below(&world->random, 1 << 18) << 12;
    enum vm_status status = pagetable_map(&world->table, page_va(first), pa, count << 12, &how);
    if (model_map(world, first, count) == VM_BUSY) {
        ck_assert_int_eq(status, VM_BUSY);
    } else if (status == VM_OK) {
        apply_map(world, first, count, pa, &how);
    } else {
        ck_assert(status == VM_NOT_VALID || (status == VM_NO_MEMORY));
    }
}

static void do_unmap(struct world *world) {
    uint32_t first, count;
    random_range(world, &first, &count);
    enum vm_status status = pagetable_unmap(&world->table, page_va(first), count << 12);
    if (status == VM_OK) {
        memset(&world->page[first], 0, count * sizeof world->page[0]);
    } else {
        ck_assert_int_eq(status, VM_NO_MEMORY);
        ck_assert_uint_le(world->frames.count, 1); /* at most two splits need one each */
    }
}

static void do_protect(struct world *world) {
    uint32_t first, count;
    random_range(world, &first, &count);
    struct pagetable_map how = random_how(world);
    enum vm_status status = pagetable_protect(&world->table, page_va(first), count << 12, &how);
    bool domain_differs = false;
    for (uint32_t i = first; i < first + count; i++) {
        domain_differs |= world->page[i].mapped && world->page[i].how.domain != how.domain;
    }
    ck_assert(!domain_differs || status == VM_NOT_VALID);
    if (status != VM_OK) {
        ck_assert(status == VM_NOT_VALID || (status == VM_NO_MEMORY && world->frames.count <= 1));
        return;
    }
    for (uint32_t i = first; i < first + count; i++) {
        if (world->page[i].mapped) {
            world->page[i].how = kept(&how);
        }
    }
}

static void do_move(struct world *world) {
    uint32_t from, count, to, other;
    random_range(world, &from, &count);
    random_range(world, &to, &other);
    count = count < other ? count : other;
    enum vm_status status = pagetable_move(&world->table, page_va(to), page_va(from), count << 12);
    if (to - from < count || from - to < count) {
        ck_assert_int_eq(status, VM_INVALID_ARGS);
        return;
    }
    if (model_map(world, to, count) == VM_BUSY) {
        ck_assert_int_eq(status, VM_BUSY);
    } else if (status == VM_OK) {
        memcpy(&world->page[to], &world->page[from], count * sizeof world->page[0]);
        memset(&world->page[from], 0, count * sizeof world->page[0]);
    } else {
        ck_assert(status == VM_NOT_VALID || status == VM_NO_MEMORY);
    }
}

enum { WORLDS = 12, WORLD_OPERATIONS = 60 };

START_TEST(tables_equal_flat_model) {
    struct world *world = malloc(sizeof *world);
    unsigned frames[] = {FRAMES, 12, 6};
    world_open(world, seed_of((uint64_t)_i), frames[_i % 3], _i % 4 == 3);
    unsigned operations = is_full_run() ? 40 * WORLD_OPERATIONS : WORLD_OPERATIONS;
    for (unsigned op = 0; op < operations; op++) {
        switch (random_below(&world->random, 8)) {
        case 0:
        case 1:
        case 2:
            do_map(world);
            break;
        case 3:
        case 4:
            do_unmap(world);
            break;
        case 5:
        case 6:
            do_protect(world);
            break;
        default:
            do_move(world);
        }
        compare_world(world, op % 64 == 63);
    }
    world_close(world);
    free(world);
}
END_TEST

/* ---- by hand ---- */

static const struct pagetable_map user_page = {.flags = PT_READ | PT_WRITE | PT_USER,
                                               .largest = 12};
static const struct pagetable_map any_size = {.flags = PT_READ | PT_WRITE, .largest = 24};

static struct world *hand_world(unsigned frames) {
    static struct world world;
    world_open(&world, 1, frames, false);
    return &world;
}

START_TEST(refuses_bad_ranges) {
    struct world *world = hand_world(4);
    struct pagetable *t = &world->table;
    struct pagetable_found found;
    static const struct {
        uint32_t va, pa, bytes;
        enum vm_status status;
    } rows[] = {{1, 0, 4096, VM_INVALID_ARGS},          {0, 2048, 4096, VM_INVALID_ARGS},
                {0, 0, 4095, VM_INVALID_ARGS},          {0, 0, 0, VM_INVALID_ARGS},
                {0xfffff000, 0, 8192, VM_INVALID_ARGS}, {0, 0xfffff000, 8192, VM_INVALID_ARGS}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_int_eq(pagetable_map(t, rows[i].va, rows[i].pa, rows[i].bytes, &user_page),
                         rows[i].status);
    }
    ck_assert_int_eq(pagetable_unmap(t, 0xfffff000, 8192), VM_INVALID_ARGS);
    ck_assert_int_eq(pagetable_protect(t, 0, 0, &user_page), VM_INVALID_ARGS);
    ck_assert_int_eq(pagetable_move(t, 0x1000, 0x0, 0x2000), VM_INVALID_ARGS);
    struct pagetable_map bad[] = {{.flags = PT_WRITE, .largest = 12},
                                  {.flags = PT_READ | PT_OLD, .largest = 12},
                                  {.flags = PT_READ | PT_KERNEL_WRITE, .largest = 12},
                                  {.flags = PT_READ | 1u << 20, .largest = 12},
                                  {.flags = PT_READ, .largest = 14},
                                  {.flags = PT_READ, .largest = 12, .domain = 16}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(pagetable_map(t, 0, 0, 4096, &bad[i]), VM_INVALID_ARGS);
    }
    ck_assert_int_eq(pagetable_query(t, 0, &found), VM_NOT_FOUND);
    compare_world(world, false);
    world_close(world);
}
END_TEST

/* The whole address space, and the last page of it: nothing may wrap. */
START_TEST(maps_the_whole_address_space) {
    struct world *world = hand_world(2);
    ck_assert_int_eq(pagetable_map(&world->table, 0, 0, 0xfff00000, &any_size), VM_OK);
    ck_assert_int_eq(pagetable_map(&world->table, 0xfff00000, 0xfff00000, 0x100000, &any_size),
                     VM_OK);
    ck_assert_int_eq(pagetable_unmap(&world->table, 0xfffff000, 0x1000), VM_OK);
    struct pagetable_found found;
    ck_assert_int_eq(pagetable_query(&world->table, 0xffffe000, &found), VM_OK);
    ck_assert_uint_eq(found.log2, 12);
    ck_assert_int_eq(pagetable_query(&world->table, 0xfffff000, &found), VM_NOT_FOUND);
    ck_assert_int_eq(pagetable_query(&world->table, 0xffe00000, &found), VM_OK);
    ck_assert_uint_eq(found.log2, 20);
    ck_assert_int_eq(pagetable_query(&world->table, 0x00e00000, &found), VM_OK);
    ck_assert_uint_eq(found.log2, 24);
    ck_assert_ptr_null(pagetable_check(&world->table));
    world_close(world);
}
END_TEST

/* Four MiB of one frame; the fifth needs another. The first level shrinks with TTBCR.N. */
START_TEST(tables_are_packed_and_freed) {
    struct world *world = hand_world(8);
    for (uint32_t mib = 0; mib < 5; mib++) {
        ck_assert_int_eq(pagetable_map(&world->table, mib << 20, 0, 4096, &user_page), VM_OK);
        ck_assert_uint_eq(world->frames.taken, mib < 4 ? 1 : 2);
    }
    for (uint32_t mib = 0; mib < 5; mib++) {
        ck_assert_int_eq(pagetable_unmap(&world->table, mib << 20, 4096), VM_OK);
        ck_assert_uint_eq(world->frames.taken, mib < 3 ? 2 : mib == 3 ? 1 : 0);
    }
    world_close(world);
    for (unsigned n = 0; n <= 7; n++) {
        struct frames frames;
        struct pagetable table;
        frames_open(&frames, 8);
        ck_assert_int_eq(pagetable_open(&table, &frames.ram, n, false), VM_OK);
        uint32_t end = n == 0 ? 0 : 1u << (32 - n), last = end - 4096;
        ck_assert_int_eq(pagetable_map(&table, last, 0, 4096, &user_page), VM_OK);
        if (n != 0) {
            ck_assert_int_eq(pagetable_map(&table, last, 0, 8192, &user_page), VM_OUT_OF_RANGE);
            ck_assert_int_eq(pagetable_unmap(&table, end, 4096), VM_OUT_OF_RANGE);
        }
        ck_assert_ptr_null(pagetable_check(&table));
        pagetable_close(&table);
        ck_assert_uint_eq(frames.taken, 0);
        frames_close(&frames);
    }
    struct frames frames;
    struct pagetable table;
    frames_open(&frames, 0);
    ck_assert_int_eq(pagetable_open(&table, &frames.ram, 8, false), VM_INVALID_ARGS);
    ck_assert_int_eq(pagetable_open(&table, &frames.ram, 3, false), VM_NO_MEMORY);
    frames_close(&frames);
}
END_TEST

/* ---- what LiteOS' MMU layer does not do; each name says what it does instead ---- */

/* OsArchMmuMap writes over existing entries without a word. */
START_TEST(map_over_a_mapping_is_refused_not_silent) {
    struct world *world = hand_world(4);
    ck_assert_int_eq(pagetable_map(&world->table, 0x3000, 0x5000, 4096, &user_page), VM_OK);
    apply_map(world, 3, 1, 0x5000, &user_page);
    ck_assert_int_eq(pagetable_map(&world->table, 0x2000, 0x9000, 0x3000, &user_page), VM_BUSY);
    ck_assert_int_eq(pagetable_map(&world->table, 0, 0, 0x100000, &any_size), VM_BUSY);
    compare_world(world, true);
    world_close(world);
}
END_TEST

/* Mapping a page into a section panics there. */
START_TEST(map_over_a_section_is_refused_not_a_panic) {
    struct world *world = hand_world(4);
    ck_assert_int_eq(pagetable_map(&world->table, 0x100000, 0x100000, 0x100000, &any_size), VM_OK);
    apply_map(world, 256, 256, 0x100000, &any_size);
    ck_assert_int_eq(pagetable_map(&world->table, 0x1ff000, 0, 0x2000, &user_page), VM_BUSY);
    compare_world(world, true);
    world_close(world);
}
END_TEST

/* Unmapping part of a section panics there. */
START_TEST(unmap_of_part_of_a_section_splits_it_not_a_panic) {
    struct world *world = hand_world(4);
    ck_assert_int_eq(pagetable_map(&world->table, 0, 0x1000000, 0x1000000, &any_size), VM_OK);
    apply_map(world, 0, 4096, 0x1000000, &any_size);
    compare_world(world, true);
    ck_assert_int_eq(pagetable_unmap(&world->table, 0x3f0000, 0x21000), VM_OK);
    memset(&world->page[0x3f0], 0, 0x21 * sizeof world->page[0]);
    compare_world(world, true);
    struct pagetable_found found;
    ck_assert_int_eq(pagetable_query(&world->table, 0x500000, &found), VM_OK);
    ck_assert_uint_eq(found.log2, 20);
    ck_assert_int_eq(pagetable_query(&world->table, 0x3e0000, &found), VM_OK);
    ck_assert_uint_eq(found.log2, 16);
    ck_assert_int_eq(pagetable_query(&world->table, 0x411000, &found), VM_OK);
    ck_assert_uint_eq(found.log2, 12);
    world_close(world);
}
END_TEST

/* Large pages panic there, on map and on unmap. */
START_TEST(large_pages_work_not_a_panic) {
    struct world *world = hand_world(4);
    struct pagetable_map how = any_size;
    how.largest = 16;
    ck_assert_int_eq(pagetable_map(&world->table, 0x10000, 0x40000, 0x20000, &how), VM_OK);
    apply_map(world, 16, 32, 0x40000, &how);
    compare_world(world, true);
    ck_assert_int_eq(pagetable_unmap(&world->table, 0x1f000, 0x2000), VM_OK);
    memset(&world->page[31], 0, 2 * sizeof world->page[0]);
    compare_world(world, true);
    ck_assert_int_eq(pagetable_unmap(&world->table, 0, 0x100000), VM_OK);
    ck_assert_uint_eq(world->frames.taken, 0);
    world_close(world);
}
END_TEST

/* A query there reports READ for everything, also for what nobody may read. */
START_TEST(query_reports_the_rights_there_are) {
    struct world *world = hand_world(4);
    struct pagetable_map nothing = {.flags = PT_USER, .largest = 12};
    ck_assert_int_eq(pagetable_map(&world->table, 0, 0, 4096, &nothing), VM_OK);
    struct pagetable_found found;
    ck_assert_int_eq(pagetable_query(&world->table, 0, &found), VM_OK);
    ck_assert_uint_eq(found.how.flags & (PT_READ | PT_WRITE | PT_EXECUTE), 0);
    world_close(world);
}
END_TEST

/* Map, then out of frames half way: LiteOS leaves the part that was mapped. */
START_TEST(map_without_frames_leaves_nothing_behind) {
    struct world *world = hand_world(2);
    struct pagetable_map how = user_page;
    ck_assert_int_eq(pagetable_map(&world->table, 0x3ff000, 0, 0x801000, &how), VM_NO_MEMORY);
    compare_world(world, true);
    ck_assert_uint_eq(world->frames.taken, 0);
    ck_assert_int_eq(pagetable_map(&world->table, 0x3ff000, 0, 0x401000, &how), VM_OK);
    world_close(world);
}
END_TEST

/* ChangeProt is query, unmap, map there: the page is unmapped for a while, and lost if map fails.
 */
START_TEST(protect_and_move_are_all_or_nothing) {
    struct world *world = hand_world(1);
    struct pagetable_map section = {.flags = PT_READ, .largest = 20};
    ck_assert_int_eq(pagetable_map(&world->table, 0x400000, 0, 0x400000, &section), VM_OK);
    apply_map(world, 1024, 1024, 0, &section);
    struct pagetable_map low = user_page;
    ck_assert_int_eq(pagetable_map(&world->table, 0, 0, 4096, &low), VM_OK);
    apply_map(world, 0, 1, 0, &low);
    ck_assert_int_eq(pagetable_protect(&world->table, 0x401000, 0x1000, &low), VM_NO_MEMORY);
    ck_assert_int_eq(pagetable_move(&world->table, 0x1000000, 0x401000, 0x1000), VM_NO_MEMORY);
    ck_assert_int_eq(pagetable_unmap(&world->table, 0x401000, 0x1000), VM_NO_MEMORY);
    compare_world(world, true);
    world_close(world);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pagetable");
    TCase *tcase = tcase_create("tables");
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, tables_equal_flat_model, 0, WORLDS);
    tcase_add_test(tcase, refuses_bad_ranges);
    tcase_add_test(tcase, maps_the_whole_address_space);
    tcase_add_test(tcase, tables_are_packed_and_freed);
    tcase_add_test(tcase, map_over_a_mapping_is_refused_not_silent);
    tcase_add_test(tcase, map_over_a_section_is_refused_not_a_panic);
    tcase_add_test(tcase, unmap_of_part_of_a_section_splits_it_not_a_panic);
    tcase_add_test(tcase, large_pages_work_not_a_panic);
    tcase_add_test(tcase, query_reports_the_rights_there_are);
    tcase_add_test(tcase, map_without_frames_leaves_nothing_behind);
    tcase_add_test(tcase, protect_and_move_are_all_or_nothing);
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
