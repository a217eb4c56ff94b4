#!/usr/bin/env python3
"""What strangers do to a node's two ports, and how the node bears it.

abuse.py [URL PEER_ADDRESS PID [ROW...]]   without arguments: a node that is started for this. Loopback only.
Each row is one kind of abuse. While it goes on a bystander writes and reads one key every 20 ms; memory is the
node's resident set before, at its peak and two seconds after. A row fails if the node ends, if an offender is
neither answered nor closed, if the bystander has an error or waits over a second, or if memory passes the bound
that README.md states. Exit status: 0 every row is good, 1 one is not, 2 it cannot be run.
"""
import asyncio
import http.client
import json
import os
import random
import resource
import socket
import struct
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))

IDLE = 10000
SCALE = int(os.environ.get("ABUSE_SCALE", "1"))  # of the bounds, for builds with sanitizers
SLOW_MS = 1000 * SCALE  # the longest that a bystander may wait
CONNECTION_BYTES = 8192  # of an idle one or a watcher, in the node: see README.md
FIXED_BYTES = 64 << 20


class Target:
    def __init__(self, url, peer, pid):
        parts = urllib.parse.urlsplit(url)
        peer_host, _, peer_port = peer.rpartition(":")
        for host in (parts.hostname, peer_host):
            if host not in ("127.0.0.1", "localhost", "::1", "[::1]"):
                raise ValueError("%s is not loopback" % host)
        self.http = (parts.hostname, parts.port)
        self.peer = (peer_host.strip("[]"), int(peer_port))
        self.pid = int(pid)
        self.limits = self.get("/limits")

    def get(self, path):
        c = http.client.HTTPConnection(*self.http, timeout=5)
        try:
            c.request("GET", path)
            return json.loads(c.getresponse().read())
        finally:
            c.close()

    def resident(self):
        with open("/proc/%d/statm" % self.pid) as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def bound(self):
        """The growth that README.md allows on top of what was resident before."""
        return SCALE * (FIXED_BYTES + 2 * self.limits["pending_bytes"] + self.limits["history_bytes"]
                        + min(self.limits["connections"], IDLE + 100) * CONNECTION_BYTES)


class Bystander(threading.Thread):
    """Somebody who only wants to work, on one connection."""

    def __init__(self, target):
        super().__init__(daemon=True)
        self.target, self.waits_ms, self.errors, self.over = target, [], [], False
        self.peak = target.resident()

    def run(self):
        c = http.client.HTTPConnection(*self.target.http, timeout=5)
        n = 0
        while not self.over:
            begin = time.monotonic()
            n += 1
            try:
                self.peak = max(self.peak, self.target.resident())
                method, body = ("PUT", b"%d" % n) if n % 2 else ("GET", None)
                c.request(method, "/abuse-bystander", body=body)
                answer = c.getresponse()
                got = answer.read()
                if answer.status >= 300 or (body is None and got != b"%d" % (n - 1)):
                    self.errors.append("%s: %d %r" % (method, answer.status, got[:80]))
            except (OSError, http.client.HTTPException) as e:
                self.errors.append(repr(e))
                c.close()
            self.waits_ms.append((time.monotonic() - begin) * 1000)
            time.sleep(0.02)
        c.close()


class Failed(Exception):
    pass


async def dial(address, receive_bytes=0):
    if not receive_bytes:
        return await asyncio.wait_for(asyncio.open_connection(*address), 10)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, address)
    return await asyncio.open_connection(sock=sock)


def close(*writers):
    for w in writers:
        w.transport.abort()


async def drain_all(reader, seconds=20, keep=65536):
    """What comes until the other side closes; None: it does not."""
    got = b""

    async def read():
        nonlocal got
        while True:
            piece = await reader.read(65536)
            if not piece:
                return
            got = (got + piece)[:keep]
    try:
        await asyncio.wait_for(read(), seconds)
    except ConnectionError:
        pass
    except asyncio.TimeoutError:
        return None
    return got


async def send(address, pieces, pause=0.0, wants=(), seconds=20):
    """Sends pieces, then wants one of these statuses and the end, or only the end."""
    reader, writer = await dial(address)

    async def write():
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                if pause:
                    await asyncio.sleep(pause)
        except ConnectionError:
            pass
    sender = asyncio.ensure_future(write())
    got = await drain_all(reader, seconds)
    sender.cancel()
    await asyncio.gather(sender, return_exceptions=True)
    close(writer)
    if got is None:
        raise Failed("neither answered nor closed within %d s" % seconds)
    status = got[9:12].decode("latin-1")
    if wants and status not in wants:
        raise Failed("answer %r, not %s" % (got[:60], "/".join(wants)))
    return status or "closed"


async def many(jobs):
    results = await asyncio.gather(*jobs, return_exceptions=True)
    bad = [r for r in results if isinstance(r, BaseException)]
    if bad:
        raise Failed("%d of %d: %r" % (len(bad), len(results), bad[0]))
    return "%d: %s" % (len(results), ",".join(sorted(set(map(str, results)))))


async def open_many(address, count, first=b""):
    pairs = []
    for at in range(0, count, 200):
        batch = await asyncio.gather(*[dial(address) for _ in range(min(200, count - at))])
        for _, writer in batch:
            if first:
                writer.write(first)
        pairs += batch
    return pairs


# ---- rows --------------------------------------------------------------------------------------------------


async def idle(t):
    pairs = await open_many(t.http, IDLE)
    await asyncio.sleep(2)
    ended = sum(r.at_eof() for r, _ in pairs)
    close(*[w for _, w in pairs])
    return "%d open, %d of them closed for others" % (len(pairs), ended)


async def full(t):
    """More connections than the node takes: the longest idle ones are closed for the newcomers."""
    limit = t.limits["connections"]
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < limit + 1000:
        return "left out: %d connections are more than this process may open (ulimit -n)" % limit
    pairs = await open_many(t.http, limit + 200)
    await asyncio.sleep(2)
    ended = [r.at_eof() for r, _ in pairs]
    close(*[w for _, w in pairs])
    if sum(ended) < 200 or any(ended[-1000:]) or not all(ended[:150]):
        raise Failed("%d of %d closed, %d of the last thousand" % (sum(ended), len(ended), sum(ended[-1000:])))
    return "%d open, the %d that were idle longest closed" % (len(pairs), sum(ended))


def endless(first, piece, count):
    yield first
    for _ in range(count):
        yield piece


async def slow_headers(t):
    head = b"GET /k HTTP/1.1\r\nHost: x\r\nA: "
    return await many([send(t.http, endless(head, b"a", 200), 0.3, ("408",), 40) for _ in range(500)])


async def slow_bodies(t):
    head = b"PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    return await many([send(t.http, endless(head, b"a", 200), 0.3, ("408",), 40) for _ in range(500)])


async def header_flood(t):
    head = b"GET /k HTTP/1.1\r\nHost: x\r\n"
    return await many([send(t.http, endless(head, b"A: b\r\n" * 1000, 1000), 0, ("431", "429")) for _ in range(50)])


async def huge_bodies(t):
    size = 1 << 30
    known = b"PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
    chunked = b"PUT /k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    jobs = [send(t.http, endless(known, b"a" * 65536, size >> 16), 0, ("413",)) for _ in range(10)]
    jobs += [send(t.http, endless(chunked, chunk, size >> 16), 0, ("413", "429")) for _ in range(10)]
    return await many(jobs)


async def odd_keys(t):
    bad = [b"/a\0b", b"/%", b"/%zz", b"/" + b"a" * 70000, b"/a b"]
    jobs = [send(t.http, [b"GET " + k + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"], 0,
                 ("400", "414", "413")) for k in bad]
    fine = [b"/%2e%2e%2fetc%2fpasswd", b"/%00", b"/a%2Fb", b"/\xff\xfe"]  # keys like any other: bytes, never a path
    jobs += [send(t.http, [b"GET " + k + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"], 0,
                  ("400", "404")) for k in fine]
    return await many(jobs)


async def smuggled(t):
    inner = b"PUT /abuse-smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
    framings = [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
        b"Content-Length: +0\r\n\r\n", b"Content-Length: 0x0\r\n\r\n", b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 0, 5\r\n\r\n", b"Content-Length : 0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0;x\r\n\r\n",
    ]
    result = await many([send(t.http, [b"PUT /k HTTP/1.1\r\nHost: x\r\n" + f + inner], 0, ("400", "411", "501"))
                         for f in framings])
    c = http.client.HTTPConnection(*t.http, timeout=5)
    c.request("GET", "/abuse-smuggled")
    status = c.getresponse().status
    c.close()
    if status != 404:
        raise Failed("a smuggled request was done")
    return result


def noise(seed):
    choice = random.Random(seed)
    return [choice.randbytes(choice.randrange(1, 3000)) + b"\r\n\r\n" for _ in range(4)]


async def random_http(t):
    return await many([send(t.http, noise(i), 0.01) for i in range(200)])


async def random_peer(t):
    return await many([send(t.peer, noise(i), 0.01, (), 40) for i in range(200)])


async def bad_frames(t):
    """Headers as codec/record.h has them: cut off, too large, blank, and silence."""
    def head(length, version=1):
        return struct.pack("<IBBHQQQ", length, 1, version, 0, 0, 0, 0)
    frames = [head(100)[:17], head(100) + b"a" * 50, head(0xFFFFFFFF), head(1 << 30) + b"a" * 100000,
              head(10, 9) + b"a" * 10, b"\0" * 32, b""]
    return await many([send(t.peer, [f], 0, (), 60) for f in frames for _ in range(10)])


def kept(server_port, ports):
    """Of connections from these ports, how many the server has not closed. Reading to see it would take what waits."""
    count = 0
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(name) as f:
            for line in f.readlines()[1:]:
                _, local, remote, state = line.split()[:4]
                count += (state == "01" and int(local.split(":")[1], 16) == server_port
                          and int(remote.split(":")[1], 16) in ports)
    return count


async def never_reads(t):
    """Asks for a large value again and again and reads nothing."""
    put(t.http, "/abuse-large", b"v" * 1000000)
    pairs = []
    for _ in range(100):
        reader, writer = await dial(t.http, 4096)
        writer.transport.pause_reading()
        writer.write(b"GET /abuse-large HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        pairs.append((reader, writer))
    ports = {w.get_extra_info("sockname")[1] for _, w in pairs}
    begin = time.monotonic()
    # 5 s and the pace of 16 KiB/s for an answer. Who got 429 for the rest, and all of it fits into the kernel, is idle.
    patience = max(90, t.limits["idle_timeout_ms"] / 1000 + 15)
    while kept(t.http[1], ports) and time.monotonic() - begin < patience:
        await asyncio.sleep(1)
    count, took = kept(t.http[1], ports), time.monotonic() - begin
    close(*[w for _, w in pairs])
    if count:
        raise Failed("%d of %d were not closed" % (count, len(pairs)))
    return "%d closed within %d s" % (len(pairs), took)


def put(address, key, value):
    c = http.client.HTTPConnection(*address, timeout=20)
    try:
        c.request("PUT", key, value)
        return c.getresponse().status
    finally:
        c.close()


async def sees_last(reader):
    seen = b""
    while b"VGhlTGFzdE9uZQ" not in seen and b"TheLastOne" not in seen:  # as it is, or in base64
        piece = await reader.read(65536)
        if not piece:
            return False
        seen = seen[-32:] + piece
    return True


async def watchers(t):
    """10,000 of them; 100 read nothing while 20 MB of events come for each. Each of the others gets the last one."""
    ask = b"GET /kv/%s&watch HTTP/1.1\r\nHost: x\r\nAccept: application/x-ndjson\r\n\r\n"
    slow = await open_many(t.http, 100, ask % b"?prefix=abuse-")
    for _, w in slow:
        w.transport.pause_reading()
    quick = await open_many(t.http, IDLE - 100, ask % b"?prefix=abuse-few")
    await asyncio.sleep(2)
    loop = asyncio.get_running_loop()
    statuses = [await loop.run_in_executor(None, put, t.http, "/abuse-many", b"w" * 200000) for _ in range(100)]
    followers = [asyncio.ensure_future(asyncio.wait_for(sees_last(r), 60)) for r, _ in quick]
    for value in [b"w" * 1000] * 5 + [b"TheLastOne"]:
        statuses.append(await loop.run_in_executor(None, put, t.http, "/abuse-few", value))
    got = sum(r is True for r in await asyncio.gather(*followers, return_exceptions=True))
    close(*[w for _, w in quick + slow])
    if got != len(quick) or max(statuses) >= 300:
        raise Failed("%d of %d watchers missed the last event" % (len(quick) - got, len(quick)))
    return "%d watchers, 100 of them slow" % IDLE


ROWS = [idle, full, slow_headers, slow_bodies, header_flood, huge_bodies, odd_keys, smuggled, random_http, random_peer,
        bad_frames, never_reads, watchers]

# ---- the whole ---------------------------------------------------------------------------------------------


def run_row(target, row):
    before = target.resident()
    bystander = Bystander(target)
    bystander.start()
    text, problems = "", []
    try:
        text = asyncio.run(row(target))
        time.sleep(1)  # for the bystander, where the row is short
    except (Failed, OSError, asyncio.TimeoutError) as e:
        problems.append(str(e) or repr(e))
    bystander.over = True
    bystander.join(10)
    time.sleep(2)
    try:
        after = target.resident()
    except OSError:
        print("FAIL %-13s the node has ended" % row.__name__)
        return False
    waits = sorted(bystander.waits_ms) or [0]
    if bystander.errors:
        problems.append("bystander: %s" % bystander.errors[0])
    if waits[-1] > SLOW_MS:
        problems.append("the bystander waited %d ms" % waits[-1])
    if bystander.peak - before > target.bound():
        problems.append("memory grew by more than %d MB" % (target.bound() >> 20))
    print("%s %-13s memory MB %4d %4d %4d  bystander %5d requests %d errors p99 %6.1f max %6.1f ms  %s" % (
        "FAIL" if problems else "ok  ", row.__name__, before >> 20, bystander.peak >> 20, after >> 20, len(waits),
        len(bystander.errors), waits[len(waits) * 99 // 100], waits[-1], "; ".join(problems) or text), flush=True)
    return not problems


def run(target, names):
    rows = [r for r in ROWS if not names or r.__name__ in names]
    print("memory before, at the peak, after; it may grow by %d MB" % (target.bound() >> 20), flush=True)
    good = [run_row(target, row) for row in rows]
    print("%d rows good, %d not" % (sum(good), len(good) - sum(good)))
    return 0 if all(good) else 1


def main(args):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    unknown = [a for a in args[3:] if a not in [r.__name__ for r in ROWS]]
    if len(args) in (1, 2) or unknown:
        print(__doc__, "\nrows:", " ".join(r.__name__ for r in ROWS), file=sys.stderr)
        return 2
    if args:
        try:
            target = Target(*args[:3])
        except (ValueError, TypeError, OSError) as e:
            print("cannot run: %s" % e, file=sys.stderr)
            return 2
        return run(target, args[3:])
    from harness import Cluster
    with Cluster(1, extra={"limits": {"connections": 11000}, "http": {"idle_timeout_ms": 40000}}) as cluster:
        node = cluster.start().nodes[1]
        return run(Target("http://127.0.0.1:%d" % node.http_port, "127.0.0.1:%d" % node.peer_port,
                          node.process.pid), os.environ.get("ABUSE_ROWS", "").split())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
