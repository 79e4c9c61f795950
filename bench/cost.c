/* SPDX-License-Identifier: MIT
 * cost.c - see cost.h. */
#include "cost.h"

#include "marks.h"
#include "null_alloc.h"
#include "stage.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the copy under QEMU ---- */

/* The allocator that is called; NULL: none. */
static const char *running;

/* Whoever calls exit() before its time shall not be taken for done. */
static void copy_end(void) {
    if (running != NULL) {
        fprintf(stderr, "heaprig: %s: it ended the process that called it\n", running);
        _exit(2);
    }
}

static void pair_replay(const struct alloc_ops *ops, const struct trace *trace) {
    struct stage stage = {.ops = ops, .trace = trace, .touch = REPLAY_TOUCH_EDGES};
    struct stage_memory memory;
    struct problem problem;
    char why[STAGE_WHY_BYTES];
    mark_section();
    if (!stage_plan_make(ops, trace, &stage.plan, why) ||
        !stage_memory_open(&memory, stage.plan.pool_bytes, trace->counts.slots, &problem)) {
        return;
    }
    stage.memory = &memory;
    struct replay replay;
    struct replay_result result;
    running = ops->name;
    if (stage_ready(&stage, &replay)) {
        mark_pool(memory.pool, memory.pool + stage.plan.pool_bytes - (stage.plan.pool_bytes > 0));
        replay_run_marked(&replay, &result);
    }
    running = NULL;
    stage_memory_close(&memory);
}

bool cost_replay_marked(const struct selection *selection, struct problem *problem) {
    (void)atexit(copy_end);
    for (size_t t = 0; t < selection->trace_count; t++) {
        struct trace trace;
        if (!selection_load(selection, t, &trace, problem)) {
            return false;
        }
        pair_replay(&null_alloc_ops, &trace);
        for (size_t a = 0; a < selection->allocator_count; a++) {
            pair_replay(selection->ops[a], &trace);
        }
        trace_release(&trace);
    }
    return true;
}

/* ---- the caller ---- */

struct paths {
    char plugin[PATH_MAX], program[PATH_MAX], sysroot[PATH_MAX];
};

/* `build` is the folder of the running program. */
static bool paths_find(const char *arch, struct paths *paths, struct problem *problem) {
    char build[PATH_MAX - 64];
    ssize_t length = readlink("/proc/self/exe", build, sizeof build - 1);
    if (length <= 0) {
        return problem_set(problem, "/proc/self/exe: %s", strerror(errno));
    }
    build[length] = '\0';
    *strrchr(build, '/') = '\0';
    bool arm = strcmp(arch, "arm") == 0;
    (void)snprintf(paths->plugin, PATH_MAX, "%s/qemu_insn.so", build);
    (void)snprintf(paths->program, PATH_MAX, "%s/%sheaprig", build, arm ? "arm/" : "");
    (void)snprintf(paths->sysroot, PATH_MAX, "%s/sysroot-armhf", build);
    if (access(paths->plugin, R_OK) != 0) {
        return problem_set(problem, "%s: not there, expected after `make cost`", paths->plugin);
    }
    if (access(paths->program, X_OK) != 0) {
        return problem_set(problem, "%s: not there, expected after `make ARCH=%s`", paths->program,
                           arch);
    }
    return true;
}

static const char *qemu_name(const char *arch) {
    return strcmp(arch, "arm") == 0 ? "qemu-arm" : "qemu-x86_64";
}

/* Would execvp() find it? */
static bool program_there(const char *name) {
    const char *folders = getenv("PATH");
    bool there = false;
    char path[PATH_MAX];
    for (const char *at = folders; !there && at != NULL && *at != '\0';) {
        size_t length = strcspn(at, ":");
        (void)snprintf(path, sizeof path, "%.*s/%s", (int)length, at, name);
        there = access(path, X_OK) == 0;
        at += length + (at[length] == ':');
    }
    return there;
}

bool cost_possible(const char *arch, struct problem *problem) {
    struct paths paths;
    return paths_find(arch, &paths, problem) &&
           (program_there(qemu_name(arch)) ||
            problem_set(problem, "%s: not found, expected Debian's package qemu-user",
                        qemu_name(arch)));
}

static void copy_execute(const char *arch, const struct paths *paths, const char *counts,
                         const struct selection_choice *choice) {
    char plugin[PATH_MAX + 64];
    char first[32];
    char *argv[32];
    size_t count = 0;
    (void)snprintf(plugin, sizeof plugin, "%s,out=%s", paths->plugin, counts);
    argv[count++] = (char *)(uintptr_t)qemu_name(arch);
    if (strcmp(arch, "arm") == 0) {
        argv[count++] = (char *)"-L";
        argv[count++] = (char *)(uintptr_t)paths->sysroot;
    }
    argv[count++] = (char *)"-plugin";
    argv[count++] = plugin;
    argv[count++] = (char *)(uintptr_t)paths->program;
    argv[count++] = (char *)"cost";
    argv[count++] = (char *)"--marked";
    (void)snprintf(first, sizeof first, "%zu", choice->first);
    char *const given[][2] = {{(char *)"-a", choice->allocators},
                              {(char *)"-t", choice->traces},
                              {(char *)"-n", choice->first > 0 ? first : NULL}};
    for (size_t i = 0; i < sizeof given / sizeof given[0]; i++) {
        if (given[i][1] != NULL) {
            argv[count++] = given[i][0];
            argv[count++] = given[i][1];
        }
    }
    argv[count] = NULL;
    /* Else the first call of memcpy() would count the dynamic linker's search, whose length varies.
     */
    (void)setenv("LD_BIND_NOW", "1", 1);
    execvp(argv[0], argv);
    _exit(127);
}

static bool copy_run(const char *arch, const char *counts, const struct selection_choice *choice,
                     struct problem *problem) {
    struct paths paths;
    if (!cost_possible(arch, problem) || !paths_find(arch, &paths, problem)) {
        return false;
    }
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        copy_execute(arch, &paths, counts, choice);
    }
    int status = -1;
    if (child < 0 || waitpid(child, &status, 0) != child) {
        return problem_set(problem, "cannot start a copy: %s", strerror(errno));
    }
    if (WIFSIGNALED(status)) {
        return problem_set(problem, "the %s copy under QEMU crashed with signal %d (%s)", arch,
                           WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return status == 0 || problem_set(problem, "the %s copy under QEMU failed with status %d", arch,
                                      WEXITSTATUS(status));
}

/* The calls of one kind in one section, as tools/qemu_insn.c writes them. */
struct cost_line {
    unsigned section;
    char kind[16];
    uint64_t ops, sum, p50, p99, p999, max, max_op, steps_sum, steps_max, steps_max_op;
};

static bool line_parse(const char *text, struct cost_line *line) {
    return sscanf(text,
                  "%u %15s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                  " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                  &line->section, line->kind, &line->ops, &line->sum, &line->p50, &line->p99,
                  &line->p999, &line->max, &line->max_op, &line->steps_sum, &line->steps_max,
                  &line->steps_max_op) == 12;
}

static struct row_cost *row_call(struct cost_row *row, const char *kind) {
    for (size_t i = 0; i < COST_KINDS; i++) {
        if (strcmp(kind, cost_kind_names[i]) == 0) {
            return &row->call[i];
        }
    }
    assert(false && "the plugin knows no other kinds");
    return NULL;
}

static uint64_t net_of(uint64_t count, uint64_t null_count) {
    return count > null_count ? count - null_count : 0;
}

static struct row_cost line_net(const struct cost_line *line, uint64_t null_count) {
    return (struct row_cost){
        .calls = line->ops,
        .mean = (double)line->sum / (double)line->ops - (double)null_count,
        .p50 = net_of(line->p50, null_count),
        .p99 = net_of(line->p99, null_count),
        .p999 = net_of(line->p999, null_count),
        .max = net_of(line->max, null_count),
        .max_op = line->max_op,
        .steps_mean = (double)line->steps_sum / (double)line->ops,
        .steps_max = line->steps_max,
        .steps_max_op = line->steps_max_op,
    };
}

static void row_name(struct cost_row *row, const struct alloc_ops *ops, const char *arch,
                     const struct trace *trace) {
    (void)snprintf(row->allocator, sizeof row->allocator, "%s", ops->name);
    (void)snprintf(row->trace, sizeof row->trace, "%s", trace->name);
    (void)snprintf(row->trace_sha256, sizeof row->trace_sha256, "%s", trace->sha256);
    (void)snprintf(row->arch, sizeof row->arch, "%s",
                   strcmp(arch, "arm") == 0 ? "armv7" : "x86_64");
    row->ops = trace->op_count;
    for (size_t i = 0; i < COST_KINDS; i++) {
        if (row->call[i].calls > 0) {
            row->call[i].max_bytes = trace_request(trace, (size_t)row->call[i].max_op);
        }
    }
}

static bool rows_name(const struct selection *selection, const char *arch, struct cost_row *rows,
                      struct problem *problem) {
    for (size_t t = 0; t < selection->trace_count; t++) {
        struct trace trace;
        if (!selection_load(selection, t, &trace, problem)) {
            return false;
        }
        for (size_t a = 0; a < selection->allocator_count; a++) {
            row_name(&rows[t * selection->allocator_count + a], selection->ops[a], arch, &trace);
        }
        trace_release(&trace);
    }
    return true;
}

/* Sections count from 1; in each group of 1 + allocators the first is the null allocator's. */
static void counts_read(FILE *file, const struct selection *selection, struct cost_row *rows) {
    struct cost_line line;
    struct cost_row null_row = {0};
    char text[256];
    size_t group = selection->allocator_count + 1;
    while (fgets(text, sizeof text, file) != NULL && line_parse(text, &line)) {
        size_t place = (line.section - 1) % group;
        size_t trace = (line.section - 1) / group;
        if (line.section == 0 || trace >= selection->trace_count) {
            continue;
        }
        if (place == 0) {
            *row_call(&null_row, line.kind) = line_net(&line, 0);
        } else {
            struct cost_row *row = &rows[trace * selection->allocator_count + place - 1];
            *row_call(row, line.kind) = line_net(&line, row_call(&null_row, line.kind)->p50);
        }
    }
}

/* Pairs that do not apply have no section and so no calls. */
static size_t rows_pack(struct cost_row *rows, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t calls = 0;
        for (size_t kind = 0; kind < COST_KINDS; kind++) {
            calls += rows[i].call[kind].calls;
        }
        if (calls > 0) {
            rows[kept++] = rows[i];
        }
    }
    return kept;
}

bool cost_measure(const char *arch, const struct selection_choice *choice,
                  const struct selection *selection, struct cost_result *result,
                  struct problem *problem) {
    size_t count = selection->trace_count * selection->allocator_count;
    char counts[] = "/tmp/heaprig-cost-XXXXXX";
    int descriptor = mkstemp(counts);
    FILE *file = descriptor >= 0 ? fdopen(descriptor, "r") : NULL;
    *result = (struct cost_result){calloc(count, sizeof *result->rows), 0};
    bool fine = (file != NULL && result->rows != NULL) ||
                problem_set(problem, "%s: %s", counts, strerror(errno));
    fine = fine && copy_run(arch, counts, choice, problem);
    if (fine) {
        counts_read(file, selection, result->rows);
        fine = rows_name(selection, arch, result->rows, problem);
        result->row_count = rows_pack(result->rows, count);
    }
    if (file != NULL) {
        fclose(file);
    }
    if (descriptor >= 0) {
        (void)unlink(counts);
    }
    if (!fine) {
        free(result->rows);
        result->rows = NULL;
    }
    return fine;
}
