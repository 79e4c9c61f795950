/* SPDX-License-Identifier: MIT
 * script_c.c - prints scripts as C. */
#include "script_c.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* What every printed program begins with; the first %s is the finding, the second the table. */
static const char preamble[] =
    "/* %s\n"
    " *\n"
    " * cc -std=c11 -g -I alloc THIS.c and the allocator's sources; it ends by an assertion while\n"
    " * the fault is there, if a client can see it. */\n"
    "#include \"alloc.h\"\n\n"
    "#include <assert.h>\n#include <stdint.h>\n#include <stdio.h>\n#include <stdlib.h>\n"
    "#include <string.h>\n\n"
    "extern const struct alloc_ops %s;\n\n"
    "enum { SLOTS = %" PRIu32 ", POOL_BYTES = %" PRIu32 ", MISALIGN = %" PRIu32 ", ROOM = 8192 };\n"
    "static const struct alloc_ops *const ops = &%s;\n"
    "static _Alignas(65536) unsigned char memory[POOL_BYTES + MISALIGN + ROOM];\n"
    "static unsigned char *const pool = memory + MISALIGN;\n"
    "static struct alloc *heap;\n"
    "static struct { unsigned char *p; size_t bytes, align; } slot[SLOTS];\n\n";

static const char helpers[] =
    "static void sound(void) {\n"
    "    for (int s = 0; s < SLOTS; s++) {\n"
    "        for (size_t i = 0; slot[s].p != NULL && i < slot[s].bytes; i++) {\n"
    "            assert(slot[s].p[i] == (unsigned char)(s * 31 + i * 7 + 1)); /* contents */\n"
    "        }\n"
    "    }\n"
    "    for (int i = 0; i < 64; i++) {\n"
    "        assert(pool[POOL_BYTES + i] == 0xA5); /* nothing written behind the pool */\n"
    "    }\n"
    "    assert(ops->check == NULL || ops->check(heap) == NULL);\n"
    "}\n\n"
    "static void took(int s, void *payload, size_t bytes, size_t align) {\n"
    "    unsigned char *p = payload, *old = slot[s].p;\n"
    "    size_t kept = slot[s].p == NULL ? 0 : slot[s].bytes < bytes ? slot[s].bytes : bytes;\n"
    "    if (p == NULL) {\n"
    "        sound();\n"
    "        return;\n"
    "    }\n"
    "    slot[s].p = NULL;\n"
    "    assert((uintptr_t)p % align == 0 && p >= memory && p < memory + sizeof memory);\n"
    "    assert(bytes <= (size_t)(memory + sizeof memory - p));\n"
    "    assert(ops->usable(heap, p) >= bytes);\n"
    "    for (int o = 0; o < SLOTS; o++) {\n"
    "        assert(slot[o].p == NULL || p + bytes <= slot[o].p || p >= slot[o].p + "
    "slot[o].bytes);\n"
    "    }\n"
    "    for (int o = 0; o < SLOTS && old != NULL && p != old; o++) {\n"
    "        size_t at = slot[o].p > old ? (size_t)(slot[o].p - old) : bytes;\n"
    "        size_t most = at < bytes && bytes - at < slot[o].bytes ? bytes - at : "
    "slot[o].bytes;\n"
    "        assert(at >= bytes || memcmp(p + at, slot[o].p, most) != 0); /* or copied too far */\n"
    "    }\n"
    "    for (size_t i = 0; i < bytes; i++) {\n"
    "        assert(i >= kept || p[i] == (unsigned char)(s * 31 + i * 7 + 1)); /* realloc keeps "
    "*/\n"
    "        p[i] = (unsigned char)(s * 31 + i * 7 + 1);\n"
    "    }\n"
    "    slot[s].p = p;\n"
    "    slot[s].bytes = bytes;\n"
    "    slot[s].align = align;\n"
    "    sound();\n"
    "}\n\n"
    "static void give(int s) {\n"
    "    assert(ops->free(heap, slot[s].p) == ALLOC_OK);\n"
    "    slot[s].p = NULL;\n"
    "    sound();\n"
    "}\n\n"
    "int main(void) {\n";

static const char ending[] =
    "    for (int s = 0; s < SLOTS; s++) {\n"
    "        if (slot[s].p != NULL) {\n"
    "            give(s);\n"
    "        }\n"
    "    }\n"
    "    assert((ops->caps & ALLOC_CAP_COALESCES) == 0 || ops->largest == NULL ||\n"
    "           ops->largest(heap) >= largest); /* nothing lost */\n"
    "    puts(\"sound\");\n"
    "    return 0;\n"
    "}\n";

static bool text_append(struct file_bytes *file, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool text_append(struct file_bytes *file, const char *format, ...) {
    char text[4096];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert(length > 0 && (size_t)length < sizeof text);
    return file_bytes_append(file, text, (size_t)length);
}

/* The op's call; `s` is its slot, a number or a variable. */
static bool op_append(struct file_bytes *file, const struct op *op, const char *s) {
    uint64_t bytes = op->bytes;
    if (op->kind == OP_FREE) {
        return text_append(file, "give(%s);", s);
    }
    if (op->kind == OP_REALLOC) {
        return text_append(file,
                           "took(%s, ops->realloc(heap, slot[%s].p, (size_t)%" PRIu64
                           "u), (size_t)%" PRIu64 "u, slot[%s].p != NULL ? slot[%s].align : 1);",
                           s, s, bytes, bytes, s, s);
    }
    if (op->kind == OP_ALIGNED) {
        uint64_t align = UINT64_C(1) << op->align_log2;
        return text_append(file,
                           "took(%s, ops->alloc_aligned(heap, (size_t)%" PRIu64
                           "u, (size_t)%" PRIu64 "u), (size_t)%" PRIu64 "u, (size_t)%" PRIu64 "u);",
                           s, bytes, align, bytes, align);
    }
    return text_append(file,
                       "took(%s, ops->alloc(heap, (size_t)%" PRIu64 "u), (size_t)%" PRIu64 "u, 1);",
                       s, bytes, bytes);
}

/* A run of ops as a loop, one op as it is; `number` is that of the first. */
static bool run_append(struct file_bytes *file, const struct op *op, struct op_run run,
                       uint32_t number) {
    char slot[16];
    if (run.count == 1) {
        (void)snprintf(slot, sizeof slot, "%" PRIu32, op->slot);
        return text_append(file, "    ") && op_append(file, op, slot) &&
               text_append(file, " /* op %" PRIu32 " */\n", number);
    }
    return text_append(file,
                       "    for (int n = 0, s = %" PRIu32 "; n < %zu; n++, s += %" PRId64
                       ") { /* ops %" PRIu32 " to %zu */\n        ",
                       op->slot, run.count, run.step, number, number + run.count - 1) &&
           op_append(file, op, "s") && text_append(file, "\n    }\n");
}

static bool extra_append(struct file_bytes *file, const struct script_extra *extra) {
    switch ((enum script_extra_kind)extra->kind) {
    case SCRIPT_REGION:
        return text_append(file,
                           "    (void)ops->add_region(heap, pool + %" PRId64 ", %" PRIu32 ");\n",
                           extra->offset, extra->bytes);
    case SCRIPT_REALLOC:
        return text_append(file,
                           "    assert(ops->realloc(heap, pool + %" PRId64 ", %" PRIu32
                           ") == NULL);\n    sound();\n",
                           extra->offset, extra->bytes);
    case SCRIPT_USABLE:
        return text_append(file, "    assert(ops->usable(heap, pool + %" PRId64 ") == 0);\n",
                           extra->offset);
    default:
        return text_append(
            file, "    assert(ops->free(heap, pool + %" PRId64 ") != ALLOC_OK);\n    sound();\n",
            extra->offset);
    }
}

/* As lines of a comment that they do not end. */
static void words_clean(const char *words, char *to, size_t room) {
    size_t count = 0;
    for (; *words != '\0' && count + 4 < room; words++) {
        bool ends = words[0] == '*' && words[1] == '/';
        count += (size_t)snprintf(to + count, room - count, *words == '\n' ? "\n * " : "%c",
                                  ends ? ' ' : *words);
    }
    to[count] = '\0';
}

bool script_encode_c(const struct script *script, const char *table, const char *words,
                     struct file_bytes *file, struct problem *problem) {
    const struct script_setup *setup = &script->setup;
    char clean[600];
    uint32_t slots = 1, extra = 0;
    for (uint32_t i = 0; i < script->op_count; i++) {
        slots = script->ops[i].slot >= slots ? script->ops[i].slot + 1 : slots;
    }
    words_clean(words, clean, sizeof clean);
    bool fits = text_append(file, preamble, clean, table, slots, setup->pool_bytes, setup->misalign,
                            table) &&
                file_bytes_append(file, helpers, sizeof helpers - 1) &&
                text_append(file,
                            "    const struct alloc_cfg cfg = {.block_bytes = %" PRIu32 "};\n"
                            "    memset(memory, 0xA5, sizeof memory);\n"
                            "    memset(pool, %s, POOL_BYTES);\n"
                            "    heap = ops->init(pool, POOL_BYTES, &cfg);\n"
                            "    assert(heap != NULL);\n"
                            "    size_t largest = ops->largest != NULL ? ops->largest(heap) : 0;\n",
                            setup->block_bytes, setup->dirt == ARENA_ZEROS ? "0" : "0xFF");
    for (uint32_t i = 0; fits && i <= script->op_count;) {
        for (; fits && extra < script->extra_count && script->extras[extra].after <= i; extra++) {
            fits = extra_append(file, &script->extras[extra]);
        }
        if (i == script->op_count) {
            break;
        }
        struct op_run run = script_run(script, i);
        fits = fits && run_append(file, &script->ops[i], run, i);
        i += (uint32_t)run.count;
    }
    fits = fits && file_bytes_append(file, ending, sizeof ending - 1);
    return fits || problem_set(problem, "script: no memory for its text");
}
