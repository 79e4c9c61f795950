/* SPDX-License-Identifier: MIT
 *
 * replay.c - the one executor
 *
 * replay_loop() is the only loop. It is inlined once for each combination of constants (touch
 * policy, observed, timed), so a plain run carries no test of what it does not do. What remains is
 * the cost that bench measures on null_alloc.c and subtracts: loading the op and its slot, the
 * mispredicted branch on the kind of op, one indirect call and the touches.
 *
 *   op[i + AHEAD] -> prefetch its slot      op[i] -> call -> slot, touch, observers
 */
#include "replay.h"

#include "tick.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { AHEAD = 24, TOUCH_STRIDE = 64, TOUCH_BYTE = 0x5A };

/* What is constant in one copy of the loop. */
struct mode {
    enum replay_touch touch;
    bool observed;
    uint32_t *ticks; /* NULL: not timed */
};

ALWAYS_INLINE size_t request_bytes(const struct op *op) {
#if SIZE_MAX < UINT64_MAX
    if (op->bytes > SIZE_MAX) {
        return SIZE_MAX;
    }
#endif
    return (size_t)op->bytes + (op->bytes == 0);
}

static size_t request_align(const struct op *op) {
    unsigned widest = sizeof(size_t) * 8 - 1;
    return (size_t)1 << (op->align_log2 < widest ? op->align_log2 : widest);
}

ALWAYS_INLINE void payload_touch(unsigned char *payload, size_t bytes, enum replay_touch touch) {
    if (touch == REPLAY_TOUCH_EDGES) {
        *(volatile unsigned char *)payload = TOUCH_BYTE;
        *(volatile unsigned char *)(payload + bytes - 1) = TOUCH_BYTE;
    } else if (touch == REPLAY_TOUCH_WHOLE) {
        for (size_t i = 0; i < bytes; i += TOUCH_STRIDE) {
            *(volatile unsigned char *)(payload + i) = TOUCH_BYTE;
        }
    }
}

static void *aligned_call(const struct replay *r, const struct op *op, size_t bytes) {
    size_t align = request_align(op);
    if (r->ops->alloc_aligned != NULL) {
        return r->ops->alloc_aligned(r->heap, bytes, align);
    }
    return r->ops->alloc(r->heap, bytes > SIZE_MAX - align ? SIZE_MAX : bytes + align);
}

/* What realloc() does, for an allocator without one. */
static void *realloc_call(const struct replay *r, void *old, size_t bytes) {
    if (r->ops->realloc != NULL) {
        return r->ops->realloc(r->heap, old, bytes);
    }
    void *payload = r->ops->alloc(r->heap, bytes);
    if (payload != NULL && old != NULL) {
        size_t old_bytes = r->ops->usable(r->heap, old);
        memcpy(payload, old, old_bytes < bytes ? old_bytes : bytes);
        (void)r->ops->free(r->heap, old);
    }
    return payload;
}

/* The allocator's answer to one op; the caller updates the slot. */
ALWAYS_INLINE void op_call(const struct replay *r, struct replay_event *event) {
    const struct op *op = event->op;
    if (__builtin_expect(op->kind == OP_FREE, 1)) {
        event->status = r->ops->free(r->heap, event->old_payload);
    } else if (op->kind <= OP_CALLOC) {
        event->payload = r->ops->alloc(r->heap, event->bytes);
    } else if (op->kind == OP_REALLOC) {
        event->payload = realloc_call(r, event->old_payload, event->bytes);
    } else {
        event->payload = aligned_call(r, op, event->bytes);
    }
}

ALWAYS_INLINE void op_call_timed(const struct replay *r, struct replay_event *event,
                                 uint32_t *ticks) {
    uint64_t begin = tick_begin();
    op_call(r, event);
    uint64_t took = tick_end() - begin;
    ticks[event->index] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
}

ALWAYS_INLINE void event_finish(const struct replay *r, const struct replay_event *event,
                                enum replay_touch touch, struct replay_result *result) {
    void **slot = &r->slots[event->op->slot];
    if (event->op->kind == OP_FREE) {
        result->misuses += event->status != ALLOC_OK;
        *slot = NULL;
    } else if (event->payload == NULL) {
        result->failures++;
    } else {
        *slot = event->payload;
        payload_touch(event->payload, event->bytes, touch);
    }
}

static void observers_before(const struct replay *r, const struct replay_event *event) {
    for (size_t i = 0; i < r->observer_count; i++) {
        if (r->observers[i].before != NULL) {
            r->observers[i].before(r->observers[i].ctx, event);
        }
    }
}

static bool observers_after(const struct replay *r, const struct replay_event *event) {
    bool go_on = true;
    for (size_t i = 0; i < r->observer_count; i++) {
        if (r->observers[i].after != NULL) {
            go_on &= r->observers[i].after(r->observers[i].ctx, event);
        }
    }
    return go_on;
}

ALWAYS_INLINE void replay_loop(const struct replay *replay, struct replay_result *result,
                               const struct mode mode) {
    const struct replay r = *replay;
    *result = (struct replay_result){.ops_done = r.op_count};
    for (size_t i = 0; i < r.op_count; i++) {
        const struct op *op = &r.op[i];
        const struct op *ahead = &r.op[i + AHEAD < r.op_count ? i + AHEAD : i];
        __builtin_prefetch(&r.slots[ahead->slot], 1);
        struct replay_event event = {.op = op,
                                     .index = i,
                                     .old_payload = r.slots[op->slot],
                                     .bytes = op->kind == OP_FREE ? 0 : request_bytes(op)};
        event.skipped = op->kind == OP_FREE && event.old_payload == NULL;
        if (mode.observed) {
            observers_before(&r, &event);
        }
        if (mode.ticks != NULL) {
            mode.ticks[i] = 0;
        }
        if (!event.skipped) {
            if (mode.ticks != NULL) {
                op_call_timed(&r, &event, mode.ticks);
            } else {
                op_call(&r, &event);
            }
            event_finish(&r, &event, mode.touch, result);
        }
        if (mode.observed && !observers_after(&r, &event)) {
            result->ops_done = i + 1;
            return;
        }
    }
}

ALWAYS_INLINE void replay_touching(const struct replay *replay, struct replay_result *result,
                                   bool observed, uint32_t *ticks) {
    if (replay->touch == REPLAY_TOUCH_EDGES) {
        replay_loop(replay, result, (struct mode){REPLAY_TOUCH_EDGES, observed, ticks});
    } else if (replay->touch == REPLAY_TOUCH_WHOLE) {
        replay_loop(replay, result, (struct mode){REPLAY_TOUCH_WHOLE, observed, ticks});
    } else {
        replay_loop(replay, result, (struct mode){REPLAY_TOUCH_NONE, observed, ticks});
    }
}

void replay_run(const struct replay *replay, struct replay_result *result) {
    if (replay->observer_count > 0) {
        replay_touching(replay, result, true, NULL);
    } else {
        replay_touching(replay, result, false, NULL);
    }
}

void replay_run_timed(const struct replay *replay, uint32_t *ticks, struct replay_result *result) {
    replay_touching(replay, result, false, ticks);
}

void replay_free_rest(const struct replay *replay, size_t slot_count) {
    for (size_t i = 0; i < slot_count; i++) {
        if (replay->slots[i] != NULL) {
            (void)replay->ops->free(replay->heap, replay->slots[i]);
            replay->slots[i] = NULL;
        }
    }
}
