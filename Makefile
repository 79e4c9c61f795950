# heaprig: `make help` lists what can be made. Sources are found by wildcard, variants are variables:
#   ARCH=arm                cross-compiles for ARMv7 and runs under qemu-arm
#   SAN=address,undefined   any -fsanitize= list
#   CC=clang                another compiler
# Each variant builds into a folder of its own: build/ (plain), build/arm, build/address-undefined, ...

export HEAPRIG_FULL HEAPRIG_SEED

ARCH ?= native
SAN  ?=
ifeq ($(origin CC),default)
CC   := gcc
endif
MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
ifndef V  # V=1 shows the commands
.SILENT:
endif

comma   := ,
empty   :=
space   := $(empty) $(empty)
variant := $(subst $(space),-,$(strip $(filter-out native,$(ARCH)) $(subst $(comma),-,$(SAN)) $(filter-out gcc,$(CC))))
B       := build$(if $(variant),/$(variant))

include tools/arch-$(ARCH).mk

# armhf packages that heaprig itself needs to be built for ARM (tools/sysroot.sh)
ARM_PACKAGES := libc6-dev libgcc-s1 check libzstd-dev libjansson-dev libsmartcols-dev libmd-dev

WARN   := -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wundef -Wstrict-prototypes \
          -Wmissing-prototypes -Wvla -Wno-type-limits -Werror
OPT    ?= -O2
ASSERT ?= $(if $(SAN),-DALLOC_ASSERTS)
compile_flags := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 $(OPT) -g $(WARN) $(ARCH_CFLAGS) $(ASSERT) \
          $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer) $(CFLAGS)
alloc_flags   := -ffreestanding $(if $(SAN),,$(ARCH_GENERAL_REGS))
link_flags    := $(ARCH_LDFLAGS) $(if $(SAN),-fsanitize=$(SAN)) $(LDFLAGS)
libs          := -lzstd -ljansson -lsmartcols -lmd -ldl -lpthread -lm
test_libs     := -lcheck -lsubunit -lrt

folders := alloc trace bench fuzz vm los
all_c   := $(wildcard $(addsuffix /*.c,$(folders)))
# NAME_main.c is a program, NAME_test.c a test, NAME_target.c a fuzz target, NAME_preload.c and
# NAME_plugin.c are shared objects; all else is the library.
library_c := $(filter-out %_main.c %_test.c %_target.c %_preload.c %_plugin.c,$(all_c))
alloc_o   := $(patsubst %.c,$(B)/%.o,$(filter alloc/%,$(library_c)))
library_o := $(patsubst %.c,$(B)/%.o,$(library_c))
programs  := $(patsubst bench/%_main.c,$(B)/%,$(wildcard bench/*_main.c))
# Google Benchmark is a library of the machine's own, so there is no gbench for another.
programs  := $(if $(filter native,$(ARCH)),$(programs),$(filter-out $(B)/gbench,$(programs)))
preload_c := $(filter %_preload.c,$(all_c))
preloads  := $(patsubst %_preload.c,$(B)/libheaprig_%.so,$(notdir $(preload_c)))
plugins   := $(patsubst %_plugin.c,$(B)/%_plugin.so,$(filter %_plugin.c,$(all_c)))
tests     := $(patsubst %.c,$(B)/%,$(filter %_test.c,$(all_c)))

# Plugins of QEMU run on the building machine, whatever ARCH is.
qemu_plugins := build/qemu_insn.so build/qemu_touches.so

# jemalloc, renamed: linked into every program, empty where the system lacks it. And under ThreadSanitizer:
# before a fork jemalloc takes all its locks, more than the sanitizer's search for deadlocks can hold.
BASELINE_A := $(B)/jemalloc.o

.PHONY: all help
all: $(programs) $(preloads) $(plugins) $(B)/freestanding.ok $(qemu_plugins)

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

# ---- what must be installed; asked for only when the list has changed or something is missing ----
## make deps         install what is missing (apt-get), saying what and why
.PHONY: deps
deps:
	@tools/deps.sh core arm fuzz check run
	@$(MAKE) -s build/.deps-core build/.deps-arm

build/.deps-%: tools/deps.sh tools/sysroot.sh
	@mkdir -p build
	@tools/deps.sh $*
	@$(if $(filter arm,$*),tools/sysroot.sh build/sysroot-armhf $(ARM_PACKAGES))
	@touch $@

deps_ok := $(addprefix build/.deps-,$(DEPS))

# ---- compiling ----
$(B)/alloc/%.o: alloc/%.c | $(deps_ok)
	@mkdir -p $(@D)
	echo '  cc    $@'
	$(CC) $(compile_flags) $(alloc_flags) -MMD -MP -c $< -o $@

$(B)/alloc/%_test.o: alloc/%_test.c | $(deps_ok)
	@mkdir -p $(@D)
	echo '  cc    $@'
	$(CC) $(compile_flags) -MMD -MP -c $< -o $@

$(B)/%.o: %.c | $(deps_ok)
	@mkdir -p $(@D)
	echo '  cc    $@'
	$(CC) $(compile_flags) -MMD -MP -c $< -o $@

$(B)/%.o: %.cc | $(deps_ok)
	@mkdir -p $(@D)
	echo '  c++   $@'
	$(CC) $(patsubst -std=%,-std=c++17,$(filter-out -Wstrict-prototypes -Wmissing-prototypes,$(compile_flags))) -MMD -MP -c $< -o $@

# Results say what they were built with.
$(B)/bench/meta.o: compile_flags := $(compile_flags) -DHEAPRIG_FLAGS='"$(compile_flags)"'

# These tests are about their own calls of malloc: none may be optimized away.
$(B)/trace/record_test.o $(B)/bench/run_test.o: compile_flags := $(compile_flags) -fno-builtin

# The allocators a second time, under names that begin with touched_: each of their loads and stores calls
# bench/touches.c. gcc alone does so without leaving any out, and not together with another sanitizer.
touched_c     := $(filter alloc/%,$(library_c)) $(filter bench/decorator_%,$(library_c)) bench/subject.c
touched_flags  = $(filter-out -fsanitize=% -fno-sanitize-recover=%,$(compile_flags)) $(touches_see)
TOUCHES       := $(if $(findstring clang,$(CC))$(findstring thread,$(SAN)),,-fsanitize=thread --param tsan-instrument-func-entry-exit=0)
$(B)/touched/alloc/%.o: touches_see := $(alloc_flags) $(TOUCHES)
$(B)/touched/bench/decorator_slab.o: touches_see := -fno-builtin $(TOUCHES)
$(B)/touched/%.o: %.c | $(deps_ok)
	@mkdir -p $(@D)
	echo '  cc    $@'
	$(CC) $(touched_flags) -MMD -MP -c $< -o $@

$(B)/touched.o: $(patsubst %.c,$(B)/touched/%.o,$(touched_c))
	echo '  ld    $@'
	$(CC) -r -nostdlib $(ARCH_LDFLAGS) $^ -o $@.plain
	$(NM) -g --defined-only $@.plain | awk 'NF == 3 { print $$3, "touched_" $$3 }' >$@.names
	printf '%s\n' memcpy memmove memset memcmp | sed 's/.*/& __wrap_&/' >>$@.names
	$(OBJCOPY) --redefine-syms=$@.names $@.plain $@

$(B)/libheaprig.a: $(library_o) $(B)/touched.o
	@rm -f $@
	echo '  ar    $@'
	ar rcs $@ $^

$(BASELINE_A): tools/renamed_jemalloc.sh $(wildcard $(shell $(CC) -print-file-name=libjemalloc_pic.a)) | $(deps_ok)
	@mkdir -p $(@D)
	$(if $(findstring thread,$(SAN)),$(CC) -c -x c /dev/null -o $@,tools/renamed_jemalloc.sh $(CC) $@)

$(B)/gbench: $(B)/bench/gbench_shim.o
$(B)/gbench: libs := -lbenchmark -lstdc++ $(libs)
$(programs): $(B)/%: $(B)/bench/%_main.o $(B)/libheaprig.a $(BASELINE_A)
	echo '  link  $@'
	$(CC) $(link_flags) -rdynamic $^ $(libs) -o $@

# What is loaded into other programs: NAME_preload.c and what it is made of, in NAME_preload_parts.
malloc_preload_parts := $(filter alloc/%,$(library_c)) bench/malloc_pool.c trace/problem.c
afl_preload_parts    := fuzz/program.c fuzz/program_mutate.c fuzz/random_ops.c
pic_flags = $(filter-out -fsanitize=%,$(compile_flags)) -fPIC -fvisibility=hidden

# malloc_pool.h says why slots are shifted there, runs_heap.h why runs are in rows.
$(B)/pic/alloc/%.o: pic_flags += $(alloc_flags) -DRUNS_SHIFT=8u -DRUNS_AHEAD=16384u
# Plug-ins may call the functions of alloc.h.
$(B)/pic/alloc/registry.o: pic_flags += -fvisibility=default
$(B)/pic/%.o: %.c | $(deps_ok)
	@mkdir -p $(@D)
	echo '  pic   $@'
	$(CC) $(pic_flags) -MMD -MP -c $< -o $@

define preload_rule
$(B)/libheaprig_$(notdir $(1)).so: $(patsubst %.c,$(B)/pic/%.o,$(1)_preload.c $($(notdir $(1))_preload_parts))
endef
$(foreach source,$(preload_c),$(eval $(call preload_rule,$(source:_preload.c=))))
$(preloads):
	echo '  so    $@'
	$(CC) -shared $(ARCH_LDFLAGS) $^ -ldl -lpthread -o $@

$(filter-out $(B)/bench/touched_plugin.so,$(plugins)): $(B)/%_plugin.so: %_plugin.c | $(deps_ok)
	@mkdir -p $(@D)
	echo '  so    $@'
	$(CC) $(compile_flags) -fPIC -shared $(link_flags) -MMD -MP -MF $@.d $< -o $@

$(tests): $(B)/%: $(B)/%.o $(B)/libheaprig.a $(BASELINE_A) | $(plugins) $(preloads) $(programs) $(qemu_plugins)
	echo '  link  $@'
	$(CC) $(link_flags) -rdynamic $(filter %.o %.a,$^) $(test_libs) $(libs) -o $@

$(qemu_plugins): build/%.so: tools/%.c tools/qemu_plugin_api.h | $(deps_ok)
	@mkdir -p $(@D)
	echo '  so    $@'
	gcc -std=c11 -O2 $(filter-out -Wpedantic,$(WARN)) -fPIC -shared $< -o $@

# A plug-in with instrumentation, as README.md tells to make one.
$(B)/bench/touched_plugin.so: bench/touched_plugin.c | $(deps_ok)
	@mkdir -p $(@D)
	echo '  so    $@'
	$(CC) $(touched_flags) -fno-builtin -fPIC $(TOUCHES) -MMD -MP -MF $@.d -MT $@ -c $< -o $@.o
	$(CC) -shared $(ARCH_LDFLAGS) -Wl,--wrap=memcpy,--wrap=memmove,--wrap=memset,--wrap=memcmp $@.o -o $@

# The allocators must fit firmware: no libc but four memory functions, no vector or float registers.
$(B)/freestanding.ok: $(alloc_o) tools/check_freestanding.sh tools/check_freestanding_test.sh
	@$(if $(SAN),,tools/check_freestanding_test.sh $(NM) $(OBJDUMP) $(CC) -std=c11 $(ARCH_CFLAGS))
	@$(if $(SAN),,tools/check_freestanding.sh $(NM) $(OBJDUMP) $(alloc_o))
	@touch $@

# ---- testing ----
## make test         everything that must hold, on the opening part of each trace (ARCH=arm, SAN=... too)
.PHONY: test
test: all $(tests)
	@tools/run_tests.sh "$(RUN)" $(B) $(tests)
	@$(if $(variant),,tools/gate_test.sh --plugin)
	@$(if $(variant),,tools/mutation_test.sh)

## make test-full    whole traces, all sanitizers, ARMv7 and clang, long small worlds, faults planted before the
##                   gates: however long it takes
.PHONY: test-full
test-full:
	$(MAKE) test HEAPRIG_FULL=1
	$(MAKE) test HEAPRIG_FULL=1 SAN=address,undefined
	$(MAKE) SAN=thread build/thread/bench/parallel_test build/thread/bench/malloc_lock_test
	HEAPRIG_BUILD=build/thread build/thread/bench/parallel_test
	HEAPRIG_BUILD=build/thread build/thread/bench/malloc_lock_test
	$(MAKE) test HEAPRIG_FULL=1 ARCH=arm
	$(MAKE) test check-frag CC=clang
	$(MAKE) all && tools/gate_test.sh
	$(MAKE) fuzz-test

## make tidy         style: lengths, licence lines, formatting
.PHONY: tidy
tidy:
	@tools/tidy.sh

# ---- fuzzing ----
include fuzz/fuzz.mk

## make fuzz-speed   programs a second that the oracle judges, without an engine, then under libFuzzer, by processor time
.PHONY: fuzz-speed
fuzz-speed: DEPS += fuzz
fuzz-speed: all $(foreach flavour,libfuzzer libfuzzer-client libfuzzer-address,build/fuzz/$(flavour)/tlsf)
	$(B)/fuzz_speed
	for flavour in libfuzzer libfuzzer-client libfuzzer-address; do \
	    rm -rf build/fuzz/speed && mkdir -p build/fuzz/speed; \
	    HEAPRIG_COUNT=1 build/fuzz/$$flavour/tlsf -runs=100000 -max_len=20 -seed=1 build/fuzz/speed corpus/seeds/program 2>/dev/null | \
	        awk -v name=$$flavour '/^heaprig: / { printf "%-20s%8.0f runs/s %6.2f Mops/s %6.1f ops/run\n", name "/tlsf", $$2 / $$6, $$4 / $$6 / 1e6, $$4 / $$2 }'; done

## make soak         OPS=1e9 [SEED=0x...]: random programs on every own allocator, the oracle on
OPS  ?= 1e8
.PHONY: soak
soak: all
	$(B)/soak $(OPS) $(SEED)

## make mutation-score  planted bugs: which does each engine find, how soon, by which rule
.PHONY: mutation-score
mutation-score: DEPS += fuzz
mutation-score: all
	tools/mutation_score.sh $(SCORE)

## make oss-fuzz-check  the targets as OSS-Fuzz and ClusterFuzzLite build them, by their rules; queues between hosts
.PHONY: oss-fuzz-check
oss-fuzz-check: build/.deps-fuzz
	tools/oss_fuzz_check.sh
	tools/oss_fuzz_check_test.sh
	tools/fuzz_sync_test.sh build/oss-fuzz/afl/out/alloc_bestfit

# ---- measuring ----
## make bench        replay the corpus on every allocator: tables, results/latest, pictures in plots/out
.PHONY: bench fit plots
bench: all
	$(B)/heaprig bench
	$(B)/heaprig fit
	$(B)/heaprig mmu
	@$(MAKE) -s plots

## make plots        pictures of results/latest in plots/out
plots:
	@plots/plot.sh

## make fit          smallest pool of every allocator for every trace
fit: all
	$(B)/heaprig fit

## make cost         instructions and steps of every call, exact, on x86-64 and ARMv7
.PHONY: cost arm
cost: all arm
	build/heaprig cost -o results/latest/x86_64
	build/heaprig cost -o results/latest/armv7 --arch arm

arm: build/.deps-arm
	$(MAKE) ARCH=arm all

# A Cortex-M4 stands for ARMv7 without an operating system; an M7 runs the same code.
size_target := arm-linux-gnueabihf-gcc -mcpu=cortex-m4 -mthumb -mfloat-abi=soft

build/code_size.tsv: tools/code_size.sh $(filter-out %_test.c,$(wildcard alloc/*.[ch])) | build/.deps-arm
	echo '  size  $@'
	tools/code_size.sh all $(size_target) >$@.part && mv $@.part $@

## make size         flash (Cortex-M4), control structure and headers of each allocator
.PHONY: size
size: all build/code_size.tsv
	build/heaprig size --code build/code_size.tsv

# Exact figures, the same on every machine, so any change is a change of the code: of the opening part
# of each trace, and where blocks lie in whole traces.
gate_opening := -n 50000 -o results/baseline
gate_whole   := --only memory -o results/baseline/whole

## make check-frag   exact gate: memory, smallest pools and placement are those of results/baseline
.PHONY: check-frag check-cost check-size bless
check-frag: all
	$(RUN) $(B)/heaprig gate check --only memory,pools results/baseline

## make check-cost   exact gate: no call takes 1 % more instructions, or a step more, than in results/baseline
check-cost: all arm
	build/heaprig gate check --only instructions results/baseline

## make check-size   exact gate: no byte more of code, control structure or headers; skipped with another compiler
check-size: all build/code_size.tsv
	build/heaprig size --code build/code_size.tsv -o build/gate >/dev/null
	build/heaprig compare results/baseline/size.json build/gate/size.json

## make bless        take the figures of now as results/baseline, and show what changed
bless: all arm build/code_size.tsv
	build/heaprig size --code build/code_size.tsv -o results/baseline
	build/heaprig gate init --fixed-placement $(gate_opening)
	build/heaprig gate init --fixed-placement $(gate_whole)

-include $(library_o:.o=.d) $(tests:=.d) $(patsubst bench/%_main.c,$(B)/bench/%_main.d,$(wildcard bench/*_main.c)) \
    $(addsuffix .d,$(plugins)) $(patsubst %.c,$(B)/touched/%.d,$(touched_c)) $(patsubst %.c,$(B)/pic/%.d,$(preload_c) $(malloc_preload_parts))
.SECONDARY:

## make clean        remove what was built
.PHONY: clean
clean:
	rm -rf build
