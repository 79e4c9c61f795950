#!/bin/bash -eu
# SPDX-License-Identifier: MIT
# build_targets.sh - builds every fuzz target for OSS-Fuzz and ClusterFuzzLite, which set CC CXX CFLAGS CXXFLAGS
# LIB_FUZZING_ENGINE OUT WORK SANITIZER (and choose engine and architecture by the flags).
#
# A target is fuzz/NAME_target.c and becomes $OUT/NAME; one that asks for -DTARGET is built for each own
# allocator and becomes NAME_tlsf, NAME_buddy, ... What lies beside this script goes with it:
#   NAME.options   as it is
#   NAME.dict      as it is
#   NAME.seeds     a line for each seed, its name and its bytes in hexadecimal: becomes the seed corpus
# Targets link no library but the C library; those that need more (reader_target.h) are left out.
cd "$(dirname "$0")/../.."
language="-std=c11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DALLOC_ASSERTS"
[ "$SANITIZER" != address ] || language+=" -DFENCE_METADATA" # see fuzz/fence.h
objects=$WORK/heaprig
rm -rf "$objects" && mkdir -p "$objects"

# Whatever a target may call; the linker takes what it does call.
compile() {
    local extra=""
    case $1 in alloc/*) extra=-ffreestanding ;; esac
    $CC $CFLAGS $language $extra -c "$1" -o "$objects/$(tr / _ <<<"${1%.c}").o"
}
export -f compile
export CC CFLAGS language objects
printf '%s\n' alloc/*.c fuzz/*.c vm/*.c bench/replay.c bench/marks.c trace/problem.c |
    grep -Ev '_(test|plugin|target|main|preload)\.c$' |
    xargs -P "$(nproc)" -n 1 bash -euc 'compile "$1"' -
ar rcs "$objects/libheaprig.a" "$objects"/*.o

# seed_corpus NAME.seeds ZIP: the same bytes on every machine and every day.
seed_corpus() {
    local seeds=$WORK/seeds name bytes
    rm -rf "$seeds" "$2" && mkdir -p "$seeds"
    while read -r name bytes; do
        case $name in '' | '#'*) continue ;; esac
        bytes=${bytes// /}
        printf "$(sed 's/../\\x&/g' <<<"$bytes")" >"$seeds/$name"
    done <"$1"
    TZ=UTC touch -d 2000-01-01 "$seeds"/*
    (cd "$seeds" && printf '%s\n' * | LC_ALL=C sort | TZ=UTC zip -q -X "$2" -@)
}

# target SOURCE BINARY FLAGS...
target() {
    local source=$1 binary=$2 beside
    shift 2
    beside=fuzz/oss-fuzz/$(basename "$source" _target.c)
    $CC $CFLAGS $language "$@" -c "$source" -o "$objects/$binary.target"
    $CXX $CXXFLAGS "$objects/$binary.target" "$objects/libheaprig.a" $LIB_FUZZING_ENGINE -o "$OUT/$binary"
    [ ! -e "$beside.options" ] || cp "$beside.options" "$OUT/$binary.options"
    [ ! -e "$beside.dict" ] || cp "$beside.dict" "$OUT/$binary.dict"
    [ ! -e "$beside.seeds" ] || seed_corpus "$beside.seeds" "$OUT/${binary}_seed_corpus.zip"
}

for source in fuzz/*_target.c; do
    ! grep -q '"reader_target.h"' "$source" || continue
    name=$(basename "$source" _target.c)
    if grep -q 'TEXT(TARGET)' "$source"; then
        for allocator in $(sed -n 's/^X(\(.*\))$/\1/p' alloc/alloc_list.h); do
            target "$source" "${name}_$allocator" "-DTARGET=$allocator"
        done
    else
        target "$source" "$name"
    fi
done
