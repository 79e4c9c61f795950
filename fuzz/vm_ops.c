/* SPDX-License-Identifier: MIT
 *
 * vm_ops.c - operations on regions: mmap, munmap, mprotect, mremap, brk
 */
#include "vm_ops.h"

#include <errno.h>
#include <string.h>

enum { WRITE = VM_PROT_WRITE };

bool op_judge(struct vm_world *w, const struct vm_op *op, const char *what, int got, int expected,
              bool *done) {
    bool memory = got == -ENOMEM || got == (int)VM_NO_MEMORY;
    *done = got == expected && got == 0;
    w->tally.refused += got != 0;
    if (got == expected || (memory && w->machine->shortages > op->shortages)) {
        return true;
    }
    return world_fail(w, "space %u: %s at %08x, %u pages, gives %d, expected %d", op->space, what,
                      model_address(op->index), op->pages, got, expected);
}

/* Reading is implied by writing and executing. */
static int prot_full(uint32_t bits) {
    int prot = (int)(bits & 7);
    return prot != 0 ? prot | VM_PROT_READ : 0;
}

static bool wholly_in_heap(const struct model_space *s, uint32_t index, uint32_t pages) {
    return s->page[index].heap && model_one_region(s, index, pages);
}

/* ---- mmap ---- */

enum place { PLACE_ANY, PLACE_HINT, PLACE_FIXED, PLACE_NOREPLACE };

struct mapping {
    bool file, shared;
    uint32_t number; /* of the file */
    uint32_t offset;
    int prot;
    enum place place;
};

static int mmap_expected(const struct vm_op *op, const struct mapping *map, bool writable) {
    if (map->place == PLACE_FIXED && model_touches_heap(op->s, op->index, op->pages) &&
        !wholly_in_heap(op->s, op->index, op->pages)) {
        return -EINVAL;
    }
    if (map->file && map->shared && (map->prot & WRITE) != 0 && !writable) {
        return -EACCES;
    }
    bool taken = !model_free(op->s, op->index, op->pages);
    return map->place == PLACE_NOREPLACE && taken ? -ENOMEM : 0;
}

/* Where it must go; -1: outside of the model. */
static int mmap_place(const struct vm_op *op, const struct mapping *map) {
    bool there = map->place == PLACE_FIXED || map->place == PLACE_NOREPLACE ||
                 (map->place == PLACE_HINT && model_free(op->s, op->index, op->pages));
    return there ? (int)op->index : model_gap(op->s, op->pages);
}

/* The cell of a file's page, MODEL_CELLS beyond its end. */
static uint32_t file_cell(uint32_t file, uint32_t offset) {
    return offset < MODEL_FILE_PAGES ? model_file_cell(file, offset) : MODEL_CELLS;
}

static void pages_fill(struct model *m, struct model_page *page, uint32_t pages,
                       const struct model_page *like, uint32_t cell) {
    for (uint32_t i = 0; i < pages; i++) {
        page[i] = *like;
        page[i].offset = like->offset + i;
        page[i].own = like->kind == MODEL_ANON && !like->shared;
        page[i].cell =
            like->kind == MODEL_FILE ? file_cell(like->file, like->offset + i) : cell + i;
        memset(page[i].word, 0, sizeof(page[i].word));
    }
    (void)m;
}

static bool mmap_model(struct vm_world *w, const struct vm_op *op, const struct mapping *map,
                       uint32_t at, uint32_t cell) {
    struct model_page like = {.kind = map->file ? MODEL_FILE : MODEL_ANON,
                              .region = ++w->model.regions,
                              .prot = map->prot,
                              .shared = map->shared,
                              .may_write = !map->file || w->file[map->number]->writable,
                              .file = map->number,
                              .offset = map->offset};
    model_unmap(op->s, at, op->pages);
    pages_fill(&w->model, &op->s->page[at], op->pages, &like, cell);
    return true;
}

bool op_mmap(struct vm_world *w, const struct vm_op *op) {
    const struct mapping map = {.file = (op->x & 1) != 0,
                                .shared = (op->x & 2) != 0,
                                .place = (enum place)(op->x >> 2 & 3),
                                .prot = prot_full(op->y),
                                .number = op->z & 1,
                                .offset = op->z >> 1 & 7};
    int expected = mmap_expected(op, &map, w->file[map.number]->writable);
    bool heap = (map.place == PLACE_HINT || map.place == PLACE_FIXED) &&
                wholly_in_heap(op->s, op->index, op->pages);
    int place = heap ? (int)op->index : mmap_place(op, &map);
    uint32_t cell = 0;
    if (expected == 0 && !map.file && map.shared && !heap) {
        cell = model_cells(&w->model, op->pages);
    }
    if (place < 0 || cell == MODEL_CELLS) {
        return true;
    }
    static const int flag[] = {0, 0, VM_MAP_FIXED, VM_MAP_FIXED_NOREPLACE};
    vaddr_t hint = map.place == PLACE_ANY ? 0 : model_address(op->index);
    int flags = flag[map.place] | (map.shared ? VM_MAP_SHARED : VM_MAP_PRIVATE) |
                (map.file ? 0 : VM_MAP_ANONYMOUS);
    vaddr_t at = 0;
    bool done;
    int got = vm_mmap(op->on, hint, op->pages * VM_PAGE - op->z % 64, (int)(op->y & 7), flags,
                      map.file ? w->file[map.number] : NULL, map.offset, &at);
    if (!op_judge(w, op, "mmap", got, expected, &done) || !done) {
        return w->verdict[0] == '\0';
    }
    if (at != model_address((uint32_t)place)) {
        return world_fail(w, "mmap goes to %08x, expected %08x", at,
                          model_address((uint32_t)place));
    }
    for (uint32_t i = 0; heap && i < op->pages; i++) {
        memset(op->s->page[op->index + i].word, 0, sizeof(op->s->page[0].word));
    }
    return heap || mmap_model(w, op, &map, (uint32_t)place, cell);
}

bool op_munmap(struct vm_world *w, const struct vm_op *op) {
    bool done;
    int got = vm_munmap(op->on, model_address(op->index), op->pages * VM_PAGE - op->z % 64);
    if (op_judge(w, op, "munmap", got, 0, &done) && done) {
        model_unmap(op->s, op->index, op->pages);
    }
    return w->verdict[0] == '\0';
}

/* ---- mprotect ---- */

bool op_mprotect(struct vm_world *w, const struct vm_op *op) {
    const struct model_page *first = &op->s->page[op->index];
    int prot = prot_full(op->y);
    int expected = !model_one_region(op->s, op->index, op->pages)              ? -EINVAL
                   : first->heap                                               ? -EPERM
                   : first->shared && (prot & WRITE) != 0 && !first->may_write ? -EACCES
                                                                               : 0;
    bool done;
    int got = vm_mprotect(op->on, model_address(op->index), op->pages * VM_PAGE, (int)(op->y & 7));
    if (op_judge(w, op, "mprotect", got, expected, &done) && done) {
        w->model.regions++;
        for (uint32_t i = 0; i < op->pages; i++) {
            op->s->page[op->index + i].prot = prot;
            op->s->page[op->index + i].region = w->model.regions;
        }
    }
    return w->verdict[0] == '\0';
}

/* ---- mremap ---- */

struct remap {
    uint32_t pages; /* new */
    bool may_move, fixed;
    uint32_t target;
};

static int mremap_expected(const struct vm_op *op, const struct remap *r) {
    const struct model_page *first = &op->s->page[op->index];
    if (!model_one_region(op->s, op->index, op->pages)) {
        return -EFAULT;
    }
    if (first->heap) {
        return -EPERM;
    }
    if (first->kind == MODEL_SEGMENT) {
        return -EINVAL;
    }
    bool overlap = r->target < op->index + op->pages && op->index < r->target + r->pages;
    if (r->fixed && (overlap || model_touches_heap(op->s, r->target, r->pages))) {
        return -EINVAL;
    }
    return 0;
}

/* Whether it grows where it is: only to be asked where the window has room for it. */
static bool mremap_stays(const struct vm_op *op, const struct remap *r) {
    uint32_t end = op->index + op->pages;
    if (r->pages <= op->pages) {
        return true;
    }
    return model_room(op->index) >= r->pages && model_free(op->s, end, r->pages - op->pages);
}

static void mremap_model(struct vm_world *w, const struct vm_op *op, const struct remap *r,
                         uint32_t to, uint32_t cell) {
    struct model_page moved[MODEL_PAGES];
    uint32_t kept = op->pages < r->pages ? op->pages : r->pages;
    struct model_page like = op->s->page[op->index];
    memcpy(moved, &op->s->page[op->index], kept * sizeof(moved[0]));
    model_unmap(op->s, op->index, op->pages);
    if (to != op->index) {
        model_unmap(op->s, to, r->pages);
        like.region = ++w->model.regions;
    }
    memcpy(&op->s->page[to], moved, kept * sizeof(moved[0]));
    like.offset += kept;
    pages_fill(&w->model, &op->s->page[to + kept], r->pages - kept, &like, cell);
    for (uint32_t i = 0; i < kept; i++) {
        op->s->page[to + i].region = like.region;
    }
}

/* Where the pages must be afterwards; -1: the model cannot tell. */
static int mremap_place(const struct vm_op *op, const struct remap *r) {
    if (r->fixed) {
        return (int)r->target;
    }
    if (model_room(op->index) < r->pages) {
        return -1;
    }
    return mremap_stays(op, r) ? (int)op->index : model_gap(op->s, r->pages);
}

bool op_mremap(struct vm_world *w, const struct vm_op *op) {
    struct remap r = {.pages = 1 + op->y % 10, .may_move = (op->x & 1) != 0};
    r.fixed = r.may_move && (op->x & 2) != 0;
    r.target = op->z % (MODEL_LOW + MODEL_HEAP + 64);
    r.pages = r.fixed && model_room(r.target) < r.pages ? model_room(r.target) : r.pages;
    int expected = mremap_expected(op, &r);
    int place = mremap_place(op, &r);
    uint32_t cell = 0;
    const struct model_page *first = &op->s->page[op->index];
    if (expected == 0 && r.pages > op->pages && first->kind == MODEL_ANON && first->shared) {
        cell = model_cells(&w->model, r.pages - op->pages);
    }
    if ((expected == 0 && place < 0) || cell == MODEL_CELLS) {
        return true;
    }
    if (expected == 0 && !r.fixed && !mremap_stays(op, &r) && !r.may_move) {
        expected = -ENOMEM;
    }
    vaddr_t now = 0;
    bool done;
    int got = vm_mremap(op->on, model_address(op->index), op->pages * VM_PAGE, r.pages * VM_PAGE,
                        (r.may_move ? VM_MREMAP_MAYMOVE : 0) | (r.fixed ? VM_MREMAP_FIXED : 0),
                        model_address(r.target), &now);
    if (!op_judge(w, op, "mremap", got, expected, &done) || !done) {
        return w->verdict[0] == '\0';
    }
    if (now != model_address((uint32_t)place)) {
        return world_fail(w, "mremap goes to %08x, expected %08x", now,
                          model_address((uint32_t)place));
    }
    mremap_model(w, op, &r, (uint32_t)place, cell);
    return true;
}

/* ---- brk ---- */

static uint32_t heap_index(vaddr_t va) {
    return MODEL_LOW + (va - USER_HEAP) / VM_PAGE;
}

bool op_brk(struct vm_world *w, const struct vm_op *op) {
    uint32_t pages = op->z % (MODEL_HEAP + 1);
    vaddr_t end = USER_HEAP + pages * VM_PAGE;
    uint32_t from = heap_index(op->s->heap_now);
    uint32_t to = MODEL_LOW + pages;
    int expected = to > from && !model_free(op->s, from, to - from) ? -ENOMEM : 0;
    vaddr_t now = 0;
    bool done;
    int got = vm_brk(op->on, pages > 0 ? end - op->y : end, &now);
    if (!op_judge(w, op, "brk", got, expected, &done) || !done) {
        return w->verdict[0] == '\0';
    }
    if (now != end) {
        return world_fail(w, "brk gives %08x, expected %08x", now, end);
    }
    op->s->heap_now = end;
    bool more = from > MODEL_LOW && op->s->page[from - 1].heap;
    const struct model_page like = {.kind = MODEL_ANON,
                                    .heap = true,
                                    .prot = VM_PROT_READ | VM_PROT_WRITE,
                                    .region =
                                        more ? op->s->page[from - 1].region : ++w->model.regions};
    for (uint32_t i = to; i < from; i++) {
        if (op->s->page[i].heap) {
            model_unmap(op->s, i, 1);
        }
    }
    if (to > from) {
        pages_fill(&w->model, &op->s->page[from], to - from, &like, 0);
    }
    return true;
}
