/* SPDX-License-Identifier: MIT
 *
 * cores.h - presets of Cortex-A cores, as numbers each with its origin. cores.c is one table: a row
 * for each knob, a column for each core. A new core is a column, a new knob a row.
 */
#ifndef HEAPRIG_VM_CORES_H
#define HEAPRIG_VM_CORES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, what it is). Order of the rows in cores.c. */
#define CORE_KNOBS(X)                                                                              \
    X(micro_i, "entries of the instruction micro-TLB, fully associative")                          \
    X(micro_d, "entries of the data micro-TLB, of that for loads if stores have their own")        \
    X(micro_store, "entries of the micro-TLB for stores, 0: loads and stores share one")           \
    X(micro_policy, "replacement there: 0 round-robin, 1 random, 2 LRU")                           \
    X(micro_i_sizes, "sizes an entry there may have: 1 4K + 2 64K + 4 1M + 8 16M; else fragments") \
    X(micro_d_sizes, "the same for data")                                                          \
    X(micro_flush, "all of it goes at 0: nothing; 1: maintenance; 2: that, and CP15 writes")       \
    X(micro_latch, "1: the last translation counts as one entry more")                             \
    X(main_sets, "sets of the main TLB, 0: none")                                                  \
    X(main_ways, "its ways")                                                                       \
    X(main_policy, "replacement there: 0 round-robin, 1 random, 2 LRU")                            \
    X(main_lockable, "further lockable entries, fully associative")                                \
    X(walk_sets, "sets of the walk cache, whose entries cover 1 MiB; 0: none")                     \
    X(walk_ways, "its ways")                                                                       \
    X(walk_level, "where walks look first: 0 L1 data cache, 1 L2, 2 RAM")                          \
    X(pxn, "1: privileged execute never is implemented")                                           \
    X(l1_kib, "L1 data cache, KiB")                                                                \
    X(l1_ways, "its ways")                                                                         \
    X(l1_policy, "replacement there: 0 round-robin, 1 random, 2 LRU")                              \
    X(l2_kib, "L2 cache, KiB, 0: none")                                                            \
    X(l2_ways, "its ways")                                                                         \
    X(l2_policy, "replacement there: 0 round-robin, 1 random, 2 LRU")                              \
    X(line, "bytes of a cache line")                                                               \
    X(hit_cycles, "an access that hits micro-TLB and L1")                                          \
    X(l2_cycles, "more, when served by the L2")                                                    \
    X(micro_cycles, "more, on a micro-TLB miss")                                                   \
    X(walk_cycles, "more, on a walk whose reads hit where walks look first")                       \
    X(walk_miss_cycles, "more, on a walk that misses the walk cache")                              \
    X(ram_ns, "more, when served by RAM, ns after an L2 miss")                                     \
    X(mhz, "clock that ns are converted with")

enum core_knob {
#define CORE_KNOB_ENUM(name, what) CORE_##name,
    CORE_KNOBS(CORE_KNOB_ENUM)
#undef CORE_KNOB_ENUM
        CORE_KNOB_COUNT
};

/* Where a number comes from. */
enum core_origin {
    CORE_MANUAL,   /* the core's technical reference manual */
    CORE_MEASURED, /* measured by others on hardware */
    CORE_DERIVED,  /* chosen with measurements of boards in view: see docs/vm.md */
    CORE_ASSUMED,  /* nobody says; the most plausible */
    CORE_SET,      /* by the user */
};

struct core {
    const char *name; /* "a7" */
    struct {
        uint32_t value;
        enum core_origin origin;
    } knob[CORE_KNOB_COUNT];
};

/* Number of presets; the name of the i-th, NULL iff there is none. */
size_t core_count(void);
const char *core_preset_name(size_t i);
/* Copies the preset of this name ("a5", "a7", "a8", "a9", "a15", "a17", "a53", "a9-64", "a9-256",
 * "a9-512") to *core. False iff there is none. */
bool core_find(struct core *core, const char *name);

const char *core_knob_name(enum core_knob knob);
const char *core_knob_what(enum core_knob knob);
const char *core_origin_name(enum core_origin origin);

/* Sets the knob called `name`; its origin becomes CORE_SET. False iff there is no such knob. */
bool core_set(struct core *core, const char *name, uint32_t value);

static inline uint32_t core_value(const struct core *core, enum core_knob knob) {
    return core->knob[knob].value;
}

#endif
