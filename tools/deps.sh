#!/bin/sh
# deps.sh SET... - installs what heaprig needs and is missing, by set. Says what and why first.
#   core    build, tests, tables, pictures        arm     cross compiler, qemu-arm, armhf libraries
#   fuzz    clang, libFuzzer, AFL++               check   formatting and static checks
#   run     programs that tests run on the allocators; without them these tests are skipped
#   vm      asking QEMU's processors about translations again (tools/mmu_golden.sh); no test needs it
# With --list it prints the packages and installs nothing.
set -eu

packages_core="gcc g++ make pkg-config libc6-dev libbenchmark-dev check libjansson-dev libzstd-dev
    libsmartcols-dev libmd-dev gnuplot-nox fonts-dejavu-core binutils git
    libjemalloc-dev libmimalloc2.0 libtcmalloc-minimal4"
why_core="compiler, Google Benchmark, tests, JSON, traces, tables, pictures; jemalloc, mimalloc, tcmalloc as baselines"
packages_arm="gcc-arm-linux-gnueabihf libc6-dev-armhf-cross qemu-user"
why_arm="building for ARMv7 and running it"
packages_fuzz="clang llvm-14 libclang-rt-14-dev lld-14 afl++ zip unzip
    lib32gcc-12-dev lib32stdc++-12-dev libc6-dev-i386"
why_fuzz="coverage-guided fuzzing, in 64 and 32 bits"
packages_check="clang-format"
why_check="formatting"
packages_run="sqlite3 python3 clang redis-tools git"
why_run="programs that are run on the allocators"
packages_vm="qemu-system-arm zstd"
why_vm="asking emulated processors about translations"

list_only=no
if [ "${1:-}" = --list ]; then
    list_only=yes
    shift
fi
[ $# -gt 0 ] || set -- core

package_present() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

missing=""
for set_name in "$@"; do
    case $set_name in core | arm | fuzz | check | run | vm) ;; *)
        echo "deps.sh: unknown set '$set_name', expected core, arm, fuzz, check, run or vm" >&2
        exit 2
        ;;
    esac
    eval "packages=\$packages_$set_name why=\$why_$set_name"
    # shellcheck disable=SC2154
    if [ $list_only = yes ]; then
        echo "$set_name ($why):" $packages
    elif ! command -v dpkg-query >/dev/null 2>&1; then
        # Not Debian: trust what is there, and name the packages once the compiler or a header is missing.
        echo "heaprig needs, under whatever name your system has them, for $why:" $packages >&2
    else
        lacking=""
        for package in $packages; do
            package_present "$package" || lacking="$lacking $package"
        done
        [ -z "$lacking" ] || echo "heaprig installs$lacking ($why)" >&2
        missing="$missing$lacking"
    fi
done
[ -n "$missing" ] || exit 0

root=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || {
        echo "deps.sh: not root and no sudo; please install:$missing" >&2
        exit 2
    }
    root=sudo
fi
log=$(mktemp)
# shellcheck disable=SC2086
if { $root apt-get update -q || true; } >"$log" 2>&1 &&
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >>"$log" 2>&1; then
    rm -f "$log"
else
    tail -20 "$log" >&2
    echo "deps.sh: apt-get failed; please install:$missing" >&2
    exit 2
fi
