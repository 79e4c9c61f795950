/* SPDX-License-Identifier: MIT
 *
 * marks.h - empty functions whose calls a plugin of QEMU watches (tools/qemu_insn.c counts
 * instructions, tools/qemu_touches.c writes down accesses)
 *
 * mark_section() begins a run; each call of the allocator stands between mark_alloc(),
 * mark_aligned(), mark_realloc() or mark_free() and mark_end(). A mark_end() alone stands for an
 * operation that called nothing, so that a counter's numbers are those of the trace. Without a
 * counter marks cost a call and a return.
 */
#ifndef HEAPRIG_MARKS_H
#define HEAPRIG_MARKS_H

void mark_section(void);
void mark_pool(const volatile unsigned char *first,
               const volatile unsigned char *last); /* loads both bytes */
void mark_alloc(void);
void mark_aligned(void);
void mark_realloc(void);
void mark_free(void);
void mark_end(void);

#endif
