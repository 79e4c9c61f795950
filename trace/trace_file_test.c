/* SPDX-License-Identifier: MIT
 *
 * trace_file_test.c - .hrt files keep all, and no damage goes unnoticed
 *
 * Damage comes in three depths: plain (cut, flipped bits, bytes too many), sealed again with a
 * right SHA-256 (lying lengths and numbers), and inside the columns, below zstd's checksum.
 */
#include "trace_file.h"

#include "../bench/test_trace.h"
#include "../fuzz/random_ops.h"
#include "trace_columns.h"
#include "trace_text.h"

#include <dirent.h>
#include <inttypes.h>
#include <sha2.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static struct file_bytes trace_bytes(const struct trace *trace) {
    struct file_bytes file = {0};
    struct problem problem = {""};
    ck_assert_msg(trace_file_encode(trace, &file, &problem), "%s", problem.text);
    return file;
}

static struct file_bytes spec_bytes(const char *spec) {
    struct trace trace = test_trace_load(spec);
    (void)strcpy(trace.arch, "armv7l");
    struct file_bytes file = trace_bytes(&trace);
    trace_release(&trace);
    return file;
}

/* Decodes a copy of just the right size, so that sanitizers see each byte read beyond it. */
static bool bytes_decode(const unsigned char *bytes, size_t count, struct trace *trace,
                         struct problem *problem) {
    memset(trace, 0, sizeof *trace);
    unsigned char *exact = malloc(count + 1);
    memcpy(exact, bytes, count);
    bool is_file = trace_file_is(exact, count);
    bool read = is_file ? trace_file_decode("file", exact, count, trace, problem)
                        : problem_set(problem, "file: not a trace");
    free(exact);
    return read;
}

static void assert_refused(const unsigned char *bytes, size_t count, const char *said) {
    struct trace trace;
    struct problem problem = {""};
    ck_assert(!bytes_decode(bytes, count, &trace, &problem));
    ck_assert_int_eq(strncmp(problem.text, "file:", 5), 0);
    ck_assert_msg(strstr(problem.text, said) != NULL, "%s, expected '%s'", problem.text, said);
    trace_release(&trace);
}

static void file_seal(struct file_bytes *file) {
    SHA2_CTX sha;
    SHA256Init(&sha);
    SHA256Update(&sha, file->bytes, file->count - SHA256_DIGEST_LENGTH);
    SHA256Final(file->bytes + file->count - SHA256_DIGEST_LENGTH, &sha);
}

/* ---- nothing is lost ---- */

static const char *const specs[] = {
    "gen:uniform:1:300000", "gen:powerlaw", "gen:lifo",   "gen:fifo",           "gen:ramp",
    "gen:embedded",         "gen:comb",     "gen:shrink", "gen:realloc_growth", "gen:knuth",
    "gen:uniform:1:10"};

START_TEST(a_trace_comes_back_as_it_was) {
    struct trace trace = test_trace_load(specs[_i]);
    (void)strcpy(trace.command, " a b\n\\x41\x80\x7f ");
    trace.pointer_bits = 32;
    for (size_t i = 1; i < trace.op_count; i++) {
        trace.ops[i].thread = (uint16_t)(i % 3 == 0 ? i / 3 % 300 : 0);
    }
    struct problem problem = {""};
    ck_assert_msg(trace_finish(&trace, "test", &problem), "%s", problem.text);
    struct file_bytes file = trace_bytes(&trace);
    struct trace back;
    ck_assert_msg(bytes_decode(file.bytes, file.count, &back, &problem), "%s", problem.text);
    ck_assert_uint_eq(back.op_count, trace.op_count);
    ck_assert_mem_eq(back.ops, trace.ops, trace.op_count * sizeof *trace.ops);
    ck_assert_mem_eq(&back.counts, &trace.counts, sizeof trace.counts);
    ck_assert_str_eq(back.origin, trace.origin);
    ck_assert_str_eq(back.command, trace.command);
    ck_assert_uint_eq(back.pointer_bits, 32);
    char sha256[65];
    file_bytes_sha256(file.bytes, file.count, sha256);
    ck_assert_str_eq(back.sha256, sha256);
    file_bytes_release(&file);
    trace_release(&trace);
    trace_release(&back);
}
END_TEST

/* Slots with gaps, absurd sizes, all kinds: what comes back is what the builder makes of it. */
START_TEST(slots_come_back_numbered_by_the_rule) {
    enum { OPS = 5000 };
    struct random_ops how = {random_seed((uint64_t)_i), 300, 5000, 20};
    printf("seed %" PRIx64 "\n", how.seed);
    static struct op ops[OPS];
    random_ops_fill(&how, ops, OPS);
    struct trace trace = test_trace(ops, OPS);
    struct problem problem = {""};
    struct file_bytes text = {0};
    ck_assert(trace_text_encode(&trace, &text, &problem));
    struct trace ruled = {.op_count = 0};
    ck_assert_msg(trace_text_decode("file", (const char *)text.bytes, text.count, &ruled, &problem),
                  "%s", problem.text);
    struct file_bytes file = trace_bytes(&trace);
    struct trace back;
    ck_assert_msg(bytes_decode(file.bytes, file.count, &back, &problem), "%s", problem.text);
    ck_assert_uint_eq(back.op_count, OPS);
    ck_assert_mem_eq(back.ops, ruled.ops, OPS * sizeof *ops);
    ck_assert_uint_eq(back.counts.slots, trace.counts.peak_live_blocks);
    file_bytes_release(&text);
    file_bytes_release(&file);
    trace_release(&trace);
    trace_release(&ruled);
    trace_release(&back);
}
END_TEST

START_TEST(a_trace_without_ops_is_kept) {
    const struct op none = {0};
    struct trace trace = test_trace(&none, 0);
    struct file_bytes file = trace_bytes(&trace);
    struct trace back;
    struct problem problem = {""};
    ck_assert_msg(bytes_decode(file.bytes, file.count, &back, &problem), "%s", problem.text);
    ck_assert_uint_eq(back.op_count, 0);
    file_bytes_release(&file);
    trace_release(&trace);
    trace_release(&back);
}
END_TEST

START_TEST(the_header_can_be_read_by_people) {
    struct file_bytes file = spec_bytes("gen:comb:1:100");
    static const char header[] = "heaprig trace 1\norigin gen:comb:1:100\ncommand \narch armv7l\n"
                                 "pointer_bits 0\nops 98\nalloc 70\ncalloc 0\naligned 0\n"
                                 "realloc 0\nfree 28\npeak_live_bytes 14336\n"
                                 "peak_live_blocks 56\nthreads 1\n\n";
    ck_assert_mem_eq(file.bytes, header, sizeof header - 1);
    file_bytes_release(&file);
}
END_TEST

/* ---- plain damage ---- */

START_TEST(a_file_cut_anywhere_is_refused) {
    struct file_bytes file = spec_bytes("gen:embedded:1:400");
    for (size_t count = 0; count < file.count; count++) {
        assert_refused(file.bytes, count, "");
    }
    file_bytes_release(&file);
}
END_TEST

START_TEST(any_flipped_bit_is_refused) {
    struct file_bytes file = spec_bytes("gen:embedded:1:400");
    for (size_t bit = (size_t)_i; bit < file.count * 8; bit += 4) {
        file.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_refused(file.bytes, file.count, "");
        file.bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    file_bytes_release(&file);
}
END_TEST

START_TEST(bytes_behind_the_end_are_refused) {
    struct file_bytes file = spec_bytes("gen:comb:1:100");
    ck_assert(file_bytes_append(&file, "", 1));
    assert_refused(file.bytes, file.count, "not 32 bytes after the last block");
    file_bytes_release(&file);
}
END_TEST

/* ---- sealed again: lies ---- */

static const char *const number_keys[] = {
    "pointer_bits", "ops",  "alloc",   "calloc",          "aligned",
    "realloc",      "free", "threads", "peak_live_bytes", "peak_live_blocks"};
static const char *const lies[] = {"",
                                   "-1",
                                   "x",
                                   "1",
                                   "99999",
                                   "2147483648",
                                   "4294967296",
                                   "18446744073709551615",
                                   "18446744073709551616",
                                   "1 1",
                                   "0x"};

/* The file with the header's `key` given another value, sealed again. */
static struct file_bytes file_lying(const struct file_bytes *file, const char *key,
                                    const char *value) {
    char line[64];
    (void)snprintf(line, sizeof line, "\n%s ", key);
    unsigned char *at = memmem(file->bytes, file->count, line, strlen(line));
    ck_assert_ptr_nonnull(at);
    size_t before = (size_t)(at - file->bytes) + strlen(line);
    const unsigned char *after = memchr(file->bytes + before, '\n', file->count - before);
    struct file_bytes lying = {0};
    ck_assert(file_bytes_append(&lying, file->bytes, before));
    ck_assert(file_bytes_append(&lying, value, strlen(value)));
    ck_assert(file_bytes_append(&lying, after, file->count - (size_t)(after - file->bytes)));
    file_seal(&lying);
    return lying;
}

START_TEST(lying_numbers_in_the_header_are_refused) {
    struct file_bytes file = spec_bytes("gen:embedded:1:400");
    struct rusage before;
    getrusage(RUSAGE_SELF, &before);
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        if (strcmp(number_keys[_i], "threads") == 0 && strcmp(lies[i], "1") == 0) {
            continue; /* the truth */
        }
        struct file_bytes lying = file_lying(&file, number_keys[_i], lies[i]);
        assert_refused(lying.bytes, lying.count, "");
        file_bytes_release(&lying);
    }
    struct rusage after;
    getrusage(RUSAGE_SELF, &after);
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 64 << 10); /* KiB: less than 64 MiB */
    file_bytes_release(&file);
}
END_TEST

START_TEST(another_version_is_refused) {
    struct file_bytes file = spec_bytes("gen:comb:1:100");
    file.bytes[strlen("heaprig trace ")] = '2';
    file_seal(&file);
    assert_refused(file.bytes, file.count, "'heaprig trace 2', expected heaprig trace 1");
    file_bytes_release(&file);
}
END_TEST

static size_t file_blocks_at(const struct file_bytes *file) {
    const unsigned char *empty_line = memmem(file->bytes, file->count, "\n\n", 2);
    ck_assert_ptr_nonnull(empty_line);
    return (size_t)(empty_line - file->bytes) + 2;
}

/* Number 0 is the ops, 1 the bytes of columns, 2 those compressed. */
START_TEST(lying_block_headers_are_refused) {
    struct file_bytes file = spec_bytes("gen:embedded:1:400");
    unsigned char *word = file.bytes + file_blocks_at(&file) + 4 * _i;
    uint32_t truth;
    memcpy(&truth, word, sizeof truth);
    const uint32_t values[] = {0,        1,          truth - 1,  truth + 1, 1u << 18 | 1,
                               1u << 30, 0x7FFFFFFF, 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        memcpy(word, &values[i], sizeof truth);
        file_seal(&file);
        bool long_frame = _i == 2 && values[i] > truth + 1;
        assert_refused(file.bytes, file.count,
                       long_frame ? "a block longer than the file" : "damaged or cut");
    }
    file_bytes_release(&file);
}
END_TEST

START_TEST(a_block_cannot_ask_for_memory_with_the_headers_help) {
    struct file_bytes file = spec_bytes("gen:embedded:1:400");
    struct file_bytes lying = file_lying(&file, "ops", "2147483648");
    const uint32_t many = 0x7FFFFFFF;
    memcpy(lying.bytes + file_blocks_at(&lying), &many, sizeof many);
    file_seal(&lying);
    assert_refused(lying.bytes, lying.count, "a block of impossibly many ops");
    file_bytes_release(&lying);
    file_bytes_release(&file);
}
END_TEST

START_TEST(sealed_garbage_is_read_or_refused) {
    struct file_bytes file = spec_bytes("gen:embedded:1:400");
    uint64_t random = random_seed(1);
    printf("seed %" PRIx64 "\n", random);
    size_t refused = 0;
    for (size_t round = 0; round < 2000; round++) {
        struct file_bytes garbled = {0};
        ck_assert(file_bytes_append(&garbled, file.bytes, file.count));
        for (uint64_t changes = 1 + random_next(&random) % 3; changes > 0; changes--) {
            garbled.bytes[random_next(&random) % file.count] = (unsigned char)random_next(&random);
        }
        file_seal(&garbled);
        struct trace trace;
        struct problem problem;
        refused += !bytes_decode(garbled.bytes, garbled.count, &trace, &problem);
        trace_release(&trace);
        file_bytes_release(&garbled);
    }
    ck_assert_uint_gt(refused, 1000);
    file_bytes_release(&file);
}
END_TEST

/* ---- below the checksum of zstd ---- */

START_TEST(garbled_columns_stay_within_their_bounds) {
    enum { OPS = 300, FIRST = 100 };
    struct trace trace = test_trace_load("gen:embedded:1:400");
    uint64_t random = random_seed((uint64_t)_i);
    printf("seed %" PRIx64 "\n", random);
    struct file_bytes block = {0};
    uint32_t last_op[400] = {0};
    ck_assert(trace_columns_encode(trace.ops, 0, FIRST, last_op, &block));
    block.count = 0;
    ck_assert(trace_columns_encode(trace.ops, FIRST, OPS, last_op, &block));
    size_t faults = 0;
    for (size_t round = 0; round < 3000; round++) {
        unsigned char *exact = malloc(block.count);
        uint32_t *freed = malloc((FIRST + OPS) * sizeof *freed);
        memcpy(exact, block.bytes, block.count);
        for (uint64_t changes = 1 + random_next(&random) % 4; changes > 0; changes--) {
            exact[random_next(&random) % block.count] = (unsigned char)random_next(&random);
        }
        struct op *ops = malloc((FIRST + OPS) * sizeof *ops);
        memcpy(ops, trace.ops, FIRST * sizeof *ops);
        struct trace_columns_slots slots = {freed, 0, 60};
        faults += trace_columns_decode(exact, block.count, ops, FIRST, OPS, &slots) != NULL;
        free(ops);
        free(freed);
        free(exact);
    }
    ck_assert_uint_gt(faults, 300);
    file_bytes_release(&block);
    trace_release(&trace);
}
END_TEST

START_TEST(columns_that_do_not_fit_are_refused) {
    struct op ops[3] = {{.kind = OP_ALLOC, .bytes = 300}, {.kind = OP_FREE}, {.kind = OP_ALLOC}};
    uint32_t last_op[1] = {0};
    uint32_t freed[3];
    struct file_bytes block = {0};
    ck_assert(trace_columns_encode(ops, 0, 3, last_op, &block));
    struct op back[3];
    struct trace_columns_slots slots = {freed, 0, 0};
    ck_assert_ptr_null(trace_columns_decode(block.bytes, block.count, back, 0, 3, &slots));
    ck_assert_mem_eq(back, ops, sizeof ops);
    slots = (struct trace_columns_slots){freed, 0, 0};
    const char *fault = trace_columns_decode(block.bytes, block.count, back, 0, 2, &slots);
    ck_assert_str_eq(fault, "kinds of another number of ops than the block has");
    ck_assert(file_bytes_append(&block, "", 1));
    fault = trace_columns_decode(block.bytes, block.count, back, 0, 3, &slots);
    ck_assert_str_eq(fault, "columns are shorter than their block");
    block.bytes[19 * 4]++; /* the length of the last column */
    slots = (struct trace_columns_slots){freed, 0, 0};
    fault = trace_columns_decode(block.bytes, block.count, back, 0, 3, &slots);
    ck_assert_str_eq(fault, "a column has bytes left over");
    block.bytes[19 * 4]++;
    fault = trace_columns_decode(block.bytes, block.count, back, 0, 3, &slots);
    ck_assert_str_eq(fault, "a column is longer than its block");
    fault = trace_columns_decode(block.bytes, 79, back, 0, 3, &slots);
    ck_assert_str_eq(fault, "block too short for the lengths of its columns");
    file_bytes_release(&block);
}
END_TEST

/* ---- the disk ---- */

static size_t folder_count(const char *folder) {
    DIR *entries = opendir(folder);
    ck_assert_ptr_nonnull(entries);
    size_t count = 0;
    while (readdir(entries) != NULL) {
        count++;
    }
    closedir(entries);
    return count - 2; /* itself and its parent */
}

START_TEST(a_full_disk_leaves_the_old_file_whole) {
    char folder[] = "/tmp/trace-file-test-XXXXXX";
    char path[64];
    ck_assert_ptr_nonnull(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/a.hrt", folder);
    struct trace old = test_trace_load("gen:comb:1:100");
    struct trace large = test_trace_load("gen:uniform:1:20000");
    struct problem problem = {""};
    ck_assert_msg(trace_save(&old, path, &problem), "%s", problem.text);
    (void)signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit;
    getrlimit(RLIMIT_FSIZE, &limit);
    struct rlimit low = {4096, limit.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &low), 0);
    ck_assert(!trace_save(&large, path, &problem));
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_msg(strstr(problem.text, "File too large") != NULL, "%s", problem.text);
    ck_assert_uint_eq(folder_count(folder), 1);
    struct trace back = test_trace_load(path);
    ck_assert_uint_eq(back.op_count, old.op_count);
    ck_assert_str_eq(back.name, "a");
    trace_release(&back);
    ck_assert_msg(trace_save(&large, path, &problem), "%s", problem.text);
    back = test_trace_load(path);
    ck_assert_uint_eq(back.op_count, large.op_count);
    ck_assert_uint_eq(folder_count(folder), 1);
    trace_release(&back);
    trace_release(&old);
    trace_release(&large);
    unlink(path);
    rmdir(folder);
}
END_TEST

START_TEST(writing_where_nothing_can_be_written_is_noticed) {
    struct trace trace = test_trace_load("gen:comb:1:100");
    struct problem problem = {""};
    ck_assert(!trace_save(&trace, "/dev/full", &problem));
    ck_assert_msg(strstr(problem.text, "/dev/full: No space left") != NULL, "%s", problem.text);
    ck_assert(!trace_save(&trace, "/nowhere/a.hrt", &problem));
    ck_assert_msg(strstr(problem.text, "/nowhere/a.hrt: No such file") != NULL, "%s", problem.text);
    ck_assert(!trace_save(&trace, "/tmp", &problem));
    ck_assert_msg(strstr(problem.text, "/tmp: Is a directory") != NULL, "%s", problem.text);
    trace_release(&trace);
}
END_TEST

int main(void) {
    TCase *whole = tcase_create("whole");
    tcase_set_timeout(whole, 60);
    tcase_add_loop_test(whole, a_trace_comes_back_as_it_was, 0, sizeof specs / sizeof specs[0]);
    tcase_add_loop_test(whole, slots_come_back_numbered_by_the_rule, 0, 5);
    tcase_add_test(whole, a_trace_without_ops_is_kept);
    tcase_add_test(whole, the_header_can_be_read_by_people);
    TCase *damage = tcase_create("damage");
    tcase_set_timeout(damage, 60);
    tcase_add_test(damage, a_file_cut_anywhere_is_refused);
    tcase_add_loop_test(damage, any_flipped_bit_is_refused, 0, 4);
    tcase_add_test(damage, bytes_behind_the_end_are_refused);
    tcase_add_loop_test(damage, lying_numbers_in_the_header_are_refused, 0,
                        sizeof number_keys / sizeof number_keys[0]);
    tcase_add_test(damage, another_version_is_refused);
    tcase_add_loop_test(damage, lying_block_headers_are_refused, 0, 3);
    tcase_add_test(damage, a_block_cannot_ask_for_memory_with_the_headers_help);
    tcase_add_test(damage, sealed_garbage_is_read_or_refused);
    tcase_add_loop_test(damage, garbled_columns_stay_within_their_bounds, 0, 3);
    tcase_add_test(damage, columns_that_do_not_fit_are_refused);
    TCase *disk = tcase_create("disk");
    tcase_add_test(disk, a_full_disk_leaves_the_old_file_whole);
    tcase_add_test(disk, writing_where_nothing_can_be_written_is_noticed);
    Suite *suite = suite_create("trace_file");
    suite_add_tcase(suite, whole);
    suite_add_tcase(suite, damage);
    suite_add_tcase(suite, disk);
    return test_main(suite);
}
