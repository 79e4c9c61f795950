# latency.gp - how many calls take longer than a time, for one trace, a panel for each kind of call. plot.sh sets
# before what style.gp wants: folder, trace.
load "plots/style.gp"
file(name) = folder . "/latency/" . name . "." . trace . ".tsv"

least_ns = 1e99
most_ns = 0
least_share = 1
kinds = ""
do for [kind in "alloc realloc free"] {
    calls = 0
    do for [name in shown] {
        stats file(name) using (column("ns") > 0 && column(kind) > 0 && column(kind) < 1 ? (calls = calls + 1, \
            least_ns = least_ns < column("ns") ? least_ns : column("ns"), \
            most_ns = most_ns > column("ns") ? most_ns : column("ns"), \
            least_share = least_share < column(kind) ? least_share : column(kind), 0) : 0) nooutput
    }
    if (calls > 0) {
        kinds = kinds . " " . kind
    }
}
if (words(kinds) == 0) {
    print "skipped: ", output, ": no calls in ", folder, "/latency"
    exit
}

set logscale xy
set xlabel "ns"
set xrange [least_ns / 1.2:most_ns * 1.2]
set yrange [least_share * 100 / 2:100]
set format y "%g %%"
set bmargin 4
set multiplot
set label 2 "Share of calls that take longer, " . trace at screen 0.02, screen 0.95 font "DejaVu Sans,13"
first_at = 0.08
last_at = 0.84
gap = 0.02
panel = (last_at - first_at - gap * (words(kinds) - 1)) / words(kinds)
do for [k = 1:words(kinds)] {
    set lmargin at screen first_at + (panel + gap) * (k - 1)
    set rmargin at screen first_at + (panel + gap) * (k - 1) + panel
    set tmargin at screen 0.85
    set label 1 word(kinds, k) offset 0, 0.8 font "DejaVu Sans,11"
    if (k == words(kinds)) {
        set key at screen last_at + 0.01, screen 0.85 left top
    } else {
        set nokey
    }
    plot for [name in shown] file(name) \
        using (column("ns")):(column(word(kinds, k)) > 0 ? column(word(kinds, k)) * 100 : NaN) \
        with steps linestyle style_of(name) title name
    set format y ""
    unset label 2
}
unset multiplot
