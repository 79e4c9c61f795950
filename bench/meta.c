/* SPDX-License-Identifier: MIT
 * meta.c - see meta.h. The commit is asked of git when results are written: it is the sources' one
 * as long as the program was built since, which every make target takes care of. */
#include "meta.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

/* The Makefile passes the flags to this file. */
#ifndef HEAPRIG_FLAGS
#define HEAPRIG_FLAGS ""
#endif

#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
    __has_feature(thread_sanitizer)
#define META_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define META_SANITIZED 1
#endif

const char *meta_unfit_reason(void) {
#if defined(ALLOC_ASSERTS)
    return "built with ALLOC_ASSERTS";
#elif defined(META_SANITIZED)
    return "built with a sanitizer";
#elif !defined(__OPTIMIZE__)
    return "built without optimisation";
#else
    return NULL;
#endif
}

/* The first line of a file or pipe, without its end; empty when there is none. */
static void first_line(FILE *from, char *line, int room) {
    line[0] = '\0';
    if (from != NULL && fgets(line, room, from) != NULL) {
        line[strcspn(line, "\n")] = '\0';
    }
}

static void command_line(const char *command, char *line, int room) {
    FILE *pipe = popen(command, "r");
    first_line(pipe, line, room);
    if (pipe != NULL) {
        (void)pclose(pipe);
    }
}

static void cpu_name(char *name, size_t room) {
    char line[256] = "";
    (void)snprintf(name, room, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            (void)snprintf(name, room, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static void huge_pages(char *text, int room) {
    FILE *file = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "r");
    first_line(file, text, room);
    if (file != NULL) {
        (void)fclose(file);
    }
}

static const char *compiler_name(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

json_t *meta_new(void) {
    char commit[64];
    char changed[256];
    char cpu[128];
    char pages[64];
    char machine[256] = "";
    char date[32] = "";
    struct utsname system;
    struct tm utc;
    time_t now = time(NULL);
    command_line("git rev-parse HEAD 2>/dev/null", commit, sizeof commit);
    command_line("git status --porcelain --untracked-files=no 2>/dev/null", changed,
                 sizeof changed);
    cpu_name(cpu, sizeof cpu);
    huge_pages(pages, sizeof pages);
    if (uname(&system) == 0) {
        (void)snprintf(machine, sizeof machine, "%s %s %s", system.sysname, system.release,
                       system.machine);
    }
    if (gmtime_r(&now, &utc) != NULL) {
        (void)strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &utc);
    }
    return json_pack("{s:s,s:o,s:s,s:s,s:s,s:s,s:i,s:s,s:s}", "commit", commit, "dirty",
                     commit[0] == '\0' ? json_null() : json_boolean(changed[0] != '\0'), "flags",
                     HEAPRIG_FLAGS, "compiler", compiler_name(), "machine", machine, "cpu", cpu,
                     "pointer_bits", (int)sizeof(void *) * 8, "huge_pages", pages, "date", date);
}
