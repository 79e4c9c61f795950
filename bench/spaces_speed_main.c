/* SPDX-License-Identifier: MIT
 *
 * spaces_speed_main.c - what traces of processes' pages cost in faults, copies, TLB misses and time
 *
 *   spaces_speed [TRACE [CORE]]    a machine of 64 MiB with that core (a7), the trace five times
 *   spaces_speed --print TRACE     the trace as text
 *
 * TRACE is a file or gen:shell[:SEED[:OPS]] (page_ops.h). All figures but the time are exact.
 */
#include "page_ops.h"
#include "tick.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { RAM_BYTES = 64 << 20, ROUNDS = 5, STATUS_BAD = 2 };

static int trace_print(const struct page_trace *trace) {
    char text[64];
    for (size_t i = 0; i < trace->count; i++) {
        page_op_text(&trace->ops[i], text);
        puts(text);
    }
    return 0;
}

static uint64_t sum(const uint64_t *counter, int count) {
    uint64_t total = 0;
    for (int i = 0; i < count; i++) {
        total += counter[i];
    }
    return total;
}

static void report(const struct page_trace *trace, const struct machine *machine,
                   const struct page_result *result, uint64_t least_ns) {
    const struct mmu_counters *c = &machine->mmu.counters;
    double per = 1000.0 / (double)(trace->count > 0 ? trace->count : 1);
    printf("operations %zu, refused %" PRIu64 ", most frames at once %" PRIu32 "\n", trace->count,
           result->refused, result->peak_frames);
    printf("per 1000 operations: faults %.1f, copies on write %.1f, micro-TLB misses %.1f, walks "
           "%.1f, TLB entries dropped %.1f, switches %.1f\n",
           (double)machine->faults * per, (double)machine->copies * per,
           (double)sum(c->micro_misses, VM_KINDS) * per,
           (double)sum(c->main_misses, VM_KINDS) * per, (double)c->entries_dropped * per,
           (double)c->context_switches * per);
    printf("ns an operation, least of %d rounds: %.0f\n", ROUNDS,
           (double)least_ns / (double)(trace->count > 0 ? trace->count : 1));
}

static int trace_measure(const struct page_trace *trace, const char *core) {
    const struct phys_range range = {0x80000000u, RAM_BYTES};
    const struct machine_config config = {.range = &range, .ranges = 1, .core = core};
    uint64_t least_ns = UINT64_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        struct machine *machine;
        struct page_result result;
        if (machine_new(&config, &machine) != VM_OK) {
            fprintf(stderr,
                    "spaces_speed: '%s', expected a core that heaprig mmu --core list "
                    "names\n",
                    core);
            return STATUS_BAD;
        }
        uint64_t begin = tick_cpu_ns();
        page_trace_run(trace, machine, &result);
        uint64_t took = tick_cpu_ns() - begin;
        least_ns = took < least_ns ? took : least_ns;
        if (round == ROUNDS - 1) {
            report(trace, machine, &result, least_ns);
        }
        machine_delete(machine);
    }
    return 0;
}

int main(int argc, char **argv) {
    bool print = argc > 1 && strcmp(argv[1], "--print") == 0;
    const char *spec = argc > 1 + print ? argv[1 + print] : "gen:shell";
    if (argc > 3 || spec[0] == '-') {
        fprintf(stderr, "spaces_speed: expected [TRACE [CORE]] or --print TRACE\n");
        return STATUS_BAD;
    }
    struct page_trace trace;
    struct problem problem;
    if (!page_trace_load(spec, &trace, &problem)) {
        fprintf(stderr, "spaces_speed: %s\n", problem.text);
        return STATUS_BAD;
    }
    int status = print ? trace_print(&trace) : trace_measure(&trace, argc > 2 ? argv[2] : "a7");
    page_trace_release(&trace);
    return status;
}
