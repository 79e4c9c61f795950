/* SPDX-License-Identifier: MIT
 * mmu_series.c - see mmu_series.h. */
#include "mmu_series.h"

#include "result_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { WINDOWS = 200, PIECES_MAX = 1024, PIECES_SHOWN = 128, EITHER = MMU_WHO };
enum { BLOCK = 16 }; /* pages that are looked at together */

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
    uint32_t *count[MMU_WHO];  /* by page: touches in this window; whole blocks */
    uint8_t *touched[MMU_WHO]; /* by page: before this window */
    uint64_t pages;
    size_t window_count; /* those that are over */
    struct window window[WINDOWS + 1];
};

static size_t due_after(const struct mmu_series *series, size_t ops) {
    size_t rest = series->op_count - ops;
    return ops + (rest < series->ops_per_window ? rest : series->ops_per_window) - 1;
}

/* Pages do not cross pieces. */
static uint32_t piece_of(const struct mmu_series *series, uint32_t page) {
    return page >> (series->piece_log2 - VM_PAGE_LOG);
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
    size_t pages = ((pool_bytes >> VM_PAGE_LOG) / BLOCK + 1) * BLOCK;
    for (int who = 0; who < MMU_WHO; who++) {
        series->count[who] = calloc(pages, sizeof *series->count[who]);
        series->touched[who] = calloc(pages, sizeof *series->touched[who]);
        if (series->count[who] == NULL || series->touched[who] == NULL) {
            mmu_series_free(series);
            return NULL;
        }
    }
    return series;
}

void mmu_series_free(struct mmu_series *series) {
    for (int who = 0; series != NULL && who < MMU_WHO; who++) {
        free(series->count[who]);
        free(series->touched[who]);
    }
    free(series);
}

/* A piece counts a run once. */
void mmu_series_run(struct mmu_series *series, struct touch touch) {
    enum mmu_who who = mmu_who_did(touch);
    uint32_t *heat = series->window[series->window_count].heat[who];
    uint32_t page = touch.offset >> VM_PAGE_LOG;
    uint32_t last = (touch.offset + (touch.bytes & TOUCH_BYTES) - 1) >> VM_PAGE_LOG;
    while (page < last) {
        series->count[who][++page]++;
        heat[piece_of(series, page)] -= piece_of(series, page) == piece_of(series, page - 1);
    }
}

void mmu_series_see(struct mmu_series *series, const struct touch *touches, size_t count) {
    for (size_t i = 0; i < count; i++) {
        series->count[mmu_who_did(touches[i])][touches[i].offset >> VM_PAGE_LOG]++;
        if (touches[i].offset % VM_PAGE + (touches[i].bytes & TOUCH_BYTES) > VM_PAGE) {
            mmu_series_run(series, touches[i]);
        }
    }
}

uint32_t *mmu_series_count(struct mmu_series *series, enum mmu_who who) {
    return series->count[who];
}

size_t mmu_series_due(const struct mmu_series *series) {
    return series->due;
}

const uint8_t *mmu_series_touched(const struct mmu_series *series, enum mmu_who who) {
    return series->touched[who];
}

static bool block_touched(const uint32_t *a, const uint32_t *b) {
    uint32_t any = 0;
    for (uint32_t i = 0; i < BLOCK; i++) {
        any |= a[i] | b[i];
    }
    return any != 0;
}

/* Files what was counted of a page in this window. */
static void page_file(struct mmu_series *series, uint32_t page) {
    struct window *window = &series->window[series->window_count];
    uint32_t piece = piece_of(series, page);
    series->pages += series->touched[0][page] + series->touched[1][page] == 0;
    series->piece_touched[piece] = true;
    window->working_set[EITHER]++;
    for (int who = 0; who < MMU_WHO; who++) {
        uint32_t count = series->count[who][page];
        window->working_set[who] += count != 0;
        window->heat[who][piece] += count;
        series->touched[who][page] |= count != 0;
        series->count[who][page] = 0;
    }
}

void mmu_series_window_end(struct mmu_series *series, uint32_t page_count) {
    for (uint32_t block = 0; block < page_count; block += BLOCK) {
        const uint32_t *a = series->count[0] + block, *b = series->count[1] + block;
        for (uint32_t i = 0, end = block_touched(a, b) ? BLOCK : 0; i < end; i++) {
            if ((a[i] | b[i]) != 0) {
                page_file(series, block + i);
            }
        }
    }
    struct window *window = &series->window[series->window_count++];
    window->op = series->due;
    window->pages = series->pages;
    series->due = due_after(series, series->due + 1);
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
