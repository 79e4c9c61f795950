/* SPDX-License-Identifier: MIT
 *
 * cores.c - the presets: a row for each knob, a column for each core, an origin for each number
 *
 *   M  technical reference manual (A5: DDI0433 as in the SAMA5 manuals; A7:
 * DDI0464F 5.2, 5.3.1, 6.6.3; A8: DDI0344 6.1, table 16-16; A9: DDI0388I 4.3.2, 4-17; A15:
 * DDI0438 5.1 to 5.6; A17: TRM as collected in pytorch/cpuinfo src/arm/tlb.c; A53: DDI0500 5.2.2)
 *   H  measured on hardware (7-cpu.com for A9 and A15; "TLB size and huge pages on ARM cores" for
 *      A9, A15, A17, A53; Hennessy and Patterson for A53)
 *   D  chosen with tinymembench rows of boards in view (docs/vm.md says which)
 *   A  assumed
 */
#include "cores.h"

#include <string.h>

enum { COLUMNS = 7 };

static const char *const column_name[COLUMNS] = {"a5", "a7", "a8", "a9", "a15", "a17", "a53"};

#define M(value)                                                                                   \
    { value, CORE_MANUAL }
#define H(value)                                                                                   \
    { value, CORE_MEASURED }
#define D(value)                                                                                   \
    { value, CORE_DERIVED }
#define A(value)                                                                                   \
    { value, CORE_ASSUMED }

struct number {
    uint32_t value;
    enum core_origin origin;
};

/* clang-format off */
static const struct number table[CORE_KNOB_COUNT][COLUMNS] = {
    /*                          A5       A7       A8       A9       A15      A17      A53 */
    [CORE_micro_i]          = {M(10),   M(10),   M(32),   M(32),   M(32),   M(32),   M(10)},
    [CORE_micro_d]          = {M(10),   M(10),   M(32),   M(32),   M(32),   M(32),   M(10)},
    [CORE_micro_store]      = {M(0),    M(0),    M(0),    M(0),    M(32),   M(0),    M(0)},
    [CORE_micro_policy]     = {A(0),    A(0),    M(0),    A(0),    H(0),    A(0),    A(0)},
    [CORE_micro_i_sizes]    = {A(1),    A(1),    M(15),   A(1),    M(1),    M(5),    H(5)},
    [CORE_micro_d_sizes]    = {A(1),    A(1),    M(15),   A(1),    M(1),    M(5),    H(1)},
    [CORE_micro_flush]      = {M(2),    A(2),    M(0),    A(2),    M(0),    A(0),    M(1)},
    [CORE_micro_latch]      = {A(0),    A(0),    M(0),    A(0),    A(0),    A(0),    A(0)},
    [CORE_main_sets]        = {M(64),   M(128),  M(0),    H(64),   M(128),  M(256),  M(128)},
    [CORE_main_ways]        = {M(2),    M(2),    M(1),    M(2),    M(4),    M(4),    M(4)},
    [CORE_main_policy]      = {A(0),    A(0),    M(0),    A(0),    H(1),    A(0),    A(0)},
    [CORE_main_lockable]    = {A(0),    A(0),    M(0),    M(4),    M(0),    A(0),    M(0)},
    [CORE_walk_sets]        = {A(0),    M(32),   M(0),    A(0),    H(1),    A(1),    M(16)},
    [CORE_walk_ways]        = {A(1),    M(2),    M(1),    A(1),    H(16),   A(16),   M(4)},
    [CORE_walk_level]       = {M(0),    M(0),    A(1),    M(0),    M(0),    A(0),    M(0)},
    [CORE_pxn]              = {M(0),    M(1),    M(0),    M(0),    M(1),    M(1),    M(1)},
     [CORE_l1_kib]     = {A(32), A(32), A(32), M(32), M(32), M(32), A(32)},
    [CORE_l1_ways]          = {M(4),    M(4),    M(4),    M(4),    M(2),    M(4),    M(4)},
    [CORE_l1_policy]        = {A(1),    A(1),    A(1),    A(1),    M(2),    A(1),    A(1)},
    [CORE_l2_kib]           = {A(512),  A(512),  A(256),  A(1024), A(2048), A(1024), A(512)},
    [CORE_l2_ways]          = {A(8),    M(8),    M(8),    A(16),   M(16),   M(16),   M(16)},
    [CORE_l2_policy]        = {A(1),    A(1),    A(1),    A(1),    M(1),    A(1),    A(1)},
    [CORE_line]             = {M(32),   M(64),   M(64),   M(32),   M(64),   M(64),   M(64)},
    [CORE_hit_cycles]       = {A(3),    A(3),    A(3),    H(4),    H(4),    A(4),    A(3)},
    [CORE_l2_cycles]        = {D(25),   D(11),   D(10),   H(19),   H(17),   D(22),   H(13)},
    [CORE_micro_cycles]     = {A(2),    A(2),    M(24),   H(7),    H(12),   D(7),    H(2)},
    [CORE_walk_cycles]      = {A(8),    A(8),    M(0),    H(7),    H(30),   D(8),    H(20)},
    [CORE_walk_miss_cycles] = {A(0),    A(0),    M(0),    A(0),    H(20),   A(0),    A(0)},
    [CORE_ram_ns]           = {D(90),   D(150),  D(133),  H(110),  H(110),  D(112),  A(110)},
    [CORE_mhz]              = {A(1500), A(1300), A(900),  H(1200), H(1700), A(1800), A(1000)},
};

/* Build options of the A9's main TLB (TLBTR[2:1]). */
static const struct {
    const char *name;
    uint32_t main_sets;
} a9_options[] = {{"a9-64", 32}, {"a9-256", 128}, {"a9-512", 256}};
/* clang-format on */

enum {
    A9_OPTIONS = sizeof a9_options / sizeof a9_options[0],
    A9_COLUMN = 3,
    PRESETS = COLUMNS + A9_OPTIONS
};

size_t core_count(void) {
    return PRESETS;
}

const char *core_preset_name(size_t i) {
    return i < COLUMNS ? column_name[i] : i < PRESETS ? a9_options[i - COLUMNS].name : NULL;
}

bool core_find(struct core *core, const char *name) {
    for (size_t i = 0; i < PRESETS; i++) {
        if (strcmp(core_preset_name(i), name) != 0) {
            continue;
        }
        size_t column = i < COLUMNS ? i : A9_COLUMN;
        core->name = core_preset_name(i);
        for (size_t knob = 0; knob < CORE_KNOB_COUNT; knob++) {
            core->knob[knob].value = table[knob][column].value;
            core->knob[knob].origin = table[knob][column].origin;
        }
        if (i >= COLUMNS) {
            core->knob[CORE_main_sets].value = a9_options[i - COLUMNS].main_sets;
            core->knob[CORE_main_sets].origin = CORE_MANUAL;
        }
        return true;
    }
    return false;
}

static const struct {
    const char *name, *what;
} knobs[] = {
#define CORE_KNOB_ROW(name, what) {#name, what},
    CORE_KNOBS(CORE_KNOB_ROW)
#undef CORE_KNOB_ROW
};

const char *core_knob_name(enum core_knob knob) {
    return knobs[knob].name;
}

const char *core_knob_what(enum core_knob knob) {
    return knobs[knob].what;
}

const char *core_origin_name(enum core_origin origin) {
    static const char *const names[] = {"manual", "measured", "derived", "assumed", "set"};
    return names[origin];
}

bool core_set(struct core *core, const char *name, uint32_t value) {
    for (size_t knob = 0; knob < CORE_KNOB_COUNT; knob++) {
        if (strcmp(knobs[knob].name, name) == 0) {
            core->knob[knob].value = value;
            core->knob[knob].origin = CORE_SET;
            return true;
        }
    }
    return false;
}
