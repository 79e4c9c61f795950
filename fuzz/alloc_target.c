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

/* Likewise for AFL++, which numbers what stands in this section as edges of the code: going along
 * one is told by the call that it would have compiled in there. Other engines leave them 0. */
__attribute__((section("__sancov_guards"))) static volatile uint32_t edges[RUNNER_FEATURES];
void __sanitizer_cov_trace_pc_guard(uint32_t *edge) __attribute__((weak));

static void features_show(const struct runner *of) {
    runner_features(of, features);
    const uint8_t *end = features + RUNNER_FEATURES, *at = features;
    while (edges[0] != 0 && (at = memchr(at, 1, (size_t)(end - at))) != NULL) {
        uint32_t edge = edges[at++ - features];
        __sanitizer_cov_trace_pc_guard(&edge);
    }
}

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
    features_show(runner);
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
