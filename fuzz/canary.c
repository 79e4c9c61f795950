/* SPDX-License-Identifier: MIT
 * canary.c - first fit over a table of pieces, with planted faults.
 *
 *   pool | struct alloc with the table | piece 0 | piece 1 | ...      pieces touch, in address
 * order
 *
 * Neighbouring free pieces are joined at once. When the table is full pieces are handed out whole
 * and none is cut to align its payload. */
#include "canary.h"

#include <string.h>

#ifndef CANARY_FAULT
#define CANARY_FAULT(cfg) ((cfg) != NULL ? (cfg)->block_bytes : CANARY_SOUND)
#endif

enum { PIECES_MAX = 160, UNIT = 8, FAULT_ODDS = 5 };

enum piece_state { PIECE_FREE, PIECE_LIVE, PIECE_LOST };

struct piece {
    uint32_t start; /* offset from the control structure */
    uint32_t bytes;
    uint32_t request;
    uint32_t align;
    uint32_t claim; /* what usable() adds */
    enum piece_state state;
};

struct alloc {
    uint32_t fault;
    uint32_t trim_bytes;
    uint32_t pool_bytes; /* behind the trim */
    uint32_t end;        /* offset, a multiple of UNIT */
    uint32_t calls;
    uint32_t count;
    bool spare_live;
    _Alignas(UNIT) unsigned char spare[64]; /* IN_META hands this out, once */
    struct piece pieces[PIECES_MAX];
};

extern const struct alloc_ops canary_ops;

/* True at every FAULT_ODDS-th chance of that fault. */
static bool fault_strikes(struct alloc *a, enum canary_fault fault) {
    return a->fault == (uint32_t)fault && ++a->calls % FAULT_ODDS == 0;
}

static unsigned char *piece_payload(const struct alloc *a, const struct piece *piece) {
    return (unsigned char *)((uintptr_t)a + piece->start);
}

static uint32_t round_up(uint32_t bytes, uint32_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

static void piece_remove(struct alloc *a, uint32_t at) {
    memmove(&a->pieces[at], &a->pieces[at + 1], (a->count - at - 1) * sizeof a->pieces[0]);
    a->count--;
}

/* Cuts the piece after `bytes`; the rest is free. False when the table is full. */
static bool piece_split(struct alloc *a, uint32_t at, uint32_t bytes) {
    struct piece *piece = &a->pieces[at];
    if (bytes == piece->bytes) {
        return true;
    }
    if (a->count == PIECES_MAX) {
        return false;
    }
    memmove(piece + 1, piece, (a->count - at) * sizeof *piece);
    a->count++;
    piece[1] = (struct piece){.start = piece->start + bytes, .bytes = piece->bytes - bytes};
    piece->bytes = bytes;
    return true;
}

static void piece_join(struct alloc *a, uint32_t at) {
    while (at + 1 < a->count && a->pieces[at].state == PIECE_FREE &&
           a->pieces[at + 1].state == PIECE_FREE) {
        a->pieces[at].bytes += a->pieces[at + 1].bytes;
        piece_remove(a, at + 1);
    }
}

static void piece_free(struct alloc *a, uint32_t at) {
    a->pieces[at].state = PIECE_FREE;
    a->pieces[at].claim = 0;
    piece_join(a, at);
    if (at > 0) {
        piece_join(a, at - 1);
    }
}

/* Eight bytes of the first free piece are lost for ever. */
static void piece_lose(struct alloc *a) {
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->pieces[i].state == PIECE_FREE) {
            (void)piece_split(a, i, UNIT);
            a->pieces[i].state = PIECE_LOST;
            return;
        }
    }
}

/* The live piece of payload p, or NULL. */
static struct piece *payload_piece(const struct alloc *a, const void *p) {
    for (uint32_t i = 0; i < a->count; i++) {
        const struct piece *piece = &a->pieces[i];
        if (piece_payload(a, piece) == p && piece->state == PIECE_LIVE) {
            return (struct piece *)(uintptr_t)piece;
        }
    }
    return NULL;
}

/* The block that IN_META handed out. */
static bool payload_is_spare(const struct alloc *a, const void *p) {
    return p == a->spare && a->spare_live;
}

static struct alloc *canary_init(void *pool, size_t pool_bytes, const struct alloc_cfg *cfg) {
    uint32_t trim_bytes = (uint32_t)(-(uintptr_t)pool % UNIT);
    if (pool == NULL || pool_bytes > ALLOC_POOL_MAX ||
        pool_bytes < trim_bytes + sizeof(struct alloc) + UNIT) {
        if (CANARY_FAULT(cfg) == CANARY_INIT_SPOILS && pool != NULL && pool_bytes == 100) {
            *(unsigned char *)pool ^= 1;
        }
        return NULL;
    }
    struct alloc *a = (struct alloc *)((uintptr_t)pool + trim_bytes);
    if (a->fault == CANARY_INIT_TRUSTS && a->pool_bytes == pool_bytes - trim_bytes) {
        return a;
    }
    memset(a, 0, sizeof *a);
    a->fault = CANARY_FAULT(cfg);
    a->trim_bytes = trim_bytes;
    a->pool_bytes = (uint32_t)pool_bytes - trim_bytes;
    a->end = a->pool_bytes / UNIT * UNIT;
    uint32_t first = round_up(sizeof *a, UNIT);
    a->pieces[0] = (struct piece){.start = first, .bytes = a->end - first};
    a->count = 1;
    return a;
}

static size_t canary_largest(const struct alloc *a) {
    uint32_t most = 0;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct piece *piece = &a->pieces[i];
        most = piece->state == PIECE_FREE && piece->bytes > most ? piece->bytes : most;
    }
    if (a->fault == CANARY_LARGEST_LOW) {
        return most / 4;
    }
    return a->fault == CANARY_LARGEST_HIGH ? most + UNIT : most;
}

/* Takes the first free piece that holds the payload. */
static struct piece *piece_take(struct alloc *a, uint32_t bytes, uint32_t align) {
    for (uint32_t i = 0; i < a->count; i++) {
        struct piece *piece = &a->pieces[i];
        uint32_t lead = (uint32_t)(-(uintptr_t)piece_payload(a, piece) % align);
        if (piece->state != PIECE_FREE || piece->bytes < lead ||
            piece->bytes - lead < round_up(bytes, UNIT)) {
            continue;
        }
        if (lead > 0) {
            if (!piece_split(a, i, lead)) {
                continue;
            }
            piece++;
            i++;
        }
        (void)piece_split(a, i, round_up(bytes, UNIT));
        piece->state = PIECE_LIVE;
        piece->request = bytes;
        piece->align = align;
        return piece;
    }
    return NULL;
}

/* The payload of a piece just taken, or what the fault makes of it. */
static void *payload_give(struct alloc *a, struct piece *piece) {
    unsigned char *payload = piece_payload(a, piece);
    bool is_last = piece + 1 == a->pieces + a->count;
    bool has_lower_neighbour =
        piece > a->pieces && piece[-1].state == PIECE_LIVE && piece[-1].bytes >= 2 * UNIT;
    if (a->fault == CANARY_USABLE_LONG && !is_last && piece[1].state == PIECE_LIVE) {
        piece->claim = UNIT;
    }
    if (piece->align > UNIT) { /* a lost alignment would be caught before the fault itself */
        return payload;
    }
    if (fault_strikes(a, CANARY_HALF_ALIGNED)) {
        return payload + UNIT / 2;
    }
    if (fault_strikes(a, CANARY_LEAVES)) {
        return (unsigned char *)a + a->end - (piece->request > UNIT ? UNIT : 0);
    }
    if (fault_strikes(a, CANARY_WRITES_BEHIND)) {
        payload[piece->bytes] ^= 0x80;
    }
    if (fault_strikes(a, CANARY_WRITES_OUT)) {
        ((unsigned char *)a)[a->pool_bytes] ^= 0x80;
    }
    if (a->fault == CANARY_IN_META && piece->request <= sizeof a->spare && a->calls++ == 0) {
        a->spare_live = true;
        piece_free(a, (uint32_t)(piece - a->pieces));
        return a->spare;
    }
    if (a->fault == CANARY_OVERLAPS && has_lower_neighbour) {
        return payload - 2 * UNIT;
    }
    return payload;
}

static void *canary_aligned(struct alloc *a, size_t bytes, size_t align) {
    bool power_of_two = align != 0 && (align & (align - 1)) == 0;
    align = align < UNIT ? UNIT : align;
    if (bytes > a->end && a->fault == CANARY_REFUSAL_LOSES) {
        piece_lose(a);
    }
    if (bytes == 0 || bytes > a->end || align > a->end || !power_of_two ||
        fault_strikes(a, CANARY_REFUSES)) {
        return NULL;
    }
    struct piece *piece = piece_take(a, (uint32_t)bytes, (uint32_t)align);
    return piece != NULL ? payload_give(a, piece) : NULL;
}

static void *canary_alloc(struct alloc *a, size_t bytes) {
    return canary_aligned(a, bytes, UNIT);
}

static void live_damage(struct alloc *a) {
    for (uint32_t i = 0; i < a->count; i++) {
        if (a->pieces[i].state == PIECE_LIVE) {
            *piece_payload(a, &a->pieces[i]) ^= 0x80;
            return;
        }
    }
}

/* Misuse with a fault that takes it: some piece near p is freed. */
static bool misuse_accept(struct alloc *a, const void *p) {
    for (uint32_t i = 0; i < a->count; i++) {
        const struct piece *piece = &a->pieces[i];
        size_t into = (uintptr_t)p - (uintptr_t)piece_payload(a, piece);
        if (into >= piece->bytes) {
            continue;
        }
        return (a->fault == CANARY_DOUBLE_FREE && into == 0) ||
               (a->fault == CANARY_INTERIOR_FREE && piece->state == PIECE_LIVE);
    }
    return false;
}

static enum alloc_status canary_free(struct alloc *a, void *p) {
    if (p == NULL) {
        return ALLOC_OK;
    }
    if (payload_is_spare(a, p)) {
        a->spare_live = false;
        return ALLOC_OK;
    }
    struct piece *piece = payload_piece(a, p);
    if (piece == NULL || fault_strikes(a, CANARY_FREE_REFUSES)) {
        if (a->fault == CANARY_MISUSE_DAMAGES) {
            piece_lose(a);
        }
        return misuse_accept(a, p) ? ALLOC_OK : ALLOC_NOT_LIVE;
    }
    if (fault_strikes(a, CANARY_WRITES_BEFORE)) {
        piece_payload(a, piece)[-1] ^= 0x80;
    }
    if (a->fault == CANARY_LEAKS && ++a->calls == FAULT_ODDS) {
        piece->state = PIECE_LOST;
        return ALLOC_OK;
    }
    piece_free(a, (uint32_t)(piece - a->pieces));
    if (fault_strikes(a, CANARY_WRITES_FAR)) {
        live_damage(a);
    }
    return ALLOC_OK;
}

static size_t canary_usable(const struct alloc *a, const void *p) {
    if (payload_is_spare(a, p)) {
        return sizeof a->spare;
    }
    const struct piece *piece = payload_piece(a, p);
    if (piece == NULL) {
        return 0;
    }
    if (a->fault == CANARY_USABLE_SHORT) {
        return piece->request - 1;
    }
    return piece->bytes + piece->claim;
}

/* At most so many bytes from there to the end of the pool. */
static uint32_t readable(const struct alloc *a, const unsigned char *from, uint32_t bytes) {
    size_t rest = a->end - (size_t)(from - (const unsigned char *)a);
    return rest < bytes ? (uint32_t)rest : bytes;
}

static void *canary_move(struct alloc *a, struct piece *old, uint32_t bytes) {
    const unsigned char *from = piece_payload(a, old);
    uint32_t kept = old->request;
    uint32_t align = a->fault == CANARY_ALIGN_LOST ? UNIT : old->align;
    const struct piece *piece = piece_take(a, bytes, align);
    if (piece == NULL) {
        *piece_payload(a, old) ^= a->fault == CANARY_REFUSAL_DAMAGES ? 0x80 : 0;
        return NULL;
    }
    unsigned char *to = piece_payload(a, piece);
    bool shifted = a->fault == CANARY_PREFIX_SHIFTED;
    kept = a->fault == CANARY_OVERCOPIES ? readable(a, from, bytes) : kept;
    memmove(to + shifted, from, kept - (a->fault == CANARY_PREFIX_SHORT));
    piece_free(a, (uint32_t)(payload_piece(a, from) - a->pieces));
    return to;
}

static void *canary_realloc(struct alloc *a, void *p, size_t bytes) {
    if (p == NULL) {
        return canary_alloc(a, bytes);
    }
    if (payload_is_spare(a, p)) {
        return bytes <= sizeof a->spare ? p : NULL;
    }
    struct piece *piece = payload_piece(a, p);
    if (piece == NULL) {
        return NULL;
    }
    if (bytes == 0) {
        (void)canary_free(a, p);
        return NULL;
    }
    if (bytes > a->end) {
        *piece_payload(a, piece) ^= a->fault == CANARY_REFUSAL_DAMAGES ? 0x80 : 0;
        return NULL;
    }
    if (bytes > piece->bytes) {
        return canary_move(a, piece, (uint32_t)bytes);
    }
    if (bytes < piece->request && fault_strikes(a, CANARY_SHRINK_REFUSED)) {
        return NULL;
    }
    uint32_t at = (uint32_t)(piece - a->pieces);
    piece->request = (uint32_t)bytes;
    if (piece_split(a, at, round_up((uint32_t)bytes, UNIT))) {
        piece_join(a, at + 1 < a->count ? at + 1 : at);
    }
    return p;
}

static void canary_walk(const struct alloc *a, alloc_walk_fn *visit, void *ctx) {
    const unsigned char *base = (const unsigned char *)a;
    uint32_t first = a->pieces[0].start;
    struct alloc_piece control = {ALLOC_PIECE_META, base - a->trim_bytes, first + a->trim_bytes,
                                  NULL, 0};
    bool go_on = visit(ctx, &control);
    uint32_t count = a->fault == CANARY_WALK_STOPS ? a->count - 1 : a->count;
    for (uint32_t i = 0; go_on && i < count; i++) {
        const struct piece *piece = &a->pieces[i];
        struct alloc_piece out = {ALLOC_PIECE_META, base + piece->start, piece->bytes, NULL, 0};
        bool ghost = a->fault == CANARY_WALK_GHOSTS && piece->state == PIECE_FREE && i > 2;
        if (piece->state == PIECE_LIVE || ghost) {
            out.kind = ALLOC_PIECE_LIVE;
            out.payload = out.start;
            out.usable = canary_usable(a, out.payload);
        } else if (piece->state == PIECE_FREE) {
            out.kind = ALLOC_PIECE_FREE;
            out.usable = piece->bytes;
        }
        bool skipped = a->fault == CANARY_WALK_SKIPS && piece->state == PIECE_FREE && i % 4 == 3;
        go_on = skipped || visit(ctx, &out);
    }
    if (go_on && a->pool_bytes > a->end) {
        struct alloc_piece trim = {ALLOC_PIECE_META, base + a->end, a->pool_bytes - a->end, NULL,
                                   0};
        (void)visit(ctx, &trim);
    }
}

static void canary_stats(const struct alloc *a, struct alloc_stats *out) {
    alloc_stats_by_walk(&canary_ops, a, out);
    if (a->fault == CANARY_STATS_OFF && out->free_bytes >= UNIT) {
        out->live_bytes += UNIT;
        out->free_bytes -= UNIT;
    }
}

static const char *canary_check(const struct alloc *a) {
    if (a->count == 0 || a->count > PIECES_MAX) {
        return "table: count impossible";
    }
    if (a->fault == CANARY_CHECK_FAILS && a->count > 3) {
        return "planted";
    }
    for (uint32_t i = 0; i + 1 < a->count; i++) {
        if (a->pieces[i].start + a->pieces[i].bytes != a->pieces[i + 1].start) {
            return "table: pieces do not touch";
        }
    }
    return NULL;
}

const struct alloc_ops canary_ops = {
    .abi = ALLOC_ABI,
    .caps =
        ALLOC_CAP_FREES | ALLOC_CAP_COALESCES | ALLOC_CAP_DETECTS_MISUSE | ALLOC_CAP_EXACT_MISUSE,
    .name = "canary",
    .summary = "sound, or wrong in one stated way: the oracle's test subject",
    .pool_max = ALLOC_POOL_MAX,
    .init = canary_init,
    .alloc = canary_alloc,
    .alloc_aligned = canary_aligned,
    .realloc = canary_realloc,
    .free = canary_free,
    .usable = canary_usable,
    .largest = canary_largest,
    .walk = canary_walk,
    .stats = canary_stats,
    .check = canary_check,
};
