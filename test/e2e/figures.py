"""Prints what a release build weighs: binary size, memory of an idle node, time to the first answer.

python3 test/e2e/figures.py     (FLOED names the binary; default build/release/floed)
"""
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

os.environ.setdefault("FLOED", os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/release/floed"))
from harness import FLOED, Cluster  # noqa: E402


def first_answer(node):
    """Milliseconds from the start of the process to a written and answered PUT."""
    begin = time.monotonic()
    node.start(wait=False)
    while True:
        try:
            s = socket.create_connection(("127.0.0.1", node.http_port))
            break
        except OSError:
            time.sleep(0.0005)
    s.sendall(b"PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nv")
    answer = s.recv(4096)
    took = (time.monotonic() - begin) * 1000
    s.close()
    assert answer.startswith(b"HTTP/1.1 204"), answer
    return took


def rss_kib(node):
    with open("/proc/%d/status" % node.process.pid) as f:
        return int([line for line in f if line.startswith("VmRSS")][0].split()[1])


def main():
    with tempfile.TemporaryDirectory() as d:
        stripped = os.path.join(d, "floed")
        shutil.copy(FLOED, stripped)
        subprocess.run(["strip", stripped], check=True)
        print("stripped binary: %d KiB" % (os.path.getsize(stripped) // 1024))
    fresh, again = [], []
    for _ in range(9):
        with Cluster(1) as c:
            fresh.append(first_answer(c.nodes[1]))
            time.sleep(0.3)
            idle = rss_kib(c.nodes[1])
            c.nodes[1].terminate()
            again.append(first_answer(c.nodes[1]))
    with Cluster(3) as c:
        c.start()
        time.sleep(1)
        three = max(rss_kib(n) for n in c.up())
        ticks = sum(sum(map(int, open("/proc/%d/stat" % n.process.pid).read().split()[13:15])) for n in c.up())
        time.sleep(5)
        ticks = sum(sum(map(int, open("/proc/%d/stat" % n.process.pid).read().split()[13:15]))
                    for n in c.up()) - ticks
    print("memory of an idle node: %.1f MiB alone, %.1f MiB in a cluster of three" % (idle / 1024, three / 1024))
    print("processor time of three idle nodes: %.1f %%" % (ticks / os.sysconf("SC_CLK_TCK") / 5 * 100))
    print("start to first answered write: median %.0f ms on an empty directory, %.0f ms on a used one"
          % (statistics.median(fresh), statistics.median(again)))


if __name__ == "__main__":
    main()
