/* SPDX-License-Identifier: MIT
 *
 * machine_check.c - does everything agree? Counts all references anew and compares what TLBs hold
 * with the tables
 */
#include "space.h"

#include <stdlib.h>

struct recount {
    struct machine *machine;
    uint32_t *refs; /* by frame */
    struct space *space;
    const char *broken;
};

/* ---- pages against regions ---- */

static bool rights_within(uint32_t flags, uint32_t allowed) {
    return (flags & ~allowed) == 0 &&
           ((flags ^ allowed) & ~(uint32_t)PT_WRITE) == 0; /* less only by writing */
}

static void page_count(void *context, const struct pagetable_found *found) {
    struct recount *count = context;
    struct region *region = region_find(count->space->regions, found->va);
    struct frame *frame = phys_frame(count->machine->phys, found->pa);
    if (region == NULL) {
        count->broken = "tables: a page is mapped outside of all regions";
        return;
    }
    bool device = region->kind == REGION_DEV;
    if (!device && frame == NULL) {
        count->broken = "tables: a page shows a frame that is not managed";
        return;
    }
    struct pagetable_map allowed = page_rights(region, device ? NULL : frame);
    if (!rights_within(found->how.flags, allowed.flags) || found->how.memory != allowed.memory) {
        count->broken = "tables: a page has rights that its region does not grant";
    }
    if (!device) {
        count->refs[phys_frame_number(count->machine->phys, frame)]++;
        if (region->file != NULL && (frame->flags & FRAME_CACHE) != 0 &&
            frame->index != region->offset + ((found->va - region->base) >> VM_PAGE_LOG)) {
            count->broken = "tables: a page shows another page of the file";
        }
    }
}

static const char *space_check(struct recount *count, struct space *space) {
    count->space = space;
    uint32_t regions = 0;
    const char *broken = region_check(space->regions);
    for (struct region *r = region_from(space->regions, 0); broken == NULL && r != NULL;
         r = region_next(space->regions, r)) {
        regions++;
        if (!vm_page_aligned(r->base | (r->last + 1)) ||
            !space_has(space, r->base, region_bytes(r))) {
            broken = "regions: one is not aligned or not inside its space";
        }
    }
    if (broken == NULL && regions != space->region_count) {
        broken = "regions: they are counted wrong";
    }
    if (broken == NULL && space->kind != SPACE_VMALLOC) {
        broken = pagetable_check(space->table);
    }
    return broken;
}

/* The tables of the kernel hold what its space and that of vmalloc show. */
static void kernel_page_count(void *context, const struct pagetable_found *found) {
    struct recount *count = context;
    bool kernel = space_has(count->machine->kernel, found->va, 1);
    count->space = kernel ? count->machine->kernel : count->machine->vmalloc;
    page_count(context, found);
}

/* ---- references ---- */

static void holders_count(struct recount *count) {
    struct machine *machine = count->machine;
    const struct pagecache *cache = &machine->cache;
    for (uint32_t i = 0; i <= cache->bucket_mask; i++) {
        for (uint32_t at = cache->bucket[i]; at != FRAME_NONE;) {
            count->refs[at]++;
            at = phys_frame_at(machine->phys, at)->hash_next;
        }
    }
    for (int id = 0; id < SHM_SEGMENTS; id++) {
        const struct segment_shared *segment = &machine->shm.segment[id];
        for (uint32_t i = 0; i < segment->pages; i++) {
            count->refs[segment->frame[i]]++;
        }
    }
}

/* Who allocated frames himself and shows them by space_map_frames() holds a reference more. */
static const char *references_check(const struct recount *count, uint32_t frames) {
    for (uint32_t i = 0; i < frames; i++) {
        const struct frame *frame = phys_frame_at(count->machine->phys, i);
        bool own = (frame->flags & FRAME_LRU) != 0;
        if (own ? frame->refs != count->refs[i] : frame->refs < count->refs[i]) {
            return "frames: references are counted wrong";
        }
        if ((frame->flags & FRAME_LOCKED) != 0) {
            return "frames: one stayed locked";
        }
    }
    return NULL;
}

/* ---- TLBs against tables ---- */

static const struct pagetable *table_of(const struct machine *machine,
                                        const struct tlb_entry *entry) {
    if (entry->asid == TLB_GLOBAL) {
        return &machine->kernel_table;
    }
    for (const struct space *s = machine->spaces; s != NULL; s = s->next) {
        bool current = s->tag / ASID_COUNT == machine->asids.generation;
        if (s->kind == SPACE_USER && current && s->asid == entry->asid) {
            return &s->own_table;
        }
    }
    return NULL;
}

/* A load, store and fetch, privileged and not, in the order of tlb_entry's rights. */
static uint32_t rights_granted(uint32_t flags) {
    uint32_t rights = (flags & PT_READ) != 0 ? 1u << VM_LOAD : 0;
    rights |= (flags & PT_WRITE) != 0 ? 1u << VM_STORE : 0;
    rights |= (flags & PT_EXECUTE) != 0 ? 1u << VM_FETCH : 0;
    return rights | ((flags & PT_USER) != 0 ? rights << VM_KINDS : 0);
}

static bool entry_stale(const struct machine *machine, const struct tlb_entry *entry) {
    struct pagetable_found found;
    const struct pagetable *table = table_of(machine, entry);
    if (table == NULL || pagetable_query(table, tlb_entry_va(entry), &found) != VM_OK) {
        return true;
    }
    return (entry->rights & ~rights_granted(found.how.flags)) != 0 ||
           entry->pfn != found.pa >> VM_PAGE_LOG;
}

static const char *tlb_check(const struct machine *machine, const struct tlb *tlb) {
    for (uint32_t i = 0; i < tlb_entries(tlb); i++) {
        if (tlb->entry[i].tag != 0 && entry_stale(machine, &tlb->entry[i])) {
            return "tlb: an entry is older than the tables";
        }
    }
    return NULL;
}

/* Walk caches hold first-level descriptors that lead to second-level tables. */
static const char *walk_cache_check(const struct machine *machine) {
    const struct tlb *tlb = &machine->mmu.walk_cache;
    for (uint32_t i = 0; i < tlb_entries(tlb); i++) {
        const struct tlb_entry *entry = &tlb->entry[i];
        bool upper = entry->tag != 0 && tlb_entry_va(entry) >= KERNEL_BASE;
        const struct pagetable *table = entry->tag == 0 ? NULL
                                        : upper         ? &machine->kernel_table
                                                        : table_of(machine, entry);
        uint32_t slot = tlb_entry_va(entry) >> VM_SECTION_LOG;
        const uint32_t *descriptor =
            table != NULL ? vm_ram_at(&machine->ram, table->first + slot * 4, 4) : NULL;
        if (entry->tag != 0 && (descriptor == NULL || *descriptor != entry->pfn)) {
            return "tlb: the walk cache leads to a table that is gone";
        }
    }
    return NULL;
}

static const char *tlbs_check(const struct machine *machine) {
    const char *broken = tlb_check(machine, &machine->mmu.main);
    for (unsigned i = 0; i < machine->mmu.micros && broken == NULL; i++) {
        broken = tlb_check(machine, &machine->mmu.micro[i].tlb);
    }
    return broken != NULL ? broken : walk_cache_check(machine);
}

/* ---- all ---- */

static const char *spaces_check(struct recount *count) {
    struct machine *machine = count->machine;
    const char *broken = NULL;
    for (struct space *s = machine->spaces; s != NULL && broken == NULL; s = s->next) {
        broken = space_check(count, s);
        if (broken == NULL && s->kind == SPACE_USER) {
            pagetable_walk(s->table, page_count, count);
            broken = count->broken;
        }
    }
    if (broken == NULL) {
        pagetable_walk(&machine->kernel_table, kernel_page_count, count);
        broken = count->broken;
    }
    return broken;
}

const char *machine_check(struct machine *machine) {
    const char *broken = phys_check(machine->phys);
    broken = broken != NULL ? broken : lru_check(&machine->lru);
    broken = broken != NULL ? broken : pagecache_check(&machine->cache);
    broken = broken != NULL ? broken : shm_check(machine);
    if (broken != NULL) {
        return broken;
    }
    struct phys_usage usage;
    phys_usage(machine->phys, &usage);
    struct recount count = {.machine = machine};
    count.refs = calloc(usage.total, sizeof(count.refs[0]));
    if (count.refs == NULL) {
        return "check: the host's memory is out";
    }
    broken = spaces_check(&count);
    if (broken == NULL) {
        holders_count(&count);
        broken = references_check(&count, usage.total);
    }
    free(count.refs);
    return broken != NULL ? broken : tlbs_check(machine);
}
