/* SPDX-License-Identifier: MIT
 *
 * shm.c - System V shared memory
 */
#include "space.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MODE_RIGHTS = 0777, MODE_WRITE = 0222 };

static struct segment_shared *segment_at(struct machine *machine, int id) {
    bool known = id >= 0 && id < SHM_SEGMENTS && machine->shm.segment[id].pages > 0;
    return known ? &machine->shm.segment[id] : NULL;
}

/* ---- segments ---- */

static void segment_end(struct machine *machine, struct segment_shared *segment) {
    for (uint32_t i = 0; i < segment->pages; i++) {
        struct frame *frame = phys_frame_at(machine->phys, segment->frame[i]);
        assert(frame->refs == 1);
        lru_remove(&machine->lru, frame);
        frame->flags = 0;
        (void)frame_unref(machine->phys, frame);
    }
    machine->shm.pages -= segment->pages;
    free(segment->frame);
    *segment = (struct segment_shared){0};
}

/* Fills a free place; false: no memory, and nothing was made. */
static bool segment_new(struct machine *machine, struct segment_shared *segment, uint32_t pages) {
    segment->frame = calloc(pages, sizeof(segment->frame[0]));
    if (segment->frame == NULL) {
        return false;
    }
    machine->shm.pages += pages;
    for (; segment->pages < pages; segment->pages++) {
        struct frame *frame = machine_frame(machine);
        if (frame == NULL) {
            machine->shm.pages -= pages - segment->pages;
            segment_end(machine, segment);
            return false;
        }
        frame_ref(frame);
        frame->flags |= FRAME_SHARED;
        lru_add(&machine->lru, frame);
        segment->frame[segment->pages] = phys_frame_number(machine->phys, frame);
    }
    return true;
}

/* The place of the segment with that key, else of a free one; -1 if there is neither. */
static int segment_place(const struct shm *shm, int32_t key, bool *found) {
    int unused = -1;
    *found = false;
    for (int id = 0; id < SHM_SEGMENTS; id++) {
        const struct segment_shared *segment = &shm->segment[id];
        if (segment->pages == 0) {
            unused = unused < 0 ? id : unused;
        } else if (key != SHM_PRIVATE && segment->key == key && !segment->removed) {
            *found = true;
            return id;
        }
    }
    return unused;
}

int shm_get(struct machine *machine, int32_t key, uint32_t bytes, int flags) {
    struct shm *shm = &machine->shm;
    bool found;
    int id = segment_place(shm, key, &found);
    if (found) {
        bool exclusive = (flags & SHM_CREATE) != 0 && (flags & SHM_EXCLUSIVE) != 0;
        return exclusive ? -EEXIST : bytes > shm->segment[id].bytes ? -EINVAL : id;
    }
    if (key != SHM_PRIVATE && (flags & SHM_CREATE) == 0) {
        return -ENOENT;
    }
    uint32_t pages = vm_pages(bytes);
    if (pages == 0 || pages > SHM_PAGES) {
        return -EINVAL;
    }
    if (id < 0 || pages > SHM_PAGES - shm->pages) {
        return -ENOSPC;
    }
    struct segment_shared *segment = &shm->segment[id];
    if (!segment_new(machine, segment, pages)) {
        return -ENOMEM;
    }
    segment->key = key;
    segment->bytes = bytes;
    segment->mode = (uint32_t)flags & MODE_RIGHTS;
    return id;
}

int shm_stat(const struct machine *machine, int id, struct shm_info *out) {
    const struct segment_shared *segment = segment_at((struct machine *)(uintptr_t)machine, id);
    if (segment == NULL) {
        return -EINVAL;
    }
    *out = (struct shm_info){segment->bytes, segment->pages, segment->attaches, segment->mode,
                             segment->removed};
    return 0;
}

int shm_remove(struct machine *machine, int id) {
    struct segment_shared *segment = segment_at(machine, id);
    if (segment == NULL) {
        return -EINVAL;
    }
    segment->removed = true;
    if (segment->attaches == 0) {
        segment_end(machine, segment);
    }
    return 0;
}

int shm_set_mode(struct machine *machine, int id, uint32_t mode) {
    struct segment_shared *segment = segment_at(machine, id);
    if (segment == NULL) {
        return -EINVAL;
    }
    segment->mode = mode & MODE_RIGHTS;
    return 0;
}

/* ---- attachments ---- */

void attach_ref(struct machine *machine, struct attach *attach) {
    machine->shm.segment[attach->id].attaches += attach->refs == 0;
    attach->refs++;
}

void attach_unref(struct machine *machine, struct attach *attach) {
    assert(attach->refs > 0);
    if (--attach->refs == 0) {
        struct segment_shared *segment = &machine->shm.segment[attach->id];
        if (--segment->attaches == 0 && segment->removed) {
            segment_end(machine, segment);
        }
        free(attach);
    }
}

/* The place asked for, rounded down to a page where that is allowed; 0 where there is room. */
static int attach_place(const struct space *space, vaddr_t *va, uint32_t bytes, int flags) {
    if ((flags & SHM_ROUND) != 0) {
        *va &= ~(VM_PAGE - 1);
    }
    if (*va == 0) {
        return (flags & SHM_REMAP_OVER) != 0 ? -EINVAL : 0;
    }
    if (!vm_page_aligned(*va) || !space_has(space, *va, bytes)) {
        return -EINVAL;
    }
    bool taken = region_overlap(space->regions, *va, *va + bytes - 1) != NULL;
    return taken && (flags & SHM_REMAP_OVER) == 0 ? -EINVAL : 0;
}

static bool frames_show(struct region *region, const struct segment_shared *segment) {
    struct phys *phys = region->space->machine->phys;
    for (uint32_t i = 0; i < segment->pages; i++) {
        struct frame *frame = phys_frame_at(phys, segment->frame[i]);
        if (page_show(region, region->base + (i << VM_PAGE_LOG), frame) != VM_OK) {
            return false;
        }
    }
    return true;
}

/* All that may fail comes before what is there is unmapped. */
static int attach_make(struct space *space, int id, vaddr_t va, uint32_t flags, vaddr_t *at) {
    struct segment_shared *segment = &space->machine->shm.segment[id];
    uint32_t bytes = segment->pages << VM_PAGE_LOG;
    struct attach *attach = calloc(1, sizeof(*attach));
    bool ready = attach != NULL && tables_ready(space->machine, bytes);
    struct region *region = ready ? region_alloc(space, va, bytes, flags) : NULL;
    if (region == NULL) {
        free(attach);
        return -ENOMEM;
    }
    *attach = (struct attach){.id = (uint32_t)id, .base = region->base, .bytes = bytes};
    attach->writable = (segment->mode & MODE_WRITE) != 0;
    region->kind = REGION_SEGMENT;
    region->attach = attach;
    attach_ref(space->machine, attach);
    if (!frames_show(region, segment)) {
        region_free(region);
        return -ENOMEM;
    }
    *at = region->base;
    return 0;
}

int shm_attach(struct space *space, int id, vaddr_t va, int flags, vaddr_t *at) {
    const struct segment_shared *segment = segment_at(space->machine, id);
    if (segment == NULL || space->kind != SPACE_USER) {
        return -EINVAL;
    }
    if (segment->removed) {
        return -EIDRM;
    }
    bool write = (flags & SHM_READ_ONLY) == 0;
    if (write && (segment->mode & MODE_WRITE) == 0) {
        return -EACCES;
    }
    int placed = attach_place(space, &va, segment->pages << VM_PAGE_LOG, flags);
    if (placed != 0) {
        return placed;
    }
    uint32_t region_flags = REGION_USER | REGION_SHARED | REGION_SHM | REGION_READ |
                            (write ? REGION_WRITE : 0u) |
                            ((flags & SHM_EXECUTE) != 0 ? REGION_EXECUTE : 0u) |
                            ((flags & SHM_REMAP_OVER) != 0 ? REGION_FIXED : 0u);
    return attach_make(space, id, va, region_flags, at);
}

/* The first piece of the attachment that was made at va; it may have lost its beginning. */
static struct region *attach_piece(const struct space *space, vaddr_t va) {
    struct region *region = region_from(space->regions, va);
    vaddr_t last = va + ((SHM_PAGES << VM_PAGE_LOG) - 1);
    for (; region != NULL && region->base <= last; region = region_next(space->regions, region)) {
        if (region->attach != NULL && region->attach->base == va) {
            return region;
        }
    }
    return NULL;
}

int shm_detach(struct space *space, vaddr_t va) {
    struct region *region = space_has(space, va, 1) ? attach_piece(space, va) : NULL;
    if (region == NULL) {
        return -EINVAL;
    }
    const struct attach *attach = region->attach;
    for (uint32_t pieces = attach->refs; pieces > 0; pieces--) {
        struct region *piece = attach_piece(space, va);
        while (piece->attach != attach) {
            piece = region_next(space->regions, piece);
        }
        region_free(piece);
    }
    return 0;
}

/* ---- check ---- */

/* Each attachment counts where its lowest piece is. */
static bool is_first_piece(const struct region *region) {
    struct region *root = region->space->regions;
    const struct region *before = region_from(root, region->attach->base);
    while (before != region && before->attach != region->attach) {
        before = region_next(root, before);
    }
    return before == region;
}

const char *shm_check(const struct machine *machine) {
    uint32_t pages = 0;
    uint32_t attaches[SHM_SEGMENTS] = {0};
    for (const struct space *space = machine->spaces; space != NULL; space = space->next) {
        for (const struct region *r = region_from(space->regions, 0); r != NULL;
             r = region_next(space->regions, r)) {
            if ((r->attach != NULL) != ((r->flags & REGION_SHM) != 0)) {
                return "shared memory: an attached region lost its flag";
            }
            if (r->attach != NULL) {
                attaches[r->attach->id] += is_first_piece(r);
            }
        }
    }
    for (int id = 0; id < SHM_SEGMENTS; id++) {
        const struct segment_shared *segment = &machine->shm.segment[id];
        pages += segment->pages;
        if (segment->attaches != attaches[id] || (segment->pages == 0 && attaches[id] > 0)) {
            return "shared memory: attachments are counted wrong";
        }
        if (segment->removed && segment->attaches == 0) {
            return "shared memory: a removed segment outlived its last attachment";
        }
    }
    return pages == machine->shm.pages ? NULL : "shared memory: pages are counted wrong";
}
