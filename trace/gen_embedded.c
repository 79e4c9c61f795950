/* SPDX-License-Identifier: MIT
 *
 * gen_embedded.c - the heap of an RTOS application
 *
 * At the start, tasks and drivers take what they keep for good (pins). Then events follow:
 *
 *   message burst    1 to 16 messages of 16 to 256 B into a queue of 64, then some are handled:
 * fifo timer            one of 48 objects of 16 to 96 B is dropped, another takes its place packet
 * one of 6 buffers of 1 to 4 KiB is dropped or fetched; half the time none is held report an array
 * that grows by realloc from 64 B to at most 1 KiB, then goes new pin          rarely, at most 40
 * times, 16 to 128 B more for good: a late subscriber
 *
 * Live bytes: pins about 14 KiB and later 17 KiB, messages up to 9 KiB, timers 3 KiB, packets up to
 * 24 KiB; the peak lies between 32 and 64 KiB.
 */
#include "generators.h"

#include <stdbool.h>

void gen_embedded(struct generator *g);

enum { QUEUE_ROOM = 64, TIMERS = 48, PACKETS = 6, LATE_PINS = 40 };

struct application {
    struct generator *g;
    uint64_t queue[QUEUE_ROOM]; /* a ring: the oldest message at head */
    uint32_t head;
    uint32_t queued;
    uint64_t timer[TIMERS];
    uint64_t packet[PACKETS];
    bool packet_held[PACKETS];
    uint32_t late_pins;
};

static void alloc_some(struct generator *g, uint32_t count, uint32_t least, uint32_t most) {
    for (uint32_t i = 0; i < count; i++) {
        (void)generator_alloc(g, generator_between(g, least, most));
    }
}

/* Task stacks and control blocks, queues and semaphores, drivers' buffers. */
static void application_boot(struct application *a) {
    alloc_some(a->g, 5, 1024, 2048);
    alloc_some(a->g, 40, 24, 128);
    alloc_some(a->g, 4, 512, 1024);
    for (uint32_t i = 0; i < TIMERS; i++) {
        a->timer[i] = generator_alloc(a->g, generator_between(a->g, 16, 96));
    }
}

/* Small messages are the more likely ones: two draws, the smaller counts. */
static uint32_t message_bytes(struct generator *g) {
    uint32_t one = generator_between(g, 16, 256);
    uint32_t other = generator_between(g, 16, 256);
    return one < other ? one : other;
}

static void message_burst(struct application *a) {
    uint32_t sent = generator_between(a->g, 1, 16);
    for (; sent > 0 && a->queued < QUEUE_ROOM; sent--) {
        a->queue[(a->head + a->queued++) % QUEUE_ROOM] = generator_alloc(a->g, message_bytes(a->g));
    }
    uint32_t handled = generator_between(a->g, 1, 17);
    for (; handled > 0 && a->queued > 0; handled--) {
        generator_free(a->g, a->queue[a->head]);
        a->head = (a->head + 1) % QUEUE_ROOM;
        a->queued--;
    }
}

static void timer_replace(struct application *a) {
    uint32_t i = generator_below(a->g, TIMERS);
    generator_free(a->g, a->timer[i]);
    a->timer[i] = generator_alloc(a->g, generator_between(a->g, 16, 96));
}

static void packet_toggle(struct application *a) {
    uint32_t i = generator_below(a->g, PACKETS);
    if (a->packet_held[i]) {
        generator_free(a->g, a->packet[i]);
    } else {
        a->packet[i] = generator_alloc(a->g, generator_between(a->g, 1024, 4096));
    }
    a->packet_held[i] = !a->packet_held[i];
}

static void report_write(struct application *a) {
    uint64_t report = generator_alloc(a->g, 64);
    uint32_t doublings = generator_between(a->g, 0, 4);
    for (uint32_t i = 1; i <= doublings; i++) {
        generator_realloc(a->g, report, (uint64_t)64 << i);
    }
    generator_free(a->g, report);
}

static void event_handle(struct application *a) {
    uint32_t dice = generator_below(a->g, 1000);
    if (dice < 500) {
        message_burst(a);
    } else if (dice < 800) {
        timer_replace(a);
    } else if (dice < 940) {
        packet_toggle(a);
    } else if (dice < 995) {
        report_write(a);
    } else if (a->late_pins < LATE_PINS) {
        a->late_pins++;
        (void)generator_alloc(a->g, generator_between(a->g, 16, 128));
    }
}

void gen_embedded(struct generator *g) {
    struct application application = {.g = g};
    application_boot(&application);
    while (generator_room(g) > 0) {
        event_handle(&application);
    }
}
