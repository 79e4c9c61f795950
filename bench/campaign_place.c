/* SPDX-License-Identifier: MIT
 * campaign_place.c - see campaign_place.h. */
#include "campaign_place.h"

#include "../trace/file_bytes.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CRASHES_MAX = 20, /* taken from a start of AFL++; further ones are much the same */
    HANGS_MAX = 3,    /* each costs the judge some seconds */
};

void place_set(struct place *place, const struct campaign *campaign, unsigned number,
               const struct tally *tally, struct slice *slice) {
    char path[FILES_PATH];
    *place = (struct place){.campaign = campaign, .slice = slice, .tally = tally};
    place->flavour = campaign_flavour(slice->flavour);
    files_path(place->folder, "%s/places/%u", campaign->folder, number);
    (void)slice_seeds(slice->target, &place->programs, path);
}

void place_path(const struct place *place, const char *name, char path[FILES_PATH]) {
    files_path(path, "%s/%s", place->folder, name);
}

void place_corpus(const struct place *place, char path[FILES_PATH]) {
    files_path(path, "%s/corpus/%s", place->campaign->folder, place->slice->target);
}

const char *slice_seeds(const char *target, bool *programs, char path[FILES_PATH]) {
    files_path(path, "corpus/seeds/%s", target);
    *programs = access(path, R_OK) != 0;
    if (*programs) {
        files_path(path, "corpus/seeds/program");
    }
    return path;
}

void place_pend(struct place *place, const unsigned char *bytes, size_t count, bool maybe) {
    static const unsigned char nothing[] = {0}; /* no bytes mean the same as zeros */
    const char *folder = place->campaign->folder;
    char sha1[41], path[FILES_PATH], known[FILES_PATH], reserve[FILES_PATH];
    bytes = count > 0 ? bytes : nothing;
    count = count > 0 ? count : 1;
    files_sha1(bytes, count, sha1);
    files_path(path, "%s/pending/%s@%s@%s%s", folder, place->slice->target, place->slice->flavour,
               sha1, maybe ? "~" : "");
    bool kept = files_write(path, bytes, count);
    if (!kept) {
        files_path(reserve, "%s/reserve", folder);
        (void)unlink(reserve);
        kept = files_write(path, bytes, count);
    }
    if (kept) { /* in the corpus it would end each start of its target */
        files_path(known, "%s/corpus/%s/%s", folder, place->slice->target, sha1);
        (void)unlink(known);
        place->slice->found++;
    }
    place->stuck |= !kept;
}

static void pend_file(struct place *place, const char *path, bool maybe) {
    struct file_bytes file = {0};
    struct problem ignored;
    if (file_bytes_read(path, &file, &ignored) || (files_size(path) == 0)) {
        place_pend(place, file.bytes, file.count, maybe);
    }
    file_bytes_release(&file);
}

/* What libFuzzer kept: crash-SHA1, leak-, oom-, timeout-. One cut short stands whole in the tally.
 */
size_t place_artifacts(struct place *place) {
    char folder[FILES_PATH], path[FILES_PATH], sha1[41];
    place_path(place, "found", folder);
    size_t taken = 0;
    struct files list = files_list(folder);
    for (size_t i = 0; i < list.count; i++) {
        const char *name = list.names[i], *dash = strrchr(name, '-');
        bool maybe = strncmp(name, "timeout", 7) == 0;
        if (dash == NULL || strncmp(name, "slow-unit", 9) == 0) {
            continue;
        }
        files_path(path, "%s/%s", folder, name);
        if (!files_sha1_of(path, sha1) || strcmp(sha1, dash + 1) != 0) {
            place_pend(place, place->tally->input, (size_t)place->tally->input_bytes, true);
        } else {
            pend_file(place, path, maybe);
        }
        taken++;
    }
    files_release(&list);
    return taken;
}

/* Inputs that are whole go to the corpus, named by their SHA-1. */
static void corpus_take(struct place *place, const char *from, bool afl) {
    char to[FILES_PATH], path[FILES_PATH], target[FILES_PATH], sha1[41];
    place_corpus(place, to);
    struct files list = files_list(from);
    files_sync(from);
    for (size_t i = 0; i < list.count; i++) {
        const char *name = list.names[i];
        files_path(path, "%s/%s", from, name);
        bool wanted = afl ? strncmp(name, "id:", 3) == 0 && strstr(name, ",orig:") == NULL : true;
        if (wanted && files_sha1_of(path, sha1) && (afl || strcmp(name, sha1) == 0)) {
            files_path(target, "%s/%s", to, sha1);
            place->stuck |= rename(path, target) != 0;
        }
    }
    files_release(&list);
}

static size_t afl_take(struct place *place) {
    char path[FILES_PATH], folder[FILES_PATH];
    size_t taken = 0;
    static const char *const kinds[] = {"crashes", "hangs"};
    for (size_t kind = 0; kind < 2; kind++) {
        files_path(folder, "%s/afl/default/%s", place->folder, kinds[kind]);
        struct files list = files_list(folder);
        for (size_t i = 0; i < list.count && i < (kind == 0 ? CRASHES_MAX : HANGS_MAX); i++) {
            if (strncmp(list.names[i], "id:", 3) == 0) {
                files_path(path, "%s/%s", folder, list.names[i]);
                pend_file(place, path, kind == 1);
                taken++;
            }
        }
        files_release(&list);
    }
    files_path(folder, "%s/afl/default/queue", place->folder);
    corpus_take(place, folder, true);
    return taken;
}

size_t place_harvest(struct place *place) {
    char path[FILES_PATH];
    place_path(place, "new", path);
    place->stuck = false;
    corpus_take(place, path, false);
    return place_artifacts(place) + afl_take(place);
}

bool place_clear(const struct place *place) {
    static const char *const names[] = {"new", "found", "afl"};
    char path[FILES_PATH];
    bool fine = true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        place_path(place, names[i], path);
        files_remove(path);
        fine &= mkdir(path, 0777) == 0;
    }
    return fine;
}

bool place_rescue(const struct campaign *campaign, unsigned number) {
    struct slice slice = {0};
    struct place place;
    struct file_bytes who = {0}, left = {0};
    struct problem ignored;
    static struct tally tally;
    char path[FILES_PATH];
    bool fine = true;
    files_path(path, "%s/places/%u/who", campaign->folder, number);
    if (file_bytes_read(path, &who, &ignored) &&
        sscanf((const char *)who.bytes, "%31s %31s", slice.target, slice.flavour) == 2 &&
        campaign_flavour(slice.flavour) != NULL) {
        place_set(&place, campaign, number, &tally, &slice);
        place_path(&place, "tally", path);
        if (file_bytes_read(path, &left, &ignored) && left.count == sizeof tally) {
            memcpy(&tally, left.bytes, sizeof tally);
        }
        (void)place_harvest(&place);
        if (tally.input_bytes > 0 && tally.input_bytes <= TALLY_INPUT_MAX) {
            place_pend(&place, tally.input, (size_t)tally.input_bytes, true);
        }
        place_path(&place, "who", path);
        fine = !place.stuck && place_clear(&place) && unlink(path) == 0;
    }
    file_bytes_release(&who);
    file_bytes_release(&left);
    return fine;
}

void slice_rescue(const struct campaign *campaign) {
    for (unsigned number = 0; number < CAMPAIGN_JOBS_MAX; number++) {
        (void)place_rescue(campaign, number);
    }
}

bool slice_seed(const struct campaign *campaign, const char *target, struct problem *problem) {
    char to[FILES_PATH], from[FILES_PATH], path[FILES_PATH], sha1[41];
    bool programs;
    files_path(to, "%s/corpus/%s", campaign->folder, target);
    struct files have = files_list(to);
    size_t before = have.count;
    files_release(&have);
    if (before > 0) {
        return true;
    }
    struct files list = files_list(slice_seeds(target, &programs, from));
    bool fine = true;
    for (size_t i = 0; fine && i < list.count; i++) {
        struct file_bytes seed = {0};
        files_path(path, "%s/%s", from, list.names[i]);
        if (file_bytes_read(path, &seed, problem)) {
            files_sha1(seed.bytes, seed.count, sha1);
            files_path(path, "%s/%s", to, sha1);
            fine = files_write(path, seed.bytes, seed.count) ||
                   problem_set(problem, "%s: cannot be written", path);
        }
        file_bytes_release(&seed);
    }
    files_release(&list);
    return fine;
}
