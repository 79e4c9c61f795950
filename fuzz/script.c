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

struct op_run script_run(const struct script *script, uint32_t i) {
    uint32_t extra = 0;
    while (extra < script->extra_count && script->extras[extra].after <= i) {
        extra++;
    }
    uint32_t end = extra < script->extra_count ? script->extras[extra].after : script->op_count;
    return op_run(&script->ops[i], end - i);
}

uint32_t script_lines(const struct script *script) {
    uint32_t count = script->extra_count;
    for (uint32_t i = 0; i < script->op_count; count++) {
        i += (uint32_t)script_run(script, i).count;
    }
    return count;
}
