# style.gp - what all pictures have in common. plot.sh sets before: format (svg or png), output, width and
# height in pixels, pooled and poolless (the names of the results, which fix each one's style), shown (those to
# draw).
font = "DejaVu Sans,11"
if (format eq "svg") {
    set terminal svg size width,height font font background "white" noenhanced
} else {
    set terminal pngcairo size width,height font font background "white" noenhanced
}
set output output

set datafile separator "\t"
set datafile columnheaders
set datafile missing "NaN"
set encoding utf8

# Colours of Okabe and Ito, told apart by colour-blind readers too. Allocators with a pool: solid lines and
# filled points, from the ninth on dash-dotted lines and crosses. Those without: dashed lines, hollow points.
colours = "#0072B2 #D55E00 #009E73 #CC79A7 #E69F00 #56B4E9 #000000 #8C8C8C"
filled = "7 5 9 11 13 15 7 5"
crosses = "1 2 3 1 2 3 1 2"
hollow = "6 4 8 10 12 14 6 4"
do for [i = 1:8] {
    set style line i linecolor rgb word(colours, i) pointtype int(word(filled, i)) pointsize 0.9 linewidth 1.8
    set style line i + 8 linecolor rgb word(colours, i) pointtype int(word(crosses, i)) pointsize 0.9 \
        linewidth 1.8 dashtype (10, 3, 2, 3)
    set style line i + 16 linecolor rgb word(colours, i) pointtype int(word(hollow, i)) pointsize 0.9 \
        linewidth 1.8 dashtype (5, 3)
}
index_in(list, name) = sum [i = 1:words(list)] (word(list, i) eq name ? i : 0)
style_of(name) = index_in(pooled, name) > 0 ? 1 + (index_in(pooled, name) - 1) % 16 \
                                            : 17 + (index_in(poolless, name) - 1) % 8

ink = "#404040"
set border 3 linecolor rgb ink linewidth 1
set tics nomirror out scale 0.6 textcolor rgb ink
set grid xtics ytics linecolor rgb "#E4E4E4" linewidth 1 linetype 1
set xlabel textcolor rgb ink
set ylabel textcolor rgb ink
set key outside right top vertical Left reverse samplen 2.5 spacing 1.25 textcolor rgb ink
set errorbars 0
set tmargin 3.5
set label 1 at graph 0, graph 1 left offset 0, 1.2 font "DejaVu Sans,13" # the heading
