/* SPDX-License-Identifier: MIT
 *
 * pagetable.h - ARMv7 short-descriptor page tables, built in simulated RAM
 *
 *   first level, 4 B for each MiB: 16 KiB, or 16 KiB >> n for the lowest 4 GiB >> n (TTBCR.N = n)
 *     |    |     |    |
 *     v    v     v    v        four second-level tables of 1 KiB share one 4 KiB frame: slot i uses
 *   [ 1K | 1K  | 1K | 1K ]     quarter i % 4, so four neighbouring MiB cost one frame
 *
 * Sizes are chosen by alignment: a range is mapped with the largest pages that `map.largest` allows
 * and that va, pa and what is left are aligned to. Large pages and supersections are written 16
 * times, as the architecture asks. A second-level table is freed when its last descriptor goes, the
 * frame when none of its four slots uses it.
 *
 * Whatever removes or changes a valid descriptor calls `invalidate` for it, before the memory of a
 * freed table is given back: what a TLB holds is never older than the tables. Mapping what was not
 * mapped invalidates nothing, since failed translations are not cached.
 *
 * Everything is all-or-nothing: frames for tables are taken before the first descriptor changes.
 * Descriptor formats: ARM DDI 0406, B3.5.1.
 */
#ifndef HEAPRIG_VM_PAGETABLE_H
#define HEAPRIG_VM_PAGETABLE_H

#include "ram.h"
#include "walk.h"

/* Access permissions, by what AP[2:0] and XN can express. */
enum pagetable_flags {
    PT_READ = 1u << 0, /* without it nobody may access: AP 000 */
    PT_WRITE = 1u << 1,
    PT_EXECUTE = 1u << 2, /* without it XN is set */
    PT_USER = 1u << 3,    /* unprivileged too; without PT_READ it says nothing and is not kept */
    PT_GLOBAL = 1u << 4,  /* nG = 0: matches under every ASID */
    PT_SHARED = 1u << 5,  /* S */
    /* Privileged code reads and writes, user reads: AP 010. With PT_USER, without PT_WRITE. */
    PT_KERNEL_WRITE = 1u << 6,
    /* SCTLR.AFE = 1 only: access flag clear, so the first access faults. */
    PT_OLD = 1u << 7,
    PT_PXN =
        1u << 8, /* not executable when privileged, on cores that implement it (1 MiB granule) */
};

enum pagetable_memory {
    PT_CACHED,           /* normal, write-back, write-allocate: TEX 001, C, B */
    PT_UNCACHED,         /* normal: TEX 001 */
    PT_DEVICE,           /* shareable device: B */
    PT_STRONGLY_ORDERED, /* all clear */
    PT_WRITE_THROUGH,    /* TEX 000, C */
};

struct pagetable_map {
    uint32_t flags; /* enum pagetable_flags */
    enum pagetable_memory memory;
    uint8_t domain;  /* 0 to 15; supersections are always in domain 0 and are used only for it */
    uint8_t largest; /* log2 of the largest page to use: 12, 16, 20 or 24 */
};

struct pagetable {
    struct vm_ram *ram;
    uint32_t first;   /* pa of the first-level table */
    unsigned n;       /* it covers va 0 to (4 GiB >> n) - 1 */
    bool access_flag; /* built for SCTLR.AFE = 1: AP[0] is the access flag */
    void (*invalidate)(void *context, uint32_t va, unsigned log2); /* may be NULL */
    void *invalidate_context;
    uint32_t frames;     /* held for tables, the first level included */
    uint16_t used[4096]; /* per first-level slot: valid descriptors of its second-level table */
};

/* Empty table for the lowest 4 GiB >> n. VM_INVALID_ARGS iff n > 7; VM_NO_MEMORY. The caller sets
 * `invalidate` afterwards, and TTBR to `first`. */
enum vm_status pagetable_open(struct pagetable *table, struct vm_ram *ram, unsigned n,
                              bool access_flag);
/* Gives all tables back, whatever is mapped; no invalidation: drop the ASID first. O(first level).
 */
void pagetable_close(struct pagetable *table);

/* Maps [va, va + bytes) to [pa, pa + bytes).
 * VM_INVALID_ARGS iff va, pa or bytes is no multiple of 4 KiB, bytes is 0, a range wraps, or `how`
 * cannot be expressed: PT_WRITE or PT_EXECUTE or PT_KERNEL_WRITE without PT_READ; PT_KERNEL_WRITE
 * without PT_USER or with PT_WRITE; with the access flag, no PT_READ or PT_KERNEL_WRITE; without
 * it, PT_OLD; an unknown flag, memory type or size, a domain above 15. VM_OUT_OF_RANGE iff the
 * range ends beyond what the table covers. VM_BUSY iff any of it is mapped. VM_NOT_VALID iff a MiB
 * would need a second-level table of another domain or PT_PXN than it has. VM_NO_MEMORY iff there
 * is no frame for a second-level table. O(descriptors). */
enum vm_status pagetable_map(struct pagetable *table, uint32_t va, uint32_t pa, uint32_t bytes,
                             const struct pagetable_map *how);

/* Unmaps whatever is mapped in [va, va + bytes); holes are skipped. Large pages, sections and
 * supersections that the range cuts are split into the next smaller size first.
 * VM_INVALID_ARGS, VM_OUT_OF_RANGE as above; VM_NO_MEMORY iff a split needs a table and there is
 * none. O(descriptors + MiB). */
enum vm_status pagetable_unmap(struct pagetable *table, uint32_t va, uint32_t bytes);

struct pagetable_found {
    uint32_t va;   /* first of the page or section */
    uint32_t pa;   /* of `va` asked for */
    unsigned log2; /* of its size, as how.largest */
    struct pagetable_map how;
};
/* What maps `va`. VM_NOT_FOUND iff nothing does; VM_OUT_OF_RANGE. O(1). */
enum vm_status pagetable_query(const struct pagetable *table, uint32_t va,
                               struct pagetable_found *found);

/* Gives all that is mapped in the range the permissions and memory type of `how`; holes are
 * skipped, sizes kept, cut ones split as by unmap. `how->largest` is not used. Errors as
 * pagetable_unmap; VM_INVALID_ARGS for `how` as pagetable_map; VM_NOT_VALID iff how->domain is not
 * that of all that is mapped there, or PT_PXN is not that of pages in it. */
enum vm_status pagetable_protect(struct pagetable *table, uint32_t va, uint32_t bytes,
                                 const struct pagetable_map *how);

/* Moves what is mapped in [from, from + bytes) to [to, to + bytes) as it is, in the largest pages
 * that the new place is aligned to, none larger than they were. Holes move along.
 * Errors as pagetable_map for `to` and pagetable_unmap for `from`; VM_INVALID_ARGS iff they
 * overlap.
 */
enum vm_status pagetable_move(struct pagetable *table, uint32_t to, uint32_t from, uint32_t bytes);

/* Calls `visit` for each page, section and supersection in ascending order. */
typedef void pagetable_visit_fn(void *context, const struct pagetable_found *found);
void pagetable_walk(const struct pagetable *table, pagetable_visit_fn *visit, void *context);

/* NULL if the tables are sound: counts agree, repeated descriptors agree, no empty second-level
 * table, frames as counted; else the broken rule in words. */
const char *pagetable_check(const struct pagetable *table);

#endif
