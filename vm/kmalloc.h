/* SPDX-License-Identifier: MIT
 *
 * kmalloc.h - kernel memory: small requests from heaps, 16 KiB and more as pages
 *
 *   segment 0     the heap given at the start, which stays
 *   segment 1..   a heap each in a run of pages, made when the others are full, of a quarter of
 *                 what there is or as much as the request needs; given back when its last block is
 *                 freed
 *
 * The heaps are any allocator of alloc_list.h that takes blocks of all sizes. Blocks are host
 * addresses inside the simulated RAM; kmalloc_address() says where the emulated kernel sees them.
 *
 * vmalloc() gives memory that only looks contiguous: single frames side by side in the vmalloc
 * space, reached through the MMU.
 */
#ifndef HEAPRIG_VM_KMALLOC_H
#define HEAPRIG_VM_KMALLOC_H

#include "../alloc/alloc.h"
#include "machine.h"

enum { KMALLOC_SEGMENTS = 32, KMALLOC_PAGES_FROM = 16384 };

struct kmalloc_segment {
    struct alloc *heap;
    uint8_t *start; /* NULL: there is none */
    uint32_t pages;
    uint32_t live; /* blocks */
};

struct kmalloc {
    struct machine *machine;
    const struct alloc_ops *ops;
    struct kmalloc_segment segment[KMALLOC_SEGMENTS];
    uint32_t latest; /* segment that served the last request */
    uint32_t pages;  /* of all segments */
};

/* A heap of heap_bytes, rounded up to pages. VM_INVALID_ARGS: the allocator hands out one size or
 * whole pages only, takes no pool, or needs a larger one; VM_NO_MEMORY. */
enum vm_status kmalloc_open(struct kmalloc *k, struct machine *machine, const struct alloc_ops *ops,
                            uint32_t heap_bytes);

/* Gives all segments back, whatever lives in them; not the blocks that are pages. */
void kmalloc_close(struct kmalloc *k);

/* At least `bytes` bytes, contents undefined; NULL: bytes is 0, or no memory, also after the page
 * cache was shrunk. O(segments) heap requests. */
void *kmalloc(struct kmalloc *k, size_t bytes);

/* The same at a multiple of align, a power of two up to 16 MiB, else NULL. */
void *kmalloc_aligned(struct kmalloc *k, size_t bytes, size_t align);

/* Resizes, keeping contents and alignment: NULL leaves the block as it was. p NULL: kmalloc();
 * bytes 0: kfree(), NULL. A block never fails to shrink. NULL for misuse, as kfree(). */
void *krealloc(struct kmalloc *k, void *p, size_t bytes);

/* VM_OK, also for NULL; VM_NOT_VALID: p is no live block. */
enum vm_status kfree(struct kmalloc *k, void *p);

/* Bytes that the block holds, 0 if p is no live block. */
size_t kmalloc_usable(const struct kmalloc *k, const void *p);

/* Where the kernel sees what lies at p, VADDR_NONE if nowhere. */
vaddr_t kmalloc_address(const struct kmalloc *k, const void *p);

/* NULL if all heaps are sound and counts agree, else the broken rule. */
const char *kmalloc_check(const struct kmalloc *k);

/* Address in the vmalloc space of at least `bytes` bytes, rounded up to pages; 0: bytes is 0 or
 * above 128 MiB, or no memory, no table, no gap. */
vaddr_t vmalloc(struct machine *machine, uint32_t bytes);

/* Ends what vmalloc() returned. VM_INVALID_ARGS: 0; VM_NOT_VALID: no such block, or an address
 * inside of one. */
enum vm_status vfree(struct machine *machine, vaddr_t va);

#endif
