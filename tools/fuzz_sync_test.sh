#!/usr/bin/env bash
# fuzz_sync_test.sh TARGET - does fuzz_sync.sh hand on what one host's AFL++ found, so that the other takes it?
# Two local folders stand for two hosts: one begins with all seeds beside TARGET (as build_targets.sh leaves them),
# the other with an empty program; after a sync the second must import.
set -euo pipefail
target=$(realpath "$1")
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export AFL_NO_UI=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_TRY_AFFINITY=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 \
    AFL_IMPORT_FIRST=1 AFL_AUTORESUME=1

# host NAME SEEDS SECONDS [-S]
host() {
    afl-fuzz -m none -s 1 -V "$3" -G 1028 -i "$2" -o "$scratch/$1" "${4:--M}" "${5:-main}-$1" -- "$target" \
        >"$scratch/$1.said" 2>&1 || { tail -20 "$scratch/$1.said" && exit 1; }
}
expect() { [ "$1" "$2" "$3" ] || { echo "FAILED: $4: $1, expected $2 $3" >&2 && exit 1; }; }
imported() { sed -n 's/^corpus_imported *: //p' "$scratch/$1/main-$1/fuzzer_stats"; }
queue() { find "$scratch/$1/main-$2/queue" -maxdepth 1 -name 'id:*' | wc -l; }

mkdir "$scratch/some" "$scratch/none"
unzip -qq "${target}_seed_corpus.zip" -d "$scratch/some"
head -c 4 /dev/zero >"$scratch/none/nothing"
host a "$scratch/some" 2
host a "$scratch/some" 1 -S second
host b "$scratch/none" 1
expect "$(imported b)" -eq 0 "imported by b before any sync"
tools/fuzz_sync.sh "$scratch/a" "$scratch/b"
expect "$(queue b a)" -eq "$(queue a a)" "inputs of a at b"
expect "$(queue a b)" -eq "$(queue b b)" "inputs of b at a"
expect "$(find "$scratch/b" -maxdepth 1 -name 'second-*' | wc -l)" -eq 0 "secondaries of a at b"
host b "$scratch/none" 3
expect "$(imported b)" -gt 0 "imported by b"
echo "  b took $(imported b) of $(queue a a) inputs of a"

# Again: nothing old moves, what b got new arrives, and copies are not sent back as a's.
touch -d 2001-01-01 "$scratch"/b/main-a/queue/id:*
tools/fuzz_sync.sh "$scratch/a" "$scratch/b" >/dev/null
expect "$(find "$scratch/b/main-a/queue" -name 'id:*' -newermt 2002-01-01 | wc -l)" -eq 0 "inputs copied twice"
expect "$(queue a b)" -eq "$(queue b b)" "inputs of b at a, after more"

mkdir -p "$scratch/c/main-a" "$scratch/d" && cp "$scratch/a/main-a/fuzzer_stats" "$scratch/c/main-a"
for bad in c d; do
    status=0
    tools/fuzz_sync.sh "$scratch/a" "$scratch/$bad" 2>"$scratch/said" || status=$?
    expect "$status" -eq 2 "a folder that is wrong ($bad)"
    sed "s#$scratch/##g; s/^/  /" "$scratch/said"
done
