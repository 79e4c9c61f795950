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

/* What a function that takes a payload was sent. */
struct misuse {
    enum oracle_call call;
    uintptr_t address;
    size_t bytes; /* of a realloc */
    const char *words;
};

/* Hands the address over; true when it is refused. */
static bool misuse_refused(struct oracle *oracle, const struct misuse *misuse) {
    const struct alloc_ops *ops = oracle->config.ops;
    struct alloc *heap = oracle->config.heap;
    void *address = (void *)misuse->address;
    switch (misuse->call) {
    case ORACLE_CALL_USABLE:
        return ops->usable == NULL || ops->usable(heap, address) == 0;
    case ORACLE_CALL_REALLOC:
        return ops->realloc == NULL || ops->realloc(heap, address, misuse->bytes) == NULL;
    default:
        return ops->free(heap, address) != ALLOC_OK;
    }
}

/* Sends the misuse; `had_state`: the last audit was sound and nothing happened since. */
static bool misuse_judge(struct oracle *oracle, const struct misuse *misuse, bool had_state) {
    static const char *const functions[] = {"free()", "realloc()", "usable()"};
    uint64_t state_before = oracle->state_digest;
    oracle->probes++;
    if (!misuse_refused(oracle, misuse)) {
        return oracle_fail(oracle, ORACLE_MISUSE_ACCEPTED, "%s took %s, offset %lld",
                           functions[misuse->call], misuse->words,
                           oracle_offset(oracle, misuse->address));
    }
    const char *found = "walk() or stats() differs";
    if (!oracle_audit_pass(oracle)) {
        if (!had_state) {
            return false;
        }
        found = oracle_rule_words(oracle->rule);
        oracle->rule = ORACLE_NONE; /* the audit before was sound, so the misuse is to blame */
    } else if (!had_state || oracle->state_digest == state_before) {
        return true;
    }
    return oracle_fail(oracle, ORACLE_MISUSE_CHANGED, "%s refused %s, offset %lld; then %s",
                       functions[misuse->call], misuse->words,
                       oracle_offset(oracle, misuse->address), found);
}

static bool misuse_is_asked_for(const struct oracle *oracle) {
    uint32_t caps = oracle->config.ops->caps;
    return (caps & (ALLOC_CAP_DETECTS_MISUSE | ALLOC_CAP_EXACT_MISUSE)) != 0 &&
           oracle->range_count != 0;
}

static bool is_live_start(struct oracle *oracle, uintptr_t address) {
    const struct shadow *shadow = oracle_shadow(oracle);
    uint32_t slot = shadow_overlap(shadow, address, 1);
    return slot != SHADOW_NONE && shadow->blocks[slot].start == address;
}

bool oracle_probe(struct oracle *oracle) {
    if (!misuse_is_asked_for(oracle)) {
        return true;
    }
    bool exact = oracle->config.ops->caps & ALLOC_CAP_EXACT_MISUSE;
    enum probe_kind kind =
        (enum probe_kind)(random_below(&oracle->random, exact ? PROBE_KINDS : PROBE_INTERIOR));
    struct misuse misuse = {.address = probe_address(oracle, kind), .words = probe_words[kind]};
    bool inside = oracle_inside(oracle, misuse.address, 1);
    bool stray = kind == PROBE_FOREIGN ? inside : !inside;
    if (misuse.address == 0 || stray || is_live_start(oracle, misuse.address)) {
        return true;
    }
    switch (random_below(&oracle->random, 4)) {
    case 0:
        misuse.call = ORACLE_CALL_USABLE;
        break;
    case 1:
        misuse.call = ORACLE_CALL_REALLOC;
        misuse.bytes = 1 + random_below(&oracle->random, 64);
        break;
    default:
        misuse.call = ORACLE_CALL_FREE;
    }
    return misuse_judge(oracle, &misuse, oracle->state_digest_op == oracle->ops + 1);
}

/* ---- misuse at an address of the caller's ---- */

/* Which piece of the heap an address lies in. */
struct place {
    uintptr_t address;
    struct alloc_piece piece; /* start NULL: not found yet */
    bool is_last;             /* nothing but metadata follows it */
};

static bool place_visit(void *ctx, const struct alloc_piece *piece) {
    struct place *place = ctx;
    bool holds = place->address - (uintptr_t)piece->start < piece->bytes;
    if (holds) {
        place->piece = *piece;
    }
    place->is_last = holds || (place->is_last && piece->kind == ALLOC_PIECE_META);
    return true;
}

/* Why the contract says that the address is always refused, or NULL when it does not. */
static const char *misuse_class_a(struct oracle *oracle, uintptr_t address) {
    if (!oracle_inside(oracle, address, 1)) {
        return probe_words[PROBE_FOREIGN];
    }
    if (address % oracle->default_align != 0) {
        return probe_words[PROBE_MISALIGNED];
    }
    for (size_t i = 0; i < ORACLE_FREED; i++) {
        if (oracle->freed[i].bytes > 0 && oracle->freed[i].start == address) {
            return probe_words[PROBE_DOUBLE_FREE];
        }
    }
    struct place place = {.address = address};
    if (oracle->config.ops->walk != NULL) {
        oracle->config.ops->walk(oracle->config.heap, place_visit, &place);
    }
    if (place.piece.start == NULL || place.piece.kind == ALLOC_PIECE_LIVE) {
        return NULL;
    }
    if (place.piece.kind == ALLOC_PIECE_META) {
        return probe_words[PROBE_META];
    }
    return place.is_last && oracle->range_count == 1 ? probe_words[PROBE_WILDERNESS] : NULL;
}

bool oracle_misuse(struct oracle *oracle, enum oracle_call call, uintptr_t address, size_t bytes) {
    if (!misuse_is_asked_for(oracle) || address == 0 || is_live_start(oracle, address)) {
        return true;
    }
    struct misuse misuse = {call, address, bytes, misuse_class_a(oracle, address)};
    if (misuse.words == NULL && (oracle->config.ops->caps & ALLOC_CAP_EXACT_MISUSE) != 0) {
        misuse.words = "an address that is no block's";
    }
    if (misuse.words == NULL) {
        return true;
    }
    if (oracle->state_digest_op != oracle->ops) {
        if (!oracle_audit_pass(oracle)) {
            return false;
        }
        oracle->state_digest_op = oracle->ops;
    }
    return misuse_judge(oracle, &misuse, true);
}
