/* SPDX-License-Identifier: MIT
 *
 * vm_world_state.h - what the parts of a world share
 */
#ifndef HEAPRIG_VM_WORLD_STATE_H
#define HEAPRIG_VM_WORLD_STATE_H

#include "vm_model.h"
#include "vm_world.h"

struct vm_world {
    struct machine *machine;
    struct space *space[MODEL_SPACES];
    struct file *file[MODEL_FILES]; /* the first may be written */
    struct model model;
    size_t op;
    char verdict[256];
    char folder[64], path[MODEL_FILES][80];
    struct vm_world_tally tally;
};

/* Notes what is wrong, unless something was before; false. */
bool world_fail(struct vm_world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Reads both words of a page, as far as the model says they can be. */
bool world_page_read(struct vm_world *w, uint32_t space, uint32_t index);

/* An empty space in that place. */
bool world_space_new(struct vm_world *w, uint32_t space);

/* Forgets segments that ended with their last attachment. */
void world_settle(struct vm_world *w);

/* One operation, VM_WORLD_OP_BYTES bytes. */
bool world_op(struct vm_world *w, const uint8_t *bytes);

#endif
