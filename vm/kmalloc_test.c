/* SPDX-License-Identifier: MIT
 * kmalloc_test.c - kernel memory: the border between heap and pages, growth and giving back,
 * resizing across the border, and vmalloc. Run over several heaps, since any may serve.
 */
#include "rig.h"
#include "kmalloc.h"

enum { HEAP_BYTES = 64 << 10, BLOCKS = 200 };

static const char *const heaps[] = {"tlsf", "bestfit", "bestfit_little", "buddy", "tlsf_frugal"};

enum { HEAPS = sizeof(heaps) / sizeof(heaps[0]) };

static struct kmalloc kmalloc_on(struct machine *m, int heap) {
    struct kmalloc k;
    const struct alloc_ops *ops = alloc_find(heaps[heap]);
    ck_assert_ptr_nonnull(ops);
    ck_assert_int_eq(kmalloc_open(&k, m, ops, HEAP_BYTES), VM_OK);
    return k;
}

#define KMALLOC_SOUND(k)                                                                           \
    do {                                                                                           \
        const char *broken_ = kmalloc_check(k);                                                    \
        ck_assert_msg(broken_ == NULL, "line %d: %s", __LINE__, broken_);                          \
    } while (0)

static void kmalloc_end(struct kmalloc *k) {
    KMALLOC_SOUND(k);
    ck_assert_uint_eq(k->pages, vm_pages(HEAP_BYTES));
    kmalloc_close(k);
    rig_end(k->machine);
}

START_TEST(test_heap_and_pages) {
    struct machine *m = rig_machine();
    struct kmalloc k = kmalloc_on(m, _i);
    uint32_t free_pages = phys_free_pages(m->phys);
    void *small = kmalloc(&k, KMALLOC_PAGES_FROM - 1);
    ck_assert_ptr_nonnull(small);
    ck_assert_uint_eq(phys_free_pages(m->phys), free_pages);
    void *large = kmalloc(&k, KMALLOC_PAGES_FROM + 1);
    ck_assert_uint_eq(phys_free_pages(m->phys), free_pages - 5);
    ck_assert_uint_eq(kmalloc_usable(&k, large), 5 * VM_PAGE);
    memset(large, 1, 5 * VM_PAGE);
    memset(small, 2, KMALLOC_PAGES_FROM - 1);
    vaddr_t seen = kmalloc_address(&k, large);
    uint8_t byte = 0;
    ck_assert_int_eq(space_load(m->kernel, &byte, seen + 5 * VM_PAGE - 1, 1), VM_OK);
    ck_assert_uint_eq(byte, 1);
    ck_assert_ptr_null(kmalloc(&k, 0));
    ck_assert_ptr_null(kmalloc(&k, SIZE_MAX));
    ck_assert_ptr_null(kmalloc(&k, UINT32_MAX));
    ck_assert_ptr_null(kmalloc(&k, 64 * RIG_MIB));
    ck_assert_int_eq(kfree(&k, NULL), VM_OK);
    ck_assert_int_eq(kfree(&k, (char *)large + VM_PAGE), VM_NOT_VALID);
    ck_assert_int_eq(kfree(&k, (char *)large + 8), VM_NOT_VALID);
    ck_assert_int_eq(kfree(&k, &k), VM_NOT_VALID);
    ck_assert_int_eq(kfree(&k, phys_host(m->phys, m->kernel_table.first)), VM_NOT_VALID);
    ck_assert_int_eq(kfree(&k, large), VM_OK);
    ck_assert_int_eq(kfree(&k, large), VM_NOT_VALID);
    ck_assert_int_eq(kfree(&k, small), VM_OK);
    ck_assert_int_eq(kfree(&k, small), VM_NOT_VALID);
    ck_assert_uint_eq(kmalloc_usable(&k, large), 0);
    kmalloc_end(&k);
}
END_TEST

START_TEST(test_aligned) {
    struct machine *m = rig_machine_of(40 * RIG_MIB, 0);
    struct kmalloc k = kmalloc_on(m, _i);
    for (size_t align = 1; align <= 16 * RIG_MIB; align *= 2) {
        for (size_t bytes = 1; bytes <= 65536; bytes *= 256) {
            uint8_t *p = kmalloc_aligned(&k, bytes, align);
            ck_assert_ptr_nonnull(p);
            ck_assert_uint_eq((uintptr_t)p % align, 0);
            memset(p, (int)bytes, bytes);
            uint8_t *q = krealloc(&k, p, bytes * 3);
            ck_assert_ptr_nonnull(q);
            ck_assert_uint_eq((uintptr_t)q % align, 0);
            ck_assert_uint_eq(q[bytes - 1], (uint8_t)bytes);
            ck_assert_int_eq(kfree(&k, q), VM_OK);
        }
    }
    ck_assert_ptr_null(kmalloc_aligned(&k, 8, 0));
    ck_assert_ptr_null(kmalloc_aligned(&k, 8, 48));
    ck_assert_ptr_null(kmalloc_aligned(&k, 8, 32 * RIG_MIB));
    ck_assert_ptr_null(kmalloc_aligned(&k, SIZE_MAX, 4096));
    kmalloc_end(&k);
}
END_TEST

/* LiteOS P5: shrinking a block of pages fails and returns NULL. */
START_TEST(test_P5_shrinking_never_fails) {
    struct machine *m = rig_machine();
    struct kmalloc k = kmalloc_on(m, _i);
    uint8_t *p = kmalloc(&k, 100000);
    for (size_t i = 0; i < 100000; i++) {
        p[i] = (uint8_t)(i * 7);
    }
    uint32_t free_pages = phys_free_pages(m->phys);
    for (size_t bytes = 90000; bytes > 0; bytes = bytes * 2 / 3) {
        p = krealloc(&k, p, bytes);
        ck_assert_ptr_nonnull(p);
        for (size_t i = 0; i < bytes; i++) {
            EXPECT(p[i] == (uint8_t)(i * 7));
        }
        KMALLOC_SOUND(&k);
        SOUND(m);
    }
    ck_assert_uint_eq(phys_free_pages(m->phys), free_pages + 25); /* in the heap now */
    ck_assert_ptr_null(krealloc(&k, p, 0));
    kmalloc_end(&k);
}
END_TEST

START_TEST(test_realloc_across_the_border) {
    struct machine *m = rig_machine();
    struct kmalloc k = kmalloc_on(m, _i);
    uint8_t *p = krealloc(&k, NULL, 100);
    memset(p, 0x5A, 100);
    p = krealloc(&k, p, 200000);
    ck_assert_ptr_nonnull(p);
    ck_assert_uint_eq(p[99], 0x5A);
    ck_assert_ptr_null(krealloc(&k, p, 64 * RIG_MIB));
    ck_assert_uint_eq(p[99], 0x5A);
    ck_assert_ptr_null(krealloc(&k, p + 8, 300));
    ck_assert_ptr_null(krealloc(&k, &k, 300));
    ck_assert_ptr_null(krealloc(&k, p, 0));
    kmalloc_end(&k);
}
END_TEST

/* Grows by pages when full, and gives whole segments back. */
START_TEST(test_growth_and_giving_back) {
    struct machine *m = rig_machine();
    struct kmalloc k = kmalloc_on(m, _i);
    static void *block[BLOCKS];
    uint32_t free_pages = phys_free_pages(m->phys);
    for (int i = 0; i < BLOCKS; i++) {
        block[i] = kmalloc(&k, 4000);
        ck_assert_ptr_nonnull(block[i]);
        memset(block[i], i, 4000);
    }
    ck_assert_uint_lt(phys_free_pages(m->phys), free_pages - BLOCKS / 2);
    KMALLOC_SOUND(&k);
    SOUND(m);
    for (int i = 0; i < BLOCKS; i++) {
        ck_assert_uint_eq(((uint8_t *)block[i])[3999], (uint8_t)i);
        ck_assert_int_eq(kfree(&k, block[i]), VM_OK);
    }
    ck_assert_uint_eq(phys_free_pages(m->phys), free_pages);
    kmalloc_end(&k);
}
END_TEST

START_TEST(test_exhaustion) {
    struct machine *m = rig_machine_of(RIG_MIB, 0);
    struct kmalloc k = kmalloc_on(m, _i);
    void *last = NULL;
    uint32_t count = 0;
    for (void *p = kmalloc(&k, 3000); p != NULL; p = kmalloc(&k, 3000), count++) {
        *(void **)p = last;
        last = p;
    }
    ck_assert_uint_ge(count, 150);
    KMALLOC_SOUND(&k);
    SOUND(m);
    while (last != NULL) {
        void *next = *(void **)last;
        ck_assert_int_eq(kfree(&k, last), VM_OK);
        last = next;
    }
    kmalloc_end(&k);
}
END_TEST

START_TEST(test_heaps_that_cannot_serve) {
    struct machine *m = rig_machine();
    struct kmalloc k;
    ck_assert_int_eq(kmalloc_open(&k, m, alloc_find("membox"), HEAP_BYTES), VM_INVALID_ARGS);
    ck_assert_int_eq(kmalloc_open(&k, m, alloc_find("buddy_pages"), HEAP_BYTES), VM_INVALID_ARGS);
    ck_assert_int_eq(kmalloc_open(&k, m, alloc_find("tlsf"), 0), VM_INVALID_ARGS);
    ck_assert_int_eq(kmalloc_open(&k, m, alloc_find("tlsf"), 64 * RIG_MIB), VM_NO_MEMORY);
    rig_end(m);
}
END_TEST

/* A random life beside a copy of all contents. */
START_TEST(test_random_life) {
    enum { SLOTS = 64, STEPS = 4000 };
    struct machine *m = rig_machine_of(8 * RIG_MIB, 0);
    struct kmalloc k = kmalloc_on(m, _i);
    uint64_t random = seed_of((uint64_t)_i);
    uint8_t *slot[SLOTS] = {0};
    size_t bytes[SLOTS] = {0};
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t i = random_below(&random, SLOTS);
        size_t want = random_below(&random, 1u << random_below(&random, 18));
        for (size_t at = 0; at < bytes[i]; at += bytes[i] / 8 + 1) {
            EXPECT(slot[i][at] == (uint8_t)i);
        }
        uint8_t *p = krealloc(&k, slot[i], want);
        if (p == NULL && want > 0) {
            ck_assert_uint_gt(want, bytes[i]);
            continue;
        }
        slot[i] = p;
        bytes[i] = want;
        if (p != NULL) {
            ck_assert_uint_ge(kmalloc_usable(&k, p), want);
            memset(p, (int)i, want);
        }
        if (step % 256 == 0) {
            KMALLOC_SOUND(&k);
        }
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        ck_assert_int_eq(kfree(&k, slot[i]), VM_OK);
    }
    kmalloc_end(&k);
}
END_TEST

/* LiteOS V11: VFree accepts a pointer into the middle. */
START_TEST(test_V11_vmalloc) {
    struct machine *m = rig_machine();
    uint32_t free_pages = phys_free_pages(m->phys);
    vaddr_t at = vmalloc(m, 5 * VM_PAGE + 1);
    ck_assert_uint_eq(at, VMALLOC_BASE);
    vaddr_t other = vmalloc(m, 1);
    ck_assert_uint_eq(other, at + 6 * VM_PAGE);
    ck_assert_uint_eq(rig_get(m->vmalloc, at + 4 * VM_PAGE), 0);
    rig_put(m->vmalloc, at + 6 * VM_PAGE - 4, 3);
    ck_assert_uint_eq(rig_get(m->vmalloc, at + 6 * VM_PAGE - 4), 3);
    SOUND(m);
    ck_assert_int_eq(vfree(m, at + VM_PAGE), VM_NOT_VALID);
    ck_assert_int_eq(vfree(m, at + 1), VM_NOT_VALID);
    ck_assert_int_eq(vfree(m, KERNEL_BASE), VM_NOT_VALID);
    ck_assert_int_eq(vfree(m, 0), VM_INVALID_ARGS);
    ck_assert_uint_eq(vmalloc(m, 0), 0);
    ck_assert_uint_eq(vmalloc(m, VMALLOC_MAX + 1), 0);
    ck_assert_uint_eq(vmalloc(m, 0xFFFFFFFFu), 0);
    ck_assert_uint_eq(vmalloc(m, VMALLOC_MAX / 2), 0); /* more than there is */
    SOUND(m);
    ck_assert_int_eq(vfree(m, at), VM_OK);
    ck_assert_int_eq(vfree(m, at), VM_NOT_VALID);
    ck_assert_int_eq(vfree(m, other), VM_OK);
    ck_assert_uint_eq(phys_free_pages(m->phys), free_pages);
    uint32_t word;
    ck_assert_int_eq(space_load(m->vmalloc, &word, at, 4), VM_NOT_FOUND);
    rig_end(m);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("kmalloc");
    TCase *tests = tcase_create("kmalloc");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_heap_and_pages, 0, HEAPS);
    tcase_add_loop_test(tests, test_aligned, 0, HEAPS);
    tcase_add_loop_test(tests, test_P5_shrinking_never_fails, 0, HEAPS);
    tcase_add_loop_test(tests, test_realloc_across_the_border, 0, HEAPS);
    tcase_add_loop_test(tests, test_growth_and_giving_back, 0, HEAPS);
    tcase_add_loop_test(tests, test_exhaustion, 0, HEAPS);
    tcase_add_test(tests, test_heaps_that_cannot_serve);
    tcase_add_loop_test(tests, test_random_life, 0, HEAPS);
    tcase_add_test(tests, test_V11_vmalloc);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
