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

/* Does op i go on with what ops i - 1 and, if it has begun there, i - 2 do? */
static bool op_goes_on(const struct op *ops, uint32_t i, bool begun) {
    const struct op *a = &ops[i - 1], *b = &ops[i];
    if (a->kind != b->kind || (b->kind != OP_ALLOC && b->kind != OP_FREE)) {
        return false;
    }
    if (b->kind == OP_ALLOC) {
        return b->bytes == a->bytes && b->slot > a->slot;
    }
    return !begun || b->slot - a->slot == a->slot - ops[i - 2].slot;
}

uint32_t script_records(const struct script *script) {
    uint32_t count = script->extra_count, extra = 0;
    bool begun = false; /* op i - 1 goes on with op i - 2 */
    for (uint32_t i = 0; i < script->op_count; i++) {
        bool apart = i == 0;
        for (; extra < script->extra_count && script->extras[extra].after <= i; extra++) {
            apart = true;
        }
        begun = !apart && op_goes_on(script->ops, i, begun);
        count += !begun;
    }
    return count;
}
