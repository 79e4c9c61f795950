/* SPDX-License-Identifier: MIT
 * vm_world_test.c - random programs on address spaces against the flat model; HEAPRIG_FULL makes it
 * long. A program that fails is written down, to be given to the fuzz target.
 */
#include "vm_world.h"
#include "../alloc/white_box.h"

enum { SHORT_PROGRAMS = 60, LONG_PROGRAMS = 3000, OPS_MAX = 600 };

/* Swarm: each program leaves out some operations and prefers others. */
static size_t program_fill(uint64_t *random, uint8_t *program) {
    uint8_t kinds[16];
    for (size_t i = 0; i < sizeof(kinds); i++) {
        kinds[i] = (uint8_t)random_word(random);
    }
    size_t ops = 20 + random_below(random, OPS_MAX - 20);
    program[0] = (uint8_t)random_word(random);
    for (size_t i = 0; i < ops; i++) {
        uint8_t *op = program + 1 + i * VM_WORLD_OP_BYTES;
        uint64_t word = random_word(random);
        memcpy(op, &word, VM_WORLD_OP_BYTES);
        if (random_below(random, 4) != 0) {
            op[0] = kinds[random_below(random, sizeof(kinds))];
        }
        op[2] = random_below(random, 2) == 0 ? op[2] & 0x3F : op[2];
    }
    return 1 + ops * VM_WORLD_OP_BYTES;
}

static void program_keep(const uint8_t *program, size_t bytes) {
    FILE *file = fopen("/tmp/heaprig_vm_program", "wb");
    if (file != NULL) {
        (void)fwrite(program, 1, bytes, file);
        (void)fclose(file);
    }
}

START_TEST(test_random_programs) {
    static uint8_t program[1 + OPS_MAX * VM_WORLD_OP_BYTES];
    uint64_t random = seed_of(1);
    struct vm_world *w = vm_world_new();
    ck_assert_ptr_nonnull(w);
    int programs = is_full_run() ? LONG_PROGRAMS : SHORT_PROGRAMS;
    for (int i = 0; i < programs; i++) {
        size_t bytes = program_fill(&random, program);
        const char *verdict = vm_world_run(w, program, bytes);
        if (verdict != NULL) {
            program_keep(program, bytes);
            ck_abort_msg("program %d, kept as /tmp/heaprig_vm_program: %s", i, verdict);
        }
    }
    const struct vm_world_tally *tally = vm_world_tally(w);
    printf("%d programs: %llu ops, %llu refused, %llu words compared, %llu copies, %llu pages "
           "reclaimed, %llu shortages\n",
           programs, (unsigned long long)tally->ops, (unsigned long long)tally->refused,
           (unsigned long long)tally->words, (unsigned long long)tally->copies,
           (unsigned long long)tally->reclaimed, (unsigned long long)tally->shortages);
    /* It reached what it is for. */
    ck_assert_uint_gt(tally->copies, 0);
    ck_assert_uint_gt(tally->reclaimed, 0);
    ck_assert_uint_gt(tally->refused, 0);
    ck_assert_uint_lt(tally->refused * 10, tally->ops * 9);
    vm_world_delete(w);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("vm_world");
    TCase *tests = tcase_create("vm_world");
    tcase_set_timeout(tests, 3600);
    tcase_add_test(tests, test_random_programs);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
