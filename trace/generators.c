/* SPDX-License-Identifier: MIT
 *
 * generators.c - the list, the spec, and what gen_*.c are written with
 *
 * Random numbers are splitmix64 (Steele, Lea, Flood 2014): add a constant, mix. A number below n is
 * the upper half of a 32 by 32 bit product; its bias, under n / 2^32, does not matter here.
 */
#include "generators.h"

#include "file_bytes.h"
#include "names.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct generator {
    struct trace_builder *builder;
    uint64_t random;
    uint64_t next_key;
    size_t ops;
    size_t room;
    uint16_t thread;
    bool out_of_memory;
};

#define G(name, ops, summary) void gen_##name(struct generator *g);
#include "generator_list.h"
#undef G

static const struct generator_info infos[] = {
#define G(name, ops, summary) {#name, summary, ops},
#include "generator_list.h"
#undef G
};

static void (*const bodies[])(struct generator *g) = {
#define G(name, ops, summary) gen_##name,
#include "generator_list.h"
#undef G
};

enum { GENERATOR_COUNT = sizeof infos / sizeof infos[0], OPS_LEAST = 10 };
static const char prefix[] = "gen:";

const struct generator_info *generators_list(size_t *count) {
    *count = GENERATOR_COUNT;
    return infos;
}

size_t generator_room(const struct generator *g) {
    return g->room;
}

size_t generator_ops(const struct generator *g) {
    return g->ops;
}

uint32_t generator_below(struct generator *g, uint64_t limit) {
    assert(limit > 0 && limit <= (uint64_t)1 << 32);
    g->random += 0x9E3779B97F4A7C15u;
    uint64_t mixed = g->random;
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EBu;
    mixed ^= mixed >> 31;
    return (uint32_t)(((mixed >> 32) * limit) >> 32);
}

uint32_t generator_between(struct generator *g, uint32_t least, uint32_t most) {
    assert(least <= most);
    return least + generator_below(g, (uint64_t)most - least + 1);
}

void generator_thread(struct generator *g, uint16_t thread) {
    g->thread = thread;
}

static void push_check(struct generator *g, enum trace_push push) {
    assert(push == TRACE_PUSH_OK || push == TRACE_PUSH_FULL);
    if (push == TRACE_PUSH_FULL) {
        g->out_of_memory = true;
        g->room = 0;
    }
}

uint64_t generator_alloc(struct generator *g, uint64_t bytes) {
    if (g->room == 0) {
        return g->next_key;
    }
    g->room--;
    push_check(g, trace_builder_alloc(g->builder, g->next_key, OP_ALLOC, bytes, 0, g->thread));
    return g->next_key++;
}

void generator_realloc(struct generator *g, uint64_t key, uint64_t bytes) {
    if (g->room > 0) {
        g->room--;
        push_check(g, trace_builder_realloc(g->builder, key, key, bytes, g->thread));
    }
}

void generator_free(struct generator *g, uint64_t key) {
    if (g->room > 0) {
        g->room--;
        push_check(g, trace_builder_dispose(g->builder, key, g->thread));
    }
}

void *generator_memory(struct generator *g, size_t count, size_t item_bytes) {
    void *memory = calloc(count, item_bytes);
    g->out_of_memory |= memory == NULL;
    return memory;
}

bool generators_spec(const char *text) {
    return strncmp(text, prefix, sizeof prefix - 1) == 0;
}

/* Reads `:NUMBER` at *text, if there is one, and moves behind it. */
static bool spec_number(const char **text, uint64_t *number) {
    if (**text == '\0') {
        return true;
    }
    if (**text != ':' || (*text)[1] < '0' || (*text)[1] > '9') {
        return false;
    }
    bool hex = (*text)[1] == '0' && ((*text)[2] == 'x' || (*text)[2] == 'X');
    char *end;
    errno = 0;
    unsigned long long value = strtoull(*text + 1, &end, hex ? 16 : 10);
    *number = value;
    *text = end;
    return errno == 0;
}

static const char *info_name(const void *table, size_t index) {
    const struct generator_info *known = table;
    return index < GENERATOR_COUNT ? known[index].name : NULL;
}

/* name: the part of spec that is unknown. */
static bool name_unknown(const char *spec, const char *name, struct problem *problem) {
    const char *nearest = name_nearest(name, infos, info_name);
    return problem_set(problem,
                       "%s: unknown generator, expected one that `heaprig list` shows%s%s%s", spec,
                       nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                       nearest != NULL ? "'?" : "");
}

/* What a spec says. */
struct spec {
    size_t index;
    uint64_t seed;
    uint64_t ops;
};

static bool spec_parse(const char *text, struct spec *spec, struct problem *problem) {
    const char *name = text + sizeof prefix - 1;
    size_t length = strcspn(name, ":");
    for (spec->index = 0; spec->index < GENERATOR_COUNT; spec->index++) {
        const char *known = infos[spec->index].name;
        if (strlen(known) == length && memcmp(known, name, length) == 0) {
            break;
        }
    }
    if (spec->index == GENERATOR_COUNT) {
        char unknown[64];
        (void)snprintf(unknown, sizeof unknown, "%.*s", (int)length, name);
        return name_unknown(text, unknown, problem);
    }
    spec->seed = 1;
    spec->ops = infos[spec->index].default_ops;
    const char *rest = name + length;
    if (!spec_number(&rest, &spec->seed) || !spec_number(&rest, &spec->ops) || *rest != '\0') {
        return problem_set(problem, "%s: bad number, expected gen:NAME[:SEED[:OPS]]", text);
    }
    if (spec->ops < OPS_LEAST || spec->ops > TRACE_OPS_MAX) {
        return problem_set(problem, "%s: %" PRIu64 " ops, expected %d to %zu", text, spec->ops,
                           OPS_LEAST, TRACE_OPS_MAX);
    }
    return true;
}

bool generators_run(const char *spec, struct trace *out, struct problem *problem) {
    struct spec parsed;
    if (!spec_parse(spec, &parsed, problem)) {
        return false;
    }
    struct generator g = {.builder = trace_builder_new(),
                          .random = parsed.seed,
                          .ops = (size_t)parsed.ops,
                          .room = (size_t)parsed.ops};
    g.out_of_memory = g.builder == NULL;
    if (!g.out_of_memory) {
        bodies[parsed.index](&g);
    }
    bool made = !g.out_of_memory && trace_builder_take(g.builder, out, spec, problem);
    trace_builder_free(g.builder);
    if (!made) {
        trace_release(out);
        return problem_set(problem, "%s: no memory for %" PRIu64 " ops", spec, parsed.ops);
    }
    (void)snprintf(out->name, sizeof out->name, "%s", infos[parsed.index].name);
    (void)snprintf(out->origin, sizeof out->origin, "gen:%s:%" PRIu64 ":%" PRIu64,
                   infos[parsed.index].name, parsed.seed, parsed.ops);
    file_bytes_sha256(out->ops, out->op_count * sizeof *out->ops, out->sha256);
    return true;
}
