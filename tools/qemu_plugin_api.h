/* SPDX-License-Identifier: MIT
 *
 * qemu_plugin_api.h - what our QEMU plugins have in common
 *
 * QEMU's functions are declared here because Debian ships QEMU without its plugin header; QEMU
 * checks the interface's version when it loads a plugin. Each plugin is one C file that includes
 * this and defines `plugin_name`, block_translated() and program_ended(); it is loaded with one
 * argument, out=FILE, and writes to `out`.
 */
#ifndef HEAPRIG_QEMU_PLUGIN_API_H
#define HEAPRIG_QEMU_PLUGIN_API_H

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t plugin_id;
typedef uint32_t meminfo;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { INLINE_ADD_U64 = 0, CALLBACK_NO_REGISTERS = 0, MEMORY_READ_WRITE = 3 };

typedef void executed_fn(unsigned vcpu, void *ctx);
typedef void accessed_fn(unsigned vcpu, meminfo info, uint64_t address, void *ctx);
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id,
                                           void (*translated)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int op,
                                                void *counter, uint64_t amount);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, executed_fn *executed,
                                          int flags, void *ctx);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, executed_fn *executed,
                                            int flags, void *ctx);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, accessed_fn *accessed,
                                      int flags, int which, void *ctx);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*ended)(plugin_id, void *), void *ctx);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *insn);
unsigned qemu_plugin_mem_size_shift(meminfo info);
bool qemu_plugin_mem_is_store(meminfo info);

__attribute__((visibility("default"))) extern int qemu_plugin_version;
int qemu_plugin_version = 1;

static const char plugin_name[];
static void block_translated(plugin_id id, struct qemu_plugin_tb *tb);
static void program_ended(plugin_id id, void *ctx);

static FILE *out;

int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);
int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) {
        fprintf(stderr, "%s: expected one argument, out=FILE\n", plugin_name);
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

#endif
