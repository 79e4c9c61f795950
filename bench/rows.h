/* SPDX-License-Identifier: MIT
 *
 * rows.h - results: the one place that knows columns
 *
 * A result is an array of rows of one kind. Each kind is a table of columns (rows.c); from it come
 * the JSON file, the flat file for gnuplot, the reader and the comparison. To add a column: a
 * member of the row's struct and one line in rows.c.
 *
 *   results/latest/bench.json       {"meta": {...}, "rows": [{...}, ...], "skipped": [{...}, ...]}
 *   results/latest/bench.tsv        the rows, tab-separated, first line: column names; ns_ci is two
 *                                   columns, ns_ci_lo and ns_ci_hi; unknown figures are NaN
 *   results/latest/fit.json, .tsv   the same for `heaprig fit`
 *   results/latest/mmu.json, .tsv   the same for `heaprig mmu`; mmu/ and heat/: see mmu_series.h
 *   results/latest/footprint/ALLOCATOR.TRACE.tsv   time series, see footprint.h
 *   results/latest/latency/ALLOCATOR.TRACE.tsv     distribution, see latency.h
 *
 * An unknown figure is NaN in a row, null in JSON and '-' on the terminal. `skipped` names each
 * pair that was not measured: {"allocator", "trace", "why"}.
 */
#ifndef HEAPRIG_ROWS_H
#define HEAPRIG_ROWS_H

#include "../alloc/alloc.h"
#include "../trace/problem.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum column_kind { COLUMN_TEXT, COLUMN_COUNT, COLUMN_REAL, COLUMN_RANGE };

/* How two results are compared. */
enum column_role {
    COLUMN_KEY,     /* rows with equal keys belong together */
    COLUMN_CONTEXT, /* when it differs, the rows cannot be compared */
    COLUMN_ORIGIN,  /* when it differs, rows are not compared: another compiler, say */
    COLUMN_LESS,    /* exact, less is better */
    COLUMN_STRICT,  /* the same, but no tolerance excuses more */
    COLUMN_SAME,    /* exact, a change is worth a line, neither better nor worse */
    COLUMN_TIMED,   /* noisy: compared as ratios of ranges */
    COLUMN_INFO,    /* not compared */
};

struct column {
    const char *key;
    enum column_kind kind;
    enum column_role role;
    size_t offset;     /* in the row */
    size_t text_bytes; /* COLUMN_TEXT: room in the row */
};

struct row_kind {
    const char *name; /* "bench": the file's name without ending */
    size_t row_bytes;
    size_t column_count;
    const struct column *columns;
};

/* p50, p99, p99.9 and largest, in ns. */
struct row_latency {
    double p50, p99, p999, max;
};

/* (footprint - live) / live, and its three parts, which add up to it. */
struct row_split {
    double total, meta, internal, external;
};

/* One allocator on one trace. Bytes and counts are exact for allocators with a pool. */
struct bench_row {
    char allocator[64];
    char trace[64];
    char trace_sha256[65];
    char arch[32]; /* of the program the trace was recorded from; empty when unknown */
    char digest[17];
    uint64_t ops;
    uint64_t pool_bytes;  /* given to init(); 0: memory from the system, then nothing is exact */
    uint64_t block_bytes; /* cfg.block_bytes; 0: not asked for */
    uint64_t rounds;
    uint64_t latency_replays;
    double ns_per_op; /* net of null_ns_per_op, median of rounds */
    double ns_ci[2];  /* order-statistic 95 % interval of ns_per_op */
    double null_ns_per_op;
    struct row_latency alloc, realloc, free, all;
    uint64_t peak_live;        /* of the trace, requested bytes */
    uint64_t high_water;       /* span of payloads from the pool's start or end; else bytes held */
    double high_water_ratio;   /* high_water / peak_live */
    uint64_t failures;         /* requests that found no memory */
    uint64_t refusals;         /* requests larger than largest() of the fresh heap */
    uint64_t misuses;          /* frees that were refused */
    double jw1, jw2, jw3, jw4; /* Johnstone and Wilson's measures, footprint.h */
    struct row_split mean;     /* sums over all samples */
    struct row_split peak;     /* at the sample with the largest footprint */
    double unusable;           /* share of the holes' bytes that the coming requests cannot use */
};

/* The smallest pool of one allocator for one trace. */
struct fit_row {
    char allocator[64];
    char trace[64];
    char trace_sha256[65];
    char arch[32];
    uint64_t ops;
    uint64_t block_bytes;
    uint64_t peak_live;
    uint64_t fit_bytes;    /* this pool and every larger one that was tried completes the trace */
    uint64_t lowest_bytes; /* smallest pool that was seen to; less than fit_bytes: not monotone */
    uint64_t refusals;     /* requests no pool serves */
    double fit_ratio;      /* fit_bytes / peak_live */
    double lowest_ratio;
    uint64_t floor_bytes; /* no allocator with 4-byte headers and 8-byte granules needs less */
    double floor_ratio;
};

enum cost_kind { COST_ALLOC, COST_ALIGNED, COST_REALLOC, COST_FREE, COST_KINDS };

/* The calls of one kind. */
struct row_cost {
    uint64_t calls;
    double mean; /* instructions */
    uint64_t p50, p99, p999, max;
    uint64_t max_op;    /* index in the trace of the first call that took max */
    uint64_t max_bytes; /* what it asked for, or what it freed */
    double steps_mean;  /* steps: how often the call ran the one instruction that it ran most */
    uint64_t steps_max, steps_max_op;
};

/* Instructions per call of one allocator on one trace, net of an empty function's. */
struct cost_row {
    char allocator[64];
    char trace[64];
    char trace_sha256[65];
    char arch[32]; /* of the code that was counted */
    uint64_t ops;
    struct row_cost call[COST_KINDS];
};

enum { SIZE_OPTIMIZATIONS = 2, SIZE_FUNCTIONS = 3, SIZE_POOLS = 3 };

/* What an own allocator takes before a byte is asked for (size.h). */
struct size_row {
    char allocator[64];
    char compiler[64];                               /* of the code; empty: no code was measured */
    double code[SIZE_OPTIMIZATIONS][SIZE_FUNCTIONS]; /* bytes of code and constants */
    double control[SIZE_POOLS];                      /* bytes of metadata in a fresh pool */
    uint64_t header_bytes;                           /* of a block beyond its usable bytes */
    uint64_t least_block_bytes;                      /* of the smallest block, header included */
};

/* Os, O2; all, firmware, least (tools/code_size.sh); bytes of the pools. */
extern const char *const size_optimizations[SIZE_OPTIMIZATIONS];
extern const char *const size_functions[SIZE_FUNCTIONS];
extern const size_t size_pools[SIZE_POOLS];

/* alloc, aligned, realloc, free: as columns begin. */
extern const char *const cost_kind_names[COST_KINDS];

/* One allocator on one trace of several threads. Times vary with the scheduler, and so do failures.
 */
struct threads_row {
    char allocator[64];
    char trace[64];
    char trace_sha256[65];
    uint64_t ops;
    uint64_t threads;
    uint64_t pool_bytes;
    uint64_t block_bytes;
    uint64_t rounds;
    uint64_t replays;
    double ops_per_second;   /* of all threads together */
    double ns_per_op;        /* its inverse: median of rounds, the harness's own time included */
    double ns_ci[2];         /* order-statistic 95 % interval of ns_per_op */
    double call_ns;          /* mean of a call, waiting for the lock included */
    struct row_latency held; /* how long the lock was held; NaN when it is not ours */
    uint64_t held_max_op;    /* the op that held it longest, its thread, and what it asked for or
                                freed */
    uint64_t held_max_thread;
    uint64_t held_max_bytes;
    char held_max_kind[16];
    uint64_t failures;
    uint64_t misuses;
};

/* A figure of the MMU model: of all accesses, of the application's, of the allocator's own. The
 * latter, and all, are NaN when its code was not instrumented. */
struct row_share {
    double all, app, alloc;
};

/* One allocator on one trace, seen by an emulated MMU (mmu_run.h). */
struct mmu_row {
    char allocator[64];
    char trace[64];
    char trace_sha256[65];
    char arch[32];
    char core[64];     /* preset, and knobs that were set */
    char page_size[8]; /* "4k" */
    char touch[8];     /* policy of the application's touches */
    char compiler[64]; /* of the instrumented build */
    uint64_t caches;   /* 1: data accesses went through the caches too */
    uint64_t ops;
    uint64_t pool_bytes;
    uint64_t block_bytes;
    uint64_t failures, refusals;
    struct row_share accesses;     /* per operation */
    struct row_share micro_misses; /* per 1000 operations, as the two below */
    struct row_share main_misses;
    struct row_share walk_reads;
    struct row_share cycles; /* per operation: an additive estimate */
    struct row_share pages;  /* touched at all */
    struct row_share faults; /* first touches of a page, the heap's setting up included */
};

extern const struct row_kind bench_rows;
extern const struct row_kind mmu_rows;
extern const struct row_kind cost_rows;
extern const struct row_kind fit_rows;
extern const struct row_kind threads_rows;
extern const struct row_kind size_rows;

/* A pair that was not measured. */
struct row_skip {
    char allocator[64];
    char trace[64];
    char why[128];
};

struct row_set {
    const struct row_kind *kind;
    const void *rows;
    size_t row_count;
    const struct row_skip *skips;
    size_t skip_count;
    const struct alloc_ops *const
        *order; /* the order allocators are shown in; NULL: as they come */
    size_t order_count;
};

/* A row of a set. */
const void *rows_at(const struct row_set *set, size_t index);

/* The column of that key, or NULL. */
const struct column *rows_column(const struct row_kind *kind, const char *key);

/* The value of a column as a number: counts and reals; a range gives its middle, text NaN. */
double rows_number(const struct column *column, const void *row);

/* The cell of a text column; the two ends of a range column. */
const char *rows_text(const struct column *column, const void *row);
const double *rows_range(const struct column *column, const void *row);

/* Exact figures and what tells rows apart, or all columns. */
enum rows_columns { ROWS_ALL, ROWS_COMPARED };

/* True if the column is one of ROWS_COMPARED. */
bool rows_compared(const struct column *column);

/* An array with an object for each row, and back; the caller releases either. Reading
 * ROWS_COMPARED, a cell of these columns that is missing or of another kind is refused: false and
 * *problem; with ROWS_ALL it is zero or NaN. */
json_t *rows_to_json(const struct row_set *set, enum rows_columns which);
bool rows_from_json(const struct row_kind *kind, const json_t *list, enum rows_columns which,
                    void **rows, size_t *row_count, struct problem *problem);

/* Writes FOLDER/NAME.json and FOLDER/NAME.tsv, each beside and renamed. `meta` is borrowed. False
 * and *problem when a file cannot be written; what stood there before is then whole. */
bool rows_write(const struct row_set *set, json_t *meta, const char *folder,
                struct problem *problem);

/* Reads what rows_write() wrote. The caller frees *rows. A column the file lacks is zero or NaN. */
bool rows_read(const struct row_kind *kind, const char *path, void **rows, size_t *row_count,
               struct problem *problem);

/* Prints one figure on stdout as a table: traces down, allocators across, the least of each line
 * marked '*', '-' where there is no figure. The last line is the geometric mean over traces, in
 * brackets where an allocator lacks some: such a mean compares with no other. False when
 * libsmartcols fails. */
struct row_table {
    const char *title;  /* figure and unit */
    const char *value;  /* key of the column shown, compared and averaged */
    const char *second; /* NULL, or key of a column shown behind it: VALUE/SECOND */
    const char *third;  /* NULL, or key of another behind that: VALUE/SECOND/THIRD */
    const char *first;  /* NULL, or key of a column shown once per trace, before allocators */
    const char *first_title;
    const char *mark; /* NULL, or key of a column; where it is less than the value, '~' is added */
    bool plain;       /* neither marks nor means: counts rather than measures */
    double floor;     /* values below it count as this in the mean; above 0 */
};
bool rows_print(const struct row_set *set, const struct row_table *table);

/* Says on stdout which pairs were not measured and why: a line for each allocator. */
void rows_print_skips(const struct row_set *set);

#endif
