#!/bin/sh
# run_tests.sh RUNNER BUILD TEST... - runs each test program (under RUNNER, say qemu-arm, when not empty) and
# closes with one line for all. A failing program's output is shown whole. HEAPRIG_BUILD tells the tests
# where programs and plug-ins were built; HEAPRIG_SEED is the seed of every random test.
set -u
runner=$1
export HEAPRIG_BUILD="$2"
export HEAPRIG_RUN="$runner"
shift 2
: "${HEAPRIG_SEED:=$(git rev-parse --short=8 HEAD 2>/dev/null || echo 1)}"
export HEAPRIG_SEED
echo "seed=$HEAPRIG_SEED"
passed=0 failed=0
for test in "$@"; do
    begin=$(date +%s)
    log="$test.log"
    # shellcheck disable=SC2086
    if $runner "$test" >"$log" 2>&1; then
        passed=$((passed + 1))
        printf '%-40s %4d s  %s\n' "$test" $(($(date +%s) - begin)) "$(grep -h 'Checks:' "$log" | tail -1)"
    else
        failed=$((failed + 1))
        printf '%-40s %4d s  FAILED\n' "$test" $(($(date +%s) - begin))
        cat "$log"
    fi
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
