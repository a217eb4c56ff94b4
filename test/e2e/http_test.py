"""HTTP as the protocol: every route of the table, with real processes."""
import base64
import http.client
import json
import sys
import time
import urllib.parse

from harness import Cluster, main, wait_for


class Watch:
    """A stream of server-sent events or of JSON lines."""

    def __init__(self, node, path, headers=None, timeout=15):
        self.connection = http.client.HTTPConnection("127.0.0.1", node.http_port, timeout=timeout)
        self.connection.request("GET", path, headers=headers or {})
        self.response = self.connection.getresponse()
        self.status = self.response.status

    def line(self):
        return json.loads(self.response.readline())

    def event(self):
        """The next event that has data: (id or None, name, data)."""
        number = name = data = None
        while True:
            line = self.response.readline().decode()
            assert line, "the stream has ended"
            if line.startswith("id: "):
                number = int(line[4:])
            elif line.startswith("event: "):
                name = line[7:-1]
            elif line.startswith("data: "):
                data = json.loads(line[6:])
            elif line == "\n":
                if data is not None:
                    return number, name, data
                number = None  # that of the beginning, or of a heartbeat

    def close(self):
        self.connection.close()
        self.response.close()


def post(node, path, value, headers=None, method="POST"):
    return node.request(method, path, json.dumps(value), headers)


def lines(response):
    return [json.loads(line) for line in response.body.splitlines()]


# ---- keys ------------------------------------------------------------------------------------------

def test_key_has_one_resource_under_two_names():
    with Cluster() as c:
        c.start()
        for n in c.nodes.values():
            put = n.put("kv/a", b"one %d" % n.id)
            root, long = n.get("a"), n.get("kv/a")
            assert root.body == long.body == b"one %d" % n.id
            for h in ("ETag", "X-Floe-Revision", "X-Floe-Lease", "Content-Type"):
                assert root.headers[h] == long.headers[h], h
            assert root.headers["ETag"] == put.headers["ETag"] == '"%s"' % put.headers["X-Floe-Revision"]
            assert int(root.headers["X-Floe-Revision"]) >= int(put.headers["X-Floe-Revision"])
            assert n.get("kv/a", headers={"If-None-Match": root.headers["ETag"]}).status == 304
            head = n.request("HEAD", "/kv/a")
            assert head.headers["Content-Length"] == "5" and head.headers["ETag"] == root.headers["ETag"]


def test_past_revisions_are_read():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        first = int(n.put("a", b"1").headers["X-Floe-Revision"])
        second = int(n.put("a", b"2").headers["X-Floe-Revision"])
        n.request("DELETE", "/kv/a")
        assert n.get("a?revision=%d" % first).body == b"1"
        assert n.get("kv/a?revision=%d" % second).body == b"2"
        assert n.get("a").status == 404
        future = n.get("a?revision=%d" % (second + 100))
        assert (future.status, future.code()) == (400, "future_revision")
        assert n.get("a?revision=x").code() == "bad_number"


def test_stale_read_tells_its_age():
    with Cluster() as c:
        c.start().leader().put("a", b"1")
        n = c.followers()[0]
        assert n.get("a").status == 200
        def known():
            r = n.get("a?consistency=stale")
            return r.status == 200 and r.headers["X-Floe-Age"] != "unknown" and r
        r = wait_for("an age", known)
        assert 0 <= int(r.headers["X-Floe-Age"]) < 5000 and r.body == b"1"
        assert n.get("a?consistency=stale&max_stale_ms=60000").headers["X-Floe-Age"] is not None
        assert n.get("a?consistency=stale&max_stale_ms=0").status == 200
        # alone it cannot confirm anything: what is too old is no answer
        for other in [m for m in c.up() if m is not n]:
            other.kill()
        time.sleep(1)
        assert n.get("a?consistency=stale&max_stale_ms=10").status in (503, 504)
        r = n.get("a?consistency=stale")
        assert r.status == 200 and (r.headers["X-Floe-Age"] == "unknown" or int(r.headers["X-Floe-Age"]) > 300)


def test_key_with_a_lease_goes_with_it():
    with Cluster() as c:
        n = c.start().followers()[0]
        granted = post(n, "/leases", {"ttl": 60})
        assert granted.status == 201, granted.body
        lease = granted.json()
        assert lease["ttl"] == 60 and granted.headers["Location"] == "/leases/%d" % lease["id"]
        put = n.put("a?lease=%d" % lease["id"], b"1")
        assert put.status == 204 and put.headers["X-Floe-Lease"] == str(lease["id"])
        assert n.get("a").headers["X-Floe-Lease"] == str(lease["id"])
        look = n.request("GET", "/leases/%d" % lease["id"]).json()
        assert look["ttl"] == 60 and 50000 < look["remaining_ms"] <= 60000 and look["keys"] == [{"key": "a"}]
        for path in ("/leases/%d", "/leases/%d/keepalive"):
            kept = n.request("POST", path % lease["id"])
            assert kept.status == 200 and kept.json()["ttl"] == 60, kept.body
        assert lease["id"] in [x["id"] for x in n.request("GET", "/leases").json()["leases"]]
        assert n.request("DELETE", "/leases/%d" % lease["id"]).status == 204
        assert n.get("a").status == 404
        assert n.request("DELETE", "/leases/%d" % lease["id"]).code() == "lease_not_found"
        assert n.request("POST", "/leases/%d" % lease["id"]).code() == "lease_not_found"
        assert n.put("b?lease=77", b"1").code() == "lease_not_found"
        mine = post(n, "/leases", {"ttl": 60, "id": 5})
        assert mine.json()["id"] == 5 and post(n, "/leases", {"ttl": 60, "id": 5}).code() == "lease_exists"


def test_key_with_a_ttl_ends_by_itself():
    with Cluster() as c:
        n = c.start().followers()[0]
        watch = Watch(n, "/kv/short?watch")
        put = n.put("short?ttl=1", b"1")
        assert put.status == 204 and int(put.headers["X-Floe-Lease"]) > 0
        begin = time.monotonic()
        assert watch.event()[1] == "put"
        number, name, data = watch.event()
        assert name == "delete" and data["key"] == "short" and number == data["revision"]
        assert 0.9 < time.monotonic() - begin < 10
        assert n.get("short").status == 404
        assert n.put("x?ttl=0", b"").code() == "bad_ttl"
        assert n.put("x?ttl=5&lease=5", b"").code() == "bad_lease"
        assert n.put("x?ttl=5", b"", {"If-Match": '"1"'}).status == 412
        watch.close()


def test_idempotency_key_makes_a_retry_safe():
    with Cluster() as c:
        n, other = c.start().followers()
        key = {"Idempotency-Key": "order-17"}
        assert n.request("GET", "/tx/order-17").code() == "tx_unknown"
        first = n.put("a", b"1", key)
        n.put("a", b"2")
        again = other.put("a", b"1", key)
        assert again.status == 204 and again.headers["Idempotency-Replayed"] == "true"
        assert again.headers["ETag"] == first.headers["ETag"]
        assert other.get("a").body == b"2"
        assert n.put("a", b"2", {"Idempotency-Key": "a/b c"}).status == 204
        assert n.request("GET", "/tx/a%2Fb%20c").json()["state"] == "committed"
        known = other.request("GET", "/tx/order-17").json()
        assert known["state"] == "committed" and known["succeeded"] is True
        assert known["revision"] == int(first.headers["X-Floe-Revision"])
        refused = n.put("a", b"3", {"Idempotency-Key": "x", "If-None-Match": "*"})
        assert refused.status == 412
        n.request("DELETE", "/kv/a")
        assert n.put("a", b"3", {"Idempotency-Key": "x", "If-None-Match": "*"}).status == 412
        assert n.get("a").status == 404
        assert n.put("a", b"", {"Idempotency-Key": "y" * 200}).code() == "bad_idempotency_key"
        assert int(again.headers["X-Floe-Term"]) > 0 and int(again.headers["X-Floe-Index"]) > 0
        gone = {"Idempotency-Key": "gone"}
        assert n.request("DELETE", "/kv/never", headers=gone).status == 404
        n.put("never", b"1")
        again = n.request("DELETE", "/kv/never", headers=gone)
        assert again.status == 404 and again.headers["Idempotency-Replayed"] == "true"
        assert n.get("never").body == b"1"


def test_idempotency_key_is_good_for_one_request():
    with Cluster() as c:
        n = c.start().followers()[0]
        key = {"Idempotency-Key": "once"}
        assert n.put("a", b"1", key).status == 204
        for other in (n.put("b", b"1", key), n.put("a", b"2", key), n.request("DELETE", "/kv/a", headers=key),
                      n.put("a", b"1", dict(key, **{"If-None-Match": "*"})),
                      n.put("a", b"1", dict(key, **{"If-Match": "*"})), n.put("a?ttl=60", b"1", key),
                      n.request("DELETE", "/kv/?prefix=a", headers=key),
                      n.request("POST", "/kv/", '{"key":"b","value":"1"}', key),
                      post(n, "/txn", {"then": [{"put": {"key": "b", "value": "2"}}]}, key)):
            assert (other.status, other.code()) == (422, "idempotency_key_reused")
        assert n.get("a").body == b"1" and n.get("b").status == 404
        assert n.put("kv/a", b"1", key).headers["Idempotency-Replayed"] == "true"
        # the batches of a bulk load have tickets that no client can name
        body = "".join('{"key":"k%d","value":"%d"}\n' % (i, i) for i in range(5000))
        assert lines(n.request("POST", "/kv/", body, {"Idempotency-Key": "job"}))[-1]["applied"] == 5000
        for name in ("job#1", "job1", "job%001", "job#0"):
            assert "Idempotency-Replayed" not in n.put("mine", name.encode(), {"Idempotency-Key": name}).headers
        assert n.put("x", b"", {"Idempotency-Key": "load#1"}).status == 204
        assert lines(n.request("POST", "/kv/", body, {"Idempotency-Key": "load"}))[-2]["line"] == 5000
        assert int(n.get("k1").headers["ETag"][1:-1]) > 5000


def test_read_takes_lists_of_tags_and_weak_ones():
    with Cluster() as c:
        n = c.start().followers()[0]
        n.put("a", b"1")
        tag = n.get("a").headers["ETag"]
        for none in ('W/' + tag, '"x", ' + tag, tag + ',"7"', '"x",W/' + tag, "*"):
            assert n.get("a", headers={"If-None-Match": none}).status == 304, none
        for none in ('"x"', 'W/"1"', '"abc", "8"'):
            assert n.get("a", headers={"If-None-Match": none}).status == 200, none
        assert n.get("a", headers={"If-Match": '"7", ' + tag}).status == 200
        assert n.get("a", headers={"If-Match": 'W/' + tag}).status == 412, "strong comparison"
        for bad in ("7", '"7', '"7" "8"', "*, " + tag):
            assert n.get("a", headers={"If-None-Match": bad}).code() == "bad_condition", bad
            assert n.put("a", b"", {"If-Match": bad}).code() == "bad_condition", bad
        for bad in ('W/' + tag, tag + ', "7"', '"x"', '"x", ' + tag):
            assert n.put("a", b"", {"If-Match": bad}).code() == "bad_condition", bad


# ---- many keys -------------------------------------------------------------------------------------

def test_listing_has_forms_limits_orders_and_pages():
    with Cluster() as c:
        n = c.start().followers()[0]
        for i in range(10):
            n.put("list/%d" % i, b"value %d" % i)
        n.put("other", b"x")
        n.put("list/%ff", b"\xff\x00")
        r = n.request("GET", "/kv/?prefix=list/")
        listing = r.json()
        assert r.headers["Content-Type"] == "application/json"
        assert listing["more"] is False and listing["count"] == 11
        assert listing["revision"] == int(r.headers["X-Floe-Revision"])
        assert [i["key"] for i in listing["items"][:10]] == ["list/%d" % i for i in range(10)]
        assert listing["items"][3]["value"] == "value 3" and listing["items"][3]["version"] == 1
        odd = listing["items"][10]
        assert base64.b64decode(odd["key_base64"]) == b"list/\xff" and base64.b64decode(odd["value_base64"]) == b"\xff\x00"
        r = n.request("GET", "/kv/?prefix=list/&keys", headers={"Accept": "application/x-ndjson"})
        rows = lines(r)
        assert r.headers["Content-Type"] == "application/x-ndjson" and len(rows) == 12
        assert "value" not in rows[0] and rows[-1] == {"revision": listing["revision"], "count": 11, "more": False}
        assert [i["key"] for i in n.request("GET", "/kv/?from=list/3&to=list/5").json()["items"]] == ["list/3", "list/4"]
        assert [i["key"] for i in n.request("GET", "/kv/?prefix=list/&from=list/8&to=list/9").json()["items"]] == ["list/8"]
        assert n.request("GET", "/kv/?prefix=").json()["count"] == 12
        assert n.request("GET", "/kv/").code() == "empty_key"
        assert n.request("GET", "/kv/?prefix=a&order=up").code() == "bad_order"
        head = n.request("HEAD", "/kv/?prefix=a")
        assert head.status == 405 and head.headers["Allow"] == "GET, POST, DELETE"
        assert n.request("HEAD", "/events").status == 405


def test_pages_are_of_one_revision():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        for i in range(7):
            n.put("p/%d" % i, b"")
        for order in ("asc", "desc"):
            page = n.request("GET", "/kv/?prefix=p/&limit=3&order=%s" % order).json()
            revision, got = page["revision"], [i["key"] for i in page["items"]]
            n.put("p/0a", b"")
            while page["more"]:
                page = n.request("GET", "/kv/?prefix=p/&limit=3&order=%s&revision=%d&next=%s" % (
                    order, revision, urllib.parse.quote(page["next"]))).json()
                assert page["revision"] == revision
                got += [i["key"] for i in page["items"]]
            assert got == sorted(["p/%d" % i for i in range(7)], reverse=order == "desc")
            n.request("DELETE", "/kv/p/0a")


def test_large_listing_is_sent_in_pieces_while_writes_go_on():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        body = "".join('{"key":"big/%06d","value":"%s"}\n' % (i, "v" * 100) for i in range(20000))
        assert lines(n.request("POST", "/kv/", body))[-1]["applied"] == 20000
        w = Watch(n, "/kv/?prefix=big/", {"Accept": "application/x-ndjson"})
        first = w.line()
        for i in range(20):
            assert n.put("big/%06d" % (19980 + i), b"late").status == 204
        rest = [json.loads(x) for x in w.response.read().splitlines()]
        assert rest[-1]["count"] == 20000 and first["key"] == "big/000000"
        assert rest[-2]["value"] == "v" * 100  # as of the beginning


def test_many_are_deleted_at_once():
    with Cluster() as c:
        n = c.start().followers()[0]
        for i in range(5):
            n.put("d/%d" % i, b"")
        r = n.request("DELETE", "/kv/?prefix=d/&to=d/3")
        assert r.status == 200 and r.json()["deleted"] == 3
        assert r.json()["revision"] == int(r.headers["X-Floe-Revision"])
        assert n.request("GET", "/kv/?prefix=d/").json()["count"] == 2
        assert n.request("DELETE", "/kv/").code() == "empty_key"


def test_bulk_load_has_a_result_a_line():
    with Cluster() as c:
        n = c.start().followers()[0]
        r = n.request("POST", "/kv/", '{"key":"a","value":"1"}\n{"key":"b","value_base64":"/w=="}\nnonsense\n\n'
                      '{"key":"a","delete":true}\n{"key":"","value":""}\n{"key":"c","value":"3","lease":9}')
        rows = lines(r)
        assert r.status == 200 and r.headers["Content-Type"] == "application/x-ndjson"
        assert "revision" in rows[0] and rows[1]["revision"] == rows[0]["revision"] + 1
        assert rows[2]["code"] == "bad_json" and rows[3]["deleted"] == 1
        assert [row["line"] for row in rows[:-1]] == [1, 2, 3, 5, 6, 7], "a blank line counts"
        assert rows[4]["code"] == "empty_key" and rows[5]["code"] == "lease_not_found"
        assert rows[6]["applied"] == 3 and rows[6]["failed"] == 3
        assert n.get("a").status == 404 and n.get("b").body == b"\xff"
        for bad in ('"yes"', "1", "null", 'true,"value":"1"'):
            assert lines(n.request("POST", "/kv/", '{"key":"b","delete":%s}' % bad))[0]["code"] == "bad_json"
        before = n.health()["applied"]
        body = "".join('{"key":"k%d","value":"%d"}\n' % (i, i) for i in range(6000))
        r = n.request("POST", "/kv/", body, {"Idempotency-Key": "load"})
        rows = lines(r)
        assert len(rows) == 6001 and rows[-1]["applied"] == 6000
        assert n.health()["applied"] - before < 20, "few log entries"
        assert n.get("k5999").body == b"5999"
        revision = n.get("k1").headers["X-Floe-Revision"]
        again = lines(n.request("POST", "/kv/", body, {"Idempotency-Key": "load"}))
        assert again[0]["replayed"] is True and n.get("k1").headers["X-Floe-Revision"] == revision
        assert n.request("GET", "/tx/load").json()["state"] == "committed"
        listed = n.request("GET", "/kv/?prefix=k&limit=50", headers={"Accept": "application/x-ndjson"}).body
        back = b"".join(x + b"\n" for x in listed.splitlines()[:-1])
        assert lines(n.request("POST", "/kv/", back))[-1]["applied"] == 50


def test_transaction():
    with Cluster() as c:
        n = c.start().followers()[0]
        n.put("a", b"1")
        t = {"if": [{"key": "a", "value": "1"}, {"key": "b", "exists": False}],
             "then": [{"put": {"key": "b", "value": "2"}}, {"get": {"prefix": ""}}],
             "else": [{"get": {"key": "a"}}, {"delete": {"prefix": "b"}}]}
        r = post(n, "/txn", t)
        j = r.json()
        assert r.status == 200 and j["succeeded"] is True and j["revision"] == int(r.headers["X-Floe-Revision"])
        assert j["responses"][0]["put"]["revision"] == j["revision"]
        assert [i["key"] for i in j["responses"][1]["get"]["items"]] == ["a", "b"]
        j = post(n, "/txn", t).json()
        assert j["succeeded"] is False and j["responses"][1]["delete"]["deleted"] == 1
        assert j["responses"][0]["get"]["items"][0]["value"] == "1"
        revision = int(n.get("a").headers["ETag"].strip('"'))
        for condition, holds in (({"mod_revision": revision}, True), ({"mod_revision": revision, "op": ">"}, False),
                                 ({"version": 2, "op": "<"}, True), ({"value": "0", "op": "!="}, True)):
            assert post(n, "/txn", {"if": [dict(condition, key="a")]}).json()["succeeded"] is holds, condition
        for bad, code in (({"when": []}, "bad_txn"), ({"if": [{"key": "a"}]}, "bad_txn"), ({"then": [{"put": {}}]}, "bad_json"),
                          ({"then": [{"put": {"key": "x", "value": ""}}] * 2}, "duplicate_key"),
                          ({"then": [{"get": {"key": "x"}}] * 200}, "too_many_ops"),
                          ({"then": [{"jump": {}}]}, "bad_txn"), ({"if": [{"key": "a", "version": 1, "op": "=="}]}, "bad_txn")):
            r = post(n, "/txn", bad)
            assert (r.status, r.code()) == (400, code), (bad, r.body)
        assert n.request("POST", "/txn", "[]").code() == "bad_json"


# ---- watches ---------------------------------------------------------------------------------------

def test_watch_tells_what_happens_and_resumes():
    with Cluster() as c:
        n = c.start().followers()[0]
        w = Watch(n, "/kv/a?watch")
        assert w.status == 200 and w.response.headers["Content-Type"] == "text/event-stream"
        first = int(n.put("a", b"1").headers["X-Floe-Revision"])
        n.put("b", b"-")
        n.put("a", b"2")
        c.leader().request("DELETE", "/kv/a")
        got = [w.event() for _ in range(3)]
        assert [(e[1], e[2].get("value")) for e in got] == [("put", "1"), ("put", "2"), ("delete", None)]
        assert got[0][0] == got[0][2]["revision"] == first
        w.close()
        w = Watch(c.leader(), "/a?watch", {"Last-Event-ID": str(first)})
        assert [w.event()[2]["type"] for _ in range(2)] == ["put", "delete"]
        w.close()
        w = Watch(n, "/kv/?prefix=&watch&from_revision=%d" % first, {"Accept": "application/x-ndjson"})
        assert w.response.headers["Content-Type"] == "application/x-ndjson"
        assert w.line()["type"] == "begin"
        rows = [w.line() for _ in range(4)]
        assert [r["key"] for r in rows] == ["a", "b", "a", "a"]
        assert [r["revision"] for r in rows] == [first, first + 1, first + 2, first + 3]
        w.close()
        future = Watch(n, "/kv/a?watch&from_revision=%d" % (first + 6))
        for i in range(4):
            n.put("a", b"%d" % i)
        assert future.event()[0] == first + 6
        future.close()


def test_watch_gets_a_revision_as_a_whole():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        w = Watch(n, "/kv/?prefix=t/&watch")
        post(n, "/txn", {"then": [{"put": {"key": "t/%d" % i, "value": ""}} for i in range(5)] + [{"put": {"key": "z", "value": ""}}]})
        got = [w.event() for _ in range(5)]
        assert len({e[2]["revision"] for e in got}) == 1
        assert [e[0] for e in got] == [None] * 4 + [got[0][2]["revision"]], "the id comes with the last one"
        w.close()


def test_watch_of_a_gone_revision_is_told():
    with Cluster(1, extra={"store": {"history_s": 1, "history_bytes": 100000}}) as c:
        n = c.start().nodes[1]
        n.put("a", b"0")
        def compacted():
            for i in range(50):
                n.put("a", b"x" * 1000)
            return n.get("a?revision=2").status == 410
        wait_for("compaction", compacted, 60)
        r = n.request("GET", "/kv/a?watch&from_revision=2")
        assert r.status == 410 and r.code() == "compacted" and int(r.headers["X-Floe-Compact-Revision"]) > 2


def test_watch_survives_a_new_leader():
    with Cluster() as c:
        n = c.start().followers()[0]
        w = Watch(n, "/kv/a?watch", timeout=30)
        n.put("a", b"1")
        c.leader().kill()
        wait_for("a write", lambda: n.put("a", b"2").status == 204, 30)
        values = [w.event()[2]["value"], w.event()[2]["value"]]
        assert values == ["1", "2"]
        w.close()


def test_slow_and_half_closed_readers_do_not_disturb_others():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        slow = [Watch(n, "/kv/?prefix=s&watch") for _ in range(20)]
        half = Watch(n, "/kv/?prefix=s&watch")
        import socket
        half.connection.sock.shutdown(socket.SHUT_WR)
        quick = Watch(n, "/kv/s?watch", {"Accept": "application/x-ndjson"})
        quick.line()
        begin = time.monotonic()
        for i in range(400):
            assert n.put("s", b"%06d" % i + b"x" * 20000).status == 204
            row = quick.line()
            assert row["value"].startswith("%06d" % i)
        assert time.monotonic() - begin < 60
        with open("/proc/%d/status" % n.process.pid) as f:
            rss = int([x for x in f if x.startswith("VmRSS")][0].split()[1])
        print("    memory with 20 that do not read: %d MB" % (rss // 1024))
        for i in range(400):
            assert slow[0].event()[2]["value"].startswith("%06d" % i), i
        for w in slow + [quick]:
            w.close()
        half.close()


def test_fan_out_loses_and_reorders_nothing():
    import fanout
    fanout.run(60, 1000, 1, report=lambda text: print("    " + text))


def test_pages_of_another_origin_may_read_if_it_is_allowed():
    ask = {"Origin": "https://app.example", "Access-Control-Request-Method": "PUT"}
    with Cluster(1) as c:
        n = c.start().nodes[1]
        assert n.put("a", b"1").headers["Access-Control-Allow-Origin"] is None
        assert n.request("OPTIONS", "/kv/a", headers=ask).headers["Access-Control-Allow-Origin"] is None
    with Cluster(1, extra={"http": {"allow_origin": '"https://app.example"'}}) as c:
        n = c.start().nodes[1]
        for r in (n.put("a", b"1"), n.request("GET", "/none"), n.request("POST", "/v3/kv/range", "{")):
            assert r.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert r.headers["Access-Control-Expose-Headers"] == "*"
        before = n.request("OPTIONS", "/kv/a", headers=ask)
        assert before.status == 204 and "PUT" in before.headers["Access-Control-Allow-Methods"]
        assert "Idempotency-Key" in before.headers["Access-Control-Allow-Headers"]
        w = Watch(n, "/kv/a?watch")
        assert w.response.headers["Access-Control-Allow-Origin"] == "https://app.example"
        w.close()


def test_pages_of_another_origin_change_nothing():
    """Any page could otherwise change what a node on this machine has: a browser sends simple requests unasked."""
    foreign = {"Origin": "http://evil.example", "Content-Type": "text/plain"}
    upgrade = {"Origin": "http://evil.example", "Upgrade": "websocket", "Connection": "Upgrade",
               "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    with Cluster(1) as c:
        n = c.start().nodes[1]
        own = {"Origin": "http://127.0.0.1:%d" % n.http_port, "Host": "127.0.0.1:%d" % n.http_port}
        assert n.put("a", b"1").status == 204
        for method, path, body in (("PUT", "/a", b"2"), ("DELETE", "/a", None), ("POST", "/kv/", b'{"key":"a","value":"2"}\n'),
                                   ("POST", "/9", b"http://127.0.0.1:1"), ("PUT", "/kv/a", b"2")):
            r = n.request(method, path, body, headers=foreign)
            assert r.status == 403 and r.json()["code"] == "foreign_origin", (method, path, r.status, r.body)
        r = n.request("POST", "/v3/kv/put", b'{"key":"YQ==","value":"Mg=="}', headers=foreign)
        assert r.status == 403 and r.json()["code"] == 7, r.body
        assert n.request("GET", "/a?watch", headers=upgrade).status == 403
        assert n.request("PUT", "/b", b"1", headers=dict(foreign, Origin="null")).status == 403
        assert n.request("GET", "/a", headers=foreign).body == b"1"
        assert n.request("PUT", "/a", b"3", headers=own).status == 204
    with Cluster(1, extra={"http": {"allow_origin": '"http://evil.example"'}}) as c:
        assert c.start().nodes[1].request("PUT", "/a", b"2", headers=foreign).status == 204


def test_watch_of_http_1_0_and_of_a_stopping_server():
    import socket
    with Cluster(1) as c:
        n = c.start().nodes[1]
        s = socket.create_connection(("127.0.0.1", n.http_port), 10)
        s.sendall(b"GET /kv/a?watch HTTP/1.0\r\n\r\n")
        text = b""
        while b"begin" not in text:
            text += s.recv(1000)
        n.put("a", b"1")
        while b'"value":"1"' not in text:
            text += s.recv(1000)
        assert b"chunked" not in text and b"Content-Length" not in text
        status, seconds = n.terminate()
        assert status == 0 and seconds < 3
        while s.recv(1000):
            pass


def test_streams_end_as_a_whole_when_the_server_stops():
    import socket
    with Cluster(1) as c:
        n = c.start().nodes[1]
        create = b'{"create_request":{"key":"YQ=="}}'
        asked = (b"GET /kv/a?watch HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n",
                 b"POST /v3/watch HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(create) + create)
        sockets = []
        for request in asked:
            s = socket.create_connection(("127.0.0.1", n.http_port), 10)
            s.sendall(request)
            assert b"200 OK" in s.recv(1000)
            sockets.append(s)
        status, seconds = n.terminate()
        assert status == 0 and seconds < 3
        for s in sockets:
            text = b""
            while more := s.recv(10000):
                text += more
            assert text.endswith(b"0\r\n\r\n"), text
        assert b'"grpc_code":14' in text and b"server stopped" in text


# ---- the cluster -----------------------------------------------------------------------------------

def test_members_are_managed_in_json():
    with Cluster() as c:
        n = c.start().followers()[0]
        listed = n.request("GET", "/members").json()
        assert [m["id"] for m in listed["members"]] == [1, 2, 3]
        assert [m["id"] for m in listed["members"] if m["leader"]] == [c.leader().id]
        assert post(n, "/members", {"id": 4}).code() == "bad_address"
        assert post(n, "/members", {"peer_url": "http://127.0.0.1:1"}).code() == "bad_member_id"
        from harness import Node, free_ports
        ports = free_ports(2)
        four = Node(c, 4, *ports)
        c.nodes[4] = four
        four.write_conf(c.members + [(4, four.peer_url)], join=True)
        assert post(n, "/members", {"id": 4, "peer_url": four.peer_url, "learner": True}).status == 204
        four.start()
        four.get("a")
        def is_learner():
            return [m["learner"] for m in n.request("GET", "/members").json()["members"] if m["id"] == 4][0]
        time.sleep(1)
        assert is_learner() is True
        wait_for("promotion", lambda: n.request("POST", "/members/4/promote").status == 204)
        wait_for("a voter", lambda: not is_learner())
        assert n.request("DELETE", "/members/4").status == 204
        assert four.wait_exit() == 0
        assert n.request("DELETE", "/members/4").code() == "member_not_found"
        assert n.request("DELETE", "/members/x").code() == "bad_member_id"


def test_leader_is_moved_and_events_tell():
    with Cluster() as c:
        c.start()
        n, to = c.leader(), c.followers()[0]
        w = Watch(n, "/events")
        seen = {}
        for _ in range(2):
            _, name, data = w.event()
            seen[name] = data
        assert seen["leader"]["leader"] == n.id and [m["id"] for m in seen["members"]["members"]] == [1, 2, 3]
        def moved():  # 503: not in time on a busy machine, which says to try again
            r = post(n, "/leader", {"to": to.id})
            assert r.status in (200, 503), r.body
            return r.status == 200
        wait_for("the other one to lead", moved)
        while True:
            _, name, data = w.event()
            if name == "leader" and data["leader"] == to.id:
                break
        assert data["term"] > seen["leader"]["term"]
        assert post(n, "/leader", {"to": 99}).status in (404, 409)
        w.close()


def test_limits_are_told():
    with Cluster(1, extra={"limits": {"value_bytes": 1000}}) as c:
        n = c.start().nodes[1]
        limits = n.request("GET", "/limits").json()
        assert limits["value_bytes"] == 1000 and limits["key_bytes"] > 0 and limits["lease_ttl_min_s"] >= 1
        assert limits["history_s"] == 3600 and limits["history_bytes"] == 32000000
        for name in ("body_bytes", "pending_bytes", "connections", "request_timeout_ms", "header_bytes", "stream_bytes", "txn_depth",
                     "txn_total", "websocket_message_bytes", "watchers_per_stream", "v3_request_bytes", "idempotency_keys"):
            assert limits[name] > 0, name
        assert n.put("k" * (limits["key_bytes"] + 1), b"x").code() == "key_too_large"
        nested = "null"
        for _ in range(limits["v3_depth"] + 1):
            nested = '{"success":[{"request_txn":%s}]}' % nested
        assert n.request("POST", "/v3/kv/txn", nested).status == 400
        assert n.request("POST", "/members", b" " * (limits["member_body_bytes"] + 1)).status in (400, 413)
        assert n.put("a", b"x" * 1001).code() == "value_too_large"
        assert post(n, "/txn", {"then": [{"put": {"key": "a", "value": "x" * 1001}}]}).code() == "value_too_large"


def takes_its_parameters_only(n, method, path, operation):
    taken = {p["name"]: p.get("description", "") for p in operation["parameters"] if p["in"] == "query"}
    def code(query):
        r = n.request(method, path + "?" + query, "" if method in ("PUT", "POST") else None)
        if method != "HEAD" and r.status == 400 and r.code() == "unknown_parameter":
            text = r.json()["error"]
            assert '"%s"' % query.split("&")[-1].split("=")[0] in text, text
            assert all(name in text.split(" takes")[1] for name in taken if not taken[name]), text
            return "unknown"
        return r.status
    if path in ("/health", "/livez", "/readyz", "/version", "/metrics"):
        assert code("exclude=x") == 200
        return
    assert code("nonsense=1") == (400 if method == "HEAD" else "unknown"), (method, path)
    for name, when in taken.items():
        if name != "watch" and method != "HEAD":
            assert (code(name + "=x") == "unknown") == when.startswith("only"), (method, path, name)
        if "watch" in taken and when and method != "HEAD":
            assert code("prefix=a&watch&" * (path == "/kv/") + "watch&" * (path != "/kv/") + name + "=x") == (
                "unknown" if when.startswith("not") else 400), (method, path, name)


def test_unknown_and_misplaced_parameters_are_refused():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        n.put("a", b"1")
        for method, path, name in (("PUT", "/kv/a?tll=5", "tll"), ("DELETE", "/kv/a?prefix=b", "prefix"), ("GET", "/kv/a?revison=2", "revison"),
                                   ("GET", "/a?limit=1", "limit"), ("PUT", "/a?%74%6cl=5", "tll"), ("GET", "/kv/?prefix=a&x=1", "x"),
                                   ("GET", "/kv/?prefix=a&from_revision=1", "from_revision"), ("GET", "/kv/a?watch&revision=1", "revision"),
                                   ("POST", "/17?prefix=b", "prefix"), ("DELETE", "/17?a", "a"), ("POST", "/txn?dry", "dry"),
                                   ("GET", "/limits?a%00%ff%22", "a???"[:3] + '"'), ("POST", "/kv/?prefix=a", "prefix")):
            r = n.request(method, path, "1" if method in ("PUT", "POST") else None)
            assert (r.status, r.code()) == (400, "unknown_parameter"), (method, path, r.body)
            assert '"%s"' % name in r.json()["error"], r.body
        assert n.get("a").body == b"1" and n.get("a").headers["ETag"] == '"2"'
        assert "GET /kv/ with watch takes prefix, from, to, watch, from_revision" in n.request(
            "GET", "/kv/?watch&prefix=a&limit=1").json()["error"]
        assert n.request("GET", "/limits?a&a").code() == "bad_query" and n.get("a?consistency=stale&consistency=stale").code() == "bad_consistency"
        assert n.request("POST", "/v3/kv/range?a=b", '{"key":"YQ=="}').status == 200


def is_valid_openapi(described):
    """What OpenAPI 3.0 asks of the parts that are used here."""
    schemas = described["components"]["schemas"]
    def check_schema(schema):
        if "$ref" in schema:
            assert set(schema) == {"$ref"} and schema["$ref"].rsplit("/", 1)[0] == "#/components/schemas"
            assert schema["$ref"].rsplit("/", 1)[1] in schemas, schema
            return
        assert schema.get("type", "string") in ("string", "integer", "boolean", "array", "object"), schema
        assert (schema.get("type") == "array") == ("items" in schema)
        for part in [schema.get("items"), schema.get("additionalProperties"), *schema.get("properties", {}).values()]:
            if part is not None:
                check_schema(part)
    for schema in schemas.values():
        check_schema(schema)
    assert set(described) == {"openapi", "info", "paths", "components"} and {"title", "version"} <= set(described["info"])
    ids = []
    for path, methods in described["paths"].items():
        assert path.startswith("/") and set(methods) <= {"get", "head", "put", "post", "delete"}
        for operation in methods.values():
            ids.append(operation["operationId"])
            assert ids[-1].replace("_", "").isalnum(), ids[-1]
            parameters = operation["parameters"]
            keys = [(p["name"], p["in"]) for p in parameters]
            assert len(keys) == len(set(keys)) and all(p["in"] in ("path", "query", "header") for p in parameters)
            assert not {"Accept", "Content-Type", "Authorization"} & {p["name"] for p in parameters}
            in_path = [p["name"] for p in parameters if p["in"] == "path"]
            assert in_path == [part[1:-1] for part in path.split("/") if part.startswith("{")]
            assert all(p.get("required") is True for p in parameters if p["in"] == "path")
            for content in [operation.get("requestBody", {"content": {}}), *operation["responses"].values()]:
                for kind, value in content.get("content", {}).items():
                    check_schema(value["schema"])
                    assert "$ref" in value["schema"] or "json" not in kind, (path, kind)
            assert all(r["description"] for r in operation["responses"].values())
    assert len(ids) == len(set(ids)), "an operationId twice"
    assert "Last-Event-ID" in [p["name"] for p in described["paths"]["/kv/"]["get"]["parameters"]]


def fits(schemas, value, schema):
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    if not schema:  # anything
        return
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    assert "type" not in schema or type(value) is kinds[schema["type"]], (value, schema)
    for element in value if isinstance(value, list) else []:
        fits(schemas, element, schema["items"])
    for name, part in value.items() if isinstance(value, dict) and "type" in schema else []:
        wanted = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
        assert wanted is not None, "%s is not in %s" % (name, schema)
        fits(schemas, part, wanted)


def test_openapi_is_valid_and_tells_the_form_of_bodies():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        described = n.request("GET", "/openapi.json").json()
        is_valid_openapi(described)
        n.put("a", b"\xff", {"Idempotency-Key": "t"})
        txn = {"if": [{"key": "a", "exists": True}], "then": [{"get": {"key": "a"}}, {"put": {"key": "b", "value": "1"}},
               {"delete": {"prefix": "c"}}, {"txn": {"then": [{"get": {"key": "a", "limit": 1}}]}}], "else": []}
        asked = [("get", p, None) for p, m in described["paths"].items() if "get" in m and "{" not in p and p not in ("/events", "/metrics")]
        asked += [("post", "/txn", txn), ("post", "/leases", {"ttl": 60, "id": 17}), ("post", "/leases/{id}", None), ("get", "/leases/{id}", None),
                  ("get", "/tx/{id}", None), ("post", "/leader", {"to": 1}), ("post", "/members", {"id": 1, "peer_url": "nonsense"}),
                  ("post", "/kv/", {"key": "k", "value": "v"}), ("delete", "/kv/", None), ("get", "/kv/{key}", None)]
        for method, path, body in asked:
            operation = described["paths"][path][method]
            if body is not None:
                fits(described["components"]["schemas"], body, [*operation["requestBody"]["content"].values()][0]["schema"])
            query = "?prefix=" if path == "/kv/" and method != "post" else "?revision=99" if path == "/kv/{key}" else ""
            concrete = path.replace("/tx/{id}", "/tx/t").replace("{id}", "17").replace("{key}", "a") + query
            r = n.request(method.upper(), concrete, body and json.dumps(body))
            answer = operation["responses"].get(str(r.status), operation["responses"]["default"])
            for row in lines(r):
                fits(described["components"]["schemas"], row, [*answer["content"].values()][0]["schema"])


def test_openapi_is_what_is_served():
    with Cluster(1) as c:
        n = c.start().nodes[1]
        described = n.request("GET", "/openapi.json").json()
        assert described["openapi"].startswith("3.")
        etcd = [p for p in described["paths"] if p.startswith("/v3/")]
        assert len(etcd) > 40 and {"/v3/kv/txn", "/v3/watch", "/v3/lock/lock"} < set(etcd)
        for path in etcd: # what is no JSON is refused by each, and does nothing
            assert list(described["paths"][path]) == ["post"]
            assert n.request("POST", path, "[").status in (400, 500), path
            assert n.request("GET", path).status == 405, path
        names = [p.replace("{id}", "{}").replace("{key}", "{}") for p in described["paths"]]
        assert len(names) == len(set(names)), "two paths that only differ in the name of a part"
        for path, methods in described["paths"].items():
            if path in etcd:
                continue
            concrete = path.replace("{key}", "some-key").replace("{id}", "17")
            for method in ("GET", "PUT", "POST", "DELETE"):
                if path in ("/events",) and method == "GET":
                    continue
                body = "{}" if method in ("PUT", "POST") else None
                r = n.request(method, concrete, body)
                known = method.lower() in methods
                refused = r.status == 405 or (r.status == 400 and r.code() in ("reserved", "bad_member_id", "empty_key"))
                if known:
                    assert r.status != 405 and not (r.status == 404 and r.code() == "not_found"), (method, path, r.body)
                else:
                    assert refused, (method, path, r.status, r.body)
                if r.status >= 400:
                    assert set(r.json()) == {"error", "code"}, r.body
            for method, operation in methods.items():
                assert operation["summary"] and operation["responses"]
                takes_its_parameters_only(n, method.upper(), concrete, operation)
        for path in ("/kv/{key}", "/kv/", "/txn", "/leases/{id}", "/members/{id}/promote", "/leader", "/events", "/limits", "/tx/{id}"):
            assert path in described["paths"], path


if __name__ == "__main__":
    main(sys.modules[__name__])
