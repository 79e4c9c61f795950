/* SPDX-License-Identifier: MIT
 *
 * tally.h - what a fuzz target has done, in a file that outlives it
 *
 * The file that the environment names as HEAPRIG_TALLY is mapped: whoever started the engine reads
 * from it how many runs and ops were made, the same for every engine, and which input was under way
 * when the process ended without a word or was killed. Without the variable all of this costs a
 * copy of the input.
 */
#ifndef HEAPRIG_TALLY_H
#define HEAPRIG_TALLY_H

#include <stddef.h>
#include <stdint.h>

enum { TALLY_INPUT_MAX = 4096 };

/* The file's layout. Counts go on where those of the process before ended. */
struct tally {
    uint64_t runs;
    uint64_t ops;         /* calls of the allocator that the runs made */
    uint64_t input_bytes; /* of the run under way, cut at TALLY_INPUT_MAX */
    uint8_t input[TALLY_INPUT_MAX];
};

/* A run of this input begins. Ends the process with status 2 when the file cannot be mapped. */
void tally_run(const uint8_t *data, size_t size);

/* The run made so many ops more. */
void tally_ops(uint64_t ops);

#endif
