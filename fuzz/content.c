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

unsigned char content_byte(const struct content *content, size_t at) {
    uint64_t word = tag_word(content->tag) + at / WORD * STEP;
    return ((const unsigned char *)&word)[at % WORD];
}

/* Positions are walked in whole words where they can be, in bytes at the ragged ends. */
static size_t words_from(size_t from, size_t to) {
    size_t up = (from + WORD - 1) / WORD * WORD;
    return up < to ? up : to;
}

static size_t words_to(size_t from, size_t to) {
    size_t down = to / WORD * WORD;
    return down > from ? down : from;
}

/* [from, to) within one word. */
OPEN static void ragged_fill(uint64_t first, unsigned char *payload, size_t from, size_t to) {
    uint64_t word = first + from / WORD * STEP;
    for (; from < to; from++) {
        payload[from] = ((const unsigned char *)&word)[from % WORD];
        __asm__ volatile(""); /* not a call of memcpy(), which sanitizers watch */
    }
}

OPEN static void range_fill(const struct content *content, unsigned char *payload, size_t from,
                            size_t to) {
    uint64_t first = tag_word(content->tag);
    size_t begin = words_from(from, to), end = words_to(begin, to);
    if (from < begin) {
        ragged_fill(first, payload, from, begin);
    }
    uint64_t word = first + begin / WORD * STEP;
    for (size_t at = begin; at < end; at += WORD, word += STEP) {
        memcpy(payload + at, &word, WORD);
    }
    if (end < to) {
        ragged_fill(first, payload, end, to);
    }
}

/* The first position of [from, to), within one word, that differs, or `to`. */
OPEN static size_t ragged_damage(uint64_t first, const unsigned char *payload, size_t from,
                                 size_t to) {
    uint64_t word = first + from / WORD * STEP;
    const unsigned char *was = (const unsigned char *)&word;
    while (from < to && payload[from] == was[from % WORD]) {
        from++;
    }
    return from;
}

OPEN static size_t range_damage(const struct content *content, const unsigned char *payload,
                                size_t from, size_t to) {
    uint64_t first = tag_word(content->tag);
    size_t begin = words_from(from, to), end = words_to(begin, to);
    size_t at = ragged_damage(first, payload, from, begin);
    if (at < begin) {
        return at;
    }
    uint64_t word = first + begin / WORD * STEP, found;
    for (; at < end; at += WORD, word += STEP) {
        memcpy(&found, payload + at, WORD);
        if (found != word) {
            return ragged_damage(first, payload, at, at + WORD);
        }
    }
    return ragged_damage(first, payload, end, to);
}

void content_fill(const struct content *content, void *payload) {
    struct written written = content_written(content);
    range_fill(content, payload, 0, written.head);
    range_fill(content, payload, written.tail, content->bytes);
}

size_t content_damage(const struct content *content, const void *payload, size_t from, size_t to) {
    struct written written = content_written(content);
    size_t head_to = to < written.head ? to : written.head;
    if (from < head_to) {
        size_t at = range_damage(content, payload, from, head_to);
        if (at < head_to) {
            return at;
        }
    }
    size_t tail_from = from > written.tail ? from : written.tail;
    return tail_from < to ? range_damage(content, payload, tail_from, to) : to;
}

OPEN unsigned char content_found(const void *payload, size_t at) {
    return ((const unsigned char *)payload)[at];
}
