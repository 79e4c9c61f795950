/* SPDX-License-Identifier: MIT
 *
 * machine.h - one emulated computer: RAM, MMU, page cache, the kernel's own space, and the
 * processes
 *
 * The address plan is LiteOS':
 *
 *   0100_0000  user space, to 3EFF_FFFF         0FC0_0000 heap (brk)    1F80_0000 mmap, 124 MiB
 *   4000_0000  kernel: RAM, linear              va = pa - first RAM address + 4000_0000, 512 MiB
 *   8000_0000  vmalloc, 128 MiB
 *
 * TTBCR.N is 2: TTBR0 leads below 1 GiB, TTBR1 to the tables of kernel and vmalloc, which are
 * global.
 */
#ifndef HEAPRIG_VM_MACHINE_H
#define HEAPRIG_VM_MACHINE_H

#include "asid.h"
#include "mmu.h"
#include "pagecache.h"
#include "pagetable.h"
#include "shm.h"

#define USER_BASE    0x01000000u
#define USER_BYTES   0x3E000000u
#define USER_HEAP    0x0FC00000u
#define USER_MAP     0x1F800000u
#define USER_MAPPED  0x07C00000u
#define KERNEL_BASE  0x40000000u
#define KERNEL_BYTES 0x20000000u
#define VMALLOC_BASE 0x80000000u
#define VMALLOC_MAX  0x08000000u

struct space;

/* All zero but the ranges: the defaults. */
struct machine_config {
    const struct phys_range *range;
    size_t ranges;
    const char *core;       /* preset of cores.h; NULL: a7 */
    bool caches;            /* run data accesses through the cache model */
    uint32_t regions_max;   /* of all spaces together; 0: 65536 */
    uint32_t reclaim_below; /* a fault reclaims when fewer frames are free; 0: 5 MiB of them */
    uint32_t fail_below;    /* and fails when there are still fewer than this; 0: 512 KiB of them */
};

struct machine {
    struct phys *phys;
    struct vm_ram ram;
    struct mmu mmu;
    struct asid_pool asids;
    struct lru lru;
    struct pagecache cache;
    struct shm shm;
    struct pagetable kernel_table;
    struct space *kernel, *vmalloc;
    struct space *spaces;  /* all of them */
    struct space *running; /* whose tables and ASID the MMU has; NULL: none's */
    uint32_t regions, regions_max;
    uint32_t reclaim_below, fail_below;
    uint64_t faults, copies, reclaimed; /* faults handled; pages copied on write; pages dropped */
    uint64_t rollovers;                 /* of ASIDs */
    uint64_t shortages;                 /* requests refused because no frame could be found */
};

/* VM_INVALID_ARGS: the ranges (phys_new), or no such core; VM_NO_MEMORY: the host's, or too little
 * RAM for the kernel's tables. */
enum vm_status machine_new(const struct machine_config *config, struct machine **out);

/* Ends all spaces and segments. Files must be closed before. NULL is fine. */
void machine_delete(struct machine *machine);

/* Frames in use now that are neither the kernel's tables nor cached pages: 0 when all spaces and
 * segments are gone and nothing leaked. */
uint32_t machine_leaked(const struct machine *machine);

/* Drops up to `pages` cached pages, oldest first: how many. Dirty ones are written back before;
 * those the host refuses to take, pages mapped executable (unless `hard`) and locked ones stay.
 * Allocates nothing. O(cached pages), plus the regions that show each page dropped. */
uint32_t machine_reclaim(struct machine *machine, uint32_t pages, bool hard);

/* As LiteOS does at each page fault: false when memory is so short that the fault has to fail. */
bool machine_has_memory(struct machine *machine);

/* A frame of zeros, or NULL. Reclaims before it gives up. */
struct frame *machine_frame(struct machine *machine);

/* NULL if everything agrees: buddy systems, lists, tables, regions, reference counts, and what the
 * TLBs hold. Else the broken rule. O(frames + pages mapped). */
const char *machine_check(struct machine *machine);

#endif
