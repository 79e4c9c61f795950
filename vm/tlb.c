/* SPDX-License-Identifier: MIT
 *
 * tlb.c - a set-associative TLB of mixed page sizes: see tlb.h
 */
#include "tlb.h"

#include <stdlib.h>
#include <string.h>

bool tlb_open(struct tlb *tlb, const struct tlb_shape *shape) {
    memset(tlb, 0, sizeof *tlb);
    tlb->shape = *shape;
    tlb->set_mask = shape->sets - 1;
    tlb->random = 0x9e3779b9u;
    if ((shape->sets & (shape->sets - 1)) != 0 || (shape->sets != 0 && shape->ways == 0) ||
        (uint64_t)shape->sets * shape->ways + shape->lockable > 1u << 20) {
        return false;
    }
    uint32_t entries = tlb_entries(tlb);
    tlb->entry = calloc(entries + 1, sizeof *tlb->entry);
    tlb->next = calloc(shape->sets + 1, sizeof *tlb->next);
    tlb->used_at = shape->policy == TLB_LRU ? calloc(entries + 1, sizeof *tlb->used_at) : NULL;
    if (tlb->entry == NULL || tlb->next == NULL ||
        (shape->policy == TLB_LRU && tlb->used_at == NULL)) {
        tlb_close(tlb);
        return false;
    }
    return true;
}

void tlb_close(struct tlb *tlb) {
    free(tlb->entry);
    free(tlb->next);
    free(tlb->used_at);
    memset(tlb, 0, sizeof *tlb);
}

static unsigned size_index(const struct tlb_entry *entry) {
    return (tlb_entry_log2(entry) - VM_PAGE_LOG) / 4;
}

static uint32_t lockable_from(const struct tlb *tlb) {
    return tlb->shape.sets * tlb->shape.ways;
}

/* After every change. */
static void shape_note(struct tlb *tlb) {
    tlb->find_log2 = 0;
    for (unsigned size = 0; size < 4; size++) {
        if (tlb->held != 0 && tlb->present[size] == tlb->held && tlb->locked == 0 &&
            tlb->used_at == NULL) {
            tlb->find_log2 = (uint8_t)(VM_PAGE_LOG + 4 * size);
        }
    }
    bool quick = tlb->held == lockable_from(tlb) && tlb->shape.policy == TLB_ROUND_ROBIN;
    tlb->fill_log2 = quick && !tlb->locking ? tlb->find_log2 : 0;
}

void tlb_lock_fills(struct tlb *tlb, bool on) {
    tlb->locking = on;
    shape_note(tlb);
}

static void touch(struct tlb *tlb, uint32_t index) {
    if (tlb->used_at != NULL) {
        tlb->used_at[index] = ++tlb->clock;
    }
}

const struct tlb_entry *tlb_find(struct tlb *tlb, uint32_t va, uint16_t asid) {
    if (tlb->locked != 0) {
        for (uint32_t i = lockable_from(tlb); i < tlb_entries(tlb); i++) {
            if (tlb_entry_matches(&tlb->entry[i], va, asid)) {
                return &tlb->entry[i];
            }
        }
    }
    for (unsigned size = 0; size < 4; size++) {
        if (tlb->present[size] == 0) {
            continue;
        }
        unsigned log2 = VM_PAGE_LOG + 4 * size;
        uint32_t tag = (va >> log2 << log2) | log2;
        uint32_t base = (va >> log2 & (tlb->shape.sets - 1)) * tlb->shape.ways;
        for (uint32_t i = base; i < base + tlb->shape.ways; i++) {
            const struct tlb_entry *entry = &tlb->entry[i];
            if (entry->tag == tag && (entry->asid == asid || entry->asid == TLB_GLOBAL)) {
                touch(tlb, i);
                return entry;
            }
        }
    }
    return NULL;
}

static uint32_t random_below(struct tlb *tlb, uint32_t n) {
    uint32_t x = tlb->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    tlb->random = x;
    return (uint32_t)((uint64_t)x * n >> 32);
}

static uint32_t least_recent(const struct tlb *tlb, uint32_t base) {
    uint32_t victim = 0;
    for (uint32_t way = 1; way < tlb->shape.ways; way++) {
        /* The clock may wrap: times are compared by distance. */
        if (tlb->clock - tlb->used_at[base + way] > tlb->clock - tlb->used_at[base + victim]) {
            victim = way;
        }
    }
    return victim;
}

static uint32_t advance(uint32_t *next, uint32_t count) {
    uint32_t victim = *next;
    *next = victim + 1 == count ? 0 : victim + 1;
    return victim;
}

/* The way to fill in the set that begins at `base`. */
static uint32_t choose_way(struct tlb *tlb, uint32_t set, uint32_t base) {
    uint32_t ways = tlb->shape.ways;
    if (tlb->held < tlb->shape.sets * ways) {
        for (uint32_t way = 0; way < ways; way++) {
            if (tlb->entry[base + way].tag == 0) {
                return way;
            }
        }
    }
    switch (tlb->shape.policy) {
    case TLB_RANDOM:
        return random_below(tlb, ways);
    case TLB_LRU:
        return least_recent(tlb, base);
    default:
        return advance(&tlb->next[set], ways);
    }
}

static uint32_t insert_locked(struct tlb *tlb, const struct tlb_entry *entry,
                              struct tlb_entry *evicted) {
    uint32_t index = lockable_from(tlb) + advance(&tlb->next[tlb->shape.sets], tlb->shape.lockable);
    *evicted = tlb->entry[index];
    tlb->locked += evicted->tag == 0;
    tlb->entry[index] = *entry;
    shape_note(tlb);
    return index;
}

uint32_t tlb_insert(struct tlb *tlb, const struct tlb_entry *entry, struct tlb_entry *evicted) {
    evicted->tag = 0;
    if (tlb->locking && tlb->shape.lockable != 0) {
        return insert_locked(tlb, entry, evicted);
    }
    if (tlb->shape.sets == 0) {
        return UINT32_MAX;
    }
    uint32_t set = entry->tag >> tlb_entry_log2(entry) & (tlb->shape.sets - 1);
    uint32_t base = set * tlb->shape.ways;
    uint32_t index = base + choose_way(tlb, set, base);
    *evicted = tlb->entry[index];
    if (evicted->tag != 0) {
        tlb->present[size_index(evicted)]--;
    } else {
        tlb->held++;
    }
    tlb->present[size_index(entry)]++;
    tlb->entry[index] = *entry;
    shape_note(tlb);
    touch(tlb, index);
    return index;
}

static void drop(struct tlb *tlb, uint32_t index, tlb_gone_fn *gone, void *context) {
    struct tlb_entry entry = tlb->entry[index];
    tlb->entry[index].tag = 0;
    if (index >= lockable_from(tlb)) {
        tlb->locked--;
    } else {
        tlb->present[size_index(&entry)]--;
        tlb->held--;
    }
    shape_note(tlb);
    if (gone != NULL) {
        gone(context, &entry);
    }
}

uint32_t tlb_drop_all(struct tlb *tlb, tlb_gone_fn *gone, void *context) {
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < lockable_from(tlb) && tlb->held != 0; i++) {
        if (tlb->entry[i].tag != 0) {
            drop(tlb, i, gone, context);
            dropped++;
        }
    }
    return dropped;
}

/* Whether the page that the entry is, or is a fragment of, covers `va`. */
static bool covers(const struct tlb_entry *entry, uint32_t va) {
    unsigned log2 = tlb_entry_log2(entry);
    log2 = entry->from > log2 ? entry->from : log2;
    return entry->tag != 0 && (entry->tag ^ va) >> log2 == 0;
}

/* Drops entries [from, from + count) that cover va, of `asid` or global; of any if asid > 255. */
static uint32_t drop_range(struct tlb *tlb, uint32_t from, uint32_t count, uint32_t va,
                           uint32_t asid, tlb_gone_fn *gone, void *context) {
    uint32_t dropped = 0;
    for (uint32_t i = from; i < from + count; i++) {
        const struct tlb_entry *entry = &tlb->entry[i];
        if (covers(entry, va) &&
            (asid > 0xff || entry->asid == asid || entry->asid == TLB_GLOBAL)) {
            drop(tlb, i, gone, context);
            dropped++;
        }
    }
    return dropped;
}

static uint32_t drop_covering(struct tlb *tlb, uint32_t va, uint32_t asid, tlb_gone_fn *gone,
                              void *context) {
    uint32_t ways = tlb->shape.ways, sets = tlb->shape.sets, dropped = 0;
    if (sets <= 1) {
        return drop_range(tlb, 0, sets * ways, va, asid, gone, context);
    }
    for (unsigned size = 0; size < 4; size++) {
        if (tlb->present[size] != 0) {
            uint32_t set = va >> (VM_PAGE_LOG + 4 * size) & (sets - 1);
            dropped += drop_range(tlb, set * ways, ways, va, asid, gone, context);
        }
    }
    return dropped;
}

uint32_t tlb_drop_va(struct tlb *tlb, uint32_t va, uint16_t asid, tlb_gone_fn *gone,
                     void *context) {
    return drop_covering(tlb, va, asid & 0xff, gone, context) +
           drop_range(tlb, lockable_from(tlb), tlb->locked != 0 ? tlb->shape.lockable : 0, va,
                      asid & 0xff, gone, context);
}

uint32_t tlb_drop_va_all(struct tlb *tlb, uint32_t va, tlb_gone_fn *gone, void *context) {
    return drop_covering(tlb, va, UINT32_MAX, gone, context);
}

uint32_t tlb_drop_asid(struct tlb *tlb, uint16_t asid, tlb_gone_fn *gone, void *context) {
    uint32_t dropped = 0;
    for (uint32_t i = 0; i < tlb_entries(tlb) && tlb->held + tlb->locked != 0; i++) {
        if (tlb->entry[i].tag != 0 && tlb->entry[i].asid == asid) {
            drop(tlb, i, gone, context);
            dropped++;
        }
    }
    return dropped;
}
