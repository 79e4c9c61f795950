#!/usr/bin/env bash
# campaign_test.sh [CASE]... - does a campaign survive what a night brings, and lose nothing? Plug-ins that hang, exit, write
# behind their pool, return garbage or call malloc; killed workers, a killed campaign, damaged corpus files, Ctrl-C, a
# full disk. Needs build/heaprig and the targets plugin and tlsf of libfuzzer and afl (make fuzz-test builds them).
set -u
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
failed=0
campaign=
# shellcheck disable=SC2317
clean() {
    [ -z "$campaign" ] || kill -9 "$campaign" 2>/dev/null
    umount "$folder/disk" 2>/dev/null
    rm -rf "$folder"
}
trap clean EXIT
mkdir -p "$folder/build/libfuzzer" "$folder/build/afl"
for target in plugin tlsf; do
    for flavour in libfuzzer afl; do
        ln -s "$PWD/build/fuzz/$flavour/$target" "$folder/build/$flavour/$target"
    done
done

fail() {
    echo "FAILED: $*"
    failed=1
}

# says FILE WORDS
says() { grep -q -- "$2" "$1" || fail "expected '$2' in $1: $(tail -n 20 "$1")"; }

# plugin NAME SED: fuzz/wrong_plugin.c, changed.
plugin() {
    sed -E "$2; s,\"\.\./alloc/,\"," fuzz/wrong_plugin.c >"$folder/$1.c"
    gcc -O2 -w -fno-builtin -Ialloc -fPIC -shared "$folder/$1.c" -o "$folder/$1.so"
}

# run FOLDER SECONDS ARGUMENTS...: a campaign there; what it says goes to FOLDER.said, its status to $status.
run() {
    local out=$1 hours
    hours=$(awk -v s="$2" 'BEGIN { print s / 3600 }')
    shift 2
    status=0
    build/heaprig campaign --build "$folder/build" -H "$hours" -j 2 --seed 1 -o "$out" "$@" >"$out.said" 2>&1 || status=$?
}

# begin FOLDER SECONDS ARGUMENTS...: the same in the background; $campaign is its process.
begin() {
    local out=$1 hours
    hours=$(awk -v s="$2" 'BEGIN { print s / 3600 }')
    shift 2
    build/heaprig campaign --build "$folder/build" -H "$hours" -j 1 --seed 1 -o "$out" "$@" >"$out.said" 2>&1 &
    campaign=$!
}

# until_true SECONDS COMMAND
until_true() {
    local left=$(($1 * 5))
    shift
    while ! eval "$*" && [ "$left" -gt 0 ]; do
        sleep 0.2
        left=$((left - 1))
    done
    [ "$left" -gt 0 ] || fail "in vain: $*"
}

# findings FOLDER: how many there are, counted by their files.
findings() { find "$1/crashes" -name crash.json 2>/dev/null | wc -l; }

# wrong_is_found NAME FAULT WORDS
wrong_is_found() {
    plugin "$1" "s/^#define WRONG 0/#define WRONG $2/"
    run "$folder/$1" 16 --plugin "$folder/$1.so" plugin
    [ $status -eq 1 ] || fail "$1: status $status, expected 1: $(cat "$folder/$1.said")"
    says "$folder/$1/report.md" "$3"
    awk -F '\t' 'NR > 1 && $6 > 0 { n++ } END { exit n < 2 }' "$folder/$1/slices.tsv" || fail "$1: the campaign did not go on"
    echo "$1: $(grep -m1 -- "$3" "$folder/$1/report.md")"
}
case_hangs() { wrong_is_found hangs 6 '^### .*hangs'; }
case_exits() { wrong_is_found exits 7 'ends the process with status 3'; }
case_behind() { wrong_is_found behind 5 'wrote outside the pool'; }
case_garbage() { wrong_is_found garbage 8 'lies outside the pool'; }

case_mallocs() {
    plugin mallocs 's/^    a->calls\+\+;/    a->calls++; free(malloc(16));/'
    run "$folder/mallocs" 10 --plugin "$folder/mallocs.so" plugin
    [ $status -eq 0 ] || fail "mallocs: status $status, expected 0: $(cat "$folder/mallocs.said")"
    says "$folder/mallocs/report.md" 'Nothing found'
    says "$folder/mallocs/report.md" 'calls.* malloc'
    echo "mallocs: $(grep Note: "$folder/mallocs/report.md")"
}

# A plug-in that cannot be loaded is said at once.
case_none() {
    run "$folder/none" 10 --plugin "$folder/none.so" plugin
    [ $status -eq 2 ] || fail "none: status $status, expected 2"
}

children() { cat "/proc/$1/task/$1/children" 2>/dev/null | tr " " "\n" | grep .; }

# Workers are killed: the engine, then the process that watches it, then the campaign goes on.
case_killed() {
    begin "$folder/killed" 25 tlsf
    until_true 20 'slice=$(children $campaign | head -1); [ -n "$slice" ] && [ -n "$(children $slice)" ]'
    sleep 1
    kill -9 $(children "$slice")
    until_true 20 'slice=$(children $campaign | head -1); [ -n "$slice" ] && [ -n "$(children $slice)" ]'
    sleep 1
    kill -9 "$slice"
    wait "$campaign" || fail "killed: status $?, expected 0: $(cat "$folder/killed.said")"
    campaign=
    says "$folder/killed/report.md" 'Nothing found'
    awk -F '\t' 'NR > 1 { n += $13 } END { exit n < 1 }' "$folder/killed/slices.tsv" || fail "killed: no engine was started again"
    echo "killed: $(grep 'started again |' "$folder/killed/report.md" | head -1)"
}

# Damaged files in the corpus, and others that do not belong there.
case_damaged() {
    local file before
    run "$folder/killed" 6 tlsf
    for file in $(find "$folder/killed/corpus/tlsf" -type f | head -20); do : >"$file"; done
    for file in $(find "$folder/killed/corpus/tlsf" -type f -size +0 | head -20); do head -c 5000 /dev/urandom >"$file"; done
    mkdir "$folder/killed/corpus/tlsf/a folder"
    printf 'torn\t1' >>"$folder/killed/slices.tsv"
    before=$(wc -l <"$folder/killed/slices.tsv")
    run "$folder/killed" 60 tlsf
    [ $status -eq 0 ] || fail "damaged: status $status, expected 0: $(cat "$folder/killed.said")"
    says "$folder/killed.said" 'going on'
    [ "$(wc -l <"$folder/killed/slices.tsv")" -gt "$before" ] || fail "damaged: no slice was added"
    ! grep -q torn "$folder/killed/slices.tsv" || fail "damaged: the torn line was kept"
    echo "damaged: $(tail -1 "$folder/killed/slices.tsv")"
}

# Ctrl-C: a report, and what was found; the next call goes on.
case_stopped() {
    begin "$folder/stopped" 3600 --plugin "$folder/garbage.so" plugin
    until_true 60 '[ -n "$(ls "$folder/stopped/pending" "$folder/stopped/crashes" 2>/dev/null | grep plugin)" ]'
    kill -INT "$campaign"
    status=0
    wait "$campaign" || status=$?
    campaign=
    [ $status -eq 1 ] || fail "stopped: status $status, expected 1: $(cat "$folder/stopped.said")"
    says "$folder/stopped/report.md" 'lies outside the pool'
    first=$(findings "$folder/stopped")

    # The machine loses power: nobody could harvest. What lies in the places counts all the same.
    begin "$folder/stopped" 3600 --plugin "$folder/garbage.so" plugin
    until_true 60 '[ -s "$folder/stopped/places/0/who" ]'
    slice=$(children $campaign)
    kill -9 "$campaign" $slice
    wait "$campaign" 2>/dev/null
    campaign=
    sleep 1
    input=$folder/stopped/crashes/$(ls "$folder/stopped/crashes" | head -1)/input
    rm -rf "$folder/lost" && cp -r "$folder/stopped" "$folder/lost"
    rm -rf "$folder/lost/crashes" "$folder/lost/pending" "$folder/lost/places" "$folder/lost/slices.tsv"
    mkdir -p "$folder/lost/places/7/found"
    cp "$input" "$folder/lost/places/7/found/crash-$(sha1sum <"$input" | cut -c1-40)"
    echo plugin libfuzzer >"$folder/lost/places/7/who"
    run "$folder/lost" 1 --plugin "$folder/garbage.so" plugin
    ls "$folder"/lost/crashes/*/inputs 2>/dev/null | grep -q "$(sha1sum <"$input" | cut -c1-40)" || fail "lost: the input was not rescued"
    [ "$(findings "$folder/stopped")" -ge "$first" ] || fail "stopped: findings were lost"
    echo "stopped: $first findings, rescued $(findings "$folder/lost")"
}

# Another campaign in the same folder is refused.
case_locked() {
    begin "$folder/locked" 3600 tlsf
    until_true 20 '[ -e "$folder/locked/campaign.json" ]'
    sleep 1
    build/heaprig campaign --build "$folder/build" -H 1 -o "$folder/locked" tlsf >"$folder/second.said" 2>&1 && fail "locked: a second campaign ran"
    says "$folder/second.said" 'is running in this folder'
    kill -INT "$campaign"
    wait "$campaign" || fail "locked: status $?, expected 0"
    campaign=
}

# A full disk.
case_disk() {
    mkdir "$folder/disk"
    if mount -t tmpfs -o size=6m tmpfs "$folder/disk" 2>/dev/null; then
        begin "$folder/disk/c" 3600 --plugin "$folder/garbage.so" plugin
        until_true 60 '[ -n "$(ls "$folder/disk/c/pending" "$folder/disk/c/crashes" 2>/dev/null | grep plugin)" ]'
        head -c 10000000 /dev/zero >"$folder/disk/filler" 2>/dev/null
        until_true 60 'grep -q "room" "$folder/disk/c.said"'
        before=$(find "$folder/disk/c/crashes" "$folder/disk/c/pending" -type f | grep -c .)
        kill -INT "$campaign"
        status=0
        wait "$campaign" || status=$?
        campaign=
        [ $status -eq 1 ] || fail "disk: status $status, expected 1: $(cat "$folder/disk/c.said")"
        after=$(find "$folder/disk/c/crashes" "$folder/disk/c/pending" -type f | grep -c .)
        [ "$after" -ge 1 ] || fail "disk: inputs were lost: $before before, $after after"
        rm "$folder/disk/filler"
        run "$folder/disk/c" 3600 --plugin "$folder/garbage.so" --report
        [ $status -eq 1 ] || fail "disk: status $status of the report, expected 1: $(cat "$folder/disk/c.said")"
        says "$folder/disk/c/report.md" 'lies outside the pool'
        echo "disk: $(grep -m1 room "$folder/disk/c.said" || echo "$before inputs before, $after after")"
    else
        echo "skipped: full disk: no right to mount a tmpfs"
    fi
}

plugin garbage 's/^#define WRONG 0/#define WRONG 8/'
[ $# -gt 0 ] || set -- hangs exits behind garbage mallocs none killed damaged stopped locked disk
for name in "$@"; do
    "case_$name"
done
exit $failed
