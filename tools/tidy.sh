#!/bin/sh
# tidy.sh - the style that a machine can check: line length, file and function length, leftover markers,
# a licence line in each source, clang-format when it is installed. Prints each offence, exits 1 if any.
set -u
status=0
complain() {
    [ -z "$1" ] || {
        printf '%s\n' "$1"
        status=1
    }
}
sources=$(git ls-files '*.c' '*.h' '*.cc')
[ -n "$sources" ] || exit 0

# shellcheck disable=SC2086
{
    complain "$(awk 'length > 100 { print FILENAME ":" FNR ": line longer than 100 columns" }' $sources)"
    complain "$(awk 'FNR == 1 && !/SPDX-License-Identifier: MIT/ { print FILENAME ":1: no licence line" }' $sources)"
    complain "$(awk '/\t/ { print FILENAME ":" FNR ": tab" } / $/ { print FILENAME ":" FNR ": trailing blank" }
        /TODO|FIXME|(^|[^X])XXX([^X]|$)/ { print FILENAME ":" FNR ": leftover marker" }' $sources)"
    complain "$(for file in $sources; do
        lines=$(wc -l <"$file")
        [ "$lines" -le 600 ] || echo "$file: $lines lines: is it two files?"
    done)"
    complain "$(awk 'FNR == 1 { open = 0 }
        /^[A-Za-z_].*\)( \{)?$/ { name = $0; start = FNR }
        /^\{/ || /^[A-Za-z_].*\) \{$/ { open = 1 }
        /^\}/ && open { if (FNR - start > 61) print FILENAME ":" start ": function of " FNR - start + 1 " lines: " name; open = 0 }' $sources)"
    if command -v clang-format >/dev/null 2>&1; then
        complain "$(for file in $sources; do
            clang-format "$file" | cmp -s - "$file" || echo "$file: not as clang-format writes it"
        done)"
    else
        echo "skipped: clang-format not found" >&2
    fi
}
# The plug-in the README shows is the one that is tested.
awk '/^```c$/ { inside = 1; next } /^```$/ { inside = 0 } inside' README.md | cmp -s - bench/example_plugin.c ||
    complain "README.md: the plug-in shown differs from bench/example_plugin.c"
exit $status
