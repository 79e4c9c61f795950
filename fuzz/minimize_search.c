/* SPDX-License-Identifier: MIT
 *
 * minimize_search.c - shorter scripts by chance
 *
 * To take steps away one by one or in pairs ends where three would have to go at once, or where one
 * realloc could do what four allocs and frees do. Here thousands of candidates are drawn, each
 * either the smallest script so far with fewer steps, or a few steps made up from its sizes in a
 * pool that suits them; what is found is shrunk further as everything else. A candidate is its
 * number: the same number draws the same script, so the child that tries them and the parent need
 * not talk about them.
 */
#include "minimize_work.h"
#include "random_ops.h"

/* Ops that the candidates of a search may have together, where each 4 KiB of the pool is one more;
 * what a candidate counts as before its first op; and what is short enough not to be searched for
 * anything shorter: few steps, or more than a search could do without that are few lines. */
enum { OPS_BUDGET = 8000000, OVERHEAD_OPS = 4, SHORT_STEPS = 8, LONG_STEPS = 32 };

static bool is_short(const struct script *script) {
    uint32_t steps = work_steps(script);
    return steps <= SHORT_STEPS || (steps > LONG_STEPS && script_lines(script) <= SHORT_STEPS);
}

struct draw {
    struct work *work;
    uint64_t random;
};

static size_t below(struct draw *draw, size_t bound) {
    return random_below(&draw->random, bound);
}

static bool one_in(struct draw *draw, size_t n) {
    return below(draw, n) == 0;
}

/* A size of the best script, or near it, or a small or round one. */
static uint64_t bytes_draw(struct draw *draw) {
    static const uint64_t usual[] = {1, 8, 16, 24, 32, 40, 64, 100, 128, 256, 1024};
    const struct script *best = draw->work->best;
    const struct op *op = &best->ops[below(draw, best->op_count)];
    uint64_t bytes = op->kind != OP_FREE ? op->bytes : usual[below(draw, 6)];
    switch (below(draw, 8)) {
    case 0:
        return usual[below(draw, sizeof usual / sizeof *usual)];
    case 1:
        return bytes + 8 * (1 + below(draw, 4));
    case 2:
        return bytes > 40 ? bytes - 8 * (1 + below(draw, 4)) : bytes;
    case 3: /* what two had */
        return bytes < SCRIPT_POOL_MAX ? bytes * 2 : bytes;
    case 4:
        return best->setup.pool_bytes / (1 + below(draw, 8)) / 8 * 8 + 1;
    default:
        return bytes > 0 ? bytes : 1;
    }
}

static struct op op_draw(struct draw *draw, uint32_t slots) {
    static const uint8_t kinds[] = {OP_ALLOC, OP_ALLOC, OP_ALLOC,   OP_ALLOC,
                                    OP_FREE,  OP_FREE,  OP_REALLOC, OP_ALIGNED};
    struct op op = {.kind = kinds[below(draw, sizeof kinds)], .slot = (uint32_t)below(draw, slots)};
    op.bytes = op.kind != OP_FREE ? bytes_draw(draw) : 0;
    op.align_log2 = op.kind == OP_ALIGNED ? (uint8_t)(4 + below(draw, 8)) : 0;
    return op;
}

static bool gone(const void *ctx, uint32_t step) {
    return ((const uint64_t *)ctx)[step / 64 % 4] >> step % 64 & 1;
}

/* Best without some of its steps. */
static void draw_without(struct draw *draw, uint32_t steps) {
    uint64_t left_out[4] = {0};
    for (size_t count = 1 + below(draw, 4); count > 0; count--) {
        uint32_t step = (uint32_t)below(draw, steps);
        left_out[step / 64 % 4] |= UINT64_C(1) << step % 64;
    }
    work_without(draw->work, gone, left_out);
}

static void extra_change(struct draw *draw, struct script *next) {
    struct script_extra *extra = &next->extras[below(draw, next->extra_count)];
    if (extra->kind == SCRIPT_REGION || one_in(draw, 3)) {
        return;
    }
    extra->offset += 8 * ((int64_t)below(draw, 33) - 16);
}

/* Another op, another place of it, or a pool with less room. */
static void op_change(struct draw *draw, struct script *next) {
    struct op *op = &next->ops[below(draw, next->op_count)];
    struct op *other = &next->ops[below(draw, next->op_count)];
    struct op kept = *op;
    switch (below(draw, 8)) {
    case 0:
        *op = *other;
        *other = kept;
        break;
    case 1:
        op->slot = other->slot;
        break;
    case 2:
        work_pool_set(next, next->setup.pool_bytes -
                                (uint32_t)(8 * below(draw, next->setup.pool_bytes / 64 + 1)));
        break;
    case 3:
        *op = op_draw(draw, next->op_count);
        break;
    case 4:
        op->bytes = op->kind != OP_FREE && other->kind != OP_FREE ? op->bytes + other->bytes : 0;
        break;
    default:
        op->bytes = op->kind != OP_FREE ? bytes_draw(draw) : 0;
    }
    op->slot %= draw->work->slot_count;
}

/* Fills `next` with ops that meet: a free or realloc is of what is live then, and sizes are drawn
 * for all together, few or many, since a fault of a list needs blocks of one class. */
static void ops_draw(struct draw *draw, struct script *next) {
    uint64_t palette[SHORT_STEPS];
    size_t sizes = 1 + below(draw, SHORT_STEPS);
    uint8_t align_log2 = (uint8_t)(4 + below(draw, 8));
    uint32_t live[SHORT_STEPS], live_count = 0, slots = 0;
    for (size_t i = 0; i < sizes; i++) {
        palette[i] = bytes_draw(draw);
    }
    for (uint32_t i = 0; i < next->op_count; i++) {
        struct op *op = &next->ops[i];
        *op = op_draw(draw, 1);
        bool is_new = op->kind != OP_FREE && op->kind != OP_REALLOC;
        if (!is_new && live_count == 0) {
            op->kind = OP_ALLOC;
            is_new = true;
        }
        size_t at = is_new ? live_count++ : below(draw, live_count);
        if (is_new) {
            live[at] = slots++ % draw->work->slot_count;
        }
        op->slot = live[at];
        op->bytes = op->kind != OP_FREE ? palette[below(draw, sizes)] : 0;
        op->align_log2 = op->kind == OP_ALIGNED ? align_log2 : 0;
        if (op->kind == OP_FREE) {
            live[at] = live[--live_count];
        }
    }
}

/* The pool of the best, the one where there was room still, or one that fewer blocks fill. */
static uint32_t pool_draw(struct draw *draw) {
    uint32_t best = draw->work->best->setup.pool_bytes, roomy = draw->work->roomy_bytes;
    switch (below(draw, 3)) {
    case 0:
        return best;
    case 1:
        return roomy;
    default:
        roomy >>= below(draw, 8);
        return roomy - 8 * (uint32_t)below(draw, roomy / 16 + 1);
    }
}

/* A few made-up ops in the setup of the best, or in another pool. */
static void draw_anew(struct draw *draw, uint32_t steps) {
    struct script *next = &draw->work->next;
    uint32_t count = steps - 1 < SHORT_STEPS ? steps - 1 : SHORT_STEPS;
    count -= (uint32_t)below(draw, 2);
    script_copy(next, draw->work->best);
    uint32_t pool_bytes = pool_draw(draw);
    work_pool_set(next, pool_bytes);
    next->extra_count = one_in(draw, 3) ? 0 : next->extra_count;
    count = count < next->op_room ? count : next->op_room;
    next->op_count = count > next->extra_count ? count - next->extra_count : 1;
    ops_draw(draw, next);
    for (uint32_t i = 0; i < next->extra_count; i++) {
        if (next->extras[i].after > next->op_count) {
            next->extras[i].after = next->op_count;
        }
    }
}

static const struct script *candidate_draw(void *ctx, uint64_t number) {
    struct work *work = ctx;
    struct script *next = &work->next;
    struct draw draw = {work, (number + 1) * UINT64_C(0x9E3779B97F4A7C15) | 1};
    uint32_t steps = work_steps(work->best);
    for (size_t i = 0; i < 3; i++) { /* numbers close together must not draw alike */
        (void)random_next(&draw.random);
    }
    if (one_in(&draw, 3)) {
        draw_anew(&draw, steps);
    } else {
        draw_without(&draw, steps);
        for (size_t changes = below(&draw, 5); changes > 0 && next->op_count > 0; changes--) {
            op_change(&draw, next);
        }
    }
    if (next->extra_count > 0 && one_in(&draw, 2)) {
        extra_change(&draw, next);
    }
    work_mend(work);
    work_name(work);
    return next;
}

bool work_search(struct work *work) {
    struct minimize *how = work->how;
    bool found = false;
    uint64_t number = 0, cost = work->best->op_count + OVERHEAD_OPS;
    uint64_t end = OPS_BUDGET / (cost + work->best->setup.pool_bytes / 4096);
    if (is_short(work->best) || how->target.how == JUDGE_TIMEOUT) {
        return false;
    }
    while (!found && !work->failed && number < end && work_may_run(work)) {
        if (!judge_search(how->judge, candidate_draw, work, number, end, &how->target, &number,
                          work->problem)) {
            work->failed = true;
        } else if (number < end) {
            (void)candidate_draw(work, number++);
            found = work_try(work);
        }
    }
    return found;
}
