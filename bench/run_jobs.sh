#!/usr/bin/env bash
# run_jobs.sh ALLOCATOR JOB - a real program does its work on the allocator, by `heaprig run`, and what comes
# out is compared. Exits with 0, with 1 and the reason, or with 77 and the program that is not installed.
#
# Packages (tools/deps.sh, set "run"): sqlite3, python3, clang, redis-tools, git. Works in a folder of its
# own, talks to loopback only, ends only what it started.
set -euo pipefail
allocator=$1
job=$2
top=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${HEAPRIG_BUILD:-$top/build}" && pwd)
work=$(mktemp -d)
server=""

finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
cd "$work"

fail() {
    echo "$allocator, $job: $1"
    exit 1
}

need() {
    command -v "$1" >/dev/null || {
        echo "$1 is not installed"
        exit 77
    }
}

on() {
    "$build/heaprig" run --allocator "$allocator" -- "$@"
}

# The output of a command, which must succeed, is exactly this.
says() {
    local wanted=$1 said
    shift
    said=$("$@" 2>&1) || fail "'$*' ended with $?: ${said:0:400}"
    [ "$said" = "$wanted" ] || fail "'$*' said '${said:0:400}', expected '$wanted'"
}

job_sqlite3() {
    need sqlite3
    cat >job.sql <<'EOF'
CREATE TABLE log(id INTEGER PRIMARY KEY, sensor TEXT, value REAL, note TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
INSERT INTO log SELECT i, 'sensor' || (i % 97), i * 0.5, hex(zeroblob(i % 300)) FROM n;
CREATE INDEX by_sensor ON log(sensor, value);
DELETE FROM log WHERE id % 5 = 0;
UPDATE log SET note = note || sensor WHERE id % 3 = 0;
SELECT count(*), sum(value), sum(length(note)) FROM log WHERE sensor < 'sensor5';
SELECT sensor, avg(value) AS mean FROM log GROUP BY sensor ORDER BY mean DESC LIMIT 1;
VACUUM;
PRAGMA integrity_check;
EOF
    local expected
    expected=$(sqlite3 expected.db <job.sql)
    [ "${expected##*$'\n'}" = ok ] || fail "sqlite3 itself fails"
    says "$expected" on sqlite3 job.db <job.sql
    says ok on sqlite3 job.db "PRAGMA integrity_check"
}

job_python3() {
    need python3
    cat >job.py <<'EOF'
import json, os, random, subprocess, sys, threading

random.seed(1)
records = [{"id": i, "name": "n%d" % random.randrange(500), "list": list(range(i % 20))} for i in range(8000)]
text = json.dumps(records)
assert json.loads(text) == records
index = {}
for record in json.loads(text):
    index.setdefault(record["name"], []).append(record["id"])
sums = []
def work(part):
    local = {}
    for i in range(20000):
        local[str(i * part)] = bytes(i % 512)
    sums.append(sum(len(v) for v in local.values()))
threads = [threading.Thread(target=work, args=(n + 1,)) for n in range(4)]
for thread in threads:
    thread.start()
for n in range(3):
    out = subprocess.run([sys.executable, "-c", "print(sum(len(str(i)) for i in range(30000)))"], capture_output=True)
    assert out.stdout == b"138890\n", out
for thread in threads:
    thread.join()
child = os.fork()
if child == 0:
    os._exit(len(json.dumps(records)) % 100)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == len(text) % 100
print(len(index), max(len(v) for v in index.values()), sorted(set(sums)))
EOF
    local python expected
    python=$(python3 -c 'import sys; print(sys.executable)') # behind wrappers
    expected=$("$python" job.py)
    PYTHONMALLOC=malloc says "$expected" on "$python" job.py
}

job_clang() {
    need clang
    clang -std=c11 -O1 -c "$top/alloc/tlsf_fast.c" -o expected.o
    on clang -std=c11 -O1 -c "$top/alloc/tlsf_fast.c" -o job.o || fail "compiling ended with $?"
    cmp expected.o job.o || fail "the object differs"
}

# Retries a redis-cli command until the server listens.
redis_wait() {
    local try
    for try in $(seq 100); do
        if [ "$(redis-cli -p "$1" PING 2>/dev/null)" = PONG ]; then
            return
        fi
        kill -0 "$server" 2>/dev/null || fail "the server ended: $(tail -3 redis.log)"
        sleep 0.1
    done
    fail "nobody listens on port $1 after $try tries: $(tail -3 redis.log)"
}

job_redis() {
    local program port
    need redis-cli
    program=$(command -v redis-server || command -v redis-check-rdb) || need redis-server
    ln -s "$program" redis-server # one program, told apart by its name
    port=$((20000 + $$ % 10000)) # below those that the kernel hands out
    on ./redis-server --port $port --bind 127.0.0.1 --save "" --appendonly no >redis.log 2>&1 &
    server=$!
    redis_wait $port
    redis-benchmark -p $port -q -n 3000 -c 20 -r 500 -d 100 -t set,get,lpush,lpop,sadd,hset,zadd,mset >benchmark.log ||
        fail "the benchmark ended with $?"
    says OK redis-cli -p $port SET key "$(printf 'x%.0s' {1..5000})"
    says 5000 redis-cli -p $port STRLEN key
    says 300 redis-cli -p $port EVAL 'local t = {} for i = 1, 300 do t[i] = redis.call("SETEX", "k" .. i, 100, string.rep("v", i)) end return #t' 0
    says 200 redis-cli -p $port STRLEN k200
    says OK redis-cli -p $port FLUSHALL
    redis-cli -p $port SHUTDOWN NOSAVE >/dev/null 2>&1 || true
    wait "$server" || fail "the server ended with $?: $(tail -3 redis.log)"
    server=""
}

job_git() {
    need git
    export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
    export GIT_CONFIG_NOSYSTEM=1 HOME=$work GIT_PAGER=cat
    on git init -q -b main tree || fail "init ended with $?"
    cd tree
    local i
    for i in $(seq 12); do
        seq "$i" $((i * 150)) >"file$((i % 5))"
        cp "file$((i % 5))" "copy$i"
        on git add . && on git commit -q -m "commit $i" || fail "commit $i ended with $?"
    done
    says 12 on git rev-list --count HEAD
    on git log --patch --stat -M HEAD >log || fail "log ended with $?"
    git log --patch --stat -M HEAD | cmp - log || fail "the log differs"
    on git gc -q --aggressive --prune=now || fail "gc ended with $?"
    on git fsck --full --strict 2>&1 | grep -v '^Checking' >fsck || true
    [ ! -s fsck ] || fail "fsck: $(head -3 fsck)"
}

case $job in
sqlite3 | python3 | clang | redis | git) job_$job ;;
*) fail "unknown job" ;;
esac
