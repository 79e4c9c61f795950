# pages.gp - pages of a pool over time, for one trace: above all touched so far, below those touched within each
# two hundredth of the run. plot.sh sets before what style.gp wants: folder, trace.
load "plots/style.gp"
file(name) = folder . "/mmu/" . name . "." . trace . ".tsv"
set format x "%.0s %c"
set multiplot
set label 2 "Pages of 4 KiB touched, " . trace at screen 0.02, screen 0.96 font "DejaVu Sans,13"
set lmargin at screen 0.09
set rmargin at screen 0.83
headings = "'so far' 'within a 200th of the run: what a TLB has to hold'"
columns = "pages working_set"
do for [p = 1:2] {
    set tmargin at screen (p == 1 ? 0.86 : 0.42)
    set bmargin at screen (p == 1 ? 0.54 : 0.10)
    set label 1 word(headings, p) font "DejaVu Sans,11" offset 0, 0.8
    set xlabel (p == 2 ? "operations" : "")
    set yrange [0:*]
    if (p == 1) {
        set key at screen 0.84, screen 0.86 left top
    } else {
        unset label 2
        set nokey
    }
    # Earlier lines are thicker, so that those of equal course all show.
    plot for [i = 1:words(shown)] file(word(shown, i)) using (column("op")):(column(word(columns, p))) \
        with lines linestyle style_of(word(shown, i)) linewidth 1.2 + 3.5 * (words(shown) - i) / words(shown) \
        title word(shown, i)
}
unset multiplot
