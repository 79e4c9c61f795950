/* SPDX-License-Identifier: MIT
 *
 * page_ops.c - traces of what processes do with pages: reading, making, running them
 */
#include "page_ops.h"
#include "../trace/file_bytes.h"
#include "../trace/text_lines.h"
#include "../vm/mmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPS_DEFAULT = 100000, OPS_LEAST = 10 };

static const struct {
    const char *name;
    uint8_t numbers;
} kinds[PAGE_KINDS] = {
    [PAGE_MAP] = {"map", 3},     [PAGE_UNMAP] = {"unmap", 2}, [PAGE_READ] = {"read", 3},
    [PAGE_WRITE] = {"write", 3}, [PAGE_FORK] = {"fork", 2},   [PAGE_EXIT] = {"exit", 1}};

void page_op_text(const struct page_op *op, char text[64]) {
    const char *name = kinds[op->kind].name;
    switch (kinds[op->kind].numbers) {
    case 1:
        (void)snprintf(text, 64, "%s %u", name, op->space);
        break;
    case 2:
        (void)snprintf(text, 64, "%s %u %u", name, op->space, op->mapping);
        break;
    default:
        (void)snprintf(text, 64, "%s %u %u %u", name, op->space, op->mapping, op->pages);
    }
}

void page_trace_release(struct page_trace *trace) {
    free(trace->ops);
    *trace = (struct page_trace){0};
}

static bool op_add(struct page_trace *trace, struct page_op op) {
    if ((trace->count & (trace->count + 1)) == 0) { /* full when it is 2^k - 1 */
        size_t room = 2 * (trace->count + 1);
        struct page_op *more = realloc(trace->ops, room * sizeof(op));
        if (more == NULL) {
            return false;
        }
        trace->ops = more;
    }
    trace->ops[trace->count++] = op;
    return true;
}

/* ---- reading ---- */

/* What exists at a line: pages of each mapping, 0 for none. */
struct state {
    bool live[PAGE_SPACES];
    uint32_t pages[PAGE_SPACES][PAGE_MAPPINGS];
};

/* NULL and the state moved on, or what the operation should have named. */
static const char *state_step(struct state *state, const struct page_op *op) {
    uint32_t *pages = state->pages[op->space];
    if (!state->live[op->space]) {
        return "a space that lives";
    }
    switch (op->kind) {
    case PAGE_MAP:
        if (pages[op->mapping] != 0 || op->pages == 0 || op->pages > PAGE_MAP_MAX) {
            return "a free mapping and 1 to 4096 pages";
        }
        pages[op->mapping] = op->pages;
        return NULL;
    case PAGE_UNMAP:
        if (pages[op->mapping] == 0) {
            return "a mapping that is there";
        }
        pages[op->mapping] = 0;
        return NULL;
    case PAGE_FORK:
        if (op->mapping >= PAGE_SPACES || state->live[op->mapping]) {
            return "a free space to fork to";
        }
        state->live[op->mapping] = true;
        memcpy(state->pages[op->mapping], pages, sizeof(state->pages[0]));
        return NULL;
    case PAGE_EXIT:
        state->live[op->space] = false;
        memset(pages, 0, sizeof(state->pages[0]));
        return NULL;
    default:
        return op->pages < pages[op->mapping] ? NULL : "a page of a mapping that is there";
    }
}

static bool line_read(struct text_lines *lines, struct page_op *op, struct problem *problem) {
    struct text_word word = text_lines_word(lines);
    *op = (struct page_op){.kind = 0};
    while (op->kind < PAGE_KINDS && !text_word_is(word, kinds[op->kind].name)) {
        op->kind++;
    }
    if (op->kind == PAGE_KINDS) {
        return problem_set(
            problem, "%s:%zu: '%.*s', expected map, unmap, read, write, fork or exit", lines->path,
            lines->number, (int)(word.count < 40 ? word.count : 40), word.start);
    }
    uint64_t number[3] = {0};
    for (int i = 0; i < kinds[op->kind].numbers; i++) {
        if (!text_lines_number(lines, &number[i], "a number", problem)) {
            return false;
        }
    }
    uint64_t second = op->kind == PAGE_FORK ? PAGE_SPACES : PAGE_MAPPINGS;
    if (number[0] >= PAGE_SPACES || number[1] >= second || number[2] > PAGE_MAP_MAX) {
        return problem_set(problem,
                           "%s:%zu: a number is too large, expected spaces below %d, "
                           "mappings below %d, at most %d pages",
                           lines->path, lines->number, PAGE_SPACES, PAGE_MAPPINGS, PAGE_MAP_MAX);
    }
    op->space = (uint8_t)number[0];
    op->mapping = (uint8_t)number[1];
    op->pages = (uint32_t)number[2];
    return text_lines_end(lines, problem);
}

static bool text_read(const char *path, const struct file_bytes *file, struct page_trace *out,
                      struct problem *problem) {
    struct text_lines lines;
    struct state *state = calloc(1, sizeof(*state));
    bool good = state != NULL || problem_set(problem, "%s: memory is out", path);
    text_lines_start(&lines, path, (const char *)file->bytes, file->count);
    if (good) {
        state->live[0] = true;
    }
    while (good && text_lines_next(&lines)) {
        struct page_op op;
        if (text_lines_done(&lines) || text_lines_rest(&lines).start[0] == '#') {
            continue;
        }
        good = line_read(&lines, &op, problem);
        const char *expected = good ? state_step(state, &op) : NULL;
        if (expected != NULL) {
            good = problem_set(problem, "%s:%zu: not possible here, expected %s", path,
                               lines.number, expected);
        }
        good = good && (op_add(out, op) || problem_set(problem, "%s: memory is out", path));
    }
    free(state);
    return good;
}

/* ---- making ---- */

struct shell {
    struct page_trace *trace;
    struct state state;
    uint64_t random;
    size_t ops;
    bool good;
};

static uint32_t below(struct shell *shell, uint32_t limit) {
    shell->random = shell->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((shell->random >> 33) % limit);
}

static void make(struct shell *shell, enum page_op_kind kind, uint32_t space, uint32_t mapping,
                 uint32_t pages) {
    const struct page_op op = {(uint8_t)kind, (uint8_t)space, (uint8_t)mapping, pages};
    if (shell->trace->count < shell->ops) {
        (void)state_step(&shell->state, &op);
        shell->good = shell->good && op_add(shell->trace, op);
    }
}

/* A run of pages, a third of them written. */
static void touch_run(struct shell *shell, uint32_t space, uint32_t mapping) {
    uint32_t pages = shell->state.pages[space][mapping];
    if (pages == 0) {
        return;
    }
    uint32_t page = below(shell, pages);
    for (uint32_t left = 1 + below(shell, 16); left > 0 && page < pages; left--, page++) {
        make(shell, below(shell, 3) == 0 ? PAGE_WRITE : PAGE_READ, space, mapping, page);
    }
}

/* A program starts, works, maps or unmaps a buffer, or ends. Mappings 0 and 1 are inherited. */
static void program_step(struct shell *shell) {
    enum { PROGRAMS = 12 };
    uint32_t space = 1 + below(shell, PROGRAMS);
    uint32_t mapping = 2 + below(shell, 6);
    uint32_t dice = below(shell, 100);
    if (!shell->state.live[space]) {
        make(shell, PAGE_FORK, 0, space, 0);
        touch_run(shell, space, 0);
    } else if (dice < 70) {
        touch_run(shell, space, below(shell, 8));
    } else if (dice < 88 && shell->state.pages[space][mapping] == 0) {
        make(shell, PAGE_MAP, space, mapping, 1 + below(shell, 1u << below(shell, 8)));
        touch_run(shell, space, mapping);
    } else if (dice < 94 && shell->state.pages[space][mapping] != 0) {
        make(shell, PAGE_UNMAP, space, mapping, 0);
    } else if (dice >= 96) {
        make(shell, PAGE_EXIT, space, 0, 0);
    }
}

static bool shell_make(const char *spec, struct page_trace *out, struct problem *problem) {
    unsigned long long seed = 1, ops = OPS_DEFAULT;
    int used = 0, used_more = 0;
    (void)sscanf(spec, "gen:shell%n:%llu%n:%llu%n", &used, &seed, &used, &ops, &used_more);
    used = used_more > used ? used_more : used;
    if (used == 0 || spec[used] != '\0' || ops < OPS_LEAST || ops > UINT32_MAX) {
        return problem_set(problem, "%s: expected gen:shell[:SEED[:OPS]], at least 10 ops", spec);
    }
    struct shell *shell = calloc(1, sizeof(*shell));
    if (shell == NULL) {
        return problem_set(problem, "%s: memory is out", spec);
    }
    shell->trace = out;
    shell->random = seed * 0x9E3779B97F4A7C15u + 1;
    shell->ops = (size_t)ops;
    shell->good = true;
    shell->state.live[0] = true;
    make(shell, PAGE_MAP, 0, 0, 64);
    make(shell, PAGE_MAP, 0, 1, 32);
    for (uint32_t page = 0; page < 64; page++) {
        make(shell, PAGE_WRITE, 0, 0, page);
    }
    while (shell->good && out->count < shell->ops) {
        program_step(shell);
    }
    bool good = shell->good || problem_set(problem, "%s: memory is out", spec);
    free(shell);
    return good;
}

bool page_trace_load(const char *spec, struct page_trace *out, struct problem *problem) {
    struct file_bytes file = {0};
    *out = (struct page_trace){0};
    bool good;
    if (strncmp(spec, "gen:", 4) == 0) {
        good = shell_make(spec, out, problem);
    } else {
        good = file_bytes_read(spec, &file, problem) && text_read(spec, &file, out, problem);
        file_bytes_release(&file);
    }
    if (!good) {
        page_trace_release(out);
    }
    return good;
}

/* ---- running ---- */

struct run {
    struct machine *machine;
    struct space *space[PAGE_SPACES];
    vaddr_t at[PAGE_SPACES][PAGE_MAPPINGS]; /* 0: not there */
    uint32_t pages[PAGE_SPACES][PAGE_MAPPINGS];
};

/* False: no memory, or it depends on what found none. */
static bool op_run(struct run *run, const struct page_op *op) {
    struct space *space = run->space[op->space];
    vaddr_t *at = &run->at[op->space][op->mapping % PAGE_MAPPINGS];
    uint32_t word = op->pages;
    if (space == NULL) {
        return false;
    }
    switch (op->kind) {
    case PAGE_MAP:
        run->pages[op->space][op->mapping] = op->pages;
        return vm_mmap(space, 0, op->pages * VM_PAGE, VM_PROT_READ | VM_PROT_WRITE,
                       VM_MAP_PRIVATE | VM_MAP_ANONYMOUS, NULL, 0, at) == 0;
    case PAGE_UNMAP: {
        bool done =
            *at != 0 && vm_munmap(space, *at, run->pages[op->space][op->mapping] * VM_PAGE) == 0;
        *at = 0;
        return done;
    }
    case PAGE_READ:
        return *at != 0 && space_load(space, &word, *at + op->pages * VM_PAGE, 4) == VM_OK;
    case PAGE_WRITE:
        return *at != 0 && space_store(space, *at + op->pages * VM_PAGE, &word, 4) == VM_OK;
    case PAGE_FORK:
        if (space_clone(space, &run->space[op->mapping]) != VM_OK) {
            return false;
        }
        memcpy(run->at[op->mapping], run->at[op->space], sizeof(run->at[0]));
        memcpy(run->pages[op->mapping], run->pages[op->space], sizeof(run->pages[0]));
        return true;
    default:
        (void)space_delete(space);
        run->space[op->space] = NULL;
        memset(run->at[op->space], 0, sizeof(run->at[0]));
        return true;
    }
}

void page_trace_run(const struct page_trace *trace, struct machine *machine,
                    struct page_result *result) {
    struct run run = {.machine = machine};
    uint32_t most = phys_free_pages(machine->phys);
    uint32_t least = most;
    *result = (struct page_result){0};
    if (space_new(machine, SPACE_USER, &run.space[0]) != VM_OK) {
        run.space[0] = NULL;
    }
    for (size_t i = 0; i < trace->count; i++) {
        bool done = op_run(&run, &trace->ops[i]);
        result->done += done;
        result->refused += !done;
        uint32_t free_pages = phys_free_pages(machine->phys);
        least = free_pages < least ? free_pages : least;
    }
    for (int i = 0; i < PAGE_SPACES; i++) {
        if (run.space[i] != NULL) {
            (void)space_delete(run.space[i]);
        }
    }
    result->peak_frames = most - least;
}
