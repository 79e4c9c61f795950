#!/usr/bin/env bash
# mutation_test.sh - can each bug of fuzz/mutants.tsv still be planted, and do the fuzzers still find some of them?
# Five of them, that need little time but different rules; the whole score is make mutation-score.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

tools/mutation_score.sh --plant -o "$scratch" 2>"$scratch/said" || {
    cat "$scratch/said" >&2
    exit 1
}
echo "  $(grep -vc '^#' fuzz/mutants.tsv) bugs can be planted"

target='#include <stddef.h>
int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n) { return d == NULL && n > 0; }'
if ! clang -fsanitize=fuzzer -x c - -o "$scratch/target" <<<"$target" 2>/dev/null; then
    echo "  mutation score: skipped, no clang with libFuzzer (tools/deps.sh fuzz)"
    exit 0
fi
some='bump.*grows in place|membox.*double free|tlsf .*rounded down|bestfit .*copies too little|bestfit_little.*8 bytes too short'
tools/mutation_score.sh --engines libfuzzer --seeds 1 --seconds 20 --only "$some" -o "$scratch" >"$scratch/table" 2>&1 || {
    cat "$scratch/table" >&2
    exit 1
}
if ! grep -q '^5 of 5 killed' "$scratch/table"; then
    cat "$scratch/table" >&2
    exit 1
fi
echo "  5 of 5 planted bugs are found"
