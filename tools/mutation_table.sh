#!/usr/bin/env bash
# mutation_table.sh RUNS.tsv - the table of a mutation score: a line per mutant and engine, then the sums
# Seconds are of the processor; ops and lines (fuzz/script.h) those of the shortest and the longest minimised
# kill, the rule that of the shortest.
set -euo pipefail
tail -n +2 "$1" | sort -t$'\t' -k1,1n -k3,3 -k5,5g | awk -F'\t' '
function flush() {
    if (key == "") return
    median = killed ? times[int((killed + 1) / 2)] "" : "-"
    if (least != most) { least = least "-" most }
    if (few != many) { few = few "-" many }
    printf "%-4s %-15s %-10s %d/%d  %7s  %7s  %7s  %-34s %s\n", id, allocator, engine, killed, runs, median, least, few, rule, what
    all++
    if (killed == runs) { always++ } else if (killed) { sometimes++ } else { missed++ }
    if (killed) { sum[++kills] = median + 0 }
}
{
    if ($1 FS $3 != key) {
        flush()
        key = $1 FS $3; id = $1; allocator = $2; engine = $3; what = $9; killed = 0; runs = 0; least = most = few = many = "-"; rule = "-"
    }
    runs++
    if ($5 != "-") { times[++killed] = $5; if (least == "-" || $7 + 0 < least) { least = $7; rule = $6 }; if (most == "-" || $7 + 0 > most) { most = $7 }
        if (few == "-" || $8 + 0 < few) { few = $8 }; if (many == "-" || $8 + 0 > many) { many = $8 } }
}
BEGIN { printf "%-4s %-15s %-10s %s  %7s  %7s  %7s  %-34s %s\n", "#", "allocator", "engine", "kills", "median s", "ops", "lines", "rule", "planted" }
END {
    flush()
    n = asort_plain(sum, kills)
    printf "\n%d of %d killed by every seed, %d by some, %d never; median of the medians %s s\n", always, all, sometimes, missed, \
        kills ? sum[int((kills + 1) / 2)] : "-"
}
function asort_plain(a, n,   i, j, t) {
    for (i = 2; i <= n; i++) { t = a[i]; for (j = i - 1; j > 0 && a[j] > t; j--) a[j + 1] = a[j]; a[j + 1] = t }
    return n
}'
