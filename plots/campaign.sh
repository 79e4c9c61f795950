#!/bin/sh
# campaign.sh FOLDER - draws a fuzzing campaign's slices.tsv beside it, as SVG and PNG: growth (edges and corpus of each
# target over time) and speed (executions per second of processor time, by target and engine).
set -eu
folder=$1
[ -f "$folder/slices.tsv" ] || {
    echo "campaign.sh: $folder/slices.tsv: not there, expected the folder of \`heaprig campaign\`" >&2
    exit 2
}
cd "$(dirname "$0")/.."
command -v gnuplot >/dev/null 2>&1 || {
    echo "campaign.sh: gnuplot not found" >&2
    exit 2
}
targets=$(awk -F '\t' 'NR > 1 && !seen[$4]++ { printf "%s ", $4 }' "$folder/slices.tsv")
flavours=$(awk -F '\t' 'NR > 1 && $5 != "seeds" && !seen[$5]++ { print $5 }' "$folder/slices.tsv" | sort | tr '\n' ' ')
count=$(echo "$targets" | wc -w)
columns=4
[ "$count" -ge 4 ] || columns=$count
rows=$(((count + columns - 1) / columns))
draw() {
    for format in svg png; do
        gnuplot -e "format = '$format'; output = '$folder/.$1.$format'; width = $2; height = $3" \
            -e "data = '$folder/slices.tsv'; targets = '$targets'; pooled = '$flavours'; poolless = ''" \
            -e "columns = $columns; rows = $rows" "plots/campaign_$1.gp"
        mv "$folder/.$1.$format" "$folder/$1.$format"
    done
}
draw growth $((columns * 300 > 600 ? columns * 300 : 600)) $((125 + rows * 200 - 55))
[ -z "$flavours" ] || draw speed 900 $((150 + count * 50))
