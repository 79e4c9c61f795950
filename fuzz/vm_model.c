/* SPDX-License-Identifier: MIT
 *
 * vm_model.c - address spaces as plain arrays
 */
#include "vm_model.h"

#include <string.h>

#define LOW_BASE (0x02000000u - MODEL_LOW / 2 * VM_PAGE)

static const struct {
    vaddr_t base;
    uint32_t first, pages;
} window[] = {{LOW_BASE, 0, MODEL_LOW},
              {USER_HEAP, MODEL_LOW, MODEL_HEAP},
              {USER_MAP, MODEL_LOW + MODEL_HEAP, MODEL_MAP}};

enum { WINDOWS = 3 };

vaddr_t model_address(uint32_t index) {
    uint32_t i = WINDOWS - 1;
    while (window[i].first > index) {
        i--;
    }
    return window[i].base + (index - window[i].first) * VM_PAGE;
}

int model_index(vaddr_t va) {
    for (uint32_t i = 0; i < WINDOWS; i++) {
        uint32_t page = (va - window[i].base) >> VM_PAGE_LOG;
        if (page < window[i].pages) {
            return (int)(window[i].first + page);
        }
    }
    return -1;
}

uint32_t model_room(uint32_t index) {
    uint32_t i = WINDOWS - 1;
    while (window[i].first > index) {
        i--;
    }
    return window[i].first + window[i].pages - index;
}

uint32_t model_cells(struct model *m, uint32_t count) {
    uint32_t first = m->cells;
    if (count > MODEL_CELLS - first) {
        return MODEL_CELLS;
    }
    m->cells += count;
    return first;
}

uint32_t *model_words(struct model *m, struct model_page *page) {
    return page->own ? page->word : m->cell[page->cell];
}

bool model_one_region(const struct model_space *s, uint32_t index, uint32_t pages) {
    bool one = s->page[index].kind != MODEL_NONE && pages <= model_room(index);
    for (uint32_t i = 1; one && i < pages; i++) {
        one = s->page[index + i].kind != MODEL_NONE &&
              s->page[index + i].region == s->page[index].region;
    }
    return one;
}

bool model_free(const struct model_space *s, uint32_t index, uint32_t pages) {
    for (uint32_t i = 0; i < pages; i++) {
        if (s->page[index + i].kind != MODEL_NONE) {
            return false;
        }
    }
    return true;
}

bool model_touches_heap(const struct model_space *s, uint32_t index, uint32_t pages) {
    for (uint32_t i = 0; i < pages; i++) {
        if (s->page[index + i].heap) {
            return true;
        }
    }
    return false;
}

int model_gap(const struct model_space *s, uint32_t pages) {
    uint32_t first = window[WINDOWS - 1].first;
    uint32_t found = 0;
    for (uint32_t i = first; i < MODEL_PAGES; i++) {
        found = s->page[i].kind == MODEL_NONE ? found + 1 : 0;
        if (found == pages) {
            return (int)(i + 1 - pages);
        }
    }
    return -1;
}

void model_unmap(struct model_space *s, uint32_t index, uint32_t pages) {
    memset(&s->page[index], 0, pages * sizeof(s->page[0]));
}

static bool attach_live(const struct model_space *s, uint32_t number) {
    for (uint32_t i = 0; s->live && i < MODEL_PAGES; i++) {
        if (s->page[i].kind == MODEL_SEGMENT && s->page[i].attach == number) {
            return true;
        }
    }
    return false;
}

uint32_t model_attached(const struct model *m, int segment) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->attaches; i++) {
        for (uint32_t j = 0; m->attach[i].segment == segment && j < MODEL_SPACES; j++) {
            count += attach_live(&m->space[j], m->attach[i].number);
        }
    }
    return count;
}
