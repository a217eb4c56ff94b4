"""How long writes stand still when the leader's process is killed: python3 test/bench/failover.py [TRIALS]   (default 20)

From kill -9 of the leader of three (default time-outs) until a PUT at a follower is answered; each trial with a new cluster.
"""
import shutil
import socket
import statistics
import sys
import tempfile
import time

import bench


def put(port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as conn:
        conn.sendall(b"PUT /key HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv")
        return conn.recv(4096).startswith(b"HTTP/1.1 204")


def trial(root):
    servers = bench.Floe(root)
    try:
        assert put(servers.port)
        time.sleep(0.3)
        leader = bench.get_json(servers.port, "/status")["leader"]
        begin = time.monotonic()
        servers.processes[leader - 1].kill()
        bench.wait_for(lambda: put(servers.ports[leader % 3]), 30)
        return (time.monotonic() - begin) * 1000
    finally:
        servers.stop()


def main():
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    root = tempfile.mkdtemp(prefix="floe-failover-", dir=bench.TOP + "/build")
    try:
        took = [trial(root) for _ in range(trials)]
    finally:
        shutil.rmtree(root, ignore_errors=True)
    bench.say("%d trials: median %.0f ms, longest %.0f ms" % (trials, statistics.median(took), max(took)))


if __name__ == "__main__":
    main()
