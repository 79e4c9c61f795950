#!/usr/bin/env bash
# oss_fuzz_check.sh - would OSS-Fuzz and ClusterFuzzLite accept the targets? Offline, by the rules of their presubmit
# and of their check of builds (google/oss-fuzz: infra/presubmit.py, base-runner/bad_build_check), in our own words.
#   (nothing)            project files, then a fresh build of each kind and its check
#   KIND...              only these: address undefined i386 afl (i386 is skipped where its headers cannot be had)
#   --project FOLDER     only project.yaml, Dockerfile and build.sh of that folder
#   --lite FOLDER        only .clusterfuzzlite and .github/workflows/cflite_*.yml below that folder
#   --out FOLDER KIND    only what was built into that folder
# Exit status: 0 accepted, 1 with a line for each rule that is broken.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$PWD
place=$tree/build/oss-fuzz
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# ---- project files ----

# yaml_list FILE KEY: its items, one a line, from lines of their own.
yaml_list() { awk -v key="$2:" '/^[a-z_]/ { on = $1 == key; next } on && $1 == "-" { print $2 }' "$1"; }

# yaml_items FILE KEY WORDS: at least one item, and none but these.
yaml_items() {
    local item items
    items=$(yaml_list "$1" "$2")
    [ -n "$items" ] || fail "$1: $2 has no items"
    for item in $items; do
        [[ " $3 " == *" $item "* ]] || fail "$1: $2: '$item', expected one of: $3"
    done
}

# yaml_is_flat FILE: keys, strings and lists only, so that what is read here is what YAML says.
yaml_is_flat() {
    local odd
    odd=$(grep -nEv '^(#.*|[a-z_]+: *("[^"]*"|[A-Za-z0-9_+./:@-]*)|  - [A-Za-z0-9_+.@-]+|)$' "$1" | head -1) || true
    [ -z "$odd" ] || fail "$1:$odd: expected 'key: value', 'key:' or '  - item'"
}

project_yaml_check() {
    local key
    yaml_is_flat "$1"
    for key in $(sed -n 's/^\([^ #:]*\):.*/\1/p' "$1"); do
        case $key in
        architectures | auto_ccs | blackbox | builds_per_day | coverage_extra_args | disabled | \
            disable_remediation | disable_remediation_pre_review | fuzzing_engines | help_url | homepage | language | \
            labels | main_repo | primary_contact | run_tests | sanitizers | selective_unpack | vendor_ccs | \
            view_restrictions | file_github_issue | indexer | base_os_version) ;;
        *) fail "$1: unknown key '$key'" ;;
        esac
    done
    [ -z "$(sed -n 's/^\([^ #:]*\):.*/\1/p' "$1" | sort | uniq -d)" ] || fail "$1: a key twice"
    grep -Eq '^main_repo: *"?[a-z]+://' "$1" || fail "$1: no main_repo"
    grep -Eq '^language: *(c|c\+\+|go|javascript|jvm|python|rust|swift|ruby)$' "$1" || fail "$1: no valid language"
    ! grep -q '^primary_contact:' "$1" || grep -Eq '^primary_contact: *"[^"@]+@[^"@]+\.[^"@]+"$' "$1" ||
        fail "$1: primary_contact is no address"
    yaml_items "$1" sanitizers "address none memory undefined thread coverage introspector hwaddress"
    yaml_items "$1" architectures "i386 x86_64 aarch64"
    yaml_items "$1" fuzzing_engines "libfuzzer afl honggfuzz centipede none wycheproof"
    yaml_list "$1" fuzzing_engines | grep -qx libfuzzer || fail "$1: fuzzing_engines lacks libfuzzer"
}

# script_check FILE...: what no script that builds targets may have.
script_check() {
    local file
    for file in "$@"; do
        [ "$(head -1 "$file")" = '#!/bin/bash -eu' ] || fail "$file:1: expected '#!/bin/bash -eu'"
        [ -x "$file" ] || fail "$file: not executable"
        ! grep -Eq -e '-lFuzzingEngine|-fsanitize|-march|-dlopen' "$file" ||
            fail "$file: a flag that is the environment's to choose"
        bash -n "$file" || fail "$file: not a bash script"
    done
}

project_check() {
    local file
    for file in project.yaml Dockerfile build.sh; do
        [ -f "$1/$file" ] || { fail "$1/$file: missing" && return; }
    done
    project_yaml_check "$1/project.yaml"
    script_check "$1/build.sh"
    for file in Dockerfile build.sh; do
        grep -q 'http://www.apache.org/licenses/LICENSE-2.0' "$1/$file" || fail "$1/$file: no Apache licence header"
    done
    grep -Eq '^FROM gcr\.io/oss-fuzz-base/base-builder' "$1/Dockerfile" || fail "$1/Dockerfile: not FROM base-builder"
    ! grep -Eq '^RUN +apt(-get)? +install' "$1/Dockerfile" || fail "$1/Dockerfile: RUN installs without an update"
    grep -Eq '^COPY .*build\.sh .*\$SRC/?$' "$1/Dockerfile" || fail "$1/Dockerfile: build.sh is not copied to \$SRC"
    grep -Eq '^WORKDIR ' "$1/Dockerfile" || fail "$1/Dockerfile: no WORKDIR"
}

# workflow_check FILE: actions of ClusterFuzzLite, and only inputs that they have.
workflow_check() {
    local said
    grep -q 'uses: google/clusterfuzzlite/actions/' "$1" || fail "$1: no action of ClusterFuzzLite"
    said=$(awk '
        function odd(what) { print FNR ": " what }
        /uses: google\/clusterfuzzlite/ && !/actions\/(build|run)_fuzzers@v1$/ { odd("no such action") }
        /\t/ { odd("a tab") }
        { match($0, /^ */); depth = RLENGTH }
        /^ *with:$/ { inside = depth; next }
        inside && depth <= inside { inside = 0 }
        inside && $1 !~ /^(language|sanitizer|mode|fuzz-seconds|github-token|storage-repo(-branch(-coverage)?)?|parallel-fuzzing|output-sarif|minimize-crashes|report-timeouts|report-unreproducible-crashes|upload-build):$/ { odd("no such input " $1) }
        inside && $1 == "mode:" && $2 !~ /^(code-change|batch|coverage|prune)$/ { odd("no such mode " $2) }
    ' "$1")
    [ -z "$said" ] || fail "$1:$said"
}

lite_check() {
    local lite=$1/.clusterfuzzlite workflow count=0
    grep -Eq '^language: *c$' "$lite/project.yaml" || fail "$lite/project.yaml: no language"
    grep -Eq '^FROM gcr\.io/oss-fuzz-base/base-builder:v1$' "$lite/Dockerfile" || fail "$lite/Dockerfile: wrong FROM"
    grep -Eq '^COPY \./\.clusterfuzzlite/build\.sh \$SRC/$' "$lite/Dockerfile" || fail "$lite/Dockerfile: no build.sh"
    script_check "$lite/build.sh"
    for workflow in "$1"/.github/workflows/cflite_*.yml; do
        [ -f "$workflow" ] || continue
        workflow_check "$workflow"
        count=$((count + 1))
    done
    [ $count -gt 0 ] || fail "$1/.github/workflows: no cflite_*.yml"
}

# ---- what was built ----

elf_class() { readelf -h "$1" | sed -n 's/^ *Class: *//p'; }

# calls PREFIX: of functions whose names begin so, in the disassembly on stdin.
calls() { grep -Ec "call[ql]? +[0-9a-f]+ <$1" || true; }

sanitizer_check() {
    local asan ubsan msan
    objdump -dC --no-show-raw-insn "$1" | grep call >"$scratch/calls" || true
    asan=$(calls __asan <"$scratch/calls") ubsan=$(calls __ubsan <"$scratch/calls") msan=$(calls __msan <"$scratch/calls")
    if [ "$2" = undefined ]; then
        [ "$asan" -eq 0 ] || fail "$1: $asan calls of __asan, expected none"
        [ "$ubsan" -ge 168 ] || fail "$1: $ubsan calls of __ubsan, expected 168 or more"
    else
        [ "$asan" -ge 1000 ] || fail "$1: $asan calls of __asan, expected 1000 or more"
        [ "$ubsan" -le $([ "$2" = i386 ] && echo 280 || echo 200) ] || fail "$1: $ubsan calls of __ubsan, too many"
    fi
    [ "$msan" -le 3 ] || fail "$1: $msan calls of __msan, expected 3 at most"
    counts="$asan __asan, $ubsan __ubsan"
}

# beside_check TARGET: seeds open, options parse, the dictionary is there; unpacks the seeds.
beside_check() {
    local odd zip=$1_seed_corpus.zip
    rm -rf "$scratch/seeds" && mkdir -p "$scratch/seeds"
    if [ -e "$zip" ]; then
        unzip -qq "$zip" -d "$scratch/seeds" >"$scratch/said" 2>&1 || fail "$zip: not a zip file"
        [ -n "$(ls "$scratch/seeds")" ] || fail "$zip: empty"
    fi
    if [ -e "$1.options" ]; then
        odd=$(awk '/^\[(libfuzzer|asan|msan|ubsan|afl|honggfuzz|centipede|env)\]$/ { on = 1; next }
            /^ *(#.*)?$/ { next } on && /^[a-z_]+ *= *[^ ]+$/ { next } { print FNR ": " $0; exit }' "$1.options")
        [ -z "$odd" ] || fail "$1.options:$odd, expected '[section]' or 'key = value'"
        odd=$(sed -n 's/^dict *= *//p' "$1.options")
        [ -z "$odd" ] || [ -e "$(dirname "$1")/$odd" ] || fail "$1.options: no $odd"
    fi
    if [ -e "$1.dict" ]; then
        odd=$(grep -nEv '^ *(#.*|([A-Za-z0-9_]+ *= *)?".+")? *$' "$1.dict" | head -1) || true
        [ -z "$odd" ] || fail "$1.dict:$odd, expected name=\"bytes\""
    fi
}

# options_flags TARGET: what libFuzzer is given.
options_flags() {
    [ ! -e "$1.options" ] || awk '/^\[/ { on = $0 == "[libfuzzer]"; next } on && NF { gsub(/ /, ""); print "-" $0 }' "$1.options"
}

quiet="ASAN_OPTIONS= UBSAN_OPTIONS=silence_unsigned_overflow=1 MSAN_OPTIONS="

libfuzzer_run() {
    local flags status=0
    flags=$(options_flags "$1")
    # shellcheck disable=SC2086
    (cd / && env -i $quiet TMPDIR="$scratch" timeout 100 "$1" $flags -runs=4 -seed=1337 \
        -artifact_prefix="$scratch/") >"$scratch/said" 2>&1 || status=$?
    if [ $status -ne 0 ] || ! grep -q '^Done 4 runs' "$scratch/said"; then
        fail "$1: exit status $status, expected 0 and 'Done 4 runs', among:"
        tail -20 "$scratch/said" >&2
    elif grep -q 'no interesting inputs were found' "$scratch/said"; then
        fail "$1: no interesting inputs, so not instrumented"
    fi
    [ -n "$(ls "$scratch/seeds")" ] || return 0
    # shellcheck disable=SC2086
    (cd / && env -i $quiet TMPDIR="$scratch" timeout 100 "$1" $flags -artifact_prefix="$scratch/" \
        "$scratch"/seeds/*) >"$scratch/said" 2>&1 ||
        { fail "$1: a seed breaks it:" && tail -20 "$scratch/said" >&2; }
}

# Their limit for all seeds to be calibrated is 35 s; afl-fuzz is then stopped after a second more.
afl_run() {
    [ -n "$(ls "$scratch/seeds")" ] || echo ABCDEFGHABCDEFGH >"$scratch/seeds/input"
    rm -rf "$scratch/afl"
    (cd / && env -i PATH="$PATH" AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_TRY_AFFINITY=1 \
        AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_BENCH_JUST_ONE=1 TMPDIR="$scratch" timeout -s INT 35 \
        afl-fuzz -m none -V 1 -i "$scratch/seeds" -o "$scratch/afl" -- "$1") >"$scratch/said" 2>&1 || true
    if ! grep -q 'All set and ready to roll' "$scratch/said" ||
        grep -Eq 'target binary (crashed|terminated)' "$scratch/said"; then
        fail "$1: afl-fuzz does not start on it, among:"
        tail -20 "$scratch/said" >&2
    fi
}

target_check() {
    local target=$1 kind=$2 before=$failures class=ELF64
    case ${target##*/} in *[!A-Za-z0-9_-]*) fail "$target: a name of letters, digits, _ and - expected" ;; esac
    [ "$kind" != i386 ] || class=ELF32
    [ "$(elf_class "$target")" = $class ] || fail "$target: $(elf_class "$target"), expected $class"
    sanitizer_check "$target" "$kind"
    beside_check "$target"
    if [ "$kind" = afl ]; then afl_run "$target"; else libfuzzer_run "$target"; fi
    [ $failures -ne "$before" ] || echo "  $kind ${target##*/}: $counts, $(find "$scratch/seeds" -type f | wc -l) seeds"
}

listing() { (cd "$1" && find . -printf '%p %s %T@\n' | sort); }

# out_check FOLDER KIND: each target, with the folder moved elsewhere, which shows paths that were built in, and
# unchanged after all ran, since at OSS-Fuzz it is read-only.
out_check() {
    local moved=$1.moved file count=0 stem
    rm -rf "$moved" && mv "$1" "$moved"
    listing "$moved" >"$scratch/before"
    for file in "$moved"/*; do
        if [ -x "$file" ] && grep -aq LLVMFuzzerTestOneInput "$file" && readelf -h "$file" >/dev/null 2>&1; then
            target_check "$file" "$2"
            count=$((count + 1))
        else
            stem=${file%_seed_corpus.zip} stem=${stem%.options} stem=${stem%.dict}
            { [ "$stem" != "$file" ] && [ -x "$stem" ]; } || fail "$file: belongs to no target"
        fi
    done
    [ $count -gt 0 ] || fail "$1: no targets"
    listing "$moved" | cmp -s - "$scratch/before" || fail "$1: a target wrote into its folder"
    mv "$moved" "$1"
}

# ---- building as they do ----

base_flags="-O1 -fno-omit-frame-pointer -gline-tables-only -DFUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION"
address_flags="-fsanitize=address -fsanitize-address-use-after-scope"
undefined_fatal=array-bounds,bool,builtin,enum,integer-divide-by-zero,null,object-size,return
undefined_fatal+=,returns-nonnull-attribute,shift,signed-integer-overflow,unreachable,vla-bound
undefined_flags="-fsanitize=$undefined_fatal,unsigned-integer-overflow -fno-sanitize-recover=$undefined_fatal"

# build KIND: a fresh build in an environment that holds what theirs does, and nothing else.
build() {
    local script=fuzz/oss-fuzz/build.sh cc=clang flags="$base_flags $address_flags" engine=-fsanitize=fuzzer
    local sanitizer=address architecture=x86_64 name=libfuzzer coverage=" -fsanitize=fuzzer-no-link"
    case $1 in
    undefined) script=.clusterfuzzlite/build.sh flags="$base_flags $undefined_flags" sanitizer=undefined ;;
    i386) flags="-m32 -isystem /usr/include/x86_64-linux-gnu $flags" architecture=i386 ;;
    afl)
        cc=afl-clang-fast name=afl coverage=""
        engine=$(find /usr/lib*/afl /usr/local/lib/afl -name libAFLDriver.a 2>/dev/null | head -1)
        ;;
    esac
    rm -rf "${place:?}/$1" && mkdir -p "$place/$1/out" "$place/$1/work" "$place/$1/src"
    ln -s "$tree" "$place/$1/src/heaprig"
    (cd / && env -i PATH="$PATH" AFL_QUIET=1 CC=$cc CXX=$cc++ CFLAGS="$flags$coverage" \
        CXXFLAGS="$flags$coverage" LIB_FUZZING_ENGINE="$engine" OUT="$place/$1/out" SRC="$place/$1/src" \
        WORK="$place/$1/work" SANITIZER=$sanitizer FUZZING_ENGINE=$name ARCHITECTURE=$architecture \
        FUZZING_LANGUAGE=c "$tree/$script") >"$scratch/built" 2>&1 ||
        { fail "$1: $script fails:" && tail -20 "$scratch/built" >&2 && return 1; }
    rm -rf "$place/$1/work"
}

# 32-bit headers and libraries come without gcc-multilib, see tools/deps.sh.
kind_check() {
    if [ "$1" = i386 ] && ! echo 'int main() { }' | clang++ -m32 -x c++ -o "$scratch/i386" - 2>"$scratch/said"; then
        echo "skipped: i386: $(head -1 "$scratch/said") (lib32stdc++-12-dev libc6-dev-i386)"
        return
    fi
    ! build "$1" || out_check "$place/$1/out" "$1"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
case ${1:-} in
--project) project_check "$2" ;;
--lite) lite_check "$2" ;;
--out) out_check "$(realpath "$2")" "$3" ;;
*)
    [ $# -gt 0 ] || { project_check fuzz/oss-fuzz && lite_check . && script_check fuzz/oss-fuzz/build_targets.sh; }
    for kind in ${*:-address undefined i386 afl}; do
        case $kind in address | undefined | i386 | afl) kind_check "$kind" ;; *)
            echo "oss_fuzz_check.sh: '$kind', expected address, undefined, i386 or afl" >&2
            exit 2
            ;;
        esac
    done
    ;;
esac
[ $failures -eq 0 ] || { echo "oss-fuzz check: $failures rules broken" >&2 && exit 1; }
