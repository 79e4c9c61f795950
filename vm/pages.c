/* SPDX-License-Identifier: MIT
 *
 * pages.c - which page shows which frame, with which rights: the only code that changes user tables
 */
#include "space.h"

#include <assert.h>

enum { MIB_LOG = 20, RECLAIM_FOR_TABLE = 32 };

/* ---- rights ---- */

static bool page_writable(const struct region *region, const struct frame *frame) {
    if ((region->flags & REGION_WRITE) == 0) {
        return false;
    }
    if (frame == NULL) {
        return true;
    }
    if ((region->flags & REGION_SHARED) != 0) {
        return (frame->flags & FRAME_CACHE) == 0 || (frame->flags & FRAME_DIRTY) != 0;
    }
    return (frame->flags & (FRAME_CACHE | FRAME_SHARED)) == 0 && frame->refs == 1;
}

struct pagetable_map page_rights(const struct region *region, const struct frame *frame) {
    static const enum pagetable_memory memory[] = {PT_CACHED, PT_UNCACHED, PT_DEVICE,
                                                   PT_STRONGLY_ORDERED};
    uint32_t flags = region->space->kind == SPACE_USER ? 0 : PT_GLOBAL;
    if ((region->flags & REGION_RIGHTS) != 0) {
        flags |= PT_READ | ((region->flags & REGION_USER) != 0 ? PT_USER : 0u);
        flags |= (region->flags & REGION_EXECUTE) != 0 ? PT_EXECUTE : 0u;
        flags |= page_writable(region, frame) ? PT_WRITE : 0u;
    }
    return (struct pagetable_map){
        .flags = flags, .memory = memory[region->flags & REGION_MEMORY], .largest = VM_PAGE_LOG};
}

/* ---- one page ---- */

/* A frame holds the tables of four MiB; the range may begin and end inside of four. */
bool tables_ready(struct machine *machine, uint32_t bytes) {
    uint32_t frames = (bytes >> (MIB_LOG + 2)) + 2;
    uint32_t free_pages = phys_free_pages(machine->phys);
    if (free_pages < frames) {
        (void)machine_reclaim(machine, frames - free_pages, true);
    }
    bool enough = phys_free_pages(machine->phys) >= frames;
    machine->shortages += !enough;
    return enough;
}

static struct frame *frame_of(const struct space *space, vaddr_t va) {
    struct pagetable_found found;
    if (pagetable_query(space->table, va, &found) != VM_OK) {
        return NULL;
    }
    return phys_frame(space->machine->phys, found.pa);
}

enum vm_status page_show(struct region *region, vaddr_t va, struct frame *frame) {
    struct machine *machine = region->space->machine;
    uint32_t locked = frame->flags & FRAME_LOCKED;
    frame->flags |= FRAME_LOCKED;
    frame_ref(frame);
    struct pagetable_map how = page_rights(region, frame);
    paddr_t pa = phys_address(machine->phys, frame);
    enum vm_status status = pagetable_map(region->space->table, va, pa, VM_PAGE, &how);
    if (status == VM_NO_MEMORY && machine_reclaim(machine, RECLAIM_FOR_TABLE, true) > 0) {
        status = pagetable_map(region->space->table, va, pa, VM_PAGE, &how);
    }
    frame->flags &= ~(uint32_t)FRAME_LOCKED | locked;
    if (status != VM_OK) {
        frame->refs--;
        machine->shortages++;
    }
    return status;
}

/* After its last page table entry is gone: whoever else holds a reference keeps the frame. */
static void frame_hidden(struct machine *machine, struct frame *frame) {
    if (frame->refs == 1) {
        lru_remove(&machine->lru, frame);
    }
    (void)frame_unref(machine->phys, frame);
}

static void page_hide(struct space *space, vaddr_t va, struct frame *frame) {
    enum vm_status status = pagetable_unmap(space->table, va, VM_PAGE);
    assert(status == VM_OK);
    (void)status;
    if (frame != NULL) {
        frame_hidden(space->machine, frame);
    }
}

static void page_set_rights(struct space *space, vaddr_t va, const struct pagetable_map *how) {
    enum vm_status status = pagetable_protect(space->table, va, VM_PAGE, how);
    assert(status == VM_OK);
    (void)status;
}

/* ---- the pages of a region ---- */

vaddr_t page_next(const struct space *space, vaddr_t va, vaddr_t last, struct frame **frame) {
    for (uint64_t at = va; at <= last; at += VM_PAGE) {
        struct pagetable_found found;
        if (pagetable_query(space->table, (vaddr_t)at, &found) == VM_OK) {
            *frame = phys_frame(space->machine->phys, found.pa);
            return (vaddr_t)at;
        }
        if (space->table->used[at >> MIB_LOG] == 0) {
            at = ((at >> MIB_LOG) + 1) << MIB_LOG;
            at -= VM_PAGE;
        }
    }
    return VADDR_NONE;
}

#define FOR_PAGES(space, base, last, va, frame)                                                    \
    for (vaddr_t va = page_next(space, base, last, &(frame)); va != VADDR_NONE;                    \
         va = last - va < VM_PAGE ? VADDR_NONE : page_next(space, va + VM_PAGE, last, &(frame)))

void pages_hide(struct region *region, vaddr_t base, vaddr_t last) {
    struct frame *frame;
    FOR_PAGES(region->space, base, last, va, frame) {
        page_hide(region->space, va, region->kind == REGION_DEV ? NULL : frame);
    }
}

void pages_protect(struct region *region, vaddr_t base, vaddr_t last) {
    struct frame *frame;
    FOR_PAGES(region->space, base, last, va, frame) {
        struct pagetable_map how = page_rights(region, region->kind == REGION_DEV ? NULL : frame);
        page_set_rights(region->space, va, &how);
    }
}

/* ---- all pages that show a cached frame ---- */

/* Where the region shows the page, if it does now. */
static vaddr_t shown_at(const struct region *region, const struct frame *frame) {
    uint32_t page = frame->index - region->offset;
    vaddr_t va = region->base + (page << VM_PAGE_LOG);
    bool inside = page < region_bytes(region) >> VM_PAGE_LOG;
    return inside && frame_of(region->space, va) == frame ? va : VADDR_NONE;
}

void page_protect_everywhere(struct machine *machine, struct frame *frame) {
    struct region *region = machine->cache.contents[frame->owner]->regions;
    for (; region != NULL; region = region->file_next) {
        vaddr_t va = shown_at(region, frame);
        if (va != VADDR_NONE) {
            struct pagetable_map how = page_rights(region, frame);
            how.flags &= ~(uint32_t)PT_WRITE;
            page_set_rights(region->space, va, &how);
        }
    }
}

void page_hide_everywhere(struct machine *machine, struct frame *frame) {
    struct region *region = machine->cache.contents[frame->owner]->regions;
    for (; region != NULL && frame->refs > 1; region = region->file_next) {
        vaddr_t va = shown_at(region, frame);
        if (va != VADDR_NONE) {
            page_hide(region->space, va, frame);
        }
    }
}
