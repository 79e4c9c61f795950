/* SPDX-License-Identifier: MIT
 * gbench_micro.c - micro-benchmarks (micro.h) as benchmarks of Google Benchmark. */
#include "gbench_cases.h"

#include "gbench_shim.h"
#include "micro.h"
#include "stage.h"
#include "tick.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = 128 };

struct entry {
    const char *name;
    const struct micro *micro;
};

static const struct entry entries[] = {
#define X(name) {#name, &micro_##name},
#include "micro_list.h"
#undef X
};
enum { ENTRIES = sizeof entries / sizeof entries[0] };

struct micro_case {
    struct gbench_cases *cases;
    const struct micro *micro;
    const struct alloc_ops *ops;
    size_t arg;
};

static struct micro_case *all_cases;

static const char *micro_unfit(const struct alloc_ops *ops, const struct micro *micro) {
    bool one_size = (ops->caps & (ALLOC_CAP_FIXED_SIZE | ALLOC_CAP_PAGES)) != 0;
    if ((ops->caps & ALLOC_CAP_FREES) == 0) {
        return "never frees";
    }
    if ((micro->needs & MICRO_NEEDS_SIZES) != 0 && one_size) {
        return "one block size";
    }
    if ((micro->needs & MICRO_NEEDS_ALIGNED) != 0 && ops->alloc_aligned == NULL) {
        return "no alloc_aligned";
    }
    if ((micro->needs & MICRO_NEEDS_REALLOC) != 0 && ops->realloc == NULL) {
        return "no realloc";
    }
    return NULL;
}

/* Rounds without reset() are timed as a loop. */
static bool loop_run(struct gbench_run *run, const struct micro *micro, struct micro_heap *h) {
    while (gbench_more(run, micro->batch_ops)) {
        if (!micro->batch(h)) {
            return false;
        }
    }
    return true;
}

static bool rounds_run(struct gbench_run *run, const struct micro *micro, struct micro_heap *h) {
    static uint64_t overhead;
    static double ns;
    if (ns == 0) {
        overhead = tick_overhead();
        ns = tick_ns();
    }
    while (gbench_more(run, micro->batch_ops)) {
        if (!micro->reset(h)) {
            return false;
        }
        uint64_t begin = tick_begin();
        bool done = micro->batch(h);
        uint64_t ticks = tick_end() - begin;
        gbench_took(run, (double)(ticks > overhead ? ticks - overhead : 0) * ns * 1e-9);
        if (!done) {
            return false;
        }
    }
    return true;
}

static void micro_run(struct gbench_run *run, void *ctx) {
    const struct micro_case *c = ctx;
    const struct micro *micro = c->micro;
    static struct micro_heap h;
    static struct stage_memory memory;
    struct problem problem;
    size_t bytes = c->cases->micro_pool_bytes;
    if (c->ops->pool_max != 0 && bytes > c->ops->pool_max) {
        bytes = c->ops->pool_max;
    }
    if (memory.pool == NULL &&
        !stage_memory_open(&memory, c->cases->micro_pool_bytes, 1, &problem)) {
        gbench_fail(run, problem.text);
        return;
    }
    struct alloc_cfg cfg = {0};
    if ((c->ops->caps & ALLOC_CAP_FIXED_SIZE) != 0) {
        cfg.block_bytes = (uint32_t)micro->block_bytes(c->arg);
    }
    h = (struct micro_heap){.ops = c->ops, .arg = c->arg};
    h.heap = c->ops->init(memory.pool, bytes, &cfg);
    if (h.heap == NULL) {
        gbench_fail(run, "init() refused the pool, expected --pool to be larger");
        return;
    }
    bool served = micro->prepare == NULL || micro->prepare(&h);
    served =
        served && (micro->reset != NULL ? rounds_run(run, micro, &h) : loop_run(run, micro, &h));
    if (!served && bytes < c->cases->micro_pool_bytes) {
        gbench_skip(run, "needs more memory than the allocator can manage");
    } else if (!served) {
        gbench_fail(run, "a request failed, expected --pool to be larger");
    }
    micro_shrink(&h, 0);
}

static void case_add(struct micro_case *c, const char *name) {
    char text[NAME_BYTES];
    (void)snprintf(text, sizeof text, "micro/%s/%s/%zu", c->ops->name, name, c->arg);
    gbench_add(text, micro_run, c, c->micro->reset != NULL ? GBENCH_CLOCK_OWN : GBENCH_CLOCK_LOOP);
}

/* A line for each reason: "skipped: micro/bump: never frees: pair lifo fifo". */
static void unfit_report(const struct alloc_ops *ops) {
    const char *last = NULL;
    for (size_t e = 0; e < ENTRIES; e++) {
        const char *why = micro_unfit(ops, entries[e].micro);
        if (why != NULL && why != last) {
            fprintf(stderr, "%sskipped: micro/%s: %s:", last != NULL ? "\n" : "", ops->name, why);
            last = why;
        }
        if (why != NULL) {
            fprintf(stderr, " %s", entries[e].name);
        }
    }
    fputs(last != NULL ? "\n" : "", stderr);
}

bool gbench_micro_add(struct gbench_cases *cases) {
    size_t allocators = cases->selection->allocator_count;
    all_cases = calloc(ENTRIES * MICRO_ARGS * allocators + 1, sizeof *all_cases);
    if (all_cases == NULL) {
        return false;
    }
    struct micro_case *next = all_cases;
    for (size_t e = 0; e < ENTRIES; e++) {
        for (size_t k = 0; k < MICRO_ARGS && entries[e].micro->args[k] != 0; k++) {
            for (size_t i = 0; i < allocators; i++) {
                const struct alloc_ops *ops = cases->selection->ops[i];
                if (micro_unfit(ops, entries[e].micro) == NULL) {
                    *next = (struct micro_case){cases, entries[e].micro, ops,
                                                entries[e].micro->args[k]};
                    case_add(next++, entries[e].name);
                }
            }
        }
    }
    for (size_t i = 0; i < allocators; i++) {
        unfit_report(cases->selection->ops[i]);
    }
    return true;
}

void gbench_micro_release(void) {
    free(all_cases);
    all_cases = NULL;
}
