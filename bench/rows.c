/* SPDX-License-Identifier: MIT
 *
 * rows.c - the columns of each kind of row, and rows as JSON and as a flat file
 *
 * Everything here walks a column table; nothing else in the house spells a column's key but the
 * tables that bench and fit print.
 */
#include "rows.h"

#include "result_file.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(row, member, role)                                                                    \
    { #member, COLUMN_TEXT, role, offsetof(struct row, member), sizeof(((struct row *)0)->member) }
#define COUNT(row, member, role)                                                                   \
    { #member, COLUMN_COUNT, role, offsetof(struct row, member), 0 }
#define REAL(row, member, role)                                                                    \
    { #member, COLUMN_REAL, role, offsetof(struct row, member), 0 }
#define PART(row, key, member, role)                                                               \
    { key, COLUMN_REAL, role, offsetof(struct row, member), 0 }
#define LATENCY(row, prefix, member)                                                               \
    PART(row, prefix "p50_ns", member.p50, COLUMN_INFO),                                           \
        PART(row, prefix "p99_ns", member.p99, COLUMN_INFO),                                       \
        PART(row, prefix "p999_ns", member.p999, COLUMN_INFO),                                     \
        PART(row, prefix "max_ns", member.max, COLUMN_INFO)
#define SPLIT(row, prefix, member)                                                                 \
    PART(row, prefix, member.total, COLUMN_LESS),                                                  \
        PART(row, prefix "_meta", member.meta, COLUMN_INFO),                                       \
        PART(row, prefix "_internal", member.internal, COLUMN_INFO),                               \
        PART(row, prefix "_external", member.external, COLUMN_INFO)

#define SHARE(row, member)                                                                         \
    PART(row, #member, member.all, COLUMN_LESS),                                                   \
        PART(row, #member "_app", member.app, COLUMN_INFO),                                        \
        PART(row, #member "_alloc", member.alloc, COLUMN_INFO)

#define COST_COUNT(prefix, kind, member, role)                                                     \
    { prefix #member, COLUMN_COUNT, role, offsetof(struct cost_row, call[kind].member), 0 }
#define COST(prefix, kind)                                                                         \
    COST_COUNT(prefix, kind, calls, COLUMN_CONTEXT),                                               \
        PART(cost_row, prefix "mean", call[kind].mean, COLUMN_LESS),                               \
        COST_COUNT(prefix, kind, p50, COLUMN_INFO), COST_COUNT(prefix, kind, p99, COLUMN_INFO),    \
        COST_COUNT(prefix, kind, p999, COLUMN_LESS), COST_COUNT(prefix, kind, max, COLUMN_LESS),   \
        COST_COUNT(prefix, kind, max_op, COLUMN_INFO),                                             \
        COST_COUNT(prefix, kind, max_bytes, COLUMN_INFO),                                          \
        PART(cost_row, prefix "steps_mean", call[kind].steps_mean, COLUMN_STRICT),                 \
        COST_COUNT(prefix, kind, steps_max, COLUMN_STRICT),                                        \
        COST_COUNT(prefix, kind, steps_max_op, COLUMN_INFO)

static const struct column bench_columns[] = {
    TEXT(bench_row, allocator, COLUMN_KEY),
    TEXT(bench_row, trace, COLUMN_KEY),
    TEXT(bench_row, trace_sha256, COLUMN_CONTEXT),
    TEXT(bench_row, arch, COLUMN_INFO),
    COUNT(bench_row, ops, COLUMN_CONTEXT),
    COUNT(bench_row, pool_bytes, COLUMN_CONTEXT),
    COUNT(bench_row, block_bytes, COLUMN_CONTEXT),
    COUNT(bench_row, rounds, COLUMN_INFO),
    COUNT(bench_row, latency_replays, COLUMN_INFO),
    REAL(bench_row, ns_per_op, COLUMN_INFO),
    {"ns_ci", COLUMN_RANGE, COLUMN_TIMED, offsetof(struct bench_row, ns_ci), 0},
    REAL(bench_row, null_ns_per_op, COLUMN_INFO),
    LATENCY(bench_row, "alloc_", alloc),
    LATENCY(bench_row, "realloc_", realloc),
    LATENCY(bench_row, "free_", free),
    LATENCY(bench_row, "", all),
    COUNT(bench_row, peak_live, COLUMN_CONTEXT),
    COUNT(bench_row, high_water, COLUMN_LESS),
    REAL(bench_row, high_water_ratio, COLUMN_INFO),
    COUNT(bench_row, failures, COLUMN_LESS),
    COUNT(bench_row, refusals, COLUMN_LESS),
    COUNT(bench_row, misuses, COLUMN_LESS),
    PART(bench_row, "frag_jw1", jw1, COLUMN_LESS),
    PART(bench_row, "frag_jw2", jw2, COLUMN_LESS),
    PART(bench_row, "frag_jw3", jw3, COLUMN_LESS),
    PART(bench_row, "frag_jw4", jw4, COLUMN_LESS),
    SPLIT(bench_row, "frag_mean", mean),
    SPLIT(bench_row, "frag_peak", peak),
    PART(bench_row, "frag_unusable", unusable, COLUMN_LESS),
    TEXT(bench_row, digest, COLUMN_SAME),
};

const struct row_kind bench_rows = {"bench", sizeof(struct bench_row),
                                    sizeof bench_columns / sizeof bench_columns[0], bench_columns};

static const struct column fit_columns[] = {
    TEXT(fit_row, allocator, COLUMN_KEY),        TEXT(fit_row, trace, COLUMN_KEY),
    TEXT(fit_row, trace_sha256, COLUMN_CONTEXT), TEXT(fit_row, arch, COLUMN_INFO),
    COUNT(fit_row, ops, COLUMN_CONTEXT),         COUNT(fit_row, block_bytes, COLUMN_CONTEXT),
    COUNT(fit_row, peak_live, COLUMN_CONTEXT),   COUNT(fit_row, fit_bytes, COLUMN_LESS),
    COUNT(fit_row, lowest_bytes, COLUMN_SAME),   COUNT(fit_row, refusals, COLUMN_LESS),
    REAL(fit_row, fit_ratio, COLUMN_INFO),       REAL(fit_row, lowest_ratio, COLUMN_INFO),
    COUNT(fit_row, floor_bytes, COLUMN_SAME),    REAL(fit_row, floor_ratio, COLUMN_INFO),
};

const struct row_kind fit_rows = {"fit", sizeof(struct fit_row),
                                  sizeof fit_columns / sizeof fit_columns[0], fit_columns};

const char *const cost_kind_names[COST_KINDS] = {"alloc", "aligned", "realloc", "free"};

static const struct column cost_columns[] = {
    TEXT(cost_row, allocator, COLUMN_KEY),
    TEXT(cost_row, trace, COLUMN_KEY),
    TEXT(cost_row, trace_sha256, COLUMN_CONTEXT),
    TEXT(cost_row, arch, COLUMN_KEY),
    COUNT(cost_row, ops, COLUMN_CONTEXT),
    COST("alloc_", COST_ALLOC),
    COST("aligned_", COST_ALIGNED),
    COST("realloc_", COST_REALLOC),
    COST("free_", COST_FREE),
};

const struct row_kind cost_rows = {"cost", sizeof(struct cost_row),
                                   sizeof cost_columns / sizeof cost_columns[0], cost_columns};

static const struct column threads_columns[] = {
    TEXT(threads_row, allocator, COLUMN_KEY),
    TEXT(threads_row, trace, COLUMN_KEY),
    TEXT(threads_row, trace_sha256, COLUMN_CONTEXT),
    COUNT(threads_row, ops, COLUMN_CONTEXT),
    COUNT(threads_row, threads, COLUMN_CONTEXT),
    COUNT(threads_row, pool_bytes, COLUMN_CONTEXT),
    COUNT(threads_row, block_bytes, COLUMN_CONTEXT),
    COUNT(threads_row, rounds, COLUMN_INFO),
    COUNT(threads_row, replays, COLUMN_INFO),
    REAL(threads_row, ops_per_second, COLUMN_INFO),
    REAL(threads_row, ns_per_op, COLUMN_INFO),
    {"ns_ci", COLUMN_RANGE, COLUMN_TIMED, offsetof(struct threads_row, ns_ci), 0},
    REAL(threads_row, call_ns, COLUMN_INFO),
    LATENCY(threads_row, "held_", held),
    COUNT(threads_row, held_max_op, COLUMN_INFO),
    COUNT(threads_row, held_max_thread, COLUMN_INFO),
    COUNT(threads_row, held_max_bytes, COLUMN_INFO),
    TEXT(threads_row, held_max_kind, COLUMN_INFO),
    COUNT(threads_row, failures, COLUMN_INFO),
    COUNT(threads_row, misuses, COLUMN_LESS),
};

const struct row_kind threads_rows = {"threads", sizeof(struct threads_row),
                                      sizeof threads_columns / sizeof threads_columns[0],
                                      threads_columns};

static const struct column mmu_columns[] = {
    TEXT(mmu_row, allocator, COLUMN_KEY),
    TEXT(mmu_row, trace, COLUMN_KEY),
    TEXT(mmu_row, core, COLUMN_KEY),
    TEXT(mmu_row, page_size, COLUMN_KEY),
    TEXT(mmu_row, trace_sha256, COLUMN_CONTEXT),
    TEXT(mmu_row, arch, COLUMN_INFO),
    TEXT(mmu_row, touch, COLUMN_CONTEXT),
    COUNT(mmu_row, caches, COLUMN_CONTEXT),
    TEXT(mmu_row, compiler, COLUMN_ORIGIN),
    COUNT(mmu_row, ops, COLUMN_CONTEXT),
    COUNT(mmu_row, pool_bytes, COLUMN_CONTEXT),
    COUNT(mmu_row, block_bytes, COLUMN_CONTEXT),
    COUNT(mmu_row, failures, COLUMN_LESS),
    COUNT(mmu_row, refusals, COLUMN_LESS),
    SHARE(mmu_row, accesses),
    SHARE(mmu_row, micro_misses),
    SHARE(mmu_row, main_misses),
    SHARE(mmu_row, walk_reads),
    SHARE(mmu_row, cycles),
    SHARE(mmu_row, pages),
    SHARE(mmu_row, faults),
};

const struct row_kind mmu_rows = {"mmu", sizeof(struct mmu_row),
                                  sizeof mmu_columns / sizeof mmu_columns[0], mmu_columns};

const char *const size_optimizations[SIZE_OPTIMIZATIONS] = {"Os", "O2"};
const char *const size_functions[SIZE_FUNCTIONS] = {"all", "firmware", "least"};
const size_t size_pools[SIZE_POOLS] = {1 << 14, 1 << 16, 1 << 20};

static const struct column size_columns[] = {
    TEXT(size_row, allocator, COLUMN_KEY),
    TEXT(size_row, compiler, COLUMN_ORIGIN),
    PART(size_row, "code_os_all", code[0][0], COLUMN_LESS),
    PART(size_row, "code_os_firmware", code[0][1], COLUMN_LESS),
    PART(size_row, "code_os_least", code[0][2], COLUMN_LESS),
    PART(size_row, "code_o2_all", code[1][0], COLUMN_LESS),
    PART(size_row, "code_o2_firmware", code[1][1], COLUMN_LESS),
    PART(size_row, "code_o2_least", code[1][2], COLUMN_LESS),
    PART(size_row, "control_16k", control[0], COLUMN_LESS),
    PART(size_row, "control_64k", control[1], COLUMN_LESS),
    PART(size_row, "control_1m", control[2], COLUMN_LESS),
    COUNT(size_row, header_bytes, COLUMN_LESS),
    COUNT(size_row, least_block_bytes, COLUMN_LESS),
};

const struct row_kind size_rows = {"size", sizeof(struct size_row),
                                   sizeof size_columns / sizeof size_columns[0], size_columns};

const void *rows_at(const struct row_set *set, size_t index) {
    assert(index < set->row_count);
    return (const char *)set->rows + index * set->kind->row_bytes;
}

const struct column *rows_column(const struct row_kind *kind, const char *key) {
    for (size_t i = 0; i < kind->column_count; i++) {
        if (strcmp(kind->columns[i].key, key) == 0) {
            return &kind->columns[i];
        }
    }
    return NULL;
}

static const void *cell(const struct column *column, const void *row) {
    return (const char *)row + column->offset;
}

const char *rows_text(const struct column *column, const void *row) {
    assert(column->kind == COLUMN_TEXT);
    return cell(column, row);
}

const double *rows_range(const struct column *column, const void *row) {
    assert(column->kind == COLUMN_RANGE);
    return cell(column, row);
}

double rows_number(const struct column *column, const void *row) {
    if (column->kind == COLUMN_COUNT) {
        return (double)*(const uint64_t *)cell(column, row);
    }
    if (column->kind == COLUMN_REAL) {
        return *(const double *)cell(column, row);
    }
    if (column->kind == COLUMN_RANGE) {
        const double *range = cell(column, row);
        return (range[0] + range[1]) / 2;
    }
    return NAN;
}

static json_t *real_to_json(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *cell_to_json(const struct column *column, const void *row) {
    switch (column->kind) {
    case COLUMN_TEXT:
        return json_string(rows_text(column, row));
    case COLUMN_COUNT:
        return json_integer((json_int_t) * (const uint64_t *)cell(column, row));
    case COLUMN_REAL:
        return real_to_json(rows_number(column, row));
    case COLUMN_RANGE:
        break;
    }
    const double *range = rows_range(column, row);
    return json_pack("[o,o]", real_to_json(range[0]), real_to_json(range[1]));
}

bool rows_compared(const struct column *column) {
    return column->role == COLUMN_KEY || column->role == COLUMN_CONTEXT ||
           column->role == COLUMN_ORIGIN || column->role == COLUMN_LESS ||
           column->role == COLUMN_STRICT || column->role == COLUMN_SAME;
}

json_t *rows_to_json(const struct row_set *set, enum rows_columns which) {
    json_t *rows = json_array();
    for (size_t i = 0; i < set->row_count; i++) {
        json_t *row = json_object();
        for (size_t c = 0; c < set->kind->column_count; c++) {
            const struct column *column = &set->kind->columns[c];
            if (which == ROWS_ALL || rows_compared(column)) {
                (void)json_object_set_new(row, column->key, cell_to_json(column, rows_at(set, i)));
            }
        }
        (void)json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *set_to_json(const struct row_set *set, json_t *meta) {
    json_t *skips = json_array();
    for (size_t i = 0; i < set->skip_count; i++) {
        const struct row_skip *skip = &set->skips[i];
        (void)json_array_append_new(skips, json_pack("{s:s,s:s,s:s}", "allocator", skip->allocator,
                                                     "trace", skip->trace, "why", skip->why));
    }
    return json_pack("{s:O,s:o,s:o}", "meta", meta, "rows", rows_to_json(set, ROWS_ALL), "skipped",
                     skips);
}

static void flat_cell_write(FILE *out, const struct column *column, const void *row) {
    switch (column->kind) {
    case COLUMN_TEXT:
        fprintf(out, "%s", *rows_text(column, row) != '\0' ? rows_text(column, row) : "-");
        return;
    case COLUMN_COUNT:
        fprintf(out, "%llu", (unsigned long long)*(const uint64_t *)cell(column, row));
        return;
    case COLUMN_REAL:
        if (isfinite(rows_number(column, row))) {
            fprintf(out, "%.6g", rows_number(column, row));
        } else {
            fputs("NaN", out);
        }
        return;
    case COLUMN_RANGE:
        break;
    }
    const double *range = rows_range(column, row);
    if (isfinite(range[0]) && isfinite(range[1])) {
        fprintf(out, "%.6g\t%.6g", range[0], range[1]);
    } else {
        fputs("NaN\tNaN", out);
    }
}

static void flat_write(FILE *out, const struct row_set *set) {
    for (size_t c = 0; c < set->kind->column_count; c++) {
        const struct column *column = &set->kind->columns[c];
        const char *between = c > 0 ? "\t" : "";
        if (column->kind == COLUMN_RANGE) {
            fprintf(out, "%s%s_lo\t%s_hi", between, column->key, column->key);
        } else {
            fprintf(out, "%s%s", between, column->key);
        }
    }
    for (size_t i = 0; i < set->row_count; i++) {
        for (size_t c = 0; c < set->kind->column_count; c++) {
            fputc(c > 0 ? '\t' : '\n', out);
            flat_cell_write(out, &set->kind->columns[c], rows_at(set, i));
        }
    }
    fputc('\n', out);
}

static bool file_open(struct result_file *file, const char *folder, const char *name,
                      const char *ending, struct problem *problem) {
    char path[480];
    (void)snprintf(path, sizeof path, "%s/%s%s", folder, name, ending);
    return result_file_open(file, path, problem);
}

static bool flat_file(const struct row_set *set, const char *folder, struct result_file *file,
                      struct problem *problem) {
    if (!file_open(file, folder, set->kind->name, ".tsv", problem)) {
        return false;
    }
    flat_write(file->stream, set);
    return result_file_close(file, problem);
}

static bool json_file(const struct row_set *set, json_t *meta, const char *folder,
                      struct result_file *file, struct problem *problem) {
    if (!file_open(file, folder, set->kind->name, ".json", problem)) {
        return false;
    }
    json_t *json = set_to_json(set, meta);
    /* A failed write leaves the stream's error mark, which closing sees. */
    (void)json_dumpf(json, file->stream, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
    fputc('\n', file->stream);
    json_decref(json);
    return result_file_close(file, problem);
}

bool rows_write(const struct row_set *set, json_t *meta, const char *folder,
                struct problem *problem) {
    struct result_file flat;
    struct result_file json;
    if (!flat_file(set, folder, &flat, problem)) {
        return false;
    }
    if (!json_file(set, meta, folder, &json, problem)) {
        result_file_drop(&flat);
        return false;
    }
    return result_file_publish(&flat, problem) && result_file_publish(&json, problem);
}

static double real_from_json(const json_t *json) {
    return json_is_number(json) ? json_number_value(json) : NAN;
}

static void cell_from_json(const struct column *column, const json_t *json, void *row) {
    char *to = (char *)row + column->offset;
    if (column->kind == COLUMN_TEXT) {
        const char *text = json_string_value(json);
        (void)snprintf(to, column->text_bytes, "%s", text != NULL ? text : "");
    } else if (column->kind == COLUMN_COUNT) {
        *(uint64_t *)(void *)to = (uint64_t)json_integer_value(json);
    } else if (column->kind == COLUMN_REAL) {
        *(double *)(void *)to = real_from_json(json);
    } else {
        ((double *)(void *)to)[0] = real_from_json(json_array_get(json, 0));
        ((double *)(void *)to)[1] = real_from_json(json_array_get(json, 1));
    }
}

/* True if the cell is what cell_to_json() makes of such a column. */
static bool cell_fits(const struct column *column, const json_t *json) {
    return column->kind == COLUMN_TEXT    ? json_is_string(json)
           : column->kind == COLUMN_COUNT ? json_is_integer(json)
           : column->kind == COLUMN_REAL  ? json_is_number(json) || json_is_null(json)
                                          : json_is_array(json);
}

static bool row_from_json(const struct row_kind *kind, const json_t *json, enum rows_columns which,
                          void *row, struct problem *problem) {
    for (size_t c = 0; c < kind->column_count; c++) {
        const struct column *column = &kind->columns[c];
        const json_t *cell = json_object_get(json, column->key);
        if (which == ROWS_COMPARED && rows_compared(column) && !cell_fits(column, cell)) {
            return problem_set(problem, "a row's \"%s\" is missing or odd", column->key);
        }
        cell_from_json(column, cell, row);
    }
    return true;
}

bool rows_from_json(const struct row_kind *kind, const json_t *list, enum rows_columns which,
                    void **rows, size_t *row_count, struct problem *problem) {
    *row_count = json_array_size(list);
    *rows = calloc(*row_count + 1, kind->row_bytes);
    bool read = *rows != NULL || problem_set(problem, "out of memory");
    for (size_t i = 0; read && i < *row_count; i++) {
        read = row_from_json(kind, json_array_get(list, i), which,
                             (char *)*rows + i * kind->row_bytes, problem);
    }
    if (!read) {
        free(*rows);
        *rows = NULL;
        *row_count = 0;
    }
    return read;
}

bool rows_read(const struct row_kind *kind, const char *path, void **rows, size_t *row_count,
               struct problem *problem) {
    *rows = NULL;
    *row_count = 0;
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);
    if (json == NULL) {
        return problem_set(problem, "%s:%d: %s, expected results as JSON", path,
                           error.line > 0 ? error.line : 1, error.text);
    }
    const json_t *list = json_object_get(json, "rows");
    bool read = json_is_array(list)
                    ? rows_from_json(kind, list, ROWS_ALL, rows, row_count, problem)
                    : problem_set(problem, "%s:1: no \"rows\", expected results of heaprig", path);
    json_decref(json);
    return read;
}
