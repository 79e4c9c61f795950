/* SPDX-License-Identifier: MIT
 *
 * machine.c - setting up a computer, and finding memory when it is short
 */
#include "machine.h"
#include "space.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    REGIONS_MAX = 65536,
    RECLAIM_BELOW = (5 << 20) / 4096,
    FAIL_BELOW = (512 << 10) / 4096,
    SCAN_MIN = 32, /* as LiteOS */
    USER_SPLIT = 2 /* TTBCR.N */
};

/* ---- RAM as the MMU sees it ---- */

static bool table_take(void *context, uint32_t bytes, uint32_t *pa) {
    struct phys *phys = context;
    *pa = bytes == VM_PAGE ? phys_alloc(phys, 1)
                           : phys_alloc_aligned(phys, bytes >> VM_PAGE_LOG, bytes);
    return *pa != PADDR_NONE;
}

static void table_give(void *context, uint32_t pa, uint32_t bytes) {
    (void)bytes;
    enum vm_status status = phys_free(context, pa);
    assert(status == VM_OK);
    (void)status;
}

static void ram_fill(struct vm_ram *ram, struct phys *phys) {
    paddr_t first, last;
    *ram = (struct vm_ram){.take = table_take, .give = table_give, .context = phys};
    for (uint32_t i = 0; phys_segment(phys, i, &first, &last); i++) {
        ram->segment[i] = (struct vm_segment){first, last - first + 1, phys_host(phys, first)};
        ram->segments++;
    }
}

/* ---- setting up ---- */

static void registers_set(struct machine *machine) {
    struct mmu *mmu = &machine->mmu;
    mmu_write(mmu, MMU_TTBCR, USER_SPLIT);
    mmu_write(mmu, MMU_TTBR1, machine->kernel_table.first);
    mmu_write(mmu, MMU_DACR, VM_DOMAIN_CLIENT);
    mmu_write(mmu, MMU_SCTLR, VM_SCTLR_M);
}

/* Segments too far from the first for the kernel's window are left out. */
static enum vm_status linear_map(struct machine *machine) {
    const struct vm_segment *first = &machine->ram.segment[0];
    enum vm_status status = VM_OK;
    for (unsigned i = 0; i < machine->ram.segments && status == VM_OK; i++) {
        const struct vm_segment *s = &machine->ram.segment[i];
        uint32_t distance = s->base - first->base;
        if (distance >= KERNEL_BYTES || s->bytes > KERNEL_BYTES - distance) {
            continue;
        }
        uint32_t flags = REGION_READ | REGION_WRITE | REGION_FIXED_NOREPLACE;
        struct region *region =
            region_alloc(machine->kernel, KERNEL_BASE + distance, s->bytes, flags);
        if (region == NULL) {
            return VM_NO_MEMORY;
        }
        region->kind = REGION_DEV;
        struct pagetable_map how = page_rights(region, NULL);
        how.largest = VM_SECTION_LOG;
        status = pagetable_map(&machine->kernel_table, region->base, s->base, s->bytes, &how);
    }
    return status;
}

static enum vm_status machine_open(struct machine *machine, const struct machine_config *config) {
    struct core core;
    if (!core_find(&core, config->core != NULL ? config->core : "a7")) {
        return VM_INVALID_ARGS;
    }
    enum vm_status status = phys_new(config->range, config->ranges, &machine->phys);
    if (status != VM_OK) {
        return status;
    }
    ram_fill(&machine->ram, machine->phys);
    lru_open(&machine->lru, machine->phys);
    asid_open(&machine->asids);
    if (!mmu_open(&machine->mmu, &core, &machine->ram, config->caches)) {
        phys_delete(machine->phys);
        return VM_NO_MEMORY;
    }
    status = pagecache_open(&machine->cache, machine->phys, &machine->lru);
    if (status == VM_OK) {
        status = pagetable_open(&machine->kernel_table, &machine->ram, 0, false);
    }
    if (status != VM_OK) {
        pagecache_close(&machine->cache);
        mmu_close(&machine->mmu);
        phys_delete(machine->phys);
    }
    return status;
}

static uint32_t or_default(uint32_t value, uint32_t fallback) {
    return value != 0 ? value : fallback;
}

enum vm_status machine_new(const struct machine_config *config, struct machine **out) {
    struct machine *machine = calloc(1, sizeof(*machine));
    if (machine == NULL) {
        return VM_NO_MEMORY;
    }
    machine->regions_max = or_default(config->regions_max, REGIONS_MAX);
    machine->reclaim_below = or_default(config->reclaim_below, RECLAIM_BELOW);
    machine->fail_below = or_default(config->fail_below, FAIL_BELOW);
    enum vm_status status = machine_open(machine, config);
    if (status != VM_OK) {
        free(machine);
        return status;
    }
    machine->kernel_table.invalidate = mmu_invalidate;
    machine->kernel_table.invalidate_context = &machine->mmu;
    status = space_new(machine, SPACE_KERNEL, &machine->kernel);
    if (status == VM_OK) {
        status = space_new(machine, SPACE_VMALLOC, &machine->vmalloc);
    }
    if (status == VM_OK) {
        status = linear_map(machine);
    }
    if (status != VM_OK) {
        machine_delete(machine);
        return status;
    }
    registers_set(machine);
    *out = machine;
    return VM_OK;
}

void machine_delete(struct machine *machine) {
    if (machine == NULL) {
        return;
    }
    while (machine->spaces != NULL) {
        space_end(machine->spaces);
    }
    for (int id = 0; id < SHM_SEGMENTS; id++) {
        (void)shm_remove(machine, id);
    }
    pagetable_close(&machine->kernel_table);
    pagecache_close(&machine->cache);
    mmu_close(&machine->mmu);
    phys_delete(machine->phys);
    free(machine);
}

uint32_t machine_leaked(const struct machine *machine) {
    struct phys_usage usage;
    phys_usage(machine->phys, &usage);
    return usage.used - machine->kernel_table.frames - machine->cache.pages;
}

/* ---- memory when it is short ---- */

/* Takes up to `count` of the oldest active file pages one step down. */
static void active_age(struct lru *lru, uint32_t count) {
    for (; count > 0 && lru->count[LRU_ACTIVE_FILE] > 0; count--) {
        lru_age(lru, lru_oldest(lru, LRU_ACTIVE_FILE));
    }
}

static bool shown_executable(struct machine *machine, const struct frame *frame) {
    const struct contents *contents = machine->cache.contents[frame->owner];
    for (const struct region *r = contents->regions; r != NULL && frame->refs > 1;
         r = r->file_next) {
        bool shown = frame->index - r->offset < region_bytes(r) >> VM_PAGE_LOG;
        if (shown && (r->flags & REGION_EXECUTE) != 0) {
            return true;
        }
    }
    return false;
}

/* The page leaves all page tables, then goes to the file if it is newer, then its frame is freed:
 * in this order nothing can be written to it that is lost. */
static bool page_reclaim(struct machine *machine, struct frame *frame, bool hard) {
    if ((frame->flags & FRAME_LOCKED) != 0 || (!hard && shown_executable(machine, frame))) {
        return false;
    }
    page_hide_everywhere(machine, frame);
    if (frame->refs > 1 || !page_write(&machine->cache, frame)) {
        return false;
    }
    page_drop(&machine->cache, frame);
    return true;
}

static uint32_t inactive_reclaim(struct machine *machine, uint32_t pages, bool hard) {
    struct lru *lru = &machine->lru;
    uint32_t dropped = 0;
    for (uint32_t scan = lru->count[LRU_INACTIVE_FILE]; scan > 0 && dropped < pages; scan--) {
        struct frame *frame = lru_oldest(lru, LRU_INACTIVE_FILE);
        if (page_reclaim(machine, frame, hard)) {
            dropped++;
        } else {
            lru_rotate(lru, frame);
        }
    }
    return dropped;
}

uint32_t machine_reclaim(struct machine *machine, uint32_t pages, bool hard) {
    struct lru *lru = &machine->lru;
    uint32_t scan = pages > SCAN_MIN ? pages : SCAN_MIN;
    uint32_t dropped = inactive_reclaim(machine, pages, hard);
    /* Two steps down lead from the top of the active list to the inactive one. */
    uint32_t rounds = 2 * (lru->count[LRU_ACTIVE_FILE] / scan + 1);
    for (; rounds > 0 && dropped < pages; rounds--) {
        active_age(lru, scan);
        dropped += inactive_reclaim(machine, pages - dropped, hard);
    }
    machine->reclaimed += dropped;
    return dropped;
}

bool machine_has_memory(struct machine *machine) {
    for (int tries = 0; tries < 2; tries++) {
        uint32_t free_pages = phys_free_pages(machine->phys);
        if (free_pages < machine->reclaim_below) {
            (void)machine_reclaim(machine, machine->reclaim_below - free_pages, tries > 0);
        }
    }
    bool enough = phys_free_pages(machine->phys) >= machine->fail_below;
    machine->shortages += !enough;
    return enough;
}

struct frame *machine_frame(struct machine *machine) {
    if (!machine_has_memory(machine)) {
        return NULL;
    }
    paddr_t pa = phys_alloc(machine->phys, 1);
    if (pa == PADDR_NONE) {
        machine->shortages++;
        return NULL;
    }
    memset(phys_host(machine->phys, pa), 0, VM_PAGE);
    return phys_frame(machine->phys, pa);
}
