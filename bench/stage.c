/* SPDX-License-Identifier: MIT
 * stage.c - see stage.h. */
#include "stage.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    FIXED_GRANULE = 8,
    FIXED_BLOCK_MAX = 1 << 20,
    FIXED_BLOCK_OVERHEAD = 16, /* room for a header of the allocator's own */
    FIXED_POOL_OVERHEAD = 4096,
    KEPT_POOL_MAX = 256 << 20, /* for allocators that never free */
    KEPT_BLOCK_OVERHEAD = 32,
    PAGE_BYTES = 4096,
};

bool stage_poolless(const struct alloc_ops *ops) {
    return (ops->caps & ALLOC_CAP_POOLLESS) != 0;
}

static size_t round_up(size_t bytes, size_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

/* Least multiple of FIXED_GRANULE that serves 99 % of the requests; 0 when FIXED_BLOCK_MAX does
 * not. The caller has checked that the table could be allocated. */
static uint32_t block_bytes_pick(const struct trace *trace, uint64_t *requests_of_granules) {
    uint64_t requests = 0;
    for (size_t i = 0; i < trace->op_count; i++) {
        if (trace->ops[i].kind != OP_FREE) {
            uint64_t granules =
                trace->ops[i].bytes / FIXED_GRANULE + (trace->ops[i].bytes % FIXED_GRANULE != 0);
            requests++;
            if (granules <= FIXED_BLOCK_MAX / FIXED_GRANULE) {
                requests_of_granules[granules]++;
            }
        }
    }
    uint64_t served = 0;
    for (uint32_t granules = 0; granules <= FIXED_BLOCK_MAX / FIXED_GRANULE; granules++) {
        served += requests_of_granules[granules];
        if (served * 100 >= requests * 99) {
            return granules == 0 ? FIXED_GRANULE : granules * FIXED_GRANULE;
        }
    }
    return 0;
}

static bool fixed_plan_make(const struct trace *trace, struct stage_plan *plan,
                            char why_not[STAGE_WHY_BYTES]) {
    uint64_t *table =
        calloc(FIXED_BLOCK_MAX / FIXED_GRANULE + 1, sizeof *table); /* requests by granules */
    plan->cfg.block_bytes = table != NULL ? block_bytes_pick(trace, table) : 0;
    free(table);
    if (plan->cfg.block_bytes == 0) {
        (void)snprintf(why_not, STAGE_WHY_BYTES,
                       "no block of up to %d KiB serves 99 %% of requests", FIXED_BLOCK_MAX / 1024);
        return false;
    }
    uint64_t bytes = (trace->counts.peak_live_blocks + 1) *
                         ((uint64_t)plan->cfg.block_bytes + FIXED_BLOCK_OVERHEAD) +
                     FIXED_POOL_OVERHEAD;
    if (bytes > STAGE_POOL_MAX) {
        (void)snprintf(why_not, STAGE_WHY_BYTES, "%llu blocks of %u bytes are too much memory",
                       (unsigned long long)trace->counts.peak_live_blocks, plan->cfg.block_bytes);
        return false;
    }
    plan->pool_bytes = round_up((size_t)bytes, FIXED_GRANULE);
    return true;
}

/* The most bytes live at once if every request takes whole pages; UINT64_MAX when memory is out. */
static uint64_t peak_in_pages(const struct trace *trace) {
    uint64_t *held = calloc((size_t)trace->counts.slots + 1, sizeof *held);
    uint64_t live = 0;
    uint64_t peak = held == NULL ? UINT64_MAX : 0;
    for (size_t i = 0; held != NULL && i < trace->op_count; i++) {
        const struct op *op = &trace->ops[i];
        live -= held[op->slot];
        held[op->slot] = 0;
        if (op->kind != OP_FREE && op->bytes <= STAGE_POOL_MAX) {
            held[op->slot] = round_up((size_t)op->bytes + (op->bytes == 0), PAGE_BYTES);
        }
        live += held[op->slot];
        peak = live > peak ? live : peak;
    }
    free(held);
    return peak;
}

/* What an allocator that never frees needs: every block ever, with room for header and rounding. */
static uint64_t kept_bytes(const struct trace *trace) {
    return trace->counts.total_bytes + trace->counts.ops * KEPT_BLOCK_OVERHEAD + STAGE_ALIGN;
}

bool stage_plan_make(const struct alloc_ops *ops, const struct trace *trace,
                     struct stage_plan *plan, char why_not[STAGE_WHY_BYTES]) {
    *plan = (struct stage_plan){0};
    why_not[0] = '\0';
    if (stage_poolless(ops)) {
        return true;
    }
    if ((ops->caps & ALLOC_CAP_FIXED_SIZE) != 0) {
        return fixed_plan_make(trace, plan, why_not);
    }
    bool frees = (ops->caps & ALLOC_CAP_FREES) != 0;
    uint64_t most = frees ? STAGE_POOL_MAX : KEPT_POOL_MAX;
    if (ops->pool_max != 0 && ops->pool_max < most) {
        most = ops->pool_max;
    }
    uint64_t peak = trace->counts.peak_live_bytes;
    if ((ops->caps & ALLOC_CAP_PAGES) != 0) {
        uint64_t pages = peak_in_pages(trace);
        if (pages / 2 > peak) {
            (void)snprintf(why_not, STAGE_WHY_BYTES,
                           "hands out pages, and most requests are far smaller than one");
            return false;
        }
        peak = pages;
    }
    uint64_t least = frees ? peak + peak / 8 : kept_bytes(trace);
    if (least < peak || least > most) {
        (void)snprintf(why_not, STAGE_WHY_BYTES,
                       frees ? "its peak does not fit a pool of %llu bytes"
                             : "never frees, and all its requests exceed %llu bytes",
                       (unsigned long long)most);
        return false;
    }
    uint64_t wanted = frees ? 4 * peak + STAGE_ALIGN : least;
    plan->pool_bytes = round_up((size_t)(wanted < most ? wanted : most - 7), 8);
    return true;
}

bool stage_memory_open(struct stage_memory *memory, size_t pool_bytes, size_t slot_count,
                       struct problem *problem) {
    *memory = (struct stage_memory){.slot_count = slot_count};
    memory->pool_bytes = round_up(pool_bytes + 1, STAGE_ALIGN);
    memory->mapping_bytes = memory->pool_bytes + STAGE_ALIGN;
    memory->mapping = mmap(NULL, memory->mapping_bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory->mapping == MAP_FAILED) {
        memory->mapping = NULL;
    } else {
        memory->slots = calloc(slot_count + 1, sizeof *memory->slots);
    }
    if (memory->slots == NULL) {
        size_t bytes = memory->mapping_bytes;
        stage_memory_close(memory);
        return problem_set(problem, "cannot map a pool of %zu bytes: %s", bytes, strerror(errno));
    }
    uintptr_t start = (uintptr_t)memory->mapping;
    memory->pool = (unsigned char *)memory->mapping + (STAGE_ALIGN - start % STAGE_ALIGN);
    return true;
}

void stage_memory_close(struct stage_memory *memory) {
    if (memory->mapping != NULL) {
        (void)munmap(memory->mapping, memory->mapping_bytes);
    }
    free(memory->slots);
    *memory = (struct stage_memory){0};
}

bool stage_ready(const struct stage *stage, struct replay *replay) {
    const struct stage_memory *memory = stage->memory;
    assert(stage->plan.pool_bytes <= memory->pool_bytes);
    assert(stage->trace->counts.slots <= memory->slot_count);
    memset(memory->slots, 0, memory->slot_count * sizeof *memory->slots);
    *replay = (struct replay){.ops = stage->ops,
                              .slots = memory->slots,
                              .op = stage->trace->ops,
                              .op_count = stage->trace->op_count,
                              .touch = stage->touch};
    replay->heap = stage->ops->init(memory->pool, stage->plan.pool_bytes, &stage->plan.cfg);
    return replay->heap != NULL;
}

bool stage_probe(struct stage *stage) {
    struct replay replay;
    if (!stage_ready(stage, &replay)) {
        return false;
    }
    bool pool = !stage_poolless(stage->ops);
    stage->plan.refusal_bytes = pool ? stage->plan.pool_bytes : SIZE_MAX / 2;
    if (pool && stage->ops->largest != NULL) {
        stage->plan.refusal_bytes = stage->ops->largest(replay.heap);
    }
    return true;
}

bool stage_refuses(const struct stage *stage, size_t bytes) {
    return bytes > stage->plan.refusal_bytes;
}
