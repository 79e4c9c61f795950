/* SPDX-License-Identifier: MIT
 *
 * phys.h - physical pages: simulated RAM, a descriptor for each frame, runs of frames
 *
 * RAM is up to 32 segments, kept in address order. Each is the pool of a buddy system, the one of
 * alloc/buddy.h for pages, whose metadata takes the last frames of the segment (9 bytes a page,
 * rounded up to pages), as a kernel's page array would; these are not managed. Descriptors lie
 * outside the simulated RAM.
 *
 * A run is frames that follow one another and are allocated and freed as one. It has exactly the
 * frames asked for: what the buddy system splits off too much goes back at once. Pieces have order
 * 0 to 8, as LiteOS' have, and above that as large as the segment allows, so that a run of more
 * than 256 frames need not be searched for: all of this is O(orders) plus O(segments), but where
 * said. A segment that starts at a multiple of 1 MiB has its pieces of order k at multiples of 2^k
 * pages.
 *
 * Reference counts are the users' matter: frames are handed out with none.
 */
#ifndef HEAPRIG_PHYS_H
#define HEAPRIG_PHYS_H

#include "vm.h"

enum { PHYS_SEGMENTS_MAX = 32, PHYS_ORDERS = 9 };

/* No frame has this number. */
#define FRAME_NONE 0xFFFFFFFFu

struct phys;

struct phys_range {
    paddr_t base;
    uint32_t bytes;
};

enum frame_flag {
    FRAME_REFERENCED = 1u << 0, /* used since the LRU lists last looked */
    FRAME_ACTIVE = 1u << 1,     /* in an active list */
    FRAME_LRU = 1u << 2,        /* in an LRU list at all */
    FRAME_DIRTY = 1u << 3,      /* newer than the file */
    FRAME_CACHE = 1u << 4,      /* holds a page of a file: owner and index say which */
    FRAME_SHARED = 1u << 5,     /* of a shared segment */
    FRAME_LOCKED = 1u << 6,     /* not to be reclaimed for now */
    FRAME_KERNEL = 1u << 7,     /* first frame of a run of kmalloc */
};

/* The descriptor of a frame. It belongs to who holds the frame, who leaves it zero when giving the
 * frame back; which runs live is known to the buddy system alone. */
struct frame {
    uint32_t refs;      /* users: entries of page tables, the page cache, a shared segment */
    uint32_t flags;     /* enum frame_flag */
    uint32_t prev;      /* frame numbers: neighbours in an LRU list */
    uint32_t next;      /* this one also in a page list */
    uint32_t owner;     /* page cache: number of the file */
    uint32_t index;     /* page cache: page of the file */
    uint32_t hash_next; /* page cache: next frame in the bucket */
};

/* Frames, one run each, linked through `next`. All zero but `first` = FRAME_NONE is the empty list.
 */
struct page_list {
    uint32_t first;
    uint32_t count;
};

struct phys_usage {
    uint32_t total;   /* frames managed */
    uint32_t used;    /* of them in live runs */
    uint32_t free;    /* total - used, over all segments */
    uint32_t largest; /* frames of the longest run that one free piece holds */
    /* Free pieces of 2^k frames; larger ones count as as many of the last order as they hold. */
    uint32_t pieces[PHYS_ORDERS];
};

/* Makes RAM of the ranges, in any order. VM_INVALID_ARGS: no range or more than 32, one is empty,
 * not page aligned, ends above 4 GiB or is too small for a frame beside its metadata, or two
 * overlap; VM_NO_MEMORY: the host's. Reads as zeros. O(bytes / 4096). */
enum vm_status phys_new(const struct phys_range *ranges, size_t count, struct phys **out);

/* NULL is fine. */
void phys_delete(struct phys *phys);

/* A run of exactly so many frames: its address; contents undefined, reference counts 0. PADDR_NONE
 * iff pages is 0 or no segment has a run: the first one that has wins. Where no free piece is large
 * enough, a few of the largest are tried to grow into their free neighbours, before it is refused.
 */
paddr_t phys_alloc(struct phys *phys, uint32_t pages);

/* As phys_alloc(), at a multiple of align_bytes: a power of two from a page to 16 MiB, else
 * PADDR_NONE. Absolute, whatever the segment starts at. */
paddr_t phys_alloc_aligned(struct phys *phys, uint32_t pages, uint32_t align_bytes);

/* Ends the run that starts at pa. VM_NOT_VALID: no live run starts there (freed before, inside a
 * run, not page aligned, not managed); VM_BUSY: its first frame still has references. */
enum vm_status phys_free(struct phys *phys, paddr_t pa);

/* Gives back all but the first `pages` frames of the run at pa, in place. VM_NOT_VALID as
 * phys_free(); VM_INVALID_ARGS: pages is 0 or more than the run has. */
enum vm_status phys_shrink(struct phys *phys, paddr_t pa, uint32_t pages);

/* Frames of the run that starts at pa, 0 if none does. */
uint32_t phys_run_pages(const struct phys *phys, paddr_t pa);

/* Adds up to `pages` single frames to the list: how many were found. O(pages). */
uint32_t phys_list_alloc(struct phys *phys, uint32_t pages, struct page_list *list);

/* Takes a reference from each frame of the list, of which those that then have none are freed, and
 * empties the list: how many were freed. O(list). */
uint32_t phys_list_free(struct phys *phys, struct page_list *list);

/* One more user. */
static inline void frame_ref(struct frame *frame) {
    frame->refs++;
}

/* One user less; the run that starts with the frame is freed when that was the last (or there was
 * none): true. */
bool frame_unref(struct phys *phys, struct frame *frame);

/* The descriptor of the frame that pa lies in, NULL if it is not managed. O(log segments). */
struct frame *phys_frame(const struct phys *phys, paddr_t pa);

/* Where a managed frame lies; O(log segments). */
paddr_t phys_address(const struct phys *phys, const struct frame *frame);

/* Descriptors and their numbers. */
struct frame *phys_frame_at(const struct phys *phys, uint32_t number);
uint32_t phys_frame_number(const struct phys *phys, const struct frame *frame);

/* The byte at pa as the host sees it, up to the end of the frame, or of the run it is in. NULL if
 * pa is not managed. O(1) in the segment of the last call, else O(log segments). */
void *phys_host(const struct phys *phys, paddr_t pa);

/* The opposite; PADDR_NONE if p points to no managed frame. O(segments). */
paddr_t phys_of_host(const struct phys *phys, const void *p);

/* The first and last managed byte of the segment with that number, in address order; false if there
 * are fewer. */
bool phys_segment(const struct phys *phys, uint32_t number, paddr_t *first, paddr_t *last);

/* Fills *out. O(runs): for reports. */
void phys_usage(const struct phys *phys, struct phys_usage *out);

/* O(1). */
uint32_t phys_free_pages(const struct phys *phys);

/* NULL if the buddy systems are sound, free frames have neither users nor flags and the count of
 * used frames is right, else the broken rule. O(frames). */
const char *phys_check(const struct phys *phys);

#endif
