#!/bin/sh
# renamed_jemalloc.sh CC OUT.o - the system's static jemalloc twice in one object, under names of its own, so
# that it stays beside this process's malloc and beside a sanitizer's. Only these names are global:
#   jem_*   with jemalloc's own defaults         jep_*   the copy that is confined to a pool
# Without libjemalloc_pic.a (other machines, cross builds) the object is empty, which is said.
set -eu
cc=$1 out=$2
archive=$($cc -print-file-name=libjemalloc_pic.a)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ ! -f "$archive" ]; then
    echo "skipped: libjemalloc_pic.a not found for $cc, jemalloc will be no baseline" >&2
    $cc -c -x c /dev/null -o "$out"
    exit 0
fi
# -u malloc takes all of jemalloc but its C++ operators.
$cc -r -nostdlib -Wl,-u,malloc "$archive" -o "$work/whole.o"
for prefix in jem jep; do
    nm -g --defined-only "$work/whole.o" | awk -v p=$prefix 'NF == 3 && $3 !~ /^je_/ { print $3, p "_" $3 }' \
        >"$work/names"
    objcopy --redefine-syms="$work/names" --wildcard --keep-global-symbol="${prefix}_*" \
        "$work/whole.o" "$work/$prefix.o"
done
$cc -r -nostdlib "$work/jem.o" "$work/jep.o" -o "$out"
