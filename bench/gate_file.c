/* SPDX-License-Identifier: MIT
 * gate_file.c - a gate as JSON, a line for each trace and row, so that a baseline under version
 * control shows what changed. */
#include "gate.h"

#include "result_file.h"

#include <stdlib.h>
#include <string.h>

enum { GATE_FORMAT = 1 };

static bool path_make(const char *folder, char path[512], struct problem *problem) {
    int length = snprintf(path, 512, "%s/gate.json", folder);
    return length < 512 || problem_set(problem, "%s: name too long", folder);
}

/* ---- writing ---- */

static void json_print(FILE *out, const json_t *json) {
    (void)json_dumpf(json, out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
}

/* Each element on a line of its own. Takes the array. */
static void array_print(FILE *out, json_t *array) {
    for (size_t i = 0; i < json_array_size(array); i++) {
        fputs(i > 0 ? ",\n  " : "\n  ", out);
        json_print(out, json_array_get(array, i));
    }
    json_decref(array);
}

static json_t *list_to_json(const char *list) {
    json_t *array = json_array();
    char item[SELECTION_ITEM_BYTES];
    for (size_t i = 0; selection_item(list, i, item); i++) {
        (void)json_array_append_new(array, json_string(item));
    }
    return array;
}

static json_t *traces_to_json(const struct gate *gate) {
    json_t *specs = list_to_json(gate->choice.traces);
    json_t *traces = json_array();
    for (size_t i = 0; i < json_array_size(specs); i++) {
        (void)json_array_append_new(traces, json_pack("{s:O,s:s}", "spec", json_array_get(specs, i),
                                                      "sha256", gate->sha256[i]));
    }
    json_decref(specs);
    return traces;
}

static json_t *arches_to_json(const struct gate *gate) {
    json_t *arches = json_array();
    for (size_t i = 0; i < GATE_ARCHES; i++) {
        if (gate->arch[i]) {
            (void)json_array_append_new(arches, json_string(gate_arch_names[i]));
        }
    }
    return arches;
}

static void plan_print(FILE *out, const struct gate *gate) {
    json_t *plan = json_pack("{s:i,s:O,s:o,s:I,s:o,s:b}", "format", GATE_FORMAT, "meta", gate->meta,
                             "allocators", list_to_json(gate->choice.allocators), "first",
                             (json_int_t)gate->choice.first, "arches", arches_to_json(gate),
                             "fixed_placement", (int)gate->fixed_placement);
    const char *key;
    json_t *value;
    json_object_foreach(plan, key, value) {
        fprintf(out, "\"%s\": ", key);
        json_print(out, value);
        fputs(",\n", out);
    }
    json_decref(plan);
}

bool gate_write(const struct gate *gate, const char *folder, struct problem *problem) {
    struct result_file file;
    char path[512];
    if (!path_make(folder, path, problem) || !result_folder_make(folder, problem) ||
        !result_file_open(&file, path, problem)) {
        return false;
    }
    fputs("{", file.stream);
    plan_print(file.stream, gate);
    fputs("\"traces\": [", file.stream);
    array_print(file.stream, traces_to_json(gate));
    fputs("],\n\"parts\": {", file.stream);
    const char *between = "";
    for (size_t i = 0; i < GATE_PARTS; i++) {
        const struct gate_figures *figures = &gate->part[i];
        const struct row_set set = {
            .kind = gate_rows(i), .rows = figures->rows, .row_count = figures->row_count};
        if (figures->there) {
            fprintf(file.stream, "%s\n \"%s\": {\"tolerance_percent\": %g, \"rows\": [", between,
                    gate_part_name(i), figures->tolerance_percent);
            array_print(file.stream, rows_to_json(&set, ROWS_COMPARED));
            fputs("]}", file.stream);
            between = ",";
        }
    }
    fputs("}}\n", file.stream);
    return result_file_commit(&file, problem);
}

/* ---- reading ---- */

/* The strings of an array as a list, comma-separated. */
static char *list_from_json(const json_t *array) {
    char *list = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&list, &length);
    for (size_t i = 0; out != NULL && i < json_array_size(array); i++) {
        const char *text = json_string_value(json_array_get(array, i));
        fprintf(out, "%s%s", i > 0 ? "," : "", text != NULL ? text : "");
    }
    if (out == NULL || fclose(out) != 0) {
        free(list);
        return NULL;
    }
    return list;
}

static bool traces_from_json(const json_t *traces, struct gate *gate, struct problem *problem) {
    json_t *specs = json_array();
    bool read = json_array_size(traces) <= SELECTION_MAX;
    for (size_t i = 0; read && i < json_array_size(traces); i++) {
        const char *spec;
        const char *sha256;
        read = json_unpack(json_array_get(traces, i), "{s:s,s:s}", "spec", &spec, "sha256",
                           &sha256) == 0 &&
               strlen(sha256) == 64;
        if (read) {
            memcpy(gate->sha256[i], sha256, 65);
            (void)json_array_append_new(specs, json_string(spec));
        }
    }
    gate->choice.traces = list_from_json(specs);
    json_decref(specs);
    return (read && gate->choice.traces != NULL) ||
           problem_set(problem, "its \"traces\" are not {\"spec\", \"sha256\"} each");
}

static bool arches_from_json(const json_t *arches, struct gate *gate, struct problem *problem) {
    for (size_t i = 0; i < json_array_size(arches); i++) {
        const char *name = json_string_value(json_array_get(arches, i));
        size_t arch = 0;
        while (arch < GATE_ARCHES && (name == NULL || strcmp(name, gate_arch_names[arch]) != 0)) {
            arch++;
        }
        if (arch == GATE_ARCHES) {
            return problem_set(problem, "unknown architecture '%s' in \"arches\"", name);
        }
        gate->arch[arch] = true;
    }
    return true;
}

static bool parts_from_json(const json_t *parts, struct gate *gate, struct problem *problem) {
    bool any = false;
    for (size_t i = 0; i < GATE_PARTS; i++) {
        struct gate_figures *figures = &gate->part[i];
        struct problem why;
        json_t *part = json_object_get(parts, gate_part_name(i));
        json_t *rows;
        if (part == NULL) {
            continue;
        }
        any = figures->there = true;
        if (json_unpack(part, "{s:F,s:o}", "tolerance_percent", &figures->tolerance_percent, "rows",
                        &rows) != 0 ||
            !(figures->tolerance_percent >= 0) || !json_is_array(rows)) {
            return problem_set(problem, "part \"%s\" lacks \"tolerance_percent\" or \"rows\"",
                               gate_part_name(i));
        }
        if (!rows_from_json(gate_rows(i), rows, ROWS_COMPARED, &figures->rows, &figures->row_count,
                            &why)) {
            return problem_set(problem, "part \"%s\": %.300s", gate_part_name(i), why.text);
        }
    }
    return any || problem_set(problem, "no part has figures");
}

static bool gate_from_json(json_t *json, struct gate *gate, struct problem *problem) {
    json_error_t error;
    json_t *meta;
    json_t *allocators;
    json_t *traces;
    json_t *arches;
    json_t *parts;
    json_int_t first;
    int format = 0;
    int fixed;
    if (json_unpack(json, "{s:i}", "format", &format) != 0 || format != GATE_FORMAT) {
        return problem_set(problem, "it has format %d, not %d", format, GATE_FORMAT);
    }
    if (json_unpack_ex(json, &error, 0, "{s:o,s:o,s:I,s:o,s:o,s:b,s:o}", "meta", &meta,
                       "allocators", &allocators, "first", &first, "traces", &traces, "arches",
                       &arches, "fixed_placement", &fixed, "parts", &parts) != 0) {
        return problem_set(problem, "%.200s", error.text);
    }
    gate->meta = json_incref(meta);
    gate->fixed_placement = fixed != 0;
    gate->choice.first = first > 0 ? (size_t)first : 0;
    gate->choice.allocators = list_from_json(allocators);
    return (gate->choice.allocators != NULL || problem_set(problem, "out of memory")) &&
           traces_from_json(traces, gate, problem) && arches_from_json(arches, gate, problem) &&
           parts_from_json(parts, gate, problem);
}

bool gate_read(const char *folder, struct gate *gate, struct problem *problem) {
    char path[512];
    json_error_t error;
    struct problem why;
    *gate = (struct gate){0};
    if (!path_make(folder, path, problem)) {
        return false;
    }
    json_t *json = json_load_file(path, 0, &error);
    if (json == NULL) {
        return problem_set(problem,
                           "%s:%d: %.200s; expected a baseline, `heaprig gate init` makes one",
                           path, error.line > 0 ? error.line : 1, error.text);
    }
    bool read = gate_from_json(json, gate, &why);
    json_decref(json);
    if (!read) {
        gate_release(gate);
        return problem_set(problem,
                           "%s:1: %.300s; expected a baseline of this heaprig, `heaprig gate init` "
                           "makes one",
                           path, why.text);
    }
    return true;
}
