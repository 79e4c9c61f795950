#!/usr/bin/env bash
# record.sh [--list | --readme] [NAME...] - records the corpus anew: all of it, or the traces named.
#
# Installs the programs that are missing (Debian packages, listed below; servers are only unpacked, so
# that none is started by the system) and unpacks armhf packages into build/corpus. Makes all inputs from
# fixed seeds, talks to nothing but loopback on free ports, and ends only processes it started.
# A new job is one function job_NAME and one line in `jobs`.
#
#   --list      shows the jobs
#   --readme    only writes the table of corpus/README.md from the traces that are there
set -euo pipefail
cd "$(dirname "$0")/.."

packages="sqlite3 redis-tools mosquitto-clients openssl gcc clang python3 lua5.4 perl jq git busybox duktape
    libcoap3-bin libwebsockets17 libcjson1 libdlt2 libwrap0"
servers="mosquitto"
packages_arm="lua5.4 jq sqlite3 perl-base python3.11-minimal libpython3.11-stdlib mosquitto busybox duktape"

# name | Debian package | what it does
jobs='
sqlite3      | sqlite3           | sensor log: inserts, indexes, joins, JSON, rollbacks, deletes, vacuum
redis        | redis-tools       | server: strings, hashes, lists, sets, expiry and deletes from one client, then 20 at once
mosquitto    | mosquitto         | MQTT broker: 6 subscribers, QoS 0 to 2, retained messages, clients that come and go
coap         | libcoap3-bin      | CoAP server: put, get, delete and observe from 8 clients
tls          | openssl           | TLS server: 100 handshakes, TLS 1.2 and 1.3, full and resumed
cc1          | gcc-12            | C compiler proper, -O2, a C file of this project
clang        | clang-14          | C compiler, -O2, the same file
python       | python3.11        | dicts, JSON, sorting, cycles; its own small-block allocator turned off
lua          | lua5.4            | text into tables, indexes, strings, coroutines
perl         | perl              | word counts, splits, substitutions, nested data
duktape      | duktape           | JavaScript for small devices: objects, JSON, regular expressions
jq           | jq                | group, sort and rewrite nested records
git          | git               | log with patches and renames over 400 commits
busybox      | busybox           | ash: variables, parameter expansion, functions
armv7-sqlite3   | sqlite3           | as sqlite3
armv7-mosquitto | mosquitto         | as mosquitto
armv7-python    | python3.11-minimal | as python
armv7-lua       | lua5.4            | as lua
armv7-perl      | perl-base         | as perl
armv7-duktape   | duktape           | as duktape
armv7-jq        | jq                | as jq
armv7-busybox   | busybox           | as busybox
'

top=$PWD
traces=$top/corpus/traces
inputs=$top/corpus/jobs
work=$top/build/corpus
unpacked=$work/unpacked
arm=$work/armhf
started=""

finish() {
    for pid in $started; do
        kill "$pid" 2>/dev/null || true
    done
}

# ---- what is recorded ----

package_present() {
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

programs_install() {
    local missing="" package root=""
    for package in $packages; do
        package_present "$package" || missing="$missing $package"
    done
    if [ -n "$missing" ]; then
        echo "installs, to record them:$missing" >&2
        [ "$(id -u)" = 0 ] || root=sudo
        # shellcheck disable=SC2086
        $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2
    fi
    if [ ! -f "$unpacked/.done" ]; then
        echo "unpacks, to record them: $servers" >&2
        mkdir -p "$unpacked"
        # shellcheck disable=SC2086
        (cd "$unpacked" && apt-get download -q $servers >&2 && for deb in *.deb; do dpkg -x "$deb" .; done)
        touch "$unpacked/.done"
    fi
}

# Version of the package of a job, as it is about to be recorded.
package_version() {
    local package=$1
    case $2 in
    armv7-*) # said by the unpacked package itself; a mere rebuild has a changelog of its own
        set -- "$arm/usr/share/doc/$package"/changelog.Debian.armhf.gz "$arm/usr/share/doc/$package"/changelog.Debian.gz
        [ -f "$1" ] || shift
        zcat "$1" | sed -n '1s/.*(\(.*\)).*/\1/p'
        ;;
    *)
        case " $servers " in
        *" $package "*) dpkg-deb -f "$unpacked/${package}"_*.deb Version ;;
        *) dpkg-query -W -f '${Version}' "$package" ;;
        esac
        ;;
    esac
}

job_field() {
    printf '%s\n' "$jobs" | awk -F' *[|] *' -v name="$1" -v field="$2" '$1 == name { print $field }'
}

# rec [OPTION...] -- PROGRAM... : records the program as the job's trace
rec() {
    ${instead:-} "$top/build/heaprig" record -o "$traces/$name.hrt" --note "$note" "$@"
}

# rec_arm PROGRAM... : the same for a program of the armhf tree
rec_arm() {
    local program=$1
    shift
    rec --preload "$top/build/arm/libheaprig_record.so" -- qemu-arm -L ../../armhf "../../armhf/$program" "$@"
}

input() {
    python3 "$inputs/inputs.py" "$1"
}

port_free() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# Waits until someone listens on a port of loopback.
port_wait() {
    local try
    for try in $(seq 100); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
            return 0
        fi
        sleep 0.1
    done
    echo "record.sh: nobody listens on port $1 after $try tries" >&2
    return 1
}

# serve COMMAND... : starts it in place of a subshell, so that $server is the recorder's pid, which passes
# signals on. serve_end : SIGTERM, then waits.
serve() {
    instead=exec "$@" &
    server=$!
    started="$started $server"
}

serve_end() {
    kill "$server" 2>/dev/null || true
    wait "$server" || true
}

# ---- the jobs; each runs in a folder of its own, with $name and $note set ----

job_sqlite3() {
    input sql >job.sql
    rec -- sqlite3 job.db ".read job.sql" >/dev/null
}

job_redis() {
    local port
    port=$(port_free)
    input redis >job.txt
    ln -s "$(command -v redis-check-rdb)" redis-server # one program, told apart by its name
    serve rec -- ./redis-server --port "$port" --bind 127.0.0.1 --save "" --appendonly no --hz 50
    port_wait "$port"
    redis-cli -p "$port" <job.txt >/dev/null
    redis-benchmark -p "$port" -q -n 1500 -c 20 -r 500 -d 64 -t set,get,lpush,lpop,sadd,hset,zadd,mset >/dev/null
    redis-cli -p "$port" FLUSHALL ASYNC >/dev/null
    redis-cli -p "$port" SHUTDOWN NOSAVE >/dev/null || true
    wait "$server"
}

# broker RECORDER PROGRAM : the same clients for both machines
broker() {
    local port user line
    port=$(port_free)
    user=$(id -un)
    printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\nuser %s\nlog_type error\n' \
        "$port" "$user" >broker.conf
    input mqtt >job.txt
    serve "$@" -c broker.conf
    port_wait "$port"
    local subscribers="" topic
    for topic in '#' 'plant/+/temp' 'plant/1/#' 'plant/2/temp' 'plant/#' '$SYS/#'; do
        mosquitto_sub -p "$port" -t "$topic" -q 2 >/dev/null &
        subscribers="$subscribers $!"
        started="$started $!"
    done
    for topic in 0 1 2; do
        mosquitto_pub -p "$port" -t "plant/$topic/temp" -q "$topic" -l <job.txt &
        subscribers="$subscribers $!"
    done
    for line in $(seq 60); do
        mosquitto_pub -p "$port" -t "plant/$((line % 7))/state" -r -q 1 -m "state $line $(head -c $((line * 20)) /dev/zero | tr '\0' s)"
        mosquitto_sub -p "$port" -t 'plant/+/state' -C 3 -W 2 -i "visitor$line" $([ $((line % 2)) = 0 ] || echo -c) -q 1 >/dev/null 2>&1 || true
    done
    # shellcheck disable=SC2086
    wait $(echo $subscribers | cut -d' ' -f7-)
    # shellcheck disable=SC2086
    kill $(echo $subscribers | cut -d' ' -f1-6) 2>/dev/null || true
    sleep 0.5
    serve_end
}

job_mosquitto() {
    broker rec -- ../../unpacked/usr/sbin/mosquitto
}

job_coap() {
    local port
    port=$(port_free)
    serve rec -- coap-server-notls -A 127.0.0.1 -p "$port" -d 100
    sleep 0.7
    python3 "$inputs/coap_client.py" "$port"
    kill -INT "$server"
    wait "$server" || true
}

job_tls() {
    local port i
    port=$(port_free)
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=localhost \
        -keyout key.pem -out cert.pem 2>/dev/null
    serve rec -- openssl s_server -accept "127.0.0.1:$port" -cert cert.pem -key key.pem -www -quiet -naccept 101
    port_wait "$port"
    for i in $(seq 25); do
        for version in -tls1_2 -tls1_3; do
            printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect "127.0.0.1:$port" $version -sess_out session.pem -ign_eof >/dev/null 2>&1 || true
            printf 'GET / HTTP/1.0\r\n\r\n' | openssl s_client -connect "127.0.0.1:$port" $version -sess_in session.pem -ign_eof >/dev/null 2>&1 || true
        done
    done
    wait "$server" || true
}

# The file as it is now, without what it includes of ours.
compile_input() {
    cp "$top/trace/record_stream.h" "$top/trace/record_preload.c" .
}

job_cc1() {
    compile_input
    rec --child cc1 -- gcc-12 -std=c11 -D_GNU_SOURCE -O2 -fPIC -c record_preload.c -o job.o
}

job_clang() {
    compile_input
    rec -- clang-14 -std=c11 -D_GNU_SOURCE -O2 -fPIC -c record_preload.c -o job.o
}

job_python() {
    cp "$inputs/python.py" .
    PYTHONMALLOC=malloc PYTHONHASHSEED=0 rec -- /usr/bin/python3 -s python.py
}

job_lua() {
    cp "$inputs/lua.lua" .
    rec -- lua5.4 lua.lua >/dev/null
}

job_perl() {
    cp "$inputs/perl.pl" .
    input text >job.txt
    PERL_HASH_SEED=0 rec -- perl perl.pl <job.txt
}

job_duktape() {
    cp "$inputs/duktape.js" .
    rec -- duk duktape.js
}

jq_filter='group_by(.at.y % 17) | map({key: (.[0].at.y % 17 | tostring), value: (sort_by(.name) |
    map({id, words: (.name | split(" ")), tags: (.tags | join("+")), deep: (.log | map(ascii_upcase | length) | add)}))}) | from_entries'

job_jq() {
    input json >job.json
    rec -- jq "$jq_filter" job.json >/dev/null
}

job_git() {
    git init -q repo
    input git | git -C repo fast-import --quiet
    GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_SYSTEM=/dev/null rec -- git --no-pager -C repo log -p -M --stat --graph main >/dev/null
}

job_busybox() {
    cp "$inputs/busybox.sh" .
    input text >job.txt
    rec -- busybox ash busybox.sh <job.txt
}

job_armv7_sqlite3() {
    input sql >job.sql
    rec_arm usr/bin/sqlite3 job.db ".read job.sql" >/dev/null
}

job_armv7_mosquitto() {
    broker rec_arm usr/sbin/mosquitto
}

job_armv7_python() {
    cp "$inputs/python.py" .
    PYTHONMALLOC=malloc PYTHONHASHSEED=0 rec_arm usr/bin/python3.11 -s python.py
}

job_armv7_lua() {
    cp "$inputs/lua.lua" .
    rec_arm usr/bin/lua5.4 lua.lua >/dev/null
}

job_armv7_perl() {
    cp "$inputs/perl.pl" .
    input text >job.txt
    PERL_HASH_SEED=0 rec_arm usr/bin/perl perl.pl <job.txt
}

job_armv7_duktape() {
    cp "$inputs/duktape.js" .
    rec_arm usr/bin/duk duktape.js
}

job_armv7_jq() {
    input json >job.json
    rec_arm usr/bin/jq "$jq_filter" job.json >/dev/null
}

job_armv7_busybox() {
    cp "$inputs/busybox.sh" .
    input text >job.txt
    rec_arm bin/busybox ash busybox.sh <job.txt
}

# ---- the table of the README ----

readme_table() {
    local file name
    echo '| trace | program | job | arch | ops | peak live bytes | peak blocks | largest | bytes | sha256 |'
    echo '|---|---|---|---|--:|--:|--:|--:|--:|---|'
    printf '%s\n' "$jobs" | awk -F' *[|] *' 'NF == 3 { print $1 }' | while read -r name; do
        file=$traces/$name.hrt
        [ -f "$file" ] || continue
        "$top/build/heaprig" trace info --json "$file" |
            jq -r --arg job "$(job_field "$name" 3)" --arg size "$(stat -c %s "$file")" '
                (if type == "array" then .[0] else . end) |
                "| \(.name) | \(.origin | sub("^recorded by heaprig: "; "")) | \($job) | \(.arch) | \(.ops) | \(.peak_live_bytes) | \(.peak_live_blocks) | \(.largest_request) | \($size) | `\(.sha256)` |"'
    done
}

# Replaces what stands between the two marks of corpus/README.md.
readme_write() {
    local readme=$top/corpus/README.md
    readme_table >"$work/table"
    awk -v table="$work/table" '
        /^<!-- table end -->/ { skip = 0 }
        !skip { print }
        /^<!-- table begin/ { skip = 1; while ((getline line <table) > 0) print line }' "$readme" >"$readme.tmp"
    mv "$readme.tmp" "$readme"
}

# ---- all together ----

job_run() {
    name=$1
    local package folder=$work/jobs/$1
    package=$(job_field "$name" 2)
    [ -n "$package" ] || {
        echo "record.sh: unknown job '$name', expected one of --list" >&2
        exit 2
    }
    note="$package $(package_version "$package" "$name")"
    rm -rf "$folder"
    mkdir -p "$folder"
    (
        trap finish EXIT
        trap 'exit 1' INT TERM
        cd "$folder"
        "job_${name//-/_}"
    )
    rm -rf "$folder"
}

mkdir -p "$traces" "$work/jobs"
case ${1:-} in
--list)
    printf '%s\n' "$jobs" | awk -F' *[|] *' 'NF == 3 { printf "%-16s %s\n", $1, $3 }'
    exit 0
    ;;
--readme)
    readme_write
    exit 0
    ;;
-*)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
names=${*:-$(printf '%s\n' "$jobs" | awk -F' *[|] *' 'NF == 3 { print $1 }')}
make -s build/heaprig build/libheaprig_record.so
programs_install
case " $names " in
*" armv7-"* | *$'\n'armv7-*)
    make -s ARCH=arm build/arm/libheaprig_record.so
    # shellcheck disable=SC2086
    tools/sysroot.sh "$arm" $packages_arm
    ;;
esac
for job in $names; do
    job_run "$job"
done
readme_write
