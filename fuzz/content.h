/* SPDX-License-Identifier: MIT
 *
 * content.h - what the oracle writes into payloads, and how it finds damage
 *
 * Each byte depends on a tag and on its position, so a block that was shifted, swapped with another
 * or overwritten by a third shows. Of a block longer than the cap only the first and the last
 * cap / 2 bytes are written and looked at:
 *
 *   | written      |   left alone          |      written |      cap 0: all is written
 *   0        cap/2 |                       | bytes - cap/2
 */
#ifndef HEAPRIG_CONTENT_H
#define HEAPRIG_CONTENT_H

#include <stddef.h>
#include <stdint.h>

struct content {
    uint64_t tag;
    size_t bytes;     /* of the whole payload */
    size_t cap_bytes; /* 0: none */
};

/* Writes the payload. O(min(bytes, cap)). */
void content_fill(const struct content *content, void *payload);

/* The position of the first byte in [from, to) that is not as written, or `to` when all are. */
size_t content_damage(const struct content *content, const void *payload, size_t from, size_t to);

/* The byte written at position `at`. */
unsigned char content_byte(const struct content *content, size_t at);

/* The byte that stands there now. */
unsigned char content_found(const void *payload, size_t at);

#endif
