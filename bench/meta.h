/* SPDX-License-Identifier: MIT
 * meta.h - what a result was made with: commit, compiler, flags, machine */
#ifndef HEAPRIG_META_H
#define HEAPRIG_META_H

#include <jansson.h>
#include <stdint.h>

/* NULL when this build may write results, else why not (assertions or a sanitizer compiled in). */
const char *meta_unfit_reason(void);

/* {commit, dirty, flags, compiler, machine, cpu, pointer_bits, huge_pages, date}; the caller adds
 * what is its own (seed, touch, rounds) and releases it. commit is empty and dirty null outside a
 * git work tree. */
json_t *meta_new(void);

#endif
