/* SPDX-License-Identifier: MIT
 * trace_info.c - see trace_info.h. Row 0 of the histogram counts requests of 0 bytes, row k those
 * of 2^(k-1) to 2^k - 1. */
#include "trace_info.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

enum { ROW_COUNT = 65, BAR_COLUMNS = 40, LABEL_COLUMNS = 14 };

struct histogram_row {
    uint64_t from, to, requests;
};

static void histogram_fill(const struct trace *trace, struct histogram_row rows[ROW_COUNT]) {
    for (unsigned k = 0; k < ROW_COUNT; k++) {
        rows[k] = (struct histogram_row){.from = k == 0 ? 0 : (uint64_t)1 << (k - 1),
                                         .to = k == 64 ? UINT64_MAX : ((uint64_t)1 << k) - 1};
    }
    for (size_t i = 0; i < trace->op_count; i++) {
        const struct op *op = &trace->ops[i];
        if (op->kind != OP_FREE) {
            rows[op->bytes == 0 ? 0 : 64 - __builtin_clzll(op->bytes)].requests++;
        }
    }
}

/* Digits in threes with thin spaces between, right-aligned in `columns`; 12345 -> "12 345". */
static void number_print(FILE *out, uint64_t number, int columns) {
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%" PRIu64, number);
    fprintf(out, "%*s", columns > count + (count - 1) / 3 ? columns - count - (count - 1) / 3 : 0,
            "");
    for (int i = 0; i < count; i++) {
        fprintf(out, "%s%c", i > 0 && (count - i) % 3 == 0 ? "\u2009" : "", digits[i]);
    }
}

/* On one line and harmless to a terminal, whatever a recorded command line holds. */
static void text_print(FILE *out, const char *label, const char *text) {
    fprintf(out, "%-*s", LABEL_COLUMNS, label);
    for (const char *c = text[0] == '\0' ? "-" : text; *c != '\0'; c++) {
        if (iscntrl((unsigned char)*c)) {
            fprintf(out, "\\x%02x", (unsigned)(unsigned char)*c);
        } else {
            fputc(*c, out);
        }
    }
    fputc('\n', out);
}

static void count_print(FILE *out, const char *label, uint64_t count, const char *unit) {
    fprintf(out, "%-*s", LABEL_COLUMNS, label);
    number_print(out, count, 0);
    fprintf(out, "%s\n", unit);
}

static void kinds_print(const struct trace_counts *counts, FILE *out) {
    fprintf(out, "%-*s", LABEL_COLUMNS, "ops");
    number_print(out, counts->ops, 0);
    const char *separator = ": ";
    for (size_t kind = 0; kind < OP_KIND_COUNT; kind++) {
        if (counts->kind[kind] > 0) {
            fprintf(out, "%s%s ", separator, op_kind_names[kind]);
            number_print(out, counts->kind[kind], 0);
            separator = ", ";
        }
    }
    fputc('\n', out);
}

static void histogram_print(const struct trace *trace, FILE *out) {
    struct histogram_row rows[ROW_COUNT];
    histogram_fill(trace, rows);
    uint64_t requests = trace->counts.ops - trace->counts.kind[OP_FREE];
    uint64_t most = 0;
    for (unsigned k = 0; k < ROW_COUNT; k++) {
        most = rows[k].requests > most ? rows[k].requests : most;
    }
    if (requests == 0) {
        return;
    }
    fputs("\n          request, bytes     requests   share\n", out);
    for (unsigned k = 0; k < ROW_COUNT; k++) {
        const struct histogram_row *row = &rows[k];
        if (row->requests == 0) {
            continue;
        }
        number_print(out, row->from, 10);
        fputs(" - ", out);
        number_print(out, row->to, 11);
        number_print(out, row->requests, 13);
        fprintf(out, " %5.1f %%  ", 100.0 * (double)row->requests / (double)requests);
        for (uint64_t bar = (row->requests * BAR_COLUMNS + most - 1) / most; bar > 0; bar--) {
            fputc('#', out);
        }
        fputc('\n', out);
    }
}

void trace_info_print(const struct trace *trace, FILE *out) {
    const struct trace_counts *counts = &trace->counts;
    char arch[64];
    (void)snprintf(arch, sizeof arch, "%s%s%.0" PRIu32 "%s", trace->arch,
                   trace->arch[0] != '\0' && trace->pointer_bits != 0 ? ", " : "",
                   trace->pointer_bits, trace->pointer_bits != 0 ? "-bit pointers" : "");
    text_print(out, "name", trace->name);
    text_print(out, "origin", trace->origin);
    text_print(out, "command", trace->command);
    text_print(out, "arch", arch);
    text_print(out, "sha256", trace->sha256);
    kinds_print(counts, out);
    count_print(out, "threads", counts->threads, "");
    fprintf(out, "%-*s", LABEL_COLUMNS, "peak live");
    number_print(out, counts->peak_live_bytes, 0);
    fputs(" bytes after op ", out);
    number_print(out, counts->peak_live_op, 0);
    fputs("; at most ", out);
    number_print(out, counts->peak_live_blocks, 0);
    fputs(" blocks\n", out);
    count_print(out, "requested", counts->total_bytes, " bytes in all");
    count_print(out, "largest", counts->largest_request, " bytes");
    count_print(out, "live at end", counts->live_at_end, " blocks");
    histogram_print(trace, out);
}

static json_t *number_json(uint64_t number) {
    return number <= INT64_MAX ? json_integer((json_int_t)number) : json_real((double)number);
}

static json_t *sizes_json(const struct trace *trace) {
    struct histogram_row rows[ROW_COUNT];
    histogram_fill(trace, rows);
    json_t *sizes = json_array();
    for (unsigned k = 0; k < ROW_COUNT; k++) {
        if (rows[k].requests > 0) {
            json_t *row = json_object();
            (void)json_object_set_new(row, "from", number_json(rows[k].from));
            (void)json_object_set_new(row, "to", number_json(rows[k].to));
            (void)json_object_set_new(row, "requests", number_json(rows[k].requests));
            (void)json_array_append_new(sizes, row);
        }
    }
    return sizes;
}

static void text_set(json_t *object, const char *key, const char *text) {
    json_t *value = json_string(text);
    if (value == NULL) { /* not UTF-8: a command line may hold any bytes */
        value = json_null();
    }
    (void)json_object_set_new(object, key, value);
}

bool trace_info_json(const struct trace *trace, FILE *out) {
    const struct trace_counts *counts = &trace->counts;
    json_t *object = json_object();
    text_set(object, "name", trace->name);
    text_set(object, "origin", trace->origin);
    text_set(object, "command", trace->command);
    text_set(object, "arch", trace->arch);
    text_set(object, "sha256", trace->sha256);
    for (size_t kind = 0; kind < OP_KIND_COUNT; kind++) {
        (void)json_object_set_new(object, op_kind_names[kind], number_json(counts->kind[kind]));
    }
    const struct {
        const char *key;
        uint64_t number;
    } numbers[] = {{"pointer_bits", trace->pointer_bits},
                   {"ops", counts->ops},
                   {"threads", counts->threads},
                   {"slots", counts->slots},
                   {"peak_live_bytes", counts->peak_live_bytes},
                   {"peak_live_op", counts->peak_live_op},
                   {"peak_live_blocks", counts->peak_live_blocks},
                   {"total_bytes", counts->total_bytes},
                   {"largest_request", counts->largest_request},
                   {"live_at_end", counts->live_at_end}};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        (void)json_object_set_new(object, numbers[i].key, number_json(numbers[i].number));
    }
    (void)json_object_set_new(object, "sizes", sizes_json(trace));
    bool printed = object != NULL && json_dumpf(object, out, JSON_INDENT(2)) == 0;
    fputc('\n', out);
    json_decref(object);
    return printed;
}
