/* SPDX-License-Identifier: MIT
 * marks.c - functions that do next to nothing, and must be called all the same. */
#include "marks.h"

#define MARK(name)                                                                                 \
    __attribute__((noinline)) void name(void) {                                                    \
        __asm__ volatile("" : : : "memory");                                                       \
    }

MARK(mark_section)
MARK(mark_alloc)
MARK(mark_aligned)
MARK(mark_realloc)
MARK(mark_free)
MARK(mark_end)

__attribute__((noinline)) void mark_pool(const volatile unsigned char *first,
                                         const volatile unsigned char *last) {
    (void)*first;
    (void)*last;
}
