#!/bin/sh
# mmu_golden.sh [OUT] - asks QEMU's Cortex-A15 and Cortex-A9 about the worlds of vm/golden.h, and writes
# OUT/mmu_a15.zst and OUT/mmu_a9.zst (default corpus/golden), which vm/walk_test.c compares with. Needed
# only when golden.h changes, or to check what is committed: the test itself runs without QEMU.
set -eu
out=$(realpath "${1:-corpus/golden}")
root=$(dirname "$0")/..
"$root"/tools/deps.sh arm vm
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

ask() { # NAME RAM-BASE MACHINE...
    name=$1 base=$2
    shift 2
    arm-linux-gnueabihf-gcc -std=gnu11 -O2 -march=armv7-a -marm -mfloat-abi=soft -ffreestanding -fno-pic \
        -fno-stack-protector -nostdlib -static -no-pie -Wl,-Ttext="$base",--build-id=none,-e,_start -Wl,-z,noexecstack \
        "$root"/tools/mmu_golden/start.S "$root"/tools/mmu_golden/golden.c -o "$work/$name.elf"
    (cd "$work" && QEMU_AUDIO_DRV=none qemu-system-arm "$@" -m 64M -nic none -display none -monitor none -serial none \
        -semihosting-config enable=on,target=native -kernel "$name.elf")
    zstd -q -19 -f "$work/golden.bin" -o "$out/mmu_$name.zst"
}

# With the security extensions, as the real one: without them QEMU has no TTBCR.PD0 and PD1.
ask a15 0x40010000 -M virt,secure=on -cpu cortex-a15
ask a9 0x60010000 -M vexpress-a9
