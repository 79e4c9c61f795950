/* SPDX-License-Identifier: MIT
 *
 * vm_world.h - bytes as operations on address spaces, judged by a flat model
 *
 * Each operation is five bytes: what, and four numbers. Up to four spaces live at once in a machine
 * of 256 KiB to 1 MiB, so that memory is short; two host files, one of them writable, and three
 * shared segments are theirs. After each operation its result is what the model says; every word
 * read is what the model holds, through the MMU, so that a translation that outlived its page
 * shows; every 32 operations and at the end all is read and machine_check() runs; at the end no
 * frame is missing and the files hold what was written.
 */
#ifndef HEAPRIG_VM_WORLD_H
#define HEAPRIG_VM_WORLD_H

#include <stddef.h>
#include <stdint.h>

enum { VM_WORLD_OP_BYTES = 5 };

struct vm_world;

/* Host files in a folder of their own; NULL: the host refuses. Programs may follow one another. */
struct vm_world *vm_world_new(void);
void vm_world_delete(struct vm_world *w);

/* Runs a program. NULL, or what is wrong, in words that live until the next one. */
const char *vm_world_run(struct vm_world *w, const uint8_t *data, size_t size);

/* What programs did so far, to see that they reach something: operations, those that were refused,
 * words compared, copies on write, pages reclaimed, shortages. */
struct vm_world_tally {
    uint64_t ops, refused, words, copies, reclaimed, shortages;
};
const struct vm_world_tally *vm_world_tally(const struct vm_world *w);

#endif
