/* SPDX-License-Identifier: MIT
 *
 * gbench_shim.h - Google Benchmark for C
 *
 * A benchmark is a function that does something in a loop:
 *
 *   static void pair_run(struct gbench_run *run, void *ctx) {
 *       while (gbench_more(run, 64)) {
 *           ... 64 operations ...
 *       }
 *   }
 *
 * Google Benchmark calls it several times, with ever more operations, until the figures are good.
 * All its flags work (--benchmark_filter, --benchmark_repetitions, --benchmark_out, ...).
 */
#ifndef HEAPRIG_GBENCH_SHIM_H
#define HEAPRIG_GBENCH_SHIM_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gbench_run; /* one call of one benchmark */

typedef void gbench_fn(struct gbench_run *run, void *ctx);

/* How an operation is timed. */
enum gbench_clock {
    GBENCH_CLOCK_LOOP, /* the whole loop, but for what stands between pause and resume */
    GBENCH_CLOCK_OWN,  /* gbench_took() says what each round of the loop took; the CPU column then
                          shows the whole loop */
};

/* Takes the flags of Google Benchmark out of argv. --help calls `help` and ends the program. */
void gbench_begin(int *argc, char **argv, void (*help)(void));

/* Prints the most useful flags of Google Benchmark. */
void gbench_flags_help(void);

/* Adds a benchmark; ctx must live until gbench_run_all() is done. */
void gbench_add(const char *name, gbench_fn *fn, void *ctx, enum gbench_clock clock);

/* A pair of texts at the head of the output and in the JSON file. */
void gbench_context(const char *key, const char *value);

/* Runs what the filter selects: 0. 1 when any benchmark failed, 2 when the filter selects nothing.
 */
int gbench_run_all(void);

/* In a benchmark: true when another round of `ops` operations is wanted. */
bool gbench_more(struct gbench_run *run, uint64_t ops);

/* What stands between is not timed. Costs about a microsecond. */
void gbench_pause(struct gbench_run *run);
void gbench_resume(struct gbench_run *run);

/* GBENCH_CLOCK_OWN: the time of this round. */
void gbench_took(struct gbench_run *run, double seconds);

/* A further column. Left out are values that are not finite and zeros: Google Benchmark would write
 * them, or the deviation relative to a mean of 0, as NaN, for which JSON has no word. */
void gbench_count(struct gbench_run *run, const char *name, double value);

/* Reports the benchmark as failed and makes gbench_run_all() return 1. The loop must be left. */
void gbench_fail(struct gbench_run *run, const char *why);

/* Reports that the benchmark does not apply, which is no failure. The loop must be left. */
void gbench_skip(struct gbench_run *run, const char *why);

#ifdef __cplusplus
}
#endif

#endif
