/* SPDX-License-Identifier: MIT
 *
 * alloc_target.c - the fuzz target of one allocator, for libFuzzer and AFL++ alike
 *
 * Built once per allocator with -DTARGET=NAME; with -DTARGET_PLUGIN for the allocator that is
 * linked in as `heaprig_allocator`. What a program found is said in words before the engine keeps
 * its bytes. HEAPRIG_AUDIT=N makes an audit of the whole heap every N ops (0: at the end only).
 */
#include "program.h"
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_OF(name) #name
#define TEXT(name)    TEXT_OF(name)

enum { AUDIT_EVERY = 16, CONTENT_CAP_BYTES = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t max_size, unsigned seed);

/* Coverage of states, beside that of code: libFuzzer watches this section. */
__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t features[RUNNER_FEATURES];

static const struct alloc_ops *target_table(void) {
#ifdef TARGET_PLUGIN
    extern const struct alloc_ops heaprig_allocator;
    return &heaprig_allocator;
#else
    return alloc_find(TEXT(TARGET));
#endif
}

static const struct alloc_ops *target_ops(void) {
    static struct alloc_ops ops;
    if (ops.name == NULL) {
        const char *check = getenv("HEAPRIG_CHECK");
        ops = *target_table();
        ops.check = check != NULL && strcmp(check, "0") == 0 ? NULL : ops.check;
    }
    return &ops;
}

static struct runner *target_runner(void) {
    static struct runner *runner;
    if (runner == NULL) {
        const char *every = getenv("HEAPRIG_AUDIT");
        uint32_t audit_every = every != NULL ? (uint32_t)strtoul(every, NULL, 10) : AUDIT_EVERY;
        const struct runner_config config = {.ops = target_ops(),
                                             .audit_every = audit_every,
                                             .content_cap_bytes =
                                                 audit_every == 1 ? 0 : CONTENT_CAP_BYTES};
        runner = runner_new(&config);
        if (runner == NULL) {
            fputs("heaprig: out of memory\n", stderr);
            exit(2);
        }
    }
    return runner;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct runner *runner = target_runner();
    const char *verdict = runner_program(runner, data, size);
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
