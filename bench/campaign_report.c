/* SPDX-License-Identifier: MIT
 *
 * campaign_report.c - report.md, report.json and pictures of what lies in a campaign's folder
 *
 * Can be made again at any time, also while the campaign runs.
 */
#include "campaign.h"
#include "campaign_log.h"
#include "child.h"
#include "result_file.h"

#include "../trace/file_bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLOT_SECONDS = 120, NOTES_MAX = 16, LISTING_LINES = 40 };

/* Slices of one target, or of one flavour, together. */
struct total {
    const char *name;
    size_t slices;
    double seconds, cpu;
    uint64_t runs, ops, restarts, found;
    uint64_t edges_before, edges, features, inputs_before, inputs, bytes;
};

static void total_add(struct total *total, const struct slice *slice) {
    total->slices++;
    total->seconds += slice->seconds;
    total->cpu += slice->cpu;
    total->runs += slice->runs;
    total->ops += slice->ops;
    total->restarts += slice->restarts;
    total->found += slice->found;
}

static struct total target_total(const struct slices *slices, const char *target) {
    struct total total = {.name = target};
    bool first = true;
    for (size_t i = 0; i < slices->count; i++) {
        const struct slice *slice = &slices->list[i];
        if (strcmp(slice->target, target) != 0) {
            continue;
        }
        total_add(&total, slice);
        if (slice->inputs > 0) {
            total.edges_before = first ? slice->edges : total.edges_before;
            total.inputs_before = first ? slice->inputs : total.inputs_before;
            total.edges = slice->edges;
            total.features = slice->features;
            total.inputs = slice->inputs;
            total.bytes = slice->bytes;
            first = false;
        }
    }
    return total;
}

static struct total flavour_total(const struct slices *slices, const char *flavour) {
    struct total total = {.name = flavour};
    for (size_t i = 0; i < slices->count; i++) {
        if (strcmp(slices->list[i].flavour, flavour) == 0) {
            total_add(&total, &slices->list[i]);
        }
    }
    return total;
}

static struct total sum_total(const struct campaign *campaign, const struct slices *slices) {
    struct total sum = {.name = "all"};
    for (size_t i = 0; i < campaign->target_count; i++) {
        struct total total = target_total(slices, campaign->targets[i]);
        sum.slices += total.slices;
        sum.seconds += total.seconds;
        sum.cpu += total.cpu;
        sum.runs += total.runs;
        sum.ops += total.ops;
        sum.restarts += total.restarts;
        sum.found += total.found;
        sum.edges_before += total.edges_before;
        sum.edges += total.edges;
        sum.features += total.features;
        sum.inputs_before += total.inputs_before;
        sum.inputs += total.inputs;
        sum.bytes += total.bytes;
    }
    return sum;
}

/* All that a report is made of. */
struct report {
    const struct campaign *campaign;
    struct slices slices;
    json_t *findings, *gone; /* arrays of crash.json */
    char remark[512];
};

static double per_second(uint64_t count, double seconds) {
    return seconds > 0 ? (double)count / seconds : 0;
}

/* ---- findings ---- */

/* An array of crash.json, each with the number of inputs: of findings that still happen, or of
 * those that no longer do. */
static json_t *findings_read(const struct campaign *campaign, bool gone) {
    char folder[FILES_PATH], path[FILES_PATH];
    json_t *findings = json_array();
    files_path(folder, "%s/crashes", campaign->folder);
    struct files list = files_list(folder);
    for (size_t i = 0; i < list.count; i++) {
        files_path(path, "%s/%s", folder, list.names[i]);
        if (files_is_link(path)) {
            continue;
        }
        files_path(path, "%s/%s/crash.json", folder, list.names[i]);
        json_t *finding = json_load_file(path, 0, NULL);
        files_path(path, "%s/%s/inputs", folder, list.names[i]);
        struct files inputs = files_list(path);
        if (finding == NULL) { /* torn: it still is one */
            finding = json_pack("{s:s, s:s}", "name", list.names[i], "words",
                                "crash.json cannot be read");
        }
        (void)json_object_set_new(finding, "inputs", json_integer((json_int_t)inputs.count));
        if (json_is_true(json_object_get(finding, "gone")) == gone) {
            (void)json_array_append(findings, finding);
        }
        json_decref(finding);
        files_release(&inputs);
    }
    files_release(&list);
    return findings;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* The script that was listed, as a block of code. */
static void listing_print(FILE *out, const char *path) {
    struct file_bytes text = {0};
    struct problem ignored;
    if (file_bytes_read(path, &text, &ignored)) {
        const char *line = (const char *)text.bytes;
        fputs("\n```\n", out);
        for (int lines = 0; *line != '\0'; lines++) {
            size_t length = strcspn(line, "\n");
            if (lines == LISTING_LINES) {
                fputs("...\n", out);
                break;
            }
            fprintf(out, "%.*s\n", (int)length, line);
            line += length + (line[length] == '\n');
        }
        fputs("```\n", out);
    }
    file_bytes_release(&text);
}

static void finding_print(FILE *out, const struct campaign *campaign, size_t number,
                          const json_t *finding) {
    const char *name = text_of(finding, "name"), *stack = text_of(finding, "stack");
    char path[FILES_PATH];
    json_int_t ops = json_integer_value(json_object_get(finding, "ops"));
    fprintf(out, "\n### %zu. %s: %s\n\n%s.\n\n", number, text_of(finding, "target"),
            text_of(finding, "rule"), text_of(finding, "words"));
    if (stack[0] != '\0') {
        fprintf(out, "- stack: `%s`\n", stack);
    }
    fprintf(out, "- first found by %s; %d inputs, in `crashes/%s/inputs`\n",
            text_of(finding, "flavour"),
            (int)json_integer_value(json_object_get(finding, "inputs")), name);
    fprintf(out, "- again: `%s`\n", text_of(finding, "again"));
    files_path(path, "%s/crashes/%s/script.txt", campaign->folder, name);
    if (ops > 0) {
        fprintf(out,
                "- shrunk to %d op%s: `crashes/%s/script.txt`, a C program that shows it: "
                "`crashes/%s/test.c`\n",
                (int)ops, ops == 1 ? "" : "s", name, name);
        listing_print(out, path);
        return;
    }
    files_path(path, "%s/crashes/%s/smallest", campaign->folder, name);
    if (files_size(path) >= 0) {
        fprintf(out, "- shrunk to %d bytes: `crashes/%s/smallest`\n", (int)files_size(path), name);
    }
}

/* ---- report.md ---- */

/* 1234567 -> "1,234,567" */
static const char *grouped(uint64_t number, char text[32]) {
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, number);
    size_t used = 0;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            text[used++] = ',';
        }
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

static void duration_text(double seconds, char text[32]) {
    unsigned long s = (unsigned long)(seconds + 0.5);
    (void)snprintf(text, 32, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
}

static void summary_print(FILE *out, const struct campaign *campaign, const struct slices *slices,
                          const json_t *findings) {
    struct total sum = sum_total(campaign, slices);
    char text[32], time[32], asked[32];
    double end = 0;
    for (size_t i = 0; i < slices->count; i++) {
        double at = slices->list[i].begin + slices->list[i].seconds;
        end = at > end ? at : end;
    }
    duration_text(end, time);
    duration_text(campaign->seconds, asked);
    size_t count = json_array_size(findings);
    fprintf(out, "# Fuzzing campaign %s\n\n",
            strrchr(campaign->folder, '/') ? strrchr(campaign->folder, '/') + 1 : campaign->folder);
    fprintf(out,
            count == 0   ? "**Nothing found**"
            : count == 1 ? "**%zu finding**"
                         : "**%zu findings**",
            count);
    fprintf(out,
            " in %s of %s, %zu targets, %u engine%s at once, %zu slices, seed %" PRIu64 ".\n\n",
            time, asked, campaign->target_count, campaign->jobs, campaign->jobs == 1 ? "" : "s",
            sum.slices, campaign->seed);
    fprintf(out, "| | |\n|---|---|\n| executions | %s", grouped(sum.runs, text));
    fprintf(out, " (%s per processor second) |\n",
            grouped((uint64_t)per_second(sum.runs, sum.cpu), text));
    fprintf(out, "| allocator operations | %s", grouped(sum.ops, text));
    fprintf(out, " (%.2f million per processor second) |\n", per_second(sum.ops, sum.cpu) / 1e6);
    fprintf(out, "| edges covered | %s", grouped(sum.edges_before, text));
    fprintf(out, " by the seeds, now %s |\n", grouped(sum.edges, text));
    fprintf(out, "| corpus | %s", grouped(sum.inputs_before, text));
    fprintf(out, " inputs at first, now %s", grouped(sum.inputs, text));
    fprintf(out, ", %s bytes |\n", grouped(sum.bytes, text));
    fprintf(out, "| inputs that ended a target | %s |\n", grouped(sum.found, text));
    fprintf(out, "| engines started again | %s |\n\n", grouped(sum.restarts, text));
}

static void target_rows_print(FILE *out, const struct campaign *campaign,
                              const struct slices *slices, const json_t *findings) {
    fputs(
        "## Targets\n\n"
        "Edges and features are those of the corpus under libFuzzer without a sanitizer, whichever "
        "engine found it.\n\n"
        "| target | time | processor | executions | per s | M ops/s | edges | features | corpus | "
        "findings |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        out);
    for (size_t i = 0; i < campaign->target_count; i++) {
        struct total t = target_total(slices, campaign->targets[i]);
        char time[32], runs[32], speed[32];
        size_t found = 0, k;
        json_t *finding;
        json_array_foreach(findings, k, finding) {
            found += strcmp(text_of(finding, "target"), t.name) == 0;
        }
        duration_text(t.seconds, time);
        fprintf(out, "| %s | %s | %.0f s | %s | %s | ", t.name, time, t.cpu, grouped(t.runs, runs),
                grouped((uint64_t)per_second(t.runs, t.cpu), speed));
        if (t.ops > 0) {
            fprintf(out, "%.2f", per_second(t.ops, t.cpu) / 1e6);
        }
        fprintf(out,
                " | %" PRIu64 " \u2192 %" PRIu64 " | %" PRIu64 " | %" PRIu64 " \u2192 %" PRIu64
                " | %zu |\n",
                t.edges_before, t.edges, t.features, t.inputs_before, t.inputs, found);
    }
    fputs("\n## Engines\n\n| engine | slices | time | processor | executions | per s | M ops/s | "
          "ended a "
          "target | started again |\n"
          "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
          out);
    for (size_t i = 0; i < campaign_flavour_count; i++) {
        struct total t = flavour_total(slices, campaign_flavours[i].name);
        char time[32], runs[32], speed[32];
        duration_text(t.seconds, time);
        fprintf(out, "| %s | %zu | %s | %.0f s | %s | %s | %.2f | %" PRIu64 " | %" PRIu64 " |\n",
                t.name, t.slices, time, t.cpu, grouped(t.runs, runs),
                grouped((uint64_t)per_second(t.runs, t.cpu), speed), per_second(t.ops, t.cpu) / 1e6,
                t.found, t.restarts);
    }
}

/* Why slices did not run, each reason once. */
static void notes_print(FILE *out, const struct slices *slices) {
    const struct slice *said[NOTES_MAX];
    size_t count = 0;
    for (size_t i = 0; i < slices->count && count < NOTES_MAX; i++) {
        const struct slice *slice = &slices->list[i];
        bool again = slice->note[0] == '\0';
        for (size_t k = 0; k < count && !again; k++) {
            again = strcmp(said[k]->note, slice->note) == 0 &&
                    strcmp(said[k]->target, slice->target) == 0;
        }
        if (!again) {
            if (count == 0) {
                fputs("\n## Engines that gave up\n\n", out);
            }
            said[count++] = slice;
            fprintf(out, "- %s, %s: %s\n", slice->target, slice->flavour, slice->note);
        }
    }
}

static size_t pending_count(const struct campaign *campaign) {
    char path[FILES_PATH];
    files_path(path, "%s/pending", campaign->folder);
    struct files list = files_list(path);
    size_t count = list.count;
    files_release(&list);
    return count;
}

static void gone_print(FILE *out, const json_t *gone) {
    size_t i;
    json_t *finding;
    if (json_array_size(gone) > 0) {
        fputs("\n## Findings that no longer happen\n\n", out);
    }
    json_array_foreach(gone, i, finding) {
        fprintf(out, "- %s: %s (`crashes/%s`)\n", text_of(finding, "target"),
                text_of(finding, "words"), text_of(finding, "name"));
    }
}

static bool markdown_write(const struct report *report, struct problem *problem) {
    const struct campaign *campaign = report->campaign;
    char path[FILES_PATH];
    struct result_file file;
    files_path(path, "%s/report.md", campaign->folder);
    if (!result_file_open(&file, path, problem)) {
        return false;
    }
    summary_print(file.stream, campaign, &report->slices, report->findings);
    if (report->remark[0] != '\0') {
        fprintf(file.stream, "Note: %s\n\n", report->remark);
    }
    fputs("![coverage and corpus over time](growth.svg)\n\n![speed](speed.svg)\n\n", file.stream);
    target_rows_print(file.stream, campaign, &report->slices, report->findings);
    notes_print(file.stream, &report->slices);
    if (json_array_size(report->findings) > 0) {
        fputs("\n## Findings\n", file.stream);
    }
    size_t i;
    json_t *finding;
    json_array_foreach(report->findings, i, finding) {
        finding_print(file.stream, campaign, i + 1, finding);
    }
    gone_print(file.stream, report->gone);
    size_t pending = pending_count(campaign);
    if (pending > 0) {
        fprintf(file.stream,
                "\n%zu inputs in `pending/` are not judged yet: `build/heaprig campaign --report "
                "-o %s` does that.\n",
                pending, campaign->folder);
    }
    return result_file_commit(&file, problem);
}

/* ---- report.json ---- */

static json_t *total_json(const struct total *t) {
    return json_pack("{s:s, s:f, s:f, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
                     "name", t->name, "seconds", t->seconds, "cpu_seconds", t->cpu, "executions",
                     (json_int_t)t->runs, "ops", (json_int_t)t->ops, "executions_per_cpu_s",
                     per_second(t->runs, t->cpu), "ops_per_cpu_s", per_second(t->ops, t->cpu),
                     "edges_first", (json_int_t)t->edges_before, "edges", (json_int_t)t->edges,
                     "features", (json_int_t)t->features, "inputs_first",
                     (json_int_t)t->inputs_before, "inputs", (json_int_t)t->inputs, "bytes",
                     (json_int_t)t->bytes, "ended_target", (json_int_t)t->found, "restarts",
                     (json_int_t)t->restarts);
}

static bool json_write(const struct report *all, struct problem *problem) {
    const struct campaign *campaign = all->campaign;
    const struct slices *slices = &all->slices;
    char path[FILES_PATH];
    struct result_file file;
    json_t *targets = json_array(), *engines = json_array();
    files_path(path, "%s/campaign.json", campaign->folder);
    json_t *report = json_load_file(path, 0, NULL);
    report = report != NULL ? report : json_object();
    for (size_t i = 0; i < campaign->target_count; i++) {
        struct total total = target_total(slices, campaign->targets[i]);
        (void)json_array_append_new(targets, total_json(&total));
    }
    for (size_t i = 0; i < campaign_flavour_count; i++) {
        struct total total = flavour_total(slices, campaign_flavours[i].name);
        (void)json_array_append_new(engines, total_json(&total));
    }
    struct total sum = sum_total(campaign, slices);
    (void)json_object_set_new(report, "all", total_json(&sum));
    (void)json_object_set_new(report, "targets", targets);
    (void)json_object_set_new(report, "engines", engines);
    (void)json_object_set(report, "findings", all->findings);
    (void)json_object_set(report, "gone", all->gone);
    (void)json_object_set_new(report, "pending", json_integer((json_int_t)pending_count(campaign)));
    files_path(path, "%s/report.json", campaign->folder);
    bool fine = result_file_open(&file, path, problem);
    if (fine) {
        (void)json_dumpf(report, file.stream, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
        fputc('\n', file.stream);
        fine = result_file_commit(&file, problem);
    }
    json_decref(report);
    return fine;
}

/* ---- the whole ---- */

static void plot(const struct campaign *campaign) {
    char output[FILES_PATH];
    files_path(output, "%s/plot.log", campaign->folder);
    const char *argv[] = {"plots/campaign.sh", campaign->folder, NULL};
    struct child child = {.argv = argv, .output = output, .seconds = PLOT_SECONDS};
    struct child_end end;
    struct problem ignored;
    if (child_run(&child, &end, &ignored) && end.status == 0) {
        files_remove(output);
    } else {
        fprintf(stderr, "heaprig campaign: no pictures, see %s\n", output);
    }
}

/* Functions of a plug-in's that take memory from elsewhere; empty when there are none. */
static void outside_calls(const struct campaign *campaign, char *text, size_t room) {
    char command[FILES_PATH + 256], name[64];
    text[0] = '\0';
    if (campaign->plugin == NULL || strpbrk(campaign->plugin, "'\\") != NULL) {
        return;
    }
    (void)snprintf(command, sizeof command,
                   "nm -D --undefined-only '%s' 2>/dev/null | sed 's/@.*//; s/.* //' | "
                   "grep -xE 'malloc|calloc|realloc|mmap|sbrk|aligned_alloc|posix_memalign'",
                   campaign->plugin);
    FILE *pipe = popen(command, "r");
    size_t used = 0;
    while (pipe != NULL && fgets(name, sizeof name, pipe) != NULL) {
        name[strcspn(name, "\n")] = '\0';
        used += (size_t)snprintf(text + used, room - used, "%s%s",
                                 used > 0 ? ", " : "the plug-in calls ", name);
        used = used < room - 1 ? used : room - 1;
    }
    if (used > 0) {
        (void)snprintf(text + used, room - used, "; memory must come from its pool alone.");
    }
    if (pipe != NULL) {
        (void)pclose(pipe);
    }
}

bool campaign_report(const struct campaign *campaign, size_t *crashes, struct problem *problem) {
    struct report report = {.campaign = campaign};
    char reserve[FILES_PATH];
    *crashes = 0;
    if (!slices_read(campaign, false, &report.slices, problem)) {
        return false;
    }
    report.findings = findings_read(campaign, false);
    report.gone = findings_read(campaign, true);
    *crashes = json_array_size(report.findings);
    outside_calls(campaign, report.remark, sizeof report.remark);
    bool fine = markdown_write(&report, problem) && json_write(&report, problem);
    if (!fine) { /* a full disk has room for a report */
        files_path(reserve, "%s/reserve", campaign->folder);
        (void)unlink(reserve);
        fine = markdown_write(&report, problem) && json_write(&report, problem);
    }
    if (fine) {
        plot(campaign);
    }
    json_decref(report.findings);
    json_decref(report.gone);
    slices_release(&report.slices);
    return fine;
}
