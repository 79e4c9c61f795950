#!/bin/sh
# check_freestanding.sh NM OBJDUMP OBJECT... - proves that allocator objects can be dropped into firmware:
# they need nothing but memcpy, memmove, memset, memcmp and each other, hold no writable data, and no
# instruction names a vector or floating-point register.
set -eu
nm=$1 objdump=$2
shift 2
status=0

defined=$($nm -g --defined-only "$@" | awk 'NF == 3 { print $3 }')
for symbol in $($nm -u "$@" | awk 'NF == 2 && $1 == "U" { print $2 }' | sort -u); do
    case $symbol in
    memcpy | memmove | memset | memcmp | _GLOBAL_OFFSET_TABLE_) ;;
    __aeabi_uldivmod | __aeabi_uidiv | __aeabi_uidivmod | __aeabi_idiv*)
        echo "freestanding: $symbol: a division the processor has no instruction for" >&2
        status=1
        ;;
    *)
        echo "$defined" | grep -qx "$symbol" || {
            echo "freestanding: needs $symbol, expected only memcpy, memmove, memset, memcmp" >&2
            status=1
        }
        ;;
    esac
done

writable=$($nm --defined-only "$@" | awk 'NF == 3 && $2 ~ /^[bBdDcC]$/ { print $3 }')
for symbol in $writable; do
    case $symbol in
    *_ops | registry) ;; # constant tables that hold addresses
    *)
        echo "freestanding: writable data $symbol, expected none" >&2
        status=1
        ;;
    esac
done

vector='%[xyz]mm[0-9]|%st\b|\b[sdq][0-9]{1,2}\b.*[,}]|\bv(ld|st|mov|add|sub|mul|push|pop|cvt)[a-z0-9.]*\b'
for object in "$@"; do
    found=$($objdump -d --no-show-raw-insn "$object" | sed -nE "s/^ +[0-9a-f]+://p" | grep -E "$vector" | head -3 || true)
    [ -z "$found" ] || {
        echo "freestanding: $object uses vector or floating-point registers:" >&2
        echo "$found" >&2
        status=1
    }
done
exit $status
