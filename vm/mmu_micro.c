/* SPDX-License-Identifier: MIT
 *
 * mmu_micro.c - micro-TLB and presence map: see mmu_micro.h
 */
#include "mmu_micro.h"

#include <stdlib.h>
#include <string.h>

enum { MAP_PAGES = 1 << 20 };

bool micro_open(struct mmu_micro *micro, const struct core *core, uint32_t entries, uint32_t sizes,
                bool with_frames) {
    memset(micro, 0, sizeof *micro);
    struct tlb_shape shape = {.sets = 1,
                              .ways = entries + (core_value(core, CORE_micro_latch) != 0),
                              .policy = (enum tlb_policy)core_value(core, CORE_micro_policy)};
    if (!(sizes & 1) || !tlb_open(&micro->tlb, &shape)) {
        return false;
    }
    micro->sizes = sizes;
    micro->map = calloc(MAP_PAGES, 1);
    micro->frame = with_frames ? calloc(MAP_PAGES, sizeof *micro->frame) : NULL;
    if (micro->map == NULL || (with_frames && micro->frame == NULL)) {
        micro_close(micro);
        return false;
    }
    return true;
}

void micro_close(struct mmu_micro *micro) {
    free(micro->map);
    free(micro->frame);
    tlb_close(&micro->tlb);
    memset(micro, 0, sizeof *micro);
}

static uint16_t asid_now(const struct mmu *mmu) {
    return mmu->regs.contextidr & 0xff;
}

static bool live(const struct mmu *mmu, const struct tlb_entry *entry) {
    return entry->tag != 0 && (entry->asid == TLB_GLOBAL || entry->asid == asid_now(mmu));
}

struct pages {
    uint32_t first, count;
};

static struct pages pages_of(const struct tlb_entry *entry) {
    return (struct pages){entry->tag >> VM_PAGE_LOG, 1u << (tlb_entry_log2(entry) - VM_PAGE_LOG)};
}

static void paint(const struct mmu *mmu, struct mmu_micro *micro, const struct tlb_entry *entry,
                  struct pages pages) {
    uint8_t byte = micro_permits(mmu, entry);
    if (pages.count == 1) {
        micro->map[pages.first] = byte;
    } else {
        memset(micro->map + pages.first, byte, pages.count);
    }
    if (micro->frame != NULL) {
        uint32_t flag = entry->memory & TLB_CACHEABLE ? MICRO_CACHEABLE : 0;
        uint32_t frame = entry->pfn + (pages.first - (entry->tag >> VM_PAGE_LOG));
        for (uint32_t i = 0; i < pages.count; i++) {
            micro->frame[pages.first + i] = (frame + i) | flag;
        }
    }
}

static void clear(struct mmu_micro *micro, struct pages pages) {
    if (pages.count == 1) {
        micro->map[pages.first] = 0;
    } else {
        memset(micro->map + pages.first, 0, pages.count);
    }
}

static struct pages intersection(struct pages a, struct pages b) {
    uint32_t first = a.first > b.first ? a.first : b.first;
    uint32_t end_a = a.first + a.count, end_b = b.first + b.count;
    uint32_t end = end_a < end_b ? end_a : end_b;
    return (struct pages){first, end > first ? end - first : 0};
}

/* The range anew: entries paint over one another, the one that wins a look-up last. */
static void repaint_range(struct mmu *mmu, struct mmu_micro *micro, struct pages range) {
    clear(micro, range);
    const struct tlb *tlb = &micro->tlb;
    for (unsigned size = 4; size-- > 0;) {
        if (tlb->present[size] == 0) {
            continue;
        }
        for (uint32_t i = tlb->shape.ways; i-- > 0;) {
            const struct tlb_entry *entry = &tlb->entry[i];
            if (live(mmu, entry) && tlb_entry_log2(entry) == VM_PAGE_LOG + 4 * size) {
                struct pages both = intersection(range, pages_of(entry));
                if (both.count != 0) {
                    paint(mmu, micro, entry, both);
                }
            }
        }
    }
}

static void gone(struct mmu *mmu, struct mmu_micro *micro, const struct tlb_entry *entry) {
    if (micro->tlb.held == 0) {
        micro->mixed = false;
    }
    if (micro->mixed) {
        repaint_range(mmu, micro, pages_of(entry));
    } else {
        clear(micro, pages_of(entry));
    }
}

/* The largest size held natively that the page has. */
static unsigned native_log2(uint32_t sizes, unsigned page_log2) {
    unsigned log2 = page_log2;
    while (!(sizes >> (log2 - VM_PAGE_LOG) / 4 & 1)) {
        log2 -= 4;
    }
    return log2;
}

void micro_insert(struct mmu *mmu, struct mmu_micro *micro, const struct tlb_entry *page,
                  uint32_t va) {
    struct tlb_entry evicted;
    struct tlb_entry entry = *page;
    unsigned log2 = native_log2(micro->sizes, tlb_entry_log2(page));
    uint32_t first = va >> log2 << log2;
    entry.pfn += (first - tlb_entry_va(page)) >> VM_PAGE_LOG;
    entry.tag = first | log2;
    micro->mixed |= micro->tlb.held != micro->tlb.present[(log2 - VM_PAGE_LOG) / 4];
    tlb_insert(&micro->tlb, &entry, &evicted);
    if (evicted.tag != 0) {
        gone(mmu, micro, &evicted);
    }
    if (micro->mixed) {
        repaint_range(mmu, micro, pages_of(&entry));
    } else {
        paint(mmu, micro, &entry, pages_of(&entry));
    }
}

void micro_repaint(struct mmu *mmu, struct mmu_micro *micro) {
    const struct tlb *tlb = &micro->tlb;
    for (uint32_t i = 0; i < tlb->shape.ways; i++) {
        if (tlb->entry[i].tag != 0) {
            clear(micro, pages_of(&tlb->entry[i]));
        }
    }
    for (unsigned size = 4; size-- > 0;) {
        for (uint32_t i = tlb->shape.ways; i-- > 0;) {
            const struct tlb_entry *entry = &tlb->entry[i];
            if (live(mmu, entry) && tlb_entry_log2(entry) == VM_PAGE_LOG + 4 * size) {
                paint(mmu, micro, entry, pages_of(entry));
            }
        }
    }
    micro->mixed |= tlb->held != 0;
}

struct dropping {
    struct mmu *mmu;
    struct mmu_micro *micro;
};

static void clear_gone(void *context, const struct tlb_entry *entry) {
    clear(((struct dropping *)context)->micro, pages_of(entry));
}

static void drop_gone(void *context, const struct tlb_entry *entry) {
    struct dropping *dropping = context;
    gone(dropping->mmu, dropping->micro, entry);
}

void micro_flush(struct mmu *mmu, struct mmu_micro *micro) {
    struct dropping dropping = {mmu, micro};
    tlb_drop_all(&micro->tlb, clear_gone, &dropping);
    micro->mixed = false;
}

void micro_drop_va(struct mmu *mmu, struct mmu_micro *micro, uint32_t va, uint16_t asid) {
    struct dropping dropping = {mmu, micro};
    tlb_drop_va(&micro->tlb, va, asid, drop_gone, &dropping);
}

void micro_drop_va_all(struct mmu *mmu, struct mmu_micro *micro, uint32_t va) {
    struct dropping dropping = {mmu, micro};
    tlb_drop_va_all(&micro->tlb, va, drop_gone, &dropping);
}

void micro_drop_asid(struct mmu *mmu, struct mmu_micro *micro, uint16_t asid) {
    struct dropping dropping = {mmu, micro};
    tlb_drop_asid(&micro->tlb, asid, drop_gone, &dropping);
}

static const char *check_page(const struct mmu *mmu, const struct mmu_micro *micro, struct tlb *tlb,
                              uint32_t page) {
    const struct tlb_entry *entry = tlb_find(tlb, page << VM_PAGE_LOG, asid_now(mmu));
    if (micro->map[page] != (entry == NULL ? 0 : micro_permits(mmu, entry))) {
        return "the presence map says what the micro-TLB's entries do not";
    }
    if (entry != NULL && micro->frame != NULL &&
        (micro->frame[page] & ~MICRO_CACHEABLE) !=
            tlb_entry_pa(entry, page << VM_PAGE_LOG) >> VM_PAGE_LOG) {
        return "the presence map has another frame than the micro-TLB's entry";
    }
    return NULL;
}

const char *micro_check(const struct mmu *mmu, const struct mmu_micro *micro) {
    struct tlb tlb = micro->tlb;
    tlb.used_at = NULL; /* looking must not count as use */
    const char *broken = NULL;
    for (uint32_t page = 0; page < MAP_PAGES && broken == NULL; page++) {
        broken = micro->map[page] != 0 ? check_page(mmu, micro, &tlb, page) : NULL;
    }
    for (uint32_t i = 0; i < tlb.shape.ways && broken == NULL; i++) {
        if (live(mmu, &tlb.entry[i])) {
            struct pages pages = pages_of(&tlb.entry[i]);
            for (uint32_t k = 0; k < pages.count && broken == NULL; k++) {
                broken = check_page(mmu, micro, &tlb, pages.first + k);
            }
        }
    }
    return broken;
}
