#!/bin/sh
# plot.sh [FOLDER [OUT]] - draws the results in FOLDER (results/latest) into OUT (plots/out), as SVG and PNG: net
# time and smallest pool of all allocators on all traces, and for each trace tail latency, memory over time and,
# where `heaprig mmu` ran, pages over time and a heat map of the pool.
# Prints the name of each picture.
#   ALLOCATORS="tlsf glibc"   only these (bump is left out unless named: it never frees)
#   TRACES="a b"              only these
set -eu
[ -f plots/style.gp ] || { # called from another folder: the scripts load each other from here
    set -- "$(realpath -m -- "${1:-results/latest}")" "$(realpath -m -- "${2:-plots/out}")"
    cd "$(dirname -- "$0")/.."
}
export LC_ALL=C.UTF-8 # gnuplot complains of UTF-8 in a locale without
folder=${1:-results/latest}
out=${2:-plots/out}
[ -f "$folder/bench.tsv" ] || {
    echo "plot.sh: $folder/bench.tsv: no results, expected those of \`heaprig bench\`" >&2
    exit 2
}
command -v gnuplot >/dev/null 2>&1 || {
    echo "skipped: plots: gnuplot not found" >&2
    exit 0
}
mkdir -p "$out"

# column FILE NAME WHERE - the values of a column, each once, in order of appearance; WHERE is an awk condition
# on the array f: the fields by column name
column() {
    awk -F '\t' -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) at[i] = $i; next }
        { for (i = 1; i <= NF; i++) f[at[i]] = $i }
        '"$3"' && !seen[f[name]]++ { printf "%s%s", sep, f[name]; sep = " " }' "$folder/$1.tsv"
}
pooled=$(column bench allocator 'f["pool_bytes"] > 0')
poolless=$(column bench allocator 'f["pool_bytes"] == 0')
shown=${ALLOCATORS:-$(echo " $pooled $poolless " | sed 's/ bump / /')}
for name in $shown; do
    case " $pooled $poolless " in *" $name "*) ;; *)
        echo "plot.sh: no results of '$name', expected some of: $pooled $poolless" >&2
        exit 2
        ;;
    esac
done

# with_series KIND TRACE - those shown that have a series of that kind; footprint only of heaps that can be
# walked: for others it is their high-water mark
with_series() {
    for name in $shown; do
        file="$folder/$1/$name.$2.tsv"
        if [ -f "$file" ] && { [ "$1" != footprint ] || ! tail -1 "$file" | grep -q NaN; }; then
            printf '%s ' "$name"
        fi
    done
}

# draw SCRIPT NAME SHOWN WIDTH HEIGHT ASSIGNMENTS
draw() {
    [ -n "$3" ] || {
        case $1 in pages | heat) ;; *) echo "skipped: $out/$2: nothing to draw" >&2 ;; esac
        return 0
    }
    for format in svg png; do
        gnuplot -e "format = '$format'; output = '$out/$2.$format'; width = $4; height = $5" \
            -e "folder = '$folder'; pooled = '$pooled'; poolless = '$poolless'; shown = '$3'; $6" "plots/$1.gp"
        echo "$out/$2.$format"
    done
}

# dots FILE NAME ASSIGNMENTS - a row for each trace of FILE.tsv
dots() {
    [ -f "$folder/$1.tsv" ] || {
        echo "skipped: $out/$2: no $folder/$1.tsv, expected that of \`heaprig $1\`" >&2
        return 0
    }
    traces=${TRACES:-$(column "$1" trace 1)}
    rows=$(($(echo "$traces" | wc -w) + 1))
    row_height=$((14 + 4 * $(echo "$shown" | wc -w)))
    draw dots "$2" "$shown" 900 $((140 + rows * row_height)) \
        "data = '$folder/$1.tsv'; traces = '$traces'; $3"
}

dots bench throughput "value = 'ns_per_op'; low = 'ns_ci_lo'; high = 'ns_ci_hi';
    whole = 'column(\"refusals\") == 0 && column(\"failures\") == 0';
    heading = 'Net time of an operation'; axis = 'ns per operation (less is better)'"
dots fit fit "value = 'fit_ratio'; low = ''; high = ''; whole = 'column(\"refusals\") == 0';
    heading = 'Smallest pool that serves the trace'; axis = 'pool / peak of live bytes (less is better)'"
for trace in ${TRACES:-$(column bench trace 1)}; do
    name=$(echo "$trace" | tr -c 'A-Za-z0-9_.\n-' _)
    draw latency "latency_$name" "$(with_series latency "$trace")" 1100 460 "trace = '$trace'"
    draw footprint "footprint_$name" "$(with_series footprint "$trace")" 900 460 "trace = '$trace'"
    draw pages "pages_$name" "$(with_series mmu "$trace")" 1000 620 "trace = '$trace'"
    heated=$(with_series heat "$trace")
    steps=$(for one in $heated; do sed -n '1s/^# //p' "$folder/heat/$one.$trace.tsv"; done | tr '\n' ' ')
    draw heat "heat_$name" "$heated" 1000 $((106 + 130 * $(echo "$heated" | wc -w))) \
        "trace = '$trace'; steps = '$steps'"
done
