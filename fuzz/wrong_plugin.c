/* SPDX-License-Identifier: MIT
 *
 * wrong_plugin.c - a first fit of bounded size, wrong in one of the ways users' allocators are
 *
 * Built by fuzz_test.sh with -DWRONG=1 and so on, which says what each is and how the report has to
 * name it; with 0, as in every build, it is right.
 */
#include "../alloc/alloc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef WRONG
#define WRONG 0
#endif

enum { OVERFLOWS = 1, OVERCOPIES, ALIGN_LOST, TWICE, BEHIND, HANGS, EXITS, GARBAGE };

/* Pieces lie one behind the other; each has a header of 16 bytes before its payload. */
struct piece {
    size_t bytes; /* of the payload, a multiple of 16 */
    size_t live;
};

struct alloc {
    char *first, *end;
    size_t calls;
};

static struct alloc *wrong_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    uintptr_t start = ((uintptr_t)pool + 15) & ~(uintptr_t)15;
    uintptr_t end = ((uintptr_t)pool + pool_bytes) & ~(uintptr_t)15;
    (void)cfg;
    if (pool == NULL || end < start || end - start < 32 + sizeof(struct piece) + 16) {
        return NULL;
    }
    struct alloc *a = (void *)start;
    *a = (struct alloc){(char *)a + 32, (char *)end, 0};
    *(struct piece *)(void *)a->first =
        (struct piece){(size_t)(a->end - a->first) - sizeof(struct piece), 0};
    return a;
}

static struct piece *next_of(const struct piece *piece) {
    return (void *)((char *)(uintptr_t)piece + sizeof *piece + piece->bytes);
}

static void joined(const struct alloc *a, struct piece *piece) {
    while (piece->live == 0 && (char *)next_of(piece) < a->end && next_of(piece)->live == 0) {
        piece->bytes += sizeof *piece + next_of(piece)->bytes;
    }
}

static void *wrong_alloc(struct alloc *a, size_t bytes) {
    if (bytes == 0 || (WRONG != OVERFLOWS && bytes > SIZE_MAX - 15)) {
        return NULL;
    }
    size_t need = (bytes + 15) & ~(size_t)15;
    a->calls++;
    while (WRONG == HANGS && a->calls > 40) {
        __asm__ volatile("");
    }
    if (WRONG == EXITS && a->calls > 40) {
        _exit(3);
    }
    if (WRONG == GARBAGE && a->calls > 40) {
        return (void *)(uintptr_t)0x10;
    }
    for (struct piece *piece = (void *)a->first; (char *)piece < a->end; piece = next_of(piece)) {
        joined(a, piece);
        if (piece->live == 0 && piece->bytes >= need) {
            if (piece->bytes >= need + sizeof *piece + 16) {
                size_t rest = piece->bytes - need - sizeof *piece;
                piece->bytes = need;
                *next_of(piece) = (struct piece){rest, 0};
            }
            piece->live = WRONG != TWICE || a->calls % 32 != 0;
            if (WRONG == BEHIND && (char *)next_of(piece) == a->end) {
                a->end[15] = 1;
            }
            return piece + 1;
        }
    }
    return NULL;
}

/* A larger block is taken and a piece in the middle of it made a block. */
static void *wrong_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    if (align == 0 || (align & (align - 1)) != 0 || bytes == 0) {
        return NULL;
    }
    if (align <= 16) {
        return wrong_alloc(a, bytes);
    }
    if (bytes > SIZE_MAX / 4 || align > SIZE_MAX / 4) {
        return NULL;
    }
    char *payload = wrong_alloc(a, bytes + align + 2 * sizeof(struct piece));
    if (payload == NULL || ((uintptr_t)payload & (align - 1)) == 0) {
        return payload;
    }
    struct piece *front = (struct piece *)(void *)payload - 1;
    char *aligned = (char *)(((uintptr_t)payload + sizeof *front + align - 1) & ~(align - 1));
    struct piece *back = (struct piece *)(void *)aligned - 1;
    *back = (struct piece){(size_t)((char *)next_of(front) - aligned), 1};
    *front = (struct piece){(size_t)((char *)back - payload), 0};
    return aligned;
}

static size_t wrong_usable(const struct alloc *a, const void *p) {
    (void)a;
    return ((const struct piece *)p)[-1].bytes;
}

static enum alloc_status wrong_free(struct alloc *a, void *p) {
    (void)a;
    if (p != NULL) {
        ((struct piece *)p)[-1].live = 0;
    }
    return ALLOC_OK;
}

static void *wrong_realloc(struct alloc *a, void *p, size_t bytes) {
    if (p == NULL || bytes == 0) {
        (void)wrong_free(a, p);
        return bytes == 0 ? NULL : wrong_alloc(a, bytes);
    }
    size_t old = wrong_usable(a, p);
    if (bytes <= old) {
        return p;
    }
    size_t align = WRONG == ALIGN_LOST ? 16 : (uintptr_t)p & (~(uintptr_t)p + 1);
    void *moved = wrong_alloc_aligned(a, bytes, align);
    if (moved != NULL) {
        memcpy(moved, p, WRONG == OVERCOPIES ? wrong_usable(a, moved) + 16 : old);
        (void)wrong_free(a, p);
    }
    return moved;
}

const struct alloc_ops heaprig_allocator = {
    .abi = ALLOC_ABI,
    .caps = ALLOC_CAP_FREES,
    .name = "wrong",
    .summary = "a first fit to plant faults in",
    .init = wrong_init,
    .alloc = wrong_alloc,
    .alloc_aligned = WRONG == 0 || WRONG == ALIGN_LOST ? wrong_alloc_aligned : NULL,
    .realloc = wrong_realloc,
    .free = wrong_free,
    .usable = wrong_usable,
};
