/* SPDX-License-Identifier: MIT
 *
 * golden.c - bare metal: builds the worlds of vm/golden.h and asks the processor about each address
 *
 * Loads and stores by the address translation operations, whose answer is PAR; fetches by jumping
 * there: an SVC instruction answers when it may be fetched, a prefetch abort when it may not. The
 * file golden.bin, written by semihosting, receives a struct golden_digest for each world.
 */
#include "../../vm/golden.h"

/* In start.S. All with translation on from mmu_on() to mmu_off(). */
void mmu_on(uint32_t ttbcr, uint32_t ttbr0, uint32_t ttbr1, uint32_t dacr, uint32_t afe);
void mmu_off(void);
uint32_t par_of(uint32_t va, uint32_t operation);
uint32_t fetch(uint32_t va, uint32_t user); /* 0, or IFSR */
uint32_t semihost(uint32_t operation, const void *argument);

void *memset(void *p, int byte, __SIZE_TYPE__ bytes);
void *memcpy(void *to, const void *from, __SIZE_TYPE__ bytes);
int run(uint32_t ram);

void *memset(void *p, int byte, __SIZE_TYPE__ bytes) {
    for (__SIZE_TYPE__ i = 0; i < bytes; i++) {
        ((volatile uint8_t *)p)[i] = (uint8_t)byte;
    }
    return p;
}

void *memcpy(void *to, const void *from, __SIZE_TYPE__ bytes) {
    for (__SIZE_TYPE__ i = 0; i < bytes; i++) {
        ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    }
    return to;
}

static struct golden_world world;
static uint32_t results[GOLDEN_CASES];

static void ask(void) {
    mmu_on(world.ttbcr, world.ttbr0, world.ttbr1, world.dacr, world.access_flag);
    for (uint32_t i = 0; i < GOLDEN_ADDRESSES; i++) {
        uint32_t *result = results + i * GOLDEN_OPERATIONS;
        for (uint32_t operation = 0; operation < 4; operation++) {
            result[operation] = par_of(world.va[i], operation);
        }
        for (uint32_t user = 0; user < 2; user++) {
            result[4 + user] = golden_fetches(&world, result[2 * user]) ? fetch(world.va[i], user)
                                                                        : GOLDEN_SKIPPED;
        }
    }
    mmu_off();
}

int run(uint32_t ram) {
    for (uint32_t *word = (uint32_t *)(ram + GOLDEN_CODE); word != (uint32_t *)(ram + GOLDEN_END);
         word++) {
        *word = 0xef000000u; /* svc #0 */
    }
    static const char name[] = "golden.bin";
    const uint32_t open[] = {(uint32_t)name, 5, sizeof name - 1}; /* "wb" */
    uint32_t file = semihost(1, open);
    for (uint32_t number = 0; number < GOLDEN_WORLDS; number++) {
        static struct golden_digest digest;
        golden_build(&world, number, ram, (void *)ram);
        ask();
        golden_digest(&digest, results);
        const uint32_t write[] = {file, (uint32_t)&digest, sizeof digest};
        semihost(5, write);
    }
    semihost(2, &file);
    semihost(0x18, (const void *)0x20026);
    return 0;
}
