/* SPDX-License-Identifier: MIT
 *
 * replay.c - the one executor
 *
 * replay_loop() is the only loop. It is inlined once for each combination of constants (touch
 * policy, who watches), so a plain run carries no test of what it does not do. What remains is
 * the cost that bench measures on null_alloc.c and subtracts: loading the op and its slot, the
 * mispredicted branch on the kind of op, one indirect call and the touches.
 *
 *   op[i + AHEAD] -> prefetch its slot      op[i] -> call -> slot, touch, observers
 */
#include "replay.h"

#include "marks.h"
#include "tick.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { AHEAD = 24, TOUCH_STRIDE = 64, TOUCH_BYTE = 0x5A };

/* Who looks on. */
enum watch {
    WATCH_NOTHING,
    WATCH_OBSERVED,
    WATCH_AFTER, /* the same for the usual case: one observer, without `before` */
    WATCH_TIMED,
    WATCH_MARKED
};

/* What is constant in one copy of the loop. */
struct mode {
    enum replay_touch touch;
    enum watch watch;
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

static void *rare_call(const struct replay *r, const struct op *op, void *old, size_t bytes) {
    return op->kind == OP_REALLOC ? realloc_call(r, old, bytes) : aligned_call(r, op, bytes);
}

/* Before and after the allocator's call: reads the clock, or marks it for an instruction counter.
 */
ALWAYS_INLINE uint64_t clock_begin(const struct mode mode, void (*mark)(void)) {
    if (mode.watch == WATCH_MARKED) {
        mark();
    }
    return mode.watch == WATCH_TIMED ? tick_begin() : 0;
}

ALWAYS_INLINE void clock_end(const struct mode mode, uint64_t begin, uint32_t *ticks) {
    if (mode.watch == WATCH_TIMED) {
        uint64_t took = tick_end() - begin;
        *ticks = took == 0 ? 1 : took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
    }
    if (mode.watch == WATCH_MARKED) {
        mark_end();
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

ALWAYS_INLINE void slot_free(const struct replay *r, const struct mode mode,
                             struct replay_event *event, uint32_t *ticks,
                             struct replay_result *result) {
    event->skipped = event->old_payload == NULL;
    if (!event->skipped) {
        uint64_t begin = clock_begin(mode, mark_free);
        event->status = r->ops->free(r->heap, event->old_payload);
        clock_end(mode, begin, ticks);
        result->misuses += event->status != ALLOC_OK;
        r->slots[event->op->slot] = NULL;
    } else if (mode.watch == WATCH_MARKED) {
        mark_end();
    }
}

/* The mark that stands before a request. */
ALWAYS_INLINE void (*request_mark(const struct op *op))(void) {
    return op->kind == OP_REALLOC   ? mark_realloc
           : op->kind == OP_ALIGNED ? mark_aligned
                                    : mark_alloc;
}

ALWAYS_INLINE void slot_fill(const struct replay *r, const struct mode mode,
                             struct replay_event *event, uint32_t *ticks,
                             struct replay_result *result) {
    const struct op *op = event->op;
    uint64_t begin = clock_begin(mode, request_mark(op));
    void *payload = __builtin_expect(op->kind <= OP_CALLOC, 1)
                        ? r->ops->alloc(r->heap, event->bytes)
                        : rare_call(r, op, event->old_payload, event->bytes);
    clock_end(mode, begin, ticks);
    if (__builtin_expect(payload == NULL, 0)) {
        result->failures++;
    } else {
        r->slots[op->slot] = payload;
        payload_touch(payload, event->bytes, mode.touch);
    }
    event->payload = payload;
}

/* Does one op; false when an observer stops the run. */
ALWAYS_INLINE bool op_do(const struct replay *r, const struct mode mode, size_t i, uint32_t *ticks,
                         struct replay_result *result) {
    const struct op *op = &r->op[i];
    struct replay_event event = {.op = op, .index = i, .old_payload = r->slots[op->slot]};
    event.bytes = op->kind == OP_FREE ? 0 : request_bytes(op);
    if (mode.watch == WATCH_TIMED) {
        *ticks = 0;
    }
    if (mode.watch == WATCH_OBSERVED) {
        observers_before(r, &event);
    }
    if (op->kind == OP_FREE) {
        slot_free(r, mode, &event, ticks, result);
    } else {
        slot_fill(r, mode, &event, ticks, result);
    }
    if (mode.watch == WATCH_AFTER) {
        return r->observers->after(r->observers->ctx, &event);
    }
    return mode.watch != WATCH_OBSERVED || observers_after(r, &event);
}

/* Returns the number of ops done. */
ALWAYS_INLINE size_t replay_loop(const struct replay *r, const struct mode mode, uint32_t *ticks,
                                 struct replay_result *result) {
    for (size_t i = 0; i < r->op_count; i++) {
        __builtin_prefetch(&r->slots[r->op[i + AHEAD < r->op_count ? i + AHEAD : i].slot], 1);
        if (!op_do(r, mode, i, mode.watch == WATCH_TIMED ? &ticks[i] : NULL, result)) {
            return i + 1;
        }
    }
    return r->op_count;
}

/* A copy of the loop for each touch policy; `result` lives in registers meanwhile. */
ALWAYS_INLINE void replay_touching(const struct replay *replay, enum watch watch, uint32_t *ticks,
                                   struct replay_result *result) {
    const struct replay r = *replay;
    struct replay_result counted = {0};
    if (r.touch == REPLAY_TOUCH_EDGES) {
        const struct mode mode = {REPLAY_TOUCH_EDGES, watch};
        counted.ops_done = replay_loop(&r, mode, ticks, &counted);
    } else if (r.touch == REPLAY_TOUCH_WHOLE) {
        const struct mode mode = {REPLAY_TOUCH_WHOLE, watch};
        counted.ops_done = replay_loop(&r, mode, ticks, &counted);
    } else {
        const struct mode mode = {REPLAY_TOUCH_NONE, watch};
        counted.ops_done = replay_loop(&r, mode, ticks, &counted);
    }
    *result = counted;
}

void replay_run(const struct replay *replay, struct replay_result *result) {
    const struct replay_observer *first = replay->observers;
    if (replay->observer_count == 1 && first->before == NULL && first->after != NULL) {
        replay_touching(replay, WATCH_AFTER, NULL, result);
    } else if (replay->observer_count > 0) {
        replay_touching(replay, WATCH_OBSERVED, NULL, result);
    } else {
        replay_touching(replay, WATCH_NOTHING, NULL, result);
    }
}

void replay_run_timed(const struct replay *replay, uint32_t *ticks, struct replay_result *result) {
    replay_touching(replay, WATCH_TIMED, ticks, result);
}

void replay_run_marked(const struct replay *replay, struct replay_result *result) {
    replay_touching(replay, WATCH_MARKED, NULL, result);
}

bool replay_op(const struct replay *replay, size_t index, uint32_t *ticks,
               struct replay_result *result) {
    const struct mode timed = {replay->touch, WATCH_TIMED};
    const struct mode observed = {replay->touch, WATCH_OBSERVED};
    result->ops_done++;
    return ticks != NULL ? op_do(replay, timed, index, ticks, result)
                         : op_do(replay, observed, index, NULL, result);
}

void replay_free_rest(const struct replay *replay, size_t slot_count) {
    for (size_t i = 0; i < slot_count; i++) {
        if (replay->slots[i] != NULL) {
            (void)replay->ops->free(replay->heap, replay->slots[i]);
            replay->slots[i] = NULL;
        }
    }
}
