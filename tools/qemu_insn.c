/* SPDX-License-Identifier: MIT
 *
 * qemu_insn.c - a QEMU plugin that counts instructions between marks
 *
 * The emulated program calls empty functions as marks (bench/marks.h):
 *
 *   mark_section()                      a new run starts: counts so far are written out
 *   mark_alloc() | mark_free() | mark_realloc() ... mark_end()
 *                                       one operation of that kind; the difference of the
 * instruction count is filed under the kind
 *
 * At each section and at the end one line per kind goes to the file given as `out=FILE`:
 *
 *   section kind ops sum p50 p99 p999 max max_op
 *
 * with max_op the index of the operation within its section. Counts are instructions, not cycles,
 * and are the same from run to run. The plugin's functions are declared here because Debian ships
 * QEMU without its plugin header; QEMU checks the interface's version when it loads the plugin.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { INLINE_ADD_U64 = 0, CALLBACK_NO_REGISTERS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                           void (*translated)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op,
                                                void *counter, uint64_t amount);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
                                          void (*executed)(unsigned, void *), int flags, void *ctx);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*ended)(plugin_id, void *), void *ctx);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *insn);
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

__attribute__((visibility("default"))) extern int qemu_plugin_version;
int qemu_plugin_version = 1;

enum { KINDS = 3, COUNT_MAX = 1 << 16 };
enum mark { MARK_ALLOC, MARK_FREE, MARK_REALLOC, MARK_END, MARK_SECTION, MARKS };

static const char *const mark_names[MARKS] = {"mark_alloc", "mark_free", "mark_realloc", "mark_end",
                                              "mark_section"};

struct tally {
    uint64_t ops, sum, max, max_op;
    uint64_t of_count[COUNT_MAX]; /* operations that took so many instructions; the last: or more */
};

static struct tally tallies[KINDS];
static uint64_t instructions;
static uint64_t begin_instructions;
static uint64_t op_index;
static unsigned section;
static enum mark kind_running;
static FILE *out;

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
                    " %" PRIu64 "\n",
                    section, mark_names[kind] + sizeof "mark", t->ops, t->sum,
                    tally_quantile(t, 5000), tally_quantile(t, 9900), tally_quantile(t, 9990),
                    t->max, t->max_op);
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
    op_index++;
}

static void mark_reached(unsigned vcpu, void *ctx) {
    (void)vcpu;
    enum mark mark = (enum mark)((const char *const *)ctx - mark_names);
    if (mark == MARK_SECTION) {
        section_write();
        section++;
    } else if (mark == MARK_END) {
        operation_file();
    } else {
        kind_running = mark;
        begin_instructions = instructions;
    }
}

/* A mark is called, so its first instruction starts a translation block. Instructions are counted
 * one by one: of a block that ends before a page's end QEMU 7.2 reports one more than it executes.
 */
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
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        qemu_plugin_register_vcpu_insn_exec_inline(qemu_plugin_tb_get_insn(tb, i), INLINE_ADD_U64,
                                                   &instructions, 1);
    }
}

static void program_ended(plugin_id id, void *ctx) {
    (void)id;
    (void)ctx;
    section_write();
    fclose(out);
}

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
        fputs("qemu_insn: expected one argument, out=FILE\n", stderr);
        return 1;
    }
    out = fopen(argv[0] + 4, "w");
    if (out == NULL) {
        perror(argv[0] + 4);
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
    qemu_plugin_register_atexit_cb(id, program_ended, NULL);
    return 0;
}
