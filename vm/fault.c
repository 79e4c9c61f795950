/* SPDX-License-Identifier: MIT
 *
 * fault.c - demand paging, copy-on-write, loads and stores of programs, and fork
 */
#include "space.h"

#include <assert.h>
#include <string.h>

enum { TRIES_MAX = 4 };

/* ---- faults ---- */

static void *frame_host(const struct machine *machine, const struct frame *frame) {
    return phys_host(machine->phys, phys_address(machine->phys, frame));
}

/* A frame with the same contents; the original is not reclaimed meanwhile. */
static struct frame *frame_copy(struct machine *machine, struct frame *frame) {
    frame->flags |= FRAME_LOCKED;
    struct frame *copy = machine_frame(machine);
    frame->flags &= ~(uint32_t)FRAME_LOCKED;
    if (copy != NULL) {
        memcpy(frame_host(machine, copy), frame_host(machine, frame), VM_PAGE);
        machine->copies++;
    }
    return copy;
}

/* Shows a frame that is the page's own, or frees it. */
static enum vm_status private_show(struct region *region, vaddr_t va, struct frame *frame) {
    struct machine *machine = region->space->machine;
    if (frame == NULL) {
        return VM_NO_MEMORY;
    }
    enum vm_status status = page_show(region, va, frame);
    if (status == VM_OK) {
        lru_add(&machine->lru, frame);
    } else {
        (void)frame_unref(machine->phys, frame);
    }
    return status;
}

/* The page is shown, but may not be written yet. */
static enum vm_status shown_write(struct region *region, vaddr_t va, struct frame *frame) {
    struct machine *machine = region->space->machine;
    bool shared = (region->flags & REGION_SHARED) != 0;
    if (frame == NULL || region->kind == REGION_DEV) {
        return VM_OK;
    }
    if (shared && (frame->flags & FRAME_CACHE) != 0) {
        page_dirty(&machine->cache, frame);
        lru_use(&machine->lru, frame);
        return VM_OK;
    }
    if (shared || ((frame->flags & FRAME_CACHE) == 0 && frame->refs == 1)) {
        return VM_OK;
    }
    struct frame *copy = frame_copy(machine, frame);
    if (copy == NULL) {
        return VM_NO_MEMORY;
    }
    /* Cannot fail: a table that the unmapping frees is there to be taken again. */
    pages_hide(region, va, va + VM_PAGE - 1);
    enum vm_status status = private_show(region, va, copy);
    assert(status == VM_OK);
    return status;
}

static enum vm_status file_page(struct region *region, vaddr_t va, struct frame **out) {
    struct pagecache *cache = &region->space->machine->cache;
    uint32_t index = region->offset + ((va - region->base) >> VM_PAGE_LOG);
    *out = page_find(cache, region->file, index);
    if (*out != NULL) {
        lru_use(cache->lru, *out);
        return VM_OK;
    }
    return machine_has_memory(region->space->machine) ? page_read(cache, region->file, index, out)
                                                      : VM_NO_MEMORY;
}

static enum vm_status file_fault(struct region *region, vaddr_t va, enum vm_kind kind) {
    struct machine *machine = region->space->machine;
    struct frame *frame;
    enum vm_status status = file_page(region, va, &frame);
    if (status != VM_OK) {
        return status;
    }
    bool shared = (region->flags & REGION_SHARED) != 0;
    if (kind == VM_STORE && !shared) {
        return private_show(region, va, frame_copy(machine, frame));
    }
    status = page_show(region, va, frame);
    if (status == VM_OK && kind == VM_STORE) {
        page_dirty(&machine->cache, frame);
        pages_protect(region, va, va + VM_PAGE - 1);
    }
    return status;
}

enum vm_status page_fill(struct region *region, vaddr_t va) {
    return private_show(region, va, machine_frame(region->space->machine));
}

enum vm_status space_fault(struct space *space, vaddr_t va, enum vm_kind kind) {
    static const uint32_t right[VM_KINDS] = {REGION_READ, REGION_READ | REGION_WRITE,
                                             REGION_READ | REGION_EXECUTE};
    struct machine *machine = space->machine;
    struct frame *frame;
    machine->faults++;
    if (!space_has(space, va, 1)) {
        return VM_ACCESS_DENIED;
    }
    struct region *region = region_find(space->regions, va);
    if (region == NULL) {
        return VM_NOT_FOUND;
    }
    if ((region->flags & right[kind]) != right[kind]) {
        return VM_ACCESS_DENIED;
    }
    va &= ~(VM_PAGE - 1);
    if (page_next(space, va, va + VM_PAGE - 1, &frame) == va) {
        enum vm_status status = kind == VM_STORE ? shown_write(region, va, frame) : VM_OK;
        pages_protect(region, va, va + VM_PAGE - 1);
        return status;
    }
    switch (region->kind) {
    case REGION_ANON:
        return page_fill(region, va);
    case REGION_FILE:
        return file_fault(region, va, kind);
    default:
        return VM_NOT_FOUND;
    }
}

/* ---- loads and stores ---- */

struct access {
    struct space *space;
    enum vm_kind kind;
    uint8_t *to;
    const uint8_t *from;
};

static enum vm_fault chunk_access(const struct access *access, vaddr_t va, uint32_t done,
                                  uint32_t bytes) {
    struct mmu *mmu = &access->space->machine->mmu;
    switch (access->kind) {
    case VM_LOAD:
        return mmu_load_bytes(mmu, access->to + done, va, bytes);
    case VM_STORE:
        return mmu_store_bytes(mmu, va, access->from + done, bytes);
    default:
        return mmu_access(mmu, va, VM_FETCH);
    }
}

static enum vm_status space_access(const struct access *access, vaddr_t va, uint32_t bytes) {
    struct space *space = access->space;
    if (!space_has(space, va, bytes)) {
        return VM_ACCESS_DENIED;
    }
    space_run(space);
    for (uint32_t done = 0; done < bytes;) {
        uint32_t page_left = VM_PAGE - ((va + done) & (VM_PAGE - 1));
        uint32_t chunk = bytes - done < page_left ? bytes - done : page_left;
        enum vm_fault fault = chunk_access(access, va + done, done, chunk);
        for (int tries = 0; fault != VM_FAULT_NONE; tries++) {
            if (fault == VM_FAULT_EXTERNAL) {
                return VM_NOT_VALID;
            }
            assert(tries < TRIES_MAX && "a fault was handled and the access failed again");
            enum vm_status status = space_fault(space, va + done, access->kind);
            if (status != VM_OK) {
                return status;
            }
            fault = chunk_access(access, va + done, done, chunk);
        }
        done += chunk;
    }
    return VM_OK;
}

enum vm_status space_load(struct space *space, void *to, vaddr_t va, uint32_t bytes) {
    return space_access(&(struct access){space, VM_LOAD, to, NULL}, va, bytes);
}

enum vm_status space_store(struct space *space, vaddr_t va, const void *from, uint32_t bytes) {
    return space_access(&(struct access){space, VM_STORE, NULL, from}, va, bytes);
}

enum vm_status space_fetch(struct space *space, vaddr_t va) {
    return space_access(&(struct access){space, VM_FETCH, NULL, NULL}, va, 1);
}
