/* SPDX-License-Identifier: MIT
 *
 * kmalloc.c - kernel memory from heaps and pages
 */
#include "kmalloc.h"

#include <assert.h>
#include <string.h>

enum {
    GROWTH_PART = 4,       /* of what there is already: 32 segments reach far */
    SHRINK_TRIES = 2,      /* of the page cache */
    NEED_PAGES_MAX = 1024, /* that a heap may need to serve one small request */
    RUN_ALIGN_MAX = 16 << 20,
};

/* ---- pages ---- */

/* The page cache is shrunk when there is no run. */
static void *run_alloc(struct machine *machine, uint32_t pages, uint32_t align) {
    paddr_t pa = PADDR_NONE;
    for (int tries = 0; pa == PADDR_NONE && tries <= SHRINK_TRIES; tries++) {
        if (tries > 0 && machine_reclaim(machine, pages, tries == SHRINK_TRIES) == 0) {
            continue;
        }
        pa = align > VM_PAGE ? phys_alloc_aligned(machine->phys, pages, align)
                             : phys_alloc(machine->phys, pages);
    }
    return pa != PADDR_NONE ? phys_host(machine->phys, pa) : NULL;
}

static size_t run_bytes(const struct machine *machine, const void *run) {
    return (size_t)phys_run_pages(machine->phys, phys_of_host(machine->phys, run)) << VM_PAGE_LOG;
}

static void run_free(struct machine *machine, const void *run) {
    enum vm_status status = phys_free(machine->phys, phys_of_host(machine->phys, run));
    assert(status == VM_OK);
    (void)status;
}

/* A block that is pages: its first frame, which remembers the alignment; else NULL. */
static struct frame *pages_find(const struct kmalloc *k, const void *p) {
    paddr_t pa = phys_of_host(k->machine->phys, p);
    if (pa == PADDR_NONE || phys_run_pages(k->machine->phys, pa) == 0) {
        return NULL;
    }
    struct frame *frame = phys_frame(k->machine->phys, pa);
    return (frame->flags & FRAME_KERNEL) != 0 ? frame : NULL;
}

static void *pages_alloc(struct kmalloc *k, size_t bytes, size_t align) {
    if (bytes > UINT32_MAX - VM_PAGE || align > RUN_ALIGN_MAX) {
        return NULL;
    }
    void *run = run_alloc(k->machine, vm_pages((uint32_t)bytes), (uint32_t)align);
    if (run != NULL) {
        struct frame *frame = phys_frame(k->machine->phys, phys_of_host(k->machine->phys, run));
        frame->flags |= FRAME_KERNEL;
        frame->index = (uint32_t)align;
    }
    return run;
}

static void pages_free(struct kmalloc *k, struct frame *frame, const void *run) {
    frame->flags = 0;
    frame->index = 0;
    run_free(k->machine, run);
}

/* ---- segments ---- */

static struct kmalloc_segment *segment_find(const struct kmalloc *k, const void *p) {
    for (uint32_t i = 0; i < KMALLOC_SEGMENTS; i++) {
        const struct kmalloc_segment *s = &k->segment[i];
        uintptr_t distance = (uintptr_t)p - (uintptr_t)s->start;
        if (s->start != NULL && distance >> VM_PAGE_LOG < s->pages) {
            return (struct kmalloc_segment *)(uintptr_t)s;
        }
    }
    return NULL;
}

static bool segment_new(struct kmalloc *k, struct kmalloc_segment *s, uint32_t pages) {
    uint8_t *run = run_alloc(k->machine, pages, VM_PAGE);
    struct alloc *heap = run != NULL ? k->ops->init(run, (size_t)pages << VM_PAGE_LOG, NULL) : NULL;
    if (heap == NULL) {
        if (run != NULL) {
            run_free(k->machine, run);
        }
        return false;
    }
    *s = (struct kmalloc_segment){heap, run, pages, 0};
    k->pages += pages;
    return true;
}

static void segment_end(struct kmalloc *k, struct kmalloc_segment *s) {
    run_free(k->machine, s->start);
    k->pages -= s->pages;
    *s = (struct kmalloc_segment){0};
}

static void *segment_alloc(struct kmalloc *k, struct kmalloc_segment *s, size_t bytes,
                           size_t align) {
    void *p = align <= ALLOC_ALIGN ? k->ops->alloc(s->heap, bytes)
                                   : k->ops->alloc_aligned(s->heap, bytes, align);
    s->live += p != NULL;
    return p;
}

/* From the heaps there are, the one that served last first. */
static void *heaps_alloc(struct kmalloc *k, size_t bytes, size_t align) {
    void *p = NULL;
    for (uint32_t i = 0; i < KMALLOC_SEGMENTS && p == NULL; i++) {
        uint32_t at = (k->latest + i) % KMALLOC_SEGMENTS;
        struct kmalloc_segment *s = &k->segment[at];
        p = s->start != NULL ? segment_alloc(k, s, bytes, align) : NULL;
        if (p != NULL) {
            k->latest = at;
        }
    }
    return p;
}

/* A segment of that many pages that serves the request. */
static void *segment_try(struct kmalloc *k, uint32_t at, uint32_t pages, size_t bytes,
                         size_t align) {
    struct kmalloc_segment *s = &k->segment[at];
    if (!segment_new(k, s, pages)) {
        return NULL;
    }
    void *p = segment_alloc(k, s, bytes, align);
    if (p == NULL) {
        segment_end(k, s);
        return NULL;
    }
    k->latest = at;
    return p;
}

/* First a quarter of what there is, then as little as will do: how much a heap needs beside the
 * request is its own matter, so it is tried. */
static void *heaps_grow(struct kmalloc *k, size_t bytes, size_t align) {
    uint32_t at = 1;
    while (at < KMALLOC_SEGMENTS && k->segment[at].start != NULL) {
        at++;
    }
    if (at == KMALLOC_SEGMENTS) {
        return NULL;
    }
    uint32_t need = vm_pages((uint32_t)(bytes + align)) + 1;
    size_t pages_max = k->ops->pool_max >> VM_PAGE_LOG; /* of one heap; 0: no limit */
    uint32_t part = k->pages / GROWTH_PART;
    part = pages_max != 0 && part > pages_max ? (uint32_t)pages_max : part;
    void *p = part > need ? segment_try(k, at, part, bytes, align) : NULL;
    for (; p == NULL && need <= NEED_PAGES_MAX; need *= 2) {
        p = segment_try(k, at, need, bytes, align);
        if (p == NULL && phys_free_pages(k->machine->phys) < need) {
            break;
        }
    }
    return p;
}

/* ---- opening ---- */

enum vm_status kmalloc_open(struct kmalloc *k, struct machine *machine, const struct alloc_ops *ops,
                            uint32_t heap_bytes) {
    uint32_t bad = ALLOC_CAP_FIXED_SIZE | ALLOC_CAP_PAGES | ALLOC_CAP_POOLLESS;
    uint32_t pages = vm_pages(heap_bytes);
    *k = (struct kmalloc){.machine = machine, .ops = ops};
    if ((ops->caps & bad) != 0 || ops->alloc_aligned == NULL || ops->realloc == NULL ||
        pages == 0) {
        return VM_INVALID_ARGS;
    }
    if (segment_new(k, &k->segment[0], pages)) {
        return VM_OK;
    }
    return phys_free_pages(machine->phys) < pages ? VM_NO_MEMORY : VM_INVALID_ARGS;
}

void kmalloc_close(struct kmalloc *k) {
    for (uint32_t i = 0; i < KMALLOC_SEGMENTS; i++) {
        if (k->segment[i].start != NULL) {
            segment_end(k, &k->segment[i]);
        }
    }
}

/* ---- allocating ---- */

static void *any_alloc(struct kmalloc *k, size_t bytes, size_t align) {
    if (bytes == 0) {
        return NULL;
    }
    if (bytes >= KMALLOC_PAGES_FROM || align > VM_PAGE) {
        return pages_alloc(k, bytes, align);
    }
    void *p = heaps_alloc(k, bytes, align);
    return p != NULL ? p : heaps_grow(k, bytes, align);
}

void *kmalloc(struct kmalloc *k, size_t bytes) {
    return any_alloc(k, bytes, 1);
}

void *kmalloc_aligned(struct kmalloc *k, size_t bytes, size_t align) {
    bool valid = align != 0 && (align & (align - 1)) == 0;
    return valid ? any_alloc(k, bytes, align) : NULL;
}

enum vm_status kfree(struct kmalloc *k, void *p) {
    struct kmalloc_segment *s = segment_find(k, p);
    if (p == NULL) {
        return VM_OK;
    }
    if (s == NULL) {
        struct frame *frame = pages_find(k, p);
        if (frame == NULL) {
            return VM_NOT_VALID;
        }
        pages_free(k, frame, p);
        return VM_OK;
    }
    if (k->ops->free(s->heap, p) != ALLOC_OK) {
        return VM_NOT_VALID;
    }
    if (--s->live == 0 && s != &k->segment[0]) {
        segment_end(k, s);
    }
    return VM_OK;
}

size_t kmalloc_usable(const struct kmalloc *k, const void *p) {
    const struct kmalloc_segment *s = segment_find(k, p);
    if (s != NULL) {
        return k->ops->usable(s->heap, p);
    }
    return pages_find(k, p) != NULL ? run_bytes(k->machine, p) : 0;
}

/* ---- resizing ---- */

static void *block_move(struct kmalloc *k, void *p, size_t kept, size_t bytes, size_t align) {
    void *to = any_alloc(k, bytes, align);
    if (to != NULL) {
        memcpy(to, p, kept < bytes ? kept : bytes);
        enum vm_status status = kfree(k, p);
        assert(status == VM_OK);
        (void)status;
    }
    return to;
}

/* In place where there are pages enough; a block that has become small moves to a heap if one has
 * room. */
static void *pages_resize(struct kmalloc *k, struct frame *frame, void *p, size_t bytes) {
    size_t usable = run_bytes(k->machine, p);
    if (bytes > usable) {
        return block_move(k, p, usable, bytes, frame->index);
    }
    void *small = NULL;
    if (bytes < VM_PAGE && frame->index <= VM_PAGE) {
        small = heaps_alloc(k, bytes, frame->index);
    }
    if (small != NULL) {
        memcpy(small, p, bytes);
        pages_free(k, frame, p);
        return small;
    }
    struct phys *phys = k->machine->phys;
    enum vm_status status = phys_shrink(phys, phys_of_host(phys, p), vm_pages((uint32_t)bytes));
    assert(status == VM_OK);
    (void)status;
    return p;
}

/* What alignment the block was asked with is known to its heap alone, so a block that leaves it
 * keeps the one it happens to have. */
static void *heap_resize(struct kmalloc *k, struct kmalloc_segment *s, void *p, size_t bytes) {
    size_t usable = k->ops->usable(s->heap, p);
    if (usable == 0) {
        return NULL;
    }
    void *resized =
        bytes < KMALLOC_PAGES_FROM || bytes <= usable ? k->ops->realloc(s->heap, p, bytes) : NULL;
    if (resized != NULL) {
        return resized;
    }
    size_t align = (uintptr_t)p & (0 - (uintptr_t)p);
    return block_move(k, p, usable, bytes, align < VM_PAGE ? align : VM_PAGE);
}

void *krealloc(struct kmalloc *k, void *p, size_t bytes) {
    if (p == NULL) {
        return kmalloc(k, bytes);
    }
    if (bytes == 0) {
        (void)kfree(k, p);
        return NULL;
    }
    struct kmalloc_segment *s = segment_find(k, p);
    if (s != NULL) {
        return heap_resize(k, s, p, bytes);
    }
    struct frame *frame = pages_find(k, p);
    return frame != NULL ? pages_resize(k, frame, p, bytes) : NULL;
}

/* ---- reports ---- */

vaddr_t kmalloc_address(const struct kmalloc *k, const void *p) {
    paddr_t pa = phys_of_host(k->machine->phys, p);
    uint32_t distance = pa - k->machine->ram.segment[0].base;
    return pa != PADDR_NONE && distance < KERNEL_BYTES ? KERNEL_BASE + distance : VADDR_NONE;
}

const char *kmalloc_check(const struct kmalloc *k) {
    uint32_t pages = 0;
    for (uint32_t i = 0; i < KMALLOC_SEGMENTS; i++) {
        const struct kmalloc_segment *s = &k->segment[i];
        if (s->start == NULL) {
            continue;
        }
        struct alloc_stats stats;
        const char *broken = k->ops->check != NULL ? k->ops->check(s->heap) : NULL;
        if (broken != NULL) {
            return broken;
        }
        pages += s->pages;
        k->ops->stats(s->heap, &stats);
        if (stats.live_blocks != s->live || (i > 0 && s->live == 0)) {
            return "kmalloc: blocks of a heap are counted wrong";
        }
    }
    return pages == k->pages ? NULL : "kmalloc: pages are counted wrong";
}
