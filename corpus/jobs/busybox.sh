# SPDX-License-Identifier: MIT
# Variables, positional parameters, parameter expansion, functions and arithmetic: what start scripts do.
count() {
    local name=$1 total=0
    shift
    for word in "$@"; do
        case $word in
        *"$name"*) total=$((total + 1)) ;;
        esac
    done
    result=$total
}
all="" lines=0
while read -r first second rest; do
    lines=$((lines + 1))
    set -- $first $second $rest
    count pool "$@"
    name=${second%.}
    eval "seen_$name=\"\${seen_$name:-}\$first \""
    all="${all#??????????}$result${first%?}${rest##* }"
    [ ${#all} -lt 400 ] || all=${all%????????????????????}
    [ $((lines % 100)) -ne 0 ] || unset seen_pool seen_heap seen_block seen_tree
done
echo "$lines ${#all}"
