/* SPDX-License-Identifier: MIT
 *
 * fuzz_speed_main.c - how many programs a second the oracle judges, engine left out
 *
 * Programs of 64 ops, give or take 8, half of them drawn at random and half made by the mutator, on
 * each own allocator: executions and allocator operations per second of one core.
 */
#include "../fuzz/random_ops.h"
#include "../fuzz/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    RECORDS = 20, /* at most; fewer where these become more ops */
    OPS = 64,
    OPS_OFF = 8,
    BYTES = PROGRAM_SETUP_BYTES + RECORDS * PROGRAM_RECORD_BYTES,
    PROGRAMS = 512,
    CONTENT_CAP_BYTES = 64
};

struct sample {
    size_t size;
    uint8_t data[BYTES];
};
static struct sample samples[PROGRAMS];

static void sample_draw(struct sample *sample, uint64_t *random) {
    sample->size = PROGRAM_SETUP_BYTES + PROGRAM_RECORD_BYTES * (1 + random_below(random, RECORDS));
    for (size_t byte = 0; byte < BYTES; byte++) {
        sample->data[byte] = (uint8_t)random_next(random);
    }
    for (size_t changes = random_below(random, 2) * 8; changes > 0; changes--) {
        sample->size = program_mutate(sample->data, sample->size, BYTES, samples[0].data,
                                      samples[0].size, random_next(random));
    }
}

/* Fills `samples` with programs that come to about OPS ops on this allocator, where there are such:
 * one whose pool most programs do not fit does less. False when one was found wrong. */
static bool samples_draw(struct runner *runner, uint64_t random) {
    for (size_t i = 0; i < PROGRAMS; i++) {
        uint64_t ops = 0;
        for (size_t tries = 0; tries < 10000 && (ops < OPS - OPS_OFF || ops > OPS + OPS_OFF);
             tries++) {
            uint64_t before = runner_ops(runner);
            sample_draw(&samples[i], &random);
            if (runner_program(runner, samples[i].data, samples[i].size) != NULL) {
                return false;
            }
            ops = runner_ops(runner) - before;
        }
    }
    return true;
}

static double seconds_now(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Prints a line; false when an allocator was found wrong. */
static bool speed_measure(const struct alloc_ops *ops, uint32_t audit_every, double seconds) {
    struct runner *runner = runner_new(&(struct runner_config){
        .ops = ops, .audit_every = audit_every, .content_cap_bytes = CONTENT_CAP_BYTES});
    if (runner == NULL) {
        fputs("fuzz_speed: out of memory\n", stderr);
        exit(2);
    }
    const char *verdict = samples_draw(runner, random_seed(1)) ? NULL : "unsound";
    uint64_t runs = 0, ops_before = runner_ops(runner);
    double begin = seconds_now(), took = 0;
    while (took < seconds && verdict == NULL) {
        for (size_t i = 0; i < PROGRAMS && verdict == NULL; i++, runs++) {
            verdict = runner_program(runner, samples[i].data, samples[i].size);
        }
        took = seconds_now() - begin;
    }
    double done = (double)(runner_ops(runner) - ops_before);
    printf("%-16s%12.0f%14.2f%10.1f\n", ops->name, (double)runs / took, done / took / 1e6,
           done / (double)runs);
    if (verdict != NULL) {
        fprintf(stderr, "fuzz_speed: %s: %s\n", ops->name, verdict);
    }
    runner_free(runner);
    return verdict == NULL;
}

int main(int argc, char **argv) {
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    uint32_t audit_every = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    size_t count;
    const struct alloc_ops *const *ops = alloc_registry(&count);
    bool sound = true;
    printf(
        "programs of about %d ops, an audit every %u ops (0: at the end), CPU seconds of one core\n"
        "%-16s%12s%14s%10s\n",
        OPS, audit_every, "allocator", "runs/s", "Mops/s", "ops/run");
    for (size_t i = 0; i < count; i++) {
        sound &= speed_measure(ops[i], audit_every, seconds);
    }
    return sound ? EXIT_SUCCESS : EXIT_FAILURE;
}
