"""Many watchers of one key while it is written: each must get every put, in order, once.

fanout.py [WATCHERS] [PUTS] [SIZE]: a cluster of SIZE (3) floeds, all watchers at one follower. The watchers' bytes
are read by another process; the stream of the first is checked event by event, and all others must be
the same bytes. Prints the rate in events delivered a second, and where the time goes.
"""
import json
import multiprocessing
import os
import resource
import selectors
import socket
import sys
import time
import zlib

from harness import Cluster, load

PATH = b"GET /kv/fan?watch HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n"


class Stream:
    """One watcher: takes chunked bytes, keeps a checksum and a count of lines."""

    def __init__(self, port, keep):
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self.socket.sendall(PATH)
        self.head = b""
        self.rest = b""  # of a chunk that is not complete
        self.events = -1  # the first line says where it begins
        self.sum = 0
        self.kept = [] if keep else None

    def feed(self, data):
        if self.head is not None:
            self.head += data
            if b"\r\n\r\n" not in self.head:
                return
            assert self.head.startswith(b"HTTP/1.1 200 "), self.head
            data, self.head = self.head.split(b"\r\n\r\n", 1)[1], None
        data = self.rest + data if self.rest else data
        at = 0
        while True:
            end = data.find(b"\r\n", at, at + 16)
            if end < 0:
                break
            size = int(data[at:end], 16)
            if len(data) < end + 4 + size:
                break
            self.take(data[end + 2:end + 2 + size])
            at = end + 4 + size
        self.rest = data[at:]

    def take(self, text):
        self.sum = zlib.crc32(text, self.sum)
        self.events += text.count(b"\n")
        if self.kept is not None:
            self.kept.append(text)


def read_all(port, watchers, puts, ready, results):
    """Runs in a process of its own."""
    streams = [Stream(port, i == 0) for i in range(watchers)]
    selector = selectors.DefaultSelector()
    for s in streams:
        selector.register(s.socket, selectors.EVENT_READ, s)
    begun = set()
    done = set()
    first = last = 0
    while len(done) < watchers:
        for key, _ in selector.select(60) or [(None, None)]:
            if key is None:
                results.put({"error": "nothing came for 60 s; complete: %d" % len(done)})
                return
            s = key.data
            data = s.socket.recv(1 << 18)
            if not data:
                results.put({"error": "a watcher was cut off"})
                return
            s.feed(data)
            if s.events >= 0 and s not in begun:
                begun.add(s)
                if len(begun) == watchers:
                    ready.set()
            if s.events > 0 and not first:
                first = time.monotonic()
            if s.events >= puts and s not in done:
                done.add(s)
                last = time.monotonic()
    rows = [json.loads(line) for line in b"".join(streams[0].kept).splitlines()]
    assert rows[0]["type"] == "begin"
    events = [r for r in rows[1:] if r["type"] == "put"]
    revisions = [r["revision"] for r in events]
    used = resource.getrusage(resource.RUSAGE_SELF)
    results.put({
        "events": len(events),
        "in order": revisions == list(range(revisions[0], revisions[0] + puts)),
        "each once": sorted(int(r["value"]) for r in events) == list(range(puts)),
        "all the same": len({(s.sum, s.events) for s in streams}) == 1,
        "bytes": sum(len(k) for k in streams[0].kept) * watchers,
        "first": first, "last": last, "cpu": used.ru_utime + used.ru_stime,
    })


def cpu_seconds(node):
    with open("/proc/%d/stat" % node.process.pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run(watchers, puts, size=3, report=print):
    with Cluster(size) as c:
        c.start()
        writer = c.leader()
        watched = c.followers()[0] if size > 1 else writer
        ready, results = multiprocessing.Event(), multiprocessing.Queue()
        reader = multiprocessing.Process(target=read_all, args=(watched.http_port, watchers, puts, ready, results))
        reader.start()
        assert ready.wait(60), "the watchers do not begin"
        cpu, begin = cpu_seconds(watched), time.monotonic()
        statuses = {}
        for value in range(0, puts, 1000):  # the key of the load is the value, so each is one put
            jobs = [("kv/fan#%d" % i, b"%d" % i) for i in range(value, min(value + 1000, puts))]
            statuses.update(load([writer.http_port], jobs, connections=4, depth=8))
        assert set(statuses.values()) == {204}, "a put failed"
        written = time.monotonic() - begin
        got = results.get(timeout=600)
        reader.join()
        assert "error" not in got, got["error"]
        seconds = got["last"] - begin
        cpu = cpu_seconds(watched) - cpu
        report("%d watchers, %d puts: %d events in %.1f s, %d a second, %.0f MB/s" % (
            watchers, puts, watchers * puts, seconds, watchers * puts / seconds, got["bytes"] / seconds / 1e6))
        report("puts took %.1f s (%d/s); CPU: the watched node %.1f s, the reader %.1f s" % (
            written, puts / written, cpu, got["cpu"]))
        assert got["events"] == puts and got["in order"] and got["each once"] and got["all the same"], got
        return seconds


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    run(*[int(a) for a in sys.argv[1:]] or (1000, 10000))
