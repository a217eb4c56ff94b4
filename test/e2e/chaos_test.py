"""Everything at once, under load, and the clients' history is linearizable.

Three members behind a network that can be cut (proxy.py), six clients on a few keys at all of them.
Meanwhile the leader is killed, is stopped for longer than the election time-out while requests pile up at
it and go on elsewhere, is cut off whole or in one direction; then all of that together. test/sim's checker judges
what the clients saw. FLOE_CHAOS_SECONDS (default 20) for longer runs, FLOE_CHAOS_SEED to draw the same
faults again; LINEAR names the checker's binary.
"""
import asyncio
import collections
import os
import random
import signal
import subprocess
import sys
import time

from harness import Cluster, main, wait_for
from proxy import Network

LINEAR = os.environ.get("LINEAR") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../build/release/test/sim/linear")
SECONDS = float(os.environ.get("FLOE_CHAOS_SECONDS") or 20)
SEED = int(os.environ.get("FLOE_CHAOS_SEED") or random.SystemRandom().randrange(1000000))
KEYS = 4
CLIENTS = 6
CLIENT_TIMEOUT = 5  # seconds; longer than a member is stopped, so that it answers what it got meanwhile
STOPPED = 2.2
BEGIN = time.monotonic_ns()


def now():
    """Microseconds, for the history."""
    return (time.monotonic_ns() - BEGIN) // 1000


class NotDone(Exception):
    """Nothing has been done, for certain."""


class Unknown(Exception):
    """No answer, or one that says that nobody knows."""


class Connection:
    """HTTP/1.1 to one member; made when needed, dropped with the first trouble."""

    def __init__(self, port):
        self.port, self.reader, self.writer = port, None, None

    def close(self):
        if self.writer is not None:
            self.writer.transport.abort()
        self.reader = self.writer = None

    async def _answer(self):
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return int(lines[0].split()[1]), headers, body

    async def request(self, method, path, body=b"", headers=()):
        """(status, headers, body) of anything but 503, 429 and 504."""
        try:
            if self.writer is None:
                self.reader, self.writer = await asyncio.wait_for(
                    asyncio.open_connection("127.0.0.1", self.port), CLIENT_TIMEOUT)
        except (OSError, asyncio.TimeoutError):
            raise NotDone() from None
        lines = ["%s %s HTTP/1.1" % (method, path), "Host: x", "Content-Length: %d" % len(body), *headers, "", ""]
        try:
            self.writer.write("\r\n".join(lines).encode() + body)
            status, got, body = await asyncio.wait_for(self._answer(), CLIENT_TIMEOUT)
        except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
            self.close()
            raise Unknown() from None
        except BaseException:
            self.close()
            raise
        if status in (503, 429):
            raise NotDone()
        if status == 504:
            raise Unknown()
        return status, got, body


def tag(headers):
    return int(headers["etag"].strip('"')) if "etag" in headers else 0


class History:
    def __init__(self):
        self.lines, self.counts, self.values = [], collections.Counter(), 0

    def new_value(self):
        self.values += 1
        return self.values

    def add(self, client, key, kind, invoked, outcome, value=0, expected=0, revision=0):
        returned = "-" if outcome == "?" else now()
        self.counts[kind + " " + outcome] += 1
        self.lines.append("%d %d %s %d %s %s %d %d %d" % (
            client, key, kind, invoked, returned, outcome, value, expected, revision))

    def done(self, kinds=("put", "cas", "delete")):
        return sum(self.counts[kind + " ok"] for kind in kinds)


class Client:
    """One operation at a time; everything that was asked and answered goes into the history."""

    def __init__(self, client_id, history):
        self.id, self.history = client_id, history
        self.seen = {}  # key: the revision last heard of

    async def _ask(self, connection, op, method, body=b"", headers=()):
        """op: (key, kind, value, expected). The answer, or None if the history has all there is."""
        key, kind, value, expected = op
        invoked = now()
        try:
            return invoked, await connection.request(method, "/kv/k%d" % key, body, headers)
        except NotDone:
            self.history.counts[kind + " not done"] += 1
        except (Unknown, asyncio.CancelledError) as error:
            self.history.add(self.id, key, kind, invoked, "?", value, expected)
            if isinstance(error, asyncio.CancelledError):
                raise
        return None

    async def read(self, connection, key):
        answer = await self._ask(connection, (key, "read", 0, 0), "GET")
        if answer is None:
            return False
        invoked, (status, headers, body) = answer
        assert status in (200, 404), (status, body)
        value = int(body) if status == 200 else 0
        self.seen[key] = tag(headers)
        self.history.add(self.id, key, "read", invoked, "ok", value, 0, tag(headers))
        return True

    async def put(self, connection, key):
        value = self.history.new_value()
        answer = await self._ask(connection, (key, "put", value, 0), "PUT", b"%d" % value)
        if answer is None:
            return False
        invoked, (status, headers, body) = answer
        assert status == 204, (status, body)
        self.seen[key] = tag(headers)
        self.history.add(self.id, key, "put", invoked, "ok", value, 0, tag(headers))
        return True

    async def cas(self, connection, key):
        value, expected = self.history.new_value(), self.seen.get(key, 0)
        condition = 'If-Match: "%d"' % expected if expected else "If-None-Match: *"
        answer = await self._ask(connection, (key, "cas", value, expected), "PUT", b"%d" % value, [condition])
        if answer is None:
            return
        invoked, (status, headers, body) = answer
        assert status in (204, 412), (status, body)
        self.seen[key] = tag(headers)
        self.history.add(self.id, key, "cas", invoked, "ok" if status == 204 else "no", value, expected, tag(headers))

    async def delete(self, connection, key):
        answer = await self._ask(connection, (key, "delete", 0, 0), "DELETE")
        if answer is None:
            return
        invoked, (status, headers, body) = answer
        assert status in (204, 404), (status, body)
        self.seen[key] = 0
        revision = int(headers["x-floe-revision"]) if status == 204 else 0
        self.history.add(self.id, key, "delete", invoked, "ok" if status == 204 else "no", 0, 0, revision)


class Chaos:
    def __init__(self, cluster, network):
        self.cluster, self.network = cluster, network
        self.random = random.Random(SEED)
        self.history = History()
        self.stopped = set()
        self.probes = set()
        self.next_client = CLIENTS

    # ---- load

    async def load(self, index):
        """Two clients a member, so that the others go on where one does not answer."""
        choice = random.Random(SEED * 100 + index)
        client = Client(index, self.history)
        nodes = list(self.cluster.nodes.values())
        home = nodes[index % len(nodes)]
        connections = {n.id: Connection(n.http_port) for n in nodes}
        try:
            while True:
                node = home if home.process is not None else choice.choice(nodes)
                kind = choice.choices((client.read, client.put, client.cas, client.delete), (35, 25, 28, 12))[0]
                await kind(connections[node.id], choice.randrange(KEYS))
                await asyncio.sleep(0.004)
        finally:
            for connection in connections.values():
                connection.close()

    async def probe(self, node):
        """One request by a client of its own: not held up by what others wait for."""
        self.next_client += 1
        client, connection = Client(self.next_client, self.history), Connection(node.http_port)
        kind = self.random.choices((client.read, client.put, client.cas, client.delete), (60, 20, 10, 10))[0]
        try:
            await kind(connection, self.random.randrange(KEYS))
        finally:
            connection.close()

    async def probe_all(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for node in self.cluster.up():
                task = asyncio.ensure_future(self.probe(node))
                self.probes.add(task)
                task.add_done_callback(self.probes.discard)
            await asyncio.sleep(0.1)

    # ---- faults

    async def leader(self):
        """Whom the highest term has: a member that is cut off may think that it still leads."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            up = [n for n in self.cluster.up() if n.id not in self.stopped]
            states = await asyncio.gather(*[asyncio.to_thread(n.health) for n in up])
            leaders = [(s["term"], n.id) for n, s in zip(up, states) if s["role"] == "leader"]
            if leaders:
                return self.cluster.nodes[max(leaders)[1]]
            await asyncio.sleep(0.05)
        raise AssertionError("no leader within 20 s")

    async def kill(self, node):
        node.kill()
        await asyncio.sleep(self.random.uniform(0.5, 1.5))
        node.start(wait=False)
        await asyncio.to_thread(wait_for, "node %d to serve" % node.id, node.serves, 20)

    async def stop(self, node):
        node.process.send_signal(signal.SIGSTOP)
        self.stopped.add(node.id)
        await self.probe_all(STOPPED)
        node.process.send_signal(signal.SIGCONT)
        self.stopped.discard(node.id)

    async def cut(self, pairs, seconds):
        self.network.cut(pairs, reset=self.random.random() < 0.5)
        await self.probe_all(seconds)
        self.network.heal(pairs)

    def pairs(self, node, ways):
        others = [n.id for n in self.cluster.nodes.values() if n is not node]
        out, into = [(node.id, i) for i in others], [(i, node.id) for i in others]
        return {"out": out, "in": into, "both": out + into}[ways]

    async def act_kill_leader(self):
        await self.kill(await self.leader())

    async def act_stop_leader(self):
        await self.stop(await self.leader())

    async def act_leader_alone(self):
        await self.cut(self.pairs(await self.leader(), "both"), 2)

    async def act_leader_unheard(self):
        await self.cut(self.pairs(await self.leader(), "out"), 2)

    async def act_leader_deaf(self):
        await self.cut(self.pairs(await self.leader(), "in"), 2)

    async def act_two_apart(self):
        a, b = self.random.sample(sorted(self.cluster.nodes), 2)
        await self.cut([(a, b), (b, a)], 1.2)

    async def act_all_at_once(self):
        leader = await self.leader()
        first, second = self.random.sample([n for n in self.cluster.nodes.values() if n is not leader], 2)
        await asyncio.gather(self.stop(leader), self.kill(first),
                             self.cut(self.pairs(second, self.random.choice(("in", "out", "both"))), 1.5))

    async def acts(self):
        """All of them once, in random order but the worst last; then again, while there is time."""
        deadline = time.monotonic() + SECONDS
        one_by_one = [self.act_kill_leader, self.act_stop_leader, self.act_leader_alone,
                      self.act_leader_unheard, self.act_leader_deaf, self.act_two_apart]
        while True:
            self.random.shuffle(one_by_one)
            for act in one_by_one + [self.act_all_at_once]:
                begin, done = time.monotonic(), self.history.done()
                await act()
                print("  %-20s %.1f s, %d writes done" % (
                    act.__name__[4:], time.monotonic() - begin, self.history.done() - done), flush=True)
                await asyncio.sleep(0.3)
                if time.monotonic() > deadline:
                    return

    # ---- the end

    async def until_done(self, what):
        deadline = time.monotonic() + 20
        while not await what():
            assert time.monotonic() < deadline, "no answer within 20 s after all faults"
            await asyncio.sleep(0.1)

    async def afterwards(self):
        """All is healed: every member writes, and reads every key."""
        for node in self.cluster.nodes.values():
            self.next_client += 1
            client, connection = Client(self.next_client, self.history), Connection(node.http_port)
            await self.until_done(lambda: client.put(connection, self.random.randrange(KEYS)))
            for key in range(KEYS):
                await self.until_done(lambda: client.read(connection, key))
            connection.close()

    async def run(self):
        clients = [asyncio.ensure_future(self.load(i)) for i in range(CLIENTS)]
        acts = asyncio.ensure_future(self.acts())
        try:
            done, _ = await asyncio.wait([acts, *clients], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # a client never ends in good order
            await self.afterwards()
        finally:
            pending = [acts, *clients, *self.probes]
            while pending:  # wait_for of Python 3.11 can lose a cancellation
                for task in pending:
                    task.cancel()
                _, pending = await asyncio.wait(pending, timeout=0.5)


def judge(lines):
    r = subprocess.run([LINEAR], input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120)
    return r.returncode, (r.stdout + r.stderr).strip()


def spoil(lines):
    """The history with one lie: the last read of a value sees one that was overwritten long before."""
    reads = [line.split() for line in lines if " read " in line and " ok " in line and not line.endswith(" 0 0")]
    last = max(reads, key=lambda words: int(words[3]))
    old = min((words for words in reads if words[1] == last[1]), key=lambda words: int(words[4]))
    assert old[6] != last[6], "a key that was written once only"
    return [line if line.split() != last else " ".join(last[:6] + old[6:]) for line in lines]


async def run(cluster):
    network = await Network({n.id: n.peer_port for n in cluster.nodes.values()}).open()
    try:
        members = [(i, "http://127.0.0.1:%d" % port) for i, port in sorted(network.ports.items())]
        for n in cluster.nodes.values():
            advertise = {"advertise": '"127.0.0.1:%d"' % network.ports[n.id]}
            n.write_conf(members, extra={"peer": advertise, "limits": {"request_timeout_ms": 1500}}, snapshot_entries=500)
        await asyncio.to_thread(cluster.start)
        chaos = Chaos(cluster, network)
        await chaos.run()
        return chaos.history
    finally:
        await network.close()


def test_everything_fails_and_the_history_is_linearizable():
    print("  FLOE_CHAOS_SEED=%d" % SEED, flush=True)
    with Cluster() as c:
        history = asyncio.run(run(c))
        print("  " + ", ".join("%s %d" % item for item in sorted(history.counts.items())))
        path = os.path.join(c.dir, "history.txt")
        with open(path, "w") as f:
            f.write("\n".join(history.lines) + "\n")
        status, text = judge(history.lines)
        assert status == 0, "%s\nseed %d; the history is in %s" % (text, SEED, path)
        assert history.done() > 200 and history.counts["read ok"] > 100, history.counts
        status, text = judge(spoil(history.lines))
        assert status == 1, "a stale read in it was not noticed: " + text


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # stopped members end, too
    main(sys.modules[__name__])
