/* SPDX-License-Identifier: MIT
 * oracle_probe.c - misuse on purpose.
 *
 * Sends what the contract (alloc.h, free()) says is always refused: class A to every allocator that
 * detects misuse, class B only to EXACT_MISUSE ones, as payload bytes might forge a header by
 * chance. The caller has just made an audit; another one after the probe must find the same state.
 */
#include "oracle_state.h"
#include "random_ops.h"

enum probe_kind {
    PROBE_FOREIGN,
    PROBE_META,
    PROBE_WILDERNESS,
    PROBE_MISALIGNED,
    PROBE_DOUBLE_FREE,
    PROBE_INTERIOR, /* class B */
    PROBE_STALE,    /* class B: freed, and part of another block by now */
    PROBE_KINDS
};

static uintptr_t within(struct oracle *oracle, const struct oracle_range *range, size_t step) {
    uintptr_t first = (range->start + step - 1) / step * step;
    size_t lead = first - range->start;
    if (lead >= range->bytes) {
        return 0;
    }
    return first + random_below(&oracle->random, (range->bytes - lead + step - 1) / step) * step;
}

static uintptr_t foreign_address(struct oracle *oracle) {
    static const uint64_t elsewhere[4];
    const struct oracle_range *range =
        &oracle->ranges[random_below(&oracle->random, oracle->range_count)];
    uintptr_t near = 8 * (uintptr_t)(1 + random_below(&oracle->random, 8));
    switch (random_below(&oracle->random, 5)) {
    case 0:
        return (range->start & ~(uintptr_t)7) - near;
    case 1:
        return ((range->start + range->bytes + 7) & ~(uintptr_t)7) + near;
    case 2:
        return (uintptr_t)elsewhere;
    case 3:
        return near;
    default:
        return (uintptr_t)0 - near;
    }
}

/* The first live block at or behind a random slot, or NULL. */
static const struct shadow_block *some_live(struct oracle *oracle) {
    const struct shadow *shadow = oracle_shadow(oracle);
    if (shadow->live_count == 0) {
        return NULL;
    }
    uint32_t slot = (uint32_t)random_below(&oracle->random, shadow->slot_count);
    while (!shadow->blocks[slot].live) {
        slot = (slot + 1) % shadow->slot_count;
    }
    return &shadow->blocks[slot];
}

/* An address of that kind, or 0 when there is none now. */
static uintptr_t probe_address(struct oracle *oracle, enum probe_kind kind) {
    const struct shadow_block *live = some_live(oracle);
    const struct oracle_range *freed = &oracle->freed[random_below(&oracle->random, ORACLE_FREED)];
    switch (kind) {
    case PROBE_FOREIGN:
        return foreign_address(oracle);
    case PROBE_META:
        return within(oracle, &oracle->meta, 4);
    case PROBE_WILDERNESS:
        return within(oracle, &oracle->wilderness, 8);
    case PROBE_MISALIGNED:
        return live != NULL && oracle->default_align >= 4
                   ? live->start + 1 + random_below(&oracle->random, 3)
                   : 0;
    case PROBE_DOUBLE_FREE:
        return freed->bytes > 0 ? freed->start : 0;
    case PROBE_INTERIOR:
        return live != NULL && live->usable_bytes > 4
                   ? live->start + 4 + random_below(&oracle->random, live->usable_bytes - 4)
                   : 0;
    default:
        return freed->start;
    }
}

static const char *const probe_words[PROBE_KINDS] = {
    "a foreign address",      "an address in metadata", "an address in the wilderness",
    "a misaligned one",       "a block freed already",  "an address inside a live block",
    "a block freed long ago",
};

/* Hands the address to one of the three functions that take a payload; true when it refuses. */
static bool probe_refused(struct oracle *oracle, uintptr_t address, const char **function) {
    const struct alloc_ops *ops = oracle->config.ops;
    struct alloc *heap = oracle->config.heap;
    uint64_t dice = random_below(&oracle->random, 4);
    if (dice == 0 && ops->usable != NULL) {
        *function = "usable()";
        return ops->usable(heap, (const void *)address) == 0;
    }
    if (dice == 1 && ops->realloc != NULL) {
        *function = "realloc()";
        return ops->realloc(heap, (void *)address, 1 + random_below(&oracle->random, 64)) == NULL;
    }
    *function = "free()";
    return ops->free(heap, (void *)address) != ALLOC_OK;
}

bool oracle_probe(struct oracle *oracle) {
    uint32_t caps = oracle->config.ops->caps;
    bool exact = caps & ALLOC_CAP_EXACT_MISUSE;
    if ((!exact && !(caps & ALLOC_CAP_DETECTS_MISUSE)) || oracle->range_count == 0) {
        return true;
    }
    enum probe_kind kind =
        (enum probe_kind)(random_below(&oracle->random, exact ? PROBE_KINDS : PROBE_INTERIOR));
    uintptr_t address = probe_address(oracle, kind);
    const struct shadow *shadow = oracle_shadow(oracle);
    uint32_t slot = shadow_overlap(shadow, address, 1);
    bool inside = oracle_inside(oracle, address, 1);
    bool stray = kind == PROBE_FOREIGN ? inside : !inside;
    if (address == 0 || stray || (slot != SHADOW_NONE && shadow->blocks[slot].start == address)) {
        return true;
    }
    bool had_state = oracle->state_digest_op == oracle->ops + 1;
    uint64_t state_before = oracle->state_digest;
    const char *function;
    oracle->probes++;
    if (!probe_refused(oracle, address, &function)) {
        return oracle_fail(oracle, ORACLE_MISUSE_ACCEPTED, "%s took %s, offset %lld", function,
                           probe_words[kind], oracle_offset(oracle, address));
    }
    const char *found = "walk() or stats() differs";
    if (!oracle_audit_pass(oracle)) {
        if (!had_state) {
            return false;
        }
        found = oracle_rule_words(oracle->rule);
        oracle->rule = ORACLE_NONE; /* the audit before was sound, so the probe is to blame */
    } else if (!had_state || oracle->state_digest == state_before) {
        return true;
    }
    return oracle_fail(oracle, ORACLE_MISUSE_CHANGED, "%s refused %s, offset %lld; then %s",
                       function, probe_words[kind], oracle_offset(oracle, address), found);
}
