/* SPDX-License-Identifier: MIT
 * conformance_random_test.c - random operations under the oracle: the sentences of the contract
 * that hold for all sequences (nothing overlaps, contents stay, walk() and stats() agree, ...).
 *
 * A failure is shrunk to few ops and printed as a text trace, ready for corpus/regress. */
#include "conformance.h"

#include "../trace/trace_text.h"

enum { OPS = 700, SLOTS = 48, RUNS = 12, RUNS_FULL = 500 };

struct run {
    int case_index;
    uint64_t seed;
    size_t pool_bytes, misalign;
};

/* Plays the ops on a fresh pool; the rule broken, with the verdict copied out. */
static enum oracle_rule run_judge(const struct run *run, const struct op *ops, size_t op_count,
                                  char *verdict, size_t verdict_bytes) {
    struct rig rig;
    rig_open(&rig, run->case_index, run->pool_bytes, run->misalign);
    struct oracle_config config = {.ops = rig.ops,
                                   .heap = rig.heap,
                                   .cfg = &rig.subject->cfg,
                                   .pool = rig.arena.pool,
                                   .pool_bytes = rig.arena.pool_bytes,
                                   .guard_bytes = ARENA_GUARD,
                                   .slot_count = SLOTS,
                                   .audit_every = 1,
                                   .probe_every = 2,
                                   .probe_seed = run->seed};
    struct oracle *oracle = oracle_new(&config);
    ck_assert_ptr_nonnull(oracle);
    struct replay_observer observer = oracle_observer(oracle);
    void *slots[SLOTS] = {NULL};
    struct replay replay = {rig.ops,  rig.heap,          slots,     ops,
                            op_count, REPLAY_TOUCH_NONE, &observer, 1};
    struct replay_result result;
    replay_run(&replay, &result);
    const char *text = oracle_audit(oracle);
    snprintf(verdict, verdict_bytes, "%s", text != NULL ? text : "");
    enum oracle_rule rule = oracle_rule(oracle);
    oracle_free(oracle);
    rig_close(&rig);
    return rule;
}

/* What is left when [from, from + count) goes, made valid again: ops on slots that are not in the
 * state they need go too. */
static size_t ops_without(const struct op *ops, size_t op_count, size_t from, size_t count,
                          struct op *out) {
    bool full[SLOTS] = {false};
    size_t kept = 0;
    for (size_t i = 0; i < op_count; i++) {
        bool needs_full = ops[i].kind == OP_FREE || ops[i].kind == OP_REALLOC;
        if ((i >= from && i < from + count) || needs_full != full[ops[i].slot]) {
            continue;
        }
        full[ops[i].slot] = ops[i].kind != OP_FREE;
        out[kept++] = ops[i];
    }
    return kept;
}

/* Delta debugging (Zeller and Hildebrandt 2002): drops ever smaller pieces as long as the same rule
 * stays broken. */
static size_t ops_shrink(const struct run *run, struct op *ops, size_t op_count,
                         enum oracle_rule rule) {
    static struct op fewer[OPS];
    char verdict[512];
    for (size_t piece = op_count / 2; piece > 0; piece /= 2) {
        for (size_t from = 0; from < op_count;) {
            size_t count = ops_without(ops, op_count, from, piece, fewer);
            if (count < op_count && run_judge(run, fewer, count, verdict, sizeof verdict) == rule) {
                memcpy(ops, fewer, count * sizeof *ops);
                op_count = count;
            } else {
                from += piece;
            }
        }
    }
    return op_count;
}

static void failure_tell(const struct run *run, struct op *ops, size_t op_count,
                         enum oracle_rule rule) {
    char verdict[512];
    op_count = ops_shrink(run, ops, op_count, rule);
    (void)run_judge(run, ops, op_count, verdict, sizeof verdict);
    struct trace trace = {.ops = ops, .op_count = op_count};
    struct file_bytes file = {0};
    struct problem problem;
    bool told = trace_text_encode(&trace, &file, &problem);
    ck_abort_msg("%s, block_bytes %u, pool of %zu B at %zu, seed %llx: %s\n%.*s",
                 conformance_cases[run->case_index].ops->name,
                 (unsigned)conformance_cases[run->case_index].cfg.block_bytes, run->pool_bytes,
                 run->misalign, (unsigned long long)run->seed, verdict, told ? (int)file.count : 0,
                 (const char *)file.bytes);
}

START_TEST(random_operations_are_sound) {
    static struct op ops[OPS];
    const uint32_t most[] = {40, 300, 2500, 20000};
    const size_t pools[] = {RIG_POOL_BYTES - 16, 9000, 20000};
    bool aligned = conformance_cases[_i].ops->alloc_aligned != NULL;
    for (uint64_t i = 0; i < (random_full() ? RUNS_FULL : RUNS); i++) {
        struct run run = {_i, random_seed(i), pools[i % 3] + (size_t)(i % 9), (size_t)(i * 5 % 16)};
        struct random_ops how = {run.seed, SLOTS, most[i % 4], aligned ? 10 : 0};
        random_ops_fill(&how, ops, OPS);
        char verdict[512];
        enum oracle_rule rule = run_judge(&run, ops, OPS, verdict, sizeof verdict);
        if (rule != ORACLE_NONE) {
            failure_tell(&run, ops, OPS, rule);
        }
    }
}
END_TEST

int main(int argc, char **argv) {
    const TTest *const tests[] = {random_operations_are_sound};
    return conformance_main(argc, argv, "conformance: random", tests,
                            sizeof tests / sizeof tests[0]);
}
