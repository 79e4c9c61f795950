/* SPDX-License-Identifier: MIT
 * commands.h - the commands of `heaprig`, in the order its help lists them. To add one: write
 * cmd_NAME.c with `int cmd_NAME(int argc, char **argv)` (argv[0] is the command's name, options by
 * argp), and add a line C(NAME, "what it does"). */
C(bench, "replay traces on allocators: time, latency, memory")
C(fit, "smallest pool of each allocator for each trace")
C(gate, "exact figures as a baseline, and whether they still hold")
C(mmu, "what placement costs in TLB misses, page walks and faults on an ARMv7 core")
C(threads, "replay traces with their threads on a shared pool: time, how long the lock is held")
C(compare, "what changed between two results")
C(digest, "where an allocator put every block, in 64 bits")
C(list, "allocators, generators and traces")
C(run, "run a program on an allocator")
C(record, "run a program and keep its calls of malloc as a trace")
C(import, "turn another program's trace into one of heaprig")
C(trace, "show, convert and cut traces")
C(cost, "count the instructions of every call, on x86-64 and ARMv7")
C(campaign, "fuzz for hours with both engines, and report")
C(minimize, "the fewest ops that still break an allocator")
C(size, "flash, control structure and headers of each allocator")
