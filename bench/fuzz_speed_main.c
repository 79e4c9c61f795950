/* SPDX-License-Identifier: MIT
 *
 * fuzz_speed_main.c - how many programs a second the oracle judges, engine left out
 *
 * Programs of 20 records (about 64 ops), half of them drawn at random and half made by the
 * mutator, on each own allocator: executions and allocator operations per second of one core.
 */
#include "../fuzz/random_ops.h"
#include "../fuzz/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    RECORDS = 20,
    BYTES = PROGRAM_SETUP_BYTES + RECORDS * PROGRAM_RECORD_BYTES,
    PROGRAMS = 512,
    CONTENT_CAP_BYTES = 64
};

static uint8_t programs[PROGRAMS][BYTES];

static void programs_draw(uint64_t random) {
    for (size_t i = 0; i < PROGRAMS; i++) {
        for (size_t byte = 0; byte < BYTES; byte++) {
            programs[i][byte] = (uint8_t)random_next(&random);
        }
        for (size_t changes = 8; i % 2 == 0 && changes > 0; changes--) {
            (void)program_mutate(programs[i], BYTES, BYTES, programs[i / 2], BYTES,
                                 random_next(&random));
        }
    }
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
    uint64_t runs = 0;
    double begin = seconds_now(), took = 0;
    const char *verdict = NULL;
    while (took < seconds && verdict == NULL) {
        for (size_t i = 0; i < PROGRAMS && verdict == NULL; i++, runs++) {
            verdict = runner_program(runner, programs[i], BYTES);
        }
        took = seconds_now() - begin;
    }
    printf("%-16s%12.0f%14.2f%10.1f\n", ops->name, (double)runs / took,
           (double)runner_ops(runner) / took / 1e6, (double)runner_ops(runner) / (double)runs);
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
    programs_draw(random_seed(1));
    printf(
        "programs of %d records, an audit every %u ops (0: at the end), CPU seconds of one core\n"
        "%-16s%12s%14s%10s\n",
        RECORDS, audit_every, "allocator", "runs/s", "Mops/s", "ops/run");
    for (size_t i = 0; i < count; i++) {
        sound &= speed_measure(ops[i], audit_every, seconds);
    }
    return sound ? EXIT_SUCCESS : EXIT_FAILURE;
}
