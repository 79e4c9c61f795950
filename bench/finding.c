/* SPDX-License-Identifier: MIT
 * finding.c - reads what targets, sanitizers and libFuzzer print. */
#include "finding.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* Functions of the machinery around what is under test. */
static const char *const foreign[] = {
    "__asan",   "__ubsan", "__sanitizer", "__interceptor", "fuzzer::",
    "abort",    "raise",   "gsignal",     "__GI_",         "__pthread_kill",
    "_start",   "__libc",  "LLVMFuzzer",  "__restore_rt",  "pthread_kill",
    "memcpy",   "memmove", "memset",      "memcmp",        "main",
    "__assert", "(",       "target_",     "_IO_"};

/* Copies up to `end` or what there is room for. */
static void copy(char *to, size_t room, const char *from, const char *end) {
    size_t count = (size_t)(end - from);
    count = count < room - 1 ? count : room - 1;
    memcpy(to, from, count);
    to[count] = '\0';
}

/* A plug-in prints what it likes; a report is ASCII. */
static void ascii_only(char *text) {
    for (; *text != '\0'; text++) {
        *text = *text >= 0x20 && *text < 0x7F ? *text : '?';
    }
}

static const char *line_end(const char *line) {
    const char *end = strchr(line, '\n');
    return end != NULL ? end : line + strlen(line);
}

/* Each number becomes one '#': what differs from run to run. */
static void numbers_drop(char *text) {
    char *to = text;
    for (const char *at = text; *at != '\0';) {
        bool begins =
            isdigit((unsigned char)*at) && (at == text || !isalnum((unsigned char)at[-1]));
        if (begins) {
            while (isxdigit((unsigned char)*at) || *at == 'x') {
                at++;
            }
            *to++ = '#';
        } else {
            *to++ = *at++;
        }
    }
    *to = '\0';
}

/* "heaprig: NAME: op 12, free of slot 3: RULE: details", or a sentence of another target. */
static bool oracle_read(const char *text, struct finding *f) {
    static const char mark[] = "heaprig: ";
    const char *line =
        strncmp(text, mark, sizeof mark - 1) == 0 ? text : strstr(text, "\nheaprig: ");
    if (line == NULL) {
        return false;
    }
    line = strstr(line, mark) + sizeof mark - 1;
    const char *end = line_end(line), *colon = strstr(line, ": ");
    copy(f->words, sizeof f->words, line, end);
    if (colon == NULL || colon > end || memchr(line, ' ', (size_t)(colon - line)) != NULL) {
        copy(f->rule, sizeof f->rule, line, end);
        numbers_drop(f->rule);
        return true;
    }
    copy(f->subject, sizeof f->subject, line, colon);
    const char *rest = colon + 2;
    if (strncmp(rest, "op ", 3) == 0 && (colon = strstr(rest, ": ")) != NULL && colon < end) {
        rest = colon + 2;
        colon = strstr(rest, ": ");
        end = colon != NULL && colon < end ? colon : end;
    }
    copy(f->rule, sizeof f->rule, rest, end);
    numbers_drop(f->rule);
    return true;
}

/* Up to FINDING_FRAMES lines "    #1 0x55 in function file:12:3" of the first stack from `text` on.
 */
static void stack_read(const char *text, struct finding *f) {
    size_t used = 0, frames = 0;
    const char *line = strstr(text, "    #0 ");
    for (int depth = 0; line != NULL && frames < FINDING_FRAMES;
         depth++, line = strchr(line, '\n')) {
        char number[32], function[128] = "", place[160] = "";
        line += line[0] == '\n';
        (void)snprintf(number, sizeof number, "    #%d ", depth);
        if (strncmp(line, number, strlen(number)) != 0) {
            break;
        }
        if (sscanf(line, " #%*d %*s in %127s %159s", function, place) < 1) {
            continue;
        }
        bool skip = false;
        for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
            skip |= strncmp(function, foreign[i], strlen(foreign[i])) == 0;
        }
        if (skip) {
            continue;
        }
        char *slash = strrchr(place, '/'), *column = strrchr(place, ':');
        if (column != NULL && column != strchr(place, ':')) {
            *column = '\0';
        }
        int made = snprintf(f->stack + used, sizeof f->stack - used, "%s%s %s",
                            frames > 0 ? " < " : "", function, slash != NULL ? slash + 1 : place);
        used += made > 0 && (size_t)made < sizeof f->stack - used ? (size_t)made : 0;
        frames++;
    }
}

/* "==7==ERROR: AddressSanitizer: heap-buffer-overflow on address ...", or libFuzzer's own kinds. */
static bool error_read(const char *text, struct finding *f) {
    const char *error = strstr(text, "ERROR: "), *runtime = strstr(text, ": runtime error: ");
    if (runtime != NULL && (error == NULL || runtime < error)) {
        const char *begin = runtime;
        while (begin > text && begin[-1] != '\n') {
            begin--;
        }
        copy(f->words, sizeof f->words, begin, line_end(begin));
        copy(f->rule, sizeof f->rule, runtime + 2, line_end(runtime));
        numbers_drop(f->rule);
        stack_read(runtime, f);
        if (f->stack[0] == '\0') {
            const char *slash = begin;
            for (const char *at = begin; at < runtime; at++) {
                slash = *at == '/' ? at + 1 : slash;
            }
            copy(f->stack, sizeof f->stack, slash, runtime);
        }
        return true;
    }
    const char *kind = error != NULL ? strstr(error, "Sanitizer: ") : NULL;
    const char *own = error != NULL ? strstr(error, "libFuzzer: ") : NULL;
    if (kind == NULL && own == NULL) {
        return false;
    }
    const char *begin = kind != NULL ? kind + 11 : own + 11;
    const char *end = line_end(begin);
    copy(f->words, sizeof f->words, error + 7, end);
    for (const char *at = begin; at < end; at++) {
        if (strchr(" (:;", *at) != NULL && kind != NULL) {
            end = at;
        }
    }
    copy(f->rule, sizeof f->rule, begin, end);
    stack_read(error, f);
    return true;
}

static void own_words(struct finding *f) {
    if (strncmp(f->rule, "timeout", 7) == 0) {
        f->hangs = true;
        f->stack[0] = '\0';
        (void)snprintf(f->rule, sizeof f->rule, "hangs");
        (void)snprintf(f->words, sizeof f->words, "hangs: no end in time");
    } else if (strncmp(f->rule, "deadly signal", 13) == 0) {
        (void)snprintf(f->rule, sizeof f->rule, "crashes");
        (void)snprintf(f->words, sizeof f->words, "crashes%s%.400s",
                       f->stack[0] != '\0' ? " in " : "", f->stack);
    } else if (strncmp(f->rule, "fuzz target exited", 18) == 0) {
        f->stack[0] = '\0';
        (void)snprintf(f->rule, sizeof f->rule, "ends the process");
        (void)snprintf(f->words, sizeof f->words, "ends the process");
    } else if (strncmp(f->rule, "out-of-memory", 13) == 0) {
        f->stack[0] = '\0';
        (void)snprintf(f->rule, sizeof f->rule, "takes too much memory");
    }
}

static void status_read(int status, struct finding *f) {
    if (WIFSIGNALED(status)) {
        (void)snprintf(f->rule, sizeof f->rule, "crashes with signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    } else {
        (void)snprintf(f->rule, sizeof f->rule, "ends the process with status %d",
                       WEXITSTATUS(status));
    }
    (void)snprintf(f->words, sizeof f->words, "%s", f->rule);
}

/* Only functions count, since a line number moves with every change above it. */
static void key_make(struct finding *f) {
    size_t used = (size_t)snprintf(f->key, sizeof f->key, "%s: %s", f->subject, f->rule);
    for (const char *at = f->stack; *at != '\0' && used < sizeof f->key - 2;) {
        const char *end = strpbrk(at, " ");
        end = end != NULL ? end : at + strlen(at);
        f->key[used++] = '|';
        for (; at < end && used < sizeof f->key - 1; at++) {
            f->key[used++] = *at;
        }
        const char *next = strstr(at, " < ");
        at = next != NULL ? next + 3 : at + strlen(at);
    }
    f->key[used] = '\0';
}

void finding_read(const char *text, int status, bool late, struct finding *finding) {
    *finding = (struct finding){0};
    if (!late && WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
        strstr(text, "Executed ") != NULL) {
        finding->sound = true;
        return;
    }
    if (late) {
        (void)snprintf(finding->rule, sizeof finding->rule, "timeout");
    } else if (!oracle_read(text, finding) && !error_read(text, finding)) {
        status_read(status, finding);
    }
    own_words(finding);
    ascii_only(finding->subject);
    ascii_only(finding->rule);
    ascii_only(finding->words);
    ascii_only(finding->stack);
    key_make(finding);
}

void finding_name(const struct finding *finding, const char *target, char name[96]) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *at = finding->key; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    }
    char words[56];
    size_t used = 0;
    for (const char *at = finding->rule; *at != '\0' && used < sizeof words - 1; at++) {
        bool plain = isalnum((unsigned char)*at) != 0;
        if (plain || (used > 0 && words[used - 1] != '-')) {
            words[used++] = plain ? *at : '-';
        }
    }
    while (used > 0 && words[used - 1] == '-') {
        used--;
    }
    words[used] = '\0';
    (void)snprintf(name, 96, "%.24s-%s-%08x", target, words, hash);
}
