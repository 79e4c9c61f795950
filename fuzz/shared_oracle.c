/* SPDX-License-Identifier: MIT
 * shared_oracle.c - see shared_oracle.h. */
#include "shared_oracle.h"

#include "content.h"
#include "shadow.h"

#include "../trace/trace.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct shared_oracle {
    struct shared_oracle_config config;
    size_t largest_at_start;
    pthread_mutex_t mutex; /* of shadow and verdict */
    struct shadow *shadow;
    atomic_bool broken;
    char verdict[512]; /* the first one's */
};

struct shared_oracle *shared_oracle_new(const struct shared_oracle_config *config) {
    struct shared_oracle *o = calloc(1, sizeof *o);
    struct shadow *shadow = malloc(shadow_bytes(config->slot_count));
    if (o == NULL || shadow == NULL) {
        free(o);
        free(shadow);
        return NULL;
    }
    o->config = *config;
    o->shadow = shadow;
    shadow_init(shadow, config->slot_count);
    (void)pthread_mutex_init(&o->mutex, NULL);
    if (config->ops->largest != NULL) {
        o->largest_at_start = config->ops->largest(config->heap);
    }
    return o;
}

void shared_oracle_free(struct shared_oracle *oracle) {
    if (oracle != NULL) {
        (void)pthread_mutex_destroy(&oracle->mutex);
        free(oracle->shadow);
        free(oracle);
    }
}

/* ---- the verdict ---- */

/* Keeps the first; always false. The mutex is not held. */
static bool verdict_set(struct shared_oracle *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool verdict_set(struct shared_oracle *o, const char *format, ...) {
    (void)pthread_mutex_lock(&o->mutex);
    if (!atomic_load(&o->broken)) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(o->verdict, sizeof o->verdict, format, arguments);
        va_end(arguments);
        atomic_store(&o->broken, true);
    }
    (void)pthread_mutex_unlock(&o->mutex);
    return false;
}

static bool op_broken(struct shared_oracle *o, const struct replay_event *event, const char *what) {
    return verdict_set(o, "op %zu (%s of %zu bytes, slot %u, thread %u): %s", event->index,
                       op_kind_names[event->op->kind], event->bytes, (unsigned)event->op->slot,
                       (unsigned)event->op->thread, what);
}

/* ---- contents ---- */

static struct content block_content(const struct shared_oracle *o,
                                    const struct shadow_block *block) {
    return (struct content){.tag = block->born_op,
                            .bytes = block->request_bytes,
                            .cap_bytes = o->config.content_cap_bytes};
}

/* The first `bytes` bytes at payload are as the block had them. */
static bool content_whole(const struct shared_oracle *o, const struct shadow_block *block,
                          const void *payload, size_t bytes) {
    const struct content content = block_content(o, block);
    return content_damage(&content, payload, 0, bytes) == bytes;
}

/* ---- each op ---- */

/* A slot's block is its thread's alone between its ops (parallel.h orders them), but for the links
 * of the tree, which only `mutex` guards. */
static struct shadow_block *slot_block(struct shared_oracle *o, const struct replay_event *event) {
    return &o->shadow->blocks[event->op->slot];
}

static void block_leave(struct shared_oracle *o, uint32_t slot) {
    (void)pthread_mutex_lock(&o->mutex);
    shadow_remove(o->shadow, slot);
    (void)pthread_mutex_unlock(&o->mutex);
}

/* False, and no entry, when it overlaps another. */
static bool block_enter(struct shared_oracle *o, uint32_t slot, const struct shadow_block *block,
                        struct shadow_block *other) {
    (void)pthread_mutex_lock(&o->mutex);
    struct shadow_pair around = shadow_around(o->shadow, block->start);
    uint32_t overlapped = shadow_pair_overlap(o->shadow, around, block->start, block->usable_bytes);
    if (overlapped == SHADOW_NONE) {
        o->shadow->blocks[slot] = *block;
        shadow_insert(o->shadow, slot, around);
    } else {
        *other = o->shadow->blocks[overlapped];
    }
    (void)pthread_mutex_unlock(&o->mutex);
    return overlapped == SHADOW_NONE;
}

static void op_before(void *ctx, const struct replay_event *event) {
    struct shared_oracle *o = ctx;
    if (event->old_payload == NULL) {
        return;
    }
    const struct shadow_block *block = slot_block(o, event);
    if (!content_whole(o, block, event->old_payload, block->request_bytes)) {
        (void)op_broken(o, event, "contents changed while live");
    }
    block_leave(o, event->op->slot);
}

/* What is wrong with a payload by itself, or NULL. */
static const char *payload_fault(const struct shared_oracle *o, const struct replay_event *event,
                                 const struct shadow_block *block) {
    const struct shared_oracle_config *c = &o->config;
    if (block->start % block->align != 0) {
        return "is not aligned as asked";
    }
    uintptr_t at = block->start - (uintptr_t)c->pool;
    if ((c->ops->caps & ALLOC_CAP_POOLLESS) == 0 &&
        (at > c->pool_bytes || block->usable_bytes > c->pool_bytes - at)) {
        return "lies outside the pool";
    }
    const struct shadow_block *old = &o->shadow->blocks[event->op->slot];
    if (event->old_payload != NULL) {
        size_t kept = old->request_bytes < event->bytes ? old->request_bytes : event->bytes;
        if (!content_whole(o, old, event->payload, kept)) {
            return "realloc lost contents";
        }
    }
    return NULL;
}

/* What alignment a request may count on; a realloc keeps its block's. */
static size_t align_owed(const struct shared_oracle *o, const struct replay_event *event) {
    const struct op *op = event->op;
    if (op->kind == OP_REALLOC && event->old_payload != NULL) {
        return o->shadow->blocks[op->slot].align;
    }
    bool asked = op->kind == OP_ALIGNED && o->config.ops->alloc_aligned != NULL;
    size_t align = asked && op->align_log2 < 31 ? (size_t)1 << op->align_log2 : 1;
    return align > ALLOC_ALIGN ? align : ALLOC_ALIGN;
}

static bool served_after(struct shared_oracle *o, const struct replay_event *event) {
    struct shadow_block other;
    struct shadow_block block = {.start = (uintptr_t)event->payload,
                                 .request_bytes = event->bytes,
                                 .align = align_owed(o, event),
                                 .born_op = event->index};
    size_t usable = o->config.ops->usable(o->config.heap, event->payload);
    block.usable_bytes = usable > event->bytes ? usable : event->bytes;
    const char *fault = payload_fault(o, event, &block);
    if (fault != NULL) {
        return op_broken(o, event, fault);
    }
    if (!block_enter(o, event->op->slot, &block, &other)) {
        char what[128];
        (void)snprintf(what, sizeof what, "overlaps the live block of op %llu (%zu bytes)",
                       (unsigned long long)other.born_op, other.request_bytes);
        return op_broken(o, event, what);
    }
    if (usable < event->bytes) {
        return op_broken(o, event, "usable() is less than the request");
    }
    const struct content content = block_content(o, &block);
    content_fill(&content, event->payload);
    return true;
}

/* A refused realloc or free: the block is live as before. */
static bool refused_after(struct shared_oracle *o, const struct replay_event *event) {
    struct shadow_block other;
    struct shadow_block block = *slot_block(o, event);
    block.live = false;
    return block_enter(o, event->op->slot, &block, &other) ||
           op_broken(o, event, "a refused call gave its block to another");
}

static bool op_after(void *ctx, const struct replay_event *event) {
    struct shared_oracle *o = ctx;
    if (event->op->kind == OP_FREE) {
        if (event->status != ALLOC_OK) {
            return op_broken(o, event, "free of a live block refused");
        }
    } else if (event->payload != NULL) {
        return served_after(o, event) && !atomic_load(&o->broken);
    } else if (event->old_payload != NULL) {
        return refused_after(o, event) && !atomic_load(&o->broken);
    }
    return !atomic_load(&o->broken);
}

struct replay_observer shared_oracle_observer(struct shared_oracle *oracle) {
    return (struct replay_observer){.ctx = oracle, .before = op_before, .after = op_after};
}

/* ---- the end ---- */

struct live_count {
    struct shared_oracle *oracle;
    uint32_t known, unknown;
};

static bool live_piece(void *ctx, const struct alloc_piece *piece) {
    struct live_count *count = ctx;
    if (piece->kind == ALLOC_PIECE_LIVE) {
        uintptr_t start = (uintptr_t)piece->payload;
        const struct shadow *shadow = count->oracle->shadow;
        uint32_t slot = shadow_overlap(shadow, start, 1);
        bool known = slot != SHADOW_NONE && shadow->blocks[slot].start == start;
        count->known += known;
        count->unknown += !known;
    }
    return true;
}

static bool blocks_sound(struct shared_oracle *o, void *const *slots) {
    for (uint32_t i = 0; i < o->shadow->slot_count; i++) {
        const struct shadow_block *block = &o->shadow->blocks[i];
        if (slots[i] != NULL &&
            !content_whole(o, block, (const void *)block->start, block->request_bytes)) {
            return verdict_set(o, "at the end: contents of op %llu's block (%zu bytes) changed",
                               (unsigned long long)block->born_op, block->request_bytes);
        }
    }
    return true;
}

/* The allocator's own account is ours. */
static bool account_sound(struct shared_oracle *o, const char *when) {
    const struct shared_oracle_config *c = &o->config;
    const char *rule = c->ops->check != NULL ? c->ops->check(c->heap) : NULL;
    if (rule != NULL) {
        return verdict_set(o, "%s: check(): %s", when, rule);
    }
    if (c->ops->walk == NULL) {
        return true;
    }
    struct live_count count = {.oracle = o};
    c->ops->walk(c->heap, live_piece, &count);
    if (count.unknown > 0 || count.known != o->shadow->live_count) {
        return verdict_set(o, "%s: walk() shows %u of %u live blocks and %u that are not", when,
                           (unsigned)count.known, (unsigned)o->shadow->live_count,
                           (unsigned)count.unknown);
    }
    struct alloc_stats stats = {0};
    if (c->ops->stats != NULL) {
        c->ops->stats(c->heap, &stats);
        if (stats.live_blocks != o->shadow->live_count) {
            return verdict_set(o, "%s: stats() counts %zu live blocks, expected %u", when,
                               stats.live_blocks, (unsigned)o->shadow->live_count);
        }
    }
    return true;
}

static bool all_freed(struct shared_oracle *o, void **slots) {
    const struct shared_oracle_config *c = &o->config;
    for (uint32_t i = 0; i < o->shadow->slot_count; i++) {
        if (slots[i] != NULL) {
            if (c->ops->free(c->heap, slots[i]) != ALLOC_OK) {
                return verdict_set(o, "at the end: free of a live block refused");
            }
            shadow_remove(o->shadow, i);
            slots[i] = NULL;
        }
    }
    return true;
}

static bool nothing_lost(struct shared_oracle *o) {
    const struct shared_oracle_config *c = &o->config;
    if ((c->ops->caps & ALLOC_CAP_COALESCES) == 0 || c->ops->largest == NULL) {
        return true;
    }
    size_t largest = c->ops->largest(c->heap);
    return largest == o->largest_at_start ||
           verdict_set(o, "all freed: largest() is %zu, was %zu at the start", largest,
                       o->largest_at_start);
}

const char *shared_oracle_end(struct shared_oracle *oracle, void **slots) {
    bool frees = (oracle->config.ops->caps & ALLOC_CAP_FREES) != 0;
    bool sound = !atomic_load(&oracle->broken) && blocks_sound(oracle, slots) &&
                 account_sound(oracle, "at the end");
    sound = sound && all_freed(oracle, slots);
    sound = sound && (!frees || account_sound(oracle, "all freed")) && nothing_lost(oracle);
    return sound ? NULL : oracle->verdict;
}
