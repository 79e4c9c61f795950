/* SPDX-License-Identifier: MIT
 *
 * vm.h - words and codes that all of vm/ shares
 *
 *   frame    4 KiB of simulated RAM; its number counts from 0 over all segments
 *   page     4 KiB of virtual address space, at an address that is a multiple of 4 KiB
 *   region   pages of a space that are alike: same kind, same rights
 *   space    the addresses of a process, of the kernel, or of vmalloc, with what is mapped there
 *
 * Nothing in vm/ locks: one machine, one caller at a time.
 */
#ifndef HEAPRIG_VM_H
#define HEAPRIG_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t paddr_t; /* address in simulated RAM, or of a device */
typedef uint32_t vaddr_t; /* address as the emulated processor sees it */

enum { VM_PAGE_LOG = 12 };

#define VM_PAGE 4096u

/* No frame or page has this address. */
#define PADDR_NONE 0xFFFFFFFFu
#define VADDR_NONE 0xFFFFFFFFu

/* LiteOS' LOS_ERRNO_VM_... */
enum vm_status {
    VM_OK = 0,
    VM_NOT_FOUND = -2,
    VM_NO_MEMORY = -5,
    VM_NOT_VALID = -7,
    VM_INVALID_ARGS = -8,
    VM_BUSY = -33,
    VM_OUT_OF_RANGE = -37,
    VM_ACCESS_DENIED = -43,
};

/* Pages that hold so many bytes; at most 2^20. */
static inline uint32_t vm_pages(uint32_t bytes) {
    return (bytes >> VM_PAGE_LOG) + ((bytes & (VM_PAGE - 1)) != 0);
}

static inline bool vm_page_aligned(uint32_t address) {
    return (address & (VM_PAGE - 1)) == 0;
}

#endif
