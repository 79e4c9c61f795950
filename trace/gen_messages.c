/* SPDX-License-Identifier: MIT
 *
 * gen_messages.c - tasks of an RTOS that pass messages by pointer
 *
 * Five tasks share one heap. Nearly every block is freed by another task than the one that took it:
 *
 *   sensor   16 to 64 B ----.
 *                            >-- inbox of 48 --> worker --- outbox of 24 --> logger, which frees
 *   network  64 to 1514 B --'                      |
 *                                                  '-- frees, or makes an answer of it by realloc
 *   main     takes what the others keep for good, then counters of 24 to 200 B, its own
 *
 * A task that finds its queue full or empty has nothing to do, as a blocked task has. Live bytes
 * are about 20 KiB at first and reach about 60 KiB.
 */
#include "generators.h"

void gen_messages(struct generator *g);

enum task { TASK_MAIN, TASK_SENSOR, TASK_NETWORK, TASK_WORKER, TASK_LOGGER };
enum { INBOX_ROOM = 48, OUTBOX_ROOM = 24, COUNTERS = 32, ANSWER_BYTES_MOST = 512 };

/* A ring of keys, the oldest at head. */
struct queue {
    uint64_t key[INBOX_ROOM];
    uint32_t room, head, count;
};

struct tasks {
    struct generator *g;
    struct queue inbox, outbox;
    uint64_t counter[COUNTERS];
};

static void queue_put(struct queue *queue, uint64_t key) {
    queue->key[(queue->head + queue->count++) % queue->room] = key;
}

static uint64_t queue_take(struct queue *queue) {
    uint64_t key = queue->key[queue->head];
    queue->head = (queue->head + 1) % queue->room;
    queue->count--;
    return key;
}

static bool queue_full(const struct queue *queue) {
    return queue->count == queue->room;
}

/* Stacks and control blocks of the tasks, the queues' own memory, the first counters. */
static void main_boot(struct tasks *t) {
    for (uint32_t i = 0; i < 4; i++) {
        (void)generator_alloc(t->g, generator_between(t->g, 2048, 4096));
        (void)generator_alloc(t->g, generator_between(t->g, 88, 160));
    }
    (void)generator_alloc(t->g, INBOX_ROOM * 4 + 80);
    (void)generator_alloc(t->g, OUTBOX_ROOM * 4 + 80);
    for (uint32_t i = 0; i < COUNTERS; i++) {
        t->counter[i] = generator_alloc(t->g, generator_between(t->g, 24, 200));
    }
}

static void main_count(struct tasks *t) {
    uint32_t i = generator_below(t->g, COUNTERS);
    generator_free(t->g, t->counter[i]);
    t->counter[i] = generator_alloc(t->g, generator_between(t->g, 24, 200));
}

static void message_send(struct tasks *t, uint32_t most_at_once, uint32_t least, uint32_t most) {
    uint32_t count = generator_between(t->g, 1, most_at_once);
    for (; count > 0 && !queue_full(&t->inbox); count--) {
        queue_put(&t->inbox, generator_alloc(t->g, generator_between(t->g, least, most)));
    }
}

static void worker_handle(struct tasks *t) {
    if (t->inbox.count == 0) {
        return;
    }
    uint64_t key = queue_take(&t->inbox);
    if (queue_full(&t->outbox) || generator_below(t->g, 100) < 40) {
        generator_free(t->g, key);
        return;
    }
    if (generator_below(t->g, 100) < 50) {
        generator_realloc(t->g, key, generator_between(t->g, 16, ANSWER_BYTES_MOST));
    }
    queue_put(&t->outbox, key);
}

static void logger_write(struct tasks *t) {
    uint32_t count = generator_between(t->g, 1, 8);
    for (; count > 0 && t->outbox.count > 0; count--) {
        generator_free(t->g, queue_take(&t->outbox));
    }
}

static void task_run(struct tasks *t, enum task task) {
    generator_thread(t->g, (uint16_t)task);
    switch (task) {
    case TASK_MAIN:
        main_count(t);
        return;
    case TASK_SENSOR:
        message_send(t, 4, 16, 64);
        return;
    case TASK_NETWORK:
        message_send(t, 2, 64, 1514);
        return;
    case TASK_WORKER:
        worker_handle(t);
        return;
    case TASK_LOGGER:
        logger_write(t);
        return;
    }
}

void gen_messages(struct generator *g) {
    static const uint8_t share[] = {5, 20, 15, 45, 15}; /* of 100 turns, in the order of tasks */
    struct tasks tasks = {.g = g, .inbox = {.room = INBOX_ROOM}, .outbox = {.room = OUTBOX_ROOM}};
    main_boot(&tasks);
    while (generator_room(g) > 0) {
        uint32_t dice = generator_below(g, 100);
        enum task task = TASK_MAIN;
        while (dice >= share[task]) {
            dice -= share[task++];
        }
        task_run(&tasks, task);
    }
}
