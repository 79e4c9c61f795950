/* SPDX-License-Identifier: MIT
 *
 * vm_ops_more.c - the other operations: touching, fork, reclaim, shared segments; and the decoder
 */
#include "vm_ops.h"

#include <errno.h>
#include <string.h>

/* ---- touching ---- */

/* What an access that needs these rights must give. */
static int touch_expected(const struct vm_op *op, int prot) {
    const struct model_page *page = &op->s->page[op->index];
    if (page->kind == MODEL_NONE) {
        return VM_NOT_FOUND;
    }
    if ((page->prot & prot) != prot) {
        return VM_ACCESS_DENIED;
    }
    return !page->own && page->cell == MODEL_CELLS ? VM_NOT_FOUND : VM_OK;
}

bool op_store(struct vm_world *w, const struct vm_op *op) {
    struct model_page *page = &op->s->page[op->index];
    uint32_t value = (uint32_t)w->op * 0x9E3779B1u + 1;
    uint32_t word = op->y & 1;
    vaddr_t va = model_address(op->index) + word * (VM_PAGE - 4);
    bool done;
    int got = space_store(op->on, va, &value, 4);
    if (!op_judge(w, op, "store", got, touch_expected(op, VM_PROT_WRITE), &done) || !done) {
        return w->verdict[0] == '\0';
    }
    if (!page->shared && !page->own) {
        memcpy(page->word, w->model.cell[page->cell], sizeof(page->word));
        page->own = true;
    }
    model_words(&w->model, page)[word] = value;
    return true;
}

bool op_load(struct vm_world *w, const struct vm_op *op) {
    return world_page_read(w, op->space, op->index);
}

bool op_fetch(struct vm_world *w, const struct vm_op *op) {
    bool done;
    int got = space_fetch(op->on, model_address(op->index));
    return op_judge(w, op, "fetch", got, touch_expected(op, VM_PROT_EXECUTE), &done);
}

/* ---- spaces ---- */

bool world_space_new(struct vm_world *w, uint32_t space) {
    if (space_new(w->machine, SPACE_USER, &w->space[space]) != VM_OK) {
        w->space[space] = NULL;
        return true;
    }
    memset(&w->model.space[space], 0, sizeof(w->model.space[space]));
    w->model.space[space].live = true;
    w->model.space[space].heap_now = USER_HEAP;
    return true;
}

/* The copy's attachments are its own. */
static void attaches_copy(struct model *m, struct model_space *copy) {
    uint32_t before = m->attaches;
    for (uint32_t i = 0; i < MODEL_PAGES; i++) {
        struct model_page *page = &copy->page[i];
        if (page->kind != MODEL_SEGMENT || page->attach > before) {
            continue;
        }
        struct model_attach attach = m->attach[page->attach - 1];
        uint32_t old = page->attach;
        attach.number = ++m->attaches;
        m->attach[attach.number - 1] = attach;
        for (uint32_t j = i; j < MODEL_PAGES; j++) {
            bool piece = copy->page[j].kind == MODEL_SEGMENT && copy->page[j].attach == old;
            copy->page[j].attach = piece ? attach.number : copy->page[j].attach;
        }
    }
}

bool op_fork(struct vm_world *w, const struct vm_op *op) {
    uint32_t to = 0;
    while (to < MODEL_SPACES && w->space[to] != NULL) {
        to++;
    }
    if (to == MODEL_SPACES || w->model.attaches > 128) {
        return true;
    }
    int expected = model_free(op->s, 0, MODEL_PAGES) ? VM_INVALID_ARGS : VM_OK;
    bool done;
    int got = space_clone(op->on, &w->space[to]);
    if (op_judge(w, op, "fork", got, expected, &done) && done) {
        w->model.space[to] = *op->s;
        attaches_copy(&w->model, &w->model.space[to]);
    }
    return w->verdict[0] == '\0';
}

/* A segment that was removed ends with its last attachment. */
void world_settle(struct vm_world *w) {
    for (int i = 0; i < MODEL_SEGMENTS; i++) {
        struct model_segment *segment = &w->model.segment[i];
        if (segment->removed && model_attached(&w->model, i) == 0) {
            *segment = (struct model_segment){0};
        }
    }
}

bool op_exit(struct vm_world *w, const struct vm_op *op) {
    (void)space_delete(op->on);
    w->space[op->space] = NULL;
    op->s->live = false;
    return true;
}

/* ---- reclaim ---- */

bool op_reclaim(struct vm_world *w, const struct vm_op *op) {
    (void)machine_reclaim(w->machine, op->z, (op->x & 1) != 0);
    return true;
}

bool op_msync(struct vm_world *w, const struct vm_op *op) {
    uint32_t pages = model_room(op->index);
    bool done;
    int got = vm_msync(op->on, model_address(op->index), pages * VM_PAGE);
    return op_judge(w, op, "msync", got, 0, &done);
}

/* ---- shared segments ---- */

bool op_segment_new(struct vm_world *w, const struct vm_op *op) {
    struct model_segment *segment = &w->model.segment[op->z % MODEL_SEGMENTS];
    uint32_t pages = 1 + op->y % MODEL_SEGMENT_PAGES;
    uint32_t cell = segment->live ? MODEL_CELLS : model_cells(&w->model, pages);
    if (cell == MODEL_CELLS) {
        return true;
    }
    bool done;
    int id = shm_get(w->machine, SHM_PRIVATE, pages * VM_PAGE - op->x, 0600);
    if (op_judge(w, op, "shmget", id < 0 ? id : 0, 0, &done) && done) {
        *segment = (struct model_segment){true, false, id, pages, cell};
    }
    return w->verdict[0] == '\0';
}

bool op_segment_remove(struct vm_world *w, const struct vm_op *op) {
    struct model_segment *segment = &w->model.segment[op->z % MODEL_SEGMENTS];
    if (!segment->live) {
        return true;
    }
    bool done;
    segment->removed = true;
    return op_judge(w, op, "shmctl", shm_remove(w->machine, segment->id), 0, &done);
}

static bool attach_model(struct vm_world *w, const struct vm_op *op, uint32_t at, bool write) {
    struct model_segment *segment = &w->model.segment[op->z % MODEL_SEGMENTS];
    struct model *m = &w->model;
    uint32_t number = ++m->attaches;
    m->attach[number - 1] =
        (struct model_attach){number, model_address(at), (int)(op->z % MODEL_SEGMENTS)};
    m->regions++;
    for (uint32_t i = 0; i < segment->pages; i++) {
        op->s->page[at + i] =
            (struct model_page){.kind = MODEL_SEGMENT,
                                .region = m->regions,
                                .prot = VM_PROT_READ | (write ? VM_PROT_WRITE : 0),
                                .shared = true,
                                .may_write = true,
                                .cell = segment->cell + i,
                                .attach = number};
    }
    return true;
}

bool op_attach(struct vm_world *w, const struct vm_op *op) {
    const struct model_segment *segment = &w->model.segment[op->z % MODEL_SEGMENTS];
    bool anywhere = (op->x & 1) != 0;
    bool over = !anywhere && (op->x & 2) != 0;
    bool write = (op->x & 4) != 0;
    if (!segment->live || w->model.attaches > 192 ||
        (!anywhere && model_room(op->index) < segment->pages)) {
        return true;
    }
    bool taken = !anywhere && !model_free(op->s, op->index, segment->pages);
    int expected = segment->removed ? -EIDRM : taken && !over ? -EINVAL : 0;
    int place = anywhere ? model_gap(op->s, segment->pages) : (int)op->index;
    if (place < 0) {
        return true;
    }
    vaddr_t at = 0;
    bool done;
    int flags = (over ? SHM_REMAP_OVER : 0) | (write ? 0 : SHM_READ_ONLY);
    vaddr_t va = anywhere ? 0 : model_address(op->index);
    int got = shm_attach(op->on, segment->id, va, flags, &at);
    if (!op_judge(w, op, "shmat", got, expected, &done) || !done) {
        return w->verdict[0] == '\0';
    }
    return at == model_address((uint32_t)place) ? attach_model(w, op, (uint32_t)place, write)
                                                : world_fail(w, "shmat goes to %08x", at);
}

bool op_detach(struct vm_world *w, const struct vm_op *op) {
    vaddr_t va = model_address(op->index);
    uint32_t number = 0;
    for (uint32_t i = op->index; i < op->index + model_room(op->index) && number == 0; i++) {
        const struct model_page *page = &op->s->page[i];
        bool piece = page->kind == MODEL_SEGMENT && w->model.attach[page->attach - 1].base == va;
        number = piece ? page->attach : 0;
    }
    bool done;
    int got = shm_detach(op->on, va);
    if (op_judge(w, op, "shmdt", got, number != 0 ? 0 : -EINVAL, &done) && done) {
        for (uint32_t i = 0; i < MODEL_PAGES; i++) {
            if (op->s->page[i].kind == MODEL_SEGMENT && op->s->page[i].attach == number) {
                model_unmap(op->s, i, 1);
            }
        }
    }
    return w->verdict[0] == '\0';
}

/* ---- decoding ---- */

/* As often as they stand here. */
static vm_op_fn *const table[] = {
    op_mmap,    op_mmap,  op_mmap,   op_munmap, op_mprotect, op_mprotect,    op_mremap,
    op_mremap,  op_brk,   op_store,  op_store,  op_store,    op_store,       op_store,
    op_store,   op_load,  op_load,   op_fetch,  op_fork,     op_exit,        op_reclaim,
    op_reclaim, op_msync, op_attach, op_attach, op_detach,   op_segment_new, op_segment_remove,
};

bool world_op(struct vm_world *w, const uint8_t *bytes) {
    static const uint32_t first[] = {0, MODEL_LOW, MODEL_LOW + MODEL_HEAP, MODEL_LOW + MODEL_HEAP};
    static const uint32_t size[] = {MODEL_LOW, MODEL_HEAP, 64, 64};
    struct vm_op op = {.space = bytes[1] & 3u, .x = bytes[1] >> 2, .y = bytes[3] >> 3};
    op.index = first[bytes[2] & 3] + (uint32_t)(bytes[2] >> 2) % size[bytes[2] & 3];
    op.pages = 1 + (bytes[3] & 7u);
    op.pages = op.pages < model_room(op.index) ? op.pages : model_room(op.index);
    op.z = bytes[4];
    world_settle(w);
    if (w->space[op.space] == NULL) {
        op.space = 0;
        if (w->space[0] == NULL) {
            return world_space_new(w, 0);
        }
    }
    op.on = w->space[op.space];
    op.s = &w->model.space[op.space];
    op.shortages = w->machine->shortages;
    return table[bytes[0] % (sizeof(table) / sizeof(table[0]))](w, &op);
}
