#!/usr/bin/env bash
# mutation_score.sh - how many planted bugs do the fuzzers find, how soon, and by which rule?
#   --engines LIST   libfuzzer,afl (default: both)
#   --seeds LIST     one run of each engine for each (default: 1,2,3,4,5)
#   --seconds N      after which a run has missed the bug (default: 60)
#   --jobs N         runs at once (default: one per core)
#   --only REGEX     only mutants whose line in fuzz/mutants.tsv matches
#   --no-check       with the allocators' own check() switched off, as for a plug-in that has none; kills are
#                    not minimised then
#   --plant          only see whether each bug can still be planted
#   -o FOLDER        table and crashes (default: results/mutation)
# Each line of fuzz/mutants.tsv is a bug: allocator, file, sed expression that changes one line, what it
# breaks. It is planted in a copy, never in the tree. A kill counts only when the same input is sound on
# the allocator as it is; one that is not is kept as UNMUTATED.*, for it is a bug found by chance. Needs a
# finished build (make mutation-score does that). Exit status: 1 when a line could not be planted or built,
# or an allocator is not sound as it is.
set -euo pipefail
cd "$(dirname "$0")/.."
engines=libfuzzer,afl seeds=1,2,3,4,5 seconds=60 jobs=$(nproc) only=. check=1 plant_only=0 out=results/mutation
while [ $# -gt 0 ]; do
    case $1 in
    --engines) engines=$2 && shift 2 ;;
    --seeds) seeds=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    --jobs) jobs=$2 && shift 2 ;;
    --only) only=$2 && shift 2 ;;
    --no-check) check=0 && shift ;;
    --plant) plant_only=1 && shift ;;
    -o) out=$2 && shift 2 ;;
    *)
        echo "mutation_score.sh: '$1', expected an option named at the head of this script" >&2
        exit 2
        ;;
    esac
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$out"
export HEAPRIG_CHECK=$check AFL_SKIP_CPUFREQ=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1 AFL_BENCH_UNTIL_CRASH=1 \
    AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 \
    AFL_CUSTOM_MUTATOR_LIBRARY=$PWD/build/libheaprig_afl.so AFL_CUSTOM_MUTATOR_ONLY=1
cflags="-std=c11 -D_GNU_SOURCE -O2 -g -ffreestanding -w" # no ALLOC_ASSERTS: the oracle has to find them
libs="build/libheaprig.a -lzstd -ljansson -lsmartcols -lmd -ldl -lpthread -lm"

# allocator_sources FOLDER ALLOCATOR: the .c files of the same first word, but for those that define another one.
allocator_sources() {
    local source
    for source in "$1/alloc/${2%%_*}"*.c; do
        case $source in
        *_test.c) ;;
        *) if ! grep -q '_DEFINE(' "$source" || grep -q "_DEFINE($2," "$source"; then echo "$source"; fi ;;
        esac
    done
}

# mutant_plant FOLDER FILE SED: the file with the bug.
mutant_plant() {
    mkdir -p "$1/alloc"
    sed -E "$3" "$2" >"$1/$2"
    if [ "$(diff "$2" "$1/$2" | grep -c '^>')" -ne 1 ]; then
        echo "fuzz/mutants.tsv: $2: '$3' no longer changes one line" >&2
        return 1
    fi
}

# mutant_build FOLDER ALLOCATOR: the allocator with the bug, as a target of each engine and as a plug-in.
mutant_build() {
    local sources
    cp -n alloc/*.h alloc/*.c "$1/alloc"
    mapfile -t sources < <(allocator_sources "$1" "$2")
    gcc $cflags -fPIC -shared -Wl,-Bsymbolic "-D$2_ops=heaprig_allocator" "${sources[@]}" -o "$1/mutant.so"
    case ,$engines, in *,libfuzzer,*)
        (cd "$1" && clang $cflags -fsanitize-coverage=inline-8bit-counters,pc-table -c "${sources[@]}" &&
            ld -r *.o -o mutant-libfuzzer && rm -- *.o)
        clang -w -D_GNU_SOURCE -O2 -DTARGET="$2" -fsanitize=fuzzer fuzz/alloc_target.c "$1/mutant-libfuzzer" $libs \
            -o "$1/libfuzzer"
        ;;
    esac
    case ,$engines, in *,afl,*)
        (cd "$1" && afl-clang-fast $cflags -c "${sources[@]}" >/dev/null 2>&1 &&
            ld -r *.o -o mutant-afl && rm -- *.o)
        afl-clang-fast -w -D_GNU_SOURCE -O2 -DTARGET="$2" -fsanitize=fuzzer fuzz/alloc_target.c "$1/mutant-afl" $libs \
            -o "$1/afl" >/dev/null 2>&1
        ;;
    esac
}

# cpu_seconds FILE COMMAND...: runs it; its processor time goes to FILE. Does not depend on what else runs.
cpu_seconds() {
    local file=$1 TIMEFORMAT='%U %S'
    shift
    { time "$@" 2>&3 || true; } 3>&2 2>"$file.times"
    awk '{ printf "%.2f", $1 + $2 }' "$file.times" >"$file"
}

# engine_run FOLDER ENGINE SEED: runs until the first crash; prints processor seconds and the crash's file, or nothing.
engine_run() {
    local work=$1/run.$2.$3 crash="" pool
    mkdir -p "$work/corpus" "$work/out"
    for pool in 0 1 2 3 4 5 6 7 8 9 a b c d e f; do # a program of eight allocs for each size of the pool
        printf "\\x0$pool%b" '\0\0\0' >"$work/corpus/$pool"
        head -c 32 /dev/zero >>"$work/corpus/$pool"
    done
    if [ "$2" = libfuzzer ]; then
        (cd "$work" && cpu_seconds took timeout $((seconds + 20)) "$1/libfuzzer" -seed="$3" -timeout=2 \
            -max_total_time="$seconds" -max_len=1028 -artifact_prefix="$work/out/" corpus >"$work/said" 2>&1)
        crash=$(find "$work/out" -type f | head -1)
    else
        (cd "$work" && cpu_seconds took timeout $((seconds + 20)) afl-fuzz -s "$3" -V "$seconds" -G 1028 -i corpus \
            -o out -- "$1/afl" >"$work/said" 2>&1)
        crash=$(find "$work/out" -path '*/crashes/id*' | head -1)
        # When all seeds crash afl-fuzz does not begin: the first of them found the bug.
        if [ -z "$crash" ] && grep -qa 'does not crash' "$work/said"; then
            crash=$work/corpus/0
            "$1/afl" <"$crash" >"$work/said" 2>&1 || true
        fi
    fi
    [ -n "$crash" ] || return 0
    [ -s "$crash" ] || printf '\0' >"$crash" # no bytes mean the same as zeros
    echo "$(cat "$work/took") $crash"
}

# mutant_judge NUMBER ALLOCATOR FILE SED WORDS: a row for each engine and seed.
mutant_judge() {
    local folder=$scratch/$1 engine seed took crash status rule ops lines said
    if ! mutant_plant "$folder" "$3" "$4"; then
        printf '%s\t%s\t-\t-\t-\tNOT PLANTED\t-\t-\t%s\n' "$1" "$2" "$5"
        return
    fi
    if [ $plant_only = 1 ]; then
        rm -rf "$folder"
        return
    fi
    if ! mutant_build "$folder" "$2"; then
        printf '%s\t%s\t-\t-\t-\tNOT BUILT\t-\t-\t%s\n' "$1" "$2" "$5"
        return
    fi
    for engine in ${engines//,/ }; do
        for seed in ${seeds//,/ }; do
            read -r took crash < <(engine_run "$folder" "$engine" "$seed") || { took="" crash=""; }
            rule="" ops="" lines=""
            if [ -n "$crash" ]; then
                status=0
                build/heaprig minimize -r 1 -a "$2" "$crash" >/dev/null 2>&1 || status=$?
                if [ $status -ne 1 ]; then # 1: the allocator is sound on it
                    rule="UNMUTATED TOO" took=""
                    cp "$crash" "$out/UNMUTATED.$2.$1.$seed"
                else
                    cp "$crash" "$out/$1.$engine.$seed"
                    rule=$(sed -n 's/^heaprig: [^:]*: op [0-9]*, [^:]*: \([^:]*\):.*/\1/p; s/^SUMMARY: [^:]*: \([A-Za-z ]*[A-Za-z]\).*/\1/p' \
                        "$folder/run.$engine.$seed/said" | head -1)
                    if [ $check = 1 ]; then
                        said=$(timeout 300 build/heaprig minimize -s 1 -r 20000 -a "$folder/mutant.so" "$crash" \
                            -o "$out/$1.$engine.$seed.txt" 2>&1) || true
                        rule=$(sed -n 's/^# [^:]*: op [0-9]*, [^:]*: \([^:]*\):.*/\1/p; s/^# [^:]*: \(crashes.*\|hangs.*\)/\1/p' \
                            <<<"$said" | head -1)
                        ops=$(sed -n 's/^heaprig minimize: \([0-9]*\) ops of.*/\1/p' <<<"$said")
                        lines=$(sed -n 's/^heaprig minimize: .* \([0-9]*\) lines.*/\1/p' <<<"$said")
                    fi
                fi
            fi
            printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$engine" "$seed" "${took:--}" "${rule:--}" \
                "${ops:--}" "${lines:--}" "$5"
        done
    done
    rm -rf "$folder"
}

number=0
: >"$scratch/mutants"
while IFS=$'\t' read -r allocator file change words; do
    number=$((number + 1))
    case $allocator in '' | '#'*) continue ;; esac
    grep -Eq -- "$only" <<<"$allocator $file $change $words" || continue
    printf '%s\0%s\0%s\0%s\0%s\0' "$number" "$allocator" "$file" "$change" "$words" >>"$scratch/mutants"
done <fuzz/mutants.tsv

export -f allocator_sources mutant_plant mutant_build mutant_judge engine_run cpu_seconds
export engines seeds seconds check plant_only scratch out cflags libs
printf 'mutant\tallocator\tengine\tseed\tseconds\trule\tops\tlines\twhat\n' >"$out/runs.tsv.tmp"
xargs -0 -a "$scratch/mutants" -n 5 -P "$jobs" bash -c 'mutant_judge "$@"' - | tee -a "$out/runs.tsv.tmp" |
    awk -F'\t' '{ printf "\r%d runs", NR > "/dev/stderr" } END { printf "\r" > "/dev/stderr" }'
mv "$out/runs.tsv.tmp" "$out/runs.tsv"
[ $plant_only = 1 ] || tools/mutation_table.sh "$out/runs.tsv"
! grep -E 'NOT PLANTED|NOT BUILT|UNMUTATED TOO' "$out/runs.tsv" >&2
