/* SPDX-License-Identifier: MIT
 *
 * tick.h - the finest clock of the machine
 *
 * x86 with SSE2: the time stamp counter, fenced so that neither the timed code nor its surroundings
 * slip past the reading. Elsewhere: clock_gettime, a tick is then a nanosecond. Reading the clock
 * twice with nothing between costs tick_overhead() ticks, which every measurement subtracts.
 */
#ifndef HEAPRIG_TICK_H
#define HEAPRIG_TICK_H

#include <stdint.h>
#include <time.h>
#if defined(__x86_64__) || (defined(__i386__) && defined(__SSE2__))
#include <x86intrin.h>
#define TICK_IS_TSC 1
#else
#define TICK_IS_TSC 0
#endif

static inline uint64_t tick_wall_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Time this thread has run, so that what other programs take is not counted. A system call. */
static inline uint64_t tick_cpu_ns(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#if TICK_IS_TSC
/* All earlier instructions are done before the reading, no later one has begun. */
static inline uint64_t tick_begin(void) {
    _mm_lfence();
    uint64_t tick = __rdtsc();
    _mm_lfence();
    return tick;
}

static inline uint64_t tick_end(void) {
    unsigned core;
    uint64_t tick = __rdtscp(&core);
    _mm_lfence();
    return tick;
}
#else
static inline uint64_t tick_begin(void) {
    return tick_wall_ns();
}

static inline uint64_t tick_end(void) {
    return tick_wall_ns();
}
#endif

/* The least number of ticks between tick_begin() and tick_end() with nothing between, over 4096
 * tries. */
uint64_t tick_overhead(void);

/* Nanoseconds of one tick, by comparing both clocks over 20 ms. */
double tick_ns(void);

#endif
