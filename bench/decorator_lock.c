/* SPDX-License-Identifier: MIT
 *
 * decorator_lock.c - `lock:NAME`: alloc/locked.h with a spinlock of this machine
 *
 * One lock for each decorated allocator, shared by all its heaps, on a cache line of its own. Who
 * finds it taken spins for as long as an allocator's call may take, then gives the core away: the
 * holder may have lost its own.
 */
#include "decorator_lock.h"

#include "decorator.h"
#include "tick.h"

#include "../alloc/locked.h"

#include <sched.h>
#include <stdatomic.h>

enum { SPINS = 200, CACHE_LINE = 64 };

struct lock {
    _Alignas(CACHE_LINE) atomic_bool taken;
};

static struct lock locks[DECORATOR_SLOT_MAX];
static const struct alloc_ops *inners[DECORATOR_SLOT_MAX];

/* Of the thread: NULL when its locks are not watched. */
static _Thread_local uint32_t *watch_longest;
static _Thread_local uint64_t watch_begin;

void lock_watch(uint32_t *longest) {
    watch_longest = longest;
}

static inline bool lock_try(struct lock *lock) {
    return !atomic_exchange_explicit(&lock->taken, true, memory_order_acquire);
}

static void lock_wait(struct lock *lock) {
    for (unsigned spins = 1; !lock_try(lock); spins++) {
        while (atomic_load_explicit(&lock->taken, memory_order_relaxed) && spins % SPINS != 0) {
            spins++;
        }
        if (spins % SPINS == 0) {
            (void)sched_yield();
        }
    }
}

static inline uint32_t lock_take(struct lock *lock) {
    if (__builtin_expect(!lock_try(lock), 0)) {
        lock_wait(lock);
    }
    if (__builtin_expect(watch_longest != NULL, 0)) {
        watch_begin = tick_begin();
    }
    return 0;
}

static inline void lock_release(struct lock *lock) {
    if (__builtin_expect(watch_longest != NULL, 0)) {
        uint64_t held = tick_end() - watch_begin;
        uint32_t cut = held < UINT32_MAX ? (uint32_t)held : UINT32_MAX;
        *watch_longest = cut > *watch_longest ? cut : *watch_longest;
    }
    atomic_store_explicit(&lock->taken, false, memory_order_release);
}

#define SLOT(slot)                                                                                 \
    static inline uint32_t take_##slot(const struct alloc *a) {                                    \
        return (void)a, lock_take(&locks[slot]);                                                   \
    }                                                                                              \
    static inline void release_##slot(const struct alloc *a, uint32_t key) {                       \
        (void)a;                                                                                   \
        (void)key;                                                                                 \
        lock_release(&locks[slot]);                                                                \
    }                                                                                              \
    LOCKED_DEFINE(locked_##slot, *inners[slot], take_##slot, release_##slot)
DECORATOR_SLOTS(SLOT)
#undef SLOT

static struct alloc_ops (*const tables[])(void) = {
#define SLOT(slot) locked_##slot##_table,
    DECORATOR_SLOTS(SLOT)
#undef SLOT
};

_Static_assert(sizeof tables / sizeof tables[0] == DECORATOR_SLOT_MAX, "a table for each slot");

bool decorate_lock(const struct alloc_ops *inner, unsigned slot, struct alloc_ops *out,
                   struct problem *problem) {
    if ((inner->caps & ALLOC_CAP_THREADS) != 0) {
        return problem_set(problem, "several threads may call it as it is, expected one that needs "
                                    "a lock");
    }
    inners[slot] = inner;
    *out = tables[slot]();
    return true;
}
