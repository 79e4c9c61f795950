/* SPDX-License-Identifier: MIT
 * oracle_audit.c - compares what the allocator says of the whole heap with the oracle's account.
 *
 * walk() has to show each range, from its first byte to its last, as pieces that touch:
 *
 *   | META | LIVE = one block of the shadow | FREE | LIVE | ... | META |
 *   ^ start of range                                                  ^ its end */
#include "oracle_state.h"

#include <stdio.h>
#include <string.h>

/* What one walk found so far. */
struct audit {
    struct oracle *oracle;
    uint32_t next;    /* slot of the live block that comes next */
    uint32_t range;   /* index of the range under way */
    uintptr_t cursor; /* where the next piece has to start */
    struct alloc_stats sums;
    size_t largest_free; /* usable bytes of the largest FREE piece */
    uint64_t digest;
    uint64_t random;
    uint32_t meta_pieces;
};

static uint64_t digest_add(uint64_t digest, uint64_t word) {
    digest = (digest ^ word) * UINT64_C(0xD6E8FEB86659FD93);
    return digest ^ (digest >> 32);
}

/* Keeps one META piece, each with equal odds, and the free space that ends the last range. */
static void piece_sample(struct audit *audit, const struct alloc_piece *piece) {
    struct oracle *oracle = audit->oracle;
    struct oracle_range range = {(uintptr_t)piece->start, piece->bytes};
    if (piece->kind == ALLOC_PIECE_META) {
        audit->random = digest_add(audit->random, ++audit->meta_pieces);
        if (audit->random % audit->meta_pieces == 0) {
            oracle->meta = range;
        }
    } else {
        range.bytes = piece->kind == ALLOC_PIECE_FREE ? range.bytes : 0;
        oracle->wilderness = range;
    }
}

static bool live_judge(struct audit *audit, const struct alloc_piece *piece) {
    struct oracle *oracle = audit->oracle;
    const struct shadow *shadow = oracle_shadow(oracle);
    uintptr_t payload = (uintptr_t)piece->payload;
    uint32_t slot = audit->next;
    if (slot == SHADOW_NONE || shadow->blocks[slot].start != payload) {
        slot = shadow_overlap(shadow, payload, 1);
    }
    if (slot == SHADOW_NONE || shadow->blocks[slot].start != payload) {
        return oracle_fail(oracle, ORACLE_WALK,
                           "shows a live block at %lld (%zu B) that is not live",
                           oracle_offset(oracle, payload), piece->usable);
    }
    const struct shadow_block *block = &shadow->blocks[slot];
    audit->next = block->above;
    size_t lead = payload - (uintptr_t)piece->start;
    bool inside = payload >= (uintptr_t)piece->start && lead <= piece->bytes &&
                  block->usable_bytes <= piece->bytes - lead;
    bool agrees = oracle->config.ops->usable == NULL || piece->usable == block->usable_bytes;
    if (!inside || !agrees) {
        return oracle_fail(oracle, ORACLE_WALK,
                           "piece at %lld (%zu B, %zu B usable) does not fit %s, %zu B usable",
                           oracle_offset(oracle, (uintptr_t)piece->start), piece->bytes,
                           piece->usable, oracle_block_text(oracle, slot).text,
                           block->usable_bytes);
    }
    return true;
}

static bool piece_place(struct audit *audit, const struct alloc_piece *piece) {
    struct oracle *oracle = audit->oracle;
    const struct oracle_range *range = &oracle->ranges[audit->range];
    long long offset = oracle_offset(oracle, (uintptr_t)piece->start);
    if (audit->range >= oracle->range_count) {
        return oracle_fail(oracle, ORACLE_WALK, "shows a piece at %lld behind the end", offset);
    }
    if ((uintptr_t)piece->start != audit->cursor) {
        return oracle_fail(oracle, ORACLE_WALK, "shows a piece at %lld, expected one at %lld",
                           offset, oracle_offset(oracle, audit->cursor));
    }
    size_t rest = range->bytes - (audit->cursor - range->start);
    if (piece->bytes == 0 || piece->bytes > rest) {
        return oracle_fail(oracle, ORACLE_WALK, "piece at %lld has %zu B, expected 1 to %zu",
                           offset, piece->bytes, rest);
    }
    audit->cursor += piece->bytes;
    if (piece->bytes == rest && ++audit->range < oracle->range_count) {
        audit->cursor = oracle->ranges[audit->range].start;
    }
    return true;
}

static bool piece_judge(void *ctx, const struct alloc_piece *piece) {
    struct audit *audit = ctx;
    struct alloc_stats *sums = &audit->sums;
    if (!piece_place(audit, piece)) {
        return false;
    }
    piece_sample(audit, piece);
    uint64_t kind_and_place = (uint64_t)(uintptr_t)piece->start * 4 + (uint64_t)piece->kind;
    audit->digest = digest_add(digest_add(audit->digest, kind_and_place), piece->bytes);
    audit->digest = digest_add(audit->digest, piece->usable);
    sums->pool_bytes += piece->bytes;
    if (piece->kind == ALLOC_PIECE_LIVE) {
        sums->live_bytes += piece->bytes;
        sums->live_blocks++;
        return live_judge(audit, piece);
    }
    if (piece->kind == ALLOC_PIECE_META) {
        sums->meta_bytes += piece->bytes;
        return true;
    }
    sums->free_bytes += piece->bytes;
    sums->free_blocks++;
    audit->largest_free = piece->usable > audit->largest_free ? piece->usable : audit->largest_free;
    if (piece->usable > piece->bytes) {
        return oracle_fail(audit->oracle, ORACLE_WALK, "free piece at %lld: %zu B usable of %zu",
                           oracle_offset(audit->oracle, (uintptr_t)piece->start), piece->usable,
                           piece->bytes);
    }
    return true;
}

static bool walk_judge(struct oracle *oracle, struct audit *audit) {
    const struct shadow *shadow = oracle_shadow(oracle);
    oracle->meta.bytes = 0;
    oracle->wilderness.bytes = 0;
    audit->next = shadow->lowest;
    audit->cursor = oracle->ranges[0].start;
    oracle->config.ops->walk(oracle->config.heap, piece_judge, audit);
    if (oracle->rule != ORACLE_NONE) {
        return false;
    }
    if (audit->range != oracle->range_count) {
        return oracle_fail(oracle, ORACLE_WALK, "ends at %lld, before the end of the pool",
                           oracle_offset(oracle, audit->cursor));
    }
    if (audit->sums.live_blocks != shadow->live_count) {
        return oracle_fail(oracle, ORACLE_WALK, "shows %zu live blocks, expected %u",
                           audit->sums.live_blocks, (unsigned)shadow->live_count);
    }
    return true;
}

/* stats() against the sums of walk() where there is one, else against themselves. */
static bool stats_judge(struct oracle *oracle, struct audit *audit) {
    struct alloc_stats stats;
    memset(&stats, 0xA5, sizeof stats); /* a field left unset shows */
    oracle->config.ops->stats(oracle->config.heap, &stats);
    audit->digest = digest_add(digest_add(audit->digest, stats.live_bytes), stats.free_bytes);
    size_t pool_bytes = oracle_given_bytes(oracle);
    size_t sum = stats.live_bytes + stats.free_bytes + stats.meta_bytes;
    if (oracle->range_count > 0 && (stats.pool_bytes != pool_bytes || sum != pool_bytes)) {
        return oracle_fail(oracle, ORACLE_STATS,
                           "pool %zu = live %zu + free %zu + meta %zu does not hold for %zu B",
                           stats.pool_bytes, stats.live_bytes, stats.free_bytes, stats.meta_bytes,
                           pool_bytes);
    }
    if (stats.live_blocks != oracle_shadow(oracle)->live_count) {
        return oracle_fail(oracle, ORACLE_STATS, "%zu live blocks, expected %u", stats.live_blocks,
                           (unsigned)oracle_shadow(oracle)->live_count);
    }
    if (oracle->config.ops->walk != NULL && oracle->range_count > 0 &&
        memcmp(&stats, &audit->sums, sizeof stats) != 0) {
        return oracle_fail(
            oracle, ORACLE_STATS,
            "live %zu, free %zu, meta %zu B, %zu free blocks; walk() adds up to %zu, %zu, %zu, %zu",
            stats.live_bytes, stats.free_bytes, stats.meta_bytes, stats.free_blocks,
            audit->sums.live_bytes, audit->sums.free_bytes, audit->sums.meta_bytes,
            audit->sums.free_blocks);
    }
    return true;
}

static bool largest_judge(struct oracle *oracle, const struct audit *audit) {
    const struct alloc_ops *ops = oracle->config.ops;
    size_t largest = ops->largest(oracle->config.heap);
    if (ops->walk != NULL && oracle->range_count > 0 && largest > audit->largest_free) {
        return oracle_fail(oracle, ORACLE_LARGEST, "%zu, but no free piece holds more than %zu B",
                           largest, audit->largest_free);
    }
    if (ops->walk != NULL && (ops->caps & ALLOC_CAP_FIXED_SIZE) && largest < audit->largest_free) {
        return oracle_fail(oracle, ORACLE_LARGEST, "%zu, but a free block holds %zu B", largest,
                           audit->largest_free);
    }
    if (oracle_shadow(oracle)->live_count == 0 && (ops->caps & ALLOC_CAP_COALESCES) &&
        oracle->largest_at_start != LARGEST_UNKNOWN && largest != oracle->largest_at_start) {
        return oracle_fail(oracle, ORACLE_LEAK, "largest() is %zu, was %zu at the start", largest,
                           oracle->largest_at_start);
    }
    return true;
}

static bool live_contents_judge(struct oracle *oracle) {
    const struct shadow *shadow = oracle_shadow(oracle);
    for (uint32_t slot = shadow->lowest; slot != SHADOW_NONE; slot = shadow->blocks[slot].above) {
        size_t bytes = shadow->blocks[slot].usable_bytes;
        if (!oracle_contents_hold(oracle, slot, 0, bytes, ORACLE_CONTENT)) {
            return false;
        }
    }
    return true;
}

/* ---- guards ---- */

static struct content guard_content(const struct oracle *oracle) {
    return (struct content){.tag = UINT64_MAX - 1, .bytes = oracle->config.guard_bytes};
}

void oracle_guards_fill(const struct oracle *oracle, const struct oracle_range *range) {
    struct content content = guard_content(oracle);
    content_fill(&content, (void *)(range->start - content.bytes));
    content_fill(&content, (void *)(range->start + range->bytes));
}

static bool guards_judge(struct oracle *oracle) {
    struct content content = guard_content(oracle);
    for (uint32_t i = 0; i < oracle->range_count; i++) {
        uintptr_t end = oracle->ranges[i].start + oracle->ranges[i].bytes;
        const uintptr_t guards[2] = {oracle->ranges[i].start - content.bytes, end};
        for (size_t side = 0; side < 2; side++) {
            size_t at = content_damage(&content, (const void *)guards[side], 0, content.bytes);
            if (at < content.bytes) {
                return oracle_fail(oracle, ORACLE_GUARD, "byte at %lld",
                                   oracle_offset(oracle, guards[side] + at));
            }
        }
    }
    return true;
}

bool oracle_audit_pass(struct oracle *oracle) {
    const struct alloc_ops *ops = oracle->config.ops;
    struct audit audit = {.oracle = oracle, .random = oracle->random + oracle->audits};
    oracle->audits++;
    if (!guards_judge(oracle) || !live_contents_judge(oracle)) {
        return false;
    }
    const char *broken = ops->check != NULL ? ops->check(oracle->config.heap) : NULL;
    if (broken != NULL) {
        return oracle_fail(oracle, ORACLE_CHECK, "%s", broken);
    }
    if (ops->walk != NULL && oracle->range_count > 0 && !walk_judge(oracle, &audit)) {
        return false;
    }
    if ((ops->stats != NULL && !stats_judge(oracle, &audit)) ||
        (ops->largest != NULL && !largest_judge(oracle, &audit))) {
        return false;
    }
    oracle->state_digest = audit.digest;
    return true;
}
