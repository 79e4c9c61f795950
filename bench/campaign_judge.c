/* SPDX-License-Identifier: MIT
 *
 * campaign_judge.c - from inputs that ended a target to findings: each once, in words, and small
 *
 * An input is run again under libFuzzer with the same sanitizer, in a process of its own. What that
 * says makes the key (finding.h); the first input of a key is shrunk to ops by `heaprig minimize`,
 * or to bytes by libFuzzer where there are no ops or the fault needs the sanitizer.
 */
#include "campaign.h"
#include "campaign_files.h"
#include "child.h"
#include "finding.h"

#include "../alloc/alloc.h"
#include "../trace/file_bytes.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    INPUTS_MAX = 100,    /* kept of one finding */
    AGAIN_SECONDS = 20,  /* for a run that libFuzzer ends after 5 */
    SHRINK_SECONDS = 90, /* for a finding */
    BYTES_SECONDS = 20,
};

/* A pending input, TARGET@FLAVOUR@SHA1, with "~" behind when it counts only if it does so again. */
struct pending {
    const struct campaign *campaign;
    char path[FILES_PATH], target[32], sha1[48];
    const struct flavour *flavour;
    bool maybe;
    const volatile sig_atomic_t *end;
};

static bool pending_read(const struct campaign *campaign, const char *name, struct pending *p) {
    char flavour[32];
    *p = (struct pending){.campaign = campaign};
    files_path(p->path, "%s/pending/%s", campaign->folder, name);
    if (sscanf(name, "%31[^@]@%31[^@]@%47[0-9a-f]", p->target, flavour, p->sha1) != 3) {
        return false;
    }
    p->flavour = campaign_flavour(flavour);
    p->maybe = strchr(name, '~') != NULL;
    return p->flavour != NULL;
}

static bool run(const struct pending *p, const struct flavour *flavour, const char *const *argv,
                const char *output, double seconds, struct child_end *end) {
    char plugin[FILES_PATH];
    struct problem problem;
    campaign_plugin_variable(p->campaign, flavour, plugin);
    const char *environment[] = {plugin, "HEAPRIG_TALLY", "ASAN_OPTIONS", "UBSAN_OPTIONS", NULL};
    struct child child = {.argv = argv,
                          .environment = environment,
                          .output = output,
                          .seconds = seconds,
                          .end = p->end};
    return child_run(&child, end, &problem);
}

/* Runs the input again; what was printed stays in `said`. */
static bool again(const struct pending *p, const char *said, struct finding *finding) {
    char program[FILES_PATH];
    files_path(program, "%s/%s/%s", p->campaign->build, p->flavour->twin, p->target);
    const char *argv[] = {
        program, "-timeout=5", "-rss_limit_mb=1024", "-exact_artifact_path=/dev/null",
        p->path, NULL};
    struct child_end end;
    struct file_bytes text = {0};
    struct problem ignored;
    if (!run(p, campaign_flavour(p->flavour->twin), argv, said, AGAIN_SECONDS, &end) ||
        (end.late && p->end != NULL && *p->end)) {
        return false;
    }
    bool read = file_bytes_read(said, &text, &ignored);
    finding_read(read ? (const char *)text.bytes : "", end.status, end.late, finding);
    file_bytes_release(&text);
    return true;
}

/* What `heaprig minimize` is to call the allocator; NULL when it knows none. */
static const char *allocator_name(const struct pending *p, const struct finding *finding) {
    if (strcmp(p->target, "plugin") == 0) {
        return p->campaign->plugin;
    }
    return alloc_find(p->target) != NULL                                         ? p->target
           : finding->subject[0] != '\0' && alloc_find(finding->subject) != NULL ? finding->subject
                                                                                 : NULL;
}

/* The sentence that the shrunk script begins with, "# NAME: op 2, ...". */
static void words_take(const char *script, struct finding *finding) {
    struct file_bytes text = {0};
    struct problem ignored;
    if (file_bytes_read(script, &text, &ignored)) {
        const char *line = (const char *)text.bytes;
        line = strncmp(line, "# ", 2) == 0 ? line : strstr(line, "\n# ");
        if (line != NULL) {
            line += strspn(line, "\n# ");
            (void)snprintf(finding->words, sizeof finding->words, "%.*s", (int)strcspn(line, "\n"),
                           line);
        }
    }
    file_bytes_release(&text);
}

/* Shrinks to ops: script.txt, test.c, listing.txt; returns how many are left, or 0. */
static unsigned shrink_ops(const struct pending *p, const char *folder, const char *input,
                           struct finding *finding) {
    char script[FILES_PATH], test[FILES_PATH], listing[FILES_PATH];
    const char *name = allocator_name(p, finding);
    files_path(script, "%s/script.txt", folder);
    files_path(test, "%s/test.c", folder);
    files_path(listing, "%s/listing.txt", folder);
    const char *argv[] = {files_program(),
                          "minimize",
                          "-a",
                          name,
                          "-s",
                          "1",
                          "-r",
                          finding->hangs ? "60" : "20000",
                          input,
                          "-o",
                          script,
                          "--c",
                          test,
                          NULL};
    struct child_end end;
    unsigned ops = 0, of = 0;
    if (name == NULL || !run(p, p->flavour, argv, listing, SHRINK_SECONDS, &end) ||
        files_size(script) <= 0) {
        files_remove(listing);
        return 0;
    }
    struct file_bytes text = {0};
    struct problem ignored;
    if (file_bytes_read(listing, &text, &ignored)) {
        const char *line = strstr((const char *)text.bytes, "heaprig minimize: ");
        (void)(line != NULL && sscanf(line, "heaprig minimize: %u ops of %u", &ops, &of) == 2);
    }
    file_bytes_release(&text);
    words_take(script, finding);
    return ops;
}

/* Shrinks to bytes: `smallest`. */
static void shrink_bytes(const struct pending *p, const char *folder, const char *input) {
    char program[FILES_PATH], said[FILES_PATH], exact[FILES_PATH], total[32];
    files_path(program, "%s/%s/%s", p->campaign->build, p->flavour->twin, p->target);
    files_path(said, "%s/shrink.log", folder);
    files_path(exact, "-exact_artifact_path=%s/smallest", folder);
    (void)snprintf(total, sizeof total, "-max_total_time=%d", BYTES_SECONDS);
    const char *argv[] = {
        program, "-minimize_crash=1", "-timeout=5", "-rss_limit_mb=1024", total, exact, input,
        NULL};
    struct child_end end;
    (void)run(p, campaign_flavour(p->flavour->twin), argv, said, 2 * BYTES_SECONDS, &end);
    files_remove(said);
}

static bool finding_write(const struct pending *p, const char *folder, const char *name,
                          unsigned ops, const struct finding *finding) {
    char path[FILES_PATH], again_text[FILES_PATH];
    const char *allocator = allocator_name(p, finding);
    (void)snprintf(again_text, sizeof again_text, "%s/%s/%s %s/crashes/%s/input",
                   p->campaign->build, p->flavour->twin, p->target, p->campaign->folder, name);
    if (strcmp(p->target, "plugin") == 0) {
        (void)snprintf(again_text, sizeof again_text,
                       "HEAPRIG_PLUGIN=%s %s/%s/%s %s/crashes/%s/input", p->campaign->plugin,
                       p->campaign->build, p->flavour->twin, p->target, p->campaign->folder, name);
    }
    json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:b}", "name", name,
                             "target", p->target, "flavour", p->flavour->name, "rule",
                             finding->rule, "words", finding->words, "stack", finding->stack,
                             "allocator", allocator != NULL ? allocator : "", "again", again_text,
                             "ops", (int)ops, "repeats", !finding->sound);
    char *text = json != NULL ? json_dumps(json, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
    json_decref(json);
    files_path(path, "%s/crash.json", folder);
    bool fine = text != NULL && files_write(path, text, strlen(text));
    free(text);
    return fine;
}

/* One fault can break several rules, and a sanitizer has words of its own for it. When the script
 * in `beside` is that of another finding, the name becomes a link to that one. */
static bool alias_make(const struct campaign *campaign, const char *name, const char *beside) {
    char folder[FILES_PATH], script[FILES_PATH], other[FILES_PATH];
    bool made = false;
    files_path(folder, "%s/crashes", campaign->folder);
    files_path(script, "%s/script.txt", beside);
    struct files list = files_list(folder);
    for (size_t i = 0; i < list.count && !made; i++) {
        files_path(other, "%s/%s/script.txt", folder, list.names[i]);
        if (files_equal(script, other)) {
            files_path(other, "%s/%s", folder, name);
            made = symlink(list.names[i], other) == 0;
        }
    }
    files_release(&list);
    return made;
}

/* A finding seen for the first time; the folder appears when it is complete. */
static bool finding_make(const struct pending *p, const char *name, const char *said,
                         struct finding *finding) {
    char beside[FILES_PATH], folder[FILES_PATH], path[FILES_PATH];
    struct file_bytes input = {0};
    struct problem ignored;
    files_path(beside, "%s/crashes/.%s", p->campaign->folder, name);
    files_path(folder, "%s/crashes/%s", p->campaign->folder, name);
    files_remove(beside);
    files_path(path, "%s/inputs", beside);
    bool fine = mkdir(beside, 0777) == 0 && mkdir(path, 0777) == 0 &&
                file_bytes_read(p->path, &input, &ignored);
    files_path(path, "%s/input", beside);
    fine = fine && files_write(path, input.bytes, input.count);
    file_bytes_release(&input);
    if (!fine) {
        files_remove(beside);
        return false;
    }
    unsigned ops = finding->sound ? 0 : shrink_ops(p, beside, path, finding);
    if (ops == 0 && !finding->sound && !finding->hangs) {
        shrink_bytes(p, beside, path);
    }
    if (p->end != NULL && *p->end) { /* shrunk in part: the next judge does it all */
        files_remove(beside);
        return false;
    }
    if (ops > 0 && alias_make(p->campaign, name, beside)) {
        files_remove(beside);
        return true;
    }
    files_path(path, "%s/said", beside);
    (void)rename(said, path);
    return finding_write(p, beside, name, ops, finding) && rename(beside, folder) == 0;
}

/* Notes in crash.json whether the finding's input no longer does harm. */
static void gone_note(const struct campaign *campaign, const char *name, bool gone) {
    char path[FILES_PATH];
    files_path(path, "%s/crashes/%s/crash.json", campaign->folder, name);
    json_t *json = json_load_file(path, 0, NULL);
    if (json != NULL && json_is_true(json_object_get(json, "gone")) != gone) {
        (void)json_object_set_new(json, "gone", json_boolean(gone));
        char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENSURE_ASCII);
        (void)(text != NULL && files_write(path, text, strlen(text)));
        free(text);
    }
    json_decref(json);
}

void campaign_recheck(const struct campaign *campaign) {
    char folder[FILES_PATH], path[FILES_PATH], said[FILES_PATH];
    files_path(folder, "%s/crashes", campaign->folder);
    files_path(said, "%s/said", campaign->folder);
    struct files list = files_list(folder);
    for (size_t i = 0; i < list.count; i++) {
        struct pending p = {.campaign = campaign, .end = &campaign_stop};
        struct finding finding;
        files_path(path, "%s/%s", folder, list.names[i]);
        bool alias = files_is_link(path);
        files_path(path, "%s/%s/crash.json", folder, list.names[i]);
        json_t *json = alias ? NULL : json_load_file(path, 0, NULL);
        const char *target = json_string_value(json_object_get(json, "target"));
        const char *flavour = json_string_value(json_object_get(json, "flavour"));
        p.flavour = flavour != NULL ? campaign_flavour(flavour) : NULL;
        if (target != NULL && strlen(target) < sizeof p.target && p.flavour != NULL &&
            json_is_true(json_object_get(json, "repeats"))) {
            (void)snprintf(p.target, sizeof p.target, "%s", target);
            files_path(p.path, "%s/%s/input", folder, list.names[i]);
            if (again(&p, said, &finding)) {
                gone_note(campaign, list.names[i], finding.sound);
            }
        }
        json_decref(json);
    }
    (void)unlink(said);
    files_release(&list);
}

/* Counts the input among those of its finding, which it may begin. True when it is no longer
 * pending. */
static bool pending_judge(const struct pending *p, const char *said) {
    struct finding finding;
    char name[96], inputs[FILES_PATH], path[FILES_PATH];
    if (!again(p, said, &finding)) {
        return false;
    }
    if (finding.sound && p->maybe) { /* a slow machine, or somebody killed the engine */
        files_path(path, "%s/corpus/%s/%s", p->campaign->folder, p->target, p->sha1);
        return rename(p->path, path) == 0;
    }
    if (finding.sound) {
        (void)snprintf(finding.rule, sizeof finding.rule, "ended the target once");
        (void)snprintf(finding.words, sizeof finding.words,
                       "ended %s under %s, but not when it was run alone", p->target,
                       p->flavour->name);
        (void)snprintf(finding.key, sizeof finding.key, "%s", finding.rule);
    }
    finding_name(&finding, p->target, name);
    files_path(inputs, "%s/crashes/%s/inputs", p->campaign->folder, name);
    if (access(inputs, F_OK) != 0 && !finding_make(p, name, said, &finding)) {
        return false;
    }
    gone_note(p->campaign, name, false);
    struct files list = files_list(inputs);
    size_t count = list.count;
    files_release(&list);
    files_path(path, "%s/%s@%s", inputs, p->flavour->name, p->sha1);
    return count < INPUTS_MAX ? rename(p->path, path) == 0 : unlink(p->path) == 0;
}

void campaign_judge(const struct campaign *campaign, const volatile sig_atomic_t *end) {
    char folder[FILES_PATH], said[FILES_PATH];
    files_path(folder, "%s/pending", campaign->folder);
    files_path(said, "%s/said", campaign->folder);
    struct files list = files_list(folder);
    for (size_t i = 0; i < list.count && (end == NULL || !*end); i++) {
        struct pending p;
        if (pending_read(campaign, list.names[i], &p)) {
            p.end = end;
            (void)pending_judge(&p, said);
        }
    }
    files_release(&list);
    (void)unlink(said);
}
