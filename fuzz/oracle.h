/* SPDX-License-Identifier: MIT
 *
 * oracle.h - decides whether an allocator was right, at the op where it was not
 *
 * An observer of replay (bench/replay.h; touch must be REPLAY_TOUCH_NONE, the oracle writes the
 * payloads itself). It keeps its own account of live blocks outside the pool (shadow.h), fills each
 * payload with bytes that depend on block and position (content.h), and compares what the allocator
 * says of itself with that account. What an allocator lacks (a NULL function, a capability) is not
 * asked for.
 *
 *   at each op        answer, place, alignment, usable bytes, contents of the block at hand, edges
 *                     of its neighbours; when refused: whether largest() had promised it
 *   at each audit     contents of all live blocks, guards, walk(), stats(), check(), largest();
 *                     whether an op that was refused left all as it was
 *   at each probe     misuse on purpose, which must be refused and change nothing
 *
 * The first violation ends the run: one sentence with the op, the block, the rule and the
 * neighbour. An oracle is one piece of memory without pointers into itself: oracle_copy() and a
 * copy of the pool are a snapshot.
 */
#ifndef HEAPRIG_ORACLE_H
#define HEAPRIG_ORACLE_H

#include "../bench/replay.h"

/* The rules, in the order of enum oracle_rule: O(NAME, "in words"). */
#define ORACLE_RULES(O)                                                                            \
    O(NONE, "sound")                                                                               \
    O(OUTSIDE, "lies outside the pool")                                                            \
    O(OVERLAP, "overlaps a live block")                                                            \
    O(MISALIGNED, "is not aligned as asked")                                                       \
    O(USABLE, "usable() is wrong")                                                                 \
    O(CONTENT, "contents changed while live")                                                      \
    O(PREFIX, "realloc lost contents")                                                             \
    O(OVERCOPY, "realloc copied more than the block had")                                          \
    O(REFUSED, "refused what must succeed")                                                        \
    O(GRANTED, "granted what largest() denied")                                                    \
    O(FREE_REFUSED, "free of a live block refused")                                                \
    O(REFUSAL_CHANGED, "a refused call changed the state")                                         \
    O(MISUSE_ACCEPTED, "misuse was accepted")                                                      \
    O(MISUSE_CHANGED, "refused misuse changed the state")                                          \
    O(WALK, "walk() is wrong")                                                                     \
    O(STATS, "stats() is wrong")                                                                   \
    O(LARGEST, "largest() is wrong")                                                               \
    O(CHECK, "check() found a broken rule")                                                        \
    O(LEAK, "memory lost after all was freed")                                                     \
    O(GUARD, "wrote outside the pool")

#define O(name, words) ORACLE_##name,
enum oracle_rule { ORACLE_RULES(O) ORACLE_RULE_COUNT };
#undef O

/* The rule in words. */
const char *oracle_rule_words(enum oracle_rule rule);

struct oracle_config {
    const struct alloc_ops *ops;
    struct alloc *heap;          /* just initialised, nothing handed out yet */
    const struct alloc_cfg *cfg; /* as given to init(); may be NULL; only read by oracle_new() */
    void *pool;                  /* as given to init(); not looked at for POOLLESS */
    size_t pool_bytes;
    size_t guard_bytes;   /* writable bytes before and behind the pool (and each region) that are
                             the oracle's to fill; 0: none */
    uint32_t slot_count;  /* of the trace */
    uint32_t audit_every; /* ops between audits; 1: each op; 0: only in oracle_audit() */
    uint32_t probe_every; /* ops between misuse probes, for allocators that detect it; 0: never */
    uint64_t probe_seed;  /* chooses the probes */
    size_t content_cap_bytes; /* of longer blocks only the edges are written and verified, half of
                                 this at each end; 0: whole blocks */
};

struct oracle;

/* An oracle for the heap, or NULL when memory is out. The caller frees it with oracle_free(). */
struct oracle *oracle_new(const struct oracle_config *config);
void oracle_free(struct oracle *oracle);

/* Makes an oracle for another heap of what oracle_new() gave for one with as many slots. O(slots
 * that are live). */
void oracle_reuse(struct oracle *oracle, const struct oracle_config *config);

/* Tells of memory given by a successful add_region(), at most 8 times. */
void oracle_add_region(struct oracle *oracle, void *mem, size_t bytes);

/* The observer to hand to replay. Several runs may share it, ops are counted on. */
struct replay_observer oracle_observer(struct oracle *oracle);

/* What a client that calls the allocator directly has to tell: of an op as in struct replay_event,
 * before and after the call. False when a rule was broken. */
void oracle_before(struct oracle *oracle, const struct replay_event *event);
bool oracle_after(struct oracle *oracle, const struct replay_event *event);

/* Sends a misuse between two ops: hands `address` to free(), realloc(.., bytes) or usable(), if the
 * allocator's capabilities say that it must be refused there, and makes an audit before and behind.
 * True when it was refused and nothing changed, or when it was not sent. */
enum oracle_call { ORACLE_CALL_FREE, ORACLE_CALL_REALLOC, ORACLE_CALL_USABLE };
bool oracle_misuse(struct oracle *oracle, enum oracle_call call, uintptr_t address, size_t bytes);

/* An audit now, to be made at the end of each run; then the verdict so far: NULL, or the sentence
 * (valid until the next call). */
const char *oracle_audit(struct oracle *oracle);

/* The verdict without an audit, and its rule. */
const char *oracle_verdict(const struct oracle *oracle);
enum oracle_rule oracle_rule(const struct oracle *oracle);

/* Live blocks, ops seen, audits made, probes sent. */
struct oracle_counts {
    uint64_t ops, audits, probes;
    uint32_t live;
};
struct oracle_counts oracle_counts(const struct oracle *oracle);

/* Copies the state of one oracle onto another with the same slot_count. O(slot_count). */
void oracle_copy(struct oracle *to, const struct oracle *from);

#endif
