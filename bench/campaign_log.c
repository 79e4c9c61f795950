/* SPDX-License-Identifier: MIT
 * campaign_log.c - see campaign_log.h. */
#include "campaign_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char heading[] = "begin_s\tseconds\tcpu_s\ttarget\tflavour\truns\tops\tedges\t"
                              "features\tinputs\tbytes\tfound\trestarts\tnote\n";

static void log_path(const struct campaign *campaign, char path[FILES_PATH]) {
    files_path(path, "%s/slices.tsv", campaign->folder);
}

static bool keep(struct slices *slices, const struct slice *slice) {
    if (slices->count == slices->room) {
        size_t room = slices->room > 0 ? 2 * slices->room : 256;
        struct slice *list = realloc(slices->list, room * sizeof *list);
        if (list == NULL) {
            return false;
        }
        slices->list = list;
        slices->room = room;
    }
    slices->list[slices->count++] = *slice;
    return true;
}

/* One write, then on the disk; what was written in part is cut off again. */
static bool line_add(const char *path, const char *line, size_t bytes, struct problem *problem) {
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
    off_t before = file >= 0 ? lseek(file, 0, SEEK_END) : -1;
    bool fine = before >= 0;
    if (fine && before == 0) {
        fine = write(file, heading, sizeof heading - 1) == (ssize_t)(sizeof heading - 1);
    }
    fine = fine && write(file, line, bytes) == (ssize_t)bytes && fdatasync(file) == 0;
    int reason = errno;
    if (!fine && before >= 0) {
        fine = ftruncate(file, before) == 0 && false;
    }
    if (file >= 0) {
        (void)close(file);
    }
    return fine || problem_set(problem, "%s: cannot write: %s", path, strerror(reason));
}

/* Coverage of the target's slices before, where a busy machine left no time to measure it. */
static void coverage_keep(const struct slices *slices, struct slice *slice) {
    for (size_t i = slices->count; i-- > 0 && slice->features == 0;) {
        const struct slice *before = &slices->list[i];
        if (strcmp(before->target, slice->target) == 0) {
            slice->edges = before->edges;
            slice->features = before->features;
        }
    }
}

bool slices_append(const struct campaign *campaign, struct slices *slices, struct slice *slice,
                   struct problem *problem) {
    char path[FILES_PATH], line[512];
    coverage_keep(slices, slice);
    if (!keep(slices, slice)) {
        return problem_set(problem, "out of memory");
    }
    log_path(campaign, path);
    int bytes = snprintf(line, sizeof line,
                         "%.1f\t%.1f\t%.2f\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64
                         "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%s\n",
                         slice->begin, slice->seconds, slice->cpu, slice->target, slice->flavour,
                         slice->runs, slice->ops, slice->edges, slice->features, slice->inputs,
                         slice->bytes, slice->found, slice->restarts, slice->note);
    return line_add(path, line, (size_t)bytes, problem);
}

static bool line_read(const char *line, struct slice *slice) {
    *slice = (struct slice){0};
    int fields =
        sscanf(line,
               "%lf\t%lf\t%lf\t%31[^\t]\t%31[^\t]\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64
               "\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64 "\t%" SCNu64 "\t%95[^\n]",
               &slice->begin, &slice->seconds, &slice->cpu, slice->target, slice->flavour,
               &slice->runs, &slice->ops, &slice->edges, &slice->features, &slice->inputs,
               &slice->bytes, &slice->found, &slice->restarts, slice->note);
    return fields >= 13 && strchr(line, '\n') != NULL;
}

bool slices_read(const struct campaign *campaign, bool mend, struct slices *slices,
                 struct problem *problem) {
    char path[FILES_PATH], line[512];
    struct slice slice;
    *slices = (struct slices){0};
    log_path(campaign, path);
    FILE *file = fopen(path, mend ? "r+" : "r");
    if (file == NULL) {
        return errno == ENOENT || problem_set(problem, "%s: %s", path, strerror(errno));
    }
    bool fine = true;
    long whole = 0;
    while (fine && fgets(line, sizeof line, file) != NULL) {
        bool torn = strchr(line, '\n') == NULL;
        fine =
            torn || strcmp(line, heading) == 0 || !line_read(line, &slice) || keep(slices, &slice);
        whole = torn ? whole : ftell(file);
    }
    /* The next line must not continue a torn one. */
    fine = (fine && (!mend || ftruncate(fileno(file), whole) == 0)) ||
           problem_set(problem, "%s: cannot be read", path);
    (void)fclose(file);
    return fine;
}

void slices_release(struct slices *slices) {
    free(slices->list);
    *slices = (struct slices){0};
}
