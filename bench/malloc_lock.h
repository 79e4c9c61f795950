/* SPDX-License-Identifier: MIT
 *
 * malloc_lock.h - the one lock of a process's malloc
 *
 * Taken by one compare-and-swap and given back by one exchange, or not at all while the C library
 * says that there is one thread. It calls nothing that allocates, and can be freed in the child of
 * a fork whatever its state. Waiting is by futex (Drepper, Futexes Are Tricky, mutex 2).
 */
#ifndef HEAPRIG_MALLOC_LOCK_H
#define HEAPRIG_MALLOC_LOCK_H

#include "../alloc/alloc.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOCK_FREE, LOCK_TAKEN, LOCK_AWAITED, LOCK_SPINS = 100 };

static _Atomic uint32_t malloc_lock_state;

static __attribute__((noinline, cold)) void malloc_lock_wait(void) {
    int saved = errno;
    for (int i = 0; i < LOCK_SPINS; i++) {
        uint32_t state = atomic_load_explicit(&malloc_lock_state, memory_order_relaxed);
        if (state == LOCK_FREE &&
            atomic_compare_exchange_weak_explicit(&malloc_lock_state, &state, LOCK_TAKEN,
                                                  memory_order_acquire, memory_order_relaxed)) {
            return;
        }
    }
    while (atomic_exchange_explicit(&malloc_lock_state, LOCK_AWAITED, memory_order_acquire) !=
           LOCK_FREE) {
        syscall(SYS_futex, &malloc_lock_state, FUTEX_WAIT_PRIVATE, LOCK_AWAITED, NULL, NULL, 0);
    }
    errno = saved;
}

static __attribute__((noinline, cold)) void malloc_lock_wake(void) {
    int saved = errno;
    syscall(SYS_futex, &malloc_lock_state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = saved;
}

static inline void malloc_lock_take(void) {
    uint32_t state = LOCK_FREE;
    if (!atomic_compare_exchange_strong_explicit(&malloc_lock_state, &state, LOCK_TAKEN,
                                                 memory_order_acquire, memory_order_relaxed)) {
        malloc_lock_wait();
    }
}

static inline void malloc_lock_give(void) {
    if (atomic_exchange_explicit(&malloc_lock_state, LOCK_FREE, memory_order_release) ==
        LOCK_AWAITED) {
        malloc_lock_wake();
    }
}

/* For alloc/locked.h. The key says whether it was taken: the C library's word may change between
 * the two, when a thread ends. */
static inline uint32_t malloc_lock(const struct alloc *a) {
    (void)a;
    if (__libc_single_threaded) {
        return 0;
    }
    malloc_lock_take();
    return 1;
}

static inline void malloc_unlock(const struct alloc *a, uint32_t key) {
    (void)a;
    if (key != 0) {
        malloc_lock_give();
    }
}

#endif
