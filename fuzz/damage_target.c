/* SPDX-License-Identifier: MIT
 *
 * damage_target.c - a fuzz target: heaps that something wrote over
 *
 * A program builds a heap; then its last records, as many as its byte 3 says, overwrite words of
 * the pool. check() must return whatever the pool holds, and read nothing outside it. A heap that
 * it calls sound must be one: walk() covers the pool once, stats() agrees, every block that walk()
 * shows can be freed, and then check() still holds.
 */
#include "arena.h"
#include "fence.h"
#include "program.h"
#include "runner.h"
#include "tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

enum { VISITS_MAX = PROGRAM_POOL_MAX };

static _Noreturn void fail(const struct alloc_ops *ops, const char *what) {
    fprintf(stderr, "heaprig: %s: damaged heap: %s\n", ops->name, what);
    abort();
}

/* One runner for each own allocator. */
static struct runner *runner_for(size_t choice, const struct alloc_ops **ops) {
    static struct runner *runners[32];
    size_t count;
    const struct alloc_ops *const *all = alloc_registry(&count);
    choice %= count;
    *ops = all[choice];
    if (runners[choice] == NULL) {
        runners[choice] = runner_new(&(struct runner_config){.ops = all[choice]});
    }
    if (runners[choice] == NULL) {
        fputs("heaprig: out of memory\n", stderr);
        exit(2);
    }
    return runners[choice];
}

/* A record as damage: | how | place (2 bytes) | value |. Half of the places are in the first KiB,
 * where control structures are. */
static void word_damage(unsigned char *pool, size_t bytes, const uint8_t *record) {
    size_t place = (size_t)(record[1] | record[2] << 8);
    size_t words = (record[0] & 1) != 0 && bytes > 1024 ? 256 : bytes / 4;
    unsigned char *at = pool + place % words * 4;
    uint32_t word, value = record[3];
    memcpy(&word, at, sizeof word);
    switch (record[0] >> 1 & 7) {
    case 0:
        word ^= UINT32_C(1) << (value & 31);
        break;
    case 1:
        word = value * 8;
        break;
    case 2:
        word += value * 4 - 512;
        break;
    case 3:
        word = (uint32_t)bytes + value - 128;
        break;
    case 4:
        word = UINT32_MAX - value;
        break;
    case 5:
        memcpy(&word, pool + (place * 7 + value) % (bytes / 4) * 4, sizeof word);
        break;
    case 6:
        word = (word & 0xFFFFFF00u) | value;
        break;
    default:
        word = value << 24 | value << 16;
    }
    memcpy(at, &word, sizeof word);
}

struct tour {
    const unsigned char *at; /* where the next piece must begin */
    size_t visits, live, live_bytes, free_bytes;
    const void *payloads[1024];
    bool gap;
};

static bool piece_visit(void *ctx, const struct alloc_piece *piece) {
    struct tour *tour = ctx;
    tour->gap |= piece->start != tour->at;
    tour->at = (const unsigned char *)piece->start + piece->bytes;
    if (piece->kind == ALLOC_PIECE_LIVE) {
        if (tour->live < sizeof tour->payloads / sizeof *tour->payloads) {
            tour->payloads[tour->live] = piece->payload;
        }
        tour->live++;
        tour->live_bytes += piece->bytes;
    } else if (piece->kind == ALLOC_PIECE_FREE) {
        tour->free_bytes += piece->bytes;
    }
    return ++tour->visits < VISITS_MAX && !tour->gap;
}

/* What check() called sound. */
static void sound_judge(const struct alloc_ops *ops, const struct runner_heap *heap) {
    static struct tour tour;
    struct alloc_stats stats;
    tour = (struct tour){.at = heap->pool};
    ops->walk(heap->heap, piece_visit, &tour);
    if (tour.gap || tour.at != heap->pool + heap->pool_bytes) {
        fail(ops, "sound by check(), but walk() does not cover the pool once");
    }
    ops->stats(heap->heap, &stats);
    if (stats.live_blocks != tour.live || stats.live_bytes != tour.live_bytes ||
        stats.free_bytes != tour.free_bytes) {
        fail(ops, "sound by check(), but stats() and walk() differ");
    }
    (void)ops->largest(heap->heap);
    if ((ops->caps & ALLOC_CAP_FREES) == 0 ||
        tour.live > sizeof tour.payloads / sizeof *tour.payloads) {
        return;
    }
    for (size_t i = 0; i < tour.live; i++) {
        if (ops->free(heap->heap, (void *)(uintptr_t)tour.payloads[i]) != ALLOC_OK) {
            fail(ops, "sound by check(), but a live block cannot be freed");
        }
    }
    if (ops->check(heap->heap) != NULL) {
        fail(ops, "sound by check(), but no longer when all is freed");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t choice = size > 3 ? data[3] : 0;
    size_t records = program_records(size);
    size_t damages = 1 + (choice & 15u);
    damages = damages < records ? damages : records;
    const struct alloc_ops *ops;
    struct runner *runner = runner_for(choice >> 4, &ops);
    struct runner_heap heap;
    size_t kept = PROGRAM_SETUP_BYTES + (records - damages) * PROGRAM_RECORD_BYTES;
    uint64_t ops_before = runner_ops(runner);
    tally_run(data, size);
    bool built = runner_build(runner, data, kept < size ? kept : size, &heap);
    tally_ops(runner_ops(runner) - ops_before);
    if (!built || heap.extras > 0) {
        return 0;
    }
    fence_around(heap.pool, heap.pool_bytes, true);
    for (size_t i = 0; i < damages; i++) {
        word_damage(heap.pool, heap.pool_bytes, data + kept + i * PROGRAM_RECORD_BYTES);
    }
    if (ops->check(heap.heap) == NULL) {
        sound_judge(ops, &heap);
    }
    fence_around(heap.pool, heap.pool_bytes, false);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return program_mutate(data, size, max_size, NULL, 0, seed);
}
