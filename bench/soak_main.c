/* SPDX-License-Identifier: MIT
 *
 * soak_main.c - soak [OPS [SEED [ALLOCATOR]]]: random programs on the own allocators, the oracle on
 *
 * OPS (default 1e8) is for all allocators together, each gets the same share; SEED (hexadecimal or
 * decimal, default HEAPRIG_SEED) decides every program. Most run with an audit of the whole heap
 * every 64 ops and contents verified at the edges; one in 32 runs again with an audit after each op
 * and contents verified whole, and must come to the same places.
 *
 * A program that fails is kept as soak-ALLOCATOR.program, for `heaprig minimize`. Exit status: 1
 * when there is one, 2 for bad usage.
 */
#include "progress.h"

#include "../fuzz/random_ops.h"
#include "../fuzz/runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AUDIT_SELDOM = 64, CONTENT_CAP_BYTES = 64, AGAIN_EVERY = 32, KEPT = 64 };

struct program {
    size_t size;
    uint8_t data[PROGRAM_BYTES_MAX];
};

/* The last few programs, for the mutator to build on. */
static struct program kept[KEPT];

static struct program *program_draw(uint64_t *random) {
    struct program *program = &kept[random_below(random, KEPT)];
    const struct program *other = &kept[random_below(random, KEPT)];
    size_t changes = 1 + random_below(random, 4);
    if (random_below(random, 4) == 0) { /* anew, mostly short */
        size_t records = 1 + random_below(random, random_below(random, 8) == 0 ? 256 : 48);
        program->size = PROGRAM_SETUP_BYTES + records * PROGRAM_RECORD_BYTES;
        for (size_t i = 0; i < program->size; i++) {
            program->data[i] = (uint8_t)random_next(random);
        }
        changes = 0;
    }
    for (; changes > 0; changes--) {
        program->size = program_mutate(program->data, program->size, PROGRAM_BYTES_MAX, other->data,
                                       other->size, random_next(random));
    }
    return program;
}

static struct runner *runner_or_exit(const struct alloc_ops *ops, uint32_t audit_every,
                                     uint32_t content_cap_bytes) {
    struct runner *runner = runner_new(&(struct runner_config){
        .ops = ops, .audit_every = audit_every, .content_cap_bytes = content_cap_bytes});
    if (runner == NULL) {
        fputs("soak: out of memory\n", stderr);
        exit(2);
    }
    return runner;
}

static void program_keep(const char *name, const struct program *program, const char *words) {
    char path[64];
    (void)snprintf(path, sizeof path, "soak-%s.program", name);
    FILE *file = fopen(path, "wb");
    bool written = file != NULL && fwrite(program->data, 1, program->size, file) == program->size;
    written = file != NULL && fclose(file) == 0 && written;
    printf("FOUND %s: %s\n  shrink  build/heaprig minimize -a %s %s%s\n", name, words, name, path,
           written ? "" : "  (could not be written)");
}

/* At least so many ops on one allocator; false when it was found wrong. */
static bool allocator_soak(const struct alloc_ops *ops, uint64_t ops_share, uint64_t random,
                           struct progress *progress, uint64_t *done) {
    struct runner *seldom = runner_or_exit(ops, AUDIT_SELDOM, CONTENT_CAP_BYTES);
    struct runner *always = runner_or_exit(ops, 1, 0);
    const char *words = NULL;
    uint64_t before = *done, runs = 0, again = 0;
    clock_t begin = clock();
    memset(kept, 0, sizeof kept);
    for (; *done - before < ops_share && words == NULL; runs++) {
        const struct program *program = program_draw(&random);
        words = runner_program(seldom, program->data, program->size);
        if (words == NULL && runs % AGAIN_EVERY == 0) {
            again++;
            words = runner_program(always, program->data, program->size);
            if (words == NULL && runner_digest(seldom) != runner_digest(always)) {
                words = "the same program again came to other places";
            }
        }
        if (words != NULL) {
            program_keep(ops->name, program, words);
        }
        *done = before + runner_ops(seldom) + runner_ops(always);
        if (runs % 1024 == 0) {
            progress_show(progress, (size_t)*done, ops->name, "");
        }
    }
    printf("%-16s%12" PRIu64 "%12" PRIu64 "%14" PRIu64 "%10.1f  %s\n", ops->name, runs, again,
           *done - before, (double)(clock() - begin) / CLOCKS_PER_SEC,
           words == NULL ? "sound" : "WRONG");
    (void)fflush(stdout);
    runner_free(seldom);
    runner_free(always);
    return words == NULL;
}

static _Noreturn void usage(const char *word, const char *expected) {
    fprintf(stderr, "soak: '%s', expected %s\n", word, expected);
    exit(2);
}

int main(int argc, char **argv) {
    char *end = NULL;
    double wanted = argc > 1 ? strtod(argv[1], &end) : 1e8;
    if (argc > 1 && (*end != '\0' || !(wanted >= 1 && wanted <= 1e15))) {
        usage(argv[1], "a number of ops");
    }
    uint64_t seed = argc > 2 ? strtoull(argv[2], &end, 0) : random_seed(0);
    if (argc > 2 && (*end != '\0' || seed == 0)) {
        usage(argv[2], "a seed, not 0");
    }
    if (argc > 3 && alloc_find(argv[3]) == NULL) {
        usage(argv[3], "an own allocator");
    }
    size_t count;
    const struct alloc_ops *const *ops = alloc_registry(&count);
    uint64_t share = (uint64_t)wanted / (argc > 3 ? 1 : count) + 1, done = 0;
    struct progress progress;
    bool sound = true;
    printf("seed 0x%" PRIx64 "\n%-16s%12s%12s%14s%10s\n", seed, "allocator", "programs", "again",
           "ops", "CPU s");
    progress_begin(&progress, (size_t)wanted);
    for (size_t i = 0; i < count; i++) {
        if (argc <= 3 || strcmp(argv[3], ops[i]->name) == 0) {
            uint64_t random = seed * 2 * (i + 1) + 1;
            sound &= allocator_soak(ops[i], share, random, &progress, &done);
        }
    }
    progress_end(&progress);
    return sound ? EXIT_SUCCESS : EXIT_FAILURE;
}
