/* SPDX-License-Identifier: MIT
 * script_target.c - a fuzz target: scripts; what was read can be written and read again. */
#include "reader_target.h"
#include "script.h"

static bool again(const unsigned char *bytes, size_t size, struct problem *problem) {
    struct script script;
    struct file_bytes text = {0};
    if (!script_load(reader_path(bytes, size), &script, problem)) {
        return false;
    }
    uint32_t ops = script.op_count, extras = script.extra_count;
    bool written = script_encode(&script, NULL, &text, problem);
    script_close(&script);
    if (!written || !script_load(reader_path(text.bytes, text.count), &script, problem) ||
        script.op_count != ops || script.extra_count != extras) {
        fprintf(stderr, "heaprig: a script, written, is not what was read: %s\n", problem->text);
        abort();
    }
    script_close(&script);
    file_bytes_release(&text);
    return true;
}

READER_TARGET(((void)trace, again(bytes, size, problem)))
