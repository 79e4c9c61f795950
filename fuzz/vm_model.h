/* SPDX-License-Identifier: MIT
 *
 * vm_model.h - what address spaces must look like, as plain arrays
 *
 * One entry for each page of three windows of a space, holding what the page shows and may do. No
 * trees, tables, reference counts or copying on write: a private page has its contents by value, a
 * shared one names a cell. Contents are the first and the last word of a page.
 */
#ifndef HEAPRIG_VM_MODEL_H
#define HEAPRIG_VM_MODEL_H

#include "../vm/mmap.h"

enum {
    MODEL_LOW = 64,  /* pages around a MiB boundary, for fixed mappings and hints */
    MODEL_HEAP = 48, /* from USER_HEAP */
    MODEL_MAP = 256, /* from USER_MAP */
    MODEL_PAGES = MODEL_LOW + MODEL_HEAP + MODEL_MAP,
    MODEL_SPACES = 4,
    MODEL_FILES = 2,
    MODEL_FILE_PAGES = 12,
    MODEL_SEGMENTS = 3,
    MODEL_SEGMENT_PAGES = 6,
    MODEL_CELLS = 4096,
    MODEL_WORDS = 2,
};

enum model_kind { MODEL_NONE, MODEL_ANON, MODEL_FILE, MODEL_SEGMENT };

struct model_page {
    enum model_kind kind;
    uint32_t region; /* neighbours of one region have the same number */
    int prot;
    bool shared, heap;
    bool may_write; /* mprotect may make a shared one writable */
    bool own;       /* contents by value, below; else those of the cell */
    uint32_t cell;
    uint32_t offset; /* page of the file */
    uint32_t file;
    uint32_t attach; /* number of the attachment */
    uint32_t word[MODEL_WORDS];
};

struct model_attach {
    uint32_t number; /* 0: none */
    vaddr_t base;
    int segment;
};

struct model_space {
    bool live;
    struct model_page page[MODEL_PAGES];
    vaddr_t heap_now;
};

struct model_segment {
    bool live, removed;
    int id; /* of the machine */
    uint32_t pages;
    uint32_t cell; /* of its first page */
};

struct model {
    struct model_space space[MODEL_SPACES];
    struct model_segment segment[MODEL_SEGMENTS];
    struct model_attach attach[256];
    uint32_t attaches;
    uint32_t cell[MODEL_CELLS][MODEL_WORDS];
    uint32_t cells;
    uint32_t regions;
};

/* Cell of a page of a file. */
static inline uint32_t model_file_cell(uint32_t file, uint32_t page) {
    return file * MODEL_FILE_PAGES + page;
}

/* Where a window's page lies, and back; -1 outside of all windows. */
vaddr_t model_address(uint32_t index);
int model_index(vaddr_t va);

/* Pages from this one to the end of its window. */
uint32_t model_room(uint32_t index);

/* So many cells of zeros, the number of the first; MODEL_CELLS when they are used up. */
uint32_t model_cells(struct model *m, uint32_t count);

/* The contents of a page, NULL where nothing is mapped. */
uint32_t *model_words(struct model *m, struct model_page *page);

/* Whether the pages are all of one region. */
bool model_one_region(const struct model_space *s, uint32_t index, uint32_t pages);
bool model_free(const struct model_space *s, uint32_t index, uint32_t pages);
bool model_touches_heap(const struct model_space *s, uint32_t index, uint32_t pages);

/* First gap of the map window; -1 if there is none in it. */
int model_gap(const struct model_space *s, uint32_t pages);

void model_unmap(struct model_space *s, uint32_t index, uint32_t pages);

/* Attachments of the segment in all spaces. */
uint32_t model_attached(const struct model *m, int segment);

#endif
