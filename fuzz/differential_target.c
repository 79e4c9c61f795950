/* SPDX-License-Identifier: MIT
 *
 * differential_target.c - a fuzz target: one program on every own allocator, twice
 *
 * Each must be sound under the oracle, and must place every block at the same offset when the same
 * program runs again in another pool at a congruent address: what it does depends on nothing but
 * the ops.
 */
#include "program.h"
#include "runner.h"
#include "tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data, size_t size, const uint8_t *other,
                                 size_t other_size, uint8_t *out, size_t max_size, unsigned seed);

enum { ALLOCATORS_MAX = 64, AUDIT_EVERY = 64, CONTENT_CAP_BYTES = 32 };

/* Two runners for each allocator, so two pools. */
static struct runner *runner_for(const struct alloc_ops *ops, size_t index, size_t copy) {
    static struct runner *runners[ALLOCATORS_MAX][2];
    struct runner **runner = &runners[index][copy];
    if (*runner == NULL) {
        *runner = runner_new(&(struct runner_config){
            .ops = ops, .audit_every = AUDIT_EVERY, .content_cap_bytes = CONTENT_CAP_BYTES});
    }
    if (*runner == NULL) {
        fputs("heaprig: out of memory\n", stderr);
        exit(2);
    }
    return *runner;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t count;
    const struct alloc_ops *const *ops = alloc_registry(&count);
    tally_run(data, size);
    for (size_t i = 0; i < count && i < ALLOCATORS_MAX; i++) {
        uint64_t digests[2];
        for (size_t copy = 0; copy < 2; copy++) {
            struct runner *runner = runner_for(ops[i], i, copy);
            uint64_t before = runner_ops(runner);
            const char *verdict = runner_program(runner, data, size);
            tally_ops(runner_ops(runner) - before);
            if (verdict != NULL) {
                fprintf(stderr, "heaprig: %s: %s\n", ops[i]->name, verdict);
                abort();
            }
            digests[copy] = runner_digest(runner);
        }
        if (digests[0] != digests[1]) {
            fprintf(stderr,
                    "heaprig: %s: places differ at two congruent addresses: %016" PRIx64
                    " and %016" PRIx64 "\n",
                    ops[i]->name, digests[0], digests[1]);
            abort();
        }
    }
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
