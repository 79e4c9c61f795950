# ARMv7-A, cross-compiled, run under qemu-arm. Libraries come from Debian's armhf packages, unpacked
# into a folder of the build (tools/sysroot.sh), so nothing foreign is installed on the machine.
SYSROOT           := build/sysroot-armhf
override CC       := arm-linux-gnueabihf-gcc
ARCH_CFLAGS       := --sysroot=$(SYSROOT) -march=armv7-a+fp -mthumb
ARCH_GENERAL_REGS := -mgeneral-regs-only
ARCH_LDFLAGS      := --sysroot=$(SYSROOT)
RUN               := qemu-arm -L $(SYSROOT)
OBJDUMP           := arm-linux-gnueabihf-objdump
NM                := arm-linux-gnueabihf-nm
OBJCOPY           := arm-linux-gnueabihf-objcopy
DEPS              := core arm

