/* SPDX-License-Identifier: MIT
 * heaprig_main.c - the `heaprig` program: finds the command and hands over. */
#include "../trace/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define C(name, summary) int cmd_##name(int argc, char **argv);
#include "commands.h"
#undef C

struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
#define C(name, summary) {#name, summary, cmd_##name},
#include "commands.h"
#undef C
    {NULL, NULL, NULL},
};

static int usage(FILE *out, int status) {
    fputs("heaprig - benchmark and fuzz memory allocators\n\n"
          "usage: heaprig COMMAND [OPTION...]      heaprig COMMAND --help tells more\n\n",
          out);
    for (const struct command *c = commands; c->name != NULL; c++) {
        fprintf(out, "  %-10s %s\n", c->name, c->summary);
    }
    fputs("\nExit status: 0 fine, 1 a check failed, 2 bad usage or bad input.\n", out);
    return status;
}

static const char *command_name(const void *table, size_t index) {
    return ((const struct command *)table)[index].name;
}

/* At the end of every command: what was printed but did not reach stdout was not said. */
static void stdout_check(void) {
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        fputs("heaprig: cannot write to stdout\n", stderr);
        _exit(2);
    }
}

int main(int argc, char **argv) {
    (void)atexit(stdout_check);
    if (argc < 2) {
        return usage(stderr, 2);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        return usage(stdout, 0);
    }
    for (const struct command *c = commands; c->name != NULL; c++) {
        if (strcmp(argv[1], c->name) == 0) {
            return c->run(argc - 1, argv + 1);
        }
    }
    const char *nearest = name_nearest(argv[1], commands, command_name);
    fprintf(stderr, "heaprig: unknown command '%s', expected one of those `heaprig --help` lists",
            argv[1]);
    fprintf(stderr, nearest != NULL ? "; did you mean '%s'?\n" : "\n", nearest);
    return 2;
}
