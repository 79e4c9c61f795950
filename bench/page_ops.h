/* SPDX-License-Identifier: MIT
 *
 * page_ops.h - traces of what processes do with pages: map, touch, fork, unmap, exit
 *
 * A text file, one operation a line, '#' begins a comment. Spaces and the mappings of each are
 * numbered from 0; space 0 is there at the start.
 *
 *   map S M PAGES      space S maps that many pages, anonymous, private: its mapping M
 *   unmap S M
 *   read S M PAGE      touches one page of it
 *   write S M PAGE
 *   fork S T           space T becomes a copy of S
 *   exit S
 */
#ifndef HEAPRIG_PAGE_OPS_H
#define HEAPRIG_PAGE_OPS_H

#include "../trace/problem.h"
#include "../vm/machine.h"

enum { PAGE_SPACES = 64, PAGE_MAPPINGS = 32, PAGE_MAP_MAX = 4096 };

enum page_op_kind { PAGE_MAP, PAGE_UNMAP, PAGE_READ, PAGE_WRITE, PAGE_FORK, PAGE_EXIT, PAGE_KINDS };

struct page_op {
    uint8_t kind; /* enum page_op_kind */
    uint8_t space;
    uint8_t mapping; /* or the space that a fork makes */
    uint32_t pages;  /* of a mapping, or which page is touched */
};

struct page_trace {
    struct page_op *ops; /* owned */
    size_t count;
};

/* Reads a file, or makes `gen:shell[:SEED[:OPS]]`: a shell that starts programs, which write to
 * what they inherit, map buffers, touch them in runs, and end. False and *problem when it cannot be
 * read, a line is no operation, or it names a space, mapping or page that is not there; or when
 * memory is out. The caller releases *out. */
bool page_trace_load(const char *spec, struct page_trace *out, struct problem *problem);
void page_trace_release(struct page_trace *trace);

/* One line, without line end, into text[64]. */
void page_op_text(const struct page_op *op, char text[64]);

struct page_result {
    uint64_t done;    /* operations that succeeded */
    uint64_t refused; /* and that found no memory; what depends on them is left out */
    uint32_t peak_frames;
};

/* Runs all operations on a machine without other spaces, and ends the spaces that are left. */
void page_trace_run(const struct page_trace *trace, struct machine *machine,
                    struct page_result *result);

#endif
