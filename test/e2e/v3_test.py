"""etcd's v3 JSON API against real clusters, as its clients use it: sockets, chunks, several members.

What one call answers, byte by byte, is in test/unit/api/v3_test.c; here is what needs processes. The
numbers of traps are those of the list that clients of the gateway taught.
"""
import base64
import http.client
import json
import os
import socket
import sys
import threading
import time

from harness import Cluster, main, wait_for


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def post(node, path, body=None, headers=None, timeout=20):
    """(status, JSON)"""
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    r = node.request("POST", "/v3/" + path, data, headers, timeout=timeout)
    assert r.headers["Content-Type"] == "application/json", r.headers
    return r.status, json.loads(r.body)


def good(node, path, body=None):
    status, answer = post(node, path, body)
    assert status == 200, (path, body, status, answer)
    return answer


def put(node, key, value, **more):
    return int(good(node, "kv/put", dict({"key": b64(key), "value": b64(value)}, **more))["header"]["revision"])


def get(node, key, **more):
    kvs = good(node, "kv/range", dict({"key": b64(key)}, **more)).get("kvs", [])
    return base64.b64decode(kvs[0].get("value", "")).decode() if kvs else None


class Stream:
    """A request whose answer goes on: the head, then raw chunks."""

    def __init__(self, node, path, body):
        self.socket = socket.create_connection(("127.0.0.1", node.http_port), timeout=15)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.socket.sendall(b"POST /v3/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s"
                            % (path.encode(), len(data), data))
        self.file = self.socket.makefile("rb")
        self.status = None

    def head(self):
        self.status = int(self.file.readline().split()[1])
        while self.file.readline().strip():
            pass

    def chunk(self):
        """The next one, or b"" at the end."""
        if self.status is None:
            self.head()
        size = int(self.file.readline(), 16)
        data = self.file.read(size)
        self.file.readline()
        return data

    def message(self):
        data = self.chunk()
        assert data.endswith(b"\n") and data.count(b"\n") == 1, data  # trap 6
        return json.loads(data)["result"]

    def events(self, count):
        found = []
        while len(found) < count:
            found += self.message().get("events", [])
        return found

    def close(self):
        self.file.close()
        self.socket.close()


def test_14_15_a_write_is_read_at_every_member_and_names_its_revision():
    with Cluster() as c:
        c.start()
        nodes = list(c.nodes.values())
        for i in range(60):
            writer, reader = nodes[i % 3], nodes[(i + 1) % 3]
            revision = put(writer, "k", str(i))
            answer = good(reader, "kv/range", {"key": b64("k")})
            assert base64.b64decode(answer["kvs"][0]["value"]).decode() == str(i)
            assert int(answer["kvs"][0]["mod_revision"]) == revision


def test_16_compare_and_swap_at_all_members_loses_nothing():
    with Cluster() as c:
        c.start()
        nodes = list(c.nodes.values())
        put(nodes[0], "n", "0")
        failures = []

        def increment(node, times):
            done = 0
            while done < times:
                kv = good(node, "kv/range", {"key": b64("n")})["kvs"][0]
                value = int(base64.b64decode(kv["value"]))
                answer = good(node, "kv/txn", {
                    "compare": [{"key": b64("n"), "target": "MOD", "mod_revision": kv["mod_revision"]}],
                    "success": [{"request_put": {"key": b64("n"), "value": b64(str(value + 1))}}]})
                done += 1 if answer.get("succeeded") else 0

        def work(node):
            try:
                increment(node, 40)
            except Exception as error:  # told by the main thread
                failures.append(error)

        def refuse(node):
            """Transactions that are refused for a read: on every member, or they would part."""
            for _ in range(40):
                status, _ = post(node, "kv/txn", {"success": [
                    {"request_put": {"key": b64("n"), "value": b64("-1")}},
                    {"request_range": {"key": b64("n"), "revision": 10 ** 9}}]})
                if status != 400:
                    failures.append(status)

        threads = [threading.Thread(target=work, args=(n,)) for n in nodes]
        threads += [threading.Thread(target=refuse, args=(n,)) for n in nodes]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not failures, failures
        assert [get(n, "n") for n in nodes] == ["120"] * 3
        hashes = wait_for("equal hashes", lambda: (lambda h: h if len(set(h)) == 1 else None)(
            [(a["header"]["revision"], a["hash"]) for a in (good(n, "maintenance/hash") for n in nodes)]))
        assert len(hashes) == 3


def test_3_18_24_forms_of_requests_on_one_connection():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        conn = http.client.HTTPConnection("127.0.0.1", n.http_port, timeout=10)

        def ask(method, path, body, headers):
            conn.request(method, path, body, headers)
            r = conn.getresponse()
            return r.status, r.read()

        body = json.dumps({"key": b64("a"), "value": b64("1")}).encode()
        for headers in ({}, {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "text/plain"}):
            assert ask("POST", "/v3/kv/put", body, headers)[0] == 200, headers
        ours = conn.sock
        status, text = ask("GET", "/version", b"{}", {"Content-Length": "2"})  # trap 3
        assert status == 200 and json.loads(text)["etcdserver"] == "3.4.23", text
        assert json.loads(text)["floe"]
        for bad, status in ((b"{", 400), (b"nonsense", 400), (b'{"key":""}', 400), (b"", 400)):
            assert ask("POST", "/v3/kv/range", bad, {})[0] == status, bad  # trap 24
        assert ask("POST", "/v3/auth/authenticate", b'{"name":"r","password":"p"}', {})[0] == 412  # trap 12
        assert ask("POST", "/v3/kv/put", body.replace(b"==", b"=="), {})[0] == 200
        assert ask("POST", "/v3/kv/put", b'{"key":"Yg==","value":"\\/\\/\\/\\/"}', {})[0] == 200  # trap 17
        assert conn.sock is ours, "the connection was closed"
        with socket.create_connection(("127.0.0.1", n.http_port), timeout=10) as s:
            big = json.dumps({"key": b64("big"), "value": b64(b"x" * 200000)}).encode()
            s.sendall(b"POST /v3/kv/put HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(big))
            assert s.recv(100).startswith(b"HTTP/1.1 100")
            s.sendall(big)
            assert s.recv(100).startswith(b"HTTP/1.1 200")
        assert len(get(n, "big")) == 200000


def test_1_2_4_20_22_leases_at_any_member():
    with Cluster() as c:
        c.start()
        for n in c.nodes.values():
            lease = good(n, "lease/grant", {"TTL": 1, "ID": 2 ** 62 + n.id})
            assert lease["ID"] == str(2 ** 62 + n.id) and int(lease["TTL"]) >= 2, lease
        nodes = list(c.nodes.values())
        lease = 2 ** 62 + 1
        put(nodes[1], "leased", "x", lease=lease)
        s = Stream(nodes[2], "lease/keepalive", {"ID": lease})
        assert int(s.message()["TTL"]) >= 2
        assert s.chunk() == b""
        s.close()
        s = Stream(nodes[2], "lease/keepalive", b'{"ID":404}')
        assert "TTL" not in s.message() and s.chunk() == b""
        s.close()
        left = good(nodes[0], "kv/lease/timetolive", {"ID": lease, "keys": True})
        assert left["keys"] == [b64("leased")] and int(left["TTL"]) >= 0
        watch = Stream(nodes[0], "watch", {"create_request": {"key": b64("leased")}})
        assert watch.message()["created"]
        begin = time.monotonic()
        assert watch.events(1)[0]["type"] == "DELETE"
        assert time.monotonic() - begin < 8
        watch.close()
        assert good(nodes[0], "lease/timetolive", {"ID": lease})["TTL"] == "-1"
        assert get(nodes[2], "leased") is None


def test_6_7_watch_while_every_member_writes():
    with Cluster() as c:
        c.start()
        nodes = list(c.nodes.values())
        watches = [Stream(n, "watch", {"create_request": {"key": b64("w/"), "range_end": b64("w0")}}) for n in nodes]
        for w in watches:
            assert w.message()["created"] and w.status == 200
        revisions = [put(nodes[i % 3], "w/%d" % (i % 7), "v%d" % i) for i in range(90)]
        for w in watches:
            assert [int(e["kv"]["mod_revision"]) for e in w.events(90)] == revisions
            w.close()
        past = Stream(nodes[2], "watch", {"create_request": {
            "key": b64("w/"), "range_end": b64("w0"), "start_revision": str(revisions[10])}})
        assert past.message()["created"]
        assert [int(e["kv"]["mod_revision"]) for e in past.events(80)] == revisions[10:]
        past.close()


def test_19_21_silent_and_closed_watches():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        silent = [Stream(n, "watch", body) for body in (b"", b"{}", b'{"nonsense":1}')]
        for _ in range(50):
            s = Stream(n, "watch", {"create_request": {"key": b64("a")}})
            assert s.message()["created"]
            s.close()

        def watchers():
            text = n.request("GET", "/metrics").body.decode()
            return int(text.split("\netcd_debugging_mvcc_watcher_total ")[1].split("\n")[0])

        wait_for("closed watches to be freed", lambda: watchers() == 0, 10)
        half = Stream(n, "watch", {"create_request": {"key": b64("a")}})
        assert half.message()["created"]
        half.socket.shutdown(socket.SHUT_WR)
        wait_for("a half-closed watch to be freed", lambda: watchers() == 0, 10)
        put(n, "a", "1")
        assert get(n, "a") == "1"
        for s in silent + [half]:
            s.close()


class WebSocket:
    def __init__(self, node, path):
        self.socket = socket.create_connection(("127.0.0.1", node.http_port), timeout=15)
        self.socket.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" % path)
        self.file = self.socket.makefile("rb")
        assert b" 101 " in self.file.readline()
        while self.file.readline().strip():
            pass

    def say(self, value):
        data = json.dumps(value).encode()
        assert len(data) < 126
        mask = b"abcd"
        self.socket.sendall(bytes([0x81, 0x80 | len(data)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data)))

    def hear(self):
        size = self.file.read(2)[1]
        if size == 126:
            size = int.from_bytes(self.file.read(2), "big")
        elif size == 127:
            size = int.from_bytes(self.file.read(8), "big")
        return json.loads(self.file.read(size))


def test_23_watch_over_a_websocket():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        ws = WebSocket(n, b"/v3/watch")
        for name in (11, 12):
            ws.say({"create_request": {"key": b64("ws%d" % name), "watch_id": name}})
            assert ws.hear()["result"]["watch_id"] == str(name)
        put(n, "ws12", "x")
        put(n, "ws11", "y")
        heard = [ws.hear()["result"] for _ in range(2)]
        assert sorted(h["watch_id"] for h in heard) == ["11", "12"], heard
        ws.say({"progress_request": {}})
        assert ws.hear()["result"]["watch_id"] == "-1"


def memory_mb(node):
    with open("/proc/%d/status" % node.process.pid) as f:
        return int([x for x in f if x.startswith("VmRSS")][0].split()[1]) // 1024


def test_websocket_watchers_that_do_not_read_cost_no_memory_and_miss_nothing():
    with Cluster(1) as c:
        # What is freed shall be gone, also where a sanitizer would keep it for a while.
        c.nodes[1].env["ASAN_OPTIONS"] = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"
        n = c.start().nodes[1]
        slow = [WebSocket(n, b"/v3/watch") for _ in range(20)]
        for ws in slow:
            ws.say({"create_request": {"key": b64("slow")}})
            assert ws.hear()["result"]["created"]
        put(n, "slow", "x" * 30000)
        before = memory_mb(n)
        for i in range(400):
            put(n, "slow", "%06d" % i + "x" * 30000)
        grown = memory_mb(n) - before
        # The store keeps 12 MB of them; 20 copies would be 320 MB. The sanitizers keep some back.
        print("    grown by %d MB" % grown)
        assert grown < 100, "%d MB" % grown
        numbers = []
        while len(numbers) < 401:
            for event in slow[7].hear()["result"]["events"]:
                numbers.append(base64.b64decode(event["kv"]["value"])[:6])
        assert numbers[1:] == [b"%06d" % i for i in range(400)]


def test_lock_passes_on_across_members():
    with Cluster() as c:
        c.start()
        nodes = list(c.nodes.values())
        leases = [good(n, "lease/grant", {"TTL": 30})["ID"] for n in nodes]
        held, order = [], []

        def hold(i):
            answer = good(nodes[i], "lock/lock", {"name": b64("l"), "lease": leases[i]})
            held.append(i)
            order.append(len(held))
            time.sleep(0.1)
            held.remove(i)
            good(nodes[(i + 1) % 3], "lock/unlock", {"key": answer["key"]})

        threads = [threading.Thread(target=hold, args=(i,)) for i in range(3)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(20)
        assert order == [1, 1, 1], order


def test_who_waits_and_goes_leaves_the_queue():
    with Cluster() as c:
        c.start()
        for i, n in enumerate(c.nodes.values()):
            name = {"name": b64("q%d" % i)}
            first = good(n, "lock/lock", name)
            waits = [Stream(n, "lock/lock", name) for _ in range(2)]
            waits.append(WebSocket(n, b"/v3/lock/lock"))
            waits[2].say(name)
            queue = {"key": b64("q%d/" % i), "range_end": b64("q%d0" % i), "count_only": True}
            wait_for("all wait", lambda: good(n, "kv/range", queue)["count"] == "4", 10)
            waits[0].socket.close()
            waits[0].file.close()
            waits[1].socket.shutdown(socket.SHUT_WR)
            waits[2].socket.close()
            waits[2].file.close()
            wait_for("who goes is out", lambda: good(n, "kv/range", queue)["count"] == "1", 10)
            waits[1].head()
            assert waits[1].status == 408
            waits[1].socket.close()
            good(n, "lock/unlock", {"key": first["key"]})
            good(n, "lock/lock", name)
            assert len(good(n, "lease/leases")["leases"]) == 2 + 2 * i, "leases of their own go too"


def test_13_members_and_their_urls_come_and_go():
    with Cluster(3) as c:
        c.start()
        n = c.followers()[0]

        def listed():
            found = good(n, "cluster/member/list")["members"]
            return found if all("clientURLs" in m for m in found) else None  # each tells its own when it connects

        members = wait_for("every member's URLs", listed, 10)
        assert [m["ID"] for m in members] == ["1", "2", "3"]
        for m in members:
            node = c.nodes[int(m["ID"])]
            assert m["clientURLs"] == ["http://127.0.0.1:%d" % node.http_port], m
            assert m["peerURLs"] == [node.peer_url]
        added = good(n, "cluster/member/add", {"peerURLs": ["http://127.0.0.1:9"], "isLearner": True})
        assert added["member"]["isLearner"] is True and len(added["members"]) == 4
        status, answer = post(n, "cluster/member/add", {"peerURLs": ["http://127.0.0.1:8"], "isLearner": True})
        assert (status, answer["code"]) == (412, 9), answer
        status, answer = post(n, "cluster/member/promote", {"ID": added["member"]["ID"]})
        assert (status, answer["code"]) == (412, 9), answer
        left = good(n, "cluster/member/remove", {"ID": added["member"]["ID"]})
        assert len(left["members"]) == 3


def test_without_a_leader_writes_fail_and_stale_reads_go_on():
    with Cluster(3) as c:
        c.start()
        leader = c.leader()
        put(leader, "k", "v")
        n, other = c.followers()
        wait_for("the value", lambda: get(n, "k", serializable=True) == "v")
        leader.kill()
        other.kill()
        begin = time.monotonic()
        status, answer = post(n, "kv/put", {"key": b64("k"), "value": b64("w")})
        assert (status, answer["code"], answer["error"]) == (500, 2, "context deadline exceeded"), answer
        assert time.monotonic() - begin < 8
        assert get(n, "k", serializable=True) == "v"
        s = Stream(n, "lease/keepalive", {"ID": 1})
        s.head()
        assert s.status == 503
        s.close()
        assert n.request("GET", "/health").status == 503
        assert json.loads(n.request("GET", "/health").body)["health"] == "false"
        assert "etcdserver: no leader" in good(n, "maintenance/status")["errors"]


def test_an_answer_may_be_larger_than_the_room_for_all():
    limits = {"value_bytes": 10000, "pending_bytes": 65536}
    with Cluster(1, extra={"limits": limits}) as c:
        n = c.start().nodes[1]
        for i in range(100):
            assert n.put("big/%02d" % i, b"v" * 5000).status == 204
        rows = {"key": b64("big/"), "range_end": b64("big0")}
        assert len(good(n, "kv/range", rows)["kvs"]) == 100
        assert len(good(n, "kv/range", dict(rows, sort_target="MOD"))["kvs"]) == 100
        for more in ([], [{"request_put": {"key": b64("x")}}]):
            answer = good(n, "kv/txn", {"success": [{"request_range": rows}] + more})
            assert len(answer["responses"][0]["response_range"]["kvs"]) == 100
        seen = []
        def ask():
            for _ in range(10):
                r = post(n, "kv/range", rows)
                assert r[0] in (200, 429), r
                assert r[0] == 200 or (r[1]["code"], r[1]["error"]) == (8, r[1]["message"]), r
                assert r[0] != 200 or len(r[1]["kvs"]) == 100
                seen.append(r[0])
        askers = [threading.Thread(target=ask) for _ in range(8)]
        for t in askers:
            t.start()
        for t in askers:
            t.join()
        assert len(seen) == 80 and 200 in seen
        r = n.request("POST", "/v3/kv/put", b"x" * 20_000_000)
        assert r.status == 429 and r.json()["code"] == 8, r.body
        assert n.request("POST", "/v3/kv/%zz", b"{}").json()["code"] == 3


def test_metrics_have_etcds_names():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        put(n, "a", "1")
        text = n.request("GET", "/metrics").body.decode()
        for line in ("etcd_server_has_leader 1", "etcd_server_is_leader 1", "etcd_mvcc_put_total 1",
                     "etcd_debugging_mvcc_keys_total 1", 'etcd_server_version{server_version="3.4.23"} 1',
                     'etcd_cluster_version{cluster_version="3.4"} 1'):
            assert "\n%s\n" % line in "\n" + text, line
        name = "etcd_disk_wal_fsync_duration_seconds"
        figures = dict(line.rsplit(" ", 1) for line in text.split("\n") if line.startswith(name))
        counts = [int(v) for k, v in figures.items() if "_bucket" in k]
        assert len(counts) == 15 and counts == sorted(counts), counts
        assert 0 < counts[-1] == int(figures[name + "_count"]) and float(figures[name + "_sum"]) > 0, figures


if __name__ == "__main__":
    main(sys.modules[__name__])
