/* SPDX-License-Identifier: MIT
 *
 * mmu_sweep_test.c - cyclic sweeps over pages show each TLB's capacity: exactly, and as hardware
 * did
 *
 * One load per page, P pages, again and again. With round-robin replacement, w ways and s sets, no
 * access misses up to P = w s; between w s and w s + s exactly (P - w s)(w + 1) of P do, since each
 * set with one page too many misses always; then all do. So a wrong size, way count, index or
 * replacement shows as a wrong number.
 */
#include "mmu_rig.h"

#include <math.h>

enum { ROUNDS = 3 };

/* Misses of each level in one round over P pages of 2^log2, after a warm-up; addresses are `stride`
 * apart. */
struct misses {
    uint64_t micro, main;
};

static struct misses sweep(struct mmu_rig *rig, uint32_t pages, unsigned stride_log2,
                           enum vm_kind kind) {
    struct mmu *mmu = &rig->mmu;
    for (unsigned round = 0; round < 2 * ROUNDS; round++) {
        if (round == ROUNDS) {
            mmu_reset_counters(mmu);
        }
        for (uint32_t page = 0; page < pages; page++) {
            ck_assert_int_eq(mmu_access(mmu, page << stride_log2, kind), VM_FAULT_NONE);
        }
    }
    ck_assert_uint_eq(mmu->counters.accesses[kind], (uint64_t)ROUNDS * pages);
    ck_assert_uint_eq(mmu->counters.micro_misses[kind] % ROUNDS, 0);
    ck_assert_uint_eq(mmu->counters.main_misses[kind] % ROUNDS, 0);
    return (struct misses){mmu->counters.micro_misses[kind] / ROUNDS,
                           mmu->counters.main_misses[kind] / ROUNDS};
}

static struct misses sweep_preset(const char *preset, uint32_t pages, unsigned log2,
                                  enum vm_kind kind) {
    struct mmu_rig rig;
    rig_open(&rig, preset);
    core_set(&rig.core, "main_policy", TLB_ROUND_ROBIN); /* the A15's preset is random */
    rig_map(&rig, 0, pages << log2, log2, 0);
    rig_mmu(&rig, false);
    struct misses misses = sweep(&rig, pages, log2, kind);
    ck_assert_ptr_null(mmu_check(&rig.mmu));
    rig_close(&rig);
    return misses;
}

static uint64_t closed_form(uint32_t pages, uint32_t sets, uint32_t ways) {
    uint32_t capacity = sets * ways;
    return pages <= capacity          ? 0
           : pages >= capacity + sets ? pages
                                      : (pages - capacity) * (ways + 1);
}

static const struct {
    const char *preset;
    uint32_t micro, micro_i, main_sets, main_ways;
} cores[] = {
    {"a5", 10, 10, 64, 2},      {"a7", 10, 10, 128, 2},   {"a8", 32, 32, 0, 0},
    {"a9", 32, 32, 64, 2},      {"a9-64", 32, 32, 32, 2}, {"a9-256", 32, 32, 128, 2},
    {"a9-512", 32, 32, 256, 2}, {"a15", 32, 32, 128, 4},  {"a17", 32, 32, 256, 4},
    {"a53", 10, 10, 128, 4},
};
enum { CORES = sizeof cores / sizeof cores[0] };

START_TEST(every_preset_is_listed_here) {
    ck_assert_uint_eq(core_count(), CORES);
    for (size_t i = 0; i < CORES; i++) {
        struct core core;
        ck_assert(core_find(&core, cores[i].preset));
    }
}
END_TEST

START_TEST(micro_tlb_knees) {
    const uint32_t sizes[] = {1, 2, 9, 10, 11, 12, 31, 32, 33, 34, 48, 64, 65, 100};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        uint32_t pages = sizes[k];
        for (int kind = 0; kind < VM_KINDS; kind++) {
            uint32_t entries = kind == VM_FETCH ? cores[_i].micro_i : cores[_i].micro;
            struct misses misses = sweep_preset(cores[_i].preset, pages, 12, (enum vm_kind)kind);
            ck_assert_uint_eq(misses.micro, closed_form(pages, 1, entries));
            if (cores[_i].main_sets == 0) {
                ck_assert_uint_eq(misses.main, misses.micro);
            }
        }
    }
}
END_TEST

/* Every size around the knee, so that the whole ramp is the closed form. */
START_TEST(main_tlb_knees) {
    uint32_t sets = cores[_i].main_sets, ways = cores[_i].main_ways, capacity = sets * ways;
    if (sets == 0) {
        return;
    }
    for (uint32_t pages = capacity - 2; pages <= capacity + sets + 2;
         pages += pages < capacity + 4 || pages > capacity + sets - 4 ? 1 : sets / 16) {
        struct misses misses = sweep_preset(cores[_i].preset, pages, 12, VM_LOAD);
        ck_assert_uint_eq(misses.main, closed_form(pages, sets, ways));
        ck_assert_uint_eq(misses.micro, pages);
    }
}
END_TEST

/* The figures of the literature, written out: misses in so many pages. */
START_TEST(main_tlb_published_rates) {
    static const struct {
        const char *preset;
        uint32_t pages, misses;
    } rows[] = {{"a5", 128, 0},    {"a5", 129, 3},   {"a5", 160, 96},     {"a5", 192, 192},
                {"a9", 128, 0},    {"a9", 129, 3},   {"a9", 192, 192},    {"a7", 256, 0},
                {"a7", 257, 3},    {"a7", 384, 384}, {"a15", 512, 0},     {"a15", 513, 5},
                {"a15", 640, 640}, {"a17", 1024, 0}, {"a17", 1280, 1280}, {"a17", 2048, 2048}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        ck_assert_uint_eq(sweep_preset(rows[i].preset, rows[i].pages, 12, VM_LOAD).main,
                          rows[i].misses);
    }
}
END_TEST

/* Reach grows with the page size, in the main TLB only: a micro-TLB of fragments stays as it was.
 */
START_TEST(larger_pages_reach_further) {
    uint32_t sets = cores[_i].main_sets, ways = cores[_i].main_ways;
    for (unsigned log2 = 16; log2 <= 20; log2 += 4) {
        uint32_t capacity = sets * ways;
        uint32_t pages = capacity + 1;
        if (sets != 0 && (uint64_t)pages << log2 <= 1u << 30) {
            ck_assert_uint_eq(sweep_preset(cores[_i].preset, pages, log2, VM_LOAD).main, ways + 1);
            ck_assert_uint_eq(sweep_preset(cores[_i].preset, capacity, log2, VM_LOAD).main, 0);
        }
    }
}
END_TEST

/* `tlb_test` on a Tegra K1 (Cortex-A15): stride 4096 + 8 over P pages, data TLB refills per load as
 * its counters gave them. FIFO cannot show the .048 at 33 pages: the knee may lie between 32
 * and 40. */
START_TEST(a15_hardware_counters) {
    static const struct {
        uint32_t pages;
        double low, high;
    } rows[] = {{16, 0, 0}, {32, 0, 0}, {40, .95, 1}, {48, .99, 1}, {256, .99, 1}, {512, .99, 1}};
    for (unsigned log2 = 12; log2 <= 20; log2 += 8) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct mmu_rig rig;
            rig_open(&rig, "a15");
            rig_map(&rig, 0, 1024u << 20 >> (20 - log2), log2, 0);
            rig_mmu(&rig, false);
            for (unsigned round = 0; round < 6; round++) {
                if (round == 3) {
                    mmu_reset_counters(&rig.mmu);
                }
                for (uint32_t page = 0; page < rows[i].pages; page++) {
                    mmu_access(&rig.mmu, page * 4104, VM_LOAD);
                }
            }
            double rate = (double)rig.mmu.counters.micro_misses[VM_LOAD] /
                          (double)rig.mmu.counters.accesses[VM_LOAD];
            ck_assert_msg(rate >= rows[i].low && rate <= rows[i].high, "%u pages: %g",
                          rows[i].pages, rate);
            ck_assert_uint_eq(rig.mmu.counters.main_misses[VM_LOAD], 0);
            rig_close(&rig);
        }
    }
}
END_TEST

/* With huge pages of two sections nothing of 520 or 1024 pages of 4 KiB + 8 misses the main TLB. */
START_TEST(a15_huge_pages_fit_the_main_tlb) {
    const uint32_t sizes[] = {520, 1024};
    for (size_t i = 0; i < 2; i++) {
        struct mmu_rig rig;
        rig_open(&rig, "a15");
        rig_map(&rig, 0, 8u << 20, 20, 0);
        rig_mmu(&rig, false);
        for (unsigned round = 0; round < 4; round++) {
            if (round == 1) {
                mmu_reset_counters(&rig.mmu);
            }
            for (uint32_t page = 0; page < sizes[i]; page++) {
                mmu_access(&rig.mmu, page * 4104, VM_LOAD);
            }
        }
        ck_assert_uint_eq(rig.mmu.counters.main_misses[VM_LOAD], 0);
        ck_assert_uint_eq(rig.mmu.counters.micro_misses[VM_LOAD], 3 * sizes[i]);
        rig_close(&rig);
    }
}
END_TEST

/* The A17 holds sections in its micro-TLB: 40 of its pages in one section never miss. */
START_TEST(a17_holds_sections) {
    struct mmu_rig rig;
    rig_open(&rig, "a17");
    rig_map(&rig, 0, 1u << 20, 20, 0);
    rig_mmu(&rig, false);
    struct misses misses = sweep(&rig, 40, 12, VM_LOAD);
    ck_assert_uint_eq(misses.micro, 0);
    rig_close(&rig);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mmu_sweep");
    TCase *tcase = tcase_create("cyclic");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, every_preset_is_listed_here);
    tcase_add_loop_test(tcase, micro_tlb_knees, 0, CORES);
    tcase_add_loop_test(tcase, main_tlb_knees, 0, CORES);
    tcase_add_test(tcase, main_tlb_published_rates);
    tcase_add_loop_test(tcase, larger_pages_reach_further, 0, CORES);
    tcase_add_test(tcase, a15_hardware_counters);
    tcase_add_test(tcase, a15_huge_pages_fit_the_main_tlb);
    tcase_add_test(tcase, a17_holds_sections);
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
