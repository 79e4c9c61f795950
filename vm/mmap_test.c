/* SPDX-License-Identifier: MIT
 * mmap_test.c - the system calls: what each refuses, and that a refusal changes nothing. Tests
 * named V... turn a defect of LiteOS' virtual memory round.
 */
#include "rig.h"

enum { RW = VM_PROT_READ | VM_PROT_WRITE, ANON = VM_MAP_PRIVATE | VM_MAP_ANONYMOUS };

/* V1: mmap with a hint in the heap frees what lies behind the heap's end. */
START_TEST(test_V1_hint_in_the_heap_spares_others) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    vaddr_t now, at, other;
    ck_assert_int_eq(vm_brk(s, USER_HEAP + 4 * VM_PAGE, &now), 0);
    ck_assert_int_eq(
        vm_mmap(s, USER_HEAP + 4 * VM_PAGE, 2 * VM_PAGE, RW, ANON | VM_MAP_FIXED, NULL, 0, &other),
        0);
    rig_put(s, other, 77);
    for (uint32_t i = 0; i < 4; i++) {
        rig_put(s, USER_HEAP + i * VM_PAGE, i + 1);
    }
    ck_assert_int_eq(vm_mmap(s, USER_HEAP + 2 * VM_PAGE, 4 * VM_PAGE, RW, ANON, NULL, 0, &at), 0);
    ck_assert_uint_eq(at, USER_MAP); /* not wholly inside: the hint is ignored */
    ck_assert_int_eq(
        vm_mmap(s, USER_HEAP + 2 * VM_PAGE, 4 * VM_PAGE, RW, ANON | VM_MAP_FIXED, NULL, 0, &at),
        -EINVAL);
    ck_assert_uint_eq(rig_get(s, other), 77);
    ck_assert_uint_eq(rig_get(s, USER_HEAP + 3 * VM_PAGE), 4);
    ck_assert_int_eq(vm_mmap(s, USER_HEAP + VM_PAGE, 2 * VM_PAGE, RW, ANON, NULL, 0, &at), 0);
    ck_assert_uint_eq(at, USER_HEAP + VM_PAGE);
    static const uint32_t left[] = {1, 0, 0, 4};
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(rig_get(s, USER_HEAP + i * VM_PAGE), left[i]);
    }
    rig_end(m);
}
END_TEST

/* V3: mprotect with length 0 changes rights and returns an error. */
START_TEST(test_V3_mprotect_of_nothing_changes_nothing) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    vaddr_t at = rig_map(s, 2 * VM_PAGE);
    ck_assert_int_eq(vm_mprotect(s, at, 0, VM_PROT_READ), -EINVAL);
    ck_assert_int_eq(vm_mprotect(s, at + 1, VM_PAGE, VM_PROT_READ), -EINVAL);
    ck_assert_int_eq(vm_mprotect(s, at, 3 * VM_PAGE, VM_PROT_READ), -EINVAL);
    ck_assert_int_eq(vm_mprotect(s, at, 0xFFFFF000u, VM_PROT_READ), -EINVAL);
    ck_assert_int_eq(vm_mprotect(s, at, VM_PAGE, 8), -EINVAL);
    ck_assert_int_eq(vm_mprotect(s, at - VM_PAGE, VM_PAGE, VM_PROT_READ), -EINVAL);
    rig_put(s, at, 1);
    ck_assert_uint_eq(s->region_count, 1);
    rig_end(m);
}
END_TEST

/* V4: an error path of mmap deletes a node of the tree twice. Every refusal of mmap, and the tree
 * afterwards. */
START_TEST(test_V4_refused_mmap_leaves_the_tree) {
    struct machine *m = rig_machine_of(4 * RIG_MIB, 4);
    struct space *s = rig_space(m);
    vaddr_t at = 0;
    static const struct {
        vaddr_t hint;
        uint32_t bytes;
        int prot, flags, result;
    } bad[] = {
        {0, 0, RW, ANON, -EINVAL},
        {0, USER_BYTES + 1, RW, ANON, -EINVAL},
        {0, 0xFFFFFFFFu, RW, ANON, -EINVAL},
        {0, USER_MAPPED + 1, RW, ANON, -ENOMEM},
        {0, VM_PAGE, RW, VM_MAP_ANONYMOUS, -EINVAL},
        {0, VM_PAGE, RW, ANON | VM_MAP_SHARED, -EINVAL},
        {0, VM_PAGE, 8, ANON, -EINVAL},
        {0, VM_PAGE, RW, ANON | 0x4000000, -EINVAL},
        {0, VM_PAGE, RW, VM_MAP_PRIVATE, -EBADF},
        {100, VM_PAGE, RW, ANON | VM_MAP_FIXED, -EINVAL},
        {USER_MAP + 1, VM_PAGE, RW, ANON | VM_MAP_FIXED, -EINVAL},
        {USER_BASE + USER_BYTES - VM_PAGE, 2 * VM_PAGE, RW, ANON | VM_MAP_FIXED, -EINVAL},
        {KERNEL_BASE, VM_PAGE, RW, ANON | VM_MAP_FIXED, -EINVAL},
        {0xFFFFF000u, 2 * VM_PAGE, RW, ANON | VM_MAP_FIXED_NOREPLACE, -EINVAL},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int result = vm_mmap(s, bad[i].hint, bad[i].bytes, bad[i].prot, bad[i].flags, NULL, 0, &at);
        ck_assert_msg(result == bad[i].result, "case %zu: %d", i, result);
        SOUND(m);
    }
    ck_assert_ptr_null(s->regions);
    ck_assert_int_eq(vm_mmap(m->kernel, 0, VM_PAGE, RW, ANON, NULL, 0, &at), -EINVAL);
    rig_end(m);
}
END_TEST

/* V7: brk grows over regions in its way, and its pointer dangles after brk back to the base. */
START_TEST(test_V7_brk) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    vaddr_t now, other;
    ck_assert_int_eq(vm_brk(s, 0, &now), 0);
    ck_assert_uint_eq(now, USER_HEAP);
    ck_assert_int_eq(vm_brk(s, USER_HEAP - 1, &now), -ENOMEM);
    ck_assert_int_eq(vm_brk(s, USER_MAP, &now), -ENOMEM);
    ck_assert_int_eq(vm_brk(s, 0xFFFFFFFFu, &now), -ENOMEM);
    ck_assert_int_eq(vm_brk(s, USER_HEAP + 1, &now), 0);
    ck_assert_uint_eq(now, USER_HEAP + VM_PAGE);
    rig_put(s, USER_HEAP, 1);
    ck_assert_int_eq(vm_brk(s, USER_HEAP, &now), 0);
    ck_assert_uint_eq(s->region_count, 0);
    ck_assert_int_eq(vm_brk(s, USER_HEAP + 3 * VM_PAGE, &now), 0);
    ck_assert_uint_eq(rig_get(s, USER_HEAP), 0);
    rig_put(s, USER_HEAP + 2 * VM_PAGE, 3);
    ck_assert_int_eq(vm_mmap(s, USER_HEAP + 5 * VM_PAGE, VM_PAGE, RW, ANON, NULL, 0, &other), 0);
    ck_assert_int_eq(vm_brk(s, USER_HEAP + 6 * VM_PAGE, &now), -ENOMEM);
    ck_assert_uint_eq(now, USER_HEAP + 3 * VM_PAGE);
    ck_assert_int_eq(vm_brk(s, USER_HEAP + 5 * VM_PAGE, &now), 0);
    ck_assert_uint_eq(rig_get(s, USER_HEAP + 2 * VM_PAGE), 3);
    ck_assert_int_eq(vm_mprotect(s, USER_HEAP, VM_PAGE, VM_PROT_READ), -EPERM);
    rig_end(m);
}
END_TEST

/* V8: munmap rounds an unaligned address up, and a size near 4 GiB wraps to 0. */
START_TEST(test_V8_munmap_of_strange_ranges) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    vaddr_t at = rig_map(s, 4 * VM_PAGE);
    rig_put(s, at, 1);
    ck_assert_int_eq(vm_munmap(s, at + 1, VM_PAGE), -EINVAL);
    ck_assert_int_eq(vm_munmap(s, at, 0), -EINVAL);
    ck_assert_int_eq(vm_munmap(s, 0, VM_PAGE), -EINVAL);
    ck_assert_int_eq(vm_munmap(s, at, 0xFFFFFFFFu), -EINVAL);
    ck_assert_int_eq(vm_munmap(s, at, 0u - at), -EINVAL);
    ck_assert_int_eq(vm_munmap(s, KERNEL_BASE, VM_PAGE), -EINVAL);
    ck_assert_uint_eq(rig_get(s, at), 1);
    ck_assert_int_eq(vm_munmap(s, at + VM_PAGE, 1), 0); /* the length is rounded */
    ck_assert_uint_eq(s->region_count, 2);
    ck_assert_int_eq(vm_munmap(s, at + VM_PAGE, VM_PAGE), 0); /* a hole is fine */
    rig_end(m);
}
END_TEST

/* V10: the last region can never grow. Growing with and without a successor, too near or not. */
START_TEST(test_V10_mremap_grows_the_last_region) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    vaddr_t at = rig_map(s, 2 * VM_PAGE);
    vaddr_t next, now;
    rig_put(s, at + VM_PAGE, 5);
    ck_assert_int_eq(vm_mremap(s, at, 2 * VM_PAGE, 6 * VM_PAGE, 0, 0, &now), 0);
    ck_assert_uint_eq(now, at);
    rig_put(s, at + 5 * VM_PAGE, 6);
    ck_assert_int_eq(vm_mmap(s, at + 8 * VM_PAGE, VM_PAGE, RW, ANON, NULL, 0, &next), 0);
    ck_assert_int_eq(vm_mremap(s, at, 6 * VM_PAGE, 8 * VM_PAGE, 0, 0, &now), 0);
    ck_assert_int_eq(vm_mremap(s, at, 8 * VM_PAGE, 9 * VM_PAGE, 0, 0, &now), -ENOMEM);
    ck_assert_int_eq(vm_mremap(s, at, 8 * VM_PAGE, 9 * VM_PAGE, VM_MREMAP_MAYMOVE, 0, &now), 0);
    ck_assert_uint_eq(now, at + 9 * VM_PAGE);
    ck_assert_uint_eq(rig_get(s, now + VM_PAGE), 5);
    ck_assert_uint_eq(rig_get(s, now + 5 * VM_PAGE), 6);
    ck_assert_uint_eq(rig_get(s, now + 8 * VM_PAGE), 0);
    ck_assert_uint_eq(space_query(s, at + VM_PAGE), 0);
    SOUND(m);
    ck_assert_int_eq(vm_mremap(s, now, 9 * VM_PAGE, VM_PAGE, 0, 0, &now), 0);
    ck_assert_int_eq(vm_mremap(s, now, VM_PAGE, 2 * VM_PAGE, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                               next - VM_PAGE, &now),
                     0);
    rig_end(m);
}
END_TEST

START_TEST(test_refused_mremap) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    vaddr_t at = rig_map(s, 4 * VM_PAGE);
    vaddr_t heap;
    ck_assert_int_eq(vm_brk(s, USER_HEAP + 4 * VM_PAGE, &heap), 0);
    enum { MOVE = VM_MREMAP_MAYMOVE, FIXED = VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED };
    const struct {
        vaddr_t old;
        uint32_t old_bytes, new_bytes;
        int flags;
        vaddr_t target;
        int result;
    } bad[] = {
        {at, 4 * VM_PAGE, 0, MOVE, 0, -EINVAL},
        {at, 0, VM_PAGE, MOVE, 0, -EINVAL},
        {at + 4, VM_PAGE, VM_PAGE, MOVE, 0, -EINVAL},
        {at, VM_PAGE, VM_PAGE, 4, 0, -EINVAL},
        {at, VM_PAGE, VM_PAGE, VM_MREMAP_FIXED, at + 8 * VM_PAGE, -EINVAL},
        {at, VM_PAGE, 0xFFFFFFFFu, MOVE, 0, -EINVAL},
        {at, VM_PAGE, USER_MAPPED, MOVE, 0, -ENOMEM},
        {at, 5 * VM_PAGE, VM_PAGE, MOVE, 0, -EFAULT},
        {at + 4 * VM_PAGE, VM_PAGE, VM_PAGE, MOVE, 0, -EFAULT},
        {at, 2 * VM_PAGE, 2 * VM_PAGE, FIXED, at + VM_PAGE, -EINVAL},
        {at + 2 * VM_PAGE, VM_PAGE, 4 * VM_PAGE, FIXED, at - VM_PAGE, -EINVAL},
        {at, VM_PAGE, VM_PAGE, FIXED, at + 8, -EINVAL},
        {at, VM_PAGE, VM_PAGE, FIXED, KERNEL_BASE, -EINVAL},
        {at, VM_PAGE, VM_PAGE, FIXED, USER_HEAP + VM_PAGE, -EINVAL},
        {USER_HEAP, VM_PAGE, VM_PAGE, MOVE, 0, -EPERM},
        {at, VM_PAGE, 2 * VM_PAGE, 0, 0, -ENOMEM}, /* the rest of the region is in its way */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        vaddr_t now;
        int result = vm_mremap(s, bad[i].old, bad[i].old_bytes, bad[i].new_bytes, bad[i].flags,
                               bad[i].target, &now);
        ck_assert_msg(result == bad[i].result, "case %zu: %d", i, result);
        ck_assert_uint_eq(s->region_count, 2);
        SOUND(m);
    }
    rig_end(m);
}
END_TEST

/* V13: a split that fails leaves a truncated region. Each call with too few regions left. */
START_TEST(test_V13_failed_split_changes_nothing) {
    for (uint32_t spare = 0; spare < 7; spare++) {
        struct machine *m = rig_machine_of(4 * RIG_MIB, 2 + spare); /* the kernel has one */
        struct space *s = rig_space(m);
        vaddr_t at, now;
        if (vm_mmap(s, 0, 5 * VM_PAGE, RW, ANON, NULL, 0, &at) != 0) {
            ck_assert_uint_eq(s->region_count, 0);
            rig_end(m);
            continue;
        }
        for (uint32_t i = 0; i < 5; i++) {
            rig_put(s, at + i * VM_PAGE, i + 1);
        }
        vaddr_t middle = at + 2 * VM_PAGE;
        if (vm_mremap(s, middle, VM_PAGE, VM_PAGE, VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED,
                      at + 16 * VM_PAGE, &now) == 0) {
            ck_assert_uint_eq(rig_get(s, now), 3);
            rig_end(m);
            continue;
        }
        ck_assert_uint_eq(s->region_count, 1);
        if (vm_mprotect(s, middle, VM_PAGE, VM_PROT_READ) == -ENOMEM) {
            ck_assert_uint_eq(s->region_count, 1);
            rig_put(s, middle, 3);
            ck_assert_int_eq(vm_munmap(s, middle, VM_PAGE), -ENOMEM);
            ck_assert_uint_eq(s->region_count, 1);
        }
        for (uint32_t i = 0; i < 5; i++) {
            ck_assert_uint_eq(rig_get(s, at + i * VM_PAGE), i + 1);
        }
        rig_end(m);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("mmap");
    TCase *tests = tcase_create("mmap");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_V1_hint_in_the_heap_spares_others);
    tcase_add_test(tests, test_V3_mprotect_of_nothing_changes_nothing);
    tcase_add_test(tests, test_V4_refused_mmap_leaves_the_tree);
    tcase_add_test(tests, test_V7_brk);
    tcase_add_test(tests, test_V8_munmap_of_strange_ranges);
    tcase_add_test(tests, test_V10_mremap_grows_the_last_region);
    tcase_add_test(tests, test_refused_mremap);
    tcase_add_test(tests, test_V13_failed_split_changes_nothing);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
