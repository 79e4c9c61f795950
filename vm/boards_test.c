/* SPDX-License-Identifier: MIT
 *
 * boards_test.c - the cost model against latencies that others measured on real boards
 *
 * tinymembench's random read is a dependent chain whose addresses are a linear congruential
 * generator of known seed, so the model performs the same accesses, through tables as Linux lays
 * them out (two hardware tables of 1 KiB in the upper half of each page). All latencies are those
 * of cores.c; per board two values are fitted: the latency of RAM, and how far frames are scattered
 * (0: contiguous, 1: at random), which decides about conflicts in the L2.
 *
 * This does not validate TLB penalties: the micro-TLB's knee coincides with the L1's, the main
 * TLB's with the L2's. It shows that walks, caches and geometry together give the curves that
 * boards have.
 */
#include "boards.h"
#include "mmu_rig.h"

#include <math.h>
#include <stddef.h>

enum { WARM = 50000, MEASURED = 50000, BUFFER_MIB = 64 };
#define BUFFER_VA 0x20000000u

/* Maps `mib` MiB at va to frames of 4 KiB, contiguous or scattered over 1 GiB, as Linux does. */
static void map_like_linux(struct mmu_rig *rig, uint32_t va, uint32_t mib, bool scattered) {
    uint64_t random = 1;
    for (uint32_t i = 0; i < mib; i++) {
        uint32_t table = rig->next_frame + i / 2 * 4096 + 2048 + i % 2 * 1024;
        *rig_first(rig, va + (i << 20)) = table | 1;
        for (uint32_t page = 0; page < 256; page++) {
            uint32_t frame = scattered ? random_below(&random, 1 << 18) : (i << 8) + page;
            *rig_word(rig, table + page * 4) = (frame << 12) | RIG_PAGE;
        }
    }
    rig->next_frame += (mib + 1) / 2 * 4096;
}

/* tinymembench's addresses. */
static uint32_t next_address(uint32_t *seed, unsigned bits) {
    uint32_t a = *seed * 1103515245u + 12345u, b = a * 1103515245u + 12345u,
             c = b * 1103515245u + 12345u;
    *seed = c;
    return ((a >> 16 & 0xff) | (b >> 8 & 0xff00) | (c & 0x7fff0000)) & ((1u << bits) - 1);
}

/* Per access: ns that do not depend on RAM, and accesses to RAM. */
struct prediction {
    double ns, ram;
};

static struct prediction measure(struct mmu *mmu, unsigned bits) {
    uint32_t seed = 0;
    for (uint32_t i = 0; i < WARM + MEASURED; i++) {
        if (i == WARM) {
            mmu_reset_counters(mmu);
        }
        mmu_access(mmu, BUFFER_VA + next_address(&seed, bits), VM_LOAD);
    }
    core_set(&mmu->core, "ram_ns", 0);
    struct mmu_cycles cycles = mmu_cycles(mmu);
    double per_access = 1.0 / MEASURED, ghz = core_value(&mmu->core, CORE_mhz) / 1000.0;
    return (struct prediction){.ns = (cycles.total - cycles.accesses) * per_access / ghz,
                               .ram = (double)(mmu->counters.data_at[MMU_AT_RAM] +
                                               mmu->counters.walk_read_at[MMU_AT_RAM]) *
                                      per_access};
}

struct curves {
    struct prediction at[2][BOARD_SIZES]; /* contiguous, scattered */
};

static void simulate(const struct board *board, struct curves *curves) {
    for (int scattered = 0; scattered <= 1; scattered++) {
        struct mmu_rig rig;
        rig_ram(&rig, 1);
        ck_assert(core_find(&rig.core, board->core));
        core_set(&rig.core, "mhz", board->mhz);
        core_set(&rig.core, "l2_kib", board->l2_kib);
        map_like_linux(&rig, BUFFER_VA, BUFFER_MIB, scattered != 0);
        rig_mmu(&rig, true);
        for (unsigned i = 0; i < BOARD_SIZES; i++) {
            curves->at[scattered][i] = measure(&rig.mmu, BOARD_FIRST_LOG + i);
        }
        rig_close(&rig);
    }
}

struct fit {
    double ram_ns, scatter;
    double mean, max; /* % of error over 64 KiB to 64 MiB without the point of the L2's size */
    double mean_all;  /* with it */
};

static double predict(const struct curves *curves, unsigned i, double ram_ns, double scatter) {
    const struct prediction *a = &curves->at[0][i], *b = &curves->at[1][i];
    return (1 - scatter) * (a->ns + a->ram * ram_ns) + scatter * (b->ns + b->ram * ram_ns);
}

static struct fit error_of(const struct board *board, const struct curves *curves, double ram_ns,
                           double scatter) {
    struct fit fit = {.ram_ns = ram_ns, .scatter = scatter};
    double sum = 0, all = 0;
    unsigned count = 0;
    for (unsigned i = 1; i < BOARD_SIZES; i++) {
        double error = 100 * fabs(predict(curves, i, ram_ns, scatter) / board->ns[i] - 1);
        all += error;
        if (1u << (BOARD_FIRST_LOG + i - 10) != board->l2_kib) {
            sum += error;
            count++;
            fit.max = error > fit.max ? error : fit.max;
        }
    }
    fit.mean = sum / count;
    fit.mean_all = all / (BOARD_SIZES - 1);
    return fit;
}

static struct fit best_fit(const struct board *board, const struct curves *curves) {
    struct fit best = {.mean = INFINITY};
    for (double scatter = 0; scatter <= 1.001; scatter += 0.05) {
        for (double ram_ns = 40; ram_ns <= 260; ram_ns += 1) {
            struct fit fit = error_of(board, curves, ram_ns, scatter);
            best = fit.mean < best.mean ? fit : best;
        }
    }
    return best;
}

/* At most 5 % on A5, A7, A8, A17, 8 % on A15; A9 and A53 are shown and not judged. */
static double limit_of(const struct board *board) {
    return strcmp(board->core, "a15") == 0                                     ? 8
           : strcmp(board->core, "a9") == 0 || strcmp(board->core, "a53") == 0 ? INFINITY
                                                                               : 5;
}

START_TEST(tinymembench_curve) {
    const struct board *board = &boards[_i];
    struct curves curves;
    simulate(board, &curves);
    struct fit fit = best_fit(board, &curves);
    printf("%-4s %-26s %-8s RAM %3.0f ns, scatter %.2f: mean %4.1f %%, max %4.1f %%, with the L2's "
           "size %4.1f %%\n",
           board->core, board->name, board->chosen ? "chosen" : "held out", fit.ram_ns, fit.scatter,
           fit.mean, fit.max, fit.mean_all);
    if (getenv("BOARDS_VERBOSE") != NULL) {
        for (unsigned i = 0; i < BOARD_SIZES; i++) {
            printf("  %5u KiB  measured %6.1f  model %6.1f\n", 1u << (BOARD_FIRST_LOG + i - 10),
                   board->ns[i], predict(&curves, i, fit.ram_ns, fit.scatter));
        }
    }
    ck_assert_msg(fit.mean <= limit_of(board), "%s: mean error %.1f %%", board->name, fit.mean);
}
END_TEST

/* ---- 7-cpu.com: dependent random reads, decomposed ---- */

/* How often each term of the latency is paid, per access. */
struct terms {
    double l2, micro, walk, walk_cache, walk_ram;
};

static struct terms terms_of(struct mmu *mmu, unsigned size_log2) {
    uint64_t random = 1;
    for (uint32_t i = 0; i < WARM + MEASURED; i++) {
        if (i == WARM) {
            mmu_reset_counters(mmu);
        }
        uint32_t offset = (uint32_t)(random_word(&random) >> (64 - size_log2));
        ck_assert_int_eq(mmu_access(mmu, BUFFER_VA + offset, VM_LOAD), VM_FAULT_NONE);
    }
    const struct mmu_counters *c = &mmu->counters;
    double walks = (double)c->main_misses[VM_LOAD];
    return (struct terms){
        .l2 = 1 - (double)c->data_at[MMU_AT_L1] / MEASURED,
        .micro = (double)c->micro_misses[VM_LOAD] / MEASURED,
        .walk = walks / MEASURED,
        .walk_cache = (walks - (double)c->walk_cache_hits) / MEASURED,
        .walk_ram = (double)c->walk_read_at[MMU_AT_RAM] / MEASURED,
    };
}

/* The working set at which misses start: the last size, in KiB, at which under a tenth of the
 * accesses pay. */
static uint32_t knee(const struct terms *terms, size_t offset) {
    unsigned log2 = 12;
    while (log2 < 28 && *(const double *)((const char *)&terms[log2 + 1] + offset) < 0.1) {
        log2++;
    }
    return 1u << (log2 - 10);
}

static void near_knee(const struct terms *terms, size_t offset, const char *name, uint32_t kib) {
    uint32_t got = knee(terms, offset);
    printf("  %-10s measured from %6u KiB, model %6u KiB; at 256 MiB %.2f\n", name, kib, got,
           *(const double *)((const char *)&terms[28] + offset));
    ck_assert(got == kib || got == 2 * kib || 2 * got == kib);
    /* The term is paid (nearly) always in the end: so its asymptote is the latency in cores.c. */
    ck_assert_double_ge(*(const double *)((const char *)&terms[28] + offset), 0.9);
}

/* Reads from 4 KiB to 1 GiB on a core with 1 MiB of L2, as the Exynos 4210 and 5250 have. */
static void decompose(const char *preset, struct terms terms[31], struct mmu_cycles latencies[1]) {
    struct mmu_rig rig;
    rig_ram(&rig, 4);
    ck_assert(core_find(&rig.core, preset));
    core_set(&rig.core, "l2_kib", 1024);
    map_like_linux(&rig, BUFFER_VA, 1024, false);
    rig_mmu(&rig, true);
    for (unsigned log2 = 12; log2 <= 30; log2++) {
        terms[log2] = terms_of(&rig.mmu, log2);
    }
    latencies->micro = core_value(&rig.core, CORE_micro_cycles);
    latencies->walks = core_value(&rig.core, CORE_walk_cycles);
    latencies->data = core_value(&rig.core, CORE_l2_cycles);
    latencies->accesses = core_value(&rig.core, CORE_hit_cycles);
    rig_close(&rig);
}

START_TEST(seven_cpu_a9) {
    struct terms terms[31];
    struct mmu_cycles latency;
    decompose("a9", terms, &latency);
    near_knee(terms, offsetof(struct terms, l2), "L2", 32);
    near_knee(terms, offsetof(struct terms, micro), "micro-TLB", 128);
    near_knee(terms, offsetof(struct terms, walk), "walk", 512);
    /* Plateaus of 4, 23, 30 and 37 cycles. */
    ck_assert_double_eq(latency.accesses, 4);
    ck_assert_double_eq(latency.accesses + latency.data, 23);
    ck_assert_double_eq(latency.accesses + latency.data + latency.micro, 30);
    ck_assert_double_eq(latency.accesses + latency.data + latency.micro + latency.walks, 37);
}
END_TEST

START_TEST(seven_cpu_a15) {
    struct terms terms[31];
    struct mmu_cycles latency;
    decompose("a15", terms, &latency);
    near_knee(terms, offsetof(struct terms, l2), "L2", 32);
    near_knee(terms, offsetof(struct terms, micro), "micro-TLB", 128);
    near_knee(terms, offsetof(struct terms, walk), "walk", 2048);
    near_knee(terms, offsetof(struct terms, walk_cache), "walk cache", 16384);
    /* Beyond 110 ns of data, walks that reach RAM (100 ns): 125, 140 and 185 ns in all. */
    static const struct {
        unsigned log2;
        double ns;
    } rows[] = {{27, 15}, {28, 30}, {30, 75}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        double ns = 100 * terms[rows[i].log2].walk_ram;
        printf("  walks to RAM at %4u MiB: measured %2.0f ns, model %4.1f ns\n",
               1u << (rows[i].log2 - 20), rows[i].ns, ns);
        ck_assert_double_le(fabs(ns - rows[i].ns), 10);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("boards");
    TCase *tcase = tcase_create("boards");
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, tinymembench_curve, 0, BOARDS);
    tcase_add_test(tcase, seven_cpu_a9);
    tcase_add_test(tcase, seven_cpu_a15);
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
