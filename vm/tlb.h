/* SPDX-License-Identifier: MIT
 *
 * tlb.h - one translation lookaside buffer: a set-associative array of entries of mixed sizes
 *
 *         way 0     way 1          An entry covers 4 KiB, 64 KiB, 1 MiB or 16 MiB. Its set is the
 * low set 0 [entry]   [entry]        bits of va >> log2(size), so a look-up probes one set for each
 * size set 1 [entry]   [entry]        that is present (`present` counts them, as the hitmap of the
 *   ...                            Cortex-A5 and A7 does): at most four probes.
 *
 * Fully associative is one set. The same structure serves micro-TLBs, main TLBs and walk caches
 * (whose entries cover 1 MiB and lead to a second-level table).
 *
 * Two entries may match one address, when tables were changed without maintenance. The architecture
 * leaves that open; here the smaller size wins, and of one size the lower way. Victims: an empty
 * way first, then by policy. Reference: ARM DDI 0406, B3.9; geometry of the cores in cores.h.
 */
#ifndef HEAPRIG_VM_TLB_H
#define HEAPRIG_VM_TLB_H

#include "ram.h"

enum tlb_policy {
    TLB_ROUND_ROBIN, /* a pointer per set, moved on by each fill that evicts: FIFO without holes */
    TLB_RANDOM,      /* xorshift from a fixed seed: runs repeat */
    TLB_LRU,         /* the only one for which a hit changes state */
};

/* `asid` of an entry that matches under every ASID. */
enum { TLB_GLOBAL = 0x100 };

/* What a translation permits, by bit: kind (load, store, fetch) + 3 if unprivileged. */
enum { TLB_RIGHTS_ALL = 0x3f };

/* Memory type, as far as costs depend on it. */
enum { TLB_CACHEABLE = 1, TLB_DEVICE = 2, TLB_SHAREABLE = 4, TLB_NOT_SECURE = 8 };

struct tlb_entry {
    uint32_t tag;    /* first va of the range | log2 of its bytes; 0: empty */
    uint16_t asid;   /* 0 to 255, or TLB_GLOBAL */
    uint8_t domain;  /* 0 to 15 */
    uint8_t rights;  /* of a client of the domain */
    uint32_t pfn;    /* pa >> 12 of the first byte; in a walk cache the first-level descriptor */
    uint16_t memory; /* TLB_CACHEABLE, ... and, from bit 8, the attributes that PAR shows */
    uint16_t from;   /* log2 of the page it is of: more than its own when it is a fragment */
};

/* Domain of what was translated with the MMU off: every access is permitted. */
enum { TLB_NO_DOMAIN = 0xff };

static inline unsigned tlb_entry_log2(const struct tlb_entry *entry) {
    return entry->tag & 0xfff;
}
static inline uint32_t tlb_entry_va(const struct tlb_entry *entry) {
    return entry->tag & ~0xfffu;
}
/* Last address covered: 16 MiB at the top do not wrap. */
static inline uint32_t tlb_entry_end(const struct tlb_entry *entry) {
    return tlb_entry_va(entry) + ((1u << tlb_entry_log2(entry)) - 1);
}
static inline bool tlb_entry_matches(const struct tlb_entry *entry, uint32_t va, uint16_t asid) {
    unsigned log2 = tlb_entry_log2(entry);
    return entry->tag != 0 && (va >> log2 << log2 | log2) == entry->tag &&
           (entry->asid == asid || entry->asid == TLB_GLOBAL);
}
/* Physical address of `va`, which the entry covers. */
static inline uint64_t tlb_entry_pa(const struct tlb_entry *entry, uint32_t va) {
    return ((uint64_t)entry->pfn << VM_PAGE_LOG) + (va - tlb_entry_va(entry));
}

struct tlb_shape {
    uint32_t sets; /* power of two; 1: fully associative; 0: there is no such TLB, every look-up
                      misses */
    uint32_t ways; /* >= 1 if there are sets */
    enum tlb_policy policy;
    uint32_t
        lockable; /* further entries, fully associative, filled only while `locking` (Cortex-A9) */
};

struct tlb {
    struct tlb_shape shape;
    uint32_t set_mask;       /* shape.sets - 1 */
    struct tlb_entry *entry; /* [sets][ways], then [lockable] */
    uint32_t *next;    /* per set: victim of round-robin; last element: of the lockable ones */
    uint32_t *used_at; /* per entry: time of last use, only for LRU */
    uint32_t clock;
    uint32_t random;
    uint32_t
        present[4];  /* entries by size: 4 KiB, 64 KiB, 1 MiB, 16 MiB; without the lockable ones */
    uint32_t held;   /* their sum */
    uint32_t locked; /* entries among the lockable ones */
    bool locking;    /* change with tlb_lock_fills() */
    /* What the inline functions below rest on, kept up to date by all others: the log2 of all
     * entries when they are of one size, none is locked and the policy is not LRU, else 0; */
    uint8_t find_log2;
    uint8_t fill_log2; /* the same if furthermore no way is empty, the policy is round-robin and
                          `locking` off */
};

/* Empty TLB. False iff memory is out or the shape is none (sets not a power of two, no ways); then
 * there is nothing to close. */
bool tlb_open(struct tlb *tlb, const struct tlb_shape *shape);
void tlb_close(struct tlb *tlb);

/* Number of entries, lockable ones included: the index range of the functions below. */
static inline uint32_t tlb_entries(const struct tlb *tlb) {
    return tlb->shape.sets * tlb->shape.ways + tlb->shape.lockable;
}

/* The entry that translates `va` under `asid`, NULL iff none does. Locked entries come first. Marks
 * the entry as used when the policy is LRU. O(ways) per size present. */
const struct tlb_entry *tlb_find(struct tlb *tlb, uint32_t va, uint16_t asid);

/* Stores `entry` and gives the index it went to; what was there before, in `*evicted` (tag 0 if
 * nothing). The caller has looked it up before: an equal entry is not searched for. O(ways); the
 * first of no sets gives UINT32_MAX. */
uint32_t tlb_insert(struct tlb *tlb, const struct tlb_entry *entry, struct tlb_entry *evicted);

/* From now on fills go to the lockable entries, if there are any, or no longer. */
void tlb_lock_fills(struct tlb *tlb, bool on);

/* The set of `va` for entries of 2^log2 bytes. */
static inline uint32_t tlb_set(const struct tlb *tlb, uint32_t va, unsigned log2) {
    return va >> log2 & tlb->set_mask;
}

/* The entry tlb_find() gives if find_log2 is `log2`: one set is all there is to look at. Which of
 * two ways it is in nobody can foresee, so that takes no branch. `ways` are those of the shape,
 * here and below: a caller that knows their number has the compiler drop what other numbers need.
 */
static inline const struct tlb_entry *tlb_find_quick(const struct tlb *tlb, uint32_t ways,
                                                     uint32_t set, uint32_t va, uint16_t asid,
                                                     unsigned log2) {
    uint32_t tag = (va >> log2 << log2) | log2;
    const struct tlb_entry *entry = tlb->entry + (size_t)set * ways;
    if (ways == 2) {
        const struct tlb_entry *likely = entry + (entry->tag != tag);
        if (likely->tag != tag) {
            return NULL;
        }
        if (likely->asid == asid || likely->asid == TLB_GLOBAL) {
            return likely;
        }
    }
    for (const struct tlb_entry *end = entry + ways; entry < end; entry++) {
        if (entry->tag == tag && (entry->asid == asid || entry->asid == TLB_GLOBAL)) {
            return entry;
        }
    }
    return NULL;
}

/* The slot tlb_insert() would give an entry of this set if fill_log2 is its size's. The caller
 * writes it there. */
static inline struct tlb_entry *tlb_slot_quick(struct tlb *tlb, uint32_t ways, uint32_t set) {
    uint32_t way = tlb->next[set];
    tlb->next[set] = way + 1 == ways ? 0 : way + 1;
    return &tlb->entry[(size_t)set * ways + way];
}

/* A page of 4 KiB that is `like` another but for its address. */
static inline void tlb_page_write(struct tlb_entry *entry, uint32_t va, uint32_t pfn,
                                  const struct tlb_entry *like) {
    *entry = *like;
    entry->tag = (va & ~(VM_PAGE - 1)) | VM_PAGE_LOG;
    entry->pfn = pfn;
}

/* Maintenance. Each removes the entries named and returns how many; `gone`, unless NULL, is called
 * with each of them. O(entries), but for tlb_drop_va without `gone`. Round-robin pointers stay. */
typedef void tlb_gone_fn(void *context, const struct tlb_entry *entry);
/* TLBIALL: all but the locked ones. */
uint32_t tlb_drop_all(struct tlb *tlb, tlb_gone_fn *gone, void *context);
/* TLBIMVA: those that cover `va`, of `asid` or global; locked ones too. */
uint32_t tlb_drop_va(struct tlb *tlb, uint32_t va, uint16_t asid, tlb_gone_fn *gone, void *context);
/* TLBIMVAA: those that cover `va`, whatever ASID; all but the locked ones. */
uint32_t tlb_drop_va_all(struct tlb *tlb, uint32_t va, tlb_gone_fn *gone, void *context);
/* TLBIASID: those of `asid` that are not global; locked ones too. */
uint32_t tlb_drop_asid(struct tlb *tlb, uint16_t asid, tlb_gone_fn *gone, void *context);

#endif
