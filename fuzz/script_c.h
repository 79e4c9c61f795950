/* SPDX-License-Identifier: MIT
 * script_c.h - a script as a C program that needs nothing but alloc.h and the allocator */
#ifndef HEAPRIG_SCRIPT_C_H
#define HEAPRIG_SCRIPT_C_H

#include "script.h"

/* Appends a complete C11 program that does what the script does on the table called `table`, fills
 * and verifies payloads, and asserts what a client may expect of each call (alloc.h): placement,
 * alignment, contents, what realloc copies, refused misuse, check(). `words` says what was found.
 * False when memory is out. */
bool script_encode_c(const struct script *script, const char *table, const char *words,
                     struct file_bytes *file, struct problem *problem);

#endif
