/* SPDX-License-Identifier: MIT
 * cli.h - what the commands of `heaprig` have in common */
#ifndef HEAPRIG_CLI_H
#define HEAPRIG_CLI_H

#include "../trace/problem.h"
#include "replay.h"

#include <argp.h>
#include <stdbool.h>
#include <stdint.h>

enum { CLI_FINE = 0, CLI_FAILED = 1, CLI_BAD_INPUT = 2 };

/* Parses by argp with the exit status of the house: 2 on bad usage. The command's name in messages
 * is "heaprig NAME". */
void cli_parse(const struct argp *argp, int argc, char **argv, void *input);

/* The same for commands whose arguments are another's command line: its options are not ours. */
void cli_parse_in_order(const struct argp *argp, int argc, char **argv, void *input);

/* A command with actions, `heaprig NAME ACTION ...`: hands over to the one argv[1] names, or shows
 * the usage for --help; else says on stderr which there are and returns CLI_BAD_INPUT. The table
 * ends with a NULL name. */
struct cli_action {
    const char *name;
    int (*run)(int argc, char **argv);
};
int cli_act(const struct cli_action *actions, const char *usage, int argc, char **argv);

/* Prints the problem on stderr as "heaprig: TEXT" and returns CLI_BAD_INPUT. */
int cli_problem(const struct problem *problem);

/* The value of a numeric option from least to most, decimal or 0x hex; else argp_error(). */
uint64_t cli_number(const struct argp_state *state, const char *option, const char *text,
                    uint64_t least, uint64_t most);

/* The value of an option that is a percentage, 0 or more; else argp_error(). */
double cli_percent(const struct argp_state *state, const char *option, const char *text);

/* The value of --touch; else argp_error(). */
enum replay_touch cli_touch(const struct argp_state *state, const char *text);
const char *cli_touch_name(enum replay_touch touch);

/* A seed from the clock, for runs that were given none. */
uint64_t cli_seed(void);

#endif
