/* SPDX-License-Identifier: MIT
 *
 * alloc_target.c - the fuzz target of one allocator, for libFuzzer and AFL++ alike
 *
 * Built once per allocator with -DTARGET=NAME; with -DTARGET_PLUGIN for the shared object that
 * HEAPRIG_PLUGIN names. What a program found is said in words before the engine keeps its bytes.
 *
 *   HEAPRIG_AUDIT=N    an audit of the whole heap every N ops (0: at the end only)
 *   HEAPRIG_CHECK=0    without the allocator's own check()
 *   HEAPRIG_COUNT=1    at the end, how many runs, ops and seconds of the processor these were
 *   HEAPRIG_TALLY=FILE the program under way stands there, see tally.h
 */
#include "../bench/subject.h"
#include "fence.h"
#include "program.h"
#include "runner.h"
#include "tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TEXT_OF(name) #name
#define TEXT(name)    TEXT_OF(name)

enum { AUDIT_EVERY = 16, CONTENT_CAP_BYTES = 64 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t max_size, unsigned seed);

/* Coverage of states, beside that of code: libFuzzer watches this section. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t features[RUNNER_FEATURES];

static _Noreturn void setup_fail(const char *what) {
    fprintf(stderr, "heaprig: %s\n", what);
    exit(2);
}

static const struct alloc_ops *target_table(void) {
#ifdef TARGET_PLUGIN
    struct problem problem;
    const char *path = getenv("HEAPRIG_PLUGIN");
    const struct alloc_ops *ops =
        path != NULL ? subject_find(path, &problem)
                     : (problem_set(&problem, "HEAPRIG_PLUGIN: not set, expected a path"), NULL);
    return ops != NULL ? ops : (setup_fail(problem.text), NULL);
#else
    return alloc_find(TEXT(TARGET));
#endif
}

static const struct alloc_ops *target_ops(void) {
    static struct alloc_ops ops;
    if (ops.name == NULL) {
        const char *check = getenv("HEAPRIG_CHECK");
        ops = *fence_ops(target_table());
        ops.check = check != NULL && strcmp(check, "0") == 0 ? NULL : ops.check;
    }
    return &ops;
}

static struct runner *runner;
static uint64_t runs;

static void counts_say(void) {
    printf("heaprig: %" PRIu64 " runs, %" PRIu64 " ops, %.2f s\n", runs, runner_ops(runner),
           (double)clock() / CLOCKS_PER_SEC);
}

static struct runner *target_runner(void) {
    if (runner == NULL) {
        const char *every = getenv("HEAPRIG_AUDIT");
        uint32_t audit_every = every != NULL ? (uint32_t)strtoul(every, NULL, 10) : AUDIT_EVERY;
        const struct runner_config config = {.ops = target_ops(),
                                             .audit_every = audit_every,
                                             .content_cap_bytes =
                                                 audit_every == 1 ? 0 : CONTENT_CAP_BYTES};
        runner = runner_new(&config);
        if (runner == NULL) {
            setup_fail("out of memory");
        }
        if (getenv("HEAPRIG_COUNT") != NULL) {
            (void)atexit(counts_say);
        }
    }
    return runner;
}

/* AFL++ must know all that it watches before its first run, so a plug-in is loaded here. */
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    (void)target_runner();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint64_t ops = runner_ops(target_runner());
    runs++;
    tally_run(data, size);
    fence_reset();
    const char *verdict = runner_program(runner, data, size);
    tally_ops(runner_ops(runner) - ops);
    if (verdict != NULL) {
        fprintf(stderr, "heaprig: %s: %s\n", target_ops()->name, verdict);
        abort();
    }
    runner_features(runner, features);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    return program_mutate(data, size, max_size, NULL, 0, seed);
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t max_size, unsigned seed) {
    size = size < max_size ? size : max_size;
    memcpy(out, data, size);
    return program_mutate(out, size, max_size, other, other_size, seed);
}
