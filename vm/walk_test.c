/* SPDX-License-Identifier: MIT
 *
 * walk_test.c - our table walk against two processors of QEMU, and permissions by the manual's
 * table
 *
 * golden.h makes 1024 worlds of random tables and registers, TTBCR.N from 0 to 7, access flag on
 * and off, all descriptor types at all repetition offsets, every domain setting; 128 addresses
 * each, 6 operations: 786 432 cases for the Cortex-A15 (with PXN) and as many for the Cortex-A9
 * (without). corpus/golden has digests of what QEMU 7.2 answered (tools/mmu_golden.sh).
 *
 * One difference is taken out, the order of checks. By the architecture the walk comes first, with
 * translation and access flag faults, then the domain, then permissions. QEMU looks at the domain
 * as soon as it has read the first-level descriptor, and at execute-never before the access flag.
 * So it reports a domain fault where the second level has a translation or access flag fault, a
 * permission fault where a page may not be executed and has the access flag clear, and for a
 * manager no access flag fault at all. Translations, permissions and all other faults are compared
 * as they are.
 */
#include "golden.h"
#include "mmu_rig.h"

#include "../trace/file_bytes.h"

#include <zstd.h>

static const struct {
    const char *file;
    uint32_t base;
    bool pxn;
} machines[] = {{"corpus/golden/mmu_a15.zst", 0x40000000, true},
                {"corpus/golden/mmu_a9.zst", 0x60000000, false}};

static uint64_t normalised;

/* PAR as QEMU fills it: no memory attributes, no physical address bits above 31. */
static uint32_t par_of_qemu(uint32_t par) {
    if (par & 1) {
        return par;
    }
    return par & 2 ? par & 0xff000202u : par & 0xfffff200u;
}

static bool never_executed(const struct walk *walk, bool privileged_never) {
    uint32_t first = walk->descriptor[0], second = walk->descriptor[1];
    if ((first & 3) != 1) {
        return (first >> 4 & 1) || (privileged_never && (first & 1));
    }
    return (second >> ((second & 3) == 1 ? 15 : 0) & 1) || (privileged_never && (first >> 2 & 1));
}

/* What QEMU checks before the walk is over: its fault, or none, and then the registers with which
 * our order of checks comes to the same. */
static enum vm_fault early_checks(struct vm_regs *regs, const struct vm_ram *ram, uint32_t va,
                                  enum vm_kind kind, bool user) {
    struct walk walk = vm_walk(regs, ram, va);
    if (walk.fault == VM_FAULT_TRANSLATION_SECTION) {
        return VM_FAULT_NONE;
    }
    bool page = (walk.descriptor[0] & 3) == 1;
    bool flagged =
        walk.fault == VM_FAULT_ACCESS_FLAG_PAGE || walk.fault == VM_FAULT_ACCESS_FLAG_SECTION;
    switch (regs->dacr >> 2 * walk.domain & 3) {
    case VM_DOMAIN_MANAGER:
        regs->sctlr &= ~(uint32_t)VM_SCTLR_AFE;
        return VM_FAULT_NONE;
    case VM_DOMAIN_CLIENT:
        if (flagged && kind == VM_FETCH && never_executed(&walk, regs->pxn && !user)) {
            return page ? VM_FAULT_PERMISSION_PAGE : VM_FAULT_PERMISSION_SECTION;
        }
        return VM_FAULT_NONE;
    default:
        return page ? VM_FAULT_DOMAIN_PAGE : VM_FAULT_DOMAIN_SECTION;
    }
}

static uint32_t par_of_fault(enum vm_fault fault) {
    return ((uint32_t)fault & 15) << 1 | ((uint32_t)fault >> 4) << 5 | 1;
}

static uint32_t ask(const struct vm_regs *regs, const struct vm_ram *ram, uint32_t va,
                    enum vm_kind kind, bool user) {
    struct vm_regs seen = *regs;
    enum vm_fault fault = early_checks(&seen, ram, va, kind, user);
    uint32_t strict = vm_par(regs, ram, va, kind, user);
    uint32_t answer =
        fault != VM_FAULT_NONE ? par_of_fault(fault) : vm_par(&seen, ram, va, kind, user);
    normalised += answer != strict;
    return answer;
}

static void answer_world(const struct golden_world *world, const struct vm_ram *ram, int machine,
                         uint32_t *results) {
    struct vm_regs regs = {.sctlr = VM_SCTLR_M | (world->access_flag ? VM_SCTLR_AFE : 0),
                           .ttbcr = world->ttbcr,
                           .ttbr0 = world->ttbr0,
                           .ttbr1 = world->ttbr1,
                           .dacr = world->dacr,
                           .pxn = machines[machine].pxn};
    for (uint32_t i = 0; i < GOLDEN_ADDRESSES; i++) {
        uint32_t va = world->va[i], *result = results + i * GOLDEN_OPERATIONS;
        for (uint32_t operation = 0; operation < 4; operation++) {
            uint32_t par = ask(&regs, ram, va, operation & 1 ? VM_STORE : VM_LOAD, operation >= 2);
            result[operation] = par_of_qemu(par);
        }
        for (uint32_t user = 0; user < 2; user++) {
            uint32_t par = ask(&regs, ram, va, VM_FETCH, user != 0);
            uint32_t ifsr = par & 1 ? (par >> 1 & 15) | (par >> 5 & 1) << 10 : 0;
            result[4 + user] = golden_fetches(world, result[2 * user]) ? ifsr : GOLDEN_SKIPPED;
        }
    }
}

/* Names the first block of addresses that differs. */
static void complain(int machine, uint32_t number, const struct golden_world *world,
                     const struct golden_digest *want, const struct golden_digest *got) {
    for (uint32_t block = 0; block < GOLDEN_BLOCKS; block++) {
        if (want->block[block] != got->block[block]) {
            ck_abort_msg("%s: world %u, addresses %#x and %#x: QEMU translates otherwise",
                         machines[machine].file, number, world->va[block * GOLDEN_BLOCK],
                         world->va[block * GOLDEN_BLOCK + 1]);
        }
    }
    ck_abort_msg("%s: world %u differs somewhere", machines[machine].file, number);
}

static void read_golden(int machine, struct golden_digest *golden) {
    struct problem problem = {""};
    struct file_bytes file = {0};
    ck_assert_msg(file_bytes_read(machines[machine].file, &file, &problem), "%s", problem.text);
    size_t bytes = GOLDEN_WORLDS * sizeof *golden;
    ck_assert_uint_eq(ZSTD_decompress(golden, bytes, file.bytes, file.count), bytes);
    file_bytes_release(&file);
}

START_TEST(equals_qemu) {
    static struct golden_digest golden[GOLDEN_WORLDS];
    read_golden(_i, golden);
    struct mmu_rig rig;
    rig_ram(&rig, 2);
    rig.ram.segment[0].base = machines[_i].base;
    uint32_t successes = 0, skipped = 0, faults[VM_FAULTS] = {0};
    static uint32_t results[GOLDEN_CASES];
    for (uint32_t number = 0; number < GOLDEN_WORLDS; number++) {
        struct golden_world world;
        struct golden_digest got;
        golden_build(&world, number, machines[_i].base, rig.ram.segment[0].host);
        answer_world(&world, &rig.ram, _i, results);
        golden_digest(&got, results);
        if (memcmp(&golden[number], &got, sizeof got) != 0) {
            complain(_i, number, &world, &golden[number], &got);
        }
        for (uint32_t i = 0; i < GOLDEN_CASES; i++) {
            bool fetch = i % GOLDEN_OPERATIONS >= 4;
            skipped += results[i] == GOLDEN_SKIPPED;
            successes += fetch ? results[i] == 0 : !(results[i] & 1);
            faults[fetch ? results[i] & 15 : results[i] & 1 ? results[i] >> 1 & 15 : 0]++;
        }
    }
    /* The worlds are not empty: every outcome is frequent. */
    printf("%u successes, %u fetches not tried, %llu results normalised\n", successes, skipped,
           (unsigned long long)normalised);
    ck_assert_uint_ge(successes, 50000);
    const enum vm_fault expected[] = {VM_FAULT_TRANSLATION_SECTION, VM_FAULT_TRANSLATION_PAGE,
                                      VM_FAULT_DOMAIN_SECTION,      VM_FAULT_DOMAIN_PAGE,
                                      VM_FAULT_PERMISSION_SECTION,  VM_FAULT_PERMISSION_PAGE,
                                      VM_FAULT_ACCESS_FLAG_SECTION, VM_FAULT_ACCESS_FLAG_PAGE};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        ck_assert_uint_ge(faults[expected[i]], 2000);
    }
    free(rig.ram.segment[0].host);
}
END_TEST

/* The order of faults where QEMU's differs, by the manual: translation, access flag, domain. */
START_TEST(faults_in_architectural_order) {
    struct mmu_rig rig;
    rig_ram(&rig, 1);
    struct vm_regs regs = {.sctlr = VM_SCTLR_M | VM_SCTLR_AFE, .ttbr0 = RIG_RAM_BASE};
    *rig_second(&rig, 0x1000) = RIG_PAGE & ~0x10u; /* access flag clear */
    ck_assert_int_eq(vm_walk(&regs, &rig.ram, 0x1000).fault, VM_FAULT_ACCESS_FLAG_PAGE);
    ck_assert_int_eq(vm_walk(&regs, &rig.ram, 0x2000).fault, VM_FAULT_TRANSLATION_PAGE);
    regs.dacr = 3; /* a manager, too, sees the access flag */
    ck_assert_uint_eq(vm_par(&regs, &rig.ram, 0x1000, VM_LOAD, false),
                      par_of_fault(VM_FAULT_ACCESS_FLAG_PAGE));
    regs.sctlr = VM_SCTLR_M;
    regs.dacr = 0;
    ck_assert_uint_eq(vm_par(&regs, &rig.ram, 0x1000, VM_LOAD, false),
                      par_of_fault(VM_FAULT_DOMAIN_PAGE));
    regs.dacr = 1; /* AP 010 now: read only for the user */
    ck_assert_uint_eq(vm_par(&regs, &rig.ram, 0x1000, VM_STORE, true),
                      par_of_fault(VM_FAULT_PERMISSION_PAGE));
    *rig_first(&rig, 0) = 0xdead0001; /* leads out of RAM */
    ck_assert_int_eq(vm_walk(&regs, &rig.ram, 0x1000).fault, VM_FAULT_WALK_SECOND);
    regs.ttbr0 = 0x10000000;
    ck_assert_int_eq(vm_walk(&regs, &rig.ram, 0x1000).fault, VM_FAULT_WALK_FIRST);
    regs.ttbcr = VM_TTBCR_PD0;
    ck_assert_int_eq(vm_walk(&regs, &rig.ram, 0x1000).fault, VM_FAULT_TRANSLATION_SECTION);
    ck_assert_uint_eq(vm_walk(&regs, &rig.ram, 0x1000).reads, 0);
    free(rig.ram.segment[0].host);
}
END_TEST

/* QEMU's PAR has no attributes and no bits above 31: these are by the manual's table, B4.1.112. */
START_TEST(par_attributes) {
    static const struct {
        uint32_t section, prrr, nmrr, sctlr, par;
    } rows[] = {
        {0, 0, 0, 0, 1u << 4 | 1u << 7},                  /* strongly ordered */
        {1u << 2, 0, 0, 0, 3u << 4 | 1u << 7},            /* shareable device */
        {2u << 12, 0, 0, 0, 3u << 4},                     /* device of its own */
        {1u << 3, 0, 0, 0, 6u << 4 | 2u << 2},            /* write-through */
        {3u << 2, 0, 0, 0, 7u << 4 | 3u << 2},            /* write-back */
        {1u << 12 | 3u << 2, 0, 0, 0, 5u << 4 | 1u << 2}, /* write-allocate */
        {1u << 12, 0, 0, 0, 0},                           /* not cacheable */
        {6u << 12 | 1u << 2, 0, 0, 0, 5u << 4 | 2u << 2}, /* inner 01, outer 10 */
        {1u << 16 | 3u << 2, 0, 0, 0, 7u << 4 | 3u << 2 | 1u << 7},
        {1u << 19 | 3u << 2, 0, 0, 0, 7u << 4 | 3u << 2 | 1u << 9},
        /* TEX remap, n = 1: normal, inner 01, outer 11, not outer shareable; S selects NS1. */
        {1u << 16 | 1u << 2, 2u << 2 | 1u << 19 | 1u << 25, 1u << 2 | 3u << 18, VM_SCTLR_TRE,
         5u << 4 | 3u << 2 | 1u << 7 | 1u << 10},
        {1u << 2, 1u << 2 | 1u << 17, 0, VM_SCTLR_TRE, 3u << 4},
    };
    struct mmu_rig rig;
    rig_ram(&rig, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct vm_regs regs = {.sctlr = VM_SCTLR_M | rows[i].sctlr,
                               .ttbr0 = RIG_RAM_BASE,
                               .dacr = 3,
                               .prrr = rows[i].prrr,
                               .nmrr = rows[i].nmrr};
        *rig_first(&rig, 0) = rows[i].section | 0x12300000 | 2;
        ck_assert_uint_eq(vm_par(&regs, &rig.ram, 0x45678, VM_LOAD, true),
                          rows[i].par | 0x12345000);
    }
    struct vm_regs regs = {.sctlr = VM_SCTLR_M, .ttbr0 = RIG_RAM_BASE, .dacr = 3};
    *rig_first(&rig, 0) = 0x12000000 | 0xAu << 20 | 0xBu << 5 | 1u << 18 | 3u << 2 | 2;
    ck_assert_uint_eq(vm_par(&regs, &rig.ram, 0x45678, VM_LOAD, true),
                      0x12000000 | 0xBAu << 16 | 7u << 4 | 3u << 2 | 2);
    free(rig.ram.segment[0].host);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("walk");
    TCase *tcase = tcase_create("walk");
    tcase_set_timeout(tcase, 600);
    tcase_add_loop_test(tcase, equals_qemu, 0, 2);
    tcase_add_test(tcase, faults_in_architectural_order);
    tcase_add_test(tcase, par_attributes);
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
