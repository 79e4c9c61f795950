/* SPDX-License-Identifier: MIT
 *
 * space_target.c - the fuzz target of address spaces: programs of vm_world.h
 *
 * The mutator keeps operations whole: it copies, drops, inserts and changes fields of them.
 */
#include "tally.h"
#include "vm_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPS_MAX = 400 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static struct vm_world *world;

static void world_remove(void) {
    vm_world_delete(world);
    world = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (world == NULL) {
        world = vm_world_new();
        if (world == NULL) {
            fprintf(stderr, "heaprig: no folder for host files\n");
            exit(2);
        }
        (void)atexit(world_remove);
    }
    size_t bytes_max = 1 + OPS_MAX * VM_WORLD_OP_BYTES;
    uint64_t ops_before = vm_world_tally(world)->ops;
    tally_run(data, size);
    const char *verdict = vm_world_run(world, data, size < bytes_max ? size : bytes_max);
    tally_ops(vm_world_tally(world)->ops - ops_before);
    if (verdict != NULL) {
        fprintf(stderr, "heaprig: space: %s\n", verdict);
        world_remove();
        abort();
    }
    return 0;
}

static unsigned next(unsigned *state, unsigned below) {
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

/* One change of a program of `ops` operations; how many it has then. */
static size_t program_change(uint8_t *op, size_t ops, size_t ops_max, unsigned *state) {
    enum { BYTES = VM_WORLD_OP_BYTES };
    size_t at = ops > 0 ? next(state, (unsigned)ops) : 0;
    unsigned what = next(state, 8);
    if (ops == 0 || (what < 3 && ops < ops_max)) { /* a new one, or one again */
        memmove(op + (at + 1) * BYTES, op + at * BYTES, (ops - at) * BYTES);
        for (int i = 0; i < BYTES && (what < 2 || ops == 0); i++) {
            op[at * BYTES + (size_t)i] = (uint8_t)next(state, 256);
        }
        return ops + 1;
    }
    if (what == 3) {
        memmove(op + at * BYTES, op + (at + 1) * BYTES, (ops - at - 1) * BYTES);
        return ops - 1;
    }
    op[at * BYTES + next(state, BYTES)] = (uint8_t)next(state, 256);
    return ops;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
    unsigned state = seed;
    size_t ops_max = max_size > 0 ? (max_size - 1) / VM_WORLD_OP_BYTES : 0;
    size_t ops = size > 0 ? (size - 1) / VM_WORLD_OP_BYTES : 0;
    if (ops_max == 0) {
        return size;
    }
    if (size == 0) {
        data[0] = (uint8_t)next(&state, 256);
    }
    for (unsigned changes = 1 + next(&state, 8); changes > 0; changes--) {
        ops = program_change(data + 1, ops, ops_max, &state);
    }
    data[0] = next(&state, 32) == 0 ? (uint8_t)next(&state, 256) : data[0];
    return 1 + ops * VM_WORLD_OP_BYTES;
}
