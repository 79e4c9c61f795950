/* SPDX-License-Identifier: MIT
 *
 * finding.h - what a fuzz target said before it died, as one sentence and a key
 *
 * Two inputs are the same finding when their keys are equal: the rule that the oracle named,
 * without the numbers of the one run; else the sanitizer's kind of error and the innermost
 * functions of the stack.
 */
#ifndef HEAPRIG_FINDING_H
#define HEAPRIG_FINDING_H

#include <stdbool.h>

enum { FINDING_FRAMES = 3 };

struct finding {
    bool sound;       /* the target ran the input to its end */
    bool hangs;       /* no end in time */
    char subject[64]; /* the allocator that the oracle named, else empty */
    char rule[160];   /* "overlaps a live block", "heap-buffer-overflow", "hangs" */
    char words[512];  /* what happened, in a sentence */
    char stack[512];  /* "function file:line < caller file:line", at most FINDING_FRAMES; empty when
                         the rule  says it all */
    char key[400];    /* subject, rule and, for a crash, functions of the stack */
};

/* `text` is all that a libFuzzer target printed when it ran one input, `status` its end as of
 * waitpid(), `late` whether it had to be ended. */
void finding_read(const char *text, int status, bool late, struct finding *finding);

/* The key as the name of a folder: [A-Za-z0-9_-], at most 80 characters, different for different
 * keys but for one in 2^32. */
void finding_name(const struct finding *finding, const char *target, char name[96]);

#endif
