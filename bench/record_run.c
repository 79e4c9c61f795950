/* SPDX-License-Identifier: MIT
 *
 * record_run.c - runs a program with the recorder inside
 *
 * All signals of interest are blocked and taken one by one with sigwaitinfo(), so nothing runs in a
 * handler and no state is global. A failed exec reports its errno through a pipe that a successful
 * one closes.
 */
#include "record_run.h"

#include "../trace/record_stream.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RECORDER_FILE "libheaprig_record.so"

/* ---- which machine a file is for ---- */

/* ELF machine and class in one number, e.g. 62 << 8 | 2 for x86-64; 0 for what is no ELF file. */
static unsigned machine_of(const char *path) {
    unsigned char head[20] = {0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file >= 0 ? read(file, head, sizeof head) : -1;
    if (file >= 0) {
        close(file);
    }
    if (got != sizeof head || memcmp(head, ELFMAG, SELFMAG) != 0) {
        return 0;
    }
    bool little = head[EI_DATA] == ELFDATA2LSB;
    unsigned machine =
        little ? head[18] | (unsigned)head[19] << 8 : head[19] | (unsigned)head[18] << 8;
    return machine << 8 | head[EI_CLASS];
}

/* Finds a program as execvp() does. */
static bool program_find(const char *name, char path[PATH_MAX]) {
    if (strchr(name, '/') != NULL) {
        return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX && access(path, X_OK) == 0;
    }
    const char *folder = getenv("PATH");
    folder = folder != NULL ? folder : "/bin:/usr/bin";
    while (*folder != '\0') {
        int length = (int)strcspn(folder, ":");
        if (snprintf(path, PATH_MAX, "%.*s%s%s", length, folder, length > 0 ? "/" : "", name) <
                PATH_MAX &&
            access(path, X_OK) == 0) {
            return true;
        }
        folder += length + (folder[length] == ':');
    }
    return false;
}

/* ---- which recorder to load, and how ---- */

struct recorder {
    char path[PATH_MAX];
    bool for_guest;
};

/* The recorder built beside heaprig: in its folder, or for ARM in arm/ below. */
static bool recorder_beside(unsigned machine, char path[PATH_MAX], struct problem *problem) {
    static const char *const places[] = {RECORDER_FILE, "arm/" RECORDER_FILE};
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash != NULL) {
        slash[1] = '\0';
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        unsigned found =
            snprintf(path, PATH_MAX, "%s%s", self, places[i]) < PATH_MAX ? machine_of(path) : 0;
        if (found != 0 && (found == machine || machine == 0)) {
            return true;
        }
    }
    return problem_set(problem,
                       "%s" RECORDER_FILE ": no recorder for the program's machine, expected one "
                       "there, in arm/ below, or by --preload",
                       self);
}

static bool recorder_choose(const struct record_run *run, struct recorder *recorder,
                            struct problem *problem) {
    char program[PATH_MAX];
    recorder->for_guest = false;
    if (!program_find(run->program[0], program)) {
        return problem_set(problem, "%s: no such program", run->program[0]);
    }
    unsigned machine = machine_of(program);
    if (run->preload == NULL) {
        return recorder_beside(machine, recorder->path, problem);
    }
    if (realpath(run->preload, recorder->path) == NULL) {
        return problem_set(problem, "%s: %s", run->preload, strerror(errno));
    }
    unsigned recorders = machine_of(recorder->path);
    const char *name = strrchr(program, '/') != NULL ? strrchr(program, '/') + 1 : program;
    if (recorders == 0) {
        return problem_set(problem, "%s: not a shared object", run->preload);
    }
    recorder->for_guest = machine != 0 && machine != recorders;
    if (recorder->for_guest && strncmp(name, "qemu-", 5) != 0) {
        return problem_set(problem, "%s: for another machine than %s, expected the same",
                           run->preload, program);
    }
    return true;
}

/* Puts `text` before what the variable holds. */
static bool environment_prepend(const char *name, const char *text, char separator) {
    const char *held = getenv(name);
    char *joined = NULL;
    int length = held != NULL && held[0] != '\0'
                     ? asprintf(&joined, "%s%c%s", text, separator, held)
                     : asprintf(&joined, "%s", text);
    bool set = length >= 0 && setenv(name, joined, 1) == 0;
    if (length >= 0) {
        free(joined);
    }
    return set;
}

static bool environment_prepare(const struct record_run *run, const struct recorder *recorder) {
    char folder[PATH_MAX];
    char records[24];
    char guest[PATH_MAX + 16];
    snprintf(records, sizeof records, "%zu", run->records_max);
    snprintf(guest, sizeof guest, "LD_PRELOAD=%s", recorder->path);
    if (realpath(run->folder, folder) == NULL || setenv(RECORD_FOLDER_VARIABLE, folder, 1) != 0 ||
        (run->records_max != 0 && setenv(RECORD_RECORDS_VARIABLE, records, 1) != 0)) {
        return false;
    }
    return recorder->for_guest ? environment_prepend("QEMU_SET_ENV", guest, ',')
                               : environment_prepend("LD_PRELOAD", recorder->path, ':');
}

/* ---- running ---- */

struct launch {
    const struct record_run *run;
    struct recorder recorder;
    sigset_t signals; /* taken while waiting */
    sigset_t mask;    /* of the program, and ours again afterwards */
};

static _Noreturn void program_exec(const struct launch *launch, int failure) {
    sigprocmask(SIG_SETMASK, &launch->mask, NULL);
    errno = ENOMEM;
    if (environment_prepare(launch->run, &launch->recorder)) {
        execvp(launch->run->program[0], launch->run->program);
    }
    int error = errno;
    _exit(write(failure, &error, sizeof error) == sizeof error ? 127 : 126);
}

static int program_wait(pid_t pid, const sigset_t *signals) {
    for (;;) {
        siginfo_t info;
        int status;
        if (sigwaitinfo(signals, &info) < 0) {
            continue;
        }
        if (info.si_signo != SIGCHLD) {
            if (info.si_code == SI_USER) {
                kill(pid, info.si_signo);
            }
        } else if (waitpid(pid, &status, WNOHANG) == pid) {
            return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
        }
    }
}

/* Starts the program and waits, with the signals blocked. */
static bool program_run(const struct launch *launch, struct record_ran *ran,
                        struct problem *problem) {
    const char *name = launch->run->program[0];
    int failure[2];
    if (pipe2(failure, O_CLOEXEC) != 0) {
        return problem_set(problem, "%s: %s", name, strerror(errno));
    }
    ran->pid = fork();
    if (ran->pid == 0) {
        program_exec(launch, failure[1]);
    }
    int error = errno;
    close(failure[1]);
    bool started = ran->pid > 0 && read(failure[0], &error, sizeof error) == 0;
    close(failure[0]);
    ran->status = ran->pid > 0 ? program_wait(ran->pid, &launch->signals) : 0;
    return started || problem_set(problem, "%s: %s", name, strerror(error));
}

bool record_run(const struct record_run *run, struct record_ran *ran, struct problem *problem) {
    struct launch launch = {.run = run};
    if (!recorder_choose(run, &launch.recorder, problem)) {
        return false;
    }
    const char *recorder = launch.recorder.path;
    if (strpbrk(recorder, launch.recorder.for_guest ? ",: " : ": ") != NULL) {
        return problem_set(problem, "%s: a path to preload cannot have blanks, ':' or ','",
                           recorder);
    }
    sigemptyset(&launch.signals);
    const int taken[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        sigaddset(&launch.signals, taken[i]);
    }
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_BLOCK, &launch.signals, &launch.mask);
    bool ran_it = program_run(&launch, ran, problem);
    sigprocmask(SIG_SETMASK, &launch.mask, NULL);
    return ran_it;
}
