/* SPDX-License-Identifier: MIT
 * cmd_campaign.c - `heaprig campaign`: fuzzing for hours, with a report at the end. */
#include "campaign.h"
#include "cli.h"
#include "meta.h"
#include "result_file.h"
#include "subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int cmd_campaign(int argc, char **argv);

struct options {
    struct campaign campaign;
    const char *folder;
    double hours;
    bool fresh, report;
};

enum { KEY_FRESH = 256, KEY_REPORT, KEY_BUILD, KEY_PLUGIN, KEY_WATCHED, KEY_SEED };

static const char doc[] = "Runs libFuzzer and AFL++, plain and under sanitizers, on all targets in "
                          "turn, lets them learn from each other, "
                          "and reports coverage, speed and findings.\v"
                          "`make fuzz-overnight HOURS=8 JOBS=2` builds what this needs and calls "
                          "it. A campaign that was interrupted goes "
                          "on when it is called again. Ctrl-C ends it with the report.\n\n"
                          "Exit status: 0 nothing found, 1 an allocator or reader is wrong, 2 bad "
                          "usage or a folder that cannot be "
                          "written.";

static const struct argp_option option_list[] = {
    {"hours", 'H', "N", 0, "in all, interruptions not counted (default 8; 0.1 is six minutes)", 0},
    {"jobs", 'j', "N", 0, "engines at once (default: one for each core)", 0},
    {"output", 'o', "FOLDER", 0,
     "the campaign's folder (default: the last unfinished one in results/fuzz, or a new "
     "one named by date)",
     0},
    {"new", KEY_FRESH, NULL, 0, "begin another even if the last one is unfinished", 0},
    {"report", KEY_REPORT, NULL, 0, "only judge what is pending and write the report again", 0},
    {"plugin", KEY_PLUGIN, "SO", 0, "what the target `plugin` loads", 0},
    {"watched", KEY_WATCHED, NULL, 0,
     "BUILD/FLAVOUR/plugin.so is the same, compiled for each engine", 0},
    {"build", KEY_BUILD, "FOLDER", 0, "where targets are (default build/fuzz)", 0},
    {"seed", KEY_SEED, "N", 0, "of the engines (default: the time)", 0},
    {0}};

static double hours_parse(const struct argp_state *state, const char *text) {
    char *end;
    double hours = strtod(text, &end);
    if (end == text || *end != '\0' || !(hours > 0 && hours <= 10000)) {
        argp_error(state, "--hours: '%s', expected a number above 0, such as 8 or 0.5", text);
    }
    return hours;
}

static error_t option_take(int key, char *text, struct argp_state *state) {
    struct options *options = state->input;
    struct campaign *campaign = &options->campaign;
    switch (key) {
    case 'H':
        options->hours = hours_parse(state, text);
        return 0;
    case 'j':
        campaign->jobs = (unsigned)cli_number(state, "jobs", text, 1, CAMPAIGN_JOBS_MAX);
        return 0;
    case 'o':
        options->folder = text;
        return 0;
    case KEY_FRESH:
        options->fresh = true;
        return 0;
    case KEY_REPORT:
        options->report = true;
        return 0;
    case KEY_PLUGIN:
        campaign->plugin = text;
        return 0;
    case KEY_WATCHED:
        campaign->plugin_watched = true;
        return 0;
    case KEY_BUILD:
        campaign->build = text;
        return 0;
    case KEY_SEED:
        campaign->seed = cli_number(state, "seed", text, 0, UINT64_MAX);
        return 0;
    case ARGP_KEY_ARG:
        if (campaign->target_count == CAMPAIGN_TARGETS_MAX) {
            argp_error(state, "%s: expected at most %d targets", text, CAMPAIGN_TARGETS_MAX);
        }
        campaign->targets[campaign->target_count++] = text;
        return 0;
    case ARGP_KEY_END:
        if (campaign->target_count == 0 && !options->report) {
            argp_error(state, "no TARGET, expected names of programs in %s/libfuzzer",
                       campaign->build);
        }
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

/* Each target must be there for the engine that judges, and a plug-in must load; both in words
 * before hours pass. */
static bool ready(const struct campaign *campaign, struct problem *problem) {
    for (size_t i = 0; i < campaign->target_count; i++) {
        const char *target = campaign->targets[i];
        if (strlen(target) > 30 || strpbrk(target, "/@~ \t") != NULL ||
            !campaign_has(campaign, target, campaign_flavour("libfuzzer"))) {
            return problem_set(problem, "%s: no target, expected %s/libfuzzer/%s", target,
                               campaign->build, target);
        }
    }
    if (campaign->plugin == NULL) {
        return true;
    }
    pid_t id = fork(); /* loading one may end the process */
    if (id == 0) {
        bool fine = subject_find(campaign->plugin, problem) != NULL;
        if (!fine) {
            fprintf(stderr, "heaprig campaign: %s\n", problem->text);
        }
        _exit(fine ? 0 : 1);
    }
    int status = 0;
    (void)waitpid(id, &status, 0);
    return status == 0 || problem_set(problem, "%s: cannot be loaded", campaign->plugin);
}

/* ---- the folder ---- */

/* What was asked of the campaign in a folder; NULL when there is none. */
static json_t *asked_read(const char *folder) {
    char path[FILES_PATH];
    files_path(path, "%s/campaign.json", folder);
    return json_load_file(path, 0, NULL);
}

static json_t *asked_make(const struct campaign *campaign) {
    json_t *targets = json_array();
    for (size_t i = 0; i < campaign->target_count; i++) {
        (void)json_array_append_new(targets, json_string(campaign->targets[i]));
    }
    return json_pack("{s:o, s:s, s:b, s:s}", "targets", targets, "plugin",
                     campaign->plugin != NULL ? campaign->plugin : "", "watched",
                     campaign->plugin_watched, "build", campaign->build);
}

/* The file that says what this campaign is; `finished`: no other shall go on with it. */
static bool asked_write(const struct campaign *campaign, bool finished, struct problem *problem) {
    char path[FILES_PATH];
    struct result_file file;
    json_t *asked = asked_make(campaign), *before = asked_read(campaign->folder);
    json_t *meta = json_object_get(before, "meta");
    (void)json_object_set_new(asked, "seconds", json_real(campaign->seconds));
    (void)json_object_set_new(asked, "jobs", json_integer(campaign->jobs));
    (void)json_object_set_new(asked, "seed", json_integer((json_int_t)campaign->seed));
    (void)json_object_set_new(asked, "finished", json_boolean(finished));
    (void)json_object_set_new(asked, "meta", meta != NULL ? json_incref(meta) : meta_new());
    files_path(path, "%s/campaign.json", campaign->folder);
    bool fine = result_file_open(&file, path, problem);
    if (fine) {
        (void)json_dumpf(asked, file.stream, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
        fine = result_file_commit(&file, problem);
    }
    json_decref(asked);
    json_decref(before);
    return fine;
}

/* Whether the folder holds a campaign of the same targets, with time left or finished too. */
static bool fits(const char *folder, const struct campaign *campaign, bool finished_too) {
    json_t *have = asked_read(folder), *want = asked_make(campaign);
    bool same = have != NULL && (finished_too || !json_is_true(json_object_get(have, "finished")));
    const char *key;
    json_t *value;
    json_object_foreach(want, key, value) {
        same = same && json_equal(value, json_object_get(have, key));
    }
    json_decref(have);
    json_decref(want);
    return same;
}

static void folder_choose(struct options *options) {
    struct campaign *campaign = &options->campaign;
    char date[16];
    time_t now = time(NULL);
    (void)strftime(date, sizeof date, "%Y-%m-%d", localtime(&now));
    struct files list = files_list("results/fuzz");
    for (size_t i = list.count; i-- > 0 && !options->fresh && campaign->folder[0] == '\0';) {
        char path[FILES_PATH];
        files_path(path, "results/fuzz/%s", list.names[i]);
        if (strlen(path) < sizeof campaign->folder && fits(path, campaign, false)) {
            memcpy(campaign->folder, path, strlen(path) + 1);
        }
    }
    files_release(&list);
    for (unsigned n = 1; campaign->folder[0] == '\0'; n++) {
        char path[64], number[16] = "";
        if (n > 1) {
            (void)snprintf(number, sizeof number, "-%u", n);
        }
        (void)snprintf(path, sizeof path, "results/fuzz/%s%s", date, number);
        if (access(path, F_OK) != 0) {
            (void)snprintf(campaign->folder, sizeof campaign->folder, "%s", path);
        }
    }
}

/* One campaign at a time in a folder, for as long as this process lives. */
static bool folder_lock(const struct campaign *campaign, struct problem *problem) {
    return files_lock(campaign->folder) >= 0 ||
           problem_set(problem, "%s: a campaign is running in this folder", campaign->folder);
}

/* For a report alone: targets, plug-in and time as they were asked for. */
static bool asked_take(struct campaign *campaign, struct problem *problem) {
    json_t *have = asked_read(campaign->folder); /* kept: its strings are used */
    if (have == NULL) {
        return problem_set(problem, "%s: no campaign.json, expected a campaign's folder",
                           campaign->folder);
    }
    const char *plugin = json_string_value(json_object_get(have, "plugin"));
    const char *build = json_string_value(json_object_get(have, "build"));
    campaign->plugin = plugin != NULL && plugin[0] != '\0' ? plugin : NULL;
    campaign->plugin_watched = json_is_true(json_object_get(have, "watched"));
    campaign->build = build != NULL ? build : campaign->build;
    campaign->seconds = json_number_value(json_object_get(have, "seconds"));
    campaign->jobs = (unsigned)json_integer_value(json_object_get(have, "jobs"));
    campaign->seed = (uint64_t)json_integer_value(json_object_get(have, "seed"));
    size_t i;
    json_t *value;
    campaign->target_count = 0;
    json_array_foreach(json_object_get(have, "targets"), i, value) {
        if (json_is_string(value) && campaign->target_count < CAMPAIGN_TARGETS_MAX) {
            campaign->targets[campaign->target_count++] = json_string_value(value);
        }
    }
    return true;
}

static int report(struct campaign *campaign, struct problem *problem) {
    size_t crashes = 0;
    if (!campaign_report(campaign, &crashes, problem)) {
        return cli_problem(problem);
    }
    fprintf(stderr, "heaprig campaign: %zu finding%s; %s/report.md\n", crashes,
            crashes == 1 ? "" : "s", campaign->folder);
    return crashes > 0 ? CLI_FAILED : CLI_FINE;
}

int cmd_campaign(int argc, char **argv) {
    struct options options = {.hours = 8, .campaign = {.build = "build/fuzz", .seed = cli_seed()}};
    struct campaign *campaign = &options.campaign;
    const struct argp argp = {option_list, option_take, "TARGET...", doc, NULL, NULL, NULL};
    struct problem problem;
    cli_parse(&argp, argc, argv, &options);
    if (options.folder != NULL) {
        (void)snprintf(campaign->folder, sizeof campaign->folder, "%s", options.folder);
    }
    campaign->seconds = options.hours * 3600;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    campaign->jobs = campaign->jobs > 0 ? campaign->jobs : cores > 0 ? (unsigned)cores : 1;
    if (options.report) {
        if (!asked_take(campaign, &problem)) {
            return cli_problem(&problem);
        }
        if (folder_lock(campaign, &problem)) { /* a campaign that runs does that itself */
            campaign_judge(campaign, &campaign_stop);
            campaign_recheck(campaign);
        }
        return report(campaign, &problem);
    }
    if (!ready(campaign, &problem)) {
        return cli_problem(&problem);
    }
    if (campaign->folder[0] == '\0') {
        folder_choose(&options);
    }
    if (!result_folder_make(campaign->folder, &problem) || !folder_lock(campaign, &problem)) {
        return cli_problem(&problem);
    }
    json_t *before = asked_read(campaign->folder);
    if (before != NULL && !fits(campaign->folder, campaign, true)) {
        (void)problem_set(&problem, "%s: a campaign of other targets, expected a new folder",
                          campaign->folder);
        return cli_problem(&problem);
    }
    fprintf(stderr, "heaprig campaign: %s %s\n", before != NULL ? "going on in" : "begins in",
            campaign->folder);
    json_decref(before);
    bool finished = false;
    if (!asked_write(campaign, false, &problem) || !campaign_run(campaign, &finished, &problem)) {
        return cli_problem(&problem);
    }
    (void)asked_write(campaign, finished, &problem);
    int status = report(campaign, &problem);
    if (finished) {
        char reserve[FILES_PATH];
        files_path(reserve, "%s/reserve", campaign->folder);
        (void)unlink(reserve);
    }
    return status;
}
