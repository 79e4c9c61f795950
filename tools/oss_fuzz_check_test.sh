#!/usr/bin/env bash
# oss_fuzz_check_test.sh - does oss_fuzz_check.sh see what it is for? Plants one violation at a time, in copies of the
# project files or of a built folder, and expects the check to fail with the line that says so. Needs
# build/oss-fuzz/address/out (tools/oss_fuzz_check.sh address).
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
built=build/oss-fuzz/address/out
[ -x $built/alloc_bump ] || { echo "oss_fuzz_check_test.sh: no $built/alloc_bump, expected it built" >&2 && exit 2; }
failures=0

# expect STATUS TEXT ARGUMENT...: the check with these arguments ends so, and one of its lines contains the text.
expect() {
    local wanted=$1 text=$2 status=0
    shift 2
    tools/oss_fuzz_check.sh "$@" >"$scratch/said" 2>&1 || status=$?
    if [ $status -ne "$wanted" ] || ! grep -Fq -- "$text" "$scratch/said"; then
        echo "FAILED: $*: exit status $status, expected $wanted and '$text', among:" >&2
        head -20 "$scratch/said" >&2
        failures=$((failures + 1))
    else
        echo "  seen: $text"
    fi
}

# planted SOURCE-FOLDER FILE SED-SCRIPT: a copy of the folder with one file changed, in $scratch/copy.
planted() {
    rm -rf "$scratch/copy" && mkdir "$scratch/copy" && cp -rp "$1/." "$scratch/copy"
    sed -i -E "$3" "$scratch/copy/$2"
    ! cmp -s "$1/$2" "$scratch/copy/$2" || { echo "FAILED: $2: '$3' changes nothing" >&2 && failures=$((failures + 1)); }
}

project() {
    planted fuzz/oss-fuzz "$1" "$2"
    expect 1 "$3" --project "$scratch/copy"
}
project project.yaml 's/^homepage/home_page/' "unknown key 'home_page'"
project project.yaml 's/^main_repo/#&/' "no main_repo"
project project.yaml 's/- address/- adress/' "sanitizers: 'adress'"
project project.yaml 's/- libfuzzer/- none/' "lacks libfuzzer"
project project.yaml 's/@/ at /' "is no address"
project project.yaml 's/^language: c$/language: d/' "no valid language"
project project.yaml 's/  - i386/  {i386}/' "expected 'key: value'"
project Dockerfile 's/^RUN apt-get update \&\& /RUN /' "without an update"
project Dockerfile 's/www.apache.org//' "no Apache licence header"
project build.sh '1s/ -eu//' "expected '#!/bin/bash -eu'"
project build.sh '$s/$/ -fsanitize=address/' "the environment's to choose"

mkdir "$scratch/lite" && cp -r .clusterfuzzlite .github "$scratch/lite"
lite() {
    planted "$scratch/lite" "$1" "$2"
    expect 1 "$3" --lite "$scratch/copy"
}
lite .clusterfuzzlite/Dockerfile 's/:v1//' "wrong FROM"
lite .github/workflows/cflite_pr.yml 's/code-change/changes/' "no such mode"
lite .github/workflows/cflite_pr.yml 's/fuzz-seconds/seconds/' "no such input"
lite .github/workflows/cflite_batch.yml 's/run_fuzzers@v1/run_fuzzer@v1/' "no such action"

# ---- built folders ----
cat >"$scratch/planted.c" <<'C'
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int LLVMFuzzerInitialize(int *argc, char ***argv) {
#ifdef WRITES
    char path[4096];
    snprintf(path, sizeof path, "%s.log", (*argv)[0]);
    fclose(fopen(path, "w"));
#endif
    return *argc < 0;
}
static volatile int sum[64];
#define ADD(i) sum[i] += sum[(i) + 1] << sum[(i) + 2];
#define ADD4(i) ADD(i) ADD(i + 4) ADD(i + 8) ADD(i + 12)
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
#ifdef CRASHES
    abort();
#endif
#ifdef READS
    fclose(fopen(READS, "r"));
#endif
    if (size == 6 && memcmp(data, "planet", 6) == 0) {
        abort();
    }
    if (size > 1000) {
        ADD4(0) ADD4(1) ADD4(2) ADD4(3) ADD4(16) ADD4(17) ADD4(18) ADD4(19)
    }
    return 0;
}
C
out=$scratch/out
fresh() { rm -rf "$out" && mkdir "$out" && cp -p $built/alloc_bump* "$out"; }
# target COMPILER FLAGS...: replaces the target by the one above, without seeds.
target() {
    fresh && rm "$out"/*.zip
    "$@" -w -O1 "$scratch/planted.c" -o "$out/alloc_bump"
}
fuzzer="clang -fsanitize=fuzzer"
out_bad() { expect 1 "$1" --out "$out" "${2:-address}"; }

fresh && expect 0 "address alloc_bump" --out "$out" address
out_bad "expected ELF32" i386
target $fuzzer,address && expect 0 "address alloc_bump" --out "$out" address
(cd "$scratch" && printf planet >planet && zip -q "$out/alloc_bump_seed_corpus.zip" planet) && out_bad "a seed breaks it"
target $fuzzer,address -DCRASHES && out_bad "expected 0 and 'Done 4 runs'"
target $fuzzer,address -DREADS="\"$out/alloc_bump\"" && out_bad "expected 0 and 'Done 4 runs'"
target $fuzzer,address -DWRITES && out_bad "wrote into its folder"
target $fuzzer && out_bad "calls of __asan, expected 1000"
target $fuzzer && out_bad "calls of __ubsan, expected 168" undefined
target $fuzzer,address && out_bad "calls of __asan, expected none" undefined
target $fuzzer,address,undefined && out_bad "calls of __ubsan, too many"
target afl-clang-fast -fsanitize=fuzzer,address -DCRASHES 2>"$scratch/said" && out_bad "afl-fuzz does not start" afl
fresh && mv "$out/alloc_bump" "$out/alloc.bump" && out_bad "a name of letters, digits"
fresh && truncate -s 100 "$out/alloc_bump_seed_corpus.zip" && out_bad "not a zip file"
fresh && echo 'max_len: 3' >>"$out/alloc_bump.options" && out_bad "expected '[section]'"
fresh && echo 'dict = none.dict' >>"$out/alloc_bump.options" && out_bad "no none.dict"
fresh && touch "$out/notes.txt" && out_bad "belongs to no target"
fresh && rm "$out/alloc_bump" "$out"/alloc_bump?* && out_bad "no targets"
[ $failures -eq 0 ]
