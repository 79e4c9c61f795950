/* SPDX-License-Identifier: MIT
 * oracle_state.h - what the parts of the oracle share: oracle.c judges ops, oracle_audit.c the
 * whole heap, oracle_probe.c sends misuse. Nothing else includes this. */
#ifndef HEAPRIG_ORACLE_STATE_H
#define HEAPRIG_ORACLE_STATE_H

#include "content.h"
#include "oracle.h"
#include "shadow.h"

enum { ORACLE_REGIONS = 8, ORACLE_RANGES = ORACLE_REGIONS + 1, ORACLE_FREED = 8 };

#define LARGEST_UNKNOWN SIZE_MAX

/* Memory given to the heap: the pool, or a region. */
struct oracle_range {
    uintptr_t start;
    size_t bytes;
};

struct oracle {
    struct oracle_config config;
    struct oracle_range ranges[ORACLE_RANGES]; /* in address order; none for POOLLESS */
    uint32_t range_count;
    size_t default_align;
    size_t largest_at_start; /* largest() with nothing live, or LARGEST_UNKNOWN */
    size_t largest_before;   /* of the op under way, when largest_known */
    bool largest_known;

    struct op op; /* under way, or the last one */
    uint64_t ops, audits, probes;
    uint64_t audit_next, probe_next; /* value of ops after which they are due; 0: never */
    uint64_t state_digest;           /* of walk() and stats() at the last audit */
    uint64_t state_digest_op;        /* value of ops then */
    uint64_t random;

    /* Blocks freed and not handed out again, not even in part: the last few. */
    struct oracle_range freed[ORACLE_FREED];
    uint32_t freed_next;
    struct oracle_range meta;       /* some META piece of the last walk; bytes 0: none */
    struct oracle_range wilderness; /* free space up to the end of the pool in the last walk */

    enum oracle_rule rule;
    char verdict[512];
};

/* The shadow lies behind the struct. */
static inline struct shadow *oracle_shadow(struct oracle *oracle) {
    return (struct shadow *)(void *)(oracle + 1);
}
_Static_assert(sizeof(struct oracle) % _Alignof(struct shadow) == 0, "the shadow is aligned");

/* Keeps the first violation, as "op N, what it was: the rule: ...". Returns false. */
bool oracle_fail(struct oracle *oracle, enum oracle_rule rule, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "block at 1024 (48 B, slot 3, born at op 9)", by value. */
struct oracle_text {
    char text[112];
};
struct oracle_text oracle_block_text(const struct oracle *oracle, uint32_t slot);

/* Distance from the pool's start; the address itself for POOLLESS. */
static inline long long oracle_offset(const struct oracle *oracle, uintptr_t address) {
    bool poolless = oracle->range_count == 0;
    return (long long)(poolless ? address : address - (uintptr_t)oracle->config.pool);
}

/* How the contents of the block in a slot were written. */
struct content oracle_content(const struct oracle *oracle, const struct shadow_block *block);

/* True when positions [from, to) of the block in a slot hold what was written; else fails with the
 * rule. */
bool oracle_contents_hold(struct oracle *oracle, uint32_t slot, size_t from, size_t to,
                          enum oracle_rule rule);

/* Does [start, start + bytes) lie in one of the ranges? Always for POOLLESS. */
bool oracle_inside(const struct oracle *oracle, uintptr_t start, size_t bytes);

/* Bytes of all ranges together. */
size_t oracle_given_bytes(const struct oracle *oracle);

/* oracle_audit.c: all audit rules; false when one is broken. */
bool oracle_audit_pass(struct oracle *oracle);
void oracle_guards_fill(const struct oracle *oracle, const struct oracle_range *range);

/* oracle_probe.c: one misuse of a random kind, if the allocator detects such. */
bool oracle_probe(struct oracle *oracle);

#endif
