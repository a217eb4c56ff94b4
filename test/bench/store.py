"""What many keys cost: python3 test/bench/store.py [KEYS [MEMBERS]]   (default 1000000 3; after ./dev build)

Loads them by POST /kv/ in lines, then writes beside the snapshots that this brings about, then starts one member
again. Prints rates, memory, the longest wait of a write, and the time until the member is ready.
"""
import http.client
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
    try:
        begin = time.monotonic()
        fill(servers.port, keys)
        took = time.monotonic() - begin
        bench.say("%d keys of 32 B with 100 B loaded in %.1f s: %.0f/s; resident %.0f MiB, %.0f B a key over its data" %
                  (keys, took, keys / took, servers.rss_mib(), servers.rss_mib() * 2 ** 20 / keys - 132))
        load = bench.load(servers.port, "put", 1, 10)
        bench.say("one client meanwhile and after: p50 %d us, p99 %d us, longest %d us" %
                  (load["p50"], load["p99"], load["max"]))
        bench.say("a member that starts again is ready after %.2f s" % restart(servers))
    finally:
        servers.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
