#!/usr/bin/env bash
# fuzz.sh [OPTION]... TARGET... - libFuzzer on each target for a while, a table, and in words what was found
#   --seconds N      for all targets together (default: 60)
#   --jobs N         targets at once (default: one per core)
#   --flavour NAME   build/fuzz/NAME holds the targets (default: libfuzzer)
#   --plugin SO      what the target `plugin` loads; --watched SO: the same, built with the engine's flags
#   --seed N         (default: the time)
#   -o FOLDER        corpus of each target and what was found (default: build/fuzz/found)
# Exit status: 0 nothing found, 1 an allocator or reader is wrong.
set -euo pipefail
seconds=60 jobs=$(nproc) flavour=libfuzzer plugin="" watched="" seed=$(date +%s) out=build/fuzz/found
while [ $# -gt 0 ]; do
    case $1 in
    --seconds) seconds=$2 && shift 2 ;;
    --jobs) jobs=$2 && shift 2 ;;
    --flavour) flavour=$2 && shift 2 ;;
    --plugin) plugin=$2 && shift 2 ;;
    --watched) watched=$2 && shift 2 ;;
    --seed) seed=$2 && shift 2 ;;
    -o) out=$2 && shift 2 ;;
    -*)
        echo "fuzz.sh: '$1', expected an option named at the head of this script" >&2
        exit 2
        ;;
    *) break ;;
    esac
done
for number in "$seconds" "$jobs" "$seed"; do
    case $number in '' | *[!0-9]* | 0?*)
        echo "fuzz.sh: '$number', expected a whole number for --seconds, --jobs and --seed" >&2
        exit 2
        ;;
    esac
done
[ $# -gt 0 ] || {
    echo "fuzz.sh: no target, expected names of programs in build/fuzz/$flavour" >&2
    exit 2
}
case $plugin in '' | */*) ;; *) plugin=./$plugin ;; esac
each=$((seconds * jobs / $#))
[ "$each" -gt 0 ] || each=1
[ $# -ge "$jobs" ] || each=$seconds

# is_alloc TARGET: does it take programs, which heaprig minimize shrinks?
is_alloc() { [ "$1" = plugin ] || grep -qx "X($1)" alloc/alloc_list.h; }

# last_number LOG WORD: the number behind the last `WORD: `.
last_number() { sed -n "s/.*$2: *\([0-9]*\).*/\1/p" "$1" | tail -1; }

# found_say TARGET FILE LOG: what happened, where the input lies, how to shrink it.
found_say() {
    local name=$1 words said blame
    [ "$1" != plugin ] || name=$plugin
    words=$(sed -n 's/^heaprig: //p; s/^.*ERROR: AddressSanitizer: \([^ ]*\).*/AddressSanitizer: \1/p
        s/^\([^ ]*: runtime error: .*\)/\1/p' "$3" | head -1)
    case $2 in */timeout-*) words="$name: hangs, no end after 5 s" ;; esac
    if is_alloc "$1"; then
        # In a process of its own: what the target could not say (a crash, an exit, a hang), and whether it takes
        # one of the allocator's functions to go wrong.
        said=$(build/heaprig minimize -a "$name" -s 5 -r 1 "$2" 2>/dev/null) || true
        [ -n "$words" ] || words=$(sed -n 's/^# //p' <<<"$said" | head -1)
        blame=$(sed -n 's/^# \(.* is to blame.*\)/\1/p' <<<"$said")
        printf 'FOUND %s\n  input   %s\n  shrink  build/heaprig minimize -a %s %s -o bug.txt\n' \
            "${words:-$1: stopped, see $3}" "$2" "$name" "$2"
        [ -z "$blame" ] || printf '  blame   %s\n' "$blame"
    else
        printf 'FOUND %s\n  input   %s\n  again   build/fuzz/%s/%s %s\n' "${words:-$1: stopped, see $3}" "$2" "$flavour" "$1" "$2"
    fi
}

# target_run TARGET: fuzzes; a line of the table, then what was found.
target_run() {
    local folder=$out/$1 status=0 verdict=sound file seeds="" begin runs took
    rm -rf "$folder/new" "$folder/tally" && mkdir -p "$folder/corpus" "$folder/new"
    if is_alloc "$1" || [ "$1" = damage ] || [ "$1" = differential ]; then seeds=corpus/seeds/program; fi
    [ -d "$seeds" ] || seeds=corpus/seeds/$1
    [ -d "$seeds" ] || seeds=""
    begin=$(date +%s%N)
    # A second limit from outside, for what ignores signals.
    HEAPRIG_PLUGIN=${watched:-$plugin} HEAPRIG_TALLY=$folder/tally ASAN_OPTIONS=${ASAN_OPTIONS:-} timeout -k 5 $((each + 30)) \
        "build/fuzz/$flavour/$1" -max_total_time="$each" -timeout=5 -rss_limit_mb=1024 -max_len=1028 -len_control=0 \
        -seed="$seed" -print_final_stats=1 -artifact_prefix="$folder/new/" "$folder/corpus" $seeds >"$folder/log" 2>&1 || status=$?
    took=$((($(date +%s%N) - begin) / 1000000 + 1))
    runs=$(last_number "$folder/log" stat::number_of_executed_units)
    file=$(find "$folder/new" -type f | head -1)
    if [ -n "$file" ]; then
        verdict=FOUND
    elif [ $status -eq 2 ] && grep -q '^heaprig: ' "$folder/log"; then
        verdict="NOT LOADED"
    elif [ $status -ne 0 ] || [ -z "$runs" ]; then # ended without a word: the engine could keep nothing
        verdict=FOUND file=$folder/new/ended-by-itself
        [ ! -f "$folder/tally" ] || tail -c +25 "$folder/tally" | # fuzz/tally.h
            head -c "$(od -An -tu8 -j16 -N8 "$folder/tally" | tr -d ' ')" >"$file"
    fi
    runs=${runs:-$(sed -n 's/^#\([0-9]*\).*/\1/p' "$folder/log" | tail -1)}
    printf '%-16s %10s %8s %9s  %s\n' "$1" "${runs:-0}" $((${runs:-0} * 1000 / took)) "$(last_number "$folder/log" cov)" "$verdict"
    case $verdict in
    FOUND) found_say "$1" "$file" "$folder/log" ;;
    NOT*) sed -n 's/^heaprig: /  /p' "$folder/log" ;;
    esac
}

outside="malloc|calloc|realloc|mmap|sbrk|aligned_alloc|posix_memalign"
if [ -n "$plugin" ]; then
    nm -D --undefined-only "$plugin" 2>/dev/null | sed 's/@.*//; s/.* //' | grep -xE "$outside" | while read -r name; do
        echo "note: $plugin calls $name: memory must come from its pool alone"
    done || true
fi
export -f target_run found_say is_alloc last_number
export out flavour each seed plugin watched
mkdir -p "$out"
printf '%-16s %10s %8s %9s  %s\n' target runs runs/s coverage verdict
printf '%s\n' "$@" | xargs -P "$jobs" -I @ bash -c 'target_run @ >"$out/@.report"; cat "$out/@.report"' | tee "$out/report"
! grep -qE '(FOUND|NOT LOADED)$' "$out/report"
