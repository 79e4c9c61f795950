/* SPDX-License-Identifier: MIT
 *
 * pagecache.h - pages of host files kept in frames
 *
 *   file       what open() gave: a right to read, perhaps to write        struct file
 *   contents   the host file behind it, however often opened              struct contents
 *   page       a frame that holds 4 KiB of it, found by contents and page number in a hash table
 *              whose chains run through the frame descriptors
 *
 * A cached page holds one reference of its frame, each page table entry another. It is written back
 * before it is dropped; what of it lies beyond the file's end by then is lost, since writing back
 * never makes a file longer.
 */
#ifndef HEAPRIG_VM_PAGECACHE_H
#define HEAPRIG_VM_PAGECACHE_H

#include "lru.h"
#include "region.h"

#include <sys/types.h>

struct contents {
    dev_t device;
    ino_t inode;
    int host;      /* descriptor; the best rights that any open() had */
    bool writable; /* it may be written through */
    uint32_t files;
    uint32_t pages;         /* cached */
    struct region *regions; /* that show it */
};

struct file {
    struct pagecache *cache;
    uint32_t number; /* of the contents */
    bool writable;
    uint32_t refs; /* who opened it, and the regions */
};

struct pagecache {
    struct phys *phys;
    struct lru *lru;
    uint32_t *bucket; /* first frame of each chain */
    uint32_t bucket_mask;
    struct contents **contents; /* by number; NULL where free */
    uint32_t contents_room;
    uint32_t pages, dirty;
    uint64_t reads, writes, write_failures;
};

/* VM_NO_MEMORY: the host's. */
enum vm_status pagecache_open(struct pagecache *cache, struct phys *phys, struct lru *lru);
void pagecache_close(struct pagecache *cache);

/* Opens a host file. 0, or the host's errno, negative (-ENOENT, -EACCES, ...); -EACCES also for
 * what is no regular file; -ENOMEM. The caller holds a reference. */
int file_open(struct pagecache *cache, const char *path, bool writable, struct file **out);
void file_ref(struct file *file);

/* The last reference writes back and drops the pages. */
void file_unref(struct file *file);

struct contents *file_contents(const struct file *file);

/* Pages that the host file has now; 0 when it cannot be asked. */
uint64_t file_pages(const struct file *file);

/* The cached page, or NULL. O(1) expected. */
struct frame *page_find(const struct pagecache *cache, const struct file *file, uint32_t index);

/* Reads the page into a frame. VM_NOT_FOUND: it lies beyond the end of the host file, or that
 * cannot be read; VM_NO_MEMORY: no frame. */
enum vm_status page_read(struct pagecache *cache, const struct file *file, uint32_t index,
                         struct frame **out);

/* Marks as newer than the file. */
void page_dirty(struct pagecache *cache, struct frame *frame);

/* Writes back, if newer than the file: false when the host refuses; the page then stays dirty. No
 * page table may let it be written at that moment. */
bool page_write(struct pagecache *cache, struct frame *frame);

/* Drops a page that no page table shows. */
void page_drop(struct pagecache *cache, struct frame *frame);

/* NULL if the hash table, counts and flags agree, else the broken rule. O(frames). */
const char *pagecache_check(const struct pagecache *cache);

#endif
