# dots.gp - one figure for every allocator (points) on every trace (rows), and its geometric mean. plot.sh sets
# before what style.gp wants: data, value (its column), low and high (columns of an interval, or ""), heading,
# axis, traces, and whole: the condition of a run that served every request. Only such runs are drawn, and only
# the means of allocators that have one for each trace.
load "plots/style.gp"
rows = words(traces)
row_of(trace) = -index_in(traces, trace)
served(name) = strcol("allocator") eq name && index_in(traces, strcol("trace")) > 0 && @whole && column(value) > 0

least = 1e99
most = 0
drawn = ""
means = ""
do for [name in shown] {
    count = 0
    sum_of_logs = 0.0
    stats data using (served(name) ? (count = count + 1, sum_of_logs = sum_of_logs + log(column(value)), \
        least = least < column(value) ? least : column(value), \
        most = most > column(value) ? most : column(value), 0) : 0) nooutput
    if (count > 0) {
        drawn = drawn . " " . name
    }
    if (count == rows) {
        means = means . " " . sprintf("%s %.6g", name, exp(sum_of_logs / rows))
    }
}
# The allocators of a row lie one below the other, in the order of the legend.
shift(name) = words(drawn) > 1 ? 0.36 - 0.72 * (index_in(drawn, name) - 1) / (words(drawn) - 1) : 0

set label 1 heading
set xlabel axis
set logscale x
pad = 1.02 * (most / least) ** 0.05
set xrange [least / pad:most * pad]
set xtics add ("1.2" 1.2, "1.5" 1.5, "2" 2, "3" 3, "5" 5, "20" 20, "50" 50, "200" 200, "500" 500, "2000" 2000, "5000" 5000)
if (most / least < 10) {
    set xtics add ("1.1" 1.1, "1.3" 1.3, "4" 4, "6" 6, "8" 8, "12" 12, "15" 15, "30" 30, "40" 40, "60" 60, "80" 80)
}
set yrange [-rows - 1.5:-0.5]
set ytics scale 0 textcolor rgb "black"
set ytics ("geometric mean" -rows - 1)
do for [t = 1:rows] {
    set ytics add (word(traces, t) -t)
    set arrow t from graph 0, first -t - 0.5 to graph 1, first -t - 0.5 nohead linecolor rgb "#C8C8C8" back
}
set grid noytics
set object 1 rectangle from graph 0, first -rows - 1.5 to graph 1, first -rows - 0.5 \
    fillcolor rgb "#F2F2F2" fillstyle solid noborder behind

if (low ne "") {
    interval = "for [name in drawn] data using (served(name) ? column(value) : NaN)" \
        . ":(row_of(strcol('trace')) + shift(name)):(column(low) > 0 ? column(low) : least / 10):(column(high)) " \
        . "with xerrorbars linestyle style_of(name) linewidth 0.6 dashtype 1 pointsize 0 notitle,"
} else {
    interval = ""
}
plot @interval for [name in drawn] data \
        using (served(name) ? column(value) : NaN):(row_of(strcol("trace")) + shift(name)) \
        with points linestyle style_of(name) title name, \
    for [m = 1:words(means):2] "+" every ::0::0 \
        using (m < words(means) ? 0 + word(means, m + 1) : NaN):(-rows - 1 + shift(word(means, m))) \
        with points linestyle style_of(word(means, m)) notitle
