#!/bin/sh
# run_tests.sh RUNNER BUILD TEST... - runs each test program (under RUNNER, say qemu-arm, when not empty), as
# many at once as there are cores, and closes with one line for all. A failing program's output is shown
# whole. The tests find in their environment: HEAPRIG_BUILD, where programs and plug-ins were built;
# HEAPRIG_RUN, the runner; HEAPRIG_SEED, the seed of every random test (the commit's hash unless given).
set -u
if [ "$1" = --one ]; then
    begin=$(date +%s)
    log="$2.log"
    if $HEAPRIG_RUN "$2" >"$log" 2>&1; then
        result=$(grep -h 'Checks:' "$log" | tail -1)
        status=0
    else
        result="FAILED"
        status=1
    fi
    printf '%-36s %4d s  %s\n' "$2" $(($(date +%s) - begin)) "$result"
    [ $status -eq 0 ] || cat "$log"
    exit $status
fi

export HEAPRIG_RUN="$1"
export HEAPRIG_BUILD="$2"
shift 2
: "${HEAPRIG_SEED:=$(git rev-parse --short=8 HEAD 2>/dev/null || echo 1)}"
export HEAPRIG_SEED
echo "seed=$HEAPRIG_SEED"
report=$(mktemp)
trap 'rm -f "$report"' EXIT
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 "$0" --one | tee "$report"
failed=$(grep -c ' s  FAILED$' "$report")
passed=$(($# - failed))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
