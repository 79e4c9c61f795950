/* SPDX-License-Identifier: MIT
 * content.c - payload bytes, eight at a time. */
#include "content.h"

#include <string.h>

enum { WORD = 8 };

/* Payloads that are closed to the allocator (fence.h) are open to the oracle. */
#ifdef FENCE_METADATA
#define OPEN __attribute__((no_sanitize("address")))
#else
#define OPEN
#endif

#define INLINE static inline __attribute__((always_inline))

/* Word k of a payload is tag_word + k * STEP: cheap, and no byte of it repeats in the next word. */
#define STEP UINT64_C(0x9E3779B97F4A7C15)

/* The written parts are [0, head) and [tail, bytes). */
struct written {
    size_t head, tail;
};

static struct written content_written(const struct content *content) {
    size_t half = content->cap_bytes / 2;
    if (half == 0 || content->bytes <= content->cap_bytes) {
        return (struct written){content->bytes, content->bytes};
    }
    return (struct written){half, content->bytes - half};
}

static uint64_t tag_word(uint64_t tag) {
    uint64_t x = (tag + 1) * UINT64_C(0xD6E8FEB86659FD93);
    return (x ^ (x >> 32)) * UINT64_C(0xD6E8FEB86659FD93);
}

/* A word of which bytes [n, 8) stand first in memory, one of which bytes [0, n) stand last, and the
 * byte that stands first. By shifts, as AddressSanitizer makes a frame at each call for a local
 * whose address is taken. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BYTES_FROM(word, n)   ((word) >> (n)*8)
#define BYTES_BEHIND(word, n) ((word) << (64 - (n)*8))
#define FIRST_BYTE(word)      ((unsigned char)(word))
#else
#define BYTES_FROM(word, n)   ((word) << (n)*8)
#define BYTES_BEHIND(word, n) ((word) >> (64 - (n)*8))
#define FIRST_BYTE(word)      ((unsigned char)((word) >> 56))
#endif

static unsigned char byte_at(uint64_t first, size_t at) {
    uint64_t word = first + at / WORD * STEP;
    return FIRST_BYTE(BYTES_FROM(word, at % WORD));
}

unsigned char content_byte(const struct content *content, size_t at) {
    return byte_at(tag_word(content->tag), at);
}

/* What the eight bytes from any position on hold: parts of two words. */
static uint64_t word_at(uint64_t first, size_t at) {
    uint64_t word = first + at / WORD * STEP;
    size_t n = at % WORD;
    return n == 0 ? word : BYTES_FROM(word, n) | BYTES_BEHIND(word + STEP, n);
}

/* Fewer bytes than a word. */
OPEN static void bytes_fill(uint64_t first, unsigned char *payload, size_t from, size_t to) {
    for (; from < to; from++) {
        payload[from] = byte_at(first, from);
        __asm__ volatile(""); /* not a call of memcpy(), which sanitizers watch */
    }
}

/* The words in between stand at multiples of eight; the first and the last one, at the range's
 * ends, may share bytes with them. */
OPEN static void range_fill(uint64_t first, unsigned char *payload, size_t from, size_t to) {
    if (to - from < WORD) {
        bytes_fill(first, payload, from, to);
        return;
    }
    uint64_t word = word_at(first, from);
    memcpy(payload + from, &word, WORD);
    size_t at = from / WORD * WORD + WORD;
    word = first + at / WORD * STEP;
    for (; at + WORD <= to; at += WORD, word += STEP) {
        memcpy(payload + at, &word, WORD);
    }
    word = word_at(first, to - WORD);
    memcpy(payload + to - WORD, &word, WORD);
}

/* The first position of [from, to) that differs, or `to`. */
OPEN static size_t bytes_damage(uint64_t first, const unsigned char *payload, size_t from,
                                size_t to) {
    while (from < to && payload[from] == byte_at(first, from)) {
        from++;
    }
    return from;
}

/* Likewise, with the words of range_fill(): nearly always all are as written, so one test at the
 * end is enough. */
OPEN INLINE size_t range_damage(uint64_t first, const unsigned char *payload, size_t from,
                                size_t to) {
    if (to - from < WORD) {
        return bytes_damage(first, payload, from, to);
    }
    uint64_t found;
    memcpy(&found, payload + from, WORD);
    uint64_t damage = found ^ word_at(first, from);
    size_t at = from / WORD * WORD + WORD;
    uint64_t word = first + at / WORD * STEP;
    for (; at + WORD <= to; at += WORD, word += STEP) {
        memcpy(&found, payload + at, WORD);
        damage |= found ^ word;
    }
    memcpy(&found, payload + to - WORD, WORD);
    damage |= found ^ word_at(first, to - WORD);
    return damage == 0 ? to : bytes_damage(first, payload, from, to);
}

void content_fill(const struct content *content, void *payload) {
    struct written written = content_written(content);
    uint64_t first = tag_word(content->tag);
    range_fill(first, payload, 0, written.head);
    if (written.tail < content->bytes) {
        range_fill(first, payload, written.tail, content->bytes);
    }
}

OPEN size_t content_damage(const struct content *content, const void *payload, size_t from,
                           size_t to) {
    struct written written = content_written(content);
    uint64_t first = tag_word(content->tag);
    size_t head_to = to < written.head ? to : written.head;
    if (from < head_to) {
        size_t at = range_damage(first, payload, from, head_to);
        if (at < head_to) {
            return at;
        }
    }
    size_t tail_from = from > written.tail ? from : written.tail;
    return tail_from < to ? range_damage(first, payload, tail_from, to) : to;
}

OPEN unsigned char content_found(const void *payload, size_t at) {
    return ((const unsigned char *)payload)[at];
}
