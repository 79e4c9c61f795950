/* SPDX-License-Identifier: MIT
 *
 * import_android.c - traces of Android's memory_replay
 *
 *     TID: malloc   PTR SIZE                  times in ns may follow: ... START END
 *     TID: calloc   PTR COUNT SIZE
 *     TID: realloc  NEW OLD SIZE              the new pointer first; OLD 0x0: malloc
 *     TID: memalign PTR ALIGNMENT SIZE
 *     TID: free     PTR                       0x0: nothing happens
 *     TID: thread_done 0x0                    a later line of this TID is another thread
 *
 * Pointers are hex, all else is decimal. The order of lines is the order of calls. A pointer names
 * a block from its allocation to its free and may then name another. A call that returned 0x0
 * failed when it was recorded and is left out. realloc to 0 bytes is a free; when it returned a
 * block nevertheless, that is an allocation of 0 bytes.
 */
#include "importers.h"

#include <stdlib.h>
#include <string.h>

bool import_android(struct import *in);

enum { THREADS_MAX = UINT16_MAX + 1 };

struct android {
    struct import *in;
    uint64_t *tids; /* the tid of each thread so far; ENDED when done */
    size_t tid_count;
    size_t tid_last; /* index found last: most lines repeat it */
    uint16_t thread; /* of the current line */
    uint64_t failed;
    uint64_t null_frees;
    uint64_t odd_aligns;
    uint64_t emptied;
};

#define TID_ENDED UINT64_MAX

/* One call: the name, and how it is read. */
struct call {
    const char *name;
    bool (*read)(struct android *a);
};

static bool pointer_read(struct android *a, uint64_t *pointer, struct text_word *word) {
    *word = text_lines_word(&a->in->lines);
    bool hex = word->count > 2 && (word->start[1] | 0x20) == 'x';
    return (hex && text_word_number(*word, pointer)) ||
           text_lines_fault(&a->in->lines, *word, "a pointer in 0x hex", a->in->problem);
}

static bool size_read(struct android *a, uint64_t *bytes) {
    return import_number(a->in, bytes, "a size in bytes");
}

/* Two times in ns, or nothing. */
static bool times_read(struct android *a) {
    uint64_t time;
    if (text_lines_done(&a->in->lines)) {
        return true;
    }
    return import_number(a->in, &time, "the start in ns") &&
           import_number(a->in, &time, "the end in ns") &&
           text_lines_end(&a->in->lines, a->in->problem);
}

static bool alloc_push(struct android *a, uint64_t pointer, struct text_word word, struct op op) {
    if (pointer == 0) {
        a->failed++;
        return true;
    }
    return import_pushed(a->in,
                         trace_builder_alloc(a->in->builder, pointer, (enum op_kind)op.kind,
                                             op.bytes, op.align_log2, a->thread),
                         word);
}

static bool free_push(struct android *a, uint64_t pointer, struct text_word word) {
    return import_pushed(a->in, trace_builder_dispose(a->in->builder, pointer, a->thread), word);
}

static bool malloc_read(struct android *a) {
    uint64_t pointer;
    struct text_word word;
    struct op op = {.kind = OP_ALLOC};
    return pointer_read(a, &pointer, &word) && size_read(a, &op.bytes) && times_read(a) &&
           alloc_push(a, pointer, word, op);
}

static bool calloc_read(struct android *a) {
    uint64_t pointer;
    uint64_t count;
    struct text_word word;
    struct op op = {.kind = OP_CALLOC};
    if (!pointer_read(a, &pointer, &word) ||
        !import_number(a->in, &count, "a number of elements") || !size_read(a, &op.bytes) ||
        !times_read(a)) {
        return false;
    }
    if (op.bytes > 0 && count > UINT64_MAX / op.bytes) {
        return problem_set(a->in->problem,
                           "%s:%zu: calloc of elements x size beyond 64 bits, expected less",
                           a->in->lines.path, a->in->lines.number);
    }
    op.bytes *= count;
    return alloc_push(a, pointer, word, op);
}

/* The C library rounds an odd alignment up to a power of two. */
static uint8_t align_round(struct android *a, uint64_t align) {
    uint8_t log2 = 0;
    while (log2 < 63 && (uint64_t)1 << log2 < align) {
        log2++;
    }
    a->odd_aligns += align != (uint64_t)1 << log2;
    return log2;
}

static bool memalign_read(struct android *a) {
    uint64_t pointer;
    uint64_t align;
    struct text_word word;
    struct op op = {.kind = OP_ALIGNED};
    if (!pointer_read(a, &pointer, &word) || !import_number(a->in, &align, "an alignment") ||
        !size_read(a, &op.bytes) || !times_read(a)) {
        return false;
    }
    op.align_log2 = align_round(a, align);
    return alloc_push(a, pointer, word, op);
}

/* A realloc of two pointers and a size, of which any may be 0. */
struct resize {
    uint64_t new_pointer, old_pointer, bytes;
    struct text_word new_word, old_word;
};

static bool resize_push(struct android *a, const struct resize *r) {
    const struct op fresh = {.kind = OP_ALLOC, .bytes = r->bytes};
    if (r->old_pointer == 0) {
        return alloc_push(a, r->new_pointer, r->new_word, fresh);
    }
    if (r->bytes == 0) {
        a->emptied++;
        return free_push(a, r->old_pointer, r->old_word) &&
               (r->new_pointer == 0 || alloc_push(a, r->new_pointer, r->new_word, fresh));
    }
    if (r->new_pointer == 0) {
        a->failed++;
        return true;
    }
    enum trace_push push =
        trace_builder_realloc(a->in->builder, r->old_pointer, r->new_pointer, r->bytes, a->thread);
    return import_pushed(a->in, push, push == TRACE_PUSH_LIVE ? r->new_word : r->old_word);
}

static bool realloc_read(struct android *a) {
    struct resize r;
    return pointer_read(a, &r.new_pointer, &r.new_word) &&
           pointer_read(a, &r.old_pointer, &r.old_word) && size_read(a, &r.bytes) &&
           times_read(a) && resize_push(a, &r);
}

static bool free_read(struct android *a) {
    uint64_t pointer;
    struct text_word word;
    if (!pointer_read(a, &pointer, &word) || !times_read(a)) {
        return false;
    }
    if (pointer == 0) {
        a->null_frees++;
        return true;
    }
    return free_push(a, pointer, word);
}

static bool thread_done_read(struct android *a) {
    uint64_t pointer;
    struct text_word word;
    a->tids[a->tid_last] = TID_ENDED;
    return pointer_read(a, &pointer, &word) && times_read(a);
}

static const struct call calls[] = {
    {"malloc", malloc_read},     {"calloc", calloc_read}, {"realloc", realloc_read},
    {"memalign", memalign_read}, {"free", free_read},     {"thread_done", thread_done_read},
};

/* Finds the thread of a tid, or makes it the next one. */
static bool thread_find(struct android *a, uint64_t tid) {
    if (a->tid_last < a->tid_count && a->tids[a->tid_last] == tid) {
        return true;
    }
    for (size_t i = 0; i < a->tid_count; i++) {
        if (a->tids[i] == tid) {
            a->tid_last = i;
            return true;
        }
    }
    if (a->tid_count == THREADS_MAX) {
        return problem_set(a->in->problem, "%s:%zu: one thread more, expected at most %d",
                           a->in->lines.path, a->in->lines.number, THREADS_MAX);
    }
    a->tids[a->tid_count] = tid;
    a->tid_last = a->tid_count++;
    return true;
}

static bool line_read(struct android *a) {
    struct text_lines *lines = &a->in->lines;
    struct text_word tid_word;
    uint64_t tid;
    if (!text_lines_until(lines, ':', &tid_word) || !text_word_number(tid_word, &tid) ||
        tid == TID_ENDED) {
        return text_lines_fault(lines, text_lines_rest(lines), "the number of a thread and a colon",
                                a->in->problem);
    }
    if (!thread_find(a, tid)) {
        return false;
    }
    a->thread = (uint16_t)a->tid_last;
    struct text_word name = text_lines_word(lines);
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        if (text_word_is(name, calls[i].name)) {
            return calls[i].read(a);
        }
    }
    return text_lines_fault(lines, name, "malloc, calloc, realloc, memalign, free or thread_done",
                            a->in->problem);
}

static bool file_is_zip(const struct file_bytes *file) {
    return file->count >= 4 && memcmp(file->bytes, "PK\3\4", 4) == 0;
}

bool import_android(struct import *in) {
    if (file_is_zip(&in->file)) {
        return problem_set(in->problem, "%s: a zip archive, expected the text inside it: unzip it",
                           in->lines.path);
    }
    struct android a = {.in = in, .tids = malloc(THREADS_MAX * sizeof *a.tids)};
    if (a.tids == NULL) {
        return problem_set(in->problem, "%s: no memory to read it", in->lines.path);
    }
    bool read = true;
    while (read && text_lines_next(&in->lines)) {
        read = text_lines_done(&in->lines) || line_read(&a);
    }
    free(a.tids);
    import_note(in, a.failed, "calls that failed when recorded were left out");
    import_note(in, a.null_frees, "frees of 0x0 were left out");
    import_note(in, a.odd_aligns, "alignments were rounded up to a power of two");
    import_note(in, a.emptied, "reallocs to 0 bytes became frees");
    return read && import_take(in);
}
