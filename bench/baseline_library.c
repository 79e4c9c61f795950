/* SPDX-License-Identifier: MIT
 *
 * baseline_library.c - libraries that offer the functions of malloc, under whatever names
 *
 * One adapter, one row per library. Libraries are opened with RTLD_LOCAL, so that this process's
 * own malloc stays what it was; jemalloc is linked in under other names
 * (tools/renamed_jemalloc.sh). The handle is the table of the library's functions:
 *
 *   ops->alloc(a, bytes) -> a->malloc(bytes)      one test of bytes and one indirect jump, what a
 *                                                 call into a shared library costs anyway
 *
 * A process has one heap per library, so the handles are static.
 */
#include "baseline.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct alloc {
    void *(*malloc)(size_t bytes);
    void *(*memalign)(size_t align, size_t bytes);
    void *(*realloc)(void *p, size_t bytes);
    void (*free)(void *p);
    size_t (*usable)(const void *p);
    /* All above are found by name in the library. */
    const struct library *library;
    void *handle;      /* of dlopen(); NULL: not opened */
    size_t own_before; /* bytes the program itself had live in the library at init() */
    bool tidied;       /* since init() */
};

enum { FUNCTIONS = 5 };
_Static_assert(offsetof(struct alloc, library) == FUNCTIONS * sizeof(void *),
               "functions_find() fills the functions one after the other");

struct library {
    const char *file;                 /* NULL: linked into this program */
    const char *option;               /* NULL, or an environment variable set to 1 for loading */
    const char *functions[FUNCTIONS]; /* in the order of struct alloc */
    void (*opened)(const struct alloc *a);         /* NULL, or what to do once after loading */
    void (*tidy)(const struct alloc *a);           /* gives unused memory back */
    size_t (*held)(const struct alloc *a);         /* bytes held from the system */
    size_t (*program_live)(const struct alloc *a); /* NULL: the program itself uses no such heap */
};

/* Puts the library's function of that name into the function pointer at `to`; NULL when it has
 * none. */
static bool symbol_find(const struct alloc *a, const char *name, void *to) {
    void *address = a->handle != NULL ? dlsym(a->handle, name) : NULL;
    memcpy(to, &address, sizeof address); /* ISO C has no cast from void * to a function */
    return address != NULL;
}

/* ---- what each library holds; a function that it lacks makes the figure 0 ---- */

/* glibc counts as its own what others took by sbrk since it last grew (tcmalloc does while it is
 * loaded). Makes it grow now, before anything is measured. */
static void glibc_opened(const struct alloc *a) {
    enum { BLOCKS = 64, BLOCK_BYTES = 64 << 10 }; /* small enough not to be mapped */
    void *blocks[BLOCKS];
    size_t count = 0;
    for (void *end = sbrk(0); count < BLOCKS && sbrk(0) == end; count++) {
        blocks[count] = a->malloc(BLOCK_BYTES);
    }
    while (count > 0) {
        a->free(blocks[--count]);
    }
}

static void glibc_tidy(const struct alloc *a) {
    int (*trim)(size_t);
    if (symbol_find(a, "malloc_trim", &trim)) {
        (void)trim(0);
    }
}

static struct mallinfo2 glibc_info(const struct alloc *a) {
    struct mallinfo2 (*info)(void);
    return symbol_find(a, "mallinfo2", &info) ? info() : (struct mallinfo2){0};
}

static size_t glibc_held(const struct alloc *a) {
    struct mallinfo2 info = glibc_info(a);
    return info.arena + info.hblkhd;
}

static size_t glibc_live(const struct alloc *a) {
    struct mallinfo2 info = glibc_info(a);
    return info.uordblks + info.hblkhd;
}

typedef int mallctl_fn(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);

static void jemalloc_tidy(const struct alloc *a) {
    mallctl_fn *mallctl;
    if (symbol_find(a, "jem_mallctl", &mallctl)) {
        (void)mallctl("thread.tcache.flush", NULL, NULL, NULL, 0);
        (void)mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* 4096: all arenas */
    }
}

static size_t jemalloc_held(const struct alloc *a) {
    mallctl_fn *mallctl;
    uint64_t epoch = 1;
    size_t resident = 0;
    size_t bytes = sizeof resident;
    if (!symbol_find(a, "jem_mallctl", &mallctl) ||
        mallctl("epoch", NULL, NULL, &epoch, sizeof epoch) != 0 ||
        mallctl("stats.resident", &resident, &bytes, NULL, 0) != 0) {
        return 0;
    }
    return resident;
}

static void mimalloc_tidy(const struct alloc *a) {
    void (*collect)(bool force);
    if (symbol_find(a, "mi_collect", &collect)) {
        collect(true);
    }
}

static size_t mimalloc_held(const struct alloc *a) {
    void (*merge)(void);
    void (*info)(size_t *, size_t *, size_t *, size_t *, size_t *, size_t *, size_t *, size_t *);
    size_t committed = 0;
    if (symbol_find(a, "mi_stats_merge", &merge) && symbol_find(a, "mi_process_info", &info)) {
        merge();
        info(NULL, NULL, NULL, NULL, NULL, &committed, NULL, NULL);
    }
    return committed;
}

static void tcmalloc_tidy(const struct alloc *a) {
    void (*release)(void);
    if (symbol_find(a, "MallocExtension_ReleaseFreeMemory", &release)) {
        release();
    }
}

static size_t tcmalloc_held(const struct alloc *a) {
    int (*get)(const char *property, size_t *value);
    size_t reserved = 0;
    size_t released = 0;
    if (!symbol_find(a, "MallocExtension_GetNumericProperty", &get) ||
        get("generic.heap_size", &reserved) == 0 ||
        get("tcmalloc.pageheap_unmapped_bytes", &released) == 0) {
        return 0;
    }
    return reserved - released;
}

/* ---- the rows ---- */

static const struct library glibc = {
    .file = "libc.so.6",
    .functions = {"malloc", "memalign", "realloc", "free", "malloc_usable_size"},
    .opened = glibc_opened,
    .tidy = glibc_tidy,
    .held = glibc_held,
    .program_live = glibc_live,
};
static const struct library jemalloc = {
    .functions = {"jem_malloc", "jem_memalign", "jem_realloc", "jem_free",
                  "jem_malloc_usable_size"},
    .tidy = jemalloc_tidy,
    .held = jemalloc_held,
};
static const struct library mimalloc = {
    .file = "libmimalloc.so.2",
    .functions = {"mi_malloc", "mi_memalign", "mi_realloc", "mi_free", "mi_usable_size"},
    .tidy = mimalloc_tidy,
    .held = mimalloc_held,
};
static const struct library tcmalloc = {
    .file = "libtcmalloc_minimal.so.4",
    .option = "TCMALLOC_SKIP_SBRK", /* glibc would count what tcmalloc took by sbrk as its own */
    .functions = {"tc_malloc", "tc_memalign", "tc_realloc", "tc_free", "tc_malloc_size"},
    .tidy = tcmalloc_tidy,
    .held = tcmalloc_held,
};

/* ---- the adapter ---- */

/* There under a sanitizer only: what a library leaks while it is loaded is not ours to report. */
__attribute__((weak)) void __lsan_disable(void);
__attribute__((weak)) void __lsan_enable(void);

static void *library_load(const struct library *library) {
    bool set = library->option != NULL && getenv(library->option) == NULL;
    if (set) {
        (void)setenv(library->option, "1", 0);
    }
    if (__lsan_disable != NULL) {
        __lsan_disable();
    }
    void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL);
    if (__lsan_enable != NULL) {
        __lsan_enable();
    }
    if (set) {
        (void)unsetenv(library->option);
    }
    return handle;
}

static bool heap_open(struct alloc *a, const struct library *library) {
    if (a->handle != NULL) {
        return true;
    }
    a->library = library;
    a->handle = library_load(library);
    for (size_t i = 0; i < FUNCTIONS; i++) {
        if (!symbol_find(a, library->functions[i], (char *)a + i * sizeof(void *))) {
            if (a->handle != NULL) {
                (void)dlclose(a->handle);
                a->handle = NULL;
            }
            return false;
        }
    }
    if (library->opened != NULL) {
        library->opened(a);
    }
    return true;
}

static struct alloc *heap_begin(struct alloc *a) {
    a->own_before = a->library->program_live != NULL ? a->library->program_live(a) : 0;
    a->tidied = false;
    return a;
}

static void *library_alloc(struct alloc *a, size_t bytes) {
    return bytes != 0 ? a->malloc(bytes) : NULL;
}

static void *library_alloc_aligned(struct alloc *a, size_t bytes, size_t align) {
    if (bytes == 0 || align == 0 || (align & (align - 1)) != 0) {
        return NULL;
    }
    return align <= ALLOC_ALIGN ? a->malloc(bytes) : a->memalign(align, bytes);
}

static void *library_realloc(struct alloc *a, void *p, size_t bytes) {
    if (bytes == 0) {
        a->free(p);
        return NULL;
    }
    return a->realloc(p, bytes);
}

static enum alloc_status library_free(struct alloc *a, void *p) {
    a->free(p);
    return ALLOC_OK;
}

static size_t library_usable(const struct alloc *a, const void *p) {
    return a->usable(p);
}

static void library_stats(const struct alloc *a, struct alloc_stats *out) {
    struct alloc *heap = (struct alloc *)a; /* static and never const */
    if (!heap->tidied) {
        a->library->tidy(a);
        heap->tidied = true;
    }
    size_t held = a->library->held(a);
    *out = (struct alloc_stats){.pool_bytes = held > a->own_before ? held - a->own_before : 0};
}

#define BASELINE(id, text)                                                                         \
    static struct alloc id##_heap;                                                                 \
    static struct alloc *id##_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {   \
        (void)pool;                                                                                \
        (void)pool_bytes;                                                                          \
        (void)cfg;                                                                                 \
        return heap_begin(&id##_heap);                                                             \
    }                                                                                              \
    const struct alloc_ops *baseline_##id(void) {                                                  \
        static const struct alloc_ops ops = {                                                      \
            .abi = ALLOC_ABI,                                                                      \
            .caps = ALLOC_CAP_FREES | ALLOC_CAP_POOLLESS | ALLOC_CAP_THREADS,                      \
            .name = #id,                                                                           \
            .summary = text,                                                                       \
            .init = id##_init,                                                                     \
            .alloc = library_alloc,                                                                \
            .alloc_aligned = library_alloc_aligned,                                                \
            .realloc = library_realloc,                                                            \
            .free = library_free,                                                                  \
            .usable = library_usable,                                                              \
            .stats = library_stats,                                                                \
        };                                                                                         \
        return heap_open(&id##_heap, &id) ? &ops : NULL;                                           \
    }

BASELINE(glibc, "the C library's malloc, as programs meet it")
BASELINE(jemalloc, "jemalloc with its defaults, memory from the system")
BASELINE(mimalloc, "mimalloc with its defaults, memory from the system")
BASELINE(tcmalloc, "tcmalloc of gperftools with its defaults, memory from the system")
