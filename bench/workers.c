/* SPDX-License-Identifier: MIT
 *
 * workers.c - see workers.h
 *
 * Results, accounts and the number of the next job lie in memory shared by all processes. A worker
 * that dies is replaced as long as jobs are left.
 */
#include "workers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { POLL_NS = 5000000 };

struct board {
    _Atomic size_t next;
    _Atomic size_t finished;
    _Atomic size_t doing[WORKERS_MAX]; /* job + 1 of each worker; 0: none */
};

struct shared {
    struct board *board;
    struct workers_job *jobs;
    char *results;
};

static void *shared_map(size_t bytes) {
    void *mapped = mmap(NULL, bytes > 0 ? bytes : 1, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return mapped == MAP_FAILED ? NULL : mapped;
}

static void worker_loop(const struct workers *w, const struct shared *shared, unsigned worker) {
    size_t job;
    while ((job = atomic_fetch_add(&shared->board->next, 1)) < w->job_count) {
        atomic_store(&shared->board->doing[worker], job + 1);
        w->run(w->ctx, job, shared->results + job * w->result_bytes);
        shared->jobs[job].done = true;
        atomic_store(&shared->board->doing[worker], 0);
        atomic_fetch_add(&shared->board->finished, 1);
    }
}

static pid_t worker_start(const struct workers *w, const struct shared *shared, unsigned worker) {
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        worker_loop(w, shared, worker);
        (void)fflush(NULL);
        _exit(0);
    }
    return pid;
}

/* Notes the job a dead worker was at; true when it died at one. */
static bool worker_bury(const struct shared *shared, unsigned worker, int status) {
    size_t doing = atomic_exchange(&shared->board->doing[worker], 0);
    if (doing == 0) {
        return false;
    }
    shared->jobs[doing - 1].signal = WIFSIGNALED(status) ? WTERMSIG(status) : -1;
    atomic_fetch_add(&shared->board->finished, 1);
    return true;
}

static void progress_tell(const struct workers *w, const struct board *board) {
    size_t next = atomic_load(&board->next);
    if (w->progress != NULL && next > 0) {
        w->progress(w->ctx, atomic_load(&board->finished),
                    next <= w->job_count ? next - 1 : w->job_count - 1);
    }
}

/* Waits until all workers are gone. False when one could not be replaced. */
static bool workers_wait(const struct workers *w, const struct shared *shared, pid_t *pids,
                         unsigned count) {
    unsigned alive = count;
    bool replaced = true;
    while (alive > 0) {
        for (unsigned i = 0; i < count; i++) {
            int status;
            if (pids[i] <= 0 || waitpid(pids[i], &status, WNOHANG) != pids[i]) {
                continue;
            }
            pids[i] = 0;
            alive--;
            if (worker_bury(shared, i, status)) {
                pids[i] = worker_start(w, shared, i);
                alive += pids[i] > 0;
                replaced &= pids[i] > 0;
            }
        }
        progress_tell(w, shared->board);
        (void)nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
    return replaced;
}

static unsigned worker_count(const struct workers *w) {
    long cores = w->count > 0 ? (long)w->count : sysconf(_SC_NPROCESSORS_ONLN);
    size_t count = cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : (size_t)cores;
    return (unsigned)(count < w->job_count ? count : w->job_count);
}

bool workers_run(const struct workers *workers, void **results, struct workers_job **jobs,
                 struct problem *problem) {
    struct shared shared = {.board = shared_map(sizeof *shared.board),
                            .jobs = shared_map(workers->job_count * sizeof *shared.jobs),
                            .results = shared_map(workers->job_count * workers->result_bytes)};
    *results = shared.results;
    *jobs = shared.jobs;
    pid_t pids[WORKERS_MAX] = {0};
    unsigned started = 0;
    unsigned wanted = worker_count(workers);
    if (shared.board != NULL && shared.jobs != NULL && shared.results != NULL) {
        while (started < wanted && (pids[started] = worker_start(workers, &shared, started)) > 0) {
            started++;
        }
    }
    bool fine = started > 0 || workers->job_count == 0;
    int reason = errno;
    if (started > 0) {
        fine = workers_wait(workers, &shared, pids, started);
    }
    if (shared.board != NULL) {
        (void)munmap(shared.board, sizeof *shared.board);
    }
    return fine || problem_set(problem, "cannot start workers: %s", strerror(reason));
}

void workers_release(const struct workers *workers, void *results, struct workers_job *jobs) {
    if (results != NULL) {
        size_t bytes = workers->job_count * workers->result_bytes;
        (void)munmap(results, bytes > 0 ? bytes : 1);
    }
    if (jobs != NULL) {
        size_t bytes = workers->job_count * sizeof *jobs;
        (void)munmap(jobs, bytes > 0 ? bytes : 1);
    }
}
