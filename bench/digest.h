/* SPDX-License-Identifier: MIT
 *
 * digest.h - where an allocator put everything, in 64 bits
 *
 * The digest of (op index, offset of the payload from the pool's start) of every alloc and realloc,
 * failed ones included. Two builds of an allocator that place alike have equal digests on any
 * machine; one block placed elsewhere changes it.
 */
#ifndef HEAPRIG_DIGEST_H
#define HEAPRIG_DIGEST_H

#include "replay.h"

struct digest {
    const unsigned char *pool;
    uint64_t value;
};

/* Starts an empty digest of offsets from `pool`. */
void digest_begin(struct digest *digest, const void *pool);

/* What feeds the digest; it borrows *digest. */
struct replay_observer digest_observer(struct digest *digest);

#endif
