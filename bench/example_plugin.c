/* SPDX-License-Identifier: MIT
 * example_plugin.c - a complete plug-in: a stack; only the block handed out last is given back. */
#include "../alloc/alloc.h"
struct alloc { /* at the start of the pool; 8 bytes before each payload hold its size */
    char *top, *end;
};
static struct alloc *stack_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    struct alloc *a = (void *)(((uintptr_t)pool + 7) & ~(uintptr_t)7);
    if ((void)cfg, pool == NULL || pool_bytes < 7 + sizeof *a + 16) {
        return NULL;
    }
    *a = (struct alloc){(char *)(a + 1), (char *)(((uintptr_t)pool + pool_bytes) & ~(uintptr_t)7)};
    return a;
}
static void *stack_alloc(struct alloc *a, size_t bytes) {
    if (bytes == 0 || a->top == a->end || bytes > (size_t)(a->end - a->top) - 8) {
        return NULL;
    }
    *(uint64_t *)(void *)a->top = (bytes + 7) & ~(size_t)7;
    void *payload = a->top + 8;
    a->top += 8 + *(uint64_t *)(void *)a->top;
    return payload;
}
static size_t stack_usable(const struct alloc *a, const void *p) {
    return (void)a, (size_t)((const uint64_t *)p)[-1];
}
static enum alloc_status stack_free(struct alloc *a, void *p) {
    a->top = p != NULL && (char *)p + stack_usable(a, p) == a->top ? (char *)p - 8 : a->top;
    return ALLOC_OK;
}
const struct alloc_ops heaprig_allocator = {
    .abi = ALLOC_ABI,
    .name = "stack",
    .summary = "example plug-in: gives back only what was handed out last",
    .init = stack_init,
    .alloc = stack_alloc,
    .free = stack_free,
    .usable = stack_usable,
};
