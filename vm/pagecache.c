/* SPDX-License-Identifier: MIT
 *
 * pagecache.c - pages of host files kept in frames
 */
#include "pagecache.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONTENTS_MORE = 16 };

enum vm_status pagecache_open(struct pagecache *cache, struct phys *phys, struct lru *lru) {
    uint32_t buckets = 64;
    struct phys_usage usage;
    phys_usage(phys, &usage);
    while (buckets < usage.total) {
        buckets *= 2;
    }
    *cache = (struct pagecache){.phys = phys, .lru = lru, .bucket_mask = buckets - 1};
    cache->bucket = malloc(buckets * sizeof(cache->bucket[0]));
    if (cache->bucket == NULL) {
        return VM_NO_MEMORY;
    }
    memset(cache->bucket, 0xFF, buckets * sizeof(cache->bucket[0]));
    return VM_OK;
}

void pagecache_close(struct pagecache *cache) {
    assert(cache->pages == 0);
    free(cache->bucket);
    free(cache->contents);
    *cache = (struct pagecache){0};
}

/* ---- files ---- */

struct contents *file_contents(const struct file *file) {
    return file->cache->contents[file->number];
}

/* The number of the contents, a free one where they are new; cache->contents_room if memory is
 * out. */
static uint32_t contents_number(struct pagecache *cache, const struct stat *stat) {
    uint32_t unused = cache->contents_room;
    for (uint32_t i = 0; i < cache->contents_room; i++) {
        const struct contents *contents = cache->contents[i];
        if (contents == NULL) {
            unused = i < unused ? i : unused;
        } else if (contents->device == stat->st_dev && contents->inode == stat->st_ino) {
            return i;
        }
    }
    if (unused == cache->contents_room) {
        size_t room = cache->contents_room + CONTENTS_MORE;
        struct contents **more = realloc(cache->contents, room * sizeof(struct contents *));
        if (more == NULL) {
            return cache->contents_room;
        }
        memset(more + cache->contents_room, 0, CONTENTS_MORE * sizeof(struct contents *));
        cache->contents = more;
        cache->contents_room = (uint32_t)room;
    }
    return unused;
}

/* Gives the host descriptor away. */
static bool contents_open(struct pagecache *cache, uint32_t number, int host, bool writable,
                          const struct stat *stat) {
    struct contents *contents = cache->contents[number];
    if (contents == NULL) {
        contents = calloc(1, sizeof(*contents));
        if (contents == NULL) {
            return false;
        }
        *contents = (struct contents){stat->st_dev, stat->st_ino, host, writable, 0, 0, NULL};
        cache->contents[number] = contents;
    } else if (writable && !contents->writable) {
        (void)close(contents->host);
        contents->host = host;
        contents->writable = true;
    } else {
        (void)close(host);
    }
    contents->files++;
    return true;
}

int file_open(struct pagecache *cache, const char *path, bool writable, struct file **out) {
    struct stat stat;
    int host = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (host < 0) {
        return errno == EISDIR ? -EACCES : -errno;
    }
    int result = fstat(host, &stat) != 0 ? -errno : S_ISREG(stat.st_mode) ? 0 : -EACCES;
    struct file *file = result == 0 ? calloc(1, sizeof(*file)) : NULL;
    uint32_t number = file != NULL ? contents_number(cache, &stat) : 0;
    bool opened = file != NULL && number < cache->contents_room &&
                  contents_open(cache, number, host, writable, &stat);
    if (!opened) {
        free(file);
        (void)close(host);
        return result != 0 ? result : -ENOMEM;
    }
    *file = (struct file){cache, number, writable, 1};
    *out = file;
    return 0;
}

void file_ref(struct file *file) {
    file->refs++;
}

/* Writes back what can be, and drops all pages of the contents. O(frames in the cache). */
static void contents_close(struct pagecache *cache, uint32_t number) {
    struct contents *contents = cache->contents[number];
    assert(contents->regions == NULL);
    for (uint32_t i = 0; i <= cache->bucket_mask && contents->pages > 0; i++) {
        for (uint32_t at = cache->bucket[i]; at != FRAME_NONE;) {
            struct frame *frame = phys_frame_at(cache->phys, at);
            at = frame->hash_next;
            if (frame->owner == number) {
                (void)page_write(cache, frame);
                page_drop(cache, frame);
            }
        }
    }
    (void)close(contents->host);
    free(contents);
    cache->contents[number] = NULL;
}

void file_unref(struct file *file) {
    assert(file->refs > 0);
    if (--file->refs == 0) {
        if (--file_contents(file)->files == 0) {
            contents_close(file->cache, file->number);
        }
        free(file);
    }
}

static uint64_t host_bytes(const struct contents *contents) {
    struct stat stat;
    return fstat(contents->host, &stat) == 0 ? (uint64_t)stat.st_size : 0;
}

uint64_t file_pages(const struct file *file) {
    return (host_bytes(file_contents(file)) + VM_PAGE - 1) >> VM_PAGE_LOG;
}

/* ---- pages ---- */

static uint32_t *bucket_of(const struct pagecache *cache, uint32_t number, uint32_t index) {
    uint32_t mixed = (number * 0x85EBCA6Bu ^ index) * 0x9E3779B1u;
    return &cache->bucket[(mixed ^ mixed >> 15) & cache->bucket_mask];
}

struct frame *page_find(const struct pagecache *cache, const struct file *file, uint32_t index) {
    uint32_t at = *bucket_of(cache, file->number, index);
    while (at != FRAME_NONE) {
        struct frame *frame = phys_frame_at(cache->phys, at);
        if (frame->owner == file->number && frame->index == index) {
            return frame;
        }
        at = frame->hash_next;
    }
    return NULL;
}

/* Bytes of the page that the host file has: 0 when the page lies beyond its end. */
static size_t page_bytes(const struct contents *contents, uint32_t index) {
    uint64_t bytes = host_bytes(contents);
    uint64_t start = (uint64_t)index << VM_PAGE_LOG;
    return bytes <= start ? 0 : bytes - start < VM_PAGE ? (size_t)(bytes - start) : VM_PAGE;
}

static void *page_host(const struct pagecache *cache, const struct frame *frame) {
    return phys_host(cache->phys, phys_address(cache->phys, frame));
}

/* As many of `bytes` bytes as the host file still has; the rest reads as zeros. */
static bool host_read(const struct contents *contents, uint32_t index, uint8_t *to, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
        off_t at = (off_t)(((uint64_t)index << VM_PAGE_LOG) + done);
        ssize_t count = pread(contents->host, to + done, bytes - done, at);
        if (count == 0) {
            break;
        }
        if (count < 0 && errno != EINTR) {
            return false;
        }
        done += count > 0 ? (size_t)count : 0;
    }
    memset(to + done, 0, VM_PAGE - done);
    return done > 0;
}

enum vm_status page_read(struct pagecache *cache, const struct file *file, uint32_t index,
                         struct frame **out) {
    struct contents *contents = file_contents(file);
    size_t bytes = page_bytes(contents, index);
    if (bytes == 0) {
        return VM_NOT_FOUND;
    }
    paddr_t pa = phys_alloc(cache->phys, 1);
    if (pa == PADDR_NONE) {
        return VM_NO_MEMORY;
    }
    if (!host_read(contents, index, phys_host(cache->phys, pa), bytes)) {
        (void)phys_free(cache->phys, pa);
        return VM_NOT_FOUND;
    }
    struct frame *frame = phys_frame(cache->phys, pa);
    uint32_t *bucket = bucket_of(cache, file->number, index);
    frame->owner = file->number;
    frame->index = index;
    frame->hash_next = *bucket;
    frame->flags |= FRAME_CACHE;
    *bucket = phys_frame_number(cache->phys, frame);
    frame_ref(frame);
    lru_add(cache->lru, frame);
    contents->pages++;
    cache->pages++;
    cache->reads++;
    *out = frame;
    return VM_OK;
}

void page_dirty(struct pagecache *cache, struct frame *frame) {
    cache->dirty += (frame->flags & FRAME_DIRTY) == 0;
    frame->flags |= FRAME_DIRTY;
}

static void page_clean(struct pagecache *cache, struct frame *frame) {
    cache->dirty -= (frame->flags & FRAME_DIRTY) != 0;
    frame->flags &= ~(uint32_t)FRAME_DIRTY;
}

bool page_write(struct pagecache *cache, struct frame *frame) {
    if ((frame->flags & FRAME_DIRTY) == 0) {
        return true;
    }
    const struct contents *contents = cache->contents[frame->owner];
    const uint8_t *from = page_host(cache, frame);
    size_t bytes = page_bytes(contents, frame->index);
    size_t done = 0;
    while (done < bytes) {
        off_t at = (off_t)(((uint64_t)frame->index << VM_PAGE_LOG) + done);
        ssize_t count = pwrite(contents->host, from + done, bytes - done, at);
        if (count < 0 && errno != EINTR) {
            cache->write_failures++;
            return false;
        }
        done += count > 0 ? (size_t)count : 0;
    }
    cache->writes++;
    page_clean(cache, frame);
    return true;
}

void page_drop(struct pagecache *cache, struct frame *frame) {
    assert(frame->refs == 1 && (frame->flags & FRAME_CACHE) != 0);
    uint32_t number = phys_frame_number(cache->phys, frame);
    uint32_t *link = bucket_of(cache, frame->owner, frame->index);
    while (*link != number) {
        link = &phys_frame_at(cache->phys, *link)->hash_next;
    }
    *link = frame->hash_next;
    page_clean(cache, frame);
    lru_remove(cache->lru, frame);
    cache->contents[frame->owner]->pages--;
    cache->pages--;
    frame->owner = frame->index = frame->hash_next = 0;
    frame->flags = 0;
    (void)frame_unref(cache->phys, frame);
}

const char *pagecache_check(const struct pagecache *cache) {
    uint32_t pages = 0;
    uint32_t dirty = 0;
    for (uint32_t i = 0; i <= cache->bucket_mask; i++) {
        for (uint32_t at = cache->bucket[i]; at != FRAME_NONE;) {
            const struct frame *frame = phys_frame_at(cache->phys, at);
            bool sound = (frame->flags & FRAME_CACHE) != 0 && (frame->flags & FRAME_LRU) != 0 &&
                         frame->refs > 0 && cache->contents[frame->owner] != NULL &&
                         bucket_of(cache, frame->owner, frame->index) == &cache->bucket[i];
            if (!sound || pages++ == cache->pages) {
                return "page cache: a frame stands in the wrong bucket";
            }
            dirty += (frame->flags & FRAME_DIRTY) != 0;
            at = frame->hash_next;
        }
    }
    uint32_t counted = 0;
    for (uint32_t i = 0; i < cache->contents_room; i++) {
        counted += cache->contents[i] != NULL ? cache->contents[i]->pages : 0;
    }
    bool agree = pages == cache->pages && dirty == cache->dirty && counted == pages;
    return agree ? NULL : "page cache: its counts are wrong";
}
