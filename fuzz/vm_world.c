/* SPDX-License-Identifier: MIT
 *
 * vm_world.c - setting a world up, what reads it all, and the end; vm_ops.c has the operations
 */
#include "vm_world_state.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AUDIT_EVERY = 32 };

bool world_fail(struct vm_world *w, const char *format, ...) {
    if (w->verdict[0] == '\0') {
        int at = snprintf(w->verdict, sizeof(w->verdict), "op %zu: ", w->op);
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(w->verdict + at, sizeof(w->verdict) - (size_t)at, format, arguments);
        va_end(arguments);
    }
    return false;
}

/* ---- setting up ---- */

static uint32_t file_word(uint32_t file, uint32_t page, uint32_t word) {
    return 0xF0000000u + (file << 16) + page * 2 + word;
}

static bool file_write(const struct vm_world *w, uint32_t file) {
    int host = open(w->path[file], O_RDWR | O_CREAT | O_TRUNC, 0600);
    bool written = host >= 0;
    for (uint32_t page = 0; written && page < MODEL_FILE_PAGES; page++) {
        uint32_t words[VM_PAGE / 4] = {0};
        words[0] = file_word(file, page, 0);
        words[VM_PAGE / 4 - 1] = file_word(file, page, 1);
        written = write(host, words, sizeof(words)) == sizeof(words);
    }
    return host >= 0 && close(host) == 0 && written;
}

struct vm_world *vm_world_new(void) {
    struct vm_world *w = calloc(1, sizeof(*w));
    if (w == NULL) {
        return NULL;
    }
    const char *shared = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    (void)snprintf(w->folder, sizeof(w->folder), "%s/heaprig_vm_XXXXXX", shared);
    if (mkdtemp(w->folder) == NULL) {
        free(w);
        return NULL;
    }
    for (uint32_t file = 0; file < MODEL_FILES; file++) {
        (void)snprintf(w->path[file], sizeof(w->path[0]), "%s/%u", w->folder, file);
    }
    return w;
}

void vm_world_delete(struct vm_world *w) {
    for (uint32_t file = 0; w != NULL && file < MODEL_FILES; file++) {
        (void)unlink(w->path[file]);
    }
    if (w != NULL) {
        (void)rmdir(w->folder);
    }
    free(w);
}

const struct vm_world_tally *vm_world_tally(const struct vm_world *w) {
    return &w->tally;
}

/* The first byte of a program chooses the core and how short memory is. */
static bool world_begin(struct vm_world *w, uint8_t choice) {
    static const char *const cores[] = {"a5", "a7", "a8", "a9", "a15", "a17"};
    static const uint32_t ram_bytes[] = {256 << 10, 384 << 10, 1 << 20};
    const struct phys_range range = {0x80000000u, ram_bytes[choice / 6 % 3]};
    const struct machine_config config = {.range = &range,
                                          .ranges = 1,
                                          .core = cores[choice % 6],
                                          .reclaim_below = 16,
                                          .fail_below = 4};
    memset(&w->model, 0, sizeof(w->model));
    memset(w->space, 0, sizeof(w->space));
    w->op = 0;
    w->verdict[0] = '\0';
    if (machine_new(&config, &w->machine) != VM_OK) {
        return world_fail(w, "no machine");
    }
    for (uint32_t file = 0; file < MODEL_FILES; file++) {
        bool made = file_write(w, file) &&
                    file_open(&w->machine->cache, w->path[file], file == 0, &w->file[file]) == 0;
        if (!made) {
            return world_fail(w, "the host's files cannot be written");
        }
        for (uint32_t page = 0; page < MODEL_FILE_PAGES; page++) {
            uint32_t *cell = w->model.cell[model_file_cell(file, page)];
            cell[0] = file_word(file, page, 0);
            cell[1] = file_word(file, page, 1);
        }
    }
    w->model.cells = MODEL_FILES * MODEL_FILE_PAGES;
    return world_space_new(w, 0);
}

/* ---- reading it all ---- */

bool world_page_read(struct vm_world *w, uint32_t space, uint32_t index) {
    struct model_page *page = &w->model.space[space].page[index];
    for (uint32_t i = 0; i < MODEL_WORDS; i++) {
        vaddr_t va = model_address(index) + i * (VM_PAGE - 4);
        uint32_t got = 0;
        uint64_t shortages = w->machine->shortages;
        enum vm_status status = space_load(w->space[space], &got, va, 4);
        bool absent = !page->own && page->cell == MODEL_CELLS;
        enum vm_status expected = page->kind == MODEL_NONE ? VM_NOT_FOUND
                                  : page->prot == 0        ? VM_ACCESS_DENIED
                                  : absent                 ? VM_NOT_FOUND
                                                           : VM_OK;
        if (status == VM_NO_MEMORY && w->machine->shortages > shortages) {
            continue;
        }
        if (status != expected) {
            return world_fail(w, "space %u: load at %08x gives %d, expected %d", space, va, status,
                              expected);
        }
        w->tally.words++;
        if (status == VM_OK && got != model_words(&w->model, page)[i]) {
            return world_fail(w, "space %u: word at %08x is %08x, expected %08x", space, va, got,
                              model_words(&w->model, page)[i]);
        }
    }
    return true;
}

static bool world_audit(struct vm_world *w) {
    world_settle(w);
    for (uint32_t space = 0; space < MODEL_SPACES; space++) {
        const struct model_space *s = &w->model.space[space];
        for (uint32_t i = 0; s->live && i < MODEL_PAGES; i++) {
            if (s->page[i].kind != MODEL_NONE && !world_page_read(w, space, i)) {
                return false;
            }
        }
    }
    for (int i = 0; i < MODEL_SEGMENTS; i++) {
        struct shm_info info;
        const struct model_segment *segment = &w->model.segment[i];
        bool live = segment->live && shm_stat(w->machine, segment->id, &info) == 0;
        if (live != segment->live || (live && info.attaches != model_attached(&w->model, i))) {
            return world_fail(w, "segment %d: attachments differ", i);
        }
    }
    const char *broken = machine_check(w->machine);
    return broken == NULL || world_fail(w, "%s", broken);
}

/* ---- the end ---- */

static bool files_check(struct vm_world *w) {
    for (uint32_t file = 0; file < MODEL_FILES; file++) {
        int host = open(w->path[file], O_RDONLY);
        for (uint32_t page = 0; page < MODEL_FILE_PAGES; page++) {
            for (uint32_t i = 0; i < MODEL_WORDS; i++) {
                uint32_t got = 0;
                uint32_t expected = w->model.cell[model_file_cell(file, page)][i];
                off_t at = (off_t)page * VM_PAGE + i * (VM_PAGE - 4);
                if (pread(host, &got, 4, at) != 4 || got != expected) {
                    (void)close(host);
                    return world_fail(w, "file %u, page %u: %08x, expected %08x", file, page, got,
                                      expected);
                }
            }
        }
        (void)close(host);
    }
    return true;
}

static bool world_end(struct vm_world *w) {
    struct machine *m = w->machine;
    for (uint32_t space = 0; space < MODEL_SPACES; space++) {
        if (w->space[space] != NULL) {
            (void)space_delete(w->space[space]);
        }
    }
    for (int i = 0; i < MODEL_SEGMENTS; i++) {
        if (w->model.segment[i].live && !w->model.segment[i].removed) {
            (void)shm_remove(m, w->model.segment[i].id);
        }
    }
    for (uint32_t file = 0; file < MODEL_FILES; file++) {
        if (w->file[file] != NULL) {
            file_unref(w->file[file]);
            w->file[file] = NULL;
        }
    }
    const char *broken = machine_check(m);
    bool sound = broken == NULL || world_fail(w, "at the end: %s", broken);
    uint32_t leaked = machine_leaked(m);
    sound = sound && (leaked == 0 || world_fail(w, "%u frames leaked", leaked));
    w->tally.copies += m->copies;
    w->tally.reclaimed += m->reclaimed;
    w->tally.shortages += m->shortages;
    machine_delete(m);
    w->machine = NULL;
    return sound && files_check(w);
}

const char *vm_world_run(struct vm_world *w, const uint8_t *data, size_t size) {
    bool sound = world_begin(w, size > 0 ? data[0] : 0);
    for (size_t at = 1; sound && at + VM_WORLD_OP_BYTES <= size; at += VM_WORLD_OP_BYTES) {
        sound = world_op(w, data + at);
        w->op++;
        w->tally.ops++;
        sound = sound && (w->op % AUDIT_EVERY != 0 || world_audit(w));
    }
    sound = sound && world_audit(w);
    if (w->machine != NULL) {
        (void)world_end(w);
    }
    return w->verdict[0] != '\0' ? w->verdict : NULL;
}
