#!/bin/sh
# fuzz_test.sh [SECONDS] - is `make fuzz PLUGIN=...` worth anything? fuzz/wrong_plugin.c with one fault at a
# time must be caught within SECONDS (default: 60), with the right words; without a fault it must pass.
set -u
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0
# expect FAULT WORDS
expect() {
    sed "s/^#define WRONG 0/#define WRONG $1/; s,\"\.\./alloc/,\"," fuzz/wrong_plugin.c >"$folder/wrong$1.c"
    make -s PLUGIN="$folder/wrong$1.c" FUZZ="--seconds $seconds --seed 1 -o $folder/found" fuzz >"$folder/said" 2>&1
    if grep -q -- "$2" "$folder/said" && { [ "$1" = 0 ] || grep -q '^  input' "$folder/said"; }; then
        echo "fault $1: $(grep -m1 -- "$2" "$folder/said")"
    else
        echo "fault $1: expected '$2' in:" && cat "$folder/said"
        failed=1
    fi
}
seconds=${1:-60}
expect 1 'lies outside the pool: .*a request of [0-9]* B, more than the pool has, was granted' # size + 15 wraps
expect 2 'realloc copied more than the block had'
expect 3 'is not aligned as asked'            # realloc forgets the alignment
expect 4 'overlaps a live block'              # every 32nd block is handed out twice
expect 5 'wrote outside the pool'             # one byte behind the pool
expect 6 'hangs'
expect 7 'ends the process with status 3'
expect 8 'lies outside the pool'              # a pointer that is none
seconds=5
expect 0 ' sound$'
exit $failed
