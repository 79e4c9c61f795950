# The machine heaprig is built on.
ARCH_CFLAGS       :=
ARCH_GENERAL_REGS := $(if $(filter x86_64 i%86,$(shell uname -m)),-mgeneral-regs-only)
ARCH_LDFLAGS      :=
RUN               :=
OBJDUMP           := objdump
NM                := nm
OBJCOPY           := objcopy
DEPS              := core
