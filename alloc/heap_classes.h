/* SPDX-License-Identifier: MIT
 *
 * heap_classes.h - free blocks by size class: the two-level mapping of tlsf and bestfit
 *
 * After TLSF (Masmano, Ripoll, Crespo, Real 2004). The class of a block is that of x = size - 8:
 * up to x = 248 each size is a class of its own, an exact class; above that each octave is cut into
 * 16 classes. With size - 8 instead of size, a request of 2^k bytes, whose block has 2^k + 8, lies
 * at the start of its class: a freed block of that kind is found again by the next request of that
 * kind.
 *
 *   size    x     class        size    x     class
 *     16     8      1           288   280     33
 *     24    16      2           520   512     48
 *    256   248     31           552   544     49
 *    264   256     32          1032  1024     64
 *    272   264     32          2^32-8        415
 *
 * A bit per class says whether its head is empty. The exact classes have map[0] to themselves, as
 * most blocks are small: their bits are found by one shift. For the other words a bit in the
 * summary says whether the word is 0. So the next class that is not empty takes at most two
 * count-trailing-zeros. A heap has only as many heads as its largest block needs.
 */
#ifndef HEAPRIG_HEAP_CLASSES_H
#define HEAPRIG_HEAP_CLASSES_H

#include "heap.h"

enum {
    CLASS_LINEAR_END = 256,  /* first x outside the exact classes */
    CLASS_SPLIT_LOG2 = 4,    /* log2 of the classes in an octave */
    CLASS_FIRST = 1,         /* the class of the smallest block */
    CLASS_OCTAVE_FIRST = 32, /* the first class of x >= CLASS_LINEAR_END */
    CLASS_MAX = 416,         /* first class beyond those of the largest heap */
    CLASS_WORDS = CLASS_MAX / 32,
};

/* head[] has as many entries as control_bytes() made room for. */
struct heap_classes {
    struct heap heap;
    uint32_t map[CLASS_WORDS];
    uint32_t summary; /* bit w, w > 0: map[w] is not 0 */
    uint32_t head[];  /* nodes, CLASS_NODE_NONE when empty; head[0]: see there */
};

/* Where a list or tree ends. Taken as a block, its third word is head[0], of the class that does
 * not exist: a list may write its backward link there without asking. Its second is the summary,
 * which is even and so no node: what is behind none is no block. */
#define CLASS_NODE_NONE HEAP_NODE((uint32_t)offsetof(struct heap_classes, head) - 8u)

_Static_assert(CLASS_WORDS <= 32, "the summary is one word");
_Static_assert(CLASS_LINEAR_END == 32 * 8 && CLASS_SPLIT_LOG2 == 4, "class_of_octave() knows both");
_Static_assert(CLASS_OCTAVE_FIRST == 32, "map[0] is that of the exact classes");

/* floor(log2(x)), x > 0. */
HEAP_HOT uint32_t log2_floor(uint32_t x) {
    return 31u ^ (uint32_t)__builtin_clz(x);
}

/* Whether all blocks of the class of this block size have the same size. */
HEAP_HOT bool class_is_exact(uint32_t bytes) {
    return bytes - 8 < CLASS_LINEAR_END;
}

/* Also the granules of the requests that such blocks are for. */
HEAP_HOT uint32_t class_of_exact(uint32_t bytes) {
    return (bytes - 8) >> 3;
}

/* In octave f, x >> (f - 4) counts 16 to 31. */
HEAP_HOT uint32_t class_of_octave(uint32_t bytes) {
    uint32_t x = bytes - 8;
    uint32_t octave = log2_floor(x);
    return (x >> (octave - CLASS_SPLIT_LOG2)) + 16 * octave - (16 * 8 + 16 - CLASS_OCTAVE_FIRST);
}

HEAP_HOT uint32_t class_of(uint32_t bytes) {
    return class_is_exact(bytes) ? class_of_exact(bytes) : class_of_octave(bytes);
}

HEAP_HOT struct heap_classes *heap_classes(struct heap *h) {
    return (struct heap_classes *)h;
}

HEAP_HOT const struct heap_classes *heap_classes_const(const struct heap *h) {
    return (const struct heap_classes *)h;
}

HEAP_HOT size_t class_slot(size_t class) {
    return offsetof(struct heap_classes, head) + 4 * class;
}

HEAP_HOT void class_mark_exact(struct heap *h, size_t class) {
    heap_classes(h)->map[0] |= 1u << class;
}

/* Clears the bit of an exact class if it is now empty. Without a branch: nothing foresees the end
 * of a list. */
HEAP_HOT void class_clear_exact(struct heap *h, size_t class, bool is_empty) {
    heap_classes(h)->map[0] &= ~((uint32_t)is_empty << class);
}

HEAP_HOT void class_mark_octave(struct heap *h, size_t class) {
    struct heap_classes *classes = heap_classes(h);
    classes->map[class >> 5] |= 1u << (class & 31);
    classes->summary |= 1u << (class >> 5);
}

/* ~(1 << bit % 32) */
HEAP_HOT uint32_t word_without(size_t bit) {
    return ~1u << (bit & 31) | ~1u >> (-bit & 31);
}

HEAP_HOT void class_clear(struct heap *h, size_t class) {
    struct heap_classes *classes = heap_classes(h);
    classes->map[class >> 5] &= word_without(class);
    if (classes->map[class >> 5] == 0) {
        classes->summary &= word_without(class >> 5);
    }
}

/* The lowest octave class above the given one that is not empty; CLASS_MAX when there is none. */
HEAP_HOT uint32_t class_above(const struct heap *h, uint32_t class) {
    const struct heap_classes *classes = heap_classes_const(h);
    uint32_t w = class >> 5;
    uint32_t word = classes->map[w] & (~1u << (class & 31));
    if (word == 0) {
        uint32_t summary = classes->summary & (~1u << w);
        if (summary == 0) {
            return CLASS_MAX;
        }
        w = (uint32_t)__builtin_ctz(summary);
        word = classes->map[w];
    }
    return w * 32 + (uint32_t)__builtin_ctz(word);
}

/* The highest class that is not empty; CLASS_MAX when all are. */
static inline uint32_t class_last(const struct heap *h) {
    const struct heap_classes *classes = heap_classes_const(h);
    uint32_t w = classes->summary == 0 ? 0 : log2_floor(classes->summary);
    return classes->map[w] == 0 ? CLASS_MAX : w * 32 + log2_floor(classes->map[w]);
}

static inline uint32_t classes_first(uint32_t count) {
    return heap_first_after((uint32_t)class_slot(count));
}

/* Of the control structure with as few heads as the largest block needs that then still fits, and
 * `more` heads that the index has besides. */
static inline uint32_t classes_bytes_with(uint32_t end, uint32_t more) {
    uint32_t count = class_of(end) + 1;
    while (count > CLASS_FIRST + 1 &&
           (end < classes_first(more + count - 1) + HEAP_BLOCK_MIN ||
            class_of(end - classes_first(more + count - 1)) < count - 1)) {
        count--;
    }
    return (uint32_t)class_slot(more + count);
}

static inline uint32_t classes_bytes(uint32_t end) {
    return classes_bytes_with(end, 0);
}

static inline void classes_format(struct heap *h) {
    struct heap_classes *classes = heap_classes(h);
    classes->summary = 0;
    for (uint32_t w = 0; w < CLASS_WORDS; w++) {
        classes->map[w] = 0;
    }
    for (size_t slot = class_slot(0); slot < h->first; slot += 4) {
        heap_set(h, slot, CLASS_NODE_NONE);
    }
}

/* ---- check ---- */

/* Eight heads, read two at a time. */
enum { HEADS_AT_ONCE = 8 };
struct class_heads {
    uint64_t pair[HEADS_AT_ONCE / 2];
} __attribute__((may_alias, packed, aligned(4)));

/* Bit i: head i of the `count` from `slot` on is not empty; count < 32. */
static inline uint32_t heads_used_each(const struct heap *h, size_t slot, uint32_t count) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        used |= (uint32_t)(heap_get(h, slot + 4 * (size_t)i) != CLASS_NODE_NONE) << i;
    }
    return used;
}

/* The same of the 32 there, or as many as the heap has. Most are empty. */
static inline uint32_t heads_used(const struct heap *h, size_t slot) {
    const uint64_t none = (uint64_t)CLASS_NODE_NONE << 32 | CLASS_NODE_NONE;
    uint32_t rest = slot < h->first ? (uint32_t)(h->first - slot) / 4 : 0;
    uint32_t count = rest < 32 ? rest : 32;
    const unsigned char *start = (const unsigned char *)h + slot;
    uint32_t used = 0, i = 0;
    for (; i + HEADS_AT_ONCE <= count; i += HEADS_AT_ONCE, start += sizeof(struct class_heads)) {
        const struct class_heads *heads = (const struct class_heads *)start;
        if (((heads->pair[0] ^ none) | (heads->pair[1] ^ none) | (heads->pair[2] ^ none) |
             (heads->pair[3] ^ none)) != 0) {
            used |= heads_used_each(h, slot + 4 * (size_t)i, HEADS_AT_ONCE) << i;
        }
    }
    return i < count ? used | heads_used_each(h, slot + 4 * (size_t)i, count - i) << i : used;
}

/* The classes of word w of the map that have a block, by their heads; none beyond those that the
 * heap has heads for. */
typedef uint32_t classes_used_fn(const struct heap *h, uint32_t w);

/* NULL if exactly the bits of the classes with a block are set. */
static inline const char *classes_check_map(const struct heap *h, classes_used_fn *used) {
    const struct heap_classes *classes = heap_classes_const(h);
    uint32_t summary = 0;
    for (uint32_t w = 0; w < CLASS_WORDS; w++) {
        uint32_t word = used(h, w);
        if (classes->map[w] != word) {
            return "the bit of a size class is wrong";
        }
        summary |= (uint32_t)(word != 0) << w;
    }
    return classes->summary == (summary & ~1u) ? NULL : "the summary of size classes is wrong";
}

/* NULL if a class holds only blocks that it may, at most `limit` with those already in *tally. */
typedef const char *class_check_fn(const struct heap *h, uint32_t class, uint32_t limit,
                                   struct heap_tally *tally);

/* Checks all classes with a block, by a map that classes_check_map() has confirmed. */
static inline const char *classes_check_used(const struct heap *h, class_check_fn *check,
                                             uint32_t limit, struct heap_tally *tally) {
    const char *broken = NULL;
    for (uint32_t w = 0; w < CLASS_WORDS; w++) {
        for (uint32_t word = heap_classes_const(h)->map[w]; word != 0 && broken == NULL;
             word &= word - 1) {
            broken = check(h, 32 * w + (uint32_t)__builtin_ctz(word), limit, tally);
        }
    }
    return broken;
}

#endif
