"""Clusters of real floed processes on loopback, for the end-to-end tests.

Every test file is a program: it runs its test_* functions (or those named as arguments), prints a line
for each and 'N passed, N failed' last. FLOED names the binary. Ports are free ones, data lives in
a temporary folder that goes away unless a test failed.
"""
import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

FLOED = os.environ.get("FLOED") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../build/release/floed")


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def wait_for(what, check, seconds=20):
    """Waits until check() is true (its value is returned); says what it waited for if it never is."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("waited %d s for: %s" % (seconds, what))
        time.sleep(0.02)


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def code(self):
        return self.json()["code"]


class Node:
    def __init__(self, cluster, node_id, http_port, peer_port):
        self.cluster, self.id, self.http_port, self.peer_port = cluster, node_id, http_port, peer_port
        self.process = None
        self.env = {}
        self.dir = os.path.join(cluster.dir, str(node_id))
        self.log_path = os.path.join(cluster.dir, "%d.log" % node_id)
        self.conf_path = os.path.join(cluster.dir, "%d.toml" % node_id)

    @property
    def peer_url(self):
        return "http://127.0.0.1:%d" % self.peer_port

    def write_conf(self, members, join=False, extra=None, **raft):
        extra = extra or {}
        settings = {"heartbeat_ms": 50, "election_ms": 500}
        settings.update(raft)
        digits = "%d" if self.id < 2**63 else '"%d"'
        text = ['id = ' + digits % self.id, 'data_dir = "%s"' % self.dir]
        tables = {
            "http": {"listen": '"127.0.0.1:%d"' % self.http_port},
            "peer": {"listen": '"127.0.0.1:%d"' % self.peer_port},
            "cluster": {"name": '"e2e"', "join": "true" if join else "false",
                        "members": "[%s]" % ", ".join('"%d=%s"' % m for m in members)},
            "raft": {k: str(v) for k, v in settings.items()},
        }
        for table, values in extra.items():
            tables.setdefault(table, {}).update({k: str(v) for k, v in values.items()})
        for table, values in tables.items():
            text.append("[%s]" % table)
            text += ["%s = %s" % item for item in values.items()]
        with open(self.conf_path, "w") as f:
            f.write("\n".join(text) + "\n")

    def start(self, wait=True, args=()):
        assert self.process is None
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([FLOED, "--config", self.conf_path, *args], stdin=subprocess.DEVNULL,
                                        stdout=log, stderr=log, env=dict(os.environ, **self.env))
        log.close()
        if wait:
            wait_for("node %d to serve" % self.id, self.serves, 30)
        return self

    def serves(self):
        if self.process.poll() is not None:
            raise AssertionError("node %d ended with %d:\n%s" % (self.id, self.process.returncode, self.log()[-3000:]))
        try:
            return self.request("GET", "/livez").status == 200
        except OSError:
            return False

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process = None

    def terminate(self, seconds=6):
        """SIGTERM; the exit status and how long it took."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(seconds)
        self.process = None
        return status, time.monotonic() - begin

    def wait_exit(self, seconds=15):
        status = self.process.wait(seconds)
        self.process = None
        return status

    def request(self, method, path, body=None, headers=None, timeout=15):
        c = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout)
        try:
            c.request(method, path, body=body, headers=headers or {})
            r = c.getresponse()
            return Response(r.status, r.headers, r.read())
        finally:
            c.close()

    def put(self, key, value, headers=None, **kw):
        return self.request("PUT", "/" + key, value, headers, **kw)

    def get(self, key, **kw):
        return self.request("GET", "/" + key, **kw)

    def health(self):
        try:
            return self.request("GET", "/health", timeout=2).json()
        except OSError:
            return {"leader": 0, "applied": 0, "commit": 0, "role": "down", "term": 0}

    def status(self):
        return self.request("GET", "/status").json()


class Cluster:
    def __init__(self, size=3, extra=None, ids=None, **raft):
        self.dir = tempfile.mkdtemp(prefix="floe-e2e-")
        self.extra, self.raft = extra, raft
        self.nodes = {}
        ids = ids or range(1, size + 1)
        ports = free_ports(2 * len(ids))
        for i, node_id in enumerate(ids):
            self.nodes[node_id] = Node(self, node_id, ports[2 * i], ports[2 * i + 1])
        self.members = [(n.id, n.peer_url) for n in self.nodes.values()]
        for n in self.nodes.values():
            n.write_conf(self.members, extra=extra, **raft)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, tb):
        for n in self.nodes.values():
            if n.process is not None and n.process.poll() is None:
                n.process.kill()
                n.process.wait()
        bad = [n.id for n in self.nodes.values() if os.path.exists(n.log_path)
               and ("AddressSanitizer" in n.log() or "runtime error:" in n.log() or "assertion failed" in n.log())]
        if kind is None and not bad:
            shutil.rmtree(self.dir, ignore_errors=True)
        else:
            print("  data and logs are kept in", self.dir)
        if bad and kind is None:
            raise AssertionError("nodes %s: sanitizer report or failed assertion in the log" % bad)

    def start(self):
        for n in self.nodes.values():
            n.start(wait=False)
        for n in self.nodes.values():
            wait_for("node %d to serve" % n.id, n.serves, 30)
        self.leader()
        return self

    def up(self):
        return [n for n in self.nodes.values() if n.process is not None]

    def leader(self, seconds=20):
        """The leader on which all running nodes agree."""
        def agreed():
            seen = {n.health()["leader"] for n in self.up()}
            found = seen.pop() if len(seen) == 1 else 0
            return self.nodes[found] if found in self.nodes and self.nodes[found].process else None
        return wait_for("a leader", agreed, seconds)

    def followers(self):
        leader = self.leader()
        return [n for n in self.up() if n is not leader]

    def add_node(self, node_id, via, http_port=None, peer_port=None, start=True, **kw):
        ports = free_ports(2)
        n = Node(self, node_id, http_port or ports[0], peer_port or ports[1])
        self.nodes[node_id] = n
        others = [m for m in self.members if m[1] != n.peer_url]
        n.write_conf(others + [(node_id, n.peer_url)], join=True, extra=self.extra, **self.raft)
        answer = via.request("POST", "/%d" % node_id, n.peer_url + "\n")
        assert answer.status == 204, (answer.status, answer.body)
        if start:
            n.start()
        return n


async def _writer(port, jobs, results, depth):
    """Pipelined PUTs over one connection; results[key] = status (None: no answer). What
    follows a # only tells writes of one key apart."""
    while jobs:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        pending = []
        try:
            while jobs or pending:
                while jobs and len(pending) < depth:
                    key, value = jobs.pop()
                    pending.append(key)
                    results[key] = None
                    writer.write(b"PUT /%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                                 % (key.partition("#")[0].encode(), len(value)) + value)
                await writer.drain()
                head = await reader.readuntil(b"\r\n\r\n")
                status = int(head[9:12])
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:") and int(line[15:]) > 0:
                        await reader.readexactly(int(line[15:]))
                results[pending.pop(0)] = status
                if b"\r\nconnection: close" in head.lower():
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def load(ports, items, connections=16, depth=16, seconds=240):
    """Writes all (key, value) items over several connections to the given ports."""
    jobs, results = list(items), {}

    async def run():
        await asyncio.wait_for(asyncio.gather(*[
            _writer(ports[i % len(ports)], jobs, results, depth) for i in range(connections)]), seconds)
    asyncio.run(run())
    return results


def main(module):
    tests = [(k, v) for k, v in vars(module).items() if k.startswith("test_")
             and (len(sys.argv) < 2 or k in sys.argv[1:])]
    passed = failed = 0
    for name, run in tests:
        begin = time.monotonic()
        try:
            run()
            passed += 1
            print("ok   %s (%.1f s)" % (name, time.monotonic() - begin), flush=True)
        except Exception:
            failed += 1
            print("FAIL %s" % name)
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(1 if failed else 0)
