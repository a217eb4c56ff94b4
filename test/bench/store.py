"""What many keys cost: python3 test/bench/store.py [KEYS [MEMBERS]]   (default 1000000 3; after ./dev build)

Loads them by POST /kv/ in lines, then writes beside the snapshots that this brings about, then starts one member
again. Prints rates, memory, the longest wait of a write, the time until the member is ready, and how long turns took, at last
with requests that go through all keys.
"""
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import bench

BATCH = 4000  # lines a request


def fill(port, keys):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for first in range(0, keys, BATCH):
        lines = ['{"key":"%032d","value":"%s"}\n' % (k, "v" * 100) for k in range(first, min(keys, first + BATCH))]
        conn.request("POST", "/kv/", "".join(lines))
        answer = conn.getresponse()
        body = answer.read()
        assert answer.status == 200, (answer.status, body[:300])


def is_ready(port):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    conn.request("GET", "/readyz")
    return conn.getresponse().status == 200


class Turns:
    """Turns of the loop, of all members: how many took longer than 16 ms since the last look, and the longest ever."""

    def __init__(self, ports):
        self.ports, self.seen = ports, {}

    def look(self, what):
        longest, busy, longer, all_turns = 0, 0, 0, 0
        for port in self.ports:
            try:
                conn = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                conn.request("GET", "/metrics")
                text = conn.getresponse().read().decode()
            except OSError:
                continue
            values = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("floe_turn_"))
            count = int(values["floe_turn_duration_seconds_count"])
            short = max(int(n) for key, n in values.items() if "le=" in key and float(key.split('"')[1]) <= 0.0165)
            before = self.seen.get(port, (0, 0))
            if count >= before[0]:  # else it has begun anew
                all_turns += count - before[0]
                longer += count - short - before[1]
            self.seen[port] = (count, count - short)
            longest = max(longest, int(values["floe_turn_longest_us"]))
            busy = max(busy, int(values["floe_turn_longest_busy_us"]))
        bench.say("%s: %d turns, %d of them over 16 ms; the longest since the start %.1f ms, in time of the processor %.1f ms" %
                  (what, all_turns, longer, longest / 1e3, busy / 1e3))


def post(port, path, body):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    begin = time.monotonic()
    conn.request("POST", path, json.dumps(body))
    answer = conn.getresponse()
    text = answer.read()
    assert answer.status == 200, (answer.status, text[:300])
    return time.monotonic() - begin, text


def long_requests(port, turns):
    """What goes through all keys."""
    every = {"key": "AA==", "range_end": "AA=="}
    revision = json.loads(post(port, "/v3/kv/range", dict(every, count_only=True))[1])["header"]["revision"]
    asked = [("count of an old revision", "kv/range", dict(every, count_only=True, revision=int(revision) - 1)),
             ("the last one by value", "kv/range", dict(every, sort_target="VALUE", sort_order="DESCEND", limit=1)),
             ("100,000 keys by revision", "kv/range",
              dict(every, sort_target="MOD", sort_order="DESCEND", keys_only=True, limit=100000)),
             ("hashkv", "maintenance/hashkv", {}),
             ("delete of all", "kv/deleterange", every)]
    for what, path, body in asked:
        took, _ = post(port, "/v3/" + path, body)
        turns.look("%s, %.2f s" % (what, took))


def restart(servers):
    """Seconds until the last member is ready again."""
    old = servers.processes[-1]
    with open("/proc/%d/cmdline" % old.pid, "rb") as f:
        command = [part.decode() for part in f.read().split(b"\0")[:-1]]
    old.terminate()
    old.wait()
    begin = time.monotonic()
    servers.processes[-1] = subprocess.Popen(command, cwd=servers.dir, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL)
    bench.wait_for(lambda: is_ready(servers.ports[-1]), 120)
    return time.monotonic() - begin


def main():
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 1000000
    members = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    root = tempfile.mkdtemp(prefix="floe-store-", dir=os.environ.get("FLOE_BENCH_DIR", bench.TOP + "/build"))
    servers = bench.Floe(root, members)
    turns = Turns(servers.ports)
    try:
        begin = time.monotonic()
        fill(servers.port, keys)
        took = time.monotonic() - begin
        bench.say("%d keys of 32 B with 100 B loaded in %.1f s: %.0f/s; resident %.0f MiB, %.0f B a key over its data" %
                  (keys, took, keys / took, servers.rss_mib(), servers.rss_mib() * 2 ** 20 / keys - 132))
        turns.look("loading, with snapshots")
        load = bench.load(servers.port, "put", 1, 10)
        bench.say("one client meanwhile and after: p50 %d us, p99 %d us, longest %d us" %
                  (load["p50"], load["p99"], load["max"]))
        turns.look("with one client")
        bench.say("a member that starts again is ready after %.2f s" % restart(servers))
        turns.look("and in starting")
        long_requests(servers.port, turns)
    finally:
        servers.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
