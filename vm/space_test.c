/* SPDX-License-Identifier: MIT
 * space_test.c - spaces, faults, copy on write, and the ends of memory, by what a program sees
 * through the MMU. Tests named V... turn a defect of LiteOS' virtual memory round. Every test ends
 * with all counts compared and every frame free.
 */
#include "rig.h"

enum { RW = VM_PROT_READ | VM_PROT_WRITE, ANON = VM_MAP_PRIVATE | VM_MAP_ANONYMOUS };

/* ---- paging ---- */

START_TEST(test_pages_appear_when_touched) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    uint32_t free_pages = phys_free_pages(m->phys);
    vaddr_t at = rig_map(s, 100 * VM_PAGE);
    ck_assert_uint_eq(at, USER_MAP);
    ck_assert_uint_eq(phys_free_pages(m->phys), free_pages);
    ck_assert_uint_eq(rig_get(s, at + 50 * VM_PAGE), 0);
    rig_put(s, at + 50 * VM_PAGE + 4, 7);
    rig_put(s, at + 99 * VM_PAGE - 2, 8); /* over a page boundary */
    ck_assert_uint_eq(rig_get(s, at + 50 * VM_PAGE + 4), 7);
    ck_assert_uint_eq(rig_get(s, at + 99 * VM_PAGE - 2), 8);
    ck_assert_uint_eq(free_pages - phys_free_pages(m->phys), 3 + 1); /* and a table */
    SOUND(m);
    ck_assert_int_eq(vm_munmap(s, at, 100 * VM_PAGE), 0);
    ck_assert_uint_eq(phys_free_pages(m->phys), free_pages);
    rig_end(m);
}
END_TEST

START_TEST(test_refused_accesses) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    uint32_t word = 1;
    vaddr_t at;
    ck_assert_int_eq(space_load(s, &word, KERNEL_BASE, 4), VM_ACCESS_DENIED);
    ck_assert_int_eq(space_load(s, &word, 0, 4), VM_ACCESS_DENIED);
    ck_assert_int_eq(space_load(s, &word, USER_BASE + USER_BYTES - 2, 4), VM_ACCESS_DENIED);
    ck_assert_int_eq(space_load(s, &word, USER_MAP, 4), VM_NOT_FOUND);
    ck_assert_int_eq(vm_mmap(s, 0, VM_PAGE, VM_PROT_READ, ANON, NULL, 0, &at), 0);
    ck_assert_int_eq(space_store(s, at, &word, 4), VM_ACCESS_DENIED);
    ck_assert_int_eq(space_fetch(s, at), VM_ACCESS_DENIED);
    ck_assert_uint_eq(rig_get(s, at), 0);
    ck_assert_int_eq(space_store(s, at, &word, 4), VM_ACCESS_DENIED);
    ck_assert_int_eq(vm_mprotect(s, at, VM_PAGE, VM_PROT_NONE), 0);
    ck_assert_int_eq(space_load(s, &word, at, 4), VM_ACCESS_DENIED);
    ck_assert_int_eq(vm_mprotect(s, at, VM_PAGE, VM_PROT_EXECUTE), 0);
    ck_assert_int_eq(space_fetch(s, at), VM_OK);
    ck_assert_uint_eq(rig_get(s, at), 0);
    rig_end(m);
}
END_TEST

/* What was written before a mapping went must not be seen by the next one at the same place: a
 * translation that a TLB kept would show it. */
START_TEST(test_no_stale_translation) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    for (uint32_t i = 1; i < 200; i++) {
        vaddr_t at = rig_map(s, 4 * VM_PAGE);
        for (uint32_t page = 0; page < 4; page++) {
            ck_assert_uint_eq(rig_get(s, at + page * VM_PAGE), 0);
            rig_put(s, at + page * VM_PAGE, i);
        }
        ck_assert_int_eq(vm_munmap(s, at, 4 * VM_PAGE), 0);
    }
    rig_end(m);
}
END_TEST

/* ---- fork ---- */

START_TEST(test_fork_copies_on_write) {
    struct machine *m = rig_machine();
    struct space *parent = rig_space(m);
    struct space *child = NULL;
    vaddr_t at = rig_map(parent, 3 * VM_PAGE);
    rig_put(parent, at, 1);
    rig_put(parent, at + VM_PAGE, 2);
    uint32_t free_pages = phys_free_pages(m->phys);
    ck_assert_int_eq(space_clone(parent, &child), VM_OK);
    ck_assert_uint_ge(phys_free_pages(m->phys), free_pages - 2); /* tables only */
    SOUND(m);
    rig_put(child, at, 10);
    rig_put(parent, at + VM_PAGE, 20);
    rig_put(child, at + 2 * VM_PAGE, 30);
    ck_assert_uint_eq(rig_get(parent, at), 1);
    ck_assert_uint_eq(rig_get(child, at), 10);
    ck_assert_uint_eq(rig_get(parent, at + VM_PAGE), 20);
    ck_assert_uint_eq(rig_get(child, at + VM_PAGE), 2);
    ck_assert_uint_eq(rig_get(parent, at + 2 * VM_PAGE), 0);
    ck_assert_uint_eq(m->copies, 2);
    SOUND(m);
    ck_assert_int_eq(space_delete(parent), VM_OK);
    rig_put(child, at + VM_PAGE, 21); /* alone now: no copy */
    ck_assert_uint_eq(m->copies, 2);
    rig_end(m);
}
END_TEST

START_TEST(test_fork_shares_shared_memory) {
    struct machine *m = rig_machine();
    struct space *parent = rig_space(m);
    struct space *child = NULL;
    vaddr_t at;
    ck_assert_int_eq(
        vm_mmap(parent, 0, 2 * VM_PAGE, RW, VM_MAP_SHARED | VM_MAP_ANONYMOUS, NULL, 0, &at), 0);
    rig_put(parent, at, 1);
    ck_assert_int_eq(space_clone(parent, &child), VM_OK);
    rig_put(child, at, 2);
    rig_put(child, at + VM_PAGE, 3); /* not touched before the fork */
    ck_assert_uint_eq(rig_get(parent, at), 2);
    ck_assert_uint_eq(rig_get(parent, at + VM_PAGE), 3);
    rig_end(m);
}
END_TEST

START_TEST(test_fork_refused) {
    struct machine *m = rig_machine();
    struct space *copy = NULL;
    struct space *empty = rig_space(m);
    ck_assert_int_eq(space_clone(m->kernel, &copy), VM_INVALID_ARGS);
    ck_assert_int_eq(space_clone(empty, &copy), VM_INVALID_ARGS);
    ck_assert_ptr_null(copy);
    ck_assert_int_eq(space_delete(m->kernel), VM_OK); /* does nothing */
    rig_end(m);
}
END_TEST

/* V2: mprotect or mremap to writable after fork makes a copy-on-write page writable. */
START_TEST(test_V2_no_way_around_copy_on_write) {
    struct machine *m = rig_machine();
    struct space *parent = rig_space(m);
    struct space *child = NULL;
    vaddr_t at = rig_map(parent, 2 * VM_PAGE);
    vaddr_t moved;
    rig_put(parent, at, 1);
    rig_put(parent, at + VM_PAGE, 2);
    ck_assert_int_eq(space_clone(parent, &child), VM_OK);
    ck_assert_int_eq(vm_mprotect(child, at, 2 * VM_PAGE, VM_PROT_READ), 0);
    ck_assert_int_eq(vm_mprotect(child, at, 2 * VM_PAGE, RW), 0);
    ck_assert_int_eq(vm_mremap(child, at, 2 * VM_PAGE, 2 * VM_PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, at + 16 * VM_PAGE, &moved),
                     0);
    SOUND(m);
    rig_put(child, moved, 10);
    rig_put(child, moved + VM_PAGE, 20);
    ck_assert_uint_eq(rig_get(parent, at), 1);
    ck_assert_uint_eq(rig_get(parent, at + VM_PAGE), 2);
    rig_end(m);
}
END_TEST

START_TEST(test_V2_private_file_page_stays_private) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    struct file *file;
    char path[32];
    vaddr_t at;
    rig_file(path, VM_PAGE, 100);
    ck_assert_int_eq(file_open(&m->cache, path, false, &file), 0);
    ck_assert_int_eq(vm_mmap(s, 0, VM_PAGE, VM_PROT_READ, VM_MAP_PRIVATE, file, 0, &at), 0);
    ck_assert_uint_eq(rig_get(s, at + 4), 101);
    ck_assert_int_eq(vm_mprotect(s, at, VM_PAGE, RW), 0);
    SOUND(m);
    rig_put(s, at + 4, 5);
    struct space *other = rig_space(m);
    vaddr_t seen;
    ck_assert_int_eq(vm_mmap(other, 0, VM_PAGE, VM_PROT_READ, VM_MAP_SHARED, file, 0, &seen), 0);
    ck_assert_uint_eq(rig_get(other, seen + 4), 101);
    ck_assert_int_eq(vm_mprotect(other, seen, VM_PAGE, RW), -EACCES);
    file_unref(file);
    rig_end(m);
    ck_assert_uint_eq(rig_host_word(path, 4), 101);
    (void)unlink(path);
}
END_TEST

/* V5: a fixed mapping in another space unmaps the caller's regions. */
START_TEST(test_V5_fixed_mapping_of_another_space) {
    struct machine *m = rig_machine();
    struct space *caller = rig_space(m);
    struct space *other = rig_space(m);
    vaddr_t at = rig_map(caller, VM_PAGE);
    rig_put(caller, at, 1);
    ck_assert_uint_eq(rig_map(other, VM_PAGE), at);
    rig_put(other, at, 2);
    space_run(caller);
    struct region *region = region_alloc(other, at, VM_PAGE, REGION_USER | REGION_FIXED);
    ck_assert_ptr_nonnull(region);
    ck_assert_uint_eq(rig_get(caller, at), 1);
    ck_assert_uint_eq(space_query(other, at), 0);
    rig_end(m);
}
END_TEST

/* V6: mapping given frames over something places the region elsewhere but the pages at the
 * requested address; length 0 makes an empty region. */
START_TEST(test_V6_given_frames_all_or_nothing) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    paddr_t pa = phys_alloc(m->phys, 4);
    for (uint32_t i = 0; i < 4; i++) {
        frame_ref(phys_frame(m->phys, pa + i * VM_PAGE));
    }
    uint32_t flags = REGION_USER | REGION_READ | REGION_WRITE;
    vaddr_t at = USER_MAP + 8 * VM_PAGE;
    vaddr_t taken;
    ck_assert_int_eq(vm_mmap(s, at + 3 * VM_PAGE, VM_PAGE, RW, ANON, NULL, 0, &taken), 0);
    ck_assert_int_eq(space_map_frames(s, at, pa, 4 * VM_PAGE, flags), VM_BUSY);
    ck_assert_int_eq(space_map_frames(s, at, pa, 0, flags), VM_INVALID_ARGS);
    ck_assert_int_eq(space_map_frames(s, at, pa, 0xFFFFF000u, flags), VM_INVALID_ARGS);
    ck_assert_int_eq(space_map_frames(s, at + 4, pa, VM_PAGE, flags), VM_NOT_VALID);
    ck_assert_int_eq(space_map_frames(s, at, pa + 4 * VM_PAGE, VM_PAGE, flags), VM_NOT_VALID);
    ck_assert_int_eq(space_map_frames(s, at, 0x1000, VM_PAGE, flags), VM_NOT_VALID);
    ck_assert_int_eq(space_map_frames(s, KERNEL_BASE, pa, VM_PAGE, flags), VM_OUT_OF_RANGE);
    ck_assert_uint_eq(s->region_count, 1);
    ck_assert_uint_eq(space_query(s, at), 0);
    SOUND(m);
    ck_assert_int_eq(space_map_frames(s, at, pa, 3 * VM_PAGE, flags), VM_OK);
    rig_put(s, at + 2 * VM_PAGE, 99);
    ck_assert_uint_eq(*(uint32_t *)phys_host(m->phys, pa + 2 * VM_PAGE), 99);
    ck_assert_int_eq(vm_munmap(s, at, 8 * VM_PAGE), 0);
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(phys_frame(m->phys, pa + i * VM_PAGE)->refs, 1);
        phys_frame(m->phys, pa + i * VM_PAGE)->refs = 0;
    }
    ck_assert_int_eq(phys_free(m->phys, pa), VM_OK);
    rig_end(m);
}
END_TEST

/* V12: the 257th process gets no ASID. */
START_TEST(test_V12_more_processes_than_asids) {
    enum { PROCESSES = 300 };
    struct machine *m = rig_machine_of(16 * RIG_MIB, 0);
    static struct space *process[PROCESSES];
    vaddr_t at = 0;
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < PROCESSES; i++) {
            if (round == 0) {
                process[i] = rig_space(m);
                at = rig_map(process[i], VM_PAGE);
            }
            ck_assert_uint_eq(rig_get(process[i], at), round == 0 ? 0 : i);
            rig_put(process[i], at, i);
        }
        SOUND(m);
    }
    ck_assert_uint_ge(m->rollovers, 2);
    rig_end(m);
}
END_TEST

/* The first process of a new generation gets an ASID that another had: what the main TLB holds of
 * that one must be gone. No others touch memory in between, or they would evict it. */
START_TEST(test_V12_nothing_survives_a_rollover) {
    struct machine *m = rig_machine();
    struct space *first = rig_space(m);
    vaddr_t at = rig_map(first, VM_PAGE);
    rig_put(first, at, 77);
    uint8_t asid = first->asid;
    struct space *other = rig_space(m);
    ck_assert_uint_eq(rig_map(other, VM_PAGE), at);
    for (int i = 0; i < ASID_COUNT && m->rollovers == 0; i++) {
        struct space *s = i < ASID_COUNT - 2 ? rig_space(m) : other;
        space_run(s);
    }
    ck_assert_uint_eq(m->rollovers, 1);
    ck_assert_uint_eq(other->asid, asid);
    ck_assert_uint_eq(rig_get(other, at), 0);
    SOUND(m);
    ck_assert_uint_eq(rig_get(first, at), 77);
    rig_end(m);
}
END_TEST

/* ---- memory that runs out ---- */

START_TEST(test_exhausted_frames_are_a_clean_failure) {
    struct machine *m = rig_machine_of(RIG_MIB, 0);
    struct space *s = rig_space(m);
    vaddr_t at = rig_map(s, 2 * RIG_MIB);
    uint32_t word = 1;
    uint32_t pages = 0;
    enum vm_status status = VM_OK;
    for (; status == VM_OK; pages++) {
        status = space_store(s, at + pages * VM_PAGE, &word, 4);
        if (pages % 32 == 0 || status != VM_OK) {
            SOUND(m);
        }
    }
    ck_assert_int_eq(status, VM_NO_MEMORY);
    ck_assert_uint_ge(pages, 200);
    ck_assert_int_eq(space_load(s, &word, at + (pages - 1) * VM_PAGE, 4), VM_NO_MEMORY);
    ck_assert_uint_eq(rig_get(s, at + (pages - 2) * VM_PAGE), 1);
    struct space *child = NULL;
    ck_assert_int_eq(space_clone(s, &child), VM_NO_MEMORY);
    ck_assert_ptr_null(child);
    SOUND(m);
    ck_assert_int_eq(vm_munmap(s, at, 64 * VM_PAGE), 0);
    rig_put(s, at + (pages - 1) * VM_PAGE, 2);
    rig_end(m);
}
END_TEST

START_TEST(test_machines_that_cannot_be) {
    const struct phys_range tiny = {0x80000000u, 4 * VM_PAGE};
    const struct phys_range good = {0x80000000u, RIG_MIB};
    struct machine *m = NULL;
    struct machine_config config = {.range = &tiny, .ranges = 1};
    ck_assert_int_eq(machine_new(&config, &m), VM_NO_MEMORY);
    config.ranges = 0;
    ck_assert_int_eq(machine_new(&config, &m), VM_INVALID_ARGS);
    config = (struct machine_config){.range = &good, .ranges = 1, .core = "a99"};
    ck_assert_int_eq(machine_new(&config, &m), VM_INVALID_ARGS);
    ck_assert_ptr_null(m);
}
END_TEST

START_TEST(test_kernel_sees_ram_and_devices) {
    struct machine *m = rig_machine();
    ck_assert_uint_eq(space_query(m->kernel, KERNEL_BASE + 0x1234), 0x80001234u);
    paddr_t pa = phys_alloc(m->phys, 1);
    uint32_t word = 0x12345678;
    ck_assert_int_eq(space_store(m->kernel, KERNEL_BASE + (pa - 0x80000000u), &word, 4), VM_OK);
    ck_assert_uint_eq(*(uint32_t *)phys_host(m->phys, pa), word);
    ck_assert_int_eq(phys_free(m->phys, pa), VM_OK);
    /* over the sections of the linear map */
    ck_assert_int_eq(space_map_device(m->kernel, KERNEL_BASE, 0x10000000, VM_PAGE, REGION_READ),
                     VM_BUSY);
    ck_assert_int_eq(space_reserve(m->kernel, KERNEL_BASE, VM_PAGE, 0), VM_NO_MEMORY);
    struct space *s = rig_space(m);
    uint32_t flags = REGION_USER | REGION_READ | REGION_WRITE | REGION_DEVICE;
    ck_assert_int_eq(space_map_device(s, USER_MAP, 0x80000000u, VM_PAGE, flags), VM_NOT_VALID);
    ck_assert_int_eq(space_map_device(s, USER_MAP, 0x10000000, 2 * VM_PAGE, flags), VM_OK);
    ck_assert_uint_eq(space_query(s, USER_MAP + VM_PAGE + 8), 0x10001008);
    ck_assert_int_eq(space_load(s, &word, USER_MAP, 4), VM_NOT_VALID); /* no RAM behind it */
    ck_assert_int_eq(space_reserve(s, USER_MAP, VM_PAGE, 0), VM_NO_MEMORY);
    ck_assert_int_eq(space_reserve(s, USER_MAP, 0, 0), VM_INVALID_ARGS);
    ck_assert_int_eq(space_reserve(s, 0, VM_PAGE, 0), VM_OUT_OF_RANGE);
    struct space *child;
    ck_assert_int_eq(space_clone(s, &child), VM_OK);
    ck_assert_uint_eq(space_query(child, USER_MAP + 8), 0x10000008);
    SOUND(m);
    rig_end(m);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("space");
    TCase *tests = tcase_create("space");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_pages_appear_when_touched);
    tcase_add_test(tests, test_refused_accesses);
    tcase_add_test(tests, test_no_stale_translation);
    tcase_add_test(tests, test_fork_copies_on_write);
    tcase_add_test(tests, test_fork_shares_shared_memory);
    tcase_add_test(tests, test_fork_refused);
    tcase_add_test(tests, test_V2_no_way_around_copy_on_write);
    tcase_add_test(tests, test_V2_private_file_page_stays_private);
    tcase_add_test(tests, test_V5_fixed_mapping_of_another_space);
    tcase_add_test(tests, test_V6_given_frames_all_or_nothing);
    tcase_add_test(tests, test_V12_more_processes_than_asids);
    tcase_add_test(tests, test_V12_nothing_survives_a_rollover);
    tcase_add_test(tests, test_exhausted_frames_are_a_clean_failure);
    tcase_add_test(tests, test_machines_that_cannot_be);
    tcase_add_test(tests, test_kernel_sees_ram_and_devices);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
