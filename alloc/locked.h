/* SPDX-License-Identifier: MIT
 *
 * locked.h - one caller at a time: a lock around any allocator, for pools that tasks or interrupts
 * share
 *
 * The lock is yours: two functions, or macros that look like them.
 *
 *   uint32_t LOCK(const struct alloc *a)              takes it; what it returns ...
 *   void     UNLOCK(const struct alloc *a, uint32_t)  ... is given back here, on the same stack
 *
 * The key in between is for locks that restore what was before (interrupt masks nest by it); others
 * return 0. `a` is for those who keep a lock for each pool; whoever has one pool ignores it. With
 * masked interrupts, on one core, the whole of a thread-safe heap for firmware is:
 *
 *   #include "locked.h"
 *   extern const struct alloc_ops tlsf_ops;
 *
 *   static inline uint32_t mask(const struct alloc *a) {
 *       (void)a;
 *       uint32_t key = __get_PRIMASK();
 *       __disable_irq();
 *       return key;
 *   }
 *   static inline void unmask(const struct alloc *a, uint32_t key) {
 *       (void)a;
 *       __set_PRIMASK(key);
 *   }
 *   LOCKED_DEFINE(heap, tlsf_ops, mask, unmask)
 *
 *   struct alloc *h = tlsf_ops.init(memory, sizeof memory, NULL);   // before anyone shares it
 *   void *p = heap_alloc(h, 100);
 *   heap_free(h, p);
 *
 * It is a template rather than a table of pointers to locks so that lock and unlock are inlined and
 * the allocator is called by a known address (or inlined too, where its .c is included in the same
 * file): 5 instructions on a Cortex-M4 and 3 on x86-64 beside the lock's own, by gcc 12 -O2 for
 * the heap above. Nothing is stored: the handle is the allocator's, the pool keeps its layout to
 * the byte, and the same pool may be used without the lock where nobody else runs.
 *
 * What runs inside the lock is the allocator's whole call. That is constant time for alloc and free
 * of a tlsf; realloc() copies inside it, and walk(), stats() and check() take O(blocks): keep those
 * out of where interrupts must not wait. The visitor of walk() runs inside the lock as well.
 * `heaprig threads` tells how long the lock is held, and by which call longest.
 */
#ifndef HEAPRIG_LOCKED_H
#define HEAPRIG_LOCKED_H

#include "alloc.h"

#define LOCKED_FUNCTION static inline __attribute__((unused))

#define LOCKED_RESULT(NAME, INNER, LOCK, UNLOCK, TYPE, CALL, PARAMETERS, ARGUMENTS)                \
    LOCKED_FUNCTION TYPE NAME##_##CALL PARAMETERS {                                                \
        uint32_t locked_key = LOCK(a);                                                             \
        TYPE locked_result = (INNER).CALL ARGUMENTS;                                               \
        UNLOCK(a, locked_key);                                                                     \
        return locked_result;                                                                      \
    }

#define LOCKED_NOTHING(NAME, INNER, LOCK, UNLOCK, CALL, PARAMETERS, ARGUMENTS)                     \
    LOCKED_FUNCTION void NAME##_##CALL PARAMETERS {                                                \
        uint32_t locked_key = LOCK(a);                                                             \
        (INNER).CALL ARGUMENTS;                                                                    \
        UNLOCK(a, locked_key);                                                                     \
    }

/* Defines NAME_alloc(), NAME_free() and so on: every function of struct alloc_ops but init(), each
 * as alloc.h has it, called inside LOCK and UNLOCK. INNER names the allocator's struct alloc_ops
 * (an lvalue: tlsf_ops, *table). A function INNER has as NULL must not be called. init() stays
 * INNER's: as long as it runs no one else can have the handle.
 *
 * NAME_table() returns them as a table of INNER's name and capabilities and ALLOC_CAP_THREADS; what
 * is NULL in INNER is NULL there. */
#define LOCKED_DEFINE(NAME, INNER, LOCK, UNLOCK)                                                   \
    LOCKED_RESULT(NAME, INNER, LOCK, UNLOCK, void *, alloc, (struct alloc * a, size_t bytes),      \
                  (a, bytes))                                                                      \
    LOCKED_RESULT(NAME, INNER, LOCK, UNLOCK, void *, alloc_aligned,                                \
                  (struct alloc * a, size_t bytes, size_t align), (a, bytes, align))               \
    LOCKED_RESULT(NAME, INNER, LOCK, UNLOCK, void *, realloc,                                      \
                  (struct alloc * a, void *p, size_t bytes), (a, p, bytes))                        \
    LOCKED_RESULT(NAME, INNER, LOCK, UNLOCK, enum alloc_status, free, (struct alloc * a, void *p), \
                  (a, p))                                                                          \
    LOCKED_RESULT(NAME, INNER, LOCK, UNLOCK, size_t, usable,                                       \
                  (const struct alloc *a, const void *p), (a, p))                                  \
    LOCKED_RESULT(NAME, INNER, LOCK, UNLOCK, size_t, largest, (const struct alloc *a), (a))        \
    LOCKED_RESULT(NAME, INNER, LOCK, UNLOCK, bool, add_region,                                     \
                  (struct alloc * a, void *mem, size_t bytes), (a, mem, bytes))                    \
    LOCKED_NOTHING(NAME, INNER, LOCK, UNLOCK, walk,                                                \
                   (const struct alloc *a, alloc_walk_fn *visit, void *ctx), (a, visit, ctx))      \
    LOCKED_NOTHING(NAME, INNER, LOCK, UNLOCK, stats,                                               \
                   (const struct alloc *a, struct alloc_stats *out), (a, out))                     \
    LOCKED_RESULT(NAME, INNER, LOCK, UNLOCK, const char *, check, (const struct alloc *a), (a))    \
    LOCKED_FUNCTION struct alloc_ops NAME##_table(void) {                                          \
        struct alloc_ops table = INNER;                                                            \
        table.caps |= ALLOC_CAP_THREADS;                                                           \
        LOCKED_ENTRY(NAME, alloc)                                                                  \
        LOCKED_ENTRY(NAME, alloc_aligned)                                                          \
        LOCKED_ENTRY(NAME, realloc)                                                                \
        LOCKED_ENTRY(NAME, free)                                                                   \
        LOCKED_ENTRY(NAME, usable)                                                                 \
        LOCKED_ENTRY(NAME, largest)                                                                \
        LOCKED_ENTRY(NAME, add_region)                                                             \
        LOCKED_ENTRY(NAME, walk)                                                                   \
        LOCKED_ENTRY(NAME, stats)                                                                  \
        LOCKED_ENTRY(NAME, check)                                                                  \
        return table;                                                                              \
    }

#define LOCKED_ENTRY(NAME, CALL)                                                                   \
    if (table.CALL != NULL) {                                                                      \
        table.CALL = NAME##_##CALL;                                                                \
    }

#endif
