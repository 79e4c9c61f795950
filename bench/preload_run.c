/* SPDX-License-Identifier: MIT
 *
 * preload_run.c - runs a program with one of heaprig's libraries inside
 *
 * All signals of interest are blocked and taken one by one with sigwaitinfo(), so nothing runs in a
 * handler and no state is global. A failed exec reports its errno through a pipe that a successful
 * one closes.
 */
#include "preload_run.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

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

/* ---- what the loader will not load into ---- */

/* Whether an ELF file for this machine names an interpreter, the dynamic loader; true for all else,
 * and for the loader itself. */
static bool program_is_dynamic(const char *path) {
    ElfW(Ehdr) head;
    ElfW(Phdr) part;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool is_elf = file >= 0 && read(file, &head, sizeof head) == sizeof head &&
                  memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 && head.e_phentsize == sizeof part &&
                  head.e_ident[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32);
    bool is_dynamic = !is_elf || strncmp(strrchr(path, '/') + 1, "ld-", 3) == 0;
    for (unsigned i = 0; is_elf && i < head.e_phnum && !is_dynamic; i++) {
        off_t at = (off_t)(head.e_phoff + i * sizeof part);
        is_dynamic = pread(file, &part, sizeof part, at) != sizeof part || part.p_type == PT_INTERP;
    }
    if (file >= 0) {
        close(file);
    }
    return is_dynamic;
}

/* Whether the kernel gives whoever starts it rights that this process lacks. */
static bool program_gains_rights(const char *path) {
    struct stat about;
    if (stat(path, &about) != 0) {
        return false;
    }
    bool has_capabilities = getxattr(path, "security.capability", NULL, 0) > 0;
    return ((about.st_mode & S_ISUID) != 0 && about.st_uid != geteuid()) ||
           ((about.st_mode & S_ISGID) != 0 && about.st_gid != getegid()) ||
           (has_capabilities && geteuid() != 0);
}

bool preload_is_possible(const char *program, struct problem *problem) {
    char path[PATH_MAX];
    if (!program_find(program, path)) {
        return true;
    }
    if (!program_is_dynamic(path)) {
        return problem_set(problem,
                           "%s: linked statically, expected a program linked dynamically: nothing "
                           "can be preloaded into this one",
                           path);
    }
    return !program_gains_rights(path) ||
           problem_set(problem,
                       "%s: setuid, setgid or with capabilities, expected none of these: the "
                       "loader ignores LD_PRELOAD then",
                       path);
}

/* ---- which library to load, and how ---- */

struct library {
    char path[PATH_MAX];
    bool for_guest;
};

/* The library built beside heaprig: in its folder, or for ARM in arm/ below. */
static bool library_beside(const char *name, unsigned machine, char path[PATH_MAX],
                           struct problem *problem) {
    static const char *const places[] = {"", "arm/"};
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(self, '/');
    if (slash != NULL) {
        slash[1] = '\0';
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        unsigned found = snprintf(path, PATH_MAX, "%s%s%s", self, places[i], name) < PATH_MAX
                             ? machine_of(path)
                             : 0;
        if (found != 0 && (found == machine || machine == 0)) {
            return true;
        }
    }
    return problem_set(
        problem,
        "%s%s: none for the program's machine, expected one there, in arm/ below, or "
        "by --preload",
        self, name);
}

static bool library_choose(const struct preload_run *run, struct library *library,
                           struct problem *problem) {
    char program[PATH_MAX];
    library->for_guest = false;
    if (!program_find(run->program[0], program)) {
        return problem_set(problem, "%s: no such program", run->program[0]);
    }
    unsigned machine = machine_of(program);
    if (run->preload == NULL) {
        return library_beside(run->preloaded, machine, library->path, problem);
    }
    if (realpath(run->preload, library->path) == NULL) {
        return problem_set(problem, "%s: %s", run->preload, strerror(errno));
    }
    unsigned its_machine = machine_of(library->path);
    const char *name = strrchr(program, '/') != NULL ? strrchr(program, '/') + 1 : program;
    if (its_machine == 0) {
        return problem_set(problem, "%s: not a shared object", run->preload);
    }
    library->for_guest = machine != 0 && machine != its_machine;
    if (library->for_guest && strncmp(name, "qemu-", 5) != 0) {
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

static bool environment_prepare(const struct preload_run *run, const struct library *library) {
    char guest[PATH_MAX + 16];
    snprintf(guest, sizeof guest, "LD_PRELOAD=%s", library->path);
    for (const struct preload_variable *v = run->variables; v->name != NULL; v++) {
        if (v->value != NULL ? setenv(v->name, v->value, 1) != 0 : unsetenv(v->name) != 0) {
            return false;
        }
    }
    return library->for_guest ? environment_prepend("QEMU_SET_ENV", guest, ',')
                              : environment_prepend("LD_PRELOAD", library->path, ':');
}

/* ---- running ---- */

struct launch {
    const struct preload_run *run;
    struct library preloaded;
    sigset_t signals; /* taken while waiting */
    sigset_t mask;    /* of the program, and ours again afterwards */
};

static _Noreturn void program_exec(const struct launch *launch, int failure) {
    sigprocmask(SIG_SETMASK, &launch->mask, NULL);
    errno = ENOMEM;
    if (environment_prepare(launch->run, &launch->preloaded)) {
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
static bool program_run(const struct launch *launch, struct preload_ran *ran,
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

bool preload_run(const struct preload_run *run, struct preload_ran *ran, struct problem *problem) {
    struct launch launch = {.run = run};
    if (!library_choose(run, &launch.preloaded, problem)) {
        return false;
    }
    const char *library = launch.preloaded.path;
    if (strpbrk(library, launch.preloaded.for_guest ? ",: " : ": ") != NULL) {
        return problem_set(problem, "%s: a path to preload cannot have blanks, ':' or ','",
                           library);
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
