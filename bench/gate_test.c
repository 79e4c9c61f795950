/* SPDX-License-Identifier: MIT
 * gate_test.c - a gate written and read back is the same gate, and no damage to its file is taken
 * for one or brings the reader down. commands_test.c has the gate from outside, tools/gate_test.sh
 * what it finds. */
#include "gate.h"
#include "test_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/heaprig_gate_XXXXXX";
static char path[64];

static void folder_make(void) {
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/gate.json", folder);
}

static void folder_drop(void) {
    (void)unlink(path);
    (void)rmdir(folder);
}

/* Memory and pools of two allocators on one trace. */
static void gate_make(struct gate *gate) {
    static char allocators[] = "bestfit,buddy";
    static char traces[] = "gen:embedded:1:500";
    const struct selection_choice choice = {.allocators = allocators, .traces = traces};
    struct problem problem = {""};
    size_t faults;
    *gate = (struct gate){.part[GATE_MEMORY].there = true, .part[GATE_POOLS].there = true};
    ck_assert_msg(gate_plan(gate, &choice, &problem), "%s", problem.text);
    ck_assert_msg(gate_measure(gate, 1, stdout, &faults, &problem), "%s", problem.text);
    ck_assert_uint_eq(faults, 0);
    ck_assert_msg(gate_write(gate, folder, &problem), "%s", problem.text);
}

START_TEST(a_gate_is_read_as_written) {
    struct gate gate;
    struct gate back;
    struct gate again;
    struct problem problem = {""};
    struct compare_counts counts = {0};
    size_t faults;
    gate_make(&gate);
    ck_assert_msg(gate_read(folder, &back, &problem), "%s", problem.text);
    ck_assert_str_eq(back.choice.allocators, gate.choice.allocators);
    ck_assert_str_eq(back.choice.traces, gate.choice.traces);
    ck_assert_str_eq(back.sha256[0], gate.sha256[0]);
    ck_assert(gate_replan(&back, &again, &problem));
    ck_assert(gate_measure(&again, 2, stdout, &faults, &problem));
    ck_assert(gate_holds(&back, &again, stdout, &counts));
    ck_assert_uint_eq(counts.pairs, 4);
    ck_assert_uint_eq(counts.worse + counts.better + counts.changed + counts.added, 0);
    gate_release(&gate);
    gate_release(&back);
    gate_release(&again);
}
END_TEST

/* A part's tolerance, and that a better figure never hides a worse one. */
START_TEST(tolerance_is_the_part_s) {
    struct gate before;
    struct gate now;
    struct problem problem = {""};
    gate_make(&before);
    ck_assert(gate_read(folder, &now, &problem));
    struct fit_row *rows = now.part[GATE_POOLS].rows;
    rows[0].fit_bytes = rows[0].fit_bytes * 104 / 100;
    rows[1].fit_bytes /= 2;
    struct compare_counts counts = {0};
    ck_assert(!gate_holds(&before, &now, stdout, &counts));
    ck_assert(counts.worse == 1 && counts.better == 1);
    before.part[GATE_MEMORY].tolerance_percent = 5;
    ck_assert(!gate_holds(&before, &now, stdout, &(struct compare_counts){0}));
    before.part[GATE_POOLS].tolerance_percent = 5;
    ck_assert(gate_holds(&before, &now, stdout, &(struct compare_counts){0}));
    gate_release(&before);
    gate_release(&now);
}
END_TEST

static size_t file_read(char *text, size_t room) {
    FILE *file = fopen(path, "r");
    size_t length = fread(text, 1, room, file);
    ck_assert(length > 0 && length < room);
    fclose(file);
    return length;
}

static bool text_is_gate(const char *text, size_t length) {
    struct gate gate;
    struct problem problem = {""};
    FILE *file = fopen(path, "w");
    (void)fwrite(text, 1, length, file);
    fclose(file);
    bool read = gate_read(folder, &gate, &problem);
    ck_assert_msg(read || strstr(problem.text, "gate.json:") != NULL, "%s", problem.text);
    gate_release(&gate);
    return read;
}

START_TEST(a_part_of_a_gate_is_none) {
    static char text[1 << 14];
    struct gate gate;
    gate_make(&gate);
    size_t length = file_read(text, sizeof text);
    for (size_t keep = 0; keep + 2 < length; keep += keep < 64 ? 1 : 7) { /* "}\n" may go */
        ck_assert_msg(!text_is_gate(text, keep), "the first %zu bytes of %zu", keep, length);
    }
    for (size_t i = 0; i < length; i++) { /* no value is taken for one of another kind */
        char was = text[i];
        text[i] = was >= '0' && was <= '9' ? '"' : '0';
        (void)text_is_gate(text, length);
        text[i] = was;
    }
    ck_assert(text_is_gate(text, length));
    gate_release(&gate);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("gate");
    TCase *tcase = tcase_create("gate");
    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, folder_make, folder_drop);
    tcase_add_test(tcase, a_gate_is_read_as_written);
    tcase_add_test(tcase, tolerance_is_the_part_s);
    tcase_add_test(tcase, a_part_of_a_gate_is_none);
    return test_main(suite);
}
