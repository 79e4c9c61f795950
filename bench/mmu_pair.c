/* SPDX-License-Identifier: MIT
 * mmu_pair.c - mmu_run.h: one allocator, one trace, one MMU. */
#include "mmu_run.h"

#include <assert.h>
#include <string.h>

enum { TOUCH_STRIDE = 64 };

struct watcher {
    const struct stage *stage;
    struct mmu_model model;
    struct mmu_series *series;
    struct mmu_pair *pair;
    size_t due;       /* operation that ends a window of the series */
    uint64_t counted; /* what the allocator touched up to the end of the last operation */
    uint64_t ops[OP_KIND_COUNT], touches[OP_KIND_COUNT]; /* served, and what they touched */
};

static void touches_see(void *ctx, const struct touch *touches, size_t count) {
    struct watcher *w = ctx;
    mmu_model_see(&w->model, touches, count);
    if (w->series != NULL) {
        mmu_series_see(w->series, touches, count);
    }
}

/* While others are quiet; the first page is counted. */
static void touch_see(void *ctx, struct touch touch) {
    struct watcher *w = ctx;
    if (touch.offset % VM_PAGE + (touch.bytes & TOUCH_BYTES) > VM_PAGE) {
        mmu_series_run(w->series, touch);
    }
    mmu_model_see_one(&w->model, touch);
}

/* What replay.h says of the policies, as touches. */
static __attribute__((noinline)) void application_touches(enum replay_touch touch, uint32_t offset,
                                                          size_t bytes) {
    if (touch == REPLAY_TOUCH_EDGES) {
        touches_add(offset, 1 | TOUCH_STORE);
        touches_add((uint32_t)(offset + bytes - 1), 1 | TOUCH_STORE);
    } else if (touch == REPLAY_TOUCH_WHOLE) {
        for (size_t i = 0; i < bytes; i += TOUCH_STRIDE) {
            touches_add((uint32_t)(offset + i), 1 | TOUCH_STORE);
        }
    }
}

/* Touches that are plain hits are not looked at one by one. */
static void quieten(struct watcher *w) {
    struct touches_quiet quiet = {.see = touch_see};
    if (w->series != NULL && mmu_model_quiet(&w->model, &quiet)) {
        for (int who = 0; who < MMU_WHO; who++) {
            quiet.count[who] = mmu_series_count(w->series, (enum mmu_who)who);
        }
        touches_quieten(&quiet);
    }
}

static __attribute__((noinline)) void window_end(struct watcher *w) {
    touches_pass();
    mmu_series_window_end(w->series, mmu_model_mapped(&w->model));
    w->due = mmu_series_due(w->series);
}

/* Tells the model what it was not asked about. */
static void quiet_add(struct watcher *w) {
    for (int who = 0; who < MMU_WHO && w->series != NULL; who++) {
        mmu_model_add(&w->model, (enum mmu_who)who, touches_watched.words[who],
                      mmu_series_touched(w->series, (enum mmu_who)who));
    }
}

static __attribute__((noinline)) void failure_count(struct watcher *w,
                                                    const struct replay_event *event) {
    bool refused = stage_refuses(w->stage, event->bytes);
    w->pair->refusals += refused;
    w->pair->failures += !refused;
}

static bool op_watch(void *ctx, const struct replay_event *event) {
    struct watcher *w = ctx;
    const unsigned kind = event->op->kind;
    const uint64_t count = touches_count();
    w->ops[kind] += kind == OP_FREE ? !event->skipped : event->payload != NULL;
    w->touches[kind] += count - w->counted;
    w->counted = count;
    if (event->payload != NULL) {
        unsigned char *payload = event->payload;
        application_touches(w->stage->touch, (uint32_t)(payload - w->stage->memory->pool),
                            event->bytes);
    } else if (kind != OP_FREE) {
        failure_count(w, event);
    }
    if (event->index == w->due) {
        window_end(w);
    }
    return true;
}

/* An own allocator touches its pool in every operation it serves, but for frees it ignores. */
static void touches_assert(const struct watcher *w) {
    for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
        bool ignored = kind == OP_FREE && (w->stage->ops->caps & ALLOC_CAP_FREES) == 0;
        assert(w->ops[kind] == 0 || w->touches[kind] > 0 || ignored);
        (void)ignored;
    }
}

static bool own(const struct alloc_ops *ops) {
    const struct alloc_ops *plain = alloc_find(ops->name);
    return plain != NULL && touches_build(plain) == ops && touches_absent() == NULL;
}

bool mmu_pair_run(const struct stage *stage, const struct mmu_setting *setting, unsigned page_log2,
                  struct mmu_series *series, struct mmu_pair *pair, struct problem *problem) {
    struct watcher w = {.stage = stage, .series = series, .pair = pair};
    w.due = series != NULL ? mmu_series_due(series) : SIZE_MAX;
    const struct replay_observer observer = {.ctx = &w, .after = op_watch};
    struct replay replay;
    struct replay_result result;
    *pair = (struct mmu_pair){0};
    if (!mmu_model_open(&w.model, &setting->core, page_log2, setting->caches, stage->memory->pool,
                        stage->plan.pool_bytes, problem)) {
        return false;
    }
    touches_watch(stage->memory->pool, stage->plan.pool_bytes, touches_see, &w);
    bool ready = stage_ready(stage, &replay);
    assert(ready); /* stage_probe() has seen that it is */
    (void)ready;
    touches_pass();
    mmu_model_restart(&w.model);
    quieten(&w);
    w.counted = touches_count();
    replay.touch = REPLAY_TOUCH_NONE;
    replay.observers = &observer;
    replay.observer_count = 1;
    replay_run(&replay, &result);
    touches_pass();
    touches_unwatch();
    quiet_add(&w);
    uint64_t touches = 0;
    for (int kind = 0; kind < OP_KIND_COUNT; kind++) {
        touches += w.touches[kind];
    }
    pair->seen = touches > 0;
    if (own(stage->ops)) {
        touches_assert(&w);
    }
    pair->share[MMU_APPLICATION] = mmu_model_share(&w.model, MMU_APPLICATION);
    pair->share[MMU_ALLOCATOR] = mmu_model_share(&w.model, MMU_ALLOCATOR);
    pair->pages = mmu_model_pages(&w.model);
    mmu_model_close(&w.model);
    return true;
}
