/* SPDX-License-Identifier: MIT
 *
 * vm_speed_main.c - accesses a second through the emulated MMU, without and with the cache model
 *
 *   vm_speed [STREAM]   all streams, or the one of this name once through, to count instructions
 *
 * Streams are 4 Mi references, replayed by mmu_run() on the Cortex-A7: median and fastest of 15
 * runs, by processor time.
 */
#include "../vm/mmu.h"
#include "stats.h"
#include "tick.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REFERENCES = 4 << 20, RUNS = 15 };
#define RAM_BASE 0x80000000u

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Like an allocator and its program: runs of eight references to a page, a third of them stores. */
static void fill_runs(uint32_t *refs, uint32_t bytes) {
    uint64_t random = 1;
    uint32_t page = 0;
    for (size_t i = 0; i < REFERENCES; i++) {
        page = i % 8 == 0 ? (uint32_t)next_random(&random) % (bytes >> 12) : page;
        refs[i] = mmu_ref(page << 12 | ((uint32_t)next_random(&random) & 0xffc),
                          i % 3 == 0 ? VM_STORE : VM_LOAD);
    }
}

static void fill_random(uint32_t *refs, uint32_t bytes) {
    uint64_t random = 1;
    for (size_t i = 0; i < REFERENCES; i++) {
        refs[i] = mmu_ref((uint32_t)next_random(&random) % bytes, VM_LOAD);
    }
}

static void fill_words(uint32_t *refs, uint32_t bytes) {
    for (size_t i = 0; i < REFERENCES; i++) {
        refs[i] = mmu_ref((uint32_t)(i * 4) % bytes, i % 3 == 0 ? VM_STORE : VM_LOAD);
    }
}

static const struct stream {
    const char *name, *what;
    void (*fill)(uint32_t *refs, uint32_t bytes);
    uint32_t bytes;
    bool with_caches;
    double target; /* M accesses a second */
} streams[] = {
    {"runs", "runs of 8 in a page, 64 KiB", fill_runs, 64 << 10, false, 500},
    {"runs-1m", "runs of 8 in a page, 1 MiB", fill_runs, 1 << 20, false, 500},
    {"random", "random in 16 MiB", fill_random, 16 << 20, false, 100},
    {"words", "words in a row, 1 MiB", fill_words, 1 << 20, false, 500},
    {"words-cache", "words in a row, 1 MiB, caches", fill_words, 1 << 20, true, 100},
    {"runs-cache", "runs of 8 in a page, 64 KiB, caches", fill_runs, 64 << 10, true, 100},
    {"runs-1m-cache", "runs of 8 in a page, 1 MiB, caches", fill_runs, 1 << 20, true, 100},
    {"random-cache", "random in 16 MiB, caches", fill_random, 16 << 20, true, 0},
};
enum { STREAMS = sizeof streams / sizeof streams[0] };

/* 16 MiB of pages, one to one from virtual address 0. */
static void map_pages(struct vm_ram *ram) {
    uint32_t *first = (uint32_t *)(void *)ram->segment[0].host;
    for (uint32_t mib = 0; mib < 16; mib++) {
        uint32_t offset = 16384 + mib * 1024;
        first[mib] = (RAM_BASE + offset) | 1;
        for (uint32_t page = 0; page < 256; page++) {
            first[offset / 4 + page] = mib << 20 | page << 12 | 1 << 6 | 3 << 4 | 3 << 2 | 2;
        }
    }
}

static bool run(const struct stream *stream, uint32_t *refs, const struct vm_ram *ram,
                unsigned runs) {
    struct core core;
    struct mmu mmu;
    if (!core_find(&core, "a7") || !mmu_open(&mmu, &core, ram, stream->with_caches)) {
        return false;
    }
    mmu_write(&mmu, MMU_TTBR0, RAM_BASE);
    mmu_write(&mmu, MMU_DACR, 1);
    mmu_write(&mmu, MMU_SCTLR, VM_SCTLR_M);
    stream->fill(refs, stream->bytes);
    double taken[RUNS];
    bool complete = true;
    for (unsigned i = 0; i < runs; i++) {
        double begin = (double)tick_cpu_ns();
        complete &= mmu_run(&mmu, refs, REFERENCES) == REFERENCES;
        taken[i] = (double)tick_cpu_ns() - begin;
    }
    stats_sort(taken, runs);
    double accesses = (double)(mmu.counters.accesses[0] + mmu.counters.accesses[1]);
    double misses = (double)(mmu.counters.micro_misses[0] + mmu.counters.micro_misses[1]);
    double walks = (double)(mmu.counters.main_misses[0] + mmu.counters.main_misses[1]);
    printf("%-36s %5.0f M/s, best %5.0f  target %3.0f  micro-TLB misses %5.2f %%  walks %5.2f %%\n",
           stream->what, REFERENCES * 1e3 / stats_median(taken, runs), REFERENCES * 1e3 / taken[0],
           stream->target, 100 * misses / accesses, 100 * walks / accesses);
    mmu_close(&mmu);
    return complete;
}

int main(int argc, char **argv) {
    struct vm_ram ram = {.segments = 1};
    ram.segment[0] = (struct vm_segment){RAM_BASE, 1 << 20, calloc(1, 1 << 20)};
    uint32_t *refs = malloc(REFERENCES * sizeof *refs);
    if (refs == NULL || ram.segment[0].host == NULL) {
        return 2;
    }
    map_pages(&ram);
    bool found = false, complete = true;
    for (size_t i = 0; i < STREAMS; i++) {
        if (argc < 2 || strcmp(argv[1], streams[i].name) == 0) {
            found = true;
            complete &= run(&streams[i], refs, &ram, argc < 2 ? RUNS : 1);
        }
    }
    if (!found) {
        fprintf(stderr, "vm_speed: no stream '%s', expected one of", argv[1]);
        for (size_t i = 0; i < STREAMS; i++) {
            fprintf(stderr, " %s", streams[i].name);
        }
        fprintf(stderr, "\n");
        return 2;
    }
    free(refs);
    free(ram.segment[0].host);
    return complete ? 0 : 1;
}
