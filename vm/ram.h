/* SPDX-License-Identifier: MIT
 *
 * ram.h - simulated physical memory as the MMU and the page tables see it
 *
 *   va, pa      virtual, physical address          section   1 MiB mapped by one first-level entry
 *   table       page table of either level         entry     translation held in a TLB
 *   descriptor  word of a page table               walk      reading descriptors to translate a va
 *
 * Physical memory is up to 32 segments of host memory. Whoever owns the frames (vm/phys.h) fills in
 * struct vm_ram; page tables live inside it, so a walk reads what a real MMU would read.
 */
#ifndef HEAPRIG_VM_RAM_H
#define HEAPRIG_VM_RAM_H

#include "vm.h"

enum {
    VM_LARGE_LOG = 16,
    VM_SECTION_LOG = 20,
    VM_SUPERSECTION_LOG = 24,
};

enum { VM_SEGMENTS = 32 };

struct vm_segment {
    uint32_t base;  /* physical address of the first byte, a multiple of 4 KiB */
    uint32_t bytes; /* a multiple of 4 KiB; base + bytes does not wrap */
    uint8_t *host;  /* its contents, aligned to 4 bytes or more */
};

struct vm_ram {
    struct vm_segment segment[VM_SEGMENTS];
    unsigned segments;
    /* Frames for page tables: `bytes` is 4 KiB to 16 KiB, a power of two; the block is aligned to
     * it, lies in one segment, contents undefined. False iff there is none. May be NULL where only
     * existing tables are read. */
    bool (*take)(void *context, uint32_t bytes, uint32_t *pa);
    void (*give)(void *context, uint32_t pa, uint32_t bytes); /* back, same bytes as taken */
    void *context;
};

/* Host address of the `bytes` bytes at `pa`; NULL iff they are not wholly inside one segment.
 * O(segments), one comparison when it is the first. */
static inline void *vm_ram_at(const struct vm_ram *ram, uint64_t pa, uint32_t bytes) {
    for (unsigned i = 0; i < ram->segments; i++) {
        const struct vm_segment *segment = &ram->segment[i];
        uint64_t offset = pa - segment->base;
        if (offset < segment->bytes && segment->bytes - offset >= bytes) {
            return segment->host + offset;
        }
    }
    return NULL;
}

#endif
