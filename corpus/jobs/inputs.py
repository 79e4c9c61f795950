# SPDX-License-Identifier: MIT
"""inputs.py NAME - prints an input of a corpus job. The same bytes each time: fixed seeds, no clock."""
import json
import random
import sys

WORDS = ("pool block heap page region free split merge first best fit bin list tree arena chunk "
         "header footer guard slot bound order buddy tail front queue task timer sensor").split()


def sentence(rng, most=12):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, most)))


def sql():
    """A sensor log: inserts, indexes, joins, aggregates, updates, deletes, JSON, a rollback, vacuum."""
    rng = random.Random(1)
    print("PRAGMA journal_mode=MEMORY; PRAGMA cache_size=500;")
    print("CREATE TABLE sensor(id INTEGER PRIMARY KEY, name TEXT, place TEXT);")
    print("CREATE TABLE reading(id INTEGER PRIMARY KEY, sensor INT, at INT, value REAL, note TEXT);")
    for i in range(60):
        print(f"INSERT INTO sensor VALUES({i},'{sentence(rng, 2)}','{sentence(rng, 3)}');")
    for batch in range(30):
        print("BEGIN;")
        for _ in range(120):
            print(f"INSERT INTO reading(sensor,at,value,note) VALUES({rng.randrange(60)},"
                  f"{rng.randrange(10**6)},{rng.random():.6f},'{sentence(rng)}');")
        print("ROLLBACK;" if batch % 10 == 9 else "COMMIT;")
        if batch == 5:
            print("CREATE INDEX reading_at ON reading(at); CREATE INDEX reading_sensor ON reading(sensor,value);")
        low = rng.randrange(900000)
        print(f"SELECT s.name,count(*),avg(value),max(note) FROM reading r JOIN sensor s ON s.id=r.sensor "
              f"WHERE at BETWEEN {low} AND {low + 100000} GROUP BY s.name ORDER BY 3 DESC LIMIT 20;")
        print(f"UPDATE reading SET note=note||' '||upper(note) WHERE sensor={rng.randrange(60)};")
        print(f"DELETE FROM reading WHERE at<{batch * 20000} AND sensor%3=0;")
        print("SELECT json_group_array(json_object('id',id,'v',value)) FROM "
              f"(SELECT * FROM reading WHERE sensor={rng.randrange(60)} LIMIT 40);")
    print("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000) "
          "SELECT sum(i), group_concat(i%7,'') FROM n;")
    print("VACUUM; PRAGMA integrity_check;")


def redis():
    """Mixed commands: strings, hashes, lists, sets, sorted sets, expiry, deletes, appends."""
    rng = random.Random(2)
    for i in range(26000):
        key = f"key:{rng.randrange(1500)}"
        print(rng.choice((
            lambda: f"SET s:{key} {'v' * rng.randrange(1, 300)}",
            lambda: f"SET t:{key} {rng.random()} PX {rng.randrange(1, 400)}",
            lambda: f"APPEND a:{key} {'x' * rng.randrange(1, 60)}",
            lambda: f"GET s:{key}",
            lambda: f"HSET h:{key} {rng.choice(WORDS)} {i} {rng.choice(WORDS)} {'y' * rng.randrange(100)}",
            lambda: f"HGETALL h:{key}",
            lambda: f"LPUSH l:{key} {i} {'z' * rng.randrange(50)}",
            lambda: f"RPOP l:{key}",
            lambda: f"SADD set:{key} {rng.randrange(5000)}",
            lambda: f"ZADD z:{key} {rng.random()} member:{rng.randrange(200)}",
            lambda: f"ZRANGE z:{key} 0 10 WITHSCORES",
            lambda: f"DEL s:{key} h:{key} l:{key}",
            lambda: f"UNLINK z:{key} set:{key}",
            lambda: f"EXPIRE h:{key} 1",
        ))())


def mqtt():
    """Lines to publish: mostly short readings, now and then a long one."""
    rng = random.Random(3)
    for i in range(1500):
        print(json.dumps({"seq": i, "t": rng.random(), "what": sentence(rng, 4 if i % 50 else 400)}))


def js_on():
    """Nested records for jq."""
    rng = random.Random(4)
    print(json.dumps([{"id": i, "name": sentence(rng, 3), "tags": rng.sample(WORDS, rng.randint(0, 6)),
                       "at": {"x": rng.random(), "y": rng.randrange(1000)},
                       "log": [sentence(rng) for _ in range(rng.randrange(5))]} for i in range(1200)]))


def text():
    """Prose for perl and ash."""
    rng = random.Random(5)
    for _ in range(2500):
        print(sentence(rng, 20).capitalize() + ".")


def git():
    """A history of 400 commits in git's fast-import format: files grow, change, move and go."""
    rng = random.Random(6)
    files = {}
    for i in range(400):
        message = sentence(rng)
        print(f"commit refs/heads/main\nmark :{i + 1}\n"
              f"committer Nobody <nobody@example.org> {1600000000 + 3600 * i} +0000\n"
              f"data {len(message)}\n{message}")
        if i:
            print(f"from :{i}")
        for _ in range(rng.randint(1, 4)):
            name = f"{rng.choice(WORDS)}/{rng.choice(WORDS)}.txt"
            lines = files.setdefault(name, [])
            for _ in range(rng.randint(1, 15)):
                lines.insert(rng.randint(0, len(lines)), sentence(rng))
            del lines[rng.randint(0, len(lines)):][:5]
            body = "\n".join(lines) + "\n"
            print(f"M 100644 inline {name}\ndata {len(body)}\n{body}")
        if i % 20 == 19:
            gone = rng.choice(sorted(files))
            del files[gone]
            print(f"D {gone}")
        print()


{"sql": sql, "redis": redis, "mqtt": mqtt, "json": js_on, "text": text, "git": git}[sys.argv[1]]()
