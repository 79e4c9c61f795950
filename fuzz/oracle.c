/* SPDX-License-Identifier: MIT
 * oracle.c - judges each op by the oracle's own account of the heap. */
#include "oracle_state.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes at the edges of a block's neighbours that are verified at each op. */
enum { EDGE_BYTES = 32 };

const char *oracle_rule_words(enum oracle_rule rule) {
    static const char *const words[] = {
#define O(name, text) text,
        ORACLE_RULES(O)
#undef O
    };
    assert(rule < ORACLE_RULE_COUNT);
    return words[rule];
}

/* ---- words ---- */

struct oracle_text oracle_block_text(const struct oracle *oracle, uint32_t slot) {
    const struct shadow *shadow = oracle_shadow((struct oracle *)(uintptr_t)oracle);
    struct oracle_text out = {"no block"};
    if (slot != SHADOW_NONE) {
        const struct shadow_block *block = &shadow->blocks[slot];
        snprintf(out.text, sizeof out.text, "block at %lld (%zu B, slot %u, born at op %llu)",
                 oracle_offset(oracle, block->start), block->request_bytes, (unsigned)slot,
                 (unsigned long long)block->born_op);
    }
    return out;
}

static struct oracle_text op_text(const struct op *op) {
    struct oracle_text out;
    unsigned long long bytes = op->bytes;
    unsigned slot = op->slot;
    switch ((enum op_kind)op->kind) {
    case OP_FREE:
        snprintf(out.text, sizeof out.text, "free of slot %u", slot);
        break;
    case OP_REALLOC:
        snprintf(out.text, sizeof out.text, "realloc of slot %u to %llu B", slot, bytes);
        break;
    case OP_ALIGNED:
        snprintf(out.text, sizeof out.text, "alloc of %llu B aligned to 2^%u into slot %u", bytes,
                 (unsigned)op->align_log2, slot);
        break;
    default:
        snprintf(out.text, sizeof out.text, "alloc of %llu B into slot %u", bytes, slot);
    }
    return out;
}

bool oracle_fail(struct oracle *oracle, enum oracle_rule rule, const char *format, ...) {
    if (oracle->rule != ORACLE_NONE) {
        return false;
    }
    oracle->rule = rule;
    char detail[320];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    snprintf(oracle->verdict, sizeof oracle->verdict, "op %llu, %s: %s: %s",
             (unsigned long long)oracle->ops, op_text(&oracle->op).text, oracle_rule_words(rule),
             detail);
    return false;
}

/* ---- contents ---- */

struct content oracle_content(const struct oracle *oracle, const struct shadow_block *block) {
    return (struct content){block->born_op, block->usable_bytes, oracle->config.content_cap_bytes};
}

/* Apart, so that what nearly always holds takes few registers. */
static __attribute__((noinline, cold)) bool contents_fail(struct oracle *oracle, uint32_t slot,
                                                          size_t at, enum oracle_rule rule) {
    const struct shadow_block *block = &oracle_shadow(oracle)->blocks[slot];
    const void *payload = (const void *)block->start;
    struct content content = oracle_content(oracle, block);
    return oracle_fail(oracle, rule,
                       "byte %zu of %s is 0x%02X, expected 0x%02X; before it %s, behind %s", at,
                       oracle_block_text(oracle, slot).text, content_found(payload, at),
                       content_byte(&content, at), oracle_block_text(oracle, block->below).text,
                       oracle_block_text(oracle, block->above).text);
}

bool oracle_contents_hold(struct oracle *oracle, uint32_t slot, size_t from, size_t to,
                          enum oracle_rule rule) {
    const struct shadow_block *block = &oracle_shadow(oracle)->blocks[slot];
    struct content content = oracle_content(oracle, block);
    size_t at = content_damage(&content, (const void *)block->start, from, to);
    return at == to || contents_fail(oracle, slot, at, rule);
}

/* The edges of the blocks around the one at hand that face it. */
static bool edges_hold(struct oracle *oracle, struct shadow_pair around) {
    const struct shadow *shadow = oracle_shadow(oracle);
    if (around.below != SHADOW_NONE) {
        size_t bytes = shadow->blocks[around.below].usable_bytes;
        size_t from = bytes > EDGE_BYTES ? bytes - EDGE_BYTES : 0;
        if (!oracle_contents_hold(oracle, around.below, from, bytes, ORACLE_CONTENT)) {
            return false;
        }
    }
    if (around.above != SHADOW_NONE) {
        size_t bytes = shadow->blocks[around.above].usable_bytes;
        size_t to = bytes > EDGE_BYTES ? EDGE_BYTES : bytes;
        return oracle_contents_hold(oracle, around.above, 0, to, ORACLE_CONTENT);
    }
    return true;
}

/* ---- freed blocks, for probes ---- */

/* Headers and trimmed edges around a block that may be written when a neighbour is handed out. */
enum { FREED_MARGIN = 64 };

static void freed_remember(struct oracle *oracle, const struct shadow_block *block) {
    oracle->freed[oracle->freed_next++ % ORACLE_FREED] =
        (struct oracle_range){block->start, block->usable_bytes};
}

static void freed_forget(struct oracle *oracle, const struct shadow_block *block) {
    for (size_t i = 0; i < ORACLE_FREED; i++) {
        struct oracle_range *freed = &oracle->freed[i];
        bool apart = freed->start > block->start + block->usable_bytes + FREED_MARGIN ||
                     block->start > freed->start + freed->bytes + FREED_MARGIN;
        freed->bytes = apart ? freed->bytes : 0;
    }
}

/* ---- judging one op ---- */

/* The alignment that alloc_aligned() is asked for, as replay asks it; 1 for plain alloc. */
static size_t align_asked(const struct oracle *oracle, const struct op *op) {
    unsigned widest = sizeof(size_t) * 8 - 1;
    size_t align = (size_t)1 << (op->align_log2 < widest ? op->align_log2 : widest);
    bool plain = op->kind != OP_ALIGNED || oracle->config.ops->alloc_aligned == NULL ||
                 align <= oracle->default_align;
    return plain ? 1 : align;
}

/* What largest() must be at least for the request to be served surely; SIZE_MAX: never surely. */
static size_t sure_bytes(const struct alloc_ops *ops, size_t bytes, size_t align) {
    if (align > 1 && (ops->caps & ALLOC_CAP_FIXED_SIZE)) {
        return SIZE_MAX; /* where its blocks lie decides */
    }
    if (align <= ALLOC_ALIGN) {
        return bytes;
    }
    size_t extra = align + 2 * ALLOC_ALIGN;
    if (extra < align || bytes > SIZE_MAX - extra) {
        return SIZE_MAX;
    }
    bool may_be_slot = (ops->caps & ALLOC_CAP_SLOTS) && bytes + extra <= ALLOC_SLOT_MAX;
    return may_be_slot ? ALLOC_SLOT_MAX + 1 : bytes + extra;
}

static bool refusal_judge(struct oracle *oracle, const struct replay_event *event) {
    const struct alloc_ops *ops = oracle->config.ops;
    const struct op *op = event->op;
    const struct shadow_block *old = &oracle_shadow(oracle)->blocks[op->slot];
    size_t bytes = event->bytes;
    size_t align = align_asked(oracle, op);
    if (old->live) {
        if (!oracle_contents_hold(oracle, op->slot, 0, old->usable_bytes, ORACLE_REFUSAL_CHANGED)) {
            return false;
        }
        if (ops->realloc != NULL) {
            align = old->align > oracle->default_align ? old->align : 1;
            if (bytes <= old->request_bytes) {
                return oracle_fail(oracle, ORACLE_REFUSED, "%s does not shrink",
                                   oracle_block_text(oracle, op->slot).text);
            }
        }
    }
    if (op->kind == OP_ALIGNED && ops->alloc_aligned == NULL) {
        size_t log_align = (size_t)1 << (op->align_log2 < 31 ? op->align_log2 : 31);
        bytes = bytes > SIZE_MAX - log_align ? SIZE_MAX : bytes + log_align;
    }
    size_t largest = ops->largest != NULL ? ops->largest(oracle->config.heap) : 0;
    if (sure_bytes(ops, bytes, align) <= largest) {
        return oracle_fail(oracle, ORACLE_REFUSED, "largest() is %zu", largest);
    }
    return true;
}

bool oracle_inside(const struct oracle *oracle, uintptr_t start, size_t bytes) {
    for (uint32_t i = 0; i < oracle->range_count; i++) {
        const struct oracle_range *range = &oracle->ranges[i];
        if (start >= range->start && start - range->start <= range->bytes &&
            bytes <= range->bytes - (start - range->start)) {
            return true;
        }
    }
    return oracle->range_count == 0;
}

size_t oracle_given_bytes(const struct oracle *oracle) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < oracle->range_count; i++) {
        bytes += oracle->ranges[i].bytes;
    }
    return bytes;
}

/* Is the block where it may be? Asked first of the request, then of all that usable() claims. */
static bool place_judge(struct oracle *oracle, const struct shadow_block *block,
                        struct shadow_pair around, size_t bytes, bool claimed) {
    const struct shadow *shadow = oracle_shadow(oracle);
    long long offset = oracle_offset(oracle, block->start);
    if (!claimed && oracle->range_count > 0 && bytes > oracle_given_bytes(oracle)) {
        return oracle_fail(oracle, ORACLE_OUTSIDE,
                           "block at %lld: a request of %zu B, more than the pool has, was granted",
                           offset, bytes);
    }
    if (!oracle_inside(oracle, block->start, bytes)) {
        return oracle_fail(oracle, claimed ? ORACLE_USABLE : ORACLE_OUTSIDE,
                           "block at %lld with %zu B ends outside a pool of %zu B", offset, bytes,
                           oracle->config.pool_bytes);
    }
    uint32_t other = shadow_pair_overlap(shadow, around, block->start, bytes);
    if (other != SHADOW_NONE) {
        return oracle_fail(oracle, claimed ? ORACLE_USABLE : ORACLE_OVERLAP,
                           "block at %lld with %zu B shares bytes with %s", offset, bytes,
                           oracle_block_text(oracle, other).text);
    }
    return true;
}

static bool block_judge(struct oracle *oracle, struct shadow_block *block,
                        struct shadow_pair around) {
    const struct alloc_ops *ops = oracle->config.ops;
    long long offset = oracle_offset(oracle, block->start);
    if (block->start % block->align != 0) {
        return oracle_fail(oracle, ORACLE_MISALIGNED,
                           "block at %lld lies %zu behind a multiple of %zu", offset,
                           (size_t)(block->start % block->align), block->align);
    }
    if (!place_judge(oracle, block, around, block->request_bytes, false)) {
        return false;
    }
    block->usable_bytes = block->request_bytes;
    if (ops->usable != NULL) {
        block->usable_bytes = ops->usable(oracle->config.heap, (const void *)block->start);
        if (block->usable_bytes < block->request_bytes) {
            return oracle_fail(oracle, ORACLE_USABLE,
                               "%zu B for the block at %lld, expected at least %zu",
                               block->usable_bytes, offset, block->request_bytes);
        }
    }
    return place_judge(oracle, block, around, block->usable_bytes, true);
}

/* Do the bytes that realloc had to keep stand in the new payload? */
static bool prefix_judge(struct oracle *oracle, const struct shadow_block *old,
                         const struct shadow_block *block) {
    bool shrinks = block->request_bytes < old->request_bytes;
    size_t kept = shrinks ? block->request_bytes : old->request_bytes;
    struct content content = oracle_content(oracle, old);
    size_t at = content_damage(&content, (const void *)block->start, 0, kept);
    if (at < kept) {
        return oracle_fail(oracle, ORACLE_PREFIX,
                           "byte %zu of %zu B to keep, moved from %lld (born at op %llu) to %lld",
                           at, kept, oracle_offset(oracle, old->start),
                           (unsigned long long)old->born_op, oracle_offset(oracle, block->start));
    }
    return true;
}

enum { OVERCOPY_BYTES = 8 };

/* Of a block that moved, what lies behind the old contents must not be the contents of the live
 * block that lay behind the old one: these are found nowhere else unless they were copied. */
static bool copied_judge(struct oracle *oracle, const struct shadow_block *old,
                         const struct shadow_block *block) {
    const struct shadow *shadow = oracle_shadow(oracle);
    uint32_t above = old->above;
    if (above == SHADOW_NONE || block->start == old->start) {
        return true;
    }
    const struct shadow_block *neighbour = &shadow->blocks[above];
    size_t distance = neighbour->start - old->start;
    if (neighbour->usable_bytes < OVERCOPY_BYTES || distance > block->usable_bytes ||
        block->usable_bytes - distance < OVERCOPY_BYTES) {
        return true;
    }
    struct content content = oracle_content(oracle, neighbour);
    const void *copy = (const void *)(block->start + distance);
    if (content_damage(&content, copy, 0, OVERCOPY_BYTES) < OVERCOPY_BYTES) {
        return true;
    }
    return oracle_fail(oracle, ORACLE_OVERCOPY,
                       "%zu B moved from %lld to %lld, where from byte %zu on those of %s stand",
                       old->request_bytes, oracle_offset(oracle, old->start),
                       oracle_offset(oracle, block->start), distance,
                       oracle_block_text(oracle, above).text);
}

static size_t align_expected(const struct oracle *oracle, const struct op *op,
                             const struct shadow_block *old) {
    if (op->kind == OP_REALLOC && old->live && oracle->config.ops->realloc != NULL) {
        return old->align;
    }
    size_t align = align_asked(oracle, op);
    return align > 1 ? align : oracle->default_align;
}

/* An alloc() makes largest() no larger, but for what a size class hides from a good fit. */
static bool growth_judge(struct oracle *oracle, const struct op *op) {
    const struct oracle_config *config = &oracle->config;
    if (!oracle->largest_known || op->kind == OP_ALIGNED) {
        return true;
    }
    size_t largest = config->ops->largest(config->heap);
    size_t growth = (config->ops->caps & ALLOC_CAP_GOOD_FIT) != 0
                        ? ALLOC_LARGEST_GROWTH(oracle->largest_before)
                        : 0;
    return largest <= oracle->largest_before + growth ||
           oracle_fail(oracle, ORACLE_LARGEST, "%zu, was %zu before the alloc", largest,
                       oracle->largest_before);
}

static bool payload_judge(struct oracle *oracle, const struct replay_event *event) {
    struct shadow *shadow = oracle_shadow(oracle);
    uint32_t slot = event->op->slot;
    struct shadow_block old = shadow->blocks[slot];
    struct shadow_block block = {.start = (uintptr_t)event->payload,
                                 .request_bytes = event->bytes,
                                 .align = align_expected(oracle, event->op, &old),
                                 .born_op = oracle->ops};
    if (old.live) {
        shadow_remove(shadow, slot);
        freed_remember(oracle, &old);
    } else if (oracle->largest_known && event->op->kind != OP_ALIGNED &&
               event->bytes > oracle->largest_before) {
        return oracle_fail(oracle, ORACLE_GRANTED, "largest() was %zu", oracle->largest_before);
    }
    struct shadow_pair around = shadow_around(shadow, block.start);
    if (!block_judge(oracle, &block, around) ||
        (old.live &&
         (!prefix_judge(oracle, &old, &block) || !copied_judge(oracle, &old, &block)))) {
        return false;
    }
    freed_forget(oracle, &block);
    shadow->blocks[slot] = block;
    shadow_insert(shadow, slot, around);
    if (!edges_hold(oracle, around)) {
        return false;
    }
    struct content content = oracle_content(oracle, &block);
    content_fill(&content, event->payload);
    return old.live || growth_judge(oracle, event->op);
}

static bool free_judge(struct oracle *oracle, const struct replay_event *event) {
    struct shadow *shadow = oracle_shadow(oracle);
    uint32_t slot = event->op->slot;
    const struct shadow_block *block = &shadow->blocks[slot];
    if (event->status != ALLOC_OK) {
        return oracle_fail(oracle, ORACLE_FREE_REFUSED, "status %d for %s", (int)event->status,
                           oracle_block_text(oracle, slot).text);
    }
    shadow_remove(shadow, slot);
    freed_remember(oracle, block);
    return edges_hold(oracle, (struct shadow_pair){block->below, block->above});
}

/* Whether an audit is due after the op under way. */
static bool audit_is_due(const struct oracle *oracle) {
    return oracle->ops + 1 == oracle->audit_next;
}

void oracle_before(struct oracle *oracle, const struct replay_event *event) {
    const struct oracle_config *config = &oracle->config;
    const struct shadow_block *block = &oracle_shadow(oracle)->blocks[event->op->slot];
    assert(event->op->slot < config->slot_count);
    assert(block->live == (event->old_payload != NULL));
    oracle->op = *event->op;
    if (block->live) {
        (void)oracle_contents_hold(oracle, event->op->slot, 0, block->usable_bytes, ORACLE_CONTENT);
    }
    oracle->largest_known = config->ops->largest != NULL && audit_is_due(oracle);
    oracle->largest_before = oracle->largest_known ? config->ops->largest(config->heap) : 0;
}

static bool event_judge(struct oracle *oracle, const struct replay_event *event) {
    if (event->skipped) {
        return true;
    }
    if (event->op->kind == OP_FREE) {
        return free_judge(oracle, event);
    }
    return event->payload != NULL ? payload_judge(oracle, event) : refusal_judge(oracle, event);
}

/* The audit that is due after an op. If the one before the op was sound and the op was refused,
 * whatever is different now is the refusal's fault. */
static bool audit_after(struct oracle *oracle, bool refused) {
    bool comparable = refused && oracle->state_digest_op == oracle->ops;
    uint64_t state_before = oracle->state_digest;
    bool sound = oracle_audit_pass(oracle);
    if (comparable && (!sound || oracle->state_digest != state_before)) {
        const char *found = sound ? "walk() or stats() differs" : oracle_rule_words(oracle->rule);
        oracle->rule = ORACLE_NONE;
        return oracle_fail(oracle, ORACLE_REFUSAL_CHANGED, "%s", found);
    }
    oracle->state_digest_op = oracle->ops + 1;
    return sound;
}

bool oracle_after(struct oracle *oracle, const struct replay_event *event) {
    if (oracle->rule != ORACLE_NONE || !event_judge(oracle, event)) {
        return false;
    }
    if (audit_is_due(oracle)) {
        oracle->audit_next += oracle->config.audit_every;
        bool refused = event->op->kind != OP_FREE && event->payload == NULL;
        if (!audit_after(oracle, refused)) {
            return false;
        }
    }
    if (oracle->ops + 1 == oracle->probe_next) {
        oracle->probe_next += oracle->config.probe_every;
        if (!oracle_probe(oracle)) {
            return false;
        }
    }
    oracle->ops++;
    return true;
}

/* ---- the oracle itself ---- */

static void observer_before(void *ctx, const struct replay_event *event) {
    oracle_before(ctx, event);
}

static bool observer_after(void *ctx, const struct replay_event *event) {
    return oracle_after(ctx, event);
}

struct replay_observer oracle_observer(struct oracle *oracle) {
    return (struct replay_observer){oracle, observer_before, observer_after};
}

/* FIXED_SIZE blocks are aligned to the largest power of two up to ALLOC_ALIGN that divides them. */
static size_t default_align(const struct oracle_config *config) {
    if (!(config->ops->caps & ALLOC_CAP_FIXED_SIZE) || config->cfg == NULL ||
        config->cfg->block_bytes == 0) {
        return ALLOC_ALIGN;
    }
    size_t lowest_bit = config->cfg->block_bytes & (~config->cfg->block_bytes + 1);
    return lowest_bit < ALLOC_ALIGN ? lowest_bit : ALLOC_ALIGN;
}

static size_t oracle_bytes(const struct oracle *oracle) {
    return sizeof *oracle + shadow_bytes(oracle->config.slot_count);
}

static void oracle_begin(struct oracle *oracle, const struct oracle_config *config) {
    *oracle = (struct oracle){.config = *config,
                              .default_align = default_align(config),
                              .largest_at_start = LARGEST_UNKNOWN,
                              .audit_next = config->audit_every,
                              .probe_next = config->probe_every,
                              .state_digest_op = UINT64_MAX,
                              .random = config->probe_seed * 2 + 1};
    if (!(config->ops->caps & ALLOC_CAP_POOLLESS)) {
        oracle_add_region(oracle, config->pool, config->pool_bytes);
    }
    oracle->config.cfg = NULL;
}

struct oracle *oracle_new(const struct oracle_config *config) {
    struct oracle *oracle = malloc(sizeof *oracle + shadow_bytes(config->slot_count));
    if (oracle != NULL) {
        shadow_init(oracle_shadow(oracle), config->slot_count);
        oracle_begin(oracle, config);
    }
    return oracle;
}

void oracle_reuse(struct oracle *oracle, const struct oracle_config *config) {
    assert(config->slot_count == oracle->config.slot_count);
    shadow_clear(oracle_shadow(oracle));
    oracle_begin(oracle, config);
}

void oracle_free(struct oracle *oracle) {
    free(oracle);
}

void oracle_add_region(struct oracle *oracle, void *mem, size_t bytes) {
    assert(oracle->range_count < ORACLE_RANGES);
    uint32_t at = oracle->range_count++;
    for (; at > 0 && oracle->ranges[at - 1].start > (uintptr_t)mem; at--) {
        oracle->ranges[at] = oracle->ranges[at - 1];
    }
    oracle->ranges[at] = (struct oracle_range){(uintptr_t)mem, bytes};
    oracle_guards_fill(oracle, &oracle->ranges[at]);
    oracle->state_digest_op = UINT64_MAX;
    oracle->largest_at_start = LARGEST_UNKNOWN;
    if (oracle->config.ops->largest != NULL && oracle_shadow(oracle)->live_count == 0) {
        oracle->largest_at_start = oracle->config.ops->largest(oracle->config.heap);
    }
}

const char *oracle_audit(struct oracle *oracle) {
    (void)(oracle->rule == ORACLE_NONE && oracle_audit_pass(oracle));
    oracle->state_digest_op = oracle->ops;
    return oracle_verdict(oracle);
}

const char *oracle_verdict(const struct oracle *oracle) {
    return oracle->rule == ORACLE_NONE ? NULL : oracle->verdict;
}

enum oracle_rule oracle_rule(const struct oracle *oracle) {
    return oracle->rule;
}

struct oracle_counts oracle_counts(const struct oracle *oracle) {
    const struct shadow *shadow = oracle_shadow((struct oracle *)(uintptr_t)oracle);
    return (struct oracle_counts){oracle->ops, oracle->audits, oracle->probes, shadow->live_count};
}

void oracle_copy(struct oracle *to, const struct oracle *from) {
    assert(to->config.slot_count == from->config.slot_count);
    memcpy(to, from, oracle_bytes(from));
}
