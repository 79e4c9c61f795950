/* SPDX-License-Identifier: MIT
 *
 * record_stream.h - the private format between the recorder inside a program and its reader
 *
 * Each process image (a program started by exec, or the child of a fork) writes one file
 * `PID.IMAGE` into the folder that RECORD_FOLDER_VARIABLE names:
 *
 *     | struct record_stream, RECORD_HEADER_BYTES | record 0 | record 1 | ... | never touched |
 *                                                   ^ its place is its turn in the order of all
 *                                                     threads of the process
 *
 * The file is sparse, as long as the most records it may hold, and mapped shared once. So a record
 * needs no lock, no descriptor and no system call, and is in the page cache the moment it is
 * written: closing every descriptor, changing user or root, _exit() and SIGKILL lose nothing.
 * `next` counts places given out; a place whose kind is still RECORD_NONE belongs to a thread that
 * was killed between taking and filling it.
 *
 * Both sides run on one machine with one byte order, so fields are plain; widths are fixed because
 * the program may be a 32-bit one under an emulator.
 */
#ifndef HEAPRIG_RECORD_STREAM_H
#define HEAPRIG_RECORD_STREAM_H

#include <stdatomic.h>
#include <stdint.h>

#define RECORD_FOLDER_VARIABLE  "HEAPRIG_RECORD"         /* absolute path of the folder */
#define RECORD_RECORDS_VARIABLE "HEAPRIG_RECORD_RECORDS" /* most records of a process, decimal */

#define RECORD_MAGIC        0x31305254535248ull /* "HRSTR01" read as a little-endian number */
#define RECORD_HEADER_BYTES 4096u
#define RECORD_RECORDS_MIN  4096u
#define RECORD_RECORDS_MAX  (1u << 31)

enum record_kind {
    RECORD_NONE,    /* never filled */
    RECORD_ALLOC,   /* block = malloc(bytes) */
    RECORD_CALLOC,  /* block = calloc(), bytes is the product */
    RECORD_ALIGNED, /* block = memalign(1 << align_log2, bytes) */
    RECORD_REALLOC, /* block = realloc(old_block, bytes); neither is NULL */
    RECORD_FREE,    /* free(old_block) */
    RECORD_FAILED,  /* a request of `bytes` that returned NULL; nothing changed */
    RECORD_KIND_COUNT
};

/* Frees take their place before the block is given back, all others after they have their block. So
 * no address is live twice in the order of places, but for one case: a realloc that moved gives its
 * old address back, to any thread, before it is placed. `began` is what `next` was before the real
 * realloc was called; with it the reader can tell which of two owners a record is of. */
struct record {
    uint64_t bytes;
    uint64_t old_block;
    uint64_t block;
    uint32_t began;  /* records that gave old_block back before they were placed; else UINT32_MAX */
    uint16_t thread; /* numbered from 0 in order of first record; all from 65535 on share one */
    uint8_t align_log2;
    _Atomic uint8_t kind; /* enum record_kind; stored last */
};

struct record_stream {
    uint64_t magic;
    uint64_t started_ns;   /* CLOCK_MONOTONIC */
    uint32_t pointer_bits; /* 32 or 64 */
    uint32_t pid;
    uint32_t forked;                /* 1: the child of a fork, begun with its parent's blocks */
    _Atomic uint32_t records;       /* places there are; lowered when the disk is full */
    _Atomic uint32_t next;          /* places given out; may pass `records` by some */
    _Atomic uint32_t threads;       /* numbers given out */
    _Atomic uint32_t lost_children; /* forked children that could not make a stream */
    uint32_t unused;
    char arch[32];     /* "x86_64", "armv7l", ... of the program, not of the machine */
    char command[512]; /* arguments joined by blanks, cut at the size */
};

_Static_assert(sizeof(struct record) == 32, "records look the same to every program");
_Static_assert(sizeof(struct record_stream) == 2 * 8 + 8 * 4 + 32 + 512, "so does the header");
_Static_assert(sizeof(struct record_stream) <= RECORD_HEADER_BYTES, "the header has its own page");

#endif
