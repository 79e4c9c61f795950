/* SPDX-License-Identifier: MIT
 * phys_test.c - a page allocator that hands a frame out twice, or one too few, corrupts everything
 * above it: every run is compared with a map of who owns which frame, and each refusal must leave
 * descriptors and buddy systems as they were. Tests named P... turn a defect of LiteOS' page
 * allocator round.
 */
#include "phys.h"
#include "../alloc/white_box.h"

enum { MIB = 1 << 20, RUNS = 96 };

static struct phys *phys_with(const struct phys_range *ranges, size_t count) {
    struct phys *phys = NULL;
    EXPECT(phys_new(ranges, count, &phys) == VM_OK);
    EXPECT(phys_check(phys) == NULL);
    return phys;
}

static struct phys *phys_plain(uint32_t bytes) {
    return phys_with(&(struct phys_range){0x80000000u, bytes}, 1);
}

/* All was given back: no frame may be missing. */
static void phys_end(struct phys *phys) {
    const char *broken = phys_check(phys);
    ck_assert_msg(broken == NULL, "%s", broken);
    struct phys_usage usage;
    phys_usage(phys, &usage);
    ck_assert_uint_eq(usage.used, 0);
    ck_assert_uint_eq(usage.free, usage.total);
    phys_delete(phys);
}

START_TEST(test_impossible_ram) {
    static const struct phys_range bad[][2] = {
        {{0, 0}, {4096, 65536}},                   /* empty */
        {{100, 65536}, {0x100000, 65536}},         /* unaligned */
        {{0, 65535}, {0x100000, 65536}},           /* unaligned end */
        {{0xFFFF0000u, 0x20000}, {0, 65536}},      /* beyond 4 GiB */
        {{0x10000, 0x20000}, {0x20000, 0x20000}},  /* overlap */
        {{0x20000, 0x20000}, {0x10000, 0x100000}}, /* nested, in the wrong order */
        {{0, 4096}, {0x10000, 65536}},             /* no room beside the metadata */
    };
    struct phys *phys = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(phys_new(bad[i], 2, &phys), VM_INVALID_ARGS);
    }
    struct phys_range many[PHYS_SEGMENTS_MAX + 1];
    for (uint32_t i = 0; i <= PHYS_SEGMENTS_MAX; i++) {
        many[i] = (struct phys_range){(PHYS_SEGMENTS_MAX - i) * 0x20000u, 0x10000};
    }
    ck_assert_int_eq(phys_new(many, PHYS_SEGMENTS_MAX + 1, &phys), VM_INVALID_ARGS);
    ck_assert_int_eq(phys_new(many, 0, &phys), VM_INVALID_ARGS);
    ck_assert_ptr_null(phys);
    phys = phys_with(many, PHYS_SEGMENTS_MAX);
    paddr_t first, last, before = 0;
    for (uint32_t i = 0; i < PHYS_SEGMENTS_MAX; i++) {
        EXPECT(phys_segment(phys, i, &first, &last));
        EXPECT(i == 0 || first > before);
        before = last;
    }
    EXPECT(!phys_segment(phys, PHYS_SEGMENTS_MAX, &first, &last));
    phys_end(phys);
}
END_TEST

/* Every length from every fill: a run has its frames, all of them, and no other run's. */
START_TEST(test_exact_runs) {
    struct phys *phys = phys_plain(2 * MIB);
    uint32_t total = phys_free_pages(phys);
    for (uint32_t pages = 1; pages <= 300; pages++) {
        paddr_t pa = phys_alloc(phys, pages);
        EXPECT(pa != PADDR_NONE && phys_run_pages(phys, pa) == pages);
        EXPECT(phys_free_pages(phys) == total - pages);
        EXPECT(phys_host(phys, pa + pages * VM_PAGE - 1) != NULL);
        EXPECT(phys_of_host(phys, phys_host(phys, pa + 17)) == pa + 17);
        EXPECT(phys_free(phys, pa) == VM_OK);
    }
    EXPECT(phys_alloc(phys, 0) == PADDR_NONE);
    EXPECT(phys_alloc(phys, total + 1) == PADDR_NONE);
    EXPECT(phys_alloc(phys, 0xFFFFFFFFu) == PADDR_NONE);
    phys_end(phys);
}
END_TEST

/* LiteOS P1: a double free is noticed later, as a panic. */
START_TEST(test_P1_double_free_is_refused) {
    struct phys *phys = phys_plain(MIB);
    paddr_t pa = phys_alloc(phys, 5);
    paddr_t next = phys_alloc(phys, 1);
    ck_assert_int_eq(phys_free(phys, pa + VM_PAGE), VM_NOT_VALID);
    ck_assert_int_eq(phys_free(phys, pa + 4), VM_NOT_VALID);
    ck_assert_int_eq(phys_free(phys, 0), VM_NOT_VALID);
    ck_assert_int_eq(phys_free(phys, PADDR_NONE), VM_NOT_VALID);
    frame_ref(phys_frame(phys, next));
    ck_assert_int_eq(phys_free(phys, next), VM_BUSY);
    ck_assert_int_eq(phys_free(phys, pa), VM_OK);
    ck_assert_int_eq(phys_free(phys, pa), VM_NOT_VALID);
    EXPECT(frame_unref(phys, phys_frame(phys, next)));
    EXPECT(!frame_unref(phys, phys_frame(phys, next)));
    phys_end(phys);
}
END_TEST

/* LiteOS P2: records are read past the end of the page array. Full segments and those of odd
 * lengths, freed in both orders; AddressSanitizer watches the descriptors. */
START_TEST(test_P2_odd_segments_to_the_last_frame) {
    for (uint32_t pages = 2; pages < 40; pages++) {
        struct phys *phys = phys_plain(pages * VM_PAGE);
        struct page_list list = {FRAME_NONE, 0};
        uint32_t total = phys_free_pages(phys);
        EXPECT(phys_list_alloc(phys, total + 3, &list) == total);
        EXPECT(phys_alloc(phys, 1) == PADDR_NONE);
        EXPECT(phys_list_free(phys, &list) == total);
        paddr_t first, last;
        EXPECT(phys_segment(phys, 0, &first, &last));
        EXPECT(phys_frame(phys, last) != NULL && phys_frame(phys, last + 1) == NULL);
        EXPECT(phys_frame(phys, first - 1) == NULL);
        phys_end(phys);
    }
}
END_TEST

/* LiteOS P3: the length of a run is kept in 16 bits; P6: 2^20 pages overflow a byte count. */
START_TEST(test_P3_P6_long_runs) {
    struct phys *phys = phys_plain(300u * MIB);
    paddr_t pa = phys_alloc(phys, 65536 + 7);
    EXPECT(pa != PADDR_NONE);
    ck_assert_uint_eq(phys_run_pages(phys, pa), 65536 + 7);
    for (uint32_t pages = 1u << 19; pages != 0; pages <<= 1) {
        EXPECT(phys_alloc(phys, pages) == PADDR_NONE);
        EXPECT(phys_alloc(phys, pages + 1) == PADDR_NONE);
        EXPECT(phys_alloc_aligned(phys, pages, VM_PAGE) == PADDR_NONE);
    }
    EXPECT(phys_free(phys, pa) == VM_OK);
    phys_end(phys);
}
END_TEST

/* LiteOS P4: with two segments the used pages are counted too high. */
START_TEST(test_P4_usage_over_segments) {
    static const struct phys_range ranges[] = {
        {0x90000000u, MIB}, {0x10000000u, MIB}, {0x40000000u, 3 * MIB}};
    struct phys *phys = phys_with(ranges, 3);
    struct phys_usage usage;
    phys_usage(phys, &usage);
    uint32_t total = usage.total;
    EXPECT(total > 5 * 256 - 20 && total < 5 * 256);
    paddr_t small = phys_alloc(phys, 100);
    paddr_t large = phys_alloc(phys, 400);
    EXPECT(small >> 28 == 1 && large >> 28 == 4);
    phys_usage(phys, &usage);
    ck_assert_uint_eq(usage.used, 500);
    ck_assert_uint_eq(usage.used + usage.free, total);
    uint32_t pages = 0;
    for (uint32_t order = 0; order < PHYS_ORDERS; order++) {
        pages += usage.pieces[order] << order;
    }
    EXPECT(pages <= usage.free && pages + 256 * 3 > usage.free);
    EXPECT(phys_free(phys, small) == VM_OK && phys_free(phys, large) == VM_OK);
    phys_end(phys);
}
END_TEST

/* A run longer than any free piece, as a kernel's frame buffer after boot. */
START_TEST(test_run_longer_than_the_largest_piece) {
    struct phys *phys = phys_plain(8 * MIB);
    struct phys_usage usage;
    phys_usage(phys, &usage);
    EXPECT(usage.largest == 1024);
    paddr_t all = phys_alloc(phys, usage.free);
    EXPECT(all == 0x80000000u);
    EXPECT(phys_free_pages(phys) == 0);
    EXPECT(phys_free(phys, all) == VM_OK);
    paddr_t before = phys_alloc(phys, 600);
    paddr_t most = phys_alloc(phys, usage.free - 600);
    EXPECT(before != PADDR_NONE);
    EXPECT(most != PADDR_NONE);
    EXPECT(phys_alloc(phys, 1) == PADDR_NONE);
    EXPECT(phys_free(phys, before) == VM_OK && phys_free(phys, most) == VM_OK);
    phys_end(phys);
}
END_TEST

START_TEST(test_alignment_is_absolute) {
    struct phys *phys = phys_with(&(struct phys_range){0x80003000u, 40 * MIB}, 1);
    for (uint32_t align = VM_PAGE; align <= 16 * MIB; align <<= 1) {
        paddr_t pa = phys_alloc_aligned(phys, 3, align);
        EXPECT(pa != PADDR_NONE && pa % align == 0);
        EXPECT(phys_run_pages(phys, pa) == 3);
        EXPECT(phys_free(phys, pa) == VM_OK);
    }
    EXPECT(phys_alloc_aligned(phys, 1, 2048) == PADDR_NONE);
    EXPECT(phys_alloc_aligned(phys, 1, 3 * VM_PAGE) == PADDR_NONE);
    EXPECT(phys_alloc_aligned(phys, 1, 0) == PADDR_NONE);
    EXPECT(phys_alloc_aligned(phys, 1, 32 * MIB) == PADDR_NONE);
    phys_end(phys);
}
END_TEST

START_TEST(test_shrink_keeps_place_and_contents) {
    struct phys *phys = phys_plain(MIB);
    paddr_t pa = phys_alloc(phys, 9);
    memset(phys_host(phys, pa), 0x5A, 9 * VM_PAGE);
    ck_assert_int_eq(phys_shrink(phys, pa, 0), VM_INVALID_ARGS);
    ck_assert_int_eq(phys_shrink(phys, pa, 10), VM_INVALID_ARGS);
    ck_assert_int_eq(phys_shrink(phys, pa + VM_PAGE, 1), VM_NOT_VALID);
    for (uint32_t pages = 9; pages < 10; pages -= 2) {
        uint32_t free_pages = phys_free_pages(phys);
        uint32_t run_pages = phys_run_pages(phys, pa);
        EXPECT(phys_shrink(phys, pa, pages) == VM_OK);
        EXPECT(phys_run_pages(phys, pa) == pages);
        EXPECT(phys_free_pages(phys) == free_pages + run_pages - pages);
        EXPECT(*((uint8_t *)phys_host(phys, pa) + pages * VM_PAGE - 1) == 0x5A);
        EXPECT(phys_check(phys) == NULL);
    }
    EXPECT(phys_free(phys, pa) == VM_OK);
    phys_end(phys);
}
END_TEST

/* ---- a long random run beside a map of owners ---- */

struct world {
    struct phys *phys;
    uint8_t *owner; /* of each frame: number of the run plus one */
    paddr_t run[RUNS];
    uint32_t pages[RUNS];
};

static void frames_own(struct world *w, paddr_t pa, uint32_t pages, uint8_t from, uint8_t to) {
    for (uint32_t i = 0; i < pages; i++) {
        struct frame *frame = phys_frame(w->phys, pa + i * VM_PAGE);
        EXPECT(frame != NULL);
        uint8_t *owner = &w->owner[phys_frame_number(w->phys, frame)];
        EXPECT(*owner == from);
        *owner = to;
        EXPECT(phys_address(w->phys, frame) == pa + i * VM_PAGE);
    }
}

static void world_step(struct world *w, uint64_t *random) {
    uint32_t i = random_below(random, RUNS);
    if (w->pages[i] != 0 && random_below(random, 4) == 0) {
        uint32_t pages = 1 + random_below(random, w->pages[i]);
        EXPECT(phys_shrink(w->phys, w->run[i], pages) == VM_OK);
        frames_own(w, w->run[i] + pages * VM_PAGE, w->pages[i] - pages, (uint8_t)(i + 1), 0);
        w->pages[i] = pages;
    } else if (w->pages[i] != 0) {
        frames_own(w, w->run[i], w->pages[i], (uint8_t)(i + 1), 0);
        EXPECT(phys_free(w->phys, w->run[i]) == VM_OK);
        EXPECT(phys_free(w->phys, w->run[i]) == VM_NOT_VALID);
        w->pages[i] = 0;
    } else {
        uint32_t pages = 1 + random_below(random, 1u << random_below(random, 10));
        bool aligned = random_below(random, 5) == 0;
        uint32_t align = VM_PAGE << random_below(random, 6);
        w->run[i] =
            aligned ? phys_alloc_aligned(w->phys, pages, align) : phys_alloc(w->phys, pages);
        if (w->run[i] == PADDR_NONE) {
            struct phys_usage usage;
            phys_usage(w->phys, &usage);
            EXPECT(usage.largest < pages || aligned);
            return;
        }
        EXPECT(!aligned || w->run[i] % align == 0);
        w->pages[i] = pages;
        frames_own(w, w->run[i], pages, 0, (uint8_t)(i + 1));
    }
}

START_TEST(test_random_runs) {
    static const struct phys_range ranges[] = {
        {0x80000000u, 3 * MIB}, {0x10000000u, MIB / 2}, {0xFFF00000u, MIB}};
    uint64_t random = seed_of(1);
    struct world w = {.phys = phys_with(ranges, 3)};
    w.owner = calloc(phys_free_pages(w.phys), 1);
    for (int step = 0; step < 20000; step++) {
        world_step(&w, &random);
        if (step % 64 == 0) {
            const char *broken = phys_check(w.phys);
            ck_assert_msg(broken == NULL, "%s", broken);
        }
    }
    for (uint32_t i = 0; i < RUNS; i++) {
        EXPECT(w.pages[i] == 0 || phys_free(w.phys, w.run[i]) == VM_OK);
    }
    free(w.owner);
    phys_end(w.phys);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("phys");
    TCase *tests = tcase_create("phys");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_impossible_ram);
    tcase_add_test(tests, test_exact_runs);
    tcase_add_test(tests, test_P1_double_free_is_refused);
    tcase_add_test(tests, test_P2_odd_segments_to_the_last_frame);
    tcase_add_test(tests, test_P3_P6_long_runs);
    tcase_add_test(tests, test_P4_usage_over_segments);
    tcase_add_test(tests, test_run_longer_than_the_largest_piece);
    tcase_add_test(tests, test_alignment_is_absolute);
    tcase_add_test(tests, test_shrink_keeps_place_and_contents);
    tcase_add_test(tests, test_random_runs);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
