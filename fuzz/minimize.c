/* SPDX-License-Identifier: MIT
 * minimize.c - delta debugging of scripts. */
#include "minimize_work.h"

#include <stdlib.h>
#include <string.h>

/* ---- candidates ---- */

void work_name(struct work *work) {
    uint32_t count = 0;
    memset(work->slot_names, 0, work->slot_count * sizeof *work->slot_names);
    for (uint32_t i = 0; i < work->next.op_count; i++) {
        uint32_t *name = &work->slot_names[work->next.ops[i].slot];
        *name = *name == 0 ? ++count : *name;
        work->next.ops[i].slot = *name - 1;
    }
}

void work_mend(struct work *work) {
    struct script *next = &work->next;
    uint32_t kept = 0, extra = 0;
    memset(work->slot_full, 0, work->slot_count);
    for (uint32_t i = 0; i < next->op_count; i++) {
        struct op op = next->ops[i];
        uint8_t *full = &work->slot_full[op.slot];
        for (; extra < next->extra_count && next->extras[extra].after <= i; extra++) {
            next->extras[extra].after = kept;
        }
        if (op.kind == OP_FREE && !*full) {
            continue;
        }
        if (op.kind == OP_REALLOC && !*full) {
            op.kind = OP_ALLOC;
        } else if (op.kind != OP_FREE && *full) {
            op.kind = OP_REALLOC;
            op.align_log2 = 0;
        }
        *full = op.kind != OP_FREE;
        next->ops[kept++] = op;
    }
    for (; extra < next->extra_count; extra++) {
        next->extras[extra].after = kept;
    }
    next->op_count = kept;
}

bool work_may_run(const struct work *work) {
    return work->how->runs_max == 0 || work->how->runs < work->how->runs_max;
}

bool work_try(struct work *work) {
    struct judge_outcome outcome;
    if (!work_may_run(work)) {
        return false;
    }
    work_mend(work);
    work_name(work);
    if (script_lines(&work->next) > script_lines(work->best) &&
        work->next.op_count >= work->best->op_count) {
        return false; /* smaller numbers are no use when it takes more to say them */
    }
    if (work->failed || work->next.op_count == 0 ||
        !judge_script(work->how->judge, &work->next, &outcome, work->problem)) {
        work->failed |= work->next.op_count != 0;
        return false;
    }
    work->how->runs++;
    bool same = judge_same(&outcome, &work->how->target);
    if (same) {
        script_copy(work->best, &work->next);
        work->how->target = outcome;
    }
    if (work->how->progress != NULL) {
        work->how->progress(work->how->ctx, work->how->runs, work->best->op_count);
    }
    return same;
}

/* ---- fewer steps ---- */

/* Of so many steps each pair is tried. */
enum { PAIRED_STEPS = 32 };

/* Steps are ops and extras in the order they run; `step` counts extras first. */
uint32_t work_steps(const struct script *script) {
    return script->extra_count + script->op_count;
}

/* Steps to leave out: [from, to), and one further. */
struct gap {
    uint32_t from, to, also;
};

static bool gap_has(const void *ctx, uint32_t step) {
    const struct gap *gap = ctx;
    return (step >= gap->from && step < gap->to) || step == gap->also;
}

void work_without(struct work *work, work_left_out_fn *left_out, const void *ctx) {
    const struct script *best = work->best;
    struct script *next = &work->next;
    uint32_t extra = 0, step = 0;
    next->setup = best->setup;
    next->op_count = 0;
    next->extra_count = 0;
    for (uint32_t i = 0; i <= best->op_count; i++) {
        for (; extra < best->extra_count && best->extras[extra].after == i; extra++, step++) {
            if (!left_out(ctx, step)) {
                next->extras[next->extra_count] = best->extras[extra];
                next->extras[next->extra_count++].after = next->op_count;
            }
        }
        if (i < best->op_count) {
            if (!left_out(ctx, step)) {
                next->ops[next->op_count++] = best->ops[i];
            }
            step++;
        }
    }
}

/* Chunks from half of all steps down to one, from the end, where what is superfluous mostly is. */
static bool steps_shrink(struct work *work) {
    bool shrunk = false;
    for (uint32_t chunk = (work_steps(work->best) + 1) / 2; chunk > 0 && !work->failed;
         chunk = chunk > 1 ? (chunk + 1) / 2 : 0) {
        for (uint32_t to = work_steps(work->best); to > 0 && !work->failed;) {
            uint32_t from = to > chunk ? to - chunk : 0;
            work_without(work, gap_has, &(struct gap){from, to, UINT32_MAX});
            shrunk |= work_try(work);
            to = from < work_steps(work->best) ? from : work_steps(work->best);
        }
    }
    return shrunk;
}

/* Pairs of steps that can only go together, such as two that cancel out. */
static bool pairs_shrink(struct work *work) {
    bool shrunk = false;
    for (uint32_t last = work_steps(work->best); last > 1 && last <= PAIRED_STEPS;) {
        last--;
        for (uint32_t first = last; first > 0 && last < work_steps(work->best) && !work->failed;) {
            first--;
            work_without(work, gap_has, &(struct gap){last, last + 1, first});
            shrunk |= work_try(work);
        }
    }
    return shrunk;
}

/* ---- steps whose blocks leave room behind ---- */

/* Moves misuse that comes after `ops` ops by so many bytes, up or down. */
static void misuse_shift(struct script *script, uint32_t ops, int64_t bytes) {
    for (uint32_t i = 0; i < script->extra_count; i++) {
        struct script_extra *extra = &script->extras[i];
        if (extra->kind != SCRIPT_REGION && extra->after >= ops) {
            extra->offset += bytes;
        }
    }
}

/* What the block of such a request may take from the pool: with a header of 4 bytes and at least
 * 16, without one, or a power of two. */
enum { HEADER, NO_HEADER, POWER, EXTENTS };

static uint64_t block_extent(uint64_t bytes, int how) {
    uint64_t extent = (bytes + (how == HEADER ? 4 : 0) + 7) / 8 * 8;
    if (how == HEADER && extent < 16) {
        return 16;
    }
    if (how == POWER) {
        for (extent = 16; extent < bytes;) {
            extent *= 2;
        }
    }
    return extent;
}

/* What becomes of the room of a block: what lies behind moves down, or before it up, or the op
 * before takes it. */
enum { DOWN, UP, FILL, CLOSINGS };

/* Leaves out op `i`, an alloc, and closes the room of its block. */
static bool room_close(struct work *work, uint32_t i, int how, int closing) {
    struct script *next = &work->next;
    int64_t extent = (int64_t)block_extent(work->best->ops[i].bytes, how);
    script_copy(next, work->best);
    if (closing == FILL) {
        uint64_t *bytes = &next->ops[i - 1].bytes;
        *bytes = block_extent(*bytes, how) + (uint64_t)extent - (how == HEADER ? 4 : 0);
    } else {
        misuse_shift(next, i + 1, closing == DOWN ? -extent : extent);
    }
    memmove(&next->ops[i], &next->ops[i + 1], (next->op_count - i - 1) * sizeof *next->ops);
    next->op_count--;
    for (uint32_t e = 0; e < next->extra_count; e++) {
        next->extras[e].after -= next->extras[e].after > i;
    }
    return work_try(work);
}

static bool has_room(const struct op *op) {
    return op->kind == OP_ALLOC && op->bytes <= SCRIPT_POOL_MAX;
}

static bool rooms_shrink(struct work *work) {
    bool shrunk = false;
    for (uint32_t i = work->best->op_count; i > 0 && !work->failed;) {
        i--;
        const struct op *ops = work->best->ops;
        bool gone = !has_room(&ops[i]);
        bool fills = i > 0 && has_room(&ops[i - 1]);
        for (int try = 0; try < EXTENTS * CLOSINGS && !gone && !work->failed; try++) {
            int closing = try % CLOSINGS;
            bool applies = closing == FILL ? fills : work->best->extra_count > 0;
            gone = applies && room_close(work, i, try / CLOSINGS, closing);
            shrunk |= gone;
        }
    }
    return shrunk;
}

/* ---- smaller numbers ---- */

/* Tries value after value from the smallest on; `set` puts one into `next`. */
static bool value_shrink(struct work *work, uint64_t now, uint64_t least,
                         void (*set)(struct script *, uint32_t, uint64_t), uint32_t index) {
    const uint64_t tries[] = {
        least,          8,           16,      24,     32, 64, 100, 128, 256, now / 2, now - now / 4,
        now - now / 16, now / 8 * 8, now - 8, now - 1};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        if (tries[i] >= least && tries[i] < now) {
            script_copy(&work->next, work->best);
            set(&work->next, index, tries[i]);
            if (work_try(work)) {
                return true;
            }
        }
    }
    return false;
}

static void set_bytes(struct script *script, uint32_t i, uint64_t value) {
    script->ops[i].bytes = value;
}

static void set_align(struct script *script, uint32_t i, uint64_t value) {
    script->ops[i].align_log2 = (uint8_t)value;
    if (value == 0) {
        script->ops[i].kind = OP_ALLOC;
    }
}

void work_pool_set(struct script *script, uint32_t bytes) {
    for (uint32_t e = 0; e < script->extra_count; e++) {
        if (script->extras[e].kind == SCRIPT_REGION) {
            script->extras[e].offset += (int64_t)bytes - (int64_t)script->setup.pool_bytes;
        }
    }
    script->setup.pool_bytes = bytes;
}

static void set_pool(struct script *script, uint32_t i, uint64_t value) {
    (void)i;
    work_pool_set(script, (uint32_t)value);
}

/* Misuse keeps its distance from the end too: of the wilderness, say. */
static void set_pool_and_misuse(struct script *script, uint32_t i, uint64_t value) {
    misuse_shift(script, 0, (int64_t)value - (int64_t)script->setup.pool_bytes);
    set_pool(script, i, value);
}

/* Requests for most of the pool keep what they leave of it. */
static void set_pool_and_bytes(struct script *script, uint32_t i, uint64_t value) {
    uint64_t less = script->setup.pool_bytes - value;
    for (uint32_t op = 0; op < script->op_count; op++) {
        uint64_t *bytes = &script->ops[op].bytes;
        *bytes -= *bytes > script->setup.pool_bytes / 2 && *bytes > less ? less : 0;
    }
    set_pool(script, i, value);
}

static void set_misalign(struct script *script, uint32_t i, uint64_t value) {
    (void)i;
    script->setup.misalign = (uint32_t)value;
}

static void set_dirt(struct script *script, uint32_t i, uint64_t value) {
    (void)i;
    script->setup.dirt = (uint32_t)value;
}

static void set_block(struct script *script, uint32_t i, uint64_t value) {
    (void)i;
    script->setup.block_bytes = (uint32_t)value;
}

static void set_offset(struct script *script, uint32_t i, uint64_t value) {
    script->extras[i].offset = (int64_t)value;
}

static void set_extra_bytes(struct script *script, uint32_t i, uint64_t value) {
    script->extras[i].bytes = (uint32_t)value;
}

static bool numbers_shrink(struct work *work) {
    const struct script_setup *setup = &work->best->setup;
    bool shrunk = value_shrink(work, setup->misalign, 0, set_misalign, 0);
    shrunk |= value_shrink(work, setup->dirt, 0, set_dirt, 0);
    shrunk |= value_shrink(work, setup->block_bytes, 0, set_block, 0);
    shrunk |= value_shrink(work, setup->pool_bytes, 1, set_pool, 0);
    shrunk |= work->best->extra_count > 0 &&
              value_shrink(work, setup->pool_bytes, 1, set_pool_and_misuse, 0);
    shrunk |= value_shrink(work, setup->pool_bytes, 1, set_pool_and_bytes, 0);
    for (uint32_t i = 0; i < work->best->op_count && !work->failed; i++) {
        const struct op *op = &work->best->ops[i];
        if (op->kind == OP_ALIGNED) {
            shrunk |= value_shrink(work, op->align_log2, 0, set_align, i);
        }
        if (op->kind != OP_FREE) {
            shrunk |= value_shrink(work, op->bytes, 1, set_bytes, i);
        }
    }
    for (uint32_t i = 0; i < work->best->extra_count && !work->failed; i++) {
        const struct script_extra *extra = &work->best->extras[i];
        if (extra->kind != SCRIPT_REGION && extra->offset > 0) {
            shrunk |= value_shrink(work, (uint64_t)extra->offset, 0, set_offset, i);
        }
        if (extra->bytes > 0) {
            shrunk |= value_shrink(work, extra->bytes, 1, set_extra_bytes, i);
        }
    }
    return shrunk;
}

/* ---- fewer lines ---- */

/* Gives each alloc the size of the one before it, or that one its size. */
static bool lines_shrink(struct work *work) {
    bool shrunk = false;
    for (uint32_t i = 1; i < work->best->op_count && !work->failed; i++) {
        for (uint32_t other = 0; other < 2; other++) {
            const struct op *ops = work->best->ops;
            if (ops[i].kind != OP_ALLOC || ops[i - 1].kind != OP_ALLOC ||
                ops[i].bytes == ops[i - 1].bytes) {
                continue;
            }
            script_copy(&work->next, work->best);
            uint64_t old = ops[i - 1].bytes, bytes = ops[i].bytes;
            work->next.ops[i].bytes = old;
            for (uint32_t k = i; other == 1 && k > 0 && ops[k - 1].bytes == old; k--) {
                work->next.ops[k - 1].bytes = bytes;
                work->next.ops[i].bytes = bytes;
            }
            work_mend(work);
            shrunk |= script_lines(&work->next) < script_lines(work->best) && work_try(work);
        }
    }
    return shrunk;
}

/* ---- names ---- */

/* Names slots anew. When the order of the frees at the end matters, these become steps. */
static void names_settle(struct work *work) {
    struct script *next = &work->next;
    script_copy(next, work->best);
    if (work_try(work)) {
        return;
    }
    script_copy(next, work->best);
    work_mend(work);
    for (uint32_t slot = 0; slot < work->slot_count; slot++) {
        if (work->slot_full[slot] && next->op_count < work->best->op_room) {
            next->ops[next->op_count++] = (struct op){.kind = OP_FREE, .slot = slot};
        }
    }
    (void)work_try(work);
}

/* The pool that has as much as the script's pool and its regions together. */
static uint32_t roomy_bytes(const struct script *script) {
    uint32_t bytes = script->setup.pool_bytes;
    for (uint32_t i = 0; i < script->extra_count; i++) {
        const struct script_extra *extra = &script->extras[i];
        if (extra->kind == SCRIPT_REGION && bytes + extra->bytes <= PROGRAM_POOL_MAX) {
            bytes += extra->bytes;
        }
    }
    return bytes;
}

bool minimize_script(struct minimize *how, struct script *script, struct problem *problem) {
    struct work work = {.how = how,
                        .best = script,
                        .problem = problem,
                        .slot_count = 1,
                        .roomy_bytes = roomy_bytes(script)};
    for (uint32_t i = 0; i < script->op_count; i++) {
        uint32_t slot = script->ops[i].slot;
        work.slot_count = slot >= work.slot_count ? slot + 1 : work.slot_count;
    }
    work.slot_full = calloc(work.slot_count, 1);
    work.slot_names = calloc(work.slot_count, sizeof *work.slot_names);
    if (work.slot_full == NULL || work.slot_names == NULL ||
        !script_open(&work.next, script->op_room, script->extra_count)) {
        free(work.slot_full);
        free(work.slot_names);
        return problem_set(problem, "out of memory");
    }
    names_settle(&work);
    /* Fewer steps make numbers free to shrink, and the other way round. */
    bool shrunk = true;
    while (shrunk && !work.failed) {
        shrunk = steps_shrink(&work) || pairs_shrink(&work);
        shrunk |= rooms_shrink(&work);
        shrunk |= numbers_shrink(&work);
        shrunk |= script_lines(work.best) > 1 && lines_shrink(&work);
        shrunk = shrunk || work_search(&work);
    }
    script_close(&work.next);
    free(work.slot_full);
    free(work.slot_names);
    return !work.failed;
}
