/* SPDX-License-Identifier: MIT
 *
 * generators_test.c - each generator does what its line in generator_list.h says
 *
 * The adversaries are run on an endless line of 16-byte units without headers, once placed first
 * fit and once aligned to their size, which is what a buddy system does; theory says exactly how
 * far they get.
 */
#include "generators.h"

#include "../bench/test_trace.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- all generators ---- */

static const size_t op_limits[] = {10, 100, 1000, 30000};

START_TEST(every_generator_keeps_to_its_ops) {
    size_t count;
    const struct generator_info *infos = generators_list(&count);
    ck_assert_uint_ge(count, 11);
    for (size_t i = 0; i < count; i++) {
        char spec[64];
        size_t limit = op_limits[_i];
        (void)snprintf(spec, sizeof spec, "gen:%s:5:%zu", infos[i].name, limit);
        struct trace trace = test_trace_load(spec);
        struct trace again = test_trace_load(spec);
        ck_assert_uint_le(trace.op_count, limit);
        ck_assert_uint_ge(trace.op_count, limit < 100 ? 1 : limit / 3);
        ck_assert_str_eq(trace.sha256, again.sha256);
        ck_assert_str_eq(trace.name, infos[i].name);
        ck_assert_str_eq(trace.origin, spec);
        ck_assert_uint_eq(trace.counts.slots, trace.counts.peak_live_blocks);
        trace_release(&trace);
        trace_release(&again);
    }
}
END_TEST

/* Known answers: the same ops on every machine and for ever, since results name traces by them. */
static const struct {
    const char *spec;
    const char *sha256;
} known[] = {
    {"gen:uniform:7:1000", "54ee0e5e0a3bf421436501e220c132cb15e3cde000781653b3e16fae36b9ee2e"},
    {"gen:powerlaw:18446744073709551615:1000",
     "f06c44f79778d83a8e46673deab2e92a2454d763da86e6b35ae7fb69401db8e8"},
    {"gen:embedded", "8d23e823fa651a3f83a7556ebf08092033ada77f3016494cd5d70f3965a122c8"},
    {"gen:messages", "f75585f03be2fe9216c276819af320aa25f9196ebeb53af6237cb27d313f4d1d"},
    {"gen:pages", "163b7cb7386b494778ed5299e897b3d4d47c8daae5a5fe2ab8c7f4b0f8aecb8e"},
    {"gen:knuth", "fd766c4989b09c9ca77185c84731492febf1047ea61a2977b383010d3fe602ab"},
};

START_TEST(ops_are_the_same_on_every_machine) {
    struct trace trace = test_trace_load(known[_i].spec);
    ck_assert_str_eq(trace.sha256, known[_i].sha256);
    trace_release(&trace);
}
END_TEST

START_TEST(seeds_are_decimal_or_hex_and_matter) {
    struct trace one = test_trace_load("gen:uniform:255:100");
    struct trace same = test_trace_load("gen:uniform:0xff:100");
    struct trace other = test_trace_load("gen:uniform:256:100");
    ck_assert_str_eq(one.sha256, same.sha256);
    ck_assert_str_ne(one.sha256, other.sha256);
    trace_release(&one);
    trace_release(&same);
    trace_release(&other);
}
END_TEST

static const struct {
    const char *spec;
    const char *said;
} faults[] = {
    {"gen:", "unknown generator, expected one that `heaprig list` shows"},
    {"gen:unifor", "did you mean 'uniform'?"},
    {"gen:uniformly:1", "unknown generator"},
    {"gen:uniform:", "bad number, expected gen:NAME[:SEED[:OPS]]"},
    {"gen:uniform:x", "bad number"},
    {"gen:uniform:-1", "bad number"},
    {"gen:uniform: 1", "bad number"},
    {"gen:uniform:1:100:5", "bad number"},
    {"gen:uniform:1:100k", "bad number"},
    {"gen:uniform:18446744073709551616", "bad number"},
    {"gen:uniform:1:9", "9 ops, expected 10 to 2147483648"},
    {"gen:uniform:1:2147483649", "2147483649 ops, expected 10 to 2147483648"},
};

START_TEST(bad_specs_are_named) {
    struct trace trace;
    struct problem problem = {""};
    ck_assert(!trace_load(faults[_i].spec, &trace, &problem));
    ck_assert_msg(strstr(problem.text, faults[_i].said) != NULL, "%s", problem.text);
    ck_assert_ptr_null(trace.ops);
}
END_TEST

/* ---- sizes ---- */

START_TEST(uniform_sizes_are_uniform) {
    struct trace trace = test_trace_load("gen:uniform");
    uint64_t eighths[8] = {0};
    for (size_t i = 0; i < trace.op_count; i++) {
        if (trace.ops[i].kind == OP_ALLOC) {
            ck_assert(trace.ops[i].bytes >= 1 && trace.ops[i].bytes <= 1024);
            eighths[(trace.ops[i].bytes - 1) / 128]++;
        }
    }
    uint64_t expected = trace.counts.kind[OP_ALLOC] / 8;
    for (size_t i = 0; i < 8; i++) {
        ck_assert_uint_ge(eighths[i], expected * 95 / 100);
        ck_assert_uint_le(eighths[i], expected * 105 / 100);
    }
    trace_release(&trace);
}
END_TEST

START_TEST(twice_the_size_is_half_as_likely) {
    struct trace trace = test_trace_load("gen:powerlaw");
    uint64_t octaves[64] = {0};
    for (size_t i = 0; i < trace.op_count; i++) {
        if (trace.ops[i].kind == OP_ALLOC) {
            octaves[63 - __builtin_clzll(trace.ops[i].bytes)]++;
        }
    }
    ck_assert_uint_eq(octaves[3] + octaves[16], 0);
    for (size_t i = 4; i < 9; i++) {
        ck_assert_uint_ge(octaves[i] * 100, octaves[i + 1] * 180);
        ck_assert_uint_le(octaves[i] * 100, octaves[i + 1] * 220);
    }
    ck_assert_uint_gt(octaves[14] + octaves[15], 0);
    trace_release(&trace);
}
END_TEST

START_TEST(pow2plus1_is_just_that) {
    struct trace trace = test_trace_load("gen:pow2plus1");
    for (size_t i = 0; i < trace.op_count; i++) {
        uint64_t below = trace.ops[i].bytes - 1;
        ck_assert(trace.ops[i].kind == OP_FREE || (below & (below - 1)) == 0);
    }
    ck_assert_uint_eq(trace.counts.largest_request, 4097);
    trace_release(&trace);
}
END_TEST

START_TEST(arrays_grow_by_realloc) {
    struct trace trace = test_trace_load("gen:realloc_growth");
    uint64_t bytes[256] = {0};
    ck_assert_uint_le(trace.counts.slots, 256);
    for (size_t i = 0; i < trace.op_count; i++) {
        const struct op *op = &trace.ops[i];
        ck_assert(op->kind != OP_REALLOC || op->bytes == bytes[op->slot] * 3 / 2);
        bytes[op->slot] = op->bytes;
    }
    ck_assert_uint_gt(trace.counts.kind[OP_REALLOC], trace.op_count / 3);
    trace_release(&trace);
}
END_TEST

/* ---- lifetimes ---- */

/* Frees in order of age: the youngest live block for lifo, the oldest for fifo. */
static void assert_order(const char *spec, bool youngest) {
    struct trace trace = test_trace_load(spec);
    uint32_t *born = calloc(trace.op_count, sizeof *born); /* slots in order of birth */
    size_t first = 0;
    size_t end = 0;
    for (size_t i = 0; i < trace.op_count; i++) {
        if (trace.ops[i].kind == OP_ALLOC) {
            born[end++] = trace.ops[i].slot;
        } else {
            ck_assert_uint_eq(trace.ops[i].slot, youngest ? born[--end] : born[first++]);
        }
    }
    ck_assert_uint_gt(trace.counts.kind[OP_FREE], trace.op_count / 3);
    free(born);
    trace_release(&trace);
}

START_TEST(lifo_frees_the_youngest) {
    assert_order("gen:lifo", true);
}
END_TEST

START_TEST(fifo_frees_the_oldest) {
    assert_order("gen:fifo", false);
}
END_TEST

START_TEST(ramp_climbs_and_falls_four_times) {
    struct trace trace = test_trace_load("gen:ramp");
    size_t live = 0;
    size_t grounds = 0;
    size_t high = 0;
    for (size_t i = 0; i < trace.op_count; i++) {
        live = trace.ops[i].kind == OP_ALLOC ? live + 1 : live - 1;
        high = live > high ? live : high;
        if (live == 0 && high > trace.op_count / 20) {
            grounds++;
            high = 0;
        }
    }
    ck_assert_uint_eq(grounds, 4);
    ck_assert_uint_eq(live, 0);
    trace_release(&trace);
}
END_TEST

START_TEST(embedded_is_like_an_rtos_application) {
    enum { PINS = 49 };
    char spec[64];
    (void)snprintf(spec, sizeof spec, "gen:embedded:%d", _i);
    struct trace trace = test_trace_load(spec);
    const struct trace_counts *counts = &trace.counts;
    ck_assert_uint_ge(counts->peak_live_bytes, 32 << 10);
    ck_assert_uint_le(counts->peak_live_bytes, 64 << 10);
    ck_assert_uint_ge(counts->largest_request, 2048);
    ck_assert_uint_le(counts->largest_request, 4096);
    ck_assert_uint_gt(counts->kind[OP_REALLOC], 0);
    uint64_t small = 0;
    for (size_t i = 0; i < trace.op_count; i++) {
        const struct op *op = &trace.ops[i];
        small += op->kind != OP_FREE && op->bytes >= 16 && op->bytes <= 256;
        ck_assert(i < PINS ? op->kind == OP_ALLOC : op->slot >= PINS); /* pins stay */
    }
    ck_assert_uint_ge(small * 100, (counts->ops - counts->kind[OP_FREE]) * 90);
    trace_release(&trace);
}
END_TEST

/* ---- adversaries, on an endless line ---- */

enum { UNIT_BYTES = 16 };

struct line {
    bool *used;
    size_t room;
    size_t end; /* behind the highest unit ever used */
    size_t *start;
    size_t *units;
    bool aligned; /* a block starts at a multiple of its size */
};

/* The lowest start of so many free units. */
static size_t line_place(const struct line *line, size_t units) {
    size_t start = 0;
    for (size_t i = 0; i < start + units; i++) {
        if (i < line->room && line->used[i]) {
            start = line->aligned ? (i / units + 1) * units : i + 1;
            i = start - 1;
        }
    }
    ck_assert_uint_le(start + units, line->room);
    return start;
}

static void line_mark(struct line *line, size_t start, size_t units, bool used) {
    for (size_t i = start; i < start + units; i++) {
        line->used[i] = used;
    }
}

static void line_op(struct line *line, const struct op *op) {
    size_t units = (size_t)(op->bytes + UNIT_BYTES - 1) / UNIT_BYTES;
    if (op->kind == OP_ALLOC) {
        size_t start = line_place(line, units);
        line->start[op->slot] = start;
        line_mark(line, start, units, true);
        line->end = start + units > line->end ? start + units : line->end;
    } else {
        /* free, or shrink in place */
        ck_assert_uint_le(units, line->units[op->slot]);
        line_mark(line, line->start[op->slot] + units, line->units[op->slot] - units, false);
    }
    line->units[op->slot] = units;
}

/* Runs the trace; returns the units that the line had to have. */
static size_t line_run(const char *spec, bool aligned, struct trace_counts *counts) {
    struct trace trace = test_trace_load(spec);
    size_t room = (size_t)(trace.counts.total_bytes / UNIT_BYTES) * 4 + 1024;
    struct line line = {.used = calloc(room, sizeof(bool)),
                        .room = room,
                        .start = calloc(trace.counts.slots, sizeof(size_t)),
                        .units = calloc(trace.counts.slots, sizeof(size_t)),
                        .aligned = aligned};
    for (size_t i = 0; i < trace.op_count; i++) {
        line_op(&line, &trace.ops[i]);
    }
    free(line.used);
    free(line.start);
    free(line.units);
    *counts = trace.counts;
    trace_release(&trace);
    return line.end;
}

/* OPS, the live units m and the steps r that follow from it. */
static const struct {
    const char *spec;
    size_t m;
    size_t r;
} knuths[] = {{"gen:knuth:1:100", 32, 4},
              {"gen:knuth:1:400", 128, 6},
              {"gen:knuth:1:2000", 512, 8},
              {"gen:knuth:1:7000", 2048, 8}};

START_TEST(knuth_needs_one_and_r_halves_of_m_in_a_buddy_system) {
    struct trace_counts counts;
    size_t m = knuths[_i].m;
    ck_assert_uint_eq(line_run(knuths[_i].spec, true, &counts), m + knuths[_i].r * m / 2);
    ck_assert_uint_eq(counts.peak_live_bytes, m * UNIT_BYTES);
    ck_assert_uint_eq(counts.largest_request, (uint64_t)UNIT_BYTES << knuths[_i].r);
    /* The frees were chosen for a buddy system: first fit does better. */
    ck_assert_uint_lt(line_run(knuths[_i].spec, false, &counts), m + knuths[_i].r * m / 2);
}
END_TEST

START_TEST(shrink_makes_a_hole_of_every_block) {
    struct trace_counts counts;
    size_t end = line_run("gen:shrink:1:2001", false, &counts);
    ck_assert_uint_eq(counts.kind[OP_REALLOC], 1000);
    ck_assert_uint_eq(end, 1001 * 64); /* (m - 2n + 2) n with n = 64, m = 1127 */
    ck_assert_uint_eq(counts.peak_live_bytes, (999 + 2 * 64) * UNIT_BYTES);
    ck_assert_uint_gt(end * UNIT_BYTES, 56 * counts.peak_live_bytes);
}
END_TEST

START_TEST(comb_makes_half_of_the_heap_useless) {
    struct trace_counts counts;
    size_t end = line_run("gen:comb:1:1400", false, &counts);
    ck_assert_uint_eq(counts.peak_live_bytes, 800 * 256);
    ck_assert_uint_eq(end * UNIT_BYTES, 800 * 256 * 3 / 2);
}
END_TEST

/* Five tasks; most blocks are freed by another than the one that took them; it fits a small RTOS'
 * memory at all times. */
START_TEST(messages_go_from_task_to_task) {
    char spec[64];
    (void)snprintf(spec, sizeof spec, "gen:messages:%d", _i);
    struct trace trace = test_trace_load(spec);
    uint16_t *owner = calloc(trace.counts.slots, sizeof *owner);
    uint64_t handed_over = 0;
    uint64_t of_thread[5] = {0};
    ck_assert_ptr_nonnull(owner);
    ck_assert_uint_eq(trace.counts.threads, 5);
    for (size_t i = 0; i < trace.op_count; i++) {
        const struct op *op = &trace.ops[i];
        of_thread[op->thread]++;
        if (op->kind == OP_ALLOC) {
            owner[op->slot] = op->thread;
        }
        handed_over += op->kind == OP_FREE && owner[op->slot] != op->thread;
    }
    ck_assert_uint_gt(handed_over * 10, trace.counts.kind[OP_FREE] * 8);
    for (size_t t = 0; t < 5; t++) {
        ck_assert_uint_gt(of_thread[t] * 50, trace.op_count);
    }
    ck_assert_uint_lt(trace.counts.peak_live_bytes, 96 << 10);
    ck_assert_uint_gt(trace.counts.kind[OP_REALLOC] * 20, trace.op_count);
    free(owner);
    trace_release(&trace);
}
END_TEST

/* Whole pages, 1 to 512, single ones by far the most. */
START_TEST(pages_are_runs_of_pages) {
    struct trace trace = test_trace_load("gen:pages:3:20000");
    uint64_t requests = 0;
    uint64_t single = 0;
    for (size_t i = 0; i < trace.op_count; i++) {
        const struct op *op = &trace.ops[i];
        if (op->kind != OP_FREE) {
            ck_assert(op->bytes % 4096 == 0 && op->bytes >= 4096 && op->bytes <= 512 * 4096);
            requests++;
            single += op->bytes == 4096;
        }
    }
    ck_assert_uint_gt(single, requests * 7 / 10);
    ck_assert_uint_gt(trace.counts.largest_request, 256 * 4096);
    trace_release(&trace);
}
END_TEST

int main(void) {
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, every_generator_keeps_to_its_ops, 0,
                        sizeof op_limits / sizeof op_limits[0]);
    tcase_add_loop_test(all, ops_are_the_same_on_every_machine, 0, sizeof known / sizeof known[0]);
    tcase_add_test(all, seeds_are_decimal_or_hex_and_matter);
    tcase_add_test(all, pages_are_runs_of_pages);
    tcase_add_loop_test(all, bad_specs_are_named, 0, sizeof faults / sizeof faults[0]);
    TCase *each = tcase_create("each");
    tcase_set_timeout(each, 30);
    tcase_add_test(each, uniform_sizes_are_uniform);
    tcase_add_test(each, twice_the_size_is_half_as_likely);
    tcase_add_test(each, pow2plus1_is_just_that);
    tcase_add_test(each, arrays_grow_by_realloc);
    tcase_add_test(each, lifo_frees_the_youngest);
    tcase_add_test(each, fifo_frees_the_oldest);
    tcase_add_test(each, ramp_climbs_and_falls_four_times);
    tcase_add_loop_test(each, embedded_is_like_an_rtos_application, 0, 8);
    tcase_add_loop_test(each, messages_go_from_task_to_task, 1, 5);
    TCase *adversaries = tcase_create("adversaries");
    tcase_set_timeout(adversaries, 30);
    tcase_add_loop_test(adversaries, knuth_needs_one_and_r_halves_of_m_in_a_buddy_system, 0,
                        sizeof knuths / sizeof knuths[0]);
    tcase_add_test(adversaries, shrink_makes_a_hole_of_every_block);
    tcase_add_test(adversaries, comb_makes_half_of_the_heap_useless);
    Suite *suite = suite_create("generators");
    suite_add_tcase(suite, all);
    suite_add_tcase(suite, each);
    suite_add_tcase(suite, adversaries);
    return test_main(suite);
}
