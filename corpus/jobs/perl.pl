# SPDX-License-Identifier: MIT
# Word counts, splits, joins, substitutions and nested data over a text.
my (%count, %pairs, @lines);
while (my $line = <STDIN>) {
    chomp $line;
    my @words = split / /, lc $line =~ s/\.$//r;
    $count{$_}++ for @words;
    push @{$pairs{"$words[$_ - 1] $words[$_]"}}, scalar @lines for 1 .. $#words;
    push @lines, join " ", map { ucfirst } reverse @words;
    splice @lines, 0, 200 if @lines > 700;
}
for my $pair (sort { @{$pairs{$b}} <=> @{$pairs{$a}} || $a cmp $b } keys %pairs) {
    my ($first, $second) = split / /, $pair;
    (my $mixed = $pair) =~ s/(\w)(\w*)/\u$1\U$2/g;
    $pairs{$pair} = {first => $count{$first}, second => $count{$second}, text => $mixed x 3};
}
my $report = join "\n", map { sprintf "%-12s %6d", $_, $count{$_} } sort keys %count;
print length $report, " ", scalar(keys %pairs), "\n";
