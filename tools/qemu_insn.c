/* SPDX-License-Identifier: MIT
 *
 * qemu_insn.c - a QEMU plugin that counts instructions and steps between marks
 *
 * The emulated program calls empty functions as marks (bench/marks.h):
 *
 *   mark_section()                      a new run starts: counts so far are written out
 *   mark_alloc() | mark_aligned() | mark_realloc() | mark_free() ... mark_end()
 *                                       one operation of that kind
 *   mark_end() alone                    an operation that called nothing: only its index counts
 *
 * Steps say how often loops went round: of all places where the operation's code branches, the one
 * reached most often was reached that many times; 1 where no loop went round. So work is bounded if
 * steps are: no instruction runs more often than `steps`. The count follows from the source's
 * loops, not from how a compiler lays them out, as a count of jumps backwards would: compilers put
 * unlikely code behind a function and jump back from there. What the C library does is left out, so
 * copying a block is one step.
 *
 * At each section and at the end one line per kind goes to the file given as `out=FILE`:
 *
 *   section kind ops sum p50 p99 p999 max max_op steps_sum steps_max steps_max_op
 *
 * with max_op the index within the section of the first operation that took `max`. Counts are
 * instructions, not cycles, and are the same from run to run.
 */
#include "qemu_plugin_api.h"

#include <stdlib.h>

static const char plugin_name[] = "qemu_insn";

enum { KINDS = 4, COUNT_MAX = 1 << 16 };
enum mark { MARK_ALLOC, MARK_ALIGNED, MARK_REALLOC, MARK_FREE, MARK_END, MARK_SECTION, MARKS };

static const char *const mark_names[MARKS] = {"mark_alloc", "mark_aligned", "mark_realloc",
                                              "mark_free",  "mark_end",     "mark_section"};

struct tally {
    uint64_t ops, sum, max, max_op, steps_sum, steps_max, steps_max_op;
    uint64_t of_count[COUNT_MAX]; /* operations that took so many instructions; the last: or more */
};

static struct tally tallies[KINDS];
static uint64_t instructions;
static uint64_t begin_instructions;
static uint64_t op_index;
static unsigned section;
static enum mark kind_running = MARK_END; /* MARK_END: between operations */

/* ---- steps ---- */

/* Where a translated block ends: a branch, but for blocks cut at a page's end. Blocks that enter a
 * loop and those that stay in it end at the same branch, so the place is what is counted. */
struct place {
    uint64_t address; /* 0: unused */
    uint64_t call;    /* the operation that reached it last */
    uint64_t times;   /* and how often it did */
};

enum { PLACES = 1 << 18 };
static struct place places[PLACES]; /* by hash of the address; QEMU keeps pointers to them */
static size_t place_count;
static uint64_t call; /* number of the running operation, over all sections; from 1 */
static uint64_t steps;

static struct place *place_of(uint64_t address) {
    uint64_t i = address * UINT64_C(0x9E3779B97F4A7C15) >> 40;
    while (places[i %= PLACES].address != address) {
        if (places[i].address == 0) {
            if (++place_count > PLACES / 2) {
                fputs("qemu_insn: too much code, expected a program of less\n", stderr);
                exit(1);
            }
            places[i].address = address;
        } else {
            i++;
        }
    }
    return &places[i];
}

static void place_reached(unsigned vcpu, void *ctx) {
    struct place *place = ctx;
    (void)vcpu;
    if (kind_running == MARK_END) {
        return;
    }
    place->times = place->call == call ? place->times + 1 : 1;
    place->call = call;
    steps = place->times > steps ? place->times : steps;
}

/* Whether the C library or the loader lies at that address of this process, which holds the
 * emulated program's memory. */
static bool system_code(const void *address) {
    static uintptr_t begin, end; /* of the mapping asked for last */
    static bool answer;
    if ((uintptr_t)address - begin < end - begin) {
        return answer;
    }
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    bool found = false;
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        found = sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &begin, &end) == 2 &&
                (uintptr_t)address - begin < end - begin;
    }
    const char *name = found ? strrchr(line, '/') : NULL;
    answer = name != NULL && (strncmp(name, "/libc.", 6) == 0 || strncmp(name, "/ld-", 4) == 0);
    if (maps == NULL || !found) {
        fprintf(stderr, "qemu_insn: no mapping for code at %p\n", address);
        exit(1);
    }
    fclose(maps);
    return answer;
}

/* ---- operations ---- */

static uint64_t tally_quantile(const struct tally *t, uint64_t per_mille_of_tenth) {
    uint64_t rank = (t->ops * per_mille_of_tenth + 9999) / 10000;
    uint64_t seen = 0;
    for (uint64_t count = 0; count < COUNT_MAX; count++) {
        seen += t->of_count[count];
        if (seen >= rank && seen > 0) {
            return count;
        }
    }
    return t->max;
}

static void section_write(void) {
    for (int kind = 0; kind < KINDS; kind++) {
        const struct tally *t = &tallies[kind];
        if (t->ops > 0) {
            fprintf(out,
                    "%u %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                    " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                    section, mark_names[kind] + sizeof "mark", t->ops, t->sum,
                    tally_quantile(t, 5000), tally_quantile(t, 9900), tally_quantile(t, 9990),
                    t->max, t->max_op, t->steps_sum, t->steps_max, t->steps_max_op);
        }
    }
    memset(tallies, 0, sizeof tallies);
    op_index = 0;
}

static void operation_file(void) {
    struct tally *t = &tallies[kind_running];
    uint64_t took = instructions - begin_instructions;
    t->ops++;
    t->sum += took;
    t->of_count[took < COUNT_MAX ? took : COUNT_MAX - 1]++;
    if (took > t->max) {
        t->max = took;
        t->max_op = op_index;
    }
    t->steps_sum += steps;
    if (steps > t->steps_max) {
        t->steps_max = steps;
        t->steps_max_op = op_index;
    }
}

static void mark_reached(unsigned vcpu, void *ctx) {
    (void)vcpu;
    enum mark mark = (enum mark)((const char *const *)ctx - mark_names);
    if (mark == MARK_SECTION) {
        section_write();
        section++;
    } else if (mark == MARK_END) {
        if (kind_running != MARK_END) {
            operation_file();
        }
        kind_running = MARK_END;
        op_index++;
    } else {
        kind_running = mark;
        begin_instructions = instructions;
        call++;
        steps = 0;
    }
}

/* A mark is called, so its first instruction starts a translation block. Instructions are counted
 * one by one, and places when their instruction is executed: of a block that ends before a page's
 * end QEMU 7.2 reports one more than it executes. */
static void block_translated(plugin_id id, struct qemu_plugin_tb *tb) {
    (void)id;
    const char *symbol = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(tb, 0));
    for (int mark = 0; symbol != NULL && mark < MARKS; mark++) {
        if (strcmp(symbol, mark_names[mark]) == 0) {
            qemu_plugin_register_vcpu_tb_exec_cb(tb, mark_reached, CALLBACK_NO_REGISTERS,
                                                 (void *)&mark_names[mark]);
            return; /* the marks themselves are not counted */
        }
    }
    size_t count = qemu_plugin_tb_n_insns(tb);
    for (size_t i = 0; i < count; i++) {
        qemu_plugin_register_vcpu_insn_exec_inline(qemu_plugin_tb_get_insn(tb, i), INLINE_ADD_U64,
                                                   &instructions, 1);
    }
    if (!system_code(qemu_plugin_insn_haddr(qemu_plugin_tb_get_insn(tb, 0)))) {
        struct qemu_plugin_insn *last = qemu_plugin_tb_get_insn(tb, count - 1);
        qemu_plugin_register_vcpu_insn_exec_cb(last, place_reached, CALLBACK_NO_REGISTERS,
                                               place_of(qemu_plugin_insn_vaddr(last)));
    }
}

static void program_ended(plugin_id id, void *ctx) {
    (void)id;
    (void)ctx;
    section_write();
    fclose(out);
}
