/* SPDX-License-Identifier: MIT
 *
 * malloc_lock.h - the one lock of a process's malloc: biased to a thread that keeps taking it
 *
 * Not taken at all while the C library says that there is one thread. Of several, one commonly does
 * nearly all the work: the first to take the lock LOCK_STREAK_LEAST times in a row owns it from
 * then on, and goes in and out by plain loads and stores until another thread wants it (Dice, Moir,
 * Scherer, Quickly Reacquirable Locks, 2003; membarrier(2) for their signals). Before and after
 * that it is a mutex by futex (Drepper, Futexes Are Tricky, mutex 2).
 *
 *   the owner                            another thread, which holds the mutex
 *     inside = 1                           owner = 0
 *     owner is still me? then go in        membarrier()
 *     ...                                  wait until inside is 0       (acquire)
 *     inside = 0            (release)      go in
 *
 * Why no two are in. The compiler keeps the owner's store before its load, the processor need not.
 * But membarrier() returns only after each thread of the process has passed a full barrier since
 * the call began. An owner whose load of `owner` stands before that barrier has its store of
 * `inside` before it too, and is waited for; a load behind the barrier reads 0.
 *
 * Why each sees what the others wrote. What the owner wrote comes before its `inside = 0`, which is
 * acquired. A thread becomes owner while it holds the mutex, having seen what all wrote until then,
 * and as long as it stays owner nobody else writes.
 *
 * Why there is one owner in a process's life, the first. Who lost the lock between its first look
 * at `owner` and its store of `inside` makes that store and takes it back at any later time. Of a
 * second owner that would wipe out the mark. The first may own the lock again and again.
 *
 * Threads are told apart by their thread pointers, which a thread that has ended leaves to a new
 * one, with its stack. The new one may then find itself owner: the old one is not inside, and what
 * it wrote is seen wherever its stack is handed out again.
 *
 * Taking a lock from its owner costs microseconds, so each time doubles the streak that makes an
 * owner, up to LOCK_STREAK_MOST: threads in turns lose little. Where the kernel or a filter of
 * system calls refuses membarrier() nobody ever becomes owner.
 *
 * Nothing here allocates or is a cancellation point, errno is kept. Handlers of signals must not
 * call malloc, as always.
 */
#ifndef HEAPRIG_MALLOC_LOCK_H
#define HEAPRIG_MALLOC_LOCK_H

#include "../alloc/alloc.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/time_types.h>
#include <stdatomic.h>
#include <sys/single_threaded.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOCK_FREE, LOCK_TAKEN, LOCK_AWAITED }; /* of the mutex */
enum { LOCK_KEY_NONE, LOCK_KEY_MUTEX, LOCK_KEY_OWNER };
enum { LOCK_STREAK_LEAST = 1024, LOCK_STREAK_MOST = 65536 };
enum { LOCK_SPINS = 100, LOCK_NAP_NS = 50000, LOCK_SETTLED_NS = 1000000 };

/* `owner` is read by all and hardly ever written, so it has a cache line of its own. */
static struct {
    _Alignas(64) _Atomic uintptr_t owner; /* its thread pointer, or 0; written under the mutex */
    _Alignas(64) _Atomic uint32_t inside; /* the owner is, or is about to look */
    _Atomic uint32_t mutex;
    uint32_t streak; /* so many in a row make an owner, or 0: nobody may become one */
    uint32_t left;   /* of the streak of ... */
    uintptr_t last;  /* ... the thread that held the mutex last */
    uintptr_t first; /* the first owner, or 0 */
} malloc_lock_state;

static inline uintptr_t malloc_lock_me(void) {
    return (uintptr_t)__builtin_thread_pointer();
}

static inline bool malloc_lock_membarrier(int command) {
    int saved = errno;
    bool is_done = syscall(SYS_membarrier, command, 0, 0) == 0;
    errno = saved;
    return is_done;
}

static inline void malloc_lock_nap(long ns) {
    int saved = errno;
    const struct __kernel_old_timespec time = {.tv_nsec = ns};
    syscall(SYS_nanosleep, &time, NULL);
    errno = saved;
}

/* ---- the mutex ---- */

static __attribute__((noinline, cold)) void malloc_lock_wait(void) {
    int saved = errno;
    for (int i = 0; i < LOCK_SPINS; i++) {
        uint32_t mutex = atomic_load_explicit(&malloc_lock_state.mutex, memory_order_relaxed);
        if (mutex == LOCK_FREE &&
            atomic_compare_exchange_weak_explicit(&malloc_lock_state.mutex, &mutex, LOCK_TAKEN,
                                                  memory_order_acquire, memory_order_relaxed)) {
            return;
        }
    }
    while (atomic_exchange_explicit(&malloc_lock_state.mutex, LOCK_AWAITED, memory_order_acquire) !=
           LOCK_FREE) {
        syscall(SYS_futex, &malloc_lock_state.mutex, FUTEX_WAIT_PRIVATE, LOCK_AWAITED, NULL, NULL,
                0);
    }
    errno = saved;
}

static __attribute__((noinline, cold)) void malloc_lock_wake(void) {
    int saved = errno;
    syscall(SYS_futex, &malloc_lock_state.mutex, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    errno = saved;
}

/* ---- the bias ---- */

/* With the mutex: ends the bias to another thread. A filter of system calls may have come after the
 * start and refuse. What a processor still holds back of its stores is then given the time in which
 * it cannot but have drained, or the thread have been switched, and nobody becomes owner again. */
static __attribute__((noinline, cold)) void malloc_lock_revoke(void) {
    atomic_store_explicit(&malloc_lock_state.owner, 0, memory_order_relaxed);
    malloc_lock_state.streak *= malloc_lock_state.streak < LOCK_STREAK_MOST ? 2 : 1;
    if (!malloc_lock_membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
        malloc_lock_nap(LOCK_SETTLED_NS);
        malloc_lock_state.streak = 0;
    }
    int spins = 0;
    while (atomic_load_explicit(&malloc_lock_state.inside, memory_order_acquire) != 0) {
        if (++spins > LOCK_SPINS) { /* it may be of a lower priority and need the processor */
            malloc_lock_nap(LOCK_NAP_NS);
        }
    }
}

/* With the mutex: one more in a row, or the first of another thread. */
static inline void malloc_lock_count(uintptr_t me) {
    if (malloc_lock_state.last != me) {
        malloc_lock_state.last = me;
        malloc_lock_state.left = malloc_lock_state.streak;
    } else if (malloc_lock_state.left != 0 && --malloc_lock_state.left == 0 &&
               (malloc_lock_state.first == 0 || malloc_lock_state.first == me)) {
        malloc_lock_state.first = me;
        atomic_store_explicit(&malloc_lock_state.owner, me, memory_order_relaxed);
    }
}

/* Allows bias, and before that has to be asked while there is one thread: with more, the kernel
 * takes some 10 ms to prepare for membarrier(). */
static inline void malloc_lock_start(void) {
    malloc_lock_state.streak =
        malloc_lock_membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) ? LOCK_STREAK_LEAST : 0;
}

/* ---- taking and giving ---- */

/* Takes the mutex, and nobody else is in. An owner may do that too, and stays owner. */
static __attribute__((noinline)) void malloc_lock_take_mutex(void) {
    uintptr_t me = malloc_lock_me();
    uint32_t mutex = LOCK_FREE;
    if (!atomic_compare_exchange_strong_explicit(&malloc_lock_state.mutex, &mutex, LOCK_TAKEN,
                                                 memory_order_acquire, memory_order_relaxed)) {
        malloc_lock_wait();
    }
    uintptr_t owner = atomic_load_explicit(&malloc_lock_state.owner, memory_order_relaxed);
    if (owner == me) {
        return;
    }
    if (owner != 0) {
        malloc_lock_revoke();
    }
    malloc_lock_count(me);
}

static __attribute__((noinline)) void malloc_lock_give_mutex(void) {
    if (atomic_exchange_explicit(&malloc_lock_state.mutex, LOCK_FREE, memory_order_release) ==
        LOCK_AWAITED) {
        malloc_lock_wake();
    }
}

/* In the child of a fork that held the mutex, where no other thread exists: as at the start. A
 * thread that was about to look may have left its mark. */
static inline void malloc_lock_in_child(void) {
    atomic_store_explicit(&malloc_lock_state.owner, 0, memory_order_relaxed);
    atomic_store_explicit(&malloc_lock_state.inside, 0, memory_order_relaxed);
    malloc_lock_state.last = malloc_lock_state.first = 0;
    malloc_lock_start();
    atomic_store_explicit(&malloc_lock_state.mutex, LOCK_FREE, memory_order_release);
}

/* True: this thread is the owner, and in. */
static inline bool malloc_lock_enter(void) {
    uintptr_t me = malloc_lock_me();
    if (atomic_load_explicit(&malloc_lock_state.owner, memory_order_relaxed) != me) {
        return false;
    }
    atomic_store_explicit(&malloc_lock_state.inside, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(atomic_load_explicit(&malloc_lock_state.owner, memory_order_acquire) == me,
                         1)) {
        return true;
    }
    atomic_store_explicit(&malloc_lock_state.inside, 0, memory_order_release);
    return false;
}

/* For alloc/locked.h. The key says how it was taken: the C library's word may change between the
 * two, when a thread ends, and the owner at any time. */
static inline uint32_t malloc_lock(const struct alloc *a) {
    (void)a;
    if (__libc_single_threaded) {
        return LOCK_KEY_NONE;
    }
    if (__builtin_expect(malloc_lock_enter(), 1)) {
        return LOCK_KEY_OWNER;
    }
    malloc_lock_take_mutex();
    return LOCK_KEY_MUTEX;
}

static inline void malloc_unlock(const struct alloc *a, uint32_t key) {
    (void)a;
    if (key == LOCK_KEY_OWNER) {
        atomic_store_explicit(&malloc_lock_state.inside, 0, memory_order_release);
    } else if (key == LOCK_KEY_MUTEX) {
        malloc_lock_give_mutex();
    }
}

#endif
