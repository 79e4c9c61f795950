/* SPDX-License-Identifier: MIT
 *
 * malloc_preload.c - one of heaprig's allocators as the malloc of a program
 *
 * Loaded into the program by LD_PRELOAD; `heaprig run` sets the environment (malloc_pool.h names
 * the variables). Children inherit it, and have a pool each after an exec.
 *
 *     malloc, free, realloc   --> the allocator, one thread at a time        the short way
 *           | NULL, odd, not of the pool, figures wanted
 *           v
 *     *_slowly                --> the start, malloc_pool.h, errno, figures, misuse
 *
 * The short way is taken once everything is ready: until then, and for ever while figures are
 * wanted, its functions refuse and its range of addresses is empty, so that it needs no test.
 *
 * Start: at the first call, when no thread exists yet. Looking up a plug-in calls malloc; that is
 * served from the early arena, and so is what comes before the C library knows the environment.
 *
 * Misuse that the allocator notices ends the program with a line.
 */
#include "malloc_lock.h"
#include "malloc_pool.h"

#include "../alloc/locked.h"
#include "../trace/early_arena.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define EXPORT          __attribute__((visibility("default")))
#define UNLIKELY(wrong) __builtin_expect((wrong), 0)
#define SLOW            static __attribute__((noinline, cold))

enum { DESCRIPTOR_LEAST = 200 /* out of the way of the program's own */ };

static enum { NOT_STARTED, STARTING, STARTED } state;
static struct malloc_pool pool;

static inline bool pool_owns(const void *p) {
    return (uintptr_t)p - pool.start < pool.bytes;
}

/* ---- the short way ---- */

static void *refuse_alloc(struct alloc *a, size_t bytes) {
    (void)a;
    (void)bytes;
    return NULL;
}

static void *refuse_realloc(struct alloc *a, void *p, size_t bytes) {
    (void)a;
    (void)p;
    (void)bytes;
    return NULL;
}

static size_t refuse_usable(const struct alloc *a, const void *p) {
    (void)a;
    (void)p;
    return 0;
}

/* usable() is asked without the lock, of own allocators: theirs writes nothing, and of a live
 * block's size nothing changes while its neighbours do. A moment at which they do not confirm the
 * block makes it 0, and then the lock is taken. */
static struct alloc_ops short_ops = {
    .alloc = refuse_alloc, .realloc = refuse_realloc, .usable = refuse_usable};
static uintptr_t short_start;
static size_t short_bytes;

static inline bool short_owns(const void *p) {
    return (uintptr_t)p - short_start < short_bytes;
}

LOCKED_DEFINE(short, short_ops, malloc_lock, malloc_unlock)

/* ---- figures ---- */

static struct {
    bool wanted;
    int descriptor; /* some programs close their stderr before they end */
    uint64_t allocs, reallocs, frees, failures;
    size_t live_bytes, peak_bytes; /* usable ones */
} figures;

/* The block p was handed out, or not. */
static void figures_add(void *p) {
    if (!figures.wanted) {
        return;
    }
    if (p == NULL) {
        figures.failures++;
        return;
    }
    size_t usable = pool.ops->usable(pool.a, p);
    figures.live_bytes += usable;
    figures.peak_bytes =
        figures.live_bytes > figures.peak_bytes ? figures.live_bytes : figures.peak_bytes;
}

/* Bytes of memory that the pool's pages take: none was ever given back. */
static size_t figures_touched(void) {
    unsigned char in_memory[4096];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t step = page * sizeof in_memory;
    size_t touched = 0;
    for (size_t at = 0; at < pool.bytes; at += step) {
        size_t bytes = pool.bytes - at < step ? pool.bytes - at : step;
        if (mincore((void *)(pool.start + at), bytes, in_memory) != 0) {
            return touched;
        }
        for (size_t i = 0; i < (bytes + page - 1) / page; i++) {
            touched += (in_memory[i] & 1) * page;
        }
    }
    return touched;
}

/* ---- lines on stderr ---- */

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Names the process, and is one write() without a buffer of the C library's. */
static void say(const char *format, ...) {
    char line[512];
    int named =
        snprintf(line, 100, "heaprig: %s[%ld]: ", program_invocation_short_name, (long)getpid());
    size_t length = named < 0 ? 0 : named < 100 ? (size_t)named : 99;
    va_list arguments;
    va_start(arguments, format);
    int said = vsnprintf(line + length, sizeof line - length - 1, format, arguments);
    va_end(arguments);
    length += said < 0 ? 0 : (size_t)said;
    length = length < sizeof line - 1 ? length : sizeof line - 2;
    line[length] = '\n';
    if (figures.descriptor == 0 || write(figures.descriptor, line, length + 1) < 0) {
        ssize_t written = write(STDERR_FILENO, line, length + 1);
        (void)written;
    }
}

SLOW _Noreturn void misuse_end(const char *function, const void *p, enum alloc_status status) {
    const char *what = !pool_owns(p)                ? "is no memory of this malloc's"
                       : status == ALLOC_MISALIGNED ? "is misaligned, no block starts there"
                                                    : "is free already, or no block starts there";
    say("%s(%p): %s (%s)", function, p, what, pool.ops != NULL ? pool.ops->name : "at the start");
    abort();
}

__attribute__((destructor)) static void figures_say(void) {
    if (!figures.wanted || state != STARTED) {
        return;
    }
    size_t touched = figures_touched();
    malloc_lock_take_mutex();
    say("%s: peak live %zu B (usable), high water %zu B (pages of the pool that were touched), "
        "%" PRIu64 " calls: %" PRIu64 " alloc, %" PRIu64 " realloc, %" PRIu64 " free; %" PRIu64
        " failed",
        pool.ops->name, figures.peak_bytes, touched,
        figures.allocs + figures.reallocs + figures.frees, figures.allocs, figures.reallocs,
        figures.frees, figures.failures);
    malloc_lock_give_mutex();
}

/* ---- the start ---- */

/* As getenv(), which some programs replace by one of their own. */
static const char *variable(const char *name) {
    size_t length = strlen(name);
    for (char **entry = environ; *entry != NULL; entry++) {
        if (strncmp(*entry, name, length) == 0 && (*entry)[length] == '=') {
            return *entry + length + 1;
        }
    }
    return NULL;
}

/* `heaprig run` has tried it all before and said what is wrong; here it is a child's surprise. */
static _Noreturn void start_end(const char *what, const char *why) {
    say("%s: %s", what, why);
    _exit(2);
}

static const struct alloc_ops *ops_find(const char *name) {
    if (strchr(name, '/') == NULL) {
        const struct alloc_ops *own = alloc_find(name);
        return own != NULL ? own : (start_end(name, "unknown allocator"), NULL);
    }
    void *plugin = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    const struct alloc_ops *ops = plugin != NULL ? dlsym(plugin, "heaprig_allocator") : NULL;
    if (ops == NULL || ops->abi != ALLOC_ABI) {
        const char *reason = dlerror();
        start_end(name, reason != NULL ? reason : "no plug-in of this ABI");
    }
    return ops;
}

static void start(void) {
    state = STARTING;
    int saved = errno;
    const char *name = variable(MALLOC_NAME_VARIABLE);
    const char *bytes = variable(MALLOC_POOL_VARIABLE);
    struct problem problem;
    if (name == NULL) {
        start_end(MALLOC_NAME_VARIABLE, "not set, expected the name of an allocator");
    }
    const struct alloc_ops *ops = ops_find(name);
    size_t most = bytes != NULL ? strtoul(bytes, NULL, 10) : (size_t)ALLOC_POOL_MAX;
    if (!malloc_pool_open(&pool, ops, most, &problem)) {
        start_end(name, problem.text);
    }
    figures.wanted = variable(MALLOC_STATS_VARIABLE) != NULL;
    if (figures.wanted) {
        figures.descriptor = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, DESCRIPTOR_LEAST);
    } else {
        short_ops.alloc = pool.odd ? refuse_alloc : ops->alloc;
        short_ops.realloc = pool.odd || ops->realloc == NULL ? refuse_realloc : ops->realloc;
        short_ops.free = ops->free;
        short_ops.usable = alloc_find(ops->name) == ops ? ops->usable : refuse_usable;
        short_start = pool.start;
        short_bytes = pool.bytes;
    }
    malloc_lock_start();
    /* Nobody else is in the heap while a process is copied. Other handlers may still call malloc:
     * being the first to register, this one is prepared last and done first. */
    pthread_atfork(malloc_lock_take_mutex, malloc_lock_give_mutex, malloc_lock_in_child);
    errno = saved;
    state = STARTED;
}

static bool is_ready(void) {
    if (UNLIKELY(state == NOT_STARTED && environ != NULL)) {
        start();
    }
    return state == STARTED;
}

__attribute__((constructor)) static void malloc_load(void) {
    (void)is_ready();
}

/* ---- the long way ---- */

static void *result(void *p) {
    if (p == NULL) {
        errno = ENOMEM;
    }
    return p;
}

/* Serves a request that the short way refused (p NULL) or served at an odd place. */
SLOW void *alloc_slowly(void *odd, size_t bytes, size_t align) {
    if (!is_ready()) {
        return align <= EARLY_ALIGN ? early_alloc(bytes) : NULL;
    }
    uint32_t key = malloc_lock(pool.a);
    if (odd != NULL) {
        malloc_pool_wedge(&pool, odd);
    }
    void *p = malloc_pool_alloc_aligned(&pool, bytes, align);
    figures.allocs++;
    figures_add(p);
    malloc_unlock(pool.a, key);
    return result(p);
}

SLOW void free_slowly(void *p) {
    if (p == NULL || early_owns(p)) {
        return;
    }
    if (!is_ready() || !pool_owns(p)) {
        misuse_end("free", p, ALLOC_FOREIGN);
    }
    uint32_t key = malloc_lock(pool.a);
    figures.frees++;
    figures.live_bytes -= figures.wanted ? pool.ops->usable(pool.a, p) : 0;
    enum alloc_status status = pool.ops->free(pool.a, p);
    malloc_unlock(pool.a, key);
    if (status != ALLOC_OK) {
        misuse_end("free", p, status);
    }
}

/* The short way refused; or `here` is where it left the block, at an odd place. */
SLOW void *realloc_slowly(void *p, void *here, size_t bytes) {
    if (early_owns(p)) {
        void *moved = alloc_slowly(NULL, bytes, 1);
        size_t held = early_bytes(p);
        return moved != NULL ? memcpy(moved, p, held < bytes ? held : bytes) : NULL;
    }
    if (!is_ready() || !pool_owns(p)) {
        misuse_end("realloc", p, ALLOC_FOREIGN);
    }
    p = here != NULL ? here : p;
    uint32_t key = malloc_lock(pool.a);
    size_t held = pool.ops->usable(pool.a, p);
    void *moved = held != 0 ? malloc_pool_realloc(&pool, p, bytes) : NULL;
    figures.reallocs++;
    figures.live_bytes -= moved != NULL ? held : 0;
    figures_add(moved);
    malloc_unlock(pool.a, key);
    if (held == 0) {
        misuse_end("realloc", p, ALLOC_NOT_LIVE);
    }
    return result(moved);
}

SLOW size_t usable_slowly(void *p) {
    if (p == NULL || early_owns(p)) {
        return p == NULL ? 0 : early_bytes(p);
    }
    if (!is_ready() || !pool_owns(p)) {
        misuse_end("malloc_usable_size", p, ALLOC_FOREIGN);
    }
    uint32_t key = malloc_lock(pool.a);
    size_t usable = pool.ops->usable(pool.a, p);
    malloc_unlock(pool.a, key);
    if (usable == 0) {
        misuse_end("malloc_usable_size", p, ALLOC_NOT_LIVE);
    }
    return usable;
}

/* ---- what the program calls ---- */

static inline void *alloc_bytes(size_t bytes) {
    size_t request = malloc_pool_request(&pool, bytes);
    if (UNLIKELY(request < bytes)) {
        return alloc_slowly(NULL, bytes, 1);
    }
    void *p = short_alloc(pool.a, request);
    bool is_odd = malloc_pool_is_odd(p);
    return UNLIKELY(p == NULL || is_odd) ? alloc_slowly(p, bytes, 1) : p;
}

static void *alloc_aligned(size_t align, size_t bytes) {
    return align <= MALLOC_ALIGN ? alloc_bytes(bytes) : alloc_slowly(NULL, bytes, align);
}

EXPORT void *malloc(size_t bytes) {
    return alloc_bytes(bytes);
}

EXPORT void free(void *p) {
    if (UNLIKELY(!short_owns(p))) {
        free_slowly(p);
        return;
    }
    enum alloc_status status = short_free(pool.a, p);
    if (UNLIKELY(status != ALLOC_OK)) {
        misuse_end("free", p, status);
    }
}

EXPORT void *calloc(size_t count, size_t bytes) {
    size_t product;
    if (__builtin_mul_overflow(count, bytes, &product)) {
        return result(NULL);
    }
    void *p = alloc_bytes(product);
    if (p != NULL) {
        malloc_pool_zero(p, product);
    }
    return p;
}

EXPORT void *realloc(void *p, size_t bytes) {
    if (p == NULL) {
        return alloc_bytes(bytes);
    }
    if (bytes == 0) {
        free(p);
        return NULL;
    }
    size_t request = malloc_pool_request(&pool, bytes);
    if (UNLIKELY(!short_owns(p) || request < bytes)) {
        return realloc_slowly(p, NULL, bytes);
    }
    void *here = short_realloc(pool.a, p, request);
    bool is_odd = malloc_pool_is_odd(here);
    return UNLIKELY(here == NULL || is_odd) ? realloc_slowly(p, here, bytes) : here;
}

EXPORT void *reallocarray(void *p, size_t count, size_t bytes) {
    size_t product;
    return __builtin_mul_overflow(count, bytes, &product) ? result(NULL) : realloc(p, product);
}

EXPORT int posix_memalign(void **out, size_t align, size_t bytes) {
    if (align < sizeof(void *) || (align & (align - 1)) != 0) {
        return EINVAL;
    }
    int saved = errno;
    void *p = alloc_aligned(align, bytes);
    errno = saved;
    *out = p != NULL ? p : *out;
    return p != NULL ? 0 : ENOMEM;
}

/* An alignment that is no power of two is rounded up, as the C library does. */
EXPORT void *memalign(size_t align, size_t bytes) {
    size_t power = MALLOC_ALIGN;
    while (power < align && power <= SIZE_MAX / 2) {
        power *= 2;
    }
    if (power < align) {
        errno = EINVAL;
        return NULL;
    }
    return alloc_aligned(power, bytes);
}

EXPORT void *aligned_alloc(size_t align, size_t bytes) {
    return memalign(align, bytes);
}

EXPORT void *valloc(size_t bytes) {
    return alloc_aligned((size_t)sysconf(_SC_PAGESIZE), bytes);
}

EXPORT void *pvalloc(size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (bytes > SIZE_MAX - page) {
        return result(NULL);
    }
    return alloc_aligned(page, (bytes + page - 1) / page * page);
}

EXPORT size_t malloc_usable_size(void *p) {
    size_t usable = short_owns(p) ? short_ops.usable(pool.a, p) : 0;
    return UNLIKELY(usable == 0) ? usable_slowly(p) : usable;
}
