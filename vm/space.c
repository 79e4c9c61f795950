/* SPDX-License-Identifier: MIT
 *
 * space.c - address spaces and their regions
 */
#include "space.h"

#include <assert.h>
#include <stdlib.h>

/* ---- spaces ---- */

static void space_plan(struct space *space) {
    static const struct {
        vaddr_t base;
        uint32_t bytes;
    } plan[] = {[SPACE_USER] = {USER_BASE, USER_BYTES},
                [SPACE_KERNEL] = {KERNEL_BASE, KERNEL_BYTES},
                [SPACE_VMALLOC] = {VMALLOC_BASE, VMALLOC_MAX}};
    bool user = space->kind == SPACE_USER;
    space->base = plan[space->kind].base;
    space->bytes = plan[space->kind].bytes;
    space->map_base = user ? USER_MAP : space->base;
    space->map_bytes = user ? USER_MAPPED : space->bytes;
    space->heap_base = space->heap_now = user ? USER_HEAP : 0;
}

enum vm_status space_new(struct machine *machine, enum space_kind kind, struct space **out) {
    struct space *space = calloc(1, sizeof(*space));
    if (space == NULL) {
        return VM_NO_MEMORY;
    }
    space->machine = machine;
    space->kind = kind;
    space_plan(space);
    space->table = kind == SPACE_USER ? &space->own_table : &machine->kernel_table;
    if (kind == SPACE_USER) {
        enum vm_status status = machine_has_memory(machine)
                                    ? pagetable_open(space->table, &machine->ram, 2, false)
                                    : VM_NO_MEMORY;
        if (status != VM_OK) {
            free(space);
            return status;
        }
        space->table->invalidate = mmu_invalidate;
        space->table->invalidate_context = &machine->mmu;
    }
    space->next = machine->spaces;
    if (space->next != NULL) {
        space->next->prev = space;
    }
    machine->spaces = space;
    *out = space;
    return VM_OK;
}

static void spare_free(struct space *space) {
    while (space->spare_count > 0) {
        struct region *region = space->spare;
        space->spare = region->right;
        space->spare_count--;
        space->machine->regions--;
        free(region);
    }
}

void space_end(struct space *space) {
    struct machine *machine = space->machine;
    while (space->regions != NULL) {
        region_free(space->regions);
    }
    spare_free(space);
    if (space->kind == SPACE_USER) {
        mmu_tlbiasid(&machine->mmu, space->asid);
        asid_put(&machine->asids, &space->tag);
        pagetable_close(space->table);
    }
    if (machine->running == space) {
        machine->running = NULL;
    }
    *(space->prev != NULL ? &space->prev->next : &machine->spaces) = space->next;
    if (space->next != NULL) {
        space->next->prev = space->prev;
    }
    free(space);
}

enum vm_status space_delete(struct space *space) {
    if (space->kind == SPACE_USER) {
        space_end(space);
    }
    return VM_OK;
}

/* As the architecture asks: through the reserved ASID 0, so that no entry of the new tables gets
 * the old ASID. */
void space_run(struct space *space) {
    struct machine *machine = space->machine;
    mmu_set_user(&machine->mmu, space->kind == SPACE_USER);
    if (space->kind != SPACE_USER || machine->running == space) {
        return;
    }
    if (asid_get(&machine->asids, &space->tag, NULL, &space->asid)) {
        mmu_tlbiall(&machine->mmu);
        machine->rollovers++;
    }
    mmu_write(&machine->mmu, MMU_CONTEXTIDR, 0);
    mmu_write(&machine->mmu, MMU_TTBR0, space->table->first);
    mmu_write(&machine->mmu, MMU_CONTEXTIDR, space->asid);
    machine->running = space;
}

/* ---- addresses ---- */

bool space_has(const struct space *space, vaddr_t base, uint32_t bytes) {
    uint32_t distance = base - space->base;
    return distance < space->bytes && bytes <= space->bytes - distance;
}

struct space *space_of(const struct machine *machine, vaddr_t va) {
    struct space *order[] = {machine->kernel, machine->running, machine->vmalloc};
    for (int i = 0; i < 3; i++) {
        if (order[i] != NULL && space_has(order[i], va, 1)) {
            return order[i];
        }
    }
    return NULL;
}

paddr_t space_query(const struct space *space, vaddr_t va) {
    struct pagetable_found found;
    bool mapped = space_has(space, va, 1) && pagetable_query(space->table, va, &found) == VM_OK;
    return mapped ? found.pa : 0;
}

/* ---- regions: taking and giving back ---- */

bool regions_reserve(struct space *space, uint32_t count) {
    struct machine *machine = space->machine;
    while (space->spare_count < count) {
        struct region *region =
            machine->regions < machine->regions_max ? calloc(1, sizeof(*region)) : NULL;
        if (region == NULL) {
            return false;
        }
        region->right = space->spare;
        space->spare = region;
        space->spare_count++;
        machine->regions++;
    }
    return true;
}

static struct region *region_take(struct space *space) {
    struct region *region = space->spare;
    assert(region != NULL);
    space->spare = region->right;
    space->spare_count--;
    *region = (struct region){.space = space};
    return region;
}

static void file_link(struct region *region) {
    struct contents *contents = file_contents(region->file);
    file_ref(region->file);
    region->file_prev = NULL;
    region->file_next = contents->regions;
    if (contents->regions != NULL) {
        contents->regions->file_prev = region;
    }
    contents->regions = region;
}

static void file_unlink(struct region *region) {
    struct contents *contents = file_contents(region->file);
    *(region->file_prev != NULL ? &region->file_prev->file_next : &contents->regions) =
        region->file_next;
    if (region->file_next != NULL) {
        region->file_next->file_prev = region->file_prev;
    }
    file_unref(region->file);
}

void region_show_file(struct region *region, struct file *file, uint32_t offset) {
    assert(region->kind == REGION_NONE);
    region->kind = REGION_FILE;
    region->file = file;
    region->offset = offset;
    file_link(region);
}

void region_free(struct region *region) {
    struct space *space = region->space;
    bool linear = space->kind == SPACE_KERNEL && region->kind == REGION_DEV;
    if (!linear) {
        pages_hide(region, region->base, region->last);
    }
    region_remove(&space->regions, region);
    space->region_count--;
    space->machine->regions--;
    if (region->file != NULL) {
        file_unlink(region);
    }
    if (region->attach != NULL) {
        attach_unref(space->machine, region->attach);
    }
    free(region);
}

static void region_add(struct space *space, struct region *region) {
    region_insert(&space->regions, region);
    space->region_count++;
}

void region_split(struct space *space, vaddr_t va) {
    struct region *low = region_find(space->regions, va);
    if (low == NULL || low->base == va) {
        return;
    }
    struct region *high = region_take(space);
    *high = *low;
    high->base = va;
    high->offset += (va - low->base) >> VM_PAGE_LOG;
    low->last = va - 1;
    region_moved(&space->regions, low);
    region_add(space, high);
    if (high->file != NULL) {
        file_link(high);
    }
    if (high->attach != NULL) {
        attach_ref(space->machine, high->attach);
    }
}

void region_resize(struct region *region, vaddr_t last) {
    region->last = last;
    region_moved(&region->space->regions, region);
}

enum vm_status space_unmap(struct space *space, vaddr_t base, vaddr_t last) {
    assert(vm_page_aligned(base) && vm_page_aligned(last + 1));
    if (region_overlap(space->regions, base, last) == NULL) {
        return VM_OK;
    }
    if (!regions_reserve(space, 2)) {
        return VM_NO_MEMORY;
    }
    region_split(space, base);
    region_split(space, last + 1);
    struct region *region;
    while ((region = region_overlap(space->regions, base, last)) != NULL) {
        region_free(region);
    }
    return VM_OK;
}

/* Where a region of that many bytes goes; VADDR_NONE if nowhere. */
static vaddr_t region_place(const struct space *space, vaddr_t va, uint32_t bytes, uint32_t flags) {
    if (va != 0) {
        if (!vm_page_aligned(va) || !space_has(space, va, bytes)) {
            return VADDR_NONE;
        }
        bool taken = region_overlap(space->regions, va, va + bytes - 1) != NULL;
        if (!taken || (flags & REGION_FIXED) != 0) {
            return va;
        }
        if ((flags & REGION_FIXED_NOREPLACE) != 0) {
            return VADDR_NONE;
        }
    }
    vaddr_t last = space->map_base + space->map_bytes - 1;
    return region_gap(space->regions, bytes, space->map_base, last);
}

struct region *region_alloc(struct space *space, vaddr_t va, uint32_t bytes, uint32_t flags) {
    bytes = vm_pages(bytes) << VM_PAGE_LOG;
    if ((flags & REGION_FIXED_NOREPLACE) != 0) {
        flags &= ~(uint32_t)REGION_FIXED;
    }
    vaddr_t place = bytes > 0 ? region_place(space, va, bytes, flags) : VADDR_NONE;
    bool replaces = (flags & REGION_FIXED) != 0;
    if (place == VADDR_NONE || !regions_reserve(space, replaces ? 3 : 1)) {
        return NULL;
    }
    if (replaces && space_unmap(space, place, place + bytes - 1) != VM_OK) {
        return NULL;
    }
    struct region *region = region_take(space);
    region->base = place;
    region->last = place + bytes - 1;
    region->flags = flags & ~(uint32_t)(REGION_FIXED | REGION_FIXED_NOREPLACE);
    region_add(space, region);
    return region;
}

/* ---- ranges made by the kernel ---- */

enum vm_status space_reserve(struct space *space, vaddr_t va, uint32_t bytes, uint32_t flags) {
    if (bytes == 0 || !vm_page_aligned(va | bytes)) {
        return VM_INVALID_ARGS;
    }
    if (!space_has(space, va, bytes)) {
        return VM_OUT_OF_RANGE;
    }
    flags |= REGION_FIXED_NOREPLACE;
    return region_alloc(space, va, bytes, flags) != NULL ? VM_OK : VM_NO_MEMORY;
}

/* Whether all frames of the range are managed and in use, or none is managed. */
static bool frames_valid(const struct machine *machine, paddr_t pa, uint32_t bytes, bool ram) {
    for (uint32_t at = 0; at < bytes; at += VM_PAGE) {
        const struct frame *frame = phys_frame(machine->phys, pa + at);
        if ((frame != NULL && frame->refs > 0) != ram || (frame != NULL) != ram) {
            return false;
        }
    }
    return true;
}

static enum vm_status region_given(struct space *space, vaddr_t va, paddr_t pa, uint32_t bytes,
                                   bool ram) {
    if (bytes == 0 || va + (bytes - 1) < va || pa + (bytes - 1) < pa) {
        return VM_INVALID_ARGS;
    }
    if (!vm_page_aligned(va | pa | bytes)) {
        return VM_NOT_VALID;
    }
    if (!space_has(space, va, bytes)) {
        return VM_OUT_OF_RANGE;
    }
    if (!frames_valid(space->machine, pa, bytes, ram)) {
        return VM_NOT_VALID;
    }
    return region_overlap(space->regions, va, va + bytes - 1) == NULL ? VM_OK : VM_BUSY;
}

enum vm_status space_map_frames(struct space *space, vaddr_t va, paddr_t pa, uint32_t bytes,
                                uint32_t flags) {
    enum vm_status status = region_given(space, va, pa, bytes, true);
    if (status != VM_OK) {
        return status;
    }
    flags |= REGION_SHARED | REGION_FIXED_NOREPLACE;
    struct region *region = region_alloc(space, va, bytes, flags);
    if (region == NULL) {
        return VM_NO_MEMORY;
    }
    for (uint32_t at = 0; at < bytes && status == VM_OK; at += VM_PAGE) {
        status = page_show(region, va + at, phys_frame(space->machine->phys, pa + at));
    }
    if (status != VM_OK) {
        region_free(region);
    }
    return status;
}

enum vm_status space_map_device(struct space *space, vaddr_t va, paddr_t pa, uint32_t bytes,
                                uint32_t flags) {
    enum vm_status status = region_given(space, va, pa, bytes, false);
    if (status != VM_OK) {
        return status;
    }
    flags |= REGION_SHARED | REGION_FIXED_NOREPLACE;
    struct region *region = region_alloc(space, va, bytes, flags);
    if (region == NULL) {
        return VM_NO_MEMORY;
    }
    region->kind = REGION_DEV;
    struct pagetable_map how = page_rights(region, NULL);
    status = pagetable_map(space->table, va, pa, bytes, &how);
    if (status != VM_OK) {
        region_free(region);
    }
    return status;
}
