/* SPDX-License-Identifier: MIT
 * mmu_series.c - see mmu_series.h. */
#include "mmu_series.h"

#include "result_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WINDOWS = 200, PIECES_MAX = 1024, PIECES_SHOWN = 128, EITHER = MMU_WHO };

struct window {
    size_t op;
    uint64_t pages;
    uint64_t working_set[MMU_WHO + 1];
    uint32_t heat[MMU_WHO][PIECES_MAX];
};

struct mmu_series {
    size_t op_count, ops_per_window;
    size_t due; /* last operation of the window */
    unsigned piece_log2;
    bool piece_touched[PIECES_MAX];
    uint32_t
        *touched_in[MMU_WHO + 1]; /* by page: the last window that touched it, from 1; 0: none */
    uint64_t pages;
    size_t window_count; /* those that are over */
    struct window window[WINDOWS + 1];
};

static size_t due_after(const struct mmu_series *series, size_t ops) {
    size_t rest = series->op_count - ops;
    return ops + (rest < series->ops_per_window ? rest : series->ops_per_window) - 1;
}

struct mmu_series *mmu_series_new(size_t op_count, size_t pool_bytes) {
    struct mmu_series *series = calloc(1, sizeof *series);
    if (series == NULL) {
        return NULL;
    }
    series->op_count = op_count;
    series->ops_per_window = op_count / WINDOWS + 1;
    series->due = due_after(series, 0);
    series->piece_log2 = VM_PAGE_LOG;
    while (pool_bytes >> series->piece_log2 >= PIECES_MAX) {
        series->piece_log2++;
    }
    for (int who = 0; who <= EITHER; who++) {
        series->touched_in[who] =
            calloc((pool_bytes >> VM_PAGE_LOG) + 2, sizeof *series->touched_in[who]);
        if (series->touched_in[who] == NULL) {
            mmu_series_free(series);
            return NULL;
        }
    }
    return series;
}

void mmu_series_free(struct mmu_series *series) {
    for (int who = 0; series != NULL && who <= EITHER; who++) {
        free(series->touched_in[who]);
    }
    free(series);
}

/* The first touch of the page in this window by `who`. */
static __attribute__((noinline)) void page_note(struct mmu_series *series, enum mmu_who who,
                                                uint32_t page, uint32_t now) {
    struct window *window = &series->window[series->window_count];
    const int groups[] = {(int)who, EITHER};
    for (int i = 0; i < 2; i++) {
        uint32_t *touched_in = &series->touched_in[groups[i]][page];
        if (groups[i] == EITHER && *touched_in == 0) {
            series->pages++;
        }
        window->working_set[groups[i]] += *touched_in != now;
        *touched_in = now;
    }
    series->piece_touched[page >> (series->piece_log2 - VM_PAGE_LOG)] = true;
}

static inline void page_touch(struct mmu_series *series, enum mmu_who who, uint32_t page,
                              uint32_t now) {
    if (__builtin_expect(series->touched_in[who][page] != now, 0)) {
        page_note(series, who, page, now);
    }
}

void mmu_series_see(struct mmu_series *series, const struct touch *touches, size_t count) {
    struct window *window = &series->window[series->window_count];
    const unsigned piece_log2 = series->piece_log2; /* pages do not cross pieces */
    const uint32_t now = (uint32_t)series->window_count + 1;
    for (size_t i = 0; i < count; i++) {
        enum mmu_who who = mmu_who_did(touches[i]);
        uint32_t first = touches[i].offset;
        uint32_t last = first + (touches[i].bytes & TOUCH_BYTES) - 1;
        page_touch(series, who, first >> VM_PAGE_LOG, now);
        window->heat[who][first >> piece_log2]++;
        if (__builtin_expect((first ^ last) >> VM_PAGE_LOG == 0, 1)) {
            continue;
        }
        for (uint32_t page = (first >> VM_PAGE_LOG) + 1; page <= last >> VM_PAGE_LOG; page++) {
            page_touch(series, who, page, now);
        }
        for (uint32_t piece = (first >> piece_log2) + 1; piece <= last >> piece_log2; piece++) {
            window->heat[who][piece]++;
        }
    }
}

void mmu_series_quiet(struct mmu_series *series, struct touches_quiet *quiet) {
    for (int who = 0; who < MMU_WHO; who++) {
        quiet->seen[who] = series->touched_in[who];
        quiet->heat[who] = series->window[series->window_count].heat[who];
    }
    quiet->now = (uint32_t)series->window_count + 1;
    quiet->piece_log2 = series->piece_log2;
}

bool mmu_series_due(const struct mmu_series *series, size_t index) {
    return index == series->due;
}

void mmu_series_window_end(struct mmu_series *series, size_t index) {
    struct window *window = &series->window[series->window_count++];
    window->op = index;
    window->pages = series->pages;
    series->due = due_after(series, index + 1);
}

static bool pages_write(const struct mmu_series *series, const char *path,
                        struct problem *problem) {
    struct result_file file;
    if (!result_file_open(&file, path, problem)) {
        return false;
    }
    fputs("op\tpages\tworking_set\tworking_set_app\tworking_set_alloc\n", file.stream);
    for (size_t w = 0; w < series->window_count; w++) {
        const struct window *window = &series->window[w];
        fprintf(file.stream, "%zu\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\n",
                window->op, window->pages, window->working_set[EITHER],
                window->working_set[MMU_APPLICATION], window->working_set[MMU_ALLOCATOR]);
    }
    return result_file_commit(&file, problem);
}

/* The heat of the touched pieces, so many together. */
static void heat_line_write(FILE *out, const struct mmu_series *series, const uint32_t *heat,
                            uint32_t together) {
    uint64_t sum = 0;
    uint32_t summed = 0;
    const char *between = "";
    for (uint32_t piece = 0; piece < PIECES_MAX; piece++) {
        if (series->piece_touched[piece]) {
            sum += heat[piece];
            summed++;
        }
        if (summed == together || (summed > 0 && piece + 1 == PIECES_MAX)) {
            fprintf(out, "%s%" PRIu64, between, sum);
            between = "\t";
            sum = summed = 0;
        }
    }
    fputc('\n', out);
}

static uint32_t pieces_touched(const struct mmu_series *series) {
    uint32_t count = 0;
    for (uint32_t piece = 0; piece < PIECES_MAX; piece++) {
        count += series->piece_touched[piece];
    }
    return count;
}

static bool heat_write(const struct mmu_series *series, const char *path, struct problem *problem) {
    struct result_file file;
    if (!result_file_open(&file, path, problem)) {
        return false;
    }
    uint32_t together = pieces_touched(series) / (PIECES_SHOWN + 1) + 1;
    fprintf(file.stream, "# %zu %" PRIu64 "\n", series->ops_per_window,
            (uint64_t)together << series->piece_log2);
    static const enum mmu_who order[] = {MMU_APPLICATION, MMU_ALLOCATOR};
    for (int i = 0; i < MMU_WHO; i++) {
        fputs(i > 0 ? "\n\n" : "", file.stream);
        for (size_t w = 0; w < series->window_count; w++) {
            heat_line_write(file.stream, series, series->window[w].heat[order[i]], together);
        }
    }
    return result_file_commit(&file, problem);
}

bool mmu_series_write(const struct mmu_series *series, const char *folder, const char *allocator,
                      const char *trace, struct problem *problem) {
    char path[512];
    (void)snprintf(path, sizeof path, "%s/mmu/%s.%s.tsv", folder, allocator, trace);
    if (!pages_write(series, path, problem)) {
        return false;
    }
    (void)snprintf(path, sizeof path, "%s/heat/%s.%s.tsv", folder, allocator, trace);
    return heat_write(series, path, problem);
}
