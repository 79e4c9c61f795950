/* SPDX-License-Identifier: MIT
 *
 * fork.c - copying a space: regions are duplicated, frames shared until one side writes
 */
#include "space.h"

#include <stdlib.h>

/* Pages of a shared anonymous region must be the same on both sides, also those not yet touched. */
static enum vm_status shared_fill(struct region *region) {
    bool shared = region->kind == REGION_ANON && (region->flags & REGION_SHARED) != 0;
    enum vm_status status = VM_OK;
    for (uint64_t va = region->base; shared && status == VM_OK && va < region->last;
         va += VM_PAGE) {
        if (space_query(region->space, (vaddr_t)va) == 0) {
            status = page_fill(region, (vaddr_t)va);
        }
    }
    return status;
}

/* The copy's attachment: one for all pieces, so it is kept in the original until all are made. */
static struct attach *attach_copy(struct attach *attach) {
    if (attach->copy == NULL) {
        attach->copy = calloc(1, sizeof(*attach));
        if (attach->copy == NULL) {
            return NULL;
        }
        *attach->copy = *attach;
        attach->copy->refs = 0;
        attach->copy->copy = NULL;
    }
    return attach->copy;
}

/* An equal region of the other space, without pages. */
static struct region *region_copy(const struct region *region, struct space *to) {
    uint32_t flags = region->flags | REGION_FIXED_NOREPLACE;
    struct attach *attach = NULL;
    if (region->attach != NULL) {
        attach = attach_copy(region->attach);
        if (attach == NULL) {
            return NULL;
        }
    }
    struct region *copy = region_alloc(to, region->base, region_bytes(region), flags);
    if (copy == NULL) {
        return NULL;
    }
    if (region->file != NULL) {
        region_show_file(copy, region->file, region->offset);
    }
    copy->kind = region->kind;
    copy->offset = region->offset;
    copy->attach = attach;
    if (attach != NULL) {
        attach_ref(to->machine, attach);
    }
    return copy;
}

static enum vm_status pages_copy(struct region *region, struct region *copy) {
    const struct space *space = region->space;
    enum vm_status status = VM_OK;
    struct frame *frame;
    vaddr_t va = page_next(space, region->base, region->last, &frame);
    while (va != VADDR_NONE && status == VM_OK) {
        if (region->kind == REGION_DEV) {
            struct pagetable_map how = page_rights(copy, NULL);
            paddr_t pa = space_query(space, va);
            status = pagetable_map(copy->space->table, va, pa, VM_PAGE, &how);
        } else {
            status = page_show(copy, va, frame);
        }
        bool more = region->last - va >= VM_PAGE;
        va = more ? page_next(space, va + VM_PAGE, region->last, &frame) : VADDR_NONE;
    }
    pages_protect(region, region->base, region->last);
    return status;
}

static enum vm_status region_clone(struct region *region, struct space *to) {
    enum vm_status status = shared_fill(region);
    if (status != VM_OK) {
        return status;
    }
    struct region *copy = region_copy(region, to);
    return copy != NULL ? pages_copy(region, copy) : VM_NO_MEMORY;
}

/* What copies were made of attachments, and not begun, is freed. */
static void copies_forget(struct space *space) {
    for (struct region *r = region_from(space->regions, 0); r != NULL;
         r = region_next(space->regions, r)) {
        if (r->attach != NULL && r->attach->copy != NULL) {
            if (r->attach->copy->refs == 0) {
                free(r->attach->copy);
            }
            r->attach->copy = NULL;
        }
    }
}

enum vm_status space_clone(struct space *space, struct space **out) {
    struct space *copy;
    if (space->kind != SPACE_USER || space->regions == NULL) {
        return VM_INVALID_ARGS;
    }
    enum vm_status status = space_new(space->machine, SPACE_USER, &copy);
    if (status != VM_OK) {
        return status;
    }
    for (struct region *r = region_from(space->regions, 0); r != NULL && status == VM_OK;
         r = region_next(space->regions, r)) {
        status = region_clone(r, copy);
    }
    copies_forget(space);
    copy->heap_now = space->heap_now;
    copy->heap_base = space->heap_base;
    copy->map_base = space->map_base;
    copy->map_bytes = space->map_bytes;
    if (status != VM_OK) {
        space_end(copy);
        /* Frames are the original's alone again. */
        for (struct region *r = region_from(space->regions, 0); r != NULL;
             r = region_next(space->regions, r)) {
            pages_protect(r, r->base, r->last);
        }
        return status;
    }
    *out = copy;
    return VM_OK;
}
