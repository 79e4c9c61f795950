/* SPDX-License-Identifier: MIT
 * child.c - see child.h. */
#include "child.h"

#include "tick.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GRACE_SECONDS = 3, LOOK_NS = 20000000 };

static bool adopting;

void child_adopt(void) {
    adopting = prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
}

static _Noreturn void child_become(const struct child *child, pid_t parent) {
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(127);
    }
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    int out = open(child->output, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    int in = open("/dev/null", O_RDONLY);
    out = out >= 0 ? out : open("/dev/null", O_WRONLY); /* a full disk is no reason not to run */
    (void)dup2(in, 0);
    (void)dup2(out, 1);
    (void)dup2(out, 2);
    for (size_t i = 0; child->environment != NULL && child->environment[i] != NULL; i++) {
        char *name = strdup(child->environment[i]);
        if (name != NULL && strchr(name, '=') != NULL) {
            (void)putenv(name);
        } else if (name != NULL) {
            (void)unsetenv(name);
        }
    }
    (void)execvp(child->argv[0], (char *const *)(uintptr_t)child->argv);
    _exit(127);
}

/* Kills what was left to us, as a fork server is when its engine was killed. */
static void orphans_kill(void) {
    char path[64], line[4096];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    for (int round = 0; adopting && round < 100; round++) {
        FILE *file = fopen(path, "r");
        size_t count = file != NULL ? fread(line, 1, sizeof line - 1, file) : 0;
        line[count] = '\0';
        if (file != NULL) {
            (void)fclose(file);
        }
        if (count == 0) {
            return;
        }
        char *rest = line;
        for (long id = strtol(rest, &rest, 10); id > 0; id = strtol(rest, &rest, 10)) {
            (void)kill((pid_t)id, SIGKILL);
            (void)waitpid((pid_t)id, NULL, 0);
        }
    }
}

bool child_run(const struct child *child, struct child_end *end, struct problem *problem) {
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    pid_t parent = getpid(), id = fork();
    if (id < 0) {
        return problem_set(problem, "%s: no process: %s", child->argv[0], strerror(errno));
    }
    if (id == 0) {
        child_become(child, parent);
    }
    (void)setpgid(id, id);
    *end = (struct child_end){0};
    double begin = (double)tick_wall_ns() / 1e9, told = 0;
    while (waitpid(id, &end->status, WNOHANG) == 0) {
        double now = (double)tick_wall_ns() / 1e9;
        if (!end->late && (now - begin > child->seconds || (child->end != NULL && *child->end))) {
            end->late = true;
            told = now;
            (void)kill(id, SIGTERM);
        } else if (end->late && now - told > GRACE_SECONDS) {
            (void)kill(-id, SIGKILL);
        }
        (void)nanosleep(&pause, NULL);
    }
    (void)kill(-id, SIGKILL);
    orphans_kill();
    return true;
}
