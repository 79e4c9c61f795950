/* SPDX-License-Identifier: MIT
 *
 * pages_speed_main.c - vm/phys beside tlsf on the same runs of pages
 *
 *   pages_speed [TRACE]           interleaved rounds: ns an operation of each, and the ratio
 *   pages_speed TRACE tlsf|phys   that one alone, one round, for counting instructions
 *
 * TRACE is what `heaprig bench` takes; gen:pages by default. Each request is rounded up to whole
 * pages for both, so tlsf gets the same runs.
 */
#include "../trace/trace.h"
#include "../vm/phys.h"
#include "tick.h"

#include "../alloc/alloc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 31, RAM_BYTES = 64 << 20 };
#define RAM_BASE 0x80000000u

extern const struct alloc_ops tlsf_ops;

struct runs {
    const struct op *op;
    size_t count;
    void **block;
    paddr_t *address;
};

/* A realloc is a free and an allocation: page allocators have no other. */
static __attribute__((noinline)) uint64_t tlsf_run(const struct runs *runs, struct alloc *heap) {
    uint64_t refused = 0;
    for (size_t i = 0; i < runs->count; i++) {
        const struct op *op = &runs->op[i];
        if (op->kind == OP_FREE || op->kind == OP_REALLOC) {
            (void)tlsf_ops.free(heap, runs->block[op->slot]);
        }
        if (op->kind != OP_FREE) {
            size_t bytes = (size_t)vm_pages((uint32_t)op->bytes) << VM_PAGE_LOG;
            runs->block[op->slot] = tlsf_ops.alloc(heap, bytes);
            refused += runs->block[op->slot] == NULL;
        }
    }
    return refused;
}

static __attribute__((noinline)) uint64_t phys_run(const struct runs *runs, struct phys *phys) {
    uint64_t refused = 0;
    for (size_t i = 0; i < runs->count; i++) {
        const struct op *op = &runs->op[i];
        if (op->kind == OP_FREE || op->kind == OP_REALLOC) {
            (void)phys_free(phys, runs->address[op->slot]);
        }
        if (op->kind != OP_FREE) {
            runs->address[op->slot] = phys_alloc(phys, vm_pages((uint32_t)op->bytes));
            refused += runs->address[op->slot] == PADDR_NONE;
        }
    }
    return refused;
}

/* ns an operation of a round on a fresh heap; negative when runs were refused. */
static double tlsf_round(const struct runs *runs, void *pool) {
    struct alloc *heap = tlsf_ops.init(pool, RAM_BYTES, NULL);
    uint64_t begin = tick_cpu_ns();
    uint64_t refused = tlsf_run(runs, heap);
    uint64_t took = tick_cpu_ns() - begin;
    return refused == 0 ? (double)took / (double)runs->count : -1;
}

static double phys_round(const struct runs *runs) {
    const struct phys_range range = {RAM_BASE, RAM_BYTES};
    struct phys *phys;
    if (phys_new(&range, 1, &phys) != VM_OK) {
        return -1;
    }
    uint64_t begin = tick_cpu_ns();
    uint64_t refused = phys_run(runs, phys);
    uint64_t took = tick_cpu_ns() - begin;
    phys_delete(phys);
    return refused == 0 ? (double)took / (double)runs->count : -1;
}

static int by_size(const void *x, const void *y) {
    double a = *(const double *)x;
    double b = *(const double *)y;
    return a < b ? -1 : a > b;
}

/* Rounds of both in turn, so that what disturbs one disturbs the other. */
static int both_run(const struct runs *runs, void *pool) {
    double tlsf[ROUNDS], phys[ROUNDS], ratio[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        tlsf[i] = tlsf_round(runs, pool);
        phys[i] = phys_round(runs);
        ratio[i] = phys[i] / tlsf[i];
        if (tlsf[i] < 0 || phys[i] < 0) {
            fprintf(stderr, "pages_speed: a run was refused, expected room in %d MiB for all\n",
                    RAM_BYTES >> 20);
            return 2;
        }
    }
    qsort(tlsf, ROUNDS, sizeof tlsf[0], by_size);
    qsort(phys, ROUNDS, sizeof phys[0], by_size);
    qsort(ratio, ROUNDS, sizeof ratio[0], by_size);
    printf(
        "tlsf %.1f ns, phys %.1f ns an operation; ratio %.2f (%.2f to %.2f in the middle half of "
        "%d rounds), target 0.50\n",
        tlsf[ROUNDS / 2], phys[ROUNDS / 2], ratio[ROUNDS / 2], ratio[ROUNDS / 4],
        ratio[ROUNDS * 3 / 4], ROUNDS);
    return 0;
}

int main(int argc, char **argv) {
    struct trace trace = {0};
    struct problem problem;
    const char *spec = argc > 1 ? argv[1] : "gen:pages";
    const char *only = argc > 2 ? argv[2] : NULL;
    if (argc > 3 || (only != NULL && strcmp(only, "tlsf") != 0 && strcmp(only, "phys") != 0)) {
        fprintf(stderr, "pages_speed: expected [TRACE [tlsf|phys]]\n");
        return 2;
    }
    if (!trace_load(spec, &trace, &problem)) {
        fprintf(stderr, "pages_speed: %s\n", problem.text);
        return 2;
    }
    struct runs runs = {.op = trace.ops, .count = trace.op_count};
    runs.block = calloc(trace.counts.slots + 1, sizeof runs.block[0]);
    runs.address = calloc(trace.counts.slots + 1, sizeof runs.address[0]);
    void *pool = aligned_alloc(VM_PAGE, RAM_BYTES);
    int status = 2;
    if (runs.block != NULL && runs.address != NULL && pool != NULL) {
        memset(pool, 1, RAM_BYTES); /* no page faults of the host's */
        if (only == NULL) {
            status = both_run(&runs, pool);
        } else {
            bool tlsf = strcmp(only, "tlsf") == 0;
            status = (tlsf ? tlsf_round(&runs, pool) : phys_round(&runs)) >= 0 ? 0 : 2;
        }
    }
    free(pool);
    free(runs.address);
    free(runs.block);
    trace_release(&trace);
    return status;
}
