/* SPDX-License-Identifier: MIT
 *
 * buddy_pages_test.c - runs of pages from the inside
 *
 * The conformance tests say what the contract says. Here is what they cannot see: the classes, that
 * no page is ever touched, that free runs that touch are always one, in a model of a map of pages,
 * that resizing stays in place where it can, and that check() finds every flipped bit.
 */
#ifndef ALLOC_ASSERTS
#define ALLOC_ASSERTS
#endif
#include "buddy_pages.c"
#include "white_box.h"

static size_t pool_bytes_for(uint32_t pages) {
    return pages * PAGE_BYTES + (size_t)control_bytes(pages);
}

/* A pool of so many pages; its metadata is soiled before. */
static struct alloc *pool_new(uint32_t pages) {
    size_t bytes = pool_bytes_for(pages);
    char *pool = aligned_memory(bytes, 1 << 20, 0);
    memset(pool + pages * PAGE_BYTES, 0xA5, bytes - pages * PAGE_BYTES);
    struct alloc *a = pages_init(pool, bytes, NULL);
    EXPECT(a != NULL && a->pages == pages && (char *)a == pool + pages * PAGE_BYTES);
    EXPECT(buddy_pages_check(a) == NULL);
    return a;
}

static uint32_t page_of(const struct alloc *a, const void *p) {
    return (uint32_t)page_number(a, p);
}

/* ---- classes ---- */

START_TEST(test_class_rows) {
    static const uint32_t rows[][3] = {
        {1, 0, 0},  {2, 2, 2},     {3, 3, 3},     {4, 4, 4},
        {5, 4, 5},  {6, 5, 5},     {7, 5, 6},     {8, 6, 6},
        {9, 6, 7},  {11, 6, 7},    {12, 7, 7},    {13, 7, 8},
        {16, 8, 8}, {511, 17, 18}, {512, 18, 18}, {(1 << 20) - 1, 39, 40}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        EXPECT(class_of(rows[i][0]) == rows[i][1]);
        EXPECT(class_for(rows[i][0]) == rows[i][2]);
    }
    for (uint32_t pages = 1; pages < 100000; pages++) {
        EXPECT(class_pages(class_of(pages)) <= pages && class_pages(class_for(pages)) >= pages);
        EXPECT(class_of(pages + 1) >= class_of(pages) && class_of(pages) < CLASSES);
        uint32_t below = class_for(pages) - 1;
        EXPECT(pages < 3 || class_pages(below) < pages);
    }
}
END_TEST

/* ---- pages ---- */

/* Pages can be taken away while the allocator works; 9 bytes are spent on each. */
START_TEST(test_pages_untouched) {
    enum { PAGES = 300, SLOTS = 48 };
    uint64_t random = seed_of(1);
    struct alloc *a = pool_new(PAGES);
    EXPECT(control_bytes(PAGES) <= 9 * PAGES + 400);
    EXPECT(mprotect(page_at(a, 0), PAGES * PAGE_BYTES, PROT_NONE) == 0);
    void *run[SLOTS] = {NULL};
    for (int step = 0; step < 20000; step++) {
        uint32_t i = random_below(&random, SLOTS);
        if (run[i] != NULL) {
            EXPECT(pages_free(a, run[i]) == ALLOC_OK);
            run[i] = NULL;
            continue;
        }
        size_t pages = 1 + random_below(&random, 20);
        run[i] = random_below(&random, 4) == 0
                     ? pages_alloc_aligned(a, pages * PAGE_BYTES, 4 * PAGE_BYTES)
                     : pages_alloc(a, pages * PAGE_BYTES);
        EXPECT(run[i] == NULL || pages_usable(a, run[i]) == pages * PAGE_BYTES);
    }
    EXPECT(buddy_pages_check(a) == NULL);
}
END_TEST

/* ---- a map of pages as the model ---- */

enum { MODEL_PAGES = 200, MODEL_RUNS = 60 };

struct model {
    struct alloc *a;
    uint8_t run[MODEL_PAGES]; /* number of the live run, counted from 1; 0: free */
    void *p[MODEL_RUNS + 1];
    uint64_t random;
};

/* The longest stretch of free pages. */
static uint32_t model_longest(const struct model *m) {
    uint32_t longest = 0, length = 0;
    for (uint32_t page = 0; page < MODEL_PAGES; page++) {
        length = m->run[page] == 0 ? length + 1 : 0;
        longest = length > longest ? length : longest;
    }
    return longest;
}

/* So many free pages follow one another before or from `page` on. */
static uint32_t model_free(const struct model *m, uint32_t page, int step) {
    uint32_t length = 0;
    uint32_t at = step < 0 ? page - 1 : page;
    for (; at < MODEL_PAGES && m->run[at] == 0; at += (uint32_t)step) {
        length++;
    }
    return length;
}

static void model_set(struct model *m, const void *p, uint8_t run, uint32_t pages) {
    uint32_t first = page_of(m->a, p);
    for (uint32_t i = 0; i < pages; i++) {
        EXPECT(m->run[first + i] == 0 || run == 0);
        m->run[first + i] = run;
    }
}

static void model_alloc(struct model *m, uint8_t run) {
    uint32_t pages = 1 + random_below(&m->random, random_below(&m->random, 2) == 0 ? 3 : 40);
    size_t align = random_below(&m->random, 5) == 0 ? PAGE_BYTES << random_below(&m->random, 6) : 0;
    size_t largest = pages_largest(m->a);
    EXPECT(largest == 0 || largest == class_pages(class_of(model_longest(m))) * PAGE_BYTES);
    m->p[run] = align == 0 ? pages_alloc(m->a, pages * PAGE_BYTES)
                           : pages_alloc_aligned(m->a, pages * PAGE_BYTES - 5, align);
    if (align == 0) {
        EXPECT((m->p[run] != NULL) == (pages * PAGE_BYTES <= largest));
    }
    if (m->p[run] != NULL) {
        EXPECT((uintptr_t)m->p[run] % (align + (align == 0)) == 0);
        model_set(m, m->p[run], run, pages);
    }
}

/* Grows in place if so many free pages follow, with a word kept at both ends. */
static void model_realloc(struct model *m, uint8_t run) {
    uint32_t old = (uint32_t)(pages_usable(m->a, m->p[run]) / PAGE_BYTES);
    uint32_t pages = 1 + random_below(&m->random, 50);
    uint32_t first = page_of(m->a, m->p[run]);
    bool stays = pages <= old + model_free(m, first + old, 1);
    uint32_t *words = m->p[run];
    words[0] = words[old * PAGE_BYTES / 4 - 1] = (uint32_t)random_word(&m->random);
    uint32_t word = words[0];
    uint32_t *moved = pages_realloc(m->a, words, pages * PAGE_BYTES);
    EXPECT(!stays || moved == words);
    if (moved != NULL) {
        EXPECT(moved[0] == word && (pages < old || moved[old * PAGE_BYTES / 4 - 1] == word));
        model_set(m, words, 0, old);
        model_set(m, moved, run, pages);
        m->p[run] = moved;
    } else {
        EXPECT(pages > old + model_free(m, first + old, 1) + model_free(m, first, -1) ||
               link_of(m->a, first)->align_log != 0);
    }
}

START_TEST(test_against_a_map) {
    static struct model m;
    m = (struct model){.a = pool_new(MODEL_PAGES), .random = seed_of(2 + (uint64_t)_i)};
    for (int step = 0; step < 5000; step++) {
        uint8_t run = (uint8_t)(1 + random_below(&m.random, MODEL_RUNS));
        if (m.p[run] == NULL) {
            model_alloc(&m, run);
        } else if (random_below(&m.random, 3) == 0) {
            model_realloc(&m, run);
        } else {
            uint32_t pages = (uint32_t)(pages_usable(m.a, m.p[run]) / PAGE_BYTES);
            model_set(&m, m.p[run], 0, pages);
            EXPECT(pages_free(m.a, m.p[run]) == ALLOC_OK);
            EXPECT(pages_free(m.a, m.p[run]) != ALLOC_OK);
            m.p[run] = NULL;
        }
        const char *broken = buddy_pages_check(m.a);
        if (broken != NULL) {
            ck_abort_msg("%s", broken);
        }
        for (uint32_t page = 0; page < MODEL_PAGES; page++) {
            bool starts = m.run[page] != 0 && m.p[m.run[page]] == page_at(m.a, page);
            EXPECT((states_of(m.a)[page] == LIVE) == starts);
        }
    }
}
END_TEST

/* ---- check() ---- */

/* Each flipped bit of the control structure, of state[] and of the links in use is found; but a
 * bit of an alignment may leave one that the run has as well. */
START_TEST(test_flipped_bits) {
    struct alloc *a = pool_new(60);
    void *p[8];
    for (size_t i = 0; i < 8; i++) {
        p[i] = i % 3 == 0 ? pages_alloc_aligned(a, (1 + i) * PAGE_BYTES, 4 * PAGE_BYTES)
                          : pages_alloc(a, (1 + i % 4) * PAGE_BYTES);
        EXPECT(p[i] != NULL);
    }
    for (size_t i = 0; i < 8; i += 2) {
        EXPECT(pages_free(a, p[i]) == ALLOC_OK);
    }
    EXPECT(buddy_pages_check(a) == NULL);
    size_t heads = offsetof(struct alloc, links) + CLASSES * sizeof(union link);
    for (size_t bit = 0; bit < heads * 8; bit++) {
        ((char *)a)[bit / 8] ^= (char)(1 << bit % 8);
        EXPECT(buddy_pages_check(a) != NULL);
        ((char *)a)[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (uint32_t page = 0; page < a->pages; page++) {
        uint8_t *state = &states_of(a)[page];
        union link *link = link_of(a, page);
        bool starts = *state == LIVE || *state == FREE_ONE || *state == FREE_FIRST;
        bool second = page > 0 && state[-1] == FREE_FIRST;
        for (uint32_t bit = 0; bit < 8; bit++) {
            *state ^= (uint8_t)(1u << bit);
            EXPECT(buddy_pages_check(a) != NULL);
            *state ^= (uint8_t)(1u << bit);
        }
        for (uint32_t bit = 0; bit < 32 && (starts || second || *state == FREE_LAST); bit++) {
            link->prev ^= 1u << bit;
            EXPECT(buddy_pages_check(a) != NULL);
            link->prev ^= 1u << bit;
            link->next ^= 1u << bit;
            EXPECT(buddy_pages_check(a) != NULL || !starts || *state == LIVE);
            link->next ^= 1u << bit;
        }
    }
    EXPECT(buddy_pages_check(a) == NULL);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("buddy_pages");
    TCase *inside = tcase_create("inside");
    tcase_set_timeout(inside, 120);
    tcase_add_test(inside, test_class_rows);
    tcase_add_test(inside, test_pages_untouched);
    tcase_add_loop_test(inside, test_against_a_map, 0, 12);
    tcase_add_test(inside, test_flipped_bits);
    suite_add_tcase(suite, inside);
    return test_main(suite);
}
