/* SPDX-License-Identifier: MIT
 *
 * record_reader.c - recorded streams become traces
 *
 * Records stand in an order in which no address is live twice, with one exception. A realloc that
 * moves gives its old address back before its record is placed, so another thread may be seen to
 * get an address that is still live:
 *
 *     thread 1   began     realloc(A) -> B ............ place [realloc A -> B]
 *     thread 2                     malloc() -> A   place [alloc A]         <- A is live here
 *
 * Then the realloc is in flight: it began before the allocation is placed, and is placed after it.
 * No other record of A is, for nobody else owned A when it began. So that realloc is taken first,
 * which is what happened. (DJ Delorie's converter holds the allocation back instead, and must guess
 * which later records are of it.) Without such a realloc the free of A was not seen, and is put in.
 */
#include "record_reader.h"

#include "record_stream.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a stream as it lies in its file ---- */

struct stream {
    const struct record_stream *header;
    struct record *records;
    uint32_t count;
    size_t map_bytes;
};

static void stream_close(struct stream *stream) {
    munmap((void *)(uintptr_t)stream->header, stream->map_bytes);
}

/* Maps the used part of a file as a private copy. True with a NULL header: there is no stream in
 * it. */
static bool stream_map(int file, const char *path, struct stream *stream, struct problem *problem) {
    struct record_stream header;
    *stream = (struct stream){.header = NULL};
    struct stat status;
    if (fstat(file, &status) != 0) {
        return problem_set(problem, "%s: %s", path, strerror(errno));
    }
    ssize_t got = pread(file, &header, sizeof header, 0);
    if (got >= 0 && (status.st_size == 0 || header.magic == 0)) {
        return true;
    }
    if (got != sizeof header || header.magic != RECORD_MAGIC) {
        return problem_set(problem, "%s: not a recorded stream, expected its magic number", path);
    }
    uint32_t records = atomic_load(&header.records);
    uint32_t next = atomic_load(&header.next);
    stream->count = next < records ? next : records;
    uint64_t bytes = RECORD_HEADER_BYTES + (uint64_t)stream->count * sizeof(struct record);
    if (bytes > (uint64_t)status.st_size || bytes > SIZE_MAX) {
        return problem_set(problem, "%s: %lld bytes, expected %llu for %u records", path,
                           (long long)status.st_size, (unsigned long long)bytes, stream->count);
    }
    void *map = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    if (map == MAP_FAILED) {
        return problem_set(problem, "%s: %s", path, strerror(errno));
    }
    stream->header = map;
    stream->records = (struct record *)(void *)((char *)map + RECORD_HEADER_BYTES);
    stream->map_bytes = (size_t)bytes;
    return true;
}

static bool stream_open(const char *path, struct stream *stream, struct problem *problem) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return problem_set(problem, "%s: %s", path, strerror(errno));
    }
    bool opened = stream_map(file, path, stream, problem);
    close(file);
    return opened;
}

/* ---- the list of images ---- */

/* Copies a text of a stream, which may lack its end. */
static void text_copy(char *out, size_t out_bytes, const char *text, size_t text_bytes) {
    size_t length = strnlen(text, text_bytes);
    length = length < out_bytes ? length : out_bytes - 1;
    memcpy(out, text, length);
    out[length] = '\0';
}

static void image_describe(struct record_image *image, const struct stream *stream) {
    const struct record_stream *header = stream->header;
    image->started_ns = header->started_ns;
    image->records = stream->count;
    image->lost_children = atomic_load((_Atomic uint32_t *)(uintptr_t)&header->lost_children);
    image->pointer_bits = header->pointer_bits == 32 ? 32 : 64;
    image->forked = header->forked != 0;
    image->full = atomic_load((_Atomic uint32_t *)(uintptr_t)&header->next) >=
                  atomic_load((_Atomic uint32_t *)(uintptr_t)&header->records);
    text_copy(image->arch, sizeof image->arch, header->arch, sizeof header->arch);
    text_copy(image->command, sizeof image->command, header->command, sizeof header->command);
    const char *blank = strchrnul(image->command, ' ');
    const char *name = image->command;
    for (const char *at = image->command; at < blank; at++) {
        name = *at == '/' ? at + 1 : name;
    }
    text_copy(image->name, sizeof image->name, name, (size_t)(blank - name));
}

static int image_order(const void *left, const void *right) {
    const struct record_image *a = left;
    const struct record_image *b = right;
    if (a->started_ns != b->started_ns) {
        return a->started_ns < b->started_ns ? -1 : 1;
    }
    return a->pid != b->pid ? (a->pid < b->pid ? -1 : 1) : (int)a->image - (int)b->image;
}

/* Adds the stream of one file to the list, if there is one in it. */
static bool image_add(struct record_image **images, size_t *count, const char *folder,
                      const char *file, struct problem *problem) {
    struct record_image image = {.records = 0};
    int end = 0;
    if (sscanf(file, "%u.%u%n", &image.pid, &image.image, &end) != 2 || file[end] != '\0') {
        return true;
    }
    if (snprintf(image.path, sizeof image.path, "%s/%s", folder, file) >= (int)sizeof image.path) {
        return problem_set(problem, "%s: path too long", folder);
    }
    struct stream stream;
    if (!stream_open(image.path, &stream, problem)) {
        return false;
    }
    if (stream.header == NULL) {
        return true;
    }
    image_describe(&image, &stream);
    stream_close(&stream);
    struct record_image *grown = realloc(*images, (*count + 1) * sizeof *grown);
    if (grown == NULL) {
        return problem_set(problem, "%s: out of memory", folder);
    }
    grown[(*count)++] = image;
    *images = grown;
    return true;
}

bool record_reader_list(const char *folder, struct record_image **images, size_t *count,
                        struct problem *problem) {
    *images = NULL;
    *count = 0;
    DIR *stream_folder = opendir(folder);
    if (stream_folder == NULL) {
        return problem_set(problem, "%s: %s", folder, strerror(errno));
    }
    bool fine = true;
    const struct dirent *entry;
    while (fine && (errno = 0, entry = readdir(stream_folder)) != NULL) {
        fine = image_add(images, count, folder, entry->d_name, problem);
    }
    if (fine && errno != 0) {
        fine = problem_set(problem, "%s: %s", folder, strerror(errno));
    }
    closedir(stream_folder);
    if (!fine) {
        free(*images);
        *images = NULL;
        *count = 0;
        return false;
    }
    if (*count > 0) {
        qsort(*images, *count, sizeof **images, image_order);
    }
    return true;
}

/* ---- records become ops ---- */

/* Kind of a record in our copy whose op was added. */
enum { RECORD_TAKEN = RECORD_KIND_COUNT };

/* A record that vacated its old address at some time between two places. */
struct flight {
    uint32_t began;
    uint32_t place;
};

struct merge {
    struct record *records;
    uint32_t record_count;
    struct trace_builder *builder;
    struct record_notes *notes;
    size_t ops, ops_max;
    struct flight *flights; /* in order of beginning */
    size_t flight_count;
    size_t flight_first; /* all before it are placed */
};

static unsigned record_kind(const struct record *record) {
    return atomic_load_explicit((_Atomic uint8_t *)(uintptr_t)&record->kind, memory_order_acquire);
}

static enum trace_push merge_count(struct merge *merge, enum trace_push push) {
    merge->ops += push == TRACE_PUSH_OK;
    return push;
}

static enum trace_push merge_alloc(struct merge *merge, const struct record *r, enum op_kind kind) {
    uint8_t align_log2 = kind == OP_ALIGNED ? r->align_log2 : 0;
    return merge_count(merge, trace_builder_alloc(merge->builder, r->block, kind, r->bytes,
                                                  align_log2, r->thread));
}

/* A block from before the recording that grows or moves is, for the trace, a new one. */
static enum trace_push merge_realloc(struct merge *merge, const struct record *r) {
    uint64_t bytes = r->bytes != 0 ? r->bytes : 1;
    enum trace_push push = merge_count(
        merge, trace_builder_realloc(merge->builder, r->old_block, r->block, bytes, r->thread));
    if (push == TRACE_PUSH_DEAD) {
        push = merge_alloc(merge, r, OP_ALLOC);
        merge->notes->unknown_frees += push == TRACE_PUSH_OK;
    }
    return push;
}

/* Adds the op of a record. TRACE_PUSH_LIVE: its address is not vacated yet, nothing was added. */
static enum trace_push merge_apply(struct merge *merge, const struct record *record) {
    enum trace_push push;
    switch (record_kind(record)) {
    case RECORD_ALLOC:
        return merge_alloc(merge, record, OP_ALLOC);
    case RECORD_CALLOC:
        return merge_alloc(merge, record, OP_CALLOC);
    case RECORD_ALIGNED:
        return merge_alloc(merge, record, OP_ALIGNED);
    case RECORD_REALLOC:
        return merge_realloc(merge, record);
    default:
        push = merge_count(
            merge, trace_builder_dispose(merge->builder, record->old_block, record->thread));
        merge->notes->unknown_frees += push == TRACE_PUSH_DEAD;
        return push == TRACE_PUSH_DEAD ? TRACE_PUSH_OK : push;
    }
}

static int flight_order(const void *left, const void *right) {
    const struct flight *a = left;
    const struct flight *b = right;
    return a->began != b->began ? (a->began < b->began ? -1 : 1) : 0;
}

static bool record_flies(const struct record *record, uint32_t place) {
    return record->old_block != 0 && record->old_block != record->block && record->began < place;
}

/* Lists the flights; a program with one thread has none. False when memory is out. */
static bool flights_find(struct merge *merge) {
    size_t count = 0;
    for (uint32_t i = 0; i < merge->record_count; i++) {
        count += record_flies(&merge->records[i], i);
    }
    merge->flights = malloc((count + 1) * sizeof *merge->flights);
    if (merge->flights == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < merge->record_count && merge->flight_count < count; i++) {
        if (record_flies(&merge->records[i], i)) {
            merge->flights[merge->flight_count++] = (struct flight){merge->records[i].began, i};
        }
    }
    qsort(merge->flights, merge->flight_count, sizeof *merge->flights, flight_order);
    return true;
}

/* The record in flight at a place that vacates an address, or NULL. */
static struct record *flight_from(struct merge *merge, uint64_t address, uint32_t place) {
    while (merge->flight_first < merge->flight_count &&
           merge->flights[merge->flight_first].place <= place) {
        merge->flight_first++;
    }
    for (size_t i = merge->flight_first;
         i < merge->flight_count && merge->flights[i].began <= place; i++) {
        struct record *record = &merge->records[merge->flights[i].place];
        if (merge->flights[i].place > place && record->old_block == address &&
            record_kind(record) != RECORD_TAKEN) {
            return record;
        }
    }
    return NULL;
}

/* Adds the op of a record at a place; before it the one in flight that vacated its address, or the
 * free that was not seen. Takes each record once, so chains of flights end. */
static enum trace_push merge_record(struct merge *merge, struct record *record, uint32_t place) {
    struct record what = *record;
    atomic_store(&record->kind, RECORD_TAKEN);
    enum trace_push push = merge_apply(merge, &what);
    while (push == TRACE_PUSH_LIVE) {
        struct record *flight = flight_from(merge, what.block, place);
        if (flight != NULL) {
            merge->notes->inversions++;
            push = merge_record(merge, flight, place);
        } else {
            merge->notes->missed_frees++;
            push =
                merge_count(merge, trace_builder_dispose(merge->builder, what.block, what.thread));
        }
        push = push == TRACE_PUSH_FULL ? push : merge_apply(merge, &what);
    }
    return push;
}

static bool record_is_sound(const struct record *record, const char *path, uint32_t place,
                            struct problem *problem) {
    unsigned kind = record_kind(record);
    if (kind >= RECORD_KIND_COUNT) {
        return problem_set(problem, "%s: record %u: kind %u, expected below %u", path, place, kind,
                           (unsigned)RECORD_KIND_COUNT);
    }
    if (record->align_log2 > 63) {
        return problem_set(problem, "%s: record %u: alignment 2^%u, expected at most 2^63", path,
                           place, record->align_log2);
    }
    bool gives = kind != RECORD_FREE && kind != RECORD_FAILED && kind != RECORD_NONE;
    bool takes = kind == RECORD_REALLOC || kind == RECORD_FREE;
    if ((gives && record->block == 0) || (takes && record->old_block == 0)) {
        return problem_set(problem, "%s: record %u: no address, expected one", path, place);
    }
    return true;
}

static bool records_are_sound(const struct stream *stream, const char *path,
                              struct problem *problem) {
    for (uint32_t i = 0; i < stream->count; i++) {
        if (!record_is_sound(&stream->records[i], path, i, problem)) {
            return false;
        }
    }
    return true;
}

static void merge_records(struct merge *merge) {
    uint32_t place = 0;
    bool room = true;
    while (place < merge->record_count && room && merge->ops < merge->ops_max) {
        struct record *record = &merge->records[place];
        unsigned kind = record_kind(record);
        merge->notes->unfilled += kind == RECORD_NONE;
        merge->notes->failed += kind == RECORD_FAILED;
        if (kind != RECORD_NONE && kind != RECORD_FAILED && kind != RECORD_TAKEN) {
            room = merge_record(merge, record, place) == TRACE_PUSH_OK;
        }
        place += room;
    }
    merge->notes->left_out = merge->record_count - place;
}

static bool merge_take(struct merge *merge, const struct record_image *image, struct trace *out,
                       struct problem *problem) {
    if (!trace_builder_take(merge->builder, out, image->path, problem)) {
        return false;
    }
    snprintf(out->origin, sizeof out->origin, "recorded by heaprig");
    text_copy(out->command, sizeof out->command, image->command, sizeof image->command);
    text_copy(out->arch, sizeof out->arch, image->arch, sizeof image->arch);
    out->pointer_bits = image->pointer_bits;
    /* One record can bring several ops when others must go before it. */
    return out->op_count <= merge->ops_max || trace_slice(out, 0, merge->ops_max, problem);
}

bool record_reader_load(const struct record_image *image, size_t max_ops, struct trace *out,
                        struct record_notes *notes, struct problem *problem) {
    *notes = (struct record_notes){.failed = 0};
    struct stream stream;
    if (!stream_open(image->path, &stream, problem)) {
        return false;
    }
    if (stream.header == NULL) {
        return problem_set(problem, "%s: empty, expected a recorded stream", image->path);
    }
    struct merge merge = {.records = stream.records,
                          .record_count = stream.count,
                          .builder = trace_builder_new(),
                          .notes = notes,
                          .ops_max = max_ops};
    bool fine = records_are_sound(&stream, image->path, problem);
    if (fine && (merge.builder == NULL || !flights_find(&merge))) {
        fine = problem_set(problem, "%s: out of memory", image->path);
    }
    if (fine) {
        merge_records(&merge);
        fine = merge_take(&merge, image, out, problem);
    }
    trace_builder_free(merge.builder);
    free(merge.flights);
    stream_close(&stream);
    return fine;
}
