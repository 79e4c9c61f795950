/* SPDX-License-Identifier: MIT
 *
 * mmap.h - the system calls of a user space that concern memory
 *
 * Values of prot and flags are LiteOS' (and Linux'). Results that are no status are addresses; all
 * functions leave everything as it was when they refuse, and refuse as well what wraps around the
 * end of the address space.
 */
#ifndef HEAPRIG_VM_MMAP_H
#define HEAPRIG_VM_MMAP_H

#include "space.h"

enum vm_prot { VM_PROT_NONE = 0, VM_PROT_READ = 1, VM_PROT_WRITE = 2, VM_PROT_EXECUTE = 4 };

enum vm_map_flag {
    VM_MAP_SHARED = 0x01,
    VM_MAP_PRIVATE = 0x02,
    VM_MAP_FIXED = 0x10,
    VM_MAP_ANONYMOUS = 0x20,
    VM_MAP_FIXED_NOREPLACE = 0x100000,
};

enum vm_mremap_flag { VM_MREMAP_MAYMOVE = 1, VM_MREMAP_FIXED = 2 };

/* Maps `bytes` bytes, rounded up to pages: 0 and *at. File NULL: anonymous.
 * -EINVAL: 0 bytes or more than a user space has; neither or both of SHARED and PRIVATE; unknown
 * bits; FIXED or FIXED_NOREPLACE at an address that is not aligned or not a user range; page_offset
 * that leads beyond 2^32 pages; FIXED over a part of the heap. -ENOMEM: more than the map area, no
 * gap, no region, or something there with FIXED_NOREPLACE. -EBADF: neither a file nor ANONYMOUS.
 * -EACCES: a shared file that was not opened for writing is to be written. A hint that cannot be
 * used is ignored. A range that lies wholly in the heap region is not mapped anew: its pages are
 * dropped, and read as zeros; nothing outside it is touched. */
int vm_mmap(struct space *space, vaddr_t hint, uint32_t bytes, int prot, int flags,
            struct file *file, uint32_t page_offset, vaddr_t *at);

/* Unmaps whole pages; holes are fine. -EINVAL: address not aligned (it is not rounded), 0 bytes, or
 * not a user range. -ENOMEM: a region would have to be split and there is none. */
int vm_munmap(struct space *space, vaddr_t va, uint32_t bytes);

/* -EINVAL: not aligned, 0 bytes, wraps, unknown bits, no region, or not all in one region; -EPERM:
 * heap, VDSO, LiteIPC; -EACCES: a shared file that was not opened for writing; -ENOMEM. */
int vm_mprotect(struct space *space, vaddr_t va, uint32_t bytes, int prot);

/* Resizes, in place or with MAYMOVE elsewhere: 0 and *at. old_bytes and new_bytes are rounded up.
 * -EINVAL: new_bytes or old_bytes 0, unknown flags, FIXED without MAYMOVE, unaligned address, a
 * target that is not a user range or overlaps the old or the heap, a shared segment or device;
 * -EPERM: heap, VDSO, LiteIPC; -EFAULT: the old range is not inside one region; -ENOMEM: no room
 * to grow without MAYMOVE, or none at all, no region, no table. */
int vm_mremap(struct space *space, vaddr_t old, uint32_t old_bytes, uint32_t new_bytes, int flags,
              vaddr_t new_address, vaddr_t *at);

/* Moves the end of the heap, rounded up to a page: 0 and *now. 0 asks. -ENOMEM: below its base, as
 * far as the map area, over another region, or no region. */
int vm_brk(struct space *space, vaddr_t end, vaddr_t *now);

/* Writes dirty pages of shared files in the range back: 0, or -EIO when the host refuses one;
 * -EINVAL as munmap. */
int vm_msync(struct space *space, vaddr_t va, uint32_t bytes);

#endif
