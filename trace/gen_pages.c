/* SPDX-License-Identifier: MIT
 *
 * gen_pages.c - the page allocator of a small kernel; every request is a multiple of 4 KiB
 *
 *   file cache      single pages, sometimes read ahead in runs of 2 to 8; the oldest are dropped
 *                   when the cache is full, or a batch of them when pages are short
 *   processes       start and end as a whole: 1 to 3 pages of tables and 2 to 24 of memory of their
 *                   own, one at a time, and a kernel stack of 2
 *   slabs           1, 2, 4 or 8 pages for kernel objects, which live long and go at random
 *   DMA buffers     4 to 64 pages for a driver, powers of two or any number, for a short time
 *   frame buffers   two of 128 to 512 pages from the start; rarely one changes its size
 *
 * Live pages: cache up to 1024, processes about 300, slabs 120, DMA 60, frame buffers 256 to 1024.
 */
#include "generators.h"

#include <stdbool.h>
#include <stdlib.h>

void gen_pages(struct generator *g);

enum {
    PAGE_BYTES = 4096,
    CACHE_ROOM = 1024, /* runs remembered; a power of two */
    CACHE_PAGES = 1024,
    PROCESSES = 24,
    PROCESS_RUNS = 28,
    SLABS = 64,
    BUFFERS = 4,
    FRAMES = 2,
};

struct process {
    uint64_t run[PROCESS_RUNS];
    uint32_t runs;
};

struct held {
    uint64_t run;
    bool is;
};

struct kernel {
    struct generator *g;
    uint64_t cache[CACHE_ROOM]; /* a ring: the oldest at cache_oldest */
    uint32_t cache_pages_of[CACHE_ROOM];
    uint32_t cache_oldest, cache_next, cache_pages;
    struct process process[PROCESSES];
    struct held slab[SLABS], buffer[BUFFERS];
    uint64_t frame[FRAMES];
};

static uint64_t pages_alloc(struct generator *g, uint32_t pages) {
    return generator_alloc(g, (uint64_t)pages * PAGE_BYTES);
}

static void cache_drop(struct kernel *k) {
    uint32_t at = k->cache_oldest++ % CACHE_ROOM;
    generator_free(k->g, k->cache[at]);
    k->cache_pages -= k->cache_pages_of[at];
}

static void cache_read(struct kernel *k) {
    uint32_t pages = generator_below(k->g, 8) == 0 ? generator_between(k->g, 2, 8) : 1;
    while (k->cache_pages + pages > CACHE_PAGES || k->cache_next - k->cache_oldest == CACHE_ROOM) {
        cache_drop(k);
    }
    uint32_t at = k->cache_next++ % CACHE_ROOM;
    k->cache[at] = pages_alloc(k->g, pages);
    k->cache_pages_of[at] = pages;
    k->cache_pages += pages;
}

static void file_read(struct kernel *k) {
    for (uint32_t reads = generator_between(k->g, 1, 16); reads > 0; reads--) {
        cache_read(k);
    }
}

static void cache_shrink(struct kernel *k) {
    uint32_t runs = k->cache_next - k->cache_oldest;
    for (uint32_t drops = runs / 8; drops > 0; drops--) {
        cache_drop(k);
    }
}

static void process_grow(struct kernel *k, struct process *p, uint32_t runs) {
    for (; runs > 0 && p->runs < PROCESS_RUNS; runs--) {
        p->run[p->runs++] = pages_alloc(k->g, 1);
    }
}

/* Ends, starts, or faults a few more pages in. */
static void process_step(struct kernel *k) {
    struct process *p = &k->process[generator_below(k->g, PROCESSES)];
    if (p->runs == 0) {
        p->run[p->runs++] = pages_alloc(k->g, 2);
        process_grow(k, p, generator_between(k->g, 3, 8));
    } else if (p->runs == PROCESS_RUNS || generator_below(k->g, 8) == 0) {
        while (p->runs > 0) {
            generator_free(k->g, p->run[--p->runs]);
        }
    } else {
        process_grow(k, p, generator_between(k->g, 1, 8));
    }
}

static void held_toggle(struct kernel *k, struct held *held, uint32_t pages) {
    if (held->is) {
        generator_free(k->g, held->run);
    } else {
        held->run = pages_alloc(k->g, pages);
    }
    held->is = !held->is;
}

static void buffer_toggle(struct kernel *k) {
    uint32_t pages = generator_between(k->g, 4, 64);
    if (generator_below(k->g, 2) == 0) {
        pages = 4u << generator_below(k->g, 5);
    }
    held_toggle(k, &k->buffer[generator_below(k->g, BUFFERS)], pages);
}

static void slab_toggle(struct kernel *k) {
    uint32_t pages = 1u << generator_below(k->g, 4); /* drawn first on every machine */
    held_toggle(k, &k->slab[generator_below(k->g, SLABS)], pages);
}

static uint64_t frame_alloc(struct generator *g) {
    return pages_alloc(g, generator_between(g, 128, 512));
}

static void frame_change(struct kernel *k) {
    uint32_t i = generator_below(k->g, FRAMES);
    generator_free(k->g, k->frame[i]);
    k->frame[i] = frame_alloc(k->g);
}

static void event_handle(struct kernel *k) {
    uint32_t dice = generator_below(k->g, 1000);
    if (dice < 400) {
        file_read(k);
    } else if (dice < 780) {
        process_step(k);
    } else if (dice < 900) {
        slab_toggle(k);
    } else if (dice < 985) {
        buffer_toggle(k);
    } else if (dice < 998) {
        cache_shrink(k);
    } else {
        frame_change(k);
    }
}

void gen_pages(struct generator *g) {
    struct kernel *k = generator_memory(g, 1, sizeof *k);
    if (k == NULL) {
        return;
    }
    k->g = g;
    for (uint32_t i = 0; i < FRAMES; i++) {
        k->frame[i] = frame_alloc(g);
    }
    while (generator_room(g) > 0) {
        event_handle(k);
    }
    free(k);
}
