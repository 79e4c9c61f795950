/* SPDX-License-Identifier: MIT
 *
 * afl_preload.c - the mutator of programs as afl-fuzz loads it
 *
 * AFL_CUSTOM_MUTATOR_LIBRARY=build/libheaprig_afl.so AFL_CUSTOM_MUTATOR_ONLY=1: whole records are
 * changed, never bytes across them. The functions are those that AFL++ 4 documents in
 * custom_mutators.md.
 */
#include "program.h"
#include "random_ops.h"

#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

struct mutator {
    uint64_t random;
    uint8_t program[PROGRAM_BYTES_MAX];
};

EXPORT void *afl_custom_init(void *afl, unsigned seed);
EXPORT size_t afl_custom_fuzz(void *data, uint8_t *input, size_t size, uint8_t **output,
                              uint8_t *other, size_t other_size, size_t max_size);
EXPORT void afl_custom_deinit(void *data);

void *afl_custom_init(void *afl, unsigned seed) {
    struct mutator *mutator = calloc(1, sizeof *mutator);
    (void)afl;
    if (mutator != NULL) {
        mutator->random = seed * 2 + UINT64_C(0x9E3779B97F4A7C15);
    }
    return mutator;
}

/* The output is the mutator's until its next call. */
size_t afl_custom_fuzz(void *data, uint8_t *input, size_t size, uint8_t **output, uint8_t *other,
                       size_t other_size, size_t max_size) {
    struct mutator *mutator = data;
    size_t room = max_size < sizeof mutator->program ? max_size : sizeof mutator->program;
    size = size < room ? size : room;
    memcpy(mutator->program, input, size);
    *output = mutator->program;
    return program_mutate(mutator->program, size, room, other, other_size,
                          random_next(&mutator->random));
}

void afl_custom_deinit(void *data) {
    free(data);
}
