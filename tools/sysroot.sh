#!/bin/sh
# sysroot.sh FOLDER PACKAGE... - unpacks Debian armhf packages and all they depend on into FOLDER.
# Uses an apt configuration of its own: the machine's package state is neither read nor changed.
# Called again with the same packages it does nothing.
set -eu

folder=$1
shift
stamp="$folder/.packages"
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$*" ]; then
    exit 0
fi

state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists" "$state/cache/archives/partial" "$folder"
: >"$state/status"
cat >"$state/apt.conf" <<CONF
APT::Architecture "armhf";
APT::Architectures { "armhf"; };
APT::Sandbox::User "root";
Dir::State::Lists "$state/lists";
Dir::State::status "$state/status";
Dir::Cache "$state/cache";
Debug::NoLocking "true";
CONF
echo "fetching armhf packages: $*" >&2
APT_CONFIG="$state/apt.conf" apt-get update -q >"$state/log" 2>&1 || true # a missing security index does no harm
if ! APT_CONFIG="$state/apt.conf" apt-get install -y -q --download-only --no-install-recommends "$@" \
    >>"$state/log" 2>&1; then
    tail -20 "$state/log" >&2
    echo "sysroot.sh: could not fetch $*" >&2
    exit 2
fi
for package in "$state"/cache/archives/*.deb; do
    dpkg-deb -x "$package" "$folder"
done
# Absolute links inside packages would leave the folder: make them relative to it.
find "$folder" -type l -lname '/*' | while read -r link; do
    ln -snf "$(cd "$folder" && pwd)$(readlink "$link")" "$link"
done
echo "$*" >"$stamp"
