# footprint.gp - memory over time, for one trace. plot.sh sets before what style.gp wants: folder, trace.
load "plots/style.gp"
file(name) = folder . "/footprint/" . name . "." . trace . ".tsv"
stats file(word(shown, 1)) using (column("live")) name "live" nooutput
set label 1 "Memory in use, " . trace
set xlabel "operations"
set ylabel "KiB, logarithmic"
set format x "%.0s %c"
set logscale y 2
set yrange [live_max / 1024 / 32:]
set format y "%.0f"
# Earlier lines are thicker, so that those of equal course all show.
plot file(word(shown, 1)) using (column("op")):(column("live") / 1024) \
        with filledcurves y1=0 fillcolor rgb "#DADADA" title "live bytes", \
    for [i = 1:words(shown)] file(word(shown, i)) using (column("op")):(column("footprint") / 1024) \
        with lines linestyle style_of(word(shown, i)) linewidth 1.2 + 4.5 * (words(shown) - i) / words(shown) \
        title word(shown, i)
