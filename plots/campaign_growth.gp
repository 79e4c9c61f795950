# campaign_growth.gp - a small panel for each target: edges (left) and inputs of its corpus (right) over the hours of a
# campaign. campaign.sh sets before: data, targets, columns, rows, and what style.gp wants.
load "plots/style.gp"
unset label 1
blue = "#0072B2"
orange = "#D55E00"
stats data using "begin_s" nooutput
last = STATS_max > 60 ? STATS_max : 60
hours = last > 5400
unit = hours ? 3600.0 : 60.0
set multiplot layout rows, columns \
    margins screen 60.0 / width, 1 - 60.0 / width, 55.0 / height, 1 - 70.0 / height spacing screen 110.0 / width, 55.0 / height
set label 1 "Edges covered (blue, left) and inputs in the corpus (orange, right)" \
    at screen 0.01, screen 1 - 18.0 / height left font "DejaVu Sans,13"
set label 2 (hours ? "hours of the campaign" : "minutes of the campaign") \
    at screen 0.5, screen 15.0 / height center textcolor rgb ink
set border 11 linecolor rgb ink
set ytics nomirror textcolor rgb blue font "DejaVu Sans,9"
set y2tics nomirror textcolor rgb orange font "DejaVu Sans,9"
set xtics font "DejaVu Sans,9"
set format y "%.0f"
set format y2 "%.0f"
unset key
of(target) = strcol("target") eq target && column("features") > 0
at_end(s, d) = (s + d) / unit
do for [target in targets] {
    set autoscale
    set title target font "DejaVu Sans,11" offset 0, -0.6
    low = 1e99
    high = 0
    low2 = 1e99
    high2 = 0
    stats data using (of(target) ? (low = column("edges") < low ? column("edges") : low, \
        high = column("edges") > high ? column("edges") : high, \
        low2 = column("inputs") < low2 ? column("inputs") : low2, \
        high2 = column("inputs") > high2 ? column("inputs") : high2, 0) : 0) nooutput
    if (high == 0) { # never measured
        low = 0
        low2 = 0
    }
    pad = (high - low) * 0.1 + 1
    pad2 = (high2 - low2) * 0.1 + 1
    set yrange [low - pad:high + pad]
    set y2range [low2 - pad2:high2 + pad2]
    set ytics ceil((high - low + 2) / 4.0)
    set y2tics ceil((high2 - low2 + 2) / 4.0)
    set xrange [0:last / unit]
    plot data using (of(target) ? at_end(column("begin_s"), column("seconds")) : NaN):(column("inputs")) \
            axes x1y2 with steps linecolor rgb orange linewidth 1.6, \
        data using (of(target) ? at_end(column("begin_s"), column("seconds")) : NaN):(column("edges")) \
            with steps linecolor rgb blue linewidth 2
    unset label 1
    unset label 2
}
unset multiplot
