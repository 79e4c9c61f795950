/* SPDX-License-Identifier: MIT
 *
 * shm.h - System V shared memory: segments of frames that several spaces show
 *
 * At most 192 segments and 4096 pages in all, as LiteOS has it; the id of a segment is its place in
 * the table. Frames are allocated with the segment and shown whole by attaching, never paged in.
 * An attachment may be cut into pieces by munmap and mprotect: it counts as one until its last
 * piece is gone. A segment that is removed ends with its last attachment.
 *
 * Functions return what LiteOS' system calls do: an id or 0, or a negative errno.
 */
#ifndef HEAPRIG_VM_SHM_H
#define HEAPRIG_VM_SHM_H

#include "phys.h"

enum { SHM_SEGMENTS = 192, SHM_PAGES = 4096 };

/* Flags, as in <sys/shm.h> on Linux. */
enum shm_flag {
    SHM_CREATE = 01000,
    SHM_EXCLUSIVE = 02000,
    SHM_READ_ONLY = 010000,
    SHM_ROUND = 020000,
    SHM_REMAP_OVER = 040000,
    SHM_EXECUTE = 0100000,
};

/* A key that names no segment: each get creates one. */
#define SHM_PRIVATE 0

struct segment_shared {
    uint32_t pages; /* 0: no such segment */
    uint32_t bytes; /* as asked for */
    uint32_t mode;  /* rights, lowest nine bits */
    int32_t key;
    uint32_t attaches;
    bool removed;
    uint32_t *frame; /* numbers */
};

struct shm {
    struct segment_shared segment[SHM_SEGMENTS];
    uint32_t pages; /* of all */
};

/* One shmat(); what its regions point to. */
struct attach {
    uint32_t id;
    uint32_t refs; /* regions */
    vaddr_t base;
    uint32_t bytes;
    bool writable;       /* it may be made so: the segment's rights when attaching */
    struct attach *copy; /* while a space is copied: the copy's */
};

struct machine;
struct space;
struct region;

/* The id of the segment with that key, made if need be and SHM_CREATE. -EINVAL: bytes is 0, above
 * 16 MiB, or more than an existing segment has; -ENOENT; -EEXIST: SHM_EXCLUSIVE; -ENOSPC: no free
 * place, or too many pages in all; -ENOMEM: no frames. */
int shm_get(struct machine *machine, int32_t key, uint32_t bytes, int flags);

/* Shows the segment at `va` (0: where there is room): 0 and *at. -EINVAL: no such segment, va not
 * page aligned without SHM_ROUND or not a user range, SHM_REMAP_OVER without va, overlap without
 * it; -EACCES: to be written although the segment's mode has no such right; -EIDRM: removed;
 * -ENOMEM. */
int shm_attach(struct space *space, int id, vaddr_t va, int flags, vaddr_t *at);

/* Ends the attachment that was made at va, all pieces of it; -EINVAL: there is none. */
int shm_detach(struct space *space, vaddr_t va);

struct shm_info {
    uint32_t bytes, pages, attaches, mode;
    bool removed;
};

/* -EINVAL: no such segment. */
int shm_stat(const struct machine *machine, int id, struct shm_info *out);
int shm_remove(struct machine *machine, int id);
int shm_set_mode(struct machine *machine, int id, uint32_t mode);

/* For regions: one piece more or less. The first piece counts the attachment, the last ends it. */
void attach_ref(struct machine *machine, struct attach *attach);
void attach_unref(struct machine *machine, struct attach *attach);

/* NULL if counts agree, else the broken rule. */
const char *shm_check(const struct machine *machine);

#endif
