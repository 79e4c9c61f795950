/* SPDX-License-Identifier: MIT
 *
 * qemu_touches.c - a QEMU plugin that writes down every load and store of a pool
 *
 * The other witness for bench/touches.h: not what the compiler says that it instrumented, but what
 * the program executed, C library included. The emulated program calls empty functions as marks
 * (bench/marks.h):
 *
 *   mark_section()           a new run starts
 *   mark_pool(first, last)   loads the first and the last byte of the pool
 *   mark_alloc() | mark_aligned() | mark_realloc() | mark_free() ... mark_end()
 *                            between them the allocator is at work, elsewhere the application
 *
 * To the file given as `out=FILE` goes, for each access of the pool in the order of execution, two
 * 32-bit words in the order of bytes of this machine: offset from the pool's start; bytes, with bit
 * 31 set for a store and bit 30 for the allocator. (QEMU reports LDRD and LDM word by word.) A
 * section starts with an offset of 0xFFFFFFFF.
 */
#include "qemu_plugin_api.h"

static const char plugin_name[] = "qemu_touches";

#define STORE     0x80000000u
#define ALLOCATOR 0x40000000u

enum mark { MARK_CALL, MARK_END, MARK_POOL, MARK_SECTION };
static const struct {
    const char *name;
    enum mark mark;
} marks[] = {{"mark_alloc", MARK_CALL},     {"mark_aligned", MARK_CALL},
             {"mark_realloc", MARK_CALL},   {"mark_free", MARK_CALL},
             {"mark_end", MARK_END},        {"mark_pool", MARK_POOL},
             {"mark_section", MARK_SECTION}};
enum { MARKS = sizeof marks / sizeof marks[0] };

static uint64_t pool, pool_end; /* pool_end: its last byte; 0: not known */
static uint32_t who;            /* ALLOCATOR or 0 */

static void record_write(uint32_t offset, uint32_t bytes) {
    const uint32_t record[2] = {offset, bytes};
    fwrite(record, sizeof record, 1, out);
}

static void accessed(unsigned vcpu, meminfo info, uint64_t address, void *ctx) {
    (void)vcpu;
    (void)ctx;
    if (address >= pool && address <= pool_end) {
        record_write((uint32_t)(address - pool), (1u << qemu_plugin_mem_size_shift(info)) | who |
                                                     (qemu_plugin_mem_is_store(info) ? STORE : 0));
    }
}

/* The pool's first byte, then its last. */
static void pool_accessed(unsigned vcpu, meminfo info, uint64_t address, void *ctx) {
    (void)vcpu;
    (void)ctx;
    if (qemu_plugin_mem_size_shift(info) == 0) {
        pool = pool_end == 0 && pool == 0 ? address : pool;
        pool_end = address > pool ? address : 0;
    }
}

static void mark_reached(unsigned vcpu, void *ctx) {
    (void)vcpu;
    enum mark mark = marks[(uintptr_t)ctx].mark;
    who = mark == MARK_CALL ? ALLOCATOR : 0;
    if (mark == MARK_SECTION) {
        record_write(UINT32_MAX, 0);
    }
    if (mark == MARK_SECTION || mark == MARK_POOL) {
        pool = pool_end = 0;
    }
}

static void block_translated(plugin_id id, struct qemu_plugin_tb *tb) {
    (void)id;
    accessed_fn *see = accessed;
    const char *symbol = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(tb, 0));
    for (uintptr_t i = 0; symbol != NULL && i < MARKS; i++) {
        if (strcmp(symbol, marks[i].name) == 0) {
            qemu_plugin_register_vcpu_tb_exec_cb(tb, mark_reached, CALLBACK_NO_REGISTERS,
                                                 (void *)i);
            see = marks[i].mark == MARK_POOL ? pool_accessed : accessed;
        }
    }
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        qemu_plugin_register_vcpu_mem_cb(insn, see, CALLBACK_NO_REGISTERS, MEMORY_READ_WRITE, NULL);
    }
}

static void program_ended(plugin_id id, void *ctx) {
    (void)id;
    (void)ctx;
    fclose(out);
}
