#!/usr/bin/env python3
"""More and more clients that write without a pause, at the leader of three nodes, while leases are renewed.

overload.py [SECONDS]   FLOED and LOAD name the binaries. The load is closed: a client's next request waits for the
answer to its last, so what is offered is the number of clients, each with one request under way. Fails if the
goodput at 256 clients or more is under 80 % of its peak, a node's term has changed, or a renewal was not answered.
Exit status: 0 all of it held, 1 not.
"""
import http.client
import json
import os
import resource
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../e2e"))
from harness import Cluster  # noqa: E402

LOAD = os.environ.get("LOAD") or os.path.join(HERE, "../../build/release/test/bench/load")
STEPS = [(1, 16), (1, 64), (1, 256), (1, 1024), (1, 4096), (2, 4096)]  # processes, clients of each
VALUE_BYTES = 1000
TTL_S = 10


class Renewer(threading.Thread):
    def __init__(self, node):
        super().__init__(daemon=True)
        self.node, self.over, self.waits_ms, self.refused = node, False, [], []
        self.lease = node.request("POST", "/leases", json.dumps({"ttl": TTL_S})).json()["id"]

    def run(self):
        while not self.over:
            begin = time.monotonic()
            try:
                status = self.node.request("POST", "/leases/%s" % self.lease).status
            except (OSError, http.client.HTTPException) as e:
                status = repr(e)
            self.waits_ms.append((time.monotonic() - begin) * 1000)
            if status != 200:
                self.refused.append(status)
            time.sleep(0.2)


def step(leader, processes, clients, seconds):
    args = [LOAD, str(leader.http_port), "put", str(clients), str(seconds), str(VALUE_BYTES)]
    running = [subprocess.Popen(args, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    results = [json.loads(p.communicate(timeout=seconds + 60)[0]) for p in running]
    return results


def main(seconds):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Cluster(3) as cluster:
        leader = cluster.start().leader()
        terms = {n.id: n.health()["term"] for n in cluster.up()}
        renewer = Renewer(leader)
        renewer.start()
        rates = []
        for processes, clients in STEPS:
            seen = len(renewer.waits_ms)
            results = step(leader, processes, clients, seconds)
            rates.append(sum(r["per_s"] for r in results))
            print("%5d clients  goodput %7.0f/s  not 2xx %d  renewals %d, longest %.0f ms" % (
                processes * clients, rates[-1], sum(r["failures"] for r in results),
                len(renewer.waits_ms) - seen, max(renewer.waits_ms[seen:], default=0)), flush=True)
        renewer.over = True
        renewer.join(20)
        changed = {n.id: n.health()["term"] for n in cluster.up()} != terms
        share = min(rates[2:]) / max(rates)  # from 256 clients on it is as much as it can take
        print("goodput from 256 clients on at least %.0f %% of its peak, term %s, renewals %d of which not done %s" % (
            100 * share, "changed" if changed else "unchanged", len(renewer.waits_ms), renewer.refused[:3] or 0))
        return 1 if changed or renewer.refused or share < 0.8 else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 4))
