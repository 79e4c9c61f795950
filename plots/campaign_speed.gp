# campaign_speed.gp - executions per second of processor time: a row for each target, a point for each slice, by
# engine. campaign.sh sets before: data, targets, and what style.gp wants (the engines as `pooled`).
load "plots/style.gp"
set label 1 "Executions per second of processor time, of each slice"
set xlabel "executions per second (more is better)"
set logscale x
set format x "%.0s %c"
rows = words(targets)
set yrange [-rows - 0.6:-0.4]
set ytics scale 0 textcolor rgb "black"
set ytics ("" 0)
set grid noytics
do for [t = 1:rows] {
    set ytics add (word(targets, t) -t)
    set arrow t from graph 0, first -t - 0.5 to graph 1, first -t - 0.5 nohead linecolor rgb "#C8C8C8" back
}
engines = words(pooled)
shift(name) = engines > 1 ? 0.36 - 0.72 * (index_in(pooled, name) - 1) / (engines - 1) : 0
plot for [name in pooled] data \
    using (strcol("flavour") eq name && column("cpu_s") > 0 && column("runs") > 0 ? column("runs") / column("cpu_s") : NaN):(-index_in(targets, strcol("target")) + shift(name)) \
    with points linestyle style_of(name) pointsize 0.7 title name
