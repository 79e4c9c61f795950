#!/bin/sh
# check_freestanding.sh NM OBJDUMP OBJECT... - proves that allocator objects can be dropped into firmware:
# they need nothing but memcpy, memmove, memset, memcmp and each other, hold no writable data, and no
# instruction names a vector or floating-point register. tools/check_freestanding_test.sh proves this script.
set -eu
nm=$1 objdump=$2
shift 2
status=0
complain() {
    echo "freestanding: $1" >&2
    status=1
}

defined=$($nm -g --defined-only "$@" | awk 'NF == 3 { print $3 }')
needed=$($nm -u "$@" | awk 'NF == 2 && $1 ~ /^[Uwv]$/ { print $2 }' | sort -u)
for symbol in $needed; do
    case $symbol in
    memcpy | memmove | memset | memcmp | _GLOBAL_OFFSET_TABLE_) ;;
    __aeabi_*div*) complain "$symbol: a division the processor has no instruction for" ;;
    *)
        echo "$defined" | grep -qxF "$symbol" ||
            complain "needs $symbol, expected only memcpy, memmove, memset, memcmp"
        ;;
    esac
done

# One operation per line, without its address. x86: mmx, sse and avx registers; x87 by its mnemonics, which
# need not name a register. ARM: s0, d0, q0 and up; their mnemonics.
vector='%([xyz]?mm|st\b|k[0-7]\b)|^[[:space:]]*f[a-z]|\b[sdq][0-9]{1,2}\b.*[,}]'
vector="$vector|^[[:space:]]*v[a-z]+[0-9a-z.]*([[:space:]]|\$)"
for object in "$@"; do
    # objdump -h tells of each section in two lines: index, name, size, ...; then its flags.
    writable=$($objdump -h "$object" | awk '
        $1 ~ /^[0-9]+$/ { name = $2; bytes = $3 }
        /ALLOC/ && !/READONLY/ && bytes !~ /^0+$/ && name !~ /^\.data\.rel\.ro/ { print name }')
    [ -z "$writable" ] || complain "$object: writable data in $writable"
    common=$($nm "$object" | awk 'NF == 3 && $2 ~ /^[Cc]$/ { print $3 }')
    [ -z "$common" ] || complain "$object: writable data $common"

    operations=$($objdump -d --no-show-raw-insn "$object" | sed -nE 's/^ +[0-9a-f]+://p')
    text_bytes=$($objdump -h "$object" | awk '$2 ~ /^\.text/ && $3 !~ /^0+$/ { print $3 }')
    [ -n "$operations" ] || [ -z "$text_bytes" ] || complain "$object: $objdump shows no operations"
    found=$(echo "$operations" | grep -E "$vector" | head -3 || true)
    [ -z "$found" ] || complain "$object uses vector or floating-point registers: $found"
done
exit $status
