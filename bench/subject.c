/* SPDX-License-Identifier: MIT
 * subject.c - names in two lists, decorators in a third, paths by dlopen. */
#include "subject.h"

#include "decorator.h"

#include "../trace/names.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define X(name) const struct alloc_ops *baseline_##name(void);
#include "baseline_list.h"
#undef X

struct baseline {
    const char *name;
    const struct alloc_ops *(*find)(void);
};

static const struct baseline baselines[] = {
#define X(name) {#name, baseline_##name},
#include "baseline_list.h"
#undef X
    {NULL, NULL}, /* ends the list, which may be empty */
};

bool subject_at(size_t index, struct subject *out) {
    size_t own_count;
    const struct alloc_ops *const *own = alloc_registry(&own_count);
    if (index < own_count) {
        *out = (struct subject){.name = own[index]->name, .ops = own[index]};
        return true;
    }
    const struct baseline *baseline = baselines;
    for (size_t i = own_count; i < index && baseline->name != NULL; i++) {
        baseline++;
    }
    if (baseline->name == NULL) {
        return false;
    }
    *out = (struct subject){.name = baseline->name, .ops = baseline->find(), .baseline = true};
    return true;
}

static const char *subject_name(const void *table, size_t index) {
    (void)table;
    struct subject subject;
    return subject_at(index, &subject) ? subject.name : NULL;
}

static const struct alloc_ops *name_find(const char *name, struct problem *problem) {
    struct subject subject;
    for (size_t i = 0; subject_at(i, &subject); i++) {
        if (strcmp(subject.name, name) == 0) {
            if (subject.ops == NULL) {
                problem_set(problem, "%s: not installed on this machine, expected its library",
                            name);
            }
            return subject.ops;
        }
    }
    const char *nearest = name_nearest(name, NULL, subject_name);
    problem_set(problem,
                "unknown allocator '%s', expected a name that `heaprig list` shows or the path of "
                "a plug-in%s%s%s",
                name, nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                nearest != NULL ? "'?" : "");
    return NULL;
}

/* What is wrong with a plug-in's table, or NULL. Only the abi may be read before it is known. */
static const char *table_fault(const struct alloc_ops *ops) {
    if (ops->name == NULL || ops->name[0] == '\0' ||
        ops->name[strspn(ops->name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0') {
        return "its name is missing or odd, expected [a-z0-9_]+";
    }
    if (ops->init == NULL || ops->alloc == NULL || ops->free == NULL || ops->usable == NULL) {
        return "init, alloc, free or usable is missing, expected all four";
    }
    return NULL;
}

static const struct alloc_ops *plugin_find(const char *path, struct problem *problem) {
    if (access(path, R_OK) != 0) {
        problem_set(problem, "%s: no such file, expected a plug-in", path);
        return NULL;
    }
    char local[4096]; /* a bare name would be looked for in the system's libraries */
    int length = snprintf(local, sizeof local, "%s%s", strchr(path, '/') ? "" : "./", path);
    void *library =
        length > 0 && (size_t)length < sizeof local ? dlopen(local, RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library == NULL) {
        const char *reason = dlerror();
        problem_set(problem, "%s: not loadable, expected a shared object for this machine (%s)",
                    path, reason != NULL ? reason : "path too long");
        return NULL;
    }
    const struct alloc_ops *ops = dlsym(library, "heaprig_allocator");
    if (ops == NULL) {
        problem_set(problem, "%s: no plug-in, expected it to export heaprig_allocator", path);
    } else if (ops->abi != ALLOC_ABI) {
        problem_set(problem, "%s: built for ABI %u, expected %u", path, (unsigned)ops->abi,
                    (unsigned)ALLOC_ABI);
    } else if (table_fault(ops) != NULL) {
        problem_set(problem, "%s: %s", path, table_fault(ops));
    } else {
        return ops;
    }
    dlclose(library);
    return NULL;
}

bool subject_is_plugin(const char *name_or_path) {
    size_t length = strlen(name_or_path);
    return strchr(name_or_path, '/') != NULL ||
           (length > 3 && strcmp(name_or_path + length - 3, ".so") == 0);
}

static const struct alloc_ops *plain_find(const char *name_or_path, struct problem *problem) {
    return subject_is_plugin(name_or_path) ? plugin_find(name_or_path, problem)
                                           : name_find(name_or_path, problem);
}

/* ---- decorators ---- */

static const struct subject_decorator decorators[] = {
#define D(name, summary) {#name, summary},
#include "decorator_list.h"
#undef D
};

static decorate_fn *const decorator_bodies[] = {
#define D(name, summary) decorate_##name,
#include "decorator_list.h"
#undef D
};

enum { DECORATOR_COUNT = sizeof decorators / sizeof decorators[0] };

/* The allocators decorated so far, each in the slot of its index. */
static struct decorated {
    size_t decorator;
    const struct alloc_ops *inner;
    struct alloc_ops ops;
    char name[64];
} decorated[DECORATOR_SLOT_MAX];
static unsigned decorated_count;

bool subject_decorator_at(size_t index, struct subject_decorator *out) {
    if (index >= DECORATOR_COUNT) {
        return false;
    }
    *out = decorators[index];
    return true;
}

static const char *decorator_name(const void *table, size_t index) {
    (void)table;
    return index < DECORATOR_COUNT ? decorators[index].name : NULL;
}

/* DECORATOR_COUNT and *problem when there is none of that name; `whole` is what the user wrote. */
static size_t decorator_find(const char *name, const char *whole, struct problem *problem) {
    for (size_t i = 0; i < DECORATOR_COUNT; i++) {
        if (strcmp(decorators[i].name, name) == 0) {
            return i;
        }
    }
    const char *nearest = name_nearest(name, NULL, decorator_name);
    (void)problem_set(problem,
                      "%s: unknown decorator '%s', expected one that `heaprig list` shows%s%s%s",
                      whole, name, nearest != NULL ? "; did you mean '" : "",
                      nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    return DECORATOR_COUNT;
}

static const struct alloc_ops *decorate(size_t decorator, const struct alloc_ops *inner,
                                        struct problem *problem) {
    for (unsigned i = 0; i < decorated_count; i++) {
        if (decorated[i].decorator == decorator && decorated[i].inner == inner) {
            return &decorated[i].ops;
        }
    }
    if (decorated_count == DECORATOR_SLOT_MAX) {
        (void)problem_set(problem, "%s:%s: too many, expected at most %u decorated allocators",
                          decorators[decorator].name, inner->name, DECORATOR_SLOT_MAX);
        return NULL;
    }
    struct decorated *slot = &decorated[decorated_count];
    struct problem reason;
    *slot = (struct decorated){.decorator = decorator, .inner = inner};
    int length =
        snprintf(slot->name, sizeof slot->name, "%s:%s", decorators[decorator].name, inner->name);
    if (length < 0 || (size_t)length >= sizeof slot->name) {
        (void)problem_set(problem, "%s:%s: name too long", decorators[decorator].name, inner->name);
        return NULL;
    }
    if (!decorator_bodies[decorator](inner, decorated_count, &slot->ops, &reason)) {
        (void)problem_set(problem, "%s: %.400s", slot->name, reason.text);
        return NULL;
    }
    slot->ops.name = slot->name;
    if (slot->ops.summary == NULL) {
        slot->ops.summary = inner->summary;
    }
    decorated_count++;
    return &slot->ops;
}

const struct alloc_ops *subject_find(const char *name_or_path, struct problem *problem) {
    size_t length = strcspn(name_or_path, ":/");
    char name[64];
    if (name_or_path[length] != ':' || length >= sizeof name) {
        return plain_find(name_or_path, problem);
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)length, name_or_path);
    size_t decorator = decorator_find(name, name_or_path, problem);
    if (decorator == DECORATOR_COUNT) {
        return NULL;
    }
    const struct alloc_ops *inner = subject_find(name_or_path + length + 1, problem);
    return inner == NULL ? NULL : decorate(decorator, inner, problem);
}
