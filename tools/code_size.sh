#!/bin/sh
# code_size.sh LIST CC FLAG... - bytes of code and constants of the own allocators in the list (comma-separated, or
# all), as a firmware links them that drops what it does not call. A line for each: allocator, optimization, functions, bytes; the first names the compiler.
#   all       the whole table
#   firmware  all but check(), walk() and stats()
#   least     init(), alloc() and free()
# Constant tables are in the same file as the calls through them, so these become direct calls, as with -flto.
set -eu
export LC_ALL=C
[ $# -gt 1 ] || { echo "code_size.sh: expected a list, a compiler and its flags" >&2; exit 2; }
names=$(echo "$1" | tr , ' ')
[ "$names" != all ] || names=$(sed -n 's/^X(\(.*\))$/\1/p' alloc/alloc_list.h)
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
compile="$* -std=c11 -ffreestanding -fno-pie -ffunction-sections -fdata-sections -Ialloc -c"
size=$("$1" -print-prog-name=size)

calls() { # of one allocator
    cat <<C
#include "$1.c"
struct alloc *call_init(void *p, size_t n, const struct alloc_cfg *c) { return $1_ops.init(p, n, c); }
void *call_alloc(struct alloc *a, size_t n) { return $1_ops.alloc(a, n); }
enum alloc_status call_free(struct alloc *a, void *p) { return $1_ops.free(a, p); }
void *call_aligned(struct alloc *a, size_t n, size_t to) { return $1_ops.alloc_aligned(a, n, to); }
void *call_realloc(struct alloc *a, void *p, size_t n) { return $1_ops.realloc(a, p, n); }
size_t call_usable(const struct alloc *a, const void *p) { return $1_ops.usable(a, p); }
size_t call_largest(const struct alloc *a) { return $1_ops.largest(a); }
bool call_region(struct alloc *a, void *p, size_t n) { return $1_ops.add_region != NULL && $1_ops.add_region(a, p, n); }
C
}
linked_bytes() { # objects, then the symbols that are called: code, constants; there may be no data
    objects=$1
    shift
    # shellcheck disable=SC2086,SC2046
    $cc -r -nostdlib -Wl,--gc-sections $(printf ' -Wl,-u,%s' "$@") $objects -o "$work/linked"
    "$size" "$work/linked" | awk 'NR == 2 {
        if ($2 + $3 > 0) { print "code_size.sh: writable data, expected none" >"/dev/stderr"; exit 1 }
        print $1 }'
}

cc=$*
printf 'compiler\t%s %s\n' "$(basename "$1")" "$("$1" -dumpfullversion)"
for optimization in -Os -O2; do
    rm -rf "$work/o" && mkdir "$work/o"
    for file in alloc/*.c; do
        case $file in *_test.c) continue ;; esac
        $compile $optimization "$file" -o "$work/o/$(basename "$file" .c).o"
    done
    for name in $names; do
        calls "$name" >"$work/calls.c"
        $compile $optimization "$work/calls.c" -o "$work/calls.o"
        others=$(ls "$work"/o/*.o | grep -v "/$name.o\$")
        least="call_init call_alloc call_free"
        firmware="$least call_aligned call_realloc call_usable call_largest call_region"
        for functions in all firmware least; do
            case $functions in
            all) bytes=$(linked_bytes "$work/calls.o $others" "${name}_ops") ;;
            # shellcheck disable=SC2086
            firmware) bytes=$(linked_bytes "$work/calls.o $others" $firmware) ;;
            # shellcheck disable=SC2086
            least) bytes=$(linked_bytes "$work/calls.o $others" $least) ;;
            esac
            printf '%s\t%s\t%s\t%s\n' "$name" "${optimization#-}" $functions "$bytes"
        done
    done
done
