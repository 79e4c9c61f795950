/* SPDX-License-Identifier: MIT
 * trace_file_target.c - a fuzz target: heaprig trace files, as they are and with the SHA-256 that
 * belongs behind them, since no engine finds that. */
#include "../trace/trace_file.h"
#include "reader_target.h"

static bool decode(unsigned char *bytes, size_t size, struct trace *trace,
                   struct problem *problem) {
    struct file_bytes whole = {0};
    char hex[65];
    if (!trace_file_is(bytes, size)) {
        return problem_set(problem, "another format");
    }
    file_bytes_sha256(bytes, size, hex);
    bool fine = file_bytes_append(&whole, bytes, size);
    for (size_t i = 0; fine && i < 32; i++) {
        const char digits[3] = {hex[i * 2], hex[i * 2 + 1], '\0'};
        unsigned char byte = (unsigned char)strtoul(digits, NULL, 16);
        fine = file_bytes_append(&whole, &byte, 1);
    }
    fine = fine && trace_file_decode("input", whole.bytes, whole.count, trace, problem);
    file_bytes_release(&whole);
    if (!fine) {
        trace_release(trace);
        fine = trace_file_decode("input", bytes, size, trace, problem);
    }
    return fine;
}

READER_TARGET(decode(bytes, size, trace, problem))
