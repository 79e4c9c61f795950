/* SPDX-License-Identifier: MIT
 *
 * record_preload.c - writes down what a program asks of malloc and its family
 *
 * Loaded into the program by LD_PRELOAD; `heaprig record` sets the environment and reads the
 * streams afterwards (record_stream.h has the format and why nothing is lost).
 *
 *     program --> malloc() here --> the malloc that would have been called --> place a record
 *     program --> free()   here --> place a record --> the real free
 *
 * Processes: a page that the kernel wipes in forked children tells one process from the next, so
 * fork, clone and whatever a library calls are all noticed, at the price of one load. A vforked
 * child shares its parent's memory and so, rightly, its stream. Exec loads this library anew.
 *
 * Start: the first call comes from the dynamic linker, before any thread exists, so nothing here
 * needs a lock. While the real functions are looked up, the look-up's own requests are served from
 * a static arena (early_arena.h) and not recorded. What the linker allocates before the C library
 * knows the environment is not recorded either; its frees are counted as unknown.
 *
 * What it does not see: programs linked statically, allocators called by names of their own, and
 * operator new where an allocator library brings its own.
 */
#include "early_arena.h"
#include "record_stream.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define EXPORT            __attribute__((visibility("default")))
#define LIKELY(condition) __builtin_expect((condition), 1)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#if defined(__x86_64__)
#define ARCH_NAME "x86_64"
#elif defined(__i386__)
#define ARCH_NAME "i386"
#elif defined(__aarch64__)
#define ARCH_NAME "aarch64"
#elif defined(__arm__) && __ARM_ARCH >= 7
#define ARCH_NAME "armv7l"
#elif defined(__arm__)
#define ARCH_NAME "arm"
#elif defined(__riscv) && __riscv_xlen == 64
#define ARCH_NAME "riscv64"
#elif defined(__riscv)
#define ARCH_NAME "riscv32"
#else
#define ARCH_NAME ""
#endif

enum {
    CHUNK_RECORDS = 4096, /* made writable at a time, one chunk ahead: 128 KiB */
    FILE_NAME_BYTES = 32, /* room for /PID.IMAGE */
    THREAD_LAST = UINT16_MAX
};

/* The sparse file is mapped whole, so a 32-bit program gives up 256 MiB of its addresses. */
static const uint32_t records_default = sizeof(void *) >= 8 ? 1u << 28 : 1u << 23;

/* ---- the real functions ---- */

#define REAL_FUNCTIONS(X)                                                                          \
    X(malloc, void *, (size_t))                                                                    \
    X(calloc, void *, (size_t, size_t))                                                            \
    X(realloc, void *, (void *, size_t))                                                           \
    X(posix_memalign, int, (void **, size_t, size_t))                                              \
    X(aligned_alloc, void *, (size_t, size_t))                                                     \
    X(memalign, void *, (size_t, size_t))                                                          \
    X(valloc, void *, (size_t))                                                                    \
    X(pvalloc, void *, (size_t))                                                                   \
    X(free, void, (void *))

static struct {
#define X(name, result, arguments) result(*name) arguments;
    REAL_FUNCTIONS(X)
#undef X
    bool looking_up;
} real;

/* True once all are known; false only inside the look-up itself. */
static bool real_find(void) {
    if (real.looking_up) {
        return false;
    }
    real.looking_up = true;
#define X(name, result, arguments) *(void **)(&real.name) = dlsym(RTLD_NEXT, #name);
    REAL_FUNCTIONS(X)
#undef X
    real.looking_up = false;
    return true;
}

static inline bool real_known(void) {
    return LIKELY(real.free != NULL) || real_find();
}

/* ---- the stream of this process ---- */

static struct {
    volatile uint32_t *begun; /* 0 in a process that has no stream yet; wiped by fork */
    struct record_stream *stream;
    size_t map_bytes;
    uint32_t records_wanted;
    char folder[PATH_MAX - FILE_NAME_BYTES];
} process;

static _Thread_local uint32_t thread_place __attribute__((tls_model("initial-exec")));

/* In the child of a fork by the C library: does by hand what wiping the page has done already, but
 * on old kernels and under qemu's user emulator, which takes the advice and ignores it. */
static void process_forget(void) {
    if (process.stream != NULL && process.stream->pid != (uint32_t)getpid()) {
        *process.begun = 0;
    }
}

/* Remembers the environment, which the program may clear, and makes the page that fork wipes.
 * False: nothing is recorded, now or (when the environment is known) ever. */
static bool process_prepare(void) {
    static bool refused;
    if (refused || environ == NULL) {
        return false;
    }
    const char *folder = getenv(RECORD_FOLDER_VARIABLE);
    const char *records = getenv(RECORD_RECORDS_VARIABLE);
    void *page = MAP_FAILED;
    if (folder != NULL && strlen(folder) < sizeof process.folder) {
        page = mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (page == MAP_FAILED) {
        refused = true;
        return false;
    }
    strcpy(process.folder, folder);
    unsigned long wanted = records != NULL ? strtoul(records, NULL, 10) : records_default;
    wanted = wanted < RECORD_RECORDS_MIN ? RECORD_RECORDS_MIN : wanted;
    process.records_wanted = wanted > records_default ? records_default : (uint32_t)wanted;
    process.begun = page;
    madvise(page, 1, MADV_WIPEONFORK);
    pthread_atfork(NULL, NULL, process_forget);
    return true;
}

static size_t stream_bytes(uint32_t records) {
    return RECORD_HEADER_BYTES + (size_t)records * sizeof(struct record);
}

/* Takes the disk space of a part of the map before it is needed. False when there is none: so a
 * full disk ends the recording, and is not met as a SIGBUS in the program. Kernels before 5.14
 * cannot tell and leave it to chance. */
static bool map_populate(void *part, size_t bytes) {
    int saved = errno;
    bool done = madvise(part, bytes, MADV_POPULATE_WRITE) == 0 || errno == EINVAL;
    errno = saved;
    return done;
}

static void chunk_populate(struct record_stream *stream, uint32_t first) {
    uint32_t records = atomic_load_explicit(&stream->records, memory_order_relaxed);
    if (first < records) {
        uint32_t count = records - first < CHUNK_RECORDS ? records - first : CHUNK_RECORDS;
        if (!map_populate((char *)stream + stream_bytes(first), count * sizeof(struct record))) {
            atomic_store(&stream->records, first);
        }
    }
}

/* Opens PID.0, or the first PID.IMAGE that does not exist: images follow each other by exec. */
static int stream_create(void) {
    char path[PATH_MAX];
    for (int image = 0; image < INT_MAX; image++) {
        snprintf(path, sizeof path, "%s/%ld.%d", process.folder, (long)getpid(), image);
        int descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (descriptor >= 0 || errno != EEXIST) {
            return descriptor;
        }
    }
    return -1;
}

/* Maps as many records as address space and file size limits allow. */
static struct record_stream *stream_map(int descriptor, uint32_t *records) {
    struct rlimit limit;
    bool limited = getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    for (*records = process.records_wanted; *records >= RECORD_RECORDS_MIN; *records /= 2) {
        size_t bytes = stream_bytes(*records);
        if ((limited && bytes > limit.rlim_cur) || ftruncate(descriptor, (off_t)bytes) != 0) {
            continue;
        }
        void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
        if (map != MAP_FAILED && map_populate(map, RECORD_HEADER_BYTES)) {
            return map;
        }
        if (map != MAP_FAILED) {
            munmap(map, bytes);
        }
    }
    return NULL;
}

static void stream_describe(struct record_stream *stream, bool forked) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    stream->started_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    stream->pointer_bits = CHAR_BIT * sizeof(void *);
    stream->pid = (uint32_t)getpid();
    stream->forked = forked;
    memcpy(stream->arch, ARCH_NAME, sizeof ARCH_NAME);
    int descriptor = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0) {
        ssize_t length = read(descriptor, stream->command, sizeof stream->command - 1);
        for (ssize_t i = 0; i + 1 < length; i++) {
            stream->command[i] = stream->command[i] == '\0' ? ' ' : stream->command[i];
        }
        close(descriptor);
    }
}

/* Begins the stream of a process: after exec, or in a forked child, whose only thread runs this. */
static struct record_stream *stream_begin(void) {
    if (process.begun == NULL && !process_prepare()) {
        return NULL;
    }
    *process.begun = 1;
    struct record_stream *parents = process.stream;
    size_t parents_bytes = process.map_bytes;
    process.stream = NULL;
    uint32_t records = 0;
    int descriptor = stream_create();
    struct record_stream *stream = descriptor >= 0 ? stream_map(descriptor, &records) : NULL;
    if (descriptor >= 0) {
        close(descriptor);
    }
    if (stream != NULL) {
        stream_describe(stream, parents != NULL);
        atomic_store(&stream->records, records);
        atomic_store(&stream->threads, 1);
        chunk_populate(stream, 0);
        stream->magic = RECORD_MAGIC;
        thread_place = 1;
        process.map_bytes = stream_bytes(records);
        process.stream = stream;
    } else if (parents != NULL) {
        atomic_fetch_add(&parents->lost_children, 1);
    }
    if (parents != NULL) {
        munmap(parents, parents_bytes);
    }
    return stream;
}

static struct record_stream *stream_begin_keeping_errno(void) {
    int saved = errno;
    struct record_stream *stream = stream_begin();
    errno = saved;
    return stream;
}

static inline struct record_stream *stream_now(void) {
    return LIKELY(process.begun != NULL && *process.begun != 0) ? process.stream
                                                                : stream_begin_keeping_errno();
}

/* A thread's number, plus one so that 0 can mean none yet. */
static inline uint32_t thread_number(struct record_stream *stream) {
    if (thread_place == 0) {
        thread_place = atomic_fetch_add(&stream->threads, 1) + 1;
    }
    return thread_place - 1 < THREAD_LAST ? thread_place - 1 : THREAD_LAST;
}

static void record_place(struct record what, enum record_kind kind) {
    struct record_stream *stream = stream_now();
    if (stream == NULL) {
        return;
    }
    uint32_t records = atomic_load_explicit(&stream->records, memory_order_relaxed);
    if (atomic_load_explicit(&stream->next, memory_order_relaxed) >= records) {
        return; /* full: `next` must not run on and wrap */
    }
    uint32_t place = atomic_fetch_add(&stream->next, 1);
    if (place >= records) {
        return;
    }
    if (place % CHUNK_RECORDS == 0) {
        chunk_populate(stream, place + CHUNK_RECORDS);
    }
    struct record *record = (struct record *)((char *)stream + RECORD_HEADER_BYTES) + place;
    record->bytes = what.bytes;
    record->old_block = what.old_block;
    record->block = what.block;
    record->began = what.began;
    record->thread = (uint16_t)thread_number(stream);
    record->align_log2 = what.align_log2;
    atomic_store_explicit(&record->kind, (uint8_t)kind, memory_order_release);
}

/* A request that got `block`, or NULL. */
static void *record_request(void *block, size_t bytes, enum record_kind kind, size_t align) {
    /* An alignment that is no power of two is rounded up, as C libraries do: 24 -> 32 -> 5. */
    unsigned log2 = align <= 1 ? 0
                               : (unsigned)(CHAR_BIT * sizeof(long)) -
                                     (unsigned)__builtin_clzl((unsigned long)align - 1);
    record_place(
        (struct record){.bytes = bytes, .block = (uintptr_t)block, .align_log2 = (uint8_t)log2},
        block != NULL ? kind : RECORD_FAILED);
    return block;
}

static void record_free(void *block) {
    record_place((struct record){.old_block = (uintptr_t)block, .began = UINT32_MAX}, RECORD_FREE);
}

/* What the record of a call that begins now says of its beginning. */
static uint32_t record_beginning(void) {
    struct record_stream *stream = stream_now();
    return stream != NULL ? atomic_load_explicit(&stream->next, memory_order_relaxed) : 0;
}

__attribute__((constructor)) static void recorder_load(void) {
    real_known();
    stream_now();
}

/* ---- what the program calls ---- */

EXPORT void *malloc(size_t bytes) {
    if (!real_known()) {
        return early_alloc(bytes);
    }
    return record_request(real.malloc(bytes), bytes, RECORD_ALLOC, 0);
}

EXPORT void *calloc(size_t count, size_t bytes) {
    size_t product;
    bool overflow = __builtin_mul_overflow(count, bytes, &product);
    if (!real_known()) {
        return early_alloc(overflow ? SIZE_MAX : product); /* never used before, so zero */
    }
    return record_request(real.calloc(count, bytes), overflow ? SIZE_MAX : product, RECORD_CALLOC,
                          0);
}

EXPORT void free(void *block) {
    if (block == NULL || early_owns(block) || !real_known()) {
        return;
    }
    record_free(block);
    real.free(block);
}

/* Moves a block of the look-up's arena into the real heap. */
static void *early_move(void *block, size_t bytes) {
    size_t old_bytes = early_bytes(block);
    void *moved = malloc(bytes);
    return moved == NULL ? NULL : memcpy(moved, block, old_bytes < bytes ? old_bytes : bytes);
}

EXPORT void *realloc(void *old_block, size_t bytes) {
    if (old_block == NULL) {
        return malloc(bytes);
    }
    if (early_owns(old_block) || !real_known()) {
        return early_move(old_block, bytes);
    }
    struct record what = {
        .bytes = bytes, .old_block = (uintptr_t)old_block, .began = record_beginning()};
    void *block = real.realloc(old_block, bytes);
    what.block = (uintptr_t)block;
    record_place(what, block != NULL ? RECORD_REALLOC : bytes == 0 ? RECORD_FREE : RECORD_FAILED);
    return block;
}

EXPORT void *reallocarray(void *old_block, size_t count, size_t bytes) {
    size_t product;
    if (__builtin_mul_overflow(count, bytes, &product)) {
        errno = ENOMEM;
        return record_request(NULL, SIZE_MAX, RECORD_ALLOC, 0);
    }
    return realloc(old_block, product);
}

EXPORT int posix_memalign(void **out, size_t align, size_t bytes) {
    if (!real_known()) {
        return ENOMEM;
    }
    int status = real.posix_memalign(out, align, bytes);
    record_request(status == 0 ? *out : NULL, bytes, RECORD_ALIGNED, align);
    return status;
}

EXPORT void *aligned_alloc(size_t align, size_t bytes) {
    return real_known()
               ? record_request(real.aligned_alloc(align, bytes), bytes, RECORD_ALIGNED, align)
               : NULL;
}

EXPORT void *memalign(size_t align, size_t bytes) {
    return real_known() ? record_request(real.memalign(align, bytes), bytes, RECORD_ALIGNED, align)
                        : NULL;
}

static size_t page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

EXPORT void *valloc(size_t bytes) {
    return real_known() ? record_request(real.valloc(bytes), bytes, RECORD_ALIGNED, page_bytes())
                        : NULL;
}

EXPORT void *pvalloc(size_t bytes) {
    size_t page = page_bytes();
    size_t whole = bytes > SIZE_MAX - page ? SIZE_MAX : (bytes + page - 1) / page * page;
    return real_known() ? record_request(real.pvalloc(bytes), whole, RECORD_ALIGNED, page) : NULL;
}
