/* SPDX-License-Identifier: MIT
 * file_test.c - mapped files and reclaim: what reaches the host file, what survives when memory is
 * short, and what happens when the host file changes behind the mapping.
 */
#include "rig.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { RW = VM_PROT_READ | VM_PROT_WRITE, ANON = VM_MAP_PRIVATE | VM_MAP_ANONYMOUS };

static struct file *file_of(struct machine *m, const char *path, bool writable) {
    struct file *file = NULL;
    ck_assert_int_eq(file_open(&m->cache, path, writable, &file), 0);
    return file;
}

static vaddr_t file_map(struct space *s, struct file *file, uint32_t pages, int prot, int kind) {
    vaddr_t at = 0;
    ck_assert_int_eq(vm_mmap(s, 0, pages * VM_PAGE, prot, kind, file, 0, &at), 0);
    return at;
}

START_TEST(test_files_that_cannot_be_opened) {
    struct machine *m = rig_machine();
    struct file *file = NULL;
    ck_assert_int_eq(file_open(&m->cache, "/nonexistent/file", false, &file), -ENOENT);
    ck_assert_int_eq(file_open(&m->cache, "/tmp", false, &file), -EACCES);
    ck_assert_int_eq(file_open(&m->cache, "/tmp", true, &file), -EACCES);
    ck_assert_int_eq(file_open(&m->cache, "/dev/null", true, &file), -EACCES);
    ck_assert_ptr_null(file);
    rig_end(m);
}
END_TEST

START_TEST(test_shared_writes_reach_the_file) {
    struct machine *m = rig_machine();
    struct space *one = rig_space(m);
    struct space *two = rig_space(m);
    char path[32];
    rig_file(path, 2 * VM_PAGE + 8, 1000);
    struct file *reader = file_of(m, path, false);
    struct file *writer = file_of(m, path, true); /* the same contents */
    vaddr_t a = file_map(one, writer, 3, RW, VM_MAP_SHARED);
    vaddr_t b = file_map(two, reader, 3, VM_PROT_READ, VM_MAP_SHARED);
    ck_assert_uint_eq(rig_get(two, b + 2 * VM_PAGE + 4), 1000 + 2049);
    ck_assert_uint_eq(rig_get(two, b + 2 * VM_PAGE + 8), 0); /* the rest of the last page */
    rig_put(one, a + 2 * VM_PAGE, 5);
    rig_put(one, a + 2 * VM_PAGE + 8, 6); /* behind the end: seen, but not written */
    ck_assert_uint_eq(rig_get(two, b + 2 * VM_PAGE), 5);
    ck_assert_uint_eq(m->cache.pages, 1);
    ck_assert_uint_eq(rig_host_word(path, 2 * VM_PAGE), 1000 + 2048);
    ck_assert_int_eq(vm_msync(one, a, 3 * VM_PAGE), 0);
    ck_assert_uint_eq(rig_host_word(path, 2 * VM_PAGE), 5);
    ck_assert_uint_eq(m->cache.dirty, 0);
    SOUND(m);
    rig_put(one, a + 2 * VM_PAGE, 7); /* after msync it must be noticed anew */
    ck_assert_uint_eq(m->cache.dirty, 1);
    SOUND(m);
    file_unref(reader);
    file_unref(writer);
    rig_end(m);
    ck_assert_uint_eq(rig_host_word(path, 2 * VM_PAGE), 7);
    struct stat stat_now;
    ck_assert_int_eq(stat(path, &stat_now), 0);
    ck_assert_int_eq(stat_now.st_size, 2 * VM_PAGE + 8);
    (void)unlink(path);
}
END_TEST

START_TEST(test_private_writes_stay_here) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    struct space *child;
    char path[32];
    rig_file(path, 2 * VM_PAGE, 1);
    struct file *file = file_of(m, path, false);
    vaddr_t at = file_map(s, file, 2, RW, VM_MAP_PRIVATE);
    rig_put(s, at, 100);                      /* without reading before */
    ck_assert_uint_eq(rig_get(s, at + 4), 2); /* the rest is the file's */
    ck_assert_uint_eq(rig_get(s, at + VM_PAGE), 1025);
    ck_assert_int_eq(space_clone(s, &child), VM_OK);
    rig_put(child, at + VM_PAGE, 200);
    rig_put(child, at, 101);
    ck_assert_uint_eq(rig_get(s, at), 100);
    ck_assert_uint_eq(rig_get(s, at + VM_PAGE), 1025);
    file_unref(file);
    rig_end(m);
    ck_assert_uint_eq(rig_host_word(path, 0), 1);
    (void)unlink(path);
}
END_TEST

/* LiteOS P7: a dirty page is flushed after it was freed. Pages are dirtied, reclaimed while mapped,
 * their frames given to others and overwritten: the file must have what was written. */
START_TEST(test_P7_dirty_pages_are_written_before_they_go) {
    enum { PAGES = 64 };
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    char path[32];
    rig_file(path, PAGES * VM_PAGE, 1);
    struct file *file = file_of(m, path, true);
    vaddr_t at = file_map(s, file, PAGES, RW, VM_MAP_SHARED);
    for (uint32_t i = 0; i < PAGES; i++) {
        rig_put(s, at + i * VM_PAGE, 5000 + i);
    }
    ck_assert_uint_eq(m->cache.dirty, PAGES);
    ck_assert_uint_eq(machine_reclaim(m, PAGES, false), PAGES);
    SOUND(m);
    ck_assert_uint_eq(m->cache.pages, 0);
    vaddr_t other = rig_map(s, PAGES * VM_PAGE);
    for (uint32_t i = 0; i < PAGES; i++) {
        rig_put(s, other + i * VM_PAGE, 9);
    }
    for (uint32_t i = 0; i < PAGES; i++) {
        ck_assert_uint_eq(rig_host_word(path, i * VM_PAGE), 5000 + i);
        ck_assert_uint_eq(rig_get(s, at + i * VM_PAGE), 5000 + i);
    }
    file_unref(file);
    rig_end(m);
    (void)unlink(path);
}
END_TEST

/* A file larger than RAM: reading and writing it all goes on, by reclaim. */
START_TEST(test_file_larger_than_memory) {
    enum { PAGES = 700 };
    struct machine *m = rig_machine_of(RIG_MIB, 0); /* 255 frames */
    struct space *s = rig_space(m);
    char path[32];
    rig_file(path, PAGES * VM_PAGE, 0);
    struct file *file = file_of(m, path, true);
    vaddr_t at = file_map(s, file, PAGES, RW, VM_MAP_SHARED);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < PAGES; i++) {
            ck_assert_uint_eq(rig_get(s, at + i * VM_PAGE + 8), i * 1024 + 2);
            if (i % 3 == 0) {
                ck_assert_uint_eq(rig_get(s, at + i * VM_PAGE), i * 1024 + round);
                rig_put(s, at + i * VM_PAGE, i * 1024 + round + 1);
            }
        }
        SOUND(m);
    }
    ck_assert_uint_ge(m->reclaimed, PAGES);
    file_unref(file);
    rig_end(m);
    for (uint32_t i = 0; i < PAGES; i++) {
        ck_assert_uint_eq(rig_host_word(path, i * VM_PAGE), i * 1024 + (i % 3 == 0 ? 2 : 0));
    }
    (void)unlink(path);
}
END_TEST

/* Pages in use stay, pages used once go first. */
START_TEST(test_reclaim_spares_what_is_used) {
    enum { PAGES = 40 };
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    char path[32];
    rig_file(path, PAGES * VM_PAGE, 0);
    struct file *file = file_of(m, path, false);
    for (uint32_t i = 0; i < PAGES; i++) {
        vaddr_t at = file_map(s, file, PAGES, VM_PROT_READ, VM_MAP_SHARED);
        for (uint32_t page = 0; page < PAGES; page += i == 0 ? 1 : 8) {
            (void)rig_get(s, at + page * VM_PAGE); /* every eighth page again and again */
        }
        ck_assert_int_eq(vm_munmap(s, at, PAGES * VM_PAGE), 0);
    }
    ck_assert_uint_eq(machine_reclaim(m, PAGES - PAGES / 8, false), PAGES - PAGES / 8);
    for (uint32_t page = 0; page < PAGES; page++) {
        ck_assert_int_eq(page_find(&m->cache, file, page) != NULL, page % 8 == 0);
    }
    file_unref(file);
    rig_end(m);
    (void)unlink(path);
}
END_TEST

/* Pages that several regions of several spaces show leave all of them. */
START_TEST(test_reclaim_of_pages_shown_often) {
    struct machine *m = rig_machine();
    char path[32];
    rig_file(path, 2 * VM_PAGE, 0);
    struct file *file = file_of(m, path, true);
    struct space *s[3];
    vaddr_t at[6];
    for (int i = 0; i < 6; i++) {
        s[i % 3] = i < 3 ? rig_space(m) : s[i % 3];
        at[i] = file_map(s[i % 3], file, 2, RW, i % 2 == 0 ? VM_MAP_SHARED : VM_MAP_PRIVATE);
        ck_assert_uint_eq(rig_get(s[i % 3], at[i] + VM_PAGE + 4), 1025);
    }
    rig_put(s[0], at[0] + VM_PAGE + 4, 7);
    ck_assert_uint_eq(machine_reclaim(m, 2, false), 1);
    SOUND(m);
    ck_assert_uint_eq(rig_host_word(path, VM_PAGE + 4), 7);
    for (int i = 0; i < 6; i++) {
        ck_assert_uint_eq(rig_get(s[i % 3], at[i] + VM_PAGE + 4), 7);
    }
    file_unref(file);
    rig_end(m);
    (void)unlink(path);
}
END_TEST

START_TEST(test_reclaim_spares_code_at_first) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    char path[32];
    rig_file(path, VM_PAGE, 0);
    struct file *file = file_of(m, path, false);
    vaddr_t at = file_map(s, file, 1, VM_PROT_READ | VM_PROT_EXECUTE, VM_MAP_PRIVATE);
    ck_assert_int_eq(space_fetch(s, at), VM_OK);
    ck_assert_uint_eq(machine_reclaim(m, 1, false), 0);
    ck_assert_uint_eq(machine_reclaim(m, 1, true), 1);
    SOUND(m);
    ck_assert_int_eq(space_fetch(s, at), VM_OK);
    file_unref(file);
    rig_end(m);
    (void)unlink(path);
}
END_TEST

START_TEST(test_host_file_shrinks_and_vanishes) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    char path[32];
    uint32_t word = 3;
    rig_file(path, 4 * VM_PAGE, 100);
    struct file *file = file_of(m, path, true);
    vaddr_t at = file_map(s, file, 6, RW, VM_MAP_SHARED);
    ck_assert_int_eq(space_load(s, &word, at + 4 * VM_PAGE, 4), VM_NOT_FOUND);
    rig_put(s, at + 3 * VM_PAGE, 7); /* cached and dirty */
    ck_assert_int_eq(truncate(path, VM_PAGE + 4), 0);
    ck_assert_uint_eq(rig_get(s, at + 3 * VM_PAGE), 7); /* still there */
    ck_assert_int_eq(space_load(s, &word, at + 2 * VM_PAGE, 4), VM_NOT_FOUND);
    ck_assert_int_eq(space_store(s, at + 2 * VM_PAGE, &word, 4), VM_NOT_FOUND);
    ck_assert_uint_eq(rig_get(s, at + VM_PAGE), 1124);
    ck_assert_uint_eq(rig_get(s, at + VM_PAGE + 4), 0);
    SOUND(m);
    ck_assert_uint_eq(machine_reclaim(m, 10, true), 2);
    ck_assert_int_eq(space_load(s, &word, at + 3 * VM_PAGE, 4), VM_NOT_FOUND);
    struct stat stat_now;
    ck_assert_int_eq(stat(path, &stat_now), 0);
    ck_assert_int_eq(stat_now.st_size, VM_PAGE + 4); /* not made longer */
    ck_assert_int_eq(unlink(path), 0);
    rig_put(s, at, 8);
    ck_assert_int_eq(vm_msync(s, at, VM_PAGE), 0);
    ck_assert_uint_eq(machine_reclaim(m, 10, true), 1);
    ck_assert_uint_eq(rig_get(s, at), 8); /* without a name, but there */
    file_unref(file);
    rig_end(m);
}
END_TEST

/* The host refuses to take a page: it stays dirty, in memory, and is not lost. */
START_TEST(test_page_the_host_refuses_stays) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    char path[32];
    rig_file(path, VM_PAGE, 100);
    struct file *file = file_of(m, path, true);
    vaddr_t at = file_map(s, file, 1, RW, VM_MAP_SHARED);
    rig_put(s, at, 7);
    int host = file_contents(file)->host;
    int kept = dup(host);
    int other = open(path, O_RDONLY);
    ck_assert_int_eq(dup2(other, host), host); /* no longer open for writing */
    ck_assert_int_eq(vm_msync(s, at, VM_PAGE), -EIO);
    ck_assert_uint_eq(machine_reclaim(m, 1, true), 0);
    SOUND(m);
    ck_assert_uint_eq(m->cache.dirty, 1);
    ck_assert_uint_eq(rig_get(s, at), 7);
    ck_assert_int_eq(dup2(kept, host), host);
    ck_assert_int_eq(vm_msync(s, at, VM_PAGE), 0);
    ck_assert_uint_eq(rig_host_word(path, 0), 7);
    (void)close(other);
    (void)close(kept);
    file_unref(file);
    rig_end(m);
    (void)unlink(path);
}
END_TEST

START_TEST(test_offsets_and_splits) {
    struct machine *m = rig_machine();
    struct space *s = rig_space(m);
    char path[32];
    vaddr_t at, moved;
    rig_file(path, 8 * VM_PAGE, 0);
    struct file *file = file_of(m, path, true);
    ck_assert_int_eq(vm_mmap(s, 0, 2 * VM_PAGE, RW, VM_MAP_SHARED, file, UINT32_MAX - 1, &at),
                     -EINVAL);
    ck_assert_int_eq(vm_mmap(s, 0, 6 * VM_PAGE, RW, VM_MAP_SHARED, file, 2, &at), 0);
    ck_assert_uint_eq(rig_get(s, at), 2 * 1024);
    ck_assert_int_eq(vm_munmap(s, at + 2 * VM_PAGE, VM_PAGE), 0);
    ck_assert_uint_eq(rig_get(s, at + 3 * VM_PAGE), 5 * 1024);
    ck_assert_int_eq(vm_mremap(s, at + 4 * VM_PAGE, 2 * VM_PAGE, VM_PAGE,
                               VM_MREMAP_MAYMOVE | VM_MREMAP_FIXED, at + 20 * VM_PAGE, &moved),
                     0);
    ck_assert_uint_eq(rig_get(s, moved), 6 * 1024);
    SOUND(m);
    rig_put(s, moved, 1);
    ck_assert_uint_eq(machine_reclaim(m, 100, true), m->cache.reads);
    SOUND(m);
    ck_assert_uint_eq(rig_get(s, moved), 1);
    file_unref(file);
    rig_end(m);
    ck_assert_uint_eq(rig_host_word(path, 6 * VM_PAGE), 1);
    (void)unlink(path);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("file");
    TCase *tests = tcase_create("file");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, test_files_that_cannot_be_opened);
    tcase_add_test(tests, test_shared_writes_reach_the_file);
    tcase_add_test(tests, test_private_writes_stay_here);
    tcase_add_test(tests, test_P7_dirty_pages_are_written_before_they_go);
    tcase_add_test(tests, test_file_larger_than_memory);
    tcase_add_test(tests, test_reclaim_spares_what_is_used);
    tcase_add_test(tests, test_reclaim_of_pages_shown_often);
    tcase_add_test(tests, test_reclaim_spares_code_at_first);
    tcase_add_test(tests, test_host_file_shrinks_and_vanishes);
    tcase_add_test(tests, test_page_the_host_refuses_stays);
    tcase_add_test(tests, test_offsets_and_splits);
    suite_add_tcase(suite, tests);
    return test_main(suite);
}
