/* SPDX-License-Identifier: MIT
 *
 * start.S - bare metal start, vectors, and what C cannot say, for golden.c
 */
    .syntax unified
    .arch armv7-a
    .arch_extension sec
    .arm
    .text
    .global _start, mmu_on, mmu_off, par_of, fetch, semihost

_start:
    cpsid   if, #0x13               @ SVC mode
    ldr     r0, =vectors
    mcr     p15, 0, r0, c12, c0, 0  @ VBAR
    lsr     r0, r0, #20             @ RAM starts at the program's MiB
    lsl     r0, r0, #20
    add     sp, r0, #0x80000
    bl      run
hang:
    b       hang

    .balign 32
vectors:
    b       hang
    b       hang
    b       fetched                 @ SVC
    b       fetch_abort
    b       hang
    b       hang
    b       hang
    b       hang

fetched:
    mov     r0, #0
    b       answer
fetch_abort:
    mrc     p15, 0, r0, c5, c0, 1   @ IFSR
    movw    r1, #0x40f              @ FS; QEMU leaves the domain in bits 7..4
    and     r0, r0, r1
    cps     #0x13
answer:
    ldr     r1, =saved_sp           @ the SVC mode stack, as fetch() left it
    ldr     sp, [r1]
    pop     {r4-r11, pc}

fetch:                              @ r0 va, r1 user
    push    {r4-r11, lr}
    ldr     r2, =saved_sp
    str     sp, [r2]
    cmp     r1, #0
    movne   r3, #0xd0               @ user mode, ARM state, interrupts masked
    moveq   r3, #0xd3
    msr     spsr_cxsf, r3
    movs    pc, r0

par_of:                             @ r0 va, r1 operation
    cmp     r1, #1
    mcrlo   p15, 0, r0, c7, c8, 0   @ ATS1CPR
    mcreq   p15, 0, r0, c7, c8, 1   @ ATS1CPW
    cmp     r1, #3
    cmpne   r1, #2
    bne     1f
    cmp     r1, #2
    mcreq   p15, 0, r0, c7, c8, 2   @ ATS1CUR
    mcrne   p15, 0, r0, c7, c8, 3   @ ATS1CUW
1:  isb
    mrc     p15, 0, r0, c7, c4, 0   @ PAR
    bx      lr

mmu_on:                             @ ttbcr, ttbr0, ttbr1, dacr, afe on the stack
    ldr     r12, [sp]
    mcr     p15, 0, r0, c2, c0, 2
    mcr     p15, 0, r1, c2, c0, 0
    mcr     p15, 0, r2, c2, c0, 1
    mcr     p15, 0, r3, c3, c0, 0
    mov     r0, #0
    mcr     p15, 0, r0, c13, c0, 1  @ CONTEXTIDR
    dsb
    mcr     p15, 0, r0, c8, c7, 0   @ TLBIALL
    dsb
    isb
    mrc     p15, 0, r1, c1, c0, 0
    bic     r1, r1, #0x30000000     @ TRE, AFE
    cmp     r12, #0
    orrne   r1, r1, #0x20000000
    orr     r1, r1, #1
    mcr     p15, 0, r1, c1, c0, 0
    isb
    bx      lr

mmu_off:
    mrc     p15, 0, r1, c1, c0, 0
    bic     r1, r1, #1
    mcr     p15, 0, r1, c1, c0, 0
    isb
    bx      lr

semihost:
    svc     #0x123456
    bx      lr

    .bss
    .balign 4
saved_sp:
    .space  4

    .section .note.GNU-stack, "", %progbits
