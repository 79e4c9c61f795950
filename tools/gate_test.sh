#!/usr/bin/env bash
# gate_test.sh [--plugin | --equal N] - do the gates see what they are for?
#   (nothing)    plants small faults in a copy of the tree, one at a time, builds it and expects the gate to turn
#                red, with a row of an allocator that is concerned and none of the others; with FAULTS=REGEX in
#                the environment only those whose description matches
#   --plugin     the same for the plug-in of the README, as a user would: seconds
#   --equal N    the frag gate on the tree as it is, N times: must hold each time
# Needs a finished build/heaprig. A fault whose place in the source is gone fails too: plant it anew.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$PWD
heaprig=$tree/build/heaprig
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

fail() {
    echo "FAILED: $*" >&2
    failures=$((failures + 1))
}

# gate_says STATUS REGEX COMMAND...: runs the command, whose output must have a line that matches.
gate_says() {
    local wanted=$1 row=$2 status=0
    shift 2
    "$@" >"$scratch/said" 2>&1 || status=$?
    if [ $status -ne "$wanted" ] || ! grep -Eq "$row" "$scratch/said"; then
        fail "$*: exit status $status, expected $wanted and a line like '$row', among:"
        head -20 "$scratch/said" >&2
    else
        echo "  $(grep -Em 1 "$row" "$scratch/said")"
    fi
}

# plant FILE SED-SCRIPT: changes the file, exactly one place of it.
plant() {
    cp -p "$1" "$scratch/original"
    sed -i -E "$2" "$1"
    if [ "$(diff "$scratch/original" "$1" | grep -c '^>')" -ne 1 ]; then
        fail "$1: '$2' no longer changes one line"
        return 1
    fi
}

spin='for (uint32_t i = 0; i < 8; i++) { __asm__ volatile("" : : "r"(i)); }'

plugin_test() {
    cd "$scratch"
    mkdir alloc bench
    cp "$tree/alloc/alloc.h" alloc/
    cp "$tree/bench/example_plugin.c" bench/
    plugin_build() { gcc -std=gnu11 -O2 -fPIC -shared bench/example_plugin.c -o my_alloc.so; }
    local instructions=""
    command -v qemu-x86_64 >/dev/null && instructions=,instructions
    plugin_build
    gate_says 0 'gate.json: memory of 2' "$heaprig" gate init -a ./my_alloc.so -t gen:embedded:1:5000,gen:lifo:1:2000 \
        --only "memory$instructions" -o gate
    gate_says 0 '^gate holds: .* 0 figures worse, 0 better, 0 changed' "$heaprig" gate check gate
    echo "a header 4 bytes larger"
    plant bench/example_plugin.c 's/bytes \+ 7\) & ~\(size_t\)7;/bytes + 4 + 7) \& ~(size_t)7;/' && plugin_build
    gate_says 1 '^stack gen:embedded:1:5000 high_water: .* worse$' "$heaprig" gate check gate
    echo "and back: better"
    gate_says 0 '^gate.json|^since the last baseline: [1-9]' "$heaprig" gate init -a ./my_alloc.so \
        -t gen:embedded:1:5000,gen:lifo:1:2000 --only "memory$instructions" -o gate
    cp "$scratch/original" bench/example_plugin.c && plugin_build
    gate_says 0 '^to take new figures over: ' "$heaprig" gate check gate
    echo "a loop in free"
    plant bench/example_plugin.c "/^static enum alloc_status stack_free/s/\$/ $spin/" && plugin_build
    [ -z "$instructions" ] ||
        gate_says 1 '^stack gen:embedded:1:5000 x86_64 free_mean: .* worse$' "$heaprig" gate check --only instructions gate
}

equal_test() {
    local begin
    begin=$(date +%s)
    for ((i = 1; i <= $1; i++)); do
        gate_says 0 '^gate holds: .* 0 figures worse, 0 better, 0 changed' \
            "$heaprig" gate check --only memory,pools results/baseline >/dev/null
    done
    echo "equal tree: $1 frag gates in $(($(date +%s) - begin)) s"
}

# fault WHAT FILE SED-SCRIPT PART CONCERNED OTHERS FIGURES: planted, built and looked for.
fault() {
    [[ $1 =~ ${FAULTS:-.} ]] || return 0
    echo "$1"
    if plant "$2" "$3" && make -s build/heaprig >"$scratch/made" 2>&1; then
        gate_says 1 "^($5) [^ ]+ (x86_64 )?($7): .* worse\$" build/heaprig gate check --only "$4" "$scratch/gate"
        if grep -Eq "^($6) " "$scratch/said"; then
            fail "a row of an allocator that has nothing to do with it: $(grep -Em 1 "^($6) " "$scratch/said")"
        fi
    else
        fail "not planted or not built"
        tail -5 "$scratch/made" >&2
    fi
    cp "$scratch/original" "$2"
}

tree_test() {
    local heaps='tlsf|tlsf_frugal|tlsf_fast|bestfit|bestfit_little' space='fit_bytes|high_water'
    mkdir "$scratch/tree"
    git ls-files -z -co --exclude-standard | tar -c --null -T - | tar -x -C "$scratch/tree"
    tar -c --exclude=build/arm --exclude=build/sysroot-armhf --exclude='build/*-*' build | tar -x -C "$scratch/tree"
    cd "$scratch/tree"
    make -s build/heaprig
    build/heaprig gate init -n 20000 --arch native -o "$scratch/gate"

    fault "a size class off by one: tlsf takes from one class too high" alloc/tlsf_index.h \
        's/return tlsf_take_above\(h, class\);/return tlsf_take_above(h, class + 1);/' \
        memory,pools 'tlsf|tlsf_frugal|tlsf_fast' 'bestfit|bestfit_little|buddy|membox|bump' "$space"
    fault "a size class off by one: bestfit begins to search one class too high" alloc/bestfit.c \
        's/^        class = class_of_octave\(bytes\);/        class = class_of_octave(bytes) + 1;/' \
        memory,pools bestfit 'tlsf|tlsf_frugal|tlsf_fast|bestfit_little|buddy|membox|bump' "$space"
    fault "a size class off by one: slots of runs" alloc/runs.h \
        's/return \(request - 1\) \/ 8 \+ 1;/return (request - 1) \/ 8 + 1 + (request > 8 \&\& request < RUNS_BYTES_MAX - 8);/' \
        memory,pools 'tlsf_frugal|tlsf_fast' 'tlsf|bestfit|bestfit_little|buddy|membox|bump' "$space"
    fault "a size class off by one: buddy's order" alloc/buddy.c \
        's/uint32_t wanted = order_for\(bytes, UNIT_LOG_MIN\);/uint32_t wanted = order_for(bytes, UNIT_LOG_MIN) + 1;/' \
        memory,pools buddy "$heaps|membox|bump" "$space"
    fault "a lost coalesce: no joining backwards at the wilderness" alloc/heap_ops.h \
        's/^    if \(\(around.header & HEAP_PREV_FREE\) != 0\) \{/    if ((around.header \& HEAP_PREV_FREE) != 0 \&\& around.behind != h->top) {/' \
        memory,pools "$heaps" 'buddy|membox|bump' "$space"
    fault "a lost coalesce: blocks of 48 bytes are not joined backwards" alloc/heap_ops.h \
        's/^    if \(\(around.header & HEAP_PREV_FREE\) != 0\) \{/    if ((around.header \& HEAP_PREV_FREE) != 0 \&\& around.behind - b != 48) {/' \
        memory,pools "$heaps" 'buddy|membox|bump' "$space|frag_mean|frag_unusable"
    fault "a lost coalesce: buddies of order 4 stay apart" alloc/buddy_pieces.h \
        's/while \(v.states\[buddy\] == /while (size != 16 \&\& v.states[buddy] == /' \
        memory,pools buddy "$heaps|membox|bump" "$space"
    fault "a header 4 bytes larger" alloc/heap_layout.h \
        's/\(request\) \+ HEAP_HEADER_BYTES - 1/(request) + 4 + HEAP_HEADER_BYTES - 1/' \
        memory,pools "$heaps" 'buddy|membox|bump' "$space"
    fault "a loop in free of the boundary-tag heaps" alloc/heap_ops.h \
        "/^HEAP_HOT enum alloc_status heap_free\\(/s/\$/ $spin/" \
        instructions "$heaps" 'buddy|membox|bump' 'free_mean|free_p999|free_max'
    fault "a loop in free of buddy" alloc/buddy.c "/^enum alloc_status buddy_free\\(/s/\$/ $spin/" \
        instructions buddy "$heaps|membox|bump" 'free_mean|free_p999|free_max'
    fault "a loop in free of membox" alloc/membox.c "/^static enum alloc_status membox_free\\(/s/\$/ $spin/" \
        instructions membox "$heaps|buddy|bump" 'free_mean|free_p999|free_max'

    make -s build/heaprig
    gate_says 0 '^gate holds: .* 0 figures worse, 0 better, 0 changed' build/heaprig gate check "$scratch/gate"
}

case ${1:-} in
--plugin) plugin_test ;;
--equal) equal_test "${2:-50}" ;;
"") tree_test ;;
*)
    echo "gate_test.sh: '$1', expected --plugin, --equal N or nothing" >&2
    exit 2
    ;;
esac
[ $failures -eq 0 ] && echo "gate_test: all as expected"
