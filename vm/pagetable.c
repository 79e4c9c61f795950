/* SPDX-License-Identifier: MIT
 *
 * pagetable.c - building ARMv7 page tables: see pagetable.h
 *
 * A change runs twice over its range: first it checks and counts the frames it will need, which are
 * then taken all at once; the second time nothing can fail.
 */
#include "descriptor.h"

#include <string.h>

enum { SLOTS_PER_FRAME = 4, SECOND_BYTES = 1024, SECOND_ENTRIES = 256, REPEAT = 16 };
#define NO_GROUP UINT32_MAX

static uint32_t *word_at(const struct pagetable *table, uint32_t pa) {
    return vm_ram_at(table->ram, pa, 4);
}

static uint32_t *first_of(const struct pagetable *table, uint32_t va) {
    return word_at(table, table->first + (va >> VM_SECTION_LOG) * 4);
}

/* The slot in the second-level table that `first` points to. */
static uint32_t *second_of(const struct pagetable *table, uint32_t first, uint32_t va) {
    return word_at(table, (first & ~(SECOND_BYTES - 1u)) + (va >> VM_PAGE_LOG & 255) * 4);
}

static uint32_t slots(const struct pagetable *table) {
    return 4096u >> table->n;
}

static uint32_t first_bytes(const struct pagetable *table) {
    uint32_t bytes = slots(table) * 4;
    return bytes < VM_PAGE ? VM_PAGE : bytes;
}

/* ---- units: what one descriptor, or sixteen equal ones, map ---- */

struct unit {
    uint32_t va;
    unsigned log2;
    uint32_t first, second; /* words; first is 0 in a hole, second in a hole of a table */
};

/* The unit that covers `va`; in a hole, the MiB or page of it. True iff it is mapped. */
static bool unit_at(const struct pagetable *table, uint32_t va, struct unit *unit) {
    unit->first = *first_of(table, va);
    unit->second = 0;
    unit->log2 = VM_SECTION_LOG;
    bool mapped = unit->first != 0;
    if (descriptor_is_table(unit->first)) {
        unit->second = *second_of(table, unit->first, va);
        unit->log2 = VM_PAGE_LOG;
        mapped = unit->second != 0;
    }
    if (mapped) {
        unit->log2 = descriptor_log2(unit->first, unit->second);
    }
    unit->va = va >> unit->log2 << unit->log2;
    return mapped;
}

static uint64_t unit_end(const struct unit *unit) {
    return (uint64_t)unit->va + (1u << unit->log2);
}

static struct pagetable_map unit_how(const struct pagetable *table, const struct unit *unit,
                                     uint32_t *pa) {
    return descriptor_read(unit->first, unit->second, table->access_flag, pa);
}

static void invalidate(const struct pagetable *table, uint32_t va, unsigned log2) {
    if (table->invalidate != NULL) {
        table->invalidate(table->invalidate_context, va, log2);
    }
}

/* ---- frames ---- */

/* Frames taken for a change, linked through their first words. */
struct reserve {
    uint32_t head;
    uint32_t count;
};

static void reserve_put(const struct pagetable *table, struct reserve *reserve, uint32_t frame) {
    *word_at(table, frame) = reserve->head;
    reserve->head = frame;
    reserve->count++;
}

static void reserve_return(struct pagetable *table, struct reserve *reserve) {
    while (reserve->count != 0) {
        uint32_t frame = reserve->head;
        reserve->head = *word_at(table, frame);
        reserve->count--;
        table->ram->give(table->ram->context, frame, VM_PAGE);
    }
}

static enum vm_status reserve_take(struct pagetable *table, uint32_t frames,
                                   struct reserve *reserve) {
    *reserve = (struct reserve){0};
    while (reserve->count < frames) {
        uint32_t frame;
        if (!table->ram->take(table->ram->context, VM_PAGE, &frame)) {
            reserve_return(table, reserve);
            return VM_NO_MEMORY;
        }
        reserve_put(table, reserve, frame);
    }
    return VM_OK;
}

/* Frame of the second-level tables of the four slots around `va`; 0 if none has one. */
static uint32_t group_frame(const struct pagetable *table, uint32_t va) {
    uint32_t slot = va >> VM_SECTION_LOG & ~(SLOTS_PER_FRAME - 1u);
    for (uint32_t i = slot; i < slot + SLOTS_PER_FRAME; i++) {
        uint32_t first = *word_at(table, table->first + i * 4);
        if (descriptor_is_table(first)) {
            return first & ~(VM_PAGE - 1u);
        }
    }
    return 0;
}

/* An empty second-level table for the MiB of `va`, which has none: its first-level word. */
static uint32_t make_second(struct pagetable *table, uint32_t va, const struct pagetable_map *how,
                            struct reserve *reserve) {
    uint32_t frame = group_frame(table, va);
    if (frame == 0) {
        frame = reserve->head;
        reserve->head = *word_at(table, frame);
        reserve->count--;
        table->frames++;
    }
    uint32_t second = frame + (va >> VM_SECTION_LOG & (SLOTS_PER_FRAME - 1)) * SECOND_BYTES;
    memset(word_at(table, second), 0, SECOND_BYTES);
    return descriptor_table(how, second);
}

/* ---- planning ---- */

struct plan {
    uint32_t frames;
    uint32_t group; /* group of four slots that was counted last; pieces come in ascending order */
    uint32_t mib;   /* MiB that gets a table by this plan, and what its word will be */
    uint32_t table_word;
};

/* The largest unit that fits at va and pa. */
static unsigned step_log2(uint32_t va, uint32_t pa, uint32_t bytes,
                          const struct pagetable_map *how) {
    unsigned log2 = how->largest;
    if (log2 == VM_SUPERSECTION_LOG && how->domain != 0) {
        log2 = VM_SECTION_LOG;
    }
    while (((va | pa) & ((1u << log2) - 1)) != 0 || bytes >> log2 == 0) {
        log2 -= 4;
    }
    return log2;
}

static void plan_table(const struct pagetable *table, struct plan *plan, uint32_t va) {
    uint32_t group = va >> (VM_SECTION_LOG + 2);
    if (group != plan->group && group_frame(table, va) == 0) {
        plan->frames++;
        plan->group = group;
    }
}

/* One unit at `va`: is there room, and may it stand there? */
static enum vm_status plan_unit(const struct pagetable *table, struct plan *plan, uint32_t va,
                                unsigned log2, const struct pagetable_map *how) {
    uint32_t first = *first_of(table, va);
    if (log2 >= VM_SECTION_LOG) {
        for (uint32_t i = 0; i < 1u << (log2 - VM_SECTION_LOG); i++) {
            if (*first_of(table, va + (i << VM_SECTION_LOG)) != 0) {
                return VM_BUSY;
            }
        }
        return VM_OK;
    }
    if (first == 0) {
        uint32_t mib = va >> VM_SECTION_LOG;
        if (plan->mib == mib && plan->table_word != descriptor_table(how, 0)) {
            return VM_NOT_VALID;
        }
        plan->mib = mib;
        plan->table_word = descriptor_table(how, 0);
        plan_table(table, plan, va);
        return VM_OK;
    }
    if (!descriptor_is_table(first)) {
        return VM_BUSY;
    }
    for (uint32_t i = 0; i < 1u << (log2 - VM_PAGE_LOG); i++) {
        if (*second_of(table, first, va + (i << VM_PAGE_LOG)) != 0) {
            return VM_BUSY;
        }
    }
    return descriptor_table_fits(first, how) ? VM_OK : VM_NOT_VALID;
}

static enum vm_status plan_map(const struct pagetable *table, struct plan *plan, uint32_t va,
                               uint32_t pa, uint32_t bytes, const struct pagetable_map *how) {
    enum vm_status verdict = VM_OK;
    while (bytes != 0) {
        unsigned log2 = step_log2(va, pa, bytes, how);
        enum vm_status status = plan_unit(table, plan, va, log2, how);
        if (status == VM_BUSY) { /* the first thing to say of a range */
            return VM_BUSY;
        }
        verdict = status != VM_OK ? status : verdict;
        va += 1u << log2;
        pa += 1u << log2;
        bytes -= 1u << log2;
    }
    return verdict;
}

/* Frames for splitting at `va`, if a section is cut inside. */
static void plan_cut(const struct pagetable *table, struct plan *plan, uint64_t va) {
    struct unit unit;
    if (va >> VM_SECTION_LOG < slots(table) && (va & ((1u << VM_SECTION_LOG) - 1)) != 0 &&
        unit_at(table, (uint32_t)va, &unit) && unit.log2 >= VM_SECTION_LOG) {
        plan_table(table, plan, (uint32_t)va);
    }
}

static struct plan plan_empty(void) {
    return (struct plan){.group = NO_GROUP, .mib = NO_GROUP};
}

/* ---- changes that cannot fail ---- */

static void write_unit(struct pagetable *table, uint32_t va, unsigned log2, uint32_t word) {
    if (log2 >= VM_SECTION_LOG) {
        for (uint32_t i = 0; i < 1u << (log2 - VM_SECTION_LOG); i++) {
            *first_of(table, va + (i << VM_SECTION_LOG)) = word;
        }
        return;
    }
    uint32_t count = 1u << (log2 - VM_PAGE_LOG),
             *second = second_of(table, *first_of(table, va), va);
    for (uint32_t i = 0; i < count; i++) {
        second[i] = word;
    }
}

static void map_range(struct pagetable *table, uint32_t va, uint32_t pa, uint32_t bytes,
                      const struct pagetable_map *how, struct reserve *reserve) {
    while (bytes != 0) {
        unsigned log2 = step_log2(va, pa, bytes, how);
        if (log2 < VM_SECTION_LOG) {
            if (*first_of(table, va) == 0) {
                *first_of(table, va) = make_second(table, va, how, reserve);
            }
            table->used[va >> VM_SECTION_LOG] += (uint16_t)(1u << (log2 - VM_PAGE_LOG));
        }
        write_unit(table, va, log2, descriptor_make(how, table->access_flag, log2, pa));
        va += 1u << log2;
        pa += 1u << log2;
        bytes -= 1u << log2;
    }
}

/* One size down: the same translations by sixteen units. A section becomes a table. */
static void split(struct pagetable *table, const struct unit *unit, struct reserve *reserve) {
    uint32_t pa;
    struct pagetable_map how = unit_how(table, unit, &pa);
    unsigned log2 = unit->log2 - 4;
    if (unit->log2 == VM_SECTION_LOG) {
        *first_of(table, unit->va) = make_second(table, unit->va, &how, reserve);
        table->used[unit->va >> VM_SECTION_LOG] = SECOND_ENTRIES;
    }
    for (uint32_t i = 0; i < REPEAT; i++) {
        write_unit(table, unit->va + (i << log2), log2,
                   descriptor_make(&how, table->access_flag, log2, pa + (i << log2)));
    }
    invalidate(table, unit->va, unit->log2);
}

/* Afterwards no unit reaches across `va`. */
static void cut_at(struct pagetable *table, uint64_t va, struct reserve *reserve) {
    struct unit unit;
    while (va >> VM_SECTION_LOG < slots(table) && unit_at(table, (uint32_t)va, &unit) &&
           unit.va != va) {
        split(table, &unit, reserve);
    }
}

/* A frame that this leaves without tables goes to the reserve, from where a later step of the same
 * change may take it, else to be returned. */
static void unmap_unit(struct pagetable *table, const struct unit *unit, struct reserve *reserve) {
    write_unit(table, unit->va, unit->log2, 0);
    uint32_t slot = unit->va >> VM_SECTION_LOG, frame = 0;
    if (unit->log2 < VM_SECTION_LOG) {
        table->used[slot] -= (uint16_t)(1u << (unit->log2 - VM_PAGE_LOG));
        if (table->used[slot] == 0) {
            *first_of(table, unit->va) = 0;
            frame = group_frame(table, unit->va) == 0 ? unit->first & ~(VM_PAGE - 1u) : 0;
        }
    }
    invalidate(table, unit->va, unit->log2);
    if (frame != 0) {
        table->frames--;
        reserve_put(table, reserve, frame);
    }
}

/* ---- public ---- */

enum vm_status pagetable_open(struct pagetable *table, struct vm_ram *ram, unsigned n,
                              bool access_flag) {
    if (n > 7) {
        return VM_INVALID_ARGS;
    }
    *table = (struct pagetable){.ram = ram, .n = n, .access_flag = access_flag};
    uint32_t bytes = first_bytes(table);
    if (!ram->take(ram->context, bytes, &table->first)) {
        return VM_NO_MEMORY;
    }
    memset(vm_ram_at(ram, table->first, bytes), 0, bytes);
    table->frames = bytes / VM_PAGE;
    return VM_OK;
}

void pagetable_close(struct pagetable *table) {
    for (uint32_t slot = 0; slot < slots(table); slot += SLOTS_PER_FRAME) {
        uint32_t frame = group_frame(table, slot << VM_SECTION_LOG);
        if (frame != 0) {
            table->ram->give(table->ram->context, frame, VM_PAGE);
        }
    }
    table->ram->give(table->ram->context, table->first, first_bytes(table));
    memset(table, 0, sizeof *table);
}

static enum vm_status check_range(const struct pagetable *table, uint32_t va, uint32_t bytes) {
    if (((va | bytes) & (VM_PAGE - 1)) != 0 || bytes == 0 || va + (bytes - 1) < va) {
        return VM_INVALID_ARGS;
    }
    return va + (bytes - 1) > UINT32_MAX >> table->n ? VM_OUT_OF_RANGE : VM_OK;
}

enum vm_status pagetable_map(struct pagetable *table, uint32_t va, uint32_t pa, uint32_t bytes,
                             const struct pagetable_map *how) {
    enum vm_status status = check_range(table, va, bytes);
    if (status == VM_INVALID_ARGS || (pa & (VM_PAGE - 1)) != 0 || pa + (bytes - 1) < pa ||
        !descriptor_valid(how, table->access_flag)) {
        return VM_INVALID_ARGS;
    }
    struct plan plan = plan_empty();
    struct reserve reserve;
    if (status == VM_OK) {
        status = plan_map(table, &plan, va, pa, bytes, how);
    }
    if (status == VM_OK) {
        status = reserve_take(table, plan.frames, &reserve);
    }
    if (status == VM_OK) {
        map_range(table, va, pa, bytes, how, &reserve);
    }
    return status;
}

/* Checks the range, takes frames for the cuts at its ends on top of `plan`, and cuts. */
static enum vm_status cut_range(struct pagetable *table, uint32_t va, uint32_t bytes,
                                struct plan *plan, struct reserve *reserve) {
    plan_cut(table, plan, va);
    plan_cut(table, plan, (uint64_t)va + bytes);
    enum vm_status status = reserve_take(table, plan->frames, reserve);
    if (status == VM_OK) {
        cut_at(table, va, reserve);
        cut_at(table, (uint64_t)va + bytes, reserve);
    }
    return status;
}

enum vm_status pagetable_unmap(struct pagetable *table, uint32_t va, uint32_t bytes) {
    struct plan plan = plan_empty();
    struct reserve reserve;
    enum vm_status status = check_range(table, va, bytes);
    if (status == VM_OK) {
        status = cut_range(table, va, bytes, &plan, &reserve);
    }
    if (status != VM_OK) {
        return status;
    }
    struct unit unit;
    for (uint64_t at = va, end = at + bytes; at < end; at = unit_end(&unit)) {
        if (unit_at(table, (uint32_t)at, &unit)) {
            unmap_unit(table, &unit, &reserve);
        }
    }
    reserve_return(table, &reserve);
    return VM_OK;
}

enum vm_status pagetable_query(const struct pagetable *table, uint32_t va,
                               struct pagetable_found *found) {
    struct unit unit;
    if (va >> VM_SECTION_LOG >= slots(table)) {
        return VM_OUT_OF_RANGE;
    }
    if (!unit_at(table, va, &unit)) {
        return VM_NOT_FOUND;
    }
    uint32_t pa;
    found->how = unit_how(table, &unit, &pa);
    found->va = unit.va;
    found->log2 = unit.log2;
    found->pa = pa + (va - unit.va);
    return VM_OK;
}

/* Whether all that is mapped in the range can be made as `how`. */
static enum vm_status plan_protect(const struct pagetable *table, uint32_t va, uint32_t bytes,
                                   const struct pagetable_map *how) {
    struct unit unit;
    for (uint64_t at = va, end = at + bytes; at < end; at = unit_end(&unit)) {
        if (!unit_at(table, (uint32_t)at, &unit)) {
            continue;
        }
        uint32_t pa;
        bool fits = unit.log2 < VM_SECTION_LOG ? descriptor_table_fits(unit.first, how)
                                               : unit_how(table, &unit, &pa).domain == how->domain;
        /* A section that the range cuts becomes a table, whose PXN holds for the rest of it too. */
        bool cut = unit.log2 >= VM_SECTION_LOG && (unit.va < va || unit_end(&unit) > end);
        fits = fits && (!cut || !((unit_how(table, &unit, &pa).flags ^ how->flags) & PT_PXN));
        if (!fits) {
            return VM_NOT_VALID;
        }
    }
    return VM_OK;
}

enum vm_status pagetable_protect(struct pagetable *table, uint32_t va, uint32_t bytes,
                                 const struct pagetable_map *how) {
    struct plan plan = plan_empty();
    struct reserve reserve;
    enum vm_status status = check_range(table, va, bytes);
    if (status != VM_OK || !descriptor_valid(how, table->access_flag)) {
        return status != VM_OK ? status : VM_INVALID_ARGS;
    }
    status = plan_protect(table, va, bytes, how);
    if (status == VM_OK) {
        status = cut_range(table, va, bytes, &plan, &reserve);
    }
    if (status != VM_OK) {
        return status;
    }
    struct unit unit;
    for (uint64_t at = va, end = at + bytes; at < end; at = unit_end(&unit)) {
        if (!unit_at(table, (uint32_t)at, &unit)) {
            continue;
        }
        uint32_t pa;
        unit_how(table, &unit, &pa);
        uint32_t word = descriptor_make(how, table->access_flag, unit.log2, pa);
        if (word != (unit.log2 >= VM_SECTION_LOG ? unit.first : unit.second)) {
            write_unit(table, unit.va, unit.log2, word);
            invalidate(table, unit.va, unit.log2);
        }
    }
    return VM_OK;
}

/* Plans the move, piece by piece of what is mapped in [from, from + bytes). */
static enum vm_status plan_move(const struct pagetable *table, struct plan *plan, uint32_t to,
                                uint32_t from, uint32_t bytes) {
    enum vm_status verdict = VM_OK;
    struct unit unit;
    for (uint64_t at = from, end = at + bytes; at < end; at = unit_end(&unit)) {
        if (!unit_at(table, (uint32_t)at, &unit)) {
            continue;
        }
        uint32_t pa;
        struct pagetable_map how = unit_how(table, &unit, &pa);
        uint64_t piece_end = unit_end(&unit) < end ? unit_end(&unit) : end;
        how.largest = at != unit.va || piece_end != unit_end(&unit) ? VM_PAGE_LOG : how.largest;
        enum vm_status status =
            plan_map(table, plan, to + ((uint32_t)at - from), pa + ((uint32_t)at - unit.va),
                     (uint32_t)(piece_end - at), &how);
        if (status == VM_BUSY) {
            return VM_BUSY;
        }
        verdict = status != VM_OK ? status : verdict;
    }
    return verdict;
}

static bool range_is_free(const struct pagetable *table, uint32_t va, uint32_t bytes) {
    struct unit unit;
    for (uint64_t at = va, end = at + bytes; at < end; at = unit_end(&unit)) {
        if (unit_at(table, (uint32_t)at, &unit)) {
            return false;
        }
    }
    return true;
}

enum vm_status pagetable_move(struct pagetable *table, uint32_t to, uint32_t from, uint32_t bytes) {
    enum vm_status status = check_range(table, to, bytes);
    status = status == VM_OK ? check_range(table, from, bytes) : status;
    if (status == VM_OK && (to - from < bytes || from - to < bytes)) {
        status = VM_INVALID_ARGS;
    }
    if (status == VM_OK && !range_is_free(table, to, bytes)) {
        status = VM_BUSY;
    }
    struct plan plan = plan_empty();
    struct reserve reserve;
    if (status == VM_OK) {
        status = plan_move(table, &plan, to, from, bytes);
    }
    if (status == VM_OK) {
        plan.group = NO_GROUP; /* the cuts are elsewhere */
        status = cut_range(table, from, bytes, &plan, &reserve);
    }
    if (status != VM_OK) {
        return status;
    }
    struct unit unit;
    for (uint64_t at = from, end = at + bytes; at < end; at = unit_end(&unit)) {
        if (unit_at(table, (uint32_t)at, &unit)) {
            uint32_t pa;
            struct pagetable_map how = unit_how(table, &unit, &pa);
            map_range(table, to + (unit.va - from), pa, 1u << unit.log2, &how, &reserve);
            unmap_unit(table, &unit, &reserve);
        }
    }
    reserve_return(table, &reserve);
    return VM_OK;
}

void pagetable_walk(const struct pagetable *table, pagetable_visit_fn *visit, void *context) {
    struct unit unit;
    for (uint64_t at = 0, end = (uint64_t)slots(table) << VM_SECTION_LOG; at < end;
         at = unit_end(&unit)) {
        struct pagetable_found found;
        if (unit_at(table, (uint32_t)at, &unit) &&
            pagetable_query(table, unit.va, &found) == VM_OK) {
            visit(context, &found);
        }
    }
}

/* The second-level table of a slot: how many words are valid, or the broken rule. */
static const char *check_second(const struct pagetable *table, uint32_t slot, uint32_t first) {
    const uint32_t *second = second_of(table, first, slot << VM_SECTION_LOG);
    uint32_t valid = 0;
    for (uint32_t i = 0; i < SECOND_ENTRIES; i++) {
        valid += second[i] != 0;
        bool large = (second[i] & DESCRIPTOR_TYPE) == 1;
        if (large && second[i] != second[i & ~(REPEAT - 1u)]) {
            return "a large page is not repeated 16 times";
        }
        if (!large && (second[i & ~(REPEAT - 1u)] & DESCRIPTOR_TYPE) == 1) {
            return "a large page ends before its 16th descriptor";
        }
    }
    if ((first >> 10 & 3) != slot % SLOTS_PER_FRAME) {
        return "a second-level table is not in its quarter of the frame";
    }
    return valid == 0                   ? "an empty second-level table was kept"
           : valid != table->used[slot] ? "the count of a second-level table is wrong"
                                        : NULL;
}

const char *pagetable_check(const struct pagetable *table) {
    uint32_t frames = first_bytes(table) / VM_PAGE;
    for (uint32_t slot = 0; slot < slots(table); slot++) {
        uint32_t va = slot << VM_SECTION_LOG, first = *first_of(table, va);
        uint32_t head = *first_of(table, va >> VM_SUPERSECTION_LOG << VM_SUPERSECTION_LOG);
        const char *broken = NULL;
        if (descriptor_is_table(first)) {
            broken = check_second(table, slot, first);
        } else if (table->used[slot] != 0) {
            broken = "a count is left of a table that is gone";
        } else if (first != 0 && (first & DESCRIPTOR_SUPERSECTION) && first != head) {
            broken = "a supersection is not repeated 16 times";
        }
        if (broken != NULL) {
            return broken;
        }
        frames += slot % SLOTS_PER_FRAME == 0 && group_frame(table, va) != 0;
    }
    return frames == table->frames ? NULL : "the count of frames is wrong";
}
