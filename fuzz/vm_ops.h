/* SPDX-License-Identifier: MIT
 *
 * vm_ops.h - one operation of a vm_world program, decoded
 */
#ifndef HEAPRIG_VM_OPS_H
#define HEAPRIG_VM_OPS_H

#include "vm_world_state.h"

/* Five bytes: what; space in two bits and six for x; window and page; pages less one in three bits
 * and five for y; z. */
struct vm_op {
    uint32_t space;
    uint32_t index; /* a page of a window */
    uint32_t pages; /* that the window has from there on */
    uint32_t x, y, z;
    struct space *on;
    struct model_space *s;
    uint64_t shortages; /* of the machine before it */
};

typedef bool vm_op_fn(struct vm_world *w, const struct vm_op *op);

/* To add one: write it and add it to the table in vm_ops.c. Each does the same to the machine and
 * to the model, or nothing where the model cannot tell what must happen. */
vm_op_fn op_mmap, op_munmap, op_mprotect, op_mremap, op_brk;
vm_op_fn op_store, op_load, op_fetch, op_fork, op_exit, op_reclaim, op_msync;
vm_op_fn op_segment_new, op_segment_remove, op_attach, op_detach;

/* Whether the result is the expected one; notes it if not. *done: it was, and the call did
 * something. A shortage of frames excuses a refusal for want of memory. */
bool op_judge(struct vm_world *w, const struct vm_op *op, const char *what, int got, int expected,
              bool *done);

#endif
