/* SPDX-License-Identifier: MIT
 * tick.c - what a reading of the clock costs, and what a tick is worth. */
#include "tick.h"

enum { OVERHEAD_TRIES = 4096, CALIBRATION_NS = 20000000 };

uint64_t tick_overhead(void) {
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < OVERHEAD_TRIES; i++) {
        uint64_t begin = tick_begin();
        uint64_t ticks = tick_end() - begin;
        least = ticks < least ? ticks : least;
    }
    return least;
}

double tick_ns(void) {
    uint64_t wall_begin = tick_wall_ns();
    uint64_t begin = tick_begin();
    uint64_t wall = 0;
    while (wall < CALIBRATION_NS) {
        wall = tick_wall_ns() - wall_begin;
    }
    uint64_t ticks = tick_end() - begin;
    return ticks == 0 ? 1.0 : (double)wall / (double)ticks;
}
