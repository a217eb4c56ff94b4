"""More corners: large ranges, events of leases and compactions, connections that are used again."""
import json
import time

from gateway import Answer, Stream, WebSocket, b64
from semantics_kv import delete_op, get, get_op, put, put_op, txn
from semantics_streams import created, show


def scenario_more_large_range(c):
    p, end = "lr/", "lr0"
    for number in range(0, 1500, 100):
        c.raw("kv/txn", json.dumps({"success": [put_op("lr/%05d" % (number + i), str(i)) for i in range(100)]}).encode(), record=False)
    found = c.call("kv/range", {"key": b64(p), "range_end": b64(end)}, record=False)
    c.say("all", (len(found["kvs"]), found["count"], found.get("more")))
    for more in ({"limit": 10}, {"limit": 1499}, {"limit": 1500}, {"count_only": True}, {"limit": 3, "sort_order": "DESCEND"},
                 {"limit": 2, "revision": c.rev(7)}, {"count_only": True, "revision": c.rev(7)}):
        found = c.call("kv/range", dict({"key": b64(p), "range_end": b64(end)}, **more), record=False)
        kvs = found.get("kvs", [])
        c.say(json.dumps(more), (len(kvs), found.get("count"), found.get("more"), c.normal([kv["key"] for kv in kvs[:4]], "key")))
    found = c.call("kv/deleterange", {"key": b64(p), "range_end": b64(end), "prev_kv": True}, record=False)
    c.say("deleted", (found["deleted"], len(found["prev_kvs"])))
    get(c, p, end)


def scenario_more_ties(c):
    p, end = "ties/", "ties0"
    txn(c, None, [put_op("ties/b", "1"), put_op("ties/a", "1"), put_op("ties/c", "0")])
    for target in ("VERSION", "CREATE", "MOD", "VALUE"):
        for order in ("ASCEND", "DESCEND", "NONE"):
            get(c, p, end, sort_target=target, sort_order=order, keys_only=True)


def scenario_more_lifetimes(c):
    """create_revision and version over deletes, in and out of transactions."""
    k = "life/a"
    put(c, k, "1")
    put(c, k, "2")
    c.call("kv/deleterange", {"key": b64(k), "prev_kv": True})
    txn(c, [{"key": b64(k), "target": "CREATE", "create_revision": 0}], [put_op(k, "3", prev_kv=True), get_op(k)], [get_op(k)])
    txn(c, [{"key": b64(k), "target": "VERSION", "version": 1}], [delete_op(k, prev_kv=True), get_op(k)])
    txn(c, [{"key": b64(k), "target": "MOD", "mod_revision": 0}], [put_op(k, "4"), put_op("life/b", "1"), get_op("life/", "life0")])
    for after in range(0, 7):
        get(c, "life/", "life0", revision=c.rev(after))
    w = created(c, "life/", "life0", start_revision=c.rev(1), prev_kv=True)
    c.events(w, 7)
    w.close()


def scenario_more_txn_reads(c):
    p, end = "tr/", "tr0"
    txn(c, None, [put_op("tr/%d" % i, str(9 - i)) for i in range(5)])
    put(c, "tr/2", "new")
    txn(c, None, [get_op(p, end, limit=2), get_op(p, end, limit=2, sort_order="DESCEND"), get_op(p, end, count_only=True),
                  get_op(p, end, min_mod_revision=c.rev(2)), get_op(p, end, revision=c.rev(1), limit=1),
                  get_op(p, end, sort_target="VALUE", keys_only=True), get_op("tr/9")])
    txn(c, [{"key": b64(p), "range_end": b64(end), "target": "MOD", "result": "LESS", "mod_revision": c.rev(2)}], None, [get_op("tr/2")])
    txn(c, [{"key": b64(p), "range_end": b64(end), "target": "VALUE", "result": "NOT_EQUAL", "value": b64("zz")}], [get_op("tr/2")])
    txn(c, [{"key": b64(p), "range_end": b64(end), "target": "LEASE"}], [get_op("tr/3", keys_only=True)])
    txn(c, None, [get_op(p, end, sort_order="NOPE")])
    txn(c, None, [get_op(p, end, revision=-1)])
    txn(c, None, [get_op(p, end, revision=c.rev(2)), get_op(p, end, revision=c.rev(3))])


def scenario_more_lease_events(c):
    p, end = "le/", "le0"
    lease = c.call("lease/grant", {"TTL": 60})["ID"]
    for key in ("c", "a", "b"):
        put(c, p + key, key, lease=lease)
    w = created(c, p, end, prev_kv=True)
    txn(c, None, [put_op(p + "d", "1", lease=lease), delete_op(p + "a")])
    c.events(w, 2)
    c.call("lease/revoke", {"ID": lease})
    messages = w.read(1, 3)
    found = sorted((c.normal(e) for m in messages for e in m["result"]["events"]), key=str)
    c.say("events of a revoked lease", found)
    w.close()
    lease = c.call("lease/grant", {"TTL": 60})["ID"]
    put(c, p + "a", "1", lease=lease)
    txn(c, None, [delete_op(p, end), put_op("le2", "1", lease=lease)])
    c.call("lease/timetolive", {"ID": lease, "keys": True})
    put(c, "le2", "2", lease=0)
    c.call("lease/timetolive", {"ID": lease, "keys": True})
    get(c, "le2")
    put(c, "le2", "", ignore_value=True, lease=lease)
    get(c, "le2")
    c.call("kv/compaction", {"revision": c.rev(0)})
    c.call("lease/revoke", {"ID": lease})
    get(c, "le2")


def scenario_more_watch_compaction(c):
    p, end = "wc/", "wc0"
    for i in range(6):
        put(c, "wc/a", str(i))
    c.call("kv/deleterange", {"key": b64("wc/a")})
    put(c, "wc/b", "1")
    c.call("kv/compaction", {"revision": c.rev(4)})
    for after in (1, 3, 4, 5):
        w = created(c, p, end, start_revision=c.rev(after), prev_kv=True, note="+%d: " % after)
        c.got(w, 1, 0.8, note="+%d: " % after)
        w.close()
    text = json.dumps({"create_request": {"key": b64(p), "range_end": b64(end), "start_revision": c.rev(1), "watch_id": 3}}) + \
        json.dumps({"create_request": {"key": b64(p), "range_end": b64(end)}})
    w = c.stream("watch", text)
    c.got(w, 3, 1.5)
    put(c, "wc/c", "1")
    c.got(w, 1, 2, note="the other one goes on: ")
    w.close()
    c.call("kv/compaction", {"revision": c.rev(9)})
    w = created(c, p, end, start_revision=c.rev(9))
    c.got(w, 1, 1)
    w.close()
    w = created(c, p, end, start_revision=c.rev(12))
    put(c, "wc/d", "1")
    put(c, "wc/d", "2")
    put(c, "wc/d", "3")
    c.events(w, 1)
    w.close()


def scenario_more_watch_progress(c):
    for text in (json.dumps({"create_request": {"key": b64("wp"), "progress_notify": True}}) + '{"progress_request":{}}',
                 '{"progressRequest":{}}' + json.dumps({"create_request": {"key": b64("wp")}}),
                 json.dumps({"createRequest": {"key": b64("wp"), "watchId": "4"}}) + '{"cancelRequest":{"watchId":"4"}}{"progress_request":{}}'):
        w = c.stream("watch", text)
        c.got(w, 3, 0.8)
        w.close()


def scenario_more_watch_overlap(c):
    """Two watches of a stream on the same and on overlapping ranges."""
    text = "".join(json.dumps({"create_request": body}) for body in (
        {"key": b64("wo/"), "range_end": b64("wo0")}, {"key": b64("wo/a")}, {"key": b64("wo/"), "range_end": b64("wo0"), "filters": ["NOPUT"]}))
    w = c.stream("watch", text)
    c.got(w, 3)
    for step in range(2):
        put(c, "wo/a", str(step))
        messages = sorted((c.normal(m) for m in w.read(2, 2)), key=lambda m: m["result"].get("watch_id", "0"))
        c.say("both", [dict(m["result"], header="") for m in messages])
    c.call("kv/deleterange", {"key": b64("wo/"), "range_end": b64("wo0")})
    messages = sorted((c.normal(m) for m in w.read(3, 2)), key=lambda m: m["result"].get("watch_id", "0"))
    c.say("all three", [dict(m["result"], header="") for m in messages])
    w.close()


def scenario_more_websocket(c):
    ws = WebSocket(c.port, "/v3/watch")
    ws.send(json.dumps({"create_request": {"key": b64("wsm/"), "range_end": b64("wsm0"), "prev_kv": True}}))
    show(c, "created", ws.read(1, 3))
    ws.send(json.dumps({"create_request": {"key": b64("wsm/"), "watch_id": 1}}))
    show(c, "created", ws.read(1, 3))
    ws.send(json.dumps({"create_request": {"key": b64("wsm/"), "watch_id": 1}}))
    show(c, "again", ws.read(1, 3))
    ws.send(json.dumps({"progress_request": {}}))
    show(c, "progress", ws.read(1, 1))
    ws.send(json.dumps({"cancel_request": {"watch_id": 99}}))
    show(c, "silence", ws.read(1, 0.5))
    txn(c, None, [put_op("wsm/a", "1"), put_op("wsm/b", "2")])
    show(c, "events", ws.read(1, 3))
    ws.send("{")
    show(c, "bad JSON", ws.read(1, 1))
    ws.close()
    ws = WebSocket(c.port, "/v3/lease/keepalive")
    lease = c.call("lease/grant", {"TTL": 60})["ID"]
    for _ in range(2):
        ws.send(json.dumps({"ID": lease}))
        show(c, "renewed", ws.read(1, 3))
    ws.send(json.dumps({"ID": 5}))
    show(c, "unknown", ws.read(1, 3))
    ws.close()
    c.call("lease/revoke", {"ID": lease})


def scenario_more_connection(c):
    """One connection for good and refused requests, and for a stream behind them."""
    def request(path, body):
        body = json.dumps(body).encode()
        return ("POST /v3/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, len(body))).encode() + body
    answer = Answer(c.port, b"")
    seen = []
    for path, body in (("kv/put", {"key": b64("conn"), "value": b64("1")}), ("kv/put", {}), ("kv/range", {"key": b64("conn"), "revision": 99999}),
                       ("kv/range", {"key": 5}), ("nothing", {}), ("lease/revoke", {"ID": 7}), ("kv/range", {"key": b64("conn")})):
        answer.status, answer.ended, answer.chunks, answer.headers = None, False, [], {}
        answer.sock.sendall(request(path, body))
        answer.read_all(5)
        seen.append((path, answer.status))
    c.say("answers", seen)
    answer.status, answer.ended, answer.chunks, answer.headers = None, False, [], {}
    answer.sock.sendall(request("watch", {"create_request": {"key": b64("conn")}}))
    w = Stream(answer)
    w.what = "watch on a used connection"
    c.got(w, 1)
    put(c, "conn", "2")
    c.got(w, 1)
    w.close()


def scenario_more_watchers_many(c):
    """A hundred streams on one key: each gets it, none twice."""
    streams = [c.stream("watch", {"create_request": {"key": b64("crowd")}}) for _ in range(100)]
    ready = sum(len(s.read(1, 5)) for s in streams)
    for value in ("1", "2", "3"):
        put(c, "crowd", value)
    counts = []
    for s in streams:
        events = []
        until = time.monotonic() + 5
        while len(events) < 3 and time.monotonic() < until:
            for m in s.read(1, until - time.monotonic()):
                events += [int(e["kv"]["mod_revision"]) - c.base for e in m["result"]["events"]]
        counts.append(events)
        s.close()
    c.say("created", ready)
    c.say("events", [list(x) for x in {tuple(e) for e in counts}])


def scenario_more_election_queue(c):
    """Three candidates; who is next is who came first."""
    name = b64("queue")
    leases = [c.call("lease/grant", {"TTL": 60, "ID": i})["ID"] for i in (9011, 9012, 9013)]
    c.call("election/campaign", {"name": name, "lease": leases[0], "value": b64("0")})
    waiting = []
    for n in (1, 2):
        waiting.append(c.stream("election/campaign", {"name": name, "lease": leases[n], "value": b64(str(n))}))
        time.sleep(0.3)
    c.call("lease/revoke", {"ID": leases[0]})
    c.got(waiting[0], 1, 3)
    c.call("election/leader", {"name": name})
    observer = c.stream("election/observe", {"name": name})
    c.got(observer, 1)
    c.call("lease/revoke", {"ID": leases[1]})
    c.got(waiting[1], 1, 3)
    c.got(observer, 1)
    observer.close()
    for w in waiting:
        w.close()
    c.call("lease/revoke", {"ID": leases[2]})
    c.call("election/leader", {"name": name})


def scenario_more_lock_dies(c):
    """A waiting client that goes away is no longer in the queue; a lock's lease that ends frees it."""
    one, two, three = [c.call("lease/grant", {"TTL": 60, "ID": i})["ID"] for i in (9001, 9002, 9003)]  # keys sort by them
    c.call("lock/lock", {"name": b64("gone"), "lease": one})
    dead = c.stream("lock/lock", {"name": b64("gone"), "lease": two})
    time.sleep(0.3)
    waits = c.stream("lock/lock", {"name": b64("gone"), "lease": three})
    time.sleep(0.3)
    dead.close()
    time.sleep(0.5)
    get(c, "gone", "gonf", keys_only=True)
    c.call("lease/revoke", {"ID": one})
    c.got(waits, 1, 3)
    waits.close()
    c.call("lease/revoke", {"ID": three})
    c.call("lease/revoke", {"ID": two})
    get(c, "gone", "gonf")


def scenario_more_utf8_and_numbers(c):
    for key in ("\u00e9\u4e16\U0001f600", "with space", "a" * 1000, "quote\"back\\slash", "\x01\x02"):
        put(c, key, key)
        get(c, key)
        c.call("kv/deleterange", {"key": b64(key)})
    for ident in (18446744073709551615, "18446744073709551615", 18446744073709551616, "-1", -1, "0x10", 1e3):
        c.call("cluster/member/remove", {"ID": ident})
    for ident in ("9223372036854775808", -9223372036854775808, "1e3"):
        c.call("lease/revoke", {"ID": ident})
