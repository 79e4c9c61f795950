/* SPDX-License-Identifier: MIT
 * shm_test.c - shared memory segments: who sees what, what is counted, and when a segment ends.
 */
#include "rig.h"

enum { RW = VM_PROT_READ | VM_PROT_WRITE, MODE = 0600 };

static uint32_t attaches_of(struct machine *m, int id) {
    struct shm_info info = {0};
    return shm_stat(m, id, &info) == 0 ? info.attaches : 0xFFFFFFFFu;
}

START_TEST(test_get) {
    struct machine *m = rig_machine_of(32 * RIG_MIB, 0);
    ck_assert_int_eq(shm_get(m, 1, VM_PAGE, MODE), -ENOENT);
    ck_assert_int_eq(shm_get(m, 1, 0, MODE | SHM_CREATE), -EINVAL);
    ck_assert_int_eq(shm_get(m, 1, (SHM_PAGES + 1) * VM_PAGE, MODE | SHM_CREATE), -EINVAL);
    ck_assert_int_eq(shm_get(m, 1, 0xFFFFFFFFu, MODE | SHM_CREATE), -EINVAL);
    int id = shm_get(m, 1, 5000, MODE | SHM_CREATE);
    ck_assert_int_ge(id, 0);
    ck_assert_int_eq(shm_get(m, 1, 5000, MODE), id);
    ck_assert_int_eq(shm_get(m, 1, 5001, MODE), -EINVAL);
    ck_assert_int_eq(shm_get(m, 1, 5000, MODE | SHM_CREATE | SHM_EXCLUSIVE), -EEXIST);
    int other = shm_get(m, SHM_PRIVATE, (SHM_PAGES - 2) * VM_PAGE, MODE);
    ck_assert_int_ge(other, 0);
    ck_assert_int_ne(other, id);
    ck_assert_int_eq(shm_get(m, 2, VM_PAGE, MODE | SHM_CREATE), -ENOSPC);
    ck_assert_int_eq(shm_remove(m, other), 0);
    ck_assert_int_eq(shm_remove(m, other), -EINVAL);
    for (int i = 1; i < SHM_SEGMENTS; i++) {
        ck_assert_int_ge(shm_get(m, SHM_PRIVATE, 1, MODE), 0);
    }
    ck_assert_int_eq(shm_get(m, SHM_PRIVATE, 1, MODE), -ENOSPC);
    SOUND(m);
    for (int i = 0; i < SHM_SEGMENTS; i++) {
        ck_assert_int_eq(shm_remove(m, i), 0);
    }
    struct shm_info info;
    ck_assert_int_eq(shm_stat(m, id, &info), -EINVAL);
    ck_assert_int_eq(shm_stat(m, -1, &info), -EINVAL);
    ck_assert_int_eq(shm_stat(m, SHM_SEGMENTS, &info), -EINVAL);
    rig_end(m);
}
END_TEST

START_TEST(test_no_frames_no_segment) {
    struct machine *m = rig_machine_of(RIG_MIB, 0);
    ck_assert_int_eq(shm_get(m, SHM_PRIVATE, 2 * RIG_MIB, MODE), -ENOMEM);
    ck_assert_uint_eq(m->shm.pages, 0);
    rig_end(m);
}
END_TEST

START_TEST(test_attach) {
    struct machine *m = rig_machine();
    struct space *one = rig_space(m);
    struct space *two = rig_space(m);
    struct space *child;
    vaddr_t a, b, c;
    int id = shm_get(m, 7, 3 * VM_PAGE, MODE | SHM_CREATE);
    ck_assert_int_eq(shm_attach(one, id + 1, 0, 0, &a), -EINVAL);
    ck_assert_int_eq(shm_attach(one, id, USER_MAP + 4, 0, &a), -EINVAL);
    ck_assert_int_eq(shm_attach(one, id, KERNEL_BASE, 0, &a), -EINVAL);
    ck_assert_int_eq(shm_attach(one, id, 0, SHM_REMAP_OVER, &a), -EINVAL);
    ck_assert_int_eq(shm_attach(one, id, 0, 0, &a), 0);
    ck_assert_int_eq(shm_attach(one, id, a, 0, &b), -EINVAL);
    ck_assert_int_eq(shm_attach(two, id, USER_MAP + 5 * VM_PAGE + 9, SHM_ROUND | SHM_READ_ONLY, &b),
                     0);
    ck_assert_uint_eq(b, USER_MAP + 5 * VM_PAGE);
    rig_put(one, a + VM_PAGE, 11);
    ck_assert_uint_eq(rig_get(two, b + VM_PAGE), 11);
    uint32_t word = 1;
    ck_assert_int_eq(space_store(two, b, &word, 4), VM_ACCESS_DENIED);
    ck_assert_uint_eq(attaches_of(m, id), 2);
    ck_assert_int_eq(space_clone(one, &child), VM_OK);
    ck_assert_uint_eq(attaches_of(m, id), 3);
    rig_put(child, a, 12);
    ck_assert_uint_eq(rig_get(one, a), 12);
    ck_assert_int_eq(shm_set_mode(m, id, 0400), 0);
    ck_assert_int_eq(shm_attach(two, id, 0, 0, &c), -EACCES);
    ck_assert_int_eq(shm_remove(m, id), 0);
    ck_assert_int_eq(shm_attach(two, id, 0, SHM_READ_ONLY, &c), -EIDRM);
    ck_assert_int_eq(shm_get(m, 7, VM_PAGE, MODE), -ENOENT);
    ck_assert_int_eq(space_delete(child), VM_OK);
    ck_assert_int_eq(shm_detach(one, a + VM_PAGE), -EINVAL);
    ck_assert_int_eq(shm_detach(one, a), 0);
    ck_assert_int_eq(shm_detach(one, a), -EINVAL);
    ck_assert_uint_eq(rig_get(two, b + VM_PAGE), 11); /* until the last one goes */
    ck_assert_int_eq(shm_detach(two, b), 0);
    ck_assert_uint_eq(attaches_of(m, id), 0xFFFFFFFFu);
    ck_assert_uint_eq(m->shm.pages, 0);
    rig_end(m);
}
END_TEST

/* LiteOS V9: munmap of a part counts all pages and the attachment down; mprotect of a segment
 * attached at an address of choice loses its tag, and the attachment leaks. */
START_TEST(test_V9_pieces_of_an_attachment) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    struct space *child;
    vaddr_t at;
    int id = shm_get(m, 1, 6 * VM_PAGE, MODE | SHM_CREATE);
    ck_assert_int_eq(shm_attach(s, id, USER_MAP + 8 * VM_PAGE, 0, &at), 0);
    ck_assert_int_eq(vm_munmap(s, at, VM_PAGE), 0);
    ck_assert_int_eq(vm_munmap(s, at + 3 * VM_PAGE, VM_PAGE), 0);
    ck_assert_uint_eq(attaches_of(m, id), 1);
    rig_put(s, at + 5 * VM_PAGE, 5);
    ck_assert_int_eq(vm_mprotect(s, at + 4 * VM_PAGE, VM_PAGE, VM_PROT_READ), 0);
    ck_assert_uint_eq(attaches_of(m, id), 1);
    SOUND(m);
    vaddr_t moved;
    ck_assert_int_eq(vm_mremap(s, at + VM_PAGE, VM_PAGE, VM_PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, at + 30 * VM_PAGE, &moved),
                     -EINVAL);
    ck_assert_int_eq(space_clone(s, &child), VM_OK);
    ck_assert_uint_eq(attaches_of(m, id), 2);
    ck_assert_uint_eq(rig_get(child, at + 5 * VM_PAGE), 5);
    ck_assert_int_eq(shm_detach(s, at), 0);
    ck_assert_uint_eq(s->region_count, 0);
    ck_assert_uint_eq(attaches_of(m, id), 1);
    ck_assert_int_eq(vm_munmap(child, at, 6 * VM_PAGE), 0);
    ck_assert_uint_eq(attaches_of(m, id), 0);
    ck_assert_int_eq(shm_detach(child, at), -EINVAL);
    ck_assert_int_eq(shm_remove(m, id), 0);
    rig_end(m);
}
END_TEST

START_TEST(test_read_only_attachment_stays_so) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    vaddr_t at;
    int id = shm_get(m, 1, VM_PAGE, 0400 | SHM_CREATE);
    ck_assert_int_eq(shm_attach(s, id, 0, SHM_READ_ONLY, &at), 0);
    ck_assert_int_eq(vm_mprotect(s, at, VM_PAGE, RW), -EACCES);
    ck_assert_int_eq(shm_remove(m, id), 0);
    rig_end(m);
}
END_TEST

START_TEST(test_attach_over_something) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    vaddr_t at = rig_map(s, 4 * VM_PAGE);
    vaddr_t now;
    rig_put(s, at, 1);
    rig_put(s, at + 3 * VM_PAGE, 4);
    int id = shm_get(m, 1, 2 * VM_PAGE, MODE | SHM_CREATE);
    ck_assert_int_eq(shm_attach(s, id, at + VM_PAGE, SHM_REMAP_OVER, &now), 0);
    ck_assert_uint_eq(rig_get(s, at), 1);
    ck_assert_uint_eq(rig_get(s, at + VM_PAGE), 0);
    ck_assert_uint_eq(rig_get(s, at + 3 * VM_PAGE), 4);
    ck_assert_uint_eq(s->region_count, 3);
    ck_assert_int_eq(shm_detach(s, now), 0);
    ck_assert_int_eq(shm_remove(m, id), 0);
    rig_end(m);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("shm");
    TCase *tests = tcase_create("shm");
    tcase_add_test(tests, test_get);
    tcase_add_test(tests, test_no_frames_no_segment);
    tcase_add_test(tests, test_attach);
    tcase_add_test(tests, test_V9_pieces_of_an_attachment);
    tcase_add_test(tests, test_read_only_attachment_stays_so);
    tcase_add_test(tests, test_attach_over_something);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
