"""What many keys and large snapshots do: python3 test/bench/growth.py [MOST_KEYS [SNAPSHOT_KEYS]]   (5000000 2000000; 15 minutes)

PUT and GET of 100 bytes over ever more keys; restart time and snapshot size; then keys of 500 bytes (1 GB by default) with
load while a snapshot is written by all three and while it is sent to a fourth member. Some GB of memory and disk.
"""
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import bench
import lifecycle
from store import Turns, is_ready


def newest_snapshot_mib(servers, i):
    folder = os.path.join(servers.dir, "d%d/snap" % (i + 1))
    names = sorted(n for n in os.listdir(folder) if n.endswith(".snap"))
    return os.path.getsize(os.path.join(folder, names[-1])) / 2 ** 20 if names else 0.0


def ready(port):
    try:
        return is_ready(port)
    except OSError:
        return False


def restart_ms(servers):
    follower = (lifecycle.leader_index(servers) + 1) % 3
    servers.processes[follower].terminate()
    servers.processes[follower].wait()
    lifecycle.restart(servers, follower)
    return follower, lifecycle.until(lambda: ready(servers.ports[follower]), 300)


def grow(root, most):
    rows = ["| keys | PUT /s | GET /s | resident MiB | restart ms | snapshot MiB |", "|" + " --- |" * 6]
    for keys in (1000, 100000, most):
        servers = bench.Floe(root)
        try:
            def rate(kind, seconds=5):
                out = subprocess.run([bench.LOAD, str(servers.port), kind, "64", str(seconds), "100", str(keys)],
                                     stdout=subprocess.PIPE, check=True, text=True).stdout
                return json.loads(out)["per_s"]
            gets = rate("get")
            puts = rate("put", 8)
            follower, took = restart_ms(servers)
            rows.append("| %d | %.0f | %.0f | %.0f | %.0f | %.1f |" %
                        (keys, puts, gets, servers.rss_mib(), took, newest_snapshot_mib(servers, follower)))
            bench.say(rows[-1])
        finally:
            servers.stop()
    return rows


class Load(threading.Thread):
    """Clients that PUT over those keys for so long."""

    def __init__(self, port, keys, seconds):
        super().__init__()
        self.arguments = [bench.LOAD, str(port), "put", "16", str(seconds), "500", str(keys)]
        self.start()

    def run(self):
        self.result = json.loads(subprocess.run(self.arguments, stdout=subprocess.PIPE, check=True, text=True).stdout)


def term(port):
    return bench.get_json(port, "/status")["term"]


def add_member(servers):
    """A fourth one; milliseconds until it has all."""
    http_port, peer_port = bench.free_ports(2)
    with open(os.path.join(servers.dir, "1.toml")) as f:
        conf = f.read()
    first = conf.splitlines()
    members = [line for line in first if '"' in line and "=http" in line]
    path = os.path.join(servers.dir, "4.toml")
    with open(path, "w") as f:
        f.write('id = 4\ndata_dir = "d4"\n[http]\nlisten = "127.0.0.1:%d"\n[peer]\nlisten = "127.0.0.1:%d"\n[cluster]\n'
                'name = "bench"\njoin = true\nmembers = [\n%s\n]\n' % (http_port, peer_port, "\n".join(members)))
    conn = http.client.HTTPConnection("127.0.0.1", servers.port, timeout=30)
    conn.request("POST", "/4", "http://127.0.0.1:%d" % peer_port)
    answer = conn.getresponse()
    assert answer.status // 100 == 2, (answer.status, answer.read())
    servers.start([os.path.join(bench.BUILD, "floed"), "--config", path])
    return lifecycle.until(lambda: ready(http_port), 300)


def large(root, keys):
    servers = bench.Floe(root)
    turns = Turns(servers.ports)
    try:
        subprocess.run([bench.LOAD, str(servers.port), "get", "64", "0.01", "500", str(keys)], check=True,
                       stdout=subprocess.DEVNULL)
        before = term(servers.port)
        bench.say("%d keys of 500 B: resident %.0f MiB, snapshots of %.0f MiB" %
                  (keys, servers.rss_mib(), newest_snapshot_mib(servers, 0)))
        turns.look("filling")
        load = Load(servers.port, keys, 20)
        load.join()
        bench.say("load while snapshots are written: %s" % load.result)
        turns.look("snapshots written under load")
        load = Load(servers.port, keys, 20)
        time.sleep(1)
        took = add_member(servers)
        bench.say("a fourth member has it all after %.1f s" % (took / 1e3))
        load.join()
        bench.say("load while it is sent: %s" % load.result)
        turns.look("snapshot sent under load")
        assert term(servers.port) == before, "there was an election"
        bench.say("elections: none (term %d)" % before)
    finally:
        servers.stop()


def main():
    most = int(sys.argv[1]) if len(sys.argv) > 1 else 5000000
    keys = int(sys.argv[2]) if len(sys.argv) > 2 else 2000000
    root = tempfile.mkdtemp(prefix="floe-growth-", dir=os.environ.get("FLOE_BENCH_DIR", bench.TOP + "/build"))
    try:
        grow(root, most)
        large(root, keys)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
