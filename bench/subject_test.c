/* SPDX-License-Identifier: MIT
 * subject_test.c - what is found by name and path, and in which words the rest is refused. */
#include "subject.h"

#include "../alloc/test_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *built_path(const char *file) {
    static char path[512];
    const char *folder = getenv("HEAPRIG_BUILD");
    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "build", file);
    return path;
}

static void assert_refused(const char *name_or_path, const char *words) {
    struct problem problem = {""};
    ck_assert_msg(subject_find(name_or_path, &problem) == NULL, "%s was found", name_or_path);
    ck_assert_msg(strstr(problem.text, name_or_path) != NULL, "does not name its subject: %s",
                  problem.text);
    ck_assert_msg(strstr(problem.text, words) != NULL, "'%s' lacks '%s'", problem.text, words);
}

START_TEST(own_allocators_are_found_by_name) {
    size_t count;
    const struct alloc_ops *const *own = alloc_registry(&count);
    ck_assert_uint_gt(count, 0);
    struct problem problem = {""};
    for (size_t i = 0; i < count; i++) {
        ck_assert_ptr_eq(subject_find(own[i]->name, &problem), own[i]);
        struct subject subject;
        ck_assert(subject_at(i, &subject));
        ck_assert_ptr_eq(subject.ops, own[i]);
        ck_assert_str_eq(subject.name, own[i]->name);
        ck_assert(!subject.baseline);
    }
}
END_TEST

START_TEST(baselines_are_listed_behind_and_found_when_installed) {
    size_t index;
    (void)alloc_registry(&index);
    struct problem problem = {""};
    for (struct subject subject; subject_at(index, &subject); index++) {
        ck_assert(subject.baseline);
        ck_assert_ptr_eq(subject_find(subject.name, &problem), subject.ops);
        if (subject.ops == NULL) {
            assert_refused(subject.name, "not installed");
        }
    }
    ck_assert(!subject_at(index + 1, &(struct subject){0}));
}
END_TEST

START_TEST(unknown_name_suggests_the_nearest) {
    assert_refused("bumb", "did you mean 'bump'?");
    assert_refused("completely_different", "expected a name");
    struct problem problem;
    (void)subject_find("completely_different", &problem);
    ck_assert_ptr_null(strstr(problem.text, "did you mean"));
}
END_TEST

START_TEST(plugin_is_found_by_path) {
    struct problem problem = {""};
    const struct alloc_ops *ops = subject_find(built_path("bench/example_plugin.so"), &problem);
    ck_assert_msg(ops != NULL, "%s", problem.text);
    ck_assert_str_eq(ops->name, "stack");
    ck_assert_ptr_eq(subject_find(built_path("bench/example_plugin.so"), &problem), ops);
    _Alignas(8) static char pool[256];
    struct alloc *a = ops->init(pool, sizeof pool, NULL);
    ck_assert_ptr_nonnull(a);
    void *p = ops->alloc(a, 100);
    ck_assert(p > (void *)pool && (char *)p + 100 <= pool + sizeof pool);
    ck_assert_ptr_null(ops->alloc(a, SIZE_MAX));
    ck_assert_int_eq(ops->free(a, p), ALLOC_OK);
    ck_assert_ptr_eq(ops->alloc(a, 1), p);
}
END_TEST

START_TEST(what_is_no_plugin_is_refused) {
    assert_refused("./missing.so", "no such file");
    assert_refused("missing.so", "no such file");
    assert_refused("bench/subject.h", "not loadable");
    assert_refused(built_path("bench/no_table_plugin.so"), "expected it to export");
    assert_refused(built_path("bench/other_abi_plugin.so"), "ABI");
    assert_refused(built_path("bench/no_alloc_plugin.so"), "missing");
    assert_refused(built_path("bench/no_name_plugin.so"), "name");
}
END_TEST

START_TEST(decorators_stand_before_names_and_paths) {
    struct problem problem = {""};
    const struct alloc_ops *tlsf = subject_find("tlsf", &problem);
    const struct alloc_ops *locked = subject_find("lock:tlsf", &problem);
    ck_assert_msg(locked != NULL, "%s", problem.text);
    ck_assert_str_eq(locked->name, "lock:tlsf");
    ck_assert_uint_eq(locked->caps, tlsf->caps | ALLOC_CAP_THREADS);
    ck_assert_ptr_eq(subject_find("lock:tlsf", &problem), locked);
    ck_assert_ptr_ne(subject_find("lock:bestfit", &problem), locked);
    char path[520];
    ck_assert_int_lt(snprintf(path, sizeof path, "lock:%s", built_path("bench/example_plugin.so")),
                     520);
    const struct alloc_ops *plugin = subject_find(path, &problem);
    ck_assert_msg(plugin != NULL, "%s", problem.text);
    ck_assert_str_eq(plugin->name, "lock:stack");
    ck_assert(plugin->realloc == NULL); /* what is missing stays missing */
    ck_assert(plugin->walk == NULL);
}
END_TEST

/* Each part is looked up for itself, and the nearest of its own kind is suggested. */
START_TEST(wrong_decorations_are_refused) {
    assert_refused("lok:tlsf", "did you mean 'lock'?");
    assert_refused("completely:tlsf", "expected one that");
    assert_refused(":tlsf", "unknown decorator");
    assert_refused("lock:lock:tlsf", "expected one that needs a lock");
    struct problem problem = {""};
    ck_assert_ptr_null(subject_find("lock:tlfs", &problem));
    ck_assert_ptr_nonnull(strstr(problem.text, "did you mean 'tlsf'?"));
    ck_assert_ptr_null(subject_find("lock:./missing.so", &problem));
    ck_assert_ptr_nonnull(strstr(problem.text, "no such file"));
    ck_assert_ptr_null(subject_find("lock:", &problem));
    assert_refused("slab:membox", "expected one with room for buckets");
    assert_refused("slab:bump", "expected one that takes buckets back");
}
END_TEST

int main(void) {
    TCase *tcase = tcase_create("subject");
    tcase_add_test(tcase, own_allocators_are_found_by_name);
    tcase_add_test(tcase, baselines_are_listed_behind_and_found_when_installed);
    tcase_add_test(tcase, unknown_name_suggests_the_nearest);
    tcase_add_test(tcase, plugin_is_found_by_path);
    tcase_add_test(tcase, what_is_no_plugin_is_refused);
    tcase_add_test(tcase, decorators_stand_before_names_and_paths);
    tcase_add_test(tcase, wrong_decorations_are_refused);
    Suite *suite = suite_create("subject");
    suite_add_tcase(suite, tcase);
    return test_main(suite);
}
