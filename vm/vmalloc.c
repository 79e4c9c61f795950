/* SPDX-License-Identifier: MIT
 *
 * vmalloc.c - memory that only looks contiguous
 */
#include "kmalloc.h"
#include "space.h"

static enum vm_status region_fill(struct region *region) {
    struct machine *machine = region->space->machine;
    enum vm_status status = VM_OK;
    for (uint32_t at = 0; at < region_bytes(region) && status == VM_OK; at += VM_PAGE) {
        struct frame *frame = machine_frame(machine);
        if (frame == NULL) {
            return VM_NO_MEMORY;
        }
        status = page_show(region, region->base + at, frame);
        if (status != VM_OK) {
            (void)frame_unref(machine->phys, frame);
        }
    }
    return status;
}

vaddr_t vmalloc(struct machine *machine, uint32_t bytes) {
    if (bytes == 0 || bytes > VMALLOC_MAX) {
        return 0;
    }
    struct region *region =
        region_alloc(machine->vmalloc, 0, bytes, REGION_READ | REGION_WRITE | REGION_PRIVATE);
    if (region == NULL) {
        return 0;
    }
    if (region_fill(region) != VM_OK) {
        region_free(region);
        return 0;
    }
    return region->base;
}

enum vm_status vfree(struct machine *machine, vaddr_t va) {
    if (va == 0) {
        return VM_INVALID_ARGS;
    }
    struct region *region = region_find(machine->vmalloc->regions, va);
    if (region == NULL || region->base != va || (region->flags & REGION_PRIVATE) == 0) {
        return VM_NOT_VALID;
    }
    region_free(region);
    return VM_OK;
}
