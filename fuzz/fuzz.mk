# fuzz.mk - fuzz targets: build/fuzz/FLAVOUR/TARGET. Part of the Makefile.
#
# A target is an own allocator (fuzz/alloc_target.c), `plugin` (the same for the shared object that
# HEAPRIG_PLUGIN names), or NAME for a fuzz/NAME_target.c. A flavour is an engine and a sanitizer.
# The engine watches alloc/, trace/, vm/ and the plug-in; the harness is left out, since its branches tell
# nothing about an allocator and cost time.

own_allocators := $(shell sed -n 's/^X(\(.*\))$$/\1/p' alloc/alloc_list.h)
alloc_targets  := $(own_allocators) plugin
other_targets  := $(patsubst fuzz/%_target.c,%,$(filter-out fuzz/alloc_target.c,$(wildcard fuzz/*_target.c)))
fuzz_targets   := $(own_allocators) $(other_targets)

fuzz_library_c := $(filter alloc/% trace/% fuzz/% vm/%,$(library_c)) bench/marks.c bench/replay.c
plugin_c       := $(filter bench/baseline_% bench/decorator_%,$(library_c)) bench/subject.c
fuzz_flags     := -std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -O2 -g $(WARN) -DALLOC_ASSERTS -fno-omit-frame-pointer

# Compiler of what is watched, its flags, and those of everything.
watch_cc_libfuzzer := clang
watch_libfuzzer    := -fsanitize=fuzzer-no-link
# Of allocators edges alone: programs are mutated by records (program_mutate.c), never by what the
# code compared with what, and to note that took two fifths of a run.
edges_libfuzzer    := -fsanitize-coverage=inline-8bit-counters,pc-table
watch_cc_afl       := AFL_QUIET=1 afl-clang-fast
watch_afl          :=
edges_afl          :=
cmplog_cmplog      := AFL_LLVM_CMPLOG=1
sanitize_plain     :=
sanitize_undefined := -fsanitize=undefined -fno-sanitize-recover=undefined
# fence.h says what the two kinds of AddressSanitizer are.
sanitize_address   := -fsanitize=address -DFENCE_METADATA
sanitize_client    := -fsanitize=address -DFENCE_CLIENT
sanitize_cmplog    :=
# What judges allocators is sanitized by make test SAN=...; here it would take most of a run.
judges           := $(addprefix fuzz/,arena content fence oracle oracle_audit oracle_probe program program_mutate \
    random_ops runner shadow) bench/replay
judges_address   := -fno-sanitize=address
judges_client    := -fno-sanitize=address
sanitized_client := fuzz/content # what touches payloads, which FENCE_CLIENT is about
judges_undefined := -fno-sanitize=undefined
# Own allocators in 32 bits: what reads files is left out, its libraries are there for 64 bits only.
sanitize_m32       := -m32 -msse2 -isystem /usr/include/x86_64-linux-gnu
libs_m32           := -lm

# $(1) flavour, $(2) engine, $(3) sanitizer
define fuzz_flavour
build/fuzz/$(1)/%.o: fuzz_cc := clang $(fuzz_flags) $(sanitize_$(3))
build/fuzz/$(1)/trace/%.o build/fuzz/$(1)/vm/%.o: fuzz_cc := \
    $(cmplog_$(3)) $(watch_cc_$(2)) $(fuzz_flags) $(watch_$(2)) $(sanitize_$(3))
build/fuzz/$(1)/alloc/%.o: fuzz_cc := $(cmplog_$(3)) $(watch_cc_$(2)) $(fuzz_flags) $(edges_$(2)) $(sanitize_$(3)) \
    -ffreestanding $(if $(filter client,$(3)),-fno-sanitize=address)
$(patsubst %,build/fuzz/$(1)/%.o,$(filter-out $(sanitized_$(3)),$(judges))): fuzz_cc += $(judges_$(3))
build/fuzz/$(1)/%.o: %.c | build/.deps-fuzz
	@mkdir -p $$(@D)
	echo '  fuzz  $$@'
	$$(fuzz_cc) -MMD -MP -c $$< -o $$@

build/fuzz/$(1)/fuzz/alloc_target_%.o: fuzz/alloc_target.c | build/.deps-fuzz
	@mkdir -p $$(@D)
	$$(fuzz_cc) $$(if $$(filter plugin,$$*),-DTARGET_PLUGIN,-DTARGET=$$*) -MMD -MP -c $$< -o $$@

build/fuzz/$(1)/libheaprig.a: $(patsubst %.c,build/fuzz/$(1)/%.o,$(fuzz_library_c) $(if $(filter m32,$(3)),,$(plugin_c)))
	@rm -f $$@
	ar rcs $$@ $$^

$(addprefix build/fuzz/$(1)/,$(alloc_targets)): build/fuzz/$(1)/%: build/fuzz/$(1)/fuzz/alloc_target_%.o
$(addprefix build/fuzz/$(1)/,$(other_targets)): build/fuzz/$(1)/%: build/fuzz/$(1)/fuzz/%_target.o
$(addprefix build/fuzz/$(1)/,$(alloc_targets) $(other_targets)): build/fuzz/$(1)/libheaprig.a $(if $(filter m32,$(3)),,$(BASELINE_A))
	echo '  link  $$@'
	$(watch_cc_$(2)) $(sanitize_$(3)) -rdynamic -fsanitize=fuzzer $$(filter %.o,$$^) $$(filter %.a,$$^) $(or $(libs_$(3)),$(libs)) -o $$@

# A plug-in's source with what this engine watches by.
build/fuzz/$(1)/plugin.so: $(PLUGIN) plugin_again | build/.deps-fuzz
	@mkdir -p $$(@D)
	$(watch_cc_$(2)) -O2 -g $(edges_$(2)) $(if $(filter client,$(3)),,$(filter-out -D%,$(sanitize_$(3)))) -Ialloc -fPIC -shared $$< -o $$@

.PHONY: fuzz-$(1)
fuzz-$(1): $(addprefix build/fuzz/$(1)/,$(if $(filter m32,$(3)),$(own_allocators),$(fuzz_targets)))
-include $(patsubst %.c,build/fuzz/$(1)/%.d,$(fuzz_library_c) $(plugin_c)) $(wildcard build/fuzz/$(1)/fuzz/*_target*.d)
endef

flavours := libfuzzer libfuzzer-address libfuzzer-client libfuzzer-undefined libfuzzer-m32 \
            afl afl-address afl-undefined afl-cmplog
$(foreach flavour,$(flavours),$(eval $(call fuzz_flavour,$(flavour),$(firstword $(subst -, ,$(flavour))),$(or \
    $(word 2,$(subst -, ,$(flavour))),plain))))

# Another PLUGIN may be older than what was made of the one before.
.PHONY: plugin_again
plugin_again:
build/fuzz/plugin.so: $(PLUGIN) plugin_again | build/.deps-fuzz
	@mkdir -p $(@D)
	clang -O2 -g -Ialloc -fPIC -shared $< -o $@

## make fuzz         every target for some seconds, a minute in all; PLUGIN=my_alloc.c or my_alloc.so: that one
.PHONY: fuzz fuzz-test
fuzz fuzz-test: DEPS += fuzz
ifeq ($(PLUGIN),)
fuzz: all fuzz-libfuzzer
	tools/fuzz.sh $(FUZZ) $(fuzz_targets)
else ifeq ($(suffix $(PLUGIN)),.c)
fuzz: all build/fuzz/libfuzzer/plugin build/fuzz/libfuzzer/plugin.so build/fuzz/plugin.so
	tools/fuzz.sh --plugin build/fuzz/plugin.so --watched build/fuzz/libfuzzer/plugin.so $(FUZZ) plugin
else
fuzz: all build/fuzz/libfuzzer/plugin
	tools/fuzz.sh --plugin $(PLUGIN) $(FUZZ) plugin
endif

## make fuzz-overnight  both engines, plain and sanitized, on all targets for HOURS=8 on JOBS=2 cores, resumed when it was
##                   interrupted; ends with results/fuzz/DATE/report.md. TARGETS="tlsf rep": only these; PLUGIN= as above
.PHONY: fuzz-overnight
fuzz-overnight: DEPS += fuzz
campaign_flavours := $(filter-out libfuzzer-m32,$(flavours))
campaign = $(B)/heaprig campaign $(if $(HOURS),--hours $(HOURS)) $(if $(JOBS),--jobs $(JOBS)) $(CAMPAIGN)
ifeq ($(PLUGIN),)
TARGETS ?= $(fuzz_targets)
fuzz-overnight: all $(foreach flavour,$(campaign_flavours),$(addprefix build/fuzz/$(flavour)/,$(TARGETS))) \
    $(addprefix build/fuzz/libfuzzer-m32/,$(filter $(own_allocators),$(TARGETS)))
	$(campaign) $(TARGETS)
else ifeq ($(suffix $(PLUGIN)),.c)
fuzz-overnight: all build/fuzz/plugin.so $(foreach flavour,$(campaign_flavours),$(addprefix build/fuzz/$(flavour)/,plugin plugin.so))
	$(campaign) --plugin build/fuzz/plugin.so --watched plugin
else
fuzz-overnight: all $(foreach flavour,$(campaign_flavours),build/fuzz/$(flavour)/plugin)
	$(campaign) --plugin $(if $(findstring /,$(PLUGIN)),,./)$(PLUGIN) plugin
endif

## make fuzz-test    faults planted in a plug-in: does make fuzz PLUGIN=... say in words what is wrong? And does a
##                   campaign survive them, killed workers, Ctrl-C and a full disk, and lose nothing?
fuzz-test: all $(foreach flavour,libfuzzer afl,build/fuzz/$(flavour)/plugin build/fuzz/$(flavour)/tlsf)
	tools/fuzz_test.sh
	tools/campaign_test.sh
