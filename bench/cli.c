/* SPDX-License-Identifier: MIT
 * cli.c - see cli.h. */
#include "cli.h"

#include "tick.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const touch_names[] = {"none", "edges", "whole"};

static void parse(const struct argp *argp, int argc, char **argv, unsigned flags, void *input) {
    char name[64];
    (void)snprintf(name, sizeof name, "heaprig %s", argv[0]);
    char *given = argv[0];
    argv[0] = name;
    argp_err_exit_status = CLI_BAD_INPUT;
    (void)argp_parse(argp, argc, argv, flags, NULL, input);
    argv[0] = given;
}

void cli_parse(const struct argp *argp, int argc, char **argv, void *input) {
    parse(argp, argc, argv, 0, input);
}

void cli_parse_in_order(const struct argp *argp, int argc, char **argv, void *input) {
    parse(argp, argc, argv, ARGP_IN_ORDER, input);
}

int cli_act(const struct cli_action *actions, const char *usage, int argc, char **argv) {
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
        fputs(usage, stdout);
        return CLI_FINE;
    }
    for (const struct cli_action *action = actions; argc >= 2 && action->name != NULL; action++) {
        if (strcmp(argv[1], action->name) == 0) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s %s", argv[0], action->name);
            argv[1] = name;
            return action->run(argc - 1, argv + 1);
        }
    }
    fprintf(stderr, "heaprig %s: %s%s, expected one of:", argv[0],
            argc >= 2 ? "unknown action " : "no action", argc >= 2 ? argv[1] : "");
    for (const struct cli_action *action = actions; action->name != NULL; action++) {
        fprintf(stderr, " %s", action->name);
    }
    fputc('\n', stderr);
    return CLI_BAD_INPUT;
}

int cli_problem(const struct problem *problem) {
    fprintf(stderr, "heaprig: %s\n", problem->text);
    return CLI_BAD_INPUT;
}

uint64_t cli_number(const struct argp_state *state, const char *option, const char *text,
                    uint64_t least, uint64_t most) {
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < least ||
        value > most) {
        argp_error(state, "--%s %s: expected a number from %" PRIu64 " to %" PRIu64, option, text,
                   least, most);
    }
    return value;
}

double cli_percent(const struct argp_state *state, const char *option, const char *text) {
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0)) {
        argp_error(state, "--%s %s: expected a percentage, 0 or more", option, text);
    }
    return value;
}

enum replay_touch cli_touch(const struct argp_state *state, const char *text) {
    for (size_t i = 0; i < sizeof touch_names / sizeof touch_names[0]; i++) {
        if (strcmp(text, touch_names[i]) == 0) {
            return (enum replay_touch)i;
        }
    }
    argp_error(state, "--touch %s: expected none, edges or whole", text);
    return REPLAY_TOUCH_EDGES;
}

const char *cli_touch_name(enum replay_touch touch) {
    return touch_names[touch];
}

uint64_t cli_seed(void) {
    return tick_wall_ns() & UINT32_MAX;
}
