/* SPDX-License-Identifier: MIT
 * region_test.c - the tree of regions against a flat map of pages: every look-up, and the first gap
 * of every length, after each insertion and removal.
 */
#include "region.h"
#include "../alloc/white_box.h"

enum { PAGES = 96, STEPS = 4000 };

#define BASE 0xFFFA0000u /* the last page is the last of the address space */

struct flat {
    struct region *owner[PAGES];
    struct region *root;
};

static vaddr_t page_at(uint32_t page) {
    return BASE + page * VM_PAGE;
}

static uint32_t flat_gap(const struct flat *flat, uint32_t pages, uint32_t from, uint32_t to) {
    uint32_t found = 0;
    for (uint32_t i = from; i <= to; i++) {
        found = flat->owner[i] == NULL ? found + 1 : 0;
        if (found == pages) {
            return i + 1 - pages;
        }
    }
    return PAGES;
}

static void lookups_check(const struct flat *flat, uint64_t *random) {
    const char *broken = region_check(flat->root);
    ck_assert_msg(broken == NULL, "%s", broken);
    for (uint32_t i = 0; i < PAGES; i++) {
        EXPECT(region_find(flat->root, page_at(i) + 5) == flat->owner[i]);
        uint32_t next = i;
        while (next < PAGES && flat->owner[next] == NULL) {
            next++;
        }
        EXPECT(region_from(flat->root, page_at(i)) == (next < PAGES ? flat->owner[next] : NULL));
    }
    uint32_t from = random_below(random, PAGES);
    uint32_t to = from + random_below(random, PAGES - from);
    for (uint32_t pages = 1; pages <= PAGES; pages++) {
        uint32_t expected = flat_gap(flat, pages, from, to);
        vaddr_t last = page_at(to) + (VM_PAGE - 1);
        vaddr_t gap = region_gap(flat->root, pages * VM_PAGE, page_at(from), last);
        EXPECT(gap == (expected < PAGES ? page_at(expected) : VADDR_NONE));
    }
    EXPECT(region_gap(flat->root, 0, page_at(from), page_at(to)) == VADDR_NONE);
}

static void owner_set(struct flat *flat, uint32_t first, uint32_t pages, struct region *region) {
    for (uint32_t i = 0; i < pages; i++) {
        flat->owner[first + i] = region;
    }
}

/* A page that is taken: its region goes, or loses its last page; a free one gets a region. */
static void step(struct flat *flat, uint64_t *random) {
    uint32_t page = random_below(random, PAGES);
    struct region *region = flat->owner[page];
    uint32_t pages = 1 + random_below(random, 4);
    if (region != NULL) {
        uint32_t first = (region->base - BASE) / VM_PAGE;
        uint32_t length = (region->last - region->base) / VM_PAGE + 1;
        if (length > 1 && pages > 2) {
            flat->owner[first + length - 1] = NULL;
            region->last -= VM_PAGE;
            region_moved(&flat->root, region);
            return;
        }
        region_remove(&flat->root, region);
        owner_set(flat, first, length, NULL);
        free(region);
    } else if (flat_gap(flat, pages, page, PAGES - 1) == page) {
        region = calloc(1, sizeof(*region));
        region->base = page_at(page);
        region->last = page_at(page) + (pages * VM_PAGE - 1);
        owner_set(flat, page, pages, region);
        region_insert(&flat->root, region);
    }
}

START_TEST(test_random_tree) {
    uint64_t random = seed_of(1);
    struct flat flat = {.root = NULL};
    for (int i = 0; i < STEPS; i++) {
        step(&flat, &random);
        lookups_check(&flat, &random);
    }
    for (uint32_t i = 0; i < PAGES; i++) {
        if (flat.owner[i] != NULL && (i == 0 || flat.owner[i - 1] != flat.owner[i])) {
            region_remove(&flat.root, flat.owner[i]);
        }
    }
    EXPECT(flat.root == NULL);
    for (uint32_t i = PAGES; i-- > 0;) {
        if (flat.owner[i] != NULL && (i == 0 || flat.owner[i - 1] != flat.owner[i])) {
            free(flat.owner[i]);
        }
    }
}
END_TEST

/* A thousand regions in order: the tree stays as low as an AVL tree must. */
START_TEST(test_height) {
    enum { REGIONS = 1024 };
    static struct region region[REGIONS];
    struct region *root = NULL;
    for (uint32_t i = 0; i < REGIONS; i++) {
        region[i].base = i * 2 * VM_PAGE;
        region[i].last = region[i].base + (VM_PAGE - 1);
        region_insert(&root, &region[i]);
        EXPECT(region_check(root) == NULL);
    }
    EXPECT(root->height <= 14); /* 1.44 log2(n + 2) */
    EXPECT(region_gap(root, VM_PAGE, 0, UINT32_MAX) == VM_PAGE);
    EXPECT(region_gap(root, 2 * VM_PAGE, 0, UINT32_MAX) == (2 * REGIONS - 1) * VM_PAGE);
    EXPECT(region_overlap(root, VM_PAGE, 2 * VM_PAGE - 1) == NULL);
    EXPECT(region_overlap(root, VM_PAGE, 2 * VM_PAGE) == &region[1]);
    EXPECT(region_next(root, &region[REGIONS - 1]) == NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("region");
    TCase *tests = tcase_create("region");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_random_tree);
    tcase_add_test(tests, test_height);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
