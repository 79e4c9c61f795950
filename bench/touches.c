/* SPDX-License-Identifier: MIT
 *
 * touches.c - see touches.h: what code compiled with -fsanitize=thread calls
 *
 * The names are gcc's (its libsanitizer/tsan/tsan_interface.h). A hook looks whether the touch is
 * one that only has to be counted. Others are handed over at once if there are such, else through a
 * buffer, when it is full.
 */
#include "touches.h"

#include "subject.h"

#include <assert.h>
#include <string.h>

static struct {
    uintptr_t base;
    size_t bytes; /* 0: nothing is watched */
    touches_fn *see;
    void *ctx;
    struct touch *at; /* in kept[]: where the next one goes */
} watch;
struct touches_watched touches_watched;
static struct touch kept[TOUCHES_ROOM];

/* When nothing is quiet. */
static const uint8_t none[((size_t)TOUCH_BYTES >> TOUCH_PAGE_LOG) + 1];
static const struct touches_quiet nothing_quiet = {.map = {none, none}};

void touches_pass(void) {
    size_t count = watch.bytes > 0 ? (size_t)(watch.at - kept) : 0;
    if (count > 0) {
        watch.at = kept;
        watch.see(watch.ctx, kept, count);
    }
}

void touches_watch(const void *pool, size_t bytes, touches_fn *see, void *ctx) {
    assert(bytes <= TOUCH_BYTES);
    watch.base = (uintptr_t)pool;
    watch.bytes = bytes;
    watch.see = see;
    watch.ctx = ctx;
    watch.at = kept;
    touches_watched = (struct touches_watched){.quiet = nothing_quiet};
}

void touches_quieten(const struct touches_quiet *quiet) {
    touches_pass();
    touches_watched.quiet = *quiet;
}

void touches_unwatch(void) {
    watch.bytes = 0;
}

void touches_keep(struct touch touch) {
    const struct touches_quiet *quiet = &touches_watched.quiet;
    if (quiet->see != NULL) {
        quiet->count[(touch.bytes & TOUCH_APPLICATION) != 0][touch.offset >> TOUCH_PAGE_LOG]++;
        quiet->see(watch.ctx, touch);
        return;
    }
    *watch.at++ = touch;
    if (__builtin_expect(watch.at == kept + TOUCHES_ROOM, 0)) {
        touches_pass();
    }
}

/* A touch by the allocator that has to be looked at. */
static __attribute__((noinline)) void touch(const void *address, size_t bytes, uint32_t store) {
    uintptr_t offset = (uintptr_t)address - watch.base;
    if (__builtin_expect(offset < watch.bytes, 1)) {
        touches_watched.others++;
        touches_keep((struct touch){(uint32_t)offset, (uint32_t)bytes | store});
    }
}

/* One of 1, 2, 4, 8 or 16 bytes. */
static inline __attribute__((always_inline)) void touch_power(const void *address, size_t bytes,
                                                              uint32_t store) {
    uintptr_t offset = (uintptr_t)address - watch.base;
    if (__builtin_expect(offset >= watch.bytes, 0) ||
        __builtin_expect(offset % bytes != 0, 0) || /* it may be in two pages */
        !touches_hush(offset >> TOUCH_PAGE_LOG, (bytes + 3) / 4, store != 0, false)) {
        touch(address, bytes, store);
    }
}

/* A run may be empty. */
static void touch_run(const void *address, size_t bytes, uint32_t store) {
    uintptr_t offset = (uintptr_t)address - watch.base;
    uintptr_t page = offset >> TOUCH_PAGE_LOG;
    if (bytes > 0 && (offset >= watch.bytes || (offset + bytes - 1) >> TOUCH_PAGE_LOG != page ||
                      !touches_hush(page, (offset % 4 + bytes + 3) / 4, store != 0, false))) {
        touch(address, bytes, store);
    }
}

/* ---- what instrumented code calls; under ThreadSanitizer these names are its own ---- */

#if !defined(__SANITIZE_THREAD__)
#define HOOK(name, bytes, store)                                                                   \
    void __tsan_##name(const void *p);                                                             \
    void __tsan_##name(const void *p) {                                                            \
        touch_power(p, bytes, store);                                                              \
    }
#define HOOKS(bytes)                                                                               \
    HOOK(read##bytes, bytes, 0)                                                                    \
    HOOK(write##bytes, bytes, TOUCH_STORE)                                                         \
    HOOK(unaligned_read##bytes, bytes, 0)                                                          \
    HOOK(unaligned_write##bytes, bytes, TOUCH_STORE)                                               \
    HOOK(volatile_read##bytes, bytes, 0)                                                           \
    HOOK(volatile_write##bytes, bytes, TOUCH_STORE)                                                \
    HOOK(unaligned_volatile_read##bytes, bytes, 0)                                                 \
    HOOK(unaligned_volatile_write##bytes, bytes, TOUCH_STORE)
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read_range(const void *p, size_t bytes);
void __tsan_read_range(const void *p, size_t bytes) {
    touch_run(p, bytes, 0);
}

void __tsan_write_range(const void *p, size_t bytes);
void __tsan_write_range(const void *p, size_t bytes) {
    touch_run(p, bytes, TOUCH_STORE);
}

void __tsan_init(void);
void __tsan_init(void) {
}

void __tsan_func_entry(const void *caller);
void __tsan_func_entry(const void *caller) {
    (void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void) {
}
#endif

/* ---- the memory functions of instrumented code, renamed as `ld --wrap` does ---- */

void *__wrap_memcpy(void *to, const void *from, size_t bytes);
void *__wrap_memcpy(void *to, const void *from, size_t bytes) {
    touch_run(from, bytes, 0);
    touch_run(to, bytes, TOUCH_STORE);
    return memcpy(to, from, bytes);
}

void *__wrap_memmove(void *to, const void *from, size_t bytes);
void *__wrap_memmove(void *to, const void *from, size_t bytes) {
    touch_run(from, bytes, 0);
    touch_run(to, bytes, TOUCH_STORE);
    return memmove(to, from, bytes);
}

void *__wrap_memset(void *to, int value, size_t bytes);
void *__wrap_memset(void *to, int value, size_t bytes) {
    touch_run(to, bytes, TOUCH_STORE);
    return memset(to, value, bytes);
}

int __wrap_memcmp(const void *a, const void *b, size_t bytes);
int __wrap_memcmp(const void *a, const void *b, size_t bytes) {
    touch_run(a, bytes, 0);
    touch_run(b, bytes, 0);
    return memcmp(a, b, bytes);
}

/* ---- the second build ---- */

const struct alloc_ops *touched_subject_find(const char *name_or_path, struct problem *problem);

const struct alloc_ops *touches_build(const struct alloc_ops *ops) {
    struct problem problem;
    bool named = subject_find(ops->name, &problem) == ops; /* a plug-in's name finds nothing */
    const struct alloc_ops *touched = named ? touched_subject_find(ops->name, &problem) : NULL;
    return touched != NULL ? touched : ops;
}

const char *touches_absent(void) {
#if defined(__clang__)
    return "the allocators were built by clang, whose instrumentation leaves loads out";
#elif defined(__SANITIZE_THREAD__)
    return "ThreadSanitizer takes the hooks";
#else
    return NULL;
#endif
}

const char *touches_compiler(void) {
#if defined(__x86_64__)
#define MACHINE "x86_64"
#elif defined(__arm__)
#define MACHINE "armv7"
#else
#define MACHINE "another machine"
#endif
#if defined(__clang__)
    return __VERSION__ ", " MACHINE;
#else
    return "gcc " __VERSION__ ", " MACHINE;
#endif
}
