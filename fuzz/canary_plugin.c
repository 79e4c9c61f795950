/* SPDX-License-Identifier: MIT
 * canary_plugin.c - the canary as a plug-in: HEAPRIG_CANARY=OVERLAPS (any name of canary.h) chooses
 * its fault, so that a run can be seen to fail. */
#include "canary.h"

#include <stdlib.h>
#include <string.h>

static uint32_t environment_fault(void) {
    static const char *const names[] = {
#define F(name, rule, black_box, words) #name,
        CANARY_FAULTS(F)
#undef F
    };
    const char *wanted = getenv("HEAPRIG_CANARY");
    for (uint32_t i = 0; wanted != NULL && i < CANARY_FAULT_COUNT; i++) {
        if (strcmp(names[i], wanted) == 0) {
            return i;
        }
    }
    return CANARY_SOUND;
}

#define CANARY_FAULT(cfg) ((void)(cfg), environment_fault())
#define canary_ops        heaprig_allocator
extern const struct alloc_ops heaprig_allocator;
#include "canary.c"
