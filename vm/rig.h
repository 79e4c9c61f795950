/* SPDX-License-Identifier: MIT
 *
 * rig.h - what the tests of spaces have in common: a small machine, and the end that every test
 * must reach: all agrees, and after all spaces are gone every frame is free again
 */
#ifndef HEAPRIG_VM_RIG_H
#define HEAPRIG_VM_RIG_H

#include "mmap.h"
#include "../alloc/white_box.h"

#include <errno.h>
#include <unistd.h>

enum { RIG_MIB = 1 << 20 };

/* The rule that is broken, if one is, fails the test. */
#define SOUND(machine)                                                                             \
    do {                                                                                           \
        const char *broken_ = machine_check(machine);                                              \
        ck_assert_msg(broken_ == NULL, "line %d: %s", __LINE__, broken_);                          \
    } while (0)

static inline struct machine *rig_machine_of(uint32_t bytes, uint32_t regions_max) {
    const struct phys_range range = {0x80000000u, bytes};
    const struct machine_config config = {.range = &range,
                                          .ranges = 1,
                                          .regions_max = regions_max,
                                          .reclaim_below = 8,
                                          .fail_below = 2};
    struct machine *machine = NULL;
    ck_assert_int_eq(machine_new(&config, &machine), VM_OK);
    SOUND(machine);
    return machine;
}

static inline struct machine *rig_machine(void) {
    return rig_machine_of(4 * RIG_MIB, 0);
}

static inline struct space *rig_space(struct machine *machine) {
    struct space *space = NULL;
    ck_assert_int_eq(space_new(machine, SPACE_USER, &space), VM_OK);
    return space;
}

/* Ends the user spaces that are left; segments must be removed. */
static inline void rig_end(struct machine *machine) {
    SOUND(machine);
    for (struct space *s = machine->spaces; s != NULL;) {
        struct space *next = s->next;
        (void)space_delete(s);
        s = next;
    }
    SOUND(machine);
    ck_assert_uint_eq(machine_leaked(machine), 0);
    machine_delete(machine);
}

/* An anonymous private mapping, readable and writable. */
static inline vaddr_t rig_map(struct space *space, uint32_t bytes) {
    vaddr_t at = 0;
    ck_assert_int_eq(vm_mmap(space, 0, bytes, VM_PROT_READ | VM_PROT_WRITE,
                             VM_MAP_PRIVATE | VM_MAP_ANONYMOUS, NULL, 0, &at),
                     0);
    return at;
}

static inline void rig_put(struct space *space, vaddr_t va, uint32_t word) {
    ck_assert_int_eq(space_store(space, va, &word, sizeof(word)), VM_OK);
}

static inline uint32_t rig_get(struct space *space, vaddr_t va) {
    uint32_t word = 0xDEADBEEFu;
    ck_assert_int_eq(space_load(space, &word, va, sizeof(word)), VM_OK);
    return word;
}

/* A host file of so many bytes, word i of it being `seed` + i; its name in path. */
static inline void rig_file(char path[32], uint32_t bytes, uint32_t seed) {
    strcpy(path, "/tmp/heaprig_vm_XXXXXX");
    int host = mkstemp(path);
    ck_assert_int_ge(host, 0);
    for (uint32_t at = 0; at < bytes; at += VM_PAGE) {
        uint32_t words[VM_PAGE / 4];
        uint32_t rest = bytes - at < VM_PAGE ? bytes - at : VM_PAGE;
        for (uint32_t i = 0; i < VM_PAGE / 4; i++) {
            words[i] = seed + at / 4 + i;
        }
        ck_assert_int_eq(write(host, words, rest), (ssize_t)rest);
    }
    ck_assert_int_eq(close(host), 0);
}

/* The word at that place of the host file. */
static inline uint32_t rig_host_word(const char *path, uint32_t at) {
    uint32_t word = 0xDEADBEEFu;
    FILE *host = fopen(path, "rb");
    ck_assert_ptr_nonnull(host);
    ck_assert_int_eq(fseek(host, (long)at, SEEK_SET), 0);
    ck_assert_uint_eq(fread(&word, sizeof(word), 1, host), 1);
    (void)fclose(host);
    return word;
}

#endif
