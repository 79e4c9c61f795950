/* SPDX-License-Identifier: MIT
 * parallel.c - see parallel.h. */
#include "parallel.h"

#include "decorator_lock.h"
#include "tick.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum { SPINS = 100, POLL_MS = 100, CACHE_LINE = 64 };

/* ---- the order ---- */

static bool order_allocate(const struct trace *trace, struct parallel_order *order) {
    *order = (struct parallel_order){
        .op = calloc(trace->op_count + 1, sizeof *order->op),
        .turn = calloc(trace->op_count + 1, sizeof *order->turn),
        .own = calloc(trace->op_count + 1, sizeof *order->own),
        .begin = calloc((size_t)trace->counts.threads + 2, sizeof *order->begin),
        .thread_count = trace->counts.threads,
        .slot_count = trace->counts.slots};
    return order->op != NULL && order->turn != NULL && order->own != NULL && order->begin != NULL;
}

void parallel_order_release(struct parallel_order *order) {
    free(order->op);
    free(order->turn);
    free(order->own);
    free(order->begin);
    *order = (struct parallel_order){0};
}

/* A ring of the empty slots, the one that was emptied first at head; where the block of each of the
 * trace's slots was dealt to; and the next turn of each slot. */
struct dealer {
    uint32_t *empty, *dealt, *next_turn;
    uint32_t count, head, tail;
};

static bool dealer_open(struct dealer *d, uint32_t slot_count) {
    uint32_t *memory = calloc(3 * (size_t)slot_count + 1, sizeof *memory);
    if (memory == NULL) {
        return false;
    }
    *d = (struct dealer){
        memory, memory + slot_count, memory + 2 * (size_t)slot_count, slot_count, 0, 0};
    for (uint32_t i = 0; i < slot_count; i++) {
        d->empty[i] = i;
    }
    return true;
}

/* The slot of an op. The ring has room for all slots, so one is always free for what is emptied. */
static uint32_t dealer_slot(struct dealer *d, const struct op *op) {
    if (op->kind == OP_FREE) {
        d->empty[d->tail] = d->dealt[op->slot];
        d->tail = (d->tail + 1) % d->count;
        return d->dealt[op->slot];
    }
    if (op->kind != OP_REALLOC) {
        d->dealt[op->slot] = d->empty[d->head];
        d->head = (d->head + 1) % d->count;
    }
    return d->dealt[op->slot];
}

/* Fills `own` by counting: begin holds counts, shifted by two entries, then begins, shifted
 * by one, which placing moves on. */
static void threads_part(const struct trace *trace, struct parallel_order *order) {
    uint32_t *begin = order->begin;
    for (size_t i = 0; i < trace->op_count; i++) {
        begin[trace->ops[i].thread + 2]++;
    }
    for (uint32_t t = 2; t < order->thread_count + 2; t++) {
        begin[t] += begin[t - 1];
    }
    for (size_t i = 0; i < trace->op_count; i++) {
        order->own[begin[trace->ops[i].thread + 1]++] = (uint32_t)i;
    }
}

bool parallel_order_make(const struct trace *trace, struct parallel_order *order,
                         struct problem *problem) {
    struct dealer dealer = {0};
    if (!order_allocate(trace, order) || !dealer_open(&dealer, trace->counts.slots)) {
        parallel_order_release(order);
        return problem_set(problem, "out of memory");
    }
    for (size_t i = 0; i < trace->op_count; i++) {
        order->op[i] = trace->ops[i];
        order->op[i].slot = dealer_slot(&dealer, &trace->ops[i]);
        order->turn[i] = dealer.next_turn[order->op[i].slot]++;
    }
    free(dealer.empty);
    threads_part(trace, order);
    return true;
}

/* ---- a run ---- */

struct run {
    const struct parallel *parallel;
    _Atomic uint32_t *done; /* of each slot: how many of its ops are done */
    atomic_bool stop;
    pthread_rwlock_t gate; /* shut while threads are started; all pass it at once */
    sem_t ended;           /* posted once by each thread */
    struct member *members;
};

struct member {
    _Alignas(CACHE_LINE) struct run *run;
    pthread_t thread;
    uint32_t index;
    struct replay_result result;
    uint64_t begin_ns, end_ns;
    _Atomic uint64_t at; /* twice the op under way, and one while its call runs; for the caller */
};

/* False when the run was stopped meanwhile. */
static bool turn_wait(struct run *run, const _Atomic uint32_t *done, uint32_t turn) {
    for (unsigned spins = 1; atomic_load_explicit(done, memory_order_acquire) != turn; spins++) {
        if (spins % SPINS == 0) {
            if (atomic_load_explicit(&run->stop, memory_order_relaxed)) {
                return false;
            }
            (void)sched_yield();
        }
    }
    return true;
}

static void *member_main(void *ctx) {
    struct member *m = ctx;
    struct run *run = m->run;
    const struct parallel p = *run->parallel;
    struct replay replay = *p.replay;
    replay.op = p.order->op;
    const uint32_t *end = p.order->own + p.order->begin[m->index + 1];
    (void)pthread_rwlock_rdlock(&run->gate);
    (void)pthread_rwlock_unlock(&run->gate);
    m->begin_ns = tick_wall_ns();
    for (const uint32_t *next = p.order->own + p.order->begin[m->index];
         next < end && !atomic_load_explicit(&run->stop, memory_order_relaxed); next++) {
        size_t i = *next;
        _Atomic uint32_t *done = &run->done[replay.op[i].slot];
        atomic_store_explicit(&m->at, 2 * (uint64_t)i, memory_order_relaxed);
        if (!turn_wait(run, done, p.order->turn[i])) {
            break;
        }
        atomic_store_explicit(&m->at, 2 * (uint64_t)i + 1, memory_order_relaxed);
        lock_watch(p.held_ticks != NULL ? &p.held_ticks[i] : NULL);
        if (!replay_op(&replay, i, p.call_ticks != NULL ? &p.call_ticks[i] : NULL, &m->result)) {
            atomic_store(&run->stop, true);
            break;
        }
        atomic_store_explicit(done, p.order->turn[i] + 1, memory_order_release);
    }
    lock_watch(NULL);
    m->end_ns = tick_wall_ns();
    (void)sem_post(&run->ended);
    return NULL;
}

/* True after a post, false after POLL_MS. */
static bool ended_wait(sem_t *ended) {
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += POLL_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    int waited;
    do {
        waited = sem_timedwait(ended, &until);
    } while (waited != 0 && errno == EINTR);
    return waited == 0;
}

static uint64_t progress_of(const struct run *run) {
    uint64_t sum = 0;
    for (uint32_t t = 0; t < run->parallel->order->thread_count; t++) {
        sum += atomic_load_explicit(&run->members[t].at, memory_order_relaxed);
    }
    return sum;
}

static size_t stuck_op(const struct run *run) {
    uint64_t first = UINT64_MAX;
    for (uint32_t t = 0; t < run->parallel->order->thread_count; t++) {
        uint64_t at = atomic_load_explicit(&run->members[t].at, memory_order_relaxed);
        first = at % 2 == 1 && at < first ? at : first;
    }
    return (size_t)(first / 2);
}

/* Waits for all members; false when nothing moved for stuck_ms. `at` never goes back, so neither
 * does its sum while anything moves. */
static bool members_wait(struct run *run) {
    uint64_t seen = 0;
    unsigned idle_ms = 0;
    for (uint32_t ended = 0; ended < run->parallel->order->thread_count;) {
        if (ended_wait(&run->ended)) {
            ended++;
            idle_ms = 0;
            continue;
        }
        uint64_t progress = progress_of(run);
        idle_ms = progress == seen ? idle_ms + POLL_MS : 0;
        seen = progress;
        if (run->parallel->stuck_ms > 0 && idle_ms >= run->parallel->stuck_ms) {
            return false;
        }
    }
    return true;
}

static void members_join(struct run *run, uint32_t count, struct parallel_result *result) {
    uint64_t begin = UINT64_MAX;
    uint64_t end = 0;
    for (uint32_t t = 0; t < count; t++) {
        struct member *m = &run->members[t];
        (void)pthread_join(m->thread, NULL);
        result->sum.ops_done += m->result.ops_done;
        result->sum.failures += m->result.failures;
        result->sum.misuses += m->result.misuses;
        begin = m->begin_ns < begin ? m->begin_ns : begin;
        end = m->end_ns > end ? m->end_ns : end;
    }
    result->wall_ns = count > 0 ? end - begin : 0;
}

/* Starts all members and opens the gate; returns how many there are. When some could not be
 * started, the others end at once. */
static uint32_t members_start(struct run *run) {
    uint32_t wanted = run->parallel->order->thread_count;
    uint32_t started = 0;
    (void)pthread_rwlock_wrlock(&run->gate);
    while (started < wanted) {
        struct member *m = &run->members[started];
        *m = (struct member){.run = run, .index = started};
        if (pthread_create(&m->thread, NULL, member_main, m) != 0) {
            atomic_store(&run->stop, true);
            break;
        }
        started++;
    }
    (void)pthread_rwlock_unlock(&run->gate);
    return started;
}

static struct run *run_new(const struct parallel *parallel) {
    const struct parallel_order *order = parallel->order;
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        return NULL;
    }
    run->parallel = parallel;
    run->done = calloc((size_t)order->slot_count + 1, sizeof *run->done);
    size_t bytes = ((size_t)order->thread_count + 1) * sizeof *run->members;
    run->members = aligned_alloc(_Alignof(struct member), bytes);
    (void)pthread_rwlock_init(&run->gate, NULL);
    (void)sem_init(&run->ended, 0, 0);
    return run;
}

static void run_free(struct run *run) {
    (void)sem_destroy(&run->ended);
    (void)pthread_rwlock_destroy(&run->gate);
    free(run->members);
    free(run->done);
    free(run);
}

bool parallel_run(const struct parallel *parallel, struct parallel_result *result,
                  struct problem *problem) {
    *result = (struct parallel_result){0};
    struct run *run = run_new(parallel);
    if (run == NULL || run->done == NULL || run->members == NULL) {
        if (run != NULL) {
            run_free(run);
        }
        return problem_set(problem, "out of memory");
    }
    uint32_t started = members_start(run);
    bool all = started == parallel->order->thread_count;
    if (all && !members_wait(run)) {
        result->stuck = true;
        result->stuck_op = stuck_op(run);
        for (uint32_t t = 0; t < started; t++) {
            (void)pthread_detach(run->members[t].thread);
        }
        return true; /* run stays theirs */
    }
    members_join(run, started, result);
    run_free(run);
    return all ||
           problem_set(problem, "cannot start %u threads", (unsigned)parallel->order->thread_count);
}
