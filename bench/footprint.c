/* SPDX-License-Identifier: MIT
 * footprint.c - see footprint.h. The walks cost O(blocks) each, so there are few of them. */
#include "footprint.h"

#include "result_file.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEMAND_REQUESTS = 64 }; /* coming requests that are tried on the holes */

/* One walk: what has been seen so far. Free pieces are counted in all, before the first live block
 * and since the last one. */
struct walk {
    struct footprint *footprint;
    uint64_t meta, block_bytes, usable_bytes;
    uint64_t free_bytes, leading_bytes, trailing_bytes;
    size_t leading_holes, trailing_holes;
    bool live_seen;
};

static void hole_push(struct footprint *f, uint64_t usable) {
    if (f->hole_count == f->hole_room) {
        size_t room = f->hole_room * 2 + 1024;
        struct footprint_hole *grown = realloc(f->holes, room * sizeof *grown);
        if (grown == NULL) {
            f->out_of_memory = true;
            return;
        }
        f->holes = grown;
        f->hole_room = room;
    }
    f->holes[f->hole_count++] = (struct footprint_hole){usable, 1};
}

static bool piece_split(void *ctx, const struct alloc_piece *piece) {
    struct walk *walk = ctx;
    if (piece->kind == ALLOC_PIECE_META) {
        walk->meta += piece->bytes;
    } else if (piece->kind == ALLOC_PIECE_FREE) {
        hole_push(walk->footprint, piece->usable);
        walk->free_bytes += piece->bytes;
        walk->trailing_bytes += piece->bytes;
        walk->trailing_holes++;
    } else {
        if (!walk->live_seen) {
            walk->leading_bytes = walk->trailing_bytes;
            walk->leading_holes = walk->trailing_holes;
        }
        walk->live_seen = true;
        walk->block_bytes += piece->bytes;
        walk->usable_bytes += piece->usable;
        walk->trailing_bytes = 0;
        walk->trailing_holes = 0;
    }
    return true;
}

/* Takes the larger free end out of the holes; returns what is left. */
static uint64_t wilderness_drop(struct footprint *f, const struct walk *walk) {
    if (f->out_of_memory) {
        return 0;
    }
    if (walk->trailing_bytes >= walk->leading_bytes) {
        f->hole_count -= walk->trailing_holes;
        return walk->free_bytes - walk->trailing_bytes;
    }
    f->hole_count -= walk->leading_holes;
    memmove(f->holes, f->holes + walk->leading_holes, f->hole_count * sizeof *f->holes);
    return walk->free_bytes - walk->leading_bytes;
}

static int hole_compare(const void *a, const void *b) {
    uint64_t x = ((const struct footprint_hole *)a)->usable;
    uint64_t y = ((const struct footprint_hole *)b)->usable;
    return (x > y) - (x < y);
}

/* Sorts the holes upwards and joins those of one size: heaps have many holes of few sizes. */
static void holes_join(struct footprint *f) {
    if (f->hole_count == 0) {
        return;
    }
    qsort(f->holes, f->hole_count, sizeof *f->holes, hole_compare);
    size_t last = 0;
    for (size_t i = 1; i < f->hole_count; i++) {
        if (f->holes[i].usable == f->holes[last].usable) {
            f->holes[last].count++;
        } else {
            f->holes[++last] = f->holes[i];
        }
    }
    f->hole_count = last + 1;
}

/* Bytes of the joined holes that requests of `bytes` can use. */
static double usable_for(const struct footprint *f, uint64_t bytes) {
    double usable = 0;
    for (size_t i = f->hole_count; i > 0 && f->holes[i - 1].usable >= bytes; i--) {
        const struct footprint_hole *hole = &f->holes[i - 1];
        usable += (double)(hole->usable / bytes * bytes * hole->count);
    }
    return usable;
}

static double unusable_share(struct footprint *f, size_t next_op) {
    holes_join(f);
    double sum = usable_for(f, 1);
    double unusable = 0;
    size_t requests = 0;
    for (size_t i = next_op; sum > 0 && i < f->replay->op_count && requests < DEMAND_REQUESTS;
         i++) {
        const struct op *op = &f->replay->op[i];
        if (op->kind != OP_FREE) {
            unusable += 1 - usable_for(f, op->bytes + (op->bytes == 0)) / sum;
            requests++;
        }
    }
    return requests == 0 ? NAN : unusable / (double)requests;
}

static void sample_split(struct footprint *f, struct footprint_sample *sample) {
    struct walk walk = {.footprint = f};
    f->hole_count = 0;
    f->stage->ops->walk(f->replay->heap, piece_split, &walk);
    sample->meta = walk.meta + walk.block_bytes - walk.usable_bytes;
    sample->internal = walk.usable_bytes - f->live;
    sample->external = wilderness_drop(f, &walk);
    sample->unusable = unusable_share(f, (size_t)sample->op + 1);
}

static void sample_take(struct footprint *f, size_t op) {
    const struct alloc_ops *ops = f->stage->ops;
    if (stage_poolless(ops) && ops->stats != NULL) {
        struct alloc_stats stats;
        ops->stats(f->replay->heap, &stats);
        if (stats.pool_bytes > f->high_water) {
            f->high_water = stats.pool_bytes;
            f->live_at_high_water = f->live;
        }
    }
    struct footprint_sample *sample = &f->sample[f->sample_count++];
    assert(f->sample_count <= FOOTPRINT_SAMPLES + 2);
    *sample = (struct footprint_sample){
        .op = op, .live = f->live, .high_water = f->high_water, .unusable = NAN};
    if (ops->walk != NULL && !stage_poolless(ops)) {
        sample_split(f, sample);
    }
}

static void high_water_raise(struct footprint *f, const void *payload) {
    uint64_t start = (uint64_t)((const unsigned char *)payload - f->stage->memory->pool);
    uint64_t end = start + f->stage->ops->usable(f->replay->heap, payload);
    f->highest_end = end > f->highest_end ? end : f->highest_end;
    f->lowest_start = start < f->lowest_start ? start : f->lowest_start;
    uint64_t from_end = f->stage->plan.pool_bytes - f->lowest_start;
    uint64_t span = f->highest_end < from_end ? f->highest_end : from_end;
    if (span > f->high_water) {
        f->high_water = span;
        f->live_at_high_water = f->live;
    }
}

static void request_count(struct footprint *f, const struct replay_event *event) {
    uint64_t *requested = &f->requested[event->op->slot];
    if (event->payload == NULL) {
        bool refused = stage_refuses(f->stage, event->bytes);
        f->refusals += refused;
        f->failures += !refused;
        return;
    }
    f->live += event->bytes - *requested;
    *requested = event->bytes;
    if (!stage_poolless(f->stage->ops)) {
        high_water_raise(f, event->payload);
    }
}

/* After each op, its sample included: what measures 1 and 2 add up. */
static void measures_add(struct footprint *f, bool sampled) {
    if (f->live > f->peak_live) {
        f->peak_live = f->live;
        f->high_water_at_peak = f->high_water;
    }
    if (f->live > 0 && (sampled || !stage_poolless(f->stage->ops))) {
        f->ratio_sum += (double)f->high_water / (double)f->live;
        f->ratio_count++;
    }
}

static bool footprint_after(void *ctx, const struct replay_event *event) {
    struct footprint *f = ctx;
    if (event->op->kind != OP_FREE) {
        request_count(f, event);
    } else if (!event->skipped && event->status == ALLOC_OK) {
        f->live -= f->requested[event->op->slot];
        f->requested[event->op->slot] = 0;
    }
    bool sampled = (event->index + 1) % f->sample_every == 0 ||
                   event->index == f->stage->trace->counts.peak_live_op;
    if (sampled) {
        sample_take(f, event->index);
    }
    measures_add(f, sampled);
    return true;
}

bool footprint_begin(struct footprint *footprint, const struct stage *stage,
                     const struct replay *replay) {
    *footprint = (struct footprint){.stage = stage, .replay = replay, .lowest_start = UINT64_MAX};
    footprint->requested = calloc(stage->memory->slot_count + 1, sizeof *footprint->requested);
    footprint->sample_every = replay->op_count / FOOTPRINT_SAMPLES + 1;
    return footprint->requested != NULL;
}

struct replay_observer footprint_observer(struct footprint *footprint) {
    return (struct replay_observer){.ctx = footprint, .after = footprint_after};
}

void footprint_end(struct footprint *footprint) {
    free(footprint->requested);
    free(footprint->holes);
    footprint->requested = NULL;
    footprint->holes = NULL;
}

uint64_t footprint_total(const struct footprint_sample *sample) {
    return sample->live + sample->meta + sample->internal + sample->external;
}

static bool footprint_has_split(const struct footprint *f) {
    return f->stage->ops->walk != NULL && !stage_poolless(f->stage->ops);
}

static double ratio(uint64_t part, uint64_t whole) {
    return whole == 0 ? NAN : (double)part / (double)whole;
}

static struct row_split split_of(uint64_t meta, uint64_t internal, uint64_t external,
                                 uint64_t live) {
    return (struct row_split){ratio(meta + internal + external, live), ratio(meta, live),
                              ratio(internal, live), ratio(external, live)};
}

static void splits_fill(const struct footprint *f, struct bench_row *row) {
    struct footprint_sample sum = {0};
    const struct footprint_sample *largest = &f->sample[0];
    double unusable = 0;
    size_t unusable_count = 0;
    for (size_t i = 0; i < f->sample_count; i++) {
        const struct footprint_sample *sample = &f->sample[i];
        sum.live += sample->live;
        sum.meta += sample->meta;
        sum.internal += sample->internal;
        sum.external += sample->external;
        if (footprint_total(sample) > footprint_total(largest)) {
            largest = sample;
        }
        if (!isnan(sample->unusable)) {
            unusable += sample->unusable;
            unusable_count++;
        }
    }
    row->mean = split_of(sum.meta, sum.internal, sum.external, sum.live);
    row->peak = split_of(largest->meta, largest->internal, largest->external, largest->live);
    row->unusable = unusable_count == 0 ? 0 : unusable / (double)unusable_count;
}

void footprint_fill(const struct footprint *footprint, struct bench_row *row) {
    row->failures = footprint->failures;
    row->refusals = footprint->refusals;
    row->high_water = footprint->high_water;
    row->jw1 = footprint->ratio_sum / (double)footprint->ratio_count - 1; /* 0 / 0: unknown */
    row->jw2 = ratio(footprint->high_water_at_peak, footprint->peak_live) - 1;
    row->jw3 = ratio(footprint->high_water, footprint->live_at_high_water) - 1;
    row->jw4 = ratio(footprint->high_water, footprint->peak_live) - 1;
    row->mean = row->peak = (struct row_split){NAN, NAN, NAN, NAN};
    row->unusable = NAN;
    if (footprint_has_split(footprint) && footprint->sample_count > 0) {
        splits_fill(footprint, row);
    }
}

bool footprint_write(const struct footprint *footprint, const char *path, struct problem *problem) {
    struct result_file file;
    if (!result_file_open(&file, path, problem)) {
        return false;
    }
    bool split = footprint_has_split(footprint);
    fputs("op\tlive\tfootprint\thigh_water\tmeta\tinternal\texternal\n", file.stream);
    for (size_t i = 0; i < footprint->sample_count; i++) {
        const struct footprint_sample *sample = &footprint->sample[i];
        fprintf(file.stream, "%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64, sample->op,
                sample->live, split ? footprint_total(sample) : sample->high_water,
                sample->high_water);
        if (split) {
            fprintf(file.stream, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n", sample->meta,
                    sample->internal, sample->external);
        } else {
            fputs("\tNaN\tNaN\tNaN\n", file.stream);
        }
    }
    return result_file_commit(&file, problem);
}
