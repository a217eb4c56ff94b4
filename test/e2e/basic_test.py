"""What a user does with curl, and every row of errors."""
import json
import socket
import subprocess
import sys
import tempfile

from harness import FLOED, Cluster, free_ports, main, wait_for


def test_write_on_any_node_is_read_on_every_node():
    with Cluster() as c:
        c.start()
        for n in c.nodes.values():
            r = n.put("from-%d" % n.id, b"value %d" % n.id)
            assert r.status == 204, (r.status, r.body)
            assert r.body == b""
            for m in c.nodes.values():
                got = m.get("from-%d" % n.id)
                assert (got.status, got.body) == (200, b"value %d" % n.id), (n.id, m.id, got.status)
                assert got.headers["Content-Type"] == "application/octet-stream"
                assert got.headers["X-Content-Type-Options"] == "nosniff"
                assert got.headers["ETag"] == r.headers["ETag"]


def test_write_answer_names_revision_term_and_index():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        a, b = n.put("a", b"1"), n.put("a", b"2")
        for h in ("X-Floe-Revision", "X-Floe-Term", "X-Floe-Index"):
            assert int(a.headers[h]) > 0, h
        assert int(b.headers["X-Floe-Revision"]) == int(a.headers["X-Floe-Revision"]) + 1
        assert int(b.headers["X-Floe-Index"]) > int(a.headers["X-Floe-Index"])
        assert b.headers["ETag"] == '"%s"' % b.headers["X-Floe-Revision"]


def test_keys_are_any_bytes_percent_decoded():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        for path in ("a%2Fb/c", "%00%ff", "%20", "with%20blank?&", "3", "ünï".encode().hex()):
            assert n.put(path, path.encode()).status == 204, path
            assert n.get(path).body == path.encode(), path
        assert n.get("a/b/c").body == b"a%2Fb/c"
        assert n.put("empty", b"").status == 204
        assert (n.get("empty").status, n.get("empty").body) == (200, b"")
        assert n.put("", b"x").status == 400
        assert n.put("bad%zz", b"x").status == 400


def test_conditions_are_decided_at_apply():
    with Cluster() as c:
        c.start()
        n = c.followers()[0]
        first = n.put("cas", b"1", {"If-None-Match": "*"})
        assert first.status == 204
        again = n.put("cas", b"2", {"If-None-Match": "*"})
        assert again.status == 412 and again.headers["ETag"] == first.headers["ETag"]
        wrong = n.put("cas", b"3", {"If-Match": '"999999"'})
        assert wrong.status == 412 and wrong.headers["ETag"] == first.headers["ETag"]
        right = n.put("cas", b"4", {"If-Match": first.headers["ETag"]})
        assert right.status == 204
        assert n.get("cas").body == b"4"
        assert n.put("none", b"x", {"If-Match": '"1"'}).status == 412
        for bad in ("1", '"x"', 'W/"1"', '"1", "2"'):
            assert n.put("cas", b"x", {"If-Match": bad}).status == 400, bad


def test_health_livez_readyz_status_version_have_their_shape():
    with Cluster() as c:
        leader = c.start().leader()
        h = leader.request("GET", "/health")
        text = h.body.decode()
        keys = list(json.loads(text).keys())
        assert keys == ["health", "id", "role", "term", "leader", "commit", "applied"], text
        j = h.json()
        assert j["health"] == "true" and j["role"] == "leader" and j["leader"] == j["id"] == leader.id
        assert c.followers()[0].health()["role"] == "follower"
        assert leader.request("GET", "/livez").status == 200
        wait_for("ready", lambda: all(n.request("GET", "/readyz").status == 200 for n in c.up()))
        wait_for("names are published",
                 lambda: all(m["name"] for n in c.up() for m in n.status()["members"]))
        s = leader.status()
        assert len(s["members"]) == 3, s
        assert leader.request("GET", "/version").json()["floe"]
        for path in ("/health", "/livez", "/readyz", "/status", "/version"):
            assert leader.request("HEAD", path).status == 200, path
            r = leader.request("POST", path, b"")
            assert r.status == 400 and "/kv/" in r.json()["error"], (path, r.status)


def test_error_rows():
    with Cluster(1, extra={"limits": {"key_bytes": 64, "value_bytes": 1000, "body_bytes": 4096}}) as c:
        n = c.start().nodes[1]
        rows = [
            ("GET", "/missing", None, 404), ("HEAD", "/missing", None, 404),
            ("GET", "/x?consistency=never", None, 400),
            ("PUT", "/health", b"x", 400), ("PUT", "/txn", b"x", 400),
            ("PUT", "/" + "k" * 65, b"x", 414), ("PUT", "/k", b"x" * 1001, 413), ("PUT", "/k", b"x" * 5000, 413),
            ("POST", "/abc", b"http://127.0.0.1:1", 400), ("POST", "/0", b"http://127.0.0.1:1", 400),
            ("POST", "/18446744073709551616", b"http://127.0.0.1:1", 400),
            ("POST", "/18446744073709551615", b"http://127.0.0.1:1", 400),
            ("POST", "/04", b"http://127.0.0.1:1", 400), ("DELETE", "/01", None, 400),
            ("POST", "/7", b"nonsense", 400), ("POST", "/7", b"", 400),
            ("POST", "/1", b"http://127.0.0.1:1", 409),
            ("DELETE", "/abc", None, 400), ("DELETE", "/9", None, 404),
            ("PATCH", "/k", b"x", 405), ("OPTIONS", "/k", None, 405),
        ]
        for method, path, body, status in rows:
            r = n.request(method, path, body)
            assert r.status == status, (method, path, r.status, r.body)
            if method != "HEAD":
                j = r.json()
                assert set(j) == {"error", "code"} and j["code"] == j["code"].lower(), j
            if status == 405:
                assert r.headers["Allow"]
        assert "/kv/" in n.request("POST", "/abc", b"x").json()["error"]
        assert n.request("DELETE", "/1").status in (400, 409)  # the last voter
        assert n.get("k").status == 404  # nothing of it was stored


def raw(port, data, seconds=5):
    s = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    s.sendall(data)
    got = b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                break
            got += more
    except socket.timeout:
        pass
    s.close()
    return got


def test_pipelined_requests_are_answered_in_order():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        data = b""
        for i in range(50):
            data += b"PUT /p%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n%03d" % (i, i)
            data += b"GET /p%d HTTP/1.1\r\nHost: x\r\n\r\n" % i
        data += b"GET /p0 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        got = raw(n.http_port, data, 10)
        assert got.count(b"HTTP/1.1 204") == 50, got[:500]
        assert got.count(b"HTTP/1.1 200") == 51
        at = 0
        for i in range(50):
            at = got.index(b"\r\n\r\n%03d" % i, at)


def test_malformed_requests_are_refused():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        for head in (b"Content-Length: 3\r\nContent-Length: 3\r\n", b"Content-Length: +3\r\n",
                     b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n"):
            got = raw(n.http_port, b"PUT /m HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\nabc", 15)
            assert got.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), (head, got[:200])
        for chunk in (b"zz\r\n", b"-3\r\nabc\r\n", b"3;a=b\r\nabc\r\n"):
            got = raw(n.http_port, b"PUT /m HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk, 15)
            assert got.startswith(b"HTTP/1.1 400") and b"bad_chunk" in got, (chunk, got[:200])
        for start in (b"GET /m HTTP/1.1\r\n", b"GET /m n HTTP/1.1\r\nHost: x\r\n"):
            got = raw(n.http_port, start + b"\r\n", 15)
            assert got.startswith(b"HTTP/1.1 400"), (start, got[:200])
        assert n.get("m").status == 404


def test_many_clients_that_leave_early_do_no_harm():
    """A client that disconnects while its proposal waits, also without a leader."""
    with Cluster() as c:
        c.start()
        followers = c.followers()
        followers[0].kill()
        c.leader().kill()
        alone = followers[1]
        for i in range(20):
            s = socket.create_connection(("127.0.0.1", alone.http_port))
            s.sendall(b"PUT /gone%d HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx" % i)
            s.sendall(b"GET /gone HTTP/1.1\r\n")
            s.close()
        assert alone.request("GET", "/livez").status == 200
        for n in c.nodes.values():
            if n.process is None:
                n.start()
        c.leader()
        assert alone.put("after", b"1").status == 204
        wait_for("leftovers are gone", lambda: alone.request("GET", "/livez").status == 200)


def test_without_leader_requests_wait_and_then_fail_truthfully():
    with Cluster(extra={"limits": {"request_timeout_ms": 1500}}) as c:
        c.start()
        survivor = c.followers()[0]
        survivor.put("before", b"1")
        for n in c.up():
            if n is not survivor:
                n.kill()
        wait_for("no leader", lambda: survivor.health()["leader"] == 0)
        for method, body in (("PUT", b"x"), ("GET", None)):
            r = survivor.request(method, "/before", body)
            assert r.status == 503 and r.headers["Retry-After"], (method, r.status, r.body)
        stale = survivor.request("GET", "/before?consistency=stale")
        assert (stale.status, stale.body) == (200, b"1")
        h = survivor.request("GET", "/health")
        assert h.status == 503 and h.json()["health"] == "false" and h.json()["leader"] == 0
        assert survivor.request("GET", "/livez").status == 200
        assert survivor.request("GET", "/readyz").status == 503
        r = survivor.request("POST", "/9", b"http://127.0.0.1:9")
        assert r.status == 503, r.status


def test_write_whose_fate_is_not_known_is_504():
    with Cluster(extra={"limits": {"request_timeout_ms": 1500}}) as c:
        c.start()
        leader = c.leader()
        for n in c.followers():
            n.kill()
        r = leader.put("fate", b"1")  # in the leader's log, and nowhere else
        assert r.status == 504 and r.code(), (r.status, r.body)
        for n in c.nodes.values():
            if n.process is None:
                n.start()
        assert c.leader().put("after", b"1").status == 204


def test_request_that_finds_no_leader_waits_for_one():
    with Cluster() as c:
        c.start()
        c.leader().kill()
        n = c.up()[0]
        r = n.put("patient", b"1")
        assert r.status in (204, 504), (r.status, r.body)
        assert n.put("patient2", b"1").status == 204


def test_defaults_serve_a_single_member_and_command_line():
    with tempfile.TemporaryDirectory() as d:
        for flag in ("--version", "--help"):
            assert subprocess.run([FLOED, flag], cwd=d, capture_output=True).returncode == 0
        assert subprocess.run([FLOED, "--nonsense"], cwd=d, capture_output=True).returncode == 1
        assert subprocess.run([FLOED, "--check-config"], cwd=d, capture_output=True).returncode == 0
        with open(d + "/bad.toml", "w") as f:
            f.write('id = 1\n\nwhat = "this"\n')
        r = subprocess.run([FLOED, "--config", "bad.toml", "--check-config"], cwd=d, capture_output=True, text=True)
        assert r.returncode == 1 and r.stderr.startswith("bad.toml:3: "), r.stderr


def test_log_says_how_syncs_are_done():
    for setting in ("inline", "auto"):
        with Cluster(1, extra={"storage": {"sync": '"%s"' % setting}}) as c:
            n = c.start().nodes[1]
            assert n.put("k", b"v").status == 204
            lines = [line for line in n.log().splitlines() if "syncs of the log by=" in line]
            assert len(lines) == 1, lines
            assert 'by="inline"' in lines[0] if setting == "inline" else "inline (no" in lines[0] or "io_uring" in lines[0]


def test_uring_is_used_or_refused():
    with Cluster(1, extra={"storage": {"sync": '"uring"'}}) as c:
        n = c.nodes[1].start(wait=False)
        wait_for("a line about syncs or the end", lambda: "syncs of the log by=" in n.log() or n.process.poll() is not None)
        if n.process.poll() is None:
            assert 'syncs of the log by="io_uring"' in n.log(), n.log()
        else:
            assert n.wait_exit() == 1 and "io_uring does not work here" in n.log(), n.log()


def test_directory_of_another_member_or_cluster_or_process_is_refused():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        second = subprocess.run([FLOED, "--config", n.conf_path], capture_output=True, text=True, timeout=20)
        assert second.returncode == 1 and "another process" in second.stderr, second.stderr
        n.terminate()
        text = open(n.conf_path).read()
        port = free_ports(1)[0]
        for change in (("id = 1", "id = 2"), ('name = "e2e"', 'name = "other"')):
            with open(n.conf_path, "w") as f:
                f.write(text.replace(*change).replace('"1=', '"2=' if "id" in change[0] else '"1='))
            r = subprocess.run([FLOED, "--config", n.conf_path], capture_output=True, text=True, timeout=20)
            assert r.returncode == 1 and "belongs to" in r.stderr, r.stderr
        assert port


if __name__ == "__main__":
    main(sys.modules[__name__])
