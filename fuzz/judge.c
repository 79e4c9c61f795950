/* SPDX-License-Identifier: MIT
 * judge.c - runs in a process that may die of them. */
#include "judge.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the two processes share: the order, and how it went. */
struct shared {
    size_t program_bytes; /* of `program`; 0: run the script */
    uint8_t program[PROGRAM_BYTES_MAX];
    struct judge_outcome outcome;
    uint64_t search_at; /* the script of a search that runs or was the last */
    struct script script;
};

/* A child serves run after run until one is not sound: then what it left behind is not trusted. */
struct judge {
    struct judge_config config;
    struct shared *shared;
    size_t shared_bytes;
    struct runner *runner;
    pid_t child;         /* 0: none */
    int orders, answers; /* a byte each way for a run */
};

enum { SECONDS = 5, SEARCH_CHILDREN = 4000 };

struct judge *judge_new(const struct judge_config *config, struct problem *problem) {
    struct judge *judge = calloc(1, sizeof *judge);
    if (judge == NULL) {
        (void)problem_set(problem, "out of memory");
        return NULL;
    }
    judge->config = *config;
    judge->config.seconds = config->seconds != 0 ? config->seconds : SECONDS;
    uint32_t ops = config->op_room > PROGRAM_OPS_MAX ? config->op_room : PROGRAM_OPS_MAX;
    uint32_t extras =
        config->extra_room > PROGRAM_RECORDS_MAX ? config->extra_room : PROGRAM_RECORDS_MAX;
    size_t ops_at = (sizeof(struct shared) + 15) / 16 * 16;
    size_t extras_at = ops_at + ops * sizeof(struct op);
    judge->shared_bytes = extras_at + extras * sizeof(struct script_extra);
    void *memory =
        mmap(NULL, judge->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        (void)problem_set(problem, "out of memory");
        free(judge);
        return NULL;
    }
    judge->shared = memory;
    judge->shared->script = (struct script){.ops = (void *)((char *)memory + ops_at),
                                            .op_room = ops,
                                            .extras = (void *)((char *)memory + extras_at),
                                            .extra_room = extras};
    judge->runner = runner_new(&(struct runner_config){.ops = config->ops,
                                                       .audit_every = config->audit_every,
                                                       .slot_count = config->slot_count,
                                                       .pool_max = config->pool_max,
                                                       .script = &judge->shared->script});
    if (judge->runner == NULL) {
        (void)problem_set(problem, "out of memory");
        judge_free(judge);
        return NULL;
    }
    return judge;
}

static int child_end(struct judge *judge);

void judge_free(struct judge *judge) {
    if (judge != NULL) {
        (void)child_end(judge);
        runner_free(judge->runner);
        (void)munmap(judge->shared, judge->shared_bytes);
        free(judge);
    }
}

static void words_set(struct judge_outcome *outcome, enum judge_how how, int which,
                      const char *words) {
    outcome->how = how;
    outcome->which = which;
    (void)snprintf(outcome->words, sizeof outcome->words, "%s", words);
}

/* ---- the child ---- */

static void run_make(struct judge *judge) {
    struct shared *shared = judge->shared;
    const char *verdict =
        shared->program_bytes != 0
            ? runner_program(judge->runner, shared->program, shared->program_bytes)
            : runner_script(judge->runner, &shared->script);
    if (verdict != NULL) {
        words_set(&shared->outcome, JUDGE_BROKEN, (int)runner_rule(judge->runner), verdict);
    } else {
        words_set(&shared->outcome, JUDGE_SOUND, 0, "");
    }
}

/* A crash ends the child by its signal, also where a sanitizer would report it and exit. */
static void crashes_by_default(void) {
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        (void)signal(signals[i], SIG_DFL);
    }
}

static _Noreturn void child_serve(struct judge *judge, int orders, int answers) {
    char byte;
    crashes_by_default();
    while (read(orders, &byte, 1) == 1) {
        run_make(judge);
        if (write(answers, &byte, 1) != 1 || judge->shared->outcome.how != JUDGE_SOUND) {
            break;
        }
    }
    _exit(0);
}

/* What a child is to search; NULL: it serves orders. */
struct search {
    judge_draw_fn *draw;
    void *ctx;
    uint64_t end;
};

static _Noreturn void child_search(struct judge *judge, const struct search *search, int answers) {
    struct shared *shared = judge->shared;
    char byte = 0;
    crashes_by_default();
    words_set(&shared->outcome, JUDGE_SOUND, 0, "");
    for (; shared->search_at < search->end; shared->search_at++) {
        const char *verdict =
            runner_script(judge->runner, search->draw(search->ctx, shared->search_at));
        if (verdict != NULL) {
            words_set(&shared->outcome, JUDGE_BROKEN, (int)runner_rule(judge->runner), verdict);
            break;
        }
    }
    _exit(write(answers, &byte, 1) == 1 ? 0 : 1);
}

static bool child_begin(struct judge *judge, const struct search *search, struct problem *problem) {
    int orders[2] = {-1, -1}, answers[2] = {-1, -1};
    (void)fflush(NULL);
    if (pipe(orders) != 0 || pipe(answers) != 0 || (judge->child = fork()) < 0) {
        judge->child = 0;
        return problem_set(problem, "no process for a run: %s", strerror(errno));
    }
    if (judge->child == 0) {
        (void)close(orders[1]);
        (void)close(answers[0]);
        if (search != NULL) {
            child_search(judge, search, answers[1]);
        }
        child_serve(judge, orders[0], answers[1]);
    }
    (void)close(orders[0]);
    (void)close(answers[1]);
    judge->orders = orders[1];
    judge->answers = answers[0];
    return true;
}

/* Ends the child and returns its status. */
static int child_end(struct judge *judge) {
    int status = 0;
    if (judge->child > 0) {
        (void)close(judge->orders); /* one that waits for an order ends by itself */
        (void)close(judge->answers);
        while (waitpid(judge->child, &status, 0) < 0 && errno == EINTR) {
        }
    }
    judge->child = 0;
    return status;
}

/* ---- the parent ---- */

/* What the end of a child without an answer says. */
static void status_judge(struct judge *judge, int status) {
    struct judge_outcome *outcome = &judge->shared->outcome;
    char words[128];
    if (WIFSIGNALED(status)) {
        (void)snprintf(words, sizeof words, "crashes with signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
        words_set(outcome, JUDGE_SIGNAL, WTERMSIG(status), words);
    } else {
        (void)snprintf(words, sizeof words, "ends the process with status %d", WEXITSTATUS(status));
        words_set(outcome, JUDGE_EXITED, WEXITSTATUS(status), words);
    }
}

static void child_kill(struct judge *judge) {
    char words[64];
    (void)kill(judge->child, SIGKILL);
    (void)child_end(judge);
    (void)snprintf(words, sizeof words, "hangs: no end after %u s", judge->config.seconds);
    words_set(&judge->shared->outcome, JUDGE_TIMEOUT, 0, words);
}

/* Takes the child's answer, for which it has its time; a search has it for each script. */
static void answer_take(struct judge *judge) {
    struct pollfd answer = {.fd = judge->answers, .events = POLLIN};
    int ready;
    uint64_t at;
    char byte;
    do {
        at = judge->shared->search_at;
        ready = poll(&answer, 1, (int)judge->config.seconds * 1000);
    } while (ready == 0 && judge->shared->search_at != at);
    if (ready == 0) {
        child_kill(judge);
    } else if (read(judge->answers, &byte, 1) != 1) {
        status_judge(judge, child_end(judge));
    } else if (judge->shared->outcome.how != JUDGE_SOUND) {
        (void)child_end(judge);
    }
}

/* Has the child run what is in shared memory. */
static bool run_order(struct judge *judge, struct judge_outcome *outcome, struct problem *problem) {
    if (judge->child == 0 && !child_begin(judge, NULL, problem)) {
        return false;
    }
    char byte = 0;
    if (write(judge->orders, &byte, 1) == 1) {
        answer_take(judge);
    } else {
        status_judge(judge, child_end(judge));
    }
    *outcome = judge->shared->outcome;
    return true;
}

bool judge_search(struct judge *judge, judge_draw_fn *draw, void *ctx, uint64_t first, uint64_t end,
                  const struct judge_outcome *target, uint64_t *number, struct problem *problem) {
    const struct search search = {draw, ctx, end};
    uint32_t children = 0;
    for (judge->shared->search_at = first; judge->shared->search_at < end;
         judge->shared->search_at++) {
        if (children++ == SEARCH_CHILDREN) {
            judge->shared->search_at = end;
            break;
        }
        (void)child_end(judge);
        if (!child_begin(judge, &search, problem)) {
            return false;
        }
        answer_take(judge);
        if (judge->shared->search_at < end && judge_same(&judge->shared->outcome, target)) {
            break;
        }
    }
    (void)child_end(judge);
    *number = judge->shared->search_at < end ? judge->shared->search_at : end;
    return true;
}

bool judge_script(struct judge *judge, const struct script *script, struct judge_outcome *outcome,
                  struct problem *problem) {
    judge->shared->program_bytes = 0;
    script_copy(&judge->shared->script, script);
    return run_order(judge, outcome, problem);
}

bool judge_program(struct judge *judge, const uint8_t *data, size_t size,
                   struct judge_outcome *outcome, struct problem *problem) {
    size_t bytes = size < PROGRAM_BYTES_MAX ? size : PROGRAM_BYTES_MAX;
    judge->shared->program_bytes = bytes > 0 ? bytes : 1;
    memset(judge->shared->program, 0, PROGRAM_SETUP_BYTES);
    memcpy(judge->shared->program, data, bytes);
    return run_order(judge, outcome, problem);
}

const struct script *judge_last(const struct judge *judge) {
    return &judge->shared->script;
}

bool judge_same(const struct judge_outcome *a, const struct judge_outcome *b) {
    return a->how == b->how && a->which == b->which;
}
