/* SPDX-License-Identifier: MIT
 * digest.c - FNV-1a over 64-bit words, each followed by a rotation so that high bits spread too. */
#include "digest.h"

#define DIGEST_START UINT64_C(0xcbf29ce484222325)
#define DIGEST_PRIME UINT64_C(0x00000100000001b3)

void digest_begin(struct digest *digest, const void *pool) {
    *digest = (struct digest){pool, DIGEST_START};
}

static uint64_t word_mix(uint64_t value, uint64_t word) {
    value = (value ^ word) * DIGEST_PRIME;
    return value << 29 | value >> 35;
}

static bool digest_after(void *ctx, const struct replay_event *event) {
    struct digest *digest = ctx;
    if (event->op->kind != OP_FREE) {
        uint64_t offset = UINT64_MAX;
        if (event->payload != NULL) {
            offset = (uint64_t)((const unsigned char *)event->payload - digest->pool);
        }
        digest->value = word_mix(word_mix(digest->value, event->index), offset);
    }
    return true;
}

struct replay_observer digest_observer(struct digest *digest) {
    return (struct replay_observer){.ctx = digest, .after = digest_after};
}
