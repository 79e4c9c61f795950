/* SPDX-License-Identifier: MIT
 * script.c - scripts in memory. */
#include "script.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool script_open(struct script *script, uint32_t op_room, uint32_t extra_room) {
    *script = (struct script){.op_room = op_room, .extra_room = extra_room};
    script->ops = malloc((op_room + 1) * sizeof *script->ops);
    script->extras = malloc((extra_room + 1) * sizeof *script->extras);
    if (script->ops == NULL || script->extras == NULL) {
        script_close(script);
        return false;
    }
    return true;
}

void script_close(struct script *script) {
    free(script->ops);
    free(script->extras);
    *script = (struct script){0};
}

void script_copy(struct script *to, const struct script *from) {
    assert(to->op_room >= from->op_count && to->extra_room >= from->extra_count);
    to->setup = from->setup;
    to->op_count = from->op_count;
    to->extra_count = from->extra_count;
    memcpy(to->ops, from->ops, from->op_count * sizeof *to->ops);
    memcpy(to->extras, from->extras, from->extra_count * sizeof *to->extras);
}
