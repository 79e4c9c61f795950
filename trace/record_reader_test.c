/* SPDX-License-Identifier: MIT
 *
 * record_reader_test.c - hand-made streams show what the reader mends and what it refuses
 */
#include "record_reader.h"

#include "record_stream.h"

#include "../alloc/test_check.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct recording {
    char folder[64];
    char path[80]; /* of the one stream in it */
    struct record_image *images;
    size_t count;
    struct trace trace;
    struct record_notes notes;
};

static struct recording recording;

static void folder_open(void) {
    memset(&recording, 0, sizeof recording);
    snprintf(recording.folder, sizeof recording.folder, "/tmp/record-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(recording.folder));
    snprintf(recording.path, sizeof recording.path, "%s/7.0", recording.folder);
}

static void folder_close(void) {
    unlink(recording.path);
    rmdir(recording.folder);
    trace_release(&recording.trace);
    free(recording.images);
}

static void recording_list(void) {
    struct problem problem = {""};
    free(recording.images);
    bool listed =
        record_reader_list(recording.folder, &recording.images, &recording.count, &problem);
    ck_assert_msg(listed, "%s", problem.text);
}

static void recording_load(void) {
    struct problem problem = {""};
    bool loaded = record_reader_load(&recording.images[0], TRACE_OPS_MAX, &recording.trace,
                                     &recording.notes, &problem);
    ck_assert_msg(loaded, "%s", problem.text);
}

static void stream_write(const struct record *records, uint32_t count) {
    static unsigned char header_page[RECORD_HEADER_BYTES];
    struct record_stream header = {.magic = RECORD_MAGIC,
                                   .pointer_bits = 32,
                                   .pid = 7,
                                   .records = count + 1,
                                   .next = count,
                                   .arch = "test",
                                   .command = "/bin/hand made"};
    memcpy(header_page, &header, sizeof header);
    FILE *file = fopen(recording.path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(header_page, 1, sizeof header_page, file), sizeof header_page);
    ck_assert_uint_eq(fwrite(records, sizeof *records, count, file), count);
    ck_assert_int_eq(fclose(file), 0);
    recording_list();
    ck_assert_uint_eq(recording.count, 1);
}

#define REALLOC .kind = RECORD_REALLOC

#define LOAD(records)                                                                              \
    do {                                                                                           \
        stream_write(records, (uint32_t)(sizeof(records) / sizeof(records)[0]));                   \
        recording_load();                                                                          \
    } while (0)

/* Kinds and sizes of the trace as text, e.g. "a100 r200 f". */
static const char *trace_text(void) {
    static char text[256];
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < recording.trace.op_count && length < sizeof text - 24; i++) {
        const struct op *op = &recording.trace.ops[i];
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "%s%c%llu", i > 0 ? " " : "",
                             "acmrf"[op->kind], (unsigned long long)op -> bytes);
    }
    return text;
}

START_TEST(a_realloc_in_flight_is_taken_first) {
    const struct record records[] = {
        {.kind = RECORD_ALLOC, .thread = 0, .block = 0xa0, .bytes = 1},
        {.kind = RECORD_ALLOC, .thread = 1, .block = 0xa0, .bytes = 2},
        {REALLOC, .thread = 0, .old_block = 0xa0, .block = 0xb0, .bytes = 3, .began = 1},
        {.kind = RECORD_FREE, .thread = 1, .old_block = 0xa0, .began = UINT32_MAX},
        {.kind = RECORD_FREE, .thread = 0, .old_block = 0xb0, .began = UINT32_MAX}};
    LOAD(records);
    ck_assert_str_eq(trace_text(), "a1 r3 a2 f0 f0");
    ck_assert_uint_eq(recording.notes.inversions, 1);
    ck_assert_uint_eq(recording.notes.missed_frees, 0);
    ck_assert_str_eq(recording.images[0].name, "hand");
}
END_TEST

START_TEST(a_realloc_of_the_new_owner_is_not) {
    const struct record records[] = {
        {.kind = RECORD_ALLOC, .thread = 0, .block = 0xa0, .bytes = 1},
        {.kind = RECORD_ALLOC, .thread = 1, .block = 0xa0, .bytes = 2},
        {REALLOC, .thread = 2, .old_block = 0xa0, .block = 0xc0, .bytes = 4, .began = 2},
        {.kind = RECORD_FREE, .thread = 3, .old_block = 0xc0, .began = UINT32_MAX},
        {.kind = RECORD_ALLOC, .thread = 1, .block = 0xd0, .bytes = 5},
        {REALLOC, .thread = 0, .old_block = 0xa0, .block = 0xb0, .bytes = 3, .began = 1}};
    LOAD(records);
    ck_assert_str_eq(trace_text(), "a1 r3 a2 r4 f0 a5");
    ck_assert_uint_eq(recording.trace.counts.live_at_end, 2);
    ck_assert_uint_eq(recording.notes.missed_frees + recording.notes.unknown_frees, 0);
}
END_TEST

START_TEST(flights_may_hang_on_each_other) {
    const struct record records[] = {
        {.kind = RECORD_ALLOC, .thread = 0, .block = 0xa0, .bytes = 1},
        {.kind = RECORD_ALLOC, .thread = 1, .block = 0xb0, .bytes = 2},
        {.kind = RECORD_ALLOC, .thread = 2, .block = 0xa0, .bytes = 3},
        {REALLOC, .thread = 0, .old_block = 0xa0, .block = 0xb0, .bytes = 4, .began = 2},
        {REALLOC, .thread = 1, .old_block = 0xb0, .block = 0xc0, .bytes = 5, .began = 2}};
    LOAD(records);
    ck_assert_str_eq(trace_text(), "a1 a2 r5 r4 a3");
    ck_assert_uint_eq(recording.notes.inversions, 2);
}
END_TEST

START_TEST(flights_in_a_circle_end) {
    const struct record records[] = {
        {.kind = RECORD_ALLOC, .thread = 0, .block = 0xa0, .bytes = 1},
        {.kind = RECORD_ALLOC, .thread = 1, .block = 0xb0, .bytes = 2},
        {.kind = RECORD_ALLOC, .thread = 2, .block = 0xa0, .bytes = 3},
        {REALLOC, .thread = 0, .old_block = 0xa0, .block = 0xb0, .bytes = 4, .began = 2},
        {REALLOC, .thread = 1, .old_block = 0xb0, .block = 0xa0, .bytes = 5, .began = 2}};
    LOAD(records);
    ck_assert_uint_gt(recording.notes.missed_frees, 0);
    ck_assert_uint_eq(recording.notes.left_out, 0);
}
END_TEST

START_TEST(a_missed_free_is_put_in) {
    const struct record records[] = {{.kind = RECORD_ALLOC, .block = 0xa0, .bytes = 1},
                                     {.kind = RECORD_ALLOC, .block = 0xa0, .bytes = 2},
                                     {.kind = RECORD_ALLOC, .block = 0xb0, .bytes = 3}};
    LOAD(records);
    ck_assert_str_eq(trace_text(), "a1 f0 a2 a3");
    ck_assert_uint_eq(recording.notes.missed_frees, 1);
    ck_assert_uint_eq(recording.notes.inversions, 0);
}
END_TEST

START_TEST(what_is_no_operation_is_counted) {
    const struct record records[] = {
        {.kind = RECORD_FREE, .old_block = 0x10},
        {.kind = RECORD_FAILED, .bytes = 1u << 30},
        {.kind = RECORD_NONE},
        {.kind = RECORD_REALLOC, .old_block = 0x20, .block = 0x30, .bytes = 8},
        {.kind = RECORD_REALLOC, .old_block = 0x30, .block = 0x30, .bytes = 0},
        {.kind = RECORD_ALIGNED, .block = 0x40, .bytes = 64, .align_log2 = 6}};
    LOAD(records);
    ck_assert_str_eq(trace_text(), "a8 r1 m64");
    ck_assert_uint_eq(recording.notes.unknown_frees, 2);
    ck_assert_uint_eq(recording.notes.failed, 1);
    ck_assert_uint_eq(recording.notes.unfilled, 1);
}
END_TEST

static void check_refused(const struct record *record, const char *words) {
    struct problem problem = {""};
    stream_write(record, 1);
    bool loaded = record_reader_load(&recording.images[0], TRACE_OPS_MAX, &recording.trace,
                                     &recording.notes, &problem);
    ck_assert(!loaded);
    ck_assert_msg(strstr(problem.text, words) != NULL, "%s", problem.text);
}

START_TEST(damaged_records_are_refused) {
    check_refused(&(struct record){.kind = RECORD_KIND_COUNT}, "kind 7");
    check_refused(&(struct record){.kind = RECORD_ALIGNED, .block = 1, .align_log2 = 64}, "2^64");
    check_refused(&(struct record){.kind = RECORD_FREE}, "no address");
    check_refused(&(struct record){.kind = RECORD_REALLOC, .old_block = 1}, "no address");
}
END_TEST

static void check_unlisted(const char *words) {
    struct problem problem = {""};
    struct record_image *images;
    size_t count;
    ck_assert(!record_reader_list(recording.folder, &images, &count, &problem));
    ck_assert_msg(strstr(problem.text, words) != NULL, "%s", problem.text);
}

START_TEST(damaged_streams_are_refused) {
    const struct record record = {.kind = RECORD_ALLOC, .block = 1};
    stream_write(&record, 1);
    ck_assert_int_eq(truncate(recording.path, RECORD_HEADER_BYTES), 0);
    check_unlisted("expected 4128 for 1 records");
    FILE *file = fopen(recording.path, "wb");
    ck_assert_ptr_nonnull(file);
    fputs("something else", file);
    fclose(file);
    check_unlisted("not a recorded stream");
}
END_TEST

START_TEST(streams_without_a_header_are_passed_over) {
    const struct record record = {.kind = RECORD_ALLOC, .block = 1};
    stream_write(&record, 1);
    ck_assert_int_eq(truncate(recording.path, 0), 0);
    recording_list();
    ck_assert_uint_eq(recording.count, 0);
    ck_assert_int_eq(truncate(recording.path, RECORD_HEADER_BYTES), 0);
    recording_list();
    ck_assert_uint_eq(recording.count, 0);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("record_reader");
    TCase *streams = tcase_create("streams");
    tcase_add_checked_fixture(streams, folder_open, folder_close);
    tcase_add_test(streams, a_realloc_in_flight_is_taken_first);
    tcase_add_test(streams, a_realloc_of_the_new_owner_is_not);
    tcase_add_test(streams, flights_may_hang_on_each_other);
    tcase_add_test(streams, flights_in_a_circle_end);
    tcase_add_test(streams, a_missed_free_is_put_in);
    tcase_add_test(streams, what_is_no_operation_is_counted);
    tcase_add_test(streams, damaged_records_are_refused);
    tcase_add_test(streams, damaged_streams_are_refused);
    tcase_add_test(streams, streams_without_a_header_are_passed_over);
    suite_add_tcase(suite, streams);
    return test_main(suite);
}
