/* SPDX-License-Identifier: MIT
 * generator_list.h - the generators, in the order they are listed. To add one: write `void
 * gen_NAME(struct generator *g)` in a gen_*.c file (generators.h says with what) and add a line
 * G(NAME, default number of ops, "what it imitates or provokes"). */
G(uniform, 100000, "1 to 1024 bytes, all sizes equally likely, random order of frees")
G(powerlaw, 100000, "16 bytes to 64 KiB, twice the size half as likely, random order of frees")
G(lifo, 100000, "blocks live like stack frames: last allocated, first freed")
G(fifo, 100000, "blocks live like messages in a queue: first allocated, first freed")
G(ramp, 100000, "the live set climbs to a summit and falls to nothing, four times")
G(embedded, 100000, "an RTOS application: pins, timers, message bursts, packets; below 64 KiB live")
G(messages, 100000, "five tasks of an RTOS pass messages by pointer: one allocates, another frees")
G(comb, 20000, "fill with blocks, free every second one, ask for twice the size")
G(pow2plus1, 100000, "requests one byte above a power of two, where rounding up wastes most")
G(realloc_growth, 100000, "arrays that grow by half while others come and go")
G(shrink, 20000, "blocks shrunk in place: holes that no later request fits")
G(pages, 100000, "a kernel's page allocator: runs of 1 to 512 pages of 4 KiB, mostly of 1")
G(knuth, 25000, "drives a buddy system to (1 + r/2) times the live bytes (Knuth 2.5-41)")
