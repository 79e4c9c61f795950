/* SPDX-License-Identifier: MIT
 *
 * mmap.c - the system calls of a user space that concern memory
 */
#include "mmap.h"

#include <assert.h>
#include <errno.h>

enum {
    PROT_ALL = VM_PROT_READ | VM_PROT_WRITE | VM_PROT_EXECUTE,
    MAP_FLAGS =
        VM_MAP_SHARED | VM_MAP_PRIVATE | VM_MAP_FIXED | VM_MAP_ANONYMOUS | VM_MAP_FIXED_NOREPLACE,
    MREMAP_FLAGS = VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
    KEPT = REGION_HEAP | REGION_VDSO | REGION_LITEIPC /* rights and place are the kernel's */
};

/* Writing and executing imply reading. */
static uint32_t prot_rights(int prot) {
    uint32_t rights = prot != 0 ? REGION_READ : 0;
    rights |= (prot & VM_PROT_WRITE) != 0 ? REGION_WRITE : 0u;
    return rights | ((prot & VM_PROT_EXECUTE) != 0 ? REGION_EXECUTE : 0u);
}

/* Bytes rounded up to pages, 0 if there are none or too many. */
static uint32_t bytes_rounded(uint32_t bytes) {
    return bytes <= USER_BYTES ? vm_pages(bytes) << VM_PAGE_LOG : 0;
}

/* A range of a user space that a call names by address: aligned, not empty, not wrapping. */
static bool range_valid(const struct space *space, vaddr_t va, uint32_t bytes) {
    return space->kind == SPACE_USER && bytes != 0 && vm_page_aligned(va) &&
           space_has(space, va, bytes);
}

static bool heap_overlap(const struct space *space, vaddr_t base, vaddr_t last) {
    const struct region *region = region_overlap(space->regions, base, last);
    for (; region != NULL && region->base <= last; region = region_next(space->regions, region)) {
        if ((region->flags & REGION_HEAP) != 0) {
            return true;
        }
    }
    return false;
}

/* The heap region that the range lies wholly in, or NULL. */
static struct region *heap_around(const struct space *space, vaddr_t base, vaddr_t last) {
    struct region *region = region_find(space->regions, base);
    bool heap = region != NULL && (region->flags & REGION_HEAP) != 0 && region->last >= last;
    return heap ? region : NULL;
}

/* ---- mmap, munmap ---- */

static int mmap_refused(const struct space *space, vaddr_t hint, uint32_t bytes, int prot,
                        int flags, const struct file *file, uint32_t page_offset) {
    int kinds = flags & (VM_MAP_SHARED | VM_MAP_PRIVATE);
    bool fixed = (flags & (VM_MAP_FIXED | VM_MAP_FIXED_NOREPLACE)) != 0;
    if (space->kind != SPACE_USER || bytes == 0 || (prot & ~PROT_ALL) != 0 ||
        (flags & ~MAP_FLAGS) != 0 || (kinds != VM_MAP_SHARED && kinds != VM_MAP_PRIVATE)) {
        return -EINVAL;
    }
    if (page_offset > UINT32_MAX - (bytes >> VM_PAGE_LOG) ||
        (fixed && !range_valid(space, hint, bytes))) {
        return -EINVAL;
    }
    bool replaces = (flags & (VM_MAP_FIXED | VM_MAP_FIXED_NOREPLACE)) == VM_MAP_FIXED;
    if (replaces && heap_overlap(space, hint, hint + bytes - 1) &&
        heap_around(space, hint, hint + bytes - 1) == NULL) {
        return -EINVAL;
    }
    if ((flags & VM_MAP_ANONYMOUS) == 0) {
        bool written = kinds == VM_MAP_SHARED && (prot & VM_PROT_WRITE) != 0;
        return file == NULL ? -EBADF : written && !file->writable ? -EACCES : 0;
    }
    return 0;
}

/* Rights and kind of a region, as flags. */
static uint32_t mmap_region_flags(int prot, int flags) {
    uint32_t region_flags = REGION_USER | REGION_MMAP | prot_rights(prot);
    region_flags |= (flags & VM_MAP_SHARED) != 0 ? REGION_SHARED : REGION_PRIVATE;
    region_flags |= (flags & VM_MAP_FIXED) != 0 ? REGION_FIXED : 0u;
    return region_flags | ((flags & VM_MAP_FIXED_NOREPLACE) != 0 ? REGION_FIXED_NOREPLACE : 0u);
}

int vm_mmap(struct space *space, vaddr_t hint, uint32_t bytes, int prot, int flags,
            struct file *file, uint32_t page_offset, vaddr_t *at) {
    bytes = bytes_rounded(bytes);
    int refused = mmap_refused(space, hint, bytes, prot, flags, file, page_offset);
    if (refused != 0) {
        return refused;
    }
    bool fixed = (flags & (VM_MAP_FIXED | VM_MAP_FIXED_NOREPLACE)) != 0;
    hint = fixed || range_valid(space, hint, bytes) ? hint : 0;
    struct region *heap = hint != 0 ? heap_around(space, hint, hint + bytes - 1) : NULL;
    if (heap != NULL && (flags & VM_MAP_FIXED_NOREPLACE) == 0) {
        pages_hide(heap, hint, hint + bytes - 1);
        *at = hint;
        return 0;
    }
    struct region *region = region_alloc(space, hint, bytes, mmap_region_flags(prot, flags));
    if (region == NULL) {
        return -ENOMEM;
    }
    if ((flags & VM_MAP_ANONYMOUS) == 0) {
        region_show_file(region, file, page_offset);
    } else {
        region->kind = REGION_ANON;
    }
    *at = region->base;
    return 0;
}

int vm_munmap(struct space *space, vaddr_t va, uint32_t bytes) {
    bytes = bytes_rounded(bytes);
    if (!range_valid(space, va, bytes)) {
        return -EINVAL;
    }
    return space_unmap(space, va, va + bytes - 1) == VM_OK ? 0 : -ENOMEM;
}

/* ---- mprotect ---- */

int vm_mprotect(struct space *space, vaddr_t va, uint32_t bytes, int prot) {
    bytes = bytes_rounded(bytes);
    if (!range_valid(space, va, bytes) || (prot & ~PROT_ALL) != 0) {
        return -EINVAL;
    }
    vaddr_t last = va + bytes - 1;
    struct region *region = region_find(space->regions, va);
    if (region == NULL || last > region->last) {
        return -EINVAL;
    }
    if ((region->flags & KEPT) != 0) {
        return -EPERM;
    }
    bool written = (region->flags & REGION_SHARED) != 0 && (prot & VM_PROT_WRITE) != 0;
    if (region->file != NULL && written && !region->file->writable) {
        return -EACCES;
    }
    if (region->attach != NULL && written && !region->attach->writable) {
        return -EACCES;
    }
    if (!regions_reserve(space, 2)) {
        return -ENOMEM;
    }
    region_split(space, va);
    region_split(space, last + 1);
    region = region_find(space->regions, va);
    region->flags = (region->flags & ~(uint32_t)REGION_RIGHTS) | prot_rights(prot);
    pages_protect(region, va, last);
    return 0;
}

/* ---- mremap ---- */

struct remap {
    struct space *space;
    struct region *region;
    vaddr_t old;
    uint32_t old_bytes, new_bytes;
};

static int remap_refused(const struct remap *r, int flags, vaddr_t target) {
    bool fixed = (flags & VM_MREMAP_FIXED) != 0;
    if (!range_valid(r->space, r->old, r->old_bytes) || r->new_bytes == 0 ||
        (flags & ~MREMAP_FLAGS) != 0 || (fixed && (flags & VM_MREMAP_MAYMOVE) == 0)) {
        return -EINVAL;
    }
    if (r->region == NULL || r->old + r->old_bytes - 1 > r->region->last) {
        return -EFAULT;
    }
    if ((r->region->flags & KEPT) != 0) {
        return -EPERM;
    }
    if (r->region->kind != REGION_ANON && r->region->kind != REGION_FILE) {
        return -EINVAL;
    }
    uint32_t page = r->region->offset + ((r->old - r->region->base) >> VM_PAGE_LOG);
    if (r->region->kind == REGION_FILE && page > UINT32_MAX - (r->new_bytes >> VM_PAGE_LOG)) {
        return -EINVAL;
    }
    if (fixed) {
        bool apart = target > r->old + (r->old_bytes - 1) || r->old > target + (r->new_bytes - 1);
        if (!range_valid(r->space, target, r->new_bytes) || !apart ||
            heap_overlap(r->space, target, target + r->new_bytes - 1)) {
            return -EINVAL;
        }
    }
    return 0;
}

/* Whether the region ends with the old range and what follows it is free up to the new end: that of
 * the map area for what lies in there. */
static bool remap_grows_here(const struct remap *r) {
    const struct space *space = r->space;
    vaddr_t old_last = r->old + r->old_bytes - 1;
    vaddr_t map_last = space->map_base + space->map_bytes - 1;
    vaddr_t limit = old_last <= map_last ? map_last : space->base + space->bytes - 1;
    if (r->region->last != old_last || r->new_bytes - 1 > limit - r->old) {
        return false;
    }
    vaddr_t last = r->old + (r->new_bytes - 1);
    return region_overlap(space->regions, old_last + 1, last) == NULL;
}

/* The old range becomes a region of its own that is freed when its pages have moved. */
static int remap_move(struct remap *r, vaddr_t target, vaddr_t *at) {
    struct space *space = r->space;
    if (!tables_ready(space->machine, r->new_bytes) || !regions_reserve(space, 6)) {
        return -ENOMEM;
    }
    uint32_t flags = r->region->flags | (target != 0 ? REGION_FIXED : 0u);
    struct region *to = region_alloc(space, target, r->new_bytes, flags);
    if (to == NULL) {
        return -ENOMEM;
    }
    /* What was unmapped at the target may have split the old region elsewhere. */
    struct region *from = region_find(space->regions, r->old);
    region_split(space, r->old);
    region_split(space, r->old + r->old_bytes);
    from = region_find(space->regions, r->old);
    if (from->file != NULL) {
        region_show_file(to, from->file, from->offset);
    }
    to->kind = from->kind;
    to->offset = from->offset;
    uint32_t moved = r->old_bytes < r->new_bytes ? r->old_bytes : r->new_bytes;
    enum vm_status status = pagetable_move(space->table, to->base, from->base, moved);
    assert(status == VM_OK);
    (void)status;
    region_free(from);
    *at = to->base;
    return 0;
}

int vm_mremap(struct space *space, vaddr_t old, uint32_t old_bytes, uint32_t new_bytes, int flags,
              vaddr_t new_address, vaddr_t *at) {
    struct remap r = {.space = space, .old = old};
    r.old_bytes = bytes_rounded(old_bytes);
    r.new_bytes = bytes_rounded(new_bytes);
    r.region = region_find(space->regions, old);
    int refused = remap_refused(&r, flags, new_address);
    if (refused != 0) {
        return refused;
    }
    if ((flags & VM_MREMAP_FIXED) != 0) {
        return remap_move(&r, new_address, at);
    }
    *at = old;
    if (r.new_bytes < r.old_bytes) {
        vaddr_t last = old + r.old_bytes - 1;
        return space_unmap(space, old + r.new_bytes, last) == VM_OK ? 0 : -ENOMEM;
    }
    if (r.new_bytes == r.old_bytes) {
        return 0;
    }
    if (remap_grows_here(&r)) {
        region_resize(r.region, old + r.new_bytes - 1);
        return 0;
    }
    return (flags & VM_MREMAP_MAYMOVE) != 0 ? remap_move(&r, 0, at) : -ENOMEM;
}

/* ---- brk ---- */

static int heap_grow(struct space *space, vaddr_t end) {
    struct region *region = region_find(space->regions, space->heap_now - 1);
    if (region_overlap(space->regions, space->heap_now, end - 1) != NULL) {
        return -ENOMEM;
    }
    if (region != NULL && (region->flags & REGION_HEAP) != 0) {
        region_resize(region, end - 1);
        return 0;
    }
    uint32_t flags = REGION_USER | REGION_READ | REGION_WRITE | REGION_PRIVATE | REGION_HEAP |
                     REGION_FIXED_NOREPLACE;
    region = region_alloc(space, space->heap_now, end - space->heap_now, flags);
    if (region == NULL) {
        return -ENOMEM;
    }
    region->kind = REGION_ANON;
    return 0;
}

/* Of the heap only: a program may have unmapped parts of it, and others may lie there now. */
static int heap_shrink(struct space *space, vaddr_t end) {
    if (!regions_reserve(space, 2)) {
        return -ENOMEM;
    }
    struct region *region = region_find(space->regions, end);
    if (region != NULL && (region->flags & REGION_HEAP) != 0) {
        region_split(space, end);
    }
    region = region_overlap(space->regions, end, space->heap_now - 1);
    while (region != NULL && region->base < space->heap_now) {
        vaddr_t last = region->last;
        if ((region->flags & REGION_HEAP) != 0) {
            region_free(region);
        }
        region = region_from(space->regions, last + 1);
    }
    return 0;
}

int vm_brk(struct space *space, vaddr_t end, vaddr_t *now) {
    *now = space->heap_now;
    if (end == 0 && space->kind == SPACE_USER) {
        return 0;
    }
    if (space->kind != SPACE_USER || end < space->heap_base || end > space->map_base - VM_PAGE) {
        return -ENOMEM;
    }
    end = vm_pages(end) << VM_PAGE_LOG;
    int result = 0;
    if (end > space->heap_now) {
        result = heap_grow(space, end);
    } else if (end < space->heap_now) {
        result = heap_shrink(space, end);
    }
    if (result == 0) {
        *now = space->heap_now = end;
    }
    return result;
}

/* ---- msync ---- */

int vm_msync(struct space *space, vaddr_t va, uint32_t bytes) {
    struct machine *machine = space->machine;
    bytes = bytes_rounded(bytes);
    if (!range_valid(space, va, bytes)) {
        return -EINVAL;
    }
    int result = 0;
    struct frame *frame;
    vaddr_t last = va + bytes - 1;
    for (va = page_next(space, va, last, &frame); va != VADDR_NONE;
         va = last - va < VM_PAGE ? VADDR_NONE : page_next(space, va + VM_PAGE, last, &frame)) {
        if (frame != NULL && (frame->flags & FRAME_CACHE) != 0 &&
            (frame->flags & FRAME_DIRTY) != 0) {
            page_protect_everywhere(machine, frame);
            result = page_write(&machine->cache, frame) ? result : -EIO;
        }
    }
    return result;
}
