# heat.gp - how often each part of a pool is touched when, for one trace: a row for each allocator, to the left
# what the program touches, to the right what the allocator does. All to one scale of colours, each allocator to
# its own of addresses. plot.sh sets before what style.gp wants: folder, trace, and steps: for each allocator
# shown the operations and the bytes of a point.
load "plots/style.gp"
file(name) = folder . "/heat/" . name . "." . trace . ".tsv"
rows = words(shown)
# 1, 2 or 5 times a power of ten, so that there are about as many tics as wanted.
ten(x) = 10 ** floor(log10(x))
tic_step(range, wanted) = ten(range / wanted) * (range / wanted / ten(range / wanted) < 2 ? 2 \
    : range / wanted / ten(range / wanted) < 5 ? 5 : 10)
array span[rows]
array length[rows]
most = 1
do for [i = 1:rows] {
    stats file(word(shown, i)) matrix index 1 nooutput
    most = most > STATS_max ? most : STATS_max
    length[i] = STATS_size_y * word(steps, 2 * i - 1)
    span[i] = STATS_size_x * word(steps, 2 * i) / 1024.0
}
top = 1 - 60.0 / height
panel = (top - 46.0 / height) / rows
set palette defined (0 "#FFFFFF", 0.15 "#C6DBEF", 0.4 "#56B4E9", 0.65 "#0072B2", 0.85 "#D55E00", 1 "#5A1A00")
set cbrange [0:log10(1 + most)]
set cbtics ("0" 0, "9" 1, "99" 2, "999" 3, "9 999" 4, "99 999" 5, "10^6" 6)
set cblabel "touches" offset -0.5
set format x "%.0s %c"
unset grid
set multiplot
do for [i = 1:rows] for [side = 0:1] {
    ops = 1.0 * word(steps, 2 * i - 1)
    kib = word(steps, 2 * i) / 1024.0
    set tmargin at screen top - panel * (i - 1) - 8.0 / height
    set bmargin at screen top - panel * i + 8.0 / height
    set lmargin at screen 0.16 + side * 0.37
    set rmargin at screen 0.16 + side * 0.37 + 0.34
    set xrange [0:length[i]]
    set yrange [0:span[i]]
    set ytics tic_step(span[i], 3), tic_step(span[i], 3) format (side == 0 ? "%.0f" : "") font "DejaVu Sans,9"
    set ylabel (side == 0 ? word(shown, i) : "")
    set xtics tic_step(length[i], 5) format (i == rows ? "%.0s %c" : "")
    set xlabel (i == rows ? "operations" : "")
    if (i == 1) {
        set label 1 (side == 0 ? "the program" : "the allocator") offset 0, 0.6 font "DejaVu Sans,11"
        if (side == 0) {
            set label 2 "Touches of the pool by address (KiB, without what nobody touches) and time, " . trace at screen 0.02, 1 - 18.0 / height \
                font "DejaVu Sans,13"
        } else {
            unset label 2
        }
    } else {
        unset label 1
        unset label 2
    }
    if (i == 1 && side == 1) {
        set colorbox user origin 0.89, 0.15 size 0.015, 0.6
    } else {
        unset colorbox
    }
    plot file(word(shown, i)) matrix index side using (($2 + 0.5) * ops):(($1 + 0.5) * kib):(log10(1 + $3)) \
        with image notitle
}
unset multiplot
