/* SPDX-License-Identifier: MIT
 *
 * space.h - address spaces: regions, what is mapped in them, and who refers to which frame
 *
 * Every function that can fail takes what it needs (regions, frames for tables) before it changes
 * anything, so a failure leaves regions and mappings as they were.
 *
 * Rights of a page follow from its region and its frame, in one place (page_rights in fault.c): a
 * private page can be written iff its frame is the page's alone, a page of a shared file iff it is
 * marked dirty. So no call can make a page writable that is still to be copied.
 */
#ifndef HEAPRIG_VM_SPACE_H
#define HEAPRIG_VM_SPACE_H

#include "machine.h"

enum space_kind { SPACE_USER, SPACE_KERNEL, SPACE_VMALLOC };

struct space {
    struct machine *machine;
    struct space *next, *prev; /* of the machine */
    enum space_kind kind;
    vaddr_t base;
    uint32_t bytes;
    vaddr_t heap_base, heap_now; /* brk */
    vaddr_t map_base;
    uint32_t map_bytes; /* where regions go that do not say where */
    struct region *regions;
    uint32_t region_count;
    struct region *spare; /* reserved, through `right` */
    uint32_t spare_count;
    struct pagetable own_table;
    struct pagetable *table; /* own, or the kernel's */
    uint64_t tag;            /* ASID and generation */
    uint8_t asid;            /* of the tag */
};

/* An empty space. VM_NO_MEMORY. The machine makes those of kernel and vmalloc. */
enum vm_status space_new(struct machine *machine, enum space_kind kind, struct space **out);

/* Unmaps all and ends the space; kernel and vmalloc are left alone (VM_OK), as LiteOS does.
 * O(regions + pages mapped). */
enum vm_status space_delete(struct space *space);

/* The same for any kind, for the machine's end. */
void space_end(struct space *space);

/* Copies a user space for fork: private pages are shared until one side writes, shared ones stay
 * so. VM_INVALID_ARGS: not a user space, or an empty one; VM_NO_MEMORY: nothing was made. */
enum vm_status space_clone(struct space *space, struct space **out);

/* Makes the MMU translate for this space; loads and stores below do it themselves. */
void space_run(struct space *space);

/* ---- addresses ---- */

/* LiteOS': kernel, then user (the running space), then vmalloc, else NULL. */
struct space *space_of(const struct machine *machine, vaddr_t va);

/* Whether [base, base + bytes) lies inside and does not wrap; true for 0 bytes inside. */
bool space_has(const struct space *space, vaddr_t base, uint32_t bytes);

/* Physical address of va, 0 if unmapped or out of range. */
paddr_t space_query(const struct space *space, vaddr_t va);

/* ---- regions ---- */

/* Makes sure that so many regions can be taken without failing; false: limit or host memory. */
bool regions_reserve(struct space *space, uint32_t count);

/* A new region of whole pages (bytes is rounded up), kind NONE. va 0: the first gap from map_base
 * up. Else at va if that is free, and if it is not: with REGION_FIXED_NOREPLACE none, with
 * REGION_FIXED after unmapping what overlaps in this space, otherwise at another place. NULL: bytes
 * is 0, va is not page aligned, outside the space, no gap, no memory. */
struct region *region_alloc(struct space *space, vaddr_t va, uint32_t bytes, uint32_t flags);

/* Unmaps the region's pages, drops their references, and frees it. O(pages mapped). */
void region_free(struct region *region);

/* Frees what of the regions lies in [base, last], page aligned; splits at both ends. VM_NO_MEMORY:
 * no region for a split. */
enum vm_status space_unmap(struct space *space, vaddr_t base, vaddr_t last);

/* Splits at va, page aligned, if that is inside a region. Takes a reserved region. */
void region_split(struct space *space, vaddr_t va);

/* Makes room in the tree for other bounds, for brk and mremap; what it grows over must be free. */
void region_resize(struct region *region, vaddr_t last);

/* Binds a region of kind NONE to a file, from page `offset` on. */
void region_show_file(struct region *region, struct file *file, uint32_t offset);

/* An empty region of kind NONE for what the caller maps himself. VM_INVALID_ARGS: not aligned or 0
 * bytes; VM_OUT_OF_RANGE: outside the space; VM_NO_MEMORY: overlap, or none. */
enum vm_status space_reserve(struct space *space, vaddr_t va, uint32_t bytes, uint32_t flags);

/* Shows managed frames, which each get a reference, at va. VM_INVALID_ARGS: no bytes, or the range
 * wraps; VM_OUT_OF_RANGE; VM_NOT_VALID: not aligned, or a frame that is not managed or not in use;
 * VM_BUSY: something is there; VM_NO_MEMORY. Who allocated a frame must hold a reference. */
enum vm_status space_map_frames(struct space *space, vaddr_t va, paddr_t pa, uint32_t bytes,
                                uint32_t flags);

/* Shows registers of a device, physical addresses outside RAM, in a region of kind DEV. As
 * space_map_frames(), but VM_NOT_VALID for RAM. */
enum vm_status space_map_device(struct space *space, vaddr_t va, paddr_t pa, uint32_t bytes,
                                uint32_t flags);

/* ---- pages ---- */

/* What the region grants for a page with that frame; frame NULL: of a device. */
struct pagetable_map page_rights(const struct region *region, const struct frame *frame);

/* Maps a frame where nothing is mapped and counts a reference. VM_NO_MEMORY: no table. */
enum vm_status page_show(struct region *region, vaddr_t va, struct frame *frame);

/* Whether frames are free for all tables that so many bytes can need; reclaims if not. */
bool tables_ready(struct machine *machine, uint32_t bytes);

/* The next page from `va` to `last` that is mapped, VADDR_NONE if there is none; its frame, NULL
 * for a device's. */
vaddr_t page_next(const struct space *space, vaddr_t va, vaddr_t last, struct frame **frame);

/* Unmaps whatever of the region is mapped in the range and drops the references. O(pages mapped +
 * MiB). */
void pages_hide(struct region *region, vaddr_t base, vaddr_t last);

/* Gives the pages of a region the rights they should have now. */
void pages_protect(struct region *region, vaddr_t base, vaddr_t last);

/* Takes the right to write away, or the page, from all page tables that show a cached page.
 * O(regions that show the file). */
void page_protect_everywhere(struct machine *machine, struct frame *frame);
void page_hide_everywhere(struct machine *machine, struct frame *frame);

/* Handles a fault of a load, store or fetch at va: VM_OK, the access can be repeated.
 * VM_ACCESS_DENIED: not a user address, or no such right; VM_NOT_FOUND: no region, or a file page
 * beyond the end of the file; VM_NO_MEMORY. */
enum vm_status space_fault(struct space *space, vaddr_t va, enum vm_kind kind);

/* Shows a new page of zeros of an anonymous region; nothing is mapped at va. VM_NO_MEMORY. */
enum vm_status page_fill(struct region *region, vaddr_t va);

/* Loads and stores of a program in the space, through the MMU, faults handled. On failure bytes of
 * pages before may have been copied. Unprivileged in user spaces, privileged in the others. */
enum vm_status space_load(struct space *space, void *to, vaddr_t va, uint32_t bytes);
enum vm_status space_store(struct space *space, vaddr_t va, const void *from, uint32_t bytes);
enum vm_status space_fetch(struct space *space, vaddr_t va);

#endif
