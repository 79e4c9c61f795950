#!/usr/bin/env bash
# fuzz_sync.sh FOLDER FOLDER... - lets AFL++ campaigns on several hosts learn from each other, once.
# A FOLDER is what afl-fuzz got as -o, on this machine or HOST:PATH (by rsync over ssh). Each has one main fuzzer, named
# after its host: afl-fuzz -M main-$(hostname). Of every main the queue goes to all other folders, where the main
# there imports it and hands it to its secondaries; queues of secondaries stay at home, since their main has what
# is new in them. What is there already is left alone, so calling this again takes only what is new. A campaign
# begun anew needs a new name.
# Exit status: 0 done, 2 a folder has no main of its own, or a name is used by two.
set -euo pipefail

say_and_stop() {
    echo "fuzz_sync.sh: $*" >&2
    exit 2
}
[ $# -ge 2 ] || say_and_stop "$# folders, expected two or more"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

# in_folder FOLDER COMMAND: runs it there.
in_folder() {
    case $1 in
    *:*) ssh "${1%%:*}" "cd '${1#*:}' && $2" ;;
    *) (cd "$1" && sh -c "$2") ;;
    esac
}

queue_names() { in_folder "$1" "cd '$2/queue' 2>/dev/null && ls | grep '^id:' || true"; }

# queue_copy FROM TO MAIN: the inputs that TO lacks, oldest first, each whole or not at all, since afl-fuzz may be
# reading, and takes no number below one it has seen. The number says which input it is: a fuzzer that is resumed
# writes new names behind the same numbers.
queue_copy() {
    local from=$1/$3/queue to=$2/$3/queue name
    in_folder "$2" "mkdir -p '$3/queue'"
    { queue_names "$2" "$3" && echo = && queue_names "$1" "$3"; } |
        awk -F, '$0 == "=" { lacking = 1; next } !lacking { have[$1]; next } !($1 in have)' >"$stage/names"
    if command -v rsync >/dev/null 2>&1; then
        rsync -t --files-from="$stage/names" "$from/" "$to/"
        return
    fi
    case $from$to in *:*) say_and_stop "$from to $to: no rsync here, expected it for other hosts" ;; esac
    while read -r name; do
        cp -p "$from/$name" "$to/.coming" && mv "$to/.coming" "$to/$name"
    done <"$stage/names"
}

# Only a main of its own has statistics: what this script brings has a queue and nothing else.
declare -A home
for folder in "$@"; do
    mains=$(in_folder "$folder" 'ls -d main-*/fuzzer_stats 2>/dev/null || true') || say_and_stop "$folder: cannot be read"
    [ -n "$mains" ] || say_and_stop "$folder: no main-NAME/fuzzer_stats, expected the -o of afl-fuzz -M main-NAME"
    for main in $mains; do
        main=${main%/fuzzer_stats}
        [ -z "${home[$main]:-}" ] || say_and_stop "$main: in $folder and ${home[$main]}, expected one name per host"
        home[$main]=$folder
        queue_copy "$folder" "$stage" "$main"
    done
done
for main in "${!home[@]}"; do
    for folder in "$@"; do
        [ "$folder" != "${home[$main]}" ] || continue
        queue_copy "$stage" "$folder" "$main"
    done
    echo "$main: $(find "$stage/$main/queue" -name 'id:*' | wc -l) inputs of ${home[$main]} are everywhere"
done
