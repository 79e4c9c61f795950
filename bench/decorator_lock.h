/* SPDX-License-Identifier: MIT
 * decorator_lock.h - how long the lock of a `lock:` allocator is held */
#ifndef HEAPRIG_DECORATOR_LOCK_H
#define HEAPRIG_DECORATOR_LOCK_H

#include <stdint.h>

/* From now on, each time this thread has held such a lock longer than *longest ticks (tick.h, the
 * reading of the clock included), *longest becomes that time. NULL: no longer. O(1); a lock that
 * is not watched reads no clock. */
void lock_watch(uint32_t *longest);

#endif
