/* SPDX-License-Identifier: MIT
 * cmd_list.c - `heaprig list`: the allocators, generators and traces that commands take. */
#include "cli.h"
#include "subject.h"

#include "../trace/generators.h"

#include <glob.h>
#include <stdio.h>

int cmd_list(int argc, char **argv);

static const char doc[] =
    "Lists the allocators, generators and recorded traces that other commands "
    "take by name.\v"
    "Capabilities: f frees, c coalesces, s one block size only, p whole "
    "pages, b any smallest block, m detects misuse, M detects every misuse, l small slots, g good "
    "fit among some blocks of a size class, t several threads may share it, - no pool.";

static void caps_print(uint32_t caps) {
    static const struct {
        uint32_t cap;
        char letter;
    } letters[] = {{ALLOC_CAP_FREES, 'f'},        {ALLOC_CAP_COALESCES, 'c'},
                   {ALLOC_CAP_FIXED_SIZE, 's'},   {ALLOC_CAP_PAGES, 'p'},
                   {ALLOC_CAP_BLOCK_SIZES, 'b'},  {ALLOC_CAP_DETECTS_MISUSE, 'm'},
                   {ALLOC_CAP_EXACT_MISUSE, 'M'}, {ALLOC_CAP_SLOTS, 'l'},
                   {ALLOC_CAP_GOOD_FIT, 'g'},     {ALLOC_CAP_THREADS, 't'},
                   {ALLOC_CAP_POOLLESS, '-'}};
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        putchar((caps & letters[i].cap) != 0 ? letters[i].letter : ' ');
    }
}

static void allocators_list(void) {
    struct subject subject;
    puts("allocators");
    for (size_t i = 0; subject_at(i, &subject); i++) {
        printf("  %-16s ", subject.name);
        if (subject.ops == NULL) {
            puts("        not installed");
        } else {
            caps_print(subject.ops->caps);
            printf(" %s%s\n", subject.ops->summary != NULL ? subject.ops->summary : "",
                   subject.baseline ? " (baseline)" : "");
        }
    }
}

static void decorators_list(void) {
    struct subject_decorator decorator;
    puts("\nbefore an allocator, as NAME:ALLOCATOR");
    for (size_t i = 0; subject_decorator_at(i, &decorator); i++) {
        printf("  %-16s %s\n", decorator.name, decorator.summary);
    }
}

static void generators_print(void) {
    size_t count;
    const struct generator_info *list = generators_list(&count);
    puts("\ngenerators, as gen:NAME[:SEED[:OPS]]");
    for (size_t i = 0; i < count; i++) {
        printf("  %-16s %s\n", list[i].name, list[i].summary);
    }
}

static void traces_list(void) {
    glob_t found;
    if (glob("corpus/traces/*.hrt", 0, NULL, &found) != 0) {
        puts("\nno traces in corpus/traces");
        return;
    }
    puts("\ntraces");
    for (size_t i = 0; i < found.gl_pathc; i++) {
        printf("  %s\n", found.gl_pathv[i]);
    }
    globfree(&found);
}

int cmd_list(int argc, char **argv) {
    const struct argp argp = {NULL, NULL, NULL, doc, NULL, NULL, NULL};
    cli_parse(&argp, argc, argv, NULL);
    allocators_list();
    decorators_list();
    generators_print();
    traces_list();
    return CLI_FINE;
}
